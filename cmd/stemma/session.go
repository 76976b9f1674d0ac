package main

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
)

func newSession(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "session",
		Short: "Sessions of coding agents: what each did, and the tree of them",
		Long: `A session is one run of a coding agent. Where "stemma init" has installed hooks,
"stemma sync" tells sessions while they go on. Those of before come from transcripts
that the agents keep on this machine: "stemma session import" reads them, when you
want it to. What is recorded of a session is signed and logged, and holds no prompt
and no code; prompts and answers are kept redacted and encrypted in the vault,
where "stemma erase" forgets them.

doc/agents.md says which agent's transcripts tell what.`,
		Example: `  stemma session import --dry-run      # what would be read
  stemma session list --since 30d      # what was done
  stemma session show 0b5e6c1a         # one session, turn by turn
  stemma session tree                  # planners, workers, reviewers
  stemma session search SHOP-42`,
	}
	cmd.AddCommand(newSessionImport(o), newSessionList(o), newSessionShow(o), newSessionTree(o), newSessionSearch(o), newSessionEnv(o))
	return cmd
}

// sessionRow is a session in a list (part of schema stemma.sessions/v1).
type sessionRow struct {
	Session  string       `json:"session"` // agent/id
	Agent    string       `json:"agent"`
	Version  string       `json:"agent_version"`
	Start    string       `json:"start"` // RFC 3339, UTC; "" where it is not told
	End      string       `json:"end"`
	Parent   string       `json:"parent"` // "" where none is known
	Models   []string     `json:"models"`
	Turns    int          `json:"turns"`
	Prompts  int          `json:"prompts"` // of people
	Calls    int          `json:"calls"`
	Usage    *agent.Usage `json:"usage"` // null where it is not told
	TaskType string       `json:"task_type"`
	Rewrites int          `json:"rewrites"`
	Tickets  []string     `json:"tickets"`
	Branch   string       `json:"branch"`
	Commits  []string     `json:"commits"` // that hold what it wrote, as evidence of lines tells or its content
	Gaps     int          `json:"gaps"`
	Config   int          `json:"config_files"` // that configured it, as far as it is known; 0 is not known

	// wrote are the commits of which evidence gives lines to it, as they were at
	// the moment of the graph that is remembered with all rows.
	wrote []string
}

func rowOf(t agent.Tale) sessionRow {
	s := &t.Session
	r := sessionRow{
		Session: t.Key, Agent: s.Agent, Version: s.Version, Start: when(s.Start), End: when(s.End),
		Models: modelsOf(s), Turns: len(s.Turns), Usage: s.Usage(), Branch: s.Base.Branch,
		Tickets: append([]string{}, t.Tickets...), Commits: []string{}, Gaps: t.Missing, Config: len(t.Config),
	}
	if s.Parent != nil {
		r.Parent = s.Parent.Agent + "/" + s.Parent.Session
	}
	for _, turn := range s.Turns {
		r.Calls += len(turn.Calls)
		if turn.Origin == agent.FromPerson {
			r.Prompts++
		}
	}
	for _, g := range s.Gaps {
		r.Gaps += g.Count
	}
	if t.Derived != nil {
		r.TaskType, r.Rewrites = t.Derived.Task.Type, t.Derived.Iterations.Rewrites
	}
	for _, c := range t.Commits {
		r.Commits = append(r.Commits, c.Commit)
	}
	return r
}

// modelsOf gives the keys of the models that worked in a session, in the order of
// their first turns; never nil.
func modelsOf(s *agent.Session) []string {
	keys := []string{}
	for _, turn := range s.Turns {
		for _, m := range turn.Models {
			if key := m.Model.Key(); key != "" && !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	if s.Total != nil && s.Total.Model.Known() && len(keys) == 0 {
		keys = append(keys, s.Total.Model.Key())
	}
	return keys
}

// modelIDs are models as people read them: without their providers.
func modelIDs(keys []string) string {
	ids := make([]string, len(keys))
	for i, key := range keys {
		_, ids[i], _ = strings.Cut(key, "/")
	}
	return plain(strings.Join(ids, " "))
}

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// sessionFlags are the filters of list and search.
type sessionFlags struct {
	agents, models, tickets, tasks []string
	since, until                   string
	roots                          bool
	limit                          int

	from, to int64
}

func (f *sessionFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringArrayVar(&f.agents, "agent", nil, "sessions of this `agent`: claude-code, codex, ...; may have * and ?")
	fs.StringArrayVar(&f.models, "model", nil, "sessions in which this `model` worked (provider/id or id); may have * and ?")
	fs.StringArrayVar(&f.tickets, "ticket", nil, "sessions whose prompts name this `ticket`")
	fs.StringArrayVar(&f.tasks, "task-type", nil, "sessions of this `type` of task: feature, bugfix, security, ...")
	fs.StringVar(&f.since, "since", "", "sessions that ended after this `date`, in git's words or as 30d, 2w, 6m, 1y")
	fs.StringVar(&f.until, "until", "", "sessions that began before this `date`")
	fs.BoolVar(&f.roots, "roots", false, "leave out sessions that others spawned")
	fs.IntVarP(&f.limit, "max-count", "n", 0, "at most this `number` of sessions")
}

// prepare reads the dates.
func (f *sessionFlags) prepare(ctx context.Context, b *bench) (err error) {
	if f.limit < 0 {
		return fmt.Errorf("--max-count %d: want a number: %w", f.limit, stemma.ErrInvalid)
	}
	if f.since != "" {
		if f.from, err = b.date(ctx, f.since, false); err != nil {
			return fmt.Errorf("--since: %w", err)
		}
	}
	if f.until != "" {
		if f.to, err = b.date(ctx, f.until, true); err != nil {
			return fmt.Errorf("--until: %w", err)
		}
	}
	return nil
}

// chosen gives the first of the rows that the filters choose, up to the limit.
func (f *sessionFlags) chosen(rows []sessionRow) []*sessionRow {
	takes := f.filter()
	all := []*sessionRow{}
	for i := range rows {
		if f.limit > 0 && len(all) == f.limit {
			break
		}
		if takes(&rows[i]) {
			all = append(all, &rows[i])
		}
	}
	return all
}

// filter gives the filters as one. What it finds of a name it remembers: few
// names stand in many rows.
func (f *sessionFlags) filter() func(*sessionRow) bool {
	agents, tickets, tasks := oneOf(f.agents), oneOf(f.tickets), oneOf(f.tasks)
	models := oneOf(f.models)
	model := func(key string) bool {
		_, id, _ := strings.Cut(key, "/")
		return models(key) || models(id)
	}
	return func(r *sessionRow) bool {
		return (!f.roots || r.Parent == "") &&
			(f.agents == nil || agents(r.Agent)) &&
			(f.tasks == nil || tasks(r.TaskType)) &&
			(f.models == nil || slices.ContainsFunc(r.Models, model)) &&
			(f.tickets == nil || slices.ContainsFunc(r.Tickets, tickets)) &&
			(f.from == 0 || seconds(r.End) >= f.from) &&
			(f.to == 0 || r.Start != "" && seconds(r.Start) <= f.to)
	}
}

// seconds gives the time of a row, 0 where there is none.
func seconds(s string) int64 {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return 0
	}
	return t.Unix()
}

// oneOf reports of a name whether one of the patterns fits it.
func oneOf(patterns []string) func(string) bool {
	seen := make(map[string]bool)
	return func(name string) bool {
		is, ok := seen[name]
		if !ok {
			is = slices.ContainsFunc(patterns, func(p string) bool { return like(p, name) })
			seen[name] = is
		}
		return is
	}
}

// like reports whether a name is what a pattern with * and ? says, whatever the
// case of its letters.
func like(pattern, name string) bool {
	return wildcard([]rune(strings.ToLower(pattern)), []rune(strings.ToLower(name)))
}

func wildcard(pattern, name []rune) bool {
	star, from := -1, 0
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]) && pattern[p] != '*':
			p, n = p+1, n+1
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
		case star >= 0:
			from++
			p, n = star+1, from
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// sessions is what `stemma session list --json` prints.
type sessions struct {
	Schema   string        `json:"schema"` // stemma.sessions/v1
	Sessions []*sessionRow `json:"sessions"`
}

func newSessionList(o *options) *cobra.Command {
	var f sessionFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List sessions, newest first",
		Long: `Lists the sessions of this repository, newest first. Filters of different kinds
must all hold; several of one kind are alternatives.

Columns: begin, agent, models, prompts of people, calls of tools, tokens the
models gave out, type of task, commits that hold what it wrote, id.`,
		Example: `  stemma session list --model 'claude-opus-*' --since 30d
  stemma session list --ticket SHOP-42 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			b, err := o.ready(ctx)
			if err != nil {
				return err
			}
			defer b.close()
			if err := f.prepare(ctx, b); err != nil {
				return err
			}
			known, err := b.rowsKnown(ctx)
			if err != nil {
				return err
			}
			return o.listSessions(ctx, b, known, f)
		},
	}
	f.add(cmd)
	return cmd
}

func (o *options) listSessions(ctx context.Context, b *bench, known rememberedRows, f sessionFlags) error {
	rows := f.chosen(known.Rows)
	if err := b.joinCommits(ctx, rows, known); err != nil {
		return err
	}
	if o.json {
		return printJSON(o.out, sessions{"stemma.sessions/v1", rows})
	}
	p, err := o.painter()
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(o.out, 64<<10)
	defer out.Flush()
	for _, r := range rows {
		o.printRow(out, p, r)
	}
	if len(rows) == 0 {
		fmt.Fprintln(o.err, "stemma: no session is known that matches; stemma session import --dry-run says what transcripts there are")
	}
	return nil
}

func (o *options) printRow(out *bufio.Writer, p painter, r *sessionRow) {
	begin := "-"
	if len(r.Start) >= 16 {
		begin = r.Start[:10] + " " + r.Start[11:16]
	}
	tokens := "-"
	if r.Usage != nil {
		tokens = count(int(r.Usage.Output))
	}
	_, id, _ := strings.Cut(r.Session, "/")
	fmt.Fprintf(out, "%s  %s  %s  %11s  %11s  %9s tokens  %-8s  %10s  %s\n", fit(begin, 16), fit(plain(r.Agent), 12),
		fit(dash(modelIDs(r.Models)), 28), number(r.Prompts, "prompt"), number(r.Calls, "call"), tokens, dash(r.TaskType), number(len(r.Commits), "commit"), p.in("33", plain(id)))
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// findSession gives the place of the session whose id begins with what the user
// wrote, agent/id or id alone.
func findSession(keys []string, wanted string) (int, error) {
	var found []int
	for i, key := range keys {
		_, id, _ := strings.Cut(key, "/")
		if key == wanted || id == wanted {
			return i, nil
		}
		if strings.HasPrefix(key, wanted) || strings.HasPrefix(id, wanted) {
			found = append(found, i)
		}
	}
	// A session and those that it spawned begin alike: the shortest is it.
	slices.SortFunc(found, func(a, b int) int { return len(keys[a]) - len(keys[b]) })
	switch {
	case len(found) == 0:
		return 0, hinted{fmt.Errorf("session %q: %w", wanted, stemma.ErrNotFound), "stemma session list says which are known; stemma session import reads transcripts"}
	case len(found) > 1 && !strings.HasPrefix(keys[found[1]], keys[found[0]]+"/"):
		return 0, hinted{fmt.Errorf("session %q: %d sessions begin so: %w", wanted, len(found), stemma.ErrInvalid), "write more of the id"}
	}
	return found[0], nil
}

func newestFirst(rows []sessionRow) {
	slices.SortStableFunc(rows, newer)
}

// newer orders rows, the newest first.
func newer(a, b sessionRow) int {
	if a.Start != b.Start {
		return strings.Compare(b.Start, a.Start)
	}
	return strings.Compare(a.Session, b.Session)
}
