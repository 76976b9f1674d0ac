package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"slices"

	"github.com/stemma-dev/stemma"
)

// Node reports whether the node exists.
func (s *Store) Node(ctx context.Context, id stemma.NodeID) (found bool, err error) {
	err = s.read(ctx, "find node "+id.String(), func(v *view) error {
		kind, ok := v.words.id[wordNode+string(id.Kind)]
		if !ok || id.Key == "" {
			return nil
		}
		var one int
		err := v.conn.QueryRowContext(ctx, "SELECT 1 FROM node INDEXED BY node_by_key WHERE org = ? AND kind = ? AND key = ?",
			v.org, kind, []byte(id.Key)).Scan(&one)
		found = err == nil
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return found, err
}

// Nodes gives the nodes of a kind by key.
func (s *Store) Nodes(ctx context.Context, kind stemma.NodeKind, prefix string) iter.Seq2[stemma.NodeID, error] {
	return sequence(ctx, s, "read nodes of kind "+string(kind), func(v *view, yield func(stemma.NodeID) bool) error {
		word, ok := v.words.id[wordNode+string(kind)]
		if !ok {
			return nil
		}
		var key sql.RawBytes
		where, args := prefixRange("key", prefix)
		return v.each(`
			SELECT key
			FROM node INDEXED BY node_by_key
			WHERE org = ? AND kind = ?`+where+`
			ORDER BY key`,
			append([]any{v.org, word}, args...), []any{&key}, func() error {
				if !yield(stemma.NodeID{Kind: kind, Key: string(key)}) {
					return errStop
				}
				return nil
			})
	})
}

// prefixRange gives the condition, beginning with AND, that a column begins with
// prefix; "" where every value does.
func prefixRange(column, prefix string) (where string, args []any) {
	if prefix == "" {
		return "", nil
	}
	where, args = " AND "+column+" >= ?", []any{[]byte(prefix)}
	// The first value after all that begin with the prefix: its last byte that
	// can grow, grown.
	end := []byte(prefix)
	for len(end) > 0 && end[len(end)-1] == 0xff {
		end = end[:len(end)-1]
	}
	if len(end) > 0 {
		end[len(end)-1]++
		where, args = where+" AND "+column+" < ?", append(args, end)
	}
	return where, args
}

// found is a node that was asked for by name.
type found struct {
	id   int64
	name stemma.NodeID
	time sql.NullInt64 // of its tally
}

// findNodes gives those of the nodes that exist, in the order of their names.
func (v *view) findNodes(names []stemma.NodeID) ([]found, error) {
	names = slices.Clone(names)
	slices.SortFunc(names, stemma.NodeID.Compare)
	names = slices.Compact(names)
	var all []found
	for i := 0; i < len(names); {
		end := i + 1
		for end < len(names) && end-i < listSizes[len(listSizes)-1] && names[end].Kind == names[i].Kind {
			end++
		}
		part, err := v.findKind(names[i:end])
		if err != nil {
			return nil, err
		}
		all = append(all, part...)
		i = end
	}
	return all, nil
}

func (v *view) findKind(names []stemma.NodeID) ([]found, error) {
	kind, ok := v.words.id[wordNode+string(names[0].Kind)]
	if !ok {
		return nil, nil
	}
	keys := make([][]byte, len(names))
	for i := range names {
		keys[i] = []byte(names[i].Key)
	}
	list, args := keyList(keys)
	var all []found
	var f found
	var key sql.RawBytes
	err := v.each(`
		SELECT id, key, time
		FROM node INDEXED BY node_by_key
		WHERE org = ? AND kind = ? AND key IN (`+list+`)
		ORDER BY key`,
		append([]any{v.org, kind}, args...), []any{&f.id, &key, &f.time}, func() error {
			f.name = stemma.NodeID{Kind: names[0].Kind, Key: string(key)}
			all = append(all, f)
			return nil
		})
	return all, err
}

// Check asks the database whether the pages, trees and indexes of the graph hold
// together: see [store.Checker].
func (s *Store) Check(ctx context.Context) error {
	return s.read(ctx, "check", func(v *view) error {
		var said string
		return v.each("PRAGMA integrity_check(1)", nil, []any{&said}, func() error {
			if said != "ok" {
				return s.graph.damaged(said)
			}
			return nil
		})
	})
}

// Marks gives all marks.
func (s *Store) Marks(ctx context.Context) (map[string]string, error) {
	marks := make(map[string]string)
	err := s.read(ctx, "read marks", func(v *view) error {
		var name, value sql.RawBytes
		return v.each("SELECT name, value FROM mark WHERE org = ?", []any{v.org}, []any{&name, &value}, func() error {
			marks[string(name)] = string(value)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return marks, nil
}
