package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/lineage"
	"github.com/stemma-dev/stemma/internal/reconcile"
)

// indexed is what `stemma index --json` prints (schema stemma.index/v1).
type indexed struct {
	Schema     string         `json:"schema"`
	Repository string         `json:"repository"`
	Branch     string         `json:"branch"`
	Index      string         `json:"index"` // folder, or the store without its password
	Moved      int            `json:"refs_moved"`
	Unrecorded string         `json:"not_recorded,omitempty"` // why the moves are not in the evidence
	Added      int            `json:"commits_added"`
	Redone     int            `json:"commits_redone"`
	Removed    int            `json:"commits_removed"`
	Unreached  map[string]int `json:"evidence_on_unreached_commits"`
	// Absent counts the commits that have evidence and no object in the repository.
	Absent     int      `json:"evidence_on_absent_commits"`
	BrokenRefs []string `json:"broken_refs"`
	Unread     []string `json:"evidence_refs_not_read"`
	Shallow    int      `json:"shallow_boundary"`
	Partial    string   `json:"partial_clone_filter,omitempty"`
	AgentEra   string   `json:"agent_era"`
	Generated  []string `json:"generated_patterns"`
	Seconds    float64  `json:"seconds"`

	Coverage lineage.Measurement `json:"coverage"`
}

func newIndex(o *options) *cobra.Command {
	var rebuild, quiet, takeOver bool
	var era string
	var set settings
	cmd := &cobra.Command{
		Use:   "index [path]",
		Short: "Index a repository and say what is known of it",
		Long: `Reads the history and the AI evidence of a repository and attributes the lines
that each commit added. Only what is new since the last run is read; a run that
was stopped anywhere is completed by the next one. Ends with a summary: what is
known, from which source, and what could not be explained and why.

The index lives in stemma/ below the repository's git directory, or in a folder
of this repository below STEMMA_DIR, or in the user's state folder when the repository is read-only.
Where refs moved since the last run, that is recorded as a signed statement in the
evidence of this machine (stemma record, stemma tlog). Nothing else is written, and
nothing the repository contains is run.

With --store, or STEMMA_STORE, the index is in a PostgreSQL database that a team
shares, with those of its other repositories. The clone that indexes a
repository there first keeps its index: the commands of other clones ask it as
it is, and bring nothing up to date. --take-over makes this clone the keeper.

Entire's checkpoints are read from its branch or its refs, which a clone does not
always bring: git fetch origin entire/checkpoints/v1:entire/checkpoints/v1, or
git fetch origin 'refs/entire/*:refs/entire/*'. What comes later is joined then.

Commits of branches, remote-tracking branches and tags are indexed. The options
below are remembered by the index until they are given again.`,
		Example: `  stemma index
  stemma index ~/src/project --json
  stemma index --generated 'api/gen/**' --agent-era 2022-01-01`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.path = args[0]
			}
			ctx := cmd.Context()
			b, err := open(ctx, o.path, o.store)
			if err != nil {
				return err
			}
			defer b.close()
			changed, err := b.choose(ctx, cmd, set, era)
			if err != nil {
				return err
			}
			b.rebuild = rebuild
			b.shared.takeOver = takeOver
			return o.index(ctx, b, changed || rebuild || takeOver || b.keptElsewhere(), quiet)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&rebuild, "rebuild", false, "drop the graph and derive all of it again")
	f.BoolVar(&takeOver, "take-over", false, "in a shared store: keep the index of this repository from now on, instead of the clone that did")
	f.BoolVarP(&quiet, "quiet", "q", false, "print no summary")
	f.StringVar(&era, "agent-era", "", "`date` before which no coding agent existed: older lines are a person's (default 2021-06-29)")
	f.StringArrayVar(&set.Generated, "generated", nil, "`pattern` of generated paths, in gitattributes syntax; !pattern takes paths out; '' forgets earlier ones; may be repeated")
	f.BoolVar(&set.AllRefs, "all-refs", false, "also index refs that are no branches or tags, such as refs/pull")
	f.StringVar(&set.Branch, "branch", "", "the default `branch`, which changes enter (default: what origin or HEAD says)")
	return cmd
}

// choose puts what the command line says of the settings into force.
func (b *bench) choose(ctx context.Context, cmd *cobra.Command, set settings, era string) (bool, error) {
	s := b.settings
	f := cmd.Flags()
	if f.Changed("agent-era") {
		t, err := b.repo.ParseDate(ctx, era, false)
		if err != nil {
			return false, fmt.Errorf("--agent-era: %w", err)
		}
		s.AgentEra = t
	}
	if f.Changed("generated") {
		s.Generated = nil
		for _, p := range set.Generated {
			if p != "" {
				s.Generated = append(s.Generated, p)
			}
		}
	}
	if f.Changed("all-refs") {
		s.AllRefs = set.AllRefs
	}
	if f.Changed("branch") {
		s.Branch = set.Branch
	}
	changed := f.Changed("agent-era") || f.Changed("generated") || f.Changed("all-refs") || f.Changed("branch")
	if !changed {
		return false, nil
	}
	b.settings, b.chosen = s, true
	return true, nil
}

// index brings the index up to date and prints the summary.
func (o *options) index(ctx context.Context, b *bench, force, quiet bool) error {
	began := time.Now()
	fingerprint, err := b.repo.Fingerprint()
	if err != nil {
		return fmt.Errorf("look at refs: %w", err)
	}
	var r reconcile.Report
	if !force && b.current(fingerprint) && b.clone.Unrecorded == "" {
		r.Repository, r.Branch = b.clone.Repository, b.clone.Branch
	} else if r, err = o.update(ctx, b); err != nil {
		return err
	}
	if r.Empty {
		fmt.Fprintln(o.err, "stemma: the repository has no commits yet; nothing to index")
	}
	if quiet || r.Empty && !o.json {
		return nil
	}
	out := indexed{
		Schema: "stemma.index/v1", Repository: r.Repository, Branch: r.Branch, Index: b.place(),
		Moved: r.Moved, Unrecorded: r.Unrecorded, Added: r.Added, Redone: r.Redone, Removed: r.Removed,
		Unreached: r.Unreached, Absent: r.Absent, BrokenRefs: append([]string{}, r.BrokenRefs...),
		Unread:  append([]string{}, r.Unread...),
		Shallow: len(b.repo.Shallow()), Partial: b.repo.Partial(),
		AgentEra: lineage.Time(b.settings.AgentEra), Generated: append([]string{}, b.settings.Generated...),
	}
	if out.Coverage, err = b.coverage(ctx); err != nil {
		return err
	}
	out.Seconds = time.Since(began).Seconds()
	if o.json {
		return printJSON(o.out, out)
	}
	p, err := o.painter()
	if err != nil {
		return err
	}
	printIndexed(o.out, p, out)
	return nil
}

func printIndexed(w io.Writer, p painter, x indexed) {
	e := x.Coverage.Evidence
	did := fmt.Sprintf("%s new", count(x.Added))
	if x.Redone > 0 {
		did += fmt.Sprintf(", %s derived again", count(x.Redone))
	}
	if x.Removed > 0 {
		did += fmt.Sprintf(", %s gone", count(x.Removed))
	}
	fmt.Fprintf(w, "%s commits on branches and tags (%s), %s of them merges, in %.1f s; changes enter %s\n",
		p.bold(count(e.Commits)), did, count(e.Merges), x.Seconds, plain(x.Branch))
	if x.Shallow > 0 {
		fmt.Fprintf(w, "shallow clone: the parents of %s commits are missing here, so what those added is not known\n", count(x.Shallow))
	}
	if x.Partial != "" {
		fmt.Fprintf(w, "partial clone (filter %s): objects that are missing here are not fetched\n", plain(x.Partial))
	}
	printTotal(w, p, x.Coverage.Total)
	printEvidence(w, p, e)
	if x.Absent > 0 {
		fmt.Fprintf(w, "  %-34s %s\n", count(x.Absent)+" commits with evidence", "are not in this repository: what was rewritten from them can not be told")
	}
	for source, n := range x.Unreached {
		if n > 0 {
			fmt.Fprintf(w, "  %-34s %s\n", count(n)+" "+plain(source)+" records", "on commits that no branch or tag reaches: not counted")
		}
	}
	for _, ref := range x.Unread {
		fmt.Fprintf(w, "  seen, but not read: %s\n", plain(ref))
	}
	for _, ref := range x.BrokenRefs {
		fmt.Fprintf(w, "  broken ref %s\n", plain(ref))
	}
	fmt.Fprintf(w, "\nlines committed before %s with no evidence are a person's, by inference", x.AgentEra[:10])
	if len(x.Generated) > 0 {
		fmt.Fprintf(w, "; generated by your patterns: %q", x.Generated)
	}
	fmt.Fprintln(w)
}

// printTotal prints lines by class with the bounds of the AI share.
func printTotal(w io.Writer, p painter, t lineage.Group) {
	fmt.Fprintf(w, "\n%s lines added\n", p.bold(count(t.Lines.Added)))
	printClasses(w, p, t.Lines, t.AI)
}

// printClasses prints lines by class, and the share of AI.
func printClasses(w io.Writer, p painter, lines lineage.Lines, ai *lineage.Share) {
	for _, c := range stemma.Classes {
		n := lines.Of(c)
		fmt.Fprintf(w, "  %s %12s  %5s\n", p.class(c, fit(string(c), 10)), count(n), ratio(n, lines.Added))
	}
	if ai != nil {
		fmt.Fprintf(w, "  AI share of written lines: %s", p.bold(percent(ai)))
		if lines.Unknown > 0 {
			fmt.Fprint(w, "  (the upper bound counts every unknown line as AI's)")
		}
		fmt.Fprintln(w)
	}
}

// printEvidence prints where the classes come from and why lines are unknown.
func printEvidence(w io.Writer, p painter, e lineage.Explanation) {
	fmt.Fprintf(w, "\n%s of %s commits have evidence (%s), %s sessions\n",
		p.bold(count(e.WithEvidence)), count(e.Commits), ratio(e.WithEvidence, e.Commits), count(e.Sessions))
	for _, s := range e.Sources {
		fmt.Fprintf(w, "  source %-18s %8s commits  %10s lines AI", plain(s.Source), count(s.Commits), count(s.Lines.AI+s.Lines.AIEdited))
		if s.Took > 0 {
			fmt.Fprintf(w, "  %s sessions took part, lines not told", count(s.Took))
		}
		if s.Differ > 0 {
			fmt.Fprintf(w, "  differs from others on %s lines", count(s.Differ))
		}
		if s.Outside > 0 {
			fmt.Fprintf(w, "  %s lines claimed that the commits did not add", count(s.Outside))
		}
		fmt.Fprintln(w)
	}
	if e.Rewritten > 0 {
		fmt.Fprintf(w, "  %s commits have lines of commits that they are rewrites of\n", count(e.Rewritten))
	}
	for _, t := range e.Rewrites {
		fmt.Fprintf(w, "    %-21s %8s commits  %10s lines\n", "by "+t.Rule, count(t.Commits), count(t.Lines))
	}
	if e.Gone > 0 {
		fmt.Fprintf(w, "    %s of these lines came by commits that are gone since: a rebuild would not find them again\n", count(e.Gone))
	}
	printOwners(w, "agent", e.Agents)
	printOwners(w, "model", e.Models)
	total := 0
	for _, n := range e.Unknown {
		total += n
	}
	if total+len(e.Unreadable)+len(e.Problems) == 0 {
		return
	}
	fmt.Fprintf(w, "\nnot explained\n")
	for _, reason := range []string{lineage.ReasonCandidate, lineage.ReasonConflict, lineage.ReasonAmbiguous, lineage.ReasonNoEvidence} {
		if n := e.Unknown[reason]; n > 0 {
			fmt.Fprintf(w, "  %12s lines  %s\n", count(n), reason)
		}
	}
	printUnreadable(w, "commits could not be read; once their objects are here, run stemma index --rebuild", e.Unreadable)
	printUnreadable(w, "pieces of evidence could not be read whole", e.Problems)
}

func printOwners(w io.Writer, what string, owners []lineage.OwnerTotal) {
	const most = 12
	for i, t := range owners {
		if i == most {
			fmt.Fprintf(w, "  and %d more %ss (--json lists all)\n", len(owners)-most, what)
			return
		}
		fmt.Fprintf(w, "  %-6s %-34s %7s commits  %10s lines AI", what, fit(plain(t.Name), 34), count(t.Commits), count(t.Lines))
		if t.Candidate > 0 {
			fmt.Fprintf(w, "  %10s it may have written", count(t.Candidate))
		}
		fmt.Fprintln(w)
	}
}

func printUnreadable(w io.Writer, what string, all []lineage.Unreadable) {
	const most = 5
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(w, "  %12s %s\n", count(len(all)), what)
	for i, u := range all {
		if i == most {
			fmt.Fprintf(w, "               and %d more (--json lists all)\n", len(all)-most)
			return
		}
		fmt.Fprintf(w, "               %s  %s\n", short(u.Commit), fit(plain(u.Reason), min(100, len([]rune(u.Reason)))))
	}
}
