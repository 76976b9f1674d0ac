package git

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma"
)

func TestChanges(t *testing.T) {
	g := newTestRepo(t)
	root := g.commit("root", "a", "1\n", "dir/b\tc", "1\n")
	g.git("checkout", "-q", "-b", "side")
	side := g.commit("side", "a", "2\n", "new", "x\n")
	g.git("checkout", "-q", "main")
	g.git("mv", "dir/b\tc", "moved")
	main := g.commit("main")
	g.git("merge", "-q", "--no-ff", "-m", "merge", "side")
	merge := g.git("rev-parse", "HEAD")
	g.git("commit", "-q", "--allow-empty", "-m", "empty")
	empty := g.git("rev-parse", "HEAD")

	names := map[string]string{root: "root", side: "side", main: "main", merge: "merge", empty: "empty"}
	var got []string
	seen := make(map[string]bool)
	for c, err := range g.open().Changes(t.Context(), empty) {
		if err != nil {
			t.Fatal(err)
		}
		var against []string
		for _, changes := range c.Against {
			text := ""
			for _, f := range changes {
				text += fmt.Sprintf(" %c %s", f.Status, f.Path)
			}
			against = append(against, text)
		}
		for _, p := range c.Parents {
			if seen[p] {
				t.Errorf("%s comes after its parent %s", names[c.Commit], names[p])
			}
		}
		seen[c.Commit] = true
		got = append(got, names[c.Commit]+":"+strings.Join(against, " |"))
	}
	want := []string{
		"empty:", "merge: M a A new | D dir/b\tc A moved", "side: M a A new", "main: D dir/b\tc A moved", "root: A a A dir/b\tc",
	}
	// The two branches may come in either order.
	if len(got) == 5 && strings.HasPrefix(got[2], "main") {
		got[2], got[3] = got[3], got[2]
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("changes (-want +got):\n%s", d)
	}
	for _, tip := range []string{"HEAD", strings.Repeat("1", 40)} {
		var last error
		for _, err := range g.open().Changes(t.Context(), tip) {
			last = err
		}
		if !errors.Is(last, stemma.ErrInvalid) && !errors.Is(last, stemma.ErrNotFound) {
			t.Errorf("changes of %s: %v", tip, last)
		}
	}
	for range g.open().Changes(t.Context(), empty) {
		break // lets go of the processes
	}
}

// TestBlameRunsEqualBlame compares both ways to ask, at every commit.
func TestBlameRunsEqualBlame(t *testing.T) {
	g := newTestRepo(t)
	old := g.commit("old", "a b", numbered(1, 30))
	g.commit("middle", "a b", "first\n"+numbered(1, 10)+"between\n"+numbered(15, 30))
	g.git("mv", "a b", "new\tname")
	g.commit("new", "new\tname", "first\n"+numbered(1, 5)+"\n"+numbered(6, 10)+"between\n"+numbered(15, 30)+"no end")
	head := g.git("rev-parse", "HEAD")
	r := g.open()
	runs, err := r.BlameRuns(t.Context(), head, "new\tname", nil)
	if err != nil {
		t.Fatal(err)
	}
	lines := blameOf(t, r, BlameQuery{Path: "new\tname"})
	at := 0
	for _, run := range runs {
		for i := range run.Count {
			l := lines[at]
			if l.Commit != run.Commit || l.OrigPath != run.OrigPath || l.OrigLine != run.OrigLine+i || l.Line != run.Line+i {
				t.Errorf("line %d is %+v in a run and %+v in blame", at+1, run, l)
			}
			at++
		}
	}
	if at != len(lines) || at == 0 {
		t.Errorf("runs hold %d lines, want %d", at, len(lines))
	}

	parent := g.git("rev-parse", "HEAD~1")
	runs, err = r.BlameRuns(t.Context(), head, "new\tname", []string{parent})
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range runs {
		if run.Commit != head && run.Commit != parent {
			t.Errorf("run %+v goes beyond %s to %s", run, parent, old)
		}
	}
	if _, err := r.BlameRuns(t.Context(), head, "none", nil); !errors.Is(err, stemma.ErrNotFound) {
		t.Errorf("runs of a missing file: %v, want ErrNotFound", err)
	}
	if _, err := r.BlameRuns(t.Context(), "HEAD", "none", nil); !errors.Is(err, stemma.ErrInvalid) {
		t.Errorf("runs at a name: %v, want ErrInvalid", err)
	}
}
