package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/lineage"
)

// logFlags are the filters of the command line; the search string has the same.
type logFlags struct {
	models, agents, sessions, sources, paths []string
	tasks, tools, configs, iterations        []string
	class, since, until, minAI, maxAI        string
	limit                                    int
	turns                                    bool
}

func newLog(o *options) *cobra.Command {
	var f logFlags
	cmd := &cobra.Command{
		Use:   "log [search]",
		Short: "List changes by model, agent, session, task, tool, path, class or share of AI",
		Long: `Lists the changes that entered the default branch, newest first: its first-parent
commits with the commits they brought. A filter may be given as a flag or as a
term of a search string; different filters must all hold, several of one kind
are alternatives. Names of models, agents, sessions and sources may have * and ?;
a path is a file, a folder, or a pattern in which ** crosses slashes (src/**/*.go),
seen from the current folder (:/path from the top). ai:>50% asks for more than
half, ai:>=50% for half or more, ai:<50% for certainly less.

A change is listed for a model when a session with that model wrote lines of it,
or took part in it without anything saying which lines are its: the column AI
then shows bounds. Unknown lines are never counted as a person's.

Columns: commit, date, lines added, share of AI (low-high, where high counts
every unknown line as AI's), models, title; and sessions that only their content
joins with the change, with the confidence: [inferred: claude-code/0b5e 0.95].

Sessions whose transcripts were read (stemma session import) can be asked for by
more. One session must be all that is asked for:
  --task-type  what it was for, which is inferred: feature, bugfix, security, ...
  --tool       a tool that it called: by name as the agent has it (Bash, Edit,
               apply_patch), or what it does (read, edit, search, run, fetch,
               spawn, plan, ask, skill, mcp), whatever the agent calls it. The
               agent itself, Claude Code or Codex, is asked for with --agent.
  --config     what configured it: the beginning of the SHA-256 of a file, its
               path (.claude/settings.json), or its name (CLAUDE.md)

--iterations asks for what a change took: prompts of people, rewrites of lines
that the same session had written and not yet committed, rounds of failing and
fixing CI, rounds of review. '>3' is any of them; 'prompts<2' names one (prompts,
rewrites, ci, reviews). What is not known is never less than a number: ci and
reviews are known of no change, because no source of them is read. Sessions that
only their content joins count from a confidence of 0.5 on.

--turns shows below each change its sessions, with the turns that wrote its files.`,
		Example: `  stemma log --model 'claude-opus-4*' --since '30 days ago'
  stemma log 'model:claude-opus-4* since:30d ai:>50% path:src/'
  stemma log --session ac145480-4381-452f-9efd-3d60cf78cbbe --turns
  stemma log --task-type security --iterations '>3'
  stemma log --config CLAUDE.md --tool run
  stemma log --class unknown --since 2026-01-01 --json`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			b, err := o.ready(ctx)
			if err != nil {
				return err
			}
			defer b.close()
			q, err := f.query(ctx, b, o.path, strings.Join(args, " "))
			if err != nil {
				return err
			}
			for _, bound := range q.Iterations {
				if why := bound.Unknowable(); why != "" {
					o.warn(fmt.Sprintf("--iterations: %s is known of no change: %s", bound.Count, why))
				}
			}
			o.project(ctx, b)
			return o.log(ctx, b, q)
		},
	}
	fs := cmd.Flags()
	fs.StringArrayVar(&f.models, "model", nil, "changes with lines of, or a part taken by, this `model` (provider/id or id)")
	fs.StringArrayVar(&f.agents, "agent", nil, "changes with this `agent`: claude-code, codex, cursor, ...")
	fs.StringArrayVar(&f.sessions, "session", nil, "changes with this session `id`")
	fs.StringArrayVar(&f.sources, "source", nil, "changes with evidence from this `source`: "+strings.Join(sourceNames(), ", "))
	fs.StringArrayVar(&f.paths, "path", nil, "changes that touch this file, folder or pattern `path`")
	fs.StringArrayVar(&f.tasks, "task-type", nil, "changes with a session that was for this `type` of task: "+strings.Join(lineage.TaskTypes, ", "))
	fs.StringArrayVar(&f.tools, "tool", nil, "changes with a session that called this `tool`: Bash, Edit, ..., or a kind of call: run, edit, ... (for Claude Code or Codex: --agent)")
	fs.StringArrayVar(&f.configs, "config", nil, "changes with a session that this `file` configured: its name, its path, or the beginning of its SHA-256")
	fs.StringArrayVar(&f.iterations, "iterations", nil, "changes that took so much: '>3', or a `condition` on prompts, rewrites, ci or reviews: 'rewrites>=2'")
	fs.BoolVar(&f.turns, "turns", false, "show the sessions of each change with their turns that wrote its files")
	fs.StringVar(&f.class, "class", "", "changes with lines of this `class`: ai, ai-edited, human, generated, unknown")
	fs.StringVar(&f.minAI, "min-ai", "", "changes with at least this proven `share` of AI: 50%, or 0.5")
	fs.StringVar(&f.maxAI, "max-ai", "", "changes with certainly less than this `share` of AI")
	fs.StringVar(&f.since, "since", "", "changes after this `date`, in git's words or as 30d, 2w, 6m, 1y")
	fs.StringVar(&f.until, "until", "", "changes before this `date`")
	fs.IntVarP(&f.limit, "max-count", "n", 0, "at most this `number` of changes")
	for flag, values := range map[string][]string{
		"class":     {"ai", "ai-edited", "human", "generated", "unknown"},
		"source":    sourceNames(),
		"task-type": lineage.TaskTypes,
	} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	for flag, kind := range map[string]stemma.NodeKind{"model": stemma.KindModel, "agent": stemma.KindAgent} {
		_ = cmd.RegisterFlagCompletionFunc(flag, o.complete(kind))
	}
	return cmd
}

// complete offers the names that the index has, as it is.
func (o *options) complete(kind stemma.NodeKind) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		b, err := open(cmd.Context(), o.path, o.store)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer b.close()
		var names []string
		for id, err := range b.store.Nodes(cmd.Context(), kind, "") {
			if err != nil {
				break
			}
			names = append(names, id.Key)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// query joins the flags and the search string.
func (f logFlags) query(ctx context.Context, b *bench, base, search string) (lineage.Query, error) {
	dates := func(words string, end bool) (int64, error) { return b.repo.ParseDate(ctx, words, end) }
	var q lineage.Query
	add := func(key string, values ...string) error {
		for _, v := range values {
			if v == "" {
				continue
			}
			if err := q.Term(key, v, dates); err != nil {
				return fmt.Errorf("--%s: %w", key, err)
			}
		}
		return nil
	}
	for _, flag := range []struct {
		key    string
		values []string
	}{
		{"model", f.models},
		{"agent", f.agents},
		{"session", f.sessions},
		{"source", f.sources},
		{"path", f.paths},
		{"task-type", f.tasks},
		{"tool", f.tools},
		{"config", f.configs},
		{"iterations", f.iterations},
		{"class", []string{f.class}},
		{"since", []string{f.since}},
		{"until", []string{f.until}},
	} {
		if err := add(flag.key, flag.values...); err != nil {
			return q, err
		}
	}
	var err error
	if f.minAI != "" {
		if q.MinAI, err = lineage.ParseShare(f.minAI); err != nil {
			return q, err
		}
	}
	if f.maxAI != "" {
		n, err := lineage.ParseShare(f.maxAI)
		if err == nil {
			err = q.SetMaxAI(n)
		}
		if err != nil {
			return q, fmt.Errorf("--max-ai: %w", err)
		}
	}
	if f.limit < 0 {
		return q, fmt.Errorf("--max-count %d: want a number: %w", f.limit, stemma.ErrInvalid)
	}
	q.Limit, q.Turns = f.limit, f.turns
	if err := q.Parse(search, dates); err != nil {
		return q, err
	}
	for i, p := range q.Paths {
		if q.Paths[i], err = b.inRepository(base, p); err != nil {
			return q, err
		}
	}
	return q, nil
}

func (o *options) log(ctx context.Context, b *bench, q lineage.Query) error {
	p, err := o.painter()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(o.out)
	defer out.Flush()
	list := changePrinter(textChanges{out, p, o.width()})
	if o.json {
		list = &jsonChanges{w: out}
	}
	n := 0
	for c, err := range lineage.Log(ctx, b.graph(), q) {
		if err != nil {
			return err
		}
		n++
		if err := list.change(c); err != nil {
			return err
		}
	}
	if err := list.end(); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if n == 0 && !o.json {
		what := "stemma stats says which models, agents and sources are there (stemma index counts all branches)"
		if q.ByTold() {
			what = "stemma session list says which sessions were told; stemma session import reads transcripts"
		}
		fmt.Fprintf(o.err, "stemma: no change on %s matches; %s\n", plain(b.clone.Branch), what)
	}
	return nil
}

// changePrinter prints changes as they come.
type changePrinter interface {
	change(lineage.Change) error
	end() error
}

type textChanges struct {
	w     io.Writer
	p     painter
	width int // of the terminal; 0 is no terminal
}

func (t textChanges) change(c lineage.Change) error {
	names := make([]string, 0, len(c.Models))
	for _, m := range c.Models {
		_, id, ok := strings.Cut(m.ID, "/")
		if !ok {
			continue
		}
		names = append(names, id)
	}
	if len(names) == 0 {
		names = c.Agents
	}
	title := plain(c.Title)
	who := plain(strings.Join(names, " "))
	if who == "" {
		who = "-"
	}
	note := ""
	if c.Unreadable {
		note = " (some lines could not be read)"
	}
	if len(c.Inferred) > 0 {
		note += inferredNote(c.Inferred)
	}
	share := fit(percent(c.AI), 7)
	if c.Lines.AI+c.Lines.AIEdited > 0 {
		share = t.p.in("35", share)
	}
	const before = 10 + 2 + 10 + 2 + 8 + 2 + 7 + 2 + 24 + 2 // columns of what comes before the title
	if room := t.width - before - len(note); t.width > 0 && len([]rune(title)) > room {
		title = fit(title, max(room, 12))
	}
	_, err := fmt.Fprintf(t.w, "%s  %s  %8s  %s  %s  %s%s\n", t.p.in("33", short(c.Commit)), c.Time[:10],
		"+"+count(c.Lines.Added), share, fit(who, 24), title, note)
	if c.Iterations != nil {
		fmt.Fprintf(t.w, "    iterations: %s\n", iterationsText(*c.Iterations))
	}
	printWork(t.w, t.p, c.Work, "    ")
	return err
}

// inferredNote tells of sessions that only content joins, the surest first, by the
// beginning of their ids.
func inferredNote(all []lineage.Inferred) string {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b lineage.Inferred) int {
		return cmp.Or(cmp.Compare(b.Strength.Confidence, a.Strength.Confidence), cmp.Compare(a.Session, b.Session))
	})
	const most = 2
	var names []string
	seen := make(map[string]bool)
	for _, s := range all {
		if !seen[s.Session] && len(seen) < most {
			names = append(names, fmt.Sprintf("%s %.2g", plain(shortSession(s.Session)), s.Strength.Confidence))
		}
		seen[s.Session] = true
	}
	if n := len(seen) - most; n > 0 {
		names = append(names, fmt.Sprintf("and %d more", n))
	}
	return " [inferred: " + strings.Join(names, ", ") + "]"
}

// shortSession is a session's key with no more of a long id than tells it from
// others.
func shortSession(key string) string {
	name, id, _ := strings.Cut(key, "/")
	if r := []rune(id); len(r) > 16 {
		id = string(r[:8])
	}
	return name + "/" + id
}

func (textChanges) end() error { return nil }

// jsonChanges prints one document (schema stemma.log/v1) piece by piece, so
// that a long list begins at once.
type jsonChanges struct {
	w    io.Writer
	some bool
}

func (j *jsonChanges) change(c lineage.Change) error {
	lead := ",\n    "
	if !j.some {
		lead = "{\n  \"schema\": \"stemma.log/v1\",\n  \"changes\": [\n    "
		j.some = true
	}
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(j.w, "%s%s", lead, b)
	return err
}

func (j *jsonChanges) end() error {
	text := "\n  ]\n}\n"
	if !j.some {
		text = "{\n  \"schema\": \"stemma.log/v1\",\n  \"changes\": []\n}\n"
	}
	_, err := io.WriteString(j.w, text)
	return err
}
