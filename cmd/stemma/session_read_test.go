package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/stemma-dev/stemma/internal/agent"
)

// An import once held every session with all its turns until the last one was
// recorded: 2 GB for 50,000 transcripts. Now those of a few transcripts are held at
// once, also of sessions that several transcripts tell of.
func TestImportHoldsFewSessions(t *testing.T) {
	s := newSearching(t)
	const sessions = 60
	for n := range sessions {
		s.write(t, fmt.Sprintf("s%02d", n), fmt.Sprintf("2026-03-02T09:%02d:00Z", n), "Mend the total of the cart")
	}
	again := filepath.Join(s.transcripts, "again")
	if err := os.Mkdir(again, 0o700); err != nil {
		t.Fatal(err)
	}
	for n := range sessions / 4 {
		searching{transcripts: again}.write(t, fmt.Sprintf("s%02d", n), fmt.Sprintf("2026-03-02T10:%02d:00Z", n), "And its tests")
	}

	const few = 5
	from := newTranscripts(few * leastHeld)
	var turns []weak.Pointer[agent.Turn]
	most := 0
	from.watch = func(r *agent.Reading) {
		turns = append(turns, weak.Make(r.Sessions[0].Turns[0]))
		runtime.GC()
		live := 0
		for _, w := range turns {
			if w.Value() != nil {
				live++
			}
		}
		most = max(most, live)
	}
	var out strings.Builder
	o := &options{out: &out, err: io.Discard, path: s.repo, now: time.Now}
	if err := o.importSessions(t.Context(), strings.NewReader(""), importFlags{yes: true, anywhere: true, from: []string{s.transcripts}}, from); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), fmt.Sprintf("%d sessions recorded, 0 were known already", sessions)) {
		t.Errorf("import says %q", out.String())
	}
	if len(turns) < 2*sessions {
		t.Errorf("%d readings: the sessions were not read again to be recorded", len(turns))
	}
	if most > 2*few {
		t.Errorf("sessions of %d transcripts were held at once, want %d at most", most, 2*few)
	}
}

// A transcript that goes on while it is imported is recorded as it was compared; the
// next import records the rest. One that is rewritten is not recorded, and said.
func TestImportOfAGrowingTranscript(t *testing.T) {
	s := newSearching(t)
	s.write(t, "grows", "2026-03-02T09:00:00Z", "Mend the total of the cart")
	s.write(t, "rewritten", "2026-03-02T09:01:00Z", "Mend the address form")
	from := newTranscripts(0) // holds the last one alone
	read := 0
	from.watch = func(*agent.Reading) {
		if read++; read == 2 {
			s.write(t, "grows", "2026-03-02T09:05:00Z", "Now the tests")
			if err := os.Remove(filepath.Join(s.transcripts, "rewritten.jsonl")); err != nil {
				t.Error(err)
			}
			s.write(t, "rewritten", "2026-03-02T09:07:00Z", "Mend the address form")
		}
	}
	var out strings.Builder
	o := &options{out: &out, err: io.Discard, path: s.repo, now: time.Now}
	flags := importFlags{yes: true, anywhere: true, from: []string{s.transcripts}}
	if err := o.importSessions(t.Context(), strings.NewReader(""), flags, from); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"grows  1 turn,", "1 sessions recorded, 0 were known already", `session claude-code/rewritten changed while it was imported`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("import says %q, want %q in it", out.String(), want)
		}
	}
	out.Reset()
	if err := o.importSessions(t.Context(), strings.NewReader(""), flags, newTranscripts(heldTranscripts)); err != nil {
		t.Fatal(err)
	}
	if want := "2 sessions recorded, 0 were known already"; !strings.Contains(out.String(), want) {
		t.Errorf("the next import says %q, want %q in it", out.String(), want)
	}
}
