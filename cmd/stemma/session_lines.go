package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/store"
)

// wroteRow is what a session wrote of a commit, as evidence of its lines tells.
type wroteRow struct {
	Commit string       `json:"commit"`
	Source string       `json:"source"`
	Lines  stemma.Lines `json:"lines"`
	// Candidate counts lines that may be its: nothing tells which.
	Candidate int `json:"candidate"`
}

// wrote gives the lines that sessions wrote, by commit: those that evidence
// tells, of which the capture on this machine is one. What the content of a
// transcript concludes is not among them.
func (b *bench) wrote(ctx context.Context, keys []string) (map[string][]wroteRow, error) {
	ids := make([]stemma.NodeID, 0, len(keys))
	for _, key := range keys {
		ids = append(ids, stemma.NodeID{Kind: stemma.KindSession, Key: key})
	}
	all := make(map[string][]wroteRow)
	if len(ids) == 0 {
		return all, nil
	}
	for e, err := range b.store.Edges(ctx, store.EdgeQuery{To: ids, Kinds: []stemma.EdgeKind{stemma.EdgeWrittenBy}}) {
		if err != nil {
			return nil, err
		}
		if e.Source == "session" {
			continue
		}
		row := wroteRow{e.From.Key, e.Source, e.Lines, e.Candidate}
		// A commit has an edge for each purpose, and may have one for each scope.
		rows := all[e.To.Key]
		if i := slices.IndexFunc(rows, func(r wroteRow) bool { return r.Commit == row.Commit && r.Source == row.Source }); i >= 0 {
			rows[i].Lines = rows[i].Lines.Plus(row.Lines)
			rows[i].Candidate += row.Candidate
			continue
		}
		all[e.To.Key] = append(rows, row)
	}
	for _, rows := range all {
		slices.SortFunc(rows, func(a, b wroteRow) int {
			return cmp.Or(strings.Compare(a.Commit, b.Commit), strings.Compare(a.Source, b.Source))
		})
	}
	return all, nil
}

// text is the row in words.
func (r wroteRow) text() string {
	var parts []string
	for _, c := range []struct {
		n    int
		what string
	}{{r.Lines.AI, "ai"}, {r.Lines.AIEdited, "ai-edited"}, {r.Candidate, "unknown, perhaps its"}} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", count(c.n), c.what))
		}
	}
	return strings.Join(parts, ", ") + " lines (" + r.Source + ")"
}

// committed adds up the lines of commits that the sessions of a tree wrote.
type committed map[string]stemma.Lines

// committedBy gives the lines that every session of these trees wrote.
func (b *bench) committedBy(ctx context.Context, roots []*agent.Node) (committed, error) {
	var keys []string
	for _, r := range roots {
		r.Each(func(n *agent.Node) { keys = append(keys, n.Key) })
	}
	wrote, err := b.wrote(ctx, keys)
	if err != nil {
		return nil, err
	}
	sums := make(committed)
	for key, rows := range wrote {
		for _, r := range rows {
			sums[key] = sums[key].Plus(r.Lines)
		}
	}
	return sums, nil
}

// all is the sum of a session and everything below it.
func (c committed) all(n *agent.Node) stemma.Lines {
	sum := c[n.Key]
	for _, child := range n.Children {
		sum = sum.Plus(c.all(child))
	}
	return sum
}
