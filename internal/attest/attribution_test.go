package attest_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
)

// fill sets every field of a value to something that is not zero.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text-%d", *n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(0.5)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	default:
		panic("a kind that the row did not have: " + v.Kind().String())
	}
}

// A row has fields that a statement must carry, each of them: one that is added
// to the row and forgotten here would make re-derivation differ for ever.
func TestAttributionCarriesEveryFieldOfTheRow(t *testing.T) {
	var row stemma.Attribution
	n := 0
	fill(reflect.ValueOf(&row).Elem(), &n)
	row.Commit, row.Input = commitID, strings.Repeat("ab", 32)
	for i := range row.Owners {
		row.Owners[i].Person = ""
		row.Owners[i].Class, row.Owners[i].Via = stemma.ClassAI, commitID
		for _, strength := range []*stemma.Strength{&row.Owners[i].Strength, &row.Owners[i].ModelStrength} {
			strength.Tier, strength.Assertion = stemma.TierClaimed, stemma.Declared
		}
	}
	row.Rest, row.RestOwner = stemma.ClassHuman, 1
	row.Files[1].Path = "\xff\xfe"
	added := 0
	for i := range row.Files {
		row.Files[i].Whole = false
		for j := range row.Files[i].Ranges {
			row.Files[i].Ranges[j] = stemma.OwnedRange{Start: 10*j + 1, End: 10*j + 5, Owner: j, Class: stemma.ClassAI}
		}
		added += row.Files[i].Added
	}
	row.Lines = stemma.Lines{AI: added - 4, AIEdited: 1, Human: 1, Generated: 1, Unknown: 1}
	all, err := attest.Attributions(row, "r", attest.Rules{AgentEra: 1, Generated: []string{"*.x"}}, testMetadata)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 {
		t.Fatalf("%d statements, want 1", len(all))
	}
	a, err := attest.As[attest.Attribution](all[0])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(row, a.Row()); diff != "" {
		t.Errorf("the row that came back (-want +got):\n%s", diff)
	}
}

var testMetadata = attest.Metadata{Source: "test", EventID: "e", Observed: "2026-03-01T12:00:00Z", Assertion: stemma.Inferred}

// A commit of ten thousand files does not fit into one statement: it becomes
// parts, each a statement of its own below the limit.
func TestLargeAttributionsBecomeParts(t *testing.T) {
	row := stemma.Attribution{
		Commit: commitID, Rest: stemma.ClassUnknown, RestOwner: -1, Algorithm: 1, Input: strings.Repeat("ab", 32),
		Owners: []stemma.Owner{{Session: "a/b", Class: stemma.ClassAI, Source: "s", Strength: stemma.Strength{Tier: stemma.TierClaimed, Assertion: stemma.Declared, Confidence: 1}}},
	}
	for i := range 10_000 {
		row.Files = append(row.Files, stemma.FileLines{Path: fmt.Sprintf("some/folder/%05d.go", i), Added: 10, Ranges: []stemma.OwnedRange{{Start: 1, End: 10, Class: stemma.ClassAI}}})
		row.Lines.AI += 10
	}
	all, err := attest.Attributions(row, "r", attest.Rules{}, testMetadata)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 || len(all) > 40 {
		t.Errorf("%d parts of about 1.2 MB", len(all))
	}
	var files []stemma.FileLines
	seen := make(map[string]bool)
	for i, s := range all {
		payload, err := attest.EncodeStatement(s)
		if err != nil {
			t.Fatalf("part %d: %v", i+1, err)
		}
		if len(payload) > attest.DefaultLimits.Statement {
			t.Errorf("part %d has %d bytes", i+1, len(payload))
		}
		a, err := attest.As[attest.Attribution](s)
		if err != nil {
			t.Fatal(err)
		}
		if a.Part == nil || a.Part.Number != i+1 || a.Part.Of != len(all) || seen[a.EventID] {
			t.Errorf("part %d is %+v of event %s", i+1, a.Part, a.EventID)
		}
		seen[a.EventID] = true
		files = append(files, a.Row().Files...)
	}
	if diff := cmp.Diff(row.Files, files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}
