package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/project"
	"github.com/stemma-dev/stemma/internal/store"
)

// together reads the sessions that belong together with some, and no others: those
// that spawned one another, spoke with one another or are of one team, and those
// that turns are shared with; with related, those too that took up what one of
// them had said or done. And theirs, and so on; by key.
func (b *bench) together(ctx context.Context, keys []string, related bool) ([]agent.Tale, error) {
	rows, err := b.sessionRows(ctx)
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(rows))
	for i := range rows {
		known[rows[i].Session] = true
	}
	var all []agent.Tale
	met := make(map[string]bool)
	for next := keys; len(next) > 0; {
		var now, told, more []string
		for _, key := range next {
			if met[key] {
				continue
			}
			met[key] = true
			now = append(now, key)
			if known[key] {
				told = append(told, key)
			}
		}
		tales, err := b.talesOf(ctx, told)
		if err != nil {
			return nil, err
		}
		all = append(all, tales...)
		joined, err := b.joinedWith(ctx, now)
		if err != nil {
			return nil, err
		}
		more = append(more, joined...)
		var by []string
		for i := range tales {
			t := &tales[i]
			by = append(by, project.TogetherKeys(&t.Session)...)
			for _, r := range t.Related {
				if related {
					more = append(more, r.Session)
				}
			}
		}
		for _, key := range now {
			if related {
				by = append(by, project.RelatedKey(key))
			}
		}
		for s, err := range b.store.ScopesByKey(ctx, by) {
			if err != nil {
				return nil, fmt.Errorf("find sessions that belong together: %w", err)
			}
			more = append(more, s.ID.Key)
		}
		next = more
	}
	slices.SortFunc(all, func(a, b agent.Tale) int { return cmp.Compare(a.Key, b.Key) })
	return all, nil
}

// joinedWith gives the sessions that edges join with these, as what spawned one or
// was spawned by it, or as what it spoke with.
func (b *bench) joinedWith(ctx context.Context, keys []string) ([]string, error) {
	ids := make([]stemma.NodeID, 0, len(keys))
	for _, key := range keys {
		ids = append(ids, stemma.NodeID{Kind: stemma.KindSession, Key: key})
	}
	kinds := []stemma.EdgeKind{stemma.EdgeSpawnedBy, stemma.EdgeToldBy}
	var all []string
	for _, q := range []store.EdgeQuery{{From: ids, Kinds: kinds}, {To: ids, Kinds: kinds}} {
		for e, err := range b.store.Edges(ctx, q) {
			if err != nil {
				return nil, fmt.Errorf("find sessions that belong together: %w", err)
			}
			all = append(all, e.From.Key, e.To.Key)
		}
	}
	slices.SortFunc(all, strings.Compare)
	return slices.Compact(all), nil
}
