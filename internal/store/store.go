// Package store answers where facts are kept: it is the contract that each
// backend fulfils, in a few verbs over nodes, edges and attribution rows, and
// over envelopes. Begin with [Store]; the suite in storetest is the contract in
// code.
//
// It keeps two things apart, each in a place of its own: the graph ([Store]:
// droppable, and rebuilt from the evidence and git) and the evidence ([Evidence]:
// signed envelopes, the truth, append-only).
// It knows nothing of what the facts mean: package project makes them, package
// lineage asks for them.
package store

import (
	"context"
	"iter"

	"github.com/stemma-dev/stemma"
)

// Store keeps the facts of one organisation: every key, unique constraint and
// index leads with it. All methods may be called at once, also from several
// processes on one store. An error is of one of the kinds of package stemma or
// internal, and never shows the backend's own error types.
//
// What a method gives as a sequence is the store as it was when the loop began.
// The loop may be left at any time, and its body may call any method, Put and
// the same one included. After an error a sequence ends.
type Store interface {
	// Put stores the batch, all of it or nothing; when it returns nil, it is as
	// durable as something that can be made again. Putting the same batch again
	// changes nothing. A batch that is ErrInvalid, or whose context ends while it
	// is written, stores nothing at all.
	Put(context.Context, Batch) error

	// Marks gives all marks, by name; an empty map where there are none.
	Marks(context.Context) (map[string]string, error)

	// Node reports whether the node exists.
	Node(context.Context, stemma.NodeID) (bool, error)

	// Nodes gives the nodes of one kind whose key begins with prefix, by key,
	// bytewise.
	Nodes(ctx context.Context, kind stemma.NodeKind, prefix string) iter.Seq2[stemma.NodeID, error]

	// Edges gives the edges that the query asks for, ordered by From, Kind, To,
	// Scope, Source; a scope has at most one edge for each of these.
	Edges(context.Context, EdgeQuery) iter.Seq2[stemma.Edge, error]

	// Walk gives the nodes that a walk leaves, nearest first, each once: at every
	// distance in the order in which the steps before have named them.
	Walk(context.Context, WalkQuery) iter.Seq2[WalkStep, error]

	// Attributions gives the rows of these commits, each once, in no stated
	// order. A commit without a row is left out.
	Attributions(ctx context.Context, commits []string) iter.Seq2[stemma.Attribution, error]

	// AllAttributions gives every row, ordered by commit.
	AllAttributions(context.Context) iter.Seq2[stemma.Attribution, error]

	// Tallies gives tallies, newest first, then by node key.
	Tallies(context.Context, TallyQuery) iter.Seq2[Tally, error]

	// Paths gives every path that an attribution row names, each once, in no
	// stated order.
	Paths(context.Context) iter.Seq2[string, error]

	// CommitsTouching gives the commits whose attribution row names one of the
	// paths or a path below it ("" is every path; "src/" is what is below src),
	// each once, in no stated order.
	CommitsTouching(ctx context.Context, paths []string) iter.Seq2[string, error]

	// ScopesByKey gives the scopes that have one of the keys, each pair once, in
	// no stated order.
	ScopesByKey(ctx context.Context, keys []string) iter.Seq2[KeyedScope, error]

	// Since gives the scopes that were put since a moment which Since gave before,
	// also by other handles. Of "" and of what is no moment nothing is known.
	Since(ctx context.Context, moment string) (Changes, error)

	// DropGraph removes everything. The graph is empty afterwards and can be
	// filled again.
	DropGraph(context.Context) error

	Close() error
}

// Locker is what a store has on which several machines work: locks of its
// organisation, by name, that hold between all of them.
type Locker interface {
	// Lock waits for the lock, and calls waiting once where another process has
	// it; nil is nobody. It ends when it is released, and when its process dies
	// or loses the store; so that it keeps apart work that would be done twice,
	// and nothing that would break.
	Lock(ctx context.Context, name string, waiting func()) (release func(), err error)
}

// Checker is what a store has that can lose its shape: a file whose trees and
// indexes say different things.
type Checker interface {
	// Check reads all of it, and is ErrInvalid where it does not hold together.
	Check(context.Context) error
}

// Batch is what one Put stores.
type Batch struct {
	// Scopes replace all that was derived for them before. Of a scope that is
	// given twice the last counts.
	Scopes []Scope
	// Marks are set; a mark with an empty value is removed.
	Marks map[string]string
}

// Scope is everything that was derived for one node: a commit, a change, a ref.
// A node exists as long as it is the ID of a scope that is not Gone, or an edge
// that touches it does.
type Scope struct {
	ID stemma.NodeID
	// Gone says that the scope is to be removed with all that was derived for it.
	Gone bool
	// Edges have this scope; Put sets their Scope field itself, in its own copy.
	// An edge that is given twice is one edge; twice with different values is
	// ErrInvalid, and so is an edge whose kind cannot join its ends.
	Edges []stemma.Edge
	// Keys are what evidence that comes late finds this scope by: a patch id, a
	// blob, a checkpoint. They are opaque and not empty; one that is given twice
	// is one key. They make no node, and no dump shows them.
	Keys []string
	// Attribution is the row of a commit; nil where there is none.
	Attribution *stemma.Attribution
	// Tally is the count of a commit or a change; nil where there is none. Its
	// Node is ID, or zero and then set by Put.
	Tally *Tally
}

// KeyedScope is a scope that has a key.
type KeyedScope struct {
	Key string
	ID  stemma.NodeID
}

// Tally counts the lines of one commit or change at a time, so that a listing
// needs no rows.
type Tally struct {
	Node  stemma.NodeID
	Group string // key of the repository
	Time  int64  // UTC seconds since 1970
	Merge bool
	Lines stemma.Lines
	// Candidate counts the unknown lines that a session is known to have taken
	// part in.
	Candidate int
	// Sessions counts the sessions with lines or as candidates.
	Sessions int
	// Unreadable says that the lines could not be read, so that Lines is short.
	Unreadable bool
}

// EdgeQuery asks for edges. Every field that is set narrows; a query with no
// field set gives all edges. A field that is empty and not nil matches nothing.
type EdgeQuery struct {
	From  []stemma.NodeID
	To    []stemma.NodeID
	Scope []stemma.NodeID
	Kinds []stemma.EdgeKind
}

// TallyQuery asks for tallies of one kind of node.
type TallyQuery struct {
	Kind         stemma.NodeKind // commit or change
	Group        string          // "" is every repository
	Since, Until int64           // UTC seconds, inclusive; 0 is open
	Nodes        []stemma.NodeID // nil is every node; empty is none
	MinAI        float64         // at least this share (0 to 1) of Written is ai or ai-edited
	Class        stemma.Class    // at least one line of this class; "" is any
	Limit        int             // 0 is no limit
}
