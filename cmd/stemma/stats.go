package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma/internal/lineage"
)

// measured is what `stemma stats --json` prints.
type measured struct {
	Schema string `json:"schema"`
	Note   string `json:"note"`
	lineage.Measurement
}

// volumeNote is said with every figure of volume.
const volumeNote = "Volume is not quality: these figures say who wrote lines, not how well, and nothing about people."

func newStats(o *options) *cobra.Command {
	var q lineage.MeasureQuery
	var since, until, at string
	var alive, halfLife bool
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Share of AI in what was merged, by directory, model, agent, source or month",
		Long: `Adds up the lines that merged commits added, by class, and bounds the share of
AI: the lower bound counts every unknown line as a person's, the upper bound as
AI's. Generated lines (lock files, generated code, vendored copies) are set
apart. The summary ends with what is not explained and why.

--alive counts instead the lines that stand at a revision, as stemma blame tells
of each. Files that no evidence ever touched are counted by rule, and what was
blamed once is remembered, so that this takes seconds and then less than one.
--half-life adds how long lines of AI and other lines stood, estimated (Kaplan
and Meier) from the state at the end of every month since AI began; what was
observed for too short a time is unknown.

Volume is not quality: the figures say who wrote lines, not how well. There are
no figures by person.`,
		Example: `  stemma stats
  stemma stats --by month --since '1 year ago'
  stemma stats --by directory --depth 2 --path internal/
  stemma stats --alive --at v2.0 --by directory`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			b, err := o.ready(ctx)
			if err != nil {
				return err
			}
			defer b.close()
			if since != "" {
				if q.Since, err = b.repo.ParseDate(ctx, since, false); err != nil {
					return fmt.Errorf("--since: %w", err)
				}
			}
			if until != "" {
				if q.Until, err = b.repo.ParseDate(ctx, until, true); err != nil {
					return fmt.Errorf("--until: %w", err)
				}
			}
			if q.Path != "" {
				if q.Path, err = b.inRepository(o.path, q.Path); err != nil {
					return err
				}
			}
			if err := aliveOnly(q, at, alive, halfLife); err != nil {
				return err
			}
			if alive {
				return o.statsAlive(ctx, b, lineage.StandQuery{By: q.By, Depth: q.Depth, Path: q.Path}, at, halfLife)
			}
			m, err := lineage.Measure(ctx, b.graph(), q)
			if err != nil {
				return err
			}
			if o.json {
				return printJSON(o.out, measured{"stemma.stats/v1", volumeNote, m})
			}
			p, err := o.painter()
			if err != nil {
				return err
			}
			printStats(o.out, p, m, b.clone.Branch)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.By, "by", "", "group by directory, model, agent, source or month")
	f.IntVar(&q.Depth, "depth", 1, "how many folders make a directory group")
	f.StringVar(&q.Path, "path", "", "only lines of this file, folder or pattern `path`")
	f.StringVar(&since, "since", "", "only commits after this `date`")
	f.StringVar(&until, "until", "", "only commits before this `date`")
	f.BoolVar(&q.Everything, "all", false, "all indexed commits, not only merged ones")
	f.BoolVar(&alive, "alive", false, "lines that stand at a revision, instead of lines that were added")
	f.BoolVar(&halfLife, "half-life", false, "with --alive, how long lines stood: blames the last commit of every month, once")
	f.StringVar(&at, "at", "", "the `revision` of --alive; HEAD where none is given")
	_ = cmd.RegisterFlagCompletionFunc("by", cobra.FixedCompletions(
		[]string{"directory", "model", "agent", "source", "month"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func printStats(w io.Writer, p painter, m lineage.Measurement, branch string) {
	where := "merged into " + plain(branch)
	if m.Everything {
		where = "on any branch or tag"
	}
	fmt.Fprintf(w, "%s commits %s\n", p.bold(count(m.Total.Commits)), where)
	printTotal(w, p, m.Total)
	if m.By != "" {
		fmt.Fprintf(w, "\nby %s\n", m.By)
	}
	for _, g := range m.Groups {
		fmt.Fprintf(w, "  %s %8s commits %12s lines", fit(plain(g.Name), 36), count(g.Commits), count(g.Lines.Added))
		if m.By == "directory" || m.By == "month" {
			fmt.Fprintf(w, "  AI %-8s generated %s", percent(g.AI), count(g.Lines.Generated))
		} else if g.Candidate > 0 {
			fmt.Fprintf(w, "  %s unknown lines it may have written", count(g.Candidate))
		}
		fmt.Fprintln(w)
	}
	printEvidence(w, p, m.Evidence)
	fmt.Fprintf(w, "\n%s\n", volumeNote)
}
