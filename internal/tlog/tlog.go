// Package tlog answers whether an envelope is in the log, and whether the log
// is what it was: an append-only Merkle log of envelope digests, one for each
// organisation, in the formats of C2SP (tlog-tiles, tlog-checkpoint, tlog-proof,
// tlog-cosignature). Begin with [Log] to append, [Tree] to read a log or a
// mirror of it, and [Proof] to verify from bytes alone.
//
// # What the entries are
//
// The entry at an index is the SHA-256 of the stored envelope's bytes, as 32
// raw bytes, and nothing else. Its leaf hash is that of RFC 6962, section 2.1:
//
//	entry = SHA-256(envelope bytes)
//	leaf  = SHA-256(0x00 || entry)
//
// The log holds no content, no names and no times: whoever mirrors it learns how
// many statements there are, and can prove later that none was changed.
package tlog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/transparency-dev/merkle/rfc6962"
)

// Hash is a node of the tree: SHA-256, as in RFC 6962.
type Hash [sha256.Size]byte

// Digest is an entry of the log: the SHA-256 of a stored envelope's bytes.
type Digest [sha256.Size]byte

// DigestOf gives the entry of an envelope.
func DigestOf(envelope []byte) Digest { return sha256.Sum256(envelope) }

// Leaf gives the hash of the entry in the tree.
func (d Digest) Leaf() Hash { return Hash(rfc6962.DefaultHasher.HashLeaf(d[:])) }

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Log is a log that can be appended to. All methods may be called at once.
type Log interface {
	// Lock keeps every other appender away, of this process and of all others,
	// until release is called, once. Who appends holds it from before Head until
	// what Add said is written down. A process that dies lets go of it. The error
	// is that of the context, and those of Add.
	Lock(ctx context.Context) (release func(), err error)

	// Add appends the digests without a gap, and returns when they are durable
	// (fsynced) and part of the tree. The caller holds the Lock. A checkpoint that
	// covers them may come later, see Published. A digest that is in the log already is added again.
	//
	// After an error some of the digests, from the first on, may have been
	// added: look at Head and the entries. The error is ErrDenied where the log
	// cannot be written and ErrUnavailable where writing failed.
	//
	// The indexes are those of the digests, one each. Together they follow on the
	// log's last, in any order.
	Add(ctx context.Context, digests []Digest) (indexes []uint64, err error)

	// Head is what is durable, published or not. It is not signed.
	Head(ctx context.Context) (Head, error)

	// Published waits until a checkpoint covers size entries, and gives it.
	Published(ctx context.Context, size uint64) (Checkpoint, error)

	// Tree reads the log's files.
	Tree() *Tree

	// Close waits a moment for what was added to be published, and lets go of
	// the log. What is not published then is so by the next who opens the log.
	Close() error
}
