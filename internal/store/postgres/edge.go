package postgres

import (
	"context"
	"fmt"
	"iter"
	"slices"

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

// edgeReader is one query for edges. The filters hold what the graph has of what
// was asked for; nil is no filter.
type edgeReader struct {
	v               *view
	yield           func(stemma.Edge) bool
	from, to, scope []int64 // from in the order of the names
	kinds           []int64

	// The same as sets, made once: a query may name many thousand nodes.
	inFrom, inTo, inScope filter

	batch []rawEdge
}

// rawEdge is an edge as it is stored.
type rawEdge struct {
	src, kind, dst, scope, origin int64
	confidence                    float64
	counts                        counts
}

// counts are the columns of an edge that are NULL for 0.
type counts struct{ ai, aiEdited, human, generated, unknown, candidate *int64 }

func (c *counts) columns() []any {
	return []any{&c.ai, &c.aiEdited, &c.human, &c.generated, &c.unknown, &c.candidate}
}

func (c *counts) lines() (l stemma.Lines, candidate int) {
	for _, column := range []struct {
		from *int64
		to   *int
	}{
		{c.ai, &l.AI},
		{c.aiEdited, &l.AIEdited},
		{c.human, &l.Human},
		{c.generated, &l.Generated},
		{c.unknown, &l.Unknown},
		{c.candidate, &candidate},
	} {
		if column.from != nil {
			*column.to = int(*column.from)
		}
	}
	return l, candidate
}

// narrow turns names into numbers. It is done when nothing can match.
func (e *edgeReader) narrow(q store.EdgeQuery) (done bool, err error) {
	if !e.v.known {
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
	e.inFrom, e.inTo, e.inScope = set(e.from), set(e.to), set(e.scope)
	e.kinds = wordsOf(e.v.words, wordEdge, q.Kinds)
	return e.kinds != nil && len(e.kinds) == 0, nil
}

func (e *edgeReader) byFrom() error {
	for chunk := range slices.Chunk(e.from, edgeChunk) {
		if err := e.gather(edgesFrom, chunk); err != nil {
			return err
		}
		if err := e.give(); err != nil {
			return err
		}
	}
	return nil
}

func (e *edgeReader) by(query string, ids []int64) error {
	for chunk := range slices.Chunk(ids, edgeChunk) {
		if err := e.gather(query, chunk); err != nil {
			return err
		}
	}
	return e.give()
}

// byScope looks in the two indexes that have the edges of a scope between them.
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
	kinds := stemma.NodeKinds()
	slices.Sort(kinds)
	for _, kind := range kinds {
		var chunk []int64
		give := func(n found) bool {
			chunk = append(chunk, n.id)
			return true
		}
		order := inOrder[found]{give: give}
		flush := func() error {
			if err := e.gather(edgesFrom, chunk); err != nil {
				return err
			}
			chunk = chunk[:0]
			return e.give()
		}
		err := e.v.nodesOfKind(kind, "", func(page []found) error {
			for _, n := range page {
				order.add("", n.name.Key, n)
				if len(chunk) >= edgeChunk {
					if err := flush(); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		order.flush()
		if err := flush(); err != nil {
			return err
		}
	}
	return nil
}

// The edges at some nodes, by where the nodes stand.
const (
	edgesFrom = `
		SELECT e.src, e.kind, e.dst, e.scope, e.origin, e.confidence, e.ai, e.ai_edited, e.human, e.generated, e.unknown, e.candidate
		FROM unnest($2::bigint[]) AS s (id)
		CROSS JOIN LATERAL (
			SELECT src, kind, dst, scope, origin, confidence, ai, ai_edited, human, generated, unknown, candidate
			FROM stemma_graph.edge
			WHERE org = $1 AND src = s.id AND ($3::integer[] IS NULL OR kind = ANY($3))
			OFFSET 0
		) AS e`
	edgesTo = `
		SELECT e.src, e.kind, e.dst, e.scope, e.origin, e.confidence, e.ai, e.ai_edited, e.human, e.generated, e.unknown, e.candidate
		FROM unnest($2::bigint[]) AS s (id)
		CROSS JOIN LATERAL (
			SELECT src, kind, dst, scope, origin, confidence, ai, ai_edited, human, generated, unknown, candidate
			FROM stemma_graph.edge
			WHERE org = $1 AND dst = s.id AND ($3::integer[] IS NULL OR kind = ANY($3))
			OFFSET 0
		) AS e`
	edgesOwn = `
		SELECT e.src, e.kind, e.dst, e.scope, e.origin, e.confidence, e.ai, e.ai_edited, e.human, e.generated, e.unknown, e.candidate
		FROM unnest($2::bigint[]) AS s (id)
		CROSS JOIN LATERAL (
			SELECT src, kind, dst, scope, origin, confidence, ai, ai_edited, human, generated, unknown, candidate
			FROM stemma_graph.edge
			WHERE org = $1 AND src = s.id AND scope = s.id AND ($3::integer[] IS NULL OR kind = ANY($3))
			OFFSET 0
		) AS e`
	edgesOther = `
		SELECT e.src, e.kind, e.dst, e.scope, e.origin, e.confidence, e.ai, e.ai_edited, e.human, e.generated, e.unknown, e.candidate
		FROM unnest($2::bigint[]) AS s (id)
		CROSS JOIN LATERAL (
			SELECT src, kind, dst, scope, origin, confidence, ai, ai_edited, human, generated, unknown, candidate
			FROM stemma_graph.edge
			WHERE org = $1 AND scope = s.id AND scope <> src AND ($3::integer[] IS NULL OR kind = ANY($3))
			OFFSET 0
		) AS e`
)

// gather adds the edges at these nodes to the batch, as far as the filters let
// them through.
func (e *edgeReader) gather(query string, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	var r rawEdge
	dest := append([]any{&r.src, &r.kind, &r.dst, &r.scope, &r.origin, &r.confidence}, r.counts.columns()...)
	return e.v.each(query, []any{e.v.org, ids, e.kinds}, dest, func() error {
		if e.inFrom.has(r.src) && e.inTo.has(r.dst) && e.inScope.has(r.scope) {
			e.batch = append(e.batch, r)
		}
		return nil
	})
}

// give names the edges of the batch, and yields them in order.
func (e *edgeReader) give() error {
	edges := make([]stemma.Edge, 0, len(e.batch))
	ids := make([]int64, 0, 3*edgeChunk)
	for chunk := range slices.Chunk(e.batch, edgeChunk) {
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
	e.batch = e.batch[:0]
	slices.SortFunc(edges, store.CompareEdges)
	for i := range edges {
		if !e.yield(edges[i]) {
			return errStop
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
	edge := stemma.Edge{
		From: e.v.nodes[r.src], Kind: stemma.EdgeKind(kind), To: e.v.nodes[r.dst], Scope: e.v.nodes[r.scope],
		Source:   o.Source,
		Strength: stemma.Strength{Tier: o.Tier, Assertion: o.Assertion, Method: o.Method, Confidence: r.confidence},
	}
	edge.Lines, edge.Candidate = r.counts.lines()
	return edge, nil
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
