package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stemma-dev/stemma/internal/spool"
)

// The test binary is the hook when it is asked to be.
func TestMain(m *testing.M) {
	switch os.Getenv("STEMMA_TEST_BE") {
	case "hook":
		main()
		os.Exit(0)
	case "bare": // the floor: a Go process that reads its input
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// repository makes a work tree and gives it with a folder for the spool.
func repository(t testing.TB) (dir, state string) {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir, state = filepath.Join(root, "repo"), filepath.Join(root, "state")
	for _, args := range [][]string{{"init", "-q", dir}, {"-C", dir, "commit", "-q", "--allow-empty", "-m", "first"}} {
		cmd := exec.Command("git", args...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@x", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@x")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %s", err, out)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "a.go"), []byte("package a\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, state
}

// run runs the hook as an agent does, and gives what it printed.
func run(t testing.TB, be, dir, state string, stdin io.Reader) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "claudecode")
	cmd.Dir = dir
	cmd.Env = []string{"STEMMA_TEST_BE=" + be, "STEMMA_DIR=" + state, "HOME=" + state, "GOCOVERDIR=" + os.TempDir()}
	cmd.Stdin = stdin
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("the hook ended with %v", err)
	}
	return string(out)
}

func payload(dir string, n int) string {
	text, _ := json.Marshal(map[string]any{
		"session_id": fmt.Sprint("s", n), "hook_event_name": "PostToolUse", "tool_name": "Edit", "cwd": dir,
		"tool_input": map[string]any{"file_path": filepath.Join(dir, "a.go"), "new_string": "x"},
	})
	return string(text)
}

func held(t testing.TB, dir, state string) (records, faults int) {
	t.Helper()
	p, err := spool.Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := spool.Open(filepath.Join(state, "spool", p.Folder()), spool.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range s.Records() {
		if err != nil {
			faults++
			continue
		}
		records++
	}
	return records, faults
}

func TestHookIsSilentWhateverItIsGiven(t *testing.T) {
	dir, state := repository(t)
	inputs := map[string]io.Reader{
		"empty":    strings.NewReader(""),
		"a call":   strings.NewReader(payload(dir, 1)),
		"not JSON": strings.NewReader("\xff\x00{{{"),
		"200 MB":   io.LimitReader(zeros{}, 200<<20),
		"deep":     strings.NewReader(strings.Repeat(`{"a":`, 200_000)),
	}
	for name, in := range inputs {
		if out := run(t, "hook", dir, state, in); out != "" {
			t.Errorf("%s: the hook printed %q", name, out)
		}
	}
	if records, faults := held(t, dir, state); records != len(inputs) || faults != 0 {
		t.Errorf("%d records, %d faults; want %d, 0", records, faults, len(inputs))
	}
	blocked := filepath.Join(dir, "a.go", "no-folder")
	if out := run(t, "hook", dir, blocked, strings.NewReader(payload(dir, 1))); out != "" {
		t.Errorf("without a place to write the hook printed %q", out)
	}
	if out := run(t, "hook", "/", state, strings.NewReader("{}")); out != "" {
		t.Errorf("outside of a repository the hook printed %q", out)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestHooksOfManyAgentsAtOnceLoseNothing(t *testing.T) {
	dir, state := repository(t)
	const agents, each = 8, 12
	var group sync.WaitGroup
	for a := range agents {
		group.Go(func() {
			for i := range each {
				run(t, "hook", dir, state, strings.NewReader(payload(dir, a*each+i)))
			}
		})
	}
	group.Wait()
	if records, faults := held(t, dir, state); records != agents*each || faults != 0 {
		t.Errorf("%d records, %d faults; want %d, 0", records, faults, agents*each)
	}
}

// A hook that is killed at any moment disturbs neither the ones before nor the
// ones after it.
func TestHookKilledAtAnyMoment(t *testing.T) {
	dir, state := repository(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	whole := 0
	for i := range 40 {
		cmd := exec.Command(exe, "claudecode")
		cmd.Dir = dir
		cmd.Env = []string{"STEMMA_TEST_BE=hook", "STEMMA_DIR=" + state, "HOME=" + state}
		cmd.Stdin = strings.NewReader(payload(dir, i))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i) * 500 * time.Microsecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		run(t, "hook", dir, state, strings.NewReader(payload(dir, 1000+i)))
		whole++
	}
	if records, _ := held(t, dir, state); records < whole {
		t.Errorf("%d records, want at least the %d of hooks that ended", records, whole)
	}
}

// The disk is full: the hook stays silent and what was spooled before is kept.
// Once there is room, the next hook is kept as if nothing had been.
func TestHookWithoutRoom(t *testing.T) {
	dir, state := repository(t)
	run(t, "hook", dir, state, strings.NewReader(payload(dir, 1)))
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	large := strings.Replace(payload(dir, 2), `"x"`, `"`+strings.Repeat("x", 64<<10)+`"`, 1)
	for _, blocks := range []int{0, 1, 8, 60} {
		cmd := exec.Command("sh", "-c", fmt.Sprintf(`ulimit -f %d; exec "$0" claudecode`, blocks), exe)
		cmd.Dir = dir
		cmd.Env = []string{"STEMMA_TEST_BE=hook", "STEMMA_DIR=" + state, "HOME=" + state}
		cmd.Stdin = strings.NewReader(large)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("with room for %d blocks: %v, %q", blocks, err, out)
		}
		if records, faults := held(t, dir, state); records != 1 || faults != 0 {
			t.Fatalf("with room for %d blocks: %d records, %d faults; want the first alone", blocks, records, faults)
		}
	}
	run(t, "hook", dir, state, strings.NewReader(large))
	if records, faults := held(t, dir, state); records != 2 || faults != 0 {
		t.Errorf("with room again: %d records, %d faults; want 2, 0", records, faults)
	}
}

func BenchmarkHook(b *testing.B) {
	dir, state := repository(b)
	call := []byte(payload(dir, 1))
	for _, be := range []string{"bare", "hook"} {
		b.Run(be, func(b *testing.B) {
			for b.Loop() {
				run(b, be, dir, state, bytes.NewReader(call))
			}
		})
	}
}
