package main

import (
	"bytes"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/lineage"
)

// dotLine is what a line of our graphs may be, by the grammar of Graphviz: a
// quoted string ends at the first quote that no backslash stands before.
var dotLine = regexp.MustCompile(`^(digraph stemma \{|\trankdir=LR;|\tnode \[shape=box, fontname="sans-serif"\];|\t(n|cut)[0-9]+( -> (n|cut)[0-9]+)? \[(label="([^"\\]|\\[n"\\])*"|style=dashed)(, (style=bold|shape=plaintext))?\];|\})$`)

func TestDotIsReadWhateverStandsInIt(t *testing.T) {
	pieces := []string{"plain", `"]; evil -> x [label="`, `\`, `\"`, "a\nb", "\x00\x1b[2J\xff", "->", "}", "é\u202e", "\r", "\u2028", "{", ";", "|", "<b>", "\xf0\x9f"}
	rnd := rand.New(rand.NewPCG(1, 2)) // not a fuzz target: it would have all of stemma compiled anew
	text := func() string {
		var b strings.Builder
		for range rnd.IntN(5) {
			b.WriteString(pieces[rnd.IntN(len(pieces))])
		}
		return b.String()
	}
	for range 20_000 {
		key, title := text(), text()
		// As JSON has it: a key is quoted text, a title valid UTF-8.
		id := stemma.NodeID{Kind: stemma.KindCommit, Key: key}
		a, b := lineage.Path(id.String()), "commit:other"
		var out bytes.Buffer
		printDot(&out, lineage.Trace{
			From:  a,
			Nodes: []lineage.TraceNode{{ID: a, Kind: id.Kind, Key: lineage.Path(key), Title: title, Time: "2026"}, {ID: b, Kind: id.Kind, Key: "other"}},
			Causes: &lineage.TraceWalk{Steps: []lineage.TraceStep{
				{Node: a, Links: []lineage.TraceLink{{Kind: stemma.EdgeRewriteOf, Node: b}}, More: 2},
				{Node: b, More: 3, AtLeast: true},
			}},
		})
		if !utf8.Valid(out.Bytes()) {
			t.Error("the graph is not UTF-8")
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		for _, line := range lines {
			if !dotLine.MatchString(line) {
				t.Errorf("%q is not what Graphviz reads", line)
			}
		}
		if want := 3 + 2 + 1 + 4 + 1; len(lines) != want {
			t.Errorf("%d lines, want %d:\n%s", len(lines), want, out.String())
		}
	}
}

func TestGeneratedGraphIsTheSameEachTime(t *testing.T) {
	sum := func(seed uint64) (nodes, edges int, last stemma.NodeID) {
		g, err := newGenerator(leastGraph, 5*leastGraph, seed)
		if err != nil {
			t.Fatal(err)
		}
		seen := make(map[stemma.NodeID]bool)
		for s := range g.scopes() {
			seen[s.ID] = true
			for _, e := range s.Edges {
				edges++
				seen[e.From], seen[e.To] = true, true
				if !e.Kind.Joins(e.From.Kind, e.To.Kind) {
					t.Fatalf("%s -%s-> %s joins what it must not", e.From, e.Kind, e.To)
				}
				last = e.To
			}
		}
		return len(seen), edges, last
	}
	nodes, edges, last := sum(1)
	if edges != 5*leastGraph || nodes < leastGraph*95/100 || nodes > leastGraph*105/100 {
		t.Errorf("%d nodes and %d edges, want about %d and %d", nodes, edges, leastGraph, 5*leastGraph)
	}
	if n, e, l := sum(1); n != nodes || e != edges || l != last {
		t.Errorf("the same seed gives %d nodes, %d edges, last %s; want %d, %d, %s", n, e, l, nodes, edges, last)
	}
	if _, _, l := sum(2); l == last {
		t.Errorf("another seed gives the same graph")
	}
}
