package reconcile_test

import (
	"strings"
	"testing"

	"github.com/stemma-dev/stemma/internal/attribution"
)

// TestInputsGone lets git collect what lines came by. The owners stay, and say
// that they can not be found again; an index made afterwards does not have them.
func TestInputsGone(t *testing.T) {
	b := newBase(t)
	b.elsewhere()
	b.git("rebase", "-q", "main", "topic")
	b.git("branch", "-q", "-f", "main", "topic")
	x := b.newIndex().update()
	want := "? ? ? " + ownersA
	if got := x.who("main", "a.go"); got != want {
		t.Fatalf("a.go is of %s, want %s", got, want)
	}
	b.git("reflog", "expire", "--expire=now", "--all")
	b.git("gc", "-q", "--prune=now")
	if got := x.update().who("main", "a.go"); got != want {
		t.Errorf("when what was rewritten is gone, a.go is of %s, want %s", got, want)
	}
	for _, rev := range []string{"main", "main~1"} {
		for _, o := range x.row(b.git("rev-parse", rev)).Owners {
			if o.Via != "" && !o.Gone {
				t.Errorf("%s: an owner by way of %s does not say that its objects are gone", rev, o.Via)
			}
		}
	}
	if x.last.Absent != 2 {
		t.Errorf("%d commits have evidence and are absent, want 2", x.last.Absent)
	}
	if got, want := b.newIndex().update().who("main", "a.go"), strings.TrimSpace(strings.Repeat("? ", 13)); got != want {
		t.Errorf("an index made afterwards has a.go of %s, want %s", got, want)
	}
	// A note that is withdrawn is withdrawn, gone objects or not.
	b.git("notes", "--ref=ai", "remove", b.one)
	if got, want := x.update().who("main", "a.go"), "? ? ? ? ? ? ? ? ? ? ? two two"; got != want {
		t.Errorf("without the first note a.go is of %s, want %s", got, want)
	}
}

// TestLateEvidenceTouchesWhatDependsOnItAlone counts what is derived again.
func TestLateEvidenceTouchesWhatDependsOnItAlone(t *testing.T) {
	b := newBase(t)
	b.elsewhere()
	b.git("rebase", "-q", "main", "topic")
	b.git("branch", "-q", "-f", "main", "topic")
	for range 5 {
		b.git("commit", "-q", "--allow-empty", "-m", "more")
	}
	b.git("branch", "-q", "-f", "main", "topic")
	x := b.newIndex().update()
	b.note(b.two, "b.go nine 5-10", "a.go two 9-10")
	x.update()
	if x.last.Resolved != 1 || x.last.Added+x.last.Redone+x.last.Removed != 0 {
		t.Errorf("a note that changed on one commit: %+v; want one commit resolved again and none derived", x.last)
	}
	if got, want := x.who("main", "b.go"), "? ? ? ? nine nine nine nine nine nine"; got != want {
		t.Errorf("b.go is of %s, want %s", got, want)
	}
	x.update()
	if x.last.Resolved != 0 {
		t.Errorf("nothing came, and %d commits were resolved again", x.last.Resolved)
	}
}

// TestPlaces follows lines to other files and folders.
func TestPlaces(t *testing.T) {
	for _, test := range []struct {
		name       string
		do         func(*base)
		path, want string
		rule       string
	}{
		{
			name: "subtree",
			do: func(b *base) {
				b.git("switch", "-q", "main")
				b.git("read-tree", "--prefix=lib/topic/", "-u", "topic")
				b.commit("take in the library")
				b.git("branch", "-q", "-D", "topic")
			},
			path: "lib/topic/b.go", want: ownersB, rule: attribution.RuleBlob,
		},
		{
			name: "renamed and edited, then squashed",
			do: func(b *base) {
				b.git("mv", "b.go", "c.go")
				b.write("c.go", join(b.b, lines("after", 3))...)
				b.note(b.commit("rename"), "c.go three 11-13")
				b.elsewhere()
				b.git("merge", "-q", "--squash", "topic")
				b.commit("squashed")
				b.git("branch", "-q", "-D", "topic")
			},
			path: "c.go", want: ownersB + " three three three",
		},
		{
			name: "a block moved to another file",
			do: func(b *base) {
				b.git("switch", "-q", "main")
				b.write("m.go", join(lines("much", 8))...)
				b.note(b.commit("much"), "m.go one 1-8")
				b.write("m.go", lines("much", 8)[6:]...)
				b.write("n.go", join(lines("mine", 2), lines("much", 8)[:6])...)
				b.commit("moved by a person")
			},
			path: "n.go", want: "? ? one one one one one one", rule: attribution.RuleMove,
		},
		{
			name: "a file copied",
			do: func(b *base) {
				b.git("branch", "-q", "-f", "main", "topic")
				b.git("switch", "-q", "main")
				b.write("copy.go", b.b...)
				b.commit("copied by a person")
			},
			path: "copy.go", want: ownersB, rule: attribution.RuleBlob,
		},
		{
			name: "two sessions wrote the same, and none is nearer",
			do: func(b *base) {
				b.git("switch", "-q", "-c", "twin", "main")
				b.write("t.go", lines("twin", 6)...)
				b.note(b.commit("twin"), "t.go one 1-6")
				b.git("switch", "-q", "-c", "other", "main")
				b.write("t.go", lines("twin", 6)...)
				b.note(b.commit("other"), "t.go two 1-6")
				b.git("switch", "-q", "main")
				b.write("t.go", lines("twin", 6)...)
				b.commit("by whom")
			},
			path: "t.go", want: "? ? ? ? ? ?",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBase(t)
			test.do(b)
			x := b.newIndex().update()
			if got := x.who("main", test.path); got != test.want {
				t.Errorf("%s is of\n%s, want\n%s", test.path, got, test.want)
			}
			row := x.row(b.git("rev-parse", "main"))
			if test.rule != "" && !strings.Contains(x.rules(row.Commit), test.rule) {
				t.Errorf("rules are %s, want %s among them", x.rules(row.Commit), test.rule)
			}
			if test.name == "two sessions wrote the same, and none is nearer" && row.Ambiguous != 6 {
				t.Errorf("%d lines are ambiguous, want 6", row.Ambiguous)
			}
		})
	}
}
