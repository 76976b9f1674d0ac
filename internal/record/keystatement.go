package record

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/store"
)

// KeyStatements gives the rotations and revocations of these keys that are in the
// log, the oldest first: those that came signed. One that came as a bare statement is
// the word of whoever handed it in, though this machine signed it, and is not here.
// What a signature is worth is for the caller to say.
func KeyStatements(ctx context.Context, e store.Evidence, keyIDs ...string) ([]store.Entry, error) {
	var names []string
	for _, id := range keyIDs {
		names = append(names, "uri:"+attest.KeySubject(id).URI)
	}
	if len(names) == 0 {
		return nil, nil
	}
	var found []store.Entry
	for entry, err := range e.About(ctx, names, 0) {
		if err != nil {
			return nil, err
		}
		ours := entry.PredicateType == attest.TypeKeyRotation || entry.PredicateType == attest.TypeKeyRevocation
		if ours && entry.Source == foreignSource {
			found = append(found, entry)
		}
	}
	return found, nil
}

// KeysOfLog reads the whole log for what it knows of keys: the rotations of any, the
// oldest first, and which of these keys signed something on this machine, as the
// signatures have it.
func KeysOfLog(ctx context.Context, e store.Evidence, keyIDs []string) (rotations []store.Entry, here []string, err error) {
	found := make(map[string]bool)
	for entry, err := range e.Entries(ctx, 0) {
		if err != nil {
			return nil, nil, err
		}
		if entry.Source == foreignSource {
			if entry.PredicateType == attest.TypeKeyRotation {
				rotations = append(rotations, entry)
			}
			continue
		}
		for _, id := range keyIDs {
			if found[id] || !bytes.Contains(entry.Bytes, []byte(id)) {
				continue
			}
			signed, err := attest.Decode(entry.Bytes)
			if err != nil {
				return nil, nil, fmt.Errorf("envelope %d: %w", entry.ID, err)
			}
			if slices.ContainsFunc(signed.Signatures, func(s attest.Signature) bool { return s.KeyID == id }) {
				found[id], here = true, append(here, id)
			}
		}
	}
	return rotations, here, nil
}
