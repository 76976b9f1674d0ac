package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// livingDesk is a repository in which a session of Claude Code goes on, and the
// program that syncs it.
type livingDesk struct {
	t          *testing.T
	dir, state string
	transcript string
	turns      int
}

func newLivingDesk(t *testing.T) *livingDesk {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	d := &livingDesk{t: t, dir: filepath.Join(root, "repo"), state: filepath.Join(root, "state"), transcript: filepath.Join(root, "s.jsonl")}
	gitIn(t, root, nil, "init", "-q", d.dir)
	gitIn(t, d.dir, nil, "commit", "-q", "--allow-empty", "-m", "first")
	return d
}

// program makes the command, in the work tree.
func (d *livingDesk) program(args ...string) *exec.Cmd {
	cmd := program(d.t, d.state, args...)
	cmd.Dir, cmd.Env = d.dir, append(cmd.Env, "HOME="+d.state, "GIT_CONFIG_NOSYSTEM=1")
	return cmd
}

func (d *livingDesk) run(stdin string, args ...string) (string, error) {
	cmd := d.program(args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// turn is one more prompt of the session, and a commit, so that it is due.
func (d *livingDesk) turn() {
	d.t.Helper()
	d.turns++
	line, _ := json.Marshal(map[string]any{
		"type": "user", "isSidechain": false, "sessionId": "s", "cwd": d.dir, "uuid": fmt.Sprintf("%036d", d.turns), "timestamp": time.Now().UTC().Format(time.RFC3339Nano),
		"message": map[string]any{"role": "user", "content": fmt.Sprint("prompt number ", d.turns)},
	})
	f, err := os.OpenFile(d.transcript, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.Write(append(line, '\n'))
		f.Close()
	}
	if err != nil {
		d.t.Fatal(err)
	}
	payload := fmt.Sprintf(`{"session_id":"s","hook_event_name":"UserPromptSubmit","cwd":%q,"transcript_path":%q}`, d.dir, d.transcript)
	if out, err := d.run(payload, "hook", "claudecode"); err != nil {
		d.t.Fatalf("hook: %v\n%s", err, out)
	}
	gitIn(d.t, d.dir, nil, "commit", "-q", "--allow-empty", "-m", fmt.Sprint(d.turns))
}

// check holds what is told of the session against what it did.
func (d *livingDesk) check() (parts int) {
	d.t.Helper()
	out, err := d.run("", "session", "show", "claude-code/s", "--prompts", "--json")
	var shown struct {
		Parts   int
		Missing int `json:"parts_missing"`
		Told    struct {
			Turns []struct{ Prompt struct{ Text string } }
		}
	}
	if err == nil {
		err = json.Unmarshal([]byte(out), &shown)
	}
	if err != nil {
		d.t.Fatalf("session show: %v\n%s", err, out)
	}
	if shown.Missing != 0 || len(shown.Told.Turns) != d.turns {
		d.t.Errorf("%d turns in %d parts, %d missing; want %d turns", len(shown.Told.Turns), shown.Parts, shown.Missing, d.turns)
	}
	for i, turn := range shown.Told.Turns {
		if want := fmt.Sprint("prompt number ", i+1); turn.Prompt.Text != want {
			d.t.Errorf("turn %d asks %q, want %q", i+1, turn.Prompt.Text, want)
		}
	}
	return shown.Parts
}

// A sync that is killed at any point, or runs beside others, tells every turn
// once.
func TestSyncTellsSessionsOnceWhateverHappens(t *testing.T) {
	d := newLivingDesk(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 4))
	for range 6 {
		d.turn()
		cmd := d.program("sync", "-q")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(20+r.IntN(250)) * time.Millisecond)
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	}
	d.turn()
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			if out, err := d.run("", "sync", "-q"); err != nil {
				t.Errorf("sync: %v\n%s", err, out)
			}
		})
	}
	group.Wait()
	before := d.check()
	for _, args := range [][]string{{"sync"}, {"session", "import", "--from", d.transcript, "--yes"}} {
		if out, err := d.run("", args...); err != nil {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
	if parts := d.check(); parts != before {
		t.Errorf("%d parts, and then %d", before, parts)
	}
}

// What is raw is purged after 30 days, unless it could not be told.
func TestSpoolIsPurgedWhenItIsTold(t *testing.T) {
	d := newLivingDesk(t)
	d.turn()
	segments := func() []string {
		all, _ := filepath.Glob(filepath.Join(d.state, "spool", "*", "segments", "*.seg")) // the pattern is fixed
		return all
	}
	old := time.Now().Add(-keepSpool - time.Hour)
	for _, path := range segments() {
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	d.run("", "index", "-q")
	evidence := filepath.Join(d.state, "evidence")
	if err := os.Rename(evidence, evidence+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(evidence, nil, 0o600); err != nil { // nothing can be recorded there
		t.Fatal(err)
	}
	out, err := d.run("", "sync")
	if err != nil || !strings.Contains(out, "not told: ") || len(segments()) != 1 {
		t.Errorf("without evidence: %d segments, %v\n%s", len(segments()), err, out)
	}
	if err := os.Remove(evidence); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(evidence+".away", evidence); err != nil {
		t.Fatal(err)
	}
	out, err = d.run("", "sync")
	if err != nil || slices.ContainsFunc(segments(), func(string) bool { return true }) {
		t.Errorf("with it: %d segments, %v\n%s", len(segments()), err, out)
	}
	d.check()
}

// A session that only its hooks told is told again from its transcript, once.
func TestImportTellsMoreThanHooks(t *testing.T) {
	d := newLivingDesk(t)
	d.turn()
	payload := fmt.Sprintf(`{"session_id":"s","hook_event_name":"SessionEnd","cwd":%q,"transcript_path":"/nowhere"}`, d.dir)
	if out, err := d.run(payload, "hook", "claudecode"); err != nil {
		t.Fatalf("hook: %v\n%s", err, out)
	}
	if out, err := d.run("", "sync"); err != nil || !strings.Contains(out, "from what its hooks saw") {
		t.Errorf("sync: %v\n%s", err, out)
	}
	for _, want := range []string{"1 sessions recorded", "0 sessions recorded"} {
		if out, err := d.run("", "session", "import", "--from", d.transcript, "--yes"); err != nil || !strings.Contains(out, want) {
			t.Errorf("import: %v, want %q\n%s", err, want, out)
		}
	}
	if parts := d.check(); parts != 1 {
		t.Errorf("%d parts, want the whole in one", parts)
	}
}
