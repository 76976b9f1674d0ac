package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/stemma-dev/stemma"
)

// A view is the graph as it was at one moment, on a connection of its own: a
// loop over it may call the store again, also to change it.
type view struct {
	ctx   context.Context
	s     *Store
	d     *database
	conn  *sql.Conn
	org   int64  // 0 where the organisation has stored nothing yet
	words *words // never nil
	nodes map[int64]stemma.NodeID
	paths map[int64]string
}

// viewCache bounds the names that one view remembers.
const viewCache = 1 << 16

// read calls fn with a view of the graph. Errors get the name of the operation
// and their kind.
func (s *Store) read(ctx context.Context, op string, fn func(*view) error) error {
	v, err := newView(ctx, s, s.graph)
	if err == nil {
		defer v.close()
		if err = v.look(); err == nil {
			err = fn(v)
		}
	}
	return readError(ctx, s.graph, op, err)
}

func readError(ctx context.Context, d *database, op string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", op, ctx.Err())
	case errors.Is(err, stemma.ErrInvalid):
		// What we wrote does not read: the file is damaged.
		return fmt.Errorf("%s: %w", op, d.damaged(err.Error()))
	default:
		return fmt.Errorf("%s: %w", op, d.fail(err))
	}
}

// sequence makes an iterator of a function that gives values until yield says
// stop. The view is let go when the loop ends, in whatever way.
func sequence[T any](ctx context.Context, s *Store, op string, fn func(*view, func(T) bool) error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		stopped := false
		err := s.read(ctx, op, func(v *view) error {
			return fn(v, func(x T) bool {
				stopped = stopped || !yield(x, nil)
				return !stopped
			})
		})
		if err != nil && !stopped {
			var none T
			yield(none, err)
		}
	}
}

func newView(ctx context.Context, s *Store, d *database) (*view, error) {
	conn, err := d.readers.Conn(ctx)
	if err != nil {
		return nil, err
	}
	v := &view{ctx: ctx, s: s, d: d, conn: conn, words: newWords(0, 0)}
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		v.close()
		return nil, err
	}
	return v, nil
}

// look finds the organisation, and the words it has.
func (v *view) look() error {
	var epoch, next int64
	err := v.conn.QueryRowContext(v.ctx, `
		SELECT org, epoch, next_word
		FROM organisation
		WHERE name = ?`, v.s.organisation).Scan(&v.org, &epoch, &next)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if known := v.s.words.Load(); known != nil && known.epoch == epoch && known.next == next {
		v.words = known
		return nil
	}
	rows, err := v.query("SELECT id, text FROM word WHERE org = ?", v.org)
	if err != nil {
		return err
	}
	if v.words, err = loadWords(rows, epoch, next); err != nil {
		return err
	}
	v.s.words.Store(v.words)
	return nil
}

func loadWords(rows *sql.Rows, epoch, next int64) (w *words, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	w = newWords(epoch, next)
	for rows.Next() {
		var id int64
		var text sql.RawBytes
		if err := rows.Scan(&id, &text); err != nil {
			return nil, fmt.Errorf("%v: %w", err, stemma.ErrInvalid)
		}
		if err := w.add(id, string(text)); err != nil {
			return nil, err
		}
	}
	return w, rows.Err()
}

// close ends the view, also when its context has ended.
func (v *view) close() {
	if _, err := v.conn.ExecContext(context.Background(), "ROLLBACK"); err != nil {
		// Without a transaction nothing is held; with one that cannot be ended
		// the connection must not be used again.
		_ = v.conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	_ = v.conn.Close()
}

func (v *view) query(query string, args ...any) (*sql.Rows, error) {
	return v.conn.QueryContext(v.ctx, query, args...)
}

// each calls fn for every row of a query, after dest was filled from the row,
// until fn gives an error; errStop is none. The rows are let go also when the
// loop that fn feeds panics.
func (v *view) each(query string, args, dest []any, fn func() error) error {
	rows, err := v.query(query, args...)
	if err != nil {
		return err
	}
	return eachRow(rows, dest, fn)
}

// eachOf is each for a statement that is used many times.
func (v *view) eachOf(stmt *sql.Stmt, args, dest []any, fn func() error) error {
	rows, err := stmt.QueryContext(v.ctx, args...)
	if err != nil {
		return err
	}
	return eachRow(rows, dest, fn)
}

func eachRow(rows *sql.Rows, dest []any, fn func() error) (err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return fmt.Errorf("%v: %w", err, stemma.ErrInvalid) // not what we write
		}
		if err := fn(); err != nil {
			if errors.Is(err, errStop) {
				return nil
			}
			return err
		}
	}
	return rows.Err()
}

// errStop ends [view.each] without an error.
var errStop = errors.New("stop")

// needNodes reads the names of nodes that are not known yet.
func (v *view) needNodes(ids []int64) error {
	if len(v.nodes) > viewCache {
		v.nodes = nil
	}
	if v.nodes == nil {
		v.nodes = make(map[int64]stemma.NodeID)
	}
	missing := unknown(ids, v.nodes)
	if len(missing) == 0 {
		return nil
	}
	var id, kind int64
	var key sql.RawBytes
	err := v.each(`
		SELECT n.id, n.kind, n.key
		FROM json_each(?) AS j
		CROSS JOIN node AS n ON n.org = ? AND n.id = j.value`,
		[]any{jsonIDs(missing), v.org}, []any{&id, &kind, &key}, func() error {
			word, err := v.words.find(kind, wordNode)
			if err != nil {
				return err
			}
			v.nodes[id] = stemma.NodeID{Kind: stemma.NodeKind(word), Key: string(key)}
			return nil
		})
	if err != nil {
		return err
	}
	for _, id := range missing {
		if _, ok := v.nodes[id]; !ok {
			return fmt.Errorf("node %d is missing: %w", id, stemma.ErrInvalid)
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
	if len(missing) == 0 {
		return nil
	}
	var id int64
	var path sql.RawBytes
	return v.each(`
		SELECT p.id, p.path
		FROM json_each(?) AS j
		CROSS JOIN path AS p ON p.org = ? AND p.id = j.value`,
		[]any{jsonIDs(missing), v.org}, []any{&id, &path}, func() error {
			v.paths[id] = string(path)
			return nil
		})
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

// jsonIDs is a list of any length as one argument of a query. json_each gives
// its elements in their order.
func jsonIDs(ids []int64) string { return jsonList(ids) }

func jsonList[T int64 | string](list []T) string {
	text, err := json.Marshal(list)
	if err != nil {
		panic(err) // numbers and strings always are JSON
	}
	return string(text)
}
