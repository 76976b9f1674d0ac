package entire

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
)

// EditsName is the name of what is concluded from the edits in transcripts. It
// is no word of Entire's: it is inferred, and shown as a source beside it.
const EditsName = "entire-transcript"

// How lines of a transcript's edits are joined to those of a commit, and how
// sure that is: a person may have typed the same, or have undone the edit and
// put it back.
const (
	methodEdit     = "entire transcript edit"
	confidenceEdit = 0.8
)

// maxSource is the size of a file over which no lines are looked for in it.
const maxSource = 8 << 20

// edits are the edits of all transcripts that a commit leads to.
type edits struct {
	evidence notes.Evidence
	who      []string // of each session: what makes it one, its model aside
	byFile   map[string][]edit
}

// add adds the edits of one session.
func (e *edits) add(s notes.Session, of []edit) {
	for _, one := range of {
		s.Model = one.model
		s.Strength = stemma.Strength{Tier: stemma.TierClaimed, Assertion: stemma.Inferred, Method: methodEdit, Confidence: confidenceEdit}
		who := s.Agent + "/" + s.ID
		i := slices.IndexFunc(e.evidence.Sessions, func(have notes.Session) bool { return have == s })
		if i < 0 {
			i = len(e.evidence.Sessions)
			e.evidence.Sessions, e.who = append(e.evidence.Sessions, s), append(e.who, who)
		}
		one.session = i
		if e.byFile == nil {
			e.byFile = make(map[string][]edit)
		}
		e.byFile[one.file] = append(e.byFile[one.file], one)
	}
}

// claim joins the edits to the lines that the commit added.
func (e *edits) claim(ctx context.Context, repo *git.Repo, commit string, files []git.FileDiff) error {
	for _, f := range files {
		of := e.byFile[f.Path]
		if len(of) == 0 {
			continue
		}
		content, err := repo.File(ctx, commit, f.Path, maxSource)
		if err := unlessForeign(err); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		if err != nil {
			continue // what git gave lines of and can not be read has none to compare
		}
		for session, ranges := range e.match(split(string(content)), f.Ranges, of) {
			if len(ranges) > 0 {
				e.evidence.Claims = append(e.evidence.Claims, notes.Claim{
					Path: f.Path, Ranges: ranges, Class: stemma.ClassAI, Session: session, Strength: e.evidence.Sessions[session].Strength,
				})
			}
		}
	}
	return nil
}

// The marks of added lines that no session has.
const (
	nobody  = -1
	several = -2 // sessions contradict each other
)

// match gives, for each session, the added lines that its edits inserted.
//
// It begins with lines that tell where they are from: their text stands in the
// added lines once, no other session inserted it, and it is more than a
// bracket. From there it goes on, up and down, as long as the lines of the
// commit are those of the edit, so that brackets and blank lines go with what
// stands around them. Where a person changed a line, it ends.
func (e *edits) match(text []string, added []git.LineRange, of []edit) [][]notes.Range {
	count := make(map[string]int)
	var lines []int // that were added, from 0
	for _, r := range added {
		for n := r.Start - 1; n < r.End && n < len(text); n++ {
			lines = append(lines, n)
			count[text[n]]++
		}
	}
	places := e.places(of, count)
	owner := make(map[int]int, len(lines))
	for _, n := range lines {
		owner[n] = nobody
	}
	for _, n := range lines {
		p, ok := places[text[n]]
		if !ok || count[text[n]] != 1 || p.session == several {
			continue
		}
		if had := owner[n]; had >= 0 && e.who[had] == e.who[p.session] {
			continue // reached from a line before, which went on as far as it goes
		}
		for _, step := range []int{1, -1} {
			i := n
			if step < 0 {
				i--
			}
			for at := p.at + i - n; at >= 0 && at < len(p.block); i, at = i+step, at+step {
				have, is := owner[i]
				if !is || have == several || text[i] != p.block[at] {
					break
				}
				if have != nobody && e.who[have] != e.who[p.session] {
					owner[i] = several
					break
				}
				owner[i] = p.session
			}
		}
	}
	ranges := make([][]notes.Range, len(e.who))
	for _, n := range lines {
		s := owner[n]
		if s < 0 {
			continue
		}
		if k := len(ranges[s]) - 1; k >= 0 && ranges[s][k].End == n {
			ranges[s][k].End = n + 1
		} else {
			ranges[s] = append(ranges[s], notes.Range{Start: n + 1, End: n + 1})
		}
	}
	return ranges
}

// place is where a text was last inserted.
type place struct {
	block   []string
	at      int
	session int // or several
}

// places gives the texts that tell where they are from, of those that count has.
func (e *edits) places(of []edit, count map[string]int) map[string]place {
	places := make(map[string]place)
	for _, one := range of {
		for _, block := range one.blocks {
			for i, line := range block {
				if count[line] == 0 || !telling(line) {
					continue
				}
				p := place{block, i, one.session}
				if had, ok := places[line]; ok && (had.session == several || e.who[had.session] != e.who[one.session]) {
					p.session = several
				}
				places[line] = p
			}
		}
	}
	return places
}

// telling reports whether a line is more than punctuation and a short word.
func telling(line string) bool {
	return strings.IndexFunc(line, unicode.IsLetter) >= 0 && len(strings.TrimSpace(line)) >= 8
}
