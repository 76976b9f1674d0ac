package reconcile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A commit on a branch once made the run read the whole history, as a ref that
// moves back does. An old commit whose object is lost shows that it is not read.
func TestRefThatMovedOnCostsWhatIsNew(t *testing.T) {
	l := newLab(t)
	var s stream
	last, old := 0, 0
	for n := range 30 {
		last = s.commit("refs/heads/main", last, 1_780_000_000+100*n, "a.go", fmt.Sprintf("package a // %d\n", n))
		if n == 10 {
			old = last
		}
	}
	l.run(l.dir, s.Bytes(), "fast-import", "--quiet")
	x := l.newIndex().update()

	id := l.git("rev-parse", fmt.Sprintf("main~%d", last-old))
	if err := os.Remove(filepath.Join(l.dir, ".git/objects", id[:2], id[2:])); err != nil {
		t.Fatal(err)
	}
	l.git("reset", "-q", "--hard", "main")
	l.write("b.go", "package a")
	l.commit("next")
	if got := x.update().last; got.Added != 1 || got.Removed != 0 {
		t.Errorf("after one commit the run added %d and removed %d, want 1 and 0", got.Added, got.Removed)
	}
}
