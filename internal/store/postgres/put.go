package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// commitWait is how long the answer to a commit is waited for, whatever becomes
// of the caller: what is under way there cannot be called back.
const commitWait = 30 * time.Second

// Put stores the batch in one transaction.
func (s *Store) Put(ctx context.Context, b store.Batch) error {
	scopes, err := store.Check(b)
	if err == nil {
		err = s.write(ctx, func(w *writer) error {
			if len(scopes) > 0 || len(b.Marks) > 0 {
				if err := w.writeGraph(scopes, b.Marks); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("put: %w", err)
	}
	return nil
}

// DropGraph removes everything of the graph.
func (s *Store) DropGraph(ctx context.Context) error {
	err := s.write(ctx, func(w *writer) error {
		s.scribe = scribe{}
		if err := s.scribe.look(w); err != nil {
			return err
		}
		for _, query := range []string{
			"DELETE FROM stemma_graph.edge WHERE org = $1",
			"DELETE FROM stemma_graph.tally WHERE org = $1",
			"DELETE FROM stemma_graph.attribution WHERE org = $1",
			"DELETE FROM stemma_graph.touch WHERE org = $1",
			"DELETE FROM stemma_graph.scope_key WHERE org = $1",
			"DELETE FROM stemma_graph.mark WHERE org = $1",
			"DELETE FROM stemma_graph.node WHERE org = $1",
			"DELETE FROM stemma_graph.path WHERE org = $1",
			"DELETE FROM stemma_graph.word WHERE org = $1",
			"DELETE FROM stemma_graph.put WHERE org = $1",
			"UPDATE stemma_graph.state SET epoch = epoch + 1, next_node = 1, next_path = 1, next_word = 1, puts = 0 WHERE org = $1",
		} {
			if _, err := w.tx.Exec(ctx, query, w.org); err != nil {
				return err
			}
		}
		s.scribe = scribe{}
		return nil
	})
	if err != nil {
		return fmt.Errorf("drop graph: %w", err)
	}
	return nil
}

// A writer is one transaction that writes.
type writer struct {
	ctx context.Context
	s   *Store
	c   *conn
	tx  pgx.Tx
	org int64
}

// write calls fn in a transaction and commits it, again from the beginning where
// the connection was lost: also when it was the answer to the commit that was
// lost, since a batch that is stored is not changed by being put again.
func (s *Store) write(ctx context.Context, fn func(*writer) error) error {
	select {
	case s.writing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.writing }()
	return s.with(ctx, passing, func(c *conn) error {
		err := s.transact(ctx, c, fn)
		if err != nil {
			s.scribe = scribe{} // it may know ids that are undone now
		}
		return err
	})
}

func (s *Store) transact(ctx context.Context, c *conn, fn func(*writer) error) (err error) {
	if !c.staging {
		if _, err := c.Exec(ctx, makeStaging, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
		c.staging = true
	}
	tx, err := c.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			return
		}
		undo, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if undone := tx.Rollback(undo); undone != nil && !errors.Is(undone, pgx.ErrTxClosed) {
			end(c.Conn)
		}
	}()
	if err := fn(&writer{ctx: ctx, s: s, c: c, tx: tx, org: s.org}); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitWait)
	defer cancel()
	return tx.Commit(last)
}

// writeGraph writes the graph's part of a batch. What is deleted goes first, so
// that what is inserted is never in its way; nodes that nothing holds any more
// go last.
func (w *writer) writeGraph(scopes []store.Scope, marks map[string]string) error {
	if err := w.s.scribe.look(w); err != nil {
		return err
	}
	g := &graphWriter{writer: w, scribe: &w.s.scribe}
	if len(scopes) > 0 {
		for _, step := range []func([]store.Scope) error{
			g.findNodes, g.clear, g.nameNodes, g.findPaths, g.insert, g.insertKeys,
		} {
			if err := step(scopes); err != nil {
				return err
			}
		}
		if err := g.sweep(); err != nil {
			return err
		}
		if err := g.remember(scopes); err != nil {
			return err
		}
	}
	if err := g.mark(marks); err != nil {
		return err
	}
	return w.s.scribe.keep(w)
}

// node is what the writer knows of a node.
type node struct {
	id            int64 // 0 for one that is to be made
	scope, stored bool  // it is the ID of a scope: now, and in the database
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
