package attest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/stemma-dev/stemma"
)

// Limits bound what a decoder takes.
type Limits struct {
	Envelope   int // bytes of an envelope
	Statement  int // bytes of a statement: the payload
	Depth      int // objects and arrays within one another
	Signatures int // of an envelope
}

// DefaultLimits are those of what stemma records: a statement has at most
// 64 KB. Content that is larger is kept in the vault, and named by digest.
var DefaultLimits = Limits{Envelope: 160 << 10, Statement: 64 << 10, Depth: 64, Signatures: 16}

// FileLimits are those of a file that somebody hands over to be verified: a
// bill of materials, signed elsewhere, is larger than what is recorded.
var FileLimits = Limits{Envelope: 48 << 20, Statement: 32 << 20, Depth: 64, Signatures: 16}

// DecodeError says where foreign bytes stopped to be what they should be. It
// is of kind stemma.ErrInvalid.
type DecodeError struct {
	Path   string // JSON pointer (RFC 6901) to the value, "" is the document
	Offset int64  // of the value, or of the byte that is wrong, in the bytes that were decoded
	Reason string
}

func (e *DecodeError) Error() string {
	at := e.Path
	if at == "" {
		at = "document"
	}
	return fmt.Sprintf("%s (byte %d): %s", at, e.Offset, e.Reason)
}

func (e *DecodeError) Unwrap() error { return stemma.ErrInvalid }

func tooLarge(what string, n, limit int) error {
	return &DecodeError{Offset: int64(limit), Reason: fmt.Sprintf("%s of %d bytes is over the limit of %d", what, n, limit)}
}

func missing(path, name string, offset int) error {
	return &DecodeError{Path: path, Offset: int64(offset), Reason: fmt.Sprintf("%q is missing or empty", name)}
}

// scan reads one JSON document token by token. The library below refuses
// duplicate names, invalid UTF-8 and bad syntax; scan adds the depth.
type scan struct {
	src   []byte
	dec   *jsontext.Decoder
	depth int
	last  int64 // offset of the value that is being read
}

func newScan(b []byte, l Limits) *scan {
	return &scan{src: b, dec: jsontext.NewDecoder(bytes.NewBuffer(b)), depth: l.Depth}
}

// next is where the next token begins.
func next(src []byte, dec *jsontext.Decoder) int64 {
	at := dec.InputOffset()
	for at < int64(len(src)) && strings.IndexByte(" \t\r\n,:", src[at]) >= 0 {
		at++
	}
	return at
}

// fault is an error at the value that was read last.
func (s *scan) fault(reason string) error {
	return &DecodeError{Path: string(s.dec.StackPointer()), Offset: s.last, Reason: reason}
}

// read reads one token.
func (s *scan) read() (jsontext.Token, error) {
	s.last = next(s.src, s.dec)
	t, err := s.dec.ReadToken()
	if err != nil {
		return t, s.translate(err)
	}
	if s.dec.StackDepth() > s.depth {
		return t, s.fault(fmt.Sprintf("nested deeper than %d", s.depth))
	}
	return t, nil
}

// translate gives the library's error as ours.
func (s *scan) translate(err error) error {
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		return syntactic(syntax)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &DecodeError{Path: string(s.dec.StackPointer()), Offset: s.dec.InputOffset(), Reason: "the document ends too early"}
	}
	return &DecodeError{Path: string(s.dec.StackPointer()), Offset: s.last, Reason: clean(err.Error())}
}

// syntactic gives an error of the library's about the form.
func syntactic(e *jsontext.SyntacticError) error {
	reason := "not JSON"
	if e.Err != nil {
		reason = e.Err.Error()
		if errors.Is(e.Err, io.ErrUnexpectedEOF) {
			reason = "the document ends too early"
		}
	}
	return &DecodeError{Path: string(e.JSONPointer), Offset: e.ByteOffset, Reason: clean(reason)}
}

// clean takes the name of the library off its messages.
func clean(reason string) string {
	reason = strings.TrimPrefix(reason, "jsontext: ")
	return strings.TrimPrefix(reason, "json: ")
}

// object reads an object and calls field for each of its names; field must
// read the value.
func (s *scan) object(field func(name string) error) error {
	t, err := s.read()
	if err != nil {
		return err
	}
	if t.Kind() != jsontext.KindBeginObject {
		return s.fault("want an object")
	}
	for s.dec.PeekKind() != jsontext.KindEndObject {
		t, err := s.read()
		if err != nil {
			return err
		}
		if err := field(t.String()); err != nil {
			return err
		}
	}
	_, err = s.read()
	return err
}

// array reads an array and calls item for each of its values; item must read it.
func (s *scan) array(item func() error) error {
	t, err := s.read()
	if err != nil {
		return err
	}
	if t.Kind() != jsontext.KindBeginArray {
		return s.fault("want an array")
	}
	for s.dec.PeekKind() != jsontext.KindEndArray {
		if err := item(); err != nil {
			return err
		}
	}
	_, err = s.read()
	return err
}

func (s *scan) text() (string, error) {
	t, err := s.read()
	if err != nil {
		return "", err
	}
	if t.Kind() != jsontext.KindString {
		return "", s.fault("want a string")
	}
	return t.String(), nil
}

// skip reads a value of any kind, whole.
func (s *scan) skip() error {
	at := s.dec.StackDepth()
	for {
		t, err := s.read()
		if err != nil {
			return err
		}
		if t.Kind() == jsontext.KindEndObject || t.Kind() == jsontext.KindEndArray || s.dec.StackDepth() == at {
			if s.dec.StackDepth() == at {
				return nil
			}
		}
	}
}

// end says whether something follows the document.
func (s *scan) end() error {
	s.last = next(s.src, s.dec)
	switch _, err := s.dec.ReadToken(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return s.translate(err)
	}
	return &DecodeError{Offset: s.last, Reason: "something follows the document"}
}

// Strict says what is wrong with the form of a JSON document: bad syntax or
// UTF-8, a name that is there twice, depth, size (Limits.Envelope). The error
// is a *DecodeError.
func (l Limits) Strict(b []byte) error {
	if len(b) > l.Envelope {
		return tooLarge("document", len(b), l.Envelope)
	}
	return strict(b, l)
}

// nested is how deep a document may be nested: exact where it is JSON.
func nested(b []byte) int {
	depth, most := 0, 0
	text := false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '{' || c == '[':
			depth++
			most = max(most, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return most
}

// strict reads a whole document and says what is wrong with its form.
func strict(b []byte, l Limits) error {
	s := newScan(b, l)
	if err := s.skip(); err != nil {
		return err
	}
	return s.end()
}

// offsetOf finds the value that a JSON pointer names, for an error. Of one that
// is not there it is the value that it is missing in.
func offsetOf(b []byte, path string) int64 {
	for {
		at, ok := find(b, path)
		if ok || path == "" {
			return at
		}
		path = path[:max(0, strings.LastIndexByte(path, '/'))]
	}
}

// find gives where the value begins that a JSON pointer names, and false where
// there is none.
func find(b []byte, path string) (int64, bool) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(b))
	for {
		at := next(b, dec)
		t, err := dec.ReadToken()
		if err != nil {
			return 0, false
		}
		// The name of a field has the pointer of its value.
		kind := t.Kind()
		if string(dec.StackPointer()) == path && kind != jsontext.KindEndObject && kind != jsontext.KindEndArray {
			if isName(dec) {
				return next(b, dec), true
			}
			return at, true
		}
	}
}

// isName reports whether the token that was read last is the name of a field.
func isName(dec *jsontext.Decoder) bool {
	kind, n := dec.StackIndex(dec.StackDepth())
	return kind == jsontext.KindBeginObject && n%2 == 1
}
