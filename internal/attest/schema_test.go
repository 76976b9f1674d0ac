package attest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
)

// named gives the file name of a predicate of stemma's own: "review-v1".
func named(predicateType string) string {
	return strings.ReplaceAll(strings.TrimPrefix(predicateType, "https://stemma.dev/"), "/", "-")
}

func ownPredicates(t testing.TB) []attest.Predicate {
	t.Helper()
	own := slices.DeleteFunc(attest.Predicates(), func(p attest.Predicate) bool { return !attest.Own(p.Type) })
	if len(own) < 15 {
		t.Fatalf("%d predicates of stemma's own, want 15", len(own))
	}
	return own
}

func example(t testing.TB, p attest.Predicate) stemma.Statement {
	t.Helper()
	text, err := stemma.Schemas.ReadFile("schema/examples/" + named(p.Type) + ".json")
	if err != nil {
		t.Fatal(err)
	}
	s, err := attest.DecodeStatement(text)
	if err != nil {
		t.Fatalf("example of %s: %v", p.Type, err)
	}
	if s.PredicateType != p.Type {
		t.Fatalf("example of %s is one of %s", p.Type, s.PredicateType)
	}
	return s
}

func schemaOf(t testing.TB, p attest.Predicate) *jsonschema.Schema {
	t.Helper()
	text, err := stemma.Schemas.ReadFile("schema/" + named(p.Type) + ".json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	url := doc.(map[string]any)["$id"].(string)
	if want := "https://stemma.dev/schema/" + named(p.Type) + ".json"; url != want {
		t.Errorf("$id is %s, want %s", url, want)
	}
	if err := c.AddResource(url, doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(url)
	if err != nil {
		t.Fatalf("schema of %s: %v", p.Type, err)
	}
	return schema
}

func TestExamples(t *testing.T) {
	for _, p := range ownPredicates(t) {
		s := example(t, p)
		if err := attest.Validate(s); err != nil {
			t.Errorf("example of %s: %v", p.Type, err)
		}
		if _, err := attest.MetadataOf(s); err != nil {
			t.Errorf("metadata of the example of %s: %v", p.Type, err)
		}
		if lost := p.Unknown(s.Predicate); lost != nil {
			t.Errorf("example of %s has fields that its type has not: %v", p.Type, lost)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(s.Predicate))
		if err != nil {
			t.Fatal(err)
		}
		if err := schemaOf(t, p).Validate(doc); err != nil {
			t.Errorf("example of %s against its schema: %v", p.Type, err)
		}
	}
}

// beyondSchema are rules that hold between fields, which a schema can not say.
var beyondSchema = []string{
	"not the sum of what the files added", "no such owner", "not the id of this key", "the same key", "the old key ends",
	"it ends before it begins", "want an Ed25519 or ECDSA P-256 key", "want 1 to the number of parts",
	"ranges are sorted", "the range of a whole file",
}

// Every example is changed in every place in every way: what the schema
// refuses, the decoder must refuse, and the other way round.
func TestSchemasSayWhatTheDecoderSays(t *testing.T) {
	for _, p := range ownPredicates(t) {
		t.Run(named(p.Type), func(t *testing.T) {
			t.Parallel()
			compareWithSchema(t, p)
		})
	}
}

func compareWithSchema(t *testing.T, p attest.Predicate) {
	s, schema := example(t, p), schemaOf(t, p)
	var doc any
	if err := json.Unmarshal(s.Predicate, &doc); err != nil {
		t.Fatal(err)
	}
	n := 0
	mutate(doc, "", func(what string) {
		n++
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		read, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		bySchema := schema.Validate(read)
		byDecoder := p.Validate(text)
		if byDecoder != nil && slices.ContainsFunc(beyondSchema, func(r string) bool { return strings.Contains(byDecoder.Error(), r) }) {
			return
		}
		if (bySchema == nil) != (byDecoder == nil) {
			t.Errorf("%s: %s: schema says %v, decoder says %v", p.Type, what, bySchema, byDecoder)
		}
	})
	if n < 40 {
		t.Errorf("%s: only %d changes were tried", p.Type, n)
	}
}

// mutate changes each value within v in turn, calls try, and puts it back.
func mutate(v any, path string, try func(what string)) {
	others := []any{nil, "", "x", 7.0, -5.0, 0.5, true, []any{}, map[string]any{}, []any{nil}, strings.Repeat("x", 5000), "2026-03-01T12:00:00+01:00", "2026-03-01"}
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			was, at := v[name], path+"/"+name
			delete(v, name)
			try("without " + at)
			for _, other := range others {
				v[name] = other
				try(fmt.Sprintf("%s = %.40v", at, other))
			}
			v[name] = was
			mutate(was, at, try)
		}
		v["not of this type"] = map[string]any{"a": nil}
		try(path + " with a field of others")
		delete(v, "not of this type")
	case []any:
		for i, was := range v {
			at := fmt.Sprintf("%s/%d", path, i)
			for _, other := range others {
				v[i] = other
				try(fmt.Sprintf("%s = %.40v", at, other))
			}
			v[i] = was
			mutate(was, at, try)
		}
	}
}
