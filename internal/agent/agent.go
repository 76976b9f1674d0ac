// Package agent answers what a coding agent did, from the transcript that the
// agent itself kept. It is the contract of the decoders: each child package
// (claudecode, codex, ...) reads the transcripts of one agent and gives
// [Session]s. Begin with [Read], or with [Family] where it is not known whose
// transcript a file is.
//
// A decoder decides nothing: it tells what the transcript says, and where
// something is missing it records a [Gap]. What is not told stays empty; nothing
// is guessed from a name or filled in with a default. Transcripts are written by
// a developer's machine, so every fact from them is of tier claimed.
//
// A transcript may be read again while it grows: [State] remembers how far it
// was read, and a [Reading] holds only what came since. [Fold] puts the parts
// together; the parts and the whole are the same.
package agent

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/stemma-dev/stemma"
)

// The limits of what is read. What is over a limit is a gap, never an error.
const (
	// MaxLine is the length in bytes over which a line is skipped.
	MaxLine = 64 << 20
	// MaxDocument is the size in bytes over which a transcript that is one JSON
	// document, and so has to be read as a whole, is not read.
	MaxDocument = 256 << 20
	// MaxText is how many bytes of one prompt or answer are kept.
	MaxText = 64 << 10
	// MaxShort is how many bytes of a command, a path or an error are kept.
	MaxShort = 4 << 10
	// maxTexts is how many bytes of texts one reading keeps in all.
	maxTexts = 64 << 20
	// maxCalls is how many calls one reading keeps of a session.
	maxCalls = 200_000
	// maxSessions is how many sessions one transcript may hold.
	maxSessions = 10_000
	// maxOpen is how many calls without a result are remembered between two
	// readings.
	maxOpen = 256
)

// Source is a transcript to read. Body holds it where it is one file; a format
// that keeps a transcript in several files, or in a database, opens Path itself.
type Source struct {
	Path string // where it lies on disk; "" where it does not
	Body io.ReaderAt
	Size int64
}

// Open opens the transcript at path, a file or a folder. The caller closes it.
// The error is ErrNotFound where there is nothing.
func Open(path string) (*Source, io.Closer, error) {
	f, err := os.Open(path)
	if err != nil {
		kind := stemma.ErrUnavailable
		if os.IsNotExist(err) {
			kind = stemma.ErrNotFound
		}
		return nil, nil, fmt.Errorf("transcript %q: %v: %w", path, err, kind)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("transcript %q: %v: %w", path, err, stemma.ErrUnavailable)
	}
	s := &Source{Path: path}
	if info.Mode().IsRegular() {
		s.Body, s.Size = f, info.Size()
	}
	return s, f, nil
}

// Decoder reads the transcripts of one agent. Implementations keep no state
// and may be used at once by several goroutines.
type Decoder interface {
	// Agent is the key of the agent, as stemma.ParseAgent gives it.
	Agent() string
	// Recognises reports whether a transcript is this agent's: path is where it
	// lies ("" where that is not known) and head its first bytes, up to 64 KB,
	// which may end anywhere. It is false for what it can not tell.
	Recognises(path string, head []byte) bool
	// Read reads what came since from was; the zero State reads everything. The
	// error is a *DecodeError where the transcript is nothing of this agent's at
	// all, of kind ErrUnavailable where it can not be reached, or the context's.
	// Everything else that is wrong with a transcript is a Gap.
	Read(ctx context.Context, src *Source, from State) (Reading, error)
}

// Reading is what one reading of a transcript gave.
type Reading struct {
	// Sessions hold what came since the state that was given, in order of their
	// first appearance.
	Sessions []Session `json:"sessions"`
	// Replaced says that the transcript is not the continuation of what was read
	// before: it was rewritten in place, or it is a document that is always
	// rewritten. Sessions then hold everything, in place of what was read before.
	Replaced bool `json:"replaced,omitempty"`
	// Pending counts the bytes at the end that are no whole entry yet. They are
	// read next time; where there is no next time, they are lost.
	Pending int64 `json:"pending,omitempty"`
	// Bytes counts the bytes that were read, Entries the entries.
	Bytes   int64 `json:"bytes"`
	Entries int   `json:"entries"`
	// State goes into the next reading.
	State State `json:"-"`
}

// Family chooses among decoders.
type Family []Decoder

// Decoder gives the decoder of an agent, nil where there is none.
func (f Family) Decoder(agent string) Decoder {
	for _, d := range f {
		if d.Agent() == agent {
			return d
		}
	}
	return nil
}

// Recognise gives the first decoder that recognises the transcript, nil where
// none does.
func (f Family) Recognise(src *Source) (Decoder, error) {
	var head []byte
	if src.Body != nil {
		head = make([]byte, min(src.Size, 64<<10))
		n, err := src.Body.ReadAt(head, 0)
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("transcript %q: %v: %w", src.Path, err, stemma.ErrUnavailable)
		}
		head = head[:n]
	}
	for _, d := range f {
		if d.Recognises(src.Path, head) {
			return d, nil
		}
	}
	return nil, nil
}

// DecodeError says where a transcript could not be read. It is of the kind
// stemma.ErrInvalid.
type DecodeError struct {
	Agent  string // the agent whose decoder read it; "" where none did
	Path   string // of the transcript, or "" where it does not lie on disk
	Offset int64  // in bytes from its start
	Reason string
}

func (e *DecodeError) Error() string {
	what := "transcript"
	if e.Agent != "" {
		what = e.Agent + " transcript"
	}
	if e.Path != "" {
		what += fmt.Sprintf(" %q", e.Path)
	}
	return fmt.Sprintf("%s: byte %d: %s", what, e.Offset, e.Reason)
}

// Unwrap gives stemma.ErrInvalid.
func (e *DecodeError) Unwrap() error { return stemma.ErrInvalid }
