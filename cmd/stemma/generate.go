package main

import (
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"math/rand/v2"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// generator makes a graph of the shape that a company's graph has, of any size,
// to measure stores with. The same size and seed give the same graph on every
// machine. Of 1,000 nodes
//
//	430 are commits: each in one of the repositories, part of a change, written
//	    by one or two sessions and turns of those (one in four by a person too),
//	    one in five a rewrite of the commit before it, in chains of 10
//	150 are sessions: of an agent, with a model, directed by a person, one in
//	    three spawned by one of the 500 sessions before it
//	270 are turns, 80 changes, 25 tickets of 2 requirements
//	 20 are reviews, 12 runs that tested five commits each, 6 artifacts,
//	  4 deployments in a chain of REPLACED, 1 an incident
//
// and 1 in 500 is a hub: repositories, their refs, people, services, environments,
// 20 models and 5 agents. A third of all edges lead to a hub; one model was used
// by most sessions. What is missing of the edges asked for are FIXES
// between random commits.
type generator struct {
	nodes, edges int
	r            *rand.Rand
	seed         uint64

	hubs                                  int
	commits, sessions, turns, changes     int
	tickets, requirements, reviews, runs  int
	artifacts, deployments, incidents     int
	made, missing, fixed                  int                    // edges: made, FIXES wanted, FIXES made
	met                                   map[stemma.NodeID]bool // hubs
	strength, inferred, observed, rewrite stemma.Strength
}

// leastGraph is the size below which some kinds of node would be missing.
const leastGraph = 2000

func newGenerator(nodes, edges int, seed uint64) (*generator, error) {
	if nodes < leastGraph || edges < 4*nodes+nodes/2 {
		return nil, fmt.Errorf("a graph of %d nodes and %d edges: want at least %d nodes and 4.5 edges for each: %w", nodes, edges, leastGraph, stemma.ErrInvalid)
	}
	g := &generator{nodes: nodes, edges: edges, seed: seed, met: make(map[stemma.NodeID]bool), r: rand.New(rand.NewPCG(seed, 0x73746d61))}
	g.hubs = max(12, nodes/2000)
	rest := nodes - 4*g.hubs // repositories, refs, people and services; the rest are few
	share := func(permille int) int { return rest * permille / 1000 }
	g.sessions, g.turns, g.changes = share(150), share(270), share(80)
	g.tickets, g.requirements, g.reviews, g.runs = share(25), share(2), share(20), share(12)
	g.artifacts, g.deployments, g.incidents = share(6), share(4), share(1)
	g.commits = rest - g.sessions - g.turns - g.changes - g.tickets - g.requirements - g.reviews - g.runs - g.artifacts - g.deployments - g.incidents
	g.strength = stemma.Strength{Tier: stemma.TierClaimed, Assertion: stemma.Declared, Method: "note", Confidence: 1}
	g.inferred = stemma.Strength{Tier: stemma.TierClaimed, Assertion: stemma.Inferred, Method: "token alignment", Confidence: 0.8}
	g.observed = stemma.Strength{Tier: stemma.TierObserved, Assertion: stemma.Observed, Method: "webhook", Confidence: 1}
	g.rewrite = stemma.Strength{Tier: stemma.TierClaimed, Assertion: stemma.Inferred, Method: "patch-id", Confidence: 1}
	return g, nil
}

// key is the hex id of the i-th node of a kind.
func (g *generator) key(kind stemma.NodeKind, i int) string {
	h := sha1.Sum(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64([]byte(kind), g.seed), uint64(i)))
	return hex.EncodeToString(h[:])
}

var generatedAgents = []string{"claude-code", "codex", "cursor", "gemini-cli", "copilot"}

func (g *generator) node(kind stemma.NodeKind, i int) stemma.NodeID {
	switch kind {
	case stemma.KindSession:
		return stemma.SessionID(generatedAgents[i%len(generatedAgents)], g.key(kind, i))
	case stemma.KindChange:
		return stemma.NodeID{Kind: kind, Key: fmt.Sprintf("forge.example#%d!%d", i%g.hubs, i)}
	default:
		return stemma.NodeID{Kind: kind, Key: g.key(kind, i)}
	}
}

// hub picks a hub of a kind, the first ones far more often than the last.
func (g *generator) hub(kind stemma.NodeKind) stemma.NodeID {
	id := g.pickHub(kind)
	g.met[id] = true
	return id
}

func (g *generator) pickHub(kind stemma.NodeKind) stemma.NodeID {
	i := int(float64(g.hubs) * g.r.Float64() * g.r.Float64() * g.r.Float64())
	switch kind {
	case stemma.KindAgent:
		return stemma.NodeID{Kind: kind, Key: generatedAgents[i%len(generatedAgents)]}
	case stemma.KindModel:
		i %= 20
		if g.r.IntN(2) == 0 {
			i = 0
		}
		return stemma.NodeID{Kind: kind, Key: fmt.Sprintf("provider%d/model-%d", i%3, i)}
	case stemma.KindRepository:
		return stemma.NodeID{Kind: kind, Key: fmt.Sprintf("forge.example#%d", i)}
	case stemma.KindRef:
		return stemma.RefID(fmt.Sprintf("forge.example#%d", i), "refs/heads/main")
	default:
		return stemma.NodeID{Kind: kind, Key: fmt.Sprintf("%s-%d", kind, i)}
	}
}

// scopes gives the graph piece by piece.
func (g *generator) scopes() iter.Seq[store.Scope] {
	return func(yield func(store.Scope) bool) {
		for _, part := range []struct {
			n    int
			make func(int) store.Scope
		}{
			{g.tickets, g.ticket},
			{g.sessions, g.session},
			{g.turns, g.turn},
			{g.changes, g.change},
			{g.reviews, g.review},
			{g.runs, g.run},
			{g.artifacts, g.artifact},
			{g.deployments, g.deployment},
			{g.incidents, g.incident},
			{g.commits, g.commit},
		} {
			for i := range part.n {
				s := part.make(i)
				g.made += len(s.Edges)
				if !yield(s) {
					return
				}
			}
		}
	}
}

func (g *generator) scope(kind stemma.NodeKind, i int) store.Scope {
	return store.Scope{ID: g.node(kind, i)}
}

func (g *generator) link(s *store.Scope, kind stemma.EdgeKind, to stemma.NodeID, strength stemma.Strength) {
	s.Edges = append(s.Edges, stemma.Edge{From: s.ID, Kind: kind, To: to, Source: "generated", Strength: strength})
}

func (g *generator) ticket(i int) store.Scope {
	s := g.scope(stemma.KindTicket, i)
	g.link(&s, stemma.EdgeRefines, g.node(stemma.KindRequirement, i%g.requirements), g.observed)
	return s
}

func (g *generator) session(i int) store.Scope {
	s := g.scope(stemma.KindSession, i)
	g.link(&s, stemma.EdgeDirectedBy, g.hub(stemma.KindPerson), g.strength)
	if i > 0 && i%3 == 0 {
		g.link(&s, stemma.EdgeSpawnedBy, g.node(stemma.KindSession, i-1-g.r.IntN(min(i, 500))), g.strength)
	}
	if i%5 == 0 {
		g.link(&s, stemma.EdgeWorkedOn, g.node(stemma.KindTicket, g.r.IntN(g.tickets)), g.inferred)
	}
	return s
}

func (g *generator) turn(i int) store.Scope {
	s := g.scope(stemma.KindTurn, i)
	g.link(&s, stemma.EdgePartOf, g.node(stemma.KindSession, i%g.sessions), g.strength)
	return s
}

func (g *generator) change(i int) store.Scope {
	s := g.scope(stemma.KindChange, i)
	g.link(&s, stemma.EdgeInto, g.hub(stemma.KindRef), g.observed)
	g.link(&s, stemma.EdgeImplements, g.node(stemma.KindTicket, g.r.IntN(g.tickets)), g.inferred)
	return s
}

func (g *generator) review(i int) store.Scope {
	s := g.scope(stemma.KindReview, i)
	g.link(&s, stemma.EdgeOf, g.node(stemma.KindChange, g.r.IntN(g.changes)), g.observed)
	g.link(&s, stemma.EdgeSaw, g.node(stemma.KindCommit, g.r.IntN(g.commits)), g.observed)
	g.link(&s, stemma.EdgeGivenBy, g.hub(stemma.KindPerson), g.observed)
	return s
}

func (g *generator) run(i int) store.Scope {
	s := g.scope(stemma.KindRun, i)
	for n := range 5 {
		g.link(&s, stemma.EdgeTested, g.node(stemma.KindCommit, (i*5+n)%g.commits), g.observed)
	}
	return s
}

func (g *generator) artifact(i int) store.Scope {
	s := g.scope(stemma.KindArtifact, i)
	g.link(&s, stemma.EdgeBuiltBy, g.node(stemma.KindRun, g.r.IntN(g.runs)), g.observed)
	g.link(&s, stemma.EdgeBuiltFrom, g.node(stemma.KindCommit, g.r.IntN(g.commits)), g.observed)
	return s
}

func (g *generator) deployment(i int) store.Scope {
	s := g.scope(stemma.KindDeployment, i)
	g.link(&s, stemma.EdgeOf, g.node(stemma.KindArtifact, g.r.IntN(g.artifacts)), g.observed)
	g.link(&s, stemma.EdgeTo, g.hub(stemma.KindEnvironment), g.observed)
	g.link(&s, stemma.EdgeRuns, g.hub(stemma.KindService), g.observed)
	if i > 0 {
		g.link(&s, stemma.EdgeReplaced, g.node(stemma.KindDeployment, i-1), g.observed)
	}
	return s
}

func (g *generator) incident(i int) store.Scope {
	s := g.scope(stemma.KindIncident, i)
	g.link(&s, stemma.EdgeHit, g.node(stemma.KindDeployment, g.r.IntN(g.deployments)), g.observed)
	g.link(&s, stemma.EdgeCausedBy, g.node(stemma.KindCommit, g.r.IntN(g.commits)), g.inferred)
	return s
}

func (g *generator) commit(i int) store.Scope {
	s := g.scope(stemma.KindCommit, i)
	g.link(&s, stemma.EdgeIn, g.hub(stemma.KindRepository), g.strength)
	g.link(&s, stemma.EdgePartOf, g.node(stemma.KindChange, i%g.changes), g.observed)
	for n := range 1 + i%2 {
		// Commits of one time are written by sessions of that time.
		turn := (i*g.turns/g.commits + n*7) % g.turns
		session := turn % g.sessions
		from := g.node(stemma.KindSession, session)
		for _, to := range []stemma.NodeID{from, g.node(stemma.KindTurn, turn)} {
			g.link(&s, stemma.EdgeWrittenBy, to, g.strength)
			s.Edges[len(s.Edges)-1].Lines = stemma.Lines{AI: 3 + i%90, AIEdited: i % 3}
		}
		for _, e := range []stemma.Edge{
			{From: from, Kind: stemma.EdgeRan, To: stemma.NodeID{Kind: stemma.KindAgent, Key: generatedAgents[session%len(generatedAgents)]}},
			{From: from, Kind: stemma.EdgeUsed, To: g.hub(stemma.KindModel)},
		} {
			e.Source, e.Strength = "generated", g.strength
			s.Edges = append(s.Edges, e)
		}
	}
	if i%4 == 0 {
		g.link(&s, stemma.EdgeWrittenBy, g.hub(stemma.KindPerson), g.inferred)
	}
	if isRewrite(i) {
		g.link(&s, stemma.EdgeRewriteOf, g.node(stemma.KindCommit, i-1), g.rewrite)
	}
	g.fixes(&s, i)
	return s
}

// fixes adds what is missing of the edges asked for, evenly.
func (g *generator) fixes(s *store.Scope, i int) {
	if g.missing == 0 {
		g.missing = g.edges - g.made
		for n := range g.commits {
			g.missing -= plainEdges(n)
		}
	}
	seen := make(map[int]bool)
	for due := g.missing*(i+1)/g.commits - g.fixed; due > 0 && len(seen) < min(i, 100); due-- {
		to := g.r.IntN(i)
		if seen[to] {
			continue // the next commit makes up for it
		}
		seen[to] = true
		g.fixed++
		g.link(s, stemma.EdgeFixes, g.node(stemma.KindCommit, to), g.inferred)
	}
}

// plainEdges is how many edges a commit has without FIXES.
func plainEdges(i int) int {
	n := 2 + 4*(1+i%2)
	if i%4 == 0 {
		n++
	}
	if isRewrite(i) {
		n++
	}
	return n
}

func isRewrite(i int) bool { return i%50 >= 10 && i%50 < 20 }
