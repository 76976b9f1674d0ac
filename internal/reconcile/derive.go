package reconcile

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attribution"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
	"github.com/stemma-dev/stemma/internal/project"
	"github.com/stemma-dev/stemma/internal/store"
)

// derive attributes the commits that are new or dirty, and removes those that
// no ref reaches any more.
func (r *run) derive(ctx context.Context, p *plan) error {
	d := &derivation{run: r, plan: p, waiting: make(map[string]waiting), outside: make(map[string]bool)}
	if err := r.openLinks(ctx, p); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	differences := r.Repo.Added
	if r.links != nil {
		differences = r.Repo.Patches // their lines are what rewrites are found by
	}
	var scopes []store.Scope
	for diff, err := range differences(ctx, d.commits(ctx), r.Workers) {
		if err != nil {
			return errors.Join(d.failed(), err)
		}
		scope, err := d.scope(ctx, diff)
		if err != nil {
			return err
		}
		if scopes = append(scopes, scope); len(scopes) == batch {
			if err := r.Store.Put(ctx, store.Batch{Scopes: scopes}); err != nil {
				return err
			}
			scopes = scopes[:0:0]
		}
		d.progress()
	}
	if err := d.failed(); err != nil {
		return err
	}
	gone := d.gone()
	r.report.Removed = len(gone)
	for _, id := range append(gone, d.forgotten...) {
		if !d.outside[id] {
			scopes = append(scopes, store.Scope{ID: stemma.CommitID(id), Gone: true})
		}
		r.links.lose(id)
	}
	if err := r.countUnreached(ctx, d); err != nil {
		return err
	}
	return r.Store.Put(ctx, store.Batch{Scopes: scopes})
}

// derivation is what the goroutine that feeds commits to git and the one that
// takes differences from it share.
type derivation struct {
	run  *run
	plan *plan

	mu      sync.Mutex // guards what follows
	waiting map[string]waiting
	reached map[string]bool // in a full plan: commits that a ref reaches
	outside map[string]bool // commits that are kept although no ref reaches them
	// forgotten are commits that were kept outside and are not any more.
	forgotten []string
	named     map[string]bool // in a full plan: keys of evidence that these name
	err       error
	total     int
	done      int
}

// waiting is a commit whose added lines are being read.
type waiting struct {
	commit *git.Commit // without its message, unless that is read again
	keys   []string
	again  bool // the store has had it
	out    bool // no ref reaches it
	said   []attribution.Said
}

func (d *derivation) failed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

func (d *derivation) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = err
	}
}

// commits gives the commits whose added lines are needed, and notes what their
// sources say. An error ends it and is kept for failed.
func (d *derivation) commits(ctx context.Context) iter.Seq[string] {
	return func(yield func(string) bool) {
		if d.plan.full {
			d.reached, d.named = make(map[string]bool), make(map[string]bool)
		}
		given := make(map[string]bool)
		query := git.HistoryQuery{Tips: d.run.tips, Not: d.plan.old}
		for c, err := range d.run.Repo.History(ctx, query) {
			if err != nil {
				d.fail(fmt.Errorf("read history: %w", err))
				return
			}
			if d.plan.full {
				d.reached[c.ID] = true
				for _, key := range d.run.keys(c) {
					d.named[key] = true
				}
				if d.plan.stored[c.ID] && !d.plan.every() && !d.plan.dirty[c.ID] {
					continue
				}
			} else {
				given[c.ID] = true
			}
			if !d.give(ctx, c, d.plan.stored[c.ID], false, yield) {
				return
			}
		}
		if d.plan.full || d.redo(ctx, given, yield) {
			d.giveOutside(ctx, given, yield)
		}
	}
}

// redo gives the dirty commits that the store has and that are not new, and
// says whether to go on.
func (d *derivation) redo(ctx context.Context, given map[string]bool, yield func(string) bool) bool {
	query := store.TallyQuery{Kind: stemma.KindCommit, Group: d.run.report.Repository}
	if !d.plan.every() {
		query.Nodes = commitIDs(slices.Collect(maps.Keys(d.plan.dirty)))
	}
	var again []string
	for t, err := range d.run.Store.Tallies(ctx, query) {
		if err != nil {
			d.fail(err)
			return false
		}
		if !given[t.Node.Key] {
			again = append(again, t.Node.Key)
		}
	}
	slices.Sort(again)
	for _, id := range again {
		c, err := d.run.Repo.Commit(ctx, id)
		if err != nil {
			d.fail(err)
			return false
		}
		if !d.give(ctx, c, true, false, yield) {
			return false
		}
	}
	return true
}

// give reads what the sources say of a commit and hands it on.
func (d *derivation) give(ctx context.Context, c *git.Commit, again, out bool, yield func(string) bool) bool {
	said, err := d.run.said(ctx, c)
	if err != nil {
		d.fail(fmt.Errorf("evidence on %s: %w", c.ID, err))
		return false
	}
	keys := d.run.keys(c)
	if len(keys) == 0 && d.run.links == nil {
		c.Message = nil
	}
	d.mu.Lock()
	d.waiting[c.ID] = waiting{commit: c, keys: keys, said: said, again: again, out: out}
	d.total++
	d.mu.Unlock()
	return yield(c.ID)
}

// scope attributes one commit.
func (d *derivation) scope(ctx context.Context, diff git.Diff) (store.Scope, error) {
	d.mu.Lock()
	w, ok := d.waiting[diff.Commit]
	delete(d.waiting, diff.Commit)
	d.done++
	d.mu.Unlock()
	if !ok {
		return store.Scope{}, fmt.Errorf("commit %s: git gave a difference nobody asked for", diff.Commit)
	}
	generated, err := d.run.generated.matcher(diff.Files)
	if err != nil {
		return store.Scope{}, err
	}
	said, err := d.run.withKeyed(ctx, w.commit, diff, w.said)
	if err != nil {
		return store.Scope{}, err
	}
	row := attribution.Commit(w.commit, diff, said, d.run.links.lost(diff.Commit), d.run.rules(generated))
	var scope store.Scope
	if w.out {
		scope = project.Outside(row, d.run.report.Repository)
		scope.Keys = append(w.keys, d.run.outsideKey())
	} else {
		scope = project.Commit(row, d.run.report.Repository)
		scope.Keys = w.keys
	}
	switch {
	case w.out, w.again && !d.plan.all && !d.plan.dirty[diff.Commit]:
	case w.again:
		d.plan.redone = append(d.plan.redone, diff.Commit)
		d.run.report.Redone++
	default:
		d.run.report.Added++
	}
	scope.Keys = append(scope.Keys, d.run.links.add(attribution.Version{Commit: w.commit, Diff: diff}, &row, attribution.KeysOf(w.commit, diff, generated), w.again || w.out)...)
	return scope, nil
}

func (d *derivation) progress() {
	d.mu.Lock()
	done, total := d.done, d.total
	d.mu.Unlock()
	d.run.Progress(Progress{Stage: "attributing", Done: done, Total: total})
}

// gone gives the commits that the store has and no ref reaches.
func (d *derivation) gone() []string {
	var gone []string
	for id := range d.plan.stored { // none but in a full plan
		if !d.reached[id] {
			gone = append(gone, id)
		}
	}
	slices.Sort(gone)
	return gone
}

// readEvidence finds, for each source, which commits it has evidence on.
func (r *run) readEvidence(ctx context.Context) error {
	r.evidence = make(map[string]map[string][]string)
	for _, s := range r.Notes {
		by := make(map[string][]string)
		r.evidence[s.Name()] = by
		for _, ref := range s.NotesRefs() {
			at, ok := r.now[ref]
			if !ok {
				continue
			}
			for e, err := range r.Repo.Tree(ctx, at.At, true) {
				if err != nil && foreign(err) {
					r.report.BrokenRefs = append(r.report.BrokenRefs, ref)
					break
				}
				if err != nil {
					return fmt.Errorf("read %s: %w", ref, err)
				}
				if id, ok := notedCommit(e.Path); ok && e.Type == "blob" {
					by[id] = append(by[id], e.ID)
				}
			}
		}
		for _, prefix := range s.RefPrefixes() {
			for name, m := range r.now {
				if len(name) > len(prefix) && name[:len(prefix)] == prefix {
					if id, ok := notedCommit(name[len(prefix):]); ok {
						by[id] = append(by[id], m.At)
					}
				}
			}
		}
	}
	return nil
}

// countUnreached counts the evidence on commits that no ref reaches. It is
// known in a full plan alone; else the commits that have evidence are asked for.
func (r *run) countUnreached(ctx context.Context, d *derivation) error {
	if d.reached == nil {
		return nil
	}
	r.report.Unreached = make(map[string]int)
	for source, by := range r.evidence {
		for id := range by {
			if !d.reached[id] {
				r.report.Unreached[source]++
			}
		}
	}
	return r.countUnreachedKeyed(ctx, d.reached, d.named)
}

// fromCommit is the input of what a commit says of itself.
const fromCommit = "commit"

// said gives what every source says of a commit: notes before the commit's own
// signals, because they speak of lines.
func (r *run) said(ctx context.Context, c *git.Commit) ([]attribution.Said, error) {
	var said []attribution.Said
	for _, s := range r.Notes {
		for _, id := range r.evidence[s.Name()][c.ID] {
			e, err := r.note(ctx, s, c.ID, id)
			if err != nil {
				return nil, err
			}
			said = append(said, attribution.Said{Evidence: e, Input: id})
		}
	}
	for _, s := range r.Commits {
		if e, ok := s.Read(c); ok {
			said = append(said, attribution.Said{Evidence: e, Input: fromCommit})
		}
	}
	return said, nil
}

// note reads one piece of evidence. One that can not be read says nothing but
// that, so that it is counted and listed, and the rest is indexed.
func (r *run) note(ctx context.Context, s notes.NoteSource, commit, id string) (notes.Evidence, error) {
	blob, err := r.Repo.Blob(ctx, id, notes.MaxNote)
	if err == nil {
		var e notes.Evidence
		if e, err = s.Decode(commit, blob); err == nil {
			return e, nil
		}
	}
	if ctx.Err() != nil {
		return notes.Evidence{}, ctx.Err()
	}
	if !foreign(err) {
		return notes.Evidence{}, err
	}
	return notes.Evidence{Source: s.Name(), Whole: -1, Problems: []string{err.Error()}}, nil
}
