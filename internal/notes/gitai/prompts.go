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
	s := &scanner{b: blob[metadata:], base: metadata}
	var prompts []notes.Prompt
	_, err := s.object(func(section string) error {
		if section != "prompts" && section != "sessions" {
			return s.skip()
		}
		_, err := s.object(func(key string) error {
			of, err := readMessages(s, key)
			prompts = append(prompts, of...)
			return err
		})
		return err
	})
	if err != nil {
		return prompts, within("metadata", err)
	}
	return prompts, nil
}

// readMessages reads the messages of one record, whose agent_id may stand
// before or behind them.
func readMessages(s *scanner, key string) (prompts []notes.Prompt, err error) {
	var a agentID
	_, err = s.object(func(member string) error {
		switch member {
		case "agent_id":
			return a.read(s)
		case "messages":
			_, err := s.array(func() error {
				p, err := readMessage(s)
				if err == nil {
					prompts = append(prompts, p)
				}
				return err
			})
			return err
		default:
			return s.skip()
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
func readMessage(s *scanner) (p notes.Prompt, err error) {
	var kind, name, input string
	_, err = s.object(func(key string) (err error) {
		switch key {
		case "type":
			kind, err = s.text()
		case "text":
			p.Text, err = s.text()
		case "timestamp":
			p.Time, err = s.text()
		case "name":
			name, err = s.text()
		case "input":
			s.peek()
			start := s.pos
			err = s.skip()
			input = string(s.b[start:s.pos])
		default:
			err = s.skip()
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
