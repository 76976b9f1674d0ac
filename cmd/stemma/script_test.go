package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/stemma-dev/stemma/internal/store/postgrestest"
	"github.com/stemma-dev/stemma/internal/tlog/witnesstest"
	"github.com/stemma-dev/stemma/internal/vault/s3test"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"stemma": main, "keep": keepMain})
}

// TestScripts runs the user stories of testdata, which are also the manual.
// Each has a home of its own and a git that knows who it is and what time it
// is; "at" is when commits are made unless a script says otherwise.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata", Setup: setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"flip": flip, "replace": replace, "truncate": truncate, "clock": clock, "keyless": keyless,
		},
	})
}

// TestStoreScripts runs the stories of a team with a PostgreSQL server. STORE is
// the address of a database there; GUEST has a password that is wrong.
func TestStoreScripts(t *testing.T) {
	var server postgrestest.Server
	t.Cleanup(server.Stop)
	address := server.Database(t)
	testscript.Run(t, testscript.Params{Dir: filepath.Join("testdata", "store"), Setup: func(env *testscript.Env) error {
		env.Setenv("STORE", address)
		env.Setenv("GUEST", postgrestest.As(t, address, postgrestest.Guest, "open sesame"))
		return setup(env)
	}})
}

// TestBucketScripts runs the stories of a vault whose objects are in a bucket of a
// real S3 server. BUCKET is the address of one that keeps old versions.
func TestBucketScripts(t *testing.T) {
	server := s3test.Start(t)
	address := server.Bucket(t, "acme-evidence", true)
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "bucket"), Setup: func(env *testscript.Env) error {
			env.Setenv("BUCKET", address)
			env.Setenv("AWS_ACCESS_KEY_ID", os.Getenv("AWS_ACCESS_KEY_ID"))
			env.Setenv("AWS_SECRET_ACCESS_KEY", os.Getenv("AWS_SECRET_ACCESS_KEY"))
			return setup(env)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// versions n: the bucket keeps so many, old ones included.
			"versions": func(ts *testscript.TestScript, _ bool, args []string) {
				if got := strconv.Itoa(server.Versions(t, "acme-evidence")); got != args[0] {
					ts.Fatalf("the bucket keeps %s versions, want %s", got, args[0])
				}
			},
		},
	})
}

// TestWitnessScripts runs the stories of a log that a witness of another's making
// watches over.
func TestWitnessScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "witness"), Setup: setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// witness log-key policy key: starts one that knows the log of this key, and
			// writes the policy that asks it, and its key.
			"witness": func(ts *testscript.TestScript, _ bool, args []string) {
				w := witnesstest.Start(t, strings.TrimSpace(ts.ReadFile(args[0])))
				ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(w.Policy()), 0o600))
				ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(w.Key+"\n"), 0o600))
			},
		},
	})
}

func setup(env *testscript.Env) error {
	bin, _, _ := strings.Cut(env.Getenv("PATH"), string(os.PathListSeparator))
	env.Setenv("BIN", bin) // the folder of stemma alone
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("XDG_CACHE_HOME", filepath.Join(env.WorkDir, ".cache"))
	env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, ".state"))
	env.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	env.Setenv("TZ", "UTC")
	env.Setenv("GIT_AUTHOR_DATE", "2026-03-01T12:00:00Z")
	env.Setenv("GIT_COMMITTER_DATE", "2026-03-01T12:00:00Z")
	config := "[user]\n\tname = Ada\n\temail = ada@example.org\n[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n[protocol \"file\"]\n\tallow = always\n"
	return os.WriteFile(filepath.Join(env.WorkDir, ".gitconfig"), []byte(config), 0o600)
}

// damaged reads the one file that a pattern names, and writes it back changed.
func damaged(ts *testscript.TestScript, pattern string, change func([]byte) []byte) {
	files, err := filepath.Glob(ts.MkAbs(pattern))
	ts.Check(err)
	if len(files) != 1 {
		ts.Fatalf("%s names %d files", pattern, len(files))
	}
	data, err := os.ReadFile(files[0])
	ts.Check(err)
	ts.Check(os.WriteFile(files[0], change(data), 0o600))
}

// flip changes the lowest bit of a byte: flip file offset.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	damaged(ts, args[0], func(data []byte) []byte {
		data[at] ^= 1
		return data
	})
}

// replace puts a text of the same length in the place of all others: replace
// file old new.
func replace(ts *testscript.TestScript, _ bool, args []string) {
	damaged(ts, args[0], func(data []byte) []byte {
		if !bytes.Contains(data, []byte(args[1])) || len(args[1]) != len(args[2]) {
			ts.Fatalf("%q is not in %s, or is of another length than %q", args[1], args[0], args[2])
		}
		return bytes.ReplaceAll(data, []byte(args[1]), []byte(args[2]))
	})
}

// ago is where a file wants a time: @5m@ is five minutes ago.
var ago = regexp.MustCompile(`@([0-9a-z]+)@`)

// clock writes times into a file, for what is looked at while it is new: clock
// file.
func clock(ts *testscript.TestScript, _ bool, args []string) {
	damaged(ts, args[0], func(data []byte) []byte {
		return ago.ReplaceAllFunc(data, func(at []byte) []byte {
			d, err := time.ParseDuration(string(ago.FindSubmatch(at)[1]))
			ts.Check(err)
			return []byte(time.Now().UTC().Add(-d).Format("2006-01-02T15:04:05.000Z"))
		})
	})
}

// truncate cuts a file: truncate file length.
func truncate(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	damaged(ts, args[0], func(data []byte) []byte { return data[:n] })
}
