package evidence

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/store"
	"github.com/stemma-dev/stemma/internal/tlog"
)

// Archive is where an organisation's envelopes and its log are kept, to read
// from.
type Archive struct {
	Store store.Evidence
	Tree  *tlog.Tree
	Keys  tlog.Keys
	// Earlier are checkpoints that were kept from before, the smallest first. What
	// one covers that a witness saw is proven by it, so that its time counts.
	Earlier []tlog.Checkpoint
}

// Envelope gives the envelope with this digest in hex, with its proof. The
// error is ErrNotFound where there is none and ErrInvalid for a digest that is
// none.
func (a Archive) Envelope(ctx context.Context, digest string) (Piece, error) {
	raw, err := hex.DecodeString(digest)
	if err != nil || len(raw) != 32 {
		return Piece{}, fmt.Errorf("digest %q: want SHA-256 in hex: %w", digest, stemma.ErrInvalid)
	}
	e, err := a.Store.ByDigest(ctx, [32]byte(raw))
	if err != nil {
		return Piece{}, fmt.Errorf("envelope %s: %w", digest, err)
	}
	return a.piece(ctx, e, nil)
}

// About gives the envelopes about any of these subjects (store.SubjectNames),
// in the order of the log, with their proofs under one checkpoint.
func (a Archive) About(ctx context.Context, subjects ...string) ([]Piece, error) {
	var pieces []Piece
	var head *tlog.Checkpoint
	for e, err := range a.Store.About(ctx, subjects, 0) {
		if err != nil {
			return nil, fmt.Errorf("evidence about %v: %w", subjects, err)
		}
		if head == nil {
			c, err := a.Tree.Checkpoint(ctx, a.Keys)
			if err != nil {
				return nil, fmt.Errorf("checkpoint: %w", err)
			}
			head = &c
		}
		p, err := a.piece(ctx, e, head)
		if err != nil {
			return nil, err
		}
		pieces = append(pieces, p)
	}
	return pieces, nil
}

// piece puts an envelope and its proof together. One that the checkpoint does
// not cover yet has none.
func (a Archive) piece(ctx context.Context, e store.Entry, head *tlog.Checkpoint) (Piece, error) {
	p := Piece{Name: attest.Digest(e.Bytes), Envelope: e.Bytes}
	if e.Pending {
		return p, nil
	}
	if head == nil {
		c, err := a.Tree.Checkpoint(ctx, a.Keys)
		if errors.Is(err, stemma.ErrNotFound) {
			return p, nil
		}
		if err != nil {
			return p, fmt.Errorf("checkpoint: %w", err)
		}
		head = &c
	}
	if e.Index >= head.Size {
		return p, nil
	}
	by := *head
	for _, c := range a.Earlier {
		if e.Index < c.Size && c.Size <= head.Size && len(c.Witnesses) > 0 {
			by = c
			break
		}
	}
	proof, err := a.Tree.ProveEarlier(ctx, by, head.Head, e.Index)
	if err != nil {
		return p, fmt.Errorf("proof of envelope %s: %w", p.Name, err)
	}
	p.Proof = proof.Encode()
	return p, nil
}
