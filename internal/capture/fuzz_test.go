package capture

import (
	"testing"
	"time"

	"github.com/stemma-dev/stemma/internal/spool"
)

// FuzzTold tries what a transcript told, as the spool has it: anything is either
// refused or a call that leaves lines unknown, and never a crash.
func FuzzTold(f *testing.F) {
	f.Add([]byte(`{"end":"2026-09-01T09:00:00Z","lines":[1,2]}`), "c1", true)
	f.Add([]byte(`{}`), "", false)
	f.Add([]byte(`{"lines":[-1]}`), "c", true)
	f.Fuzz(func(t *testing.T, payload []byte, call string, shell bool) {
		at := time.Date(2026, 9, 1, 9, 0, 0, 0, time.UTC)
		r := spool.Record{
			Time: at, Agent: "claude-code", Session: "s", Phase: spool.Told, Tool: "Edit", Call: call, Shell: shell, Tree: "/r",
			Files: []spool.File{{Path: "a.go", State: spool.Unread}}, Payload: payload,
		}
		line, err := read(func(yield func(spool.Stored, error) bool) { yield(spool.Stored{Record: r}, nil) }, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeTold(payload); (err == nil) != (len(line.windows["/r"]) == 1) || (err != nil) != (len(line.faults) == 1) {
			t.Errorf("%q: %v, windows %v, faults %q", payload, err, line.windows["/r"], line.faults)
		}
	})
}
