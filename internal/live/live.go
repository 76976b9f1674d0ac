// Package live answers what the sessions on this machine did that nobody has told
// yet. Begin with [Run].
//
// A session is known from the spool: its agent's hooks name it. What it did is
// read from the transcript that they name, and from their payloads where there is
// none (any more). It is told in parts, and never an event each: with the first
// sight of a session, with each commit, with its end, and when a quarter of an
// hour has passed.
//
// How far each session was told is kept beside the spool and can be lost: what was
// recorded says it again, and then a session is told as a whole where more is
// known of it. So nothing is told twice, whatever dies when.
package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
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

// Interval is how long a session that goes on is left before it is told again
// without a commit.
const Interval = 15 * time.Minute

// Config is what the work is done with. All but Paused and DryRun must be set.
type Config struct {
	Spool  *spool.Spool
	Place  spool.Place // of the repository
	Agents agent.Family
	// Tale gives what is recorded of a session; nil where nothing is. Recorded says
	// whether a part of it is, which is sooner known.
	Tale     func(ctx context.Context, key string) (*agent.Tale, error)
	Recorded func(ctx context.Context, of, id string, part int) (bool, error)
	// Keep records a part. The error is ErrConflict where somebody else has told a
	// part of that number.
	Keep func(ctx context.Context, p Part) (last int, err error)
	// Excludes says that a file must not be told of; see spool.Spool.Excludes.
	Excludes func(path string) bool
	Paused   []spool.Interval
	// Committed gives the commit that was made last in the repository.
	Committed func() (string, error)
	// Lock waits until nobody else tells sessions.
	Lock func(ctx context.Context) (unlock func(), err error)
	Now  time.Time
	// DryRun records nothing and remembers nothing.
	DryRun bool
}

// Part is what is to be recorded of a session.
type Part struct {
	Session agent.Session
	Told    agent.Told // its First, Final, Open, Held, All, Observed and Vantage are set
	// From is the transcript that it was read from, "" for the hooks alone.
	From string
	// Config is remembered with the session: Keep notes there by what configuration
	// it was told to run, so that the next part need not say the same.
	Config *string
}

// Row says what was told of a session, or is to be told.
type Row struct {
	Session string `json:"session"` // key of its node
	Part    int    `json:"part"`    // number of the first statement
	Turns   int    `json:"turns"`   // in this part
	Calls   int    `json:"calls"`
	From    string `json:"from"` // the transcript, "" for the hooks alone
	Final   bool   `json:"final"`
}

// Report says what a run did.
type Report struct {
	Told []Row
	// Waiting counts the sessions of which there is more, and whose time has not come.
	Waiting  int
	Problems []string // sessions that could not be told, and why
	// Later counts those of them that are tried again: what is raw of them is wanted.
	Later int
}

// Run tells what is new of the sessions of a spool. Any number of processes may
// run it at once: whoever comes second waits for the first.
//
// What could not be told is a problem of the report, is told the next time, and
// keeps no other session from being told.
func Run(ctx context.Context, cfg Config) (Report, error) {
	r := &run{Config: cfg, dir: filepath.Join(cfg.Spool.Dir(), folder)}
	if quiet, err := r.begin(); quiet || err != nil {
		return r.report, err
	}
	if !r.DryRun {
		unlock, err := r.Lock(ctx)
		if err != nil {
			return Report{}, err
		}
		defer unlock()
		if quiet, err := r.begin(); quiet || err != nil { // somebody else told it all meanwhile
			return r.report, err
		}
		if err := os.MkdirAll(r.dir, 0o700); err != nil {
			return Report{}, fmt.Errorf("sessions: %v: %w", err, stemma.ErrDenied)
		}
	}
	if err := r.collect(); err != nil {
		return r.report, err
	}
	var err error
	if r.committed, err = r.Committed(); err != nil {
		return r.report, err
	}
	if err := r.tellAll(ctx); err != nil {
		return r.report, err
	}
	return r.report, r.save()
}

// Folder is where the state lies, below the folder of the spool.
const folder = "sessions"

// run is one call of Run.
type run struct {
	Config
	dir       string
	journal   journal
	committed string
	rescan    bool // places of records are not what they were: all are read again
	units     map[string]*unit
	report    Report
}

// begin reads how far the sessions were told, and reports whether nothing has
// happened since.
func (r *run) begin() (quiet bool, err error) {
	r.units, r.rescan = make(map[string]*unit), false
	r.journal = readJournal(r.dir)
	sizes, err := r.Spool.Sizes()
	if err != nil {
		return false, err
	}
	generation := r.Spool.Generation()
	if r.journal.Generation != generation || r.journal.Read == nil {
		r.rescan = true
		r.journal.Generation, r.journal.Read = generation, spool.Cursor{}
	}
	news := !maps.Equal(sizes, r.journal.Sizes)
	r.journal.Sizes = sizes
	if news || r.rescan {
		return false, nil
	}
	for _, row := range r.journal.Rows {
		if r.open(row) {
			return false, nil
		}
	}
	return true, nil
}

// open reports whether there may be more to tell of a session.
func (r *run) open(row *row) bool {
	return !row.Elsewhere && (row.Untold || r.grown(row) || row.Held && r.idle(row.Last))
}

// idle reports whether nothing came for so long that calls without a result are
// told as they are.
func (r *run) idle(last time.Time) bool { return r.Now.Sub(last) >= Interval }

// watched is how long the transcript of a session is looked at after the last
// that its hooks told: agents go on writing after their last hook has run.
const watched = 48 * time.Hour

// grown reports whether a transcript is not what it was when it was told.
func (r *run) grown(row *row) bool {
	if row.Transcript == "" || r.Now.Sub(row.Last) > watched {
		return false
	}
	st, err := os.Stat(row.Transcript)
	return err == nil && st.Size() != row.Size
}

// collect takes in what the spool holds since the last time.
func (r *run) collect() error {
	for rec, err := range r.Spool.RecordsAfter(r.journal.Read) {
		var fault *spool.DecodeError
		if errors.As(err, &fault) {
			continue // sync counts them
		}
		if err != nil {
			return err
		}
		if rec.Session == "" || rec.Agent == spool.AgentEditor || rec.Phase == spool.Told {
			continue
		}
		row := r.journal.see(rec.Record, r.Place)
		if row.Elsewhere {
			continue
		}
		u := r.unit(row)
		u.add(rec, r.rescan)
		row.Untold = row.Untold || len(u.Refs) > u.Told
	}
	return nil
}

// unit gives what is remembered of a session.
func (r *run) unit(row *row) *unit {
	u := r.units[row.key()]
	if u == nil {
		u = readUnit(r.dir, row.key())
		if r.rescan {
			u.forget()
		}
		r.units[row.key()] = u
	}
	return u
}

// due reports whether it is time to tell a session.
func (r *run) due(row *row) bool {
	return row.ToldAt.IsZero() || row.Ended || r.committed != row.Commit || r.Now.Sub(row.ToldAt) >= Interval || r.Now.Before(row.ToldAt)
}

// tellAll tells the sessions that are due. Sub-agents that turn up while their
// parents are read come last.
func (r *run) tellAll(ctx context.Context) error {
	done := make(map[string]bool)
	for {
		var next []*row
		for key, row := range r.journal.Rows {
			if !done[key] && r.open(row) {
				next = append(next, row)
			}
		}
		// In the order of their beginnings: what one takes up of another is known then.
		slices.SortFunc(next, func(a, b *row) int { return cmp.Or(a.First.Compare(b.First), strings.Compare(a.key(), b.key())) })
		if len(next) == 0 {
			return nil
		}
		for _, row := range next {
			done[row.key()] = true
			if err := ctx.Err(); err != nil {
				return err
			}
			if !r.due(row) {
				r.report.Waiting++
				continue
			}
			err := r.tell(ctx, row)
			if errors.Is(err, stemma.ErrConflict) {
				err = r.tell(ctx, row) // somebody told a part meanwhile: what was recorded says it
			}
			if err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				r.report.Problems = append(r.report.Problems, fmt.Sprintf("session %.200s: %v", row.key(), err))
				if errors.Is(err, stemma.ErrInvalid) {
					row.Untold, row.ToldAt = false, r.Now // it can not be told, whenever
				} else {
					r.report.Later++
				}
			}
		}
	}
}

// save remembers how far the sessions were told: first each session, then how far
// the spool was read, so that a kill between the two loses no record.
func (r *run) save() error {
	if r.DryRun {
		return nil
	}
	for _, u := range r.units {
		if err := u.write(r.dir); err != nil {
			return err
		}
	}
	r.journal.expire(r.dir, r.Now)
	return r.journal.write(r.dir)
}

// left reports whether a time lies in a pause.
func (r *run) left(t time.Time) bool {
	return slices.ContainsFunc(r.Paused, func(i spool.Interval) bool { return i.Holds(t) })
}

// Remembered is a session as it is remembered beside the spool.
type Remembered struct {
	Key    string
	Parts  int       // that were told
	Told   time.Time // the last one; zero where none was
	Untold bool      // there is more
	// Transcript is the agent's own, from which it is told; "" for none.
	Transcript string
}

// Sessions gives the sessions that are remembered, by key.
func Sessions(s *spool.Spool) []Remembered {
	dir := filepath.Join(s.Dir(), folder)
	var all []Remembered
	for key, row := range readJournal(dir).Rows {
		if !row.Elsewhere {
			u := readUnit(dir, key)
			all = append(all, Remembered{key, u.of(row.ID).Last, row.ToldAt, row.Untold, row.Transcript})
		}
	}
	slices.SortFunc(all, func(a, b Remembered) int { return strings.Compare(a.Key, b.Key) })
	return all
}

// Forget removes what is remembered of sessions, by their ids: it may hold what
// they were told to do. It may be called while sessions are told.
func Forget(s *spool.Spool, ids []string) error {
	dir := filepath.Join(s.Dir(), folder)
	files, _ := fs.Glob(os.DirFS(dir), "*.json") // the pattern is fixed
	for _, name := range files {
		path := filepath.Join(dir, name)
		text, err := os.ReadFile(path)
		if err != nil || !slices.ContainsFunc(ids, func(id string) bool { return id != "" && strings.Contains(string(text), id) }) {
			continue
		}
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("sessions: %v: %w", err, stemma.ErrUnavailable)
		}
	}
	return nil
}
