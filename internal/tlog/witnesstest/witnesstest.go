// Package witnesstest runs a witness of logs for tests: litewitness of
// filippo.io/torchwood, which is of another's making, as a process of its own.
package witnesstest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	_ "modernc.org/sqlite" // the witness keeps what it knows in one

	"github.com/stemma-dev/stemma/internal/tlog"
)

// Witness is a witness that runs until its test is over.
type Witness struct {
	Name string
	Key  string // the verifier key, C2SP signed-note
	URL  string
}

// Policy is a policy that asks for this witness alone.
func (w Witness) Policy() string {
	return fmt.Sprintf("witness w1 %s %s\nquorum w1\n", w.Key, w.URL)
}

// name is what each witness is called.
const name = "witness.test/w1"

// Start starts a witness that knows a log by its verifier key, and has seen none
// of it. The first one of a machine is compiled; the build cache keeps it.
func Start(t *testing.T, logKey string) Witness {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-modfile=tools/witness.mod", "-o", filepath.Join(dir, "litewitness"), "filippo.io/torchwood/cmd/litewitness")
	build.Dir, build.Env = moduleRoot(t), append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the witness: %v\n%s", err, out)
	}
	origin, _, _ := strings.Cut(logKey, "+")
	address, key := run(t, dir, origin, logKey)
	return Witness{name, key, "http://" + address + "/"}
}

// run runs the program, and gives its address and key.
func run(t *testing.T, dir, origin, logVKey string) (address, vkey string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keyring := agent.NewKeyring()
	if err := keyring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	// The path of a socket is short: not in the test's own folder.
	short, err := os.MkdirTemp("", "w")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(short) })
	socket := filepath.Join(short, "agent")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = agent.ServeAgent(keyring, conn)
			}()
		}
	}()

	db := filepath.Join(dir, "witness.db")
	knowLog(t, db, origin, logVKey)
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = free.Addr().String()
	free.Close()
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "litewitness"), "-db", db, "-name", name,
		"-ssh-agent", socket, "-key", ssh.FingerprintSHA256(public), "-listen", address)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); _ = cmd.Wait() })
	said := make(chan string, 1)
	go func() {
		var all bytes.Buffer
		key := regexp.MustCompile(`vkey=(\S+)`)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			all.WriteString(lines.Text() + "\n")
			if m := key.FindStringSubmatch(lines.Text()); m != nil {
				said <- strings.Trim(m[1], `"`)
			}
		}
		said <- "\n" + all.String()
	}()
	select {
	case vkey = <-said:
	case <-time.After(20 * time.Second):
		t.Fatal("the witness says nothing")
	}
	if strings.HasPrefix(vkey, "\n") {
		t.Fatalf("the witness ended:%s", vkey)
	}
	for range 200 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err == nil {
			conn.Close()
			return address, vkey
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the witness does not listen")
	return "", ""
}

// knowLog does what the witness's own tool does to add a log.
func knowLog(t *testing.T, path, origin, vkey string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	empty := tlog.Hash{0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55}
	for _, q := range []struct {
		sql  string
		args []any
	}{
		{"CREATE TABLE log (origin TEXT PRIMARY KEY, tree_size INTEGER NOT NULL, tree_hash TEXT NOT NULL)", nil},
		{"CREATE TABLE key (origin TEXT NOT NULL, key TEXT NOT NULL, FOREIGN KEY(origin) REFERENCES log(origin))", nil},
		{"INSERT INTO log VALUES (?, 0, ?)", []any{origin, base64.StdEncoding.EncodeToString(empty[:])}},
		{"INSERT INTO key VALUES (?, ?)", []any{origin, vkey}},
	} {
		if _, err := db.ExecContext(t.Context(), q.sql, q.args...); err != nil {
			t.Fatal(err)
		}
	}
}

// moduleRoot is the folder of go.mod.
func moduleRoot(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(strings.TrimSpace(string(out)))
}
