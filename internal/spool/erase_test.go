package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stemma-dev/stemma"
)

// heldIn gives the files of a spool that hold a text.
func heldIn(t *testing.T, s *Spool, text string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(s.Dir(), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestErase(t *testing.T) {
	s := open(t, Config{})
	if done, err := s.Erase(func(Record) bool { return true }); err != nil || done != (Erased{}) {
		t.Fatalf("Erase of nothing = %v, %v", done, err)
	}
	shared, err := s.putBlob([]byte("both sessions saw this"))
	if err != nil {
		t.Fatal(err)
	}
	own, err := s.putBlob([]byte("canary in a file"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		r := Record{Time: noon, Agent: "generic", Session: "stays", Payload: fmt.Appendf(nil, "payload %d", i), Files: []File{{Path: "a", State: Present, Blob: shared}}}
		if i%2 == 0 {
			r.Session, r.Payload = "goes", []byte("canary in a prompt")
			r.Files = append(r.Files, File{Path: "b", State: Present, Blob: own})
		}
		if i == 8 {
			r.Session, r.Payload = "", []byte(`{"unknown":"goes","prompt":"canary in a prompt"}`)
		}
		if err := s.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	// A record that was cut by a kill.
	torn, err := Record{Time: noon, Session: "goes", Payload: []byte("canary in a prompt, and more")}.encode()
	if err != nil {
		t.Fatal(err)
	}
	paths, err := s.segments()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(paths[0], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Write(torn[:len(torn)-4])
	f.Close()

	goes := func(r Record) bool { return r.Of("goes") }
	done, err := s.Erase(goes)
	if err != nil || done.Records < 5 || done.Blobs != 1 {
		t.Fatalf("Erase = %+v, %v, want 5 records and 1 content at least", done, err)
	}
	if found := heldIn(t, s, "canary"); len(found) > 0 {
		t.Errorf("what was erased is in %v", found)
	}
	records, faults := all(t, s)
	if len(records) != 5 || len(faults) != 0 {
		t.Errorf("%d records and %d faults are left, want 5 and 0", len(records), len(faults))
	}
	for i, r := range records {
		if r.Session != "stays" || string(r.Payload) != fmt.Sprintf("payload %d", 2*i+1) {
			t.Errorf("record %d is %+v", i, r.Record)
		}
	}
	if _, err := s.Blob(shared); err != nil {
		t.Errorf("what another session saw as well is gone: %v", err)
	}
	if _, err := s.Blob(own); !errors.Is(err, stemma.ErrNotFound) {
		t.Errorf("Blob of what was erased = %v, want ErrNotFound", err)
	}
	if again, err := s.Erase(goes); err != nil || again != (Erased{}) {
		t.Errorf("Erase again = %+v, %v", again, err)
	}
	// Appending goes on, and a segment of which nothing stays is gone.
	if err := s.Append(Record{Time: noon.AddDate(0, 0, 1), Session: "goes"}); err != nil {
		t.Fatal(err)
	}
	if done, err := s.Erase(goes); err != nil || done.Records != 1 {
		t.Errorf("Erase of a whole segment = %+v, %v", done, err)
	}
	if paths, err := s.segments(); err != nil || len(paths) != 1 {
		t.Errorf("segments %v, %v are left, want one", paths, err)
	}
}

// An erasure that was stopped between its steps leaves an old segment beside the
// new one, or another name of the segment itself.
func TestEraseAfterAKill(t *testing.T) {
	s := open(t, Config{})
	if err := s.Append(Record{Time: noon, Session: "stays", Payload: []byte("payload")}); err != nil {
		t.Fatal(err)
	}
	paths, err := s.segments()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Link(paths[0], paths[0]+replaced); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(filepath.Dir(paths[0]), "20260101-00000000-0000.seg"+replaced)
	if err := os.WriteFile(other, []byte("canary"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Erase(func(Record) bool { return false }); err != nil {
		t.Fatal(err)
	}
	if found := heldIn(t, s, "canary"); len(found) > 0 {
		t.Errorf("what was erased is in %v", found)
	}
	if records, faults := all(t, s); len(records) != 1 || len(faults) != 0 {
		t.Errorf("%d records and %d faults are left, want 1 and 0", len(records), len(faults))
	}
}

// Below a folder with a bracket in its name what a killed erasure left was once not
// found, and nothing ever grew old.
func TestSpoolBelowAPattern(t *testing.T) {
	for _, name := range []string{"a[b]", "a[b", "*"} {
		s, err := Open(filepath.Join(t.TempDir(), name), Config{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Append(Record{Time: noon, Session: "old", Payload: []byte("payload")}); err != nil {
			t.Fatal(err)
		}
		blob, err := s.putBlob([]byte("old"))
		if err != nil {
			t.Fatal(err)
		}
		paths, err := s.segments()
		if err != nil || len(paths) != 1 {
			t.Fatalf("%s: segments %q, %v", name, paths, err)
		}
		state := filepath.Join(s.dir, "state")
		if err := os.MkdirAll(state, 0o700); err != nil {
			t.Fatal(err)
		}
		old := []string{paths[0], s.blobPath(blob), filepath.Join(state, "call.json"), filepath.Join(state, "call.index")}
		for _, path := range append(old[2:], paths[0]+replaced) {
			if err := os.WriteFile(path, []byte("canary"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Erase(func(Record) bool { return false }); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(paths[0] + replaced); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: what a killed erasure left is there: %v", name, err)
		}
		yesterday := time.Now().Add(-24 * time.Hour)
		for _, path := range old {
			if err := os.Chtimes(path, yesterday, yesterday); err != nil {
				t.Fatal(err)
			}
		}
		if freed, err := s.Purge(time.Now().Add(-time.Hour)); err != nil || freed == 0 {
			t.Errorf("%s: purge freed %d, %v", name, freed, err)
		}
		for _, path := range old {
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %s is there after its term: %v", name, path, err)
			}
		}
	}
}
