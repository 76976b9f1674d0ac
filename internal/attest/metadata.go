package attest

import (
	"fmt"

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
		c := &check{raw: s.Predicate}
		m.check(c, "")
		return m, c.err
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
	c := &check{raw: s.Predicate}
	m.check(c, "/"+MetadataField)
	return m, c.err
}

func (m Metadata) check(c *check, path string) {
	c.text(path+"/source", m.Source)
	c.text(path+"/sourceEventId", m.EventID)
	c.time(path+"/timeObserved", m.Observed)
	if m.Claimed != nil {
		c.time(path+"/timeClaimed", *m.Claimed)
	} else {
		// Null says that nobody knows; a field left out, that nobody thought of it.
		c.present(path + "/timeClaimed")
	}
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
