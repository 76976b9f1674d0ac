package record_test

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/record"
	"github.com/stemma-dev/stemma/internal/sign"
	"github.com/stemma-dev/stemma/internal/store"
	"github.com/stemma-dev/stemma/internal/store/fliptest"
	"github.com/stemma-dev/stemma/internal/store/sqlite"
	"github.com/stemma-dev/stemma/internal/tlog"
	"github.com/stemma-dev/stemma/internal/tlog/tessera"
)

// still is a place of evidence that nobody writes to, to be checked.
type still struct {
	dir   string
	keys  tlog.Keys
	trust sign.Trust
	key   []byte
}

// stillHome records n statements in a place and closes it.
func stillHome(t testing.TB, dir string, n int) still {
	t.Helper()
	h := openHome(t, dir)
	var batch []record.Submission
	for i := range n {
		title := fmt.Sprint("title ", i)
		if i == 2 {
			title += strings.Repeat(" and so on", 400) // over several pages of a database
		}
		batch = append(batch, ticket(t, i, title))
	}
	mustRecord(t, h.recorder, batch...)
	s := still{dir: dir, keys: h.keys, trust: h.trust(), key: h.config().Key}
	h.close()
	return s
}

// check gives what a check of the place finds; a file that cannot be opened is
// a fault too.
func (s still) check(t testing.TB) (found []record.Fault) {
	t.Helper()
	say := func(f record.Fault) { found = append(found, f) }
	e, err := sqlite.OpenEvidence(t.Context(), filepath.Join(s.dir, "evidence"), "local")
	if err != nil {
		return []record.Fault{{Where: "evidence.db", Reason: err.Error()}}
	}
	defer e.Close()
	cfg := record.CheckConfig{
		Evidence: e, Tree: &tlog.Tree{Fetch: tlog.Folder(filepath.Join(s.dir, "tlog"))}, Keys: s.keys,
		HeadFile: "tlog/" + tessera.HeadFile, Trust: s.trust, Key: s.key,
	}
	if head, err := tessera.ReadHead(filepath.Join(s.dir, "tlog"), s.keys.Origin()); err == nil {
		cfg.Head = &head
	}
	if _, err := record.Check(t.Context(), cfg, say); err != nil {
		if !errors.Is(err, stemma.ErrInvalid) && !errors.Is(err, stemma.ErrUnavailable) {
			t.Fatalf("Check: %v", err)
		}
		say(record.Fault{Where: "evidence.db", Reason: err.Error()})
	}
	return found
}

// said is everything that the evidence answers.
func (s still) said(t testing.TB) (string, error) {
	e, err := sqlite.OpenEvidence(t.Context(), filepath.Join(s.dir, "evidence"), "local")
	if err != nil {
		return "", err
	}
	defer e.Close()
	var b strings.Builder
	for entry, err := range e.Entries(t.Context(), 0) {
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%+v\n", entry)
		found, err := e.Find(t.Context(), []store.EventKey{entry.EventKey})
		if err != nil {
			return "", err
		}
		again, err := e.ByDigest(t.Context(), entry.Digest)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%+v %d\n", found, again.ID)
		names, err := subjectsOf(entry)
		if err != nil {
			return "", err
		}
		for about, err := range e.About(t.Context(), names, 0) {
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&b, "%d ", about.ID)
		}
	}
	pending, err := e.Pending(t.Context(), 100)
	fmt.Fprintf(&b, "%v", pending)
	return b.String(), err
}

// Every byte of what is recorded, changed: the check names it. What it does not
// name are bytes that hold nothing: those of SQLite's file that it passes over
// itself. The test lists them by what they are and where, and proves of each that
// the evidence answers as before.
func TestEveryChangedByteIsNamed(t *testing.T) {
	s := stillHome(t, t.TempDir(), 5)
	if found := s.check(t); len(found) > 0 {
		t.Fatalf("faults in what is whole: %v", found)
	}
	before, err := s.said(t)
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	var flips []fliptest.Flip
	pages := make(map[string]*fliptest.Pages)
	for _, name := range truth(t, s.dir) {
		data, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(name) == "evidence.db" {
			pages[name] = fliptest.ReadPages(t, filepath.Join(s.dir, name))
		}
		flips = append(flips, someFlips(rnd, name, len(data), pages[name])...)
	}
	fliptest.Each(t, s.dir, flips, func(t *testing.T, dir string, f fliptest.Flip) (reason string) {
		s := s
		s.dir = dir
		if found := s.check(t); len(found) > 0 {
			return ""
		}
		if reason = pages[f.File].HoldsNothing(f.At); reason == "" {
			t.Errorf("%s is not named", f)
			return "?"
		}
		if now, err := s.said(t); err != nil || now != before {
			t.Errorf("%s (%s) is not named, and the evidence answers otherwise: %v", f, reason, err)
		}
		return reason
	})
	if found := s.check(t); len(found) > 0 {
		t.Errorf("faults after all was put back: %v", found)
	}
}

// someFlips are those that a run tries. Under soak it is each bit of each byte
// that holds something, and a bit of each other byte; otherwise a bit of some bytes,
// most of them of those that hold something.
func someFlips(rnd *rand.Rand, name string, size int, pages *fliptest.Pages) (flips []fliptest.Flip) {
	full, empty := 0, 0
	for _, at := range rnd.Perm(size) {
		f := fliptest.Flip{File: name, At: at, Bit: 1 << rnd.IntN(8)}
		switch nothing := pages.HoldsNothing(at) != ""; {
		case soaking() && !nothing:
			for bit := range 8 {
				f.Bit = 1 << bit
				flips = append(flips, f)
			}
		case nothing:
			if empty++; soaking() || empty <= 25 {
				flips = append(flips, f)
			}
		default:
			if full++; full <= 120 && pages != nil || full <= 25 {
				flips = append(flips, f)
			}
		}
	}
	return flips
}

// truth lists the files of a place that hold what was recorded. What is left are
// locks, and the version of the driver's own state.
func truth(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		base := filepath.Base(name)
		switch {
		case strings.HasPrefix(name, "keys"), strings.HasSuffix(base, ".lock"), base == "lock", base == "version":
		case strings.Contains(name, ".p/") && !strings.HasSuffix(name, ".p/5"):
			// Of an earlier checkpoint: nobody reads it any more.
		default:
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"evidence/evidence.db", "tlog/.state/treeState", "tlog/checkpoint", "tlog/tile/0/000.p/5", "tlog/tile/entries/000.p/5"}
	if !slices.Equal(files, want) {
		t.Errorf("the files of truth are %q, want %q", files, want)
	}
	return files
}

// What somebody who can write the disk, and has every key, may try: the check
// names it, or the checkpoint that somebody else kept does.
func TestWhatWasTakenOutOrMovedIsNamed(t *testing.T) {
	exec := func(t *testing.T, s still, queries ...string) {
		t.Helper()
		db, err := sql.Open("sqlite", filepath.Join(s.dir, "evidence", "evidence.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for _, q := range queries {
			if _, err := db.ExecContext(t.Context(), q); err != nil {
				t.Fatalf("%s: %v", q, err)
			}
		}
	}
	// relog writes the log anew, with the same key and these entries.
	relog := func(t *testing.T, s still, order ...int) {
		t.Helper()
		e, err := sqlite.OpenEvidence(t.Context(), filepath.Join(s.dir, "evidence"), "local")
		if err != nil {
			t.Fatal(err)
		}
		var digests []tlog.Digest
		for entry, err := range e.Entries(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			digests = append(digests, entry.Digest)
		}
		e.Close()
		secret, err := os.ReadFile(filepath.Join(s.dir, "keys", "log"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(s.dir, "tlog")); err != nil {
			t.Fatal(err)
		}
		l, err := tessera.Open(t.Context(), tessera.Config{Dir: filepath.Join(s.dir, "tlog"), Signer: string(secret)})
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range order { // one at a time: a batch has no order
			if _, err := l.Add(t.Context(), digests[i:i+1]); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	template := stillHome(t, t.TempDir(), 5)
	for name, test := range map[string]struct {
		change func(t *testing.T, s still)
		want   []string // parts of faults, each of at least one
		keeps  bool     // the log is as it was
	}{
		"an envelope is deleted": {func(t *testing.T, s still) {
			exec(t, s, "DELETE FROM envelope WHERE id = 3", "DELETE FROM envelope_bytes WHERE id = 3", "DELETE FROM subject WHERE id = 3")
		}, []string{"log index 2: no envelope has the digest"}, true},
		"the bytes of an envelope are deleted": {func(t *testing.T, s still) {
			exec(t, s, "DELETE FROM envelope_bytes WHERE id = 3")
		}, []string{"envelope 3: its bytes are missing"}, true},
		"envelopes change places": {func(t *testing.T, s still) {
			exec(t, s, "UPDATE envelope SET log_index = 100 WHERE id = 2", "UPDATE envelope SET log_index = 1 WHERE id = 3", "UPDATE envelope SET log_index = 2 WHERE id = 2")
		}, []string{"envelope 3 (log index 1): has the digest", "envelope 2 (log index 2): has the digest"}, true},
		"an envelope is made pending again": {func(t *testing.T, s still) {
			exec(t, s, "UPDATE envelope SET log_index = NULL WHERE id = 2")
		}, nil, true}, // the next who records finds it in the log: that is how a crash looks
		"an event is renamed": {func(t *testing.T, s still) {
			exec(t, s, "UPDATE envelope SET event = CAST('another' AS BLOB) WHERE id = 2")
		}, []string{`envelope 2 (log index 1): is kept as event "another"`}, true},
		"bytes become text": {func(t *testing.T, s still) {
			exec(t, s, "UPDATE envelope_bytes SET bytes = CAST(bytes AS TEXT) WHERE id = 2", "UPDATE envelope SET predicate_type = CAST(predicate_type AS TEXT) WHERE id = 3")
		}, []string{"envelope 2: a value is of another kind", "envelope 3: a value is of another kind"}, true},
		"a subject is hidden": {func(t *testing.T, s still) {
			exec(t, s, "DELETE FROM subject WHERE id = 4")
		}, []string{"envelope 4: is not found by its subject sha256:"}, true},
		"a subject is made up": {func(t *testing.T, s still) {
			exec(t, s, "INSERT INTO subject (org, name, id) VALUES (1, CAST('sha256:00' AS BLOB), 4)")
		}, []string{"subject: 1 rows that no envelope has"}, true},
		"the last envelopes are cut off": {func(t *testing.T, s still) {
			exec(t, s, "DELETE FROM envelope WHERE id > 3", "DELETE FROM envelope_bytes WHERE id > 3", "DELETE FROM subject WHERE id > 3")
		}, []string{"log index 3: no envelope", "log index 4: no envelope"}, true},

		"entries of the log change places": {
			func(t *testing.T, s still) { relog(t, s, 0, 2, 1, 3, 4) },
			[]string{"envelope 2 (log index 1): has the digest", "envelope 3 (log index 2): has the digest"},
			false,
		},
		"an entry is deleted": {
			func(t *testing.T, s still) { relog(t, s, 0, 1, 3, 4) },
			[]string{"envelope 3 (log index 2): has the digest", "envelope 5 (log index 4): is past the end of the log, which has 4 entries"},
			false,
		},
		"an entry is there twice": {
			func(t *testing.T, s still) { relog(t, s, 0, 1, 2, 3, 4, 2) },
			[]string{"log index 5: is the entry of envelope 3 a second time; its index is 2"},
			false,
		},
		"the log is cut off": {
			func(t *testing.T, s still) { relog(t, s, 0, 1, 2) },
			[]string{"envelope 4 (log index 3): is past the end of the log", "envelope 5 (log index 4): is past the end of the log"},
			false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := template
			s.dir = t.TempDir()
			if err := os.CopyFS(s.dir, os.DirFS(template.dir)); err != nil {
				t.Fatal(err)
			}
			tree := &tlog.Tree{Fetch: tlog.Folder(filepath.Join(s.dir, "tlog"))}
			kept, err := tree.Checkpoint(t.Context(), s.keys)
			if err != nil {
				t.Fatal(err)
			}
			test.change(t, s)
			var all strings.Builder
			for _, f := range s.check(t) {
				all.WriteString(f.String() + "\n")
			}
			for _, want := range test.want {
				if !strings.Contains(all.String(), want) {
					t.Errorf("no fault has %q:\n%s", want, all.String())
				}
			}
			if len(test.want) == 0 && all.Len() > 0 {
				t.Errorf("faults:\n%s", all.String())
			}
			now, err := tree.Checkpoint(t.Context(), s.keys)
			if err != nil {
				t.Fatal(err)
			}
			err = tree.Consistent(t.Context(), kept.Head, now.Head)
			// A log that got more at its end and nothing else is one that grew.
			if grew := name == "an entry is there twice"; (err == nil) != (test.keeps || grew) {
				t.Errorf("Consistent with the checkpoint that was kept: %v", err)
			}
		})
	}
}
