package agenttrace

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
)

// rev is a revision of git.
const rev = "a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6e7f8a9b0"

// example is the record of the specification, 6.2, cut short.
const example = `{"version":"0.1.0","id":"550e8400-e29b-41d4-a716-446655440000","timestamp":"2026-01-23T14:30:00Z",` +
	`"vcs":{"type":"git","revision":"` + rev + `"},"tool":{"name":"cursor","version":"2.4.0"},"files":[{"path":"src/parser.ts","conversations":[` +
	`{"url":"https://api.cursor.com/v1/conversations/12345","contributor":{"type":"ai","model_id":"anthropic/claude-opus-4-5-20251101"},` +
	`"ranges":[{"start_line":42,"end_line":67,"content_hash":"murmur3:9f2e8a1b"}],"related":[{"type":"session","url":"https://api.cursor.com/v1/sessions/67890"}]}]}],` +
	`"metadata":{"confidence":0.95,"dev.cursor":{"workspace_id":"ws-abc123"}}}`

// minimal is a record with one file of one range and these parts around it.
func minimal(version, vcs, path, conversation, metadata string) string {
	return `{"version":"` + version + `","id":"i","timestamp":"2026-01-23T14:30:00Z","vcs":` + vcs + `,"files":[{"path":"` + path +
		`","conversations":[` + conversation + `]}],"metadata":` + metadata + `}`
}

func TestParse(t *testing.T) {
	const git = `{"type":"git","revision":"` + rev + `"}`
	const one = `{"ranges":[{"start_line":1,"end_line":2}],"contributor":{"type":"ai"}}`
	tests := []struct {
		name, line string
		revision   string
		want       string // files
		session    string
		hook       bool
		problems   int
		bad        bool
	}{
		{"the specification's example", example, rev, "src/parser.ts:42-67 ai anthropic/claude-opus-4-5-20251101 67890", "", false, 0, false},
		{"reference hook", minimal("1.0", git, "a.go", one, `{"session_id":"s","tool_use_id":"t"}`), rev, "a.go:1-2 ai  ", "s", true, 0, false},
		{"1.0 of others", minimal("1.0", git, "a.go", one, `{"dev.x":{"tool_use_id":"t"}}`), rev, "a.go:1-2 ai  ", "", false, 0, false},
		{"pseudo path", minimal("1.0", git, ".sessions", one, `{"session_id":"s"}`), rev, "", "s", false, 0, false},
		{"a hook made after the reference", minimal("0.1.0", git, `src\\\\a.go`, one, `{"conversation_id":"c","generation_id":"g"}`), rev, "src/a.go:1-2 ai  ", "c", true, 0, false},
		{"version of the future", minimal("2.0", git, "a.go", one, `{}`), rev, "a.go:1-2 ai  ", "", false, 1, false},
		{"jj", minimal("0.1.0", `{"type":"jj","revision":"kkmpptxz"}`, "a.go", one, `{}`), "", "a.go:1-2 ai  ", "", false, 0, false},
		{"no vcs", minimal("0.1.0", `null`, "a.go", one, `{}`), "", "a.go:1-2 ai  ", "", false, 0, false},
		{"a branch for a revision", minimal("0.1.0", `{"type":"git","revision":"main"}`, "a.go", one, `{}`), "", "a.go:1-2 ai  ", "", false, 0, false},
		{"windows", minimal("1.0", git, `C:\\src\\repo\\b\\a.go`, one, `{}`), rev, "C:/src/repo/b/a.go:1-2 ai  ", "", false, 0, false},
		{"file url for a path", minimal("1.0", git, `file:///src/a.go`, one, `{}`), rev, "/src/a.go:1-2 ai  ", "", false, 0, false},
		{"dots", minimal("1.0", git, `./b/../a.go`, one, `{}`), rev, "a.go:1-2 ai  ", "", false, 0, false},
		{"a transcript on a disk", minimal("1.0", git, "a.go", `{"url":"file:///home/ada/p/u-1.jsonl","ranges":[{"start_line":3,"end_line":3}]}`, `{}`), rev, "a.go:3-3   u-1", "", false, 0, false},
		{
			"ranges that are none", minimal("0.1.0", git, "a.go", `{"ranges":[{"start_line":0,"end_line":1},{"start_line":5,"end_line":4},{"start_line":1.5,"end_line":2},{"start_line":1},7,{"start_line":1,"end_line":4294967296}]}`, `{}`),
			rev, "a.go", "", false, 6, false,
		},
		{
			"a range's own contributor", minimal("0.1.0", git, "a.go", `{"contributor":{"type":"ai","model_id":"m"},"ranges":[{"start_line":1,"end_line":1,"contributor":{"type":"human"}}]}`, `{}`),
			rev, "a.go:1-1 human  ", "", false, 0, false,
		},
		{
			"too long a model", minimal("0.1.0", git, "a.go", `{"contributor":{"type":"ai","model_id":"`+strings.Repeat("m", maxModel+1)+`"},"ranges":[{"start_line":1,"end_line":1}]}`, `{}`),
			rev, "a.go:1-1 ai  ", "", false, 0, false,
		},
		{"no files", `{"version":"0.1.0","id":"i","timestamp":"t"}`, "", "", "", false, 0, true},
		{"no id", `{"version":"0.1.0","timestamp":"t","files":[]}`, "", "", "", false, 0, true},
		{"no object", `[1]`, "", "", "", false, 0, true},
		{"two on a line", `{"version":"0.1.0","id":"i","timestamp":"t","files":[]} {}`, "", "", "", false, 0, true},
		{"breaks off", example[:200], "", "", "", false, 0, true},
	}
	for _, test := range tests {
		rec, revision, err := parse([]byte(test.line))
		if (err != nil) != test.bad || err != nil && !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("%s: error %v, want one: %t", test.name, err, test.bad)
		}
		if err != nil {
			continue
		}
		var got []string
		for _, f := range rec.files {
			text := f.path
			for _, c := range f.claims {
				text += fmt.Sprintf(":%d-%d %s %s %s", c.start, c.end, c.kind, c.model, c.session)
			}
			got = append(got, text)
		}
		if strings.Join(got, ", ") != test.want || revision != test.revision || rec.session != test.session || rec.hook != test.hook || len(rec.problems) != test.problems {
			t.Errorf("%s: parse = %q of %s, session %q, hook %t, problems %q; want %+v", test.name, got, revision, rec.session, rec.hook, rec.problems, test)
		}
	}
}

func TestPath(t *testing.T) {
	touched := newTouched(git.Diff{Files: []git.FileDiff{{Path: "a.go", Added: 1}, {Path: "b/a.go", Added: 1}, {Path: "c/x.go", Added: 1}, {Path: "gone.go"}}})
	tests := map[string]string{
		"a.go": "a.go", "b/a.go": "b/a.go", "c.go": "", "gone.go": "",
		"/home/ada/repo/c/x.go": "c/x.go", "C:/repo/c/x.go": "c/x.go", "/home/ada/repo/gone.go": "",
		"/home/ada/repo/a.go":   "a.go", // nothing else ends so
		"/home/ada/repo/b/a.go": "",     // a.go below b, or b/a.go
		"/elsewhere/xc/x.go":    "",
	}
	for p, want := range tests {
		got, ok := touched.find(p)
		if ok != (want != "") || ok && got != want {
			t.Errorf("find(%s) = %q, %t; want %q", p, got, ok, want)
		}
	}
}

// The same record in the files of several branches is one record; what only one
// side has is the difference.
func TestDiffer(t *testing.T) {
	other := strings.ReplaceAll(example, rev, strings.Repeat("b", 40))
	read := func(lines ...string) *records {
		r := newRecords()
		for _, l := range lines {
			if err := r.lines(strings.NewReader(l + "\r\n\n" + l)); err != nil {
				t.Fatal(err)
			}
		}
		return r
	}
	a, ab := read(example), read(example, other)
	if len(a.by[rev]) != 1 || len(ab.by) != 2 {
		t.Fatalf("records %v and %v, want one and two", a.by, ab.by)
	}
	if d := ab.differ(a); len(d) != 1 || !d[strings.Repeat("b", 40)] || len(a.differ(ab)) != 1 || len(a.differ(a)) != 0 {
		t.Errorf("differ = %v, %v, %v", d, a.differ(ab), a.differ(a))
	}
	long := newRecords()
	err := long.lines(strings.NewReader(example + "\n" + strings.Repeat("x", maxRecord+1) + "\n"))
	if !errors.Is(err, stemma.ErrInvalid) || len(long.by[rev]) != 1 {
		t.Errorf("a line that is too long: %v, %d records before it; want %v and one", err, len(long.by[rev]), stemma.ErrInvalid)
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(example), true)
	f.Add([]byte(minimal("1.0", `{"type":"git"}`, `C:\\x`, `{"url":"//","ranges":[{"start_line":1,"end_line":1}]}`, `{"generation_id":1}`)), false)
	f.Fuzz(func(t *testing.T, line []byte, hook bool) {
		rec, revision, err := parse(line)
		if err != nil {
			if !errors.Is(err, stemma.ErrInvalid) {
				t.Errorf("error of the wrong kind: %v", err)
			}
			return
		}
		if revision != "" && len(revision) != 40 && len(revision) != 64 {
			t.Errorf("revision %q", revision)
		}
		rec.hook = hook
		var diff git.Diff
		for _, f := range rec.files {
			diff.Files = append(diff.Files, git.FileDiff{Path: f.path, Added: 1})
		}
		b := &builder{touched: newTouched(diff), sessions: make(map[string]int)}
		b.record(rec, methodParent, confidenceParent)
		b.took()
		checkEvidence(t, b.evidence)
	})
}

// checkEvidence checks what package attribution counts on.
func checkEvidence(t *testing.T, e notes.Evidence) {
	t.Helper()
	for _, c := range e.Claims {
		if !c.Class.Valid() || c.Session >= len(e.Sessions) || c.Session < 0 && c.Class != stemma.ClassHuman {
			t.Errorf("claim %+v of %d sessions", c, len(e.Sessions))
		}
		for _, r := range c.Ranges {
			if r.Start < 1 || r.End < r.Start {
				t.Errorf("range %+v", r)
			}
		}
	}
	for _, i := range e.Took {
		if i >= len(e.Sessions) {
			t.Errorf("took %d of %d sessions", i, len(e.Sessions))
		}
	}
}

func TestLocate(t *testing.T) {
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return hex.EncodeToString(sum[:])[:16]
	}
	file := []string{"one", "two", "three", "two", "}"}
	tests := []struct {
		name       string
		start, end int
		hash       string
		want       string
	}{
		{"where it says", 1, 2, hash("one\ntwo"), "1-2"},
		{"of a whole digest", 1, 2, hash("one\ntwo") + "x", ""},
		{"moved down", 1, 2, hash("two\nthree"), "2-3"},
		{"beyond the end", 8, 9, hash("two\nthree"), "2-3"},
		{"with a line end, which counts as a line", 1, 3, hash("one\ntwo\n"), "1-2"},
		{"twice, and not where it says", 1, 1, hash("two"), ""},
		{"twice, and where it says", 4, 4, hash("two"), "4-4"},
		{"changed since", 1, 2, hash("one\nTWO"), ""},
		{"none", 1, 2, "", ""},
		{"longer than the file", 1, 9, hash("one"), ""},
	}
	for _, test := range tests {
		c := &contents{files: map[string][]string{"a": file}}
		got := ""
		if start, end, ok := c.locate("a", claim{start: test.start, end: test.end, hash: test.hash}); ok {
			got = fmt.Sprintf("%d-%d", start, end)
		}
		if got != test.want {
			t.Errorf("%s: locate = %q, want %q", test.name, got, test.want)
		}
	}
	for text, want := range map[string]string{
		"sha256:bb5ed2670e4ca164": "bb5ed2670e4ca164", "SHA256:BB5ED2670E4CA164AB": "bb5ed2670e4ca164ab",
		"sha256:bb5e": "", "murmur3:9f2e8a1b9f2e8a1b": "", "sha256:zz5ed2670e4ca164": "", "": "",
	} {
		if got := validHash(text); got != want {
			t.Errorf("validHash(%q) = %q, want %q", text, got, want)
		}
	}
	// Hashing has an end, however many ranges ask for it.
	long := &contents{files: map[string][]string{"a": {strings.Repeat("x", 1<<20), strings.Repeat("y", 1<<20)}}}
	for range 1000 {
		long.locate("a", claim{start: 1, end: 1, hash: hash("nowhere")})
	}
	if long.hashed > maxHashed+4<<20 {
		t.Errorf("%d MB were hashed", long.hashed>>20)
	}
}
