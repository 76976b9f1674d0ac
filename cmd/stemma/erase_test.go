package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/record"
	"github.com/stemma-dev/stemma/internal/spool"
	"github.com/stemma-dev/stemma/internal/vault"
)

// keepMain is the command "keep" of scripts: it records a statement about a
// session with content, as what captures sessions does, and prints where the
// content is. keep <session> <author> <file> [owner ...]
func keepMain() {
	ctx := context.Background()
	ref, err := keep(ctx, os.Args[1], os.Args[2], os.Args[3], os.Args[4:]...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(ref)
}

func keep(ctx context.Context, session, author, file string, owners ...string) (ref string, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	s, err := openSpine(ctx, func(string) {})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	item := record.Item{Name: "prompt", Content: vault.Content{
		Session: session, Owners: owners, Author: author, Class: vault.ClassContent, Media: "text/plain", Bytes: text,
	}}
	kept, _, err := s.recorder.Keep(ctx, []record.Item{item})
	if err != nil {
		return "", err
	}
	now := time.Now().UTC().Format(time.RFC3339)
	subject, err := attest.RecordSubject(session, "stemma:session:"+session, map[string]any{"session": session})
	if err != nil {
		return "", err
	}
	statement, err := attest.New(attest.TypeTicket, attest.Ticket{
		Metadata: attest.Metadata{Source: "test", EventID: kept[0].Vault, Observed: now, Claimed: &now, Assertion: stemma.Observed},
		Tracker:  "test", Key: "T-1", ID: "1", Kind: "task", State: "open", Status: "open", Content: kept,
	}, subject)
	if err != nil {
		return "", err
	}
	sub, err := record.NewSubmission(statement)
	if err != nil {
		return "", err
	}
	if _, err := s.recorder.Record(ctx, []record.Submission{sub}); err != nil {
		return "", err
	}
	return kept[0].Vault, nil
}

// canary is what is looked for: a text that is nowhere else.
const canary = "the canary sings in cell 4711"

// sightings gives the files below a folder that hold the canary: as it is, in
// what zstd packed, or in what any key that is left opens.
func sightings(t *testing.T, dir string) []string {
	t.Helper()
	dec, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	var keys []age.Identity
	var found []string
	look := func(path string, raw []byte) {
		if bytes.Contains(raw, []byte(canary)) {
			found = append(found, path)
			return
		}
		for at := range raw {
			if !bytes.HasPrefix(raw[at:], []byte{0x28, 0xb5, 0x2f, 0xfd}) {
				continue
			}
			if plain, _ := dec.DecodeAll(raw[at:], nil); bytes.Contains(plain, []byte(canary)) {
				found = append(found, path)
				return
			}
		}
	}
	walk := func(each func(path string, raw []byte)) {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			raw, err := os.ReadFile(path)
			each(path, raw)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	add := func(text string) {
		for line := range strings.Lines(text) {
			if id, err := age.ParseX25519Identity(strings.TrimSpace(line)); err == nil {
				keys = append(keys, id)
			}
		}
	}
	// An age file may stand behind words of its own, as in an extract.
	sealed := func(raw []byte) io.Reader {
		return bytes.NewReader(raw[max(0, bytes.Index(raw, []byte("age-encryption.org/v1\n"))):])
	}
	walk(func(_ string, raw []byte) { add(string(raw)) })
	for range 3 { // the master key opens people's keys, those the keys of sessions, and those the objects
		walk(func(_ string, raw []byte) {
			if len(keys) == 0 {
				return
			}
			if r, err := age.Decrypt(sealed(raw), keys...); err == nil {
				if text, err := io.ReadAll(r); err == nil {
					add(string(text))
				}
			}
		})
	}
	walk(func(path string, raw []byte) {
		look(path, raw)
		if len(keys) == 0 {
			return
		}
		if r, err := age.Decrypt(sealed(raw), keys...); err == nil {
			if text, err := io.ReadAll(r); err == nil {
				look(path+" (decrypted)", text)
			}
		}
	})
	return found
}

// TestCanary records a canary in a prompt, captures it in the spool, erases the
// session, and finds it nowhere on the disk: not in a file, not in a free page of
// a database, not by any key that is left. What was recorded is proven as before.
func TestCanary(t *testing.T) {
	for _, by := range []string{"session", "person"} {
		t.Run(by, func(t *testing.T) {
			home := t.TempDir()
			t.Setenv("HOME", home)
			t.Setenv("STEMMA_DIR", filepath.Join(home, "stemma"))
			const person, session = "0123456789abcdef", "claude-code/0198f3a2-canary"
			prompt := filepath.Join(t.TempDir(), "prompt")
			if err := os.WriteFile(prompt, []byte(strings.Repeat("please: "+canary+"\n", 50)), 0o600); err != nil {
				t.Fatal(err)
			}
			repo := filepath.Join(home, "repo")
			gitIn(t, home, nil, "init", "-q", "repo")
			gitIn(t, repo, nil, "commit", "-q", "--allow-empty", "-m", "first")
			tell(t, "index", "-q", repo)
			uri, err := keep(t.Context(), session, person, prompt)
			if err != nil {
				t.Fatal(err)
			}
			stays, err := keep(t.Context(), "claude-code/other", "fedcba9876543210", filepath.Join("testdata", "record.txtar"))
			if err != nil {
				t.Fatal(err)
			}
			sp, err := spool.Open(filepath.Join(home, "stemma", "spool", "0123456789ab"), spool.Config{})
			if err != nil {
				t.Fatal(err)
			}
			if err := sp.Append(spool.Record{Time: time.Now(), Agent: "claude-code", Session: "0198f3a2-canary", Payload: []byte(canary)}); err != nil {
				t.Fatal(err)
			}
			if found := sightings(t, home); len(found) < 2 {
				t.Fatalf("before the erasure the canary is in %v, want the vault and the spool: the search is blind", found)
			}
			proofs := []string{tell(t, "tlog", "prove", "0"), tell(t, "tlog", "prove", "1")} // of the refs, and of the prompt

			args := []string{"erase", "--yes", "--session", session}
			if by == "person" {
				args = []string{"erase", "--yes", "--person", person}
			}
			if out := tell(t, args...); !strings.Contains(out, "erased "+by) {
				t.Errorf("stemma %q printed %q", args, out)
			}
			if found := sightings(t, home); len(found) > 0 {
				t.Errorf("the canary is in %v", found)
			}
			tell(t, "vault", "check")
			// Nothing is at fault, and the graph that is made again brings nothing back.
			if out := tell(t, "fsck", "-R", repo); !strings.Contains(out, "1 erased") || !strings.Contains(out, "no fault found") {
				t.Errorf("stemma fsck says %q", out)
			}
			tell(t, "rebuild", "-R", repo, "--compare")
			if found := sightings(t, home); len(found) > 0 {
				t.Errorf("after a rebuild the canary is in %v", found)
			}
			for i, before := range proofs {
				now := tell(t, "tlog", "prove", fmt.Sprint(i))
				if a, b := strings.SplitN(before, "\n", 3), strings.SplitN(now, "\n", 3); a[0] != b[0] || a[1] != b[1] {
					t.Errorf("the proof of entry %d was %q, is %q", i, before, now)
				}
			}
			v, err := readVault(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			if _, err := v.Open(t.Context(), uri); !errors.As(err, new(*vault.ErasedError)) {
				t.Errorf("Open of the erased prompt = %v, want it erased", err)
			}
			if _, err := v.Open(t.Context(), stays); err != nil {
				t.Errorf("Open of another session's = %v", err)
			}
			if _, err := keep(t.Context(), session, person, prompt); !errors.As(err, new(*vault.ErasedError)) {
				t.Errorf("keeping the prompt again = %v, want it refused", err)
			}
			if found := sightings(t, home); len(found) > 0 {
				t.Errorf("the canary came back, in %v", found)
			}
		})
	}
}

// Content that the vault says is erased, with no tombstone in the log that names
// it, is a fault: else whoever has the vault's files could take evidence away.
func TestErasureWithoutATombstoneIsFound(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("STEMMA_DIR", filepath.Join(home, "stemma"))
	if _, err := keep(t.Context(), "claude-code/1", "0123456789abcdef", filepath.Join("testdata", "record.txtar")); err != nil {
		t.Fatal(err)
	}
	v, err := readVault(t.Context()) // it has no recorder, and so no tombstones
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.EraseSession(t.Context(), vault.Request{Target: "claude-code/1", Reason: "to hide it", Basis: "none", By: "insider"}); err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	if code := execute(t.Context(), []string{"fsck", "--no-graph"}, &out, &errOut); code != exitConflict || !strings.Contains(out.String(), "no tombstone in the log says so") {
		t.Errorf("fsck = %d, %s%s, want the erasure named", code, out.String(), errOut.String())
	}
	// The next erasure finishes what was left.
	if code := execute(t.Context(), []string{"erase", "--yes", "--session", "claude-code/9"}, &out, &errOut); code != exitNotFound || !strings.Contains(errOut.String(), "finished an erasure that was stopped") {
		t.Errorf("erase = %d, %s", code, errOut.String())
	}
	tell(t, "fsck", "--no-graph")
}

// TestCanaryOfAnImportedSession goes the way of a user: a transcript that the
// agent wrote is imported, the session is erased, and its prompt is found nowhere
// but in the agent's own file; nor does importing it again bring it back.
func TestCanaryOfAnImportedSession(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("STEMMA_DIR", filepath.Join(home, "stemma"))
	t.Setenv("XDG_CACHE_HOME", filepath.Join(home, ".cache"))
	repo := filepath.Join(home, "repo")
	gitIn(t, home, nil, "init", "-q", "repo")
	gitIn(t, repo, nil, "commit", "-q", "--allow-empty", "-m", "first")
	transcripts := filepath.Join(home, ".claude", "projects", "shop")
	if err := os.MkdirAll(transcripts, 0o700); err != nil {
		t.Fatal(err)
	}
	lines := []string{
		`{"parentUuid":null,"cwd":"@","sessionId":"plan","version":"2.1.40","type":"user","message":{"role":"user","content":"please: ` + canary + `"},"uuid":"u1","timestamp":"2026-03-02T09:00:00.000Z"}`,
		`{"parentUuid":"u1","cwd":"@","sessionId":"plan","version":"2.1.40","type":"assistant","message":{"model":"claude-opus-4-6","id":"m1","role":"assistant","content":[{"type":"tool_use","id":"t1","name":"Bash","input":{"command":"echo ` + canary + `"}}],"usage":{"input_tokens":10,"output_tokens":5}},"uuid":"a1","timestamp":"2026-03-02T09:00:05.000Z"}`,
		`{"parentUuid":"a1","cwd":"@","sessionId":"plan","version":"2.1.40","type":"user","message":{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"` + canary + `"}]},"uuid":"u2","timestamp":"2026-03-02T09:00:06.000Z"}`,
		`{"parentUuid":"u2","cwd":"@","sessionId":"plan","version":"2.1.40","type":"assistant","message":{"model":"claude-opus-4-6","id":"m2","role":"assistant","content":[{"type":"text","text":"I said: ` + canary + `"}],"usage":{"input_tokens":10,"output_tokens":5}},"uuid":"a2","timestamp":"2026-03-02T09:00:07.000Z"}`,
	}
	text := strings.ReplaceAll(strings.Join(lines, "\n")+"\n", "@", repo)
	transcript := filepath.Join(transcripts, "plan.jsonl")
	if err := os.WriteFile(transcript, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := tell(t, "session", "import", "-R", repo, "--yes"); !strings.Contains(out, "1 sessions recorded") {
		t.Fatalf("stemma session import says %q", out)
	}
	only := func(when string) {
		t.Helper()
		found := sightings(t, home)
		for _, path := range found {
			if path != transcript {
				t.Errorf("%s the canary is in %s", when, path)
			}
		}
		if len(found) == 0 {
			t.Errorf("%s the canary is not even in the transcript: the search is blind", when)
		}
	}
	if found := sightings(t, home); len(found) < 2 {
		t.Fatalf("after the import the canary is in %v, want the vault too", found)
	}
	tell(t, "erase", "--yes", "--session", "claude-code/plan")
	only("after the erasure")
	tell(t, "session", "import", "-R", repo, "--yes")
	only("after importing it again")
	tell(t, "index", "-q", repo)
	tell(t, "rebuild", "-R", repo)
	only("after a rebuild")
	var out, errOut bytes.Buffer
	if code := execute(t.Context(), []string{"fsck", "-R", repo}, &out, &errOut); code != 0 {
		t.Errorf("fsck = %d: %s%s", code, out.String(), errOut.String())
	}
}

// tellAll runs stemma, and gives everything that it printed; the error is what it said
// where it failed.
func tellAll(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	if code := execute(t.Context(), args, &out, &out); code != 0 {
		return out.String(), errors.New(out.String())
	}
	return out.String(), nil
}

// A legal hold is stated in the log, and holds whatever becomes of the vault's
// index: a row that somebody took out, or made one of a released hold, lets nothing
// be erased. fsck names it, and the next who erases puts it back.
func TestHoldHoldsWithoutItsRow(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("STEMMA_DIR", filepath.Join(home, "stemma"))
	prompt, err := filepath.Abs(filepath.Join("testdata", "record.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(home)
	if _, err := keep(t.Context(), "claude-code/1", "0123456789abcdef", prompt); err != nil {
		t.Fatal(err)
	}
	index := func(query string) {
		t.Helper()
		db, err := sql.Open("sqlite", filepath.Join(home, "stemma", "evidence", "vault", "vault.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	id := strings.Fields(tell(t, "hold", "add", "--session", "claude-code/1", "--reason", "incident 7"))[0]
	if out := tell(t, "fsck", "--no-graph"); !strings.Contains(out, "no fault found") {
		t.Errorf("fsck says %q", out)
	}
	for _, tt := range []struct{ query, fault string }{
		{"DELETE FROM hold", "the log states it, and the vault does not have it"},
		{"UPDATE hold SET released = 1", "is released, and no statement in the log says so"},
		{"UPDATE hold SET target = 'claude-code/2'", "is otherwise than the log states it"},
	} {
		index(tt.query)
		if out, err := tellAll(t, "fsck", "--no-graph"); err == nil || !strings.Contains(out, "vault hold "+id+": "+tt.fault) {
			t.Errorf("after %s, fsck says %q, %v", tt.query, out, err)
		}
		if out := tell(t, "hold", "list"); !strings.Contains(out, id+" session claude-code/1") {
			t.Errorf("after %s, the holds are %q", tt.query, out)
		}
		if out, err := tellAll(t, "erase", "--session", "claude-code/1", "--yes"); err == nil || !strings.Contains(err.Error(), "is on legal hold "+id) || !strings.Contains(out, "it is put back") {
			t.Errorf("after %s, erase says %q, %v", tt.query, out, err)
		}
		if out := tell(t, "fsck", "--no-graph"); !strings.Contains(out, "no fault found") || !strings.Contains(out, "1 commitments opened") {
			t.Errorf("after it was put back, fsck says %q", out)
		}
	}
	// The whole index anew, from what the evidence states.
	index("DELETE FROM hold; DELETE FROM erasure")
	if out, err := tellAll(t, "erase", "--expired", "--yes"); err != nil || !strings.Contains(out, "nothing is over its term") {
		t.Errorf("erase --expired says %q, %v", out, err)
	}
	if _, err := tellAll(t, "erase", "--person", "0123456789abcdef", "--yes"); err == nil || !strings.Contains(err.Error(), id) {
		t.Errorf("erase of the person: %v, want it held", err)
	}
	// A hold that nobody stated holds, and is a fault.
	index("INSERT INTO hold (id, kind, target, reason, made) VALUES ('made up', 'all', '', 'none', 7)")
	if out, err := tellAll(t, "fsck", "--no-graph"); err == nil || !strings.Contains(out, "vault hold made up: no statement in the log says that it was placed") {
		t.Errorf("fsck says %q, %v", out, err)
	}
	index("DELETE FROM hold WHERE id = 'made up'")
	// Released by statement, it is released, and what waited is carried out.
	if out := tell(t, "hold", "release", id); !strings.Contains(out, "released "+id) || !strings.Contains(out, "erased person") {
		t.Errorf("release says %q", out)
	}
	// What the vault says of an erasure is compared with its tombstone.
	index("UPDATE erasure SET detail = replace(detail, 'asked for', 'nobody as')")
	if out, err := tellAll(t, "fsck", "--no-graph"); err == nil || !strings.Contains(out, "is otherwise than its tombstone in the log") {
		t.Errorf("with other words of an erasure, fsck says %q, %v", out, err)
	}
	index("UPDATE erasure SET detail = replace(detail, 'nobody as', 'asked for')")
	index("UPDATE hold SET released = 0")
	if out, err := tellAll(t, "fsck", "--no-graph"); err == nil || !strings.Contains(out, "is in force, and the log says that it was released") {
		t.Errorf("fsck says %q, %v", out, err)
	}
	if out := tell(t, "hold", "list", "--released"); !strings.Contains(out, "released 20") {
		t.Errorf("the holds are %q", out)
	}
	// The vault taken away is found by what statements are committed to.
	if err := os.RemoveAll(filepath.Join(home, "stemma", "evidence", "vault")); err != nil {
		t.Fatal(err)
	}
	if out, err := tellAll(t, "fsck", "--no-graph"); err == nil || !strings.Contains(out, "there is no vault") || !strings.Contains(out, "vault hold "+id) {
		t.Errorf("without a vault, fsck says %q, %v", out, err)
	}
}
