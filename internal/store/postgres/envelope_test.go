package postgres_test

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/stemma-dev/stemma/internal/store"
	"github.com/stemma-dev/stemma/internal/store/postgres"
	"github.com/stemma-dev/stemma/internal/store/storetest"
)

func TestEvidenceContract(t *testing.T) {
	address := server.Database(t)
	storetest.RunEvidence(t, func(t *testing.T) storetest.EvidenceBackend {
		place := rand.Text()
		return func(t *testing.T, organisation string) store.Evidence {
			e, err := postgres.OpenEvidence(t.Context(), address, place+organisation)
			if err != nil {
				t.Fatalf("OpenEvidence: %v", err)
			}
			return e
		}
	})
}

// What somebody changed in the database behind our back is told row by row.
func TestAuditOfChangedRows(t *testing.T) {
	address := server.Database(t)
	e, err := postgres.OpenEvidence(t.Context(), address, "acme")
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var given []store.Envelope
	for _, text := range []string{"one", "two", "three", "four"} {
		given = append(given, store.Envelope{
			EventKey: store.EventKey{Source: "git", EventID: text}, Subjects: []string{"sha256:" + text},
			Digest: sha256.Sum256([]byte(text)), Bytes: []byte(text),
		})
	}
	if _, err := e.Keep(t.Context(), given); err != nil {
		t.Fatal(err)
	}
	server.Exec(t, address, `
		UPDATE stemma_evidence.envelope_bytes SET bytes = 'other' WHERE id = 1;
		DELETE FROM stemma_evidence.envelope_bytes WHERE id = 2;
		DELETE FROM stemma_evidence.subject WHERE id = 3;
		UPDATE stemma_evidence.envelope_bytes SET id = 44 WHERE id = 4`)
	var faults []string
	read := 0
	err = e.Audit(t.Context(), func(entry store.Entry) ([]string, bool, error) {
		read++
		return []string{"sha256:" + entry.EventID}, true, nil
	}, func(f store.RowFault) { faults = append(faults, f.Where+": "+f.Reason) })
	if err != nil || read != 1 {
		t.Errorf("Audit = %v, and gave %d envelopes, want 1", err, read)
	}
	got := strings.Join(faults, "\n")
	for _, want := range []string{
		"envelope 1: its bytes do not have the digest", "envelope 2: its bytes are missing",
		"envelope 3: is not found by its subject", "envelope 4: its bytes are missing",
		"envelope_bytes 44: belongs to no envelope", "subject: 3 rows that no envelope has",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("Audit told:\n%s\nwant %q", got, want)
		}
	}
}
