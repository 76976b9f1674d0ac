package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/stemma-dev/stemma/internal/spool"
)

// TestSyncWaitsForAnother is about a sync by hand while one of git's hooks is under
// way: it says that it waits, and does what hooks ask for meanwhile, which leave it to
// whoever holds the lock.
func TestSyncWaitsForAnother(t *testing.T) {
	root := t.TempDir()
	t.Setenv("STEMMA_DIR", root)
	t.Setenv("HOME", root)
	s := newStory(t, filepath.Join(root, "spool"))
	s.agent("s1", "a.go", "alpha := one(first)")
	s.commit("work")
	p, err := spool.Find(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "spool", p.Folder())
	lock := flock.New(filepath.Join(dir, syncLock))
	if held, err := lock.TryLock(); err != nil || !held {
		t.Fatalf("lock: %v, %v", held, err)
	}
	run := func(args ...string) (string, int) {
		var out bytes.Buffer
		code := execute(t.Context(), append([]string{"-R", s.dir, "sync"}, args...), &out, &out)
		return out.String(), code
	}
	if out, code := run("--soon"); code != exitOK || out != "" {
		t.Fatalf("sync --soon while another is under way: exit %d, %q", code, out)
	}
	wanted := filepath.Join(dir, syncWanted)
	if _, err := os.Stat(wanted); err != nil {
		t.Fatalf("it left no mark: %v", err)
	}
	time.AfterFunc(1500*time.Millisecond, func() { lock.Unlock() })
	out, code := run()
	if code != exitOK || !strings.Contains(out, "another sync of this repository is under way") || !strings.Contains(out, "1 commits noted") {
		t.Fatalf("sync: exit %d\n%s", code, out)
	}
	if _, err := os.Stat(wanted); !os.IsNotExist(err) {
		t.Errorf("what a hook asked for was left undone: %v", err)
	}
	s.want("a.go", "s1: alpha := one(first)")
}
