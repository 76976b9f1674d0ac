// Package notes answers what a tool that leaves its evidence in git says about
// one commit. It is the contract of the importers: each child package reads one
// format and gives [Evidence].
//
// Evidence is found in three ways: attached to a commit by its id
// ([NoteSource]), in the commit itself ([CommitSource]), and by a key that the
// commit names or that names the commit ([KeyedSource]).
//
// An importer decides nothing. It does not know which lines the commit really
// added, nor what other sources say; package attribution joins them.
package notes

import (
	"fmt"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
)

// Evidence is what one source says about one commit.
type Evidence struct {
	Source   string    // the name of the importer: "git-ai", "trailers"
	Sessions []Session // claims refer to them by index
	Claims   []Claim
	// Took holds indexes of sessions that took part, where nothing says which
	// lines are theirs.
	Took []int
	// Partial says that the sessions of Took may have lines that the claims leave
	// open. Without it a source with claims has told the lines of all sessions.
	Partial bool
	// Whole is the index of the session whose agent's own account authored the
	// whole commit, or -1.
	Whole int
	// WholeStrength is the strength of Whole.
	WholeStrength stemma.Strength
	// Figures are counts that the source states without telling lines.
	Figures []Figure
	// Problems are the parts that could not be read. The rest stands.
	Problems []string
}

// Session is a session as a source describes it.
type Session struct {
	// ID is the agent's own id of the session, or "" where the source has none.
	ID           string
	Agent        string // key of the agent: stemma.ParseAgent
	AgentVersion string
	Model        stemma.Model
	Strength     stemma.Strength // of taking part
	// ModelStrength is that of the model, where it is another than that of taking
	// part or of a claim; else it is zero.
	ModelStrength stemma.Strength
}

// Claim says that lines of a file are of a class. Lines are counted from 1 in
// the file as the commit left it.
type Claim struct {
	Path   string // bytes as git has them
	Ranges []Range
	// Class is that of the lines; unknown says that the session may have written
	// them, and decides nothing. Without a session it says that nobody can tell, from
	// another commit that this one may be a rewrite of neither.
	Class   stemma.Class
	Session int // index into Sessions, or -1 where no session is named
	// Person is the source's own opaque id of the person who wrote the lines,
	// "" where there is none.
	Person   string
	Strength stemma.Strength
}

// Range is a run of lines, 1-based, inclusive; Start <= End.
type Range struct{ Start, End int }

// Prompt is one prompt of a session, or an answer to one. It is read from its
// source when somebody asks for it, and never put into the index.
type Prompt struct {
	Session string // the agent's own id of the session, or ""
	Agent   string
	Role    string // "user", "assistant", "tool"
	Text    string
	Time    string // as the source has it, or ""
}

// NoteSource reads evidence that a tool attached to commits: as notes (a tree
// whose paths are commit ids) or as refs that are named after commits.
//
// Implementations keep no state and may be used at once by several goroutines.
type NoteSource interface {
	// Name is the name of the source, as users see and filter it.
	Name() string
	// NotesRefs are the full names of refs whose trees hold notes.
	NotesRefs() []string
	// RefPrefixes are prefixes of refs named prefix + commit id, each of which
	// points to a blob of evidence.
	RefPrefixes() []string
	// Decode reads the evidence on one commit. What can be read of a damaged
	// note is given, with the rest named in Problems. The error is a
	// *DecodeError when nothing could be read.
	Decode(commit string, blob []byte) (Evidence, error)
	// Prompts reads the prompts that the evidence carries in itself, in their
	// order; none is not an error.
	Prompts(blob []byte) ([]Prompt, error)
}

// CommitSource reads evidence from a commit itself: its message, author and
// committer. Implementations keep no state and may be used at once.
type CommitSource interface {
	Name() string
	// Read gives what the commit says, and false where it says nothing. It never
	// fails: a message is free text.
	Read(*git.Commit) (Evidence, bool)
}

// MaxNote is the size in bytes over which a note is not read. The largest seen
// in a real repository has 3.2 MB.
const MaxNote = 64 << 20

// DecodeError says where foreign bytes could not be read. It is of the kind
// stemma.ErrInvalid.
type DecodeError struct {
	Source string // name of the importer
	Path   string // part of the note, such as "sessions.s_1430e27f898b06"; may be ""
	Offset int64  // bytes from the start of the note
	Reason string
}

func (e *DecodeError) Error() string {
	if e.Path != "" {
		return fmt.Sprintf("%s note: %s at byte %d: %s", e.Source, e.Path, e.Offset, e.Reason)
	}
	return fmt.Sprintf("%s note: byte %d: %s", e.Source, e.Offset, e.Reason)
}

// Unwrap gives stemma.ErrInvalid.
func (e *DecodeError) Unwrap() error { return stemma.ErrInvalid }
