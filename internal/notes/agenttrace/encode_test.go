package agenttrace

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/notes"
)

func attributed() notes.Attributed {
	return notes.Attributed{
		Added: map[string][]notes.Range{"whole.go": {{Start: 1, End: 3}}},
		Attribution: stemma.Attribution{
			Commit: strings.Repeat("ab", 20), Time: 1770000000, Input: "ff",
			Owners: []stemma.Owner{
				{Session: "claude-code/s 1", Agent: "claude-code", Model: stemma.ParseModel("claude-opus-4-5-20251101"), Class: stemma.ClassAI},
				{Person: "p", Class: stemma.ClassHuman},
				{Session: "codex/s2", Agent: "codex", Class: stemma.ClassAIEdited},
			},
			Files: []stemma.FileLines{
				{Path: "a.go", Ranges: []stemma.OwnedRange{
					{Start: 1, End: 4, Owner: 0, Class: stemma.ClassAI},
					{Start: 5, End: 5, Owner: 1, Class: stemma.ClassHuman},
					{Start: 6, End: 6, Owner: -1, Class: stemma.ClassUnknown},
					{Start: 7, End: 7, Owner: 2, Class: stemma.ClassAIEdited},
				}},
				{Path: "whole.go", Whole: true, Ranges: []stemma.OwnedRange{{Start: 1, End: 0, Owner: 0, Class: stemma.ClassAI}}},
				{Path: "not\xffUTF-8", Ranges: []stemma.OwnedRange{{Start: 1, End: 1, Owner: 0, Class: stemma.ClassAI}}},
			},
		},
	}
}

// The record keeps to the schema (agent-trace.dev, schemas.ts), whose rules are
// spelled out here.
func TestEncodedRecordPassesTheSchema(t *testing.T) {
	line, err := Encode(attributed(), "1.0.0")
	if err != nil || bytes.Count(line, []byte("\n")) != 1 {
		t.Fatalf("%q, %v", line, err)
	}
	var r struct {
		Version   string `json:"version"`
		ID        string `json:"id"`
		Timestamp string `json:"timestamp"`
		VCS       struct{ Type, Revision string }
		Tool      struct{ Name, Version string }
		Files     []struct {
			Path          string
			Conversations []struct {
				Contributor struct {
					Type  string
					Model string `json:"model_id"`
				}
				Ranges []struct {
					Start int `json:"start_line"`
					End   int `json:"end_line"`
				}
				Related []struct{ Type, URL string }
			}
		}
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+$`).MatchString(r.Version) {
		t.Errorf("version %q is no semantic version", r.Version)
	}
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(r.ID) {
		t.Errorf("id %q is no UUID", r.ID)
	}
	if _, err := time.Parse(time.RFC3339, r.Timestamp); err != nil {
		t.Error(err)
	}
	if r.VCS.Type != "git" || r.VCS.Revision != attributed().Commit || len(r.Files) != 2 {
		t.Errorf("record %+v", r)
	}
	for _, f := range r.Files {
		for _, c := range f.Conversations {
			if !regexp.MustCompile(`^(human|ai|mixed|unknown)$`).MatchString(c.Contributor.Type) || len(c.Contributor.Model) > 250 {
				t.Errorf("contributor %+v", c.Contributor)
			}
			for _, r := range c.Ranges {
				if r.Start < 1 || r.End < r.Start {
					t.Errorf("range %+v", r)
				}
			}
		}
	}
	again, _ := Encode(attributed(), "1.0.0")
	if !bytes.Equal(line, again) {
		t.Error("the same attribution gives other bytes")
	}
}

func TestEncodedRecordIsReadBack(t *testing.T) {
	line, err := Encode(attributed(), "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	r := newRecords()
	if err := r.lines(bytes.NewReader(line)); err != nil || r.broken != 0 {
		t.Fatalf("%v, %d broken: %s", err, r.broken, r.first)
	}
	got := r.by[attributed().Commit]
	if len(got) != 1 || len(got[0].problems) != 0 || len(got[0].files) != 2 {
		t.Fatalf("records %+v", got)
	}
	var kinds []string
	for _, c := range got[0].files[0].claims {
		kinds = append(kinds, c.kind)
	}
	if strings.Join(kinds, " ") != "ai human mixed" {
		t.Errorf("claims %+v", got[0].files[0].claims)
	}
}
