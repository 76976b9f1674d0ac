package spool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stemma-dev/stemma"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, cfg Config) *Spool {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "spool"), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func all(t *testing.T, s *Spool) (records []Stored, faults []*DecodeError) {
	t.Helper()
	for r, err := range s.Records() {
		var fault *DecodeError
		switch {
		case errors.As(err, &fault):
			faults = append(faults, fault)
		case err != nil:
			t.Fatal(err)
		default:
			records = append(records, r)
		}
	}
	return records, faults
}

func TestRecordsComeBackAsTheyWereAppended(t *testing.T) {
	s := open(t, Config{})
	for i := range 3 {
		r := Record{Time: noon, Agent: "generic", Phase: Before, Session: fmt.Sprint(i), Payload: []byte("raw \xff\n" + magic)}
		if err := s.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	records, faults := all(t, s)
	if len(records) != 3 || len(faults) != 0 {
		t.Fatalf("%d records, %d faults; want 3, 0", len(records), len(faults))
	}
	for i, r := range records {
		if r.Session != fmt.Sprint(i) || string(r.Payload) != "raw \xff\n"+magic || !r.Time.Equal(noon) {
			t.Errorf("record %d came back as %+v", i, r.Record)
		}
	}
}

// A hook that was killed leaves a torn record; the one before it and those
// after it must be read.
func TestRecordCutAtEachByteLosesOnlyItself(t *testing.T) {
	whole, err := Record{Time: noon, Agent: "a", Session: "torn", Payload: []byte("p" + magic + "q")}.encode()
	if err != nil {
		t.Fatal(err)
	}
	first, _ := Record{Time: noon, Agent: "a", Session: "first"}.encode()
	last, _ := Record{Time: noon, Agent: "a", Session: "last"}.encode()
	for cut := 1; cut < len(whole); cut++ {
		data := bytes.Join([][]byte{first, whole[:cut], last}, nil)
		var sessions []string
		skipped := int64(0)
		for r, err := range decode(data, "x.seg") {
			var fault *DecodeError
			if errors.As(err, &fault) {
				skipped += fault.Length
				continue
			}
			sessions = append(sessions, r.Session)
		}
		if got := strings.Join(sessions, " "); got != "first last" {
			t.Fatalf("cut at %d: read %q, want first and last", cut, got)
		}
		if skipped != int64(cut) {
			t.Errorf("cut at %d: %d bytes reported as skipped", cut, skipped)
		}
	}
	for at := range whole {
		data := bytes.Join([][]byte{first, whole, last}, nil)
		data[len(first)+at] ^= 1
		var sessions []string
		faults := 0
		for r, err := range decode(data, "x.seg") {
			if err != nil {
				faults++
				continue
			}
			sessions = append(sessions, r.Session)
		}
		if got := strings.Join(sessions, " "); got != "first last" || faults == 0 {
			t.Errorf("flip at %d: read %q with %d faults, want first, last and a fault", at, got, faults)
		}
	}
}

func TestManyAppendAtOnceAndNothingIsLost(t *testing.T) {
	s := open(t, Config{})
	const writers, each = 8, 50
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			own, err := Open(s.Dir(), Config{})
			if err != nil {
				t.Error(err)
				return
			}
			for i := range each {
				err := own.Append(Record{Time: noon, Agent: "a", Session: fmt.Sprint(w, "/", i), Payload: bytes.Repeat([]byte{'x'}, 1000*w)})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	records, faults := all(t, s)
	seen := make(map[string]bool)
	for _, r := range records {
		seen[r.Session] = true
	}
	if len(records) != writers*each || len(seen) != writers*each || len(faults) != 0 {
		t.Errorf("%d records of %d sessions and %d faults, want %d", len(records), len(seen), len(faults), writers*each)
	}
}

func TestSpoolThatHoldsItsLimitSaysSo(t *testing.T) {
	s := open(t, Config{Limit: 4000})
	var err error
	n := 0
	for ; err == nil && n < 100; n++ {
		err = s.Append(Record{Time: noon, Payload: make([]byte, 1000)})
	}
	if !errors.Is(err, stemma.ErrUnavailable) || n > 4 {
		t.Fatalf("append %d gave %v, want unavailable within 4", n, err)
	}
	if _, err := s.putBlob(make([]byte, 3000)); !errors.Is(err, stemma.ErrUnavailable) {
		t.Errorf("a content over the limit gave %v", err)
	}
	if _, err := s.Purge(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(Record{Time: noon}); err != nil {
		t.Errorf("after a purge: %v", err)
	}
}

func TestPurgeKeepsWhatIsYounger(t *testing.T) {
	s := open(t, Config{})
	old, err := s.putBlob([]byte("old"))
	if err != nil {
		t.Fatal(err)
	}
	young, _ := s.putBlob([]byte("young"))
	if err := s.Append(Record{Time: noon}); err != nil {
		t.Fatal(err)
	}
	yesterday := time.Now().Add(-24 * time.Hour)
	os.Chtimes(s.blobPath(old), yesterday, yesterday)
	freed, err := s.Purge(time.Now().Add(-time.Hour))
	if err != nil || freed != 3 {
		t.Errorf("purge freed %d, %v; want 3 bytes", freed, err)
	}
	if _, err := s.Blob(old); !errors.Is(err, stemma.ErrNotFound) {
		t.Errorf("the old content: %v, want not found", err)
	}
	if data, err := s.Blob(young); err != nil || string(data) != "young" {
		t.Errorf("the young content: %q, %v", data, err)
	}
	if h, err := s.Measure(); err != nil || h.Segments != 1 || h.Blobs != 1 || h.Oldest.IsZero() {
		t.Errorf("holding %+v, %v", h, err)
	}
}

func TestDamagedContentIsNotGivenOut(t *testing.T) {
	s := open(t, Config{})
	digest, err := s.putBlob([]byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(s.blobPath(digest), []byte("Content"), 0o600)
	if _, err := s.Blob(digest); !errors.Is(err, stemma.ErrInvalid) {
		t.Errorf("Blob gave %v, want invalid", err)
	}
	if _, err := s.Blob("../../etc/passwd"); !errors.Is(err, stemma.ErrInvalid) {
		t.Errorf("Blob of a path gave %v, want invalid", err)
	}
}

func FuzzSegment(f *testing.F) {
	whole, _ := Record{Time: noon, Agent: "a", Payload: []byte("p")}.encode()
	f.Add(whole)
	f.Add(append(whole[:20:20], whole...))
	f.Fuzz(func(t *testing.T, data []byte) {
		at := int64(0)
		for r, err := range decode(data, "f.seg") {
			var fault *DecodeError
			switch {
			case errors.As(err, &fault):
				if fault.Offset != at || fault.Length <= 0 {
					t.Fatalf("fault at %d of %d bytes, after %d", fault.Offset, fault.Length, at)
				}
				at += fault.Length
			case err != nil:
				t.Fatal(err)
			default:
				if r.Offset != at {
					t.Fatalf("record at %d, after %d", r.Offset, at)
				}
				_, n, err := next(data[at:])
				if err != nil {
					t.Fatal(err)
				}
				at += int64(n)
			}
		}
		if at != int64(len(data)) {
			t.Fatalf("%d of %d bytes accounted for", at, len(data))
		}
	})
}

func FuzzPayload(f *testing.F) {
	f.Add(`{"session_id":"s","hook_event_name":"PostToolUse","tool_name":"Edit","tool_input":{"file_path":"/a/b"},"cwd":"/a"}`)
	f.Add(`{"sessionId":"s","toolName":"bash","toolArgs":"{\"command\":\"ls\"}"}`)
	f.Add(`{"stemma":{"version":1,"event":"after","files":["a"]}}`)
	f.Add(`{"session_id":"s","tool_input":{"command":["apply_patch","*** Begin Patch\n*** Update File: a\n"]}`)
	f.Fuzz(func(t *testing.T, payload string) {
		c := parse("claudecode", "", []byte(payload))
		if c.cut && json.Valid([]byte(payload)) && strings.HasPrefix(strings.TrimSpace(payload), "{") {
			t.Errorf("whole JSON was taken for cut")
		}
	})
}

// Two machines share a home. Each writes segments of its own, both at once, and
// where their clocks differ the records say so.
func TestTwoMachinesShareASpool(t *testing.T) {
	here := open(t, Config{})
	there, err := Open(here.Dir(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	there.machine = "0badcafe"
	var group sync.WaitGroup
	for _, s := range []*Spool{here, there} {
		group.Go(func() {
			for i := range 100 {
				if err := s.Append(Record{Time: noon.Add(time.Duration(i) * time.Millisecond), Machine: s.machine, Agent: "generic", Phase: Other}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	behind := noon.Add(-time.Hour)
	if err := there.Append(Record{Time: behind, Machine: there.machine, Agent: "generic", Phase: Other}); err != nil {
		t.Fatal(err)
	}
	records, faults := all(t, here)
	of := make(map[string]int)
	for _, r := range records {
		if !strings.Contains(r.Segment, r.Machine) {
			t.Fatalf("a record of %s stands in %s", r.Machine, r.Segment)
		}
		if r.SetBack.IsZero() == r.Time.Equal(behind) {
			t.Errorf("a record at %s says that the clock showed %s before", r.Time, r.SetBack)
		}
		of[r.Machine]++
	}
	if len(faults) != 0 || of[here.machine] != 100 || of[there.machine] != 101 {
		t.Errorf("%v records, %d faults; want 100 and 101 of the two, and none", of, len(faults))
	}
}

// What a transcript tells of calls, whose times are of the past or made up, says
// nothing of this machine's clock.
func TestTimesOfTranscriptsAreNoClock(t *testing.T) {
	s := open(t, Config{})
	for _, r := range []Record{
		{Time: noon, Phase: Before},
		{Time: noon.Add(-time.Hour), Phase: Told},
		{Time: noon.Add(100 * 365 * 24 * time.Hour), Phase: Told},
		{Time: noon.Add(time.Second), Phase: After},
	} {
		r.Agent = "generic"
		if err := s.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	records, _ := all(t, s)
	if len(records) != 4 {
		t.Fatalf("%d records, want 4", len(records))
	}
	for _, r := range records {
		if !r.SetBack.IsZero() {
			t.Errorf("the record of %s at %s says that the clock showed %s before", r.Phase, r.Time, r.SetBack)
		}
	}
}
