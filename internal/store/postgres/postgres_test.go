package postgres_test

import (
	"crypto/rand"
	"os"
	"testing"

	"github.com/stemma-dev/stemma/internal/store"
	"github.com/stemma-dev/stemma/internal/store/postgres"
	"github.com/stemma-dev/stemma/internal/store/postgrestest"
	"github.com/stemma-dev/stemma/internal/store/storetest"
)

// server is shared by the tests that leave it running.
var server postgrestest.Server

func TestMain(m *testing.M) {
	code := m.Run()
	server.Stop()
	os.Exit(code)
}

func TestContract(t *testing.T) {
	address := server.Database(t)
	storetest.Run(t, func(t *testing.T) storetest.Backend {
		// A place of its own for each test is no database, which takes a while to
		// make, but organisations of its own in a database with many.
		place := rand.Text()
		return func(t *testing.T, organisation string) store.Store {
			return mustOpen(t, address, place+organisation)
		}
	})
}

func mustOpen(t testing.TB, address, organisation string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), address, organisation)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}
