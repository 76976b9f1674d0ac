package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// walkChunk is how many nodes are asked for their links before these are named.
const walkChunk = 64

// Walk gives the steps of a walk. It asks node by node, so that a node with a
// million links costs no more than is given of it, and the next node of a walk
// that was limited costs nothing.
func (s *Store) Walk(ctx context.Context, q store.WalkQuery) iter.Seq2[store.WalkStep, error] {
	return sequence(ctx, s, "walk", func(v *view, yield func(store.WalkStep) bool) (err error) {
		if v.org == 0 {
			return nil
		}
		w := &walker{v: v, q: q, yield: yield}
		defer func() { err = errors.Join(err, w.close()) }()
		if err := w.prepare(); err != nil {
			return err
		}
		if err := w.run(); !errors.Is(err, errStop) {
			return err
		}
		return nil
	})
}

// walker is one walk. Its statements read the edges of one node, those of one
// link beside one another.
type walker struct {
	v     *view
	q     store.WalkQuery
	yield func(store.WalkStep) bool

	read, count *sql.Stmt
	kinds       filter // of edges, by word; nil is all
	nodes       filter // kinds of node, by word; nil is all

	left  map[int64]bool // nodes that are left, or will be
	given int            // links
}

// rawLink is a link as it is stored.
type rawLink struct {
	kind, node int64
	facts      []rawFact
}

type rawFact struct {
	origin     int64
	confidence float64
	store.Fact
}

func (w *walker) close() error {
	var errs []error
	for _, stmt := range []*sql.Stmt{w.read, w.count} {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	return errors.Join(errs...)
}

func (w *walker) prepare() (err error) {
	w.left = make(map[int64]bool)
	w.kinds = wordFilter(w.v.words, wordEdge, w.q.Edges)
	w.nodes = wordFilter(w.v.words, wordNode, w.q.Nodes)
	far := "0"
	if w.nodes != nil {
		far = "(SELECT n.kind FROM node AS n WHERE n.org = ? AND n.id = e.%s)"
	}
	from, order := "edge AS e WHERE e.org = ? AND e.src = ?", "e.kind, e.dst"
	if w.q.Effects {
		from, order = "edge AS e INDEXED BY edge_by_dst WHERE e.org = ? AND e.dst = ?", "e.src, e.kind"
	}
	end := "dst"
	if w.q.Effects {
		end = "src"
	}
	far = strings.ReplaceAll(far, "%s", end)
	tail := " FROM " + from + " ORDER BY " + order
	if w.read, err = w.v.conn.PrepareContext(w.v.ctx,
		"SELECT e.kind, e."+end+", "+far+", e.origin, e.confidence, e.counts"+tail); err != nil {
		return err
	}
	w.count, err = w.v.conn.PrepareContext(w.v.ctx, "SELECT e.kind, e."+end+", "+far+tail)
	return err
}

// wordFilter gives the words of those kinds that the file has; nil of nil.
func wordFilter[K ~string](words *words, of string, kinds []K) filter {
	if kinds == nil {
		return nil
	}
	f := make(filter, len(kinds))
	for _, kind := range kinds {
		if id, ok := words.id[of+string(kind)]; ok {
			f[id] = true
		}
	}
	return f
}

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
	links := make([][]rawLink, len(ids))
	atLeast := make([]bool, len(ids))
	kept := w.full() || w.q.Depth > 0 && depth >= w.q.Depth
	for i, id := range ids {
		if kept {
			links[i], atLeast[i], err = w.countOf(id)
		} else {
			links[i], atLeast[i], err = w.linksOf(id)
		}
		if err != nil {
			return nil, err
		}
	}
	names := slices.Clone(ids)
	if !kept {
		for i := range links {
			for j := range links[i] {
				names = append(names, links[i][j].node)
			}
		}
	}
	if err := w.v.needNodes(names); err != nil {
		return nil, err
	}
	for i, id := range ids {
		step := store.WalkStep{Node: w.v.nodes[id], Depth: depth, More: len(links[i]), AtLeast: atLeast[i]}
		if !kept {
			more, err := w.give(&step, links[i])
			if err != nil {
				return nil, err
			}
			next = append(next, more...)
		}
		if !w.yield(step) {
			return nil, errStop
		}
	}
	return next, nil
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
		all[i] = store.Link{Kind: stemma.EdgeKind(kind), Node: w.v.nodes[links[i].node]}
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
		link := all[i]
		if link.Facts, err = w.facts(links[i].facts); err != nil {
			return nil, err
		}
		step.Links = append(step.Links, link)
		step.More--
		w.given++
		if slices.Contains(w.q.Ends, link.Node.Kind) || slices.Contains(w.q.EndEdges, link.Kind) || w.left[links[i].node] {
			continue
		}
		w.left[links[i].node] = true
		next = append(next, links[i].node)
	}
	return next, nil
}

func (w *walker) facts(raw []rawFact) ([]store.Fact, error) {
	var facts []store.Fact
	for _, f := range raw {
		o, ok := w.v.words.origins[f.origin]
		if !ok {
			return nil, fmt.Errorf("word %d is missing: %w", f.origin, stemma.ErrInvalid)
		}
		f.Source = o.Source
		f.Strength = stemma.Strength{Tier: o.Tier, Assertion: o.Assertion, Method: o.Method, Confidence: f.confidence}
		facts = store.AddFact(facts, f.Fact)
	}
	slices.SortFunc(facts, store.CompareFacts)
	return facts, nil
}

// linksOf reads the links of one node, as many as may be given or put in order.
func (w *walker) linksOf(id int64) (links []rawLink, atLeast bool, err error) {
	most := 0
	if limit := max(w.q.Fan, w.q.Limit); limit > 0 {
		most = max(store.WideNode, limit+1) // one more, to know that there is more
	}
	var kind, node, nodeKind int64
	var f rawFact
	var counts sql.RawBytes
	err = w.v.eachOf(w.read, w.args(id), []any{&kind, &node, &nodeKind, &f.origin, &f.confidence, &counts}, func() error {
		last := len(links) - 1
		if last < 0 || links[last].kind != kind || links[last].node != node {
			if !w.kinds.has(kind) || !w.nodes.has(nodeKind) {
				return nil
			}
			if most > 0 && len(links) == most {
				atLeast = true
				return errStop
			}
			links = append(links, rawLink{kind: kind, node: node})
			last++
		}
		f.Scopes = 1
		l := &f.Lines
		if err := store.UnpackCounts(counts, &l.AI, &l.AIEdited, &l.Human, &l.Generated, &l.Unknown, &f.Candidate); err != nil {
			return err
		}
		links[last].add(f)
		return nil
	})
	return links, atLeast, err
}

// add keeps the facts of a link few, of which a session with many commits has
// as many as commits.
func (l *rawLink) add(f rawFact) {
	for i := range l.facts {
		if g := &l.facts[i]; g.origin == f.origin && g.confidence == f.confidence {
			g.Scopes++
			g.Lines = g.Lines.Plus(f.Lines)
			g.Candidate += f.Candidate
			return
		}
	}
	l.facts = append(l.facts, f)
}

// countOf counts the links of one node, without what they say.
func (w *walker) countOf(id int64) (links []rawLink, atLeast bool, err error) {
	var kind, node, nodeKind int64
	err = w.v.eachOf(w.count, w.args(id), []any{&kind, &node, &nodeKind}, func() error {
		if last := len(links) - 1; last >= 0 && links[last].kind == kind && links[last].node == node {
			return nil
		}
		if !w.kinds.has(kind) || !w.nodes.has(nodeKind) {
			return nil
		}
		if len(links) == store.WideNode {
			atLeast = true
			return errStop
		}
		links = append(links, rawLink{kind: kind, node: node})
		return nil
	})
	return links, atLeast, err
}

func (w *walker) args(id int64) []any {
	if w.nodes == nil {
		return []any{w.v.org, id}
	}
	return []any{w.v.org, w.v.org, id}
}
