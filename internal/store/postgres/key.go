package postgres

import (
	"context"
	"iter"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/stemma-dev/stemma/internal/store"
)

// ScopesByKey gives the scopes that have one of the keys. It holds what it gives
// for chunkSize keys at a time.
func (s *Store) ScopesByKey(ctx context.Context, keys []string) iter.Seq2[store.KeyedScope, error] {
	return sequence(ctx, s, "find scopes by key", func(v *view, yield func(store.KeyedScope) bool) error {
		asked := make(map[store.KeyDigest]string, len(keys))
		digests := make([]pgtype.UUID, 0, len(keys))
		for _, key := range keys {
			digest := store.DigestKey(key)
			if _, ok := asked[digest]; !ok {
				asked[digest] = key
				digests = append(digests, pgtype.UUID{Bytes: digest, Valid: true})
			}
		}
		for chunk := range slices.Chunk(digests, chunkSize) {
			if err := v.scopesByDigest(chunk, asked, yield); err != nil {
				return err
			}
		}
		return nil
	})
}

func (v *view) scopesByDigest(digests []pgtype.UUID, asked map[store.KeyDigest]string, yield func(store.KeyedScope) bool) error {
	type pair struct {
		digest store.KeyDigest
		node   int64
	}
	var pairs []pair
	var digest pgtype.UUID
	var node int64
	err := v.each(`
		SELECT d.digest, k.node
		FROM unnest($2::uuid[]) AS d (digest)
		CROSS JOIN LATERAL (
			SELECT node FROM stemma_graph.scope_key WHERE org = $1 AND digest = d.digest OFFSET 0
		) AS k`,
		[]any{v.org, digests}, []any{&digest, &node}, func() error {
			pairs = append(pairs, pair{digest.Bytes, node})
			return nil
		})
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(pairs, chunkSize) {
		ids := make([]int64, len(chunk))
		for i := range chunk {
			ids[i] = chunk[i].node
		}
		if err := v.needNodes(ids); err != nil {
			return err
		}
		for _, p := range chunk {
			if !yield(store.KeyedScope{Key: asked[p.digest], ID: v.nodes[p.node]}) {
				return errStop
			}
		}
	}
	return nil
}
