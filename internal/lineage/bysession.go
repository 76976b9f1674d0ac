package lineage

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/project"
	"github.com/stemma-dev/stemma/internal/store"
)

// Inferred is a session whose transcript holds lines of a commit, where nothing
// else says so.
type Inferred struct {
	Session  string          `json:"session"` // key
	Commit   string          `json:"commit"`
	Agent    string          `json:"agent"`
	Models   []string        `json:"models"`
	Lines    int             `json:"lines"` // of the commit that the session wrote too
	Strength stemma.Strength `json:"strength"`
}

// bySessions restricts the commits to those of the sessions that the query tells
// by what they were for, what they called and what configured them.
func (l *logging) bySessions(ctx context.Context) error {
	var sets []map[string]bool
	byKey := func(values []string, key func(string) string) error {
		if len(values) == 0 {
			return nil
		}
		var keys []string
		for _, v := range values {
			keys = append(keys, key(v))
		}
		set, err := l.sessionsWith(ctx, keys)
		sets = append(sets, set)
		return err
	}
	if err := byKey(l.q.TaskTypes, project.TaskTypeKey); err != nil {
		return err
	}
	if err := byKey(l.q.Tools, project.ToolKey); err != nil {
		return err
	}
	if len(l.q.Configs) > 0 {
		set, err := l.configured(ctx)
		if err != nil {
			return err
		}
		sets = append(sets, set)
	}
	for _, set := range sets {
		commits, err := l.commitsBy(ctx, set)
		if err != nil {
			return err
		}
		l.keep(commits)
	}
	l.chosen = sets
	for _, b := range l.q.Iterations {
		if l.commits != nil && len(l.commits) <= few && b.Unknowable() == "" {
			continue // each is looked at
		}
		commits, err := l.mayTake(ctx, b)
		if err != nil {
			return err
		}
		l.keep(commits)
	}
	return nil
}

// sessionsWith gives the sessions that have one of the keys.
func (l *logging) sessionsWith(ctx context.Context, keys []string) (map[string]bool, error) {
	set := make(map[string]bool)
	for s, err := range l.Store.ScopesByKey(ctx, keys) {
		if err != nil {
			return nil, fmt.Errorf("find sessions: %w", err)
		}
		if s.ID.Kind == stemma.KindSession {
			set[s.ID.Key] = true
		}
	}
	return set, nil
}

// configured gives the sessions that a file of one of these names, or of a digest
// that begins so, configured.
func (l *logging) configured(ctx context.Context) (map[string]bool, error) {
	var keys []string
	var configs []stemma.NodeID
	for _, c := range l.q.Configs {
		keys = append(keys, project.ConfigFileKey(c))
		digest := strings.TrimPrefix(strings.ToLower(c), "sha256:")
		if len(digest) < minDigest || strings.Trim(digest, "0123456789abcdef") != "" {
			continue
		}
		for id, err := range l.Store.Nodes(ctx, stemma.KindConfig, "sha256:"+digest) {
			if err != nil {
				return nil, fmt.Errorf("find configuration: %w", err)
			}
			configs = append(configs, id)
		}
	}
	set, err := l.sessionsWith(ctx, keys)
	if err != nil || len(configs) == 0 {
		return set, err
	}
	for e, err := range l.Store.Edges(ctx, store.EdgeQuery{To: configs, Kinds: []stemma.EdgeKind{stemma.EdgeConfiguredBy}}) {
		if err != nil {
			return nil, fmt.Errorf("find sessions by configuration: %w", err)
		}
		if e.From.Kind == stemma.KindSession {
			set[e.From.Key] = true
		}
	}
	return set, nil
}

// minDigest is how much of a digest must be written.
const minDigest = 4

// commitsBy gives the commits that sessions are joined with, by whatever source.
func (l *logging) commitsBy(ctx context.Context, sessions map[string]bool) (map[string]bool, error) {
	commits := make(map[string]bool)
	err := l.joinsOf(ctx, sessions, func(e stemma.Edge) { commits[e.From.Key] = true })
	return commits, err
}

func (l *logging) joinsOf(ctx context.Context, sessions map[string]bool, each func(stemma.Edge)) error {
	to := make([]stemma.NodeID, 0, len(sessions))
	for key := range sessions {
		to = append(to, stemma.NodeID{Kind: stemma.KindSession, Key: key})
	}
	for e, err := range l.Store.Edges(ctx, store.EdgeQuery{To: to, Kinds: []stemma.EdgeKind{stemma.EdgeWrittenBy}}) {
		if err != nil {
			return fmt.Errorf("find commits by session: %w", err)
		}
		each(e)
	}
	return nil
}

// mayTake gives the commits of the changes whose sessions, and those that spawned
// them, have enough in all for the condition to hold. Whether it does is found out
// of these alone: see [Iterations].
func (l *logging) mayTake(ctx context.Context, b Bound) (map[string]bool, error) {
	if b.Unknowable() != "" {
		return map[string]bool{}, nil
	}
	least, counts := b.least()
	most := make([]map[string]int, len(counts))
	for i, count := range counts {
		var err error
		if most[i], err = l.most(ctx, count); err != nil {
			return nil, err
		}
	}
	// Every session of which something is told has all counts.
	told := make(map[string]bool, len(most[0]))
	for key := range most[0] {
		told[key] = true
	}
	if err := l.withSpawners(ctx, most); err != nil {
		return nil, err
	}
	commits := make([]map[string]int, len(counts))
	for i := range commits {
		commits[i] = make(map[string]int)
	}
	err := l.joinsOf(ctx, told, func(e stemma.Edge) {
		for i, sum := range commits {
			sum[e.From.Key] = addUpTo(sum[e.From.Key], most[i][e.To.Key])
		}
	})
	if err != nil {
		return nil, err
	}
	return l.enough(ctx, commits, least)
}

// most gives for each session of which something is told the most that a count of
// it can be.
func (l *logging) most(ctx context.Context, count project.Count) (map[string]int, error) {
	keys := project.CountKeys(count)
	most := make(map[string]int)
	for s, err := range l.Store.ScopesByKey(ctx, keys) {
		if err != nil {
			return nil, fmt.Errorf("find sessions by %s: %w", count, err)
		}
		n, ok := project.MostOf(slices.Index(keys, s.Key))
		if !ok {
			n = math.MaxInt
		}
		most[s.ID.Key] = max(most[s.ID.Key], n)
	}
	return most, nil
}

// withSpawners adds to the counts of each session those of the sessions above it.
func (l *logging) withSpawners(ctx context.Context, most []map[string]int) error {
	parents := make(map[string]string)
	asked := make(map[string]bool)
	for next := slices.Collect(maps.Keys(most[0])); len(next) > 0; {
		var from []stemma.NodeID
		for _, key := range next {
			asked[key] = true
			from = append(from, stemma.NodeID{Kind: stemma.KindSession, Key: key})
		}
		next = nil
		for e, err := range l.Store.Edges(ctx, store.EdgeQuery{From: from, Kinds: []stemma.EdgeKind{stemma.EdgeSpawnedBy}}) {
			if err != nil {
				return fmt.Errorf("find who spawned sessions: %w", err)
			}
			parents[e.From.Key] = e.To.Key
			if !asked[e.To.Key] {
				asked[e.To.Key] = true
				next = append(next, e.To.Key)
			}
		}
	}
	for _, count := range most {
		own := maps.Clone(count)
		for key := range own {
			seen := map[string]bool{key: true}
			for p, ok := parents[key]; ok && !seen[p]; p, ok = parents[p] {
				seen[p] = true
				count[key] = addUpTo(count[key], own[p])
			}
		}
	}
	return nil
}

// enough gives the commits whose change has, of one of the counts, at least as much.
func (l *logging) enough(ctx context.Context, commits []map[string]int, least int) (map[string]bool, error) {
	from := make([]stemma.NodeID, 0, len(commits[0]))
	for id := range commits[0] {
		from = append(from, stemma.CommitID(id))
	}
	changes := make([]map[string]int, len(commits))
	for i := range changes {
		changes[i] = make(map[string]int)
	}
	of := make(map[string]string)
	for e, err := range l.Store.Edges(ctx, store.EdgeQuery{From: from, Kinds: []stemma.EdgeKind{stemma.EdgePartOf}}) {
		if err != nil {
			return nil, fmt.Errorf("find changes: %w", err)
		}
		of[e.From.Key] = e.To.Key
		for i, sum := range changes {
			sum[e.To.Key] = addUpTo(sum[e.To.Key], commits[i][e.From.Key])
		}
	}
	all := make(map[string]bool)
	for id, change := range of {
		all[id] = slices.ContainsFunc(changes, func(sum map[string]int) bool { return sum[change] >= least })
	}
	maps.DeleteFunc(all, func(_ string, ok bool) bool { return !ok })
	return all, nil
}

// addUpTo adds without running over.
func addUpTo(a, b int) int {
	if a > math.MaxInt-b {
		return math.MaxInt
	}
	return a + b
}

// inferred gives, by commit, the sessions that are joined with it by content
// alone: no source joins them with the change.
func (l *logging) inferred(ctx context.Context, members map[string][]string) (map[string][]Inferred, error) {
	var from []stemma.NodeID
	for _, ids := range members {
		for _, id := range ids {
			from = append(from, stemma.CommitID(id))
		}
	}
	by := make(map[string][]Inferred)
	var sessions []stemma.NodeID
	if len(from) == 0 {
		return by, nil
	}
	said := make(map[string]map[string]bool) // sessions that sources join, by commit
	for e, err := range l.Store.Edges(ctx, store.EdgeQuery{From: from, Kinds: []stemma.EdgeKind{stemma.EdgeWrittenBy}}) {
		if err != nil {
			return nil, fmt.Errorf("find sessions of commits: %w", err)
		}
		if e.To.Kind != stemma.KindSession {
			continue
		}
		if e.Scope.Kind != stemma.KindSession {
			if said[e.From.Key] == nil {
				said[e.From.Key] = make(map[string]bool)
			}
			said[e.From.Key][e.To.Key] = true
			continue
		}
		name, _, _ := strings.Cut(e.To.Key, "/")
		by[e.From.Key] = append(by[e.From.Key], Inferred{
			Session: e.To.Key, Commit: e.From.Key, Agent: name, Models: []string{}, Lines: e.Candidate, Strength: e.Strength,
		})
		sessions = append(sessions, e.To)
	}
	for _, ids := range members {
		ofChange := make(map[string]bool)
		for _, id := range ids {
			maps.Copy(ofChange, said[id])
		}
		for _, id := range ids {
			by[id] = slices.DeleteFunc(by[id], func(s Inferred) bool { return ofChange[s.Session] })
		}
	}
	if len(sessions) == 0 {
		return by, nil
	}
	models := make(map[string][]string)
	for e, err := range l.Store.Edges(ctx, store.EdgeQuery{From: sessions, Kinds: []stemma.EdgeKind{stemma.EdgeUsed}}) {
		if err != nil {
			return nil, fmt.Errorf("find models of sessions: %w", err)
		}
		if e.Scope.Kind == stemma.KindSession && !slices.Contains(models[e.From.Key], e.To.Key) {
			models[e.From.Key] = append(models[e.From.Key], e.To.Key)
		}
	}
	for _, list := range by {
		for i := range list {
			list[i].Models = append(list[i].Models, models[list[i].Session]...)
		}
	}
	return by, nil
}

// fits reports whether a session that content joins is everything that the query
// asks for.
func (l *logging) fits(s Inferred) bool {
	model := len(l.q.Models) == 0 || len(s.Models) == 0 && l.unknownModel() ||
		slices.ContainsFunc(s.Models, func(m string) bool { return matches(l.q.Models, m) })
	return model && (len(l.q.Agents) == 0 || matches(l.q.Agents, s.Agent)) &&
		(len(l.q.Sessions) == 0 || matches(l.q.Sessions, s.Session)) && l.isChosen(s.Session)
}

// isChosen reports whether a session is one of those that the query tells by what
// they were for, what they called and what configured them.
func (l *logging) isChosen(session string) bool {
	return !slices.ContainsFunc(l.chosen, func(set map[string]bool) bool { return !set[session] })
}
