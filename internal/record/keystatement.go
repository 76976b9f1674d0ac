package record

import (
	"context"

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
