package project

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// Dump writes the canonical form of the graph: one JSON array a line, by
// natural key, without internal ids, in an order that depends on the content
// alone. Two stores that hold the same graph give the same bytes.
func Dump(ctx context.Context, s store.Store, w io.Writer) error {
	out := bufio.NewWriter(w)
	for _, kind := range stemma.NodeKinds() {
		for id, err := range s.Nodes(ctx, kind, "") {
			if err != nil {
				return fmt.Errorf("dump nodes: %w", err)
			}
			if err := line(out, "node", quote(id.String())); err != nil {
				return err
			}
		}
	}
	for e, err := range s.Edges(ctx, store.EdgeQuery{}) {
		if err != nil {
			return fmt.Errorf("dump edges: %w", err)
		}
		err := line(out, "edge", quote(e.From.String()), e.Kind, quote(e.To.String()), quote(e.Scope.String()),
			quote(e.Source), e.Strength, e.Lines, e.Candidate)
		if err != nil {
			return err
		}
	}
	for row, err := range s.AllAttributions(ctx) {
		if err != nil {
			return fmt.Errorf("dump attributions: %w", err)
		}
		for i := range row.Files {
			row.Files[i].Path = quote(row.Files[i].Path)
		}
		if err := line(out, "attribution", row); err != nil {
			return err
		}
	}
	for _, kind := range []stemma.NodeKind{stemma.KindCommit, stemma.KindChange} {
		for t, err := range s.Tallies(ctx, store.TallyQuery{Kind: kind}) {
			if err != nil {
				return fmt.Errorf("dump tallies: %w", err)
			}
			if err := line(out, "tally", quote(t.Node.String()), t); err != nil {
				return err
			}
		}
	}
	return out.Flush()
}

func line(w io.Writer, fields ...any) error {
	b, err := json.Marshal(fields)
	if err != nil {
		return fmt.Errorf("dump: %w", err)
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// quote keeps bytes that are not UTF-8 apart, which JSON would fold into one.
func quote(s string) string { return strconv.QuoteToASCII(s) }
