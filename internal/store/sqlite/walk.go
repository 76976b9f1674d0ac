package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
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
		if err := w.prepare(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, w.list.Close()) }()
		if err := w.run(); !errors.Is(err, errStop) {
			return err
		}
		return nil
	})
}

// walker is one walk. list reads the links of one node, from an index alone. What
// their edges say is asked of those links only that are given.
type walker struct {
	v     *view
	q     store.WalkQuery
	yield func(store.WalkStep) bool

	list  *sql.Stmt
	kinds filter // of edges, by word; nil is all
	nodes filter // kinds of node, by word; nil is all

	left  map[int64]bool // nodes that are left, or will be
	given int            // links
}

// rawLink is a link as it is stored.
type rawLink struct{ kind, node int64 }

func (w *walker) prepare() (err error) {
	w.left = make(map[int64]bool)
	w.kinds = wordFilter(w.v.words, wordEdge, w.q.Edges)
	w.nodes = wordFilter(w.v.words, wordNode, w.q.Nodes)
	near, far, index := "src", "dst", ""
	if w.q.Effects {
		near, far, index = "dst", "src", "INDEXED BY edge_by_dst"
	}
	kind := "0"
	if w.nodes != nil {
		kind = "(SELECT n.kind FROM node AS n WHERE n.org = ? AND n.id = e." + far + ")"
	}
	w.list, err = w.v.conn.PrepareContext(w.v.ctx, `
		SELECT e.kind, e.`+far+`, `+kind+`
		FROM edge AS e `+index+`
		WHERE e.org = ? AND e.`+near+` = ?`)
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
	names := slices.Clone(ids)
	for i, id := range ids {
		if links[i], atLeast[i], err = w.linksOf(id, kept); err != nil {
			return nil, err
		}
		for _, l := range links[i] {
			if !kept {
				names = append(names, l.node)
			}
		}
	}
	if err := w.v.needNodes(names); err != nil {
		return nil, err
	}
	steps := make([]store.WalkStep, len(ids))
	var given []givenLink
	for i, id := range ids {
		steps[i] = store.WalkStep{Node: w.v.nodes[id], Depth: depth, More: len(links[i]), AtLeast: atLeast[i]}
		if kept {
			continue
		}
		if links[i], err = w.choose(&steps[i], links[i]); err != nil {
			return nil, err
		}
		for j, l := range links[i] {
			given = append(given, givenLink{&steps[i].Links[j], id, l})
			end := slices.Contains(w.q.Ends, w.v.nodes[l.node].Kind) || slices.Contains(w.q.EndEdges, steps[i].Links[j].Kind)
			if !end && !w.left[l.node] {
				w.left[l.node] = true
				next = append(next, l.node)
			}
		}
	}
	for chunk := range slices.Chunk(given, edgeChunk) {
		if err := w.readFacts(chunk); err != nil {
			return nil, err
		}
	}
	for i := range steps {
		if !w.yield(steps[i]) {
			return nil, errStop
		}
	}
	return next, nil
}

// givenLink is a link of a step, and where it is stored.
type givenLink struct {
	link *store.Link
	near int64
	rawLink
}

// choose puts the links into order and into the step, as far as the limits let
// them through.
func (w *walker) choose(step *store.WalkStep, links []rawLink) (chosen []rawLink, err error) {
	all := make([]store.Link, len(links))
	at := make([]int, len(links))
	for i, l := range links {
		kind, err := w.v.words.find(l.kind, wordEdge)
		if err != nil {
			return nil, err
		}
		all[i] = store.Link{Kind: stemma.EdgeKind(kind), Node: w.v.nodes[l.node]}
		at[i] = i
	}
	slices.SortFunc(at, func(a, b int) int {
		if c := strings.Compare(string(all[a].Kind), string(all[b].Kind)); c != 0 {
			return c
		}
		return all[a].Node.Compare(all[b].Node)
	})
	for _, i := range at {
		if w.full() || w.q.Fan > 0 && len(chosen) >= w.q.Fan {
			break
		}
		w.given++
		step.More--
		step.Links = append(step.Links, all[i])
		chosen = append(chosen, links[i])
	}
	return chosen, nil
}

// linksOf gives the links of one node: all, or where a limit will keep some back
// as many as are put into order or counted.
func (w *walker) linksOf(id int64, kept bool) (links []rawLink, atLeast bool, err error) {
	most := 0
	if limit := max(w.q.Fan, w.q.Limit); kept {
		most = store.WideNode
	} else if limit > 0 {
		most = max(store.WideNode, limit+1) // one more, to know that there is more
	}
	args := []any{w.v.org, id}
	if w.nodes != nil {
		args = []any{w.v.org, w.v.org, id}
	}
	var l, last rawLink
	var kind int64
	// The edges of a link are beside one another in both indexes, but for two
	// kinds between the same nodes.
	met := make(map[rawLink]bool)
	err = w.v.eachOf(w.list, args, []any{&l.kind, &l.node, &kind}, func() error {
		if l == last || !w.kinds.has(l.kind) || !w.nodes.has(kind) {
			return nil
		}
		last = l
		if met[l] {
			return nil
		}
		if most > 0 && len(links) == most {
			atLeast = true
			return errStop
		}
		met[l] = true
		links = append(links, l)
		return nil
	})
	return links, atLeast, err
}

// readFacts reads what the edges of these links say.
func (w *walker) readFacts(links []givenLink) error {
	triples := make([][3]int64, len(links))
	for i, l := range links {
		triples[i] = [3]int64{l.near, l.kind, l.node}
		if w.q.Effects {
			triples[i] = [3]int64{l.node, l.kind, l.near}
		}
	}
	text, err := json.Marshal(triples)
	if err != nil {
		return err
	}
	var at int
	var from int64
	var confidence float64
	var counts sql.RawBytes
	err = w.v.each(`
		SELECT j.key, e.origin, e.confidence, e.counts
		FROM json_each(?) AS j
		CROSS JOIN edge AS e
		ON e.org = ? AND e.src = j.value ->> 0 AND e.kind = j.value ->> 1 AND e.dst = j.value ->> 2`,
		[]any{string(text), w.v.org}, []any{&at, &from, &confidence, &counts}, func() error {
			o, ok := w.v.words.origins[from]
			if !ok {
				return fmt.Errorf("word %d is missing: %w", from, stemma.ErrInvalid)
			}
			f := store.Fact{Source: o.Source, Scopes: 1, Strength: stemma.Strength{
				Tier: o.Tier, Assertion: o.Assertion, Method: o.Method, Confidence: confidence,
			}}
			l := &f.Lines
			if err := store.UnpackCounts(counts, &l.AI, &l.AIEdited, &l.Human, &l.Generated, &l.Unknown, &f.Candidate); err != nil {
				return err
			}
			links[at].link.Facts = store.AddFact(links[at].link.Facts, f)
			return nil
		})
	for _, l := range links {
		slices.SortFunc(l.link.Facts, store.CompareFacts)
	}
	return err
}
