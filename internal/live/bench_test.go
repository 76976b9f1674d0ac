package live

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// BenchmarkTurn tells one more turn of a session whose transcript has 100 MB,
// without the cost of recording it.
func BenchmarkTurn(b *testing.B) {
	d := newDesk(b)
	output := strings.Repeat("if err := run(ctx, x); err != nil {\\n", 2000)
	var text strings.Builder
	for n := 0; text.Len() < 100<<20; n++ {
		text.WriteString(entry(d, fmt.Sprintf("%036d", n), "more"))
		fmt.Fprintf(&text, `{"type":"assistant","isSidechain":false,"sessionId":"s","cwd":%q,"uuid":"a%d","message":{"role":"assistant","model":"m","id":"m%d","content":[{"type":"tool_use","id":"t%d","name":"Read","input":{"file_path":"a.go"}}]}}`+"\n", d.dir, n, n, n)
		fmt.Fprintf(&text, `{"type":"user","isSidechain":false,"sessionId":"s","cwd":%q,"uuid":"r%d","message":{"role":"user","content":[{"type":"tool_result","tool_use_id":"t%d","content":"%s"}]}}`+"\n", d.dir, n, n, output)
	}
	path := d.write("t/s.jsonl", text.String())
	turn := func(n int) {
		d.hook("claudecode", "UserPromptSubmit", map[string]any{"session_id": "s", "transcript_path": path})
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString(entry(d, fmt.Sprintf("%036d", 1_000_000+n), "one more"))
			f.Close()
		}
		if err != nil {
			b.Fatal(err)
		}
		d.commit += "x"
	}
	turn(0)
	d.sync()
	n := 0
	for b.Loop() {
		b.StopTimer()
		n++
		turn(n)
		config := d.config()
		b.StartTimer()
		report, err := Run(b.Context(), config)
		if err != nil || len(report.Told) != 1 || report.Told[0].Turns != 1 {
			b.Fatalf("%+v, %v", report, err)
		}
	}
}
