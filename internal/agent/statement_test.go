package agent_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/agent/agenttest"
	"github.com/stemma-dev/stemma/internal/attest"
)

func sessionSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := stemma.Schemas.ReadFile("schema/session-v1.json")
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
	if err := c.AddResource("session", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("session")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func valid(t *testing.T, schema *jsonschema.Schema, s stemma.Statement) {
	t.Helper()
	if err := attest.NewRegistry(agent.Predicate()).Validate(s); err != nil {
		t.Errorf("Validate: %v", err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(s.Predicate))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(doc); err != nil {
		t.Errorf("against the schema: %v", err)
	}
	if lost := agent.Predicate().Unknown(s.Predicate); lost != nil {
		t.Errorf("fields that the type has not: %v", lost)
	}
	text, err := attest.EncodeStatement(s)
	if err != nil || len(text) > 60<<10 {
		t.Errorf("EncodeStatement: %d bytes, %v", len(text), err)
	}
	if m, err := attest.MetadataOf(s); err != nil || m.Source == "" || m.Vantage == "" {
		t.Errorf("MetadataOf = %+v, %v", m, err)
	}
}

// Every transcript of the test data makes statements that keep the schema and
// hold no content.
func TestStatements(t *testing.T) {
	schema := sessionSchema(t)
	files, err := filepath.Glob("*/testdata/*")
	if err != nil {
		t.Fatal(err)
	}
	told := agent.Told{Repository: "github.com#1", Observed: time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC), Final: true, Complete: true}
	n := 0
	for _, path := range files {
		_, r := readFile(t, path)
		for _, s := range r.Sessions {
			all, err := agent.Statements(s, told)
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
			for _, st := range all {
				n++
				valid(t, schema, st)
				for _, turn := range s.Turns {
					for _, text := range []*agent.Text{turn.Prompt, turn.Answer} {
						if text != nil && len(text.Text) > 8 && bytes.Contains(st.Predicate, []byte(text.Text)) {
							t.Errorf("%s: the statement holds a text: %q", path, text.Text)
						}
					}
				}
				if bytes.Contains(st.Predicate, []byte("/home/ada")) {
					t.Errorf("%s: the statement holds a folder of the machine: %s", path, st.Predicate)
				}
			}
		}
	}
	if n < 15 {
		t.Errorf("%d statements of the test data, want at least 15", n)
	}
}

// The example of the schema is what the reference transcript gives.
func TestStatementExample(t *testing.T) {
	_, r := readFile(t, filepath.Join("claudecode", "testdata", "session.jsonl"))
	s := r.Sessions[0]
	all, err := agent.Statements(s, agent.Told{
		Repository: "github.com#4221", Observed: time.Date(2026, 3, 2, 9, 2, 0, 0, time.UTC), Final: true, Complete: true,
		Config: []agent.ConfigDigest{{Kind: agent.ConfigRules, Scope: "repository", Path: "CLAUDE.md", Digest: strings.Repeat("0f", 32), Bytes: 120}},
	})
	if err != nil || len(all) != 1 {
		t.Fatalf("%d statements, %v", len(all), err)
	}
	got, err := json.MarshalIndent(all[0], "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	path := filepath.Join("..", "..", "schema", "examples", "session-v1.json")
	if agenttest.Updating() {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the transcript gives (call the test with -update): %v", path, err)
	}
}

// A long session is told in parts, each small, that together have every turn
// once.
func TestStatementParts(t *testing.T) {
	s := agent.Session{Agent: "codex", ID: "long\n/id", Base: agent.Base{Dir: "/w"}}
	for i := range 600 {
		turn := &agent.Turn{Index: i + 1, Origin: agent.FromPerson}
		for j := range 20 {
			turn.Calls = append(turn.Calls, &agent.Call{
				Name: "edit", Kind: agent.KindEdit, Outcome: agent.OutcomeOK,
				Files: []agent.File{{Path: "/w/" + strings.Repeat("d/", j) + "file.go", Access: agent.Write, Added: 1}},
			})
		}
		s.Turns = append(s.Turns, turn)
	}
	all, err := agent.Statements(s, agent.Told{First: 3, Final: true})
	if err != nil || len(all) < 5 {
		t.Fatalf("%d parts, %v", len(all), err)
	}
	schema := sessionSchema(t)
	next, events := 1, map[string]bool{}
	for i, st := range all {
		valid(t, schema, st)
		d, err := attest.As[agent.Delta](st)
		if err != nil || d.Number != i+3 || d.Final != (i == len(all)-1) || events[d.EventID] {
			t.Errorf("part %d: number %d, final %t, event %q, %v", i, d.Number, d.Final, d.EventID, err)
		}
		events[d.EventID] = true
		for _, turn := range d.Turns {
			if turn.Index != next {
				t.Fatalf("part %d: turn %d, want %d", i, turn.Index, next)
			}
			next++
		}
	}
	if next != 601 {
		t.Errorf("%d turns were told, want 600", next-1)
	}
}

func TestStatementRefused(t *testing.T) {
	_, r := readFile(t, filepath.Join("codex", "testdata", "worker.jsonl"))
	all, err := agent.Statements(r.Sessions[0], agent.Told{})
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{
		`"number":1`:                              `"number":0`,
		`"session":"codex/`:                       `"session":"other/`,
		`"vantage":"self-reported",`:              ``,
		`"index":1`:                               `"index":0`,
		`"origin":"task"`:                         `"origin":"boss"`,
		`"start":"2026-03-02T11:00:14.0`:          `"start":"yesterday`,
		`"method":"session_meta.source.subagent"`: `"method":""`,
	} {
		st := all[0]
		st.Predicate = bytes.Replace(st.Predicate, []byte(from), []byte(to), 1)
		if bytes.Equal(st.Predicate, all[0].Predicate) {
			t.Errorf("the predicate does not hold %s:\n%s", from, st.Predicate)
		}
		if err := attest.NewRegistry(agent.Predicate()).Validate(st); err == nil {
			t.Errorf("%s for %s is not refused", to, from)
		}
	}
}
