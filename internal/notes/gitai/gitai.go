// Package gitai reads what git-ai says about a commit: its authorship log in
// refs/notes/ai (schema authorship/3.0.0) and the JSON blobs that its first
// versions kept as refs/ai/authorship/<commit> (schema authorship/0.0.1). Both
// places hold both formats, so [Source.Decode] tells them apart by content.
//
// Begin with [Source]. The format is specs/git_ai_standard_v3.0.0.md of
// git-ai-project/git-ai, and where real notes leave the specification, its
// src/authorship/authorship_log_serialization.rs.
//
// The package does not check what a note claims: ranges may lie outside the
// lines that the commit added, or outside the file. It follows no messages_url.
package gitai

import (
	"bytes"
	"fmt"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/notes"
)

// Name is the name of the source.
const Name = "git-ai"

// The limits of one note. The largest of git-ai's own 10,685 notes have 145
// files, 822 entries, 4,300 ranges and 173 sessions. What is beyond a limit is
// named in Problems.
const (
	maxFiles     = 200_000
	maxEntries   = 1_000_000
	maxRanges    = 2_000_000
	maxSessions  = 20_000
	maxPath      = 1 << 16
	maxPathLines = 16 // a path may hold line feeds
	maxUnclosed  = 1000
	maxID        = 1024      // bytes of a session's id
	maxProblems  = 50        // listed one by one; the others are counted
	maxLine      = 1<<31 - 1 // git-ai's own is 1<<32 - 1
)

// Source reads git-ai's notes. The zero Source is ready to use.
type Source struct{}

var _ notes.NoteSource = Source{}

// Name gives "git-ai".
func (Source) Name() string { return Name }

// NotesRefs gives refs/notes/ai.
func (Source) NotesRefs() []string { return []string{"refs/notes/ai"} }

// RefPrefixes gives the place of git-ai's first versions.
func (Source) RefPrefixes() []string { return []string{"refs/ai/authorship/"} }

// Decode reads one authorship log. Claims on a path do not overlap: where the
// note says two things of a line, its later entry holds, as in git-ai. Every
// session of the note that claims no line is in Took.
//
// A session whose key the note does not explain (real notes have them) is known
// by this key only: it is its ID, and its agent is "". Lines under the key
// "ai_agent" are AI's with no session named, those under "human" are a person's,
// inferred by git-ai and not seen by an editor.
func (Source) Decode(_ string, blob []byte) (notes.Evidence, error) {
	if len(blob) > notes.MaxNote {
		return notes.Evidence{}, &notes.DecodeError{Source: Name, Offset: notes.MaxNote, Reason: fmt.Sprintf("longer than %d bytes", notes.MaxNote)}
	}
	blob = bytes.TrimPrefix(blob, []byte("\xef\xbb\xbf"))
	start := bytes.TrimLeft(blob, " \t\r\n")
	if len(start) == 0 {
		return notes.Evidence{}, &notes.DecodeError{Source: Name, Reason: "empty"}
	}
	d := decoder{evidence: notes.Evidence{Source: Name, Whole: -1}, byKey: make(map[string]int)}
	var err error
	if start[0] == '{' {
		err = d.blob(start, len(blob)-len(start))
	} else {
		err = d.note(blob)
	}
	if err != nil {
		return notes.Evidence{}, err
	}
	return d.finish(), nil
}

// decoder collects the evidence of one note.
type decoder struct {
	evidence notes.Evidence
	byKey    map[string]int // key of the note -> index into evidence.Sessions
	claimed  []bool         // by session
	left     int            // problems that were not listed
	unclosed int            // paths that begin with a quote and do not end
}

// problem names a part that could not be read.
func (d *decoder) problem(err error) {
	if len(d.evidence.Problems) == maxProblems {
		d.left++
		return
	}
	d.evidence.Problems = append(d.evidence.Problems, err.Error())
}

func (d *decoder) problemAt(path string, offset int, format string, args ...any) {
	if len(d.evidence.Problems) == maxProblems {
		d.left++ // without making the text: a hostile note has millions
		return
	}
	d.problem(&notes.DecodeError{Source: Name, Path: notes.Clip(path), Offset: int64(offset), Reason: fmt.Sprintf(format, args...)})
}

func (d *decoder) finish() notes.Evidence {
	for i, claimed := range d.claimed {
		if !claimed {
			d.evidence.Took = append(d.evidence.Took, i)
		}
	}
	if d.left > 0 {
		d.evidence.Problems = append(d.evidence.Problems, fmt.Sprintf("%s note: %d more problems", Name, d.left))
	}
	return d.evidence
}

// session gives the index of the session that a key stands for. Keys that the
// note does not explain make a session of their own.
func (d *decoder) session(key []byte) int {
	if i, ok := d.byKey[string(key)]; ok {
		return i
	}
	if len(d.evidence.Sessions) >= maxSessions {
		d.problemAt("attestations", 0, "more than %d sessions: the lines of %q have none", maxSessions, notes.Clip(string(key)))
		return -1
	}
	return d.add(string(key), notes.Session{ID: string(key), Strength: declared(methodNote)})
}

// add appends the session for a key, or finds the one that is the same: a note
// may name one conversation by an old key and by a new one.
func (d *decoder) add(key string, s notes.Session) int {
	for i, have := range d.evidence.Sessions {
		// The linear search is for the few sessions of real notes; it is bounded
		// for the others.
		if i == 256 {
			break
		}
		if have.ID == s.ID && have.Agent == s.Agent && have.Model.Key() == s.Model.Key() {
			d.byKey[key] = i
			return i
		}
	}
	d.evidence.Sessions = append(d.evidence.Sessions, s)
	d.claimed = append(d.claimed, false)
	d.byKey[key] = len(d.evidence.Sessions) - 1
	return d.byKey[key]
}

// The methods that facts of this source have.
const (
	methodNote  = "git-ai note v3"
	methodHuman = "git-ai note v3, key human"
	methodBlob  = "git-ai blob v0.0.1"
)

func declared(method string) stemma.Strength {
	return stemma.Strength{Tier: stemma.TierClaimed, Assertion: stemma.Declared, Method: method, Confidence: 1}
}

// inferredHuman is the strength of lines that git-ai gave to a person because
// no agent was seen writing them.
func inferredHuman(method string) stemma.Strength {
	return stemma.Strength{Tier: stemma.TierClaimed, Assertion: stemma.Inferred, Method: method, Confidence: 0.5}
}

// note reads the two sections of schema 3. The second comes first: it explains
// the keys of the first.
func (d *decoder) note(blob []byte) error {
	lines, metadata, ok := divide(blob)
	var broken error
	if ok {
		broken = d.metadata(blob[metadata:], metadata)
	} else {
		broken = &notes.DecodeError{Source: Name, Path: "metadata", Offset: int64(len(blob)), Reason: "ends before the line \"---\""}
	}
	entries := d.attestations(blob[:lines])
	if broken == nil {
		return nil
	}
	if entries == 0 && len(d.evidence.Sessions) == 0 {
		return broken
	}
	d.problem(broken)
	return nil
}

// divide finds the line "---": where the attestation section ends, and where
// the metadata begins.
func divide(blob []byte) (lines, metadata int, ok bool) {
	for at := 0; at < len(blob); {
		i := bytes.Index(blob[at:], []byte("---"))
		if i < 0 {
			break
		}
		i += at
		rest := bytes.TrimPrefix(blob[i+3:], []byte("\r"))
		if (i == 0 || blob[i-1] == '\n') && (len(rest) == 0 || rest[0] == '\n') {
			return i, min(len(blob)-len(rest)+1, len(blob)), true
		}
		at = i + 3
	}
	return len(blob), len(blob), false
}
