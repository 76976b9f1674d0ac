// Package postgrestest answers where tests find a PostgreSQL server: it starts
// one from the programs of the system, in a directory of its own, or takes the
// one that STEMMA_TEST_POSTGRES names. Begin with [Server].
package postgrestest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Env names a server to test on, as postgres://user@host:port/database. The user
// must be allowed to create databases.
const Env = "STEMMA_TEST_POSTGRES"

// The users of a server that the package starts. Admin may do everything and
// needs no password; Guest may connect to every database, and needs Password.
const (
	Admin    = "stemma"
	Guest    = "guest"
	Password = "correct horse"
)

// Server is a server that tests share. Its zero value is ready: it is started
// when a test first asks for a database, and ends with the process at the
// latest. TestMain calls Stop at the end.
type Server struct {
	mu      sync.Mutex
	address string // of the database to begin with
	own     bool
	failed  error
	dir     string
	bin     string
	cmd     *exec.Cmd
	hold    *os.File // while it is open the server runs
}

// Database makes an empty database and gives its address. The database is gone
// when the test ends. Without a server the test is skipped, but fails in CI.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	base := s.Address(t)
	name := "t" + strings.ToLower(rand.Text()[:12])
	s.Exec(t, base, "CREATE DATABASE "+name)
	t.Cleanup(func() {
		if err := execute(context.Background(), base, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil && s.Running() {
			t.Errorf("drop database: %v", err)
		}
	})
	address, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	address.Path = "/" + name
	return address.String()
}

// Address gives the address of the database that the server has from the
// beginning, and starts the server where it does not run.
func (s *Server) Address(t testing.TB) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.address == "" && s.failed == nil {
		if s.address = os.Getenv(Env); s.address == "" {
			s.failed = s.make()
		}
	}
	if s.failed != nil {
		unavailable(t, s.failed)
	}
	return s.address
}

// Own is [Server.Address] for a test that starts and stops the server: it never
// takes that of the environment.
func (s *Server) Own(t testing.TB) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.address == "" && s.failed == nil {
		s.failed = s.make()
	}
	if s.failed != nil {
		unavailable(t, s.failed)
	}
	return s.address
}

// unavailable skips the test, but fails it in CI, where nothing may be skipped.
func unavailable(t testing.TB, reason error) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("no PostgreSQL server: %v", reason)
	}
	t.Skipf("no PostgreSQL server: %v (script/setup installs one)", reason)
}

// Exec runs SQL on the database at address.
func (s *Server) Exec(t testing.TB, address, sql string) {
	t.Helper()
	if err := execute(t.Context(), address, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func execute(ctx context.Context, address, sql string) (err error) {
	c, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close(ctx)) }()
	_, err = c.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	return err
}

// As gives an address with another user and password.
func As(t testing.TB, address, user, password string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(user)
	if password != "" {
		u.User = url.UserPassword(user, password)
	}
	return u.String()
}

// make makes the files of a server and starts it.
func (s *Server) make() (err error) {
	if s.bin, err = programs(); err != nil {
		return err
	}
	// Short, because the path of a socket must be.
	if s.dir, err = os.MkdirTemp("", "pg"); err != nil {
		return err
	}
	s.own = true
	if id := servant(); id != nil {
		if err := os.Chown(s.dir, int(id.Uid), int(id.Gid)); err != nil {
			return err
		}
	}
	data := filepath.Join(s.dir, "data")
	if out, err := s.command("initdb", "--pgdata="+data, "--username="+Admin, "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync").CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %v\n%s", err, out)
	}
	hba := fmt.Sprintf("local all %s scram-sha-256\nlocal all all trust\n", Guest)
	if err := os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(hba), 0o600); err != nil {
		return err
	}
	if err := s.start(); err != nil {
		return err
	}
	address := url.URL{Scheme: "postgres", User: url.User(Admin), Path: "/postgres", RawQuery: url.Values{"host": {s.dir}}.Encode()}
	s.address = address.String()
	return execute(context.Background(), s.address, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", Guest, Password))
}

// command is a program of the server, run by a user that it accepts.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	s.byServant(cmd)
	return cmd
}

func (s *Server) byServant(cmd *exec.Cmd) {
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "LC_ALL=C", "TZ=UTC"}
	if id := servant(); id != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: id}
	}
}

// servant is who runs the server where we are root, as which it will not run.
func servant() *syscall.Credential {
	if os.Getuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if id := credential(name); id != nil {
			return id
		}
	}
	return nil
}

// start starts the server. It ends with this process, however that ends: its
// guard reads from a pipe that only this process has the other end of.
func (s *Server) start() error {
	end, hold, err := os.Pipe()
	if err != nil {
		return err
	}
	settings := []string{
		"listen_addresses=", "unix_socket_directories=" + s.dir, "max_connections=100",
		"shared_buffers=64MB", "log_destination=stderr", "logging_collector=off",
		// The system keeps what was written when a process is killed: to sync it
		// would help against the loss of the machine alone, and takes long.
		"fsync=off", "full_page_writes=off",
	}
	// A process that ends without Stop, as one of testscript does, leaves nothing
	// behind either.
	const guard = `dir=$1; shift; "$@" </dev/null & server=$!
		read -r word; kill -QUIT $server 2>/dev/null; wait $server
		cd /; [ "$word" = keep ] || rm -rf "$dir"`
	args := []string{"-c", guard, "sh", s.dir, filepath.Join(s.bin, "postgres"), "-D", filepath.Join(s.dir, "data")}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("/bin/sh", args...)
	s.byServant(cmd)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = end, log, log
	if err := cmd.Start(); err != nil {
		return errors.Join(err, hold.Close(), end.Close())
	}
	s.cmd, s.hold = cmd, hold
	if err := end.Close(); err != nil {
		return err
	}
	for deadline := time.Now().Add(60 * time.Second); ; {
		if s.answers() {
			return nil
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("the server does not start:\n%s", text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *Server) answers() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	address := url.URL{Scheme: "postgres", User: url.User(Admin), Path: "/postgres", RawQuery: url.Values{"host": {s.dir}}.Encode()}
	return execute(ctx, address.String(), "SELECT 1") == nil
}

// Running reports whether the server answers.
func (s *Server) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.own || s.answers()
}

// Halt kills the server, without a word to those who are connected. Resume starts it again.
func (s *Server) Halt(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.halt(syscall.SIGKILL); err != nil {
		t.Fatalf("kill the server: %v", err)
	}
}

// Shut stops the server as its operator would, for a restart: connections are
// ended, with a word. Resume starts it again.
func (s *Server) Shut(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.halt(syscall.SIGINT); err != nil {
		t.Fatalf("stop the server: %v", err)
	}
}

// Resume starts the server again, and waits until it answers.
func (s *Server) Resume(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.start(); err != nil {
		t.Fatalf("start the server again: %v", err)
	}
}

// halt sends a signal to the server and its children, and waits for its end.
func (s *Server) halt(signal syscall.Signal) error {
	text, err := os.ReadFile(filepath.Join(s.dir, "data", "postmaster.pid"))
	if err != nil {
		return err
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	pid, err := strconv.Atoi(string(line))
	if err != nil {
		return err
	}
	if signal == syscall.SIGKILL {
		// Those who serve the connections first, while they can be told by their
		// parent.
		for _, child := range children(pid) {
			_ = syscall.Kill(child, signal)
		}
	}
	if err := syscall.Kill(pid, signal); err != nil {
		return err
	}
	_, err = s.hold.WriteString("keep\n")
	err = errors.Join(err, s.hold.Close())
	_ = s.cmd.Wait()
	s.cmd = nil
	return err
}

// children gives the processes that pid has started.
func children(pid int) (all []int) {
	out, err := exec.Command("ps", "-e", "-o", "pid=", "-o", "ppid=").Output()
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) != 2 || fields[1] != strconv.Itoa(pid) {
			continue
		}
		if child, err := strconv.Atoi(fields[0]); err == nil {
			all = append(all, child)
		}
	}
	return all
}

// Stop ends a server that was started, and removes its files.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		_ = s.hold.Close()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

// programs gives the directory of the server's programs: those on PATH, else the
// newest that a package of the system has installed beside it.
func programs() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	var found []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/initdb", "/usr/pgsql-*/bin/initdb", "/opt/homebrew/opt/postgresql*/bin/initdb", "/usr/local/pgsql/bin/initdb"} {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		found = append(found, matches...)
	}
	if len(found) == 0 {
		return "", errors.New("no initdb on PATH or where packages put it")
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest), nil
}

// version is the number in a path of programs.
func version(path string) int {
	digits := strings.FieldsFunc(path, func(r rune) bool { return r < '0' || r > '9' })
	if len(digits) == 0 {
		return 0
	}
	n, err := strconv.Atoi(digits[0])
	if err != nil {
		return 0
	}
	return n
}

// credential gives the ids of a user of the system; nil where there is none.
func credential(name string) *syscall.Credential {
	u, err := user.Lookup(name)
	if err != nil {
		return nil
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}
