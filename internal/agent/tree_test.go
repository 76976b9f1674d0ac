package agent

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var began = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// run makes a session that began at a minute, used tokens and wrote lines of a
// file.
func run(id, parent string, minute int, tokens int64, file string, lines ...string) Session {
	s := Session{Agent: "claude-code", ID: id, Start: began.Add(time.Duration(minute) * time.Minute)}
	if parent != "" {
		s.Parent = &Parent{Session: parent, Method: "test"}
	}
	t := &Turn{Index: 1, Origin: FromTask, Models: []ModelUse{{Usage: &Usage{Requests: 1, Output: tokens}}}}
	if file != "" {
		c := Call{Name: "Edit", Kind: KindEdit, Outcome: OutcomeOK, Start: s.Start}
		c.wrote(file, Write, "", strings.Join(lines, "\n"))
		t.Calls = append(t.Calls, &c)
	}
	s.Turns = append(s.Turns, t)
	return s
}

func ask(s *Session, call, child, role, task string) {
	s.Turns[0].Calls = append(s.Turns[0].Calls, &Call{
		ID: call, Name: "Task", Kind: KindSpawn, Outcome: OutcomeOK,
		Spawn: &Spawn{Session: child, Role: role, Task: &Text{Text: task}},
	})
}

// A planner with two workers, one of which has a sub-worker, and a reviewer: what
// each used and wrote is counted once, and the sums are the root's.
func TestForestRollsUp(t *testing.T) {
	planner := run("plan", "", 0, 100, "")
	one := run("one", "plan", 1, 200, "a.go", "func a() {", "return 1", "}")
	two := run("two", "", 2, 300, "b.go", "func b() {}")
	sub := run("sub", "one", 3, 400, "a.go", "var x = 1", "var y = 2")
	review := run("check", "", 4, 50, "")
	ask(&planner, "c1", "one", "general", "write a")
	ask(&planner, "c2", "two", "general", "write b") // named by the planner only
	ask(&planner, "c3", "check", "code-reviewer", "review it")
	ask(&one, "c4", "sub", "general", "write variables")
	roots := Forest([]Session{sub, review, two, planner, one})
	if len(roots) != 1 || roots[0].Key != "claude-code/plan" {
		t.Fatalf("%d roots, want the planner alone", len(roots))
	}
	root := roots[0]
	var sum Measure
	kinds := map[string]NodeKind{}
	root.Each(func(n *Node) {
		sum = sum.add(n.Own)
		kinds[n.Key] = n.Kind
	})
	if *sum.Usage != *root.All.Usage || root.All.Usage.Output != 1050 || sum.Added != root.All.Added || root.All.Added != 6 || root.All.Turns != 5 {
		t.Errorf("sum of all = %+v, root = %+v; want 1050 tokens out, 6 lines, 5 turns", sum, root.All)
	}
	if root.Own.Added != 0 || root.Own.Usage.Output != 100 {
		t.Errorf("the planner's own = %+v, want no lines and 100 tokens", root.Own)
	}
	want := map[string]NodeKind{
		"claude-code/plan": Planner, "claude-code/one": Worker, "claude-code/two": Worker,
		"claude-code/sub": SubWorker, "claude-code/check": Reviewer,
	}
	if fmt.Sprint(kinds) != fmt.Sprint(want) {
		t.Errorf("kinds = %v, want %v", kinds, want)
	}
	if c := root.Children[1]; c.Key != "claude-code/two" || c.Task.Text != "write b" || c.Call != "c2" {
		t.Errorf("second child = %s, task %v, call %s", c.Key, c.Task, c.Call)
	}
}

func TestForestOfCycles(t *testing.T) {
	a, b, c, own := run("a", "c", 0, 1, ""), run("b", "a", 1, 2, ""), run("c", "b", 2, 4, ""), run("own", "own", 3, 8, "")
	leaf := run("leaf", "b", 4, 16, "")
	ask(&leaf, "x", "a", "", "") // a child that is above
	roots := Forest([]Session{a, b, c, own, leaf})
	seen, tokens := map[string]int{}, int64(0)
	for _, r := range roots {
		r.Each(func(n *Node) { seen[n.Key]++ })
		tokens += r.All.Usage.Output
	}
	if len(seen) != 5 || tokens != 31 {
		t.Errorf("%d sessions, %d tokens, want 5 and 31", len(seen), tokens)
	}
	for key, n := range seen {
		if n != 1 {
			t.Errorf("%s is in the forest %d times", key, n)
		}
	}
	if !roots[0].Cyclic {
		t.Error("nothing says that the parents go round")
	}
}

// A session whose transcript is missing is known from the call that asked for
// it; what its parent says it used is not added to anything.
func TestForestMissing(t *testing.T) {
	s := run("s", "gone", 0, 10, "")
	ask(&s, "c1", "", "Explore", "look")
	s.Turns[0].Calls[0].Spawn.Tokens = 999
	roots := Forest([]Session{s})
	if len(roots) != 1 || roots[0].Session != nil || roots[0].Key != "claude-code/gone" {
		t.Fatalf("root = %+v, want the missing parent", roots[0])
	}
	child := roots[0].Children[0].Children[0]
	if child.Session != nil || child.Role != "Explore" || child.Own.Usage != nil || roots[0].All.Usage.Output != 10 {
		t.Errorf("child = %+v; all used %+v", child, roots[0].All.Usage)
	}
}

// A fork begins with its parent's turns: they are the parent's alone.
func TestForestOfForks(t *testing.T) {
	s := run("s", "", 0, 10, "a.go", "one line")
	s.Turns[0].ID = "0b5e6c1a-7f41-4a53-9d0e-0c6a54a1f001"
	fork := run("fork", "s", 5, 10, "a.go", "one line")
	fork.Turns[0].ID = s.Turns[0].ID
	more := run("x", "", 5, 7, "")
	more.Turns[0].Index = 2
	fork.Turns = append(fork.Turns, more.Turns[0])
	root := Forest([]Session{fork, s})[0]
	if root.All.Usage.Output != 17 || root.All.Added != 1 || root.Children[0].Inherited != 1 {
		t.Errorf("all = %+v, inherited %d; want 17 tokens, 1 line, 1 turn", root.All, root.Children[0].Inherited)
	}
}

func TestForestSuperseded(t *testing.T) {
	plan := run("plan", "", 0, 1, "")
	bad := run("bad", "plan", 1, 1, "a.go", "first try", "of two lines")
	good := run("good", "plan", 2, 1, "")
	c := Call{Kind: KindEdit, Outcome: OutcomeOK, Start: began.Add(time.Hour)}
	c.wrote("a.go", Write, "first try\nof two lines", "second try")
	good.Turns[0].Calls = append(good.Turns[0].Calls, &c)
	root := Forest([]Session{plan, bad, good})[0]
	was, is := root.Children[0], root.Children[1]
	if !was.Discarded() || was.Replaced != 2 || fmt.Sprint(was.Superseded) != "[claude-code/good]" || is.Discarded() {
		t.Errorf("first try: replaced %d by %v; second: discarded %t", was.Replaced, was.Superseded, is.Discarded())
	}
}

func TestIterationsAndSignals(t *testing.T) {
	s := run("s", "", 0, 1, "a.go", "one", "two", "three")
	s.Turns[0].Origin, s.Turns[0].Mode, s.Turns[0].Thinking = FromPerson, "plan", 12
	s.Turns[0].Calls = append([]*Call{{Kind: KindRead, Outcome: OutcomeOK, Files: []File{{Path: "a.go", Access: Read}, {Path: "b.go", Access: Read}}}}, s.Turns[0].Calls...)
	edit := func(old, new string, outcome Outcome) *Call {
		c := Call{Kind: KindEdit, Outcome: outcome}
		c.wrote("a.go", Write, old, new)
		return &c
	}
	s.Turns = append(s.Turns, &Turn{Index: 2, Origin: FromPerson, Mode: "acceptEdits", Calls: []*Call{
		edit("two", "TWO", OutcomeOK),         // rewrites
		edit("four", "4", OutcomeOK),          // a line that the session did not write
		edit("three", "3", OutcomeError),      // did not happen
		edit("one\nTWO", "one\n2", OutcomeOK), // rewrites
		edit("three", "three\nx", OutcomeOK),  // adds
		{Kind: KindRun, Outcome: OutcomeOK, Test: &Test{Tool: "go test", Result: "pass"}},
		{Kind: KindRun, Outcome: OutcomeNone, Decision: Rejected},
	}})
	if got, want := s.Iterations(), (Iterations{Prompts: 2, Rewrites: 2}); got != want {
		t.Errorf("Iterations = %+v, want %+v", got, want)
	}
	got := fmt.Sprintf("%+v", s.Signals())
	if want := "{ReadFirst:2 Thinking:12 Tested:pass Modes:[plan acceptEdits] Interrupted:0 Rejected:1}"; got != want {
		t.Errorf("Signals = %s, want %s", got, want)
	}
}

func TestTask(t *testing.T) {
	for prompt, want := range map[string]string{
		"Fix CVE-2026-1234 in the parser":         "security",
		"the login is broken, please have a look": "bugfix",
		"Add unit tests for the cart":             "test",
		"Implement dark mode":                     "feature",
		"Refactor the store":                      "refactor",
		"Update the README":                       "docs",
		"hello":                                   "",
	} {
		s := Session{Turns: []*Turn{{Origin: FromPerson, Prompt: &Text{Text: prompt}}}}
		if got := s.Task(); got.Type != want || (got.Method == "") != (want == "") {
			t.Errorf("Task(%q) = %+v, want %q", prompt, got, want)
		}
	}
	s := run("s", "", 0, 1, "a_test.go", "x")
	if got := s.Task(); got.Type != "test" {
		t.Errorf("a session that wrote tests only: %+v", got)
	}
}

func TestTickets(t *testing.T) {
	for text, want := range map[string]string{
		"Fix SHOP-42, and ENT-7/ENT-8: see (AB1-100).":                                  "[SHOP-42 ENT-7 AB1-100]",
		"encode as UTF-8 with SHA-256":                                                  "[]",
		"fixes #12; issue #13, PR #14":                                                  "[#12 #13]",
		"see https://github.com/a/b/issues/99 and https://x.atlassian.net/browse/OPS-1": "[#99 OPS-1]",
		"branch feature/SHOP-42-cart, x-SHOP-1":                                         "[]",
	} {
		if got := fmt.Sprint(Tickets(text)); got != want {
			t.Errorf("Tickets(%q) = %s, want %s", text, got, want)
		}
	}
}

func TestCited(t *testing.T) {
	for text, want := range map[string]string{
		"nothing":                         "",
		"see https://github.com/o/r/pull": "",
		"Review https://github.com/o/r/pull/12 and https://github.com/o/r/pull/12/files":                            "change pull/12",
		"fix (https://github.com/o/r/pull/12#discussion_r99)":                                                       "review pull/12#discussion_r99",
		"https://github.com/o/r/pull/12/files#discussion_r99, CWE-89":                                               "finding CWE-89, review pull/12#discussion_r99",
		"https://gitlab.example.com:8443/a/b/c/-/merge_requests/7#note_3":                                           "review merge_requests/7#note_3",
		"CI is red: https://github.com/o/r/actions/runs/123?pr=4 https://gitlab.com/a/b/-/pipelines/9":              "run actions/runs/123, run pipelines/9",
		"mend cve-2026-12345 (GHSA-2c4f-23pq-x9mw), https://github.com/o/r/security/code-scanning/4 CVE-2026-12345": "finding security/code-scanning/4, finding CVE-2026-12345, finding GHSA-2C4F-23PQ-X9MW",
	} {
		var got []string
		for _, c := range Cited(text) {
			got = append(got, c.Kind+" "+c.Key)
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("Cited(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestRelations(t *testing.T) {
	finding := "The total is rounded before the discount is taken off, which loses cents."
	author := run("author", "", 0, 1, "cart.go", "x")
	review := run("review", "", 1, 1, "")
	review.Turns[0].Prompt = &Text{Text: "Review cart.go"}
	review.Turns[0].Answer = &Text{Text: "One finding:\n- " + finding}
	review.Turns[0].Calls = []*Call{{Kind: KindRead, Outcome: OutcomeOK, Files: []File{{Path: "cart.go", Access: Read}}}}
	fix := run("fix", "", 2, 1, "cart.go", "y")
	fix.Turns[0].Start = fix.Start
	fix.Turns[0].Prompt = &Text{Text: "Please fix this:\n> " + finding}
	got := ""
	for _, r := range Relations([]Outline{author.Outline(), review.Outline(), fix.Outline()}) {
		got += r.From + " " + r.Kind + " " + r.To + "; "
	}
	if want := "claude-code/review reviews claude-code/author; claude-code/fix fixes claude-code/review; "; got != want {
		t.Errorf("Relations = %s, want %s", got, want)
	}
}

// A fork begins with its origin's turns. Where these have no ids that tell, they
// are known by what was said, and counted once.
func TestForkWithoutIDs(t *testing.T) {
	turn := func(i int, prompt, answer string) *Turn {
		return &Turn{Index: i, Prompt: &Text{Text: prompt, Size: int64(len(prompt))}, Answer: &Text{Text: answer, Size: int64(len(answer))}}
	}
	origin := Session{Agent: "codex", ID: "a", Turns: []*Turn{turn(1, "one", "1"), turn(2, "two", "2"), turn(3, "three", "3")}}
	fork := Session{
		Agent: "codex", ID: "b", Parent: &Parent{Session: "a", Fork: true, Method: "a test"},
		Turns: []*Turn{turn(1, "one", "1"), turn(2, "two", "2"), turn(3, "other", "3"), turn(4, "three", "3")},
	}
	roots := Forest([]Session{origin, fork})
	if len(roots) != 1 || len(roots[0].Children) != 1 {
		t.Fatalf("%d roots", len(roots))
	}
	if n := roots[0].Children[0]; n.Inherited != 2 || n.Own.Turns != 2 || roots[0].All.Turns != 5 {
		t.Errorf("inherited %d, own %d, all %d turns, want 2, 2 and 5", n.Inherited, n.Own.Turns, roots[0].All.Turns)
	}
	// A session that was spawned and not forked may say the same.
	fork.Parent.Fork = false
	if n := Forest([]Session{origin, fork})[0].Children[0]; n.Inherited != 0 {
		t.Errorf("not forked, and %d turns are inherited", n.Inherited)
	}
}
