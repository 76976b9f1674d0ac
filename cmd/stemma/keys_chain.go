package main

import (
	"context"
	"maps"
	"slices"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/record"
	"github.com/stemma-dev/stemma/internal/sign"
	"github.com/stemma-dev/stemma/internal/store"
)

// keyChain is the keys of this machine that statements about keys are read with:
// those of the keys folder, and those that rotations tie to them. A rotation has
// both keys in it and is signed by both, so that who deletes the record of a key
// does not take away what it said.
type keyChain struct {
	trust sign.Trust
	known map[string]bool // ids of the keys in trust
	tied  []string        // those of them that the folder has no record of
	// gone are the ids of keys that signed on this machine and that nothing has.
	gone map[string]bool
}

func newKeyChain(own []sign.Key) *keyChain {
	c := &keyChain{known: make(map[string]bool), gone: make(map[string]bool)}
	for _, k := range own {
		c.add(k)
	}
	return c
}

// add adds a key, for all times and statements.
func (c *keyChain) add(k sign.Key) {
	c.known[k.ID] = true
	c.trust.Keys = append(c.trust.Keys, sign.Key{Name: k.Name, ID: k.ID, Public: k.Public, Holder: k.Holder, Pinned: k.Pinned})
}

// signedText is a statement with the envelope that it is signed in.
type signedText struct {
	envelope  attest.Envelope
	statement stemma.Statement
}

func decodeSigned(text []byte) (signedText, error) {
	e, err := attest.Decode(text)
	if err != nil {
		return signedText{}, err
	}
	s, err := attest.DecodeStatement(e.Payload)
	return signedText{e, s}, err
}

// gather gives what the log has about the keys, in its order, and adds to them what
// is tied to them by what it has and by files.
func (c *keyChain) gather(ctx context.Context, e store.Evidence, files []signedText) ([]store.Entry, error) {
	entries := make(map[uint64]store.Entry)
	signed := slices.Clone(files)
	asked := make(map[string]bool)
	for {
		if e != nil {
			var ids []string
			for id := range c.known {
				if !asked[id] {
					ids, asked[id] = append(ids, id), true
				}
			}
			found, err := record.KeyStatements(ctx, e, ids...)
			if err != nil {
				return nil, err
			}
			for _, entry := range found {
				entries[entry.Index] = entry
				if t, err := decodeSigned(entry.Bytes); err == nil { // otherwise it is named when it is read
					signed = append(signed, t)
				}
			}
		}
		if c.follow(ctx, signed) {
			continue
		}
		more, err := c.search(ctx, e, signed)
		if err != nil {
			return nil, err
		}
		if !c.follow(ctx, more) {
			break
		}
		signed = append(signed, more...)
	}
	var list []store.Entry
	for _, index := range slices.Sorted(maps.Keys(entries)) {
		list = append(list, entries[index])
	}
	return list, nil
}

// follow adds the keys that these rotations tie to one that is known, and reports
// whether there were any.
func (c *keyChain) follow(ctx context.Context, signed []signedText) bool {
	grown := false
	for again := true; again; {
		again = false
		for _, t := range signed {
			for _, k := range c.rotated(ctx, t) {
				c.add(k)
				c.tied = append(c.tied, k.ID)
				again, grown = true, true
			}
		}
	}
	return grown
}

// rotated gives the key that a rotation ties to one that is known. Both must have
// signed it.
func (c *keyChain) rotated(ctx context.Context, t signedText) []sign.Key {
	if t.statement.PredicateType != attest.TypeKeyRotation {
		return nil
	}
	r, err := attest.As[attest.KeyRotation](t.statement)
	if err != nil || c.known[r.Old.ID] == c.known[r.New.ID] {
		return nil
	}
	var both sign.Trust
	for _, p := range []attest.PublicKey{r.Old, r.New} {
		public, err := attest.DecodeKey(p.PEM)
		if err != nil {
			return nil
		}
		if id, err := attest.KeyID(public); err != nil || id != p.ID {
			return nil
		}
		both.Keys = append(both.Keys, sign.Key{Name: "this machine", ID: p.ID, Public: public, Holder: sign.HeldByPerson, Pinned: "rotation"})
	}
	good := make(map[string]bool)
	for _, s := range both.Verify(ctx, t.envelope, t.statement).Signatures {
		good[s.KeyID] = good[s.KeyID] || s.Good
	}
	if !good[r.Old.ID] || !good[r.New.ID] {
		return nil
	}
	return slices.DeleteFunc(both.Keys, func(k sign.Key) bool { return c.known[k.ID] })
}

// search looks through the whole log for the keys that revoked one of those that are
// known and are not known themselves. It gives the rotations of the log, and notes
// which of the keys signed on this machine. Most logs have no such revocation, and are
// not read.
func (c *keyChain) search(ctx context.Context, e store.Evidence, signed []signedText) ([]signedText, error) {
	unknown := make(map[string]bool)
	for _, t := range signed {
		for _, id := range c.strangers(t) {
			unknown[id] = true
		}
	}
	if e == nil || len(unknown) == 0 {
		return nil, nil
	}
	rotations, here, err := record.KeysOfLog(ctx, e, slices.Sorted(maps.Keys(unknown)))
	if err != nil {
		return nil, err
	}
	for _, id := range here {
		c.gone[id] = true
	}
	var more []signedText
	for _, entry := range rotations {
		if t, err := decodeSigned(entry.Bytes); err == nil {
			more = append(more, t)
		}
	}
	return more, nil
}

// revokes reports whether it is a revocation of a known key, signed or not.
func (c *keyChain) revokes(t signedText) bool {
	if t.statement.PredicateType != attest.TypeKeyRevocation {
		return false
	}
	r, err := attest.As[attest.KeyRevocation](t.statement)
	return err == nil && c.known[r.KeyID]
}

// strangers gives the keys that a revocation of a known key names as its signers and
// that are not known.
func (c *keyChain) strangers(t signedText) []string {
	if !c.revokes(t) {
		return nil
	}
	var ids []string
	for _, s := range t.envelope.Signatures {
		if s.KeyID != "" && !c.known[s.KeyID] {
			ids = append(ids, s.KeyID)
		}
	}
	return ids
}

// misnames reports whether a known key is named as a signer that is none.
func (c *keyChain) misnames(ctx context.Context, t signedText) bool {
	return slices.ContainsFunc(c.trust.Verify(ctx, t.envelope, t.statement).Signatures, func(s sign.SignatureVerdict) bool {
		return s.Checked && !s.Good
	})
}
