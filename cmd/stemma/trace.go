package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/lineage"
)

// traced is what `stemma trace --json` prints.
type traced struct {
	Schema string              `json:"schema"`
	Line   *lineage.BlamedLine `json:"line"` // where a line was asked for
	lineage.Trace
}

// traceFlags are the flags of the command.
type traceFlags struct {
	effects, both, dot bool
	at                 string
	kinds, through     []string
	depth, limit, fan  int
}

// The limits of a lineage unless it is asked for with others: what people read.
const (
	traceDepth = 8
	traceLimit = 200
	traceFan   = 25
)

func newTrace(o *options) *cobra.Command {
	var f traceFlags
	cmd := &cobra.Command{
		Use:   "trace <commit | path:line | session | kind:key>",
		Short: "Show the lineage of a commit, a line or a session as a tree",
		Long: `Follows the graph from one thing to where it comes from: a commit to the sessions
that wrote it, the change it entered by and the commits it is a rewrite of; a
session to its agent, its model and the session that spawned it. --effects goes
the other way, to what came of it; --both shows both.

It begins at a commit (anything git can resolve), at a line (path:line, seen from
the current folder; the commit is the one that git blame names), at a session
(agent/id, or a beginning of the id that no other session has), or at any node by
its kind and key: session:claude-code/ac145480, model:anthropic/claude-opus-4-5.
A beginning of the key is enough where it is the only one.

Each link is written as in the graph, from effect to cause: "-USED-> model" is a
cause, "<-WRITTEN_BY- commit" an effect. Behind it stands who says so and how
strong that is. Hubs, which nearly everything touches (repository, ref, model,
agent, person, ...), are end points unless asked for with --through.

What a limit keeps back is counted where it was cut, and at the end. --kind takes
kinds of nodes (session) and of edges (WRITTEN_BY) and shows these alone.`,
		Example: `  stemma trace HEAD
  stemma trace main.go:12 --at v2.0
  stemma trace ac145480 --effects
  stemma trace model:anthropic/claude-opus-4-5 --effects --depth 2 --limit 50
  stemma trace HEAD --both --dot | dot -Tsvg > lineage.svg`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			q, err := f.query()
			if err != nil {
				return err
			}
			b, err := o.ready(ctx)
			if err != nil {
				return err
			}
			defer b.close()
			doc := traced{Schema: "stemma.trace/v1"}
			if q.From, doc.Line, err = b.subject(ctx, o.path, args[0], f.at); err != nil {
				return err
			}
			if doc.Trace, err = lineage.Follow(ctx, b.graph(), q); errors.Is(err, stemma.ErrNotFound) {
				return hinted{err, "only what indexed branches and tags reach is in the graph; stemma show attributes any commit"}
			}
			if err != nil {
				return err
			}
			return o.trace(doc, q, f.dot)
		},
	}
	fs := cmd.Flags()
	fs.BoolVar(&f.effects, "effects", false, "what came of it, instead of where it comes from")
	fs.BoolVar(&f.both, "both", false, "both directions")
	fs.StringVar(&f.at, "at", "", "the `revision` in which path:line is counted, instead of the work tree")
	fs.StringSliceVar(&f.kinds, "kind", nil, "show only these `kinds` of nodes or edges")
	fs.StringSliceVar(&f.through, "through", nil, "go through hubs of these `kinds`, or REPLACED, instead of ending there; all for every kind")
	fs.IntVar(&f.depth, "depth", traceDepth, "how many `links` away; 0 is no limit")
	fs.IntVarP(&f.limit, "limit", "n", traceLimit, "at most so many `rows` in each direction, the nearest; 0 is no limit")
	fs.IntVar(&f.fan, "fan", traceFan, "at most so many `links` at one node; 0 is no limit")
	fs.BoolVar(&f.dot, "dot", false, "print a graph for Graphviz")
	cmd.MarkFlagsMutuallyExclusive("effects", "both")
	return cmd
}

func (f traceFlags) query() (lineage.TraceQuery, error) {
	q := lineage.TraceQuery{
		Causes: !f.effects, Effects: f.effects || f.both,
		Depth: f.depth, Limit: f.limit, Fan: f.fan,
	}
	for flag, n := range map[string]int{"depth": f.depth, "limit": f.limit, "fan": f.fan} {
		if n < 0 {
			return q, fmt.Errorf("--%s %d: want a number, 0 for no limit: %w", flag, n, stemma.ErrInvalid)
		}
	}
	for _, name := range f.kinds {
		node, edge := kindNamed(name)
		switch {
		case node.Valid():
			q.Nodes = append(q.Nodes, node)
		case edge.Valid():
			q.Edges = append(q.Edges, edge)
		default:
			return q, fmt.Errorf("--kind %q: no kind of node or edge has this name; see doc/design.md, section 3: %w", name, stemma.ErrInvalid)
		}
	}
	for _, name := range f.through {
		node, edge := kindNamed(name)
		switch {
		case name == "all":
			q.Through = stemma.NodeKinds()
			q.Replaced = true
		case node.Hub():
			q.Through = append(q.Through, node)
		case edge == stemma.EdgeReplaced:
			q.Replaced = true
		default:
			return q, fmt.Errorf("--through %q: want %s, REPLACED or all: %w", name, strings.Join(hubs(), ", "), stemma.ErrInvalid)
		}
	}
	return q, nil
}

// kindNamed reads the name of a kind in any case, of a node or of an edge.
func kindNamed(name string) (stemma.NodeKind, stemma.EdgeKind) {
	return stemma.NodeKind(strings.ToLower(name)), stemma.EdgeKind(strings.ReplaceAll(strings.ToUpper(name), "-", "_"))
}

func hubs() (names []string) {
	for _, kind := range stemma.NodeKinds() {
		if kind.Hub() {
			names = append(names, string(kind))
		}
	}
	return names
}

// lineAt is a path with the number of a line.
var lineAt = regexp.MustCompile(`(?s)^(.+):([1-9][0-9]{0,8})$`)

// subject finds the node that an argument names, and the line where it names
// one.
func (b *bench) subject(ctx context.Context, base, arg, at string) (stemma.NodeID, *lineage.BlamedLine, error) {
	if kind, key, ok := strings.Cut(arg, ":"); ok && key != "" && stemma.NodeKind(kind).Valid() {
		id, err := b.node(ctx, stemma.NodeKind(kind), key)
		return id, nil, err
	}
	if m := lineAt.FindStringSubmatch(arg); m != nil {
		line, err := b.line(ctx, base, m[1], m[2], at)
		if err != nil {
			return stemma.NodeID{}, nil, err
		}
		if line.Commit == "" {
			return stemma.NodeID{}, nil, hinted{fmt.Errorf("%s is not committed: %w", arg, stemma.ErrNotFound), "--at HEAD counts the lines of the last commit"}
		}
		return stemma.CommitID(line.Commit), &line, nil
	}
	if at != "" {
		return stemma.NodeID{}, nil, fmt.Errorf("--at %s: is for path:line only: %w", at, stemma.ErrInvalid)
	}
	commit, err := b.repo.Resolve(ctx, arg)
	if err != nil && !errors.Is(err, stemma.ErrNotFound) && !errors.Is(err, stemma.ErrInvalid) {
		return stemma.NodeID{}, nil, err
	}
	if err == nil && !abbreviated.MatchString(arg) {
		return stemma.CommitID(commit), nil, nil
	}
	sessions, serr := lineage.FindSessions(ctx, b.graph(), arg, few)
	switch {
	case serr != nil:
		return stemma.NodeID{}, nil, serr
	case err == nil && len(sessions) == 0:
		return stemma.CommitID(commit), nil, nil
	case err == nil:
		return stemma.NodeID{}, nil, fmt.Errorf("%s is a commit and a session; say commit:%s or %s: %w", arg, arg, sessions[0], stemma.ErrInvalid)
	case len(sessions) == 0:
		return stemma.NodeID{}, nil, hinted{
			fmt.Errorf("%s: no commit, no line (path:line) and no session of this name: %w", plain(arg), stemma.ErrNotFound),
			"stemma log --json lists the sessions of changes",
		}
	}
	id, err := only(arg, sessions)
	return id, nil, err
}

// abbreviated is what may be the beginning of a commit's id or of a session's.
var abbreviated = regexp.MustCompile(`^[0-9a-f]{4,40}$`)

// few is how many nodes are named where one was meant.
const few = 6

// node finds the node of a kind by its key or the beginning of one.
func (b *bench) node(ctx context.Context, kind stemma.NodeKind, key string) (stemma.NodeID, error) {
	if kind == stemma.KindCommit {
		if id, err := b.repo.Resolve(ctx, key); err == nil {
			return stemma.CommitID(id), nil
		}
	}
	found, err := lineage.FindNodes(ctx, b.graph(), kind, key, few)
	if err == nil && kind == stemma.KindSession && len(found) == 0 {
		found, err = lineage.FindSessions(ctx, b.graph(), key, few)
	}
	if err != nil {
		return stemma.NodeID{}, err
	}
	if len(found) == 0 {
		return stemma.NodeID{}, fmt.Errorf("the index has no %s whose key begins with %q: %w", kind, plain(key), stemma.ErrNotFound)
	}
	return only(key, found)
}

// only gives the one node that was found, or that has exactly this key.
func only(key string, found []stemma.NodeID) (stemma.NodeID, error) {
	if i := slices.IndexFunc(found, func(id stemma.NodeID) bool { return id.Key == key }); i >= 0 {
		return found[i], nil
	}
	if len(found) == 1 {
		return found[0], nil
	}
	names := make([]string, len(found))
	for i, id := range found {
		names[i] = lineage.Path(id.Key)
	}
	if len(found) == few {
		names[few-1] = "..."
	}
	return stemma.NodeID{}, fmt.Errorf("%s: begins more than one key: %s: %w", plain(key), strings.Join(names, ", "), stemma.ErrInvalid)
}

// line blames one line of a file of the work tree or of a revision.
func (b *bench) line(ctx context.Context, base, path, number, at string) (lineage.BlamedLine, error) {
	q := git.BlameQuery{Lines: []string{number + "," + number}}
	if err := b.blameWhat(ctx, base, path, at, &q); err != nil {
		return lineage.BlamedLine{}, err
	}
	lines, err := lineage.Blame(ctx, b.graph(), q)
	if err != nil {
		return lineage.BlamedLine{}, err
	}
	if len(lines) != 1 {
		return lineage.BlamedLine{}, fmt.Errorf("%s has no line %s: %w", plain(path), number, stemma.ErrNotFound)
	}
	return lines[0], nil
}

func (o *options) trace(doc traced, q lineage.TraceQuery, dot bool) error {
	if o.json {
		return printJSON(o.out, doc)
	}
	p, err := o.painter()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(o.out)
	if dot {
		printDot(out, doc.Trace)
		return out.Flush()
	}
	t := &treePrinter{w: out, p: p, q: q, nodes: make(map[string]lineage.TraceNode)}
	for _, n := range doc.Nodes {
		t.nodes[n.ID] = n
	}
	t.print(doc)
	if err := out.Flush(); err != nil {
		return err
	}
	if doc.Effects == nil && doc.Causes.Links+doc.Causes.More == 0 {
		fmt.Fprintln(o.err, "stemma: nothing is known of where it comes from; --effects shows what came of it")
	}
	return nil
}

// treePrinter prints a lineage as a tree: below each node the links that go on
// from it, and below a link what comes after, where it was first met.
type treePrinter struct {
	w     io.Writer
	p     painter
	q     lineage.TraceQuery
	nodes map[string]lineage.TraceNode
	steps map[string]lineage.TraceStep
	arrow func(stemma.EdgeKind) string
}

func (t *treePrinter) print(doc traced) {
	if l := doc.Line; l != nil {
		fmt.Fprintf(t.w, "%s:%d  %s\n", plain(l.OrigPath), l.OrigLine, t.lineText(*l))
	}
	fmt.Fprintln(t.w, t.node(doc.From))
	if doc.Causes != nil {
		t.arrow = func(k stemma.EdgeKind) string { return "-" + string(k) + "->" }
		t.walk(doc.Trace, doc.Causes, "where it comes from")
	}
	if doc.Effects != nil {
		t.arrow = func(k stemma.EdgeKind) string { return "<-" + string(k) + "-" }
		t.walk(doc.Trace, doc.Effects, "what came of it")
	}
}

// lineText says who wrote a line.
func (t *treePrinter) lineText(l lineage.BlamedLine) string {
	who := l.Reason
	switch {
	case l.Part != nil && l.Part.Session != "":
		who = "session " + l.Part.Session
	case l.Part != nil:
		who = "person " + l.Part.Person
	}
	if who == "" {
		return t.p.class(l.Class, string(l.Class))
	}
	return t.p.class(l.Class, string(l.Class)) + ", " + plain(who)
}

func (t *treePrinter) walk(doc lineage.Trace, walk *lineage.TraceWalk, title string) {
	fmt.Fprintf(t.w, "\n%s: %s", title, number(walk.Links, "link"))
	if walk.More > 0 {
		fmt.Fprintf(t.w, ", %s more kept back", atLeast(walk.More, walk.AtLeast))
	}
	fmt.Fprintln(t.w)
	t.steps = make(map[string]lineage.TraceStep, len(walk.Steps))
	for _, s := range walk.Steps {
		t.steps[s.Node] = s
	}
	t.below(doc.From, "")
}

// below prints the links of a node. The tree is no deeper than the walk, which
// meets no node twice; an explicit depth of zero may make it as deep as a chain
// of rewrites is long.
func (t *treePrinter) below(node, indent string) {
	s := t.steps[node]
	for i, l := range s.Links {
		branch, rest := "├─ ", "│  "
		if i == len(s.Links)-1 && s.More == 0 {
			branch, rest = "└─ ", "   "
		}
		fmt.Fprintf(t.w, "%s%s%s %s%s%s\n", indent, branch, t.p.in("36", t.arrow(l.Kind)), t.node(l.Node), ends(l.Ends), t.p.faint(facts(l)))
		if l.Ends == "" {
			t.below(l.Node, indent+rest)
		}
	}
	if s.More > 0 {
		why := "--limit"
		switch {
		case t.q.Depth > 0 && s.Depth >= t.q.Depth:
			why = "--depth"
		case t.q.Fan > 0 && len(s.Links) >= t.q.Fan:
			why = "--fan"
		}
		fmt.Fprintf(t.w, "%s└─ %s\n", indent, t.p.faint(fmt.Sprintf("... %s more (%s)", atLeast(s.More, s.AtLeast), why)))
	}
}

func ends(reason string) string {
	if reason == lineage.EndsShown {
		return "  (shown elsewhere)"
	}
	return ""
}

// node names a node on one line.
func (t *treePrinter) node(id string) string {
	n := t.nodes[id]
	switch n.Kind {
	case stemma.KindCommit:
		return strings.TrimRight(fmt.Sprintf("%s %s %s", t.p.in("33", "commit "+short(n.Key)), day(n.Time), plain(n.Title)), " ")
	case stemma.KindChange:
		key := n.Key
		if i := strings.LastIndexByte(key, '@'); i >= 0 {
			key = short(key[i+1:])
		}
		return strings.TrimRight(fmt.Sprintf("%s %s %s", t.p.in("33", "change "+plain(key)), day(n.Time), plain(n.Title)), " ")
	case stemma.KindSession, stemma.KindModel:
		return string(n.Kind) + " " + t.p.in("35", plain(n.Key))
	default:
		return string(n.Kind) + " " + plain(n.Key)
	}
}

// day is the date of a time, "" where there is none.
func day(time string) string {
	date, _, _ := strings.Cut(time, "T")
	return date
}

// facts says who says a link and how strong that is.
func facts(l lineage.TraceLink) string {
	const most = 2
	var b strings.Builder
	for i, f := range l.Facts {
		if i == most {
			fmt.Fprintf(&b, "; %d more say so", len(l.Facts)-most)
			break
		}
		lead := "; "
		if i == 0 {
			lead = "  "
		}
		b.WriteString(lead + factText(f))
	}
	return b.String()
}

func factText(f lineage.TraceFact) string {
	var parts []string
	if f.Lines != nil {
		for _, class := range stemma.Classes {
			if n := f.Lines.Of(class); n > 0 {
				parts = append(parts, string(class)+" "+count(n))
			}
		}
		if f.Candidate > 0 {
			parts = append(parts, count(f.Candidate)+" it may have written")
		}
	}
	parts = append(parts, plain(f.Source)+": "+strengthText(f.Strength))
	return strings.Join(parts, ", ")
}

// strengthText says how strong a fact is, in few words.
func strengthText(s stemma.Strength) string {
	text := fmt.Sprintf("%s, %s, %s", plain(s.Method), s.Assertion, s.Tier)
	if s.Confidence != 1 {
		text += fmt.Sprintf(", confidence %.2g", s.Confidence)
	}
	return text
}

func atLeast(n int, atLeast bool) string {
	if atLeast {
		return "at least " + count(n)
	}
	return count(n)
}

// number is a count with its noun.
func number(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return count(n) + " " + noun + "s"
}

// printDot prints a lineage in the language of Graphviz: a box for each node,
// edges as in the graph from effect to cause, a dashed note where it was cut.
func printDot(w io.Writer, t lineage.Trace) {
	fmt.Fprint(w, "digraph stemma {\n\trankdir=LR;\n\tnode [shape=box, fontname=\"sans-serif\"];\n")
	name := make(map[string]string, len(t.Nodes))
	for i, n := range t.Nodes {
		name[n.ID] = "n" + strconv.Itoa(i)
		label := string(n.Kind) + "\n" + n.Key
		if n.Title != "" {
			label += "\n" + day(n.Time) + " " + n.Title
		}
		style := ""
		if n.ID == t.From {
			style = ", style=bold"
		}
		fmt.Fprintf(w, "\tn%d [label=%s%s];\n", i, dotText(label), style)
	}
	cuts := 0
	for _, direction := range []struct {
		walk    *lineage.TraceWalk
		effects bool
	}{{t.Causes, false}, {t.Effects, true}} {
		if direction.walk == nil {
			continue
		}
		for _, s := range direction.walk.Steps {
			for _, l := range s.Links {
				from, to := name[s.Node], name[l.Node]
				if direction.effects {
					from, to = to, from
				}
				fmt.Fprintf(w, "\t%s -> %s [label=%s];\n", from, to, dotText(string(l.Kind)))
			}
			if s.More == 0 {
				continue
			}
			from, to := name[s.Node], "cut"+strconv.Itoa(cuts)
			cuts++
			fmt.Fprintf(w, "\t%s [label=%s, shape=plaintext];\n", to, dotText(atLeast(s.More, s.AtLeast)+" more"))
			if direction.effects {
				from, to = to, from
			}
			fmt.Fprintf(w, "\t%s -> %s [style=dashed];\n", from, to)
		}
	}
	fmt.Fprint(w, "}\n")
}

// dotText quotes text for Graphviz, where a backslash begins an escape.
func dotText(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(plain(strings.ToValidUTF8(lines[i], "\uFFFD")))
	}
	return `"` + strings.Join(lines, `\n`) + `"`
}
