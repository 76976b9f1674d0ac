package main

import (
	"path/filepath"
	"testing"
)

// BenchmarkLoad loads a generated graph of 200,000 nodes and 1,000,000 edges.
func BenchmarkLoad(b *testing.B) {
	for i := 0; b.Loop(); i++ {
		g, err := newGenerator(200_000, 1_000_000, 1)
		if err != nil {
			b.Fatal(err)
		}
		s, err := openBenchStore(b.Context(), filepath.Join(b.TempDir(), "graph"))
		if err != nil {
			b.Fatal(err)
		}
		doc, err := load(b.Context(), s, g, 5000)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(doc.Rate, "rows/s")
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
