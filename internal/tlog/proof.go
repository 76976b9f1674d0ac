package tlog

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/stemma-dev/stemma"
)

// MaxProof is the size in bytes over which a proof is not read.
const MaxProof = 256 << 10

// maxHashes is how many hashes a proof in a tree of 2^63 entries can have.
const maxHashes = 63

const proofHeader = "c2sp.org/tlog-proof@v1"

// Proof says that an entry is in a log: the entry's index, the hashes from its
// leaf to the root, and the checkpoint they lead to. It verifies offline.
type Proof struct {
	Index  uint64
	Hashes []Hash
	// Checkpoint is the signed checkpoint, verbatim.
	Checkpoint []byte
	// Extra is not covered by any signature.
	Extra []byte
}

// Encode gives the proof as a file in the format c2sp.org/tlog-proof@v1, whose
// usual name ends in ".tlog-proof".
func (p Proof) Encode() []byte {
	var b bytes.Buffer
	b.WriteString(proofHeader + "\n")
	if len(p.Extra) > 0 {
		b.WriteString("extra " + base64.StdEncoding.EncodeToString(p.Extra) + "\n")
	}
	fmt.Fprintf(&b, "index %d\n", p.Index)
	for _, h := range p.Hashes {
		b.WriteString(base64.StdEncoding.EncodeToString(h[:]) + "\n")
	}
	b.WriteString("\n")
	b.Write(p.Checkpoint)
	return b.Bytes()
}

// ParseProof reads what [Proof.Encode] or another tool wrote. Nothing is
// verified. The error is a *DecodeError.
func ParseProof(data []byte) (Proof, error) {
	at := 0
	fail := func(format string, args ...any) (Proof, error) {
		return Proof{}, &DecodeError{"proof", at, fmt.Sprintf(format, args...)}
	}
	if len(data) > MaxProof {
		at = MaxProof
		return fail("over the limit of %d bytes", MaxProof)
	}
	next := 0
	line := func() (string, bool) {
		at = next
		end := bytes.IndexByte(data[at:], '\n')
		if end < 0 {
			return "", false
		}
		next = at + end + 1
		return string(data[at : at+end]), true
	}
	text, ok := line()
	if !ok || text != proofHeader {
		return fail("not a proof in the format %s", proofHeader)
	}
	var p Proof
	if text, ok = line(); !ok {
		return fail("ends before the index")
	}
	if extra, has := strings.CutPrefix(text, "extra "); has {
		b, err := base64.StdEncoding.Strict().DecodeString(extra)
		if err != nil || len(b) == 0 {
			return fail("extra is not base64")
		}
		p.Extra = b
		if text, ok = line(); !ok {
			return fail("ends before the index")
		}
	}
	index, has := strings.CutPrefix(text, "index ")
	n, err := strconv.ParseUint(index, 10, 63)
	if !has || err != nil || strconv.FormatUint(n, 10) != index {
		return fail("index %q is no decimal number", clip(text))
	}
	p.Index = n
	for {
		if text, ok = line(); !ok {
			return fail("ends before the checkpoint")
		}
		if text == "" {
			break
		}
		h, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil || len(h) != len(Hash{}) {
			return fail("hash %q is not 32 bytes in base64", clip(text))
		}
		if len(p.Hashes) == maxHashes {
			return fail("more than %d hashes", maxHashes)
		}
		p.Hashes = append(p.Hashes, Hash(h))
	}
	at = next
	p.Checkpoint = bytes.Clone(data[at:])
	if _, err := ParseHead(p.Checkpoint); err != nil {
		return fail("%v", err)
	}
	return p, nil
}

// Verify checks that the entry is in the log that the keys are of, and gives the
// checkpoint that says so. It needs no log and no network. The error is of kind
// ErrDenied for a checkpoint that does not count, a *DecodeError for one that is
// none, and ErrInvalid where the hashes do not lead from the entry to its root.
func (p Proof) Verify(entry Digest, keys Keys) (Checkpoint, error) {
	c, err := keys.Open(p.Checkpoint)
	if err != nil {
		return Checkpoint{}, err
	}
	if err := VerifyInclusion(c.Head, p.Index, entry, p.Hashes); err != nil {
		return Checkpoint{}, err
	}
	return c, nil
}

// VerifyInclusion checks that the entry is at the index of a log with this head
// (RFC 6962, section 2.1.1). The error is ErrInvalid.
func VerifyInclusion(h Head, index uint64, entry Digest, hashes []Hash) error {
	leaf := entry.Leaf()
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, h.Size, leaf[:], raw(hashes), h.Root[:]); err != nil {
		return fmt.Errorf("entry %s is not shown to be at index %d of %s: %v: %w", entry, index, h, err, stemma.ErrInvalid)
	}
	return nil
}

// RollbackError says that a log was shorter or another one when it was looked
// at again: entries were removed or changed.
type RollbackError struct {
	Before, After Head
	Reason        string
}

func (e *RollbackError) Error() string {
	return fmt.Sprintf("the log is not what it was: %s was published before, and now it is %s: %s", e.Before, e.After, e.Reason)
}

// Is says that it is of kind stemma.ErrConflict.
func (e *RollbackError) Is(target error) bool { return target == stemma.ErrConflict }

// VerifyConsistency checks that the log only grew from one head to another (RFC
// 6962, section 2.1.2). The error is a *RollbackError that names both.
func VerifyConsistency(before, after Head, hashes []Hash) error {
	rolled := func(reason string) error { return &RollbackError{before, after, reason} }
	switch {
	case before.Origin != after.Origin:
		return rolled("they are of two logs")
	case before.Size > after.Size:
		return rolled(fmt.Sprintf("%d entries are gone", before.Size-after.Size))
	case before.Size == 0:
		if before.Root != Hash(rfc6962.DefaultHasher.EmptyRoot()) {
			return rolled("the root of no entries is another")
		}
		return nil
	case before.Size == after.Size && before.Root != after.Root:
		return rolled("the same number of entries has two roots")
	}
	err := proof.VerifyConsistency(rfc6962.DefaultHasher, before.Size, after.Size, raw(hashes), before.Root[:], after.Root[:])
	if err != nil {
		return rolled("no proof leads from one to the other: " + err.Error())
	}
	return nil
}

func raw(hashes []Hash) [][]byte {
	out := make([][]byte, len(hashes))
	for i := range hashes {
		out[i] = hashes[i][:]
	}
	return out
}
