package whogitit

import (
	"bytes"
	"fmt"

	"github.com/stemma-dev/stemma/internal/notes"
)

// Prompts reads the prompts of a note in its order, each with the role "user".
// whogitit keeps one for each edit, so that the prompt of a turn with several
// edits comes several times; where its hook found none, the text is its own:
// "AI-assisted code change".
//
// Where the note breaks off, the prompts before that come with the error.
func (Source) Prompts(blob []byte) ([]notes.Prompt, error) {
	s, err := open(blob)
	if err != nil {
		return nil, err
	}
	var (
		prompts []notes.Prompt
		session run
	)
	_, err = s.Object(func(key []byte) error {
		switch string(key) {
		case "session":
			if session.known() {
				return s.Skip()
			}
			_, err := session.read(s, func(string, ...any) {}) // Decode tells
			return err
		case "prompts":
			_, err := s.Array(func() error {
				if s.Peek(); len(prompts) == maxPrompts {
					return s.Bad("more than %d prompts", maxPrompts)
				}
				p, isObject, err := readPrompt(s)
				if isObject && err == nil {
					prompts = append(prompts, p)
				}
				return err
			})
			return err
		default:
			return s.Skip()
		}
	})
	for i := range prompts {
		prompts[i].Session, prompts[i].Agent = session.id, agent()
	}
	return prompts, err
}

func readPrompt(s *notes.Scanner) (p notes.Prompt, isObject bool, err error) {
	p.Role = "user"
	isObject, err = s.Object(func(key []byte) (err error) {
		switch string(key) {
		case "text":
			p.Text, err = s.Text()
		case "timestamp":
			p.Time, err = s.Text()
		default:
			err = s.Skip()
		}
		return err
	})
	return p, isObject, err
}

// open gives a scanner at the object of a note.
func open(blob []byte) (*notes.Scanner, error) {
	if len(blob) > notes.MaxNote {
		return nil, &notes.DecodeError{Source: Name, Offset: notes.MaxNote, Reason: fmt.Sprintf("longer than %d bytes", notes.MaxNote)}
	}
	plain := bytes.TrimPrefix(blob, []byte("\xef\xbb\xbf"))
	s := notes.NewScanner(Name, plain, len(blob)-len(plain))
	switch {
	case s.Peek() == '{':
		return s, nil
	case s.Left() == 0:
		return nil, &notes.DecodeError{Source: Name, Reason: "empty"}
	default:
		return nil, s.Bad("no JSON object")
	}
}
