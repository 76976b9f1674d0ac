package reconcile

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attribution"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/store"
)

// dirty gives the commits to look at, oldest first; some may be no targets.
func (f *following) dirty(ctx context.Context) ([]string, error) {
	found := make(map[string]bool)
	var keys []string
	var err error
	if !f.links.anew {
		if f.links.anew, err = f.branchJumped(ctx); err != nil {
			return nil, err
		}
	}
	if f.links.anew {
		if keys, err = f.dirtyAnew(ctx, found); err != nil {
			return nil, err
		}
	} else if keys, err = f.dirtyTouched(ctx, found); err != nil {
		return nil, err
	}
	touched := make(map[string]int) // how many scopes of a key this run touched
	for _, t := range f.links.touched {
		for _, k := range t.keys.Own {
			touched[k]++
		}
	}
	by, err := f.scopesBy(ctx, keys)
	if err != nil {
		return nil, err
	}
	for key, ids := range by {
		// A key that was rare before this run joined scopes that it joins no more.
		if strings.HasPrefix(key, dependsOn) || len(ids)-touched[key] <= commonest(key) {
			for _, id := range ids {
				found[id] = true
			}
		}
	}
	return f.byTime(ctx, found)
}

// byTime gives those of the commits that are in the repository, oldest first:
// what neighbours are compared to has much in common.
func (f *following) byTime(ctx context.Context, found map[string]bool) ([]string, error) {
	query := store.TallyQuery{Kind: stemma.KindCommit, Group: f.report.Repository, Nodes: commitIDs(slices.Collect(maps.Keys(found)))}
	var ids []string
	for t, err := range f.Store.Tallies(ctx, query) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, t.Node.Key)
	}
	slices.Reverse(ids)
	return ids, nil
}

// branchJumped reports whether the default branch is another or does not build
// on what it was, so that other commits are part of a series.
func (f *following) branchJumped(ctx context.Context) (bool, error) {
	done := f.marks.done
	if done == nil || done.Branch != f.state.Branch {
		return true, nil
	}
	ahead, err := f.Repo.Ancestor(ctx, done.Tip, f.state.Tip)
	if err != nil && foreign(err) {
		return true, nil
	}
	return !ahead, err
}

// dirtyAnew gives the keys of all origins, and adds the targets that have lines
// of others or may get some by blame.
func (f *following) dirtyAnew(ctx context.Context, found map[string]bool) (keys []string, err error) {
	ours := make(map[string]bool)
	for t, err := range f.Store.Tallies(ctx, store.TallyQuery{Kind: stemma.KindCommit, Group: f.report.Repository}) {
		if err != nil {
			return nil, err
		}
		ours[t.Node.Key] = true
	}
	for scope, err := range f.Store.ScopesByKey(ctx, []string{f.outsideKey()}) {
		if err != nil {
			return nil, err
		}
		ours[scope.ID.Key] = true
	}
	var read, origins []string
	for row, err := range f.Store.AllAttributions(ctx) {
		switch {
		case err != nil:
			return nil, err
		case !ours[row.Commit]:
		case attribution.Evidenced(&row):
			origins = append(origins, row.Commit)
			if t := f.links.touched[row.Commit]; t != nil {
				keys = append(keys, t.keys.Own...)
			} else {
				read = append(read, row.Commit)
			}
		case rewritten(&row):
			found[row.Commit] = true
		}
	}
	for _, id := range f.links.reverting() {
		found[id] = true
	}
	// A squash has the tree of a commit that builds on origins.
	if f.lines, err = f.region(ctx); err != nil {
		return nil, err
	}
	above := f.lines.above(origins)
	for tree, of := range f.lines.trees {
		if slices.ContainsFunc(of, above.has) {
			keys = append(keys, "tree:"+tree)
		}
	}
	slices.Sort(read)
	more, err := f.keysOf(ctx, slices.Compact(read))
	for _, k := range more {
		keys = append(keys, k.Own...)
	}
	return keys, err
}

// rewritten reports whether a row has lines that came by another commit.
func rewritten(row *stemma.Attribution) bool {
	return row.Ambiguous > 0 || slices.ContainsFunc(row.Owners, func(o stemma.Owner) bool { return o.Via != "" })
}

// dirtyTouched gives the keys of what this run touched, as far as others depend
// on it, and adds the targets that it touched.
func (f *following) dirtyTouched(ctx context.Context, found map[string]bool) ([]string, error) {
	var origins, keys, read []string
	for id, t := range f.links.touched {
		if !t.evidenced {
			found[id] = true
		}
		if t.evidenced || t.changed {
			origins = append(origins, id)
		}
		keys = append(keys, dependsOn+id)
		keys = append(keys, broughtBack(t.keys)...)
	}
	origins = append(origins, f.links.gone...)
	read = append(read, f.links.gone...)
	// Evidence on a commit that is not here may have been withdrawn.
	for chunk := range slices.Chunk(append(slices.Collect(maps.Keys(f.plan.dirty)), f.links.gone...), batch) {
		query := store.EdgeQuery{To: commitIDs(chunk), Kinds: []stemma.EdgeKind{stemma.EdgeRewriteOf}}
		for e, err := range f.Store.Edges(ctx, query) {
			if err != nil {
				return nil, err
			}
			found[e.From.Key] = true
		}
		for _, id := range chunk {
			keys = append(keys, dependsOn+id)
		}
	}
	for id := range f.links.kept {
		found[id] = true
	}
	// What entered the default branch is part of no series any more.
	if old := f.marks.done.Tip; old != f.state.Tip {
		query := git.HistoryQuery{Tips: []string{f.state.Tip}, Not: []string{old}, NoMessages: true}
		for c, err := range f.Repo.History(ctx, query) {
			if err != nil {
				return nil, err
			}
			if f.links.touched[c.ID] == nil {
				found[c.ID] = true
				origins = append(origins, c.ID)
			}
		}
	}
	if len(origins) > 0 {
		region, err := f.region(ctx)
		if err != nil {
			return nil, err
		}
		f.lines = region
		var untouched []string
		var at []int32
		for _, id := range origins {
			if n, ok := region.number[id]; ok {
				at = append(at, n)
			}
		}
		for _, n := range slices.Concat(region.above(origins).numbers(), region.below(at, nil, maxSeries)) {
			origins = append(origins, region.ids[n])
		}
		for _, id := range origins {
			if t := f.links.touched[id]; t != nil {
				keys = append(keys, t.keys.Own...)
			} else {
				untouched = append(untouched, id)
			}
		}
		for row, err := range f.Store.Attributions(ctx, untouched) {
			if err != nil {
				return nil, err
			}
			if attribution.Evidenced(&row) {
				read = append(read, row.Commit)
			}
		}
	}
	slices.Sort(read)
	more, err := f.keysOf(ctx, slices.Compact(read))
	for _, k := range more {
		keys = append(append(keys, k.Own...), broughtBack(k)...)
	}
	return keys, err
}

// broughtBack gives the keys of the commits that add a block which the one with
// these keys took away.
func broughtBack(keys attribution.Keys) []string {
	var own []string
	for _, k := range keys.Lost {
		own = append(own, "block:"+strings.TrimPrefix(k, "lost:"))
	}
	return own
}

// dependsOn is the beginning of the key of scopes with lines that blame gave to
// a commit: they change when its row does.
const dependsOn = "row:"
