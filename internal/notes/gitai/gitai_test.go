package gitai

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/notes"
)

const head = `{"schema_version":"authorship/3.0.0","git_ai_version":"1.4.5","base_commit_sha":"7734793b756b3921c88db5375a8c156e9532447b",`

var (
	told  = declared(methodNote)
	opus  = stemma.ParseModel("claude-opus-4-5-20251101")
	gpt   = stemma.ParseModel("gpt-5")
	cl123 = notes.Session{ID: "conv_abc123", Agent: "claude-code", Model: opus, Strength: told}
	cu456 = notes.Session{ID: "old_session_id", Agent: "cursor", Model: gpt, Strength: told}
)

const (
	prompts  = `"prompts":{"abcd1234abcd1234":{"agent_id":{"tool":"cursor","id":"old_session_id","model":"gpt-5"},"human_author":"D <d@x>","messages":[{"type":"user","text":"a \"}]{ b"}],"total_additions":50,"overriden_lines":0}}`
	sessions = `"sessions":{"s_c9883b05a2487d":{"agent_id":{"tool":"claude","id":"conv_abc123","model":"claude-opus-4-5-20251101"},"human_author":"d@x","custom_attributes":{"team":"backend"}}}`
	humans   = `"humans":{"h_31dce776f88375":{"author":"Developer <dev@example.com>"}}`
)

func ranges(pairs ...int) []notes.Range {
	var r []notes.Range
	for i := 0; i < len(pairs); i += 2 {
		r = append(r, notes.Range{Start: pairs[i], End: pairs[i+1]})
	}
	return r
}

func ai(path string, session int, r []notes.Range) notes.Claim {
	return notes.Claim{Path: path, Ranges: r, Class: stemma.ClassAI, Session: session, Strength: told}
}

func keyOnly(key string) notes.Session { return notes.Session{ID: key, Strength: told} }

func TestDecode(t *testing.T) {
	for _, tt := range []struct {
		name, note string
		want       notes.Evidence // Source and Whole are filled in
	}{
		{
			"all three kinds of key",
			"src/main.rs\n  s_c9883b05a2487d::t_9f8e7d6c5b4a32 1-10,15\n  h_31dce776f88375 20-25\n  s_c9883b05a2487d::t_a1b2c3d4e5f678 11,30\nsrc/lib.rs\n  abcd1234abcd1234 1-50\n---\n" + head + prompts + "," + humans + "," + sessions + "}",
			notes.Evidence{
				Sessions: []notes.Session{cu456, cl123},
				Claims: []notes.Claim{
					ai("src/main.rs", 1, ranges(1, 11, 15, 15, 30, 30)),
					{Path: "src/main.rs", Ranges: ranges(20, 25), Class: stemma.ClassHuman, Session: -1, Person: "h_31dce776f88375", Strength: told},
					ai("src/lib.rs", 0, ranges(1, 50)),
				},
			},
		},
		{
			"a session without lines took part",
			"a\n  abcd1234abcd1234 1\n---\n" + head + prompts + "," + sessions + "}",
			notes.Evidence{Sessions: []notes.Session{cu456, cl123}, Claims: []notes.Claim{ai("a", 0, ranges(1, 1))}, Took: []int{1}},
		},
		{
			"an empty attestation section",
			"---\n" + head + prompts + "}",
			notes.Evidence{Sessions: []notes.Session{cu456}, Took: []int{0}},
		},
		{
			"nothing by anybody",
			"---\n" + head + `"prompts":{}}`,
			notes.Evidence{},
		},
		{
			"the later entry of a block wins",
			"a\n  abcd1234abcd1234 1-20,30-40\n  s_c9883b05a2487d::t_9f8e7d6c5b4a32 5-8,19-31\n  h_31dce776f88375 7\n---\n" + head + prompts + "," + sessions + "}",
			notes.Evidence{
				Sessions: []notes.Session{cu456, cl123},
				Claims: []notes.Claim{
					ai("a", 0, ranges(1, 4, 9, 18, 32, 40)),
					ai("a", 1, ranges(5, 6, 8, 8, 19, 31)),
					{Path: "a", Ranges: ranges(7, 7), Class: stemma.ClassHuman, Session: -1, Person: "h_31dce776f88375", Strength: told},
				},
			},
		},
		{
			"an entry that later ones cover claims nothing",
			"a\n  abcd1234abcd1234 3-4\n  s_c9883b05a2487d::t_9f8e7d6c5b4a32 1-9\n---\n" + head + prompts + "," + sessions + "}",
			notes.Evidence{Sessions: []notes.Session{cu456, cl123}, Claims: []notes.Claim{ai("a", 1, ranges(1, 9))}, Took: []int{0}},
		},
		{
			"keys outside the specification",
			"a\n  human 1\n  ai_agent 2\n  0f8fad5b-d9cb-469f-a165-70867728950e 3\n  e61c0a4 4\n  s_aaaaaaaaaaaaaa 5\n---\n" + head + `"prompts":{}}`,
			notes.Evidence{
				Sessions: []notes.Session{keyOnly("0f8fad5b-d9cb-469f-a165-70867728950e"), keyOnly("e61c0a4"), keyOnly("s_aaaaaaaaaaaaaa")},
				Claims: []notes.Claim{
					{Path: "a", Ranges: ranges(1, 1), Class: stemma.ClassHuman, Session: -1, Strength: inferredHuman(methodHuman)},
					ai("a", -1, ranges(2, 2)),
					ai("a", 0, ranges(3, 3)),
					ai("a", 1, ranges(4, 4)),
					ai("a", 2, ranges(5, 5)),
				},
			},
		},
		{
			"traces of an unexplained session are one session",
			"a\n  s_aaaaaaaaaaaaaa::t_11111111111111 1\n  s_aaaaaaaaaaaaaa::t_22222222222222 2\n---\n" + head + `"prompts":{}}`,
			notes.Evidence{Sessions: []notes.Session{keyOnly("s_aaaaaaaaaaaaaa")}, Claims: []notes.Claim{ai("a", 0, ranges(1, 2))}},
		},
		{
			"one conversation under an old key and a new one",
			"a\n  c9883b05a2487d00 1\n  s_c9883b05a2487d::t_11111111111111 2\n---\n" + head + `"prompts":{"c9883b05a2487d00":{"agent_id":{"tool":"claude","id":"conv_abc123","model":"claude-opus-4-5-20251101"}}},` + sessions + "}",
			notes.Evidence{Sessions: []notes.Session{cl123}, Claims: []notes.Claim{ai("a", 0, ranges(1, 2))}},
		},
		{
			"words that are no models",
			"---\n" + head + `"prompts":{"aaaaaaa":{"agent_id":{"tool":"claude","id":"1","model":"<synthetic>"}},"bbbbbbb":{"agent_id":{"tool":"mock_ai","id":"2","model":"unknown"}},"ccccccc":{"agent_id":{"tool":"cursor","id":"3","model":null}}}}`,
			notes.Evidence{
				Sessions: []notes.Session{
					{ID: "1", Agent: "claude-code", Model: stemma.Model{Raw: "<synthetic>"}, Strength: told},
					{ID: "2", Agent: "mock_ai", Model: stemma.Model{Raw: "unknown"}, Strength: told},
					{ID: "3", Agent: "cursor", Strength: told},
				},
				Took: []int{0, 1, 2},
			},
		},
		{
			"quoted paths, one with a line feed, and a quote that is part of a name",
			"\"my file.txt\"\n  e61c0a4 1\n\"two\nlines.txt\"\n  e61c0a4 2\n\"half\n  e61c0a4 3\nback\\slash\n  e61c0a4 4\n---\n" + head + `"prompts":{}}`,
			notes.Evidence{
				Sessions: []notes.Session{keyOnly("e61c0a4")},
				Claims:   []notes.Claim{ai("my file.txt", 0, ranges(1, 1)), ai("two\nlines.txt", 0, ranges(2, 2)), ai("\"half", 0, ranges(3, 3)), ai("back\\slash", 0, ranges(4, 4))},
			},
		},
		{
			"line ends of Windows",
			"a\r\n  e61c0a4 1-2\r\n---\r\n" + head + `"prompts":{}}` + "\r\n",
			notes.Evidence{Sessions: []notes.Session{keyOnly("e61c0a4")}, Claims: []notes.Claim{ai("a", 0, ranges(1, 2))}},
		},
		{
			"a path with dashes is no divider",
			"---x\n  e61c0a4 1\nb---\n  e61c0a4 2\n---\n" + head + `"prompts":{}}`,
			notes.Evidence{Sessions: []notes.Session{keyOnly("e61c0a4")}, Claims: []notes.Claim{ai("---x", 0, ranges(1, 1)), ai("b---", 0, ranges(2, 2))}},
		},
		{
			"hostile ranges",
			"a\n  e61c0a4 0,5-3,0-2,x,7-,-7,4294967296,99999999999999999999,10-2147483647,1 2\n---\n" + head + `"prompts":{}}`,
			notes.Evidence{
				Sessions: []notes.Session{keyOnly("e61c0a4")},
				Claims:   []notes.Claim{ai("a", 0, ranges(1, 2, 10, 2147483647))},
				Problems: []string{
					`git-ai note: a at byte 12: range "0" has no lines: they are counted from 1`,
					`git-ai note: a at byte 14: range "5-3" is reversed`,
					`git-ai note: a at byte 18: range "0-2" begins at 0, read from 1 on`,
					`git-ai note: a at byte 22: range "x" is no range of lines`,
					`git-ai note: a at byte 24: range "7-" is no range of lines`,
					`git-ai note: a at byte 27: range "-7" is no range of lines`,
					`git-ai note: a at byte 30: range "4294967296" is no range of lines`,
					`git-ai note: a at byte 41: range "99999999999999999999" is no range of lines`,
					`git-ai note: a at byte 76: range "1 2" is no range of lines`,
				},
			},
		},
		{
			"damaged lines",
			"  e61c0a4 1\na\n  e61c0a4\n  nonsense 1\n  e61c0a4 2\na\n  e61c0a4 3\n---\n" + head + `"prompts":{}}`,
			notes.Evidence{
				Sessions: []notes.Session{keyOnly("e61c0a4")},
				Claims:   []notes.Claim{ai("a", 0, ranges(2, 3))},
				Problems: []string{
					`git-ai note: attestations at byte 0: an entry before the first path`,
					`git-ai note: a at byte 16: an entry without lines`,
					`git-ai note: a at byte 26: key "nonsense" is of no known kind`,
					`git-ai note: a at byte 49: a second block for this path, read as part of the first`,
				},
			},
		},
		{
			"metadata that breaks off keeps what was told before",
			"a\n  s_c9883b05a2487d::t_11111111111111 1\n  s_bbbbbbbbbbbbbb::t_11111111111111 2\n---\n" + head + sessions[:len(sessions)-1] + `,"s_bbbbbbbbbbbbbb":{"agent_id":{"tool":"cl`,
			notes.Evidence{
				Sessions: []notes.Session{cl123, keyOnly("s_bbbbbbbbbbbbbb")},
				Claims:   []notes.Claim{ai("a", 0, ranges(1, 1)), ai("a", 1, ranges(2, 2))},
				Problems: []string{`git-ai note: metadata.sessions.s_bbbbbbbbbbbbbb.agent_id.tool at byte 425: ends inside the string that begins at byte 422`},
			},
		},
		{
			"a note that ends before its metadata",
			"a\n  e61c0a4 1-3\n",
			notes.Evidence{
				Sessions: []notes.Session{keyOnly("e61c0a4")}, Claims: []notes.Claim{ai("a", 0, ranges(1, 3))},
				Problems: []string{`git-ai note: metadata at byte 16: ends before the line "---"`},
			},
		},
		{
			"two notes that were joined",
			"---\n" + head + `"prompts":{}}` + "\nb\n  e61c0a4 1\n---\n{}",
			notes.Evidence{Problems: []string{`git-ai note: metadata at byte 141: 20 bytes after the end are not read`}},
		},
		{
			"a schema of tomorrow, and values of the wrong type",
			"---\n" + `{"schema_version":"authorship/4.0.0","prompts":{"aaaaaaa":5,"bbbbbbb":{"agent_id":{"tool":[1],"id":"x","model":{"a":[{}]}}}},"sessions":[],"new":[{"x":[1,2.5e3,true]}]}`,
			notes.Evidence{
				Sessions: []notes.Session{{ID: "x", Strength: told}}, Took: []int{0},
				Problems: []string{
					`git-ai note: prompts.aaaaaaa at byte 62: no object`,
					`git-ai note: sessions at byte 140: no object`,
					`git-ai note: metadata.schema_version at byte 4: "authorship/4.0.0" is not known, read as authorship/3.0.0`,
				},
			},
		},
		{
			"no schema named",
			"---\n{\"sessions\":null}",
			notes.Evidence{Problems: []string{`git-ai note: metadata.schema_version at byte 4: missing, read as authorship/3.0.0`}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Source{}.Decode("7734793b756b3921c88db5375a8c156e9532447b", []byte(tt.note))
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Source, tt.want.Whole = "git-ai", -1
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("evidence (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeBlobOfFirstVersions(t *testing.T) {
	blob := `{"files":{"b.yml":{"file":"b.yml","authors":[{"author":"Claude","lines":[22,[30, 41]],"agent_metadata":null},{"author":"Ada Lovelace","lines":[1],"agent_metadata":null}]},
	"a.rs":{"file":"a.rs","authors":[{"author":"o3","lines":[[1,9]]},{"author":"My Tool","lines":[[4,5],[9,8],[1],0],"agent_metadata":{"model":"gpt-5","human_author":"x"}},{"lines":[7]}]}},"schema_version":"authorship/0.0.1"}`
	got, err := Source{}.Decode("", []byte(blob))
	if err != nil {
		t.Fatal(err)
	}
	old := declared(methodBlob)
	want := notes.Evidence{
		Source: "git-ai", Whole: -1,
		Sessions: []notes.Session{
			{Agent: "claude-code", Strength: old},
			{Model: stemma.ParseModel("o3"), Strength: old},
			{Agent: "my-tool", Model: gpt, Strength: old},
		},
		Claims: []notes.Claim{
			{Path: "b.yml", Ranges: ranges(22, 22, 30, 41), Class: stemma.ClassAI, Session: 0, Strength: old},
			{Path: "b.yml", Ranges: ranges(1, 1), Class: stemma.ClassHuman, Session: -1, Person: "h_76740216171591", Strength: inferredHuman(methodBlob)},
			{Path: "a.rs", Ranges: ranges(2, 3, 6, 9), Class: stemma.ClassAI, Session: 1, Strength: old},
			{Path: "a.rs", Ranges: ranges(1, 1, 4, 5), Class: stemma.ClassAI, Session: 2, Strength: old},
		},
		Problems: []string{
			`git-ai note: a.rs at byte 273: range "9-8" is reversed`,
			`git-ai note: a.rs at byte 283: range "0" has no lines: they are counted from 1`,
			`git-ai note: a.rs at byte 341: lines without an author`,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("evidence (-want +got):\n%s", diff)
	}
}

func TestDecodeNothing(t *testing.T) {
	for _, tt := range []struct{ name, note, path, reason string }{
		{"empty", "", "", "empty"},
		{"white space", " \n\r\n", "", "empty"},
		{"prose", "reviewed, looks good\n", "metadata", `ends before the line "---"`},
		{"cut in the divider", "--", "metadata", `ends before the line "---"`},
		{"no metadata", "---\n", "metadata", "ends where a value is expected"},
		{"metadata that is no JSON", "---\nhello: world", "metadata", "no object"},
		{"JSON of something else", `{"hello":1}`, "", "no authorship log: neither files nor sessions"},
		{"truncated JSON", `{"files":{"a":{"auth`, "files.a", "ends inside the string that begins at byte 15"},
		{"deep JSON", "---\n{\"x\":" + strings.Repeat("[", 600), "metadata.x", "more than 512 levels deep"},
		{"crossed brackets", "---\n{\"x\":[}", "metadata.x", `'}' where ']' is expected`},
		{"too long", strings.Repeat("\n", notes.MaxNote+1), "", "longer than 67108864 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Source{}.Decode("", []byte(tt.note))
			var d *notes.DecodeError
			if !errors.As(err, &d) || !errors.Is(err, stemma.ErrInvalid) {
				t.Fatalf("error = %v, want a *notes.DecodeError that is ErrInvalid", err)
			}
			if d.Reason != tt.reason || d.Path != tt.path {
				t.Errorf("error = %q at path %q, want %q at %q", d.Reason, d.Path, tt.reason, tt.path)
			}
		})
	}
}

func TestDecodeLimits(t *testing.T) {
	var many strings.Builder
	many.WriteString("a\n")
	for i := range 60 {
		fmt.Fprintf(&many, "  e61c0a4 %d-x\n", i)
	}
	many.WriteString("  e61c0a4 1\n---\n" + head + `"prompts":{}}`)
	got, err := Source{}.Decode("", []byte(many.String()))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got.Problems); n != maxProblems+1 || got.Problems[maxProblems] != "git-ai note: 10 more problems" {
		t.Errorf("%d problems, the last %q, want %d and the count of the others", n, got.Problems[n-1], maxProblems+1)
	}

	huge := "a\n  e61c0a4 " + strings.Repeat("7,", maxRanges) + "9\n  e61c0a4 10\n---\n" + head + `"prompts":{}}`
	got, err = Source{}.Decode("", []byte(huge))
	if err != nil {
		t.Fatal(err)
	}
	want := []notes.Claim{ai("a", 0, ranges(7, 7))}
	if diff := cmp.Diff(want, got.Claims); diff != "" || len(got.Problems) != 2 {
		t.Errorf("claims (-want +got):\n%s\nproblems %q, want the ranges and the entry that were not read", diff, got.Problems)
	}

	long := "a\n  s_" + strings.Repeat("x", maxID) + " 1\n" + strings.Repeat("p", maxPath+1) + "\n  e61c0a4 1\n---\n" +
		head + `"prompts":{"e61c0a4":{"agent_id":{"tool":"` + strings.Repeat("t", 1<<20) + `","id":"` + strings.Repeat("i", 1<<20) + `","model":"` + strings.Repeat("m", 1<<20) + `"}}}}`
	got, err = Source{}.Decode("", []byte(long))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]notes.Session{keyOnly("e61c0a4")}, got.Sessions); diff != "" || len(got.Claims) != 0 || len(got.Problems) != 4 {
		t.Errorf("sessions (-want +got):\n%s\nclaims %v, problems %q, want none and 4", diff, got.Claims, got.Problems)
	}
	for _, p := range got.Problems {
		if len(p) > 300 {
			t.Errorf("a problem of %d bytes", len(p))
		}
	}
}

// TestDecodeStaysQuick holds notes that were slow once, or could be.
func TestDecodeStaysQuick(t *testing.T) {
	var nested strings.Builder
	nested.WriteString("a\n")
	for i := range 100_000 {
		fmt.Fprintf(&nested, "  %016x %d-%d\n", i, i+1, 1_000_000-i)
	}
	for _, tt := range []struct{ name, note string }{
		{"quotes that nothing closes", strings.Repeat("\"a\n", 3<<20)},
		{"ranges within ranges", nested.String()},
		{"escaped quotes", "---\n{\"a\":\"" + strings.Repeat("\\\"", 4<<20)},
		{"backslashes", "---\n{\"a\":\"" + strings.Repeat("\\", 8<<20) + "\"}"},
		{"ranges that are none", "a\n" + strings.Repeat("  e61c0a4 x,x,x,x\n", 1<<19)},
	} {
		start := time.Now()
		if got, err := (Source{}).Decode("", []byte(tt.note)); err == nil {
			checkBounds(t, got)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s: %d bytes took %v, want well under a second", tt.name, len(tt.note), took)
		}
	}
}

func TestPrompts(t *testing.T) {
	note := "a\n  e61c0a4 1\n---\n" + head + `"prompts":{"e61c0a4":{"messages":[
		{"type":"user","text":"make it \"so\"\n","timestamp":"2026-01-02T03:04:05Z"},
		{"type":"thinking","text":"hm"},
		{"type":"tool_use","name":"Edit","input":{"a":[1,"}"]},"timestamp":"2026-01-02T03:04:06Z"},
		{"type":"assistant","text":"done"}],
		"agent_id":{"tool":"claude","id":"conv","model":"x"}},"fffffff":{"agent_id":{"tool":"cursor","id":"none","model":"x"},"messages":null}},
		"sessions":{"s_1":{"agent_id":{"tool":"codex"},"messages":[{"type":"user","text":"hi"}],"messages_url":"https://example.com"}}}`
	got, err := Source{}.Prompts([]byte(note))
	if err != nil {
		t.Fatal(err)
	}
	want := []notes.Prompt{
		{Session: "conv", Agent: "claude-code", Role: "user", Text: "make it \"so\"\n", Time: "2026-01-02T03:04:05Z"},
		{Session: "conv", Agent: "claude-code", Role: "assistant", Text: "hm"},
		{Session: "conv", Agent: "claude-code", Role: "tool", Text: "Edit\n{\"a\":[1,\"}\"]}", Time: "2026-01-02T03:04:06Z"},
		{Session: "conv", Agent: "claude-code", Role: "assistant", Text: "done"},
		{Session: "s_1", Agent: "codex", Role: "user", Text: "hi"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("prompts (-want +got):\n%s", diff)
	}

	cut := strings.Index(note, `"done"`)
	got, err = Source{}.Prompts([]byte(note[:cut]))
	if !errors.Is(err, stemma.ErrInvalid) || len(got) != 3 {
		t.Errorf("of a truncated note: %d prompts, error %v, want 3 and ErrInvalid", len(got), err)
	}
	if got, err := (Source{}).Prompts([]byte("---\n" + head + prompts[:11] + "}}")); err != nil || len(got) != 0 {
		t.Errorf("of a note without messages: %v, %v, want none", got, err)
	}
}

// TestDecodeDoesNotBuildMessages holds what keeps hundreds of megabytes of old
// notes quick to read: memory follows the facts, not the conversations.
func TestDecodeDoesNotBuildMessages(t *testing.T) {
	small, large := embedded(1), embedded(2000)
	few := testing.AllocsPerRun(5, func() { mustDecode(t, small) })
	many := testing.AllocsPerRun(5, func() { mustDecode(t, large) })
	if many > few+1 {
		t.Errorf("a note of %d bytes needs %.0f allocations, one of %d bytes %.0f, want the same", len(large), many, len(small), few)
	}
}

func mustDecode(tb testing.TB, note []byte) notes.Evidence {
	tb.Helper()
	got, err := Source{}.Decode("", note)
	if err != nil || len(got.Problems) > 0 {
		tb.Fatalf("error %v, problems %q", err, got.Problems)
	}
	return got
}

// embedded makes a note as git-ai 1.0 wrote them, with n rounds of messages.
func embedded(n int) []byte {
	round := `{"type": "user", "text": "please \"fix\" the\nthing in C:\\src", "timestamp": "2026-01-02T03:04:05Z"},
        {"type": "tool_use", "name": "Edit", "input": {"file_path": "src/main.rs", "old_string": "` + strings.Repeat("let x = \\\"1\\\";\\n", 20) + `"}},
        {"type": "assistant", "text": "` + strings.Repeat("All done and well tested. ", 12) + `"}`
	messages := strings.TrimSuffix(strings.Repeat(round+",", n), ",")
	messages = strings.ReplaceAll(messages, "the\nthing", `the\nthing`)
	return []byte("src/main.rs\n  e61c0a4 1-4,9-10,12\n---\n" + head + `"prompts":{"e61c0a4":{"agent_id":{"tool":"claude","id":"conv","model":"claude-opus-4-6"},"messages":[` + messages + `]}}}`)
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{0, 10, 2000} {
		note := embedded(n)
		b.Run(fmt.Sprintf("%dkB", len(note)>>10), func(b *testing.B) {
			b.SetBytes(int64(len(note)))
			b.ReportAllocs()
			for b.Loop() {
				mustDecode(b, note)
			}
		})
	}
}
