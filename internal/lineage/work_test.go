package lineage

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
)

var nine = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func minute(n int) time.Time { return nine.Add(time.Duration(n) * time.Minute) }

// turnAt is a turn of a person that took two minutes and wrote files.
func turnAt(index, start int, files ...string) *agent.Turn {
	t := &agent.Turn{Index: index, Origin: agent.FromPerson, Start: minute(start), End: minute(start + 2)}
	if len(files) > 0 {
		c := &agent.Call{Kind: agent.KindEdit}
		for _, f := range files {
			c.Files = append(c.Files, agent.File{Path: f, Access: agent.Write, Last: minute(start + 1)})
		}
		t.Calls = append(t.Calls, c)
	}
	return t
}

func workOf(turns ...*agent.Turn) *SessionWork {
	s := newWork("codex/s")
	s.Joined = []Join{{}}
	s.tale = &agent.Tale{Key: "codex/s", Session: agent.Session{Agent: "codex", ID: "s", Turns: turns}}
	return s
}

// Which turns belong to a commit: those that wrote its files in the time that is
// its own, those that led to them, and those that follow up to the commit.
func TestTurnsOfACommit(t *testing.T) {
	win := func(since, until int) window {
		w := window{until: minute(until).Unix()}
		if since >= 0 {
			w.since = minute(since).Unix()
		}
		return w
	}
	untimed := turnAt(1, 0, "a.go")
	untimed.Start, untimed.End, untimed.Calls[0].Files[0].Last = time.Time{}, time.Time{}, time.Time{}
	two := turnAt(1, 0, "a.go", "b.go")
	two.End, two.Calls[0].Files[1].Last = minute(30), minute(20)
	for _, test := range []struct {
		name    string
		turns   []*agent.Turn
		windows map[string]window
		commits []int // others of the session
		want    string
	}{
		{"one turn", []*agent.Turn{turnAt(1, 0, "a.go")}, map[string]window{"a.go": win(-1, 10)}, nil, "wrote 1; with 1"},
		{"written after the commit", []*agent.Turn{turnAt(1, 0, "a.go"), turnAt(2, 20, "a.go")}, map[string]window{"a.go": win(-1, 10)}, nil, "wrote 1; with 1"},
		{"written for the commit before", []*agent.Turn{turnAt(1, 0, "a.go"), turnAt(2, 20, "a.go")}, map[string]window{"a.go": win(10, 30)}, []int{10}, "wrote 2; with 2"},
		{"another file", []*agent.Turn{turnAt(1, 0, "b.go")}, map[string]window{"a.go": win(-1, 10)}, nil, "wrote ; with "},
		{"talk leads to it", []*agent.Turn{turnAt(1, 0), turnAt(2, 3), turnAt(3, 6, "a.go")}, map[string]window{"a.go": win(-1, 10)}, nil, "wrote 3; with 1 2 3"},
		{"talk led to something else", []*agent.Turn{turnAt(1, 0), turnAt(2, 3, "b.go"), turnAt(3, 6, "a.go")}, map[string]window{"a.go": win(-1, 10)}, nil, "wrote 3; with 3"},
		{"commit it", []*agent.Turn{turnAt(1, 0, "a.go"), turnAt(2, 5), turnAt(3, 12)}, map[string]window{"a.go": win(-1, 10)}, nil, "wrote 1; with 1 2"},
		{"what was said of the commit before", []*agent.Turn{turnAt(1, 0, "b.go"), turnAt(2, 3), turnAt(3, 20, "a.go")}, map[string]window{"a.go": win(-1, 30)}, []int{10}, "wrote 3; with 3"},
		{"two commits of one turn", []*agent.Turn{two}, map[string]window{"b.go": win(-1, 25)}, []int{5}, "wrote 1; with 1"},
		{"staged later", []*agent.Turn{turnAt(1, 0, "a.go", "b.go")}, map[string]window{"b.go": win(-1, 12)}, []int{10}, "wrote 1; with 1"},
		{"no times", []*agent.Turn{untimed}, map[string]window{"a.go": win(5, 10)}, nil, "wrote 1; with 1"},
		{"worked in a folder of the repository", []*agent.Turn{turnAt(1, 0, "a.go")}, map[string]window{"pkg/a.go": win(-1, 10)}, nil, "wrote 1; with 1"},
		{"worked above the repository", []*agent.Turn{turnAt(1, 0, "repo/pkg/a.go")}, map[string]window{"pkg/a.go": win(-1, 10)}, nil, "wrote 1; with 1"},
		{"another file of that name", []*agent.Turn{turnAt(1, 0, "a.go"), turnAt(2, 3, "pkg/a.go")}, map[string]window{"pkg/a.go": win(-1, 10)}, nil, "wrote 2; with 2"},
	} {
		s := workOf(test.turns...)
		for _, at := range test.commits {
			s.commits = append(s.commits, minute(at).Unix())
		}
		s.choose(test.windows)
		var wrote, with []string
		for _, w := range s.Turns {
			wrote = append(wrote, fmt.Sprint(w.Index))
		}
		for _, i := range s.included {
			with = append(with, fmt.Sprint(test.turns[i].Index))
		}
		got := "wrote " + strings.Join(wrote, " ") + "; with " + strings.Join(with, " ")
		if got != test.want || s.Led+len(s.Turns)+s.Other != len(test.turns) {
			t.Errorf("%s: %s (%d led, %d other), want %s", test.name, got, s.Led, s.Other, test.want)
		}
	}
}

// What is not known is no number, and says why.
func TestIterationsUnknown(t *testing.T) {
	chosen := func(change func(*SessionWork)) []*SessionWork {
		s := workOf(turnAt(1, 0), turnAt(2, 3, "a.go"))
		s.tale.Rewrites = map[int]agent.TurnRewrites{2: {Told: []agent.Rewrite{{Path: "a.go", At: minute(4), Of: minute(3)}}}}
		change(s)
		if s.tale != nil {
			s.choose(map[string]window{"a.go": {until: minute(10).Unix()}})
		}
		return []*SessionWork{s}
	}
	fork := func() []*SessionWork {
		a, b := chosen(func(*SessionWork) {})[0], chosen(func(*SessionWork) {})[0]
		for _, s := range []*SessionWork{a, b} {
			s.tale.Session.Turns[0].ID = "a-turn-of-the-first-session"
		}
		return []*SessionWork{a, b}
	}
	for _, test := range []struct {
		name              string
		sessions          []*SessionWork
		prompts, rewrites string
	}{
		{"told", chosen(func(*SessionWork) {}), "2", "1"},
		{"no session", nil, "unknown, at least 0: no session is known to have taken part", "unknown, at least 0: no session is known to have taken part"},
		{"not told", chosen(func(s *SessionWork) { s.tale = nil }), "unknown, at least 0: no transcript of its sessions was recorded on this machine", "unknown, at least 0: no transcript of its sessions was recorded on this machine"},
		{"one of two not told", append(chosen(func(*SessionWork) {}), chosen(func(s *SessionWork) { s.tale = nil })...), "unknown, at least 2: codex/s: nothing of it was recorded on this machine", "unknown, at least 1: codex/s: nothing of it was recorded on this machine"},
		{"told from the middle on", chosen(func(s *SessionWork) { s.tale.Rewrites[2] = agent.TurnRewrites{Short: true} }), "2", "unknown, at least 0: codex/s: it was not told from its beginning on"},
		{"begins within a turn", chosen(func(s *SessionWork) { s.tale.Session.Turns[0].Origin = "" }), "unknown, at least 1: codex/s: its transcript begins within a turn", "1"},
		{"parts missing", chosen(func(s *SessionWork) { s.tale.Missing = 1 }), "unknown, at least 2: codex/s: parts of what was told of it are missing", "unknown, at least 1: codex/s: parts of what was told of it are missing"},
		{"not readable", chosen(func(s *SessionWork) {
			s.tale.Session.Gaps = []agent.Gap{{Kind: agent.GapUnreadable, Reason: "x", Count: 1}}
		}), "unknown, at least 2: codex/s: parts of its transcript could not be read", "unknown, at least 1: codex/s: parts of its transcript could not be read"},
		{"wrote with a tool that nobody understands", chosen(func(s *SessionWork) { s.tale.Session.Turns[1].Calls = nil }), "unknown, at least 0: codex/s: none of its turns is known to have written the files", "unknown, at least 0: codex/s: none of its turns is known to have written the files"},
		{"a prompt that two transcripts have", fork(), "3", "2"},
	} {
		n := IterationsOf("x", test.sessions)
		for _, c := range []struct {
			name, want string
			got        Tallied
		}{{"prompts", test.prompts, n.Prompts}, {"rewrites", test.rewrites, n.Rewrites}} {
			got := fmt.Sprintf("unknown, at least %d: %s", c.got.AtLeast, c.got.Why)
			if c.got.Value != nil {
				got = fmt.Sprint(*c.got.Value)
			}
			if got != c.want {
				t.Errorf("%s: %s %s, want %s", test.name, c.name, got, c.want)
			}
		}
		if n.CI.Value != nil || n.CI.Why == "" || n.Reviews.Value != nil || n.Reviews.Why == "" {
			t.Errorf("%s: rounds %+v %+v, want unknown with a reason", test.name, n.CI, n.Reviews)
		}
	}
}

// A condition holds where what is known proves it.
func TestBound(t *testing.T) {
	three, none := 3, 0
	known := Iterations{Prompts: Tallied{Value: &three, AtLeast: 3}, Rewrites: Tallied{Value: &none}}
	partly := Iterations{Prompts: Tallied{AtLeast: 3, Why: "x"}, Rewrites: Tallied{Why: "x"}}
	for _, test := range []struct {
		bound         string
		known, partly bool
	}{
		{">2", true, true},
		{">3", false, false},
		{">=3", true, true},
		{">=0", true, true}, // of partly: at least three prompts
		{"prompts>2", true, true},
		{"prompts=3", true, false},
		{"prompts<=3", true, false},
		{"prompts<3", false, false},
		{"Rewrites = 0", true, false},
		{"rewrites>=0", true, false},
		{"rewrites>0", false, false},
		{"ci<5", false, false},
		{"ci>=0", false, false},
		{"reviews=0", false, false},
	} {
		b, err := ParseBound(test.bound)
		if err != nil {
			t.Errorf("ParseBound(%q): %v", test.bound, err)
			continue
		}
		if got := b.Holds(&known); got != test.known {
			t.Errorf("%s of what is known = %t, want %t", test.bound, got, test.known)
		}
		if got := b.Holds(&partly); got != test.partly {
			t.Errorf("%s of what is known in part = %t, want %t", test.bound, got, test.partly)
		}
		if (b.Count == "ci" || b.Count == "reviews") != (b.Unknowable() != "") {
			t.Errorf("%s: unknowable %q", test.bound, b.Unknowable())
		}
	}
	for _, bad := range []string{"", "3", ">", ">x", ">-1", "<3", "=3", "<>3", "rounds>1", "prompts", ">99999999", "prompts>2>3"} {
		if b, err := ParseBound(bad); !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("ParseBound(%q) = %+v, %v, want invalid", bad, b, err)
		}
	}
}
