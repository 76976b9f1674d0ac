package record_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stemma-dev/stemma/internal/project"
	"github.com/stemma-dev/stemma/internal/record"
	"github.com/stemma-dev/stemma/internal/store"
)

// benchSize is how many statements the benchmarks of large places have.
func benchSize(b *testing.B) int {
	n, err := strconv.Atoi(os.Getenv("STEMMA_BENCH_SIZE"))
	if err != nil {
		n = 20_000
	}
	return n
}

// filledHome is a place with many small statements.
func filledHome(b *testing.B) *home {
	b.Helper()
	h := openHome(b, b.TempDir())
	n := benchSize(b)
	began := time.Now()
	for at := 0; at < n; {
		batch := make([]record.Submission, 0, 2000)
		for ; at < n && len(batch) < cap(batch); at++ {
			batch = append(batch, ticket(b, at, fmt.Sprint("bench ", at%1000)))
		}
		mustRecord(b, h.recorder, batch...)
	}
	b.Logf("recorded %d statements, %.0f a second", n, float64(n)/time.Since(began).Seconds())
	return h
}

// BenchmarkRecordOne records one statement after the other: signed, kept, logged
// and acknowledged, fsync included.
func BenchmarkRecordOne(b *testing.B) {
	h := openHome(b, b.TempDir())
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		began := time.Now()
		mustRecord(b, h.recorder, ticket(b, i, "bench"))
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkProofAfterRecord is the time from before a record to a proof of it.
func BenchmarkProofAfterRecord(b *testing.B) {
	h := openHome(b, b.TempDir())
	for i := 0; b.Loop(); i++ {
		r := mustRecord(b, h.recorder, ticket(b, i, "bench"))[0]
		c, err := h.log.Published(b.Context(), r.Index+1)
		if err != nil {
			b.Fatal(err)
		}
		p, err := h.log.Tree().Prove(b.Context(), c, r.Index)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Verify(r.Digest, h.keys); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRecordBatch records a thousand at a time, and projects them: signed,
// kept, logged, acknowledged and folded, fsync included.
func BenchmarkRecordBatch(b *testing.B) {
	h := openHome(b, b.TempDir())
	n := 0
	var seen project.Observed
	for b.Loop() {
		batch := make([]record.Submission, 1000)
		for i := range batch {
			batch[i] = ticket(b, n, "bench")
			n++
		}
		mustRecord(b, h.recorder, batch...)
		fold(b, h, &seen)
	}
	if seen.Next != uint64(n) {
		b.Fatalf("%d of %d are projected", seen.Next, n)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "statements/s")
}

// fold projects what was not projected yet.
func fold(b *testing.B, h *home, seen *project.Observed) {
	b.Helper()
	for s, err := range record.Statements(b.Context(), h.evidence, seen.Next) {
		if err == nil {
			err = seen.Fold(s.Index, s.Statement, "test")
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkProject reads all statements of the evidence and folds them: what a
// rebuild does with them.
func BenchmarkProject(b *testing.B) {
	h := filledHome(b)
	n := 0
	for b.Loop() {
		var seen project.Observed
		fold(b, h, &seen)
		n += int(seen.Next)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "statements/s")
}

// BenchmarkProjectOne is the same by the subject of one observer among others.
func BenchmarkProjectOne(b *testing.B) {
	h := filledHome(b)
	n := 0
	for b.Loop() {
		for _, err := range record.StatementsAbout(b.Context(), h.evidence, []string{store.NameSubject("bench 7")}, 0) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "statements/s")
}

// BenchmarkCheck checks everything: tree, signatures, rows and indexes.
func BenchmarkCheck(b *testing.B) {
	h := filledHome(b)
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := 0
	for b.Loop() {
		if found := faults(b, h); len(found) > 0 {
			b.Fatalf("faults: %v", found)
		}
		n += benchSize(b)
	}
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "statements/s")
	b.ReportMetric(float64(int64(after.HeapSys)-int64(before.HeapSys))/1e6, "heap-growth-MB")
}
