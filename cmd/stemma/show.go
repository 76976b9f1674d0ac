package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/lineage"
)

// shown is what `stemma show --json` prints.
type shown struct {
	Schema string `json:"schema"`
	lineage.Commit
}

func newShow(o *options) *cobra.Command {
	var prompts, files bool
	cmd := &cobra.Command{
		Use:   "show [commit]",
		Short: "Show who wrote a commit: sessions, models, lines, sources",
		Long: `Shows one commit: which sessions and people wrote its added lines, by class and
by file; what each source says, where sources agree and differ; and, with
--prompts, the prompts that the sources carry. Prompts are read from their
source for this call and are not kept.

Of each session whose transcript was read (stemma session import) it shows what
it was for, its turns that wrote files of the commit, with models, tests and
decisions, how its configuration differs from the session before; and what the
commit took: prompts of people and rewrites of lines not yet committed. Rounds of
CI and of review are unknown: no source of them is read. Sessions that only their
content joins with the commit say so, with a confidence.

Each fact has its source, its method, how it is asserted (declared, observed or
inferred) and its tier. Evidence from a developer's machine is "claimed".`,
		Example: `  stemma show
  stemma show v1.2.0 --prompts
  stemma show a353579d --json | jq .models`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			rev := "HEAD"
			if len(args) == 1 {
				rev = args[0]
			}
			ctx := cmd.Context()
			b, err := o.ready(ctx)
			if err != nil {
				return err
			}
			defer b.close()
			id, err := b.repo.Resolve(ctx, rev)
			if err != nil {
				return err
			}
			o.project(ctx, b)
			c, err := b.show(ctx, id, prompts)
			if err != nil {
				return err
			}
			if o.json {
				return printJSON(o.out, shown{"stemma.show/v1", c})
			}
			p, err := o.painter()
			if err != nil {
				return err
			}
			printCommit(o.out, p, c, files)
			return nil
		},
	}
	cmd.Flags().BoolVar(&prompts, "prompts", false, "read the prompts from the sources that carry them")
	cmd.Flags().BoolVar(&files, "files", false, "list every file and its attributed lines")
	return cmd
}

// show describes a commit from the index, or attributes it for this call when
// no indexed ref reaches it.
func (b *bench) show(ctx context.Context, id string, prompts bool) (lineage.Commit, error) {
	var told lineage.Told
	for r, err := range b.store.Attributions(ctx, []string{id}) {
		if err != nil {
			return lineage.Commit{}, fmt.Errorf("show %s: %w", id, err)
		}
		told.Row = r
	}
	if row := told.Row; row.Commit == "" || tellsMore(row) {
		now, err := b.attribute(ctx, id)
		if err != nil {
			return lineage.Commit{}, fmt.Errorf("show %s: %w", id, err)
		}
		if told = now; row.Commit != "" {
			told.Row = row
		}
	}
	if prompts {
		var err error
		if told.Prompts, err = b.prompts(ctx, id); err != nil && !errors.Is(err, stemma.ErrNotFound) {
			return lineage.Commit{}, fmt.Errorf("prompts of %s: %w", id, err)
		}
	}
	return lineage.Show(ctx, b.graph(), told)
}

func printCommit(w io.Writer, p painter, c lineage.Commit, files bool) {
	fmt.Fprintf(w, "%s %s\n", p.in("33", "commit "+c.Commit), c.Time)
	fmt.Fprintf(w, "%s  %s\n", plain(c.Author), p.bold(plain(c.Title)))
	if !c.Indexed {
		fmt.Fprintln(w, "(not in the index: no indexed branch or tag reaches it; attributed for this call)")
	}
	if c.Unreadable != "" {
		fmt.Fprintf(w, "the added lines could not be read: %s\n", plain(c.Unreadable))
	}
	what := "lines added"
	if c.Merge {
		what = "lines that differ from every parent (merge)"
	}
	fmt.Fprintf(w, "\n%s %s, AI share %s\n", count(c.Lines.Added), what, percent(c.AI))
	for _, class := range stemma.Classes {
		if n := c.Lines.Of(class); n > 0 {
			fmt.Fprintf(w, "  %s %8s\n", p.class(class, fit(string(class), 10)), count(n))
		}
	}
	if b := c.Brought; b != nil && len(b.Commits) > 1 {
		fmt.Fprintf(w, "\nbrought %s other commits: %s lines added in all, AI share %s\n", count(len(b.Commits)-1), count(b.Lines.Added), percent(b.AI))
		for i, id := range b.Commits {
			if i == 20 {
				fmt.Fprintf(w, "  and %d more (--json lists all)\n", len(b.Commits)-i)
				break
			}
			if id != c.Commit {
				fmt.Fprintf(w, "  %s\n", short(id))
			}
		}
	}
	if len(c.Parts) > 0 {
		fmt.Fprintf(w, "\nwho\n")
	}
	for i, part := range c.Parts {
		printPart(w, p, i, part)
	}
	printSessions(w, p, c)
	printRewrites(w, c)
	printSources(w, c)
	printDisputes(w, c, files)
	printFiles(w, p, c, files)
	if len(c.Prompts) > 0 {
		fmt.Fprintf(w, "\nprompts\n")
	}
	for _, m := range c.Prompts {
		fmt.Fprintf(w, "  %s %s\n%s", p.bold(plain(m.Role)), p.faint(plain(m.Time)), paragraph(m.Text, "    "))
	}
}

// printSessions prints what sessions did for the commit, as far as their
// transcripts were read, and what it took.
func printSessions(w io.Writer, p painter, c lineage.Commit) {
	if len(c.Work) == 0 {
		return
	}
	if slices.ContainsFunc(c.Work, func(s *lineage.SessionWork) bool { return s.Told }) {
		of := "sessions"
		if b := c.Brought; b != nil && !slices.ContainsFunc(c.Work, func(s *lineage.SessionWork) bool { return s.Wrote(c.Commit) }) {
			of = "sessions of the commits that it brought"
		}
		fmt.Fprintf(w, "\n%s\n", of)
		printWork(w, p, c.Work, "  ")
	}
	what := "commit"
	if c.Iterations.Of == c.Change && c.Change != "" {
		what = "change"
	}
	fmt.Fprintf(w, "\niterations of the %s: %s\n", what, iterationsText(c.Iterations))
}

func printPart(w io.Writer, p painter, i int, part lineage.Part) {
	model := "model unknown"
	if part.Model != nil {
		model = part.Model.Key()
		if !part.Model.Exact {
			model += " (by display name)"
		}
	}
	who := "session " + part.Session + "  " + model
	if part.Session == "" {
		who = "person " + part.Person
	}
	lines := count(part.Lines) + " lines"
	if part.Candidate > 0 {
		lines += fmt.Sprintf(", %s unknown lines it may have written", count(part.Candidate))
	}
	fmt.Fprintf(w, "  [%d] %s  %s  %s\n", i, p.class(part.Class, string(part.Class)), plain(who), lines)
	fmt.Fprintf(w, "      %s\n", p.faint(fmt.Sprintf("%s: %s, %s, %s, confidence %.2g",
		part.Source, plain(part.Strength.Method), part.Strength.Assertion, part.Strength.Tier, part.Strength.Confidence)))
	if m := part.ModelStrength; m != nil {
		fmt.Fprintf(w, "      %s\n", p.faint(fmt.Sprintf("its model: %s, %s, %s, confidence %.2g", plain(m.Method), m.Assertion, m.Tier, m.Confidence)))
	}
}

// printRewrites prints which commits lines came by, and why that is known.
func printRewrites(w io.Writer, c lineage.Commit) {
	const most = 12
	if len(c.Rewrites) > 0 {
		fmt.Fprintf(w, "\nlines of commits that this one is a rewrite of, or brings back\n")
	}
	for i, r := range c.Rewrites {
		if i == most {
			fmt.Fprintf(w, "  and %d more (--json lists all)\n", len(c.Rewrites)-most)
			break
		}
		gone := ""
		if r.Gone {
			gone = "; inputs gone: its objects are not in the repository any more"
		}
		fmt.Fprintf(w, "  %s  %8s lines by rule %q, confidence %.2g%s\n", short(r.Commit), count(r.Lines), r.Rule, r.Confidence, gone)
	}
	if c.Ambiguous > 0 {
		fmt.Fprintf(w, "  %s lines are unknown: %s\n", count(c.Ambiguous), lineage.ReasonAmbiguous)
	}
}

func printSources(w io.Writer, c lineage.Commit) {
	if len(c.Sources) == 0 {
		fmt.Fprintf(w, "\nno source says anything of this commit\n")
		return
	}
	fmt.Fprintf(w, "\nsources\n")
	for _, s := range c.Sources {
		fmt.Fprintf(w, "  %-10s AI %s, human %s", plain(s.Source), count(s.Lines.AI+s.Lines.AIEdited), count(s.Lines.Human))
		if s.Took > 0 {
			fmt.Fprintf(w, ", %d took part", s.Took)
		}
		if s.Agree+s.Differ > 0 {
			fmt.Fprintf(w, ", agrees with another source on %s lines, differs on %s", count(s.Agree), count(s.Differ))
		}
		if s.Outside > 0 {
			fmt.Fprintf(w, ", claims %s lines that the commit did not add", count(s.Outside))
		}
		fmt.Fprintln(w)
		for _, f := range c.Figures {
			if f.Source == s.Source {
				fmt.Fprintf(w, "             says: %s\n", figure(f))
			}
		}
		if s.Problem != "" {
			fmt.Fprintf(w, "             not read: %s\n", plain(s.Problem))
		}
	}
	if c.Conflicts > 0 {
		fmt.Fprintf(w, "  sources contradict each other on %s lines: those are unknown\n", count(c.Conflicts))
	}
}

// figure puts a source's own count into words.
func figure(f lineage.Figure) string {
	text := fmt.Sprintf("%s of %s lines are the agent's", count(f.AI), count(f.Total))
	if f.Added != nil && f.Modified != nil && f.Removed != nil {
		text += fmt.Sprintf("; people added %s, modified %s, removed %s", count(*f.Added), count(*f.Modified), count(*f.Removed))
	}
	return text + " (" + plain(f.What) + ")"
}

// printDisputes prints who says what of the lines on which sources differ.
func printDisputes(w io.Writer, c lineage.Commit, all bool) {
	const most = 15
	if len(c.Disputes) == 0 {
		return
	}
	fmt.Fprintf(w, "\nwhere sources differ\n")
	for i, d := range c.Disputes {
		if i == most && !all {
			fmt.Fprintf(w, "  and %s more (--files lists all)\n", count(len(c.Disputes)-most))
			return
		}
		fmt.Fprintf(w, "  %s:%d-%d counts as %s\n", plain(d.Path), d.Start, d.End, d.Class)
		for _, s := range d.Says {
			who := s.Session
			if who == "" {
				who = "person " + s.Person
			}
			if s.Whole {
				who += ", of the whole commit"
			}
			fmt.Fprintf(w, "      %-10s %-9s %s\n", plain(s.Source), s.Class, plain(who))
		}
	}
}

func printFiles(w io.Writer, p painter, c lineage.Commit, all bool) {
	const most = 15
	fmt.Fprintf(w, "\nfiles\n")
	for i, f := range c.Files {
		if i == most && !all {
			fmt.Fprintf(w, "  and %d more (--files lists all)\n", len(c.Files)-most)
			return
		}
		fmt.Fprintf(w, "  %8s  %s", "+"+count(f.Lines.Added), plain(f.Path))
		for _, class := range stemma.Classes {
			if n := f.Lines.Of(class); n > 0 {
				fmt.Fprintf(w, "  %s", p.class(class, fmt.Sprintf("%s %s", class, count(n))))
			}
		}
		fmt.Fprintln(w)
		if !all {
			continue
		}
		for _, r := range f.Ranges {
			fmt.Fprintf(w, "            %d-%d %s", r.Start, r.End, r.Class)
			if r.Part >= 0 {
				fmt.Fprintf(w, " [%d]", r.Part)
			}
			fmt.Fprintln(w)
		}
	}
}
