package capture

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/spool"
)

// A call of which both hooks are missing leaves no trace in the spool: the agent
// crashed, its hooks were switched off, the program of the hook is gone. The
// agent's own transcript tells of it all the same. So before lines are given to
// anybody, what the transcripts tell is compared with what the hooks reported,
// and each call that they did not report whole becomes a record of phase Told. The spool
// stays the only thing that lines are attributed from.

// Comparison says what is compared. All fields must be set.
type Comparison struct {
	Spool  *spool.Spool
	Family agent.Family
	// Home is the user's, below which agents keep their transcripts; "" for those
	// alone that hooks named.
	Home string
	// Folder is the folder of the repository's spool below its home.
	Folder string
}

// Compared is what a comparison gave.
type Compared struct {
	// Sessions are the keys of the sessions whose transcripts were read, now or
	// before.
	Sessions []string
	// Unread are the sessions that hooks reported and whose transcripts were not
	// read, by key, with the reason.
	Unread map[string]string
	// Models are the models that worked in each session, by key, each once.
	Models map[string][]string
	// Calls counts the calls that no hook reported and that were not known yet.
	Calls int
}

// Bounds of a comparison: what is beyond is said to be not compared.
const (
	// maxCompared is how many bytes of transcripts one comparison reads.
	maxCompared = 512 << 20
	// headSize is how much of a transcript is read to see where it worked.
	headSize = 64 << 10
)

// Compare reads what the transcripts tell since they were compared last, of the
// sessions that hooks reported and of those that worked in this repository, and
// appends to the spool what no hook reported. It may be called at any time, also
// by several at once.
//
// Where it fails, no session is compared.
func Compare(ctx context.Context, cfg Comparison) (Compared, error) {
	c := &comparing{Comparison: cfg, done: Compared{Unread: make(map[string]string), Models: make(map[string][]string)}, known: cfg.Spool.Transcripts(), left: maxCompared}
	err := c.hear()
	if err == nil && !c.since.IsZero() {
		err = c.all(ctx)
	}
	if err != nil {
		c.done.Sessions = nil
		for key := range c.heard {
			c.done.Unread[key] = "the comparison was not finished"
		}
		return c.done, fmt.Errorf("compare with transcripts: %w", err)
	}
	return c.done, nil
}

// all compares all transcripts that may tell of this repository.
func (c *comparing) all(ctx context.Context) error {
	kept := make(map[string]spool.Transcript)
	read := make(map[string]bool)
	for _, path := range c.paths() {
		t, ok, err := c.compare(ctx, path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if !ok {
			continue
		}
		kept[path] = t
		for id, models := range t.Models {
			key := stemma.SessionID(t.Agent, id).Key
			c.done.Models[key] = once(c.done.Models[key], models...)
		}
		for _, id := range t.Own {
			key := stemma.SessionID(t.Agent, id).Key
			switch {
			case t.Reason == "":
				read[key] = true
			case c.done.Unread[key] == "":
				c.done.Unread[key] = t.Reason
			}
		}
	}
	c.done.Sessions = slices.Sorted(maps.Keys(read))
	for key, h := range c.heard {
		if reason := c.done.Unread[key]; read[key] && reason == "" || h.calls == 0 {
			continue
		} else if reason == "" {
			c.done.Unread[key] = cmp.Or(c.why[h.transcript], "its transcript was not found")
		}
	}
	return c.Spool.KeepTranscripts(kept)
}

// comparing is one comparison under way.
type comparing struct {
	Comparison
	done  Compared
	known map[string]spool.Transcript
	why   map[string]string // by path: why a transcript was not read
	left  int64             // bytes that may be read

	since  time.Time // when the spool's first event was
	heard  map[string]*heardSession
	calls  reported
	recent map[string]bool // calls that are told already, with their end
}

type heardSession struct {
	transcript, tree string
	calls            int
}

// reported are the calls that hooks reported, by their ids, with the phases that
// they reported.
type reported struct {
	bySession map[[2]string]phases // key of the session, id of the call
	byID      map[[2]string]phases // key of the agent, id of the call
}

// phases is a set of the phases around a call.
type phases byte

const (
	begun phases = 1 << iota
	ended
	whole = begun | ended
)

// longID is from how many bytes on the id of a call is one alone in the world: a
// sub-agent's calls reach the hooks under the session that spawned it.
const longID = 12

func newReported() reported {
	return reported{make(map[[2]string]phases), make(map[[2]string]phases)}
}

func (r reported) add(agent string, of *spool.Record) {
	var phase phases
	switch of.Phase {
	case spool.Before:
		phase = begun
	case spool.After:
		phase = ended
	}
	if of.Call == "" || phase == 0 {
		return
	}
	r.bySession[[2]string{stemma.SessionID(agent, of.Session).Key, of.Call}] |= phase
	if len(of.Call) >= longID {
		r.byID[[2]string{agent, of.Call}] |= phase
	}
}

func (r reported) of(agent, session, call string) phases {
	if call == "" {
		return 0
	}
	return r.bySession[[2]string{stemma.SessionID(agent, session).Key, call}] | r.byID[[2]string{agent, call}]
}

// hear reads from the spool what hooks reported.
func (c *comparing) hear() error {
	c.heard, c.calls, c.recent, c.why = make(map[string]*heardSession), newReported(), make(map[string]bool), make(map[string]string)
	for r, err := range c.Spool.Records() {
		var fault *spool.DecodeError
		if errors.As(err, &fault) {
			continue
		}
		if err != nil {
			return err
		}
		if r.Phase == spool.Told {
			if told, err := decodeTold(r.Payload); err == nil {
				c.recent[toldID(r.Record, told)] = true
			}
			continue
		}
		if c.since.IsZero() || r.Time.Before(c.since) {
			c.since = r.Time
		}
		if r.Session == "" {
			continue
		}
		name := r.AgentKey()
		key := stemma.SessionID(name, r.Session).Key
		h := c.heard[key]
		if h == nil {
			h = &heardSession{}
			c.heard[key] = h
		}
		h.transcript, h.tree = cmp.Or(r.Transcript, h.transcript), cmp.Or(r.Tree, h.tree)
		if r.Phase == spool.Before || r.Phase == spool.After {
			h.calls++
			c.calls.add(name, &r.Record)
		}
	}
	return nil
}

// paths gives the transcripts that may tell of this repository, sorted.
func (c *comparing) paths() []string {
	paths := make(map[string]bool)
	for _, h := range c.heard {
		if h.transcript != "" {
			paths[h.transcript] = true
		}
	}
	if c.Home != "" {
		for _, p := range agent.Transcripts(c.Home) {
			paths[p] = true
		}
	}
	return slices.Sorted(maps.Keys(paths))
}

// compare brings one transcript up to date; false where it tells of nothing here.
func (c *comparing) compare(ctx context.Context, path string) (spool.Transcript, bool, error) {
	was, seen := c.known[path]
	if was.Erased {
		c.why[path] = "a session of it was erased"
		return was, true, nil
	}
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		c.why[path] = "its transcript is not there"
		was.State = nil
		return was, seen && len(was.Own) > 0 && was.Reason == "", nil // what it told is in the spool
	case err != nil || !st.Mode().IsRegular():
		c.why[path] = "its transcript can not be read"
		return was, false, nil
	case seen && st.Size() == was.Size && st.ModTime().UnixNano() == was.Mtime:
		return was, true, nil
	case !seen && st.ModTime().Before(c.since):
		return was, false, nil
	case seen && len(was.Own) == 0 && was.Reason == "" && !c.named(path):
		return was, true, nil // it works elsewhere
	}
	now := spool.Transcript{Size: st.Size(), Mtime: st.ModTime().UnixNano(), Agent: was.Agent, Version: was.Version, Sessions: was.Sessions, Own: was.Own, Models: maps.Clone(was.Models), State: was.State}
	if err := c.read(ctx, path, &now); err != nil {
		if ctx.Err() != nil {
			return now, false, ctx.Err()
		}
		var refused *spoolError
		if errors.As(err, &refused) {
			return now, false, err
		}
		now.Reason = "its transcript can not be read"
		c.why[path] = now.Reason
		now.Own = c.ownOf(path, now.Own)
	}
	return now, true, nil
}

// named reports whether a hook named the transcript.
func (c *comparing) named(path string) bool {
	for _, h := range c.heard {
		if h.transcript == path {
			return true
		}
	}
	return false
}

// ownOf adds the sessions whose hooks named a transcript.
func (c *comparing) ownOf(path string, own []string) []string {
	for key, h := range c.heard {
		if _, id, ok := strings.Cut(key, "/"); ok && h.transcript == path && !slices.Contains(own, id) {
			own = append(own, id)
		}
	}
	slices.Sort(own)
	return own
}

// spoolError is an error of the spool, not of a transcript.
type spoolError struct{ err error }

func (e *spoolError) Error() string { return e.err.Error() }
func (e *spoolError) Unwrap() error { return e.err }

// read reads what came since a transcript was read last.
func (c *comparing) read(ctx context.Context, path string, t *spool.Transcript) error {
	src, closer, err := agent.Open(path)
	if err != nil {
		return err
	}
	defer closer.Close()
	d := c.Family.Decoder(t.Agent)
	if d == nil {
		if d, err = c.Family.Recognise(src); err != nil {
			return err
		}
	}
	if d == nil {
		return fmt.Errorf("no agent's transcript: %w", stemma.ErrInvalid)
	}
	t.Agent = d.Agent()
	if len(t.State) == 0 && !c.named(path) && !c.worksHere(ctx, d, src) {
		t.State = nil
		return nil
	}
	var from agent.State
	if len(t.State) > 0 && json.Unmarshal(t.State, &from) != nil {
		from = agent.State{}
	}
	if c.left -= src.Size - from.Offset; c.left < 0 {
		t.Reason, t.Size, t.Own = "more of it than one comparison reads", -1, c.ownOf(path, t.Own)
		return nil
	}
	r, err := d.Read(ctx, src, from)
	if err != nil {
		return err
	}
	for _, s := range r.Sessions {
		if !slices.Contains(t.Sessions, s.ID) {
			t.Sessions = append(t.Sessions, s.ID)
		}
		for _, turn := range s.Turns {
			for _, m := range turn.Models {
				if t.Models == nil {
					t.Models = make(map[string][]string)
				}
				t.Models[s.ID] = once(t.Models[s.ID], m.Model.Raw)
			}
		}
		t.Version = cmp.Or(s.Version, t.Version)
		own, reason, err := c.tell(d.Agent(), s)
		if err != nil {
			return &spoolError{err}
		}
		if own && !slices.Contains(t.Own, s.ID) {
			t.Own = append(t.Own, s.ID)
		}
		t.Reason = cmp.Or(t.Reason, reason)
	}
	t.State, err = json.Marshal(r.State)
	return err
}

// once adds the names that are not there yet. Of many, some stay out: that there
// are many is what counts.
func once(names []string, more ...string) []string {
	for _, name := range more {
		if name != "" && !slices.Contains(names, name) && len(names) < 8 {
			names = append(names, name)
		}
	}
	return names
}

// worksHere reports whether the beginning of a transcript, or all of one that
// has to be read as a whole, tells of a session in this repository, or does not
// tell where it works.
func (c *comparing) worksHere(ctx context.Context, d agent.Decoder, src *agent.Source) bool {
	head := *src
	if src.Body != nil && strings.HasSuffix(src.Path, ".jsonl") && src.Size > headSize {
		head.Body, head.Size = io.NewSectionReader(src.Body, 0, headSize), headSize
	}
	if head.Size > c.left {
		return true
	}
	r, err := d.Read(ctx, &head, agent.State{})
	if err != nil {
		return true // the reading itself will say why
	}
	for _, s := range r.Sessions {
		if s.Base.Dir == "" || c.here(s.Base.Dir) != "" || c.above(s.Base.Dir) {
			return true
		}
	}
	return len(r.Sessions) == 0
}

// here gives the work tree of this repository that a folder lies in, or "".
func (c *comparing) here(dir string) string {
	if !filepath.IsAbs(dir) {
		return ""
	}
	p, err := spool.Find(dir)
	if err != nil || p.Folder() != c.Folder {
		return ""
	}
	return p.Tree
}

// above reports whether the repository lies below a folder.
func (c *comparing) above(dir string) bool {
	rel, err := filepath.Rel(dir, c.Spool.Repository())
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// tell appends the calls of a session that hooks did not report whole. own says that the
// session worked in this repository, reason why that can not be told in full.
func (c *comparing) tell(agentKey string, s agent.Session) (own bool, reason string, err error) {
	key := stemma.SessionID(agentKey, s.ID).Key
	tree := c.here(s.Base.Dir)
	if h := c.heard[key]; h != nil {
		own, tree = true, cmp.Or(tree, h.tree)
	}
	own = own || tree != ""
	model := ""
	for _, turn := range s.Turns {
		for _, m := range turn.Models {
			model = cmp.Or(m.Model.Raw, model)
		}
		for _, call := range turn.Calls {
			if !writes(call) || c.calls.of(agentKey, s.ID, call.ID) == whole {
				continue
			}
			r, told, ok := c.toldOf(s, call, tree)
			if !ok {
				continue
			}
			own = true
			r.Agent, r.Session, r.Model = agentKey, s.ID, model
			if s.Parent != nil {
				r.Parent = s.Parent.Session
			}
			if call.Start.IsZero() {
				reason = "its transcript does not say when a call was made"
				continue
			}
			if !told.End.IsZero() && told.End.Before(c.since.Truncate(time.Second)) || c.recent[toldID(r, told)] {
				continue
			}
			if r.Payload, err = json.Marshal(told); err != nil {
				return own, reason, err
			}
			if err := c.Spool.Append(r); err != nil {
				return own, reason, err
			}
			c.recent[toldID(r, told)] = true
			if c.calls.of(agentKey, s.ID, call.ID) == 0 {
				c.done.Calls++
			}
		}
	}
	return own, reason, nil
}

// writes reports whether a call may have written files.
func writes(call *agent.Call) bool {
	if call.Outcome == agent.OutcomeNone {
		return false
	}
	switch call.Kind {
	case agent.KindEdit:
		return call.Outcome != agent.OutcomeError
	case agent.KindRun, agent.KindMCP, agent.KindOther:
		return true
	default:
		return false
	}
}

// toldOf makes the record of a call; false where it concerns no work tree of this
// repository.
func (c *comparing) toldOf(s agent.Session, call *agent.Call, tree string) (spool.Record, told, bool) {
	r := spool.Record{Time: call.Start.UTC(), Event: "transcript", Phase: spool.Told, Tool: call.Name, Call: call.ID, Tree: tree, Dir: s.Base.Dir}
	t := told{End: call.End.UTC()}
	if call.Kind != agent.KindEdit || len(call.Files) == 0 {
		r.Shell = true
		return r, t, tree != ""
	}
	for _, f := range call.Files {
		if f.Access == agent.Read {
			continue
		}
		path := f.Path
		if !filepath.IsAbs(path) {
			path = filepath.Join(s.Base.Dir, path)
		}
		p, err := spool.Find(filepath.Dir(path))
		if err != nil || p.Folder() != c.Folder {
			continue
		}
		rel, ok := p.Within(path)
		if !ok {
			continue
		}
		r.Tree = p.Tree
		r.Files = append(r.Files, spool.File{Path: rel, State: spool.Unread})
		if call.Outcome == agent.OutcomeOK && call.Decision != agent.Edited {
			t.Lines = append(t.Lines, inserted(call, f)...)
		}
	}
	return r, t, len(r.Files) > 0
}

// inserted gives the lines that a call put into a file: those that were not there
// before it, where the transcript tells what was there. A tool that writes a file
// anew does not tell which of its lines stood there already.
func inserted(call *agent.Call, f agent.File) []git.Line {
	var lines []git.Line
	patched := strings.Contains(strings.ToLower(call.Name), "patch")
	for _, e := range call.Edits {
		if e.Path != f.Path || len(e.Old) == 0 && f.Access != agent.Create && !patched {
			continue
		}
		old := make(map[git.Line]bool, len(e.Old))
		for _, l := range e.Old {
			old[l] = true
		}
		for _, l := range e.New {
			if l.Weight() >= toldWeight && !old[l] && len(lines) < maxToldLines {
				lines = append(lines, l)
			}
		}
	}
	return lines
}
