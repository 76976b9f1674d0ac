package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/lineage"
	"github.com/stemma-dev/stemma/internal/project"
	"github.com/stemma-dev/stemma/internal/record"
)

// The limits within which sessions that were recorded before are looked at for
// what new ones took up of them.
const (
	relatedFor  = 14 * 24 * time.Hour
	maxEarlier  = 100 // that began before the new ones ended
	maxLater    = 100 // that began after it
	maxRelation = 100 // of one session
)

// relations finds what sessions took up of one another, and of those that were
// recorded before and whose content is the user's own; by the key of who did.
func (b *bench) relations(ctx context.Context, sessions ...agent.Outline) (map[string][]agent.Relation, error) {
	near, err := b.near(ctx, sessions)
	if err != nil {
		return nil, err
	}
	related := make(map[string][]agent.Relation)
	for _, r := range agent.Relations(slices.Concat(sessions, near)) {
		if len(related[r.From]) < maxRelation {
			related[r.From] = append(related[r.From], r)
		}
	}
	return related, nil
}

// near reads what the vault keeps of the last sessions that began before the new
// ones ended, and of the first that began after it.
func (b *bench) near(ctx context.Context, sessions []agent.Outline) ([]agent.Outline, error) {
	fresh := make(map[string]bool, len(sessions))
	var first, last time.Time
	for _, s := range sessions {
		fresh[s.Key] = true
		if s.Start.IsZero() {
			continue
		}
		if first.IsZero() || s.Start.Before(first) {
			first = s.Start
		}
		if s.End.After(last) {
			last = s.End
		}
	}
	rows, err := b.sessionRows(ctx)
	if err != nil || first.IsZero() {
		return nil, err
	}
	since, ended, until := when(first.Add(-relatedFor)), when(last), when(last.Add(relatedFor))
	var all []agent.Outline
	earlier, later := 0, 0
	read := func(r *sessionRow, n *int) error {
		t, err := b.tale(ctx, r.Session)
		if err != nil {
			return err
		}
		s, err := b.content(ctx, t, "")
		switch {
		case err == nil:
			all = append(all, s.Outline())
			*n++
		case errors.Is(err, stemma.ErrNotFound), errors.Is(err, stemma.ErrDenied):
			// Erased, or another person's.
		default:
			return err
		}
		return nil
	}
	for i := range rows { // newest first
		r := &rows[i]
		if earlier == maxEarlier {
			break
		}
		if fresh[r.Session] || r.Start == "" || r.Start > ended || r.End < since {
			continue
		}
		if err := read(r, &earlier); err != nil {
			return nil, err
		}
	}
	for i := len(rows) - 1; i >= 0; i-- {
		r := &rows[i]
		if later == maxLater || r.Start > until {
			break
		}
		if fresh[r.Session] || r.Start <= ended {
			continue
		}
		if err := read(r, &later); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// relateLate tells what sessions that were recorded before took up of those that
// came after them: a review that is imported when its findings are long fixed. told
// are the sessions that have told it themselves; one that goes on will.
func (b *bench) relateLate(ctx context.Context, related map[string][]agent.Relation, told map[string]bool, now time.Time) error {
	var batch []record.Submission
	for _, key := range slices.Sorted(maps.Keys(related)) {
		if told[key] {
			continue
		}
		t, err := b.tale(ctx, key)
		if errors.Is(err, stemma.ErrNotFound) {
			continue // it could not be told
		}
		if err != nil {
			return err
		}
		missing := slices.DeleteFunc(slices.Clone(related[key]), func(r agent.Relation) bool {
			return slices.ContainsFunc(t.Related, func(have agent.DeltaRelation) bool { return have.Session == r.To && have.Kind == r.Kind })
		})
		missing = missing[:min(len(missing), max(0, maxRelation-len(t.Related)))]
		if !t.Final || len(missing) == 0 {
			continue
		}
		statements, err := agent.Statements(t.Head(), agent.Told{
			Repository: b.clone.Repository, About: []stemma.Subject{sessionsSubject(b.clone.Repository)}, First: t.Last + 1,
			Final: true, Observed: now, Vantage: t.Vantage, Related: missing,
		})
		if err != nil {
			return err
		}
		for _, st := range statements {
			sub, err := record.NewSubmission(st)
			if err != nil {
				return err
			}
			batch = append(batch, sub)
		}
	}
	if len(batch) == 0 {
		return nil
	}
	ledger, err := b.ledger(ctx)
	if err != nil {
		return err
	}
	if ledger.Recorder == nil {
		return ledger.Why
	}
	if _, err := ledger.Recorder.Record(ctx, batch); err != nil {
		return fmt.Errorf("tell what %d sessions took up: %w", len(batch), err)
	}
	return nil
}

// kin is a session that took up what another one had said or done.
type kin struct {
	Session string `json:"session"`
	Kind    string `json:"kind"` // what it did: "fixes", "reviews", "quotes"
	Method  string `json:"method"`
	Count   int    `json:"count"`
}

// takenUp gives for each session those that took up what it had said or done.
func takenUp(all []agent.Tale) map[string][]kin {
	by := make(map[string][]kin)
	for _, t := range all {
		for _, r := range t.Related {
			by[r.Session] = append(by[r.Session], kin{t.Key, r.Kind, r.Method, r.Count})
		}
	}
	return by
}

// takenUp gives the sessions that took up what one had said or done.
func (b *bench) takenUp(ctx context.Context, session string) ([]kin, error) {
	var keys []string
	for s, err := range b.store.ScopesByKey(ctx, []string{project.RelatedKey(session)}) {
		if err != nil {
			return nil, err
		}
		keys = append(keys, s.ID.Key)
	}
	told, err := b.talesOf(ctx, keys)
	return takenUp(told)[session], err
}

// findTale gives the session whose id begins with what the user wrote.
func (b *bench) findTale(ctx context.Context, wanted string) (agent.Tale, error) {
	rows, err := b.sessionRows(ctx)
	if err != nil {
		return agent.Tale{}, err
	}
	keys := make([]string, len(rows))
	for i := range rows {
		keys[i] = rows[i].Session
	}
	i, err := findSession(keys, wanted)
	if err != nil {
		return agent.Tale{}, err
	}
	return b.tale(ctx, keys[i])
}

// configuredBefore gives the session before one with which its configuration can
// be compared; nil where there is none, or nothing configured it.
func (b *bench) configuredBefore(ctx context.Context, t agent.Tale) (*agent.Tale, error) {
	if len(t.Config) == 0 {
		return nil, nil
	}
	before, err := b.graph().Sessions.Before(ctx, t)
	if errors.Is(err, stemma.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &before, nil
}

// drift tells how the configuration of a session differs from that of the session
// before; nil where there is nothing to compare with.
func (b *bench) drift(ctx context.Context, t agent.Tale) (*lineage.Drift, error) {
	before, err := b.configuredBefore(ctx, t)
	if err != nil || before == nil {
		return nil, err
	}
	return &lineage.Drift{Since: before.Key, Drift: agent.DriftBetween(before.Config, t.Config)}, nil
}

// passive says of a relation what it is from the other side.
func passive(kind string) string {
	switch kind {
	case "fixes":
		return "fixed by"
	case "reviews":
		return "reviewed by"
	default:
		return "quoted by"
	}
}

// workedText puts into words how a session worked.
func workedText(d agent.Derived) string {
	parts := []string{
		fmt.Sprintf("%s, %s of own lines", number(d.Iterations.Prompts, "prompt"), number(d.Iterations.Rewrites, "rewrite")),
		testedText[d.Signals.Tested],
	}
	if d.Signals.ReadFirst >= 0 {
		parts = append(parts, number(d.Signals.ReadFirst, "file")+" read before the first edit")
	}
	if d.Signals.Thinking > 0 {
		parts = append(parts, fmt.Sprintf("%s bytes of thinking shown", count(int(d.Signals.Thinking))))
	}
	if n := d.Signals.Interrupted; n > 0 {
		parts = append(parts, number(n, "turn")+" interrupted")
	}
	if n := d.Signals.Rejected; n > 0 {
		parts = append(parts, number(n, "call")+" rejected")
	}
	if len(d.Signals.Modes) > 0 {
		parts = append(parts, "permissions "+plain(strings.Join(d.Signals.Modes, ", ")))
	}
	return strings.Join(parts, "; ")
}

// text puts a relation into words.
func (r kin) text() string {
	what := "%s (inferred: %s, %d lines)"
	if r.Kind == "reviews" {
		what = "%s (inferred: %s, %d files)"
	}
	return fmt.Sprintf(what, plain(r.Session), plain(r.Method), r.Count)
}

// kinship is which sessions reviewed what others wrote, and fixed what others had
// found, from both sides; and in which tree each is.
type kinship struct {
	took, taken map[string][]kin
	root        map[string]int // place in the forest of the tree that a session is in
	forest      []*agent.Node
	committed   committed
	handed      map[string]handed // nil where nobody asked
	exchanges   []agent.Exchange
	told        map[string][]string // the sessions that one exchanged messages with
}

func kinshipOf(all []agent.Tale) kinship {
	k := kinship{
		took: make(map[string][]kin), taken: takenUp(all),
		root: make(map[string]int), forest: agent.Forest(sessionsIn(all)),
	}
	close := func(r kin) bool { return r.Kind == "fixes" || r.Kind == "reviews" }
	for key, list := range k.taken {
		k.taken[key] = slices.DeleteFunc(list, func(r kin) bool { return !close(r) })
	}
	for _, t := range all {
		for _, r := range t.Related {
			if close(kin(r)) {
				k.took[t.Key] = append(k.took[t.Key], kin(r))
			}
		}
	}
	for i, r := range k.forest {
		r.Each(func(n *agent.Node) { k.root[n.Key] = i })
	}
	k.exchanges, k.told = agent.Exchanges(sessionsIn(all)), make(map[string][]string)
	for _, e := range k.exchanges {
		k.told[e.From], k.told[e.To] = append(k.told[e.From], e.To), append(k.told[e.To], e.From)
	}
	return k
}

// messages gives what sessions of trees said to others, and were told.
func (k kinship) messages(roots []*agent.Node) []treeMessages {
	in := make(map[string]bool)
	for _, r := range roots {
		r.Each(func(n *agent.Node) { in[n.Key] = true })
	}
	all := []treeMessages{}
	for _, e := range k.exchanges {
		if in[e.From] || in[e.To] {
			all = append(all, treeMessages{e.From, e.To, len(e.Messages), when(e.Messages[0].Time), when(e.Messages[len(e.Messages)-1].Time)})
		}
	}
	return all
}

// together gives the tree that a session is in, and those of the sessions that are
// related or exchanged messages with one of it, and so on, in the order of the
// forest.
func (k kinship) together(key string) []*agent.Node {
	var take []int
	for next := []string{key}; len(next) > 0; next = next[1:] {
		i, ok := k.root[next[0]]
		if !ok || slices.Contains(take, i) {
			continue
		}
		take = append(take, i)
		k.forest[i].Each(func(n *agent.Node) {
			for _, r := range slices.Concat(k.took[n.Key], k.taken[n.Key]) {
				next = append(next, r.Session)
			}
			next = append(next, k.told[n.Key]...)
		})
	}
	slices.Sort(take)
	trees := make([]*agent.Node, 0, len(take))
	for _, i := range take {
		trees = append(trees, k.forest[i])
	}
	return trees
}

// all gives the trees of more than one session, and those that are related or
// exchanged messages with another one; alone takes the others too.
func (k kinship) all(alone bool) []*agent.Node {
	var roots []*agent.Node
	seen := make(map[*agent.Node]bool)
	for _, r := range k.forest {
		if seen[r] {
			continue
		}
		group := k.together(r.Key)
		for _, r := range group {
			seen[r] = true
		}
		if alone || len(group) > 1 || len(r.Children) > 0 || len(k.told[r.Key]) > 0 {
			roots = append(roots, group...)
		}
	}
	return roots
}

// fixer is the kind of a session that is in no tree and fixed what another one had
// found.
const fixer agent.NodeKind = "fixer"

// classify tells what sessions were to others that nobody spawned for it.
func (k kinship) classify(roots []*agent.Node) {
	for _, root := range roots {
		root.Each(func(n *agent.Node) {
			for _, r := range k.took[n.Key] {
				switch {
				case n.Kind != "":
				case r.Kind == "reviews":
					n.Kind, n.Method = agent.Reviewer, r.Method
				case r.Kind == "fixes":
					n.Kind, n.Method = fixer, r.Method
				}
			}
		})
	}
}
