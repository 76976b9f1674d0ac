package attest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/stemma-dev/stemma"
)

// DecodeStatement reads the payload of an envelope as an in-toto Statement v1
// with [DefaultLimits]. It says nothing of the predicate but that it is an
// object: [Validate] does. The error is a *DecodeError.
func DecodeStatement(payload []byte) (stemma.Statement, error) {
	return DefaultLimits.DecodeStatement(payload)
}

// DecodeStatement reads a statement. The error is a *DecodeError.
func (l Limits) DecodeStatement(payload []byte) (stemma.Statement, error) {
	if len(payload) > l.Statement {
		return stemma.Statement{}, tooLarge("statement", len(payload), l.Statement)
	}
	if nested(payload) > l.Depth {
		return stemma.Statement{}, strict(payload, l)
	}
	var s stemma.Statement
	if err := unmarshal(payload, &s); err != nil {
		return stemma.Statement{}, err
	}
	if err := checked(payload, func(c *check) { checkStatement(c, s) }); err != nil {
		return stemma.Statement{}, err
	}
	return s, nil
}

func checkStatement(c *check, s stemma.Statement) {
	c.oneOf("/_type", s.Type, stemma.StatementType)
	c.need(len(s.Subject) > 0, "/subject", "no subject")
	for i, sub := range s.Subject {
		path := c.item("/subject", i)
		c.digests(path+"/digest", sub.Digest)
		c.need(len(sub.Digest) > 0, path+"/digest", "no digest")
	}
	c.uri("/predicateType", s.PredicateType)
	c.need(jsontext.Value(s.Predicate).Kind() == jsontext.KindBeginObject, "/predicate", "want an object")
}

// EncodeStatement gives the bytes of a statement that stemma makes. The error
// is ErrInvalid for a statement that [DecodeStatement] would refuse.
func EncodeStatement(s stemma.Statement) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return nil, fmt.Errorf("encode statement: %v: %w", err, stemma.ErrInvalid)
	}
	payload := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if _, err := DecodeStatement(payload); err != nil {
		return nil, fmt.Errorf("encode statement: %w", err)
	}
	return payload, nil
}

// unmarshal reads a document that is strict already into a value. Names are
// compared with their case; unknown names are passed over.
func unmarshal(b []byte, into any) error {
	err := jsonv2.Unmarshal(b, into)
	if err == nil {
		return nil
	}
	var e *jsonv2.SemanticError
	if errors.As(err, &e) {
		reason := "want " + jsonName(e)
		path := string(e.JSONPointer)
		return &DecodeError{Path: path, Offset: offsetOf(b, path), Reason: reason}
	}
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		return syntactic(syntax)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return &DecodeError{Offset: int64(len(b)), Reason: "the document ends too early"}
	}
	return &DecodeError{Reason: clean(err.Error())}
}

// jsonName says what a Go type is in JSON.
func jsonName(e *jsonv2.SemanticError) string {
	if e.GoType == nil {
		return "another value"
	}
	kind := e.GoType.Kind().String()
	switch {
	case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "uint"):
		return "an integer"
	case strings.HasPrefix(kind, "float"):
		return "a number"
	case kind == "string":
		return "a string"
	case kind == "bool":
		return "true or false"
	case kind == "slice", kind == "array":
		return "an array"
	}
	return "an object"
}

// RecordSubject is the subject of a thing without a digest: its URI, and the
// SHA-256 of its canonical record (RFC 8785, JSON Canonicalization Scheme).
//
// The record must be pseudonymised: it holds keys, states, pseudonyms and
// salted commitments, never raw text, whose digest could be guessed. The error
// is ErrInvalid for a record that is no JSON.
func RecordSubject(name, uri string, record any) (stemma.Subject, error) {
	canonical, err := Canonical(record)
	if err != nil {
		return stemma.Subject{}, fmt.Errorf("subject %s: %w", uri, err)
	}
	return stemma.Subject{Name: name, URI: uri, Digest: map[string]string{"sha256": Digest(canonical)}}, nil
}

// Canonical gives a value as canonical JSON (RFC 8785).
func Canonical(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("canonical form: %v: %w", err, stemma.ErrInvalid)
	}
	value := jsontext.Value(b)
	if err := value.Canonicalize(); err != nil {
		return nil, fmt.Errorf("canonical form: %v: %w", err, stemma.ErrInvalid)
	}
	return value, nil
}

// NodeURI is the URI of a node of the graph, for the subject of a statement
// about it: "stemma:session:claude-code/6f1e".
func NodeURI(id stemma.NodeID) string { return "stemma:" + id.String() }

// CommitSubject is the subject for a git commit, by its full hex object id
// (in-toto digest_set.md, "gitCommit").
func CommitSubject(repository, oid string) stemma.Subject {
	return stemma.Subject{Name: repository, Digest: map[string]string{"gitCommit": oid}}
}

// digestSizes are the lengths in bytes of the digests that in-toto names
// (attestation v1, digest_set.md). Git ids have two lengths.
func digestSizes(algorithm string) []int {
	switch algorithm {
	case "md5":
		return []int{16}
	case "sha1":
		return []int{20}
	case "gitCommit", "gitTree", "gitBlob", "gitTag":
		return []int{20, 32}
	case "sha224", "sha512_224", "sha3_224":
		return []int{28}
	case "sha256", "sha512_256", "sha3_256", "dirHash":
		return []int{32}
	case "sha384", "sha3_384":
		return []int{48}
	case "sha512", "sha3_512":
		return []int{64}
	}
	return nil
}

// digests checks a digest set: lower-case hex of the right length for the
// algorithms that in-toto names, anything but "" for others.
func (c *check) digests(path string, set map[string]string) {
	for _, algorithm := range slices.Sorted(maps.Keys(set)) {
		value := set[algorithm]
		at := c.below(path, pointer(algorithm))
		sizes := digestSizes(algorithm)
		if sizes == nil {
			c.need(value != "", at, "an empty digest")
			continue
		}
		_, err := hex.DecodeString(value)
		if err != nil || strings.ToLower(value) != value || !slices.Contains(sizes, len(value)/2) {
			c.need(false, at, "want "+algorithm+" in lower-case hex")
		}
	}
}

// pointer escapes one part of a JSON pointer (RFC 6901, section 3).
func pointer(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}
