package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/agent/agenttest"
	"github.com/stemma-dev/stemma/internal/agent/claudecode"
	"github.com/stemma-dev/stemma/internal/agent/codex"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/spool"
)

// desk is a repository in which agents work, its spool, and what was recorded.
type desk struct {
	t      testing.TB
	dir    string // of the work tree
	home   string
	now    time.Time
	commit string // the last one

	mu     sync.Mutex
	told   map[string][]agent.Delta // by session
	before func(Part) error         // called before a part is recorded
	after  func() error             // called when it is
	turn   sync.Mutex
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, dir: filepath.Join(root, "repo"), home: filepath.Join(root, "spool"), now: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC), told: make(map[string][]agent.Delta)}
	if err := os.MkdirAll(filepath.Join(d.dir, ".git"), 0o755); err != nil {
		t.Fatal(err)
	}
	d.write(".git/HEAD", "ref: refs/heads/main\n")
	return d
}

func (d *desk) write(rel, text string) string {
	d.t.Helper()
	path := filepath.Join(d.dir, rel)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
	return path
}

// hook runs a hook with these fields as its payload, a second later.
func (d *desk) hook(of, event string, fields map[string]any) {
	d.t.Helper()
	d.hookIn(of, event, fields, spool.Input{})
}

func (d *desk) hookIn(of, event string, fields map[string]any, in spool.Input) {
	d.t.Helper()
	d.now = d.now.Add(time.Second)
	payload := map[string]any{"hook_event_name": event, "cwd": d.dir}
	for k, v := range fields {
		payload[k] = v
	}
	text, err := json.Marshal(payload)
	if err != nil {
		d.t.Fatal(err)
	}
	in.Agent, in.Payload, in.Dir, in.Home, in.Now = of, bytes.NewReader(text), d.dir, d.home, func() time.Time { return d.now }
	if err := spool.Capture(in); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) place() spool.Place {
	p, err := spool.Find(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	return p
}

func (d *desk) spool() *spool.Spool {
	s, err := spool.Open(filepath.Join(d.home, d.place().Folder()), spool.Config{})
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

func (d *desk) config() Config {
	s := d.spool()
	return Config{
		Spool: s, Place: d.place(), Agents: agent.Family{claudecode.Decoder{}, codex.Decoder{}}, Now: d.now,
		Excludes: s.Excludes(""), Paused: spool.Pauses(d.home, d.place().Folder()),
		Committed: func() (string, error) { return d.commit, nil },
		Lock:      func(context.Context) (func(), error) { d.turn.Lock(); return d.turn.Unlock, nil },
		Tale: func(_ context.Context, key string) (*agent.Tale, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			if len(d.told[key]) == 0 {
				return nil, nil
			}
			t := agent.Retell(d.told[key])
			return &t, nil
		},
		Recorded: func(_ context.Context, of, id string, part int) (bool, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			return slices.ContainsFunc(d.told[of+"/"+id], func(have agent.Delta) bool { return have.Number == part }), nil
		},
		Keep: d.keep,
	}
}

// keep records as the recorder does: a part of a number that is there is refused.
func (d *desk) keep(_ context.Context, p Part) (int, error) {
	if d.before != nil {
		if err := d.before(p); err != nil {
			return 0, err
		}
	}
	statements, err := agent.Statements(p.Session, p.Told)
	if err != nil {
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, st := range statements {
		delta, err := attest.As[agent.Delta](st)
		if err != nil {
			return 0, err
		}
		if slices.ContainsFunc(d.told[delta.Session], func(have agent.Delta) bool { return have.Number == delta.Number }) {
			return 0, fmt.Errorf("part %d: %w", delta.Number, stemma.ErrConflict)
		}
		d.told[delta.Session] = append(d.told[delta.Session], delta)
	}
	if d.after != nil {
		return 0, d.after()
	}
	return p.Told.First + len(statements) - 1, nil
}

// sync runs, and gives what was told by session.
func (d *desk) sync() map[string]Row {
	d.t.Helper()
	report, err := Run(d.t.Context(), d.config())
	if err != nil {
		d.t.Fatal(err)
	}
	if len(report.Problems) > 0 {
		d.t.Fatalf("problems: %v", report.Problems)
	}
	rows := make(map[string]Row)
	for _, r := range report.Told {
		if _, twice := rows[r.Session]; twice {
			d.t.Errorf("session %s was told twice in one run", r.Session)
		}
		rows[r.Session] = r
	}
	return rows
}

// later is after a commit, so that everything is due.
func (d *desk) later() map[string]Row {
	d.t.Helper()
	d.commit += "x"
	return d.sync()
}

func (d *desk) tale(key string) agent.Tale {
	d.t.Helper()
	if len(d.told[key]) == 0 {
		d.t.Fatalf("nothing was told of %s", key)
	}
	return agent.Retell(d.told[key])
}

// counted is a tale as what can be counted of it.
func counted(t agent.Tale) map[string]any {
	sum := map[string]any{"turns": len(t.Session.Turns), "usage": t.Session.Usage(), "tools": t.Tools, "outcomes": t.Outcomes, "decisions": t.Decisions, "tickets": t.Tickets, "derived": t.Derived}
	files := make(map[string]int)
	for _, turn := range t.Session.Turns {
		kinds := make(map[agent.Kind]int)
		for _, c := range turn.Calls {
			kinds[c.Kind]++
			for _, f := range c.Files {
				files[string(f.Access)+" "+f.Path] += f.Added + f.Removed + 1000
			}
			if c.Test != nil {
				files["test "+c.Test.Tool+" "+c.Test.Result]++
			}
		}
		sum[fmt.Sprint("calls of turn ", turn.Index)] = kinds
		sum[fmt.Sprint("models of turn ", turn.Index)] = len(turn.Models)
	}
	sum["files"] = files
	return sum
}

// A session that is told in parts, wherever its transcript is cut, is the session
// that is told at once.
func TestPartsAreTheWhole(t *testing.T) {
	for _, path := range []string{"../agent/claudecode/testdata/session.jsonl", "../agent/codex/testdata/thread.jsonl"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(path)
		src := agenttest.Bytes(text)
		d, err := (agent.Family{claudecode.Decoder{}, codex.Decoder{}}).Recognise(src)
		if err != nil || d == nil {
			t.Fatalf("%s: %v", name, err)
		}
		r, err := d.Read(t.Context(), src, agent.State{})
		if err != nil {
			t.Fatal(err)
		}
		s := r.Sessions[0]
		for _, pieces := range []int{1, 2, 3, 7, 20} {
			once, parts := newDesk(t), newDesk(t)
			for _, run := range []struct {
				*desk
				pieces int
			}{{once, 1}, {parts, pieces}} {
				to := run.write("t/"+name, "")
				for i := range run.pieces {
					if err := os.WriteFile(to, text[:len(text)*(i+1)/run.pieces], 0o644); err != nil {
						t.Fatal(err)
					}
					run.hook(s.Agent, "UserPromptSubmit", map[string]any{"session_id": s.ID, "transcript_path": to})
					run.later()
				}
				run.hook(s.Agent, "SessionEnd", map[string]any{"session_id": s.ID, "transcript_path": to})
				run.sync()
				if rows := run.later(); len(rows) != 0 {
					t.Errorf("%s in %d: told again: %v", name, pieces, rows)
				}
			}
			want, got := counted(once.tale(s.Key())), counted(parts.tale(s.Key()))
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s in %d pieces (-at once +in parts):\n%s", name, pieces, diff)
			}
			tale := parts.tale(s.Key())
			if !tale.Final || tale.Missing != 0 {
				t.Errorf("%s in %d pieces: final %t, %d parts missing", name, pieces, tale.Final, tale.Missing)
			}
		}
	}
}

// entry is a line of a transcript of Claude Code.
func entry(d *desk, uuid, text string) string {
	line, _ := json.Marshal(map[string]any{
		"type": "user", "isSidechain": false, "sessionId": "s", "cwd": d.dir, "uuid": uuid, "timestamp": d.now.Format(time.RFC3339Nano),
		"message": map[string]any{"role": "user", "content": text},
	})
	return string(line) + "\n"
}

// What is remembered beside the spool may be lost at any time: what was recorded
// stands for it, and nothing is told twice.
func TestStateIsLost(t *testing.T) {
	d := newDesk(t)
	path := d.write("t/s.jsonl", entry(d, "u1", "one"))
	d.hook("claudecode", "UserPromptSubmit", map[string]any{"session_id": "s", "transcript_path": path})
	d.hook("codex", "UserPromptSubmit", map[string]any{"session_id": "h", "prompt": "by hooks"})
	d.sync()
	lose := func() {
		if err := os.RemoveAll(filepath.Join(d.spool().Dir(), folder)); err != nil {
			t.Fatal(err)
		}
	}
	lose()
	if rows := d.later(); len(rows) != 0 {
		t.Errorf("told twice: %v", rows)
	}
	lose()
	path = d.write("t/s.jsonl", entry(d, "u1", "one")+entry(d, "u2", "two"))
	d.hook("claudecode", "UserPromptSubmit", map[string]any{"session_id": "s", "transcript_path": path})
	d.hook("codex", "UserPromptSubmit", map[string]any{"session_id": "h", "prompt": "again"})
	d.later()
	for _, key := range []string{"claude-code/s", "codex/h"} {
		if tale := d.tale(key); len(tale.Session.Turns) != 2 || tale.Missing != 0 {
			t.Errorf("%s: %d turns, %d parts missing", key, len(tale.Session.Turns), tale.Missing)
		}
	}
}

// A part that was recorded, and then the process died.
func TestDiedAfterRecording(t *testing.T) {
	d := newDesk(t)
	text := entry(d, "u1", "one")
	path := d.write("t/s.jsonl", text)
	d.hook("claudecode", "UserPromptSubmit", map[string]any{"session_id": "s", "transcript_path": path})
	died := errors.New("died")
	d.after = func() error { return died }
	if report, err := Run(t.Context(), d.config()); err != nil || len(report.Problems) != 1 {
		t.Fatalf("%v, %v", report, err)
	}
	d.after = nil
	if rows := d.sync(); len(rows) != 0 {
		t.Errorf("told twice: %v", rows)
	}
	path = d.write("t/s.jsonl", text+entry(d, "u2", "two"))
	d.hook("claudecode", "UserPromptSubmit", map[string]any{"session_id": "s", "transcript_path": path})
	if rows := d.later(); rows["claude-code/s"].Turns != 1 || rows["claude-code/s"].Part != 2 {
		t.Errorf("told %v, want one turn in part 2", rows)
	}
}

// Somebody else recorded the part that was to be told: what there is more of is
// told after it.
func TestSomebodyElseWasFaster(t *testing.T) {
	d := newDesk(t)
	path := d.write("t/s.jsonl", entry(d, "u1", "one")+entry(d, "u2", "two"))
	d.hook("claudecode", "UserPromptSubmit", map[string]any{"session_id": "s", "transcript_path": path})
	d.before = func(p Part) error {
		d.before = nil
		short := p
		short.Session.Turns = p.Session.Turns[:1]
		short.Session.End = p.Session.Turns[0].End.Add(-time.Second)
		_, err := d.keep(t.Context(), short)
		return err
	}
	d.sync()
	if tale := d.tale("claude-code/s"); len(tale.Session.Turns) != 2 || tale.Missing != 0 || tale.Last != 2 {
		t.Errorf("%d turns, last part %d", len(tale.Session.Turns), tale.Last)
	}
}

// Several at once tell everything once.
func TestSeveralAtOnce(t *testing.T) {
	d := newDesk(t)
	path := d.write("t/s.jsonl", entry(d, "u1", "one"))
	for i := range 8 {
		d.hook("claudecode", "UserPromptSubmit", map[string]any{"session_id": "s", "transcript_path": path})
		d.hook("codex", "UserPromptSubmit", map[string]any{"session_id": fmt.Sprint("h", i), "prompt": "by hooks"})
	}
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			if report, err := Run(t.Context(), d.config()); err != nil || len(report.Problems) > 0 {
				t.Errorf("%v, %v", report.Problems, err)
			}
		})
	}
	group.Wait()
	if len(d.told) != 9 {
		t.Errorf("%d sessions, want 9", len(d.told))
	}
	for key, parts := range d.told {
		if len(parts) != 1 || len(parts[0].Turns) != 1 {
			t.Errorf("%s: %d parts", key, len(parts))
		}
	}
}

// A session is told at first sight, then with a commit, after a while, and at its
// end: never an event each.
func TestPartsAreFew(t *testing.T) {
	d := newDesk(t)
	turn := func() {
		d.hook("codex", "UserPromptSubmit", map[string]any{"session_id": "h", "prompt": "more"})
		d.hook("codex", "Stop", map[string]any{"session_id": "h"})
	}
	turn()
	d.sync()
	for range 50 {
		turn()
		if rows := d.sync(); len(rows) != 0 {
			t.Errorf("told at %s: %v", d.now, rows)
		}
	}
	if rows := d.later(); rows["codex/h"].Turns != 50 {
		t.Errorf("with a commit: %v", rows)
	}
	turn()
	d.now = d.now.Add(Interval)
	if rows := d.sync(); rows["codex/h"].Turns != 1 {
		t.Errorf("after a while: %v", rows)
	}
	turn()
	d.hook("codex", "SessionEnd", map[string]any{"session_id": "h"})
	if rows := d.sync(); rows["codex/h"].Turns != 1 || !rows["codex/h"].Final {
		t.Errorf("at the end: %v", rows)
	}
	if tale := d.tale("codex/h"); tale.Parts != 4 || len(tale.Session.Turns) != 53 || tale.Vantage != stemma.Harness {
		t.Errorf("%d parts, %d turns", tale.Parts, len(tale.Session.Turns))
	}
}

// A transcript that goes, or comes, in the middle of a session.
func TestTranscriptComesAndGoes(t *testing.T) {
	d := newDesk(t)
	path := filepath.Join(d.dir, "t/s.jsonl")
	prompt := func(text string) {
		d.hook("claudecode", "UserPromptSubmit", map[string]any{"session_id": "s", "transcript_path": path, "prompt": text})
	}
	prompt("one")
	d.sync()
	if tale := d.tale("claude-code/s"); tale.Vantage != stemma.Harness || len(tale.Session.Turns) != 1 {
		t.Errorf("without one: %s, %d turns", tale.Vantage, len(tale.Session.Turns))
	}
	d.write("t/s.jsonl", entry(d, "u1", "one"))
	d.later()
	if tale := d.tale("claude-code/s"); tale.Vantage != stemma.SelfReported || len(tale.Session.Turns) != 1 {
		t.Errorf("with one: %s, %d turns", tale.Vantage, len(tale.Session.Turns))
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	prompt("two")
	d.later()
	prompt("three")
	d.later()
	tale := d.tale("claude-code/s")
	if tale.Vantage != stemma.Harness || len(tale.Session.Turns) != 3 || tale.Missing != 0 {
		t.Errorf("gone: %s, %d turns", tale.Vantage, len(tale.Session.Turns))
	}
	if gaps := tale.Session.Gaps; len(gaps) != 1 || gaps[0].Kind != agent.GapVanished || gaps[0].Count != 1 {
		t.Errorf("gaps %+v", gaps)
	}
	// One that holds less than was told takes nothing back.
	d.write("t/s.jsonl", entry(d, "u7", "four"))
	prompt("four")
	d.later()
	if tale := d.tale("claude-code/s"); len(tale.Session.Turns) < 3 || tale.Missing != 0 {
		t.Errorf("rewritten: %d turns", len(tale.Session.Turns))
	}
}

// What a user wants nobody to keep is left out, though the transcript has it.
func TestPausedAndExcludedIsLeftOut(t *testing.T) {
	d := newDesk(t)
	d.now = time.Now().UTC()
	text := entry(d, "u1", "before")
	call, _ := json.Marshal(map[string]any{
		"type": "assistant", "isSidechain": false, "sessionId": "s", "cwd": d.dir, "uuid": "a1", "timestamp": d.now.Format(time.RFC3339Nano),
		"message": map[string]any{"role": "assistant", "model": "m", "id": "m1", "content": []any{
			map[string]any{"type": "tool_use", "id": "t1", "name": "Read", "input": map[string]any{"file_path": filepath.Join(d.dir, ".env")}},
		}},
	})
	text += string(call) + "\n"
	if err := spool.Pause(d.home, d.place().Folder()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Millisecond)
	d.now = time.Now().UTC()
	text += entry(d, "u2", "meanwhile")
	time.Sleep(2 * time.Millisecond)
	if err := spool.Resume(d.home, d.place().Folder()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Millisecond)
	d.now = time.Now().UTC()
	text += entry(d, "u3", "after")
	path := d.write("t/s.jsonl", text)
	var content []byte
	d.before = func(p Part) error {
		content, _ = json.Marshal(p.Session)
		return nil
	}
	d.hook("claudecode", "SessionEnd", map[string]any{"session_id": "s", "transcript_path": path})
	d.sync()
	if bytes.Contains(content, []byte("meanwhile")) || bytes.Contains(content, []byte(".env")) || !bytes.Contains(content, []byte("before")) || !bytes.Contains(content, []byte("after")) {
		t.Errorf("content %s", content)
	}
	if tale := d.tale("claude-code/s"); len(tale.Session.Turns) != 2 || len(tale.Session.Gaps) != 2 {
		t.Errorf("%d turns, gaps %+v", len(tale.Session.Turns), tale.Session.Gaps)
	}
	files, _ := filepath.Glob(filepath.Join(d.spool().Dir(), folder, "*"))
	for _, f := range files {
		if text, _ := os.ReadFile(f); bytes.Contains(text, []byte(".env")) {
			t.Errorf("%s remembers an excluded path", f)
		}
	}
}

// The parent of a session by what its hook found in the environment.
func TestParents(t *testing.T) {
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	in := func(span string) spool.Input { return spool.Input{Trace: "00-" + trace + "-" + span + "-01"} }
	prompt := func(id string) map[string]any { return map[string]any{"session_id": id, "prompt": "x"} }
	call := func(id string) map[string]any {
		return map[string]any{"session_id": id, "tool_name": "Bash", "tool_use_id": "c", "tool_input": map[string]any{"command": "codex exec"}}
	}
	d := newDesk(t)
	d.hookIn("codex", "UserPromptSubmit", prompt("planner"), in("00000000000000a1"))
	d.hookIn("codex", "UserPromptSubmit", prompt("sibling"), in("00000000000000a1")) // by the same hand
	d.hookIn("codex", "PreToolUse", call("planner"), in("00000000000000a1"))
	d.hookIn("codex", "UserPromptSubmit", prompt("during"), in("00000000000000b2"))
	d.hookIn("codex", "PreToolUse", call("sibling"), in("00000000000000a1"))
	d.hookIn("codex", "UserPromptSubmit", prompt("ambiguous"), in("00000000000000c3"))
	d.hookIn("codex", "PostToolUse", call("planner"), in("00000000000000a1"))
	d.hookIn("codex", "PostToolUse", call("sibling"), in("00000000000000a1"))
	d.hookIn("codex", "UserPromptSubmit", prompt("alone"), in("00000000000000d4"))
	d.hookIn("codex", "UserPromptSubmit", prompt("match"), in(spool.SpanOf("codex/planner")))
	d.hookIn("generic", "", map[string]any{"stemma": map[string]any{"version": 1, "event": "start", "session": "tool", "dir": d.dir, "traceparent": "00-" + trace + "-00000000000000e5-01"}}, spool.Input{})
	d.hookIn("codex", "UserPromptSubmit", prompt("exported"), in("00000000000000e5"))
	d.hookIn("codex", "UserPromptSubmit", prompt("named"), spool.Input{Parent: "claude-code/p/agent-w", Trace: "00-" + trace + "-" + spool.SpanOf("codex/planner") + "-01"})
	d.hookIn("codex", "UserPromptSubmit", prompt("same agent"), spool.Input{Parent: "p/agent-w"})
	d.hookIn("codex", "UserPromptSubmit", prompt("state"), spool.Input{State: "stemma=codex/planner,o=1"})
	d.sync()
	for id, want := range map[string]*agent.Parent{
		"planner": nil, "sibling": nil, "ambiguous": nil, "alone": nil,
		"during":     {Agent: "codex", Session: "planner", Method: "TRACEPARENT of the same trace, begun during a call", Inferred: true},
		"match":      {Agent: "codex", Session: "planner", Method: "TRACEPARENT"},
		"exported":   {Agent: "generic", Session: "tool", Method: "TRACEPARENT"},
		"named":      {Agent: "claude-code", Session: "p/agent-w", Method: "STEMMA_PARENT_SESSION"},
		"same agent": {Agent: "codex", Session: "p/agent-w", Method: "STEMMA_PARENT_SESSION"},
		"state":      {Agent: "codex", Session: "planner", Method: "TRACESTATE"},
	} {
		tale := d.tale("codex/" + id)
		if diff := cmp.Diff(want, tale.Session.Parent); diff != "" {
			t.Errorf("%s (-want +got):\n%s", id, diff)
		}
	}
}

// What agents tell their hooks, without any transcript.
func TestHooksAlone(t *testing.T) {
	d := newDesk(t)
	d.hook("claudecode", "SubagentStart", map[string]any{"session_id": "s", "agent_id": "w", "agent_type": "coder"})
	d.hook("claudecode", "PreToolUse", map[string]any{"session_id": "s", "agent_id": "w", "tool_name": "Bash", "tool_use_id": "b", "tool_input": map[string]any{"command": "go test ./..."}})
	d.hook("claudecode", "PostToolUse", map[string]any{"session_id": "s", "agent_id": "w", "tool_name": "Bash", "tool_use_id": "b", "tool_input": map[string]any{"command": "go test ./..."}, "tool_response": map[string]any{"stdout": "FAIL\tshop\t0.1s\n", "exit_code": 1}})
	d.hook("claudecode", "SubagentStop", map[string]any{"session_id": "s", "agent_id": "w", "last_assistant_message": "It fails."})
	d.hook("claudecode", "PostToolUse", map[string]any{"session_id": "s", "tool_name": "Task", "tool_use_id": "t", "tool_input": map[string]any{"prompt": "Test it", "subagent_type": "coder"}, "tool_response": map[string]any{"agentId": "w"}})
	d.hook("cursor", "subagentStart", map[string]any{"conversation_id": "c", "subagent_id": "x", "parent_conversation_id": "c", "cursor_version": "2", "task": "Look", "subagent_type": "explore", "model": "claude-opus-4-6"})
	d.hook("copilot", "", map[string]any{"sessionId": "k", "toolName": "bash", "toolArgs": `{"command":"ls"}`})
	d.sync()
	w := d.tale("claude-code/s/agent-w")
	if p := w.Session.Parent; p == nil || p.Session != "s" || p.Role != "coder" || p.Method != "agent_id" || !w.Final {
		t.Errorf("parent %+v, final %t", p, w.Final)
	}
	if tests := w.Session.Turns[0].Calls; len(tests) != 1 || tests[0].Test == nil || tests[0].Test.Result != "fail" || w.Outcomes[1][agent.OutcomeError] != 1 {
		t.Errorf("calls %+v, outcomes %v", tests, w.Outcomes)
	}
	if w.Session.Turns[0].Answer == nil {
		t.Error("the answer is missing")
	}
	forest := agent.Forest([]agent.Session{d.tale("claude-code/s").Session, w.Session})
	if len(forest) != 1 || len(forest[0].Children) != 1 || forest[0].Children[0].Call != "t" {
		t.Errorf("forest %+v", forest)
	}
	x := d.tale("cursor/x")
	if p := x.Session.Parent; p == nil || p.Session != "c" || p.Role != "explore" || len(x.Session.Turns) != 1 || x.Session.Turns[0].Origin != agent.FromTask || x.Session.Turns[0].Models[0].Model.ID != "claude-opus-4-6" {
		t.Errorf("session %+v", x.Session)
	}
	if _, ok := d.told["copilot-cli/k"]; !ok {
		t.Error("the session of Copilot CLI is missing")
	}
}

// A session that can not be told keeps no other from being told, and is not tried
// for ever; a sub-agent ends with its session.
func TestSessionThatCanNotBeTold(t *testing.T) {
	d := newDesk(t)
	d.hook("codex", "UserPromptSubmit", map[string]any{"session_id": strings.Repeat("x", 5000), "prompt": "a"})
	d.hook("codex", "UserPromptSubmit", map[string]any{"session_id": "with / and\nline", "prompt": "b"})
	d.hook("claudecode", "PreToolUse", map[string]any{"session_id": "s", "agent_id": "w", "tool_name": "Bash", "tool_use_id": "1"})
	d.hook("claudecode", "SessionEnd", map[string]any{"session_id": "s"})
	report, err := Run(t.Context(), d.config())
	if err != nil || len(report.Problems) != 1 || report.Later != 0 || len(report.Told) != 3 {
		t.Errorf("%+v, %v", report, err)
	}
	d.later()
	if tale := d.tale("claude-code/s/agent-w"); !tale.Final {
		t.Error("the sub-agent goes on without its session")
	}
	d.tale("codex/with / and\nline")
}

// An erasure moves records: others are not told twice for it, and what is concluded
// from the whole of another session is not taken for a part's.
func TestErasureMovesRecords(t *testing.T) {
	d := newDesk(t)
	prompt := func(id, text string) {
		d.hook("codex", "UserPromptSubmit", map[string]any{"session_id": id, "prompt": text})
	}
	prompt("gone", "secret")
	prompt("stays", "fix the bug")
	d.sync()
	prompt("stays", "now document it")
	if _, err := d.spool().Erase(func(r spool.Record) bool { return r.Of("gone") }); err != nil {
		t.Fatal(err)
	}
	if err := Forget(d.spool(), []string{"gone"}); err != nil {
		t.Fatal(err)
	}
	if rows := d.later(); len(rows) != 1 || rows["codex/stays"].Turns != 1 {
		t.Errorf("told %v", rows)
	}
	if tale := d.tale("codex/stays"); len(tale.Session.Turns) != 2 || tale.Derived == nil || tale.Derived.Iterations.Prompts != 1 || tale.Derived.Task.Type != "bugfix" {
		t.Errorf("%d turns, derived %+v", len(tale.Session.Turns), tale.Derived)
	}
	files, _ := filepath.Glob(filepath.Join(d.spool().Dir(), folder, "*"))
	for _, f := range files {
		if text, _ := os.ReadFile(f); bytes.Contains(text, []byte("gone")) {
			t.Errorf("%s remembers what was erased", f)
		}
	}
}

// In a spool below a folder with a bracket in its name what is remembered of an
// erased session was once not found.
func TestErasureForgetsBelowAPattern(t *testing.T) {
	for _, name := range []string{"a[b]", "a[b"} {
		d := newDesk(t)
		d.home = filepath.Join(d.home, name)
		d.hook("codex", "UserPromptSubmit", map[string]any{"session_id": "gone", "prompt": "secret"})
		d.sync()
		if len(Sessions(d.spool())) != 1 {
			t.Fatalf("%s: %d sessions are remembered", name, len(Sessions(d.spool())))
		}
		if err := Forget(d.spool(), []string{"gone"}); err != nil {
			t.Fatal(err)
		}
		if left := Sessions(d.spool()); len(left) != 0 {
			t.Errorf("%s: %+v is remembered of what was erased", name, left)
		}
	}
}

// What is remembered may have been damaged: sessions are told all the same.
func TestDamagedState(t *testing.T) {
	for _, text := range []string{"", "{", "null", `{"sessions":{"codex/h":null,"x":{}}}`, `{"key":"codex/h","records":[{"s":"../x","o":-1}],"recordsTold":7,"sessions":{"h":null}}`, `{"key":"codex/h","records":[{"s":"x","o":-1}],"sessions":{"h":null},"hooks":{"sessions":[{"id":"h","index":-5,"open":[null]}]}}`} {
		d := newDesk(t)
		d.hook("codex", "UserPromptSubmit", map[string]any{"session_id": "h", "prompt": "one"})
		d.sync()
		dir := filepath.Join(d.spool().Dir(), folder)
		for _, path := range []string{filepath.Join(dir, journalFile), unitPath(dir, "codex/h")} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		d.hook("codex", "UserPromptSubmit", map[string]any{"session_id": "h", "prompt": "two"})
		d.later()
		if tale := d.tale("codex/h"); len(tale.Session.Turns) != 2 || tale.Missing != 0 {
			t.Errorf("%s: %d turns", text, len(tale.Session.Turns))
		}
	}
}

// A session of another repository is told there.
func TestSessionOfAnotherRepository(t *testing.T) {
	d, other := newDesk(t), newDesk(t)
	file := other.write("a.go", "package a\n")
	other.home = d.home
	d.hook("codex", "PostToolUse", map[string]any{"session_id": "s", "tool_name": "apply_patch", "tool_use_id": "c", "tool_input": map[string]any{"file_path": file}})
	other.now = d.now
	if rows := other.sync(); len(rows) != 0 {
		t.Errorf("told elsewhere: %v", rows)
	}
	if rows := d.sync(); len(rows) != 1 {
		t.Errorf("told at home: %v", rows)
	}
}

func FuzzHooks(f *testing.F) {
	f.Add("claudecode", "PostToolUse", []byte(`{"session_id":"s","tool_name":"Bash","tool_use_id":"1","tool_input":{"command":"go test"},"tool_response":{"stdout":"ok","exit_code":0,"agentId":"w"}}`))
	f.Add("cursor", "subagentStart", []byte(`{"conversation_id":"s","parent_conversation_id":"p","task":"x","model":"m"}`))
	f.Add("generic", "", []byte(`{"stemma":{"event":"prompt","session":"s","prompt":"x","outcome":"error"}}`))
	f.Add("windsurf", "", []byte(`{"agent_action_name":"post_write_code","trajectory_id":"w","tool_info":{"user_prompt":"u","response":"r"}}`))
	f.Fuzz(func(t *testing.T, of, event string, payload []byte) {
		at := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
		rec := spool.Record{Time: at, Agent: of, Event: event, Session: strings.ToValidUTF8(event, "") + "s", Payload: payload, Tool: "Bash"}
		for _, phase := range []spool.Phase{spool.Start, spool.Prompt, spool.Before, spool.After, spool.Stop, spool.Other} {
			rec.Phase = phase
			r := readHooks("codex", []spool.Record{rec, rec}, agent.State{})
			agenttest.Check(t, r)
			agenttest.Check(t, readHooks("codex", []spool.Record{rec}, r.State))
			transcripts(rec)
			ends(rec)
		}
	})
}
