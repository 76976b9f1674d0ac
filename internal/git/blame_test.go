package git

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma"
)

func blameOf(t testing.TB, r *Repo, q BlameQuery) []BlameLine {
	t.Helper()
	var lines []BlameLine
	for line, err := range r.Blame(t.Context(), q) {
		if err != nil {
			t.Fatalf("Blame(%+v): %v", q, err)
		}
		lines = append(lines, line)
	}
	return lines
}

// short tells a blame as "commit path:line text" lines, with names for ids.
func short(lines []BlameLine, names map[string]string) []string {
	var out []string
	for i, l := range lines {
		out = append(out, fmt.Sprintf("%s %s:%d>%d %s", names[l.Commit], l.OrigPath, l.OrigLine, l.Line, l.Text))
		if l.Commit != "" && (l.AuthorName == "" || l.AuthorTime == 0 || l.Summary == "") {
			out = append(out, fmt.Sprintf("line %d has no author or summary: %+v", i+1, l))
		}
	}
	return out
}

func TestBlame(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			g := newTestRepo(t, "--object-format="+format)
			a := g.commit("a", "old name", "one\ntwo\nthree\nfour\n", "src", "copied line that is long enough on its own to be found by git\nand one more of the same kind\n")
			g.git("mv", "old name", "new\tname")
			b := g.commit("b", "new\tname", "one\n\ttwo\nthree\nfour\nauthor x\n")
			c := g.commit("c", "new\tname", "one\n\ttwo\nthree\nfour\nauthor x\ncopied line that is long enough on its own to be found by git\nand one more of the same kind", "src", "copied line that is long enough on its own to be found by git\nand one more of the same kind\nchanged\n")
			names := map[string]string{a: "a", b: "b", c: "c", "": "-"}
			r := g.open()
			whole := []string{"a old name:1>1 one", "b new\tname:2>2 \ttwo", "a old name:3>3 three", "a old name:4>4 four", "b new\tname:5>5 author x"}
			tests := []struct {
				name string
				q    BlameQuery
				want []string
			}{
				{"HEAD", BlameQuery{Path: "new\tname"}, append(whole[:5:5], "c new\tname:6>6 copied line that is long enough on its own to be found by git", "c new\tname:7>7 and one more of the same kind")},
				{"a revision", BlameQuery{Path: "new\tname", Rev: "HEAD~1"}, whole},
				{"without space", BlameQuery{Path: "new\tname", Rev: b, IgnoreSpace: true}, []string{whole[0], "a old name:2>2 \ttwo", whole[2], whole[3], whole[4]}},
				{"copies", BlameQuery{Path: "new\tname", Copies: true, Lines: []string{"6,7"}}, []string{"a src:1>6 copied line that is long enough on its own to be found by git", "c new\tname:7>7 and one more of the same kind"}},
				{"ranges", BlameQuery{Path: "new\tname", Lines: []string{"1,1", "4,+2"}}, []string{whole[0], whole[3], whole[4]}},
				{"pattern", BlameQuery{Path: "new\tname", Lines: []string{"/^thr/,+1"}}, whole[2:3]},
				{"work tree", BlameQuery{Path: "new\tname", Contents: []byte("zero\none\n\ttwo\nthree\nend")}, []string{"- new\tname:1>1 zero", "a old name:1>2 one", "b new\tname:2>3 \ttwo", "a old name:3>4 three", "- new\tname:5>5 end"}},
				{"work tree on a revision", BlameQuery{Path: "old name", Rev: a, Contents: []byte("one\nTWO\n")}, []string{"a old name:1>1 one", "- old name:2>2 TWO"}},
				{"empty work tree", BlameQuery{Path: "new\tname", Contents: []byte{}}, nil},
			}
			for _, test := range tests {
				if diff := cmp.Diff(test.want, short(blameOf(t, r, test.q), names)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", test.name, diff)
				}
			}
			for _, test := range []struct {
				q    BlameQuery
				kind error
			}{
				{BlameQuery{Path: "none"}, stemma.ErrNotFound},
				{BlameQuery{Path: "none", Contents: []byte("x\n")}, stemma.ErrNotFound},
				{BlameQuery{Path: "src", Rev: "none"}, stemma.ErrNotFound},
				{BlameQuery{Path: "src", Lines: []string{"9,12"}}, stemma.ErrInvalid},
				{BlameQuery{Path: "src", Lines: []string{"nonsense"}}, stemma.ErrInvalid},
				{BlameQuery{Path: "src", Lines: []string{"/no such line/"}}, stemma.ErrInvalid},
				{BlameQuery{Path: "src", Rev: "--contents=/etc/passwd"}, stemma.ErrInvalid},
				{BlameQuery{Path: ""}, stemma.ErrInvalid},
			} {
				var last error
				for _, err := range r.Blame(t.Context(), test.q) {
					last = err
				}
				if !errors.Is(last, test.kind) {
					t.Errorf("Blame(%+v): %v, want %v", test.q, last, test.kind)
				}
			}
		})
	}
}

func TestBlameOfMovedLines(t *testing.T) {
	g := newTestRepo(t)
	block := "a block of lines that is long enough\nto be noticed when it moves\nfrom one place to another\n"
	a := g.commit("a", "f", block+numbered(1, 20))
	g.commit("b", "f", numbered(1, 20)+block)
	lines := blameOf(t, g.open(), BlameQuery{Path: "f", Moves: true})
	if got := lines[20]; got.Commit != a || got.OrigLine != 1 {
		t.Errorf("moved line = %+v, want line 1 of %s", got, a)
	}
}

func TestBlameMarksTheShallowBoundary(t *testing.T) {
	g := newTestRepo(t)
	root := g.commit("a", "f", "one\n")
	g.commit("b", "f", "one\ntwo\n")
	g.commit("c", "f", "one\ntwo\nthree\n")
	for _, line := range blameOf(t, g.open(), BlameQuery{Path: "f"}) {
		if line.Boundary {
			t.Errorf("in a whole repository %+v is at a boundary", line)
		}
		if line.Line == 1 && line.Commit != root {
			t.Errorf("line 1 = %+v, want commit %s", line, root)
		}
	}
	dir := filepath.Join(t.TempDir(), "shallow")
	mustRun(t, "", nil, nil, "clone", "-q", "--depth=2", "file://"+g.dir, dir)
	r := openAt(t, dir)
	for _, contents := range [][]byte{nil, []byte("one\ntwo\nthree\n")} {
		var got []bool
		for _, line := range blameOf(t, r, BlameQuery{Path: "f", Contents: contents}) {
			got = append(got, line.Boundary)
		}
		if want := []bool{true, true, false}; !cmp.Equal(got, want) {
			t.Errorf("boundaries = %v, want %v", got, want)
		}
	}
}

func TestBlameKeepsBytes(t *testing.T) {
	g := newTestRepo(t)
	tree := g.commit("x", "f\xff", "a\rb\x1b\xff\x01\n\tx\n")
	text := "tree " + g.git("rev-parse", tree+"^{tree}") + "\nauthor J\xfc <j\xfc@x> 7 +0000\ncommitter C <c@x> 8 +0000\nencoding ISO-8859-1\n\n\xfc subject\n"
	id := mustRun(t, g.dir, nil, []byte(text), "hash-object", "-t", "commit", "-w", "--stdin")
	lines := blameOf(t, g.open(), BlameQuery{Path: "f\xff", Rev: id})
	want := BlameLine{
		Commit: id, OrigPath: "f\xff", OrigLine: 1, Line: 1, Text: []byte("a\rb\x1b\xff\x01"),
		AuthorName: "J\xfc", AuthorMail: "j\xfc@x", AuthorTime: 7, Summary: "\xfc subject",
	}
	if len(lines) != 2 || !cmp.Equal(lines[0], want) || string(lines[1].Text) != "\tx" {
		t.Errorf("Blame = %+v, want %+v first", lines, want)
	}
}

func TestBlameCanBeLeftEarly(t *testing.T) {
	g := newTestRepo(t)
	g.commit("a", "f", numbered(1, 10000))
	n := 0
	for _, err := range g.open().Blame(t.Context(), BlameQuery{Path: "f", Contents: []byte(strings.Repeat("x\n", 10000))}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 3 {
			break
		}
	}
	if left := children(t); len(left) > 0 {
		t.Errorf("git processes left: %v", left)
	}
}

func BenchmarkBlame(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "repo")
	mustRun(b, "", nil, nil, "init", "-q", "-b", "main", dir)
	im := &imports{}
	at := im.commit("main", "", nil, file{"100644", "f", numbered(1, 1000)})
	for i := range 500 {
		at = im.commit("main", "", []int{at}, file{"100644", "f", numbered(1, i) + "changed\n" + numbered(i+2, 1000)})
	}
	mustRun(b, dir, nil, im.Bytes(), "fast-import", "--quiet")
	b.Run("Blame", func(b *testing.B) {
		r := openAt(b, dir)
		for b.Loop() {
			if got := len(blameOf(b, r, BlameQuery{Path: "f", Rev: "main"})); got != 1000 {
				b.Fatalf("Blame gave %d lines, want 1000", got)
			}
		}
	})
	b.Run("git-blame", func(b *testing.B) {
		for b.Loop() {
			mustRun(b, dir, nil, nil, "blame", "--porcelain", "main", "--", "f")
		}
	})
}
