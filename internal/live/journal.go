package live

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/spool"
)

// journal is how far the spool was read, and the sessions that it named.
type journal struct {
	Generation string          `json:"generation"`
	Read       spool.Cursor    `json:"read"`
	Sizes      spool.Cursor    `json:"sizes"` // of the segments, when they were read
	Rows       map[string]*row `json:"sessions"`
}

// row is what is known of a session without reading what it did.
type row struct {
	Agent       string    `json:"agent"`
	ID          string    `json:"id"`
	First, Last time.Time // seen by a hook
	Transcript  string    `json:"transcript,omitempty"`
	Size        int64     `json:"size,omitempty"` // of the transcript, when it was told
	ToldAt      time.Time `json:"told,omitzero"`
	Commit      string    `json:"commit,omitempty"` // the last one when it was told
	Untold      bool      `json:"untold,omitempty"`
	Ended       bool      `json:"ended,omitempty"`
	// Held says that calls were left out which had no result yet.
	Held bool `json:"held,omitempty"`
	// Elsewhere says that the session works in another repository, which tells it.
	Elsewhere bool `json:"elsewhere,omitempty"`
	// Trace and Span are of the TRACEPARENT that its first hook saw; Exports are
	// the spans that it said it gives to what it starts.
	Trace   string   `json:"trace,omitempty"`
	Span    string   `json:"span,omitempty"`
	Exports []string `json:"exports,omitempty"`
	// Open are its calls that have not ended, by when they began.
	Open map[string]time.Time `json:"open,omitempty"`
	// During is the session of the same trace in whose call this one began.
	During string `json:"during,omitempty"`
	// Above is the key of the session that its hooks name as its parent.
	Above string `json:"above,omitempty"`
}

func (r *row) key() string { return stemma.SessionID(r.Agent, r.ID).Key }

const journalFile = "journal.json"

func readJournal(dir string) journal {
	var j journal
	text, err := os.ReadFile(filepath.Join(dir, journalFile))
	if err != nil || json.Unmarshal(text, &j) != nil {
		j = journal{} // it is made again from the spool, and what was recorded
	}
	if j.Rows == nil {
		j.Rows = make(map[string]*row)
	}
	for key, r := range j.Rows {
		if r == nil || r.key() != key {
			delete(j.Rows, key)
		}
	}
	return j
}

func (j *journal) write(dir string) error { return writeJSON(filepath.Join(dir, journalFile), j) }

// forgotten is after how long without an event a session is not remembered: its
// raw events are purged by then.
const forgotten = 31 * 24 * time.Hour

func (j *journal) expire(dir string, now time.Time) {
	for key, r := range j.Rows {
		if !r.Untold && now.Sub(r.Last) > forgotten {
			delete(j.Rows, key)
			_ = os.Remove(unitPath(dir, key)) // another run removes what stays
		}
	}
}

// see takes a record in, and gives the row of its session.
func (j *journal) see(rec spool.Record, place spool.Place) *row {
	key := stemma.SessionID(rec.AgentKey(), rec.Session).Key
	r := j.Rows[key]
	if r == nil {
		r = &row{Agent: rec.AgentKey(), ID: rec.Session, First: rec.Time, Elsewhere: elsewhere(rec, place)}
		j.Rows[key] = r
		if trace, span, ok := spool.Traceparent(rec.Trace); ok {
			r.Trace, r.Span = trace, span
			r.During = j.during(r)
		}
	}
	if rec.Time.After(r.Last) {
		r.Last = rec.Time
	}
	if _, span, ok := spool.Traceparent(rec.Exports); ok && !slices.Contains(r.Exports, span) && len(r.Exports) < 1000 {
		r.Exports = append(r.Exports, span)
	}
	if rec.Parent != "" {
		of, id := parentOf(rec)
		r.Above = stemma.SessionID(of, id).Key
	}
	var own, sub string
	if r.Transcript == "" || rec.Phase != spool.Before && rec.Phase != spool.After {
		own, sub = transcripts(rec) // calls, of which there are most, name the same
	}
	if rec.ParentBy == "agent_id" || strings.Contains(strings.ToLower(rec.Event), "subagent") {
		own = sub // an event within a sub-agent names its parent's as well
	}
	if own != "" {
		r.Transcript = own
	}
	call := rec.Call
	if call == "" {
		call = rec.Tool
	}
	switch rec.Phase {
	case spool.Before:
		if r.Open == nil {
			r.Open = make(map[string]time.Time)
		}
		if len(r.Open) < 256 {
			r.Open[call] = rec.Time
		}
	case spool.After:
		delete(r.Open, call)
	case spool.Prompt, spool.Stop:
		r.Open = nil
	}
	r.Ended = ends(rec) // what goes on after its end has not ended
	return r
}

// elsewhere reports whether a session works in another repository.
func elsewhere(rec spool.Record, place spool.Place) bool {
	if !filepath.IsAbs(rec.Dir) {
		return false
	}
	own, err := spool.Find(rec.Dir)
	return err == nil && own.Common != place.Common
}

// during gives the session of the same trace that was in the middle of a call
// when this one began, the innermost; "" where there is none or more than one. One that saw the
// same span was started by the same hand, not by the other.
func (j *journal) during(r *row) string {
	found := make(map[string]bool)
	for key, other := range j.Rows {
		if other != r && other.Trace == r.Trace && other.Span != r.Span && len(other.Open) > 0 {
			found[key] = true
		}
	}
	for key := range maps.Clone(found) {
		delete(found, j.Rows[key].Above) // it waits for the one below
	}
	if len(found) != 1 {
		return ""
	}
	for key := range found {
		return key
	}
	return ""
}

// parent gives the session that started another one, by its trace; nil where
// nothing tells.
func (j *journal) parent(r *row) *agent.Parent {
	if r.Span == "" {
		return nil
	}
	for key, other := range j.Rows {
		if other != r && (spool.SpanOf(key) == r.Span || slices.Contains(other.Exports, r.Span)) {
			return &agent.Parent{Agent: other.Agent, Session: other.ID, Method: "TRACEPARENT"}
		}
	}
	if other := j.Rows[r.During]; other != nil {
		return &agent.Parent{Agent: other.Agent, Session: other.ID, Method: "TRACEPARENT of the same trace, begun during a call", Inferred: true}
	}
	return nil
}

// unit is how far one session was told.
type unit struct {
	Key string `json:"key"`
	// Refs are the places of its records, of which Told were told. Upto is the
	// place of the last one in each segment.
	Refs []ref            `json:"records"`
	Told int              `json:"recordsTold"`
	Upto map[string]int64 `json:"upto"`
	// Short says that Refs do not go back to the first record of the session.
	Short bool `json:"short,omitempty"`
	// Through is when the last record that was told was made.
	Through time.Time   `json:"through,omitzero"`
	Hooks   agent.State `json:"hooks"`

	// Path is the transcript that was told from, up to State; "" where it was told
	// from the hooks alone.
	Path  string      `json:"path,omitempty"`
	State agent.State `json:"state,omitzero"`
	// Alias is what the transcript calls the session, where that is not its id.
	Alias string `json:"alias,omitempty"`
	// Gone says that it was told that the transcript is gone.
	Gone bool `json:"gone,omitempty"`
	// Sessions are those that were told from here: its own, and those of sub-agents
	// that are in its transcript.
	Sessions map[string]*progress `json:"sessions"`
}

// ref is the place of a record.
type ref struct {
	Segment string `json:"s"`
	Offset  int64  `json:"o"`
}

// progress is how far a session was told.
type progress struct {
	Last  int `json:"last"` // number of the last part
	Turns int `json:"turns"`
	// Shift makes the numbers of turns of where they are read from now those of the
	// session.
	Shift int      `json:"shift,omitempty"`
	Held  []string `json:"held,omitempty"`
	Final bool     `json:"final,omitempty"`
	// Config is what Part.Config points to.
	Config string `json:"config,omitempty"`
	// Head is what is of no turn, as it was told.
	Head agent.Session `json:"head"`
}

func unitPath(dir, key string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(dir, hex.EncodeToString(sum[:12])+".json")
}

func readUnit(dir, key string) *unit {
	var u unit
	text, err := os.ReadFile(unitPath(dir, key))
	if err != nil || json.Unmarshal(text, &u) != nil || u.Key != key || u.Told < 0 || u.Told > len(u.Refs) {
		u = unit{Key: key}
	}
	if u.Upto == nil {
		u.Upto = make(map[string]int64)
	}
	if u.Sessions == nil {
		u.Sessions = make(map[string]*progress)
	}
	return &u
}

func (u *unit) write(dir string) error { return writeJSON(unitPath(dir, u.Key), u) }

// maxRefs is how many records of a session are remembered.
const maxRefs = 100_000

// add remembers a record, once. Where places are not what they were, it is known
// by its time.
func (u *unit) add(rec spool.Stored, rescan bool) {
	if at, ok := u.Upto[rec.Segment]; ok && rec.Offset <= at {
		return
	}
	u.Upto[rec.Segment] = rec.Offset
	if rescan && !u.Through.IsZero() && !rec.Time.After(u.Through) {
		return
	}
	if len(u.Refs) >= maxRefs { // those that were told are only wanted for the whole
		u.Refs, u.Told, u.Short = slices.Clone(u.Refs[u.Told:]), 0, true
	}
	u.Refs = append(u.Refs, ref{rec.Segment, rec.Offset})
}

// forget drops the places of records.
func (u *unit) forget() {
	u.Short = u.Short || u.Told > 0
	u.Refs, u.Told, u.Upto = nil, 0, make(map[string]int64)
}

// copied is a copy, so that what is not recorded is not remembered as told.
func (u *unit) copied() *unit {
	next := *u
	next.Sessions = make(map[string]*progress, len(u.Sessions))
	for id, p := range u.Sessions {
		if p != nil {
			again := *p
			next.Sessions[id] = &again
		}
	}
	return &next
}

func (u *unit) of(id string) *progress {
	p := u.Sessions[id]
	if p == nil {
		p = &progress{}
		u.Sessions[id] = p
	}
	return p
}

// writeJSON replaces a file, so that a reader sees the old or the new one.
func writeJSON(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err == nil {
		defer os.Remove(f.Name())
		_, err = f.Write(text)
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err == nil {
			err = os.Rename(f.Name(), path)
		}
	}
	if err != nil {
		return fmt.Errorf("sessions: %v: %w", err, stemma.ErrUnavailable)
	}
	return nil
}
