package attest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
)

const commitID = "d20ace7968ba43c0219f62d71334c1095bab1602"

func TestDecodeStatementRefuses(t *testing.T) {
	const (
		head    = `{"_type":"https://in-toto.io/Statement/v1",`
		subject = `"subject":[{"digest":{"gitCommit":"` + commitID + `"}}],`
		tail    = `"predicateType":"https://example.com/x/v1","predicate":{}}`
	)
	if _, err := attest.DecodeStatement([]byte(head + subject + tail)); err != nil {
		t.Fatalf("the statement that the others differ from: %v", err)
	}
	for _, tt := range []struct{ name, in, path, reason string }{
		{"an older statement", strings.Replace(head, "v1", "v0.1", 1) + subject + tail, "/_type", "want one of"},
		{"no subject", head + `"subject":[],` + tail, "/subject", "no subject"},
		{"a subject without digest", head + `"subject":[{"uri":"x"}],` + tail, "/subject/0/digest", "no digest"},
		{"a short digest", head + `"subject":[{"digest":{"sha256":"ab"}}],` + tail, "/subject/0/digest/sha256", "lower-case hex"},
		{"a digest in capitals", head + `"subject":[{"digest":{"gitCommit":"` + strings.ToUpper(commitID) + `"}}],` + tail, "/subject/0/digest/gitCommit", "lower-case hex"},
		{"a digest of the wrong type", head + `"subject":[{"digest":{"sha256":7}}],` + tail, "/subject/0/digest/sha256", "want a string"},
		{"no predicate type", head + subject + `"predicate":{}}`, "/predicateType", "missing"},
		{"a predicate type that is no URI", head + subject + `"predicateType":"x","predicate":{}}`, "/predicateType", "URI"},
		{"no predicate", head + subject + `"predicateType":"https://example.com/x/v1"}`, "/predicate", "object"},
		{"a list as predicate", head + subject + `"predicateType":"https://example.com/x/v1","predicate":[]}`, "/predicate", "object"},
		{"a name twice in the predicate", head + subject + `"predicateType":"https://example.com/x/v1","predicate":{"a":{"b":1,"b":2}}}`, "/predicate/a/b", "duplicate"},
		{"over 64 KB", head + subject + `"predicateType":"https://example.com/x/v1","predicate":{"a":"` + strings.Repeat("a", 64<<10) + `"}}`, "", "over the limit of 65536"},
		{"deep", head + subject + `"predicateType":"https://example.com/x/v1","predicate":{"a":` + strings.Repeat(`{"a":`, 70) + `1` + strings.Repeat("}", 70) + `}}`, "", "nested deeper"},
	} {
		_, err := attest.DecodeStatement([]byte(tt.in))
		var at *attest.DecodeError
		if !errors.As(err, &at) || !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("%s: error %v, want a DecodeError of kind ErrInvalid", tt.name, err)
			continue
		}
		if tt.path != "" && at.Path != tt.path || !strings.Contains(at.Reason, tt.reason) {
			t.Errorf("%s: error %v, want %q at %q", tt.name, err, tt.reason, tt.path)
		}
	}
}

// The example of RFC 8785, section 3.2.3, without the numbers that Go writes
// in another way than it reads them.
func TestCanonical(t *testing.T) {
	got, err := attest.Canonical(map[string]any{
		"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh",
		"1": "One", "\U0001F600": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis",
		"n": []any{333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"\r":"Carriage Return","1":"One","n":[333333333.3333333,1e+30,4.5,0.002,1e-27],"` + "\u0080" + `":"Control","ö":"Latin Small Letter O With Diaeresis","€":"Euro Sign","😀":"Emoji: Grinning Face","` + "\ufb33" + `":"Hebrew Letter Dalet With Dagesh"}`
	if string(got) != want {
		t.Errorf("Canonical = %s\nwant %s", got, want)
	}
	a, err := attest.RecordSubject("n", "stemma:ticket/x", map[string]any{"b": 1, "a": "x"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := attest.RecordSubject("n", "stemma:ticket/x", struct {
		A string `json:"a"`
		B int    `json:"b"`
	}{"x", 1})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("one record, two subjects:\n%s", diff)
	}
}

func TestMetadataOf(t *testing.T) {
	claimed := "2026-03-01T11:00:00Z"
	want := attest.Metadata{Source: "git", EventID: "1", Observed: "2026-03-01T12:00:00Z", Claimed: &claimed, Assertion: stemma.Observed}
	foreign := `"result":"PASSED","configuration":[]`
	fields := `"source":"git","sourceEventId":"1","timeObserved":"2026-03-01T12:00:00Z","timeClaimed":"2026-03-01T11:00:00Z","assertion":"observed"`
	for _, tt := range []struct {
		name, predicateType, predicate string
		want                           error
	}{
		{"own", attest.TypeTicket, `{` + fields + `}`, nil},
		{"another's, made by stemma", attest.TypeTestResult, `{` + foreign + `,"stemma_metadata":{` + fields + `}}`, nil},
		{"another's", attest.TypeTestResult, `{` + foreign + `}`, stemma.ErrNotFound},
		{"no claimed time", attest.TypeTicket, `{` + strings.Replace(fields, `"timeClaimed":"2026-03-01T11:00:00Z",`, "", 1) + `}`, stemma.ErrInvalid},
		{"an assertion that is none", attest.TypeTicket, `{` + strings.Replace(fields, "observed\"", "guessed\"", 1) + `}`, stemma.ErrInvalid},
		{"a local time", attest.TypeTicket, `{` + strings.Replace(fields, "12:00:00Z", "12:00:00+01:00", 1) + `}`, stemma.ErrInvalid},
	} {
		got, err := attest.MetadataOf(stemma.Statement{PredicateType: tt.predicateType, Predicate: []byte(tt.predicate)})
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.want)
			continue
		}
		if diff := cmp.Diff(want, got); err == nil && diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestRegistry(t *testing.T) {
	s := stemma.Statement{PredicateType: "https://example.com/x/v1", Predicate: []byte(`{"n":0,"more":{"a":1},"none":null}`)}
	err := attest.Validate(s)
	if !errors.Is(err, stemma.ErrInvalid) || !strings.Contains(err.Error(), "unknown predicate type") {
		t.Errorf("Validate of an unknown type = %v", err)
	}
	r := attest.NewRegistry(attest.Typed[counted](s.PredicateType, "session"))
	if err := r.Validate(s); err == nil || err.Error() != "/predicate/n (byte 4): want 1" {
		t.Errorf("Validate = %v, want the type's own error", err)
	}
	p, ok := r.Find(s.PredicateType)
	if !ok {
		t.Fatal("the registered type is not found")
	}
	if diff := cmp.Diff([]string{"/more"}, p.Unknown([]byte(s.Predicate))); diff != "" {
		t.Errorf("unknown fields (-want +got):\n%s", diff)
	}
}

// An offset is one in the bytes that somebody handed over, also where a rule of
// the predicate is what they break; what is missing is missing in something.
// Both once said "byte 0".
func TestFaultsSayWhere(t *testing.T) {
	fields := `"source":"git","sourceEventId":"1","timeObserved":"2026-03-01T12:00:00Z","timeClaimed":null,"assertion":"observed",` +
		`"repository":"git#1","observer":"x","refs":[{"name":"refs/heads/a","at":"` + commitID + `"}]`
	statement := func(predicateType, fields string) string {
		return `{"_type": "https://in-toto.io/Statement/v1", "subject": [{"digest": {"gitCommit": "` + commitID + `"}}], "predicateType": "` + predicateType + `", "predicate": {` + fields + `}}`
	}
	for _, tt := range []struct{ name, in, path, at string }{
		{"nothing", statement(attest.TypeRefObservation, fields), "", ""},
		{"unknown type", statement("https://example.com/x/v1", fields), "/predicateType", `"https://example.com/x/v1"`},
		{"missing", statement(attest.TypeRefObservation, strings.Replace(fields, `"observer":"x",`, "", 1)), "/predicate/observer", `{"source"`},
		{"missing below", statement(attest.TypeRefObservation, strings.Replace(fields, `"name":"refs/heads/a",`, "", 1)), "/predicate/refs/0/name", `{"at"`},
		{"of another kind", statement(attest.TypeRefObservation, strings.Replace(fields, `"x"`, `7`, 1)), "/predicate/observer", `7`},
		{"a rule", statement(attest.TypeRefObservation, strings.Replace(fields, commitID, "d20ace", 1)), "/predicate/refs/0/at", `"d20ace"`},
		{"no claimed time", statement(attest.TypeRefObservation, strings.Replace(fields, `"timeClaimed":null,`, "", 1)), "/predicate/timeClaimed", `{"source"`},
	} {
		s, err := attest.DecodeStatement([]byte(tt.in))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		err = (attest.Registry{}).ValidateIn([]byte(tt.in), s)
		if tt.path == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		var at *attest.DecodeError
		if !errors.As(err, &at) || at.Path != tt.path || !strings.HasPrefix(tt.in[at.Offset:], tt.at) {
			t.Errorf("%s: error %v, want %s at %s", tt.name, err, tt.path, tt.at)
		}
	}
}

type counted struct {
	N int `json:"n"`
}

func (c counted) Validate() error {
	if c.N != 1 {
		return &attest.DecodeError{Path: "/n", Offset: 4, Reason: "want 1"}
	}
	return nil
}

func FuzzDecodeStatement(f *testing.F) {
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a","digest":{"gitCommit":"` + commitID + `"}}],"predicateType":"https://stemma.dev/ticket/v1","predicate":{"source":"x"}}`))
	for _, p := range attest.Predicates() {
		f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"x":"y"}}],"predicateType":"` + p.Type + `","predicate":{"a":[1,{}]}}`))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := attest.DecodeStatement(b)
		if err == nil {
			if _, err := attest.EncodeStatement(s); err != nil && len(b) < 10000 {
				t.Fatalf("what was decoded does not encode: %v", err)
			}
			err = (attest.Registry{}).ValidateIn(b, s)
			_, _ = attest.MetadataOf(s)
			if p, ok := (attest.Registry{}).Find(s.PredicateType); ok {
				p.Unknown(s.Predicate)
			}
		}
		var at *attest.DecodeError
		if err != nil && (!errors.As(err, &at) || at.Offset < 0 || at.Offset > int64(len(b))) {
			t.Fatalf("error %#v of %q", err, b)
		}
	})
}
