package lineage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// Change is a change with what is known of its lines. It is one record of
// `stemma log --json` (schema stemma.log/v1).
type Change struct {
	ID       string       `json:"id"`     // key of the change node
	Commit   string       `json:"commit"` // by which it entered the default branch
	Time     string       `json:"time"`   // of that commit, RFC 3339, UTC
	Title    string       `json:"title"`
	Author   string       `json:"author"`
	Merge    bool         `json:"merge"`
	Commits  int          `json:"commits"` // that it brought, itself included
	Lines    Lines        `json:"lines"`
	AI       *Share       `json:"ai_share"` // null where nothing was written
	Models   []ModelLines `json:"models"`
	Agents   []string     `json:"agents"`
	Sessions []string     `json:"sessions"`
	Sources  []string     `json:"sources"`
	// Candidate counts the unknown lines that a session is known to have taken
	// part in.
	Candidate int `json:"candidate_lines"`
	// Matched are the lines of the owners that the query asked for; null where
	// it asked for none.
	Matched *Matched `json:"matched,omitempty"`
	// Inferred are the sessions that content joins with its commits; Sessions,
	// Models and Agents do not hold them.
	Inferred []Inferred `json:"inferred"`
	// Iterations and Work are there where the query asks for them.
	Iterations *Iterations    `json:"iterations,omitempty"`
	Work       []*SessionWork `json:"work,omitempty"`
	// Unreadable says that some lines could not be read, so that Lines is short.
	Unreadable bool `json:"unreadable,omitempty"`
}

// Matched is what the owners that a query names have in a change.
type Matched struct {
	Lines     int `json:"lines"`
	Candidate int `json:"candidate_lines"`
}

// few is how many commits are followed to their changes at once. Of more, the
// newest changes are looked through instead: most pages then hold a match, and
// a reader of the first ones does not wait for the last.
const few = 1000

// page is how many changes are looked up together.
const page = 128

// Log gives the changes of the default branch that the query chooses, newest
// first, as they are found.
func Log(ctx context.Context, g Graph, q Query) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		l := &logging{Graph: g, q: q}
		if err := l.run(ctx, yield); err != nil && !errors.Is(err, errStop) {
			yield(Change{}, err)
		}
	}
}

var errStop = errors.New("the caller has enough")

type logging struct {
	Graph
	q       Query
	commits map[string]bool   // nil: every commit
	chosen  []map[string]bool // sessions; each set narrows
	given   int
}

func (l *logging) run(ctx context.Context, yield func(Change, error) bool) error {
	query := store.TallyQuery{
		Kind: stemma.KindChange, Group: l.Repository,
		Since: l.q.Since, Until: l.q.Until, MinAI: l.q.MinAI, Class: l.q.Class,
	}
	if err := l.restrict(ctx); err != nil {
		return err
	}
	if l.commits != nil && len(l.commits) <= few {
		changes, err := l.changesOf(ctx)
		if err != nil {
			return err
		}
		query.Nodes = changes
	}
	size := page
	if l.q.Limit > 0 {
		size = min(size, l.q.Limit)
	}
	var tallies []store.Tally
	for t, err := range l.Store.Tallies(ctx, query) {
		if err != nil {
			return fmt.Errorf("list changes: %w", err)
		}
		low, high, ok := t.Lines.AIShare()
		if l.q.MaxAI > 0 && (!ok || high >= l.q.MaxAI) || l.q.OverMin && (!ok || low <= l.q.MinAI) {
			continue
		}
		// Changes of one second stay together, to be put into order.
		if n := len(tallies); n >= size && tallies[n-1].Time != t.Time {
			if err := l.give(ctx, tallies, yield); err != nil {
				return err
			}
			tallies = tallies[:0]
		}
		tallies = append(tallies, t)
	}
	return l.give(ctx, tallies, yield)
}

// restrict finds the commits that the query's names and paths choose.
func (l *logging) restrict(ctx context.Context) error {
	if len(l.q.Paths) > 0 {
		touching := make(map[string]bool)
		paths, err := l.expand(ctx)
		if err != nil {
			return err
		}
		for id, err := range l.Store.CommitsTouching(ctx, paths) {
			if err != nil {
				return fmt.Errorf("find commits by path: %w", err)
			}
			touching[id] = true
		}
		l.keep(touching)
	}
	named := []struct {
		patterns []string
		kind     stemma.NodeKind
		edge     stemma.EdgeKind
	}{
		{l.q.Models, stemma.KindModel, stemma.EdgeUsed},
		{l.q.Agents, stemma.KindAgent, stemma.EdgeRan},
		{l.q.Sessions, stemma.KindSession, stemma.EdgeWrittenBy},
	}
	for _, n := range named {
		if len(n.patterns) == 0 || n.kind == stemma.KindModel && l.unknownModel() {
			continue
		}
		commits, err := l.commitsOf(ctx, n.kind, n.edge, n.patterns)
		if err != nil {
			return err
		}
		l.keep(commits)
	}
	return l.bySessions(ctx)
}

// whole gives the store's name of the repository's top.
func whole(path string) string {
	if path == "." {
		return ""
	}
	return path
}

// expand puts in the place of patterns the paths that they match.
func (l *logging) expand(ctx context.Context) (paths []string, err error) {
	var patterns []func(string) bool
	for _, p := range l.q.Paths {
		if !isPattern(p) {
			paths = append(paths, whole(p))
			continue
		}
		match, err := PathMatcher(p)
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, match)
	}
	if len(patterns) == 0 {
		return paths, nil
	}
	for p, err := range l.Store.Paths(ctx) {
		if err != nil {
			return nil, fmt.Errorf("find paths: %w", err)
		}
		if slices.ContainsFunc(patterns, func(match func(string) bool) bool { return match(p) }) {
			paths = append(paths, p)
		}
	}
	return paths, nil
}

// commitsOf gives the commits for which an edge to such a node was derived.
func (l *logging) commitsOf(ctx context.Context, kind stemma.NodeKind, edge stemma.EdgeKind, patterns []string) (map[string]bool, error) {
	to, err := l.named(ctx, kind, patterns)
	if err != nil {
		return nil, err
	}
	commits := make(map[string]bool)
	if len(to) == 0 {
		return commits, nil
	}
	told := make(map[string]bool) // sessions of which a transcript says so
	for e, err := range l.Store.Edges(ctx, store.EdgeQuery{To: to, Kinds: []stemma.EdgeKind{edge}}) {
		if err != nil {
			return nil, fmt.Errorf("find commits by %s: %w", kind, err)
		}
		switch {
		case e.Scope.Kind == stemma.KindCommit:
			commits[e.Scope.Key] = true
		case e.From.Kind == stemma.KindCommit:
			commits[e.From.Key] = true
		case e.From.Kind == stemma.KindSession:
			told[e.From.Key] = true
		}
	}
	err = l.joinsOf(ctx, told, func(e stemma.Edge) {
		if e.Scope.Kind == stemma.KindSession {
			commits[e.From.Key] = true
		}
	})
	return commits, err
}

// named gives the nodes of a kind whose names the patterns match. A session whose
// whole id is written is looked up, because there may be many.
func (l *logging) named(ctx context.Context, kind stemma.NodeKind, patterns []string) (nodes []stemma.NodeID, err error) {
	if kind == stemma.KindSession && len(patterns) == 1 && !strings.ContainsAny(patterns[0], "*?[\\") {
		keys := []string{patterns[0]}
		for id, err := range l.Store.Nodes(ctx, stemma.KindAgent, "") {
			if err != nil {
				return nil, fmt.Errorf("find agents: %w", err)
			}
			keys = append(keys, id.Key+"/"+patterns[0])
		}
		for _, key := range keys {
			id := stemma.NodeID{Kind: kind, Key: key}
			switch ok, err := l.Store.Node(ctx, id); {
			case err != nil:
				return nil, fmt.Errorf("find session: %w", err)
			case ok:
				nodes = append(nodes, id)
			}
		}
		if len(nodes) > 0 {
			return nodes, nil
		}
	}
	for id, err := range l.Store.Nodes(ctx, kind, "") {
		if err != nil {
			return nil, fmt.Errorf("find %ss: %w", kind, err)
		}
		if matches(patterns, id.Key) {
			nodes = append(nodes, id)
		}
	}
	return nodes, nil
}

func (l *logging) keep(commits map[string]bool) {
	if l.commits == nil {
		l.commits = commits
		return
	}
	for id := range l.commits {
		if !commits[id] {
			delete(l.commits, id)
		}
	}
}

// changesOf gives the changes that brought the commits chosen.
func (l *logging) changesOf(ctx context.Context) ([]stemma.NodeID, error) {
	changes := []stemma.NodeID{}
	if len(l.commits) == 0 {
		return changes, nil
	}
	from := make([]stemma.NodeID, 0, len(l.commits))
	for id := range l.commits {
		from = append(from, stemma.CommitID(id))
	}
	seen := make(map[string]bool)
	for e, err := range l.Store.Edges(ctx, store.EdgeQuery{From: from, Kinds: []stemma.EdgeKind{stemma.EdgePartOf}}) {
		if err != nil {
			return nil, fmt.Errorf("find changes: %w", err)
		}
		if !seen[e.To.Key] {
			seen[e.To.Key] = true
			changes = append(changes, e.To)
		}
	}
	return changes, nil
}

// give looks up what belongs to these changes and hands them on.
func (l *logging) give(ctx context.Context, tallies []store.Tally, yield func(Change, error) bool) error {
	if len(tallies) == 0 {
		return nil
	}
	members, err := l.members(ctx, tallies)
	if err != nil {
		return err
	}
	tallies = slices.DeleteFunc(tallies, func(t store.Tally) bool {
		return l.commits != nil && !slices.ContainsFunc(members[t.Node.Key], func(id string) bool { return l.commits[id] })
	})
	if err := l.order(ctx, tallies); err != nil {
		return err
	}
	inferred, err := l.inferred(ctx, members)
	if err != nil {
		return err
	}
	var withSessions []string
	for _, t := range tallies {
		ids := members[t.Node.Key]
		joined := slices.ContainsFunc(ids, func(id string) bool { return len(inferred[id]) > 0 })
		if t.Sessions > 0 || len(l.q.Sources) > 0 || joined && l.q.byWork() {
			withSessions = append(withSessions, ids...)
		}
	}
	rows, err := l.rows(ctx, withSessions)
	if err != nil {
		return err
	}
	for _, t := range tallies {
		c, ok, err := l.change(ctx, t, members[t.Node.Key], rows, inferred)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if !yield(c, nil) {
			return errStop
		}
		if l.given++; l.given == l.q.Limit {
			return errStop
		}
	}
	return nil
}

// order puts changes of one second into the order of the history, newest first:
// a commit before its first parent.
func (l *logging) order(ctx context.Context, tallies []store.Tally) error {
	for i := 0; i < len(tallies); {
		j := i + 1
		for j < len(tallies) && tallies[j].Time == tallies[i].Time {
			j++
		}
		if j-i > 1 {
			if err := l.orderTied(ctx, tallies[i:j]); err != nil {
				return err
			}
		}
		i = j
	}
	return nil
}

func (l *logging) orderTied(ctx context.Context, tied []store.Tally) error {
	prefix := stemma.ChangeID(l.Repository, "").Key
	by := make(map[string]store.Tally, len(tied))
	for _, t := range tied {
		by[strings.TrimPrefix(t.Node.Key, prefix)] = t
	}
	parent := make(map[string]string, len(tied))
	isParent := make(map[string]bool, len(tied))
	for id := range by {
		c, err := l.Repo.Commit(ctx, id)
		if errors.Is(err, stemma.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if len(c.Parents) > 0 {
			parent[id] = c.Parents[0]
			isParent[c.Parents[0]] = true
		}
	}
	at := 0
	for _, t := range slices.Clone(tied) {
		id := strings.TrimPrefix(t.Node.Key, prefix)
		if isParent[id] {
			continue
		}
		for t, ok := by[id]; ok; t, ok = by[id] {
			tied[at] = t
			at++
			delete(by, id)
			id = parent[id]
		}
	}
	return nil
}

func (l *logging) members(ctx context.Context, tallies []store.Tally) (map[string][]string, error) {
	to := make([]stemma.NodeID, len(tallies))
	for i, t := range tallies {
		to[i] = t.Node
	}
	members := make(map[string][]string, len(tallies))
	for e, err := range l.Store.Edges(ctx, store.EdgeQuery{To: to, Kinds: []stemma.EdgeKind{stemma.EdgePartOf}}) {
		if err != nil {
			return nil, fmt.Errorf("find the commits of changes: %w", err)
		}
		members[e.To.Key] = append(members[e.To.Key], e.From.Key)
	}
	return members, nil
}

// change describes one change. It is not ok where no single owner is what the
// query asks for, although several together are.
func (l *logging) change(ctx context.Context, t store.Tally, members []string, rows map[string]stemma.Attribution, inferred map[string][]Inferred) (Change, bool, error) {
	oid := strings.TrimPrefix(t.Node.Key, stemma.ChangeID(l.Repository, "").Key)
	c := Change{
		ID: t.Node.Key, Commit: oid, Time: Time(t.Time), Merge: t.Merge, Commits: len(members),
		Lines: lines(t.Lines), AI: share(t.Lines), Candidate: t.Candidate, Unreadable: t.Unreadable,
		Models: []ModelLines{}, Agents: []string{}, Sessions: []string{}, Sources: []string{}, Inferred: []Inferred{},
	}
	var owners []stemma.Owner
	var matched Matched
	found := false
	for _, id := range members {
		chosen := (l.commits == nil || l.commits[id]) && l.source(rows[id])
		found = found || chosen && !l.bySession()
		for _, s := range inferred[id] {
			c.Inferred = append(c.Inferred, s)
			found = found || chosen && l.fits(s)
		}
		for _, s := range rows[id].Sources {
			c.Sources = append(c.Sources, s.Source)
		}
		for _, o := range rows[id].Owners {
			if o.Session == "" {
				continue
			}
			owners = append(owners, o)
			if chosen && l.owner(o) {
				found = true
				matched.Lines += o.Lines
				matched.Candidate += o.Candidate
			}
		}
	}
	if l.q.ByEvidence() {
		if !found {
			return c, false, nil
		}
		c.Matched = &matched
	}
	if ok, err := l.work(ctx, &c, members, rows); !ok || err != nil {
		return c, false, err
	}
	c.Models = byModel(owners)
	for _, o := range owners {
		c.Agents = append(c.Agents, o.Agent)
		c.Sessions = append(c.Sessions, o.Session)
	}
	c.Agents, c.Sessions, c.Sources = distinct(c.Agents), distinct(c.Sessions), distinct(c.Sources)
	commit, err := l.Repo.Commit(ctx, oid)
	switch {
	case errors.Is(err, stemma.ErrNotFound):
		c.Title = "(the commit is gone from the repository)"
	case err != nil:
		return c, false, err
	default:
		c.Title = Title(commit.Message)
		c.Author = strings.ToValidUTF8(cmp.Or(commit.Author.Name, commit.Author.Mail), "\uFFFD")
	}
	return c, true, nil
}

// owner reports whether one owner is everything that the query asks for.
func (l *logging) owner(o stemma.Owner) bool {
	return (len(l.q.Models) == 0 || o.Model.Known() && matches(l.q.Models, o.Model.Key()) || !o.Model.Known() && l.unknownModel()) &&
		(len(l.q.Agents) == 0 || matches(l.q.Agents, o.Agent)) &&
		(len(l.q.Sessions) == 0 || matches(l.q.Sessions, o.Session)) && l.isChosen(o.Session)
}

// bySession reports whether the query asks for sessions.
func (l *logging) bySession() bool {
	return len(l.q.Models)+len(l.q.Agents)+len(l.q.Sessions)+len(l.chosen) > 0
}

// work tells what sessions did for a change, where the query asks for it. It is
// not ok where a condition on its iterations is not proved.
func (l *logging) work(ctx context.Context, c *Change, members []string, rows map[string]stemma.Attribution) (ok bool, err error) {
	if !l.q.byWork() {
		return true, nil
	}
	var of []stemma.Attribution
	for _, id := range members {
		if row, ok := rows[id]; ok {
			of = append(of, row)
		}
	}
	n, sessions, err := l.iterationsOf(ctx, c.ID, of)
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(l.q.Iterations, func(b Bound) bool { return !b.Holds(&n) }) {
		return false, nil
	}
	c.Iterations = &n
	if l.q.Turns {
		c.Work = sessions
		err = l.drift(ctx, sessions)
	}
	return true, err
}

// source reports whether a source that the query asks for says something of the
// commit.
func (l *logging) source(row stemma.Attribution) bool {
	return len(l.q.Sources) == 0 || slices.ContainsFunc(row.Sources, func(s stemma.SourceClaim) bool { return matches(l.q.Sources, s.Source) })
}

// unknownModel reports whether the query asks for sessions of which no source
// names the model. No node stands for that.
func (l *logging) unknownModel() bool { return slices.Contains(l.q.Models, UnknownModel) }

func distinct(s []string) []string {
	slices.Sort(s)
	return slices.Compact(s)
}
