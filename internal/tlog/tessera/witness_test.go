package tessera_test

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
	_ "modernc.org/sqlite"

	"github.com/stemma-dev/stemma/internal/tlog"
	"github.com/stemma-dev/stemma/internal/tlog/tessera"
)

// A witness of another's making (litewitness of filippo.io/torchwood) cosigns
// our checkpoints, as a process of its own.
func TestWitnessCosigns(t *testing.T) {
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-modfile=tools/witness.mod", "-o", filepath.Join(dir, "litewitness"), "filippo.io/torchwood/cmd/litewitness")
	build.Dir = filepath.Join("..", "..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the witness: %v\n%s", err, out)
	}
	signer, logOnly := logKey(t, "stemma.test/witnessed")
	logVKey, err := tlog.VerifierKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	address, vkey := startWitness(t, dir, "stemma.test/witnessed", logVKey)

	keys, err := tlog.NewKeys(logVKey, []string{vkey}, 1)
	if err != nil {
		t.Fatalf("NewKeys: %v", err)
	}
	l, err := tessera.Open(t.Context(), tessera.Config{
		Dir: filepath.Join(dir, "tlog"), Signer: signer,
		Witnesses:       fmt.Sprintf("witness w1 %s http://%s/\nquorum w1\n", vkey, address),
		WitnessRequired: true,
	})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer l.Close()
	var in []tlog.Digest
	for i := range 3 {
		in = add(t, l, in, 10)
		c, err := keys.Open(published(t, l, len(in)).Raw)
		if err != nil {
			t.Fatalf("checkpoint with a cosignature: %v", err)
		}
		if len(c.Witnesses) != 1 || c.Witnesses[0] != "witness.test/w1" {
			t.Errorf("witnesses %q, want witness.test/w1", c.Witnesses)
		}
		p, err := l.Tree().Prove(t.Context(), c, uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Verify(in[i], keys); err != nil {
			t.Errorf("Verify with a witness: %v", err)
		}
		if _, err := p.Verify(in[i], logOnly); err != nil {
			t.Errorf("Verify without asking for a witness: %v", err)
		}
	}
}

// startWitness runs a witness that knows the log, and gives its address and key.
func startWitness(t *testing.T, dir, origin, logVKey string) (address, vkey string) {
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
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "litewitness"), "-db", db, "-name", "witness.test/w1",
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
