package tlog

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	cosignature "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/stemma-dev/stemma"
)

// MaxCheckpoint is the size in bytes over which a checkpoint is not read. One
// with a hundred witnesses has about 12 kB.
const MaxCheckpoint = 64 << 10

// Head is a state of a log: how many entries it has, and what they are.
type Head struct {
	Origin string // which log; unique to it
	Size   uint64
	Root   Hash
}

func (h Head) String() string {
	return fmt.Sprintf("%s at size %d, root %s", h.Origin, h.Size, base64.StdEncoding.EncodeToString(h.Root[:]))
}

// Checkpoint is a signed head, with the bytes as they were published.
type Checkpoint struct {
	Head
	Raw []byte
	// Witnesses are those whose cosignature was verified, in the order of the
	// checkpoint.
	Witnesses []Cosignature
}

// Cosignature says that a witness has seen a checkpoint, and that it is
// consistent with all that it saw of the log before.
type Cosignature struct {
	Witness string    // its name
	Time    time.Time // when, by the witness's clock, in UTC
}

// Seen gives the earliest cosignature: from its time on, what the checkpoint
// holds is proven to exist. The zero Cosignature is none.
func (c Checkpoint) Seen() Cosignature {
	var first Cosignature
	for _, w := range c.Witnesses {
		if first.Witness == "" || w.Time.Before(first.Time) {
			first = w
		}
	}
	return first
}

// DecodeError says where bytes stop being what they should be.
type DecodeError struct {
	What   string // "checkpoint", "proof", "entry bundle", "tile"
	Offset int    // in bytes
	Reason string
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("%s: offset %d: %s", e.What, e.Offset, e.Reason)
}

// Is says that it is of kind stemma.ErrInvalid.
func (e *DecodeError) Is(target error) bool { return target == stemma.ErrInvalid }

// ParseHead reads the text of a checkpoint (C2SP tlog-checkpoint) without
// looking at its signatures: what it gives is what somebody says. The error is
// a *DecodeError.
func ParseHead(raw []byte) (Head, error) {
	h, _, err := parseHead(raw)
	return h, err
}

func parseHead(raw []byte) (h Head, text int, err error) {
	fail := func(at int, format string, args ...any) (Head, int, error) {
		return Head{}, 0, &DecodeError{"checkpoint", at, fmt.Sprintf(format, args...)}
	}
	if len(raw) > MaxCheckpoint {
		return fail(MaxCheckpoint, "over the limit of %d bytes", MaxCheckpoint)
	}
	text = bytes.Index(raw, []byte("\n\n"))
	if text < 0 {
		return fail(len(raw), "no empty line before the signatures")
	}
	text++
	at := 0
	line := func() (string, bool) {
		if at >= text {
			return "", false
		}
		end := bytes.IndexByte(raw[at:text], '\n')
		s := string(raw[at : at+end])
		at += end + 1
		return s, true
	}
	origin, ok := line()
	if !ok || origin == "" {
		return fail(0, "no origin")
	}
	begin := at
	size, ok := line()
	n, perr := strconv.ParseUint(size, 10, 63)
	if !ok || perr != nil || strconv.FormatUint(n, 10) != size {
		return fail(begin, "size %q is no decimal number", clip(size))
	}
	begin = at
	root, ok := line()
	hash, derr := base64.StdEncoding.Strict().DecodeString(root)
	if !ok || derr != nil || len(hash) != len(h.Root) {
		return fail(begin, "root %q is not 32 bytes in base64", clip(root))
	}
	for at < text {
		begin = at
		if extension, _ := line(); extension == "" {
			return fail(begin, "empty extension line")
		}
	}
	return Head{Origin: origin, Size: n, Root: Hash(hash)}, text, nil
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}

// Keys say whose signatures count on the checkpoints of a log.
type Keys struct {
	log       note.Verifier
	witnesses []note.Verifier
	quorum    int
}

// NewKeys makes the keys of a log from its verifier key (C2SP signed-note:
// "name+hash+key"; the name is the log's origin), those of its witnesses
// (tlog-cosignature) and how many of them must have cosigned. The error is
// ErrInvalid.
func NewKeys(logKey string, witnesses []string, quorum int) (Keys, error) {
	v, err := note.NewVerifier(strings.TrimSpace(logKey))
	if err != nil {
		return Keys{}, fmt.Errorf("key of the log %q: %v: %w", clip(logKey), err, stemma.ErrInvalid)
	}
	k := Keys{log: v, quorum: quorum}
	for _, w := range witnesses {
		v, err := cosignature.NewVerifierForCosignatureV1(strings.TrimSpace(w))
		if err != nil {
			return Keys{}, fmt.Errorf("key of a witness %q: %v: %w", clip(w), err, stemma.ErrInvalid)
		}
		k.witnesses = append(k.witnesses, v)
	}
	if quorum < 0 || quorum > len(witnesses) {
		return Keys{}, fmt.Errorf("%d of %d witnesses are asked for: %w", quorum, len(witnesses), stemma.ErrInvalid)
	}
	return k, nil
}

// Origin is the origin of the log.
func (k Keys) Origin() string {
	if k.log == nil {
		return ""
	}
	return k.log.Name()
}

// Open reads a checkpoint and verifies the log's signature and those of its
// witnesses. The error is a *DecodeError for bytes that are no checkpoint, and
// ErrDenied for one that is not signed as the keys ask, or is of another log.
func (k Keys) Open(raw []byte) (Checkpoint, error) {
	head, _, err := parseHead(raw)
	if err != nil {
		return Checkpoint{}, err
	}
	if k.log == nil {
		return Checkpoint{}, fmt.Errorf("checkpoint of %q: no key of the log is given: %w", clip(head.Origin), stemma.ErrDenied)
	}
	if head.Origin != k.log.Name() {
		return Checkpoint{}, fmt.Errorf("checkpoint of %q, want one of %q: %w", clip(head.Origin), k.log.Name(), stemma.ErrDenied)
	}
	n, err := note.Open(raw, note.VerifierList(append([]note.Verifier{k.log}, k.witnesses...)...))
	var unsigned *note.UnverifiedNoteError
	var forged *note.InvalidSignatureError
	switch {
	case errors.As(err, &unsigned):
		return Checkpoint{}, fmt.Errorf("checkpoint of %q at size %d: not signed by the key of the log: %w", head.Origin, head.Size, stemma.ErrDenied)
	case errors.As(err, &forged):
		return Checkpoint{}, fmt.Errorf("checkpoint of %q at size %d: the signature of %q does not verify: %w", head.Origin, head.Size, forged.Name, stemma.ErrDenied)
	case err != nil:
		return Checkpoint{}, &DecodeError{"checkpoint", bytes.Index(raw, []byte("\n\n")) + 2, err.Error()}
	}
	if at := loose(raw); at >= 0 {
		return Checkpoint{}, &DecodeError{"checkpoint", at, "a signature that is written in another way than it was made"}
	}
	c := Checkpoint{Head: head, Raw: bytes.Clone(raw)}
	signed := false
	for _, sig := range n.Sigs {
		if sig.Name == k.log.Name() && sig.Hash == k.log.KeyHash() {
			signed = true
			continue
		}
		at, err := cosignature.CoSigV1Timestamp(sig)
		if err != nil {
			return Checkpoint{}, &DecodeError{"checkpoint", bytes.Index(raw, []byte("\n\n")) + 2, fmt.Sprintf("cosignature of %q: %v", sig.Name, err)}
		}
		c.Witnesses = append(c.Witnesses, Cosignature{sig.Name, at.UTC()})
	}
	if !signed {
		return Checkpoint{}, fmt.Errorf("checkpoint of %q at size %d: not signed by the key of the log: %w", head.Origin, head.Size, stemma.ErrDenied)
	}
	if len(c.Witnesses) < k.quorum {
		return Checkpoint{}, fmt.Errorf("checkpoint of %q at size %d: cosigned by %d witnesses, want %d: %w",
			head.Origin, head.Size, len(c.Witnesses), k.quorum, stemma.ErrDenied)
	}
	return c, nil
}

// loose gives the offset of a signature whose base64 has bits that decode to
// nothing (RFC 4648, section 3.5), or -1: the same checkpoint in other bytes.
func loose(raw []byte) int {
	at := bytes.Index(raw, []byte("\n\n")) + 2
	for line := range bytes.Lines(raw[at:]) {
		text := bytes.TrimRight(line[bytes.LastIndexByte(line, ' ')+1:], "\n")
		if _, err := base64.StdEncoding.Strict().DecodeString(string(text)); err != nil {
			return at
		}
		at += len(line)
	}
	return -1
}
