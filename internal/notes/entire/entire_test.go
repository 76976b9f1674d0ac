package entire

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/notes"
)

func TestHolds(t *testing.T) {
	tests := map[string]bool{
		"refs/heads/entire/checkpoints/v1":                         true,
		"refs/remotes/origin/entire/checkpoints/v1":                true,
		"refs/remotes/a/b/entire/checkpoints/v1":                   true,
		"refs/heads/entire/checkpoints/v2":                         false,
		"refs/heads/entire/2b4c177":                                false,
		"refs/tags/entire/checkpoints/v1":                          false,
		"refs/entire/checkpoints/e7/a3b2c4d5e6e7":                  true,
		"refs/entire/checkpoints/a3/a3b2c4d5e6e7":                  false, // the folder is the end of the id
		"refs/entire/checkpoints/E7/A3B2C4D5E6E7":                  false,
		"refs/entire/checkpoints/ZZ/01JZZZZZZZZZZZZZZZZZZZZZZZ":    true,
		"refs/entire/checkpoints/ZZ/01JZZZZZZZZZZZZZZZZZZZZZUZ":    false, // no letter U in Crockford's
		"refs/entire/checkpoints/ZZ/x/01JZZZZZZZZZZZZZZZZZZZZZZZ":  false,
		"refs/entire/checkpoints/ZZ/01JZZZZZZZZZZZZZZZZZZZZZZZZ/x": false,
		"refs/heads/main": false,
	}
	for ref, want := range tests {
		if got := (Source{}).Holds(ref); got != want {
			t.Errorf("Holds(%s) = %t, want %t", ref, got, want)
		}
	}
}

func TestMessage(t *testing.T) {
	tests := []struct {
		name, text  string
		checkpoints string
		sessions    string
		agent       string
		figures     []notes.Figure
		problems    int
	}{
		{"nothing", "one\n\nSigned-off-by: Ada\n", "", "", "", nil, 0},
		{"a word in the text", "the Entire-Checkpoint: trailer\n", "", "", "", nil, 0},
		{"one", "one\n\nEntire-Checkpoint: a3b2c4d5e6f7\n", "a3b2c4d5e6f7", "", "", nil, 0},
		{
			"squash, doubled, any case", "a\n\nENTIRE-CHECKPOINT: a3b2c4d5e6f7\r\n\n* b\n\nEntire-Checkpoint:01jzzzzzzzzzzzzzzzzzzzzzzz\nEntire-Checkpoint: a3b2c4d5e6f7",
			"a3b2c4d5e6f7 01JZZZZZZZZZZZZZZZZZZZZZZZ", "", "", nil, 0,
		},
		{"no ids", "a\n\nEntire-Checkpoint: A3B2C4D5E6F7\nEntire-Checkpoint: tbd\nEntire-Checkpoint:\n", "", "", "", nil, 3},
		{
			"first versions", "a\n\nEntire-Session: 2025-12-01-8f76b0e8-b8f1\nEntire-Session: 2025-12-01-8f76b0e8-b8f1\nEntire-Agent: Claude Code\nEntire-Strategy: manual-commit\n",
			"", "8f76b0e8-b8f1", "Claude Code", nil, 0,
		},
		{
			"attribution", "a\n\nEntire-Attribution: 73% agent (146/200 lines)\nEntire-Attribution: most of it\n", "", "", "",
			[]notes.Figure{{What: "Entire-Attribution trailer", AI: 146, Total: 200, Added: -1, Modified: -1, Removed: -1}},
			1,
		},
	}
	for _, test := range tests {
		got := readMessage([]byte(test.text))
		if strings.Join(got.checkpoints, " ") != test.checkpoints || strings.Join(got.sessions, " ") != test.sessions ||
			got.agent != test.agent || !slices.Equal(got.figures, test.figures) || len(got.problems) != test.problems {
			t.Errorf("%s: readMessage = %+v, want %+v", test.name, got, test)
		}
	}
	many := readMessage([]byte(strings.Repeat("Entire-Checkpoint: a3b2c4d5e6f7\n", 10)))
	if len(many.checkpoints) != 1 {
		t.Errorf("a checkpoint that is named ten times: %d", len(many.checkpoints))
	}
	var b strings.Builder
	for i := range 2 * maxNamed {
		fmt.Fprintf(&b, "Entire-Checkpoint: %012x\n", i)
	}
	if hostile := readMessage([]byte(b.String())); len(hostile.checkpoints) != maxNamed || len(hostile.problems) != 1 {
		t.Errorf("%d checkpoints: %d read, problems %q", 2*maxNamed, len(hostile.checkpoints), hostile.problems)
	}
}

func TestMetadata(t *testing.T) {
	figure := func(n ...int) *notes.Figure {
		return &notes.Figure{AI: n[0], Added: n[1], Modified: n[2], Removed: n[3], Total: n[4]}
	}
	tests := []struct {
		name, text string
		want       metadata
		counts     *notes.Figure
		bad        bool
	}{
		{
			"session", `{"session_id":"2026-01-05-4555072a","agent":"Claude Code","agents":["x"],"transcript_lines_at_start":7,
			"initial_attribution":{"agent_lines":32,"human_added":0,"human_modified":1,"human_removed":4,"total_committed":33,"agent_percentage":96.9}}`,
			metadata{id: "4555072a", agent: "Claude Code", start: 7},
			figure(32, 0, 1, 4, 33), false,
		},
		{"the new start stands", `{"transcript_lines_at_start":7,"checkpoint_transcript_start":9}`, metadata{start: 9}, nil, false},
		{
			"checkpoint", `{"checkpoint_id":"x","sessions":[{"metadata":"/00/c9/0/metadata.json"},{"metadata":"/00/c9/12/metadata.json"},{"metadata":"junk"},7]}`,
			metadata{sessions: []int{0, 12}},
			nil, false,
		},
		{"counts that count nothing", `{"session_id":"a","initial_attribution":{"agent_lines":"many","total_committed":-1}}`, metadata{id: "a"}, nil, false},
		{"counts without people", `{"initial_attribution":{"agent_lines":1,"total_committed":2}}`, metadata{}, figure(1, -1, -1, -1, 2), false},
		{"unknown", `{"session_id":"unknown"}`, metadata{}, nil, false},
		{"too long", `{"session_id":"` + strings.Repeat("x", maxSessionID+1) + `"}`, metadata{}, nil, false},
		{"breaks off", `{"session_id":"a","agent":`, metadata{id: "a"}, nil, true},
		{"no object", `[]`, metadata{}, nil, true},
		{"empty", ``, metadata{}, nil, true},
	}
	for _, test := range tests {
		got, err := readMetadata([]byte(test.text))
		if (err != nil) != test.bad || err != nil && !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("%s: error %v, want one: %t", test.name, err, test.bad)
		}
		counts := got.counts
		got.counts = nil
		if fmt.Sprint(got) != fmt.Sprint(test.want) || (counts == nil) != (test.counts == nil) || counts != nil && *counts != *test.counts {
			t.Errorf("%s: readMetadata = %+v %+v, want %+v %+v", test.name, got, counts, test.want, test.counts)
		}
	}
}

func TestTranscript(t *testing.T) {
	claude := func(model string) string {
		return `{"parentUuid":null,"sessionId":"s1","version":"2.1.1","type":"assistant","message":{"content":[],"model":"` + model + `"}}` + "\n"
	}
	tests := []struct {
		name   string
		files  []string
		start  int
		agent  string
		models string
		broken int
	}{
		{"empty", []string{""}, 0, "", "", 0},
		{
			"each once, in order",
			[]string{claude("claude-opus-4-6") + claude("claude-haiku-4-5-20251001") + claude("claude-opus-4-6")},
			0,
			"claude-code", "claude-opus-4-6 claude-haiku-4-5-20251001", 0,
		},
		{
			"from the start of the checkpoint",
			[]string{claude("claude-opus-4-5-20251101") + claude("claude-opus-4-6") + claude("claude-opus-4-6")},
			1,
			"claude-code", "claude-opus-4-6", 0,
		},
		{"the model goes on", []string{claude("claude-opus-4-6") + claude("claude-opus-4-6")}, 1, "claude-code", "claude-opus-4-6", 0},
		{
			"in force at the start",
			[]string{claude("claude-opus-4-5-20251101") + claude("claude-opus-4-6") + `{"type":"user"}` + "\n"},
			2,
			"claude-code", "claude-opus-4-6", 0,
		},
		{
			"in two files, the first without a line end",
			[]string{strings.TrimSuffix(claude("claude-opus-4-5-20251101"), "\n"), claude("claude-opus-4-6")},
			1,
			"claude-code", "claude-opus-4-6", 0,
		},
		{"not a model of the session", []string{`{"type":"user","toolUseResult":{"model":"gpt-4"},"message":{"content":[{"input":{"model":"haiku"}}]}}`}, 0, "", "", 0},
		{"codex", []string{`{"type":"turn_context","payload":{"model":"gpt-5.2-codex"}}` + "\n"}, 0, "", "gpt-5.2-codex", 0},
		{"others", []string{`{"type":"gemini","model":"gemini-3-pro"}`}, 0, "", "gemini-3-pro", 0},
		{"synthetic and broken", []string{claude("<synthetic>") + "{\"model\":\n" + claude("claude-opus-4-6")}, 0, "claude-code", "claude-opus-4-6", 1},
	}
	for _, test := range tests {
		l := &lines{start: test.start}
		for _, file := range test.files {
			if err := l.read(strings.NewReader(file)); err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
		}
		if len(l.models) == 0 && l.last.Known() {
			l.models = []stemma.Model{l.last}
		}
		var got []string
		for _, m := range l.models {
			got = append(got, m.ID)
		}
		if strings.Join(got, " ") != test.models || l.agent != test.agent || l.broken != test.broken {
			t.Errorf("%s: models %q of %q, %d broken; want %q of %q, %d", test.name, got, l.agent, l.broken, test.models, test.agent, test.broken)
		}
	}
}

// A transcript of 100 MB, with lines of 20 MB, is read in the memory of its
// longest line that is read.
func TestALongTranscriptIsReadInLittleMemory(t *testing.T) {
	const line = `{"parentUuid":null,"sessionId":"s1","type":"assistant","message":{"model":"claude-opus-4-6"}}` + "\n"
	var files []io.Reader
	for range 5 {
		files = append(files, strings.NewReader(`{"x":"`), io.LimitReader(filler{}, 20<<20), strings.NewReader("\"model\"\"}\n"), strings.NewReader(line))
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l := &lines{}
	if err := l.read(io.MultiReader(files...)); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if l.tooLong != 5 || l.at != 10 || len(l.models) != 1 {
		t.Errorf("%d lines, %d too long, models %v; want 10, 5 and one model", l.at, l.tooLong, l.models)
	}
	if grown := int64(after.TotalAlloc) - int64(before.TotalAlloc); grown > 200<<20 {
		t.Errorf("%d MB were allocated", grown>>20)
	}
}

// filler never ends.
type filler struct{}

func (filler) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func FuzzMetadata(f *testing.F) {
	f.Add([]byte(`{"session_id":"2026-01-05-a","agent":"Agent","checkpoint_transcript_start":3,"initial_attribution":{"agent_lines":1,"total_committed":2},"sessions":[{"metadata":"/a/b/0/metadata.json"}]}`))
	f.Add([]byte(`{"sessions":[[{"metadata":"//"}]],"initial_attribution":7}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := readMetadata(b)
		if err != nil && !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("error of the wrong kind: %v", err)
		}
		if len(m.id) > maxSessionID || m.counts != nil && (m.counts.AI < 0 || m.counts.Total < 0) {
			t.Errorf("readMetadata(%q) = %+v", b, m)
		}
	})
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte("a\n\nEntire-Checkpoint: a3b2c4d5e6f7\nEntire-Session: x\nEntire-Attribution: 1% agent (1/100 lines)\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := readMessage(b)
		for i, id := range m.checkpoints {
			if !validID(id) || slices.Contains(m.checkpoints[:i], id) {
				t.Errorf("checkpoints %q of %q", m.checkpoints, b)
			}
		}
	})
}

func FuzzTranscript(f *testing.F) {
	f.Add([]byte(`{"parentUuid":null,"sessionId":"s1","version":"2.1.1","type":"assistant","message":{"model":"claude-opus-4-6"}}`+"\n{\"model\":"), 1)
	f.Add([]byte(`{"payload":{"model":"gpt-5"},"isSidechain":true}`), 0)
	f.Fuzz(func(t *testing.T, b []byte, start int) {
		l := &lines{start: start}
		if err := l.read(strings.NewReader(string(b))); err != nil {
			t.Errorf("reading did not work: %v", err)
		}
		if len(l.models) > maxModels {
			t.Errorf("%d models", len(l.models))
		}
	})
}
