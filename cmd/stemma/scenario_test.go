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
	"testing"
	"time"

	"github.com/stemma-dev/stemma/internal/spool"
)

// This file holds what a developer and agents do to a history, one story each:
// the things with which other tools lose attribution. Every line at the end is
// checked.

// story is a repository with captured work in it.
type story struct {
	t    *testing.T
	dir  string
	home string // of the spools
	now  time.Time
	call int
}

func newStory(t *testing.T, home string) *story {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &story{t: t, dir: filepath.Join(root, "repo"), home: home, now: time.Date(2026, 9, 1, 9, 0, 0, 0, time.UTC)}
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s.git("init", "-q", "-b", "main")
	s.git("config", "user.name", "Ada")
	s.git("config", "user.email", "ada@example.com")
	s.put("old.go", "package old")
	s.healthy()
	s.commit("first")
	return s
}

func (s *story) tick() time.Time { s.now = s.now.Add(2 * time.Second); return s.now }

func (s *story) tryGit(args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = s.dir
	date := fmt.Sprintf("%d +0000", s.tick().Unix())
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.home, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_DATE=" + date, "GIT_COMMITTER_DATE=" + date, "GIT_EDITOR=true",
	}
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (s *story) git(args ...string) string {
	s.t.Helper()
	out, err := s.tryGit(args...)
	if err != nil {
		s.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// put writes a file of these lines; none removes it.
func (s *story) put(path string, lines ...string) {
	s.t.Helper()
	full := filepath.Join(s.dir, path)
	if len(lines) == 0 {
		os.Remove(full)
		return
	}
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// hook makes a hook of git.
func (s *story) hook(name, script string) {
	s.t.Helper()
	path := filepath.Join(s.dir, ".git", "hooks", name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// healthy is a hook of git that finds everything as it was installed.
func (s *story) healthy() {
	s.t.Helper()
	p, err := spool.Find(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	own, err := spool.Open(filepath.Join(s.home, p.Folder()), spool.Config{})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := own.Append(spool.Record{Time: s.now, Agent: spool.AgentGit, Event: "post-commit", Phase: spool.Other, Tree: s.dir}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *story) commit(message string) string {
	s.t.Helper()
	s.git("add", "-A")
	return s.committed("commit", "-qm", message)
}

// committed runs git, and its hook after it.
func (s *story) committed(args ...string) string {
	s.t.Helper()
	s.git(args...)
	s.healthy()
	return s.git("rev-parse", "HEAD")
}

// tool runs a tool of a session with both of its hooks.
func (s *story) tool(session, tool, path string, act func()) {
	s.t.Helper()
	s.call++
	call := s.call
	hook := func(event string) {
		input := map[string]any{"command": "make"}
		if path != "" {
			input = map[string]any{"file_path": filepath.Join(s.dir, path)}
		}
		text, err := json.Marshal(map[string]any{
			"session_id": session, "hook_event_name": event, "tool_name": tool, "tool_use_id": fmt.Sprint(call), "tool_input": input, "cwd": s.dir,
		})
		if err != nil {
			s.t.Fatal(err)
		}
		now := s.tick()
		if err := spool.Capture(spool.Input{Agent: "claudecode", Payload: bytes.NewReader(text), Dir: s.dir, Home: s.home, Now: func() time.Time { return now }}); err != nil {
			s.t.Fatal(err)
		}
	}
	hook("PreToolUse")
	act()
	hook("PostToolUse")
}

// agent lets a session write a file.
func (s *story) agent(session, path string, lines ...string) {
	s.t.Helper()
	s.tool(session, "Write", path, func() { s.put(path, lines...) })
}

// blame syncs, and gives each line at HEAD with who is said to have written it.
func (s *story) blame(path string) []string {
	s.t.Helper()
	run := func(args ...string) []byte {
		s.t.Helper()
		var out, errOut bytes.Buffer
		if code := execute(s.t.Context(), append([]string{"-R", s.dir}, args...), &out, &errOut); code != exitOK {
			s.t.Fatalf("stemma %s: exit %d: %s", strings.Join(args, " "), code, errOut.String())
		}
		return out.Bytes()
	}
	run("sync", "--quiet")
	var told struct {
		Lines []struct {
			Class, Text string
			Part        *struct{ Session string }
		}
	}
	if err := json.Unmarshal(run("blame", "--json", path), &told); err != nil {
		s.t.Fatal(err)
	}
	var lines []string
	for _, l := range told.Lines {
		who := map[string]string{"human": "ada", "unknown": "?"}[l.Class]
		if l.Part != nil && l.Part.Session != "" {
			who = strings.TrimPrefix(l.Part.Session, "claude-code/")
			if l.Class == "ai-edited" {
				who += "+"
			}
		}
		lines = append(lines, who+": "+l.Text)
	}
	return lines
}

// note gives stemma's note on a commit.
func (s *story) note(commit string) string {
	s.t.Helper()
	return s.git("notes", "--ref=refs/notes/stemma", "show", commit)
}

func (s *story) want(path string, lines ...string) {
	s.t.Helper()
	if got := s.blame(path); strings.Join(got, "\n") != strings.Join(lines, "\n") {
		s.t.Errorf("%s\n got %s\nwant %s", path, strings.Join(got, "\n     "), strings.Join(lines, "\n     "))
	}
}

// told is a story with its name.
type told struct {
	name string
	tell func(*story)
}

// stories are the scenarios, numbered as they were collected from other tools' tests.
var stories = []told{
	{"01 a person edits an agent's line before the commit", func(s *story) {
		s.agent("s1", "a.go", "total := price * count", "return total")
		s.put("a.go", "total := price * count * tax", "return total")
		s.commit("work")
		s.want("a.go", "s1+: total := price * count * tax", "s1: return total")
	}},
	{"02 a person edits beside an agent's block", func(s *story) {
		s.agent("s1", "a.go", "alpha := one()", "beta := two()")
		s.put("a.go", "alpha := one()", "gamma := byHand()", "beta := two()")
		s.commit("work")
		s.want("a.go", "s1: alpha := one()", "ada: gamma := byHand()", "s1: beta := two()")
	}},
	{"03 a part is staged, the rest comes later", func(s *story) {
		s.agent("s1", "a.go", "alpha := one()", "beta := two()")
		s.put("a.go", "alpha := one()")
		s.git("add", "a.go")
		s.put("a.go", "alpha := one()", "beta := two()")
		s.committed("commit", "-qm", "a part")
		s.commit("the rest")
		s.want("a.go", "s1: alpha := one()", "s1: beta := two()")
	}},
	{"04 two sessions in one file and one commit", func(s *story) {
		s.agent("s1", "a.go", "alpha := one()")
		s.agent("s2", "a.go", "alpha := one()", "beta := two()")
		s.commit("work")
		s.want("a.go", "s1: alpha := one()", "s2: beta := two()")
	}},
	{"05 the agent commits in the middle of its turn", func(s *story) {
		s.tool("s1", "Bash", "", func() {
			s.put("a.go", "alpha := one()")
			s.commit("by the agent")
			s.put("a.go", "alpha := one()", "beta := two()")
		})
		s.commit("the rest")
		s.want("a.go", "s1: alpha := one()", "s1: beta := two()")
	}},
	{"06 several commits in one turn", func(s *story) {
		s.tool("s1", "Bash", "", func() {
			s.put("a.go", "alpha := one()")
			s.commit("one")
			s.put("b.go", "beta := two()")
			s.commit("two")
		})
		s.want("a.go", "s1: alpha := one()")
		s.want("b.go", "s1: beta := two()")
	}},
	{"07 an amend adds lines at the top, in the middle and at the end", func(s *story) {
		s.agent("s1", "a.go", "alpha := one()", "beta := two()")
		s.commit("work")
		s.put("a.go", "top := byHand()", "alpha := one()", "middle := byHand()", "beta := two()", "end := byHand()")
		s.agent("s2", "b.go", "other := thing()")
		s.git("add", "-A")
		s.committed("commit", "-q", "--amend", "-m", "amended")
		s.want("a.go", "ada: top := byHand()", "s1: alpha := one()", "ada: middle := byHand()", "s1: beta := two()", "ada: end := byHand()")
	}},
	{"08 amended again and again", func(s *story) {
		s.agent("s1", "a.go", "alpha := one()")
		s.commit("work")
		for i := range 4 {
			s.committed("commit", "-q", "--amend", "-m", fmt.Sprint("again ", i))
		}
		s.want("a.go", "s1: alpha := one()")
	}},
	{"09 an amend deletes the lines of a session", func(s *story) {
		s.agent("s1", "a.go", "alpha := one()")
		s.agent("s2", "a.go", "alpha := one()", "beta := two()")
		s.commit("work")
		s.put("a.go", "alpha := one()")
		s.git("add", "-A")
		s.committed("commit", "-q", "--amend", "-m", "less")
		s.want("a.go", "s1: alpha := one()")
	}},
	{"10 a rebase that is clean", func(s *story) {
		s.git("switch", "-qc", "side")
		s.agent("s1", "a.go", "alpha := one()")
		s.commit("work")
		s.git("switch", "-q", "main")
		s.put("b.go", "other := byHand()")
		s.commit("meanwhile")
		s.git("switch", "-q", "side")
		s.committed("rebase", "-q", "main")
		s.want("a.go", "s1: alpha := one()")
		s.want("b.go", "ada: other := byHand()")
	}},
	{"11 a rebase onto lines before those of the same file", func(s *story) {
		s.put("a.go", "base := byHand()")
		s.commit("base")
		s.git("switch", "-qc", "side")
		s.agent("s1", "a.go", "base := byHand()", "x1 := space()", "x2 := space()", "x3 := space()", "alpha := one()")
		s.commit("work")
		s.git("switch", "-q", "main")
		s.put("a.go", "before := byHand()", "base := byHand()")
		s.commit("meanwhile")
		s.git("switch", "-q", "side")
		if _, err := s.tryGit("rebase", "-q", "main"); err != nil {
			s.put("a.go", "before := byHand()", "base := byHand()", "x1 := space()", "x2 := space()", "x3 := space()", "alpha := one()")
			s.git("add", "-A")
			s.git("rebase", "--continue")
		}
		s.healthy()
		s.want("a.go", "ada: before := byHand()", "ada: base := byHand()", "s1: x1 := space()", "s1: x2 := space()", "s1: x3 := space()", "s1: alpha := one()")
	}},
	{"12 a rebase with a conflict, both sides kept", func(s *story) {
		s.git("switch", "-qc", "side")
		s.agent("s1", "a.go", "alpha := one()")
		s.commit("work")
		s.git("switch", "-q", "main")
		s.put("a.go", "mine := byHand()")
		s.commit("meanwhile")
		s.git("switch", "-q", "side")
		if _, err := s.tryGit("rebase", "-q", "main"); err == nil {
			s.t.Fatal("no conflict")
		}
		s.put("a.go", "mine := byHand()", "alpha := one()")
		s.git("add", "-A")
		s.committed("rebase", "--continue")
		s.want("a.go", "ada: mine := byHand()", "s1: alpha := one()")
	}},
	{"12 a rebase with a conflict that an agent resolves", func(s *story) {
		s.git("switch", "-qc", "side")
		s.agent("s1", "a.go", "alpha := one()")
		s.commit("work")
		s.git("switch", "-q", "main")
		s.put("a.go", "mine := byHand()")
		s.commit("meanwhile")
		s.git("switch", "-q", "side")
		_, _ = s.tryGit("rebase", "-q", "main") // it stops
		s.agent("s2", "a.go", "mine := byHand()", "joined := resolvedBy(s2)", "alpha := one()")
		s.git("add", "-A")
		s.committed("rebase", "--continue")
		s.want("a.go", "ada: mine := byHand()", "s2: joined := resolvedBy(s2)", "s1: alpha := one()")
	}},
	{"13 a rebase that skips a commit, and one that becomes empty", func(s *story) {
		s.git("switch", "-qc", "side")
		s.agent("s1", "a.go", "alpha := one()")
		s.commit("work")
		s.agent("s2", "b.go", "beta := two()")
		s.commit("more")
		s.git("switch", "-q", "main")
		s.put("a.go", "alpha := one()", "mine := byHand()")
		s.commit("meanwhile")
		s.git("switch", "-q", "side")
		if _, err := s.tryGit("rebase", "-q", "main"); err != nil {
			s.git("rebase", "--skip")
		}
		s.healthy()
		s.want("b.go", "s2: beta := two()")
	}},
	{"14 commits are reordered and one is dropped", func(s *story) {
		s.git("switch", "-qc", "side")
		s.agent("s1", "a.go", "alpha := one()")
		one := s.commit("one")
		s.agent("s2", "b.go", "beta := two()")
		two := s.commit("two")
		s.agent("s3", "c.go", "gamma := three()")
		s.commit("three")
		s.git("reset", "-q", "--hard", "main")
		s.git("cherry-pick", two, one)
		s.healthy()
		s.want("a.go", "s1: alpha := one()")
		s.want("b.go", "s2: beta := two()")
	}},
	{"14 a fixup is squashed into its commit", func(s *story) {
		s.git("switch", "-qc", "side")
		s.agent("s1", "a.go", "alpha := one()", "x1 := space()", "x2 := space()")
		id := s.commit("one")
		s.agent("s2", "b.go", "beta := two()")
		s.commit("two")
		s.agent("s3", "a.go", "alpha := one()", "x1 := space()", "x2 := space()", "gamma := three()")
		s.git("add", "-A")
		s.committed("commit", "-q", "--fixup", id)
		s.git("-c", "sequence.editor=true", "rebase", "-q", "-i", "--autosquash", "main")
		s.healthy()
		s.want("a.go", "s1: alpha := one()", "s1: x1 := space()", "s1: x2 := space()", "s3: gamma := three()")
		s.want("b.go", "s2: beta := two()")
	}},
	{"15 a rebase is given up", func(s *story) {
		s.git("switch", "-qc", "side")
		s.agent("s1", "a.go", "alpha := one()")
		s.commit("work")
		s.git("switch", "-q", "main")
		s.put("a.go", "mine := byHand()")
		s.commit("meanwhile")
		s.git("switch", "-q", "side")
		_, _ = s.tryGit("rebase", "-q", "main") // it stops
		s.git("rebase", "--abort")
		s.healthy()
		s.want("a.go", "s1: alpha := one()")
	}},
	{"16 a rebase onto a branch with merges", func(s *story) {
		s.git("switch", "-qc", "side")
		s.agent("s1", "a.go", "alpha := one()")
		s.commit("work")
		s.git("switch", "-qc", "theirs", "main")
		s.agent("s2", "b.go", "beta := two()")
		s.commit("theirs")
		s.git("switch", "-q", "main")
		s.put("c.go", "mine := byHand()")
		s.commit("meanwhile")
		s.committed("merge", "-q", "--no-ff", "-m", "merged", "theirs")
		merge := s.git("rev-parse", "HEAD")
		s.git("switch", "-q", "side")
		s.committed("rebase", "-q", "main")
		s.want("a.go", "s1: alpha := one()")
		s.want("b.go", "s2: beta := two()")
		s.want("c.go", "ada: mine := byHand()")
		if note, err := s.tryGit("notes", "--ref=refs/notes/stemma", "show", merge); err == nil {
			s.t.Errorf("the merge added no line, and has a note: %s", note)
		}
	}},
	{"17 lines of a later commit are not an earlier one's", func(s *story) {
		s.agent("s1", "a.go", "alpha := one()")
		first := s.commit("one")
		s.agent("s2", "a.go", "alpha := one()", "beta := two()")
		s.commit("two")
		s.blame("a.go")
		if note := s.note(first); strings.Contains(note, `"id":"s2"`) {
			s.t.Errorf("the note on the first commit names the second's session: %s", note)
		}
	}},
	{"18 a file is deleted and made again", func(s *story) {
		s.agent("s1", "a.go", "alpha := one()")
		s.commit("one")
		s.tool("s1", "Bash", "", func() { s.put("a.go") })
		s.commit("gone")
		s.agent("s2", "a.go", "entirely := different()")
		s.commit("again")
		s.want("a.go", "s2: entirely := different()")
	}},
	{"19 several commits are cherry-picked", func(s *story) {
		s.git("switch", "-qc", "side")
		s.agent("s1", "a.go", "alpha := one()")
		s.commit("one")
		s.agent("s2", "b.go", "beta := two()")
		s.commit("two")
		s.git("switch", "-q", "main")
		s.put("c.go", "other := byHand()")
		s.commit("meanwhile")
		s.committed("cherry-pick", "-x", "side~1", "side")
		s.want("a.go", "s1: alpha := one()")
		s.want("b.go", "s2: beta := two()")
	}},
	{"19 a cherry-pick that is committed by hand", func(s *story) {
		s.git("switch", "-qc", "side")
		s.agent("s1", "a.go", "alpha := one()")
		s.commit("one")
		s.git("switch", "-q", "main")
		s.git("cherry-pick", "--no-commit", "side")
		s.put("b.go", "more := byHand()")
		s.commit("picked, and more")
		s.want("a.go", "s1: alpha := one()")
		s.want("b.go", "ada: more := byHand()")
	}},
	{"20 a squash of agents' and a person's commits", func(s *story) {
		s.git("switch", "-qc", "side")
		s.agent("s1", "a.go", "alpha := one()")
		s.commit("one")
		s.put("a.go", "alpha := one()", "mine := byHand()")
		s.commit("two")
		s.agent("s2", "a.go", "alpha := one()", "mine := byHand()", "beta := two()")
		s.commit("three")
		s.git("switch", "-q", "main")
		s.git("merge", "-q", "--squash", "side")
		s.committed("commit", "-qm", "squashed")
		s.git("branch", "-qD", "side")
		s.want("a.go", "s1: alpha := one()", "ada: mine := byHand()", "s2: beta := two()")
	}},
	{"21 a forge squashes, in a clone that never saw the branch", func(s *story) {
		s.git("switch", "-qc", "side")
		s.agent("s1", "a.go", "alpha := one()")
		s.commit("one")
		s.agent("s2", "b.go", "beta := two()")
		s.commit("two")
		s.blame("a.go") // the notes are made where the work was done
		tree := s.git("rev-parse", "HEAD^{tree}")
		id := s.git("commit-tree", tree, "-p", "main", "-m", "squashed by the forge (#1)")
		s.git("switch", "-q", "main")
		s.git("reset", "-q", "--hard", id)
		s.want("a.go", "s1: alpha := one()")
		s.want("b.go", "s2: beta := two()")
	}},
	{"21 a forge squashes onto a main that went on, and names no commit", func(s *story) {
		s.git("switch", "-qc", "side")
		s.agent("s1", "a.go", "func total(prices []int) int { return sumOf(prices) }", "func shipping(weight int) int { return tariffOf(weight) }")
		s.commit("one")
		s.put("a.go", "func total(prices []int) int { return sumOf(prices) }", "func shipping(weight int) int { return tariffOf(weight) }", "func rebate(customer string) int { return ratesOf(customer) }", "func currency(country string) string { return codesOf(country) }")
		s.agent("s2", "b.go", "func invoice(order int) string { return render(orders[order]) }")
		s.commit("two")
		s.blame("a.go")
		s.git("switch", "-q", "main")
		s.put("c.go", "other := byHand()")
		s.commit("meanwhile")
		s.git("switch", "-q", "-c", "forge")
		s.git("merge", "-q", "--squash", "side")
		tree := s.git("write-tree")
		s.git("reset", "-q", "--hard")
		id := s.git("commit-tree", tree, "-p", "main", "-m", "a message of its own")
		s.git("switch", "-q", "main")
		s.git("reset", "-q", "--hard", id)
		s.git("branch", "-qD", "side", "forge")
		s.want("a.go", "s1: func total(prices []int) int { return sumOf(prices) }", "s1: func shipping(weight int) int { return tariffOf(weight) }", "ada: func rebate(customer string) int { return ratesOf(customer) }", "ada: func currency(country string) string { return codesOf(country) }")
		s.want("b.go", "s2: func invoice(order int) string { return render(orders[order]) }")
		s.want("c.go", "ada: other := byHand()")
	}},
	{"22 a branch is pushed by force", func(s *story) {
		remote := s.dir + "-remote.git"
		s.git("init", "-q", "--bare", remote)
		s.git("remote", "add", "origin", remote)
		s.git("switch", "-qc", "side")
		s.agent("s1", "a.go", "alpha := one()")
		s.commit("one")
		s.git("push", "-q", "origin", "side")
		s.committed("commit", "-q", "--amend", "-m", "reworded")
		s.git("push", "-q", "--force", "origin", "side")
		s.want("a.go", "s1: alpha := one()")
	}},
	{"23 commits are taken back and made again as one", func(s *story) {
		s.agent("s1", "a.go", "alpha := one()")
		s.commit("one")
		s.agent("s2", "a.go", "alpha := one()", "beta := two()")
		s.commit("two")
		s.git("reset", "-q", "--soft", "HEAD~2")
		s.committed("commit", "-qm", "both")
		s.want("a.go", "s1: alpha := one()", "s2: beta := two()")
	}},
	{"23 a reset throws the work away, and it comes back from the reflog", func(s *story) {
		s.agent("s1", "a.go", "alpha := one()")
		id := s.commit("one")
		s.git("reset", "-q", "--hard", "HEAD~1")
		s.healthy()
		s.git("reset", "-q", "--hard", id)
		s.healthy()
		s.want("a.go", "s1: alpha := one()")
	}},
	{"24 a stash is popped on another branch", func(s *story) {
		s.agent("s1", "a.go", "alpha := one()")
		s.git("stash", "-q", "-u")
		s.git("switch", "-qc", "other")
		s.put("b.go", "mine := byHand()")
		s.commit("meanwhile")
		s.git("stash", "pop", "-q")
		s.commit("popped")
		s.want("a.go", "s1: alpha := one()")
		s.want("b.go", "ada: mine := byHand()")
	}},
	{"25 a branch is switched with unsaved work", func(s *story) {
		s.agent("s1", "a.go", "alpha := one()")
		s.git("switch", "-qc", "other")
		s.commit("work")
		s.want("a.go", "s1: alpha := one()")
	}},
	{"26 a pull that rebases and stashes by itself", func(s *story) {
		remote := s.dir + "-remote.git"
		s.git("clone", "-q", "--bare", s.dir, remote)
		s.git("remote", "add", "origin", remote)
		s.git("fetch", "-q", "origin")
		other := s.dir + "-other"
		s.git("clone", "-q", remote, other)
		s.git("-C", other, "-c", "user.name=Ben", "-c", "user.email=ben@example.com", "commit", "-q", "--allow-empty", "-m", "theirs")
		s.git("-C", other, "push", "-q", "origin", "main")
		s.agent("s1", "a.go", "alpha := one()")
		s.commit("work")
		s.agent("s2", "b.go", "beta := two()")
		s.git("add", "b.go")
		s.git("pull", "-q", "--rebase", "--autostash", "origin", "main")
		s.healthy()
		s.commit("more")
		s.want("a.go", "s1: alpha := one()")
		s.want("b.go", "s2: beta := two()")
	}},
	{"27 a revert, and a revert of the revert", func(s *story) {
		s.agent("s1", "a.go", "alpha := one()", "beta := two()")
		s.commit("work")
		s.tool("s2", "Bash", "", func() {})
		s.git("revert", "--no-edit", "HEAD")
		s.git("revert", "--no-edit", "HEAD")
		s.healthy()
		s.want("a.go", "s1: alpha := one()", "s1: beta := two()")
	}},
	{"28 a restack by plumbing", func(s *story) {
		s.git("switch", "-qc", "side")
		s.agent("s1", "a.go", "alpha := one()")
		s.commit("one")
		tree := s.git("rev-parse", "HEAD^{tree}")
		id := s.git("commit-tree", tree, "-p", "main", "-m", "restacked")
		s.git("update-ref", "refs/heads/side", id)
		s.want("a.go", "s1: alpha := one()")
	}},
	{"29 agents in linked work trees, at once", func(s *story) {
		linked := s.dir + "-linked"
		s.git("worktree", "add", "-q", "-b", "side", linked)
		main := s.dir
		s.agent("s1", "a.go", "alpha := one()")
		s.dir = linked
		s.agent("s2", "b.go", "beta := two()")
		s.commit("in the linked one")
		s.dir = main
		s.commit("in the main one")
		s.git("merge", "-q", "-m", "both", "side")
		s.want("a.go", "s1: alpha := one()")
		s.want("b.go", "s2: beta := two()")
	}},
	{"30 a file is renamed and edited", func(s *story) {
		s.agent("s1", "a.go", "alpha := one()", "beta := two()", "gamma := three()", "delta := four()")
		s.commit("work")
		s.git("mv", "a.go", "b.go")
		s.put("b.go", "alpha := one()", "beta := two()", "gamma := three()", "delta := four()", "mine := byHand()")
		s.agent("s2", "c.go", "other := thing()")
		s.commit("renamed")
		s.want("b.go", "s1: alpha := one()", "s1: beta := two()", "s1: gamma := three()", "s1: delta := four()", "ada: mine := byHand()")
	}},
	{"30 a formatter reflows, and line ends change", func(s *story) {
		s.agent("s1", "a.go", "call(alpha, beta,", "  gamma)")
		s.put("a.go", "call(alpha,\r", "  beta, gamma)\r")
		s.commit("formatted")
		s.want("a.go", "s1: call(alpha,\r", "s1:   beta, gamma)\r")
	}},
	{"30 a block moves within its file", func(s *story) {
		s.put("a.go", "first := byHand()", "second := byHand()", "third := byHand()")
		s.commit("base")
		s.agent("s1", "a.go", "first := byHand()", "second := byHand()", "third := byHand()", "alpha := one()", "beta := two()", "gamma := three()")
		s.commit("work")
		s.put("a.go", "alpha := one()", "beta := two()", "gamma := three()", "first := byHand()", "second := byHand()", "third := byHand()")
		s.agent("s2", "b.go", "other := thing()")
		s.commit("moved")
		for i, l := range s.blame("a.go") {
			// git says that the person's lines moved: whose they were is in the history.
			if i < 3 && !strings.HasPrefix(l, "s1: ") || i >= 3 && !strings.HasPrefix(l, "ada: ") && !strings.HasPrefix(l, "?: ") {
				s.t.Errorf("line %d is %q", i+1, l)
			}
		}
	}},
}

func TestStories(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("STEMMA_DIR", root)
	t.Setenv("HOME", root)
	for _, story := range slices.Concat(stories, extras, unheard) {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			story.tell(newStory(t, filepath.Join(root, "spool")))
		})
	}
}
