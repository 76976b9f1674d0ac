package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"slices"

	"github.com/stemma-dev/stemma"
)

// Evidence keeps the envelopes of one organisation: the truth, apart from every
// graph. It is append-only: an envelope that is kept is never changed and never
// removed. All methods may be called at once, also from several processes. An
// error is of one of the kinds of package stemma or internal.
//
// An envelope is pending until its index in the tlog is written, and sequenced
// from then on. Package record keeps the order of the two: see there.
type Evidence interface {
	// Keep stores envelopes as pending and returns when they are durable, those
	// of one call all or none. What has a key that is stored already, or comes
	// with a key twice, is left as it was first kept. The answers are in the
	// order of the envelopes. ErrInvalid is for an envelope without a key, with
	// a digest that is not its own, or with the bytes of another key's.
	Keep(context.Context, []Envelope) ([]Kept, error)

	// Find gives what is kept under these keys, in the order of the keys; the ID
	// of one that is not is 0.
	Find(context.Context, []EventKey) ([]Kept, error)

	// Pending gives envelopes without an index, by ID, at most limit.
	Pending(ctx context.Context, limit int) ([]Kept, error)

	// Sequence writes the indexes of pending envelopes, and returns when they are
	// durable, all or none. Writing the same again changes nothing. ErrConflict
	// says that an envelope has another index, or an index another envelope;
	// ErrNotFound that there is no such envelope.
	Sequence(context.Context, []Sequenced) error

	// Next is the index after the highest that is written, 0 where none is.
	Next(context.Context) (uint64, error)

	// Entries gives the sequenced envelopes from an index on, by index, as they
	// were when the loop began. The body may call any method.
	Entries(ctx context.Context, from uint64) iter.Seq2[Entry, error]

	// ByDigest gives the envelope with this digest, pending or not. ErrNotFound
	// says that there is none.
	ByDigest(ctx context.Context, digest [sha256.Size]byte) (Entry, error)

	// About gives the envelopes, sequenced from an index on, with a subject of one
	// of these names (see [SubjectNames]), each once, by index.
	About(ctx context.Context, subjects []string, from uint64) iter.Seq2[Entry, error]

	// Audit reads everything once, in bounded memory, and tells fault of each row
	// that does not hold together: whose bytes have another digest, which refers
	// to one that is not there, or which the file's own structure has lost. row is
	// called with every envelope that could be read, pending ones too, by ID, and
	// gives the names of its subjects, which Audit compares with those that About
	// looks for; nil and false skip that. The error is that of reading, or what
	// row returned.
	Audit(ctx context.Context, row func(Entry) (subjects []string, known bool, err error), fault func(RowFault)) error

	Close() error
}

// EventKey is an idempotency key: (organisation, source, the source's event
// id). For an envelope without them, package record makes one of its content.
type EventKey struct{ Source, EventID string }

// Envelope is a signed envelope that is to be kept.
type Envelope struct {
	EventKey
	PredicateType string
	// Subjects are the names that [SubjectNames] gives.
	Subjects []string
	Digest   [sha256.Size]byte // of Bytes
	Bytes    []byte            // exactly as signed and stored
}

// Kept says where an envelope is kept.
type Kept struct {
	ID     int64 // from 1, growing
	Digest [sha256.Size]byte
	// Index is the place in the tlog, unless it is Pending.
	Index   uint64
	Pending bool
	// New says that this Keep stored it.
	New bool
}

// Entry is an envelope as it is kept.
type Entry struct {
	ID      int64
	Index   uint64 // in the tlog, unless it is Pending
	Pending bool
	Envelope
}

// Sequenced is the index that an envelope got.
type Sequenced struct {
	ID    int64
	Index uint64
}

// RowFault is a row of the evidence that is not what it should be.
type RowFault struct {
	Where  string // the table and the row: "envelope 12"
	Reason string
}

// SubjectNames gives the names under which a statement is found: for each
// digest of each subject "algorithm:hex", and for each subject with a URI
// "uri:" and that, each once, sorted. A thing without a digest of its own has
// another one with every state it is in: its URI is what finds all of them.
func SubjectNames(s stemma.Statement) []string {
	var names []string
	for _, sub := range s.Subject {
		for algorithm, digest := range sub.Digest {
			names = append(names, algorithm+":"+digest)
		}
		if sub.URI != "" {
			names = append(names, "uri:"+sub.URI)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// NameSubject is the name of a subject that has no digest of its own, as
// [SubjectNames] gives it: its digest is the SHA-256 of its name.
func NameSubject(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "sha256:" + hex.EncodeToString(sum[:])
}
