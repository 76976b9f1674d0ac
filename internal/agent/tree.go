package agent

import (
	"cmp"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma/internal/git"
)

// Node is a session in the tree of the sessions that spawned one another.
type Node struct {
	Session *Session // nil where the session is known from its parent only
	Key     string   // of the session's node
	Parent  *Node
	// Children are in the order in which they were spawned.
	Children []*Node
	Depth    int // 0 for a root

	// Kind is what the session was to the others, with the method that tells; "" is
	// a session that has no others.
	Kind   NodeKind
	Method string
	Role   string // what kind of worker was asked for, as the agent names it
	Call   string // id of the parent's call that spawned it
	Task   *Text  // what was delegated
	Result *Text  // what was handed back
	Status string // as the parent's transcript has it

	// Own is what the session itself used and wrote, All that with everything
	// below it. What a session began with because it was forked or resumed is its
	// origin's, and counted there only.
	Own, All Measure
	// Inherited counts the turns that are another session's.
	Inherited int
	// Superseded are the keys of the sessions that replaced lines of this one,
	// Replaced counts those lines.
	Superseded []string
	Replaced   int
	// Cyclic says that the session is, by what transcripts say, below itself: it
	// is shown as a root.
	Cyclic bool
}

// NodeKind is what a session was to the others of its tree.
type NodeKind string

// The kinds of nodes.
const (
	Planner   NodeKind = "planner"    // handed tasks to others
	Worker    NodeKind = "worker"     // was handed a task
	SubWorker NodeKind = "sub-worker" // by a worker
	Reviewer  NodeKind = "reviewer"   // was to review, and wrote nothing
)

// Measure is what was used and written.
type Measure struct {
	Usage   *Usage // nil where nothing tells
	Turns   int
	Calls   int
	Added   int // lines written
	Removed int
	Files   int // written; in All, each counted for each session
}

func (w Measure) add(other Measure) Measure {
	w.Usage = w.Usage.Add(other.Usage)
	w.Turns += other.Turns
	w.Calls += other.Calls
	w.Added += other.Added
	w.Removed += other.Removed
	w.Files += other.Files
	return w
}

// Discarded reports whether nothing of what the session wrote is left after the
// others of its tree: all of it was replaced.
func (n *Node) Discarded() bool { return n.Own.Added > 0 && n.Replaced >= n.Own.Added }

// Forest joins sessions to trees, and gives the roots, oldest first. A session
// belongs to the parent that its own transcript names, or else to the one whose
// call names it. A parent or a child that is not among the sessions is a Node
// without a Session. Whatever transcripts say, the result has no cycles, and each
// session is in it once.
func Forest(sessions []Session) []*Node {
	nodes := make(map[string]*Node)
	var order []*Node
	node := func(key string) *Node {
		n := nodes[key]
		if n == nil {
			n = &Node{Key: key}
			nodes[key] = n
			order = append(order, n)
		}
		return n
	}
	for i := range sessions {
		n := node(sessions[i].Key())
		if n.Session == nil {
			n.Session = &sessions[i]
		}
	}
	ours := slices.Clone(order)
	joined := func(n *Node, c *Call) *Node { return nodes[memberOf(sessions, n, c)] }
	for _, n := range ours {
		if p := n.Session.Parent; p != nil && p.Session != "" {
			parent := node(keyOf(p.Agent, n.Session.Agent, p.Session))
			if parent != n {
				n.Parent, n.Role, n.Call = parent, p.Role, p.Call
			}
		}
	}
	for _, n := range ours {
		for _, t := range n.Session.Turns {
			for _, c := range t.Calls {
				if c.Spawn != nil {
					spawn(n, c, node, joined)
				}
			}
		}
	}
	breakCycles(order)
	for _, n := range order {
		if n.Parent != nil {
			n.Parent.Children = append(n.Parent.Children, n)
		}
	}
	owners := turnOwners(ours)
	var roots []*Node
	for _, n := range order {
		slices.SortStableFunc(n.Children, older)
		if n.Parent == nil {
			roots = append(roots, n)
		}
	}
	for _, r := range roots {
		r.measure(0, owners)
		supersede(r)
	}
	slices.SortStableFunc(roots, older)
	return roots
}

func keyOf(agent, fallback, id string) string {
	if agent == "" {
		agent = fallback
	}
	return agent + "/" + id
}

// spawn links a call that asked for a session with that session. A call whose
// session nothing names is a child of its own, known by the call.
func spawn(n *Node, c *Call, node func(string) *Node, joined func(*Node, *Call) *Node) {
	var child *Node
	switch {
	case c.Spawn.Session != "":
		child = node(n.Session.Agent + "/" + c.Spawn.Session)
	case c.Spawn.Member != "" && joined(n, c) != nil:
		child = joined(n, c)
	case c.ID == "" || c.Outcome == OutcomeNone:
		return
	default:
		child = node(n.Key + "/call/" + c.ID)
	}
	if child == n || child.Parent != nil && child.Parent != n {
		return
	}
	child.Parent = n
	child.Task, child.Result, child.Status, child.Call = c.Spawn.Task, c.Spawn.Result, c.Spawn.Status, c.ID
	if c.Spawn.Role != "" {
		child.Role = c.Spawn.Role
	}
	if child.Session == nil && c.Spawn.Tokens > 0 && child.Own.Usage == nil {
		// Told by the parent only: shown, and not summed. See Spawn.Tokens.
		child.Status = strings.TrimSpace(child.Status + " (its transcript is missing)")
	}
}

// memberOf gives the key of the session that joined a team under the name that a
// call gave it: the only one of that name, or the first that began after the
// call. It is "" where that is not to be told.
func memberOf(sessions []Session, n *Node, c *Call) string {
	var found *Session
	several := false
	for i := range sessions {
		s := &sessions[i]
		if s.Team == nil || s.Agent != n.Session.Agent || s.Team.Name != c.Spawn.Team || s.Team.Member != c.Spawn.Member {
			continue
		}
		several = several || found != nil
		if s.Start.Before(c.Start) {
			continue
		}
		if found == nil || s.Start.Before(found.Start) {
			found = s
		}
	}
	if found == nil || several && c.Start.IsZero() {
		return ""
	}
	return found.Key()
}

// breakCycles cuts every cycle of parents at its least key.
func breakCycles(order []*Node) {
	done := make(map[*Node]bool)
	for _, start := range order {
		var path []*Node
		at := make(map[*Node]int)
		for n := start; n != nil && !done[n]; n = n.Parent {
			if i, ok := at[n]; ok {
				cycle := path[i:]
				least := slices.MinFunc(cycle, func(a, b *Node) int { return strings.Compare(a.Key, b.Key) })
				least.Parent, least.Cyclic = nil, true
				break
			}
			at[n] = len(path)
			path = append(path, n)
		}
		for _, n := range path {
			done[n] = true
		}
	}
}

// older orders nodes by their beginning; those that tell none come last.
func older(a, b *Node) int {
	switch {
	case a.Session == nil || b.Session == nil:
		return cmp.Or(cmp.Compare(b2i(a.Session == nil), b2i(b.Session == nil)), strings.Compare(a.Key, b.Key))
	case a.Session.Start.IsZero() != b.Session.Start.IsZero():
		return cmp.Compare(b2i(a.Session.Start.IsZero()), b2i(b.Session.Start.IsZero()))
	}
	return cmp.Or(a.Session.Start.Compare(b.Session.Start), strings.Compare(a.Key, b.Key))
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// GlobalID is the length from which an id of a turn is held to be unique among
// all sessions; shorter ones are numbers within a session.
const GlobalID = 16

// turnOwners gives, for each turn that several sessions have because one was
// forked from or resumed another, the session that began first.
func turnOwners(nodes []*Node) map[string]*Node {
	owners := make(map[string]*Node)
	sorted := slices.Clone(nodes)
	slices.SortStableFunc(sorted, older)
	for _, n := range sorted {
		for _, t := range n.Session.Turns {
			if id := n.Session.Agent + "/" + t.ID; len(t.ID) >= GlobalID && owners[id] == nil {
				owners[id] = n
			}
		}
	}
	return owners
}

func (n *Node) measure(depth int, owners map[string]*Node) {
	n.Depth = depth
	if n.Session != nil {
		n.measureOwn(owners)
	}
	n.All = n.Own
	for _, c := range n.Children {
		c.measure(depth+1, owners)
		n.All = n.All.add(c.All)
	}
	n.classify()
}

func (n *Node) measureOwn(owners map[string]*Node) {
	files := make(map[string]bool)
	copied := n.copied()
	for i, t := range n.Session.Turns {
		if owner := owners[n.Session.Agent+"/"+t.ID]; i < copied || owner != nil && owner != n {
			n.Inherited++
			continue
		}
		n.Own.Turns++
		n.Own.Usage = n.Own.Usage.Add(t.Usage())
		for _, c := range t.Calls {
			n.Own.Calls++
			if c.Kind != KindEdit || c.Outcome == OutcomeNone || c.Outcome == OutcomeError {
				continue
			}
			for _, f := range c.Files {
				files[f.Path] = true
				n.Own.Added += f.Added
				n.Own.Removed += f.Removed
			}
		}
	}
	n.Own.Files = len(files)
	if n.Own.Usage == nil && n.Session.Total != nil {
		n.Own.Usage = n.Session.Total.Usage
	}
}

// copied counts the turns that a session which was forked begins with and that are
// its origin's, where turns have no ids that tell: those that are alike one after
// the other from the first on.
func (n *Node) copied() int {
	if p := n.Session.Parent; p == nil || !p.Fork || n.Parent == nil || n.Parent.Session == nil {
		return 0
	}
	mine, theirs := n.Session.Turns, n.Parent.Session.Turns
	for i := range min(len(mine), len(theirs)) {
		if !alike(mine[i], theirs[i]) {
			return i
		}
	}
	return min(len(mine), len(theirs))
}

// alike reports whether two turns were begun by the same prompt and answered
// alike. Of sessions as statements tell them, the lengths of the texts are known.
func alike(a, b *Turn) bool {
	same := func(x, y *Text) bool {
		if x == nil || y == nil {
			return x == y
		}
		return x.Size == y.Size && x.Text == y.Text
	}
	return len(a.ID) < GlobalID && len(b.ID) < GlobalID && a.Prompt != nil && same(a.Prompt, b.Prompt) && same(a.Answer, b.Answer) && len(a.Calls) == len(b.Calls)
}

// classify tells what a session was to the others.
func (n *Node) classify() {
	switch reviews := asksForReview(n); {
	case n.Parent != nil && reviews && n.Own.Added+n.Own.Removed == 0:
		n.Kind, n.Method = Reviewer, "role or task asks for a review, and nothing was written"
	case n.Parent != nil && n.Depth > 1:
		n.Kind, n.Method = SubWorker, "spawned by a session that was spawned"
	case n.Parent != nil:
		n.Kind, n.Method = Worker, "spawned by another session"
	case len(n.Children) > 0:
		n.Kind, n.Method = Planner, "spawned other sessions"
	}
}

// asksForReview reports whether a session's role or task is to review.
func asksForReview(n *Node) bool {
	text := n.Role
	switch {
	case n.Task != nil:
		text += "\n" + n.Task.Text
	case n.Session != nil && len(n.Session.Turns) > 0 && n.Session.Turns[0].Prompt != nil:
		text += "\n" + n.Session.Turns[0].Prompt.Text
	}
	return reviewWords.MatchString(text)
}

// supersede finds the lines of each session that others of its tree replaced
// later.
func supersede(root *Node) {
	type written struct {
		by   *Node
		left int
	}
	type step struct {
		by   *Node
		call *Call
	}
	var steps []step
	root.Each(func(n *Node) {
		if n.Session == nil {
			return
		}
		for _, t := range n.Session.Turns {
			for _, c := range t.Calls {
				if len(c.Edits) > 0 && c.Outcome != OutcomeNone && c.Outcome != OutcomeError {
					steps = append(steps, step{n, c})
				}
			}
		}
	})
	slices.SortStableFunc(steps, func(a, b step) int { return a.call.Start.Compare(b.call.Start) })
	lines := make(map[string]map[git.Line]*written) // by path
	for _, s := range steps {
		for _, e := range s.call.Edits {
			have := lines[e.Path]
			if have == nil {
				have = make(map[git.Line]*written)
				lines[e.Path] = have
			}
			for _, h := range e.Old {
				w := have[h]
				if w == nil || w.left == 0 || slices.Contains(e.New, h) {
					continue
				}
				w.left--
				if w.by != s.by {
					w.by.Replaced++
					if !slices.Contains(w.by.Superseded, s.by.Key) {
						w.by.Superseded = append(w.by.Superseded, s.by.Key)
					}
				}
			}
			for _, h := range e.New {
				if w := have[h]; w != nil && w.by == s.by {
					w.left++
				} else if w == nil || w.left == 0 {
					have[h] = &written{s.by, 1}
				}
			}
		}
	}
}

// Each calls visit for the node and everything below it, parents first.
func (n *Node) Each(visit func(*Node)) {
	visit(n)
	for _, c := range n.Children {
		c.Each(visit)
	}
}
