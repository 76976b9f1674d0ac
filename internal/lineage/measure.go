package lineage

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// MeasureQuery chooses what is measured.
type MeasureQuery struct {
	// By is how lines are grouped: "directory", "model", "agent", "source",
	// "month", or "" for the total alone.
	By string
	// Depth is how many folders of a path make a directory group; 0 is 1.
	Depth        int
	Since, Until int64  // UTC seconds, inclusive; 0 is open
	Path         string // only what PathMatcher says of it; "" is everything
	// Everything measures all indexed commits, not only those that changes
	// brought into the default branch.
	Everything bool
}

// Measurement is what was added, by class. It is what `stemma stats --json`
// gives (schema stemma.stats/v1).
type Measurement struct {
	Repository string      `json:"repository"`
	By         string      `json:"by,omitempty"`
	Everything bool        `json:"everything"`
	Total      Group       `json:"total"`
	Groups     []Group     `json:"groups"`
	Evidence   Explanation `json:"evidence"`
}

// Group is what one group added. Groups by model, agent or source hold the
// lines of that owner alone, so that their shares say nothing; Share is null.
type Group struct {
	Name      string `json:"name"`
	Commits   int    `json:"commits"`
	Lines     Lines  `json:"lines"`
	Candidate int    `json:"candidate_lines"`
	AI        *Share `json:"ai_share"`
}

// Explanation says where the lines' classes come from, and why the unknown ones
// are unknown.
type Explanation struct {
	Commits      int            `json:"commits"`
	Merges       int            `json:"merges"`
	WithEvidence int            `json:"commits_with_evidence"`
	Sources      []SourceTotal  `json:"sources"`
	Agents       []OwnerTotal   `json:"agents"`
	Models       []OwnerTotal   `json:"models"`
	Sessions     int            `json:"sessions"`
	Unknown      map[string]int `json:"unknown_lines_by_reason"`
	Unreadable   []Unreadable   `json:"unreadable"`
	Problems     []Unreadable   `json:"problems"` // evidence that could not be read, wholly or in part
	Conflicts    int            `json:"conflicts"`
	Ambiguous    int            `json:"ambiguous"`
	// Rewritten counts the commits whose lines came by other commits, in part or
	// whole, and Rewrites says by which rule.
	Rewritten int         `json:"commits_rewritten"`
	Rewrites  []RuleTotal `json:"rewrites"`
	// Gone counts the lines that came by commits whose objects are gone since.
	Gone    int `json:"lines_inputs_gone"`
	Outside int `json:"claims_outside_added_lines"`
}

// SourceTotal is what one source contributed.
type SourceTotal struct {
	Source  string       `json:"source"`
	Commits int          `json:"commits"`
	Lines   stemma.Lines `json:"lines"`
	Took    int          `json:"took_part"` // sessions it says took part without naming lines
	Outside int          `json:"outside"`
	Agree   int          `json:"agree"`
	Differ  int          `json:"differ"`
}

// RuleTotal is what came by one rule.
type RuleTotal struct {
	Rule    string `json:"rule"`
	Commits int    `json:"commits"`
	Lines   int    `json:"lines"`
}

// OwnerTotal is what one agent or model has.
type OwnerTotal struct {
	Name      string `json:"name"`
	Commits   int    `json:"commits"`
	Lines     int    `json:"lines"`
	Candidate int    `json:"candidate_lines"`
}

// Unreadable is something that could not be read.
type Unreadable struct {
	Commit string `json:"commit"`
	Reason string `json:"reason"`
}

// Measure adds up what commits added. Volume is not quality: the figures say
// who wrote, not how well.
func Measure(ctx context.Context, g Graph, q MeasureQuery) (Measurement, error) {
	m := &measuring{
		q: q, out: Measurement{Repository: g.Repository, By: q.By, Everything: q.Everything, Groups: []Group{}},
		groups: make(map[string]*Group), sessions: make(map[string]bool), rules: make(map[string]*RuleTotal),
		sources: make(map[string]*SourceTotal), agents: make(map[string]*OwnerTotal), models: make(map[string]*OwnerTotal),
	}
	switch q.By {
	case "", "directory", "model", "agent", "source", "month":
	default:
		return m.out, fmt.Errorf("group by %q: want directory, model, agent, source or month: %w", q.By, stemma.ErrInvalid)
	}
	within, err := PathMatcher(q.Path)
	if err != nil {
		return m.out, err
	}
	m.within = within
	m.out.Evidence = Explanation{Unknown: make(map[string]int), Sources: []SourceTotal{}, Unreadable: []Unreadable{}, Problems: []Unreadable{}}
	chosen, err := g.chosen(ctx, q)
	if err != nil {
		return m.out, err
	}
	for row, err := range g.Store.AllAttributions(ctx) {
		if err != nil {
			return m.out, fmt.Errorf("measure: %w", err)
		}
		if chosen[row.Commit] {
			m.row(&row)
		}
	}
	return m.finish(), nil
}

// chosen gives the commits that are measured.
func (g Graph) chosen(ctx context.Context, q MeasureQuery) (map[string]bool, error) {
	in := make(map[string]bool)
	tallies := store.TallyQuery{Kind: stemma.KindCommit, Group: g.Repository, Since: q.Since, Until: q.Until}
	for t, err := range g.Store.Tallies(ctx, tallies) {
		if err != nil {
			return nil, fmt.Errorf("choose commits: %w", err)
		}
		in[t.Node.Key] = true
	}
	if q.Everything {
		return in, nil
	}
	merged := make(map[string]bool, len(in))
	for e, err := range g.Store.Edges(ctx, store.EdgeQuery{Kinds: []stemma.EdgeKind{stemma.EdgePartOf}}) {
		if err != nil {
			return nil, fmt.Errorf("choose commits: %w", err)
		}
		if e.From.Kind == stemma.KindCommit && in[e.From.Key] {
			merged[e.From.Key] = true
		}
	}
	return merged, nil
}

type measuring struct {
	q        MeasureQuery
	within   func(string) bool
	out      Measurement
	total    stemma.Lines
	groups   map[string]*Group
	sources  map[string]*SourceTotal
	agents   map[string]*OwnerTotal
	models   map[string]*OwnerTotal
	sessions map[string]bool
	rules    map[string]*RuleTotal
}

func (m *measuring) row(row *stemma.Attribution) {
	files := row.Files
	if m.q.Path != "" {
		files = slices.DeleteFunc(slices.Clone(files), func(f stemma.FileLines) bool { return !m.within(f.Path) })
		if len(files) == 0 {
			return
		}
	}
	e := &m.out.Evidence
	e.Commits++
	if row.Merge {
		e.Merges++
	}
	if row.Unreadable != "" {
		e.Unreadable = append(e.Unreadable, Unreadable{row.Commit, row.Unreadable})
	}
	lines := row.Lines
	if m.q.Path != "" {
		*row = narrow(row, files)
		lines = row.Lines
	}
	e.Conflicts += row.Conflicts
	m.total = m.total.Plus(lines)
	m.out.Total.Commits++
	m.claims(row)
	candidate := m.owners(row, lines)
	m.rewrites(row)
	m.out.Total.Candidate += candidate
	m.unknown(row, lines, candidate)
	m.group(row, files, lines, candidate)
}

// claims adds up what the sources say.
func (m *measuring) claims(row *stemma.Attribution) {
	if len(row.Sources) > 0 {
		m.out.Evidence.WithEvidence++
	}
	for _, s := range row.Sources {
		t := total(m.sources, s.Source, func() *SourceTotal { return &SourceTotal{Source: s.Source} })
		t.Commits++
		t.Lines = t.Lines.Plus(s.Lines)
		t.Took += s.Took
		t.Outside += s.Outside
		t.Agree += s.Agree
		t.Differ += s.Differ
		m.out.Evidence.Outside += s.Outside
		if s.Problem != "" {
			m.out.Evidence.Problems = append(m.out.Evidence.Problems, Unreadable{row.Commit, s.Source + ": " + s.Problem})
		}
	}
}

// narrow gives the row of a commit as if it had touched these files alone. What
// sources say of the commit as a whole stays as it is.
func narrow(row *stemma.Attribution, files []stemma.FileLines) stemma.Attribution {
	n := *row
	n.Files = files
	n.Lines, n.Conflicts, n.Ambiguous = stemma.Lines{}, 0, 0
	n.Owners = slices.Clone(row.Owners)
	open := row.Lines.Unknown - row.Conflicts - row.Ambiguous
	for i := range n.Owners {
		n.Owners[i].Lines = 0
	}
	for _, f := range files {
		n.Lines = n.Lines.Plus(file(*row, f).Lines.Lines)
		for _, r := range f.Ranges {
			size := r.End - r.Start + 1
			if f.Whole {
				size = f.Added
			}
			switch {
			case r.Owner >= 0:
				n.Owners[r.Owner].Lines += size
			case r.Class == stemma.ClassUnknown:
				if row.Conflicts == 0 {
					n.Ambiguous += size
				} else {
					n.Conflicts += size
				}
			}
		}
	}
	n.Owners = slices.DeleteFunc(n.Owners, func(o stemma.Owner) bool { return o.Lines == 0 && o.Candidate == 0 })
	for i := range n.Owners {
		// Which of its candidate lines lie here is known for none or for all of
		// those that nothing else claims.
		may := n.Lines.Unknown
		if open == 0 {
			may = n.Conflicts + n.Ambiguous
		}
		n.Owners[i].Candidate = min(n.Owners[i].Candidate, may)
	}
	return n
}

// owners adds up what agents and models have, and gives how many of the unknown
// lines a session may have written.
func (m *measuring) owners(row *stemma.Attribution, lines stemma.Lines) int {
	candidate := 0
	agents, models := make(map[string]int), make(map[string]int) // unknown lines that each may have written
	for _, o := range row.Owners {
		if o.Session == "" {
			continue
		}
		m.sessions[o.Session] = true
		n := 0
		if o.Class == stemma.ClassAI || o.Class == stemma.ClassAIEdited {
			n = o.Lines
		}
		may := min(o.Candidate, lines.Unknown)
		candidate = max(candidate, may)
		for _, to := range []struct {
			in   map[string]*OwnerTotal
			name string
			may  map[string]int
		}{{m.agents, o.Agent, agents}, {m.models, modelKey(o), models}} {
			t := total(to.in, to.name, func() *OwnerTotal { return &OwnerTotal{Name: to.name} })
			t.Lines += n
			had, again := to.may[to.name]
			if !again {
				t.Commits++
			}
			// Two sessions of one agent may have written the same line.
			to.may[to.name] = max(had, may)
			t.Candidate += max(had, may) - had
		}
	}
	return candidate
}

// rewrites adds up what came by other commits.
func (m *measuring) rewrites(row *stemma.Attribution) {
	seen := make(map[string]bool)
	for _, o := range row.Owners {
		if o.Via == "" || o.Lines == 0 {
			continue
		}
		if len(seen) == 0 {
			m.out.Evidence.Rewritten++
		}
		t := total(m.rules, o.Strength.Method, func() *RuleTotal { return &RuleTotal{Rule: o.Strength.Method} })
		t.Lines += o.Lines
		if !seen[t.Rule] {
			seen[t.Rule] = true
			t.Commits++
		}
		if o.Gone {
			m.out.Evidence.Gone += o.Lines
		}
	}
	m.out.Evidence.Ambiguous += row.Ambiguous
}

func (m *measuring) unknown(row *stemma.Attribution, lines stemma.Lines, candidate int) {
	conflicts := min(row.Conflicts, lines.Unknown)
	ambiguous := min(row.Ambiguous, lines.Unknown-conflicts)
	rest := lines.Unknown - conflicts - ambiguous
	took := 0
	if slices.ContainsFunc(row.Sources, func(s stemma.SourceClaim) bool { return s.Took > 0 }) {
		took = min(candidate, rest)
	}
	for reason, n := range map[string]int{ReasonConflict: conflicts, ReasonAmbiguous: ambiguous, ReasonCandidate: took, ReasonNoEvidence: rest - took} {
		if n > 0 {
			m.out.Evidence.Unknown[reason] += n
		}
	}
}

func (m *measuring) group(row *stemma.Attribution, files []stemma.FileLines, lines stemma.Lines, candidate int) {
	switch m.q.By {
	case "month":
		m.add(time.Unix(row.Time, 0).UTC().Format("2006-01"), lines, candidate)
	case "directory":
		by := make(map[string]stemma.Lines)
		for _, f := range files {
			name := directory(f.Path, max(m.q.Depth, 1))
			by[name] = by[name].Plus(file(*row, f).Lines.Lines)
		}
		for name, l := range by {
			m.add(Path(name), l, min(candidate, l.Unknown))
		}
	}
}

func (m *measuring) add(name string, l stemma.Lines, candidate int) {
	g := total(m.groups, name, func() *Group { return &Group{Name: name} })
	g.Commits++
	g.Lines.Lines = g.Lines.Lines.Plus(l)
	g.Candidate += candidate
}

func (m *measuring) finish() Measurement {
	out := &m.out
	out.Total.Name = "total"
	out.Total.Lines = lines(m.total)
	out.Total.AI = share(m.total)
	for _, g := range m.groups {
		g.Lines = lines(g.Lines.Lines)
		g.AI = share(g.Lines.Lines)
		out.Groups = append(out.Groups, *g)
	}
	slices.SortFunc(out.Groups, func(a, b Group) int {
		if m.q.By == "month" {
			return cmp.Compare(a.Name, b.Name)
		}
		return cmp.Or(cmp.Compare(b.Lines.Added, a.Lines.Added), cmp.Compare(a.Name, b.Name))
	})
	e := &out.Evidence
	e.Sessions = len(m.sessions)
	e.Rewrites = []RuleTotal{}
	for _, t := range m.rules {
		e.Rewrites = append(e.Rewrites, *t)
	}
	slices.SortFunc(e.Rewrites, func(a, b RuleTotal) int { return cmp.Or(cmp.Compare(b.Lines, a.Lines), cmp.Compare(a.Rule, b.Rule)) })
	e.Agents, e.Models = totals(m.agents), totals(m.models)
	for _, s := range m.sources {
		e.Sources = append(e.Sources, *s)
	}
	slices.SortFunc(e.Sources, func(a, b SourceTotal) int { return cmp.Compare(a.Source, b.Source) })
	switch m.q.By {
	case "agent":
		out.Groups = ownerGroups(e.Agents)
	case "model":
		out.Groups = ownerGroups(e.Models)
	case "source":
		for _, s := range e.Sources {
			out.Groups = append(out.Groups, Group{Name: s.Source, Commits: s.Commits, Lines: lines(s.Lines)})
		}
	}
	return *out
}

func ownerGroups(totals []OwnerTotal) []Group {
	groups := []Group{}
	for _, t := range totals {
		groups = append(groups, Group{
			Name: t.Name, Commits: t.Commits, Lines: lines(stemma.Lines{AI: t.Lines}), Candidate: t.Candidate,
		})
	}
	return groups
}

func total[T any](in map[string]*T, name string, fresh func() *T) *T {
	t, ok := in[name]
	if !ok {
		t = fresh()
		in[name] = t
	}
	return t
}

func totals(in map[string]*OwnerTotal) []OwnerTotal {
	out := []OwnerTotal{}
	for _, t := range in {
		out = append(out, *t)
	}
	slices.SortFunc(out, func(a, b OwnerTotal) int {
		return cmp.Or(cmp.Compare(b.Lines, a.Lines), cmp.Compare(b.Candidate, a.Candidate), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// directory gives the first folders of a path, "." for a file at the root.
func directory(p string, depth int) string {
	dir := path.Dir(p)
	parts := strings.SplitN(dir, "/", depth+1)
	if len(parts) > depth {
		parts = parts[:depth]
	}
	return strings.Join(parts, "/")
}
