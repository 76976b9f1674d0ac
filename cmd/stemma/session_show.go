package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/lineage"
)

// sessionShown is what `stemma session show --json` prints.
type sessionShown struct {
	Schema  string                `json:"schema"` // stemma.session/v1
	Row     sessionRow            `json:"session"`
	Session *agent.Session        `json:"told"`    // as the statements tell it, or with its texts
	Derived *agent.Derived        `json:"derived"` // null where it is not told
	Commits []agent.DeltaCommit   `json:"commits"`
	Wrote   []wroteRow            `json:"wrote"` // lines of commits, as evidence of lines tells
	Related []agent.DeltaRelation `json:"related"`
	Config  []agent.ConfigDigest  `json:"config"`
	Parts   int                   `json:"parts"`
	Missing int                   `json:"parts_missing"`
	Shown   []accessShown         `json:"shown_to"`
	Taken   []kin                 `json:"related_by"` // sessions that took up what this one had said or done
	Cited   []agent.Citation      `json:"cited"`      // that prompts name
	// Tools counts calls by the tool's name, by the index of the turn.
	Tools map[int]map[string]int `json:"tools"`
	Drift *lineage.Drift         `json:"drift"` // null where there is nothing to compare with
}

// accessShown is somebody else who was shown the prompts of a session.
type accessShown struct {
	Time   string `json:"time"`
	By     string `json:"by"` // pseudonym
	Reason string `json:"reason"`
}

func newSessionShow(o *options) *cobra.Command {
	var prompts, timeline, config bool
	var reason string
	cmd := &cobra.Command{
		Use:   "show <session>",
		Short: "Show one session, turn by turn",
		Long: `Shows what is known of one session: agent and models, what it was for, its
turns with calls, decisions, tests and files, the commits that hold what it
wrote, and what could not be read. The session is named by the beginning of its
id.

With --prompts, prompts and answers are shown as the vault keeps them, redacted.
Those of another person are shown with a --reason alone, and a signed statement
in the log says first that you asked, and why: whoever owns the session sees it
here. With --config, the rules, settings, hooks, servers and skills that the
session ran with are shown in the same way, with the difference to the session
of the agent before it.

With --timeline, the changes that the session took part in are shown in the order
of time: their commits, of people too, and between them the turns of all sessions
of the commits and of the session's tree, and what sessions of one team said to
one another. Of a session without a commit it is its tree. Sessions that content
joins with a commit count from a confidence of one half.`,
		Example: "  stemma session show 0b5e6c1a\n  stemma session show 0b5e6c1a --prompts\n  stemma session show 0b5e6c1a --config\n  stemma session show 0b5e6c1a --timeline",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			b, err := o.ready(ctx)
			if err != nil {
				return err
			}
			defer b.close()
			o.project(ctx, b)
			t, err := b.findTale(ctx, args[0])
			if err != nil {
				return err
			}
			if timeline {
				return o.showTimeline(ctx, b, t)
			}
			if config {
				return o.showConfig(ctx, b, t, reason)
			}
			return o.showSession(ctx, b, t, prompts, reason)
		},
	}
	cmd.Flags().BoolVar(&prompts, "prompts", false, "show prompts and answers, from the vault")
	cmd.Flags().StringVar(&reason, "reason", "", "with --prompts or --config: why you ask for those of another person, in `words` that name nobody")
	cmd.Flags().BoolVar(&config, "config", false, "show what configured the session, and how that differs from the session before it")
	cmd.Flags().BoolVar(&timeline, "timeline", false, "show all sessions that belong together, and their commits, by time")
	return cmd
}

func (o *options) showSession(ctx context.Context, b *bench, t agent.Tale, prompts bool, reason string) error {
	s := &t.Session
	if reason != "" && !prompts {
		return hinted{fmt.Errorf("--reason: %w", stemma.ErrInvalid), "it is what --prompts or --config are asked for with"}
	}
	if prompts {
		whole, err := b.content(ctx, t, reason)
		switch {
		case errors.Is(err, stemma.ErrNotFound):
			fmt.Fprintf(o.err, "stemma: the prompts of this session are not kept or were erased\n")
		case err != nil:
			return err
		default:
			s = &whole
		}
	}
	shown, err := b.shownTo(ctx, t.Key)
	if err != nil {
		return err
	}
	taken, err := b.takenUp(ctx, t.Key)
	if err != nil {
		return err
	}
	drift, err := b.drift(ctx, t)
	if err != nil {
		return err
	}
	wrote, err := b.wrote(ctx, []string{t.Key})
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(o.out, sessionShown{"stemma.session/v1", rowOf(t), s, t.Derived, append([]agent.DeltaCommit{}, t.Commits...), append([]wroteRow{}, wrote[t.Key]...), append([]agent.DeltaRelation{}, t.Related...), append([]agent.ConfigDigest{}, t.Config...), t.Parts, t.Missing, shown, append([]kin{}, taken...), append([]agent.Citation{}, t.Cited...), t.Tools, drift})
	}
	p, err := o.painter()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(o.out)
	defer out.Flush()
	showHead(out, p, t, taken)
	for _, w := range wrote[t.Key] {
		fmt.Fprintf(out, "wrote    %s  %s\n", p.in("33", short(w.Commit)), w.text())
	}
	for _, a := range shown {
		fmt.Fprintf(out, "shown    to %s at %s: %s\n", plain(a.By), plain(a.Time), plain(a.Reason))
	}
	for _, turn := range s.Turns {
		showTurn(out, p, turn, t.Outcomes[turn.Index], t.Decisions[turn.Index], prompts)
	}
	for _, g := range t.Session.Gaps {
		fmt.Fprintf(out, "gap      %s: %s (%d, %d bytes)\n", g.Kind, plain(g.Reason), g.Count, g.Bytes)
	}
	if t.Missing > 0 {
		fmt.Fprintf(out, "gap      %d parts of what was told of it are missing\n", t.Missing)
	}
	if drift != nil {
		for _, line := range driftLines(*drift) {
			fmt.Fprintf(out, "drift    %s\n", line)
		}
	}
	return nil
}

// shownTo gives who else was shown the prompts of a session.
func (b *bench) shownTo(ctx context.Context, session string) ([]accessShown, error) {
	all, err := b.accesses(ctx, session)
	if err != nil {
		return nil, err
	}
	shown := []accessShown{}
	for _, a := range all {
		shown = append(shown, accessShown{a.Observed, a.By.ID, a.Reason})
	}
	return shown, nil
}

func showHead(out io.Writer, p painter, t agent.Tale, taken []kin) {
	r := rowOf(t)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(out, "%-8s %s\n", name, value)
		}
	}
	line("session", p.bold(plain(t.Key)))
	line("agent", plain(strings.TrimSpace(stemma.AgentName(r.Agent)+" "+r.Version)))
	line("models", plain(strings.Join(r.Models, ", ")))
	if r.Start != "" {
		line("time", r.Start+" to "+r.End)
	}
	if sp := t.Session.Parent; sp != nil {
		line("parent", plain(r.Parent)+" ("+plain(cmp.Or(sp.Role, "no role"))+"; "+plain(sp.Method)+")")
	}
	line("base", plain(strings.TrimSpace(t.Session.Base.Branch+" "+t.Session.Base.Commit)))
	if u := r.Usage; u != nil {
		text := fmt.Sprintf("%s tokens in, %s from cache, %s to cache, %s out", count(int(u.Input)), count(int(u.CacheRead)), count(int(u.CacheWrite)), count(int(u.Output)))
		if u.Cost != nil {
			text += fmt.Sprintf(", $%.4f as the tool says", float64(*u.Cost)/1e6)
		}
		line("used", text)
	}
	if d := t.Derived; d != nil {
		if d.Task.Type != "" {
			line("task", d.Task.Type+" (inferred: "+d.Task.Method+")")
		}
		line("worked", workedText(*d))
	}
	line("tickets", plain(strings.Join(t.Tickets, ", ")))
	var cited []string
	for _, c := range t.Cited {
		cited = append(cited, c.Kind+" "+plain(c.Key))
	}
	line("names", strings.Join(cited, ", "))
	for _, c := range t.Commits {
		line("commit", fmt.Sprintf("%s  holds %d of its lines, of %d that tell (inferred: %s, confidence %.2f)", p.in("33", short(c.Commit)), c.Lines, c.Of, plain(c.Method), c.Confidence))
	}
	for _, r := range t.Related {
		line(r.Kind, kin(r).text())
	}
	for _, r := range taken {
		line(passive(r.Kind), r.text())
	}
	if len(t.Config) > 0 {
		line("config", fmt.Sprintf("%d files, by digest", len(t.Config)))
	}
	line("vantage", string(t.Vantage)+", claimed")
}

func showTurn(out io.Writer, p painter, t *agent.Turn, outcomes map[agent.Outcome]int, decided map[agent.Decision]int, prompts bool) {
	var parts []string
	kinds := make(map[agent.Kind]int)
	added, removed := 0, 0
	files := make(map[string]bool)
	var tests []string
	for _, c := range t.Calls {
		kinds[c.Kind]++
		if c.Test != nil {
			tests = append(tests, c.Test.Tool+" "+cmp.Or(c.Test.Result, "?"))
		}
		if c.Kind == agent.KindEdit && (c.Outcome == agent.OutcomeOK || c.Outcome == "") {
			for _, f := range c.Files {
				files[f.Path] = true
				added, removed = added+f.Added, removed+f.Removed
			}
		}
	}
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		parts = append(parts, fmt.Sprintf("%d %s", kinds[k], k))
	}
	if n := outcomes[agent.OutcomeError]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", n))
	}
	for _, d := range slices.Sorted(maps.Keys(decided)) {
		parts = append(parts, fmt.Sprintf("%d %s", decided[d], d))
	}
	if len(files) > 0 {
		parts = append(parts, fmt.Sprintf("+%d -%d in %s", added, removed, number(len(files), "file")))
	}
	if len(tests) > 0 {
		parts = append(parts, "tests: "+strings.Join(slices.Compact(tests), ", "))
	}
	if t.Interrupted {
		parts = append(parts, "interrupted")
	}
	start := ""
	if !t.Start.IsZero() {
		start = t.Start.UTC().Format("2006-01-02 15:04:05")
	}
	fmt.Fprintf(out, "%s  %s  %s  %s\n", p.in("33", fmt.Sprintf("turn %-3d", t.Index)), fit(start, 19), fit(dash(string(t.Origin)), 7), plain(strings.Join(parts, ", ")))
	if prompts {
		for _, text := range []struct {
			who  string
			text *agent.Text
		}{{"prompt", t.Prompt}, {"answer", t.Answer}} {
			if text.text == nil || text.text.Text == "" {
				continue
			}
			fmt.Fprintf(out, "  %s\n%s", p.faint(text.who), paragraph(text.text.Text, "    "))
			if text.text.Cut {
				fmt.Fprintf(out, "    (the first of %d bytes)\n", text.text.Size)
			}
		}
	}
}
