package postgres

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stemma-dev/stemma"
)

// A view is the graph as it was at one moment, on a connection of its own: a
// loop over it may call the store again, also to change it. Between two pages
// nothing is under way on the connection, so that the names that a page needs
// can be asked for.
type view struct {
	ctx   context.Context
	s     *Store
	c     *conn
	org   int64
	known bool   // the organisation has a graph
	words *words // never nil
	nodes map[int64]stemma.NodeID
	paths map[int64]string
}

const (
	// viewCache bounds the names that one view remembers.
	viewCache = 1 << 16
	// chunkSize is how many ids or names are sent in one question.
	chunkSize = 4000
)

// read calls fn with a view of the graph. Errors get the name of the operation
// and their kind. given says that fn has shown something of it to the caller.
func (s *Store) read(ctx context.Context, op string, given func() bool, fn func(*view) error) error {
	err := s.with(ctx, func(err error) bool { return passing(err) && !given() }, func(c *conn) error {
		v := &view{ctx: ctx, s: s, c: c, org: s.org, words: newWords(0, 0)}
		defer v.close()
		if err := v.begin(); err != nil {
			return err
		}
		err := fn(v)
		if errors.Is(err, stemma.ErrInvalid) {
			return s.pool.damaged(err.Error())
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

// sequence makes an iterator of a function that gives values until yield says
// stop, and may then give errStop. The view is let go when the loop ends, in
// whatever way.
func sequence[T any](ctx context.Context, s *Store, op string, fn func(*view, func(T) bool) error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		given, stopped := false, false
		err := s.read(ctx, op, func() bool { return given }, func(v *view) error {
			err := fn(v, func(x T) bool {
				given = true
				stopped = stopped || !yield(x, nil)
				return !stopped
			})
			if errors.Is(err, errStop) {
				return nil
			}
			return err
		})
		if err != nil && !stopped {
			var none T
			yield(none, err)
		}
	}
}

// begin starts the snapshot, finds the organisation, and the words it has.
func (v *view) begin() error {
	batch := &pgx.Batch{}
	batch.Queue("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
	batch.Queue("SELECT epoch, next_word FROM stemma_graph.state WHERE org = $1", v.org)
	results := v.c.SendBatch(v.ctx, batch)
	if _, err := results.Exec(); err != nil {
		return errors.Join(err, results.Close())
	}
	var epoch, next int64
	err := results.QueryRow().Scan(&epoch, &next)
	if closed := results.Close(); err == nil {
		err = closed
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	v.known = true
	if w := v.s.words.Load(); w != nil && w.epoch == epoch && w.next == next {
		v.words = w
		return nil
	}
	if v.words, err = loadWords(v.ctx, v.c, v.org, epoch, next); err != nil {
		return err
	}
	v.s.words.Store(v.words)
	return nil
}

// close ends the view, also when its context has ended.
func (v *view) close() {
	if v.c.IsClosed() || v.c.PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := v.c.Exec(ctx, "ROLLBACK"); err != nil {
		end(v.c.Conn)
	}
}

// each calls fn for every row of a query. No other question may be asked before
// it ends.
func (v *view) each(query string, args, dest []any, fn func() error) error {
	return rowsOf(v.ctx, v.c, query, args, dest, fn)
}

// needNodes reads the names of nodes that are not known yet.
func (v *view) needNodes(ids []int64) error {
	if len(v.nodes) > viewCache {
		v.nodes = nil
	}
	if v.nodes == nil {
		v.nodes = make(map[int64]stemma.NodeID)
	}
	missing := unknown(ids, v.nodes)
	for len(missing) > 0 {
		chunk := missing[:min(len(missing), chunkSize)]
		missing = missing[len(chunk):]
		var id, kind int64
		var key, tail []byte
		err := v.each(`
			SELECT d.id, n.kind, n.key, n.tail
			FROM unnest($2::bigint[]) AS d (id)
			CROSS JOIN LATERAL (
				SELECT kind, key, tail FROM stemma_graph.node WHERE org = $1 AND id = d.id LIMIT 1
			) AS n`,
			[]any{v.org, chunk}, []any{&id, &kind, &key, &tail}, func() error {
				word, err := v.words.find(kind, wordNode)
				if err != nil {
					return err
				}
				name, err := nameOf(key, tail)
				v.nodes[id] = stemma.NodeID{Kind: stemma.NodeKind(word), Key: name}
				return err
			})
		if err != nil {
			return err
		}
		for _, id := range chunk {
			if _, ok := v.nodes[id]; !ok {
				return fmt.Errorf("node %d is missing: %w", id, stemma.ErrInvalid)
			}
		}
	}
	return nil
}

// needPaths reads the paths that are not known yet.
func (v *view) needPaths(ids []int64) error {
	if len(v.paths) > viewCache {
		v.paths = nil
	}
	if v.paths == nil {
		v.paths = make(map[int64]string)
	}
	missing := unknown(ids, v.paths)
	for len(missing) > 0 {
		chunk := missing[:min(len(missing), chunkSize)]
		missing = missing[len(chunk):]
		var id int64
		var path, tail []byte
		err := v.each(`
			SELECT d.id, p.path, p.tail
			FROM unnest($2::bigint[]) AS d (id)
			CROSS JOIN LATERAL (
				SELECT path, tail FROM stemma_graph.path WHERE org = $1 AND id = d.id LIMIT 1
			) AS p`,
			[]any{v.org, chunk}, []any{&id, &path, &tail}, func() (err error) {
				v.paths[id], err = nameOf(path, tail)
				return err
			})
		if err != nil {
			return err
		}
	}
	return nil
}

// path is the store.PathName of a view, for paths read by needPaths.
func (v *view) path(id int64) (string, error) {
	path, ok := v.paths[id]
	if !ok {
		return "", fmt.Errorf("path %d is missing: %w", id, stemma.ErrInvalid)
	}
	return path, nil
}

// unknown gives the ids that are not in the map, each once.
func unknown[V any](ids []int64, known map[int64]V) []int64 {
	var missing []int64
	seen := make(map[int64]bool)
	for _, id := range ids {
		if _, ok := known[id]; !ok && !seen[id] {
			seen[id] = true
			missing = append(missing, id)
		}
	}
	return missing
}
