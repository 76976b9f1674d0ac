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

// rowChunk is how many rows are read before their paths are.
const rowChunk = 256

// Attributions gives the rows of these commits.
func (s *Store) Attributions(ctx context.Context, commits []string) iter.Seq2[stemma.Attribution, error] {
	return sequence(ctx, s, "read attributions", func(v *view, yield func(stemma.Attribution) bool) error {
		kind, ok := v.words.id[wordNode+string(stemma.KindCommit)]
		if !ok {
			return nil
		}
		commits := slices.Clone(commits)
		slices.Sort(commits)
		r := &rowReader{v: v, yield: yield}
		for chunk := range slices.Chunk(slices.Compact(commits), listSizes[len(listSizes)-1]) {
			keys := make([][]byte, len(chunk))
			for i := range chunk {
				keys[i] = []byte(chunk[i])
			}
			list, args := keyList(keys)
			if err := r.read("AND n.key IN ("+list+")", append([]any{v.org, v.org, kind}, args...)); err != nil || r.stopped {
				return err
			}
		}
		return nil
	})
}

// AllAttributions gives every row by commit.
func (s *Store) AllAttributions(ctx context.Context) iter.Seq2[stemma.Attribution, error] {
	return sequence(ctx, s, "read attributions", func(v *view, yield func(stemma.Attribution) bool) error {
		kind, ok := v.words.id[wordNode+string(stemma.KindCommit)]
		if !ok {
			return nil
		}
		r := &rowReader{v: v, yield: yield}
		return r.read("ORDER BY n.key", []any{v.org, v.org, kind})
	})
}

// rowReader reads rows, some at a time, so that their paths are found together.
type rowReader struct {
	v       *view
	yield   func(stemma.Attribution) bool
	stopped bool

	commits []string
	rows    [][]byte
}

func (r *rowReader) read(where string, args []any) error {
	var commit, row sql.RawBytes
	err := r.v.each(`
		SELECT n.key, a.row
		FROM node AS n INDEXED BY node_by_key
		CROSS JOIN attribution AS a ON a.org = ? AND a.node = n.id
		WHERE n.org = ? AND n.kind = ? `+where,
		args, []any{&commit, &row}, func() error {
			r.commits = append(r.commits, string(commit))
			r.rows = append(r.rows, slices.Clone(row))
			if len(r.rows) < rowChunk {
				return nil
			}
			return r.give()
		})
	if err != nil || r.stopped {
		return err
	}
	if err := r.give(); err != nil && !r.stopped {
		return err
	}
	return nil
}

func (r *rowReader) give() error {
	var ids []int64
	var err error
	for i, row := range r.rows {
		if ids, err = store.RowPaths(ids, row); err != nil {
			return fmt.Errorf("attribution of %s: %w", r.commits[i], err)
		}
	}
	if err := r.v.needPaths(ids); err != nil {
		return err
	}
	for i, row := range r.rows {
		a, err := store.ParseRow(r.commits[i], row, r.v.path)
		if err != nil {
			return err
		}
		if !r.yield(a) {
			r.stopped = true
			return errStop
		}
	}
	r.commits, r.rows = r.commits[:0], r.rows[:0]
	return nil
}

// Paths gives every path that a row names. Paths whose rows are gone may stay in
// the file until the graph is dropped, so that the rows are asked.
func (s *Store) Paths(ctx context.Context) iter.Seq2[string, error] {
	return sequence(ctx, s, "read paths", func(v *view, yield func(string) bool) error {
		named := make(map[int64]bool)
		var row sql.RawBytes
		var ids []int64
		err := v.each("SELECT row FROM attribution WHERE org = ?", []any{v.org}, []any{&row}, func() error {
			var err error
			if ids, err = store.RowPaths(ids[:0], row); err != nil {
				return err
			}
			for _, id := range ids {
				named[id] = true
			}
			return nil
		})
		if err != nil {
			return err
		}
		var id int64
		var path sql.RawBytes
		return v.each("SELECT id, path FROM path WHERE org = ?", []any{v.org}, []any{&id, &path}, func() error {
			if named[id] && !yield(string(path)) {
				return errStop
			}
			return nil
		})
	})
}

// CommitsTouching gives the commits that added to one of the paths, or below.
// It goes through all rows: their path ids come first, so that this costs less
// than keeping a second tree of them in order would at every Put.
func (s *Store) CommitsTouching(ctx context.Context, paths []string) iter.Seq2[string, error] {
	return sequence(ctx, s, "find commits by path", func(v *view, yield func(string) bool) error {
		wanted, err := v.pathsBelow(paths)
		if err != nil || len(wanted) == 0 {
			return err
		}
		var node int64
		var row sql.RawBytes
		var touched, ids []int64
		err = v.each("SELECT node, row FROM attribution WHERE org = ? ORDER BY node", []any{v.org}, []any{&node, &row}, func() error {
			var err error
			if ids, err = store.RowPaths(ids[:0], row); err != nil {
				return err
			}
			for _, id := range ids {
				if id >= 0 && id < int64(len(wanted)) && wanted[id] {
					touched = append(touched, node)
					break
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if len(touched) > commitLookups {
			return v.commitsAmong(touched, yield)
		}
		for chunk := range slices.Chunk(touched, edgeChunk) {
			if err := v.needNodes(chunk); err != nil {
				return err
			}
			for _, node := range chunk {
				if !yield(v.nodes[node].Key) {
					return nil
				}
			}
		}
		return nil
	})
}

// commitLookups is how many commits are named one by one; for more it is quicker
// to go through all commits.
const commitLookups = 8000

// commitsAmong gives the commits with these ids, which are sorted.
func (v *view) commitsAmong(ids []int64, yield func(string) bool) error {
	kind := v.words.id[wordNode+string(stemma.KindCommit)]
	var id int64
	var key sql.RawBytes
	return v.each(`
		SELECT id, key
		FROM node INDEXED BY node_by_key
		WHERE org = ? AND kind = ?`,
		[]any{v.org, kind}, []any{&id, &key}, func() error {
			if _, ok := slices.BinarySearch(ids, id); ok && !yield(string(key)) {
				return errStop
			}
			return nil
		})
}

// pathsBelow gives, by id, which paths are one of these or below one.
func (v *view) pathsBelow(paths []string) (wanted []bool, err error) {
	var id int64
	want := func() error {
		if id < 0 {
			return fmt.Errorf("path %d: %w", id, stemma.ErrInvalid)
		}
		if id >= int64(len(wanted)) {
			wanted = append(wanted, make([]bool, id+1-int64(len(wanted)))...)
		}
		wanted[id] = true
		return nil
	}
	for _, path := range paths {
		below := path
		if path != "" && !strings.HasSuffix(path, "/") {
			if err := v.each("SELECT id FROM path INDEXED BY path_by_path WHERE org = ? AND path = ?",
				[]any{v.org, []byte(path)}, []any{&id}, want); err != nil {
				return nil, err
			}
			below = path + "/"
		}
		where, args := prefixRange("path", below)
		if err := v.each("SELECT id FROM path INDEXED BY path_by_path WHERE org = ?"+where,
			append([]any{v.org}, args...), []any{&id}, want); err != nil {
			return nil, err
		}
	}
	return wanted, nil
}
