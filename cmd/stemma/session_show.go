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
	"time"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/lineage"
	"github.com/stemma-dev/stemma/internal/store"
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

With --timeline, the turns of all sessions of its tree and of its commits, and
what sessions of one team said to one another, are shown in the order of time,
between the commits.`,
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
				all, err := b.allTales(ctx)
				if err != nil {
					return err
				}
				return o.showTimeline(ctx, b, all, t)
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

// moment is something on a timeline.
type moment struct {
	Time    string `json:"time"`
	Session string `json:"session,omitempty"`
	Turn    int    `json:"turn,omitempty"`
	To      string `json:"to,omitempty"` // of a message: the session that was told
	Commit  string `json:"commit,omitempty"`
	What    string `json:"what"`
	at      time.Time
}

// showTimeline interleaves the sessions that belong together with their commits.
func (o *options) showTimeline(ctx context.Context, b *bench, all []agent.Tale, t agent.Tale) error {
	commits, err := b.commitsOf(ctx, []string{t.Key}, t)
	if err != nil {
		return err
	}
	keys := map[string]bool{t.Key: true}
	if root := rootOf(all, t.Key); root != nil {
		root.Each(func(n *agent.Node) { keys[n.Key] = true })
	}
	for _, other := range all {
		mine, err := b.commitsOf(ctx, []string{other.Key}, other)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(mine, func(c string) bool { return slices.Contains(commits, c) }) {
			keys[other.Key] = true
		}
	}
	exchanges := agent.Exchanges(sessionsIn(all))
	for _, peer := range agent.Peers(exchanges, keys) {
		keys[peer] = true
	}
	var moments []moment
	for _, e := range exchanges {
		if !keys[e.From] && !keys[e.To] {
			continue
		}
		for _, m := range e.Messages {
			moments = append(moments, moment{Session: e.From, To: e.To, at: m.Time, Time: when(m.Time), What: messageText(m)})
		}
	}
	for _, other := range all {
		if !keys[other.Key] {
			continue
		}
		for _, turn := range other.Session.Turns {
			added := 0
			for _, c := range turn.Calls {
				for _, f := range c.Files {
					added += f.Added
				}
			}
			moments = append(moments, moment{
				Session: other.Key, Turn: turn.Index, at: turn.Start, Time: when(turn.Start),
				What: fmt.Sprintf("%s, %d calls, +%d lines", dash(string(turn.Origin)), len(turn.Calls), added),
			})
		}
	}
	for _, id := range commits {
		c, err := b.repo.Commit(ctx, id)
		if err != nil {
			continue // known from a rewrite that is gone
		}
		at := time.Unix(c.Committer.Time, 0)
		title, _, _ := strings.Cut(strings.TrimSpace(string(c.Message)), "\n")
		moments = append(moments, moment{Commit: id, at: at, Time: when(at), What: strings.ToValidUTF8(title, "\uFFFD")})
	}
	slices.SortStableFunc(moments, func(a, b moment) int { return a.at.Compare(b.at) })
	if o.json {
		return printJSON(o.out, struct {
			Schema   string   `json:"schema"`
			Timeline []moment `json:"timeline"`
		}{"stemma.timeline/v1", append([]moment{}, moments...)})
	}
	p, err := o.painter()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(o.out)
	defer out.Flush()
	for _, m := range moments {
		who := plain(m.Session) + fmt.Sprintf(" turn %d", m.Turn)
		if m.To != "" {
			who = plain(m.Session) + " -> " + plain(m.To)
		}
		if m.Commit != "" {
			who = p.in("33", "commit "+short(m.Commit))
		}
		fmt.Fprintf(out, "%s  %s  %s\n", fit(dash(m.Time), 20), who, plain(m.What))
	}
	return nil
}

// messageText is a message between sessions without its words.
func messageText(m agent.Message) string {
	size := int64(0)
	if m.Text != nil {
		size = m.Text.Size
	}
	return fmt.Sprintf("%s, %s", cmp.Or(m.Kind, "message"), number(int(size), "byte"))
}

// commitsOf gives the commits of sessions: those that evidence names, and those
// that hold what they wrote.
func (b *bench) commitsOf(ctx context.Context, keys []string, t agent.Tale) ([]string, error) {
	var all []string
	for _, c := range t.Commits {
		all = append(all, c.Commit)
	}
	var ids []stemma.NodeID
	for _, key := range keys {
		ids = append(ids, stemma.NodeID{Kind: stemma.KindSession, Key: key})
	}
	for e, err := range b.store.Edges(ctx, store.EdgeQuery{To: ids, Kinds: []stemma.EdgeKind{stemma.EdgeWrittenBy}}) {
		if err != nil {
			return nil, err
		}
		if !slices.Contains(all, e.From.Key) {
			all = append(all, e.From.Key)
		}
	}
	return all, nil
}

// rootOf gives the root of the tree that a session is in.
func rootOf(all []agent.Tale, key string) *agent.Node {
	var found *agent.Node
	for _, root := range agent.Forest(sessionsIn(all)) {
		root.Each(func(n *agent.Node) {
			if n.Key == key {
				found = root
			}
		})
	}
	return found
}

func sessionsIn(all []agent.Tale) []agent.Session {
	list := make([]agent.Session, 0, len(all))
	for _, t := range all {
		list = append(list, t.Session)
	}
	return list
}
