package capture

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attribution"
	"github.com/stemma-dev/stemma/internal/git"
)

// This file holds what git's difference of a commit gets wrong. Lines that stand
// in many places look alike: where a session deleted one and wrote another beside
// it, git takes the new one for the old one, and blame gives it to an earlier
// commit. The states that hooks saw lie closer together, and tell. Such a line of
// the earlier commit can no longer be told from the one that git takes for it.

// Twin is a line of an earlier commit in whose place another may stand by now, and
// who wrote that: a session by its key, a person by his pseudonym, or nobody knows.
type Twin struct {
	Commit, Path string
	Line         int // counted from 1, in the file as the commit left it
	Session      string
	Person       string
}

// gitsMarks are who wrote the lines of a file, as git's differences carry them from
// commit to commit.
type gitsMarks struct {
	marks []attribution.Mark
	// fresh says that they were not carried here, but are of the hooks alone.
	fresh bool
}

// withParents adds the parents of the commits: what is known of their lines is
// compared with what is known of their children's. They are not attributed.
func (w *work) withParents(ctx context.Context, all []*git.Commit, diffs map[string]git.Diff) ([]*git.Commit, error) {
	have := make(map[string]bool, len(all))
	for _, c := range all {
		have[c.ID] = true
	}
	for _, c := range slices.Backward(slices.Clone(all)) {
		if len(c.Parents) != 1 {
			continue // blame follows every parent of a merge
		}
		parent := c.Parents[0]
		for path := range w.asked[c.ID] {
			w.ask(parent, path)
		}
		for _, f := range diffs[c.ID].Files {
			if compared(f) {
				w.ask(parent, f.Path)
			}
		}
		if have[parent] || len(w.asked[parent]) == 0 {
			continue
		}
		have[parent] = true
		p, err := w.Repo.Commit(ctx, parent)
		if errors.Is(err, stemma.ErrNotFound) {
			continue // of a shallow clone
		}
		if err != nil {
			return nil, err
		}
		if p.Problem == "" {
			all = append(all, p)
		}
	}
	slices.SortStableFunc(all, byTime)
	return all, nil
}

func (w *work) ask(commit, path string) {
	if w.asked[commit] == nil {
		w.asked[commit] = make(map[string]bool)
	}
	w.asked[commit][path] = true
}

// compared reports whether a file has lines from before that stand beside others.
func compared(f git.FileDiff) bool { return len(f.Hunks) > 0 && f.Status == 'M' }

// remember keeps who wrote the lines of a commit's files, for its children. A file
// that no hook saw before has none: its lines were there.
func (w *work) remember(ctx context.Context, c *git.Commit, d git.Diff) error {
	if len(w.asked[c.ID]) == 0 {
		return nil
	}
	known := w.marks[c.ID] // what alike carried
	if known == nil {
		known = make(map[string]gitsMarks)
		w.marks[c.ID] = known
	}
	until := madeUntil(c)
	var touched []place
	for _, path := range slices.Sorted(maps.Keys(w.asked[c.ID])) {
		if _, ok := known[path]; ok {
			continue
		}
		if len(c.Parents) == 1 && d.Commit != "" && !slices.ContainsFunc(d.Files, func(f git.FileDiff) bool { return f.Path == path }) {
			if m, ok := w.marks[c.Parents[0]][path]; ok {
				known[path] = m
				continue
			}
		}
		p, ok := w.where(path, until)
		if !ok {
			continue
		}
		if err := w.begin(ctx, p, c); err != nil {
			return err
		}
		touched = append(touched, p)
	}
	if err := w.advance(ctx, touched, until); err != nil {
		return err
	}
	for _, p := range touched {
		content, err := w.Repo.File(ctx, c.ID, p.path, maxBlob)
		if errors.Is(err, stemma.ErrInvalid) || errors.Is(err, stemma.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		known[p.path] = gitsMarks{w.marksOf(p, content, until), true}
	}
	return nil
}

// marksOf gives who wrote the lines of a file as a commit has it. Commits that have
// the same one after another cost one look.
func (w *work) marksOf(p place, content []byte, until time.Time) []attribution.Mark {
	f := w.files[p]
	writer := w.between(p, f.from, until).Writer
	looked := look{sha256.Sum256(content), f.next, writer.Owner}
	if f.looked != looked || f.marks == nil {
		f.looked, f.marks = looked, f.replay.Marks(content, writer)
	}
	return f.marks
}

// look is what the marks of a file depend on.
type look struct {
	content [sha256.Size]byte
	next    int // state
	writer  int
}

// alike finds lines that the commit has from its parent as git has it, and that
// somebody else wrote as the hooks have it.
func (e *evidence) alike(ctx context.Context, f git.FileDiff, content []byte, now []attribution.Mark) error {
	if len(e.commit.Parents) != 1 || !compared(f) {
		return nil
	}
	known, ok := e.marks[e.commit.Parents[0]]
	if !ok {
		return nil
	}
	before := known[f.Path] // of a file that was not seen: nil, all were there
	mistaken := mistakable(f.Hunks, content)
	carried := slices.Clone(now)
	var lines []string
	eachKept(f.Hunks, len(now), func(old, line int) {
		was := attribution.Mark{Owner: attribution.Base, Edited: attribution.Base}
		if old <= len(before.marks) {
			was = before.marks[old-1]
		}
		differ := !e.sameOwner(was, now[line-1])
		if was.Owner == attribution.Nobody {
			differ = before.fresh // it may be known to git all the same
		}
		if differ && mistaken(line) {
			lines = append(lines, fmt.Sprintf("%d,%d", line, line))
			return
		}
		carried[line-1] = was
	})
	if e.marks[e.commit.ID] == nil {
		e.marks[e.commit.ID] = make(map[string]gitsMarks)
	}
	e.marks[e.commit.ID][f.Path] = gitsMarks{marks: carried}
	if len(lines) == 0 {
		return nil
	}
	for l, err := range e.Repo.Blame(ctx, git.BlameQuery{Path: f.Path, Rev: e.commit.ID, Lines: lines}) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil { // a part of the history is not there: a later sync may find it
			e.gaps["git can not tell by which commits lines were added"] = true
			return nil
		}
		if l.Commit == "" || l.Commit == e.commit.ID || l.Boundary {
			continue
		}
		t := Twin{Commit: l.Commit, Path: l.OrigPath, Line: l.OrigLine}
		switch m := now[l.Line-1]; {
		case m.Edited != attribution.Base:
		case e.who(m.Owner) == e.person():
			t.Person = e.Person
		case m.Owner >= 0:
			s := e.sessions[e.who(m.Owner)]
			t.Session = stemma.SessionID(s.Agent, s.ID).Key
		}
		e.twins = append(e.twins, t)
	}
	return nil
}

// mistakable tells which lines of a file may be taken for others: those that have
// too little in them to be told from others, and those that stand there more than
// once, or did before the commit.
func mistakable(hunks []git.Hunk, content []byte) func(line int) bool {
	var lines [][]byte
	times := make(map[git.Line]int)
	text := func(l []byte) git.Line { return git.LineOf(bytes.TrimRight(l, "\r\n")) }
	return func(line int) bool {
		if lines == nil {
			lines = bytes.SplitAfter(content, []byte("\n"))
			for _, l := range lines {
				times[text(l)]++
			}
			for _, h := range hunks {
				for _, l := range h.Removed {
					times[l]++
				}
			}
		}
		return line <= len(lines) && (!attribution.Telling(lines[line-1]) || times[text(lines[line-1])] > 1)
	}
}

// sameOwner reports whether two marks give a line to the same.
func (e *evidence) sameOwner(a, b attribution.Mark) bool {
	return e.who(a.Owner) == e.who(b.Owner) && e.who(a.Edited) == e.who(b.Edited)
}

// who is an owner, however he is known: by hooks or transcript, by what lay
// between or by an editor.
func (e *evidence) who(owner int) int {
	if owner == e.seen() {
		return e.person()
	}
	if session, _ := e.sessionOf(owner); owner >= 0 && session >= 0 {
		return session
	}
	return owner
}

// eachKept gives the lines that the hunks leave alone, as they are counted in the
// old file and in the new one, which has n lines.
func eachKept(hunks []git.Hunk, n int, take func(old, line int)) {
	old, line := 1, 1
	for _, h := range hunks {
		start := h.NewStart
		if len(h.Added) == 0 {
			start++ // it stands behind this line
		}
		for ; line < start && line <= n; old, line = old+1, line+1 {
			take(old, line)
		}
		old, line = old+len(h.Removed), line+len(h.Added)
	}
	for ; line <= n; old, line = old+1, line+1 {
		take(old, line)
	}
}
