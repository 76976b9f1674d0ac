package gitai

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/stemma-dev/stemma/internal/notes"
)

// scanner reads JSON in one pass, without building what nobody asks for: old
// notes embed whole conversations, up to 3 MB of them beside 1 KB of facts.
// Values that are skipped are checked for their brackets, not for their grammar.
type scanner struct {
	b    []byte
	pos  int
	base int // offset of b in the note
}

// bad gives the error that the text at pos cannot be read.
func (s *scanner) bad(format string, args ...any) error {
	return &notes.DecodeError{Source: Name, Offset: int64(s.base + s.pos), Reason: fmt.Sprintf(format, args...)}
}

// within puts the name of a member before the path of an error.
func within(name string, err error) error {
	var d *notes.DecodeError
	if errors.As(err, &d) {
		name = clip(name)
		if d.Path != "" {
			name += "." + d.Path
		}
		d.Path = name
	}
	return err
}

// peek gives the next byte that is not white space without taking it, or 0 at
// the end.
func (s *scanner) peek() byte {
	for ; s.pos < len(s.b); s.pos++ {
		switch c := s.b[s.pos]; c {
		case ' ', '\n', '\t', '\r':
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) expect(c byte) error {
	got := s.peek()
	if got == 0 && s.pos >= len(s.b) {
		return s.bad("ends where %q is expected", c)
	}
	if got != c {
		return s.bad("%q where %q is expected", got, c)
	}
	s.pos++
	return nil
}

// object calls member for each member; member takes the value. Where the value
// is no object it is skipped and object gives false.
func (s *scanner) object(member func(key string) error) (bool, error) {
	if s.peek() != '{' {
		return false, s.skip()
	}
	s.pos++
	if s.peek() == '}' {
		s.pos++
		return true, nil
	}
	for {
		if s.peek() != '"' {
			return true, s.expect('"')
		}
		key, err := s.str()
		if err != nil {
			return true, err
		}
		if err := s.expect(':'); err != nil {
			return true, err
		}
		if err := member(key); err != nil {
			return true, within(key, err)
		}
		if s.peek() == '}' {
			s.pos++
			return true, nil
		}
		if err := s.expect(','); err != nil {
			return true, err
		}
	}
}

// array calls item before each item; item takes the value. Where the value is
// no array it is skipped and array gives false.
func (s *scanner) array(item func() error) (bool, error) {
	if s.peek() != '[' {
		return false, s.skip()
	}
	s.pos++
	if s.peek() == ']' {
		s.pos++
		return true, nil
	}
	for n := 0; ; n++ {
		if err := item(); err != nil {
			return true, within(fmt.Sprintf("[%d]", n), err)
		}
		if s.peek() == ']' {
			s.pos++
			return true, nil
		}
		if err := s.expect(','); err != nil {
			return true, err
		}
	}
}

// text reads a string. A value of another type is skipped and gives "".
func (s *scanner) text() (string, error) {
	if s.peek() != '"' {
		return "", s.skip()
	}
	return s.str()
}

// str reads the string that begins at pos.
func (s *scanner) str() (string, error) {
	start := s.pos
	if err := s.skipString(); err != nil {
		return "", err
	}
	raw := s.b[start:s.pos]
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		s.pos = start
		return "", s.bad("a string with a broken escape")
	}
	return text, nil
}

// skipString passes the string that begins at pos.
func (s *scanner) skipString() error {
	start := s.pos
	at := start + 1
	for {
		i := bytes.IndexByte(s.b[at:], '"')
		if i < 0 {
			s.pos = len(s.b)
			return s.bad("ends inside the string that begins at byte %d", s.base+start)
		}
		at += i + 1
		// The quote ends the string unless an odd number of backslashes stands
		// before it.
		slashes := 0
		for j := at - 2; j > start && s.b[j] == '\\'; j-- {
			slashes++
		}
		if slashes%2 == 0 {
			s.pos = at
			return nil
		}
	}
}

// skip passes one value of any type.
func (s *scanner) skip() error {
	switch c := s.peek(); {
	case c == '"':
		return s.skipString()
	case c == '{' || c == '[':
		return s.skipNested()
	case c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z':
		for s.pos < len(s.b) && literal(s.b[s.pos]) {
			s.pos++
		}
		return nil
	case c == 0 && s.pos >= len(s.b):
		return s.bad("ends where a value is expected")
	default:
		return s.bad("%q where a value is expected", c)
	}
}

// skipNested passes the object or array that begins at pos.
func (s *scanner) skipNested() error {
	var open [maxDepth]byte // the brackets that close what is open
	depth := 0
	for s.pos < len(s.b) {
		switch c := s.b[s.pos]; c {
		case '"':
			if err := s.skipString(); err != nil {
				return err
			}
			continue
		case '{', '[':
			if depth == maxDepth {
				return s.bad("more than %d levels deep", maxDepth)
			}
			open[depth] = c + 2 // in ASCII: { } and [ ]
			depth++
		case '}', ']':
			if depth--; open[depth] != c {
				return s.bad("%q where %q is expected", c, open[depth])
			}
			if depth == 0 {
				s.pos++
				return nil
			}
		}
		s.pos++
	}
	return s.bad("ends inside an object or array")
}

func literal(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '+' || c == '-' || c == '.'
}

// clip shortens foreign text for a message.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}
