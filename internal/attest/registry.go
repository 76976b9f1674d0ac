package attest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"
	"sync"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/stemma-dev/stemma"
)

// ownPrefix begins the types of stemma's own predicates. The version is the
// last part of each: a meaning that changes is another type.
const ownPrefix = "https://stemma.dev/"

// Own reports whether a predicate type is one of stemma's, of whatever version.
func Own(predicateType string) bool { return strings.HasPrefix(predicateType, ownPrefix) }

// Predicate is a type of predicate that is understood.
type Predicate struct {
	// Type is the predicate type: a URI that ends in a version.
	Type string
	// Word is what it says something of, as in the glossary: "review".
	Word string
	// Validate says what is wrong with a predicate of this type: a *DecodeError,
	// or nil. The bytes are one JSON object without duplicate names.
	Validate func(json.RawMessage) error
	// Unknown gives the fields that the type does not have, as JSON pointers,
	// sorted. They are kept, because the payload is, and not understood.
	Unknown func(json.RawMessage) []string
}

// Typed makes a Predicate from the Go type that it is decoded into. Validate of
// the type gets the decoded value; an error should be a *DecodeError. It is how
// a family that owns a predicate registers it.
func Typed[T interface{ Validate() error }](predicateType, word string) Predicate {
	return typed(predicateType, word, func(raw []byte, v *T) error { return (*v).Validate() })
}

// own makes a Predicate of a type of this package that is stemma's own.
func own[T interface{ check(*check) }](predicateType, word string) Predicate {
	plan := sync.OnceValue(func() *plan { return planOf(reflect.TypeFor[T]()) })
	return typed(predicateType, word, func(raw []byte, v *T) error {
		if err := shape(raw, reflect.TypeFor[T](), plan()); err != nil {
			return err
		}
		return checked(raw, (*v).check)
	})
}

// vetted makes a Predicate of a type of this package that is another's.
func vetted[T interface{ check(*check) }](predicateType, word string) Predicate {
	return typed(predicateType, word, func(raw []byte, v *T) error {
		return checked(raw, (*v).check)
	})
}

func typed[T any](predicateType, word string, validate func([]byte, *T) error) Predicate {
	return Predicate{
		Type: predicateType, Word: word,
		Validate: func(raw json.RawMessage) error {
			var v T
			if err := unmarshal(raw, &v); err != nil {
				return err
			}
			return validate(raw, &v)
		},
		Unknown: func(raw json.RawMessage) []string {
			var v T
			if unmarshal(raw, &v) != nil {
				return nil
			}
			return unknown(raw, v)
		},
	}
}

// predicates are the types that this package understands; never written to.
var predicates = slices.Concat(ownPredicates, vettedPredicates)

// Predicates gives the types that this package understands: stemma's own, then
// the vetted ones of others.
func Predicates() []Predicate { return slices.Clone(predicates) }

// Registry is a set of predicate types. The zero Registry has those of
// [Predicates].
type Registry struct{ more []Predicate }

// NewRegistry gives a registry with the types of this package and more.
func NewRegistry(more ...Predicate) Registry { return Registry{more} }

// Find gives a type of predicate, and false for one that is not understood.
func (r Registry) Find(predicateType string) (Predicate, bool) {
	for _, set := range [][]Predicate{r.more, predicates} {
		for _, p := range set {
			if p.Type == predicateType {
				return p, true
			}
		}
	}
	return Predicate{}, false
}

// Validate says what is wrong with the predicate of a statement that was
// decoded: a *DecodeError whose path begins with "/predicate" and whose offset
// is that within the predicate. A type that is not understood is an error too.
//
// A statement of stemma's own type must have its [Metadata]; one of another's
// may have none.
func (r Registry) Validate(s stemma.Statement) error {
	p, ok := r.Find(s.PredicateType)
	if !ok {
		return &DecodeError{Path: "/predicateType", Reason: fmt.Sprintf("unknown predicate type %q", s.PredicateType)}
	}
	if err := p.Validate(s.Predicate); err != nil {
		return below(err)
	}
	return nil
}

// below puts the path of an error of a predicate below the statement.
func below(err error) error {
	if e, ok := err.(*DecodeError); ok {
		return &DecodeError{Path: "/predicate" + e.Path, Offset: e.Offset, Reason: e.Reason}
	}
	return err
}

// ValidateIn is [Registry.Validate] of a statement that was decoded from this
// payload: the offset of an error is that within the payload.
func (r Registry) ValidateIn(payload []byte, s stemma.Statement) error {
	err := r.Validate(s)
	var at *DecodeError
	switch {
	case !errors.As(err, &at):
		return err
	case at.Path == "/predicateType":
		return &DecodeError{Path: at.Path, Offset: offsetOf(payload, at.Path), Reason: at.Reason}
	}
	return &DecodeError{Path: at.Path, Offset: offsetOf(payload, "/predicate") + at.Offset, Reason: at.Reason}
}

// Validate is [Registry.Validate] for the types of this package.
func Validate(s stemma.Statement) error { return Registry{}.Validate(s) }

// As reads the predicate of a statement into the Go type it is known by, such
// as [Review]. Fields that the type does not have stay in s.Predicate. The
// error is a *DecodeError. It does not look at the predicate type.
func As[T any](s stemma.Statement) (T, error) {
	var v T
	if err := unmarshal(s.Predicate, &v); err != nil {
		return v, below(err)
	}
	return v, nil
}

// New makes a statement of a predicate. The error is ErrInvalid where the
// statement is not valid.
func New(predicateType string, predicate any, subject ...stemma.Subject) (stemma.Statement, error) {
	raw, err := json.Marshal(predicate)
	if err != nil {
		return stemma.Statement{}, fmt.Errorf("statement of type %s: %v: %w", predicateType, err, stemma.ErrInvalid)
	}
	s := stemma.Statement{Type: stemma.StatementType, Subject: subject, PredicateType: predicateType, Predicate: raw}
	if _, err := EncodeStatement(s); err != nil {
		return s, err
	}
	if _, ok := (Registry{}).Find(predicateType); ok {
		return s, Validate(s)
	}
	return s, nil
}

// unknown gives the pointers that the document has and its Go value lost.
func unknown(raw []byte, v any) []string {
	kept, err := jsonv2.Marshal(v)
	if err != nil {
		return nil
	}
	var before, after any
	if jsonv2.Unmarshal(raw, &before) != nil || jsonv2.Unmarshal(kept, &after) != nil {
		return nil
	}
	var lost []string
	compare("", before, after, &lost)
	sort.Strings(lost)
	return lost
}

func compare(path string, before, after any, lost *[]string) {
	switch b := before.(type) {
	case map[string]any:
		a, _ := after.(map[string]any)
		for name, value := range b {
			at := path + "/" + pointer(name)
			if kept, ok := a[name]; ok {
				compare(at, value, kept, lost)
			} else if !empty(value) && at != "/"+MetadataField {
				*lost = append(*lost, at)
			}
		}
	case []any:
		a, _ := after.([]any)
		for i := range min(len(a), len(b)) {
			compare(fmt.Sprintf("%s/%d", path, i), b[i], a[i], lost)
		}
	}
}

// empty reports whether a value is what an omitted field stands for.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return reflect.ValueOf(v).IsZero()
}
