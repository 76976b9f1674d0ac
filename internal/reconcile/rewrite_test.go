package reconcile_test

import (
	"strings"
	"testing"
)

// These are the ways in which people rewrite history. Each leaves commits without
// a note of their own; the notes stay on what was rewritten, where no ref reaches.

// base is what each scenario begins with: two files of a person, and a branch
// with two commits that sessions one and two wrote lines of.
type base struct {
	*lab
	root, one, two string
	a, b           []string // of a.go, b.go on the branch
}

func newBase(t testing.TB) *base {
	b := &base{lab: newLab(t)}
	b.write("a.go", lines("old", 4)...)
	b.write("b.go", lines("other", 4)...)
	b.root = b.commit("root")
	b.git("switch", "-q", "-c", "topic")
	b.a = join(lines("old", 2), lines("first", 4), lines("old", 4)[2:])
	b.write("a.go", b.a...)
	b.one = b.commit("first")
	b.note(b.one, "a.go one 3-5") // line 6 is nobody's
	b.b = join(lines("other", 4), lines("second", 4), []string{"}", ""})
	b.write("b.go", b.b...)
	b.a = join(b.a, lines("third", 2))
	b.write("a.go", b.a...)
	b.two = b.commit("second")
	b.note(b.two, "b.go two 5-10", "a.go two 9-10")
	return b
}

// elsewhere commits on main what moves the branch's base.
func (b *base) elsewhere() {
	b.git("switch", "-q", "main")
	b.write("a.go", join(lines("ahead", 3), lines("old", 4))...)
	b.commit("meanwhile")
}

// The owners of a.go and b.go when all is well, without what elsewhere adds.
const (
	ownersA = "? ? one one one ? ? ? two two"
	ownersB = "? ? ? ? two two two two two two"
)

func TestRewrites(t *testing.T) {
	for _, test := range []struct {
		name  string
		do    func(*base)
		a, b  string // owners by line at main
		rules string // of main's last commit; "" is not looked at
	}{
		{
			name: "rebase onto the same tree",
			do: func(b *base) {
				b.git("switch", "-q", "main")
				b.commit("nothing")
				b.git("rebase", "-q", "main", "topic")
				b.git("branch", "-q", "-f", "main", "topic")
			},
			a: ownersA, b: ownersB, rules: "same blob 8",
		},
		{
			name: "rebase where the base moved",
			do: func(b *base) {
				b.elsewhere()
				b.git("rebase", "-q", "main", "topic")
				b.git("branch", "-q", "-f", "main", "topic")
			},
			a: "? ? ? " + ownersA, b: ownersB, rules: "same blob 6, same patch 2",
		},
		{
			name: "rebase with a conflict, both kept",
			do: func(b *base) {
				b.git("switch", "-q", "main")
				b.write("a.go", join(lines("old", 2), lines("theirs", 2), lines("old", 4)[2:])...)
				b.commit("meanwhile")
				b.refused("rebase", "-q", "main", "topic")
				b.write("a.go", join(lines("old", 2), lines("theirs", 2), lines("first", 4), lines("old", 4)[2:])...)
				b.git("add", "-A")
				b.git("rebase", "--continue")
				b.git("branch", "-q", "-f", "main", "topic")
			},
			a: "? ? ? ? one one one ? ? ? two two", b: ownersB,
		},
		{
			name: "rebase with a conflict, ours kept and rewritten by hand",
			do: func(b *base) {
				b.git("switch", "-q", "main")
				b.write("a.go", join(lines("old", 2), lines("theirs", 2), lines("old", 4)[2:])...)
				b.commit("meanwhile")
				b.refused("rebase", "-q", "main", "topic")
				b.write("a.go", join(lines("old", 2), lines("first", 4)[:2], lines("byhand", 1), lines("old", 4)[2:])...)
				b.git("add", "-A")
				b.git("rebase", "--continue")
				b.git("branch", "-q", "-f", "main", "topic")
			},
			a: "? ? one one ? ? ? two two", b: ownersB,
		},
		{
			name: "rebase with a conflict, theirs kept",
			do: func(b *base) {
				b.git("switch", "-q", "main")
				b.write("a.go", join(lines("old", 2), lines("theirs", 2), lines("old", 4)[2:])...)
				b.commit("meanwhile")
				b.refused("rebase", "-q", "main", "topic")
				b.git("checkout", "-q", "--ours", "a.go")
				b.git("add", "-A")
				b.git("rebase", "--skip")
				b.git("branch", "-q", "-f", "main", "topic")
			},
			a: "? ? ? ? ? ? two two", b: ownersB,
		},
		{
			name: "squash, the base moved and a person's lines among them",
			do: func(b *base) {
				b.write("b.go", join(b.b, lines("person", 2))...)
				b.commit("by a person")
				b.elsewhere()
				b.git("merge", "-q", "--squash", "topic")
				b.commit("squashed")
				b.git("branch", "-q", "-D", "topic")
			},
			a: "? ? ? " + ownersA, b: ownersB + " ? ?",
		},
		{
			name: "squash by a forge: the tree of the head",
			do: func(b *base) {
				b.squash("topic", "Add it (#7)")
				b.git("branch", "-q", "-D", "topic")
			},
			a: ownersA, b: ownersB, rules: "same blob 8, squash 3",
		},
		{
			name: "rebase-merge by a forge",
			do: func(b *base) {
				b.elsewhere()
				b.git("switch", "-q", "topic")
				b.git("-c", "user.name=Forge", "rebase", "-q", "--force-rebase", "main")
				b.git("branch", "-q", "-f", "main", "topic")
			},
			a: "? ? ? " + ownersA, b: ownersB,
		},
		{
			name: "cherry-pick of several, with -x",
			do: func(b *base) {
				b.elsewhere()
				b.git("cherry-pick", "-x", b.one, b.two)
				b.git("branch", "-q", "-D", "topic")
			},
			a: "? ? ? " + ownersA, b: ownersB,
		},
		{
			name: "cherry-pick without commits, into one",
			do: func(b *base) {
				b.elsewhere()
				b.git("cherry-pick", "--no-commit", b.one, b.two)
				b.commit("picked")
				b.git("branch", "-q", "-D", "topic")
			},
			a: "? ? ? " + ownersA, b: ownersB,
		},
		{
			name: "amend that adds at the top and the bottom",
			do: func(b *base) {
				b.write("b.go", join(lines("top", 1), b.b, lines("bottom", 1))...)
				b.git("add", "-A")
				b.git("commit", "-q", "--amend", "--no-edit")
				b.git("branch", "-q", "-f", "main", "topic")
			},
			a: ownersA, b: "? " + ownersB + " ?",
		},
		{
			name: "amend by another author at another time",
			do: func(b *base) {
				b.write("b.go", join(b.b, lines("bottom", 1))...)
				b.git("add", "-A")
				b.git("commit", "-q", "--amend", "--no-edit", "--author=Eve <eve@example.org>", "--date=now")
				b.git("branch", "-q", "-f", "main", "topic")
			},
			a: ownersA, b: ownersB + " ?",
		},
		{
			name: "amend that takes a session's lines away",
			do: func(b *base) {
				b.write("b.go", lines("other", 4)...)
				b.git("add", "-A")
				b.git("commit", "-q", "--amend", "--no-edit")
				b.git("branch", "-q", "-f", "main", "topic")
			},
			a: ownersA, b: "? ? ? ?",
		},
		{
			name: "reorder",
			do: func(b *base) {
				b.git("switch", "-q", "-c", "again", b.root)
				b.git("cherry-pick", b.two)
				b.git("cherry-pick", b.one)
				b.git("branch", "-q", "-f", "main", "again")
				b.git("branch", "-q", "-D", "topic")
			},
			a: ownersA, b: ownersB,
		},
		{
			name: "split",
			do: func(b *base) {
				b.git("reset", "-q", "HEAD^")
				b.git("add", "b.go")
				b.git("commit", "-q", "-m", "only b")
				b.commit("only a")
				b.git("branch", "-q", "-f", "main", "topic")
			},
			a: ownersA, b: ownersB,
		},
		{
			name: "autosquash",
			do: func(b *base) {
				b.a[4] = "func fixed(input string) error { return nothing(input, 4711) }"
				b.write("a.go", b.a...)
				b.git("add", "-A")
				b.git("commit", "-q", "--fixup", b.one)
				b.note(b.head(), "a.go three 5")
				b.git("rebase", "-q", "-i", "--autosquash", b.root)
				b.git("branch", "-q", "-f", "main", "topic")
			},
			a: "? ? one one three ? ? ? two two", b: ownersB,
		},
		{
			name: "revert, and revert of the revert",
			do: func(b *base) {
				b.git("branch", "-q", "-f", "main", "topic")
				b.git("switch", "-q", "main")
				b.git("revert", "--no-edit", "HEAD")
				b.git("revert", "--no-edit", "HEAD")
			},
			a: ownersA, b: ownersB,
		},
		{
			name: "revert of a person's change to a session's lines",
			do: func(b *base) {
				b.git("branch", "-q", "-f", "main", "topic")
				b.git("switch", "-q", "main")
				kept := b.a
				b.write("a.go", join(kept[:3], lines("worse", 1), kept[5:])...)
				b.commit("worse")
				b.write("c.go", lines("else", 2)...)
				b.commit("something else")
				b.git("revert", "--no-edit", "HEAD^")
			},
			a: ownersA, b: ownersB, rules: "revert 2",
		},
		{
			name: "octopus",
			do: func(b *base) {
				b.git("switch", "-q", "-c", "left", b.root)
				b.write("c.go", lines("left", 2)...)
				b.commit("left")
				b.git("switch", "-q", "main")
				b.write("d.go", lines("main", 2)...)
				b.commit("main")
				b.git("merge", "-q", "-m", "octopus", "topic", "left")
			},
			a: ownersA, b: ownersB,
		},
		{
			name: "deleted and made again",
			do: func(b *base) {
				b.git("branch", "-q", "-f", "main", "topic")
				b.git("switch", "-q", "main")
				b.git("rm", "-q", "b.go")
				b.git("commit", "-q", "-m", "gone")
				b.write("b.go", lines("fresh", 5)...)
				b.commit("made again by a person")
			},
			a: ownersA, b: "? ? ? ? ?",
		},
		{
			name: "a later file's lines are not an earlier commit's",
			do: func(b *base) {
				b.git("switch", "-q", "main")
				b.write("b.go", b.b...)
				b.write("a.go", join(lines("old", 4), lines("third", 2))...)
				b.git("add", "-A")
				b.git("commit", "-q", "--date=2026-01-01T00:00:00Z", "-m", "written before")
				id := b.git("commit-tree", "HEAD^{tree}", "-p", b.root, "-m", "written before")
				_ = id
				b.git("update-ref", "refs/heads/main", b.before())
				b.git("branch", "-q", "-D", "topic")
			},
			a: "? ? ? ? ? ?", b: strings.TrimSpace(strings.Repeat("? ", 10)),
		},
		{
			name: "the same message twice",
			do: func(b *base) {
				b.write("c.go", lines("third", 3)...)
				b.commit("second") // by a person
				b.elsewhere()
				b.git("rebase", "-q", "main", "topic")
				b.git("branch", "-q", "-f", "main", "topic")
			},
			a: "? ? ? " + ownersA, b: ownersB, rules: "",
		},
		{
			name: "restack with commit-tree",
			do: func(b *base) {
				b.elsewhere()
				b.git("rebase", "-q", "main", "topic") // for the trees
				one := b.git("commit-tree", "topic~1^{tree}", "-p", "main", "-m", "first")
				two := b.git("commit-tree", "topic^{tree}", "-p", one, "-m", "second")
				b.git("update-ref", "refs/heads/main", two)
				b.git("switch", "-q", "--detach", "main")
				b.git("branch", "-q", "-D", "topic")
			},
			a: "? ? ? " + ownersA, b: ownersB,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBase(t)
			test.do(b)
			x := b.newIndex().update()
			if got := x.who("main", "a.go"); got != test.a {
				t.Errorf("a.go is of\n%s, want\n%s", got, test.a)
			}
			if got := x.who("main", "b.go"); got != test.b {
				t.Errorf("b.go is of\n%s, want\n%s", got, test.b)
			}
			if got := x.rules(b.git("rev-parse", "main")); test.rules != "" && got != test.rules {
				t.Errorf("rules of the last commit: %s, want %s", got, test.rules)
			}
		})
	}
}

// squash commits the tree of a branch on main, as forges do.
func (b *base) squash(branch, message string) {
	b.git("switch", "-q", "main")
	b.git("update-ref", "refs/heads/main", b.git("commit-tree", branch+"^{tree}", "-p", "main", "-m", message))
	b.git("reset", "-q", "--hard")
}

// before gives a commit like HEAD that was made before the branch was.
func (b *base) before() string {
	clock := b.clock
	b.clock = 1_770_000_000
	id := b.git("commit-tree", "HEAD^{tree}", "-p", b.root, "-m", "before")
	b.clock = clock
	return id
}
