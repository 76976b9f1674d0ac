package lineage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/store"
)

// A fact is what is known of lines without knowing which: each bit is something
// that a line of a path may be.
type fact uint8

const (
	factGenerated  fact = 1 << iota // the path is generated
	factHuman                       // a person's, by a rule or because a source says so
	factUnknown                     // of a commit without evidence
	factCandidate                   // of a commit in which a session took part
	factNotIndexed                  // of a commit that is not in the index
	factUnreadable                  // of a commit whose lines could not be told
	factEvidence                    // of a commit of which more than one rule holds, or a session's
)

// one reports whether all lines are the same, and which class says so.
func (f fact) one() bool { return f != 0 && f&(f-1) == 0 && f != factEvidence }

// means gives the class of such lines, and why it is unknown.
func (f fact) means() (stemma.Class, string) {
	switch f {
	case factGenerated:
		return stemma.ClassGenerated, ""
	case factHuman:
		return stemma.ClassHuman, ""
	case factCandidate:
		return stemma.ClassUnknown, ReasonCandidate
	case factNotIndexed:
		return stemma.ClassUnknown, ReasonNotIndexed
	case factUnreadable:
		return stemma.ClassUnknown, ReasonUnreadable
	default:
		return stemma.ClassUnknown, ReasonNoEvidence
	}
}

// history is what the commits of a revision tell of the paths they touched.
//
// A path gets the facts of every commit that added lines to it, and those of the
// paths that it may be a new name of: git blame looks for the old name of a file
// among what the same commit deleted, so that no other path can be one. Facts are
// never too few, sometimes too many: a file is then blamed for nothing.
type history struct {
	rows  map[string]rowFacts
	facts map[string]fact
	moves []move // newest first
	order []node // children first

	// The zone holds the oldest commits, as far as each of them and all before
	// it fall under one rule, zoneFact. zone are its newest ones.
	members    map[string]bool
	zone       []string
	zoneDigest string
	zoneFact   fact
}

// rowFacts is what a row says, in short.
type rowFacts struct {
	all   fact // of lines that are not generated
	files []fileFact
}

type fileFact struct {
	path string
	fact fact
}

// move is a commit that may have renamed one of some paths to one of others.
type move struct{ from, to []string }

// mostZone is how many commits may bound the zone on a command line.
const mostZone = 256

func newHistory() *history {
	return &history{rows: make(map[string]rowFacts), facts: make(map[string]fact), members: make(map[string]bool)}
}

// readRows reads what the index says of all commits.
func (h *history) readRows(ctx context.Context, s store.Store) error {
	names := make(map[string]string) // one string for each path
	for row, err := range s.AllAttributions(ctx) {
		if err != nil {
			return fmt.Errorf("read attributions: %w", err)
		}
		h.rows[row.Commit] = factsOf(&row, names)
	}
	return nil
}

func factsOf(row *stemma.Attribution, names map[string]string) rowFacts {
	rest := factUnknown
	candidate := slices.ContainsFunc(row.Owners, func(o stemma.Owner) bool { return o.Candidate > 0 })
	switch {
	case row.Unreadable != "":
		rest = factUnreadable
	case row.RestOwner >= 0 && row.Owners[row.RestOwner].Session != "" || row.Rest != stemma.ClassHuman && row.Rest != stemma.ClassUnknown:
		rest = factEvidence
	case row.Rest == stemma.ClassHuman:
		rest = factHuman
	case candidate:
		rest = factCandidate
	}
	f := rowFacts{all: rest}
	for _, file := range row.Files {
		path, ok := names[file.Path]
		if !ok {
			path = strings.Clone(file.Path)
			names[path] = path
		}
		is := rest
		switch {
		case file.Generated:
			is = factGenerated
		case len(file.Ranges) > 0:
			if file.Whole {
				is = 0
			}
			for _, r := range file.Ranges {
				if r.Class == stemma.ClassHuman {
					is |= factHuman
				} else {
					is |= factEvidence
				}
			}
			f.all |= is
		}
		f.files = append(f.files, fileFact{path, is})
	}
	return f
}

// read goes through the history of a revision and gives for each path the commit
// at which its content there came to be: the one at which git blame begins to
// look at lines, because no parent has the same content under this name.
func (h *history) read(ctx context.Context, repo *git.Repo, tip string, paths []string, progress func(string, int, int)) (made []string, err error) {
	made = make([]string, len(paths))
	waiting := map[string][]int{tip: make([]int, len(paths))}
	at := make(map[string][]int, len(paths)) // indexes into paths, by path
	for i, p := range paths {
		waiting[tip][i] = i
		at[p] = append(at[p], i)
	}
	for c, err := range repo.Changes(ctx, tip) {
		if err != nil {
			return nil, err
		}
		if len(h.order)%1024 == 0 {
			progress("read history", len(h.order), 0)
		}
		h.order = append(h.order, node{c.Commit, c.Parents})
		h.touched(&c)
		if here := waiting[c.Commit]; here != nil {
			delete(waiting, c.Commit)
			settle(&c, here, paths, made, waiting)
		}
	}
	h.spread()
	h.findZone()
	return made, nil
}

// settle moves the paths that wait at a commit on to the first parent that has
// the same content, as git blame does, and says of the others that they came to
// be here.
func settle(c *git.CommitChanges, here []int, paths, made []string, waiting map[string][]int) {
	changed := make([]map[string]bool, len(c.Against))
	for i, against := range c.Against {
		changed[i] = make(map[string]bool, len(against))
		for _, f := range against {
			if f.OldID != f.NewID || f.Status != 'M' { // a change of mode alone is none
				changed[i][f.Path] = true
			}
		}
	}
next:
	for _, path := range here {
		for i, parent := range c.Parents {
			if !changed[i][paths[path]] {
				waiting[parent] = append(waiting[parent], path)
				continue next
			}
		}
		made[path] = c.Commit
	}
}

type node struct {
	id      string
	parents []string
}

// touched takes in one commit.
func (h *history) touched(c *git.CommitChanges) {
	row, ok := h.rows[c.Commit]
	for _, f := range row.files {
		h.facts[f.path] |= f.fact
	}
	// Of these no row says which paths they added lines to.
	var unnamed fact
	if !ok {
		unnamed = factNotIndexed
	} else if row.all&factUnreadable != 0 {
		unnamed = factUnreadable
	}
	for _, against := range c.Against {
		var m move
		for _, f := range against {
			if f.Status != 'D' {
				h.facts[f.Path] |= unnamed
			}
			switch f.Status {
			case 'D':
				m.from = append(m.from, f.Path)
			case 'A':
				m.to = append(m.to, f.Path)
			case 'T':
				m.from, m.to = append(m.from, f.Path), append(m.to, f.Path)
			}
		}
		if len(m.from) > 0 && len(m.to) > 0 {
			h.moves = append(h.moves, m)
		}
	}
}

// spread gives the facts of old names to the new ones, until nothing is new.
func (h *history) spread() {
	for again := true; again; {
		again = false
		for _, m := range slices.Backward(h.moves) {
			var all fact
			for _, p := range m.from {
				all |= h.facts[p]
			}
			for _, p := range m.to {
				if h.facts[p]|all != h.facts[p] {
					h.facts[p] |= all
					again = true
				}
			}
		}
	}
}

func (h *history) of(path string) fact { return h.facts[path] }

func (h *history) inZone(commit string) bool { return h.members[commit] }

// findZone finds the oldest commits that fall under one rule.
func (h *history) findZone() {
	for _, n := range slices.Backward(h.order) {
		fact, ok := h.rows[n.id]
		if !ok || fact.all != factHuman && fact.all != factUnknown {
			continue
		}
		if h.zoneFact == 0 && len(n.parents) == 0 {
			h.zoneFact = fact.all
		}
		if fact.all != h.zoneFact || slices.ContainsFunc(n.parents, func(p string) bool { return !h.members[p] }) {
			continue
		}
		h.members[n.id] = true
	}
	newest := make(map[string]bool)
	for _, n := range h.order {
		for _, p := range n.parents {
			if h.members[p] && !h.members[n.id] {
				newest[p] = true
			}
		}
	}
	if len(newest) == 0 || len(newest) > mostZone {
		clear(h.members)
		return
	}
	for id := range newest {
		h.zone = append(h.zone, id)
	}
	slices.Sort(h.zone)
	sum := sha256.Sum256([]byte(strings.Join(h.zone, " ")))
	h.zoneDigest = hex.EncodeToString(sum[:8])
}

// sizeOf tells what git would take for a binary file, and counts lines as git
// blame does: the last one needs no end.
func sizeOf(content []byte) fileSize {
	const looked = 8000
	if bytes.IndexByte(content[:min(looked, len(content))], 0) >= 0 {
		return fileSize{binary: true}
	}
	n := bytes.Count(content, []byte{'\n'})
	if len(content) > 0 && content[len(content)-1] != '\n' {
		n++
	}
	return fileSize{lines: n}
}

// inParallel does work on all items, a few at a time, and takes the answers one
// by one. It ends, with its goroutines, at the first error that take gives or
// when the context does.
func inParallel[T, A any](ctx context.Context, workers int, items []T, do func(context.Context, T) A, take func(A) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	todo, done := make(chan T), make(chan A)
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for item := range todo {
				select {
				case done <- do(ctx, item):
				case <-ctx.Done():
					return
				}
			}
		})
	}
	go func() {
		defer close(done)
		defer running.Wait()
		defer close(todo)
		for _, item := range items {
			select {
			case todo <- item:
			case <-ctx.Done():
				return
			}
		}
	}()
	var failed error
	for a := range done {
		if failed == nil {
			if failed = take(a); failed != nil {
				cancel()
			}
		}
	}
	if failed == nil {
		failed = ctx.Err()
	}
	return failed
}
