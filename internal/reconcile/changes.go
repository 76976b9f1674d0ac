package reconcile

import (
	"context"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/project"
	"github.com/stemma-dev/stemma/internal/store"
)

// A change, as long as no forge says more, is a commit on the first-parent
// chain of the default branch, with the commits it brought: those that are
// reached from it and from no change before it.

// changes derives the changes that are new or that have a commit that was
// derived again.
func (r *run) changes(ctx context.Context, p *plan) error {
	r.Progress(Progress{Stage: "changes"})
	from, whole := "", true
	if done := r.marks.done; done != nil && !p.full && done.Branch == r.state.Branch {
		ahead, err := r.Repo.Ancestor(ctx, done.Tip, r.state.Tip)
		if err != nil && !foreign(err) {
			return err
		}
		if ahead {
			from, whole = done.Tip, false
		}
	}
	g, err := r.graph(ctx, from)
	if err != nil {
		return err
	}
	chain, joined := g.chain(r.state.Tip, from)
	if !whole && !joined {
		// The old tip came in as a second parent: every change is another.
		if g, err = r.graph(ctx, ""); err != nil {
			return err
		}
		whole = true
		chain, _ = g.chain(r.state.Tip, "")
	}
	members := g.members(chain)
	var gone []store.Scope
	if whole {
		if gone, err = r.staleChanges(ctx, members); err != nil {
			return err
		}
	} else if err := r.addRedone(ctx, p.redone, members); err != nil {
		return err
	}
	return r.putChanges(ctx, members, gone)
}

// graph is a part of the history, by number, so that a large one fits in
// memory.
type graph struct {
	number  map[string]int32
	ids     []string
	parents [][]int32
}

// graph reads the history of the default branch that from does not reach.
func (r *run) graph(ctx context.Context, from string) (*graph, error) {
	g := &graph{number: make(map[string]int32)}
	query := git.HistoryQuery{Tips: []string{r.state.Tip}, NoMessages: true}
	if from != "" {
		query.Not = []string{from}
	}
	for c, err := range r.Repo.History(ctx, query) {
		if err != nil {
			return nil, err
		}
		n := g.node(c.ID)
		parents := make([]int32, len(c.Parents))
		for i, p := range c.Parents {
			parents[i] = g.node(p)
		}
		g.parents[n] = parents
	}
	return g, nil
}

func (g *graph) node(id string) int32 {
	if n, ok := g.number[id]; ok {
		return n
	}
	n := int32(len(g.ids))
	g.number[id] = n
	g.ids = append(g.ids, id)
	g.parents = append(g.parents, nil)
	return n
}

// chain gives the first-parent chain from tip down to, and without, the commit
// end, newest first, and whether it got there. "" is the root.
func (g *graph) chain(tip, end string) (chain []int32, joined bool) {
	if tip == end {
		return nil, true
	}
	n, ok := g.number[tip]
	for ok {
		chain = append(chain, n)
		if len(g.parents[n]) == 0 {
			return chain, end == ""
		}
		n = g.parents[n][0]
		if g.ids[n] == end {
			return chain, true
		}
	}
	return chain, false
}

// members gives, for each commit of the chain, the commits that it brought,
// itself included.
func (g *graph) members(chain []int32) map[string][]string {
	members := make(map[string][]string, len(chain))
	given := make([]bool, len(g.ids))
	var stack []int32
	for _, c := range slices.Backward(chain) {
		stack = append(stack[:0], c)
		var brought []string
		for len(stack) > 0 {
			n := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if given[n] {
				continue
			}
			given[n] = true
			if g.parents[n] == nil {
				continue // outside of what was read: an older change brought it
			}
			brought = append(brought, g.ids[n])
			stack = append(stack, g.parents[n]...)
		}
		members[g.ids[c]] = brought
	}
	return members
}

// staleChanges gives the changes that are stored and are none any more.
func (r *run) staleChanges(ctx context.Context, members map[string][]string) ([]store.Scope, error) {
	prefix := stemma.ChangeID(r.report.Repository, "").Key
	var gone []store.Scope
	for id, err := range r.Store.Nodes(ctx, stemma.KindChange, prefix) {
		if err != nil {
			return nil, err
		}
		if _, ok := members[strings.TrimPrefix(id.Key, prefix)]; !ok {
			gone = append(gone, store.Scope{ID: id, Gone: true})
		}
	}
	return gone, nil
}

// addRedone adds the changes that commits derived again are part of.
func (r *run) addRedone(ctx context.Context, redone []string, members map[string][]string) error {
	if len(redone) == 0 {
		return nil
	}
	prefix := stemma.ChangeID(r.report.Repository, "").Key
	part := []stemma.EdgeKind{stemma.EdgePartOf}
	var changes []stemma.NodeID
	for e, err := range r.Store.Edges(ctx, store.EdgeQuery{From: commitIDs(redone), Kinds: part}) {
		if err != nil {
			return err
		}
		if strings.HasPrefix(e.To.Key, prefix) {
			changes = append(changes, e.To)
		}
	}
	if len(changes) == 0 {
		return nil
	}
	has := make(map[string]bool)
	for oid, brought := range members {
		for _, id := range brought {
			has[oid+id] = true
		}
	}
	for e, err := range r.Store.Edges(ctx, store.EdgeQuery{To: changes, Kinds: part}) {
		if err != nil {
			return err
		}
		oid := strings.TrimPrefix(e.To.Key, prefix)
		if !has[oid+e.From.Key] {
			has[oid+e.From.Key] = true
			members[oid] = append(members[oid], e.From.Key)
		}
	}
	return nil
}

// putChanges stores the changes with these members, in batches.
func (r *run) putChanges(ctx context.Context, members map[string][]string, scopes []store.Scope) error {
	var oids, commits []string
	flush := func() error {
		derived, err := r.deriveChanges(ctx, oids, commits, members)
		if err != nil {
			return err
		}
		err = r.Store.Put(ctx, store.Batch{Scopes: append(scopes, derived...)})
		oids, commits, scopes = oids[:0], commits[:0], nil
		return err
	}
	done := 0
	for oid, brought := range members {
		oids, commits = append(oids, oid), append(commits, brought...)
		if done++; len(commits) >= batch {
			if err := flush(); err != nil {
				return err
			}
			r.Progress(Progress{Stage: "changes", Done: done, Total: len(members)})
		}
	}
	return flush()
}

// deriveChanges derives the changes of these commits. commits holds the
// members of all of them.
func (r *run) deriveChanges(ctx context.Context, oids, commits []string, members map[string][]string) ([]store.Scope, error) {
	if len(oids) == 0 {
		return nil, nil
	}
	ids := commitIDs(commits)
	by := make(map[string]*project.Member, len(ids))
	for t, err := range r.Store.Tallies(ctx, store.TallyQuery{Kind: stemma.KindCommit, Nodes: ids}) {
		if err != nil {
			return nil, err
		}
		by[t.Node.Key] = &project.Member{Tally: t}
	}
	var withSessions []stemma.NodeID
	for _, m := range by {
		if m.Tally.Sessions > 0 {
			withSessions = append(withSessions, m.Tally.Node)
		}
	}
	if len(withSessions) > 0 {
		query := store.EdgeQuery{From: withSessions, Kinds: []stemma.EdgeKind{stemma.EdgeWrittenBy}}
		for e, err := range r.Store.Edges(ctx, query) {
			if err != nil {
				return nil, err
			}
			if m := by[e.From.Key]; m != nil && e.To.Kind == stemma.KindSession {
				m.Sessions = append(m.Sessions, e.To.Key)
			}
		}
	}
	scopes := make([]store.Scope, 0, len(oids))
	for _, oid := range oids {
		var of []project.Member
		for _, id := range members[oid] {
			if m := by[id]; m != nil {
				of = append(of, *m)
			}
		}
		scopes = append(scopes, project.Change(r.report.Repository, r.state.Branch, oid, of))
	}
	return scopes, nil
}

func commitIDs(oids []string) []stemma.NodeID {
	ids := make([]stemma.NodeID, len(oids))
	for i, oid := range oids {
		ids[i] = stemma.CommitID(oid)
	}
	return ids
}
