package spool

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stemma-dev/stemma"
)

// What is read once is not read again; every record is found at its place; what
// an erasure moved is of another generation.
func TestCursor(t *testing.T) {
	s := open(t, Config{})
	add := func(sessions ...string) {
		t.Helper()
		for _, id := range sessions {
			if err := s.Append(Record{Time: noon, Agent: "codex", Session: id, Phase: Other, Payload: []byte(id)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := Cursor{"19700101-gone-0000.seg": 7}
	places := make(map[string]Stored)
	read := func(want ...string) {
		t.Helper()
		var got []string
		for r, err := range s.RecordsAfter(c) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, r.Session)
			places[r.Session] = r
		}
		if !slices.Equal(got, want) {
			t.Errorf("read %q, want %q", got, want)
		}
	}
	add("a", "b")
	read("a", "b")
	read()
	add("c")
	read("c")
	for id, r := range places {
		again, err := s.RecordAt(r.Segment, r.Offset)
		if err != nil || again.Session != id || string(again.Payload) != id {
			t.Errorf("RecordAt(%s, %d) = %+v, %v", r.Segment, r.Offset, again, err)
		}
	}
	sizes, err := s.Sizes()
	if err != nil || len(sizes) != 1 || sizes[places["c"].Segment] != c[places["c"].Segment] {
		t.Errorf("Sizes = %v, %v; read %v", sizes, err, c)
	}

	// A record that is cut off is waited for.
	f, err := os.OpenFile(filepath.Join(s.Dir(), "segments", places["c"].Segment), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := Record{Time: noon, Agent: "codex", Session: "d", Phase: Other}.encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range [][]byte{whole[:20], whole[20:]} {
		if _, err := f.Write(part); err != nil {
			t.Fatal(err)
		}
		var got []string
		faults := 0
		for r, err := range s.RecordsAfter(c) {
			if err != nil {
				faults++
				continue
			}
			got = append(got, r.Session)
		}
		if cut := len(part) == 20; cut != (faults == 1) || cut != (len(got) == 0) {
			t.Errorf("after %d bytes: %q, %d faults", len(part), got, faults)
		}
	}
	f.Close()

	before := s.Generation()
	if _, err := s.Erase(func(r Record) bool { return r.Session == "a" }); err != nil {
		t.Fatal(err)
	}
	if s.Generation() == before {
		t.Error("an erasure left the generation as it was")
	}
	var fault *DecodeError
	last := c[places["c"].Segment] - int64(len(whole))
	if r, err := s.RecordAt(places["c"].Segment, last); !errors.As(err, &fault) {
		t.Errorf("after the erasure: %+v, %v", r.Session, err)
	}
	if _, err := s.RecordAt("19700101-gone-0000.seg", 0); !errors.Is(err, stemma.ErrNotFound) {
		t.Errorf("a segment that is gone: %v", err)
	}
	if _, err := s.RecordAt("../usage", 0); !errors.Is(err, stemma.ErrInvalid) {
		t.Errorf("a path that leads out: %v", err)
	}
}

// Pauses are remembered, and one that lasts is one.
func TestPauses(t *testing.T) {
	home := t.TempDir()
	for range 2 {
		if err := Pause(home, "r"); err != nil {
			t.Fatal(err)
		}
		during := time.Now()
		if all := Pauses(home, "r"); !all[len(all)-1].Holds(during) || Pauses(home, "other") != nil {
			t.Errorf("paused: %v", all)
		}
		if err := Resume(home, "r"); err != nil {
			t.Fatal(err)
		}
		all := Pauses(home, "r")
		if !all[len(all)-1].Holds(during) || all[len(all)-1].Holds(time.Now().Add(time.Second)) {
			t.Errorf("resumed: %v", all)
		}
	}
	if all := Pauses(home, "r"); len(all) != 2 {
		t.Errorf("%d pauses, want 2", len(all))
	}
	if err := Resume(home, "r"); err != nil {
		t.Errorf("resume what is not paused: %v", err)
	}
}

// A path is excluded as a hook would: by name, by the user's patterns, by git.
func TestExcludes(t *testing.T) {
	d := newDesk(t)
	d.write(".gitignore", "build/\n")
	d.hook("claudecode", claude("PostToolUse", "Write", map[string]any{"file_path": filepath.Join(d.dir, "main.go")}))
	s := d.spool()
	if err := os.WriteFile(filepath.Join(s.Dir(), "settings.json"), []byte(`{"exclude":["*.secret"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	excludes := s.Excludes("")
	for path, want := range map[string]bool{
		"main.go": false, "sub/new.go": false, ".env": true, "build/x": true, "a.secret": true,
	} {
		for range 2 {
			if got := excludes(filepath.Join(d.dir, path)); got != want {
				t.Errorf("excludes(%s) = %t", path, got)
			}
		}
	}
	if !excludes(filepath.Join(t.TempDir(), ".env")) {
		t.Error("a file of secrets outside of repositories is not excluded")
	}
}
