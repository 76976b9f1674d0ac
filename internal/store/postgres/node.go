package postgres

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
)

// pageSize is how many short rows are read before they are given.
const pageSize = 2000

// Node reports whether the node exists.
func (s *Store) Node(ctx context.Context, id stemma.NodeID) (found bool, err error) {
	err = s.read(ctx, "find node "+id.String(), func() bool { return false }, func(v *view) error {
		nodes, err := v.findNodes([]stemma.NodeID{id})
		found = len(nodes) > 0
		return err
	})
	return found, err
}

// Nodes gives the nodes of a kind by key.
func (s *Store) Nodes(ctx context.Context, kind stemma.NodeKind, prefix string) iter.Seq2[stemma.NodeID, error] {
	return sequence(ctx, s, "read nodes of kind "+string(kind), func(v *view, yield func(stemma.NodeID) bool) error {
		order := inOrder[stemma.NodeID]{give: yield}
		err := v.nodesOfKind(kind, prefix, func(page []found) error {
			for _, n := range page {
				if strings.HasPrefix(n.name.Key, prefix) && !order.add("", n.name.Key, n.name) {
					return errStop
				}
			}
			return nil
		})
		if err == nil {
			order.flush()
		}
		return err
	})
}

// found is a node of the graph.
type found struct {
	id   int64
	name stemma.NodeID
}

// nodesOfKind calls fn with the nodes of a kind, some at a time, in the order of
// their heads: those whose key begins with prefix, and where it is long others
// too.
func (v *view) nodesOfKind(kind stemma.NodeKind, prefix string, fn func([]found) error) error {
	word, ok := v.words.id[wordNode+string(kind)]
	if !ok {
		return nil
	}
	from, before := headRange(prefix)
	for {
		page := make([]found, 0, pageSize)
		var id int64
		var key, tail []byte
		add := func() error {
			name, err := nameOf(key, tail)
			page = append(page, found{id, stemma.NodeID{Kind: kind, Key: name}})
			return err
		}
		dest := []any{&id, &key, &tail}
		var err error
		if before == nil {
			err = v.each(`
				SELECT id, key, tail
				FROM stemma_graph.node
				WHERE org = $1 AND kind = $2 AND key >= $3
				ORDER BY key
				LIMIT $4`,
				[]any{v.org, word, from, pageSize}, dest, add)
		} else {
			err = v.each(`
				SELECT id, key, tail
				FROM stemma_graph.node
				WHERE org = $1 AND kind = $2 AND key >= $3 AND key < $4
				ORDER BY key
				LIMIT $5`,
				[]any{v.org, word, from, before, pageSize}, dest, add)
		}
		if err != nil {
			return err
		}
		from = after(key) // of the last row
		if err := fn(page); err != nil || len(page) < pageSize {
			return err
		}
	}
}

// findNodes gives those of the nodes that exist, in the order of their names.
func (v *view) findNodes(names []stemma.NodeID) ([]found, error) {
	names = slices.Clone(names)
	slices.SortFunc(names, stemma.NodeID.Compare)
	names = slices.Compact(names)
	var all []found
	for i := 0; i < len(names); {
		end := i + 1
		for end < len(names) && end-i < chunkSize && names[end].Kind == names[i].Kind {
			end++
		}
		part, err := v.findKind(names[i:end])
		if err != nil {
			return nil, err
		}
		all = append(all, part...)
		i = end
	}
	slices.SortFunc(all, func(a, b found) int { return a.name.Compare(b.name) })
	return all, nil
}

// findKind gives those of the nodes, of one kind, that exist, in no order.
func (v *view) findKind(names []stemma.NodeID) ([]found, error) {
	kind, ok := v.words.id[wordNode+string(names[0].Kind)]
	if !ok {
		return nil, nil
	}
	heads := make([][]byte, len(names))
	for i := range names {
		heads[i] = headOf(names[i].Key)
	}
	var all []found
	var id int64
	var key, tail []byte
	err := v.each(`
		SELECT n.id, d.key, n.tail
		FROM unnest($3::bytea[]) AS d (key)
		CROSS JOIN LATERAL (
			SELECT id, tail FROM stemma_graph.node WHERE org = $1 AND kind = $2 AND key = d.key LIMIT 1
		) AS n`,
		[]any{v.org, kind, heads}, []any{&id, &key, &tail}, func() error {
			name, err := nameOf(key, tail)
			all = append(all, found{id, stemma.NodeID{Kind: names[0].Kind, Key: name}})
			return err
		})
	return all, err
}

// Marks gives all marks.
func (s *Store) Marks(ctx context.Context) (map[string]string, error) {
	marks := make(map[string]string)
	err := s.read(ctx, "read marks", func() bool { return false }, func(v *view) error {
		clear(marks)
		var name, value []byte
		return v.each("SELECT name, value FROM stemma_graph.mark WHERE org = $1", []any{v.org}, []any{&name, &value}, func() error {
			marks[string(name)] = string(value)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return marks, nil
}
