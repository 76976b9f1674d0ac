package whogitit

import (
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
	_, err = s.object(func(key []byte) error {
		switch string(key) {
		case "session":
			if session.known() {
				return s.skip()
			}
			_, err := session.read(s, func(string, ...any) {}) // Decode tells
			return err
		case "prompts":
			_, err := s.array(func() error {
				if s.peek(); len(prompts) == maxPrompts {
					return s.bad("more than %d prompts", maxPrompts)
				}
				p, isObject, err := readPrompt(s)
				if isObject && err == nil {
					prompts = append(prompts, p)
				}
				return err
			})
			return err
		default:
			return s.skip()
		}
	})
	for i := range prompts {
		prompts[i].Session, prompts[i].Agent = session.id, agent()
	}
	return prompts, err
}

func readPrompt(s *scanner) (p notes.Prompt, isObject bool, err error) {
	p.Role = "user"
	isObject, err = s.object(func(key []byte) (err error) {
		switch string(key) {
		case "text":
			p.Text, err = s.text()
		case "timestamp":
			p.Time, err = s.text()
		default:
			err = s.skip()
		}
		return err
	})
	return p, isObject, err
}

// open gives a scanner at the object of a note.
func open(blob []byte) (*scanner, error) {
	if len(blob) > notes.MaxNote {
		return nil, &notes.DecodeError{Source: Name, Offset: notes.MaxNote, Reason: fmt.Sprintf("longer than %d bytes", notes.MaxNote)}
	}
	s := &scanner{b: blob}
	if len(blob) >= 3 && string(blob[:3]) == "\xef\xbb\xbf" {
		s.pos = 3
	}
	switch c := s.peek(); {
	case c == '{':
		return s, nil
	case c == 0 && s.pos == len(blob):
		return nil, &notes.DecodeError{Source: Name, Reason: "empty"}
	default:
		return nil, s.bad("no JSON object")
	}
}
