package lineage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/store"
)

// Sessions tells what was recorded of sessions.
type Sessions interface {
	// Tales gives the sessions with these keys of which something was recorded.
	Tales(ctx context.Context, keys []string) (map[string]*agent.Tale, error)
	// Before gives the session of the same agent that began before this one and
	// whose configuration is known, the latest. The error is of kind
	// stemma.ErrNotFound where there is none.
	Before(ctx context.Context, t agent.Tale) (agent.Tale, error)
}

// Join is how a session is joined with a commit. Of one commit several sources
// may say so.
type Join struct {
	Commit   string          `json:"commit"`
	Source   string          `json:"source"`
	Strength stemma.Strength `json:"strength"`
	Lines    int             `json:"lines"` // that are known to be its
	// Candidate counts the lines that may be its. Where the session was joined by
	// content, they are those that it wrote too.
	Candidate int `json:"candidate_lines"`
}

// ByContent reports whether the join was concluded from what a transcript holds:
// the lines of the commit are the session's candidates, and no source says so.
func (j Join) ByContent() bool { return j.Source == contentSource }

// contentSource is the source of edges that package project derives of sessions.
const contentSource = "session"

// SessionWork is what a session did for a commit or a change.
type SessionWork struct {
	Session string `json:"session"` // key: agent/id
	Agent   string `json:"agent"`
	Version string `json:"agent_version,omitempty"`
	Parent  string `json:"parent,omitempty"` // key of the session that spawned it
	Joined  []Join `json:"joined"`           // empty of one that only spawned another
	// Inferred says that nothing but its content joins it.
	Inferred bool `json:"inferred"`
	// Told says that its transcript was read. Where it was not, nothing below is
	// known.
	Told   bool        `json:"told"`
	Task   *TaskType   `json:"task"`              // null where nothing tells
	Tested string      `json:"tests_before_done"` // as in stemma.session/v1
	Turns  []*TurnWork `json:"turns"`             // that wrote files of the commit, by index
	// Led counts the turns that wrote nothing and led to one of these, or followed
	// the last one up to the commit; Other counts all further turns of the session.
	Led    int    `json:"turns_leading"`
	Other  int    `json:"turns_of_other_work"`
	Config int    `json:"config_files"` // that configured it, by digest; 0 is not known
	Drift  *Drift `json:"drift"`        // null where there is nothing to compare

	tale     *agent.Tale
	until    int64   // when the last of the commits was made, UTC seconds
	commits  []int64 // when the session's other commits were made
	included []int   // indexes into the tale's turns: Turns and Led
	lost     bool    // nothing tells in which of its turns it spawned another
}

// Wrote reports whether the session is joined with a commit.
func (s *SessionWork) Wrote(commit string) bool {
	return slices.ContainsFunc(s.Joined, func(j Join) bool { return j.Commit == commit })
}

// TaskType is what a session was for, which is always inferred.
type TaskType struct {
	Type      string           `json:"type"`
	Method    string           `json:"method"`
	Assertion stemma.Assertion `json:"assertion"`
}

// Drift is what differs between the configuration of a session and that of the
// session before it.
type Drift struct {
	Since string `json:"since"` // key of that session
	agent.Drift
}

// TurnWork is a turn of a session that wrote files of a commit. Sizes, no texts.
type TurnWork struct {
	Index    int            `json:"index"`
	Start    string         `json:"start"` // RFC 3339, UTC; "" where it is not told
	End      string         `json:"end"`
	Origin   agent.Origin   `json:"origin"` // "" where it is not known
	Models   []string       `json:"models"`
	Mode     string         `json:"mode,omitempty"`
	Prompt   int64          `json:"prompt_bytes"`
	Answer   int64          `json:"answer_bytes"`
	Thinking int64          `json:"thinking_bytes"`
	Output   *int64         `json:"output_tokens"` // null where it is not told
	Files    []agent.File   `json:"files"`         // of the commit, by their path there
	Tests    []agent.Test   `json:"tests"`
	Rewrites int            `json:"rewrites"` // of own lines, in these files
	Tools    map[string]int `json:"tools"`    // calls by name of the tool; {} where it is not told
	Calls    map[string]int `json:"calls"`    // by kind
	Outcomes map[string]int `json:"outcomes"`
	Decided  map[string]int `json:"decisions"` // of the person, by decision; what is not known is not in it
	Tickets  []string       `json:"tickets"`   // that its prompt names
	Spawned  []string       `json:"spawned"`   // keys of sessions
	Broken   bool           `json:"interrupted"`
}

// SessionsOf gives the sessions that are joined with a commit, or with the
// commits of a change, and those that spawned them, by what they did for it. Rows
// are those of the commits; change is the key of the change that brought them, ""
// where none did.
func SessionsOf(ctx context.Context, g Graph, change string, rows []stemma.Attribution) ([]*SessionWork, error) {
	w := &working{Graph: g, change: change, rows: make(map[string]stemma.Attribution), made: make(map[string]*made)}
	for _, r := range rows {
		w.rows[r.Commit] = r
	}
	all, err := w.joined(ctx)
	if err != nil {
		return nil, err
	}
	if err := w.tell(ctx, all...); err != nil {
		return nil, err
	}
	others, err := w.others(ctx, all)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if s.tale == nil {
			continue
		}
		windows, err := w.windows(ctx, s, others[s.Session])
		if err != nil {
			return nil, err
		}
		s.choose(windows)
	}
	return w.spawners(ctx, all)
}

// drift fills in how the configuration of sessions differs from that of the
// sessions before them.
func (g Graph) drift(ctx context.Context, sessions []*SessionWork) error {
	for _, s := range sessions {
		if s.tale == nil || len(s.tale.Config) == 0 {
			continue
		}
		before, err := g.Sessions.Before(ctx, *s.tale)
		if errors.Is(err, stemma.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		s.Drift = &Drift{before.Key, agent.DriftBetween(before.Config, s.tale.Config)}
	}
	return nil
}

// working is one question for the sessions of commits.
type working struct {
	Graph
	change string
	rows   map[string]stemma.Attribution // of the commits asked for
	made   map[string]*made
}

// joined gives the sessions that edges join with the commits, by key.
func (w *working) joined(ctx context.Context) ([]*SessionWork, error) {
	var from []stemma.NodeID
	for id := range w.rows {
		from = append(from, stemma.CommitID(id))
	}
	if len(from) == 0 {
		return nil, nil
	}
	by := make(map[string]*SessionWork)
	for e, err := range w.Store.Edges(ctx, store.EdgeQuery{From: from, Kinds: []stemma.EdgeKind{stemma.EdgeWrittenBy}}) {
		if err != nil {
			return nil, fmt.Errorf("find sessions of commits: %w", err)
		}
		if e.To.Kind != stemma.KindSession {
			continue
		}
		s := by[e.To.Key]
		if s == nil {
			s = newWork(e.To.Key)
			s.Inferred = true
			by[e.To.Key] = s
		}
		j := Join{Commit: e.From.Key, Source: e.Source, Strength: e.Strength, Lines: e.Lines.Added(), Candidate: e.Candidate}
		s.Joined = append(s.Joined, j)
		s.Inferred = s.Inferred && j.ByContent()
	}
	all := make([]*SessionWork, 0, len(by))
	for _, s := range by {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *SessionWork) int { return cmp.Compare(a.Session, b.Session) })
	return all, nil
}

func newWork(key string) *SessionWork {
	name, _, _ := strings.Cut(key, "/")
	return &SessionWork{Session: key, Agent: name, Joined: []Join{}, Turns: []*TurnWork{}}
}

// tell fills in what is known of sessions as a whole.
func (w *working) tell(ctx context.Context, sessions ...*SessionWork) error {
	if w.Sessions == nil || len(sessions) == 0 {
		return nil
	}
	var keys []string
	for _, s := range sessions {
		keys = append(keys, s.Session)
	}
	tales, err := w.Sessions.Tales(ctx, keys)
	if err != nil {
		return err
	}
	for _, s := range sessions {
		t := tales[s.Session]
		if t == nil {
			continue
		}
		s.tale, s.Told, s.Version, s.Config = t, true, t.Session.Version, len(t.Config)
		if p := t.Session.Parent; p != nil {
			s.Parent = stemma.SessionID(cmp.Or(p.Agent, t.Session.Agent), p.Session).Key
		}
		if d := t.Derived; d != nil {
			s.Tested = d.Signals.Tested
			if d.Task.Type != "" {
				s.Task = &TaskType{d.Task.Type, d.Task.Method, stemma.Inferred}
			}
		}
	}
	return nil
}

// spawners adds the sessions that spawned those which worked on the commits, up to
// the root, with the turns that did. A person's prompts are theirs.
func (w *working) spawners(ctx context.Context, all []*SessionWork) ([]*SessionWork, error) {
	by := make(map[string]*SessionWork, len(all))
	for _, s := range all {
		by[s.Session] = s
	}
	// A session that gains turns has those of its own parent looked for again.
	for again := true; again; {
		again = false
		for i := 0; i < len(all); i++ {
			child := all[i]
			if child.Parent == "" || len(child.included) == 0 || !child.Counts() {
				continue
			}
			parent := by[child.Parent]
			if parent == nil {
				parent = newWork(child.Parent)
				if err := w.tell(ctx, parent); err != nil {
					return nil, err
				}
				by[parent.Session] = parent
				all = append(all, parent)
			}
			if parent.tale != nil && parent.spawned(child) {
				again = true
			}
		}
	}
	return all, nil
}
