package lineage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// TraceQuery chooses a lineage: where it begins, in which directions it goes
// and how far.
type TraceQuery struct {
	From stemma.NodeID
	// Causes asks where From comes from, Effects what came of it; neither gives
	// From alone.
	Causes, Effects bool
	// Depth is how many links away from From nodes are shown; 0 is no limit.
	Depth int
	// Limit is how many links are shown in each direction, the nearest; 0 is no
	// limit.
	Limit int
	// Fan is how many links of one node are shown; 0 is no limit.
	Fan int
	// Edges and Nodes are the kinds that are shown; none is every kind. Where
	// both are given both must hold.
	Edges []stemma.EdgeKind
	Nodes []stemma.NodeKind
	// Through are kinds of hub that the lineage goes through, and not only to.
	Through []stemma.NodeKind
	// Replaced goes through REPLACED, from a deployment to the one before.
	Replaced bool
}

// Trace is the lineage of one node. It is what `stemma trace --json` gives
// (schema stemma.trace/v1).
type Trace struct {
	From    string      `json:"from"` // id of a node
	Nodes   []TraceNode `json:"nodes"`
	Causes  *TraceWalk  `json:"causes"`  // null where not asked for
	Effects *TraceWalk  `json:"effects"` // null where not asked for
}

// TraceNode is a node that a lineage names.
type TraceNode struct {
	ID   string          `json:"id"` // kind:key, quoted as Path
	Kind stemma.NodeKind `json:"kind"`
	Key  string          `json:"key"`
	// Title and Time are those of a commit, and of the commit by which a change
	// entered; "" where the repository does not have it.
	Title string `json:"title,omitempty"`
	Time  string `json:"time,omitempty"`
	// Hub says that nearly everything touches nodes of this kind.
	Hub bool `json:"hub"`
}

// TraceWalk is a lineage in one direction, nearest first.
type TraceWalk struct {
	Steps []TraceStep `json:"steps"`
	Links int         `json:"links"`
	// More counts the links that a limit kept back; AtLeast says that not all of
	// those were counted.
	More    int  `json:"more"`
	AtLeast bool `json:"more_at_least"`
}

// TraceStep is a node with the links that go on from it.
type TraceStep struct {
	Node    string      `json:"node"` // id
	Depth   int         `json:"depth"`
	Links   []TraceLink `json:"links"`
	More    int         `json:"more"`
	AtLeast bool        `json:"more_at_least"`
}

// TraceLink leads from the node of a step to the next.
type TraceLink struct {
	Kind  stemma.EdgeKind `json:"kind"`
	Node  string          `json:"node"` // id of the cause, or in effects of the effect
	Facts []TraceFact     `json:"facts"`
	// Ends says why the lineage is not followed from here: "hub", "replaced",
	// "shown" where another link leads there first, or "".
	Ends string `json:"ends,omitempty"`
}

// TraceFact is what one source says of a link.
type TraceFact struct {
	Source    string          `json:"source"`
	Strength  stemma.Strength `json:"strength"`
	Scopes    int             `json:"scopes"` // how many commits, changes, ... it was derived for
	Lines     *Lines          `json:"lines"`  // of WRITTEN_BY; else null
	Candidate int             `json:"candidate_lines"`
}

// The reasons for which a lineage is not followed from a node.
const (
	EndsHub      = "hub"
	EndsReplaced = "replaced"
	EndsShown    = "shown"
)

// Follow gives the lineage of a node. The error is of kind ErrNotFound where
// the graph has no such node. Repo may be nil: then nothing has a title.
func Follow(ctx context.Context, g Graph, q TraceQuery) (Trace, error) {
	found, err := g.Store.Node(ctx, q.From)
	if err != nil {
		return Trace{}, fmt.Errorf("trace %s: %w", Path(q.From.String()), err)
	}
	if !found {
		return Trace{}, fmt.Errorf("trace: the index has no %s: %w", Path(q.From.String()), stemma.ErrNotFound)
	}
	t := &tracing{Graph: g, q: q, named: make(map[stemma.NodeID]bool)}
	t.out = Trace{From: Path(q.From.String()), Nodes: []TraceNode{}}
	if err := t.name(ctx, q.From); err != nil {
		return Trace{}, err
	}
	for _, direction := range []struct {
		wanted  bool
		effects bool
		to      **TraceWalk
	}{{q.Causes, false, &t.out.Causes}, {q.Effects, true, &t.out.Effects}} {
		if !direction.wanted {
			continue
		}
		if *direction.to, err = t.walk(ctx, direction.effects); err != nil {
			return Trace{}, fmt.Errorf("trace %s: %w", t.out.From, err)
		}
	}
	return t.out, nil
}

type tracing struct {
	Graph
	q     TraceQuery
	out   Trace
	named map[stemma.NodeID]bool
}

func (t *tracing) walk(ctx context.Context, effects bool) (*TraceWalk, error) {
	q := store.WalkQuery{
		From: []stemma.NodeID{t.q.From}, Effects: effects, Edges: t.q.Edges, Nodes: t.q.Nodes,
		Depth: t.q.Depth, Fan: t.q.Fan, Limit: t.q.Limit,
	}
	for _, kind := range stemma.NodeKinds() {
		if kind.Hub() && !slices.Contains(t.q.Through, kind) {
			q.Ends = append(q.Ends, kind)
		}
	}
	if !t.q.Replaced {
		q.EndEdges = []stemma.EdgeKind{stemma.EdgeReplaced}
	}
	out := &TraceWalk{Steps: []TraceStep{}}
	followed := map[stemma.NodeID]bool{t.q.From: true}
	for s, err := range t.Store.Walk(ctx, q) {
		if err != nil {
			return nil, err
		}
		step := TraceStep{Node: Path(s.Node.String()), Depth: s.Depth, Links: []TraceLink{}, More: s.More, AtLeast: s.AtLeast}
		for _, l := range s.Links {
			if err := t.name(ctx, l.Node); err != nil {
				return nil, err
			}
			link := TraceLink{Kind: l.Kind, Node: Path(l.Node.String()), Facts: traceFacts(l)}
			switch {
			case slices.Contains(q.Ends, l.Node.Kind):
				link.Ends = EndsHub
			case slices.Contains(q.EndEdges, l.Kind):
				link.Ends = EndsReplaced
			case followed[l.Node]:
				link.Ends = EndsShown
			default:
				followed[l.Node] = true
			}
			step.Links = append(step.Links, link)
		}
		out.Links += len(step.Links)
		out.More += s.More
		out.AtLeast = out.AtLeast || s.AtLeast
		out.Steps = append(out.Steps, step)
	}
	return out, nil
}

// traceFacts gives the facts of a link, the strongest first.
func traceFacts(l store.Link) []TraceFact {
	facts := slices.Clone(l.Facts)
	tiers := []stemma.Tier{stemma.TierAttested, stemma.TierObserved, stemma.TierClaimed}
	slices.SortStableFunc(facts, func(a, b store.Fact) int {
		return cmp.Or(cmp.Compare(slices.Index(tiers, a.Strength.Tier), slices.Index(tiers, b.Strength.Tier)),
			cmp.Compare(b.Strength.Confidence, a.Strength.Confidence))
	})
	out := make([]TraceFact, len(facts))
	for i, f := range facts {
		out[i] = TraceFact{Source: f.Source, Strength: f.Strength, Scopes: f.Scopes, Candidate: f.Candidate}
		if l.Kind == stemma.EdgeWrittenBy {
			sum := lines(f.Lines)
			out[i].Lines = &sum
		}
	}
	return out
}

// name adds a node to those that the lineage names.
func (t *tracing) name(ctx context.Context, id stemma.NodeID) error {
	if t.named[id] {
		return nil
	}
	t.named[id] = true
	n := TraceNode{ID: Path(id.String()), Kind: id.Kind, Key: Path(id.Key), Hub: id.Kind.Hub()}
	if oid := commitOf(id); oid != "" && t.Repo != nil {
		c, err := t.Repo.Commit(ctx, oid)
		switch {
		case errors.Is(err, stemma.ErrNotFound), errors.Is(err, stemma.ErrInvalid):
			// It may be of another repository, or gone: the lineage stands.
		case err != nil:
			return err
		default:
			n.Title, n.Time = Title(c.Message), Time(c.Committer.Time)
		}
	}
	t.out.Nodes = append(t.out.Nodes, n)
	return nil
}

// commitOf is the commit that gives a node its title, or "".
func commitOf(id stemma.NodeID) string {
	switch id.Kind {
	case stemma.KindCommit:
		return id.Key
	case stemma.KindChange:
		if i := strings.LastIndexByte(id.Key, '@'); i >= 0 {
			return id.Key[i+1:]
		}
	}
	return ""
}

// FindNodes gives the nodes of a kind whose key begins with a prefix, by key,
// but not more than most; 0 is no limit.
func FindNodes(ctx context.Context, g Graph, kind stemma.NodeKind, prefix string, most int) (found []stemma.NodeID, err error) {
	for id, err := range g.Store.Nodes(ctx, kind, prefix) {
		if err != nil {
			return nil, fmt.Errorf("find %ss: %w", kind, err)
		}
		if found = append(found, id); len(found) == most {
			break
		}
	}
	return found, nil
}

// FindSessions gives the sessions whose key (agent/id), or whose id alone,
// begins with a prefix, by key, but not more than most; 0 is no limit.
func FindSessions(ctx context.Context, g Graph, prefix string, most int) ([]stemma.NodeID, error) {
	found, err := FindNodes(ctx, g, stemma.KindSession, prefix, most)
	if err != nil {
		return nil, err
	}
	// A session's key begins with its agent, so that a few ranges hold all.
	agents, err := FindNodes(ctx, g, stemma.KindAgent, "", 0)
	if err != nil {
		return nil, err
	}
	for _, a := range agents {
		more, err := FindNodes(ctx, g, stemma.KindSession, stemma.SessionID(a.Key, prefix).Key, most)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	slices.SortFunc(found, stemma.NodeID.Compare)
	found = slices.Compact(found)
	if most > 0 {
		found = found[:min(most, len(found))]
	}
	return found, nil
}
