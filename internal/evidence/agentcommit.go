package evidence

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/attest"
)

// AgentCommitType is the build type of a SLSA provenance that says how an agent
// made a commit ("Agent Commit Build Type v0.3", Andrew McNamara,
// https://refs.arewm.com/agent-commit/v0.3; a draft).
const AgentCommitType = "https://refs.arewm.com/agent-commit/v0.3"

// recorder is the builder that such a provenance names. The build type asks for
// the platform that ran the agent and watched it from outside; a session that was
// read from a transcript had none, and the recorder says so by its name.
const recorder = "https://stemma.dev/recorder/v1"

// agentCommit are the parameters of the build type. What a session does not tell
// is left out and named in Missing, never made up.
type agentCommit struct {
	Task struct {
		URI     string          `json:"uri"`
		Content attest.Resource `json:"content,omitzero"`
	} `json:"task"`
	Target struct {
		Repository string `json:"repository,omitempty"`
		BaseRef    string `json:"baseRef,omitempty"`
		BaseCommit string `json:"baseCommit,omitempty"`
	} `json:"target"`
}

type agentInternal struct {
	Agent struct {
		Model   agentModel   `json:"model,omitzero"`
		Models  []agentModel `json:"stemma_models,omitempty"` // all of them, where there were several
		Runtime struct {
			Name    string `json:"name"`
			Version string `json:"version,omitempty"`
		} `json:"runtime"`
	} `json:"agent"`
	Subagents []subagent     `json:"subagents,omitempty"`
	Vantage   stemma.Vantage `json:"stemma_vantage"`
	Missing   []string       `json:"stemma_missing"` // what the build type asks for and the session does not tell
}

type agentModel struct {
	Provider string `json:"provider,omitempty"`
	ID       string `json:"modelId"`
}

type subagent struct {
	InvocationID string `json:"invocationId"`
	Role         string `json:"role,omitempty"`
}

// AgentCommit tells a session as SLSA provenance v1 with the build type
// [AgentCommitType]. Its subjects are the commits that hold lines of the session.
// It holds no more than the session's own statements do: the prompts are named by
// their commitments. observed is when it is made. The error is ErrNotFound for a
// session that no commit holds lines of.
func AgentCommit(t agent.Tale, observed time.Time) (stemma.Statement, error) {
	if len(t.Commits) == 0 {
		return stemma.Statement{}, fmt.Errorf("session %s: no commit is known to hold its lines, and a provenance is of something: %w", t.Key, stemma.ErrNotFound)
	}
	node := stemma.NodeID{Kind: stemma.KindSession, Key: t.Key}
	external, internal := agentParameters(t)
	var p attest.Provenance
	p.BuildDefinition.BuildType = AgentCommitType
	var err error
	if p.BuildDefinition.ExternalParameters, err = json.Marshal(external); err != nil {
		return stemma.Statement{}, err
	}
	if p.BuildDefinition.InternalParameters, err = json.Marshal(internal); err != nil {
		return stemma.Statement{}, err
	}
	if base := external.Target.BaseCommit; base != "" {
		p.BuildDefinition.ResolvedDependencies = append(p.BuildDefinition.ResolvedDependencies,
			attest.Resource{Name: "source", URI: external.Target.Repository, Digest: map[string]string{"gitCommit": base}})
	}
	for _, c := range t.Config {
		p.BuildDefinition.ResolvedDependencies = append(p.BuildDefinition.ResolvedDependencies,
			attest.Resource{Name: c.Kind + " " + c.Path, Digest: map[string]string{"sha256": c.Digest}})
	}
	p.RunDetails.Builder.ID = recorder
	p.RunDetails.Metadata = runTimes(node, t.Session)
	subjects := make([]stemma.Subject, 0, len(t.Commits))
	for _, c := range t.Commits {
		subjects = append(subjects, attest.CommitSubject(t.Repository, c.Commit))
	}
	predicate := struct {
		attest.Provenance
		Metadata attest.Metadata `json:"stemma_metadata"`
	}{p, attest.Metadata{
		Source: "stemma", EventID: fmt.Sprintf("agent-commit/%s/%d", t.Key, t.Last),
		Observed: observed.UTC().Format(time.RFC3339), Assertion: stemma.Inferred, Vantage: t.Vantage,
	}}
	return attest.New(attest.TypeProvenance, predicate, subjects...)
}

func agentParameters(t agent.Tale) (agentCommit, agentInternal) {
	var external agentCommit
	internal := agentInternal{Vantage: cmp.Or(t.Vantage, stemma.SelfReported), Missing: []string{}}
	need := func(known bool, name string) {
		if !known {
			internal.Missing = append(internal.Missing, name)
		}
	}
	// What the session was for: the first ticket that its prompts name, else
	// itself.
	external.Task.URI = attest.NodeURI(stemma.NodeID{Kind: stemma.KindSession, Key: t.Key})
	if len(t.Tickets) > 0 {
		external.Task.URI = "stemma:ticket:" + t.Tickets[0]
	}
	if i := slices.IndexFunc(t.Content, func(c attest.Commitment) bool { return c.Digest != "" }); i >= 0 {
		c := t.Content[i]
		// The digest is over a salt and the content, which is no digest that the
		// specification names.
		external.Task.Content = attest.Resource{Name: c.Name, URI: c.Vault, Digest: map[string]string{"stemma_salted_sha256": c.Digest}}
	} else {
		need(false, "externalParameters.task.content")
	}
	external.Target.Repository = t.Repository
	external.Target.BaseCommit = t.Session.Base.Commit
	if branch := t.Session.Base.Branch; branch != "" {
		external.Target.BaseRef = "refs/heads/" + branch
	}
	need(external.Target.Repository != "", "externalParameters.target.repository")
	need(external.Target.BaseRef != "", "externalParameters.target.baseRef")
	need(external.Target.BaseCommit != "", "externalParameters.target.baseCommit")

	models := modelsOf(t.Session)
	if len(models) > 0 {
		internal.Agent.Model = models[0]
	}
	if len(models) > 1 {
		internal.Agent.Models = models
	}
	internal.Agent.Runtime.Name, internal.Agent.Runtime.Version = t.Session.Agent, t.Session.Version
	need(len(models) > 0, "internalParameters.agent.model")
	need(false, "internalParameters.agent.model.digest")
	need(false, "internalParameters.agent.runtime.digest")
	for _, turn := range t.Session.Turns {
		for _, call := range turn.Calls {
			if call.Spawn != nil && call.Spawn.Session != "" {
				internal.Subagents = append(internal.Subagents, subagent{call.Spawn.Session, call.Spawn.Role})
			}
		}
	}
	need(!t.Session.Start.IsZero(), "runDetails.metadata.startedOn")
	need(!t.Session.End.IsZero(), "runDetails.metadata.finishedOn")
	return external, internal
}

// modelsOf gives the models of a session, the one that worked in most turns
// first.
func modelsOf(s agent.Session) []agentModel {
	turns := make(map[agentModel]int)
	var models []agentModel
	for _, t := range s.Turns {
		for _, use := range t.Models {
			if !use.Model.Known() {
				continue
			}
			m := agentModel{use.Model.Provider, use.Model.ID}
			if turns[m] == 0 {
				models = append(models, m)
			}
			turns[m]++
		}
	}
	slices.SortStableFunc(models, func(a, b agentModel) int { return cmp.Compare(turns[b], turns[a]) })
	return models
}

func runTimes(node stemma.NodeID, s agent.Session) *attest.RunMetadata {
	m := &attest.RunMetadata{InvocationID: attest.NodeURI(node)}
	if !s.Start.IsZero() {
		text := s.Start.UTC().Format(time.RFC3339)
		m.StartedOn = &text
	}
	if !s.End.IsZero() {
		text := s.End.UTC().Format(time.RFC3339)
		m.FinishedOn = &text
	}
	return m
}
