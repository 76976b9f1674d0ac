package record

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
)

// Access records that content of a session is about to be shown to somebody
// whose session it is not. When it returns without an error, that is in the log.
// The metadata of a is made here.
func (r *Recorder) Access(ctx context.Context, a attest.Access) error {
	id := make([]byte, 16)
	rand.Read(id) // never fails
	now := time.Now().UTC().Format(time.RFC3339)
	a.Metadata = attest.Metadata{Source: "stemma", EventID: "access/" + hex.EncodeToString(id), Observed: now, Claimed: &now, Assertion: stemma.Observed}
	subject, err := attest.RecordSubject(a.Session, "stemma:session:"+a.Session, map[string]any{"session": a.Session})
	if err != nil {
		return err
	}
	statement, err := attest.New(attest.TypeAccess, a, subject)
	if err != nil {
		return err
	}
	sub, err := NewSubmission(statement)
	if err != nil {
		return err
	}
	_, err = r.Record(ctx, []Submission{sub})
	return err
}
