package entire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
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
		"refs/heads/entire/sessions":                               true,
		"refs/heads/entire/sessions/x":                             false,
		"refs/entire/checkpoints/v2/main":                          false,
		"refs/heads/main":                                          false,
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
		{
			"checkpoint of a newer version", `{"checkpoint_id":"x","combined_attribution":{"agent_lines":3,"human_added":1,"human_modified":0,"human_removed":0,"total_committed":4}}`,
			metadata{},
			figure(3, 1, 0, 0, 4), false,
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

func TestInserted(t *testing.T) {
	tests := []struct{ name, from, to, want string }{
		{"a new file", "", "a\nb\n", "a+b"},
		{"the middle", "a\nz\n", "a\nb\nc\nz\n", "b+c"},
		{"two places", "a\nz\n", "x\na\ny\nz\n", "x | y"},
		{"in the place of others", "a\nold\nz", "a\nnew\r\nz", "new"},
		{"nothing", "a\nb", "a\nb", ""},
		{"taken out", "a\nb", "a", ""},
		{"all of it", "a\nb", "", ""},
	}
	for _, test := range tests {
		var got []string
		for _, block := range inserted(test.from, test.to) {
			got = append(got, strings.Join(block, "+"))
		}
		if strings.Join(got, " | ") != test.want {
			t.Errorf("%s: inserted = %q, want %q", test.name, got, test.want)
		}
	}
}

func TestMatch(t *testing.T) {
	block := func(session int, lines string) edit {
		return edit{file: "a", session: session, blocks: [][]string{split(lines)}}
	}
	tests := []struct {
		name  string
		file  string
		added []git.LineRange
		edits []edit
		want  string // ranges by session
	}{
		{
			"brackets go with what stands around them", "func first() {\n}\n\nfunc second() {\n}",
			[]git.LineRange{{Start: 1, End: 5}},
			[]edit{block(0, "func first() {\n}\n\nfunc second() {\n}")},
			"0:[{1 5}]",
		},
		{
			"only what the commit added", "func first() {\n}\n\nfunc second() {\n}",
			[]git.LineRange{{Start: 4, End: 5}},
			[]edit{block(0, "func first() {\n}\n\nfunc second() {\n}")},
			"0:[{4 5}]",
		},
		{
			"a line that a person changed, and their own", "alpha one two\nalpha CHANGED\nalpha three\nmy own line",
			[]git.LineRange{{Start: 1, End: 4}},
			[]edit{block(0, "alpha one two\nalpha two\nalpha three")},
			"0:[{1 1} {3 3}]",
		},
		{"brackets alone tell nothing", "}\n\n)", []git.LineRange{{Start: 1, End: 3}}, []edit{block(0, "}\n\n)")}, ""},
		{
			"a text that stands twice in the commit", "return nil, err\nother\nreturn nil, err",
			[]git.LineRange{{Start: 1, End: 3}},
			[]edit{block(0, "return nil, err")},
			"",
		},
		{
			"twice, but each beside what tells", "first call()\nreturn nil, err\nsecond call()\nreturn nil, err",
			[]git.LineRange{{Start: 1, End: 4}},
			[]edit{block(0, "first call()\nreturn nil, err"), block(0, "second call()\nreturn nil, err")},
			"0:[{1 4}]",
		},
		{
			"two sessions", "first session\nsecond session",
			[]git.LineRange{{Start: 1, End: 2}},
			[]edit{block(0, "first session"), block(1, "second session")},
			"0:[{1 1}] 1:[{2 2}]",
		},
		{
			"the same line by two sessions", "the very same",
			[]git.LineRange{{Start: 1, End: 1}},
			[]edit{block(0, "the very same"), block(1, "the very same")},
			"",
		},
		{
			"the same line by one session with two models is the later's", "the very same",
			[]git.LineRange{{Start: 1, End: 1}},
			[]edit{block(0, "the very same"), block(2, "the very same")},
			"2:[{1 1}]",
		},
		{
			"sessions that meet", "first of all\n}\nsecond of all",
			[]git.LineRange{{Start: 1, End: 3}},
			[]edit{block(0, "first of all\n}"), block(1, "}\nsecond of all")},
			"0:[{1 1}] 1:[{3 3}]",
		},
		{"ranges beyond the file", "first of all", []git.LineRange{{Start: 1, End: 9}}, []edit{block(0, "first of all\nsecond")}, "0:[{1 1}]"},
	}
	for _, test := range tests {
		e := &edits{who: []string{"claude-code/a", "claude-code/b", "claude-code/a"}}
		var got []string
		for session, ranges := range e.match(split(test.file), test.added, test.edits) {
			if len(ranges) > 0 {
				got = append(got, fmt.Sprintf("%d:%v", session, ranges))
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: match = %q, want %q", test.name, got, test.want)
		}
	}
}

func TestEdits(t *testing.T) {
	const head = `{"type":"user","cwd":"/home/ada/repo","sessionId":"s1","timestamp":"2026-03-01T11:00:00.000Z","toolUseResult":`
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct{ name, line, want string }{
		{"edit", head + `{"filePath":"/home/ada/repo/b/a.go","oldString":"x","newString":"x\ny","structuredPatch":[],"userModified":false}}`, "b/a.go: y"},
		{"multi edit", head + `{"filePath":"/home/ada/repo/c.go","edits":[{"old_string":"x","new_string":"x\ny"},{"old_string":"","new_string":"z"}],"originalFileContents":"x"}}`, "c.go: y | z"},
		{"write of a new file", head + `{"type":"create","filePath":"/elsewhere/c.go","content":"x\ny\n","originalFile":null}}`, "c.go: x+y"},
		{"write over a file", head + `{"type":"update","filePath":"/elsewhere/c.go","content":"x\ny\n","originalFile":"x\n"}}`, "c.go: y"},
		{"write over a file that is not told", head + `{"type":"update","filePath":"/elsewhere/c.go","content":"x\ny\n"}}`, ""},
		{"a person changed it", head + `{"filePath":"/home/ada/repo/c.go","oldString":"","newString":"y","userModified":true}}`, ""},
		{"after the commit", strings.Replace(head, "T11:", "T13:", 1) + `{"filePath":"/home/ada/repo/c.go","oldString":"","newString":"y"}}`, ""},
		{"without a time", strings.Replace(head, "timestamp", "time", 1) + `{"filePath":"/home/ada/repo/c.go","oldString":"","newString":"y"}}`, ""},
		{"a file that the commit has not", head + `{"filePath":"/home/ada/repo/d.go","oldString":"","newString":"y"}}`, ""},
		{"one of two files", head + `{"filePath":"/home/ada/repo/a.go","oldString":"","newString":"y"}}`, "a.go: y"},
		{"which of two files", head + `{"filePath":"/elsewhere/b/a.go","oldString":"","newString":"y"}}`, ""},
		{"read", head + `{"type":"text","file":{"filePath":"/home/ada/repo/c.go","content":"y"}}}`, ""},
		{"refused", head + `"Error: old_string not found in /home/ada/repo/c.go \"filePath\""}`, ""},
	}
	for _, test := range tests {
		c := &git.Commit{Author: git.Signature{Time: at.Unix()}}
		l := &lines{wanted: newWanted(c, []git.FileDiff{{Path: "a.go", Added: 1}, {Path: "b/a.go", Added: 1}, {Path: "c.go", Added: 9}, {Path: "gone.go"}})}
		if err := l.read(strings.NewReader(test.line)); err != nil || l.broken > 0 {
			t.Errorf("%s: %v, %d broken", test.name, err, l.broken)
		}
		got := ""
		for _, e := range l.edits {
			var blocks []string
			for _, b := range e.blocks {
				blocks = append(blocks, strings.Join(b, "+"))
			}
			got += e.file + ": " + strings.Join(blocks, " | ")
		}
		if got != test.want {
			t.Errorf("%s: edits %q, want %q", test.name, got, test.want)
		}
	}
}

func FuzzEdits(f *testing.F) {
	f.Add([]byte(`{"cwd":"/r","timestamp":"2026-03-01T11:00:00Z","toolUseResult":{"filePath":"/r/a.go","oldString":"x","newString":"x\ny first of all\n}"}}`), []byte("x\ny first of all\n}\n"))
	f.Add([]byte(`{"timestamp":"2026-03-01T11:00:00Z","toolUseResult":{"type":"update","filePath":"/a.go","content":"a","originalFile":"b"}}`), []byte("a"))
	f.Fuzz(func(t *testing.T, line, file []byte) {
		text := split(string(file))
		c := &git.Commit{Author: git.Signature{Time: 1 << 40}}
		l := &lines{wanted: newWanted(c, []git.FileDiff{{Path: "a.go", Added: len(text)}})}
		if err := l.read(bytes.NewReader(line)); err != nil {
			t.Fatalf("reading did not work: %v", err)
		}
		var e edits
		e.add(notes.Session{ID: "s"}, l.edits)
		for session, ranges := range e.match(text, []git.LineRange{{Start: 1, End: len(text)}}, e.byFile["a.go"]) {
			last := 0
			for _, r := range ranges {
				if r.Start <= last || r.End < r.Start || r.End > len(text) || session >= len(e.evidence.Sessions) {
					t.Errorf("ranges %v of %d lines", ranges, len(text))
				}
				last = r.End
			}
		}
	})
}
