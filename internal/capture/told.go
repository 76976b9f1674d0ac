package capture

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attribution"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
	"github.com/stemma-dev/stemma/internal/spool"
)

// told is the payload of a record of phase Told: what a transcript tells of a
// call that no hook reported.
type told struct {
	End   time.Time  `json:"end,omitzero"` // zero where it had not ended
	Lines []git.Line `json:"lines,omitempty"`
}

// Bounds of the lines that a transcript tells.
const (
	toldWeight   = 8  // letters and digits by which a line is told from others
	movedWeight  = 16 // in other files than the call wrote to
	maxToldLines = 20_000
)

func decodeTold(payload []byte) (told, error) {
	var t told
	if err := json.Unmarshal(payload, &t); err != nil {
		return t, fmt.Errorf("what a transcript told: %v: %w", err, stemma.ErrInvalid)
	}
	return t, nil
}

// toldID is by what a record of a told call is known: it is told again when it
// has ended.
func toldID(r spool.Record, t told) string {
	return strings.Join([]string{r.Agent, r.Session, cmp.Or(r.Call, r.Tool+r.Time.Format(time.RFC3339Nano)), t.End.Format(time.RFC3339Nano)}, "\x00")
}

// faultTold is why lines of a call that only a transcript tells of are unknown.
const faultTold = "no hook reported a call that the transcript tells of"

// toldBy is a session that put a line into a file, and from when on.
type toldBy struct {
	session int
	place   place
	from    time.Time
}

// tell adds the calls that transcripts tell of and no hook reported: records
// that were made while a hook was on its way are passed over.
func (t *timeline) tell(records []spool.Record, heard reported) {
	merged := make(map[[3]string]*window)
	for i := range records {
		r := &records[i]
		what, err := decodeTold(r.Payload)
		if err != nil {
			t.faults = append(t.faults, err.Error())
			continue
		}
		reported := heard.of(r.Agent, r.Session, r.Call)
		if reported == whole || t.paused(r.Time) {
			continue
		}
		session := t.session(r)
		if reported != 0 {
			t.narrow(r, what, session)
			t.tellLines(r, what, session)
			continue
		}
		to := what.End
		switch {
		case to.IsZero():
			to = r.Time.Add(longCall)
		case to.Nanosecond() == 0: // it is stamped in seconds
			to = to.Add(time.Second - 1)
		}
		key := [3]string{r.Tree, fmt.Sprint(session), cmp.Or(r.Call, r.Tool+r.Time.Format(time.RFC3339Nano))}
		w := merged[key]
		if w == nil {
			if t.reportedAt(r, session, to) {
				continue
			}
			w = t.window(r, session)
			w.from, w.fault = r.Time, faultTold
			merged[key] = w
		}
		if !what.End.IsZero() || w.to.IsZero() {
			w.to = to
		}
		for _, f := range r.Files {
			w.paths[f.Path] = true
		}
		t.tellLines(r, what, session)
	}
}

func (t *timeline) tellLines(r *spool.Record, what told, session int) {
	for _, f := range r.Files {
		for _, l := range what.Lines {
			if by := (toldBy{session, place{r.Tree, f.Path}, r.Time}); !slices.Contains(t.told[l], by) {
				t.told[l] = append(t.told[l], by)
			}
		}
	}
}

// narrow takes from the transcript when a call began or ended whose hook is
// missing: nothing else told more than that it was within minutes.
func (t *timeline) narrow(r *spool.Record, what told, session int) {
	for _, w := range t.windows[r.Tree] {
		if w.session != session || w.call != r.Call {
			continue
		}
		if w.fault == faultNoBefore && r.Time.After(w.from) && r.Time.Before(w.to) {
			w.from = r.Time
		}
		if w.fault == faultNoAfter && what.End.After(w.from) && what.End.Before(w.to) {
			w.to = what.End
		}
	}
}

// reportedAt reports whether a hook that gives no id reported the call: it ran
// between what the transcript has of the call and of its result.
func (t *timeline) reportedAt(r *spool.Record, session int, to time.Time) bool {
	return slices.ContainsFunc(t.windows[r.Tree], func(w *window) bool {
		return w.session == session && w.call == w.tool && strings.EqualFold(w.tool, r.Tool) && w.fault != faultTold &&
			!w.from.Before(r.Time) && !w.from.After(to)
	})
}

// from gives who wrote a line of a file that transcripts tell of, up to a time,
// in the place of whoever seems to. In another file the line may have been moved
// there, or be a person's who wrote the same: that is nobody's.
func (w *work) from(p place, until time.Time) func([]byte) (attribution.Mark, bool) {
	if len(w.timeline.told) == 0 {
		return nil
	}
	return func(line []byte) (attribution.Mark, bool) {
		if len(line) < toldWeight {
			return attribution.Mark{}, false
		}
		l := git.LineOf(bytes.TrimRight(line, "\r\n"))
		var here, elsewhere []int
		for _, by := range w.timeline.told[l] {
			switch {
			case by.from.After(until):
			case by.place == p:
				here = append(here, w.toldOwner(by.session))
			case l.Weight() >= movedWeight:
				elsewhere = append(elsewhere, w.toldOwner(by.session))
			}
		}
		slices.Sort(here)
		if here = slices.Compact(here); len(here) == 1 {
			return attribution.Mark{Owner: here[0], Edited: attribution.Base}, true
		}
		may := append(here, elsewhere...)
		if len(may) == 0 {
			return attribution.Mark{}, false
		}
		slices.Sort(may)
		return attribution.Mark{Owner: attribution.Nobody, Edited: attribution.Base, May: slices.Compact(may)}, true
	}
}

// uncommittedSince gives from when on something in a file can have been written
// that a commit of a time does not have. A call that was not seen whole may have
// written it long ago: that somebody committed the file since does not tell, a part
// of it may have been staged. The next look of a hook or of sync tells.
func (t *timeline) uncommittedSince(p place, at time.Time) time.Time {
	if slices.ContainsFunc(t.windows[p.tree], func(c *window) bool {
		return c.fault != "" && c.touches(p.path) && c.from.Before(at)
	}) {
		return time.Time{}
	}
	return at
}

// uncompared gives the sessions that were at work since the parent and of which
// hooks alone tell, where lines were given to a person because of that.
func (e *evidence) uncompared() []string {
	if !slices.ContainsFunc(e.claims, func(c notes.Claim) bool {
		return c.Class == stemma.ClassHuman && c.Strength.Assertion == stemma.Inferred
	}) {
		return nil
	}
	var from time.Time
	if e.parent != nil {
		from = time.Unix(e.parent.Committer.Time, 0)
	}
	var keys []string
	for _, windows := range e.windows {
		for _, w := range windows {
			s := e.sessions[max(0, w.session)]
			if key := stemma.SessionID(s.Agent, s.ID).Key; w.session >= 0 && w.from.Before(e.until) && w.to.After(from) && e.Unread[key] != "" {
				keys = append(keys, key)
			}
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
