package notes

import (
	"context"

	"github.com/stemma-dev/stemma/internal/git"
)

// KeyedSource reads evidence that no note attaches to a commit: it is kept in a
// place of its own and found by a key that the commit names, such as the id of
// a checkpoint, or by the commit's id as the evidence has it.
//
// The evidence may come before or after the commit, change, and go again, each
// without a ref of code moving. [Keyed] says what that touches.
type KeyedSource interface {
	// Names are the names of its evidence, as users see and filter it. The first
	// is that of the source itself; what is concluded from more than its own words
	// has a name of its own.
	Names() []string
	// Holds reports whether a ref, by its full name, holds evidence of this
	// source. What it reaches is no code.
	Holds(ref string) bool
	// Open looks at where the evidence stands now. It costs little: the evidence
	// itself is read when it is asked for.
	Open(context.Context, Place) (Keyed, error)
}

// Place is where a KeyedSource looks for evidence.
type Place struct {
	Repo *git.Repo
	// Refs are the refs that the source holds now, by full name, with the object
	// they point to; Before are those of the last observation.
	Refs, Before map[string]string
	// Tips are the commits that indexed refs point to, sorted, each once.
	Tips []string
}

// Keyed is the evidence of one source as it stood when it was opened. It may be
// used at once by several goroutines.
type Keyed interface {
	// State names what the evidence is made of, in few words: where two states
	// are equal, so is the evidence. It is empty where there is none.
	State() map[string]string
	// Changed gives what may read other evidence now than under an earlier
	// state. It may give too much, never too little. The error is of kind
	// stemma.ErrNotFound where that can not be told any more.
	Changed(ctx context.Context, from map[string]string) (Change, error)
	// Keys gives the keys that the commit names, each once, whether or not there
	// is evidence. Late evidence finds the commit by them.
	Keys(*git.Commit) []string
	// Read gives what the evidence says of the commit; none where it says
	// nothing. Message is nil of a commit that names no key. What can not be read
	// is named in Problems; an error says that reading itself did not work.
	Read(context.Context, *git.Commit, git.Diff) ([]Found, error)
	// Prompts gives the prompts that the evidence on the commit carries in itself,
	// in their order; none is not an error.
	Prompts(context.Context, *git.Commit) ([]Prompt, error)
	// Unreached counts the evidence that no reached commit leads to, and names
	// what could not be read so far that it would lead anywhere.
	Unreached(context.Context, Reached) (n int, unread []string, err error)
}

// Found is evidence, with an identity of the bytes that it was read from.
type Found struct {
	Evidence
	Input string
}

// Change is what changed in the evidence of a source.
type Change struct {
	Keys    []string // as Keyed.Keys gives them
	Commits []string // full ids, of commits that may or may not be here
}

// Reached tells which commits indexed refs reach, and what these name.
type Reached struct {
	Commit func(id string) bool
	Key    func(key string) bool // a reached commit names it
}

// Figure is a count of lines that a source states as such: it does not say
// which lines they are. It decides nothing and is shown as what it is.
type Figure struct {
	What    string // what states it: "checkpoint 00c9e2351016"
	Session string // the agent's own id, or ""
	// AI is how many of Total lines the source gives to agents. The others are
	// what people added, modified and removed; -1 where it does not say.
	AI, Total                int
	Added, Modified, Removed int
}
