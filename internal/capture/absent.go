package capture

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
)

// A file that no hook ever saw was written by no agent that has hooks. Its added
// lines are a person's, by inference, where all of this holds: the commit was made
// on this machine by "git commit"; capture was healthy from its parent on; no
// agent's call that may have written anything went unseen; and the lines stand in
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

// untouched claims, for the person, the added lines of a file that no hook saw.
func (e *evidence) untouched(ctx context.Context, f git.FileDiff) error {
	tree, from, ok := e.quiet(ctx)
	if !ok || !e.healthy(tree, from, e.until) {
		return nil
	}
	content, err := e.Repo.File(ctx, e.commit.ID, f.Path, maxBlob)
	if errors.Is(err, stemma.ErrInvalid) || errors.Is(err, stemma.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	lines := strings.SplitAfter(string(content), "\n")
	added := make(map[string]bool)
	for _, r := range f.Ranges {
		for n := r.Start; n <= r.End && n <= len(lines); n++ {
			if tells(lines[n-1]) {
				added[strings.TrimSpace(lines[n-1])] = true
			}
		}
	}
	brought, err := e.brought(ctx, f.Path, added)
	if err != nil || brought {
		return err
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

// quiet finds the work tree in which the commit was made, and from when on its
// lines were written; false where it was not made here by a person, or where an
// agent's call went unseen meanwhile.
func (e *evidence) quiet(ctx context.Context) (tree string, from time.Time, ok bool) {
	if !slices.Contains(made, e.actions[e.commit.ID]) || len(e.commit.Parents) != 1 {
		return "", from, false
	}
	parent, err := e.Repo.Commit(ctx, e.commit.Parents[0])
	if err != nil || parent.Problem != "" {
		return "", from, false
	}
	from = time.Unix(parent.Committer.Time, 0)
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
		if w.from.Before(e.until) && w.to.After(from) && w.shell && w.fault != "" {
			return "", from, false
		}
		if w.from.Before(e.until) && w.to.After(e.until) {
			return "", from, false // in the middle of an agent's call
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
