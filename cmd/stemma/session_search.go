package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
)

// searched is what `stemma session search --json` prints.
type searched struct {
	Schema   string       `json:"schema"` // stemma.session-search/v1
	Sessions []foundRow   `json:"sessions"`
	Left     searchedLeft `json:"not_searched"`
}

// foundRow is a session that was found.
type foundRow struct {
	sessionRow
	Found []agent.Found `json:"found"` // in prompts and answers; empty where metadata alone tells
}

// searchedLeft counts sessions whose prompts were asked for and not looked into.
type searchedLeft struct {
	Gone   int `json:"not_kept_or_erased"`
	Others int `json:"of_other_people"`
}

func newSessionSearch(o *options) *cobra.Command {
	var f sessionFlags
	var prompts bool
	cmd := &cobra.Command{
		Use:   "search <words>",
		Short: "Search sessions by what is known of them, and by their prompts",
		Long: `Finds the sessions of which every word is part of something known: id, agent,
version, model, branch, ticket, type of task, role, or path of a file. Words in
quotes stand together.

With --prompts the words may also stand in prompts and answers of your own
sessions, and the places are shown. An index of them is kept encrypted in the
vault; what is erased goes from it at once, and it is made again from the vault
where it is missing. Sessions of other people are not searched: "stemma session
show --prompts --reason" asks for one of them, and is recorded.`,
		Example: `  stemma session search SHOP-42
  stemma session search cart.go claude-opus
  stemma session search --prompts 'round to cents' --since 90d`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			b, err := o.ready(ctx)
			if err != nil {
				return err
			}
			defer b.close()
			b.warn = o.warn
			if err := f.prepare(ctx, b); err != nil {
				return err
			}
			all, known, err := b.catalogue(ctx)
			if err != nil {
				return err
			}
			return o.searchSessions(ctx, b, all, known, args, f, prompts)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&prompts, "prompts", false, "search prompts and answers too")
	return cmd
}

func (o *options) searchSessions(ctx context.Context, b *bench, all []catalogued, known rememberedRows, words []string, f sessionFlags, prompts bool) error {
	var rows []foundRow
	// Of the sessions that metadata does not settle, the words that are left.
	left := make(map[string]candidate)
	takes := f.filter()
	for _, c := range all {
		if !takes(&c.row) {
			continue
		}
		missing := lacking(c.words, words)
		switch {
		case !slices.Contains(missing, true):
			rows = append(rows, foundRow{c.row, []agent.Found{}})
		case prompts:
			left[c.row.Session] = candidate{c.row, missing}
		}
	}
	var skipped searchedLeft
	if prompts {
		found, not, err := o.searchPrompts(ctx, b, all, words, left)
		if err != nil {
			return err
		}
		rows, skipped = append(rows, found...), not
	}
	slices.SortStableFunc(rows, func(a, b foundRow) int { return newer(a.sessionRow, b.sessionRow) })
	if f.limit > 0 && len(rows) > f.limit {
		rows = rows[:f.limit]
	}
	shown := make([]*sessionRow, len(rows))
	for i := range rows {
		shown[i] = &rows[i].sessionRow
	}
	if err := b.joinCommits(ctx, shown, known); err != nil {
		return err
	}
	if skipped.Gone > 0 {
		fmt.Fprintf(o.err, "stemma: the prompts of %d sessions are not kept or were erased\n", skipped.Gone)
	}
	if skipped.Others > 0 {
		fmt.Fprintf(o.err, "stemma: %d sessions are other people's, and their prompts were not searched\n", skipped.Others)
	}
	if o.json {
		return printJSON(o.out, searched{"stemma.session-search/v1", append([]foundRow{}, rows...), skipped})
	}
	return o.printFound(rows)
}

// candidate is a session and which of the words its metadata lacks.
type candidate struct {
	row     sessionRow
	missing []bool
}

// lacking tells of each word whether a text does not hold it.
func lacking(text string, words []string) []bool {
	missing := make([]bool, len(words))
	for i, w := range words {
		missing[i] = !strings.Contains(text, strings.ToLower(w))
	}
	return missing
}

func (o *options) searchPrompts(ctx context.Context, b *bench, all []catalogued, words []string, left map[string]candidate) ([]foundRow, searchedLeft, error) {
	var rows []foundRow
	var skipped searchedLeft
	p, err := b.promptIndex(ctx, all)
	if errors.Is(err, stemma.ErrNotFound) {
		return nil, searchedLeft{Gone: len(left)}, nil
	}
	if err != nil {
		return nil, skipped, err
	}
	for key := range left {
		switch p.state[key] {
		case promptsGone:
			skipped.Gone++
		case promptsOthers:
			skipped.Others++
		}
	}
	if p.unread > manyUnread {
		fmt.Fprintf(o.err, "stemma: reading the prompts of %d sessions, to search them\n", p.unread)
	}
	err = p.each(ctx, func() func(agent.Script) {
		s := agent.NewSearcher(words)
		return func(script agent.Script) {
			c, ok := left[script.Session]
			if !ok {
				return
			}
			if found, ok := s.Find(script, func(i int) bool { return c.missing[i] }); ok {
				p.mu.Lock()
				rows = append(rows, foundRow{c.row, found})
				p.mu.Unlock()
			}
		}
	})
	return rows, skipped, err
}

func (o *options) printFound(rows []foundRow) error {
	p, err := o.painter()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(o.out)
	defer out.Flush()
	for _, r := range rows {
		o.printRow(out, p, &r.sessionRow)
		for _, f := range r.Found {
			where := "prompt"
			if f.Answer {
				where = "answer"
			}
			fmt.Fprintf(out, "    turn %d, %s: %s\n", f.Turn, where, plain(f.Near))
		}
	}
	if len(rows) == 0 {
		fmt.Fprintln(o.err, "stemma: no session is known that matches; stemma session import --dry-run says what transcripts there are")
	}
	return nil
}

// metadata is what is known of a session as one text to search.
func metadata(t agent.Tale, r sessionRow) string {
	parts := append([]string{r.Session, r.Version, r.Branch, r.TaskType}, slices.Concat(r.Models, r.Tickets, r.Commits)...)
	if t.Session.Parent != nil {
		parts = append(parts, t.Session.Parent.Role)
	}
	for _, turn := range t.Session.Turns {
		for _, c := range turn.Calls {
			for _, file := range c.Files {
				parts = append(parts, file.Path)
			}
			if c.Spawn != nil {
				parts = append(parts, c.Spawn.Role)
			}
		}
	}
	slices.Sort(parts)
	return strings.ToLower(strings.Join(slices.Compact(parts), "\n"))
}
