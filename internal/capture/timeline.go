package capture

import (
	"cmp"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
	"github.com/stemma-dev/stemma/internal/spool"
)

// place is a file of a work tree.
type place struct{ tree, path string }

// state is a file as a hook saw it.
type state struct {
	at      time.Time
	phase   spool.Phase
	session int // -1 where no session saw it
	call    string
	found   bool
	file    spool.File
}

// window is the time of one tool call, in which its session may have written.
type window struct {
	session  int
	call     string
	tool     string
	from, to time.Time
	shell    bool
	paths    map[string]bool
	// fault says why the call can not be trusted to have shown all it wrote: a
	// hook is missing, or saw a gap. "" for a call that was seen whole.
	fault string
}

// health is what a git hook found of the configuration of the agents' hooks.
type health struct {
	at    time.Time
	fault string // "" where everything was as it was installed
}

// span is an interval of time, with both its ends.
type span struct{ from, to time.Time }

// gapSetBack is why lines written in a span of mixed order are unknown.
const gapSetBack = "the clock of this machine was set back"

// timeline is what the spool holds, in order.
type timeline struct {
	sessions []notes.Session
	parents  []string
	byID     map[[2]string]int
	states   map[place][]state
	byPath   map[string][]place   // of states
	windows  map[string][]*window // by tree
	health   map[string][]health  // by tree
	told     map[git.Line][]toldBy
	pauses   []spool.Interval
	mixed    []span   // in which time does not tell the order
	faults   []string // records that could not be read
}

// Why a call was not seen whole.
const (
	faultNoBefore = "the hook before the tool is missing"
	faultNoAfter  = "the hook after the tool is missing"
)

// longCall is after how long a call whose end was never seen is taken to be
// over: agents end a tool sooner.
const longCall = 10 * time.Minute

// read makes a timeline of records, and of when capture was paused.
func read(records iter.Seq2[spool.Stored, error], pauses []spool.Interval) (*timeline, error) {
	t := &timeline{
		byID: make(map[[2]string]int), states: make(map[place][]state),
		windows: make(map[string][]*window), health: make(map[string][]health), told: make(map[git.Line][]toldBy), pauses: pauses,
	}
	var all, told []spool.Record
	for r, err := range records {
		var fault *spool.DecodeError
		if errors.As(err, &fault) {
			t.faults = append(t.faults, fault.Error())
			continue
		}
		if err != nil {
			return nil, err
		}
		if r.Phase == spool.Told {
			told = append(told, r.Record)
			continue
		}
		r.Payload = nil // a day of payloads does not fit into memory
		all = append(all, r.Record)
	}
	// Machines that share a home, and segments, are merged by time; records of one
	// moment stay in the order in which they were written.
	slices.SortStableFunc(all, func(a, b spool.Record) int { return a.Time.Compare(b.Time) })
	open := make(map[string]map[[2]any]*window)
	heard := newReported()
	for i := range all {
		t.take(&all[i], open)
		agent := all[i].AgentKey()
		heard.add(agent, &all[i])
	}
	slices.SortStableFunc(told, func(a, b spool.Record) int {
		return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.Session, b.Session), strings.Compare(a.Call, b.Call))
	})
	t.tell(told, heard)
	t.byPath = make(map[string][]place)
	for p := range t.states {
		t.byPath[p.path] = append(t.byPath[p.path], p)
	}
	return t, nil
}

// take adds one record. open holds, by tree, the calls whose end was not seen.
func (t *timeline) take(r *spool.Record, open map[string]map[[2]any]*window) {
	if !r.SetBack.IsZero() {
		t.mixed = append(t.mixed, span{r.Time, r.SetBack})
	}
	if r.Agent == spool.AgentGit {
		h := health{at: r.Time}
		for _, g := range r.Gaps {
			h.fault = g.Reason
		}
		t.health[r.Tree] = append(t.health[r.Tree], h)
	}
	session := -1
	if r.Session != "" {
		session = t.session(r)
	}
	calls := open[r.Tree]
	if calls == nil {
		calls = make(map[[2]any]*window)
		open[r.Tree] = calls
	}
	key := [2]any{session, cmp.Or(r.Call, r.Tool)}
	switch r.Phase {
	case spool.Before:
		w := t.window(r, session)
		w.from, w.to = r.Time, r.Time.Add(longCall)
		w.fault = cmp.Or(fault(r), faultNoAfter)
		calls[key] = w
	case spool.After:
		w, ok := calls[key]
		switch {
		case ok:
			w.to = r.Time
			if w.fault = fault(r); w.fault == "" {
				w.fault = w.before()
			}
			delete(calls, key)
		case r.Shell || len(r.Files) > 0:
			w = t.window(r, session)
			w.from, w.to = t.lastOf(r.Tree, session, r.Time), r.Time
			w.fault = faultNoBefore
		}
		for _, f := range r.Files {
			w.paths[f.Path] = true
		}
	case spool.Prompt, spool.Stop:
		// What the session began before is over; its end was not seen.
		for k, w := range calls {
			if w.session == session {
				w.to = r.Time
				delete(calls, k)
			}
		}
	}
	for _, path := range r.Same {
		p := place{r.Tree, path}
		if n := len(t.states[p]); n > 0 {
			f := t.states[p][n-1].file
			f.Found, f.Was = false, ""
			t.states[p] = append(t.states[p], state{at: r.Time, phase: spool.Other, session: -1, file: f})
		}
	}
	for _, f := range r.Files {
		p := place{r.Tree, f.Path}
		t.states[p] = append(t.states[p], state{
			at: r.Time, phase: r.Phase, session: session, call: cmp.Or(r.Call, r.Tool), found: f.Found, file: f,
		})
	}
}

// before is the fault that the hook before the call saw.
func (w *window) before() string {
	if w.paths[faultMark] {
		return "the hook before the tool saw a gap"
	}
	return ""
}

// faultMark stands among the paths of a call whose first hook saw a gap. No
// path is empty.
const faultMark = ""

func (t *timeline) window(r *spool.Record, session int) *window {
	w := &window{session: session, call: cmp.Or(r.Call, r.Tool), tool: r.Tool, shell: r.Shell, paths: make(map[string]bool)}
	for _, f := range r.Files {
		w.paths[f.Path] = true
	}
	if fault(r) != "" {
		w.paths[faultMark] = true
	}
	t.windows[r.Tree] = append(t.windows[r.Tree], w)
	return w
}

// fault is the gap of a record that leaves open what was written, or "".
func fault(r *spool.Record) string {
	for _, g := range r.Gaps {
		if g.Path == "" && g.Reason != spool.GapExcluded && g.Reason != spool.GapIgnored {
			return g.Reason
		}
	}
	return ""
}

// lastOf is when a session was last seen at work before a time: its call whose
// beginning was not seen began after that.
func (t *timeline) lastOf(tree string, session int, before time.Time) time.Time {
	last := before.Add(-longCall)
	for _, w := range t.windows[tree] {
		if w.session == session && w.to.Before(before) && w.to.After(last) && w.fault == "" {
			last = w.to
		}
	}
	return last
}

// session gives the index of a record's session.
func (t *timeline) session(r *spool.Record) int {
	agent := r.AgentKey()
	key := [2]string{agent, r.Session}
	i, ok := t.byID[key]
	if !ok {
		i = len(t.sessions)
		t.byID[key] = i
		t.sessions = append(t.sessions, notes.Session{ID: r.Session, Agent: agent})
		t.parents = append(t.parents, r.Parent)
	}
	if r.Model != "" {
		t.sessions[i].Model = stemma.ParseModel(r.Model)
	}
	return i
}

// ordered reports whether time tells the order of all that was seen in an
// interval.
func (t *timeline) ordered(from, to time.Time) bool {
	return !slices.ContainsFunc(t.mixed, func(m span) bool { return !m.from.After(to) && !m.to.Before(from) })
}

// hookDelay is by how much git's hook may run after its commit was made.
const hookDelay = 5 * time.Second

// healthy reports whether capture was as it was installed at both ends of an
// interval and at every look between.
func (t *timeline) healthy(tree string, from, to time.Time) bool {
	for _, p := range t.pauses {
		if !p.From.After(to) && !p.To.Before(from) {
			return false
		}
	}
	begun, ended := false, false
	for _, h := range t.health[tree] {
		switch {
		case !h.at.After(from.Add(hookDelay)):
			begun = h.fault == ""
		case h.fault != "":
			return false
		}
		// git's hook runs in the second of its commit, or after it.
		if !h.at.Before(to.Truncate(time.Second)) {
			ended = true
			break
		}
	}
	return begun && ended
}

// paused reports whether capture was paused at a time.
func (t *timeline) paused(at time.Time) bool {
	return slices.ContainsFunc(t.pauses, func(p spool.Interval) bool { return p.Holds(at) })
}
