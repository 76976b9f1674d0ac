package gitai

import (
	"bytes"
	"fmt"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/notes"
)

// Prompts reads the messages that git-ai up to 1.3.3 embedded in its notes,
// session by session. Of a tool call, Text is the name of the tool, a line feed
// and its input as JSON. Thoughts and plans have the role "assistant".
//
// Where the note breaks off, the messages before that come with the error.
func (Source) Prompts(blob []byte) ([]notes.Prompt, error) {
	if len(blob) > notes.MaxNote {
		return nil, &notes.DecodeError{Source: Name, Offset: notes.MaxNote, Reason: fmt.Sprintf("longer than %d bytes", notes.MaxNote)}
	}
	metadata := len(blob) - len(bytes.TrimLeft(blob, " \t\r\n\ufeff"))
	if metadata == len(blob) || blob[metadata] != '{' {
		var ok bool
		if _, metadata, ok = divide(blob); !ok {
			return nil, &notes.DecodeError{Source: Name, Path: "metadata", Offset: int64(len(blob)), Reason: "ends before the line \"---\""}
		}
	}
	s := notes.NewScanner(Name, blob[metadata:], metadata)
	var prompts []notes.Prompt
	_, err := s.Object(func(section []byte) error {
		if string(section) != "prompts" && string(section) != "sessions" {
			return s.Skip()
		}
		_, err := s.Object(func(key []byte) error {
			of, err := readMessages(s, string(key))
			prompts = append(prompts, of...)
			return err
		})
		return err
	})
	if err != nil {
		return prompts, notes.Within("metadata", err)
	}
	return prompts, nil
}

// readMessages reads the messages of one record, whose agent_id may stand
// before or behind them.
func readMessages(s *notes.Scanner, key string) (prompts []notes.Prompt, err error) {
	var a agentID
	_, err = s.Object(func(member []byte) error {
		switch string(member) {
		case "agent_id":
			return a.read(s)
		case "messages":
			_, err := s.Array(func() error {
				p, err := readMessage(s)
				if err == nil {
					prompts = append(prompts, p)
				}
				return err
			})
			return err
		default:
			return s.Skip()
		}
	})
	session := a.id
	if session == "" || len(session) > maxID {
		session = key
	}
	agent, _ := stemma.ParseAgent(a.tool)
	for i := range prompts {
		prompts[i].Session, prompts[i].Agent = session, agent
	}
	return prompts, err
}

// readMessage reads one message as git-ai's src/authorship/transcript.rs
// describes it: {"type", "text", "timestamp"}, for a tool {"type", "name",
// "input", "timestamp"}.
func readMessage(s *notes.Scanner) (p notes.Prompt, err error) {
	var kind, name, input string
	_, err = s.Object(func(key []byte) (err error) {
		switch string(key) {
		case "type":
			kind, err = s.Text()
		case "text":
			p.Text, err = s.Text()
		case "timestamp":
			p.Time, err = s.Text()
		case "name":
			name, err = s.Text()
		case "input":
			var raw []byte
			raw, err = s.Value()
			input = string(raw)
		default:
			err = s.Skip()
		}
		return err
	})
	switch kind {
	case "user":
		p.Role = "user"
	case "tool_use", "tool_result":
		p.Role = "tool"
		if p.Text == "" {
			p.Text = name + "\n" + input
		}
	default: // "assistant", "thinking", "plan", and what may come
		p.Role = "assistant"
	}
	return p, err
}
