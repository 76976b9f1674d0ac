package agent

import (
	"math"
	"path"
	"strings"
	"time"

	"github.com/stemma-dev/stemma/internal/git"
)

// MatchMethod names the rule by which a session is matched with a commit.
const MatchMethod = "content and time of a transcript"

// Match is a commit that holds lines which a session wrote before.
type Match struct {
	Commit     string  `json:"commit"`
	Lines      int     `json:"lines"` // of the commit's added lines that the session wrote
	Of         int     `json:"of"`    // of the commit's added lines that tell anything
	Confidence float64 `json:"confidence"`
}

// Written is what a session wrote, for [Written.Match].
type Written struct {
	First, Last time.Time // edits; zero where the transcript has no times
	// files hold the lines of each file, by the last part of its path: a session may
	// have worked in a folder of the repository, or in several of its work trees.
	files map[string][]writtenFile
}

type writtenFile struct {
	path  string // with slashes
	lines map[git.Line]bool
}

// at gives the lines of a file, made where it is new.
func (w *Written) at(file string) map[git.Line]bool {
	file = strings.ReplaceAll(file, `\`, "/")
	name := path.Base(file)
	for _, f := range w.files[name] {
		if f.path == file {
			return f.lines
		}
	}
	f := writtenFile{file, make(map[git.Line]bool)}
	w.files[name] = append(w.files[name], f)
	return f.lines
}

// has reports whether a line of a file of the repository was written.
func (w Written) has(file string, l git.Line) bool {
	for _, f := range w.files[path.Base(file)] {
		if f.lines[l] && (f.path == file || strings.HasSuffix(f.path, "/"+file)) {
			return true
		}
	}
	return false
}

// The rules of matching. A line counts when it has enough letters to be told
// from others: braces and returns stand in every commit.
const (
	minWeight  = 8
	minLines   = 3
	minShare   = 0.25
	manyLines  = 20
	matchUntil = 30 * 24 * time.Hour
	clockSkew  = 10 * time.Minute
)

// Written gives what the session wrote.
func (s *Session) Written() Written {
	w := Written{files: make(map[string][]writtenFile)}
	for _, t := range s.Turns {
		for _, c := range t.Calls {
			if c.Outcome == OutcomeNone || c.Outcome == OutcomeError {
				continue
			}
			for _, e := range c.Edits {
				for _, l := range e.New {
					if l.Weight() >= minWeight {
						w.at(e.Path)[l] = true
					}
				}
			}
			if len(c.Edits) > 0 && !c.Start.IsZero() {
				if w.First.IsZero() || c.Start.Before(w.First) {
					w.First = c.Start
				}
				if c.Start.After(w.Last) {
					w.Last = c.Start
				}
			}
		}
	}
	return w
}

// Empty reports whether nothing was written that could be recognised.
func (w Written) Empty() bool { return len(w.files) == 0 }

// Window is when a commit of what was written can have been made, UTC seconds;
// false where the transcript has no times.
func (w Written) Window() (since, until int64, ok bool) {
	if w.First.IsZero() {
		return 0, 0, false
	}
	return w.First.Add(-clockSkew).Unix(), w.Last.Add(matchUntil).Unix(), true
}

// Match compares what was written with what a commit added at a time, UTC
// seconds. It is false where too little is the same, or the commit is older.
//
// The confidence is the share of the commit's telling lines that the session
// wrote, less the longer the commit came after the last edit, and never over
// 0.95: somebody may have written the same lines.
func (w Written) Match(d git.Diff, committed int64) (Match, bool) {
	since, until, ok := w.Window()
	if !ok || committed < since || committed > until {
		return Match{}, false
	}
	m := Match{Commit: d.Commit}
	for _, f := range d.Files {
		for _, h := range f.Hunks {
			for _, l := range h.Added {
				if l.Weight() < minWeight {
					continue
				}
				m.Of++
				if w.has(f.Path, l) {
					m.Lines++
				}
			}
		}
	}
	share := float64(m.Lines) / float64(max(1, m.Of))
	if m.Lines < minLines || share < minShare && m.Lines < manyLines {
		return Match{}, false
	}
	late := time.Duration(max(0, committed-w.Last.Unix())) * time.Second
	m.Confidence = min(0.95, share*math.Exp(-float64(late)/float64(matchUntil)))
	m.Confidence = math.Round(m.Confidence*100) / 100
	return m, true
}
