package sqlite

import (
	"context"
	"fmt"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// Put stores the batch: see the package comment for what happens when. A scope
// that is given twice in one batch is replaced by the later one.
func (s *Store) Put(ctx context.Context, b store.Batch) error {
	if err := s.put(ctx, b); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("put: %w", err)
	}
	return nil
}

func (s *Store) put(ctx context.Context, b store.Batch) error {
	if s.graph.readOnly {
		return s.graph.denied()
	}
	scopes, err := store.Check(b)
	if err != nil {
		return err
	}
	if len(scopes) == 0 && len(b.Marks) == 0 {
		return ctx.Err()
	}
	w, err := s.graph.begin(ctx)
	if err != nil {
		return err
	}
	defer w.end()
	if err := s.writeGraph(ctx, w, scopes, b.Marks); err != nil {
		s.scribe = scribe{} // it may know ids that are undone now
		return s.graph.fail(err)
	}
	if err := w.commit(); err != nil {
		s.scribe = scribe{}
		return s.graph.fail(err)
	}
	return nil
}

// DropGraph removes everything. The room in the file is used
// again by what is stored next.
func (s *Store) DropGraph(ctx context.Context) error {
	if err := s.dropGraph(ctx); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("drop graph: %w", err)
	}
	return nil
}

func (s *Store) dropGraph(ctx context.Context) error {
	w, err := s.graph.begin(ctx)
	if err != nil {
		return err
	}
	defer w.end()
	s.scribe = scribe{}
	if err := s.scribe.look(w, s.organisation); err != nil {
		return s.graph.fail(err)
	}
	org := s.scribe.org
	var organisations int
	if err := w.row("SELECT count(*) FROM organisation", nil, &organisations); err != nil {
		return s.graph.fail(err)
	}
	for _, query := range []string{
		"DELETE FROM edge WHERE org = ?",
		"DELETE FROM tally WHERE org = ?",
		"DELETE FROM attribution WHERE org = ?",
		"DELETE FROM scope_key WHERE org = ?",
		"DELETE FROM key_scope WHERE org = ?",
		"DELETE FROM mark WHERE org = ?",
		"DELETE FROM node WHERE org = ?",
		"DELETE FROM path WHERE org = ?",
		"DELETE FROM word WHERE org = ?",
		"DELETE FROM put WHERE org = ?",
		"UPDATE organisation SET epoch = epoch + 1, next_node = 1, next_path = 1, next_word = 1, puts = 0 WHERE org = ?",
	} {
		if err := ctx.Err(); err != nil {
			return err
		}
		args := []any{org}
		if everything, ok := strings.CutSuffix(query, " WHERE org = ?"); ok && organisations == 1 && strings.HasPrefix(query, "DELETE") {
			// Without a condition the tree is emptied, not searched: of one that is
			// damaged, a row that stands in the wrong place would not be found.
			query, args = everything, nil
		}
		if _, err := w.exec(query, args...); err != nil {
			return s.graph.fail(err)
		}
	}
	s.scribe = scribe{}
	return s.graph.fail(w.commit())
}

// writeGraph writes the graph's part of a batch. What is deleted goes first, so
// that what is inserted is never in its way; nodes that nothing holds any more
// go last.
func (s *Store) writeGraph(ctx context.Context, w *writer, scopes []store.Scope, marks map[string]string) error {
	if err := s.scribe.look(w, s.organisation); err != nil {
		return err
	}
	g := &graphWriter{ctx: ctx, w: w, scribe: &s.scribe, org: s.scribe.org, unchanged: make(map[int64]bool)}
	for _, step := range []func([]store.Scope) error{
		g.findNodes, g.clear, g.nameNodes, g.findPaths, g.insert, g.insertKeys,
	} {
		if err := step(scopes); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if err := g.sweep(); err != nil {
		return err
	}
	if err := g.remember(scopes); err != nil {
		return err
	}
	if err := g.mark(marks); err != nil {
		return err
	}
	return s.scribe.keep(w)
}

// node is what the writer knows of a node.
type node struct {
	id    int64 // 0 for one that is to be made
	scope bool
	time  int64 // of its tally
	tally bool  // it has one

	// stored is what the file has, where id is not 0.
	storedScope, storedTally bool
	storedTime               int64
}

// tallyTime is the column time of the node.
func (n *node) tallyTime() any {
	if !n.tally {
		return nil
	}
	return n.time
}

func (n *node) changed() bool {
	return n.scope != n.storedScope || n.tally != n.storedTally || n.time != n.storedTime
}

// ids gives the ids of all nodes that the scopes name, each once.
func ids(scopes []store.Scope) []stemma.NodeID {
	seen := make(map[stemma.NodeID]bool, 2*len(scopes))
	all := make([]stemma.NodeID, 0, 2*len(scopes))
	add := func(id stemma.NodeID) {
		if !seen[id] {
			seen[id] = true
			all = append(all, id)
		}
	}
	for i := range scopes {
		add(scopes[i].ID)
		for j := range scopes[i].Edges {
			add(scopes[i].Edges[j].From)
			add(scopes[i].Edges[j].To)
		}
	}
	return all
}
