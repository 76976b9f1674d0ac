package postgres

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// walkChunk is how many nodes are asked for their links at once. The first of a
// walk that was limited is soon given, and a walk far out asks few times.
const walkChunk = 64

// Walk gives the steps of a walk. It asks by frontier: all links of some nodes
// of one distance in one question, those of each node cut off where the limits
// are, so that a node with a million links costs no more than is given of it.
func (s *Store) Walk(ctx context.Context, q store.WalkQuery) iter.Seq2[store.WalkStep, error] {
	return sequence(ctx, s, "walk", func(v *view, yield func(store.WalkStep) bool) error {
		if !v.known {
			return nil
		}
		w := &walker{
			v: v, q: q, yield: yield, left: make(map[int64]bool),
			kinds: wordsOf(v.words, wordEdge, q.Edges), nodes: wordsOf(v.words, wordNode, q.Nodes),
		}
		return w.run()
	})
}

// walker is one walk.
type walker struct {
	v     *view
	q     store.WalkQuery
	yield func(store.WalkStep) bool

	kinds, nodes []int64 // of edges and nodes, by word; nil is all

	left  map[int64]bool // nodes that are left, or will be
	given int            // links
}

// rawLink is a link as it is stored.
type rawLink struct {
	kind, node int64
	facts      []store.Fact
}

// The links of some nodes, each node's own up to a limit; $5 is NULL for all of
// them. A link is a kind and a far end, whatever the number of its edges, and
// has a row for each origin and confidence of these.
const (
	linksToCauses = `
		SELECT s.id, l.kind, l.node, f.origin, f.confidence, f.scopes,
			f.ai, f.ai_edited, f.human, f.generated, f.unknown, f.candidate
		FROM unnest($2::bigint[]) AS s (id)
		CROSS JOIN LATERAL (
			SELECT DISTINCT e.kind, e.dst AS node
			FROM stemma_graph.edge AS e
			WHERE e.org = $1 AND e.src = s.id AND ($3::integer[] IS NULL OR e.kind = ANY($3))
			AND ($4::integer[] IS NULL OR EXISTS (
				SELECT FROM stemma_graph.node AS n WHERE n.org = $1 AND n.id = e.dst AND n.kind = ANY($4)))
			ORDER BY e.kind, e.dst
			LIMIT $5
		) AS l
		CROSS JOIN LATERAL (
			SELECT e.origin, e.confidence, count(*) AS scopes,
				sum(e.ai)::bigint AS ai, sum(e.ai_edited)::bigint AS ai_edited, sum(e.human)::bigint AS human,
				sum(e.generated)::bigint AS generated, sum(e.unknown)::bigint AS unknown, sum(e.candidate)::bigint AS candidate
			FROM stemma_graph.edge AS e
			WHERE e.org = $1 AND e.src = s.id AND e.kind = l.kind AND e.dst = l.node
			GROUP BY e.origin, e.confidence
		) AS f`
	linksToEffects = `
		SELECT s.id, l.kind, l.node, f.origin, f.confidence, f.scopes,
			f.ai, f.ai_edited, f.human, f.generated, f.unknown, f.candidate
		FROM unnest($2::bigint[]) AS s (id)
		CROSS JOIN LATERAL (
			SELECT DISTINCT e.src AS node, e.kind
			FROM stemma_graph.edge AS e
			WHERE e.org = $1 AND e.dst = s.id AND ($3::integer[] IS NULL OR e.kind = ANY($3))
			AND ($4::integer[] IS NULL OR EXISTS (
				SELECT FROM stemma_graph.node AS n WHERE n.org = $1 AND n.id = e.src AND n.kind = ANY($4)))
			ORDER BY e.src, e.kind
			LIMIT $5
		) AS l
		CROSS JOIN LATERAL (
			SELECT e.origin, e.confidence, count(*) AS scopes,
				sum(e.ai)::bigint AS ai, sum(e.ai_edited)::bigint AS ai_edited, sum(e.human)::bigint AS human,
				sum(e.generated)::bigint AS generated, sum(e.unknown)::bigint AS unknown, sum(e.candidate)::bigint AS candidate
			FROM stemma_graph.edge AS e
			WHERE e.org = $1 AND e.src = l.node AND e.kind = l.kind AND e.dst = s.id
			GROUP BY e.origin, e.confidence
		) AS f`
	countToCauses = `
		SELECT s.id, count(*)
		FROM unnest($2::bigint[]) AS s (id)
		CROSS JOIN LATERAL (
			SELECT DISTINCT e.kind, e.dst
			FROM stemma_graph.edge AS e
			WHERE e.org = $1 AND e.src = s.id AND ($3::integer[] IS NULL OR e.kind = ANY($3))
			AND ($4::integer[] IS NULL OR EXISTS (
				SELECT FROM stemma_graph.node AS n WHERE n.org = $1 AND n.id = e.dst AND n.kind = ANY($4)))
			ORDER BY e.kind, e.dst
			LIMIT $5
		) AS l
		GROUP BY s.id`
	countToEffects = `
		SELECT s.id, count(*)
		FROM unnest($2::bigint[]) AS s (id)
		CROSS JOIN LATERAL (
			SELECT DISTINCT e.src, e.kind
			FROM stemma_graph.edge AS e
			WHERE e.org = $1 AND e.dst = s.id AND ($3::integer[] IS NULL OR e.kind = ANY($3))
			AND ($4::integer[] IS NULL OR EXISTS (
				SELECT FROM stemma_graph.node AS n WHERE n.org = $1 AND n.id = e.src AND n.kind = ANY($4)))
			ORDER BY e.src, e.kind
			LIMIT $5
		) AS l
		GROUP BY s.id`
)

func (w *walker) run() error {
	found, err := w.v.findNodes(w.q.From)
	if err != nil {
		return err
	}
	level := make([]int64, len(found))
	for i, f := range found {
		level[i] = f.id
		w.left[f.id] = true
	}
	for depth := 0; len(level) > 0; depth++ {
		var next []int64
		for chunk := range slices.Chunk(level, walkChunk) {
			more, err := w.leave(chunk, depth)
			if err != nil {
				return err
			}
			next = append(next, more...)
		}
		level = next
	}
	return nil
}

// full reports whether the walk has given all links that it may.
func (w *walker) full() bool { return w.q.Limit > 0 && w.given >= w.q.Limit }

// leave gives the steps of some nodes of one distance, and the nodes that come
// after them.
func (w *walker) leave(ids []int64, depth int) (next []int64, err error) {
	if w.full() || w.q.Depth > 0 && depth >= w.q.Depth {
		return nil, w.end(ids, depth)
	}
	links, wide, err := w.links(ids)
	if err != nil {
		return nil, err
	}
	names := slices.Clone(ids)
	for _, of := range links {
		for i := range of {
			names = append(names, of[i].node)
		}
	}
	if err := w.v.needNodes(names); err != nil {
		return nil, err
	}
	for _, id := range ids {
		step := store.WalkStep{Node: w.v.nodes[id], Depth: depth, More: len(links[id]), AtLeast: wide[id]}
		more, err := w.give(&step, links[id])
		if err != nil {
			return nil, err
		}
		next = append(next, more...)
		if !w.yield(step) {
			return nil, errStop
		}
	}
	return next, nil
}

// end gives the steps of nodes none of whose links are given, with their number.
func (w *walker) end(ids []int64, depth int) error {
	query := countToCauses
	if w.q.Effects {
		query = countToEffects
	}
	counted := make(map[int64]int, len(ids))
	var id, n int64
	err := w.v.each(query, []any{w.v.org, ids, w.kinds, w.nodes, store.WideNode + 1}, []any{&id, &n}, func() error {
		counted[id] = int(n)
		return nil
	})
	if err != nil {
		return err
	}
	if err := w.v.needNodes(ids); err != nil {
		return err
	}
	for _, id := range ids {
		step := store.WalkStep{
			Node: w.v.nodes[id], Depth: depth,
			More: min(counted[id], store.WideNode), AtLeast: counted[id] > store.WideNode,
		}
		if !w.yield(step) {
			return errStop
		}
	}
	return nil
}

// links reads the links of some nodes, of each as many as may be given or put in
// order, and says of which there are more.
func (w *walker) links(ids []int64) (links map[int64][]rawLink, wide map[int64]bool, err error) {
	query := linksToCauses
	if w.q.Effects {
		query = linksToEffects
	}
	most := 0
	var limit any
	if given := max(w.q.Fan, w.q.Limit); given > 0 {
		most = max(store.WideNode, given+1) // one more, to know that there is more
		limit = most + 1
	}
	links, wide = make(map[int64][]rawLink), make(map[int64]bool)
	var id, kind, node, origin, scopes int64
	var confidence float64
	var c counts
	dest := append([]any{&id, &kind, &node, &origin, &confidence, &scopes}, c.columns()...)
	err = w.v.each(query, []any{w.v.org, ids, w.kinds, w.nodes, limit}, dest, func() error {
		of := links[id]
		last := len(of) - 1
		if last < 0 || of[last].kind != kind || of[last].node != node {
			if most > 0 && len(of) == most {
				wide[id] = true
				return nil
			}
			of = append(of, rawLink{kind: kind, node: node})
			last++
		}
		o, ok := w.v.words.origins[origin]
		if !ok {
			return fmt.Errorf("word %d is missing: %w", origin, stemma.ErrInvalid)
		}
		fact := store.Fact{
			Source: o.Source, Scopes: int(scopes),
			Strength: stemma.Strength{Tier: o.Tier, Assertion: o.Assertion, Method: o.Method, Confidence: confidence},
		}
		fact.Lines, fact.Candidate = c.lines()
		of[last].facts = store.AddFact(of[last].facts, fact)
		links[id] = of
		return nil
	})
	return links, wide, err
}

// give puts the links into order and into the step, as far as the limits let
// them through, and gives the nodes that are left because of them.
func (w *walker) give(step *store.WalkStep, links []rawLink) (next []int64, err error) {
	all := make([]store.Link, len(links))
	at := make([]int, len(links))
	for i := range links {
		kind, err := w.v.words.find(links[i].kind, wordEdge)
		if err != nil {
			return nil, err
		}
		all[i] = store.Link{Kind: stemma.EdgeKind(kind), Node: w.v.nodes[links[i].node], Facts: links[i].facts}
		at[i] = i
	}
	slices.SortFunc(at, func(a, b int) int {
		if c := strings.Compare(string(all[a].Kind), string(all[b].Kind)); c != 0 {
			return c
		}
		return all[a].Node.Compare(all[b].Node)
	})
	for n, i := range at {
		if w.full() || w.q.Fan > 0 && n >= w.q.Fan {
			break
		}
		link, node := all[i], links[i].node
		slices.SortFunc(link.Facts, store.CompareFacts)
		step.Links = append(step.Links, link)
		step.More--
		w.given++
		if slices.Contains(w.q.Ends, link.Node.Kind) || slices.Contains(w.q.EndEdges, link.Kind) || w.left[node] {
			continue
		}
		w.left[node] = true
		next = append(next, node)
	}
	return next, nil
}
