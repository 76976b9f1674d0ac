package notes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// maxDepth is how many levels of JSON a Scanner enters or skips.
const maxDepth = 512

// Scanner reads foreign JSON in one pass, without building what nobody asks
// for: notes embed whole conversations and files, megabytes beside a few facts.
// Values that are skipped are checked for their brackets, not for their grammar.
//
// Make one with [NewScanner]. Its errors are *DecodeError, with the path of
// members and the offset at which the text can not be read.
type Scanner struct {
	source string
	b      []byte
	pos    int
	base   int // offset of b in what the errors speak of
}

// NewScanner gives a scanner at the beginning of b, which is base bytes into
// what the source reads.
func NewScanner(source string, b []byte, base int) *Scanner {
	return &Scanner{source: source, b: b, base: base}
}

// Offset is where the scanner stands: after white space, once Peek was called.
func (s *Scanner) Offset() int { return s.base + s.pos }

// Left is how many bytes the scanner has not passed, white space not counted.
func (s *Scanner) Left() int {
	s.Peek()
	return len(s.b) - s.pos
}

// Bad gives the error that the text at pos cannot be read.
func (s *Scanner) Bad(format string, args ...any) error {
	return &DecodeError{Source: s.source, Offset: int64(s.Offset()), Reason: fmt.Sprintf(format, args...)}
}

// Within puts the name of a member before the path of an error.
func Within(name string, err error) error {
	var d *DecodeError
	if errors.As(err, &d) {
		name = Clip(name)
		if d.Path != "" {
			name += "." + d.Path
		}
		d.Path = name
	}
	return err
}

// Peek gives the next byte that is not white space without taking it, or 0 at
// the end.
func (s *Scanner) Peek() byte {
	for ; s.pos < len(s.b); s.pos++ {
		switch c := s.b[s.pos]; c {
		case ' ', '\n', '\t', '\r':
		default:
			return c
		}
	}
	return 0
}

func (s *Scanner) expect(c byte) error {
	got := s.Peek()
	switch {
	case s.pos == len(s.b):
		return s.Bad("ends where %q is expected", c)
	case got != c:
		return s.Bad("%q where %q is expected", got, c)
	}
	s.pos++
	return nil
}

// Object calls member for each member; member takes the value. Where the value
// is no object it is skipped and the result is false.
func (s *Scanner) Object(member func(key []byte) error) (bool, error) {
	if s.Peek() != '{' {
		return false, s.Skip()
	}
	return true, s.list('}', func(int) error {
		if s.Peek() != '"' {
			return s.expect('"')
		}
		key, err := s.Bytes()
		if err != nil {
			return err
		}
		if err := s.expect(':'); err != nil {
			return err
		}
		if err := member(key); err != nil {
			return Within(string(key), err)
		}
		return nil
	})
}

// Array calls item before each item; item takes the value. Where the value is
// no array it is skipped and the result is false.
func (s *Scanner) Array(item func() error) (bool, error) {
	if s.Peek() != '[' {
		return false, s.Skip()
	}
	return true, s.list(']', func(n int) error {
		if err := item(); err != nil {
			return Within(fmt.Sprintf("[%d]", n), err)
		}
		return nil
	})
}

// list passes the bracket at pos, parts with commas between, and the bracket
// that ends it.
func (s *Scanner) list(end byte, part func(n int) error) error {
	s.pos++
	if s.Peek() == end {
		s.pos++
		return nil
	}
	for n := 0; ; n++ {
		if err := part(n); err != nil {
			return err
		}
		if s.Peek() == end {
			s.pos++
			return nil
		}
		if err := s.expect(','); err != nil {
			return err
		}
	}
}

// Text reads a string. A value of another type is skipped and gives "".
func (s *Scanner) Text() (string, error) {
	b, err := s.Bytes()
	return string(b), err
}

// Bytes reads a string as Text does. It may be part of what is read: it must
// not be changed.
func (s *Scanner) Bytes() ([]byte, error) {
	if s.Peek() != '"' {
		return nil, s.Skip()
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
		return nil, s.Bad("a string with a broken escape")
	}
	return []byte(text), nil
}

// Literal reads a number, true, false or null as it stands. A value of another
// type is skipped and gives nil.
func (s *Scanner) Literal() ([]byte, error) {
	switch s.Peek() {
	case '"', '{', '[':
		return nil, s.Skip()
	}
	start := s.pos
	err := s.Skip()
	return s.b[start:s.pos], err
}

// Value passes one value of any type and gives its text as it stands.
func (s *Scanner) Value() ([]byte, error) {
	s.Peek()
	start := s.pos
	err := s.Skip()
	return s.b[start:s.pos], err
}

// skipString passes the string that begins at pos.
func (s *Scanner) skipString() error {
	start := s.pos
	at := start + 1
	for {
		i := bytes.IndexByte(s.b[at:], '"')
		if i < 0 {
			s.pos = len(s.b)
			return s.Bad("ends inside the string that begins at byte %d", s.base+start)
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

// Skip passes one value of any type.
func (s *Scanner) Skip() error {
	switch c := s.Peek(); {
	case s.pos == len(s.b):
		return s.Bad("ends where a value is expected")
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
		return s.Bad("%q where a value is expected", c)
	}
}

// skipNested passes the object or array that begins at pos.
func (s *Scanner) skipNested() error {
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
				return s.Bad("more than %d levels deep", maxDepth)
			}
			open[depth] = c + 2 // in ASCII: { } and [ ]
			depth++
		case '}', ']':
			if depth--; open[depth] != c {
				return s.Bad("%q where %q is expected", c, open[depth])
			}
			if depth == 0 {
				s.pos++
				return nil
			}
		}
		s.pos++
	}
	return s.Bad("ends inside an object or array")
}

func inLiteral(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '+' || c == '-' || c == '.'
}

// Clip shortens foreign text for a message.
func Clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}
