package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
	"github.com/stemma-dev/stemma/internal/store/postgres"
	"github.com/stemma-dev/stemma/internal/store/postgrestest"
)

const secret = "s3cr3t p@ss/word"

// isKind checks the kind of an error, that it is no error of the driver, and
// that it tells no password.
func isKind(t *testing.T, what string, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: error = %v, want %v", what, err, kind)
		return
	}
	var server *pgconn.PgError
	var connect *pgconn.ConnectError
	var parse *pgconn.ParseConfigError
	var network net.Error
	if errors.As(err, &server) || errors.As(err, &connect) || errors.As(err, &parse) || !errors.Is(err, context.DeadlineExceeded) && errors.As(err, &network) {
		t.Errorf("%s: an error of the driver leaves the package: %#v", what, err)
	}
	for _, part := range []string{secret, url.PathEscape(secret), "s3cr3t", "p@ss", "p%40ss", postgrestest.Password} {
		if strings.Contains(err.Error(), part) {
			t.Errorf("%s: the error shows a password: %v", what, err)
		}
	}
}

func openError(t *testing.T, address string) error {
	t.Helper()
	s, err := postgres.Open(t.Context(), address, "acme")
	if err == nil {
		t.Errorf("Open(%s) gave a store", address)
		return errors.Join(s.Close(), errors.New("no error"))
	}
	return err
}

func TestAddresses(t *testing.T) {
	for _, address := range []string{
		"", "postgres", "host=localhost password=" + secret, "mysql://ada:" + url.PathEscape(secret) + "@localhost/x",
		"postgres://ada:" + secret + "@localhost/x?y=%zz", "postgres://ada:s3cr3t%zz@localhost/x",
		"postgres://ada:s3cr3t@localhost:port/x", "postgres://ada:s3cr3t@localhost/x?sslmode=nonsense&password=s3cr3t",
		"postgres://ada:s3cr3t@localhost/x?pool_max_conns=1", "postgres://ada:s3cr3t@localhost/x?pool_max_conns=many",
	} {
		isKind(t, fmt.Sprintf("%q", address), openError(t, address), stemma.ErrInvalid)
	}
	if _, err := postgres.Open(t.Context(), "postgres://localhost/x", ""); !errors.Is(err, stemma.ErrInvalid) {
		t.Errorf("Open without organisation: %v, want ErrInvalid", err)
	}
}

func TestNoServer(t *testing.T) {
	began := time.Now()
	user := url.UserPassword("ada", secret)
	address := func(host string, more url.Values) string {
		more.Set("connect_timeout", "1")
		u := url.URL{Scheme: "postgres", User: user, Host: host, Path: "/x", RawQuery: more.Encode()}
		return u.String()
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for name, test := range map[string]struct{ address, want string }{
		"nobody listens":     {address(closed.Addr().String(), url.Values{}), "connection refused"},
		"nobody answers":     {address(silent.Addr().String(), url.Values{}), "no answer in time"},
		"no socket":          {address("", url.Values{"host": {t.TempDir()}}), "no such file"},
		"no host":            {address("nowhere.invalid", url.Values{}), "host"},
		"a server without x": {address(silent.Addr().String(), url.Values{"sslmode": {"require"}}), "no answer in time"},
	} {
		err := openError(t, test.address)
		isKind(t, name, err, stemma.ErrUnavailable)
		if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error = %v, want %q", name, err, test.want)
		}
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v to find that there is no server", took)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := postgres.Open(ended, address(silent.Addr().String(), url.Values{}), "acme"); !errors.Is(err, context.Canceled) {
		t.Errorf("Open with an ended context: %v, want context.Canceled", err)
	}
}

func TestWhoMayNot(t *testing.T) {
	address := server.Database(t)
	if os.Getenv(postgrestest.Env) != "" {
		t.Skip("the server of " + postgrestest.Env + " has no guest")
	}
	guest := postgrestest.As(t, address, postgrestest.Guest, postgrestest.Password)
	isKind(t, "a wrong password", openError(t, postgrestest.As(t, address, postgrestest.Guest, secret)), stemma.ErrDenied)
	isKind(t, "no password", openError(t, postgrestest.As(t, address, postgrestest.Guest, "")), stemma.ErrDenied)
	isKind(t, "no such user", openError(t, postgrestest.As(t, address, "nobody", secret)), stemma.ErrDenied)
	isKind(t, "no right to make schemas", openError(t, guest), stemma.ErrDenied)
	none, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	none.Path = "/none"
	isKind(t, "no such database", openError(t, none.String()), stemma.ErrNotFound)

	s := mustOpen(t, address, "acme")
	defer s.Close()
	if err := s.Put(t.Context(), numbered(1)); err != nil {
		t.Fatal(err)
	}
	isKind(t, "no right to read", openError(t, guest), stemma.ErrDenied)
	server.Exec(t, address, "GRANT USAGE ON SCHEMA stemma_evidence, stemma_graph TO "+postgrestest.Guest+
		"; GRANT SELECT ON ALL TABLES IN SCHEMA stemma_evidence, stemma_graph TO "+postgrestest.Guest)
	// As libpq has it, the password may come from the environment.
	t.Setenv("PGPASSWORD", postgrestest.Password)
	reader := mustOpen(t, postgrestest.As(t, address, postgrestest.Guest, ""), "acme")
	defer reader.Close()
	checkWhole(t, reader, 1)
	isKind(t, "Put without the right", reader.Put(t.Context(), numbered(2)), stemma.ErrDenied)
	isKind(t, "DropGraph without the right", reader.DropGraph(t.Context()), stemma.ErrDenied)
	checkWhole(t, reader, 1)
}

func TestNewerSchema(t *testing.T) {
	for _, schema := range []string{"stemma_evidence", "stemma_graph"} {
		address := server.Database(t)
		s := mustOpen(t, address, "acme")
		if err := s.Put(t.Context(), numbered(1)); err != nil {
			t.Fatal(err)
		}
		s.Close()
		server.Exec(t, address, "INSERT INTO "+schema+".migration (version_id, is_applied) VALUES (99, true)")
		err := openError(t, address)
		isKind(t, schema, err, stemma.ErrConflict)
		if !strings.Contains(err.Error(), "newer stemma") {
			t.Errorf("%s: error = %v, want it to say so", schema, err)
		}
		server.Exec(t, address, "DELETE FROM "+schema+".migration WHERE version_id = 99")
		again := mustOpen(t, address, "acme")
		checkWhole(t, again, 1)
		// Under an open store: what it knows of is not there any more.
		server.Exec(t, address, "ALTER TABLE stemma_graph.mark RENAME TO note")
		_, err = again.Marks(t.Context())
		isKind(t, "a table that is gone", err, stemma.ErrConflict)
		isKind(t, "a table that is gone, for Put", again.Put(t.Context(), numbered(2)), stemma.ErrConflict)
		again.Close()
	}
}

// Of many that open a new database at once each gets a store.
func TestMadeByMany(t *testing.T) {
	address := server.Database(t)
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			s, err := postgres.Open(t.Context(), address, fmt.Sprint("acme", i%2))
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
	s := mustOpen(t, address, "acme1")
	defer s.Close()
	checkWhole(t, s, 1)
}

// A migration that was stopped half-way is completed by the next Open.
func TestHalfMade(t *testing.T) {
	address := server.Database(t)
	server.Exec(t, address, "CREATE SCHEMA stemma_evidence")
	mustOpen(t, address, "acme").Close()
	server.Exec(t, address, "DROP SCHEMA stemma_graph CASCADE")
	s := mustOpen(t, address, "acme")
	defer s.Close()
	if err := s.Put(t.Context(), numbered(1)); err != nil {
		t.Fatal(err)
	}
	checkWhole(t, s, 1)
}

func TestLocks(t *testing.T) {
	address := server.Database(t)
	one, two, other := mustOpen(t, address, "acme"), mustOpen(t, address, "acme"), mustOpen(t, address, "other")
	for _, s := range []*postgres.Store{one, two, other} {
		defer s.Close()
	}
	lock := func(s *postgres.Store, name string) func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		release, err := s.Lock(ctx, name, nil)
		if err != nil {
			t.Fatalf("Lock(%s): %v", name, err)
		}
		return release
	}
	release := lock(one, "a")
	// Another name and another organisation are other locks.
	lock(two, "b")()
	lock(other, "a")()
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	waited := 0
	if _, err := two.Lock(short, "a", func() { waited++ }); !errors.Is(err, context.DeadlineExceeded) || waited != 1 {
		t.Errorf("Lock that another has: %v, and told %d times that it waits; want DeadlineExceeded, once", err, waited)
	}
	time.AfterFunc(200*time.Millisecond, release)
	again := lock(two, "a")
	// Who has lost the store has no lock.
	server.Exec(t, address, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	lock(one, "a")()
	again()
}

// Loops inside of loops that use up all connections end with an error, and not
// never.
func TestTooManyLoops(t *testing.T) {
	s := mustOpen(t, server.Database(t)+"&pool_max_conns=3", "acme")
	defer s.Close()
	s.SetSlotWait(100 * time.Millisecond)
	if err := s.Put(t.Context(), numbered(1)); err != nil {
		t.Fatal(err)
	}
	var nest func(depth int) error
	nest = func(depth int) error {
		for _, err := range s.Nodes(t.Context(), stemma.KindCommit, "") {
			if err != nil {
				return err
			}
			return nest(depth + 1)
		}
		return fmt.Errorf("no nodes at depth %d", depth)
	}
	isKind(t, "loops in loops", nest(0), stemma.ErrUnavailable)
	checkWhole(t, s, 1)
}

// crash is a server of its own that is killed.
func crash(t *testing.T) (*postgrestest.Server, string) {
	t.Helper()
	s := &postgrestest.Server{}
	t.Cleanup(s.Stop)
	return s, s.Own(t)
}

func TestServerThatGoesAway(t *testing.T) {
	s, address := crash(t)
	db := mustOpen(t, address, "acme")
	defer db.Close()
	if err := db.Put(t.Context(), many(5000)); err != nil {
		t.Fatal(err)
	}

	// A process that puts one batch after the other, and one that reads.
	done := make(chan struct{})
	var put, read int
	var wg sync.WaitGroup
	wg.Go(func() {
		for put = 0; ; put++ {
			select {
			case <-done:
				return
			default:
			}
			if err := db.Put(t.Context(), numbered(put+1)); err != nil {
				t.Errorf("Put while the server came and went: %v", err)
				return
			}
		}
	})
	reader := mustOpen(t, address, "acme")
	defer reader.Close()
	wg.Go(func() {
		for ; ; read++ {
			select {
			case <-done:
				return
			default:
			}
			if _, err := reader.Marks(t.Context()); err != nil {
				t.Errorf("Marks while the server came and went: %v", err)
				return
			}
		}
	})
	for _, stop := range []func(testing.TB){s.Halt, s.Shut} {
		time.Sleep(300 * time.Millisecond)
		stop(t)
		time.Sleep(100 * time.Millisecond)
		s.Resume(t)
	}
	time.Sleep(300 * time.Millisecond)
	close(done)
	wg.Wait()
	if put < 3 || read < 3 {
		t.Errorf("%d puts and %d reads came to their end, want some of each", put, read)
	}
	checkWhole(t, db, put)

	// A loop in the middle of which the server goes away does not end as if it
	// had given everything.
	n := 0
	var failure error
	for _, err := range db.Nodes(t.Context(), stemma.KindChange, "") {
		if failure = err; err == nil {
			n++
		}
		if n == 1 {
			s.Halt(t)
			s.Resume(t)
		}
	}
	isKind(t, fmt.Sprintf("a loop that gave %d of 5000", n), failure, stemma.ErrUnavailable)

	// Gone for good: nothing is half, and the next who finds it has all.
	db.SetPatience(500 * time.Millisecond)
	s.Halt(t)
	isKind(t, "Put without a server", db.Put(t.Context(), numbered(put+1)), stemma.ErrUnavailable)
	_, err := db.Marks(t.Context())
	isKind(t, "Marks without a server", err, stemma.ErrUnavailable)
	isKind(t, "Open without a server", openError(t, address), stemma.ErrUnavailable)
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := db.Put(short, numbered(put+1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Put whose context ends while the server is away: %v, want DeadlineExceeded", err)
	}
	s.Resume(t)
	checkWhole(t, db, put)
	if err := db.Put(t.Context(), numbered(put+1)); err != nil {
		t.Fatal(err)
	}
	checkWhole(t, db, put+1)
}

// Connections are cut at any moment, also while a commit is under way: each batch
// is stored once, whole.
func TestConnectionsThatAreCut(t *testing.T) {
	address := server.Database(t)
	s := mustOpen(t, address, "acme")
	defer s.Close()
	const puts = 20
	for n := range puts {
		// At most once in each Put, so that a slow machine comes to an end too.
		var wg sync.WaitGroup
		wg.Go(func() {
			time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond)
			server.Exec(t, address, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
		})
		err := s.Put(t.Context(), numbered(n+1))
		wg.Wait()
		if err != nil {
			t.Errorf("Put %d: %v", n+1, err)
			break
		}
	}
	checkWhole(t, s, puts)
}

// numbered is a batch of scopes, with one that every batch replaces, and a mark.
func numbered(n int) store.Batch {
	shared := scope(1 << 20)
	shared.Tally.Candidate = n
	b := store.Batch{
		Scopes: []store.Scope{shared},
		Marks:  map[string]string{"at": fmt.Sprint(n)},
	}
	for i := range 10 {
		b.Scopes = append(b.Scopes, scope(n*10+i))
	}
	return b
}

func scope(n int) store.Scope {
	id := stemma.CommitID(fmt.Sprintf("%040x", n))
	session := stemma.SessionID("claude-code", fmt.Sprint(n/7))
	return store.Scope{
		ID: id, Keys: []string{fmt.Sprint("blob:", n)},
		Edges: []stemma.Edge{
			{From: id, Kind: stemma.EdgeWrittenBy, To: session, Source: "git-ai"},
			{From: session, Kind: stemma.EdgeUsed, To: stemma.NodeID{Kind: stemma.KindModel, Key: "m"}, Source: "git-ai"},
		},
		Attribution: &stemma.Attribution{Commit: id.Key, RestOwner: -1, Files: []stemma.FileLines{{Path: fmt.Sprint("src/", n%13), Added: 1}}},
		Tally:       &store.Tally{Node: id, Group: "r", Time: int64(n)},
	}
}

// many is a batch of changes alone.
func many(n int) (b store.Batch) {
	for i := range n {
		b.Scopes = append(b.Scopes, store.Scope{ID: stemma.NodeID{Kind: stemma.KindChange, Key: fmt.Sprint(i)}})
	}
	return b
}

// checkWhole checks that exactly the batches 1 to n are stored, each whole.
func checkWhole(t *testing.T, s store.Store, n int) {
	t.Helper()
	marks, err := s.Marks(t.Context())
	if err != nil || marks["at"] != fmt.Sprint(n) {
		t.Errorf("the last batch is %q, %v, want %d", marks["at"], err, n)
	}
	rows, tallies, edges := 0, 0, 0
	for _, err := range s.AllAttributions(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		rows++
	}
	for tally, err := range s.Tallies(t.Context(), store.TallyQuery{Kind: stemma.KindCommit}) {
		if err != nil {
			t.Fatal(err)
		}
		tallies++
		if tally.Time == 1<<20 && tally.Candidate != n {
			t.Errorf("the shared scope is of batch %d, want %d", tally.Candidate, n)
		}
	}
	for _, err := range s.Edges(t.Context(), store.EdgeQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		edges++
	}
	commits := 10*n + 1
	if rows != commits || tallies != commits || edges != 2*commits {
		t.Errorf("%d rows, %d tallies, %d edges; want %d, %d, %d", rows, tallies, edges, commits, commits, 2*commits)
	}
}
