package attribution

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The owners of the tests.
const (
	ada   = 0 // a person
	claud = 1 // a session
	codex = 2 // another session
)

func by(owner int) Writer { return Writer{Owner: owner, Person: owner == ada} }

// between is a time without a hook, in which only a person was there.
func between(owner int) Writer { return Writer{Owner: owner, Person: owner == ada, Loose: true} }

// show gives each line with its owner, as the tests write them.
func show(content string, marks []Mark) string {
	names := map[int]string{Base: "base", Nobody: "?", ada: "ada", claud: "claud", codex: "codex"}
	var b strings.Builder
	for i, l := range lines([]byte(content)) {
		fmt.Fprintf(&b, "%s", names[marks[i].Owner])
		if marks[i].Edited != Base {
			fmt.Fprintf(&b, "+%s", names[marks[i].Edited])
		}
		fmt.Fprintf(&b, " %s\n", strings.TrimRight(string(l), "\r\n"))
	}
	return b.String()
}

func TestReplay(t *testing.T) {
	type state struct {
		content string
		writer  Writer
	}
	tests := []struct {
		name   string
		base   string
		states []state
		want   string
	}{
		{"an agent adds lines", "one\ntwo\n", []state{{"one\nfresh line\ntwo\n", by(claud)}}, "base one\nclaud fresh line\nbase two\n"},
		{
			"a line beside its like may be either", "", []state{
				{"one line\n}\nlast line\n", by(ada)},
				{"one line\n}\nnew line\n}\nlast line\n", by(claud)},
			}, "ada one line\n? }\nclaud new line\n? }\nada last line\n",
		},
		{
			"what a writer adds in one piece holds its own lines", "", []state{
				{"one line\n}\nlast line\n", by(ada)},
				{"one line\n}\nnew line\n}\nsecond line\n}\nlast line\n", by(claud)},
			}, "ada one line\n? }\nclaud new line\nclaud }\nclaud second line\n? }\nada last line\n",
		},
		{
			"of lines that went, the one that stays may be either", "", []state{
				{"one line\n}\n", by(ada)},
				{"one line\n}\n\tmiddle\n}\nlast line\n", by(claud)},
				{"one line\n}\nlast line\n", by(ada)},
			}, "ada one line\n? }\nclaud last line\n",
		},
		{
			"a formatter does not tell which of two is which", "", []state{
				{"first line\n}\nlast line\n", by(claud)},
				{"\tfirst line\n\t}\n}\n\tlast line\n", between(ada)},
			}, "claud \tfirst line\n? \t}\n? }\nclaud \tlast line\n",
		},
		{
			"a line told from all others is walked past by no other way", "", []state{
				{"}\nwall of text\n", by(claud)},
				{"}\nwall of text\n}\n", by(ada)},
			}, "claud }\nclaud wall of text\nada }\n",
		},
		{
			"a file that git brings back is what it was", "", []state{
				{"one line\n}\nlast line\n", by(ada)},
				{"one line\n}\n", by(claud)},
				{"one line\n}\nlast line\n}\n", by(claud)},
				{"one line\n}\nlast line\n", between(codex)},
			}, "ada one line\nada }\nada last line\n",
		},
		{
			"a person edits an agent's line", "", []state{
				{"total := price * count\nreturn total\n", by(claud)},
				{"total := price * count * tax\nreturn total\n", between(ada)},
			}, "claud+ada total := price * count * tax\nclaud return total\n",
		},
		{
			"an agent edits a person's line", "", []state{
				{"total := price * count\n", between(ada)},
				{"total := price * count * tax\n", by(claud)},
			}, "claud+ada total := price * count * tax\n",
		},
		{
			"a person replaces an agent's line by another", "", []state{
				{"total := price * count\n", by(claud)},
				{"panic(\"nothing to sell today\")\n", between(ada)},
			}, "ada panic(\"nothing to sell today\")\n",
		},
		{
			"an agent edits a line of the history", "total := price * count\n",
			[]state{{"total := price * count * tax\n", by(claud)}},
			"claud total := price * count * tax\n",
		},
		{
			"the last of two sessions", "", []state{
				{"total := price * count\n", by(claud)}, {"total := price * count * tax\n", by(codex)},
			}, "codex total := price * count * tax\n",
		},
		{
			"a formatter indents", "", []state{
				{"func f() {\nx := compute(1)\n}\n", by(claud)}, {"func f() {\n\tx := compute(1)\n}\n", between(ada)},
			}, "claud func f() {\nclaud \tx := compute(1)\nclaud }\n",
		},
		{
			"a formatter breaks and joins lines", "", []state{
				{"call(alpha, beta,\n  gamma)\n", by(claud)}, {"call(alpha,\n  beta, gamma)\n", by(codex)},
			}, "claud call(alpha,\nclaud   beta, gamma)\n",
		},
		{
			"line ends change", "", []state{
				{"alpha()\n\nbeta()\n", by(claud)}, {"alpha()\r\n\r\nbeta()\r\n", between(ada)},
			}, "claud alpha()\nclaud \nclaud beta()\n",
		},
		{
			"a block moves within a file", "first line\nsecond line\nthird line\n", []state{
				{"first line\nsecond line\nthird line\nfunc moved() {\n\treturn 42\n}\n", by(claud)},
				{"func moved() {\n\treturn 42\n}\nfirst line\nsecond line\nthird line\n", between(ada)},
			}, "claud func moved() {\nclaud \treturn 42\nclaud }\nbase first line\nbase second line\nbase third line\n",
		},
		{
			"stash and pop", "first line\n", []state{
				{"first line\nby the agent\n}\n", by(claud)}, {"first line\n", between(ada)}, {"first line\nby the agent\n}\n", between(ada)},
			}, "base first line\nclaud by the agent\nclaud }\n",
		},
		{
			"an agent types what was there before", "", []state{
				{"a line of ada's\n", between(ada)}, {"", between(ada)}, {"a line of ada's\n", by(claud)},
			}, "ada a line of ada's\n",
		},
		{
			"nobody was watching", "", []state{
				{"by the agent, line one\n", by(claud)},
				{"by the agent, line one\nand who knows\n", Writer{Owner: Nobody, Loose: true, May: []int{codex}}},
			}, "claud by the agent, line one\n? and who knows\n",
		},
		{
			"an edit of an edited line", "", []state{
				{"total := price * count\n", by(claud)}, {"total := price * count * tax\n", between(ada)}, {"sum := price * count * tax\n", by(codex)},
			}, "codex+ada sum := price * count * tax\n",
		},
		{
			"a line of the same form by somebody else", "", []state{
				{"alpha := one()\n", by(claud)}, {"mine := byHand()\n", between(ada)},
			}, "ada mine := byHand()\n",
		},
		{"no end of the last line", "one\n", []state{{"one\ntwo words here", by(claud)}}, "base one\nclaud two words here\n"},
		{"binary", "a\x00b", []state{{"a\x00b\nc\xff\xfe\n", by(claud)}}, "base a\x00b\nclaud c\xff\xfe\n"},
		{"everything goes", "one\ntwo\n", []state{{"", by(claud)}}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := NewReplay([]byte(test.base))
			content := test.base
			for _, s := range test.states {
				r.Step([]byte(s.content), s.writer)
				content = s.content
			}
			if got := show(content, r.Marks([]byte(content), between(ada))); got != test.want {
				t.Errorf("got\n%swant\n%s", got, test.want)
			}
		})
	}
}

// A commit may take a part of what is in the work tree, and leave lines out
// that were deleted there meanwhile.
func TestMarksOfAPartOfTheWork(t *testing.T) {
	r := NewReplay([]byte("one\n"))
	r.Step([]byte("one\nalpha of claud\nbeta of claud\n"), by(claud))
	r.Step([]byte("one\nalpha of claud\ngamma of codex\n"), by(codex)) // beta is gone
	for content, want := range map[string]string{
		"one\nalpha of claud\n":                            "base one\nclaud alpha of claud\n",
		"one\ngamma of codex\n":                            "base one\ncodex gamma of codex\n",
		"one\nalpha of claud\nbeta of claud\n":             "base one\nclaud alpha of claud\nclaud beta of claud\n",
		"one\nalpha of claud\ngamma of codex\nlate hour\n": "base one\nclaud alpha of claud\ncodex gamma of codex\nada late hour\n",
	} {
		if got := show(content, r.Marks([]byte(content), between(ada))); got != want {
			t.Errorf("of %q\ngot\n%swant\n%s", content, got, want)
		}
	}
}

func TestBlockThatMovesToAnotherFile(t *testing.T) {
	block := "func moved() int {\n\treturn fortyTwo\n}\n\nvar another = thing\n"
	from, to := NewReplay(nil), NewReplay([]byte("package b\n"))
	from.Step([]byte(block), by(claud))
	from.Step(nil, between(ada))
	to.Remember(from.Deleted())
	content := "package b\n" + block
	to.Step([]byte(content), between(ada))
	want := "base package b\nclaud func moved() int {\nclaud \treturn fortyTwo\nclaud }\nclaud \nclaud var another = thing\n"
	if got := show(content, to.Marks([]byte(content), between(ada))); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// oracle is a file whose every line carries its true owner, and people and
// agents that write in it at random.
type oracle struct {
	rnd   *rand.Rand
	lines []truth
	next  int
}

type truth struct {
	text  string
	owner int
	plain bool // its text stands in the file more than once
}

var repeated = []string{"}", "", "\treturn err", "\t}", "if err != nil {"}

// edit changes the file as one writer does: 30 % of new lines are such as stand
// everywhere.
func (o *oracle) edit(owner int) {
	for range 1 + o.rnd.IntN(3) {
		at := o.rnd.IntN(len(o.lines) + 1)
		if o.rnd.IntN(4) == 0 && at < len(o.lines) {
			o.lines = slices.Delete(o.lines, at, min(len(o.lines), at+1+o.rnd.IntN(3)))
		}
		at = min(at, len(o.lines))
		for range 1 + o.rnd.IntN(6) {
			l := truth{owner: owner}
			if o.rnd.IntN(10) < 3 {
				l.text, l.plain = repeated[o.rnd.IntN(len(repeated))], true
			} else {
				o.next++
				// Words that no other line shares: a true edit of a line is another test.
				l.text = fmt.Sprintf("v%dx%d := f%dy(%d)", o.next, o.rnd.IntN(1e9), o.rnd.IntN(1e9), o.rnd.IntN(1e9))
			}
			o.lines = slices.Insert(o.lines, at, l)
			at++
		}
	}
}

func (o *oracle) content() []byte {
	var b strings.Builder
	for _, l := range o.lines {
		b.WriteString(l.text + "\n")
	}
	return []byte(b.String())
}

func TestReplayAgainstAnOracle(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("STEMMA_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	var unique, plain, plainRight int
	for range 60 {
		o := &oracle{rnd: rnd}
		r := NewReplay(nil)
		var parked []truth
		for range 60 {
			switch n := rnd.IntN(10); {
			case n < 5:
				owner := claud + rnd.IntN(2)
				o.edit(owner)
				r.Step(o.content(), Writer{Owner: owner, Loose: rnd.IntN(3) == 0})
			case n < 7:
				o.edit(ada)
				r.Step(o.content(), between(ada))
			case n == 7: // stash everything behind some line, pop it a step later
				if parked == nil && len(o.lines) > 8 {
					at := len(o.lines) / 2
					parked = slices.Clone(o.lines[at:])
					o.lines = o.lines[:at]
					r.Step(o.content(), between(ada))
				}
			case parked != nil:
				o.lines = append(o.lines, parked...)
				parked = nil
				r.Step(o.content(), between(ada))
			default: // a formatter indents all
				for i := range o.lines {
					if o.lines[i].text != "" {
						o.lines[i].text = "\t" + strings.TrimLeft(o.lines[i].text, "\t")
					}
				}
				r.Step(o.content(), between(ada))
			}
		}
		marks := r.Marks(o.content(), between(ada))
		for i, l := range o.lines {
			right := marks[i].Owner == l.owner && marks[i].Edited == Base
			switch {
			case l.plain:
				plain++
				if right {
					plainRight++
				}
			case !right:
				t.Fatalf("seed %d: line %d %q is %v, want owner %d", seed, i+1, l.text, marks[i], l.owner)
			default:
				unique++
			}
		}
	}
	t.Logf("%d unique lines, all right; of %d repeated lines %.1f %%", unique, plain, 100*float64(plainRight)/float64(plain))
}

// TestReplayOfRepeatedLines takes states of few lines that are alike, indented or
// not: a line was once taken for two new ones at once, and the replay panicked.
func TestReplayOfRepeatedLines(t *testing.T) {
	r := NewReplay([]byte("\tbeta two three\n"))
	r.Step([]byte("delta(x)\nbeta two three\ndelta(x)\nbeta two three\n"), by(claud))
	seed := uint64(time.Now().UnixNano())
	rnd := rand.New(rand.NewPCG(seed, 3))
	texts := []string{"}", "", "return err", "beta two three", "delta(x)", "gamma := one(two)", "if err != nil {"}
	for range 300 {
		r := NewReplay(nil)
		for range 20 {
			var b strings.Builder
			for range rnd.IntN(14) {
				b.WriteString(strings.Repeat("\t", rnd.IntN(3)) + texts[rnd.IntN(len(texts))] + "\n")
			}
			w := by(rnd.IntN(3))
			w.Loose = rnd.IntN(2) == 0
			r.Step([]byte(b.String()), w)
			if got, want := len(r.marks), len(lines([]byte(b.String()))); got != want {
				t.Fatalf("seed %d: %d marks of %d lines", seed, got, want)
			}
		}
	}
}

func BenchmarkReplay1000ChangedLines(b *testing.B) {
	o := &oracle{rnd: rand.New(rand.NewPCG(1, 1))}
	for len(o.lines) < 4000 {
		o.edit(claud)
	}
	before := o.content()
	for n := 0; n < 1000; n += 4 {
		o.edit(ada)
	}
	after := o.content()
	for b.Loop() {
		r := NewReplay(before)
		r.Step(after, by(claud))
	}
}

func FuzzReplay(f *testing.F) {
	f.Add([]byte("a\nb\n"), []byte("a\nc\nb"), []byte(" a\nb\nc\n"))
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		r := NewReplay(a)
		r.Step(b, by(claud))
		r.Step(c, between(ada))
		r.Step(a, by(codex))
		if got := len(r.Marks(b, between(ada))); got != len(lines(b)) {
			t.Fatalf("%d marks for %d lines", got, len(lines(b)))
		}
	})
}
