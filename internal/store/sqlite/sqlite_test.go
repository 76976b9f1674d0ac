package sqlite_test

import (
	"testing"

	"github.com/stemma-dev/stemma/internal/store"
	"github.com/stemma-dev/stemma/internal/store/sqlite"
	"github.com/stemma-dev/stemma/internal/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Backend {
		dir := t.TempDir()
		return func(t *testing.T, organisation string) store.Store {
			return mustOpen(t, dir, organisation)
		}
	})
}

func mustOpen(t testing.TB, dir, organisation string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), dir, organisation)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}
