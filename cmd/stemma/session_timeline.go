package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/lineage"
	"github.com/stemma-dev/stemma/internal/store"
)

// moment is something on a timeline.
type moment struct {
	Time    string `json:"time"`
	Session string `json:"session,omitempty"`
	Turn    int    `json:"turn,omitempty"`
	To      string `json:"to,omitempty"` // of a message: the session that was told
	Commit  string `json:"commit,omitempty"`
	Author  string `json:"author,omitempty"` // of a commit, as git has it
	// Lines are those that a commit added, by class; left out where it is not in
	// the index.
	Lines *stemma.Lines `json:"lines,omitempty"`
	What  string        `json:"what"`
	at    time.Time
}

// timeline is what happened, and which sessions and commits it is of.
type timeline struct {
	moments []moment
	of      agent.Tale
	commits []string        // of the changes that the session took part in
	keys    map[string]bool // of the sessions
	tales   []agent.Tale    // of which the keys are some
}

// showTimeline interleaves the changes that a session took part in with all
// sessions that belong to it and to them.
func (o *options) showTimeline(ctx context.Context, b *bench, t agent.Tale) error {
	l, err := b.timelineOf(ctx, t)
	if err != nil {
		return err
	}
	l.addMessages()
	l.addTurns()
	if err := l.addCommits(ctx, b); err != nil {
		return err
	}
	slices.SortStableFunc(l.moments, func(a, b moment) int { return a.at.Compare(b.at) })
	if o.json {
		return printJSON(o.out, struct {
			Schema   string   `json:"schema"`
			Timeline []moment `json:"timeline"`
		}{"stemma.timeline/v1", append([]moment{}, l.moments...)})
	}
	p, err := o.painter()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(o.out)
	defer out.Flush()
	for _, m := range l.moments {
		who, what := plain(m.Session)+fmt.Sprintf(" turn %d", m.Turn), plain(m.What)
		switch {
		case m.To != "":
			who = plain(m.Session) + " -> " + plain(m.To)
		case m.Commit != "":
			who, what = p.in("33", "commit "+short(m.Commit)), plain(m.Author)+": "+what+linesText(m.Lines)
		}
		fmt.Fprintf(out, "%s  %s  %s\n", fit(dash(m.Time), 20), who, what)
	}
	return nil
}

// linesText is the lines of a commit in words.
func linesText(l *stemma.Lines) string {
	if l == nil {
		return ""
	}
	var parts []string
	for _, class := range stemma.Classes {
		if n := l.Of(class); n > 0 {
			parts = append(parts, count(n)+" "+string(class))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " (lines: " + strings.Join(parts, ", ") + ")"
}

// timelineOf finds what belongs on the timeline of a session.
func (b *bench) timelineOf(ctx context.Context, t agent.Tale) (*timeline, error) {
	l := &timeline{of: t, keys: map[string]bool{t.Key: true}}
	session := stemma.NodeID{Kind: stemma.KindSession, Key: t.Key}
	mine, err := b.ends(ctx, store.EdgeQuery{To: []stemma.NodeID{session}, Kinds: []stemma.EdgeKind{stemma.EdgeWrittenBy}}, counted(from))
	if err != nil {
		return nil, err
	}
	changes, err := b.ends(ctx, store.EdgeQuery{From: mine, Kinds: []stemma.EdgeKind{stemma.EdgePartOf}}, to)
	if err != nil {
		return nil, err
	}
	theirs, err := b.ends(ctx, store.EdgeQuery{To: changes, Kinds: []stemma.EdgeKind{stemma.EdgePartOf}}, from)
	if err != nil {
		return nil, err
	}
	commits := make(map[stemma.NodeID]bool)
	for _, id := range slices.Concat(mine, theirs) {
		if id.Kind == stemma.KindCommit {
			commits[id] = true
		}
	}
	ids := slices.AppendSeq([]stemma.NodeID{}, maps.Keys(commits)) // not nil, which is all nodes
	slices.SortFunc(ids, stemma.NodeID.Compare)
	writers, err := b.ends(ctx, store.EdgeQuery{From: ids, Kinds: []stemma.EdgeKind{stemma.EdgeWrittenBy}}, counted(to))
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		l.commits = append(l.commits, id.Key)
	}
	for _, id := range writers {
		if id.Kind == stemma.KindSession {
			l.keys[id.Key] = true
		}
	}
	l.tales, err = b.together(ctx, slices.Sorted(maps.Keys(l.keys)), false)
	if err != nil {
		return nil, err
	}
	if root := rootOf(l.tales, t.Key); root != nil {
		root.Each(func(n *agent.Node) { l.keys[n.Key] = true })
	}
	return l, nil
}

// from and to are the ends of an edge.
func from(e stemma.Edge) stemma.NodeID { return e.From }
func to(e stemma.Edge) stemma.NodeID   { return e.To }

// counted is the end of an edge that joins a session with a commit, none where
// they are too little alike to count.
func counted(end func(stemma.Edge) stemma.NodeID) func(stemma.Edge) stemma.NodeID {
	return func(e stemma.Edge) stemma.NodeID {
		if !(lineage.Join{Source: e.Source, Strength: e.Strength}).Counts() {
			return stemma.NodeID{}
		}
		return end(e)
	}
}

// ends gives one end of the edges that a query asks for, each once and none that
// is empty; never nil.
func (b *bench) ends(ctx context.Context, q store.EdgeQuery, end func(stemma.Edge) stemma.NodeID) ([]stemma.NodeID, error) {
	ids := []stemma.NodeID{}
	for e, err := range b.store.Edges(ctx, q) {
		if err != nil {
			return nil, fmt.Errorf("read the graph: %w", err)
		}
		if id := end(e); id != (stemma.NodeID{}) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, stemma.NodeID.Compare)
	return slices.Compact(ids), nil
}

// addMessages adds what the sessions said to others, and were told; and with it
// the sessions that they spoke with.
func (l *timeline) addMessages() {
	exchanges := agent.Exchanges(sessionsIn(l.tales))
	for _, peer := range agent.Peers(exchanges, l.keys) {
		l.keys[peer] = true
	}
	for _, e := range exchanges {
		if !l.keys[e.From] && !l.keys[e.To] {
			continue
		}
		for _, m := range e.Messages {
			l.moments = append(l.moments, moment{Session: e.From, To: e.To, at: m.Time, Time: when(m.Time), What: messageText(m)})
		}
	}
}

// addTurns adds the turns of the sessions.
func (l *timeline) addTurns() {
	for _, t := range l.tales {
		if !l.keys[t.Key] {
			continue
		}
		for _, turn := range t.Session.Turns {
			added := 0
			for _, c := range turn.Calls {
				for _, f := range c.Files {
					added += f.Added
				}
			}
			l.moments = append(l.moments, moment{
				Session: t.Key, Turn: turn.Index, at: turn.Start, Time: when(turn.Start),
				What: fmt.Sprintf("%s, %s, +%d lines", dash(string(turn.Origin)), number(len(turn.Calls), "call"), added),
			})
		}
	}
}

// addCommits adds the commits, with who made them and whose lines they added.
func (l *timeline) addCommits(ctx context.Context, b *bench) error {
	lines := make(map[string]*stemma.Lines)
	for a, err := range b.store.Attributions(ctx, l.commits) {
		if err != nil {
			return fmt.Errorf("read the lines of %d commits: %w", len(l.commits), err)
		}
		lines[a.Commit] = &a.Lines
	}
	for _, id := range l.commits {
		c, err := b.repo.Commit(ctx, id)
		if err != nil {
			continue // known from a rewrite that is gone
		}
		at := time.Unix(c.Committer.Time, 0)
		title, _, _ := strings.Cut(strings.TrimSpace(string(c.Message)), "\n")
		l.moments = append(l.moments, moment{
			Commit: id, Author: strings.ToValidUTF8(cmp.Or(c.Author.Name, c.Author.Mail), "\uFFFD"), Lines: lines[id],
			at: at, Time: when(at), What: strings.ToValidUTF8(title, "\uFFFD"),
		})
	}
	return nil
}

// messageText is a message between sessions without its words.
func messageText(m agent.Message) string {
	size := int64(0)
	if m.Text != nil {
		size = m.Text.Size
	}
	return fmt.Sprintf("%s, %s", cmp.Or(m.Kind, "message"), number(int(size), "byte"))
}

// rootOf gives the root of the tree that a session is in.
func rootOf(all []agent.Tale, key string) *agent.Node {
	var found *agent.Node
	for _, root := range agent.Forest(sessionsIn(all)) {
		root.Each(func(n *agent.Node) {
			if n.Key == key {
				found = root
			}
		})
	}
	return found
}

func sessionsIn(all []agent.Tale) []agent.Session {
	list := make([]agent.Session, 0, len(all))
	for _, t := range all {
		list = append(list, t.Session)
	}
	return list
}
