package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// head is what a digest is found by; two digests may have the same.
func head(d store.KeyDigest) int64 { return int64(binary.BigEndian.Uint64(d[:])) }

// eachDigest calls fn for the digests of a column.
func eachDigest(column []byte, fn func(store.KeyDigest) error) error {
	if len(column)%len(store.KeyDigest{}) != 0 {
		return fmt.Errorf("keys of a scope: %d bytes: %w", len(column), stemma.ErrInvalid)
	}
	for chunk := range slices.Chunk(column, len(store.KeyDigest{})) {
		if err := fn(store.KeyDigest(chunk)); err != nil {
			return err
		}
	}
	return nil
}

// keyColumn is what a column holds of keys.
func keyColumn(keys []string) []byte {
	var column []byte
	for _, digest := range store.DigestKeys(keys) {
		column = append(column, digest[:]...)
	}
	return column
}

// clearKeys removes the keys of a scope, unless those that it is to have are the
// same: a commit that is derived again mostly has the keys that it had.
func (g *graphWriter) clearKeys(node int64, wanted []byte) error {
	var digests []byte
	err := g.w.row("SELECT digests FROM scope_key WHERE org = ? AND node = ?", []any{g.org, node}, &digests)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if bytes.Equal(digests, wanted) {
		g.unchanged[node] = true
		return nil
	}
	if err := eachDigest(digests, func(digest store.KeyDigest) error {
		_, err := g.w.exec("DELETE FROM key_scope WHERE org = ? AND head = ? AND node = ?", g.org, head(digest), node)
		return err
	}); err != nil {
		return err
	}
	_, err = g.w.exec("DELETE FROM scope_key WHERE org = ? AND node = ?", g.org, node)
	return err
}

// insertKeys writes the keys of the scopes, each tree in its order.
func (g *graphWriter) insertKeys(scopes []store.Scope) error {
	type entry struct{ head, node int64 }
	var all []entry
	own := newBulk(g.w, "scope_key (org, node, digests)", 3)
	for i := range scopes {
		if len(scopes[i].Keys) == 0 {
			continue
		}
		node := g.nodes[scopes[i].ID].id
		if g.unchanged[node] {
			continue
		}
		column := keyColumn(scopes[i].Keys)
		if err := eachDigest(column, func(digest store.KeyDigest) error {
			all = append(all, entry{head(digest), node})
			return nil
		}); err != nil {
			return err
		}
		if err := own.add(g.org, node, column); err != nil {
			return err
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return cmp.Or(cmp.Compare(a.head, b.head), cmp.Compare(a.node, b.node)) })
	insert := newBulk(g.w, "key_scope (org, head, node)", 3)
	for _, e := range slices.Compact(all) {
		if err := insert.add(g.org, e.head, e.node); err != nil {
			return err
		}
	}
	return errors.Join(own.flush(), insert.flush())
}

// ScopesByKey gives the scopes that have one of the keys.
func (s *Store) ScopesByKey(ctx context.Context, keys []string) iter.Seq2[store.KeyedScope, error] {
	return sequence(ctx, s, "find scopes by key", func(v *view, yield func(store.KeyedScope) bool) error {
		asked := make(map[store.KeyDigest]string, len(keys))
		var heads []int64
		for _, key := range keys {
			digest := store.DigestKey(key)
			if _, ok := asked[digest]; !ok {
				asked[digest] = key
				heads = append(heads, head(digest))
			}
		}
		slices.Sort(heads)
		var nodes []int64
		for chunk := range slices.Chunk(slices.Compact(heads), keyChunk) {
			found, err := v.nodesByHead(chunk)
			if err != nil {
				return err
			}
			nodes = append(nodes, found...)
		}
		slices.Sort(nodes)
		for chunk := range slices.Chunk(slices.Compact(nodes), keyChunk) {
			if stopped, err := v.keysAsked(chunk, asked, yield); stopped || err != nil {
				return err
			}
		}
		return nil
	})
}

// keyChunk is how many keys, or scopes, are looked up at once.
const keyChunk = 1000

// nodesByHead gives the scopes that have one of the heads, some more than once.
func (v *view) nodesByHead(heads []int64) ([]int64, error) {
	var nodes []int64
	var node int64
	err := v.each(`
		SELECT k.node
		FROM json_each(?) AS j
		CROSS JOIN key_scope AS k ON k.org = ? AND k.head = j.value`,
		[]any{jsonIDs(heads), v.org}, []any{&node}, func() error {
			nodes = append(nodes, node)
			return nil
		})
	return nodes, err
}

// keysAsked gives those of the keys asked for that each of the scopes has.
func (v *view) keysAsked(nodes []int64, asked map[store.KeyDigest]string, yield func(store.KeyedScope) bool) (stopped bool, err error) {
	var kind int64
	var key, digests sql.RawBytes
	err = v.each(`
		SELECT n.kind, n.key, s.digests
		FROM json_each(?) AS j
		CROSS JOIN scope_key AS s ON s.org = ? AND s.node = j.value
		CROSS JOIN node AS n ON n.org = ? AND n.id = j.value`,
		[]any{jsonIDs(nodes), v.org, v.org}, []any{&kind, &key, &digests}, func() error {
			word, err := v.words.find(kind, wordNode)
			if err != nil {
				return err
			}
			id := stemma.NodeID{Kind: stemma.NodeKind(word), Key: string(key)}
			return eachDigest(digests, func(digest store.KeyDigest) error {
				if key, ok := asked[digest]; ok && !yield(store.KeyedScope{Key: key, ID: id}) {
					stopped = true
					return errStop
				}
				return nil
			})
		})
	return stopped, err
}
