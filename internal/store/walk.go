package store

import (
	"cmp"
	"slices"

	"github.com/stemma-dev/stemma"
)

// WalkQuery asks for a walk over the graph. It never goes in circles: a node is
// left once, at its smallest distance.
type WalkQuery struct {
	// From is where the walk begins; what does not exist is passed over.
	From []stemma.NodeID
	// Effects walks against the edges, to what came of From. Without it the walk
	// goes along them, to where From comes from.
	Effects bool
	// Edges are the kinds of edge that are walked; nil is every kind, empty is
	// none.
	Edges []stemma.EdgeKind
	// Nodes are the kinds of node that are met; nil is every kind, empty is
	// none. From may be of any kind.
	Nodes []stemma.NodeKind
	// Ends are kinds of node that are met and not left, unless they are in From.
	Ends []stemma.NodeKind
	// EndEdges are kinds of edge whose far end is not left, unless it is in From
	// or another edge leads there too.
	EndEdges []stemma.EdgeKind
	// Depth is how many links away from From nodes are met; 0 is no limit.
	Depth int
	// Fan is how many links of one node are given, the first in their order; 0
	// is no limit.
	Fan int
	// Limit is how many links are given in all, the nearest; 0 is no limit.
	Limit int
}

// WideNode is how many links of one node are put into order or counted where a
// limit keeps some of them back, or as many as Fan and Limit let through if that
// is more. Of a node with more, those given are any of them, though the same
// each time while the graph stays as it is, and the rest is not counted to its
// end.
const WideNode = 1000

// WalkStep is one node that a walk leaves, or would have left but for a limit.
// Nodes at which a walk ends for another reason are the far ends of links only.
type WalkStep struct {
	Node  stemma.NodeID
	Depth int // how many links away from the nearest of From; 0 of From itself
	// Links are those that go on from Node, by kind and then far end. One that
	// leads to a node met before is given too.
	Links []Link
	// More counts the links that Depth, Fan or Limit kept back.
	More int
	// AtLeast says that there may be more than More, which were not counted.
	AtLeast bool
}

// Link joins the node of a step to the next by all edges of one kind between
// them.
type Link struct {
	Kind stemma.EdgeKind
	Node stemma.NodeID // the far end: the cause, or the effect of a walk to effects
	// Facts are what the edges say, each source and strength once, in the order
	// of CompareFacts; never empty.
	Facts []Fact
}

// Fact is what one source says of a link with one strength.
type Fact struct {
	Source   string
	Strength stemma.Strength
	// Scopes counts the scopes the fact was derived for. Lines and Candidate are
	// the sums of their edges'.
	Scopes    int
	Lines     stemma.Lines
	Candidate int
}

// CompareFacts orders facts of one link by source, tier, assertion and method,
// bytewise, then confidence.
func CompareFacts(a, b Fact) int {
	return cmp.Or(
		cmp.Compare(a.Source, b.Source), cmp.Compare(a.Strength.Tier, b.Strength.Tier),
		cmp.Compare(a.Strength.Assertion, b.Strength.Assertion), cmp.Compare(a.Strength.Method, b.Strength.Method),
		cmp.Compare(a.Strength.Confidence, b.Strength.Confidence),
	)
}

// AddFact adds what one edge says to the facts of its link, in no order:
// backends sort by CompareFacts when all are in.
func AddFact(facts []Fact, f Fact) []Fact {
	i := slices.IndexFunc(facts, func(g Fact) bool { return g.Source == f.Source && g.Strength == f.Strength })
	if i < 0 {
		return append(facts, f)
	}
	facts[i].Scopes += f.Scopes
	facts[i].Lines = facts[i].Lines.Plus(f.Lines)
	facts[i].Candidate += f.Candidate
	return facts
}
