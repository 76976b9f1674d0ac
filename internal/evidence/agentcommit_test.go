package evidence_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	provenance "github.com/in-toto/attestation/go/predicates/provenance/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/evidence"
)

func TestAgentCommit(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	use := func(id string) agent.ModelUse {
		return agent.ModelUse{Model: stemma.Model{Provider: "anthropic", ID: id}}
	}
	tale := agent.Tale{
		Key: "claude-code/a", Last: 3, Repository: "github.com#1", Vantage: stemma.Harness, Tickets: []string{"PAY-12"},
		Commits: []agent.DeltaCommit{{Commit: commitID, Lines: 3, Of: 3}},
		Content: []attest.Commitment{{Name: "prompts", Digest: attest.Digest(nil), Vault: "v1/x"}},
		Session: agent.Session{
			Agent: "claude-code", Version: "2.1", Start: at, End: at, Base: agent.Base{Branch: "main"},
			Turns: []*agent.Turn{
				{Index: 1, Models: []agent.ModelUse{use("small"), use("large")}, Calls: []*agent.Call{{Spawn: &agent.Spawn{Session: "b", Role: "reviewer"}}}},
				{Index: 2, Models: []agent.ModelUse{use("large"), {}}},
			},
		},
	}
	s, err := evidence.AgentCommit(tale, at)
	if err != nil {
		t.Fatal(err)
	}
	if s.PredicateType != attest.TypeProvenance || len(s.Subject) != 1 || s.Subject[0].Digest["gitCommit"] != commitID {
		t.Errorf("statement of type %s about %v", s.PredicateType, s.Subject)
	}
	if m, err := attest.MetadataOf(s); err != nil || m.Vantage != stemma.Harness {
		t.Errorf("metadata %+v, %v", m, err)
	}
	var p provenance.Provenance
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(s.Predicate, &p); err != nil {
		t.Fatalf("in-toto's library does not read it: %v", err)
	}
	if err := p.Validate(); err != nil {
		t.Errorf("in-toto's library does not take it: %v", err)
	}
	var got struct {
		BuildDefinition struct {
			BuildType          string
			ExternalParameters struct {
				Task   struct{ URI string }
				Target map[string]string
			}
			InternalParameters struct {
				Agent struct {
					Model map[string]string
				}
				Subagents []map[string]string
				Missing   []string `json:"stemma_missing"`
			}
		}
	}
	if err := json.Unmarshal(s.Predicate, &got); err != nil {
		t.Fatal(err)
	}
	b := got.BuildDefinition
	if b.BuildType != evidence.AgentCommitType || b.ExternalParameters.Task.URI != "stemma:ticket:PAY-12" || b.ExternalParameters.Target["baseRef"] != "refs/heads/main" {
		t.Errorf("build definition %+v", b)
	}
	if b.InternalParameters.Agent.Model["modelId"] != "large" || len(b.InternalParameters.Subagents) != 1 {
		t.Errorf("internal parameters %+v", b.InternalParameters)
	}
	// The base commit was not told: it is named as missing, and not made up.
	if _, there := b.ExternalParameters.Target["baseCommit"]; there || !slices.Contains(b.InternalParameters.Missing, "externalParameters.target.baseCommit") {
		t.Errorf("target %v, missing %v", b.ExternalParameters.Target, b.InternalParameters.Missing)
	}

	tale.Commits = nil
	if _, err := evidence.AgentCommit(tale, at); !errors.Is(err, stemma.ErrNotFound) {
		t.Errorf("a session without commits: %v, want ErrNotFound", err)
	}
}
