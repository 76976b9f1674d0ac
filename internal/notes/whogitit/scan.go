package whogitit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/stemma-dev/stemma/internal/notes"
)

// scanner reads JSON in one pass, without building what nobody asks for: a note
// spends 300 bytes on a line, of which three facts are read. Values that are
// skipped are checked for their brackets, not for their grammar.
type scanner struct {
	b   []byte
	pos int
}

// bad gives the error that the text at pos cannot be read.
func (s *scanner) bad(format string, args ...any) error {
	return &notes.DecodeError{Source: Name, Offset: int64(s.pos), Reason: fmt.Sprintf(format, args...)}
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
	switch {
	case s.pos == len(s.b):
		return s.bad("ends where %q is expected", c)
	case got != c:
		return s.bad("%q where %q is expected", got, c)
	}
	s.pos++
	return nil
}

// object calls member for each member; member takes the value. Where the value
// is no object it is skipped and object gives false.
func (s *scanner) object(member func(key []byte) error) (bool, error) {
	if s.peek() != '{' {
		return false, s.skip()
	}
	return true, s.list('}', func(int) error {
		if s.peek() != '"' {
			return s.expect('"')
		}
		key, err := s.raw()
		if err != nil {
			return err
		}
		if err := s.expect(':'); err != nil {
			return err
		}
		if err := member(key); err != nil {
			return within(string(key), err)
		}
		return nil
	})
}

// array calls item before each item; item takes the value. Where the value is
// no array it is skipped and array gives false.
func (s *scanner) array(item func() error) (bool, error) {
	if s.peek() != '[' {
		return false, s.skip()
	}
	return true, s.list(']', func(n int) error {
		if err := item(); err != nil {
			return within(fmt.Sprintf("[%d]", n), err)
		}
		return nil
	})
}

// list passes the bracket at pos, parts with commas between, and the bracket
// that ends it.
func (s *scanner) list(end byte, part func(n int) error) error {
	s.pos++
	if s.peek() == end {
		s.pos++
		return nil
	}
	for n := 0; ; n++ {
		if err := part(n); err != nil {
			return err
		}
		if s.peek() == end {
			s.pos++
			return nil
		}
		if err := s.expect(','); err != nil {
			return err
		}
	}
}

// text reads a string. A value of another type is skipped and gives "".
func (s *scanner) text() (string, error) {
	b, err := s.raw()
	return string(b), err
}

// raw reads a string as text does. It may be part of the note.
func (s *scanner) raw() ([]byte, error) {
	if s.peek() != '"' {
		return nil, s.skip()
	}
	start := s.pos
	if err := s.skipString(); err != nil {
		return nil, err
	}
	b := s.b[start:s.pos]
	if bytes.IndexByte(b, '\\') < 0 {
		return b[1 : len(b)-1], nil
	}
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		s.pos = start
		return nil, s.bad("a string with a broken escape")
	}
	return []byte(text), nil
}

// literal reads a number, true, false or null as it stands. A value of another
// type is skipped and gives nil.
func (s *scanner) literal() ([]byte, error) {
	switch s.peek() {
	case '"', '{', '[':
		return nil, s.skip()
	}
	start := s.pos
	err := s.skip()
	return s.b[start:s.pos], err
}

// skipString passes the string that begins at pos.
func (s *scanner) skipString() error {
	start := s.pos
	at := start + 1
	for {
		i := bytes.IndexByte(s.b[at:], '"')
		if i < 0 {
			s.pos = len(s.b)
			return s.bad("ends inside the string that begins at byte %d", start)
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
	case s.pos == len(s.b):
		return s.bad("ends where a value is expected")
	case c == '"':
		return s.skipString()
	case c == '{' || c == '[':
		return s.skipNested()
	case c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z':
		for s.pos < len(s.b) && inLiteral(s.b[s.pos]) {
			s.pos++
		}
		return nil
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

func inLiteral(c byte) bool {
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
