package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attribution"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/store"
)

// What a revert brings back had an owner before. Content tells which lines these
// are; git blame of the state before tells which commit they were from, and that
// commit's row whose.

// restoring is a target with such lines.
type restoring struct {
	*target
	resolved *attribution.Rewritten
	from     []restorable
}

// restorable are blocks that were in a file of a commit.
type restorable struct {
	rev    string // where they were last there
	blocks []attribution.Block
}

// restorable gives nil for a target without such lines.
func (f *following) restorable(t *target, versions map[string]*attribution.Version, resolved *attribution.Rewritten) *restoring {
	if len(t.Commit.Parents) != 1 {
		return nil
	}
	w := &restoring{target: t, resolved: resolved}
	var losers []*attribution.Version
	for _, id := range t.losers {
		if v := versions[id]; v != nil && len(v.Commit.Parents) == 1 && v.Commit.Committer.Time <= t.Commit.Committer.Time {
			losers = append(losers, v)
		}
	}
	// The last that took a block away tells whose it was.
	slices.SortFunc(losers, func(a, b *attribution.Version) int {
		return cmp.Or(cmp.Compare(b.Commit.Committer.Time, a.Commit.Committer.Time), cmp.Compare(a.Commit.ID, b.Commit.ID))
	})
	type place struct {
		path string
		line int
	}
	taken := make(map[place]bool)
	for _, v := range losers {
		blocks := slices.DeleteFunc(open(attribution.Reverted(t.Diff, v.Diff), resolved), func(b attribution.Block) bool {
			return taken[place{b.Path, b.Line}]
		})
		for _, b := range blocks {
			taken[place{b.Path, b.Line}] = true
		}
		if len(blocks) > 0 {
			w.from = append(w.from, restorable{v.Commit.Parents[0], blocks})
		}
	}
	if len(w.from) == 0 {
		return nil
	}
	return w
}

// open keeps the blocks with a line that is not resolved.
func open(blocks []attribution.Block, resolved *attribution.Rewritten) []attribution.Block {
	return slices.DeleteFunc(blocks, func(b attribution.Block) bool {
		for n := range b.Lines {
			if !resolved.Resolves(b.Path, b.Line+n) {
				return false
			}
		}
		return true
	})
}

// restore finds the owners of what was brought back, oldest target first: lines
// may come back more than once.
func (f *following) restore(ctx context.Context) error {
	for {
		slices.SortFunc(f.waiting, func(a, b *restoring) int {
			return cmp.Or(cmp.Compare(a.Commit.Committer.Time, b.Commit.Committer.Time), cmp.Compare(a.Commit.ID, b.Commit.ID))
		})
		waiting := f.waiting
		f.waiting = nil
		if err := f.blameAll(ctx, waiting); err != nil {
			return err
		}
		for i, w := range waiting {
			scope, changed, err := f.restoreOne(ctx, w)
			if err != nil {
				return fmt.Errorf("restored lines of %s: %w", w.Commit.ID, err)
			}
			if changed {
				if err := f.Store.Put(ctx, store.Batch{Scopes: []store.Scope{scope}}); err != nil {
					return err
				}
			}
			f.Progress(Progress{Stage: "reverts", Done: i + 1, Total: len(waiting)})
		}
		// Those that lines came by from a row that has changed.
		var keys []string
		for _, id := range f.changed {
			keys = append(keys, dependsOn+id)
		}
		f.changed = nil
		by, err := f.scopesBy(ctx, keys)
		if err != nil {
			return err
		}
		again := make(map[string]bool)
		for _, ids := range by {
			for _, id := range ids {
				again[id] = true
			}
		}
		if len(again) == 0 {
			return nil
		}
		for chunk := range slices.Chunk(slices.Sorted(maps.Keys(again)), targetsAtOnce) {
			if err := f.resolve(ctx, chunk); err != nil {
				return err
			}
		}
	}
}

// restoreOne derives a target with what blame knows of it.
func (f *following) restoreOne(ctx context.Context, w *restoring) (store.Scope, bool, error) {
	var restored []attribution.Restored
	depends := make(map[string]bool)
	for _, from := range w.from {
		for _, query := range from.queries() {
			lines := f.blamed[asked(query)]
			rows, err := f.blamedRows(ctx, lines)
			if err != nil {
				return store.Scope{}, false, err
			}
			for _, b := range from.blocks {
				if b.OldPath != query.Path {
					continue
				}
				run := attribution.Restored{Path: b.Path, Line: b.Line, Owners: make([]stemma.Owner, b.Lines)}
				for n := range b.Lines {
					l, ok := lines[b.OldLine+n]
					if !ok {
						continue
					}
					depends[dependsOn+l.Commit] = true
					row := rows[l.Commit]
					if row == nil {
						continue
					}
					if o := attribution.OwnerAt(row, l.OrigPath, l.OrigLine); o != (stemma.Owner{}) && o.Strength.Method != attribution.MethodBeforeAgents {
						run.Owners[n] = attribution.By(o, attribution.RuleRevert, l.Commit)
					}
				}
				restored = append(restored, run)
			}
		}
	}
	row, err := f.rowsOf(ctx, []string{w.Commit.ID})
	if err != nil {
		return store.Scope{}, false, err
	}
	w.Row = row[w.Commit.ID]
	resolved := attribution.Restore(w.resolved, w.Diff, restored)
	return f.scope(ctx, &w.Version, w.keys, resolved, slices.Sorted(maps.Keys(depends)))
}

// queries are what blame is asked of the blocks, a file at a time.
func (r restorable) queries() []git.BlameQuery {
	lines := make(map[string][]string)
	for _, b := range r.blocks {
		lines[b.OldPath] = append(lines[b.OldPath], fmt.Sprintf("%d,%d", b.OldLine, b.OldLine+b.Lines-1))
	}
	var queries []git.BlameQuery
	for _, path := range slices.Sorted(maps.Keys(lines)) {
		queries = append(queries, git.BlameQuery{Rev: r.rev, Path: path, Lines: lines[path]})
	}
	return queries
}

// blamed tells by line which commit the lines of blocks are from; empty where
// the state before is not here.
type blamed map[int]git.BlameLine

// asked names a question that has one answer.
func asked(q git.BlameQuery) string { return fmt.Sprintf("%s %q %q", q.Rev, q.Path, q.Lines) }

// blameAll asks git what was not asked before: a target may come again, when a
// row has changed that its lines came by.
func (f *following) blameAll(ctx context.Context, waiting []*restoring) error {
	var open []git.BlameQuery
	for _, w := range waiting {
		for _, from := range w.from {
			for _, q := range from.queries() {
				if _, known := f.blamed[asked(q)]; !known {
					f.blamed[asked(q)] = make(blamed)
					open = append(open, q)
				}
			}
		}
	}
	return f.sideBySide(ctx, len(open), func(ctx context.Context, i int) error {
		lines := f.blamed[asked(open[i])]
		for l, err := range f.Repo.Blame(ctx, open[i]) {
			if err != nil && foreign(err) {
				clear(lines)
				return nil
			}
			if err != nil {
				return fmt.Errorf("restored lines: %w", err)
			}
			if l.Commit != "" && !l.Boundary {
				l.Text = nil
				lines[l.Line] = l
			}
		}
		return nil
	})
}

func (f *following) blamedRows(ctx context.Context, lines blamed) (map[string]*stemma.Attribution, error) {
	commits := make(map[string]bool)
	for _, l := range lines {
		commits[l.Commit] = true
	}
	return f.rowsOf(ctx, slices.Collect(maps.Keys(commits)))
}
