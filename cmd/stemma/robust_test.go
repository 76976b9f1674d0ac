package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program makes the command stemma as a process of its own.
func program(t *testing.T, index string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("stemma")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "STEMMA_DIR="+index)
	return cmd
}

// must runs a command and gives what it prints.
func must(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		t.Fatalf("%q: %v: %s", cmd.Args, err, errOut.String())
	}
	return out.String()
}

// person.key decides the pseudonyms, so indexes that are compared share it.
func sameKey(t *testing.T, from, to string) {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(from, "person.key"))
	if err == nil {
		err = os.MkdirAll(to, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(to, "person.key"), key, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestKilledIndexIsCompletedByTheNextRun kills runs at random moments and
// compares what the next one completes with an index that nobody disturbed.
func TestKilledIndexIsCompletedByTheNextRun(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 3))
	dir := notedRepository(t, seed)
	whole := t.TempDir()
	began := time.Now()
	must(t, program(t, whole, "index", "-q", dir))
	took := time.Since(began)
	want := must(t, program(t, whole, "dump", "-R", dir))
	for round := range 12 {
		index := filepath.Join(t.TempDir(), "index")
		sameKey(t, whole, index)
		killed := 0
		for range 3 {
			cmd := program(t, index, "index", "-q", dir)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(r.Int64N(int64(took))))
			signal := syscall.SIGKILL
			if r.IntN(3) == 0 {
				signal = syscall.SIGINT
			}
			_ = cmd.Process.Signal(signal) // it may have ended by itself
			if cmd.Wait() != nil {
				killed++
			}
		}
		must(t, program(t, index, "index", "-q", dir))
		if got := must(t, program(t, index, "dump", "-R", dir)); got != want {
			t.Fatalf("round %d: %d runs were killed; the index that was completed differs", round, killed)
		}
	}
}

// TestManyIndexersAtOnce lets several processes index one repository.
func TestManyIndexersAtOnce(t *testing.T) {
	dir := notedRepository(t, 7)
	whole, shared := t.TempDir(), t.TempDir()
	must(t, program(t, whole, "index", "-q", dir))
	sameKey(t, whole, shared)
	want := must(t, program(t, whole, "dump", "-R", dir))
	var group sync.WaitGroup
	failed := make([]error, 6)
	for i := range failed {
		cmd := program(t, shared, []string{"index", "stats", "log"}[i%3], "-R", dir)
		group.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				failed[i] = fmt.Errorf("%q: %w: %s", cmd.Args, err, out)
			}
		})
	}
	group.Wait()
	for _, err := range failed {
		if err != nil {
			t.Error(err)
		}
	}
	if got := must(t, program(t, shared, "dump", "-R", dir)); got != want {
		t.Error("the index that many made differs from the one that one made")
	}
}

// TestOrderOfArrivalDoesNotMatter brings the same commits, refs and notes in
// another order each time, indexing in between, and compares the graphs.
func TestOrderOfArrivalDoesNotMatter(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 4))
	source := notedRepository(t, seed)
	gitIn(t, source, nil, "branch", "side", "HEAD~7")
	commits := strings.Fields(gitIn(t, source, nil, "rev-list", "main"))
	noted := strings.Fields(gitIn(t, source, nil, "log", "-g", "--format=%H", "refs/notes/ai"))
	if len(noted) == 0 {
		noted = strings.Fields(gitIn(t, source, nil, "rev-list", "refs/notes/ai"))
	}
	whole := t.TempDir()
	must(t, program(t, whole, "index", "-q", source))
	want := must(t, program(t, whole, "dump", "-R", source))
	for round := range 8 {
		clone := filepath.Join(t.TempDir(), "clone")
		gitIn(t, source, nil, "clone", "-q", "--bare", ".", clone)
		gitIn(t, clone, nil, "fetch", "-q", "origin", "refs/notes/ai:refs/notes/ai")
		index := filepath.Join(t.TempDir(), "index")
		sameKey(t, whole, index)
		for range 6 {
			// Any commit may be the tip, forwards or back, and any state of the
			// notes may be there, or none.
			gitIn(t, clone, nil, "update-ref", "refs/heads/main", commits[r.IntN(len(commits))])
			gitIn(t, clone, nil, "update-ref", "refs/heads/side", commits[r.IntN(len(commits))])
			if r.IntN(4) == 0 {
				gitIn(t, clone, nil, "update-ref", "-d", "refs/notes/ai")
			} else {
				gitIn(t, clone, nil, "update-ref", "refs/notes/ai", noted[r.IntN(len(noted))])
			}
			must(t, program(t, index, "index", "-q", clone))
		}
		gitIn(t, clone, nil, "update-ref", "refs/heads/main", commits[0])
		gitIn(t, clone, nil, "update-ref", "refs/heads/side", commits[7])
		gitIn(t, clone, nil, "update-ref", "refs/notes/ai", noted[0])
		got := must(t, program(t, index, "dump", "-R", clone))
		if got != want {
			t.Fatalf("round %d: the graph differs from the one indexed at once:\n%s", round, firstDifference(want, got))
		}
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return "want " + w[i] + "\ngot  " + g[i]
		}
	}
	return fmt.Sprintf("%d lines instead of %d", len(g), len(w))
}

// TestNoRoomLeft stops an index for want of room and then lets it go on.
func TestNoRoomLeft(t *testing.T) {
	dir := notedRepository(t, 9)
	whole, index := t.TempDir(), t.TempDir()
	must(t, program(t, whole, "index", "-q", dir))
	sameKey(t, whole, index)
	want := must(t, program(t, whole, "dump", "-R", dir))
	failed := false
	for _, blocks := range []int{8, 40, 80, 160} {
		cmd := program(t, index, "index", "-q", dir)
		limited := exec.Command("sh", "-c", fmt.Sprintf(`ulimit -f %d; exec "$0" "$@"`, blocks), cmd.Path, "index", "-q", dir)
		limited.Env = cmd.Env
		out, err := limited.CombinedOutput()
		if err == nil {
			continue
		}
		failed = true
		if !strings.Contains(string(out), "stemma: error:") || strings.Contains(string(out), "goroutine") {
			t.Errorf("with %d blocks: %v, and no clear error: %s", blocks, err, out)
		}
	}
	if !failed {
		t.Error("no run was stopped: the limit does not bite")
	}
	must(t, program(t, index, "index", "-q", dir))
	if got := must(t, program(t, index, "dump", "-R", dir)); got != want {
		t.Error("the index that was completed later differs")
	}
}

// TestRepositoryThatMovesWhileItIsRead commits, deletes and collects while
// indexers run; each ends well or says clearly why not, and the last is right.
func TestRepositoryThatMovesWhileItIsRead(t *testing.T) {
	dir := notedRepository(t, 11)
	index := t.TempDir()
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			gitIn(t, dir, nil, "commit", "-q", "--allow-empty", "-m", fmt.Sprint("more ", n))
			if n%4 == 3 {
				gitIn(t, dir, nil, "reset", "-q", "--soft", "HEAD~2")
				gitIn(t, dir, nil, "reflog", "expire", "--expire=now", "--all")
				gitIn(t, dir, nil, "gc", "-q", "--prune=now")
			}
		}
	})
	for range 12 {
		cmd := program(t, index, "index", "-q", dir)
		if out, err := cmd.CombinedOutput(); err != nil && !strings.Contains(string(out), "stemma: error:") {
			t.Errorf("index: %v: %s", err, out)
		}
	}
	close(stop)
	group.Wait()
	again := t.TempDir()
	sameKey(t, index, again)
	must(t, program(t, index, "index", "-q", dir))
	must(t, program(t, again, "index", "-q", dir))
	if got, want := must(t, program(t, index, "dump", "-R", dir)), must(t, program(t, again, "dump", "-R", dir)); got != want {
		t.Errorf("the index that watched differs from a fresh one:\n%s", firstDifference(want, got))
	}
}
