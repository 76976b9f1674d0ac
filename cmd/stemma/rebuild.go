package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/project"
	"github.com/stemma-dev/stemma/internal/store"
)

// rebuilt is what `stemma rebuild --json` prints (schema stemma.rebuild/v1).
type rebuilt struct {
	Schema     string      `json:"schema"`
	Repository string      `json:"repository"`
	Commits    int         `json:"commits"`
	Damaged    string      `json:"damaged,omitempty"` // why the graph that was there could not be read
	Compared   *comparison `json:"compared"`          // null where it was not asked for
	Differ     []string    `json:"differ"`
	Seconds    float64     `json:"seconds"`
}

// comparison is what two graphs say of one another.
type comparison struct {
	Equal bool `json:"equal"`
	Rows  int  `json:"rows"`    // of the graph that was derived again
	More  int  `json:"more"`    // rows that only the index had
	Less  int  `json:"missing"` // rows that the index lacked
}

func newRebuild(o *options) *cobra.Command {
	var compare bool
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Drop the graph and make it again from the evidence and git",
		Long: `Drops the graph of the repository and makes it again: what the statements of the
evidence say, in the order of the log, and what is derived from git. The same
evidence gives the same graph, to the byte of its canonical form (stemma dump).
What was erased stays erased: the graph holds no content, and no key comes back.

With --compare it says first whether the file of the graph holds together, and in
which rows the graph that was there is not what it should be. A graph that is damaged so that it cannot be read is made again, too.
The exit status is 5 where they differ.`,
		Example: `  stemma rebuild
  stemma rebuild --compare`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.rebuild(cmd.Context(), compare) },
	}
	cmd.Flags().BoolVar(&compare, "compare", false, "name the rows in which the graph that was there differs")
	return cmd
}

func (o *options) rebuild(ctx context.Context, compare bool) error {
	began := time.Now()
	out := rebuilt{Schema: "stemma.rebuild/v1", Differ: []string{}}
	b, err := open(ctx, o.path, o.store)
	if errors.Is(err, stemma.ErrInvalid) {
		out.Damaged = err.Error()
		b, err = openAnew(ctx, o.path, o.store)
	}
	if err != nil {
		return err
	}
	defer func() { b.close() }()
	if compare && b.keptElsewhere() {
		return fmt.Errorf("--compare is for an index on this machine: a database holds what others indexed too: %w", stemma.ErrInvalid)
	}
	if compare && out.Damaged == "" {
		if err := checkGraph(ctx, b); errors.Is(err, stemma.ErrInvalid) {
			out.Damaged = err.Error()
		} else if err != nil {
			return err
		}
	}
	if compare && out.Damaged == "" && b.clone.Repository != "" {
		c, err := o.compareGraph(ctx, b, func(row string) {
			if len(out.Differ) < maxFaults {
				out.Differ = append(out.Differ, row)
			}
		})
		switch {
		case errors.Is(err, stemma.ErrInvalid):
			out.Damaged = err.Error()
		case err != nil:
			return err
		default:
			out.Compared = &c
		}
	}
	b.rebuild = true
	report, err := o.update(ctx, b)
	if errors.Is(err, stemma.ErrInvalid) && out.Damaged == "" {
		out.Damaged = err.Error()
	}
	if out.Damaged != "" {
		b.close()
		if b, err = openAnew(ctx, o.path, o.store); err != nil {
			return err
		}
		report, err = o.update(ctx, b)
	}
	if err != nil {
		return err
	}
	out.Repository, out.Commits, out.Seconds = report.Repository, report.Added, time.Since(began).Seconds()
	if err := o.printRebuilt(out); err != nil {
		return err
	}
	if out.Damaged != "" || len(out.Differ) > 0 {
		return hinted{fmt.Errorf("the graph was not what it should be: %w", stemma.ErrConflict), "it is made again; the rows above say in what it differed"}
	}
	return nil
}

func (o *options) printRebuilt(x rebuilt) error {
	if o.json {
		return printJSON(o.out, x)
	}
	for _, row := range x.Differ {
		fmt.Fprintf(o.out, "%s\n", plain(row))
	}
	if x.Damaged != "" {
		fmt.Fprintf(o.out, "could not be read: %s\n", plain(x.Damaged))
	}
	if c := x.Compared; c != nil {
		fmt.Fprintf(o.out, "compared %s rows: %s that should not be there, %s missing\n", count(c.Rows), count(c.More), count(c.Less))
	}
	_, err := fmt.Fprintf(o.out, "made again: %s commits of %s, in %.1f s\n", count(x.Commits), x.Repository, x.Seconds)
	return err
}

// checkGraph asks a graph that can tell whether it holds together. The error is
// ErrInvalid where it does not.
func checkGraph(ctx context.Context, b *bench) error {
	if checker, ok := b.store.(store.Checker); ok {
		return checker.Check(ctx)
	}
	return nil
}

// compareGraph derives the graph a second time, beside the one that is there,
// and tells row of each line of the canonical dump that only one of them has.
func (o *options) compareGraph(ctx context.Context, b *bench, row func(string)) (comparison, error) {
	var c comparison
	dir, err := os.MkdirTemp(b.dir, "compare-*")
	if err != nil {
		return c, fmt.Errorf("%v: %w", err, stemma.ErrDenied)
	}
	defer os.RemoveAll(dir)
	again, err := b.deriveAgain(ctx, dir, newBar(o.err))
	if err != nil {
		return c, err
	}
	defer again.Close()
	// How often a line is in one and not in the other, by its digest: a line of
	// one side that both have cancels out.
	seen := make(map[[16]byte]int)
	add := func(s store.Store, by int) (rows int, err error) {
		err = eachLine(ctx, s, func(text []byte) {
			rows++
			key := lineKey(text)
			if seen[key] += by; seen[key] == 0 {
				delete(seen, key)
			}
		})
		return rows, err
	}
	if c.Rows, err = add(again, 1); err != nil {
		return c, err
	}
	if _, err := add(b.store, -1); err != nil {
		return c, err
	}
	if c.Equal = len(seen) == 0; c.Equal {
		return c, nil
	}
	err = eachLine(ctx, b.store, func(text []byte) {
		if seen[lineKey(text)] < 0 {
			c.More++
			row("only in the index: " + string(text))
		}
	})
	if err == nil {
		err = eachLine(ctx, again, func(text []byte) {
			if seen[lineKey(text)] > 0 {
				c.Less++
				row("missing in the index: " + string(text))
			}
		})
	}
	return c, err
}

func lineKey(text []byte) [16]byte {
	sum := sha256.Sum256(text)
	return [16]byte(sum[:16])
}

// dumpFound writes a line for each tally that is found by its node, which is
// another way than that of the dump, which lists them.
func dumpFound(ctx context.Context, s store.Store, w io.Writer) error {
	for _, kind := range []stemma.NodeKind{stemma.KindCommit, stemma.KindChange} {
		var some []stemma.NodeID
		find := func() error {
			for t, err := range s.Tallies(ctx, store.TallyQuery{Kind: kind, Nodes: some}) {
				if err != nil {
					return fmt.Errorf("dump tallies by node: %w", err)
				}
				if _, err := fmt.Fprintf(w, "[\"found\",%q]\n", t.Node); err != nil {
					return err
				}
			}
			some = some[:0]
			return nil
		}
		for t, err := range s.Tallies(ctx, store.TallyQuery{Kind: kind}) {
			if err != nil {
				return fmt.Errorf("dump tallies: %w", err)
			}
			if some = append(some, t.Node); len(some) == 512 {
				if err := find(); err != nil {
					return err
				}
			}
		}
		if len(some) > 0 {
			if err := find(); err != nil {
				return err
			}
		}
	}
	return nil
}

// eachLine gives the lines of the canonical dump of a graph, and what is found in
// it by name.
func eachLine(ctx context.Context, s store.Store, line func([]byte)) error {
	r, w := io.Pipe()
	failed := make(chan error, 1)
	go func() {
		err := project.Dump(ctx, s, w)
		if err == nil {
			err = dumpFound(ctx, s, w)
		}
		failed <- err
		w.CloseWithError(err) // nil is the end
	}()
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		text, err := in.ReadBytes('\n')
		if len(text) > 0 && err == nil {
			line(text[:len(text)-1])
		}
		if err != nil {
			r.Close()
			if derr := <-failed; derr != nil {
				return derr
			}
			return nil
		}
	}
}
