package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
)

// treeNode is a session in what `stemma session tree --json` prints.
type treeNode struct {
	Session string   `json:"session"`
	Missing bool     `json:"transcript_missing"`
	Kind    string   `json:"kind"` // planner, worker, sub-worker, reviewer, fixer, or ""
	Method  string   `json:"method"`
	Role    string   `json:"role"`
	Status  string   `json:"status"`
	Start   string   `json:"start"`
	Models  []string `json:"models"` // provider/id
	// Task is what it was asked to do and Delivered what it handed back, redacted, where
	// --tasks asked for them and they are known.
	Task       *agent.Text `json:"task,omitempty"`
	Delivered  *agent.Text `json:"delivered,omitempty"`
	Own        treeCount   `json:"own"`
	All        treeCount   `json:"all"` // with everything below
	Inherited  int         `json:"turns_of_another"`
	Superseded []string    `json:"superseded_by"`
	Cyclic     bool        `json:"cyclic"`
	// Related are the sessions that it reviewed, or whose findings it fixed;
	// RelatedBy those that did so with what it had said or done.
	Related   []kin      `json:"related"`
	RelatedBy []kin      `json:"related_by"`
	Children  []treeNode `json:"children"`
}

type treeCount struct {
	Turns   int          `json:"turns"`
	Calls   int          `json:"calls"`
	Added   int          `json:"lines_added"`
	Removed int          `json:"lines_removed"`
	Files   int          `json:"files"`
	Usage   *agent.Usage `json:"usage"` // null where it is not told
	// Committed are the lines of commits that evidence of lines gives to it.
	Committed stemma.Lines `json:"committed"`
}

// treeMessages is what one session said to another, and is part of no tree.
type treeMessages struct {
	From  string `json:"from"`
	To    string `json:"to"` // agent/team/name where the session is not known
	Count int    `json:"messages"`
	First string `json:"first"`
	Last  string `json:"last"`
}

func countOf(m agent.Measure, c stemma.Lines) treeCount {
	return treeCount{m.Turns, m.Calls, m.Added, m.Removed, m.Files, m.Usage, c}
}

func nodeOf(n *agent.Node, k kinship) treeNode {
	t := treeNode{
		Session: n.Key, Missing: n.Session == nil, Kind: string(n.Kind), Method: n.Method, Role: n.Role, Status: n.Status,
		Own: countOf(n.Own, k.committed[n.Key]), All: countOf(n.All, k.committed.all(n)), Inherited: n.Inherited, Superseded: append([]string{}, n.Superseded...),
		Cyclic: n.Cyclic, Models: []string{}, Related: append([]kin{}, k.took[n.Key]...), RelatedBy: append([]kin{}, k.taken[n.Key]...), Children: []treeNode{},
	}
	if n.Session != nil {
		t.Start, t.Models = when(n.Session.Start), modelsOf(n.Session)
	}
	t.Task, t.Delivered = k.handed[n.Key].task, k.handed[n.Key].result
	for _, child := range n.Children {
		t.Children = append(t.Children, nodeOf(child, k))
	}
	return t
}

func newSessionTree(o *options) *cobra.Command {
	var alone, tasks bool
	cmd := &cobra.Command{
		Use:   "tree [session]",
		Short: "Show which session spawned which: planners, workers, reviewers",
		Long: `Shows sessions as trees: below each the sessions that it spawned, with what each
used and wrote by itself, and at the root of each tree the sum. Committed are the
lines that captured evidence gives to a session in commits. Lines, calls and
tokens belong to the session that wrote and used them, and to no other; what a
session began with because it was forked or resumed is counted at its origin.

A session whose transcript is not there is known from its parent's call. What
the parent's transcript says it used is not added up.

Sessions that reviewed what another one wrote, or fixed what another one had
found, are concluded from what they read and from prompts that quote, and are
part of the picture whoever began them: they are shown with what they did, and
their trees stand together.

Messages between sessions of a team stand below the trees. They make no session
the child of another, and count nowhere.

With --tasks, what each session was asked to do and what it handed back are shown by
their first lines (whole with --json), from the vault: those of your own sessions.

Without a session all trees of more than one session are shown, and those that
are related so, or exchanged messages.`,
		Example: "  stemma session tree\n  stemma session tree 0b5e6c1a --tasks\n  stemma session tree 0b5e6c1a --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			b, err := o.ready(ctx)
			if err != nil {
				return err
			}
			defer b.close()
			var k kinship
			var all []agent.Tale
			var roots []*agent.Node
			if len(args) == 1 {
				o.project(ctx, b)
				t, err := b.findTale(ctx, args[0])
				if err != nil {
					return err
				}
				if all, err = b.together(ctx, []string{t.Key}, true); err != nil {
					return err
				}
				k = kinshipOf(all)
				roots = k.together(t.Key)
			} else {
				if all, err = b.tales(ctx); err != nil {
					return err
				}
				k = kinshipOf(all)
				roots = k.all(alone)
			}
			k.classify(roots)
			if k.committed, err = b.committedBy(ctx, roots); err != nil {
				return err
			}
			if tasks {
				left := 0
				if k.handed, left, err = b.handedOver(ctx, all, roots); err != nil {
					return err
				}
				if left > 0 {
					fmt.Fprintf(o.err, "stemma: what %s said is not kept, was erased, or is another person's\n", number(left, "session"))
				}
			}
			return o.showTrees(roots, k)
		},
	}
	cmd.Flags().BoolVar(&alone, "all", false, "show sessions that have neither parent nor children too")
	cmd.Flags().BoolVar(&tasks, "tasks", false, "show what each session was asked to do and handed back, from the vault")
	return cmd
}

func (o *options) showTrees(roots []*agent.Node, k kinship) error {
	messages := k.messages(roots)
	if o.json {
		trees := []treeNode{}
		for _, r := range roots {
			trees = append(trees, nodeOf(r, k))
		}
		return printJSON(o.out, struct {
			Schema   string         `json:"schema"`
			Trees    []treeNode     `json:"trees"`
			Messages []treeMessages `json:"messages"`
		}{"stemma.session-tree/v1", trees, messages})
	}
	p, err := o.painter()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(o.out)
	defer out.Flush()
	for _, r := range roots {
		k.print(out, p, r, "", "")
		fmt.Fprintf(out, "in all   %s\n", measureText(r.All, k.committed.all(r)))
	}
	for _, m := range messages {
		fmt.Fprintf(out, "told     %s -> %s  %s\n", plain(m.From), plain(m.To), number(m.Count, "message"))
	}
	if len(roots) == 0 {
		fmt.Fprintln(o.err, "stemma: no session spawned another one")
	}
	return nil
}

func (k kinship) print(out io.Writer, p painter, n *agent.Node, lead, below string) {
	var notes []string
	if n.Kind != "" {
		notes = append(notes, string(n.Kind))
	}
	if n.Role != "" {
		notes = append(notes, plain(n.Role))
	}
	switch {
	case n.Session == nil:
		notes = append(notes, "its transcript is missing")
	case n.Cyclic:
		notes = append(notes, "its parents go round")
	}
	if n.Inherited > 0 {
		notes = append(notes, number(n.Inherited, "turn")+" of another session")
	}
	if n.Discarded() {
		notes = append(notes, "all its lines were replaced")
	}
	models := ""
	if n.Session != nil {
		models = modelIDs(modelsOf(n.Session))
	}
	fmt.Fprintln(out, strings.TrimRight(fmt.Sprintf("%s%s  %s  %s  %s", lead, p.in("33", plain(n.Key)), strings.Join(notes, ", "), measureText(n.Own, k.committed[n.Key]), models), " "))
	stem := "   "
	if len(n.Children) > 0 {
		stem = "│  "
	}
	for _, h := range []struct {
		what string
		text *agent.Text
	}{{"task", k.handed[n.Key].task}, {"delivered", k.handed[n.Key].result}} {
		if h.text != nil {
			fmt.Fprintf(out, "%s%s%-9s  %s\n", below, stem, h.what, beginning(h.text))
		}
	}
	for _, r := range k.took[n.Key] {
		fmt.Fprintf(out, "%s%s%s %s\n", below, stem, r.Kind, r.text())
	}
	for _, r := range k.taken[n.Key] {
		fmt.Fprintf(out, "%s%s%s %s\n", below, stem, passive(r.Kind), r.text())
	}
	for i, c := range n.Children {
		if i < len(n.Children)-1 {
			k.print(out, p, c, below+"├─ ", below+"│  ")
		} else {
			k.print(out, p, c, below+"└─ ", below+"   ")
		}
	}
}

func measureText(m agent.Measure, c stemma.Lines) string {
	tokens := "tokens not told"
	if m.Usage != nil {
		tokens = count(int(m.Usage.Output)) + " tokens out"
		if m.Usage.Cost != nil {
			tokens += fmt.Sprintf(", $%.4f", float64(*m.Usage.Cost)/1e6)
		}
	}
	text := fmt.Sprintf("%s, %s, +%d -%d lines, %s", number(m.Turns, "turn"), number(m.Calls, "call"), m.Added, m.Removed, tokens)
	if n := c.AI + c.AIEdited; n > 0 {
		text += ", " + count(n) + " lines committed"
	}
	return text
}
