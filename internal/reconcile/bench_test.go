package reconcile_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// stream is what git fast-import reads.
type stream struct {
	bytes.Buffer
	marks int
}

// commit adds a commit on a ref that writes files, and gives its mark.
func (s *stream) commit(ref string, from, time int, files ...string) int {
	s.marks++
	fmt.Fprintf(s, "commit %s\nmark :%d\nauthor Ada <ada@example.org> %d +0000\ncommitter Bob <bob@example.org> %d +0000\ndata 1\nx\n", ref, s.marks, time, time+60)
	if from > 0 {
		fmt.Fprintf(s, "from :%d\n", from)
	}
	for i := 0; i < len(files); i += 2 {
		fmt.Fprintf(s, "M 100644 inline %s\ndata %d\n%s\n", files[i], len(files[i+1]), files[i+1])
	}
	return s.marks
}

// notes adds the notes of git-ai, by mark of their commit.
func (s *stream) notes(claims map[int]string) {
	fmt.Fprint(s, "commit refs/notes/ai\ncommitter Bob <bob@example.org> 1790000000 +0000\ndata 1\nx\n")
	for mark, claim := range claims {
		text := noteOf(claim)
		fmt.Fprintf(s, "N inline :%d\ndata %d\n%s\n", mark, len(text), text)
	}
}

// manyCandidates has 5,000 commits on main, 2,000 of which were rebased, every
// other one with a conflict, from commits that have notes and that no ref reaches.
func manyCandidates(tb testing.TB, commits int) *lab {
	l := newLab(tb)
	var s stream
	made := func(n int) string { return strings.Join(lines(fmt.Sprintf("made%d", n), 12), "\n") + "\n" }
	claims := make(map[int]string)
	var refs strings.Builder
	last := 0
	for n := range commits {
		path, text := fmt.Sprintf("dir%d/file%d.go", n%50, n), made(n)
		if n%5 < 2 {
			ref := fmt.Sprintf("refs/old/%d", n)
			claims[s.commit(ref, last, 1_780_000_000+100*n, path, text)] = fmt.Sprintf("%s s%d 1-10", path, n)
			fmt.Fprintf(&refs, "delete %s\n", ref)
			if n%5 == 1 {
				text += "func byHand() error { return conflict(solved) }\n"
			}
		}
		last = s.commit("refs/heads/main", last, 1_780_000_000+100*n, path, text, "moved.go", made(-n))
	}
	s.notes(claims)
	l.run(l.dir, s.Bytes(), "fast-import", "--quiet")
	l.run(l.dir, []byte(refs.String()), "update-ref", "--stdin")
	return l
}

// BenchmarkCandidates indexes 5,000 commits with 2,000 candidates.
func BenchmarkCandidates(b *testing.B) {
	l := manyCandidates(b, 5000)
	for b.Loop() {
		if x := l.newIndex().update(); x.last.Resolved < 1990 {
			b.Fatalf("%d commits were resolved", x.last.Resolved)
		}
	}
}

// TestManyCandidates holds what the benchmark measures, in small.
func TestManyCandidates(t *testing.T) {
	if x := manyCandidates(t, 50).newIndex().update(); x.last.Resolved != 20 {
		t.Errorf("%d commits were resolved, want 20", x.last.Resolved)
	}
}

// BenchmarkSquash takes in a squash of 100 commits, each noted, that was merged
// after the index was made.
func BenchmarkSquash(b *testing.B) {
	l := newLab(b)
	var s stream
	root := s.commit("refs/heads/main", 0, 1_780_000_000, "a.go", "package a\n")
	claims := make(map[int]string)
	last := root
	all := "package a\n"
	for n := range 100 {
		all += strings.Join(lines(fmt.Sprintf("step%d", n), 10), "\n") + "\n"
		last = s.commit("refs/heads/topic", last, 1_780_000_100+100*n, "a.go", all)
		claims[last] = fmt.Sprintf("a.go s%d %d-%d", n, 10*n+2, 10*n+11)
	}
	s.notes(claims)
	l.run(l.dir, s.Bytes(), "fast-import", "--quiet")
	tree := l.git("rev-parse", "topic^{tree}")
	before := l.git("rev-parse", "main")
	l.clock += 1_000_000
	squash := l.git("commit-tree", tree, "-p", "main", "-m", "squash")
	l.git("update-ref", "-d", "refs/heads/topic")
	for b.Loop() {
		b.StopTimer()
		l.git("update-ref", "refs/heads/main", before)
		x := l.newIndex().update()
		l.git("update-ref", "refs/heads/main", squash)
		b.StartTimer()
		x.update()
		b.StopTimer()
		if row := x.row(squash); row.Lines.AI != 1000 {
			b.Fatalf("%d of 1,000 lines have their sessions", row.Lines.AI)
		}
		b.StartTimer()
	}
}
