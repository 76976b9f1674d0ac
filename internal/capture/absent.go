package capture

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attribution"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
)

// A file that no hook ever saw was written by no agent that has hooks. Its added
// lines are a person's, by inference, where all of this holds: the commit was made
// on this machine by "git commit"; capture was healthy from its parent on; no
// agent's call that may have written it went unseen, by its hooks and by what its
// transcript tells; and the lines stand in
// no other commit from which git could have brought them: a squash, a cherry-pick,
// a stash, a revert. Otherwise they are left open.

// made are the actions of reflogs by which a person commits his work.
var made = []string{"commit", "commit (amend)", "commit (initial)"}

// elsewhere is what is known of lines that git could have brought into a commit.
type elsewhere struct {
	ready bool
	lines map[string]bool // telling lines that other commits added
}

// lookBack is how many earlier contents of a file are looked at for lines that
// came back.
const lookBack = 50

// untouched claims the added lines of a file that no hook saw: for the person,
// or for the sessions whose calls no hook reported.
func (e *evidence) untouched(ctx context.Context, f git.FileDiff) error {
	tree, from, ok := e.quiet()
	if !ok {
		return nil
	}
	since := e.uncommittedSince(place{tree, f.Path}, from)
	content, err := e.Repo.File(ctx, e.commit.ID, f.Path, maxBlob)
	if errors.Is(err, stemma.ErrInvalid) || errors.Is(err, stemma.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	lines := bytes.SplitAfter(content, []byte("\n"))
	p, told := place{tree, f.Path}, e.from(place{tree, f.Path}, e.until)
	if may := e.may(p, since, e.until, nil); len(may) > 0 {
		e.doubt(p)
		return e.unreported(ctx, f, content, told, nobody(e.faultIn(p, since, e.until), may...))
	}
	healthy, some := e.healthy(tree, from, e.until), false
	added := make(map[string]bool)
	for _, r := range f.Ranges {
		for n := r.Start; n <= r.End && n <= len(lines); n++ {
			if told != nil {
				if _, ok := told(lines[n-1]); ok {
					some = true
					continue
				}
			}
			if l := string(lines[n-1]); tells(l) {
				added[strings.TrimSpace(l)] = true
			}
		}
	}
	if !healthy && !some {
		return nil
	}
	brought, err := e.brought(ctx, f.Path, added)
	switch {
	case err != nil:
		return err
	case some && (brought || !healthy):
		return e.unreported(ctx, f, content, told, nobody(""))
	case some:
		return e.unreported(ctx, f, content, told, writer{attribution.Writer{Owner: e.person(), Person: true, Loose: true}, ""})
	case brought:
		return nil
	}
	c := notes.Claim{Path: f.Path, Class: stemma.ClassHuman, Session: -1, Person: e.Person, Strength: stemma.Strength{
		Tier: stemma.TierClaimed, Assertion: stemma.Inferred, Confidence: 0.9,
	}}
	for _, r := range f.Ranges {
		c.Ranges = append(c.Ranges, notes.Range{Start: r.Start, End: r.End})
	}
	e.claims = append(e.claims, c)
	return nil
}

// unreported claims the added lines of a file, some of which calls wrote, or may
// have written, that were not seen whole; the others are the writer's.
func (e *evidence) unreported(ctx context.Context, f git.FileDiff, content []byte, told func([]byte) (attribution.Mark, bool), w writer) error {
	base, err := e.Repo.File(ctx, e.parent.ID, cmp.Or(f.OldPath, f.Path), maxBlob)
	if err != nil && !errors.Is(err, stemma.ErrNotFound) && !errors.Is(err, stemma.ErrInvalid) {
		return err
	}
	w.Told = told
	fmt.Fprintf(e.input, "%q unreported\n", f.Path)
	e.addMarks(f, attribution.NewReplay(base).Marks(content, w.Writer), w.fault)
	return nil
}

// quiet finds the work tree in which the commit was made, and from when on its
// lines were written; false where it was not made here by a person, or in the
// middle of an agent's call.
func (e *evidence) quiet() (tree string, from time.Time, ok bool) {
	if !slices.Contains(made, e.actions[e.commit.ID]) || e.parent == nil || len(e.commit.Parents) != 1 {
		return "", from, false
	}
	from = time.Unix(e.parent.Committer.Time, 0)
	// git's own hook tells in which tree the commit was made.
	for t, looks := range e.health {
		for _, h := range looks {
			if !h.at.Before(e.until.Truncate(time.Second)) && h.at.Before(e.until.Add(time.Minute)) && (tree == "" || t < tree) {
				tree = t
			}
		}
	}
	if tree == "" {
		return "", from, false
	}
	for _, w := range e.windows[tree] {
		if w.fault == "" && w.from.Before(e.until) && w.to.After(e.until) {
			return "", from, false
		}
	}
	return tree, from, true
}

// tells reports whether a line has enough in it to be told from others.
func tells(line string) bool {
	letters := 0
	for _, c := range []byte(line) {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80 {
			letters++
		}
	}
	return letters >= 8
}

// brought reports whether one of the lines stands where git could have brought
// it from: in a commit that the parent does not contain, or in an earlier content
// of the file.
func (e *evidence) brought(ctx context.Context, path string, lines map[string]bool) (bool, error) {
	if len(lines) == 0 {
		return false, nil
	}
	if !e.other.ready {
		if err := e.readOthers(ctx); err != nil {
			return false, err
		}
	}
	for l := range lines {
		if e.other.lines[l] {
			return true, nil
		}
	}
	query := git.HistoryQuery{Tips: e.commit.Parents, Paths: []string{path}, Limit: lookBack, NoMessages: true}
	for c, err := range e.Repo.History(ctx, query) {
		if err != nil {
			return false, err
		}
		content, err := e.Repo.File(ctx, c.ID, path, maxBlob)
		if errors.Is(err, stemma.ErrNotFound) || errors.Is(err, stemma.ErrInvalid) {
			continue
		}
		if err != nil {
			return false, err
		}
		for l := range bytes.Lines(content) {
			if lines[strings.TrimSpace(string(l))] {
				return true, nil
			}
		}
	}
	return false, nil
}

// arrivals are how reflogs begin to tell of a commit that was not made here, or
// by another tool than git commit: it came with a fetch, or a ref was moved to it.
var arrivals = []string{"", "reset", "pull", "merge", "checkout", "clone", "fetch", "branch"}

// leave reports whether the commit is left to what the evidence of others tells:
// it was not made here, and lines that nothing here explains stand in a commit
// that git could have brought them from, as after a squash by a forge. A note that
// explains a part of it would stand in the way.
func (e *evidence) leave(ctx context.Context, d git.Diff) (bool, error) {
	action, _, _ := strings.Cut(e.actions[e.commit.ID], " ")
	if len(e.claims) == 0 || !slices.Contains(arrivals, action) {
		return false, nil
	}
	explained := make(map[string]map[int]bool)
	for _, c := range e.claims {
		if explained[c.Path] == nil {
			explained[c.Path] = make(map[int]bool)
		}
		for _, r := range c.Ranges {
			for n := r.Start; n <= r.End; n++ {
				explained[c.Path][n] = explained[c.Path][n] || c.Class != stemma.ClassUnknown
			}
		}
	}
	for _, f := range d.Files {
		content, err := e.Repo.File(ctx, e.commit.ID, f.Path, maxBlob)
		if errors.Is(err, stemma.ErrInvalid) || errors.Is(err, stemma.ErrNotFound) {
			continue
		}
		if err != nil {
			return false, err
		}
		lines := strings.SplitAfter(string(content), "\n")
		for _, r := range f.Ranges {
			for n := r.Start; n <= r.End && n <= len(lines); n++ {
				if explained[f.Path][n] || !tells(lines[n-1]) {
					continue
				}
				if !e.other.ready {
					if err := e.readOthers(ctx); err != nil {
						return false, err
					}
				}
				if e.other.lines[strings.TrimSpace(lines[n-1])] {
					return true, nil
				}
			}
		}
	}
	return false, nil
}

// readOthers gathers the lines of commits that refs and reflogs reach and the
// commit's parent does not contain.
func (e *evidence) readOthers(ctx context.Context) error {
	e.other = elsewhere{ready: true, lines: make(map[string]bool)}
	query := git.HistoryQuery{Tips: e.tips, Not: e.commit.Parents, NoMessages: true}
	// What an amend replaced is the same person's commit, not another.
	own := map[string]bool{e.commit.ID: true}
	for id := e.commit.ID; e.actions[id] == "commit (amend)" && !own[e.replaced[id]]; {
		id = e.replaced[id]
		own[id] = true
	}
	var ids []string
	for c, err := range e.Repo.History(ctx, query) {
		if err != nil {
			return err
		}
		if !own[c.ID] && c.Problem == "" && c.Committer.Time <= e.commit.Committer.Time {
			ids = append(ids, c.ID)
		}
	}
	for d, err := range e.Repo.Added(ctx, slices.Values(ids), 2) {
		if err != nil {
			return err
		}
		for _, f := range d.Files {
			content, err := e.Repo.File(ctx, d.Commit, f.Path, maxBlob)
			if errors.Is(err, stemma.ErrNotFound) || errors.Is(err, stemma.ErrInvalid) {
				continue
			}
			if err != nil {
				return err
			}
			lines := strings.SplitAfter(string(content), "\n")
			for _, r := range f.Ranges {
				for n := r.Start; n <= r.End && n <= len(lines); n++ {
					if l := lines[n-1]; tells(l) {
						e.other.lines[strings.TrimSpace(l)] = true
					}
				}
			}
		}
	}
	return nil
}
