package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/lineage"
)

// toldSessions tells lineage what this machine's evidence says of sessions.
type toldSessions struct {
	b     *bench
	tales map[string]*agent.Tale // nil is not told
	rows  []sessionRow
	read  bool
}

// maxTales is of how many sessions what was read is held: changes of one time have
// sessions in common.
const maxTales = 2000

func (s *toldSessions) Tales(ctx context.Context, keys []string) (map[string]*agent.Tale, error) {
	if len(s.tales) > maxTales {
		clear(s.tales)
	}
	var ask []string
	for _, key := range keys {
		if _, ok := s.tales[key]; !ok {
			ask = append(ask, key)
			s.tales[key] = nil
		}
	}
	read, err := s.b.talesOf(ctx, ask)
	if err != nil {
		return nil, err
	}
	for i := range read {
		s.tales[read[i].Key] = &read[i]
	}
	told := make(map[string]*agent.Tale, len(keys))
	for _, key := range keys {
		if t := s.tales[key]; t != nil {
			told[key] = t
		}
	}
	return told, nil
}

func (s *toldSessions) Before(ctx context.Context, t agent.Tale) (agent.Tale, error) {
	if !s.read {
		var err error
		if s.rows, err = s.b.sessionRows(ctx); err != nil {
			return agent.Tale{}, err
		}
		s.read = true
	}
	start := when(t.Session.Start)
	// Newest first.
	i, _ := slices.BinarySearchFunc(s.rows, start, func(r sessionRow, start string) int {
		if r.Start < start {
			return 1
		}
		return -1
	})
	for ; i < len(s.rows); i++ {
		if r := &s.rows[i]; r.Config > 0 && r.Agent == t.Session.Agent && r.Start != "" {
			return s.b.tale(ctx, r.Session)
		}
	}
	return agent.Tale{}, fmt.Errorf("session before %s: %w", t.Key, stemma.ErrNotFound)
}

// project brings the graph up to date with the sessions that were recorded. Where
// that can not be done, the question is asked of the graph as it is.
func (o *options) project(ctx context.Context, b *bench) {
	if err := b.projectSessions(ctx); err != nil && ctx.Err() == nil {
		o.warn("the index is behind the sessions that were recorded: " + err.Error())
	}
}

// printWork prints sessions with the turns that wrote files of a commit.
func printWork(w io.Writer, p painter, work []*lineage.SessionWork, indent string) {
	for _, s := range work {
		fmt.Fprintf(w, "%s%s  %s%s\n", indent, p.in("33", plain(s.Session)), plain(strings.TrimSpace(stemma.AgentName(s.Agent)+" "+s.Version)), joinText(s))
		if !s.Told {
			fmt.Fprintf(w, "%s    nothing of its transcript was recorded on this machine (stemma session import reads transcripts)\n", indent)
			continue
		}
		if facts := factsOf(s); len(facts) > 0 {
			fmt.Fprintf(w, "%s    %s\n", indent, strings.Join(facts, "; "))
		}
		for _, t := range s.Turns {
			fmt.Fprintf(w, "%s    %s\n", indent, turnText(p, t))
		}
		switch {
		case len(s.Turns) == 0:
			fmt.Fprintf(w, "%s    none of its %d turns is known to have written the files\n", indent, s.Other)
		case s.Led+s.Other > 0:
			var rest []string
			if s.Led > 0 {
				rest = append(rest, number(s.Led, "turn")+" that led to these or followed them")
			}
			if s.Other > 0 {
				rest = append(rest, number(s.Other, "turn")+" of other work")
			}
			fmt.Fprintf(w, "%s    and %s\n", indent, strings.Join(rest, ", "))
		}
		if s.Drift != nil {
			for _, line := range driftLines(*s.Drift) {
				fmt.Fprintf(w, "%s    drift %s\n", indent, line)
			}
		}
	}
}

// joinText says how a session is joined with the commit.
func joinText(s *lineage.SessionWork) string {
	if len(s.Joined) == 0 {
		return "  (spawned a session that wrote it)"
	}
	var all []string
	var content lineage.Join // of several commits, the surest
	lines := 0
	for _, j := range s.Joined {
		if !j.ByContent() {
			all = append(all, plain(j.Source))
			continue
		}
		lines += j.Candidate
		if j.Strength.Confidence >= content.Strength.Confidence {
			content = j
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if content.Commit != "" {
		all = append(all, fmt.Sprintf("inferred: %s, %s lines alike, confidence %.2g", plain(content.Strength.Method), count(lines), content.Strength.Confidence))
	}
	return "  (" + strings.Join(all, "; ") + ")"
}

func factsOf(s *lineage.SessionWork) []string {
	var facts []string
	if s.Task != nil {
		facts = append(facts, fmt.Sprintf("%s (inferred: %s)", s.Task.Type, plain(s.Task.Method)))
	}
	if s.Tested != "" {
		facts = append(facts, testedText[s.Tested])
	}
	if s.Config > 0 {
		facts = append(facts, "configured by "+number(s.Config, "file"))
	}
	if !s.Counts() {
		facts = append(facts, "too little alike to count in the iterations")
	}
	if s.Parent != "" {
		facts = append(facts, "spawned by "+plain(s.Parent))
	}
	return facts
}

func turnText(p painter, t *lineage.TurnWork) string {
	start := "-"
	if len(t.Start) >= 19 {
		start = strings.Replace(t.Start[:19], "T", " ", 1)
	}
	var models []string
	for _, m := range t.Models {
		_, id, _ := strings.Cut(m, "/")
		models = append(models, id)
	}
	parts := []string{filesText(t.Files)}
	if len(t.Tests) > 0 {
		var tests []string
		for _, test := range t.Tests {
			result := test.Result
			if result == "" {
				result = "?"
			}
			tests = append(tests, test.Tool+" "+result)
		}
		parts = append(parts, "tests: "+strings.Join(slices.Compact(tests), ", "))
	}
	for _, d := range slices.Sorted(maps.Keys(t.Decided)) {
		parts = append(parts, fmt.Sprintf("%d %s", t.Decided[d], d))
	}
	if t.Rewrites > 0 {
		parts = append(parts, number(t.Rewrites, "rewrite"))
	}
	if len(t.Spawned) > 0 {
		parts = append(parts, number(len(t.Spawned), "session")+" spawned")
	}
	if t.Broken {
		parts = append(parts, "interrupted")
	}
	return fmt.Sprintf("%s  %s  %s  prompt of %s bytes  %s", p.in("33", fmt.Sprintf("turn %-3d", t.Index)), fit(start, 19),
		fit(plain(dash(strings.Join(models, " "))), 24), count(int(t.Prompt)), plain(strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")))
}

func filesText(files []agent.File) string {
	const most = 4
	added, removed := 0, 0
	var names []string
	for _, f := range files {
		added, removed = added+f.Added, removed+f.Removed
		if !slices.Contains(names, f.Path) {
			names = append(names, f.Path)
		}
	}
	if len(names) == 0 {
		return ""
	}
	if n := len(names) - most; n > 0 {
		names = append(names[:most], fmt.Sprintf("and %d more files", n))
	}
	return fmt.Sprintf("+%d -%d %s", added, removed, strings.Join(names, " "))
}

// iterationsText tells the four counts in one line. What is not known is not a
// number.
func iterationsText(n lineage.Iterations) string {
	var known, unknown []string
	last := ""
	for _, c := range []struct {
		name  string
		count lineage.Tallied
	}{{"prompts", n.Prompts}, {"rewrites", n.Rewrites}, {"CI rounds", n.CI}, {"review rounds", n.Reviews}} {
		switch {
		case c.count.Value != nil:
			known = append(known, number(*c.count.Value, strings.TrimSuffix(c.name, "s")))
		case c.count.AtLeast > 0:
			known = append(known, fmt.Sprintf("at least %d %s (%s)", c.count.AtLeast, c.name, plain(c.count.Why)))
		case c.count.Why == last:
			end := " unknown (" + plain(last) + ")"
			unknown[len(unknown)-1] = strings.TrimSuffix(unknown[len(unknown)-1], end) + " and " + c.name + end
		default:
			last = c.count.Why
			unknown = append(unknown, fmt.Sprintf("%s unknown (%s)", c.name, plain(last)))
		}
	}
	return strings.Join(append(known, unknown...), "; ")
}

func driftLines(d lineage.Drift) []string {
	var lines []string
	for _, part := range []struct {
		what  string
		files []agent.ConfigDigest
	}{{"added", d.Added}, {"removed", d.Removed}, {"changed", d.Changed}} {
		for _, f := range part.files {
			lines = append(lines, fmt.Sprintf("%s %s of the %s: %s (since %s)", part.what, f.Kind, f.Scope, plain(f.Path), plain(d.Since)))
		}
	}
	return lines
}

// testedText puts into words whether tests ran before the agent was done.
var testedText = map[string]string{
	"": "nothing was edited", "no": "no tests after the last edit", "ran": "tests ran after the last edit",
	"pass": "tests passed after the last edit", "fail": "tests failed after the last edit",
}
