package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/store"
)

// Most evidence of a history that is rewritten is on commits that no ref
// reaches any more. Their objects stay until git collects them. Such commits are
// kept as scopes that are not IN the repository: they hold the lines that other
// commits have from them, and nothing counts them. So are the heads of changes
// that a forge names in refs which are not indexed (refs/pull/7/head): a squash
// has the tree of one.

// readOutside finds the commits that are looked at though no indexed ref may
// reach them, and whether rewrites are followed at all: without any evidence
// there is nothing to find, and the search costs nothing.
func (r *run) readOutside(ctx context.Context, refs []git.Ref) error {
	noted := make(map[string]bool)
	for _, by := range r.evidence {
		for id := range by {
			noted[id] = true
		}
	}
	r.state.Follow = len(noted) > 0 || len(r.state.Keyed) > 0
	if !r.state.Follow {
		return nil
	}
	for id := range noted {
		if len(id) != len(r.state.Tip) {
			delete(noted, id) // of another object format
		}
	}
	ids := slices.Sorted(maps.Keys(noted))
	here, err := r.Repo.Present(ctx, ids)
	if err != nil {
		return fmt.Errorf("look for commits that have evidence: %w", err)
	}
	r.absent = noted
	for _, id := range here {
		delete(r.absent, id)
	}
	r.report.Absent = len(r.absent)
	for _, ref := range refs {
		if ref.Commit != "" && headOfChange(ref.Name) && !r.selected(ref.Name) {
			here = append(here, ref.Commit)
		}
	}
	slices.Sort(here)
	r.outside = slices.Compact(here)
	sum := sha256.Sum256([]byte(strings.Join(r.outside, " ")))
	r.state.Outside = hex.EncodeToString(sum[:])
	return nil
}

// headOfChange reports whether a ref is where a forge keeps the head of a change
// (GitHub, GitLab, Bitbucket, Gerrit).
func headOfChange(name string) bool {
	return slices.ContainsFunc([]string{"refs/pull/", "refs/merge-requests/", "refs/pull-requests/", "refs/changes/"}, func(prefix string) bool {
		return strings.HasPrefix(name, prefix)
	})
}

// outsideKey is the key of every commit that is kept outside of this repository.
func (r *run) outsideKey() string { return "outside:" + r.report.Repository }

// giveOutside gives the commits that are to be kept outside and are new there or
// dirty, and notes which are kept. given are the new commits of a plan that is
// not full.
func (d *derivation) giveOutside(ctx context.Context, given map[string]bool, yield func(string) bool) bool {
	r := d.run
	if r.links == nil && r.marks.done != nil && !r.marks.done.Follow {
		return true
	}
	reached := given
	if d.plan.full {
		reached = d.reached
	} else {
		for t, err := range r.Store.Tallies(ctx, store.TallyQuery{Kind: stemma.KindCommit, Nodes: commitIDs(r.outside)}) {
			if err != nil {
				d.fail(err)
				return false
			}
			reached[t.Node.Key] = true
		}
	}
	had := make(map[string]bool)
	for scope, err := range r.Store.ScopesByKey(ctx, []string{r.outsideKey()}) {
		if err != nil {
			d.fail(err)
			return false
		}
		had[scope.ID.Key] = true
	}
	for _, id := range r.outside {
		if r.links == nil || reached[id] {
			continue
		}
		d.outside[id] = true
		if had[id] && !d.plan.dirty[id] && !d.plan.every() {
			continue
		}
		c, err := r.Repo.Commit(ctx, id)
		if err != nil && foreign(err) {
			delete(d.outside, id)
			continue // no commit, or damaged: it is no origin
		}
		if err != nil {
			d.fail(err)
			return false
		}
		if !d.give(ctx, c, had[id], true, yield) {
			return false
		}
	}
	for id := range had {
		if !d.outside[id] && !reached[id] {
			d.forgotten = append(d.forgotten, id)
		}
	}
	slices.Sort(d.forgotten)
	return true
}
