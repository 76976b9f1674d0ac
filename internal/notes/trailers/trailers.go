// Package trailers reads which coding agents a commit itself names: in its
// author and committer, in the trailers of its message and in the lines that
// tools put into its body.
//
// Begin with [Source]. A trailer says that a session took part, and no more: it
// is never a claim on lines. Only where an agent's own account is the author,
// the whole commit is the agent's, and that is inferred.
//
// Dependency and CI bots are no agents, and neither are people with an agent's
// name; what decides is in stemma.AgentAccount, and for free text the strict
// grammar of tool.go, which reads a line either completely or not at all.
package trailers

import (
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
)

// Name is the name of the source.
const Name = "trailers"

// Source reads commits. The zero Source is ready to use.
type Source struct{}

var _ notes.CommitSource = Source{}

// Name gives "trailers".
func (Source) Name() string { return Name }

// The methods of facts of this source: which part of the commit told them.
const (
	methodCoAuthor       = "co-authored-by"
	methodAssisted       = "assisted-by"
	methodGenerated      = "generated-by"
	methodMade           = "made-with"
	methodSession        = "claude-session"
	methodBody           = "generated-with" // a line of the body
	methodAuthor         = "agent-author"
	methodCommitter      = "agent-committer"
	methodAiderAuthor    = "aider-author"
	methodAiderCommitter = "aider-committer"
)

// confidence of what is inferred from an identity. Aider signs with the
// person's name when it commits what it wrote, but also what it found changed.
var confidence = map[string]float64{
	methodAuthor:         0.9,
	methodCommitter:      0.9,
	methodAiderAuthor:    0.8,
	methodAiderCommitter: 0.8,
}

// sharedDiscount is taken from the confidence that an agent wrote the whole
// commit where the message names a co-author beside it.
const sharedDiscount = 0.2

// signal is one thing that a commit says of an agent.
type signal struct {
	agent   string // key, "" where only a model is named
	version string
	model   stemma.Model
	session string // the agent's own id of the session, or ""
	method  string
}

func (s signal) strength() stemma.Strength {
	if c, inferred := confidence[s.method]; inferred {
		return stemma.Strength{Tier: stemma.TierClaimed, Assertion: stemma.Inferred, Method: s.method, Confidence: c}
	}
	return stemma.Strength{Tier: stemma.TierClaimed, Assertion: stemma.Declared, Method: s.method, Confidence: 1}
}

// Read gives the sessions that the commit names. There is one for each agent,
// session id and model; where the commit names an agent in several places they
// are joined. A message over 4 MiB is read from its end only, and Problems says
// so.
func (Source) Read(c *git.Commit) (notes.Evidence, bool) {
	author, byAgent := identity(c.Author, methodAuthor, methodAiderAuthor)
	m := scan(c.Message)
	signals := m.signals
	if byAgent {
		signals = slices.Insert(signals, 0, author)
	}
	if committer, ok := identity(c.Committer, methodCommitter, methodAiderCommitter); ok && (!byAgent || committer.agent != author.agent) {
		signals = append(signals, committer)
	}
	if len(signals) == 0 && len(m.problems) == 0 {
		return notes.Evidence{}, false
	}
	e := notes.Evidence{Source: Name, Whole: -1, Problems: m.problems}
	var others bool // agents beside the author
	for _, g := range group(signals) {
		first := len(e.Sessions)
		e.Sessions = append(e.Sessions, g.sessions()...)
		if byAgent && g.agent == author.agent {
			e.Whole = first
			e.WholeStrength = author.strength()
			first++
		} else {
			others = true
		}
		for i := first; i < len(e.Sessions); i++ {
			e.Took = append(e.Took, i)
		}
	}
	if e.Whole >= 0 && (m.people || others) {
		e.WholeStrength.Confidence -= sharedDiscount
	}
	return e, true
}

// identity tells whether the author or committer is an agent.
func identity(s git.Signature, method, aiderMethod string) (signal, bool) {
	if _, ok := strings.CutSuffix(s.Name, " (aider)"); ok {
		return signal{agent: "aider", method: aiderMethod}, true
	}
	if agent, ok := stemma.AgentAccount(s.Name, s.Mail); ok {
		return signal{agent: agent, model: stemma.ModelFromDisplayName(s.Name), method: method}, true
	}
	return signal{}, false
}

// agentGroup is everything that a commit says of one agent.
type agentGroup struct {
	agent    string
	version  string
	ids      []string
	models   []stemma.Model
	strength stemma.Strength
}

// group joins signals by agent, in their order.
func group(signals []signal) []*agentGroup {
	var groups []*agentGroup
	find := func(agent string) *agentGroup {
		for _, g := range groups {
			if g.agent == agent {
				return g
			}
		}
		return nil
	}
	for _, s := range signals {
		g := find(s.agent)
		if g == nil {
			g = &agentGroup{agent: s.agent, strength: s.strength()}
			groups = append(groups, g)
		}
		g.join(s)
	}
	// A model that is named without an agent is that of the agent beside it
	// which is named with the same model.
	if nameless := find(""); nameless != nil {
		nameless.models = slices.DeleteFunc(nameless.models, func(m stemma.Model) bool {
			return slices.ContainsFunc(groups, func(g *agentGroup) bool { return g != nameless && g.has(m) })
		})
		if len(nameless.models) == 0 {
			groups = slices.DeleteFunc(groups, func(g *agentGroup) bool { return g == nameless })
		}
	}
	return groups
}

func (g *agentGroup) has(m stemma.Model) bool {
	return slices.ContainsFunc(g.models, func(o stemma.Model) bool { return o.Key() == m.Key() })
}

func (g *agentGroup) join(s signal) {
	if s.strength().Assertion == stemma.Declared && g.strength.Assertion != stemma.Declared {
		g.strength = s.strength()
	}
	if g.version == "" {
		g.version = s.version
	}
	if s.session != "" && !slices.Contains(g.ids, s.session) {
		g.ids = append(g.ids, s.session)
	}
	if !s.model.Known() {
		return
	}
	for i, m := range g.models {
		if m.Key() == s.model.Key() {
			if s.model.Exact && !m.Exact {
				g.models[i] = s.model
			}
			return
		}
	}
	g.models = append(g.models, s.model)
}

// sessions gives one session for each id and model. Where several ids and
// several models are named, as after a squash, nothing tells which session used
// which: then the ids have no model, and the models no id.
func (g *agentGroup) sessions() []notes.Session {
	var sessions []notes.Session
	add := func(id string, m stemma.Model) {
		sessions = append(sessions, notes.Session{ID: id, Agent: g.agent, AgentVersion: g.version, Model: m, Strength: g.strength})
	}
	ids, models := g.ids, g.models
	if len(ids) == 0 {
		ids = []string{""}
	}
	if len(models) == 0 {
		models = []stemma.Model{{}}
	}
	if len(ids) > 1 && len(models) > 1 {
		for _, id := range ids {
			add(id, stemma.Model{})
		}
		ids = []string{""}
	}
	for _, id := range ids {
		for _, m := range models {
			add(id, m)
		}
	}
	return sessions
}
