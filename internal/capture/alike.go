package capture

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
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
	marks []attribution.Mark // nil: all lines were there before hooks saw the file
	// fresh says that they were not carried here, but are of the hooks alone.
	fresh bool
	uses  int // by commits that are yet to come
}

// version is a file as a commit has it.
type version struct{ commit, path string }

// ancestry is how the commits that are attributed follow each other.
type ancestry struct {
	parent  map[string]string          // of those with one parent
	changed map[string]map[string]bool // paths, by commit
	asked   map[string][]string        // paths of other commits that one of these changed next
}

// withParents adds the commits whose lines are compared with those of the next
// ones: parents that are not attributed, and merges, which git's blame follows to
// every parent.
func (w *work) withParents(ctx context.Context, all []*git.Commit, diffs map[string]git.Diff) ([]*git.Commit, error) {
	w.ancestry = ancestry{make(map[string]string), make(map[string]map[string]bool), make(map[string][]string)}
	have := make(map[string]bool, len(all))
	for _, c := range all {
		have[c.ID] = true
		if len(c.Parents) != 1 {
			continue
		}
		w.parent[c.ID] = c.Parents[0]
		w.changed[c.ID] = make(map[string]bool)
		for _, f := range diffs[c.ID].Files {
			w.changed[c.ID][f.Path] = true
		}
	}
	for _, c := range slices.Clone(all) {
		for _, f := range diffs[c.ID].Files {
			if !compared(c, f) {
				continue
			}
			v := w.before(c, f)
			m := w.marks[v]
			m.uses++
			w.marks[v] = m
			if w.changed[v.commit] != nil || m.uses > 1 {
				continue // it is attributed itself, or asked already
			}
			w.asked[v.commit] = append(w.asked[v.commit], v.path)
			if have[v.commit] {
				continue
			}
			have[v.commit] = true
			p, err := w.Repo.Commit(ctx, v.commit)
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
	}
	slices.SortStableFunc(all, byTime)
	return all, nil
}

// compared reports whether a file of a commit has lines from before that stand
// beside others.
func compared(c *git.Commit, f git.FileDiff) bool {
	return len(c.Parents) == 1 && len(f.Hunks) > 0 && (f.Status == 'M' || f.Status == 'R')
}

// before gives the commit that a commit has a file from: the last one before it that
// changed the file, or from which on that is not known here.
func (w *work) before(c *git.Commit, f git.FileDiff) version {
	v := version{c.Parents[0], cmp.Or(f.OldPath, f.Path)}
	for {
		next, ok := w.parent[v.commit]
		if !ok || w.changed[v.commit][v.path] {
			return v
		}
		v.commit = next
	}
}

// keep keeps who wrote the lines of a version that a commit to come asks for.
func (w *work) keep(v version, marks []attribution.Mark, fresh bool) {
	if m := w.marks[v]; m.uses > 0 {
		m.marks, m.fresh = marks, fresh
		w.marks[v] = m
	}
}

// remember keeps who wrote the lines of files that the next commits changed. A file
// that no hook saw before has none: its lines were there.
func (w *work) remember(ctx context.Context, c *git.Commit) error {
	until := madeUntil(c)
	var touched []place
	for _, path := range w.asked[c.ID] {
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
		w.keep(version{c.ID, p.path}, w.marksOf(p, content, until), true)
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
	if !compared(e.commit, f) {
		e.keep(version{e.commit.ID, f.Path}, now, false)
		return nil
	}
	v := e.before(e.commit, f)
	before := e.marks[v]
	if before.uses--; before.uses > 0 {
		e.marks[v] = before
	} else {
		delete(e.marks, v)
	}
	mistaken := mistakable(f.Hunks, content)
	carried := slices.Clone(now)
	var lines []int
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
			lines = append(lines, line)
			return
		}
		carried[line-1] = was
	})
	e.keep(version{e.commit.ID, f.Path}, carried, false)
	for part := range slices.Chunk(lines, maxBlamed) {
		if err := e.twinsOf(ctx, f.Path, part, now); err != nil {
			return err
		}
	}
	return nil
}

// maxBlamed is how many lines git is asked of at once.
const maxBlamed = 1000

// twinsOf finds the commits that git gives lines of a file to.
func (e *evidence) twinsOf(ctx context.Context, path string, lines []int, now []attribution.Mark) error {
	var ranges []string
	for i := 0; i < len(lines); {
		end := i + 1
		for end < len(lines) && lines[end] == lines[end-1]+1 {
			end++
		}
		ranges = append(ranges, fmt.Sprintf("%d,%d", lines[i], lines[end-1]))
		i = end
	}
	for l, err := range e.Repo.Blame(ctx, git.BlameQuery{Path: path, Rev: e.commit.ID, Lines: ranges}) {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, stemma.ErrNotFound):
			return nil // a part of the history is not here: git gives the lines to nobody
		case err != nil:
			return err
		case l.Commit == "" || l.Commit == e.commit.ID || l.Boundary || l.Line > len(now):
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
