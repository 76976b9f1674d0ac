package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/lineage"
)

// explained is what `stemma why --json` prints.
type explained struct {
	Schema string `json:"schema"`
	lineage.Why
}

func newWhy(o *options) *cobra.Command {
	var at string
	var all bool
	cmd := &cobra.Command{
		Use:   "why <path>:<line>",
		Short: "Explain a line: from its commit through every rewrite to the prompt",
		Long: `Goes from a line to what made it, on one screen: the commit that git blame names,
the change it entered by, every rewrite on the way to the commit whose evidence
names the session (with the rule that joined each step), what the sources say
there, the session, its agent and model, the turns of it that wrote the file, and
their prompts, where the vault keeps them as your own; else the prompts of the
session, as far as a source carries them. They are read for this call.

Behind each step stands who says so and how strong that is. The last line says
why it goes no further. The path is seen from the current folder (:/path from the
top); without --at the line is counted in the work tree.`,
		Example: `  stemma why main.go:12
  stemma why internal/server.go:40 --at v2.0
  stemma why main.go:12 --json | jq .rewrites`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			m := lineAt.FindStringSubmatch(args[0])
			if m == nil {
				return fmt.Errorf("%s: want path:line: %w", plain(args[0]), stemma.ErrInvalid)
			}
			b, err := o.ready(ctx)
			if err != nil {
				return err
			}
			defer b.close()
			line, err := b.line(ctx, o.path, m[1], m[2], at)
			if err != nil {
				return err
			}
			why, err := lineage.Explain(ctx, b.graph(), line, b.prompts)
			if err != nil {
				return err
			}
			path, err := b.inRepository(o.path, m[1])
			if err != nil {
				return err
			}
			why.Path, why.Rev = lineage.Path(path), at
			if o.json {
				return printJSON(o.out, explained{"stemma.why/v1", why})
			}
			p, err := o.painter()
			if err != nil {
				return err
			}
			printWhy(o.out, p, why, all)
			return nil
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "the `revision` in which the line is counted, instead of the work tree")
	cmd.Flags().BoolVar(&all, "all", false, "print all of the session's prompts, whole, and its answers")
	return cmd
}

func printWhy(w io.Writer, p painter, y lineage.Why, all bool) {
	where := ""
	if y.Rev != "" {
		where = " at " + y.Rev
	}
	fmt.Fprintf(w, "%s\n  %s\n\n", p.bold(plain(fmt.Sprintf("%s:%d%s", y.Path, y.Line.Line, where))), code(strings.TrimRight(y.Line.Text, "\r")))
	step := func(name, text, note string) {
		fmt.Fprintf(w, "%s %s\n", p.in("36", fit(name, 9)), text)
		if note != "" {
			fmt.Fprintf(w, "          %s\n", p.faint(note))
		}
	}
	l := y.Line
	note := ""
	if l.Part != nil {
		note = plain(l.Part.Source) + ": " + strengthText(l.Part.Strength)
	}
	class := p.class(l.Class, string(l.Class))
	if l.Reason != "" {
		class += ", " + l.Reason
	}
	step("line", class, note)
	if c := y.Made; c != nil {
		as := ""
		if l.OrigPath != y.Path || l.OrigLine != l.Line {
			as = fmt.Sprintf("there it is line %d of %s", l.OrigLine, plain(l.OrigPath))
		}
		step("commit", commitLine(p, *c), as)
	}
	for _, c := range y.In {
		key := c.Change
		if i := strings.LastIndexByte(key, '@'); i >= 0 {
			key = short(key[i+1:])
		}
		step("change", strings.TrimSpace(fmt.Sprintf("%s %s  %s", p.in("33", plain(key)), day(c.Time), plain(c.Title))), plain(c.Source)+": "+strengthText(c.Strength))
	}
	for _, r := range y.Rewrites {
		text := commitLine(p, r.WhyCommit)
		if !r.Here {
			text += "(the repository does not have it any more)"
		}
		step("rewrite", "of "+text, plain(r.Source)+": "+strengthText(r.Strength))
	}
	for _, s := range y.Evidence {
		step("evidence", plain(s.Source)+": "+sourceText(s), "")
	}
	printWho(step, p, y)
	for _, t := range y.Turns {
		step("", turnText(p, t), "")
	}
	printPrompts(w, p, y, all)
	if y.Ends != "" {
		step("ends", y.Ends, "")
	}
}

func commitLine(p painter, c lineage.WhyCommit) string {
	return strings.TrimRight(fmt.Sprintf("%s %s %s  %s", p.in("33", short(c.Commit)), day(c.Time), plain(c.Author), p.bold(plain(c.Title))), " ")
}

// sourceText says what a source says of a commit, in few words.
func sourceText(s lineage.Source) string {
	var parts []string
	for _, class := range stemma.Classes {
		if n := s.Lines.Of(class); n > 0 {
			parts = append(parts, string(class)+" "+count(n))
		}
	}
	if s.Took > 0 {
		parts = append(parts, number(s.Took, "session")+" took part")
	}
	if s.Agree > 0 {
		parts = append(parts, "agrees with another source on "+number(s.Agree, "line"))
	}
	if s.Differ > 0 {
		parts = append(parts, "differs on "+number(s.Differ, "line"))
	}
	if s.Problem != "" {
		parts = append(parts, "not read: "+plain(s.Problem))
	}
	if len(parts) == 0 {
		return "no line of this commit"
	}
	return strings.Join(parts, ", ")
}

// printWho prints who owns the line, or may.
func printWho(step func(name, text, note string), p painter, y lineage.Why) {
	l := y.Line
	owners := l.Candidates
	if l.Part != nil {
		owners = append([]lineage.Part{*l.Part}, owners...)
	}
	for i, o := range owners {
		if i == few {
			step("", fmt.Sprintf("and %d more sessions took part (--json lists all)", len(owners)-few), "")
			break
		}
		note, may := "", ""
		if l.Part == nil || i > 0 {
			note, may = plain(o.Source)+": "+strengthText(o.Strength), "  (it may have written the line)"
		}
		if o.Session == "" {
			step("person", plain(o.Person)+may, note)
			continue
		}
		step("session", p.in("35", plain(o.Session))+may, note)
		if l.Part != nil && i == 0 {
			for _, link := range y.Session {
				step("", plain(fmt.Sprintf("-%s-> %s", link.Kind, link.To)), plain(link.Source)+": "+strengthText(link.Strength))
			}
		}
		step("agent", strings.TrimSpace(plain(o.Agent+" "+o.Version)), "")
		model, note := "not known: no source names it", ""
		if o.Model != nil {
			model = plain(o.Model.Key())
			if !o.Model.Exact {
				model += " (by display name)"
			}
			if o.ModelStrength != nil {
				note = strengthText(*o.ModelStrength)
			}
		}
		step("model", model, note)
	}
}

// printPrompts prints what people asked of the session: all, or the first and
// the last with their first lines.
func printPrompts(w io.Writer, p painter, y lineage.Why, all bool) {
	const mostLines, mostPrompts = 6, 3
	var asked []lineage.Prompt
	for _, m := range y.Prompts {
		if all || m.Role == "user" {
			asked = append(asked, m)
		}
	}
	if n := len(asked); n > 1 && !all {
		of := "of the session; no source says which of them led to this line"
		if slices.ContainsFunc(y.Turns, func(t *lineage.TurnWork) bool { return t.Index == asked[0].Turn }) {
			of = "of turns that wrote this file; nothing says which of them wrote this line"
		}
		fmt.Fprintf(w, "%s %d %s\n", p.in("36", fit("prompts", 9)), n, of)
	}
	for i, m := range asked {
		if !all && i == mostPrompts {
			fmt.Fprintf(w, "          and %d more (--all prints them)\n", len(asked)-i)
			break
		}
		fmt.Fprintf(w, "%s %s %s\n", p.in("36", fit("prompt", 9)), p.bold(plain(m.Role)), p.faint(strings.TrimSpace(plain(m.Source+" "+m.Time))))
		text := strings.TrimSpace(m.Text)
		lines := strings.SplitAfter(text, "\n")
		if !all && len(lines) > mostLines {
			text = strings.Join(lines[:mostLines], "")
		}
		fmt.Fprint(w, paragraph(text, "          "))
		if !all && len(lines) > mostLines {
			fmt.Fprintf(w, "          ... %d more lines (--all prints them)\n", len(lines)-mostLines)
		}
	}
}
