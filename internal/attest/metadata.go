package attest

import (
	"bytes"
	"fmt"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/stemma-dev/stemma"
)

// Metadata is what every statement that stemma makes says of itself. Own
// predicates have its fields among theirs; a vetted predicate has them in an
// object named [MetadataField].
//
// Source and EventID, with the organisation, are the idempotency key: the same
// event told twice is one statement.
type Metadata struct {
	Source  string `json:"source"`        // the tool or system that said it: "git", "github", "claude-code"
	EventID string `json:"sourceEventId"` // the source's own id of this event
	// Observed is when stemma learnt of it, RFC 3339 in UTC.
	Observed string `json:"timeObserved"`
	// Claimed is when the source says that it happened; nil where it does not say.
	Claimed   *string          `json:"timeClaimed"`
	Assertion stemma.Assertion `json:"assertion"`
	// Vantage is from where a session was watched; statements about sessions
	// must have it, others have none.
	Vantage stemma.Vantage `json:"vantage,omitempty"`
}

// MetadataField is the name of the object that holds the [Metadata] in a
// predicate whose type is not stemma's own. Such predicates let producers add
// fields of the form <vendor>_<name> (SLSA provenance v1, "Extension fields";
// in-toto attestation v1, "Parsing rules").
const MetadataField = "stemma_metadata"

// MetadataOf reads the metadata of a statement. The error is ErrNotFound for a
// statement that somebody else made, which has none, and ErrInvalid (a
// *DecodeError) for one that is damaged.
func MetadataOf(s stemma.Statement) (Metadata, error) {
	var m Metadata
	if Own(s.PredicateType) {
		if err := unmarshal(s.Predicate, &m); err != nil {
			return m, err
		}
		return m, checked(s.Predicate, func(c *check) {
			m.check(c, "")
			m.present(c, "")
		})
	}
	var fields map[string]jsontext.Value
	if err := jsonv2.Unmarshal(s.Predicate, &fields); err != nil {
		return m, &DecodeError{Reason: clean(err.Error())}
	}
	raw, ok := fields[MetadataField]
	if !ok {
		return m, fmt.Errorf("metadata of a statement of type %s: %w", s.PredicateType, stemma.ErrNotFound)
	}
	if err := unmarshal(raw, &m); err != nil {
		return m, err
	}
	return m, checked(s.Predicate, func(c *check) {
		m.check(c, "/"+MetadataField)
		m.present(c, "/"+MetadataField)
	})
}

// present needs the claimed time to be there: null says that nobody knows; a
// field left out, that nobody thought of it.
func (m Metadata) present(c *check, path string) {
	if m.Claimed == nil {
		c.present(path + "/timeClaimed")
	}
}

// ObservedAt is when a statement says that stemma learnt of what it says; false
// where it does not say. It reads no more than it must.
func ObservedAt(s stemma.Statement) (time.Time, bool) {
	text := ""
	if Own(s.PredicateType) {
		text = topText(s.Predicate, "timeObserved")
	} else if m, err := MetadataOf(s); err == nil {
		text = m.Observed
	}
	at, err := time.Parse(time.RFC3339, text)
	return at, err == nil
}

// topText gives the text of a field of an object; "" where it has none.
func topText(raw []byte, field string) string {
	dec := jsontext.NewDecoder(bytes.NewBuffer(raw))
	if t, err := dec.ReadToken(); err != nil || t.Kind() != jsontext.KindBeginObject {
		return ""
	}
	for dec.PeekKind() == jsontext.KindString {
		name, err := dec.ReadToken()
		if err != nil {
			return ""
		}
		if name.String() != field {
			if dec.SkipValue() != nil {
				return ""
			}
			continue
		}
		value, err := dec.ReadToken()
		if err != nil || value.Kind() != jsontext.KindString {
			return ""
		}
		return value.String()
	}
	return ""
}

func (m Metadata) check(c *check, path string) {
	path = c.quiet(path)
	c.text(path+"/source", m.Source)
	c.text(path+"/sourceEventId", m.EventID)
	c.time(path+"/timeObserved", m.Observed)
	c.timeOf(path+"/timeClaimed", m.Claimed)
	c.assertion(path+"/assertion", m.Assertion)
	if m.Vantage != "" {
		c.vantage(path+"/vantage", m.Vantage)
	}
}

func (c *check) assertion(path string, a stemma.Assertion) {
	c.oneOf(path, string(a), string(stemma.Declared), string(stemma.Observed), string(stemma.Inferred))
}

func (c *check) vantage(path string, v stemma.Vantage) {
	c.oneOf(path, string(v), string(stemma.SelfReported), string(stemma.Harness), string(stemma.Gateway), string(stemma.Sandbox))
}
