package sqlite_test

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/stemma-dev/stemma/internal/store"
	"github.com/stemma-dev/stemma/internal/store/sqlite"
	"github.com/stemma-dev/stemma/internal/store/storetest"
)

func TestEvidenceContract(t *testing.T) {
	storetest.RunEvidence(t, func(t *testing.T) storetest.EvidenceBackend {
		dir := t.TempDir()
		return func(t *testing.T, organisation string) store.Evidence {
			return mustOpenEvidence(t, dir, organisation)
		}
	})
}

func mustOpenEvidence(t testing.TB, dir, organisation string) *sqlite.Evidence {
	t.Helper()
	e, err := sqlite.OpenEvidence(t.Context(), dir, organisation)
	if err != nil {
		t.Fatalf("OpenEvidence: %v", err)
	}
	return e
}

// BenchmarkKeep keeps and sequences 1000 envelopes of 1.5 kB, fsync included.
func BenchmarkKeep(b *testing.B) {
	e := mustOpenEvidence(b, b.TempDir(), "bench")
	defer e.Close()
	n := 0
	for b.Loop() {
		batch := make([]store.Envelope, 1000)
		for i := range batch {
			text := fmt.Appendf(make([]byte, 0, 1500), "%01500d", n)
			batch[i] = store.Envelope{
				EventKey: store.EventKey{Source: "bench", EventID: fmt.Sprint(n)}, PredicateType: "test",
				Subjects: []string{fmt.Sprintf("sha256:%064x", n)}, Digest: sha256.Sum256(text), Bytes: text,
			}
			n++
		}
		kept, err := e.Keep(b.Context(), batch)
		if err != nil {
			b.Fatal(err)
		}
		indexes := make([]store.Sequenced, len(kept))
		for i, k := range kept {
			indexes[i] = store.Sequenced{ID: k.ID, Index: uint64(n - len(kept) + i)}
		}
		if err := e.Sequence(b.Context(), indexes); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "envelopes/s")
}
