package capture

import (
	"testing"
	"time"
)

// The clock of the machine is set back by an hour between two agents. By their
// times the hooks of the second stand before those of the first, and what the
// first wrote looked like a person's, who had been there before both.
func TestClockThatIsSetBack(t *testing.T) {
	d := newDesk(t)
	d.edit("s0", "a.go", "package a\n\nvar before = \"by s0\"\n")
	d.commit("in order")
	d.now = d.now.Add(time.Hour)
	one := "package a\n\nvar before = \"by s0\"\n\nfunc one() int { return 1 }\n"
	d.edit("s1", "a.go", one)
	byAda := one + "\nvar byAda = true\n"
	d.write("a.go", byAda)
	d.now = d.now.Add(-59 * time.Minute)
	d.edit("s2", "a.go", byAda+"\nfunc two() string { return \"two\" }\n")
	// Only what stands between the two hooks of one call is certain.
	want(
		t, d.lines(d.commit("work")),
		"a.go 4-7 unknown s2", "a.go 4-7 unknown s1", "a.go 8-9 ai s2", "gap: the clock of this machine was set back",
	)

	// Where the clock has passed what it showed before, all is in order again.
	d.now = d.now.Add(2 * time.Hour)
	d.gitHook("")
	d.write("b.go", "package a\n")
	d.commit("a new ground")
	d.edit("s3", "b.go", "package a\n\nfunc three() int { return 3 }\n")
	d.write("b.go", "package a\n\nfunc three() int { return 3 }\n\nvar byAdaLater = true\n")
	want(t, d.lines(d.commit("later")), "b.go 2-3 ai s3", "b.go 4-5 human ada")
}
