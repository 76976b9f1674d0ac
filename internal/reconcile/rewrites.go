package reconcile

import (
	"context"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attribution"
	"github.com/stemma-dev/stemma/internal/project"
	"github.com/stemma-dev/stemma/internal/store"
)

// A commit whose own evidence names no owner of a line is a target: its lines
// may be those of an origin, a commit whose evidence does. What a target's lines
// are is computed from the target, the origins that share a key with it, and the
// series that these are part of; and from nothing that is computed so itself,
// but for lines that blame gives to another commit (restore.go). A change of any
// of these makes the target dirty, whatever came first.

// common is how many scopes a key may have and still tell something. An author
// line may have more: each time a branch is rebased, another.
const (
	common       = 64
	commonAuthor = 1024
)

func commonest(key string) int {
	if strings.HasPrefix(key, "author:") {
		return commonAuthor
	}
	return common
}

// rewrites finds whose lines the commits have that this run touched, and those
// that depend on what it touched.
func (r *run) rewrites(ctx context.Context, p *plan) error {
	if r.links == nil {
		return nil
	}
	f := &following{run: r, plan: p, redone: make(map[string]bool), blamed: make(map[string]blamed), rows: heldRows{of: make(map[string]*stemma.Attribution)}}
	for _, id := range p.redone {
		f.redone[id] = true
	}
	targets, err := f.dirty(ctx)
	if err != nil {
		return err
	}
	done := 0
	for chunk := range slices.Chunk(targets, targetsAtOnce) {
		if err := f.resolve(ctx, chunk); err != nil {
			return err
		}
		done += len(chunk)
		r.Progress(Progress{Stage: "rewrites", Done: done, Total: len(targets)})
	}
	return f.restore(ctx)
}

// targetsAtOnce is how many targets are held with all that they are compared to.
const targetsAtOnce = 256

// following is the search for rewrites in one run.
type following struct {
	*run
	plan    *plan
	redone  map[string]bool // those of plan.redone
	rows    heldRows
	lines   *region           // nil until it is needed
	waiting []*restoring      // targets with lines that blame may tell of
	changed []string          // targets whose row was changed and that none was told of
	blamed  map[string]blamed // by question
}

// target is one commit whose lines are looked for.
type target struct {
	attribution.Version
	keys    attribution.Keys
	origins []string        // that share a key with it, most keys first
	strong  map[string]bool // those that share more than one, or a whole file
	near    map[string]bool // those with its author line
	losers  []string        // that took away a block which it adds
	related []int32         // of the region: what its origins build on
	same    []int32         // of the region: commits with its tree
	twin    bool            // another commit has its tree
	history part            // of the region: what it builds on, itself included
	later   part            // of the region: what builds on it
}

// maxOrigins is how many commits one target is compared to, beside their series.
const maxOrigins = 256

// resolve finds whose lines these targets have, and stores what changed.
func (f *following) resolve(ctx context.Context, ids []string) error {
	targets, err := f.targets(ctx, ids)
	if err != nil || len(targets) == 0 {
		return err
	}
	rows, err := f.relate(ctx, targets)
	if err != nil {
		return err
	}
	var needed []string
	for _, t := range targets {
		needed = append(append(needed, t.origins...), t.losers...)
		for _, n := range t.related {
			needed = append(needed, f.lines.ids[n])
		}
		for _, n := range t.same {
			for _, m := range f.lines.chain(n) {
				needed = append(needed, f.lines.ids[m])
			}
		}
	}
	versions, err := f.load(ctx, needed, rows)
	if err != nil {
		return err
	}
	if needed = f.widen(targets, versions); len(needed) > 0 {
		more, err := f.load(ctx, needed, rows)
		if err != nil {
			return err
		}
		maps.Copy(versions, more)
	}
	found := make([]*attribution.Rewritten, len(targets))
	err = f.sideBySide(ctx, len(targets), func(ctx context.Context, i int) error {
		t := targets[i]
		generated, err := f.generated.matcher(t.Diff.Files)
		if err != nil {
			return err
		}
		known := attribution.Known{Lost: f.links.lost(t.Commit.ID), Generated: generated}
		origins := f.origins(t, versions, rows, &known)
		found[i] = attribution.Resolve(t.Version, origins, known)
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	var scopes []store.Scope
	for i, t := range targets {
		if w := f.restorable(t, versions, found[i]); w != nil {
			f.waiting = append(f.waiting, w)
			continue
		}
		scope, changed, err := f.scope(ctx, &t.Version, t.keys, found[i], nil)
		if err != nil {
			return err
		}
		if changed {
			scopes = append(scopes, scope)
		}
	}
	return f.Store.Put(ctx, store.Batch{Scopes: scopes})
}

// sideBySide does work on so many items, a few at a time, until the first error.
func (f *following) sideBySide(ctx context.Context, items int, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(f.Workers)
	for i := range items {
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait()
}

// load reads commits, and their rows into rows.
func (f *following) load(ctx context.Context, ids []string, rows map[string]*stemma.Attribution) (map[string]*attribution.Version, error) {
	slices.Sort(ids)
	ids = slices.Compact(ids)
	more, err := f.rowsOf(ctx, slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return rows[id] != nil }))
	if err != nil {
		return nil, err
	}
	maps.Copy(rows, more)
	return f.versions(ctx, ids)
}

// maxNeighbours is how many commits of the same branch are looked at where a
// commit has lines that none of its earlier versions has: a fixup was squashed
// into it, or a part of its neighbour.
const maxNeighbours = 32

// widen relates targets that are not made from their earlier versions alone to
// the neighbours of these, and gives what they are.
func (f *following) widen(targets []*target, versions map[string]*attribution.Version) []string {
	var needed []string
	for _, t := range targets {
		var near []attribution.Version
		var at []int32
		var ids []string
		for _, id := range t.origins {
			n, ok := f.regionNumber(id)
			if v := versions[id]; t.near[id] && ok && !t.history.has(n) && v != nil {
				near, at, ids = append(near, *v), append(at, n), append(ids, id)
			}
		}
		if len(near) == 0 || len(t.related) > 0 || attribution.Covered(t.Version, near) {
			continue
		}
		t.related = f.lines.below(at, t.history, maxNeighbours)
		later := f.lines.above(ids).numbers()
		slices.SortFunc(later, f.lines.older)
		for _, n := range later[:min(len(later), maxNeighbours)] {
			if !t.history.has(n) && !t.later.has(n) && !slices.Contains(t.related, n) {
				t.related = append(t.related, n)
			}
		}
		for _, n := range t.related {
			needed = append(needed, f.lines.ids[n])
		}
	}
	return needed
}

// targets reads those of the commits that are targets.
func (f *following) targets(ctx context.Context, ids []string) ([]*target, error) {
	rows, err := f.rowsOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	var wanted []string
	for _, id := range ids {
		row := rows[id]
		if row != nil && !attribution.Evidenced(row) && row.Unreadable == "" && row.Rest == stemma.ClassUnknown {
			wanted = append(wanted, id)
		}
	}
	versions, err := f.versions(ctx, wanted)
	if err != nil {
		return nil, err
	}
	var targets []*target
	for _, id := range wanted {
		v := versions[id]
		if v == nil || v.Diff.Unreadable != "" {
			continue
		}
		keys, err := f.keysFor(v)
		if err != nil {
			return nil, err
		}
		targets = append(targets, &target{Version: attribution.Version{Commit: v.Commit, Diff: v.Diff, Row: rows[id]}, keys: keys})
	}
	return targets, nil
}

// relate finds by keys what each target is compared to, and gives the rows that
// it read.
func (f *following) relate(ctx context.Context, targets []*target) (map[string]*stemma.Attribution, error) {
	var keys []string
	for _, t := range targets {
		keys = append(append(keys, t.keys.Own...), t.keys.Back...)
	}
	by, err := f.scopesBy(ctx, keys)
	if err != nil {
		return nil, err
	}
	var ids []string
	for key, of := range by {
		if len(of) <= commonest(key) {
			ids = append(ids, of...)
		}
	}
	slices.Sort(ids)
	rows, err := f.rowsOf(ctx, slices.Compact(ids))
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		t.origins, t.strong = mostOf(by, t.keys.Own, func(id string) bool { return id != t.Commit.ID && attribution.Evidenced(rows[id]) })
		t.losers, _ = mostOf(by, t.keys.Back, func(id string) bool { return id != t.Commit.ID })
		t.twin = len(by["tree:"+t.Commit.Tree]) > 1
		if err := f.place(ctx, t, by); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// mostOf gives the commits that have most of the keys, at most maxOrigins, and
// those of them that have more than one small thing in common.
func mostOf(by map[string][]string, keys []string, wanted func(id string) bool) (ids []string, strong map[string]bool) {
	n := make(map[string]int)
	for _, k := range keys {
		if len(by[k]) > commonest(k) {
			continue
		}
		weight := 2
		if strings.HasPrefix(k, "line:") || strings.HasPrefix(k, "block:") {
			weight = 1
		}
		for _, id := range by[k] {
			n[id] += weight
		}
	}
	ids = slices.DeleteFunc(slices.Sorted(maps.Keys(n)), func(id string) bool { return !wanted(id) })
	slices.SortStableFunc(ids, func(a, b string) int { return n[b] - n[a] })
	ids = ids[:min(len(ids), maxOrigins)]
	strong = make(map[string]bool)
	for _, id := range ids {
		strong[id] = n[id] > 1
	}
	return ids, strong
}

// place finds the series that a target may be made from.
func (f *following) place(ctx context.Context, t *target, by map[string][]string) error {
	if len(t.origins) == 0 && !t.twin {
		return nil
	}
	if f.lines == nil {
		var err error
		if f.lines, err = f.region(ctx); err != nil {
			return err
		}
	}
	g := f.lines
	if own, ok := g.number[t.Commit.ID]; ok {
		t.later = g.above([]string{t.Commit.ID})
		t.history = g.reach([]int32{own}, g.parents, nil)
		t.origins = slices.DeleteFunc(t.origins, func(id string) bool { n, ok := g.number[id]; return ok && t.later.has(n) })
	}
	t.near = make(map[string]bool)
	for _, k := range t.keys.Own {
		for _, id := range by[k] {
			if strings.HasPrefix(k, "author:") && slices.Contains(t.origins, id) {
				t.near[id] = true
			}
		}
	}
	var heads []int32
	for _, n := range g.trees[t.Commit.Tree] {
		if !t.history.has(n) && !t.later.has(n) {
			heads = append(heads, n)
			t.same = append(t.same, n)
		}
	}
	if len(t.near) > 0 && len(heads) == 0 {
		// It is one of them, rewritten: what these build on is none of its.
		return nil
	}
	for _, id := range t.origins {
		if n, ok := g.number[id]; ok && !t.history.has(n) && t.strong[id] {
			heads = append(heads, n)
		}
	}
	t.related = g.below(heads, t.history, maxSeries)
	return nil
}

// origins gives the origins of a target with their series.
func (f *following) origins(t *target, versions map[string]*attribution.Version, rows map[string]*stemma.Attribution, known *attribution.Known) []attribution.Origin {
	version := func(id string) attribution.Version {
		return attribution.Version{Commit: versions[id].Commit, Diff: versions[id].Diff, Row: rows[id]}
	}
	origins := make([]attribution.Origin, 0, len(t.related)+len(t.origins))
	series := make(map[int32]int)
	whole := make(map[int]bool)
	if f.lines != nil {
		series = f.lines.components(t.related)
		for _, n := range t.same {
			whole[series[n]] = true
			if squashed := f.squashed(n, versions, version); len(squashed) > len(known.Squashed) {
				known.Squashed = squashed
			}
		}
	}
	for _, n := range t.related {
		if id := f.lines.ids[n]; versions[id] != nil {
			origins = append(origins, attribution.Origin{
				Version: version(id), Series: series[n] + 1, Age: int(f.lines.heights[n]), SameTree: whole[series[n]],
			})
		}
	}
	for i, id := range t.origins {
		n, ok := f.regionNumber(id)
		v := versions[id]
		if _, has := series[n]; ok && has || v == nil {
			continue
		}
		// One that entered the default branch may be what the target builds on.
		history := ok && t.history.has(n) || !ok && !attribution.Near(v.Commit, t.Commit)
		origins = append(origins, attribution.Origin{Version: version(id), Series: -1 - i, History: history})
	}
	return origins
}

// squashed gives the commits that lead to this one, oldest first; nil where they
// can not be replayed.
func (f *following) squashed(n int32, versions map[string]*attribution.Version, version func(string) attribution.Version) []attribution.Version {
	var squashed []attribution.Version
	for _, m := range f.lines.chain(n) {
		v := versions[f.lines.ids[m]]
		if v == nil || v.Diff.Unreadable != "" {
			return nil
		}
		squashed = append(squashed, version(f.lines.ids[m]))
	}
	return squashed
}

func (f *following) regionNumber(id string) (int32, bool) {
	if f.lines == nil {
		return 0, false
	}
	n, ok := f.lines.number[id]
	return n, ok
}

// scope derives a target anew, and reports whether it is another than is stored.
func (f *following) scope(ctx context.Context, v *attribution.Version, keys attribution.Keys, resolved *attribution.Rewritten, depends []string) (store.Scope, bool, error) {
	said, err := f.said(ctx, v.Commit)
	if err != nil {
		return store.Scope{}, false, err
	}
	if said, err = f.withKeyed(ctx, v.Commit, v.Diff, said); err != nil {
		return store.Scope{}, false, err
	}
	generated, err := f.generated.matcher(v.Diff.Files)
	if err != nil {
		return store.Scope{}, false, err
	}
	row := attribution.Commit(v.Commit, v.Diff, said, resolved, f.rules(generated))
	scope := project.Commit(row, f.report.Repository)
	scope.Keys = slices.Concat(f.keys(v.Commit), keys.Own, keys.Lost, depends)
	if row.Input == v.Row.Input && len(depends) == 0 {
		return scope, false, nil
	}
	delete(f.rows.of, row.Commit)
	if row.Input != v.Row.Input {
		if rewritten(&row) || rewritten(v.Row) {
			f.report.Resolved++
		}
		f.changed = append(f.changed, row.Commit)
		if !f.redone[row.Commit] {
			f.redone[row.Commit] = true
			f.plan.redone = append(f.plan.redone, row.Commit)
		}
	}
	return scope, true, nil
}
