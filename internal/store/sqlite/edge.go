package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// edgeChunk is how many nodes are asked for their edges at once.
const edgeChunk = 1000

// Edges gives the edges that q asks for. Asked by From, or for everything, it
// holds the edges of edgeChunk nodes at a time; asked by To or Scope it holds
// all that it gives, to put them in order.
func (s *Store) Edges(ctx context.Context, q store.EdgeQuery) iter.Seq2[stemma.Edge, error] {
	return sequence(ctx, s, "read edges", func(v *view, yield func(stemma.Edge) bool) error {
		e := &edgeReader{v: v, yield: yield}
		if done, err := e.narrow(q); done || err != nil {
			return err
		}
		switch {
		case e.from != nil && (e.to == nil || len(e.from) <= len(e.to)):
			return e.byFrom()
		case e.to != nil:
			return e.by(edgesTo, e.to)
		case e.scope != nil:
			return e.byScope()
		default:
			return e.all()
		}
	})
}

// edgeReader is one query for edges. The filters hold what the file has of what
// was asked for; nil is no filter.
type edgeReader struct {
	v               *view
	yield           func(stemma.Edge) bool
	from, to, scope []int64 // from in the order of the names
	kinds           []int64

	// The same as sets, made once: a query may name many thousand nodes.
	inFrom, inTo, inScope, inKinds filter

	stopped bool
	batch   []rawEdge
}

// rawEdge is an edge as it is stored.
type rawEdge struct {
	src, kind, dst, scope, origin int64
	confidence                    float64
	counts                        []byte
}

// narrow turns names into numbers. It is done when nothing can match.
func (e *edgeReader) narrow(q store.EdgeQuery) (done bool, err error) {
	if e.v.org == 0 {
		return true, nil
	}
	for _, part := range []struct {
		names []stemma.NodeID
		ids   *[]int64
	}{{q.From, &e.from}, {q.To, &e.to}, {q.Scope, &e.scope}} {
		if part.names == nil {
			continue
		}
		nodes, err := e.v.findNodes(part.names)
		if err != nil || len(nodes) == 0 {
			return true, err
		}
		for i := range nodes {
			*part.ids = append(*part.ids, nodes[i].id)
		}
	}
	for _, kind := range q.Kinds {
		if id, ok := e.v.words.id[wordEdge+string(kind)]; ok {
			e.kinds = append(e.kinds, id)
		}
	}
	e.inFrom, e.inTo, e.inScope, e.inKinds = set(e.from), set(e.to), set(e.scope), set(e.kinds)
	return q.Kinds != nil && len(e.kinds) == 0, nil
}

func (e *edgeReader) byFrom() error {
	for chunk := range slices.Chunk(e.from, edgeChunk) {
		if err := e.gather(edgesFrom, chunk); err != nil {
			return err
		}
		if err := e.give(); err != nil || e.stopped {
			return err
		}
	}
	return nil
}

func (e *edgeReader) by(at edgesAt, ids []int64) error {
	for chunk := range slices.Chunk(ids, edgeChunk) {
		if err := e.gather(at, chunk); err != nil {
			return err
		}
	}
	return e.give()
}

// byScope looks in the two trees that have the edges of a scope between them.
func (e *edgeReader) byScope() error {
	for chunk := range slices.Chunk(e.scope, edgeChunk) {
		if err := e.gather(edgesOwn, chunk); err != nil {
			return err
		}
		if err := e.gather(edgesOther, chunk); err != nil {
			return err
		}
	}
	return e.give()
}

// all goes through the nodes in their order and gives the edges from each.
func (e *edgeReader) all() error {
	type kind struct {
		name string
		id   int64
	}
	var kinds []kind
	for text, id := range e.v.words.id {
		if strings.HasPrefix(text, wordNode) {
			kinds = append(kinds, kind{text, id})
		}
	}
	slices.SortFunc(kinds, func(a, b kind) int { return strings.Compare(a.name, b.name) })
	for _, kind := range kinds {
		if err := e.allOfKind(kind.id); err != nil || e.stopped {
			return err
		}
	}
	return nil
}

func (e *edgeReader) allOfKind(kind int64) error {
	var chunk []int64
	var id int64
	give := func() error {
		if err := e.gather(edgesFrom, chunk); err != nil {
			return err
		}
		chunk = chunk[:0]
		if err := e.give(); err != nil {
			return err
		}
		if e.stopped {
			return errStop
		}
		return nil
	}
	err := e.v.each(`
		SELECT id
		FROM node INDEXED BY node_by_key
		WHERE org = ? AND kind = ?
		ORDER BY key`,
		[]any{e.v.org, kind}, []any{&id}, func() error {
			if chunk = append(chunk, id); len(chunk) < edgeChunk {
				return nil
			}
			return give()
		})
	if err != nil || e.stopped || len(chunk) == 0 {
		return err
	}
	if err := give(); err != nil && !e.stopped {
		return err
	}
	return nil
}

// edgesAt says which edges of the nodes j are meant, and where to find them.
type edgesAt struct{ index, where string }

var (
	edgesFrom  = edgesAt{"", "e.src = j.value"}
	edgesTo    = edgesAt{"INDEXED BY edge_by_dst", "e.dst = j.value"}
	edgesOwn   = edgesAt{"", "e.src = j.value AND e.scope = e.src"}
	edgesOther = edgesAt{"INDEXED BY edge_by_scope", "e.scope = j.value AND e.scope <> e.src"}
)

// gather adds the edges at these nodes to the batch, as far as the filters let
// them through.
func (e *edgeReader) gather(at edgesAt, ids []int64) error {
	var r rawEdge
	var counts sql.RawBytes
	return e.v.each(`
		SELECT e.src, e.kind, e.dst, e.scope, e.origin, e.confidence, e.counts
		FROM json_each(?) AS j
		CROSS JOIN edge AS e `+at.index+`
		ON e.org = ? AND `+at.where,
		[]any{jsonIDs(ids), e.v.org},
		[]any{&r.src, &r.kind, &r.dst, &r.scope, &r.origin, &r.confidence, &counts}, func() error {
			if !e.inKinds.has(r.kind) || !e.inFrom.has(r.src) || !e.inTo.has(r.dst) || !e.inScope.has(r.scope) {
				return nil
			}
			r.counts = nil
			if len(counts) > 0 {
				r.counts = slices.Clone(counts)
			}
			e.batch = append(e.batch, r)
			return nil
		})
}

// give names the edges of the batch, and yields them in order.
func (e *edgeReader) give() error {
	batch := e.batch
	e.batch = e.batch[:0]
	edges := make([]stemma.Edge, 0, len(batch))
	ids := make([]int64, 0, 3*edgeChunk)
	for chunk := range slices.Chunk(batch, edgeChunk) {
		ids = ids[:0]
		for i := range chunk {
			ids = append(ids, chunk[i].src, chunk[i].dst, chunk[i].scope)
		}
		if err := e.v.needNodes(ids); err != nil {
			return err
		}
		for i := range chunk {
			edge, err := e.edge(&chunk[i])
			if err != nil {
				return err
			}
			edges = append(edges, edge)
		}
	}
	slices.SortFunc(edges, store.CompareEdges)
	for i := range edges {
		if !e.yield(edges[i]) {
			e.stopped = true
			return nil
		}
	}
	return nil
}

func (e *edgeReader) edge(r *rawEdge) (stemma.Edge, error) {
	kind, err := e.v.words.find(r.kind, wordEdge)
	if err != nil {
		return stemma.Edge{}, err
	}
	o, ok := e.v.words.origins[r.origin]
	if !ok {
		return stemma.Edge{}, fmt.Errorf("word %d is missing: %w", r.origin, stemma.ErrInvalid)
	}
	if !(r.confidence >= 0 && r.confidence <= 1) {
		return stemma.Edge{}, fmt.Errorf("confidence %v of an edge is not between 0 and 1: %w", r.confidence, stemma.ErrInvalid)
	}
	edge := stemma.Edge{
		From: e.v.nodes[r.src], Kind: stemma.EdgeKind(kind), To: e.v.nodes[r.dst], Scope: e.v.nodes[r.scope],
		Source:   o.Source,
		Strength: stemma.Strength{Tier: o.Tier, Assertion: o.Assertion, Method: o.Method, Confidence: r.confidence},
	}
	l := &edge.Lines
	err = store.UnpackCounts(r.counts, &l.AI, &l.AIEdited, &l.Human, &l.Generated, &l.Unknown, &edge.Candidate)
	return edge, err
}

// A filter is a set of ids; nil has every id.
type filter map[int64]bool

func set(ids []int64) filter {
	if ids == nil {
		return nil
	}
	f := make(filter, len(ids))
	for _, id := range ids {
		f[id] = true
	}
	return f
}

func (f filter) has(id int64) bool { return f == nil || f[id] }
