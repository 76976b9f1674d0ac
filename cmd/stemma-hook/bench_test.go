package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// large makes a work tree of so many tracked files.
func large(b *testing.B, files int) (dir, state string) {
	b.Helper()
	dir, state = repository(b)
	for i := range files {
		path := filepath.Join(dir, fmt.Sprintf("d%d/e%d/f%d.go", i%40, i/40%50, i))
		if i < 2000 {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				b.Fatal(err)
			}
		}
		if err := os.WriteFile(path, fmt.Appendf(nil, "package f%d\n", i), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	for _, args := range [][]string{{"add", "-A"}, {"commit", "-qm", "files"}} {
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=A", "-c", "user.email=a@x"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
	}
	return dir, state
}

// quantiles runs something many times and reports its 50th and 95th percentile
// in milliseconds.
func quantiles(b *testing.B, run func(i int)) { prepared(b, func(int) {}, run) }

// prepared is quantiles of something that is prepared each time.
func prepared(b *testing.B, prepare, run func(i int)) {
	b.Helper()
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		prepare(i)
		began := time.Now()
		run(i)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	ms := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1000 }
	b.ReportMetric(ms(0.50), "p50-ms")
	b.ReportMetric(ms(0.95), "p95-ms")
}

func shellPayload(dir, event string, call int) string {
	text, _ := json.Marshal(map[string]any{
		"session_id": "s", "hook_event_name": event, "tool_name": "Bash", "tool_use_id": fmt.Sprint(call), "cwd": dir,
		"tool_input": map[string]any{"command": "make"}, "transcript_path": "/nowhere/large.jsonl",
	})
	return string(text)
}

// BenchmarkHookInLargeTree measures hooks in a work tree of 80,000 files: against
// a bare Go process for tools that name their file, against git status for shells.
func BenchmarkHookInLargeTree(b *testing.B) {
	dir, state := large(b, 80_000)
	call := payload(dir, 1)
	b.Run("bare", func(b *testing.B) { quantiles(b, func(int) { run(b, "bare", dir, state, strings.NewReader(call)) }) })
	b.Run("edit", func(b *testing.B) { quantiles(b, func(int) { run(b, "hook", dir, state, strings.NewReader(call)) }) })
	b.Run("git-status", func(b *testing.B) {
		quantiles(b, func(int) {
			if out, err := exec.Command("git", "-C", dir, "status", "--porcelain").CombinedOutput(); err != nil {
				b.Fatalf("%v\n%s", err, out)
			}
		})
	})
	b.Run("shell-before", func(b *testing.B) {
		quantiles(b, func(i int) { run(b, "hook", dir, state, strings.NewReader(shellPayload(dir, "PreToolUse", i))) })
	})
	b.Run("shell-after", func(b *testing.B) {
		prepared(b,
			func(i int) { run(b, "hook", dir, state, strings.NewReader(shellPayload(dir, "PreToolUse", i))) },
			func(i int) { run(b, "hook", dir, state, strings.NewReader(shellPayload(dir, "PostToolUse", i))) })
	})
}

// BenchmarkHookAfterManySessions measures a hook in a spool that holds the work of
// 500 sessions, beside a transcript of 100 MB that it must not read.
func BenchmarkHookAfterManySessions(b *testing.B) {
	dir, state := repository(b)
	transcript := filepath.Join(state, "transcript.jsonl")
	if err := os.MkdirAll(state, 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(transcript, bytes.Repeat([]byte("x"), 100<<20), 0o644); err != nil {
		b.Fatal(err)
	}
	call := strings.Replace(payload(dir, 1), `"session_id"`, `"transcript_path":"`+transcript+`","session_id"`, 1)
	for range 8 {
		var group sync.WaitGroup
		group.Go(func() {
			for i := range 500 / 8 {
				run(b, "hook", dir, state, strings.NewReader(payload(dir, i)))
			}
		})
		group.Wait()
	}
	b.Run("bare", func(b *testing.B) { quantiles(b, func(int) { run(b, "bare", dir, state, strings.NewReader(call)) }) })
	b.Run("edit", func(b *testing.B) { quantiles(b, func(int) { run(b, "hook", dir, state, strings.NewReader(call)) }) })
}

// BenchmarkCommit measures git commit without and with everything installed: the
// hook of git, and a sync that begins in the background.
func BenchmarkCommit(b *testing.B) {
	for _, installed := range []bool{false, true} {
		b.Run(map[bool]string{false: "without", true: "installed"}[installed], func(b *testing.B) {
			dir, state := repository(b)
			bin := b.TempDir()
			build := exec.Command("go", "build", "-o", bin, "../stemma", ".")
			if out, err := build.CombinedOutput(); err != nil {
				b.Fatalf("%v\n%s", err, out)
			}
			env := append(os.Environ(), "STEMMA_DIR="+state, "HOME="+state, "GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@x", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@x")
			command := func(name string, args ...string) {
				b.Helper()
				cmd := exec.Command(name, args...)
				cmd.Dir, cmd.Env = dir, env
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("%s %v: %v\n%s", name, args, err, out)
				}
			}
			if installed {
				command(filepath.Join(bin, "stemma"), "init", "--yes", "--agent", "claudecode")
			}
			prepared(b, func(i int) {
				if err := os.WriteFile(filepath.Join(dir, "a.go"), fmt.Appendf(nil, "package a // %d\n", i), 0o644); err != nil {
					b.Fatal(err)
				}
				command("git", "add", "-A")
				time.Sleep(200 * time.Millisecond) // what the commit before has left in the background is over
			}, func(i int) { command("git", "commit", "-qm", fmt.Sprint(i)) })
		})
	}
}

// TestBurst lets 8 agents send events as fast as hooks start while commits are
// made, and counts that none is lost: STEMMA_BURST events, 20,000 in "make soak".
func TestBurst(t *testing.T) {
	events := 160
	if n := os.Getenv("STEMMA_BURST"); n != "" {
		if _, err := fmt.Sscan(n, &events); err != nil {
			t.Fatal(err)
		}
	}
	dir, state := repository(t)
	began := time.Now()
	var group sync.WaitGroup
	for a := range 8 {
		group.Go(func() {
			for i := range events / 8 {
				run(t, "hook", dir, state, strings.NewReader(payload(dir, a*events+i)))
			}
		})
	}
	commits := 0
	group.Go(func() {
		for ; commits < events/40; commits++ {
			cmd := exec.Command("git", "-C", dir, "-c", "user.name=A", "-c", "user.email=a@x", "commit", "-q", "--allow-empty", "-m", fmt.Sprint(commits))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		}
	})
	group.Wait()
	records, faults := held(t, dir, state)
	if want := events / 8 * 8; records != want || faults != 0 {
		t.Errorf("%d records, %d faults; want %d, 0", records, faults, want)
	}
	t.Logf("%d events and %d commits in %s", records, commits, time.Since(began).Round(time.Millisecond))
}
