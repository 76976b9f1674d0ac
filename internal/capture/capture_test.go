package capture

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
	"github.com/stemma-dev/stemma/internal/spool"
)

// desk is a repository in which agents with hooks and a person are at work. Its
// clock goes on by itself.
type desk struct {
	t    *testing.T
	dir  string
	home string
	now  time.Time
	call int
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, dir: filepath.Join(root, "repo"), home: filepath.Join(root, "spool"), now: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)}
	os.Mkdir(d.dir, 0o755)
	d.git("init", "-q", "-b", "main")
	d.write("a.go", "package a\n")
	d.commit("first")
	d.gitHook("")
	return d
}

func (d *desk) tick() time.Time { d.now = d.now.Add(2 * time.Second); return d.now }

func (d *desk) git(args ...string) string {
	d.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = d.dir
	date := fmt.Sprintf("%d +0000", d.now.Unix())
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + d.dir, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com",
		"GIT_AUTHOR_DATE=" + date, "GIT_COMMITTER_DATE=" + date, "GIT_EDITOR=true",
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		d.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (d *desk) write(rel, text string) {
	d.t.Helper()
	path := filepath.Join(d.dir, rel)
	os.MkdirAll(filepath.Dir(path), 0o755)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

// commit commits everything, and lets git's hook report.
func (d *desk) commit(message string) string {
	d.t.Helper()
	d.tick()
	d.git("add", "-A")
	d.git("commit", "-qm", message)
	id := d.git("rev-parse", "HEAD")
	d.gitHook("")
	return id
}

func (d *desk) hook(agent string, fields map[string]any) {
	d.t.Helper()
	fields["cwd"] = d.dir
	text, err := json.Marshal(fields)
	if err != nil {
		d.t.Fatal(err)
	}
	now := d.tick()
	err = spool.Capture(spool.Input{Agent: agent, Payload: strings.NewReader(string(text)), Dir: d.dir, Home: d.home, Now: func() time.Time { return now }})
	if err != nil {
		d.t.Fatal(err)
	}
}

// gitHook is a hook of git that found the agents' hooks as they were installed,
// or a fault.
func (d *desk) gitHook(fault string) {
	d.t.Helper()
	p, err := spool.Find(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	s, _ := spool.Open(filepath.Join(d.home, p.Folder()), spool.Config{})
	r := spool.Record{Time: d.tick(), Agent: spool.AgentGit, Event: "post-commit", Phase: spool.Other, Tree: d.dir}
	if fault != "" {
		r.Gaps = []spool.Gap{{Reason: fault}}
	}
	if err := s.Append(r); err != nil {
		d.t.Fatal(err)
	}
}

// tool runs a tool of a session with its hooks around it; drop names a hook
// that is withheld.
func (d *desk) tool(session, tool, rel string, act func(), drop string) {
	d.t.Helper()
	d.call++
	call := fmt.Sprint("call", d.call)
	fields := func(event string) map[string]any {
		input := map[string]any{"command": "make"}
		if rel != "" {
			input = map[string]any{"file_path": filepath.Join(d.dir, rel)}
		}
		return map[string]any{
			"session_id": session, "hook_event_name": event, "tool_name": tool, "tool_input": input,
			"tool_use_id": call, "model": "claude-opus-4-5-20251101",
		}
	}
	if drop != "PreToolUse" {
		d.hook("claudecode", fields("PreToolUse"))
	}
	act()
	if drop != "PostToolUse" {
		d.hook("claudecode", fields("PostToolUse"))
	}
}

func (d *desk) edit(session, rel, text string) {
	d.tool(session, "Edit", rel, func() { d.write(rel, text) }, "")
}

// lines gives what is told of each added line of the commit's files.
func (d *desk) lines(commit string) string {
	d.t.Helper()
	repo, err := git.Open(d.t.Context(), d.dir, git.Config{Scratch: filepath.Join(d.home, "scratch")})
	if err != nil {
		d.t.Fatal(err)
	}
	defer repo.Close()
	p, _ := spool.Find(d.dir)
	s, _ := spool.Open(filepath.Join(d.home, p.Folder()), spool.Config{})
	cfg := Config{Repo: repo, Records: s.Records(), Blob: s.Blob, Person: "ada"}
	for r, err := range Attribute(d.t.Context(), cfg, []string{commit}) {
		if err != nil {
			d.t.Fatal(err)
		}
		return show(r.Evidence)
	}
	return ""
}

func show(e notes.Evidence) string {
	var out []string
	for _, c := range e.Claims {
		who := c.Person
		if c.Session >= 0 {
			who = strings.TrimSpace(e.Sessions[c.Session].ID + " " + who)
		}
		var ranges []string
		for _, r := range c.Ranges {
			ranges = append(ranges, fmt.Sprintf("%d-%d", r.Start, r.End))
		}
		out = append(out, fmt.Sprintf("%s %s %s %s", c.Path, strings.Join(ranges, ","), c.Class, who))
	}
	for _, p := range e.Problems {
		out = append(out, "gap: "+p)
	}
	return strings.Join(out, "\n")
}

func want(t *testing.T, got string, lines ...string) {
	t.Helper()
	if w := strings.Join(lines, "\n"); got != w {
		t.Errorf("got\n%s\nwant\n%s", got, w)
	}
}

func TestTwoSessionsAndAPersonInOneFile(t *testing.T) {
	d := newDesk(t)
	d.edit("s1", "a.go", "package a\n\nfunc one() int { return 1 }\n")
	d.write("a.go", "package a\n\nfunc one() int { return 1 }\n\nvar byAda = true\n")
	d.edit("s2", "a.go", "package a\n\nfunc one() int { return 1 }\n\nvar byAda = true\n\nfunc two() string { return \"two\" }\n")
	want(
		t, d.lines(d.commit("work")),
		"a.go 2-3 ai s1", "a.go 4-5 human ada", "a.go 6-7 ai s2",
	)
}

func TestPersonEditsAnAgentsLine(t *testing.T) {
	d := newDesk(t)
	d.edit("s1", "a.go", "package a\n\nfunc total(price, count int) int { return price * count }\n")
	d.write("a.go", "package a\n\nfunc total(price, count, tax int) int { return price * count * tax }\n")
	want(t, d.lines(d.commit("work")), "a.go 2-2 ai s1", "a.go 3-3 ai-edited s1 ada")
}

func TestShellThatCommitsWhatItWrote(t *testing.T) {
	d := newDesk(t)
	var id string
	d.tool("s1", "Bash", "", func() {
		d.write("made.go", "package made\n\nfunc generated() {}\n")
		d.now = d.now.Add(time.Second)
		d.git("add", "-A")
		d.git("commit", "-qm", "by the shell")
		id = d.git("rev-parse", "HEAD")
		d.gitHook("")
	}, "")
	// The state after the shell is seen after the commit: the content is its.
	d.gitHook("")
	if got := d.lines(id); got != "" {
		want(t, got, "made.go 1-3 ai s1")
	}
	d.write("made.go", "package made\n\nfunc generated() {}\n\nfunc later() { println(\"by ada\") }\n")
	want(t, d.lines(d.commit("more")), "made.go 4-5 human ada")
}

func TestPostEventWithheldIsUnknownAndANamedGap(t *testing.T) {
	d := newDesk(t)
	d.tool("s1", "Edit", "a.go", func() { d.write("a.go", "package a\n\nvar whoKnows = 1\n") }, "PostToolUse")
	d.edit("s1", "a.go", "package a\n\nvar whoKnows = 1\n\nvar certain = \"of s1\"\n")
	want(
		t, d.lines(d.commit("work")),
		"a.go 2-3 unknown s1", "a.go 4-5 ai s1", "gap: the hook after the tool is missing",
	)
}

func TestPreEventWithheldIsUnknown(t *testing.T) {
	d := newDesk(t)
	d.edit("s1", "a.go", "package a\n\nvar certain = \"of s1\"\n")
	d.tool("s1", "Edit", "a.go", func() { d.write("a.go", "package a\n\nvar certain = \"of s1\"\n\nvar whoKnows = 1\n") }, "PreToolUse")
	want(
		t, d.lines(d.commit("work")),
		"a.go 2-3 ai s1", "a.go 4-5 unknown s1", "gap: the hook before the tool is missing",
	)
}

// Without git's hook nothing shows that capture was healthy: what no agent wrote
// is then not a person's.
func TestPersonIsNotGuessedWithoutHealth(t *testing.T) {
	for name, breakIt := range map[string]func(*desk){
		"a hook was removed": func(d *desk) { d.gitHook("settings.json is not as it was installed") },
	} {
		d := newDesk(t)
		d.edit("s1", "a.go", "package a\n\nfunc one() int { return 1 }\n")
		breakIt(d)
		d.write("a.go", "package a\n\nfunc one() int { return 1 }\n\nvar byAda = true\n")
		got := d.lines(d.commit("work"))
		if strings.Contains(got, "human") || !strings.Contains(got, "a.go 2-3 ai s1") || !strings.Contains(got, "gap: it is not known that capture was healthy") {
			t.Errorf("%s: got\n%s", name, got)
		}
	}
}

func TestTwoShellsAtOnceAreBothCandidates(t *testing.T) {
	d := newDesk(t)
	d.tool("s1", "Bash", "", func() {
		d.tool("s2", "Bash", "", func() { d.write("a.go", "package a\n\nvar ofOne = \"of them\"\n") }, "")
	}, "")
	got := d.lines(d.commit("work"))
	want(t, got, "a.go 2-3 unknown s1", "a.go 2-3 unknown s2", "gap: two agents were at work at once")
}

func TestPartialStagingAndTheRestLater(t *testing.T) {
	d := newDesk(t)
	d.edit("s1", "a.go", "package a\n\nvar first = \"of s1\"\n")
	d.edit("s2", "a.go", "package a\n\nvar first = \"of s1\"\n\nvar second = \"of s2\"\n")
	whole := "package a\n\nvar first = \"of s1\"\n\nvar second = \"of s2\"\n"
	d.write("a.go", "package a\n\nvar second = \"of s2\"\n") // as git add -p would have staged it
	d.git("add", "-A")
	d.write("a.go", whole)
	d.tick()
	d.git("commit", "-qm", "a part")
	first := d.git("rev-parse", "HEAD")
	d.gitHook("")
	// Whether the blank line that was staged is the one above or the one below the
	// line that was not, nobody can tell.
	want(t, d.lines(first), "a.go 2-2 unknown s1", "a.go 2-2 unknown s2", "a.go 3-3 ai s2")
	want(t, d.lines(d.commit("the rest")), "a.go 3-3 ai s1", "a.go 4-4 ai s2") // the blank line came with s2's
}

func TestStashAndPopOnAnotherBranch(t *testing.T) {
	d := newDesk(t)
	d.edit("s1", "a.go", "package a\n\nvar stashed = \"of s1\"\n")
	d.git("stash", "-q")
	d.git("switch", "-qc", "other")
	d.edit("s2", "a.go", "package a\n\nfunc ofTwo() { println(2) }\n")
	d.commit("on the other branch")
	d.write("a.go", "package a\n\nvar stashed = \"of s1\"\n\nfunc ofTwo() { println(2) }\n") // a pop, resolved by hand
	want(t, d.lines(d.commit("popped")), "a.go 3-3 ai s1", "a.go 4-4 unknown s2")            // one of the blank lines is of the resolution
}

func TestBlockThatAPersonMovesToAnotherFile(t *testing.T) {
	d := newDesk(t)
	block := "func moved(n int) int {\n\tif n > 10 {\n\t\treturn fortyTwo\n\t}\n\treturn seventeen\n}\n"
	d.edit("s1", "a.go", "package a\n\n"+block)
	d.edit("s1", "b.go", "package a\n")
	d.commit("work")
	d.write("a.go", "package a\n")
	d.write("b.go", "package a\n\n"+block)
	d.edit("s2", "a.go", "package a\n\nvar x = \"something else\"\n") // shows that the block is gone
	d.edit("s2", "b.go", "package a\n\n"+block+"\nvar y = \"another thing\"\n")
	got := d.lines(d.commit("moved"))
	if !strings.Contains(got, "b.go 2-8 ai s1") {
		t.Errorf("the block that moved is not s1's:\n%s", got)
	}
}

func TestEditorThatReportsTheSave(t *testing.T) {
	d := newDesk(t)
	d.edit("s1", "a.go", "package a\n\nfunc one() int { return 1 }\n")
	d.write("a.go", "package a\n\nfunc one() int { return 1 }\n\nvar byAda = true\n")
	d.hook("generic", map[string]any{"stemma": map[string]any{"version": 1, "event": "save", "dir": d.dir, "files": []string{"a.go"}}})
	id := d.commit("work")
	want(t, d.lines(id), "a.go 2-3 ai s1", "a.go 4-5 human ada")
}

func TestSessionsCarryTheirModel(t *testing.T) {
	d := newDesk(t)
	d.edit("s1", "a.go", "package a\n\nfunc one() int { return 1 }\n")
	id := d.commit("work")
	repo, err := git.Open(t.Context(), d.dir, git.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	p, _ := spool.Find(d.dir)
	s, _ := spool.Open(filepath.Join(d.home, p.Folder()), spool.Config{})
	for r, err := range Attribute(t.Context(), Config{Repo: repo, Records: s.Records(), Blob: s.Blob, Person: "ada"}, []string{id}) {
		if err != nil {
			t.Fatal(err)
		}
		session := r.Evidence.Sessions[0]
		if session.Agent != "claude-code" || session.Model != stemma.ParseModel("claude-opus-4-5-20251101") || r.Input == "" {
			t.Errorf("session %+v of input %q", session, r.Input)
		}
	}
}

// A file that no agent touched is the person's, where nothing else could have
// brought its lines.
func TestFileThatNoHookSaw(t *testing.T) {
	d := newDesk(t)
	d.write("own.go", "package own\n\nvar writtenByAda = true\n")
	want(t, d.lines(d.commit("own work")), "own.go 1-3 human ada")

	// a squash of work that was captured elsewhere, or long ago
	d.git("switch", "-qc", "side")
	d.write("side.go", "package side\n\nvar fromAnotherMachine = 1\n")
	d.tick()
	d.git("add", "-A")
	d.git("commit", "-qm", "side")
	d.git("switch", "-q", "main")
	d.git("merge", "-q", "--squash", "side")
	want(t, d.lines(d.commit("squashed")))

	// a revert of a deletion, without git's own word for it
	d.git("rm", "-q", "own.go")
	d.commit("gone")
	d.write("own.go", "package own\n\nvar writtenByAda = true\n")
	want(t, d.lines(d.commit("back")))

	// a shell whose second hook is missing may have written anything
	d.tool("s1", "Bash", "", func() {}, "PostToolUse")
	d.write("late.go", "package late\n\nvar whoKnows = true\n")
	want(t, d.lines(d.commit("late")), "late.go 1-3 unknown s1", "gap: the hook after the tool is missing")
}

func TestCommitThatCameFromElsewhereIsNotThePersons(t *testing.T) {
	d := newDesk(t)
	d.tick()
	d.git("switch", "-qc", "theirs")
	d.write("theirs.go", "package theirs\n\nvar fromSomebodyElse = 1\n")
	d.tick()
	d.git("add", "-A")
	d.git("commit", "-qm", "theirs")
	id := d.git("rev-parse", "HEAD")
	d.git("switch", "-q", "main")
	d.git("branch", "-qD", "theirs")
	os.RemoveAll(filepath.Join(d.dir, ".git", "logs")) // as fetched: no reflog here says who made it
	d.git("merge", "-q", "--ff-only", id)
	d.gitHook("")
	want(t, d.lines(id))
}

// A shell whose end no hook saw has written a file of which the person commits
// a part first and the rest later: neither part is known to be the person's.
func TestPartOfWhatAShellWroteUnseenIsCommittedFirst(t *testing.T) {
	d := newDesk(t)
	d.tool("s1", "Bash", "", func() {
		d.write("b.go", "package a\n\nvar writtenByTheShell = 1\n\nvar theRestOfTheShell = 2\n")
	}, "PostToolUse")
	d.hook("claudecode", map[string]any{"session_id": "s1", "hook_event_name": "Stop"})
	whole := filepath.Join(d.dir, "b.go")
	text, _ := os.ReadFile(whole)
	d.write("b.go", "package a\n\nvar writtenByTheShell = 1\n")
	d.tick()
	d.git("add", "b.go")
	os.WriteFile(whole, text, 0o644)
	d.git("commit", "-qm", "a part")
	part := d.git("rev-parse", "HEAD")
	d.gitHook("")
	rest := d.commit("the rest")
	for _, id := range []string{part, rest} {
		if got := d.lines(id); strings.Contains(got, "human") || !strings.Contains(got, "unknown s1") {
			t.Errorf("commit %.8s: got\n%s\nwant its lines unknown, with the session as candidate", id, got)
		}
	}
}
