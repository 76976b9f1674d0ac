package reconcile_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// arrivals is a repository whose evidence comes in any order: every ref has
// states, the last of which it ends with, and some objects are not here yet.
type arrivals struct {
	*lab
	states map[string][]string // ref -> what it may point to; "" is nothing
	late   []string            // commits that nothing reaches in the end
	files  map[string][]string // of late: files of objects that it alone needs
}

// newArrivals makes a history in which most lines of main came by a rewrite.
func newArrivals(t testing.TB) *arrivals {
	b := newBase(t)
	a := &arrivals{lab: b.lab, states: make(map[string][]string), files: make(map[string][]string)}
	notes := []string{""}
	noted := func(commit string, claims ...string) {
		b.note(commit, claims...)
		notes = append(notes, b.git("rev-parse", "refs/notes/ai"))
	}
	notes = append(notes, b.git("rev-parse", "refs/notes/ai~1"), b.git("rev-parse", "refs/notes/ai"))
	mains := []string{b.root}
	step := func() { mains = append(mains, b.git("rev-parse", "main")) }

	// topic is rebased where the base moved, with a conflict.
	b.git("switch", "-q", "main")
	b.write("a.go", join(lines("old", 2), lines("theirs", 2), lines("old", 4)[2:])...)
	b.commit("meanwhile")
	step()
	b.refused("rebase", "-q", "main", "topic")
	b.write("a.go", join(lines("old", 2), lines("theirs", 2), lines("first", 4), lines("old", 4)[2:])...)
	b.git("add", "-A")
	b.git("rebase", "--continue")
	b.git("branch", "-q", "-f", "main", "topic")
	step()

	// feature is squashed; its head stays where a forge keeps it, without notes.
	b.git("switch", "-q", "-c", "feature", "main")
	var feature []string
	for i := range 3 {
		b.write("f.go", join(lines("feature", 3*i+3), lines("tail", 2))...)
		feature = append(feature, b.commit(fmt.Sprint("feature ", i)))
	}
	b.write("g.go", lines("person", 3)...)
	head := b.commit("by a person")
	noted(feature[0], "f.go four 1-3")
	noted(feature[2], "f.go five 7-9")
	b.squash("feature", "Feature (#7)")
	b.git("branch", "-q", "-D", "feature", "topic")
	step()

	// One version is amended twice: the first alone has a note.
	b.git("switch", "-q", "-c", "side", "main")
	b.write("s.go", lines("side", 5)...)
	first := b.commit("side")
	b.write("s.go", join(lines("side", 5)[1:], lines("amended", 2))...)
	b.git("add", "-A")
	b.git("commit", "-q", "--amend", "--no-edit")
	second := b.head()
	b.write("s.go", join(lines("side", 5)[2:], lines("amended", 2), lines("again", 1))...)
	b.git("add", "-A")
	b.git("commit", "-q", "--amend", "--no-edit")
	third := b.head()
	noted(first, "s.go six 1-5")

	// kept is cherry-picked, and then merged: it is a series until then.
	b.git("switch", "-q", "-c", "kept", "main")
	b.write("k.go", lines("kept", 4)...)
	k1 := b.commit("kept one")
	b.write("k.go", join(lines("kept", 4), lines("more", 4))...)
	k2 := b.commit("kept two")
	noted(k1, "k.go seven 1-4")
	noted(k2, "k.go eight 5-8")
	b.git("switch", "-q", "main")
	b.write("x.go", lines("x", 2)...)
	b.commit("x")
	b.git("cherry-pick", "-n", k1, k2)
	b.commit("picked")
	step()
	b.git("merge", "-q", "--no-ff", "-m", "merge kept", "kept")
	step()

	// A person changes a session's lines and takes that back.
	text := strings.Split(b.git("show", "main:f.go"), "\n")
	b.write("f.go", join(text[:1], lines("worse", 1), text[3:])...)
	b.commit("worse")
	step()
	b.git("revert", "--no-edit", "HEAD")
	step()

	// A note is changed, and one is wrong for a while.
	noted(b.one, "a.go one 3-6")
	noted(feature[1], "f.go nobody 1-9")
	b.git("notes", "--ref=ai", "remove", feature[1])
	notes = append(notes, b.git("rev-parse", "refs/notes/ai"))

	a.states["refs/heads/main"] = mains
	a.states["refs/heads/side"] = []string{"", first, second, third}
	a.states["refs/heads/kept"] = []string{"", k1, k2}
	a.states["refs/pull/7/head"] = []string{"", feature[1], head}
	a.states["refs/notes/ai"] = notes
	a.git("switch", "-q", "--detach", mains[0]) // no branch is checked out
	a.git("update-ref", "--no-deref", "HEAD", mains[0])
	a.settle(func(of []string) string { return of[len(of)-1] })
	a.git("reflog", "expire", "--expire=now", "--all")
	a.late = []string{b.one, b.two, first, second}
	used := make(map[string]bool)
	for _, line := range strings.Split(a.git("rev-list", "--objects", "--all"), "\n") {
		oid, _, _ := strings.Cut(line, " ")
		used[oid] = true
	}
	for _, id := range a.late {
		for _, line := range strings.Split(a.git("rev-list", "--objects", id), "\n") {
			oid, _, _ := strings.Cut(line, " ")
			if used[oid] {
				continue
			}
			a.files[id] = append(a.files[id], filepath.Join(oid[:2], oid[2:]))
		}
	}
	return a
}

// settle moves every ref to the state that is chosen.
func (a *arrivals) settle(choose func(of []string) string) {
	a.t.Helper()
	var in strings.Builder
	for ref, of := range a.states {
		if id := choose(of); id != "" {
			fmt.Fprintf(&in, "update %s %s\n", ref, id)
		} else {
			fmt.Fprintf(&in, "delete %s\n", ref)
		}
	}
	a.run(a.dir, []byte(in.String()), "update-ref", "--stdin")
}

// bring puts the objects of late commits in place, or takes them away.
func (a *arrivals) bring(here func(commit string) bool) {
	a.t.Helper()
	move := func(from, to string) {
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			a.t.Fatal(err)
		}
		if err := os.Rename(from, to); err != nil && !os.IsNotExist(err) {
			a.t.Fatal(err)
		}
	}
	objects, away := filepath.Join(a.dir, ".git", "objects"), filepath.Join(a.dir, ".git", "away")
	for _, id := range a.late {
		for _, f := range a.files[id] {
			if !here(id) {
				move(filepath.Join(objects, f), filepath.Join(away, f))
			}
		}
	}
	for _, id := range a.late {
		for _, f := range a.files[id] {
			if here(id) {
				move(filepath.Join(away, f), filepath.Join(objects, f))
			}
		}
	}
}

// TestArrivalInAnyOrder brings the same refs, notes and objects in another order
// each time and indexes in between. The graph must be that of an index made at
// the end. STEMMA_SOAK is how often; a failure names its seed.
func TestArrivalInAnyOrder(t *testing.T) {
	rounds, err := strconv.Atoi(os.Getenv("STEMMA_SOAK"))
	if err != nil {
		rounds = 8
	}
	seed := rand.Uint64()
	if s := os.Getenv("STEMMA_SEED"); s != "" {
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d", seed)
	a := newArrivals(t)
	whole := a.newIndex().update()
	want := whole.dump()
	for _, rule := range []string{"same blob", "same patch", "range-diff pair", "squash", "revert"} {
		if !strings.Contains(want, fmt.Sprintf("%q", rule)) {
			t.Errorf("no line came by the rule %q: the test shows less than it means to", rule)
		}
	}
	r := rand.New(rand.NewPCG(seed, 5))
	for round := range rounds {
		x := a.newIndex()
		var story []string
		for range 2 + r.IntN(5) {
			here, at := make(map[string]bool), make(map[string]string)
			for _, id := range a.late {
				here[id] = r.IntN(3) > 0
			}
			a.bring(func(string) bool { return true })
			a.settle(func(of []string) string {
				id := of[r.IntN(len(of))]
				if slices.Contains(a.late, id) {
					here[id] = true // a ref needs its objects
				}
				at[of[len(of)-1]] = id
				return id
			})
			a.bring(func(id string) bool { return here[id] })
			story = append(story, fmt.Sprint(at, here))
			x.update()
		}
		a.bring(func(string) bool { return true })
		a.settle(func(of []string) string { return of[len(of)-1] })
		if got := x.update().dump(); got != want {
			t.Fatalf("seed %d, round %d: the graph differs from the one indexed at the end:\n%s\nafter\n%s", seed, round, difference(want, got), strings.Join(story, "\n"))
		}
	}
}

// difference gives the lines that only one of two dumps has.
func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	var b strings.Builder
	for _, side := range []struct {
		mark      string
		all, less []string
	}{{"-", w, g}, {"+", g, w}} {
		has := make(map[string]bool)
		for _, line := range side.less {
			has[line] = true
		}
		for _, line := range side.all {
			if !has[line] {
				fmt.Fprintf(&b, "%s %.600s\n", side.mark, line)
			}
		}
	}
	return b.String()
}
