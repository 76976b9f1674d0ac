package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
	"github.com/stemma-dev/stemma/internal/store/sqlite"
)

// childEnv makes this binary a child of a test: "what it does:directory".
const childEnv = "STEMMA_SQLITE_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := putForever(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// putForever puts one numbered batch after the other, and says so after each.
func putForever(dir string) error {
	ctx := context.Background()
	s, err := sqlite.Open(ctx, dir, "acme")
	if err != nil {
		return err
	}
	marks, err := s.Marks(ctx)
	if err != nil {
		return err
	}
	n := 0
	if marks["at"] != "" {
		if n, err = strconv.Atoi(marks["at"]); err != nil {
			return err
		}
	}
	for {
		n++
		if err := s.Put(ctx, numbered(n)); err != nil {
			return err
		}
		if _, err := fmt.Println(n); err != nil {
			return err
		}
	}
}

// numbered is a batch of scopes, with one that every batch replaces, and a mark.
func numbered(n int) store.Batch {
	shared := benchCommit(1 << 20)
	shared.Tally.Candidate = n
	b := store.Batch{
		Scopes: []store.Scope{shared},
		Marks:  map[string]string{"at": fmt.Sprint(n)},
	}
	for i := range 20 {
		b.Scopes = append(b.Scopes, benchCommit(n*20+i))
	}
	return b
}

func TestKilledAtAnyMoment(t *testing.T) {
	dir := t.TempDir()
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		acknowledged := killWhilePutting(t, dir, time.Duration(30+rand.IntN(120))*time.Millisecond)
		checkWhole(t, dir, acknowledged)
		if t.Failed() {
			t.Fatalf("after round %d", round)
		}
	}
}

// killWhilePutting gives the last batch that the child said it had put.
func killWhilePutting(t *testing.T, dir string, after time.Duration) (acknowledged int) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var timer *time.Timer
	for lines.Scan() {
		if timer == nil { // it has begun
			timer = time.AfterFunc(after, func() { _ = child.Process.Kill() })
		}
		if acknowledged, err = strconv.Atoi(lines.Text()); err != nil {
			t.Fatal(err)
		}
	}
	if err := child.Wait(); err == nil || child.ProcessState.Exited() {
		t.Fatalf("the child ended by itself: %v", err)
	}
	return acknowledged
}

func checkWhole(t *testing.T, dir string, acknowledged int) {
	t.Helper()
	s := mustOpen(t, dir, "acme")
	defer s.Close()
	marks, err := s.Marks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at, err := strconv.Atoi(marks["at"])
	if err != nil || at < acknowledged {
		t.Errorf("the mark is at %q, want at least %d, which was acknowledged", marks["at"], acknowledged)
	}
	tallies := 0
	for tally, err := range s.Tallies(t.Context(), store.TallyQuery{Kind: stemma.KindCommit}) {
		if err != nil {
			t.Fatal(err)
		}
		tallies++
		if tally.Node == benchCommit(1<<20).ID && tally.Candidate != at {
			t.Errorf("the scope that all batches replace is of batch %d, want %d", tally.Candidate, at)
		}
	}
	if want := at*20 + 1; tallies != want {
		t.Errorf("%d tallies are stored, want %d", tallies, want)
	}
	rows := 0
	for _, err := range s.AllAttributions(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		rows++
	}
	if rows != tallies {
		t.Errorf("%d rows are stored, want %d", rows, tallies)
	}
	checkIntegrity(t, dir)
}

func checkIntegrity(t *testing.T, dir string) {
	t.Helper()
	const file = "graph.db"
	db, err := sql.Open("sqlite", filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	var result string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&result); err != nil || result != "ok" {
		t.Errorf("integrity of %s: %s, %v", file, result, err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
