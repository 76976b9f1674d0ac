package sqlite_test

import (
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stemma-dev/stemma"
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

// keptFile is a directory with some evidence in it, and the path of its file.
func keptFile(t *testing.T) (dir, path string) {
	t.Helper()
	dir = t.TempDir()
	e := mustOpenEvidence(t, dir, "acme")
	defer e.Close()
	for i := range 40 {
		if _, err := e.Keep(t.Context(), []store.Envelope{numberedEnvelope(i)}); err != nil {
			t.Fatal(err)
		}
	}
	return dir, filepath.Join(dir, "evidence.db")
}

func numberedEnvelope(n int) store.Envelope {
	text := fmt.Appendf(nil, "%01500d", n)
	return store.Envelope{
		EventKey: store.EventKey{Source: "test", EventID: fmt.Sprint(n)}, PredicateType: "test",
		Subjects: []string{fmt.Sprintf("sha256:%064x", n)}, Digest: sha256.Sum256(text), Bytes: text,
	}
}

func TestEvidenceThatCannotBeOpened(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(t *testing.T, path string)
		want    error
	}{
		"of a newer version": {func(t *testing.T, path string) { change(t, path, "PRAGMA user_version = 99") }, stemma.ErrConflict},
		"of another program": {func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			change(t, path, "CREATE TABLE theirs (a)")
		}, stemma.ErrInvalid},
		"no database": {func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("this is a letter, not a database\n", 1000)), 0o644); err != nil {
				t.Fatal(err)
			}
		}, stemma.ErrInvalid},
		"a directory": {func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o755)); err != nil {
				t.Fatal(err)
			}
		}, stemma.ErrInvalid},
	} {
		dir, path := keptFile(t)
		test.prepare(t, path)
		_, err := sqlite.OpenEvidence(t.Context(), dir, "acme")
		checkError(t, name, err)
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: OpenEvidence error = %v, want %v that names the file", name, err, test.want)
		}
	}
	if _, err := sqlite.OpenEvidence(t.Context(), t.TempDir(), ""); !errors.Is(err, stemma.ErrInvalid) {
		t.Errorf("OpenEvidence without organisation: error = %v, want ErrInvalid", err)
	}
}

func TestEvidenceIsLockedOrFull(t *testing.T) {
	dir, path := keptFile(t)
	e := mustOpenEvidence(t, dir, "acme")
	defer e.Close()
	e.SetWait(100 * time.Millisecond)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	_, err = e.Keep(t.Context(), []store.Envelope{numberedEnvelope(100)})
	checkError(t, "Keep", err)
	if !errors.Is(err, stemma.ErrConflict) || !strings.Contains(err.Error(), path) {
		t.Errorf("Keep while another process writes: error = %v, want ErrConflict that names the file", err)
	}
	if _, err := db.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := e.FillDisk(t.Context()); err != nil {
		t.Fatal(err)
	}
	var many []store.Envelope
	for i := range 100 {
		many = append(many, numberedEnvelope(200+i))
	}
	_, err = e.Keep(t.Context(), many)
	checkError(t, "Keep", err)
	if !errors.Is(err, stemma.ErrUnavailable) || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("Keep on a full disk: error = %v, want ErrUnavailable that says so", err)
	}
	again := mustOpenEvidence(t, dir, "acme")
	defer again.Close()
	pending, err := again.Pending(t.Context(), 1000)
	if err != nil || len(pending) != 40 {
		t.Errorf("%d envelopes are kept, %v; want the 40 of before", len(pending), err)
	}
}

// Bytes that a bad disk changed give an error or do not matter, but no panic.
func TestDamagedEvidence(t *testing.T) {
	_, path := keptFile(t)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(5, 6))
	found := 0
	for round := range 40 {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "evidence.db"), damage(rnd, slices.Clone(content)), 0o644); err != nil {
			t.Fatal(err)
		}
		try := func(what string, err error) {
			checkError(t, fmt.Sprint("round ", round, " ", what), err)
			if err != nil {
				found++
			}
		}
		e, err := sqlite.OpenEvidence(t.Context(), dir, "acme")
		try("open", err)
		if err != nil {
			continue
		}
		for _, err := range e.Entries(t.Context(), 0) {
			try("entries", err)
		}
		_, err = e.Pending(t.Context(), 100)
		try("pending", err)
		_, err = e.Keep(t.Context(), []store.Envelope{numberedEnvelope(3), numberedEnvelope(500)})
		try("keep", err)
		try("audit", e.Audit(t.Context(), func(store.Entry) ([]string, bool, error) { return nil, false, nil }, func(store.RowFault) { found++ }))
		try("close", e.Close())
	}
	if found < 20 {
		t.Errorf("only %d faults were found in 40 damaged files", found)
	}
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
