package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	msqlite "modernc.org/sqlite"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
	"github.com/stemma-dev/stemma/internal/store/sqlite"
)

// filled makes a closed store with the batches 1 to n.
func filled(t *testing.T, n int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	s := mustOpen(t, dir, "acme")
	for i := range n {
		if err := s.Put(t.Context(), numbered(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// change runs SQL on a file behind the store's back.
func change(t *testing.T, path string, queries ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, query := range queries {
		if _, err := db.Exec(query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
}

func TestOpenMakesTheDirectory(t *testing.T) {
	for _, name := range []string{"a/b/c", "with space", "per%63ent?#&mode=ro", "quote'\"", "ünï", "line\nbreak"} {
		dir := filepath.Join(t.TempDir(), name)
		s := mustOpen(t, dir, "acme")
		if err := s.Put(t.Context(), numbered(1)); err != nil {
			t.Errorf("%q: Put: %v", name, err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%q: Close: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "graph.db")); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		checkWhole(t, dir, 1)
	}
}

func TestOpenWithoutOrganisation(t *testing.T) {
	if _, err := sqlite.Open(t.Context(), t.TempDir(), ""); !errors.Is(err, stemma.ErrInvalid) {
		t.Errorf("Open error = %v, want ErrInvalid", err)
	}
}

func TestOpenNewAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			s, err := sqlite.Open(t.Context(), dir, fmt.Sprint("org", i%2))
			if err != nil {
				t.Errorf("Open: %v", err)
				return
			}
			defer s.Close()
			if err := s.Put(t.Context(), numbered(1)); err != nil {
				t.Errorf("Put: %v", err)
			}
		})
	}
	wg.Wait()
	checkIntegrity(t, dir)
}

func TestOpenGraphOfAnotherVersion(t *testing.T) {
	for _, version := range []int{0, 99} {
		dir := filled(t, 2)
		change(t, filepath.Join(dir, "graph.db"),
			fmt.Sprint("PRAGMA user_version = ", version),
			"ALTER TABLE node RENAME TO of_another_version", "CREATE TABLE \"od\"\"d\" (a)")
		s := mustOpen(t, dir, "acme")
		marks, err := s.Marks(t.Context())
		if err != nil || len(marks) != 0 {
			t.Errorf("version %d: Marks = %v, %v, want none", version, marks, err)
		}
		for n := 1; n <= 2; n++ {
			if err := s.Put(t.Context(), numbered(n)); err != nil {
				t.Fatalf("version %d: Put: %v", version, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		checkWhole(t, dir, 2)
	}
}

// Another version of stemma may remake the graph under an open store.
func TestPutIntoGraphRemadeMeanwhile(t *testing.T) {
	dir := filled(t, 1)
	s := mustOpen(t, dir, "acme")
	defer s.Close()
	change(t, filepath.Join(dir, "graph.db"), "PRAGMA user_version = 99")
	err := s.Put(t.Context(), numbered(2))
	if !errors.Is(err, stemma.ErrConflict) || !strings.Contains(err.Error(), "another version") {
		t.Errorf("Put error = %v, want ErrConflict", err)
	}
}

func TestOpenDatabaseOfAnotherProgram(t *testing.T) {
	const file = "graph.db"
	dir := filled(t, 1)
	path := filepath.Join(dir, file)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	change(t, path, "CREATE TABLE theirs (a)", "INSERT INTO theirs VALUES (1)")
	if _, err := sqlite.Open(t.Context(), dir, "acme"); !errors.Is(err, stemma.ErrInvalid) || !strings.Contains(err.Error(), path) {
		t.Errorf("%s: Open error = %v, want ErrInvalid that names it", file, err)
	}
	change(t, path, "INSERT INTO theirs VALUES (2)") // still there
}

func TestOpenWhatIsNoDatabase(t *testing.T) {
	const file = "graph.db"
	dir := filled(t, 1)
	path := filepath.Join(dir, file)
	if err := os.WriteFile(path, []byte(strings.Repeat("this is a letter, not a database\n", 1000)), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := sqlite.Open(t.Context(), dir, "acme")
	checkError(t, file, err)
	if !errors.Is(err, stemma.ErrInvalid) || !strings.Contains(err.Error(), path) {
		t.Errorf("%s: Open error = %v, want ErrInvalid that names it", file, err)
	}
	// A directory, and a path through a file.
	dir = t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "graph.db"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), dir, "acme"); !errors.Is(err, stemma.ErrInvalid) {
		t.Errorf("Open with a directory for a file: error = %v, want ErrInvalid", err)
	}
	between := filepath.Join(dir, "file")
	if err := os.WriteFile(between, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), filepath.Join(between, "below"), "acme"); !errors.Is(err, stemma.ErrInvalid) {
		t.Errorf("Open below a file: error = %v, want ErrInvalid", err)
	}
}

// The advice that a damaged graph gives does help.
func TestDeletedGraphIsMadeAnew(t *testing.T) {
	dir := filled(t, 1)
	killWhilePutting(t, dir, 30*time.Millisecond) // leaves a log behind
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(filepath.Join(dir, "graph.db"+suffix)); err != nil && suffix == "" {
			t.Fatal(err)
		}
	}
	s := mustOpen(t, dir, "acme")
	defer s.Close()
	marks, err := s.Marks(t.Context())
	if err != nil || len(marks) != 0 {
		t.Errorf("Marks = %v, %v, want none", marks, err)
	}
	for _, err := range s.Nodes(t.Context(), stemma.KindCommit, "") {
		t.Fatalf("a new graph has a node, or gives %v", err)
	}
}

// checkError says whether an error is one that a caller can use: of a kind, and
// without a type of the database in it.
func checkError(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var theirs *msqlite.Error
	if errors.As(err, &theirs) {
		t.Errorf("%s: error %v shows the database's own type", what, err)
	}
	for _, kind := range []error{stemma.ErrInvalid, stemma.ErrConflict, stemma.ErrDenied, stemma.ErrUnavailable} {
		if errors.Is(err, kind) {
			return
		}
	}
	t.Errorf("%s: error %v is of no kind", what, err)
}

// Bytes that a bad disk changed give an error or do not matter, but no panic.
func TestDamagedFiles(t *testing.T) {
	dir := filled(t, 20)
	rnd := rand.New(rand.NewPCG(3, 4))
	found := 0
	for round := range 60 {
		damaged := t.TempDir()
		content, err := os.ReadFile(filepath.Join(dir, "graph.db"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(damaged, "graph.db"), damage(rnd, content), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, err := range useAll(t.Context(), damaged) {
			checkError(t, fmt.Sprint("round ", round), err)
			found++
		}
	}
	if found < 20 {
		t.Errorf("only %d errors were found in 60 damaged stores: the test is too kind", found)
	}
}

func damage(rnd *rand.Rand, content []byte) []byte {
	switch rnd.IntN(4) {
	case 0: // cut short
		return content[:rnd.IntN(len(content))]
	case 1: // a page of nothing
		at := rnd.IntN(len(content)/4096) * 4096
		clear(content[at : at+4096])
	default: // bytes here and there
		for range 1 + rnd.IntN(200) {
			content[rnd.IntN(len(content))] = byte(rnd.Uint32())
		}
	}
	return content
}

// useAll does everything that can be done with a store, and gives all errors.
func useAll(ctx context.Context, dir string) (errs []error) {
	s, err := sqlite.Open(ctx, dir, "acme")
	if err != nil {
		return []error{err}
	}
	try := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	for _, err := range s.Nodes(ctx, stemma.KindCommit, "") {
		try(err)
	}
	for _, q := range []store.EdgeQuery{
		{}, {To: []stemma.NodeID{{Kind: stemma.KindRepository, Key: "github.com#1"}}}, {Scope: []stemma.NodeID{benchCommit(30).ID}},
	} {
		for _, err := range s.Edges(ctx, q) {
			try(err)
		}
	}
	for _, err := range s.AllAttributions(ctx) {
		try(err)
	}
	for _, err := range s.Attributions(ctx, []string{benchCommit(30).ID.Key}) {
		try(err)
	}
	for _, err := range s.Tallies(ctx, store.TallyQuery{Kind: stemma.KindCommit}) {
		try(err)
	}
	for _, err := range s.Paths(ctx) {
		try(err)
	}
	for _, err := range s.CommitsTouching(ctx, []string{"src"}) {
		try(err)
	}
	_, err = s.Marks(ctx)
	try(err)
	try(s.Put(ctx, numbered(7)))
	try(s.DropGraph(ctx))
	try(s.Close())
	return errs
}

func TestLockedByAnotherProcess(t *testing.T) {
	const file = "graph.db"
	dir := filled(t, 1)
	s := mustOpen(t, dir, "acme")
	s.SetWait(100 * time.Millisecond)
	db, err := sql.Open("sqlite", filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	err = s.Put(t.Context(), numbered(2))
	checkError(t, file, err)
	if !errors.Is(err, stemma.ErrConflict) || !strings.Contains(err.Error(), filepath.Join(dir, file)) {
		t.Errorf("%s: Put error = %v, want ErrConflict that names it", file, err)
	}
	checkWhole(t, dir, 1) // readers are not kept out
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	if err := s.Put(short, numbered(2)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%s: Put error = %v, want context.DeadlineExceeded", file, err)
	}
	cancel()
	if _, err := db.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), numbered(2)); err != nil {
		t.Errorf("%s: Put after the lock: %v", file, err)
	}
	if err := errors.Join(db.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	checkWhole(t, dir, 2)
}

func TestDiskFull(t *testing.T) {
	dir := filled(t, 1)
	s := mustOpen(t, dir, "acme")
	if err := s.FillDisk(t.Context()); err != nil {
		t.Fatal(err)
	}
	big := numbered(2)
	for i := range 400 {
		big.Scopes = append(big.Scopes, benchCommit(10_000+i))
	}
	err := s.Put(t.Context(), big)
	checkError(t, "Put", err)
	if !errors.Is(err, stemma.ErrUnavailable) || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("Put error = %v, want ErrUnavailable that says the disk is full", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	checkWhole(t, dir, 1)
}
