// Package whogitit reads what whogitit says about a commit: the one JSON object
// that it keeps for it in refs/notes/whogitit, schema versions 2 and 3. Version
// 3 adds used_plan_mode and subagent_count to the session, nothing else. The
// public history of whogitit begins with version 2.
//
// Begin with [Source]. The format is docs/src/reference/data-formats.md of
// dotsetlabs/whogitit, and in detail its src/core/attribution.rs and
// src/capture/snapshot.rs.
//
// The package does not check what a note claims. A note lists every line of a
// file, and whogitit copies it as it is when git rewrites the commit, so that
// lines may lie outside what the commit added. Two things that a note states
// were not told by the agent: whogitit makes the session's id up, one for what
// is edited between two commits, and it takes the model from WHOGITIT_MODEL_ID,
// which nothing of its own sets. Without that it writes
// claude-opus-4-5-20251101, whatever model ran (src/capture/hook.rs of 1.0.0):
// that model has a strength of its own.
package whogitit

import (
	"fmt"
	"strconv"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/notes"
)

// Name is the name of the source.
const Name = "whogitit"

// The limits of one note. whogitit 1.0.0 refuses to write more than 4 MiB; the
// largest of its own 25 notes has 2 MB, 28 files, 6,400 lines and 65 prompts.
// What is beyond a limit is named in Problems.
const (
	maxFiles    = 200_000
	maxEntries  = 1_000_000 // lines, of all files
	maxPrompts  = 100_000
	maxPath     = 1 << 16
	maxID       = 1024      // bytes of the session's id
	maxProblems = 50        // listed one by one; the others are counted
	maxLine     = 1<<31 - 1 // whogitit's own is 1<<32 - 1
	maxVersion  = 255       // whogitit's own
)

// defaultModel is what whogitit 1.0.0 writes where WHOGITIT_MODEL_ID is not
// set, whatever model ran. That a note has it says little of the model.
const (
	defaultModel      = "claude-opus-4-5-20251101"
	methodDefault     = Name + "'s default for a model"
	confidenceDefault = 0.2
)

// newest is the schema version that notes of an unknown one are read as.
const newest = 3

// Source reads whogitit's notes. The zero Source is ready to use.
type Source struct{}

var _ notes.NoteSource = Source{}

// Name gives "whogitit".
func (Source) Name() string { return Name }

// NotesRefs gives refs/notes/whogitit.
func (Source) NotesRefs() []string { return []string{"refs/notes/whogitit"} }

// RefPrefixes gives none.
func (Source) RefPrefixes() []string { return nil }

// Decode reads one note. It has one session at most, of Claude Code, which
// owns the lines that whogitit calls AI and AIModified; where it owns none it
// is in Took. Original and Unknown lines are not claimed. Claims on a path do
// not overlap: of two things that the note says of a line the first holds, as
// in whogitit. Lines of one class with different confidences are claims of
// their own.
//
// The note that whogitit's documentation gives by hand to the commits of people
// who do not use it, with a session and a model called "unknown", is evidence
// of nothing: no session, no claim, no problem.
func (Source) Decode(_ string, blob []byte) (notes.Evidence, error) {
	s, err := open(blob)
	if err != nil {
		return notes.Evidence{}, err
	}
	d := decoder{Scanner: s, evidence: notes.Evidence{Source: Name, Whole: -1}, paths: make(map[string]bool)}
	if err := d.note(); err != nil {
		return notes.Evidence{}, err
	}
	return d.finish(), nil
}

// agent is whose sessions these are. A note does not say it: whogitit runs in
// hooks of Claude Code (hooks/whogitit-capture.sh), and in none of another
// agent ("Currently, whogitit is designed for Claude Code integration",
// docs/src/appendix/faq.md).
func agent() string {
	key, _ := stemma.ParseAgent("claude-code")
	return key
}

// decoder collects the evidence of one note.
type decoder struct {
	*notes.Scanner
	evidence notes.Evidence
	version  int  // 0: the note states none
	session  *run // nil: the note has none
	found    bool // a session or files
	ai       bool // a claim is the session's
	files    int
	entries  int
	paths    map[string]bool // that have their claims
	left     int             // problems that were not listed
}

// run is what a note says of its session.
type run struct {
	id    string // "" where it is not known
	model stemma.Model
}

// known reports whether the note tells of any session at all.
func (r *run) known() bool { return r != nil && (r.id != "" || r.model.Known()) }

func (d *decoder) problemAt(path string, offset int, format string, args ...any) {
	if len(d.evidence.Problems) == maxProblems {
		d.left++ // without making the text: a hostile note has millions
		return
	}
	d.problem(&notes.DecodeError{Source: Name, Path: notes.Clip(path), Offset: int64(offset), Reason: fmt.Sprintf(format, args...)})
}

// problem names a part that could not be read.
func (d *decoder) problem(err error) {
	if len(d.evidence.Problems) == maxProblems {
		d.left++
		return
	}
	d.evidence.Problems = append(d.evidence.Problems, err.Error())
}

// note reads the object. The error says that nothing of it could be read.
func (d *decoder) note() error {
	start := d.Offset()
	_, err := d.Object(func(key []byte) error {
		switch string(key) {
		case "version":
			return d.readVersion()
		case "session":
			return d.readSession()
		case "files":
			return d.readFiles()
		default:
			return d.Skip()
		}
	})
	nothing := len(d.evidence.Claims) == 0 && !d.session.known()
	switch {
	case err != nil && nothing:
		return err
	case err != nil:
		d.problem(err)
	case !d.found:
		return &notes.DecodeError{Source: Name, Offset: int64(start), Reason: "no attribution: neither session nor files"}
	case d.Left() > 0:
		// Two notes that "git notes append" or a rewrite of commits joined.
		d.problemAt("", d.Offset(), "%d bytes after the end are not read", d.Left())
	}
	if d.version == 0 {
		d.problemAt("version", start, "missing, read as %d", newest)
	}
	if d.session == nil {
		d.problemAt("session", start, "missing")
	}
	return nil
}

func (d *decoder) readVersion() error {
	d.Peek()
	start := d.Offset()
	raw, err := d.Value()
	if err != nil {
		return err
	}
	n, bad := strconv.Atoi(string(raw))
	if bad != nil || n < 1 || n > maxVersion {
		d.problemAt("version", start, "no version: %q", notes.Clip(string(raw)))
		return nil
	}
	if n != 2 && n != newest {
		d.problemAt("version", start, "%d is not known, read as %d", n, newest)
	}
	d.version = n
	return nil
}

func (d *decoder) readSession() error {
	d.Peek()
	start := d.Offset()
	if d.session != nil {
		d.problemAt("session", start, "a second one is not read")
		return d.Skip()
	}
	var r run
	isObject, err := r.read(d.Scanner, func(format string, args ...any) { d.problemAt("session.session_id", start, format, args...) })
	if isObject {
		d.found, d.session = true, &r
	}
	return err
}

// read reads a session; what was read before an error stands.
func (r *run) read(s *notes.Scanner, problem func(format string, args ...any)) (isObject bool, err error) {
	var id, model, provider string
	isObject, err = s.Object(func(key []byte) (err error) {
		switch string(key) {
		case "session_id":
			id, err = s.Text()
		case "model":
			_, err = s.Object(func(key []byte) (err error) {
				switch string(key) {
				case "id":
					model, err = s.Text()
				case "provider":
					provider, err = s.Text()
				default:
					err = s.Skip()
				}
				return err
			})
		default:
			err = s.Skip()
		}
		return err
	})
	switch {
	case id == "unknown": // the note by hand that Decode speaks of
	case len(id) > maxID:
		problem("longer than %d bytes", maxID)
	default:
		r.id = id
	}
	r.model = stemma.ParseModel(model)
	if r.model.Known() && r.model.Provider == "" {
		// The stated provider is the weaker word: whogitit writes "anthropic"
		// beside whatever name it was given.
		r.model.Provider = stemma.ParseModel(provider + "/" + model).Provider
	}
	return isObject, err
}

// finish gives the evidence its session and its strengths, which hang on parts
// of the note that may stand behind the claims.
func (d *decoder) finish() notes.Evidence {
	method := Name + " note"
	if d.version > 0 {
		method += " v" + strconv.Itoa(d.version)
	}
	declared := stemma.Strength{Tier: stemma.TierClaimed, Assertion: stemma.Declared, Method: method, Confidence: 1}
	if d.ai || d.session.known() {
		session := notes.Session{Agent: agent(), Strength: declared}
		if d.session != nil {
			session.ID, session.Model = d.session.id, d.session.model
		}
		if session.Model.Raw == defaultModel {
			session.ModelStrength = stemma.Strength{
				Tier: stemma.TierClaimed, Assertion: stemma.Inferred, Method: methodDefault, Confidence: confidenceDefault,
			}
		}
		d.evidence.Sessions = []notes.Session{session}
		if !d.ai {
			d.evidence.Took = []int{0}
		}
	}
	for i := range d.evidence.Claims {
		confidence := d.evidence.Claims[i].Strength.Confidence
		d.evidence.Claims[i].Strength = declared
		d.evidence.Claims[i].Strength.Confidence = confidence
	}
	if d.left > 0 {
		d.evidence.Problems = append(d.evidence.Problems, fmt.Sprintf("%s note: %d more problems", Name, d.left))
	}
	return d.evidence
}
