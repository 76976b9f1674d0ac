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

// rowPage is how many rows are read before they are given.
const rowPage = 256

// Attributions gives the rows of these commits.
func (s *Store) Attributions(ctx context.Context, commits []string) iter.Seq2[stemma.Attribution, error] {
	return sequence(ctx, s, "read attributions", func(v *view, yield func(stemma.Attribution) bool) error {
		names := make([]stemma.NodeID, len(commits))
		for i, commit := range commits {
			names[i] = stemma.CommitID(commit)
		}
		nodes, err := v.findNodes(names)
		if err != nil {
			return err
		}
		return v.rowsOf(nodes, func(_ string, a stemma.Attribution) bool { return yield(a) })
	})
}

// AllAttributions gives every row by commit.
func (s *Store) AllAttributions(ctx context.Context) iter.Seq2[stemma.Attribution, error] {
	return sequence(ctx, s, "read attributions", func(v *view, yield func(stemma.Attribution) bool) error {
		order := inOrder[stemma.Attribution]{give: yield}
		err := v.nodesOfKind(stemma.KindCommit, "", func(page []found) error {
			return v.rowsOf(page, func(commit string, a stemma.Attribution) bool { return order.add("", commit, a) })
		})
		if err == nil {
			order.flush()
		}
		return err
	})
}

// rowsOf gives the rows of some commits in the order in which these are given.
func (v *view) rowsOf(commits []found, yield func(string, stemma.Attribution) bool) error {
	for chunk := range slices.Chunk(commits, rowPage) {
		ids := make([]int64, len(chunk))
		for i := range chunk {
			ids[i] = chunk[i].id
		}
		rows := make(map[int64][]byte, len(chunk))
		var paths []int64
		var node int64
		var row []byte
		err := v.each(`
			SELECT d.node, a.row
			FROM unnest($2::bigint[]) AS d (node)
			CROSS JOIN LATERAL (
				SELECT row FROM stemma_graph.attribution WHERE org = $1 AND node = d.node LIMIT 1
			) AS a`,
			[]any{v.org, ids}, []any{&node, &row}, func() (err error) {
				rows[node] = row
				if paths, err = store.RowPaths(paths, row); err != nil {
					return fmt.Errorf("attribution of node %d: %w", node, err)
				}
				return nil
			})
		if err != nil {
			return err
		}
		if err := v.needPaths(paths); err != nil {
			return err
		}
		for _, commit := range chunk {
			row, ok := rows[commit.id]
			if !ok {
				continue
			}
			a, err := store.ParseRow(commit.name.Key, row, v.path)
			if err != nil {
				return err
			}
			if !yield(commit.name.Key, a) {
				return errStop
			}
		}
	}
	return nil
}

// Paths gives every path that a row names. Paths whose rows are gone stay in
// their table until the graph is dropped.
func (s *Store) Paths(ctx context.Context) iter.Seq2[string, error] {
	return sequence(ctx, s, "read paths", func(v *view, yield func(string) bool) error {
		for last := int64(0); ; {
			page := make([]string, 0, pageSize)
			var path, tail []byte
			err := v.each(`
				SELECT p.id, p.path, p.tail
				FROM stemma_graph.path AS p
				WHERE p.org = $1 AND p.id > $2
				AND EXISTS (SELECT FROM stemma_graph.touch AS t WHERE t.org = $1 AND t.path = p.id)
				ORDER BY p.id
				LIMIT $3`,
				[]any{v.org, last, pageSize}, []any{&last, &path, &tail}, func() error {
					name, err := nameOf(path, tail)
					page = append(page, name)
					return err
				})
			if err != nil {
				return err
			}
			for _, path := range page {
				if !yield(path) {
					return errStop
				}
			}
			if len(page) < pageSize {
				return nil
			}
		}
	})
}

// CommitsTouching gives the commits that added to one of the paths, or below.
func (s *Store) CommitsTouching(ctx context.Context, paths []string) iter.Seq2[string, error] {
	return sequence(ctx, s, "find commits by path", func(v *view, yield func(string) bool) error {
		wanted, err := v.pathsBelow(paths)
		if err != nil || len(wanted) == 0 {
			return err
		}
		var touched []int64
		var node int64
		err = v.each(`
			SELECT DISTINCT node
			FROM stemma_graph.touch
			WHERE org = $1 AND path = ANY($2)`,
			[]any{v.org, wanted}, []any{&node}, func() error {
				touched = append(touched, node)
				return nil
			})
		if err != nil {
			return err
		}
		for chunk := range slices.Chunk(touched, chunkSize) {
			if err := v.needNodes(chunk); err != nil {
				return err
			}
			for _, node := range chunk {
				if !yield(v.nodes[node].Key) {
					return errStop
				}
			}
		}
		return nil
	})
}

// pathsBelow gives the ids of the paths that are one of these or below one.
func (v *view) pathsBelow(paths []string) ([]int64, error) {
	var ids []int64
	for _, path := range paths {
		below := path
		if path != "" && !strings.HasSuffix(path, "/") {
			below = path + "/"
			var id int64
			err := v.each("SELECT id FROM stemma_graph.path WHERE org = $1 AND path = $2",
				[]any{v.org, headOf(path)}, []any{&id}, func() error {
					ids = append(ids, id)
					return nil
				})
			if err != nil {
				return nil, err
			}
		}
		more, err := v.pathsWith(below)
		if err != nil {
			return nil, err
		}
		ids = append(ids, more...)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// pathsWith gives the ids of the paths that begin with prefix.
func (v *view) pathsWith(prefix string) (ids []int64, err error) {
	var id int64
	var path, tail []byte
	add := func() error {
		name, err := nameOf(path, tail)
		if strings.HasPrefix(name, prefix) {
			ids = append(ids, id)
		}
		return err
	}
	from, before := headRange(prefix)
	if before == nil {
		err = v.each("SELECT id, path, tail FROM stemma_graph.path WHERE org = $1 AND path >= $2",
			[]any{v.org, from}, []any{&id, &path, &tail}, add)
	} else {
		err = v.each("SELECT id, path, tail FROM stemma_graph.path WHERE org = $1 AND path >= $2 AND path < $3",
			[]any{v.org, from, before}, []any{&id, &path, &tail}, add)
	}
	return ids, err
}
