package agent_test

import (
	"bytes"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/agent/agenttest"
	"github.com/stemma-dev/stemma/internal/agent/codex"
)

// A line over the limit is a gap that is counted with its length. What stands
// around it is read, with the memory of one line.
func TestLineOverTheLimit(t *testing.T) {
	text, err := os.ReadFile("codex/testdata/thread.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.IndexByte(text, '\n') + 1
	long := func(n int64) *agent.Source {
		return agenttest.Stretched(slices.Concat(text[:i], []byte(`{"type":"`)), 'x', n, slices.Concat([]byte("\"}\n"), text[i:]))
	}
	want, err := codex.Decoder{}.Read(t.Context(), agenttest.Bytes(text), agent.State{})
	if err != nil {
		t.Fatal(err)
	}
	const length = agent.MaxLine + 1
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := codex.Decoder{}.Read(t.Context(), long(length), agent.State{})
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	// The buffer doubles until it is as long as the limit.
	if took := after.TotalAlloc - before.TotalAlloc; took > 3*agent.MaxLine {
		t.Errorf("a line over the limit: %d MB were allocated", took>>20)
	}
	if len(got.Sessions) != len(want.Sessions) || len(got.Sessions[0].Turns) != len(want.Sessions[0].Turns) {
		t.Errorf("a line over the limit: %d sessions, want %d", len(got.Sessions), len(want.Sessions))
	}
	large := slices.IndexFunc(got.Sessions[0].Gaps, func(g agent.Gap) bool { return g.Kind == agent.GapTooLarge })
	if large < 0 {
		t.Fatal("a line over the limit is no gap")
	}
	if g := got.Sessions[0].Gaps[large]; g.Count != 1 || g.Bytes < length || g.Offset != int64(i) {
		t.Errorf("a line over the limit is the gap %+v, want it at %d", g, i)
	}
	again, err := codex.Decoder{}.Read(t.Context(), long(length), got.State)
	if err != nil || again.Replaced || again.Bytes != 0 {
		t.Errorf("read again: replaced %t, %d bytes, %v", again.Replaced, again.Bytes, err)
	}
}
