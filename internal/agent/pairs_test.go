package agent_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/agent/agenttest"
)

// Two agents in one file: behind the lines of one stand those of another. What
// the first did is read as it is without them, and what is not its own is a gap
// or another session, and never an error.
func TestTwoAgentsInOneFile(t *testing.T) {
	type file struct {
		path string
		text []byte
		of   agent.Decoder
	}
	var files []file
	paths, err := filepath.Glob("*/testdata/*.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		d, err := family.Recognise(agenttest.Bytes(text))
		if d == nil || err != nil {
			continue
		}
		if !slices.ContainsFunc(files, func(f file) bool { return f.of == d }) {
			files = append(files, file{path, text, d})
		}
	}
	if len(files) < 8 {
		t.Fatalf("%d agents have files of lines", len(files))
	}
	for _, one := range files {
		for _, other := range files {
			if one.of == other.of {
				continue
			}
			alone, err := one.of.Read(t.Context(), agenttest.Bytes(one.text), agent.State{})
			if err != nil {
				t.Fatal(err)
			}
			both, err := one.of.Read(t.Context(), agenttest.Bytes(slices.Concat(bytes.TrimRight(one.text, "\n"), []byte("\n"), other.text)), agent.State{})
			if err != nil {
				t.Errorf("%s with %s: %v", one.path, other.path, err)
				continue
			}
			agenttest.Check(t, both)
			for i := range alone.Sessions {
				want, got := &alone.Sessions[i], &both.Sessions[i]
				if want.ID != got.ID || len(got.Turns) < len(want.Turns) {
					t.Errorf("%s with %s: session %q has %d turns, was %q with %d", one.path, other.path, got.ID, len(got.Turns), want.ID, len(want.Turns))
					continue
				}
				if a, b := told(want, len(want.Turns)), told(got, len(want.Turns)); a != b {
					t.Errorf("%s with %s: turns\n%s\nwere\n%s", one.path, other.path, b, a)
				}
			}
		}
	}
}

// told is what the first turns of a session say.
func told(s *agent.Session, n int) string {
	var b strings.Builder
	for _, turn := range s.Turns[:n] {
		if turn.Prompt != nil {
			b.WriteString(turn.Prompt.Text)
		}
		for _, c := range turn.Calls {
			b.WriteString(" " + c.Name + " " + string(c.Outcome))
		}
		b.WriteString("\n")
	}
	return b.String()
}
