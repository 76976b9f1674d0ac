package agent_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/agent/agenttest"
	"github.com/stemma-dev/stemma/internal/agent/claudecode"
)

// long makes a transcript of about size bytes out of the turns of a short one.
func long(tb testing.TB, size int) []byte {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("claudecode", "testdata", "session.jsonl"))
	if err != nil {
		tb.Fatal(err)
	}
	// Files that were read and output of commands make up most of a transcript.
	output, err := json.Marshal(strings.Repeat("\tif err := run(ctx, \"a\\n\"); err != nil {\n", 100))
	if err != nil {
		tb.Fatal(err)
	}
	text = bytes.ReplaceAll(text, []byte(`"1\tpackage shop\n"`), output)
	var all bytes.Buffer
	for n := 0; all.Len() < size; n++ {
		var ids []string // no two calls and messages have the same
		for i := range 10 {
			ids = append(ids, fmt.Sprintf(`"t%d"`, i), fmt.Sprintf(`"t%d-%d"`, i, n), fmt.Sprintf(`"msg_%d"`, i), fmt.Sprintf(`"msg_%d-%d"`, i, n))
		}
		all.WriteString(strings.NewReplacer(ids...).Replace(string(text)))
	}
	return all.Bytes()
}

func BenchmarkRead(b *testing.B) {
	text := long(b, 20<<20)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		r, err := claudecode.Decoder{}.Read(b.Context(), agenttest.Bytes(text), agent.State{})
		if err != nil || len(r.Sessions[0].Turns) < 100 {
			b.Fatalf("%d sessions, %v", len(r.Sessions), err)
		}
	}
}

// BenchmarkReread reads what was added to a transcript of 100 MB.
func BenchmarkReread(b *testing.B) {
	text := long(b, 100<<20)
	more := append(bytes.Clone(text), long(b, 1)...)
	first, err := claudecode.Decoder{}.Read(b.Context(), agenttest.Bytes(text), agent.State{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r, err := claudecode.Decoder{}.Read(b.Context(), agenttest.Bytes(more), first.State)
		if err != nil || r.Replaced || r.Bytes != int64(len(more)-len(text)) {
			b.Fatalf("Replaced %t, %d bytes, %v", r.Replaced, r.Bytes, err)
		}
	}
}
