// Package agenttrace reads the records of Agent Trace 0.1.0 that a repository
// carries in its files .agent-trace/*.jsonl.
//
// Begin with [Source]. The format is that of agent-trace.dev (cursor/agent-trace,
// README.md and schemas.ts). It does not say where records are kept;
// .agent-trace/traces.jsonl is where its reference implementation appends them.
//
// The files are read as they stand at the tips of the indexed refs, each
// distinct one once. A record belongs to the commit that its revision names, or
// to a child of it: the reference hook writes the commit that was checked out
// when the agent edited, which is the parent of the commit that the edit went
// into. Either way a file of the record must be among those that the commit
// added lines to, and package attribution intersects the ranges with these.
package agenttrace

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
)

// Name is the name of the source.
const Name = "agent-trace"

// folder is where the files with records are, in the root of a tree.
const folder = ".agent-trace"

// maxFiles is how many files of records are read, of all tips.
const maxFiles = 10_000

// Source reads Agent Trace. The zero Source is ready to use.
type Source struct{}

var _ notes.KeyedSource = Source{}

// Names gives "agent-trace".
func (Source) Names() []string { return []string{Name} }

// Holds is false of every ref: records are in the files of code.
func (Source) Holds(string) bool { return false }

// Open looks which files of records the tips have.
func (Source) Open(ctx context.Context, at notes.Place) (notes.Keyed, error) {
	t := &traces{repo: at.Repo, tips: at.Tips, files: make(map[string]string), added: make(map[string]touched)}
	trees, err := at.Repo.Folders(ctx, at.Tips, folder)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{"": true}
	for _, tree := range trees {
		if seen[tree] {
			continue
		}
		seen[tree] = true
		_, entries, err := at.Repo.Entries(ctx, tree, "")
		if foreign(err) {
			t.unread = append(t.unread, fmt.Sprintf("%s: %v", folder, err))
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.Type == "blob" && e.Mode != "120000" && strings.HasSuffix(e.Path, ".jsonl") && len(t.files) < maxFiles {
				t.files[e.ID] = folder + "/" + e.Path
			}
		}
	}
	if len(t.files) == maxFiles {
		t.unread = append(t.unread, fmt.Sprintf("%s: more than %d files", folder, maxFiles))
	}
	return t, nil
}

// foreign reports whether an error is about the bytes that were read.
func foreign(err error) bool {
	return errors.Is(err, stemma.ErrInvalid) || errors.Is(err, stemma.ErrNotFound)
}

// traces are the records of a repository.
type traces struct {
	repo   *git.Repo
	tips   []string
	files  map[string]string // blob -> one of its paths
	unread []string

	mu      sync.Mutex // guards what follows, which is filled when it is asked for
	records *records
	added   map[string]touched // commits to which records may belong that others claim
}

// State names the files.
func (t *traces) State() map[string]string {
	state := make(map[string]string, len(t.files))
	for blob := range t.files {
		state[blob] = "" // under which path, and at how many tips, is all the same
	}
	return state
}

// Keys gives none: a commit leads to its records by its id and its parents.
func (t *traces) Keys(*git.Commit) []string { return nil }

// Prompts gives none: a record has the address of a conversation at most.
func (t *traces) Prompts(context.Context, *git.Commit) ([]notes.Prompt, error) { return nil, nil }

// Changed gives the commits of records that came or went, and their children.
func (t *traces) Changed(ctx context.Context, from map[string]string) (notes.Change, error) {
	now, err := t.all(ctx)
	if err != nil {
		return notes.Change{}, err
	}
	before := newRecords()
	for _, blob := range slices.Sorted(maps.Keys(from)) {
		// Of a file that is damaged the part that can be read is what was read then.
		// One that is not here any more leaves open what it said.
		if err := before.read(ctx, t.repo, blob); err != nil && !errors.Is(err, stemma.ErrInvalid) {
			return notes.Change{}, err
		}
	}
	revisions := now.differ(before)
	commits, err := t.withChildren(ctx, revisions)
	return notes.Change{Commits: commits}, err
}

// all gives the records of all files.
func (t *traces) all(ctx context.Context) (*records, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.records != nil {
		return t.records, nil
	}
	all := newRecords()
	for _, blob := range slices.Sorted(maps.Keys(t.files)) {
		if err := all.read(ctx, t.repo, blob); foreign(err) {
			t.unread = append(t.unread, fmt.Sprintf("%s: %v", t.files[blob], err))
		} else if err != nil {
			return nil, err
		}
	}
	t.records = all
	return all, nil
}

// withChildren adds the children of commits, as far as the tips reach them.
func (t *traces) withChildren(ctx context.Context, revisions map[string]bool) ([]string, error) {
	if len(revisions) == 0 {
		return nil, nil
	}
	commits := maps.Clone(revisions)
	for c, err := range t.repo.History(ctx, git.HistoryQuery{Tips: t.tips, NoMessages: true}) {
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(c.Parents, func(p string) bool { return revisions[p] }) {
			commits[c.ID] = true
		}
	}
	return slices.Sorted(maps.Keys(commits)), nil
}

// Unreached counts the records whose revision no ref reaches, or that state
// none. Records of no file, such as those of a session's beginning, count as
// little as they tell.
func (t *traces) Unreached(ctx context.Context, r notes.Reached) (n int, unread []string, err error) {
	all, err := t.all(ctx)
	if err != nil {
		return 0, nil, err
	}
	for revision, of := range all.by {
		if r.Commit(revision) {
			continue
		}
		for _, record := range of {
			if len(record.files) > 0 {
				n++
			}
		}
	}
	if all.broken > 0 {
		t.unread = append(t.unread, fmt.Sprintf("%s: %d lines that are no records, the first: %s", folder, all.broken, all.first))
	}
	return n, t.unread, nil
}
