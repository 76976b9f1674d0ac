package whogitit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/notes"
)

var (
	opus = stemma.Model{Provider: "anthropic", ID: "claude-opus-4-5-20251101", Exact: true, Raw: "claude-opus-4-5-20251101"}
	one  = notes.Session{ID: "7f3a4b2c-9d1e-4a7b-83d4-e5f6a7b8c9d0", Agent: "claude-code", Model: opus, Strength: told("v3", 1), ModelStrength: byDefault}
	// byDefault is what a note that names the model which whogitit writes anyway
	// says of the model.
	byDefault = stemma.Strength{Tier: stemma.TierClaimed, Assertion: stemma.Inferred, Method: "whogitit's default for a model", Confidence: 0.2}
)

// session is that of one, as a note has it.
const session = `"session":{"session_id":"7f3a4b2c-9d1e-4a7b-83d4-e5f6a7b8c9d0","model":{"id":"claude-opus-4-5-20251101","provider":"anthropic"},"started_at":"2026-01-30T14:23:17Z","prompt_count":2,"used_plan_mode":false,"subagent_count":0}`

func told(version string, confidence float64) stemma.Strength {
	return stemma.Strength{Tier: stemma.TierClaimed, Assertion: stemma.Declared, Method: strings.TrimSpace("whogitit note " + version), Confidence: confidence}
}

func ranges(pairs ...int) []notes.Range {
	var r []notes.Range
	for i := 0; i < len(pairs); i += 2 {
		r = append(r, notes.Range{Start: pairs[i], End: pairs[i+1]})
	}
	return r
}

func claim(path string, class stemma.Class, confidence float64, r []notes.Range) notes.Claim {
	c := notes.Claim{Path: path, Ranges: r, Class: class, Strength: told("v3", confidence)}
	if class == stemma.ClassHuman {
		c.Session = -1
	}
	return c
}

// note makes a note of version 3 with the given records of files.
func note(files ...string) string {
	return `{"version":3,` + session + `,"prompts":[],"files":[` + strings.Join(files, ",") + `]}`
}

// lines makes a record of a file from items such as "7 AI" and "8 Human 0.9".
func lines(path string, items ...string) string {
	var out []string
	for _, item := range items {
		word := strings.Fields(item)
		confidence := "1.0"
		if len(word) == 3 {
			confidence = word[2]
		}
		source := fmt.Sprintf(`{"type":%q}`, word[1])
		if strings.HasPrefix(word[1], "AI") {
			source = fmt.Sprintf(`{"type":%q,"edit_id":"e1","similarity":0.5}`, word[1])
		}
		out = append(out, fmt.Sprintf(`{"line_number":%s,"content":"secret \"}],[{\" %s","source":%s,"edit_id":null,"prompt_index":null,"confidence":%s}`, word[0], word[0], source, confidence))
	}
	return fmt.Sprintf(`{"path":%q,"lines":[%s],"summary":{"total_lines":%d,"ai_lines":0}}`, path, strings.Join(out, ","), len(items))
}

// pretty is a note as whogitit 0.1 wrote them: schema 2, indented.
const pretty = `{
  "version": 2,
  "session": {
    "session_id": "2b1d6f0e-5a3c-4f7b-9c8d-1e2f3a4b5c6d",
    "model": {
      "id": "claude-opus-4-5-20251101",
      "provider": "anthropic"
    },
    "started_at": "2026-01-31T21:44:10.227218+00:00",
    "prompt_count": 2
  },
  "prompts": [
    {
      "index": 0,
      "text": "\"Greet the world,\\nthen each guest.\"",
      "timestamp": "2026-01-31T21:44:10.301+00:00",
      "affected_files": ["src/greet.rs"]
    },
    {
      "index": 3,
      "text": "AI-assisted code change",
      "timestamp": "2026-01-31T21:46:00.5+00:00",
      "affected_files": []
    }
  ],
  "files": [
    {
      "path": "src/greet.rs",
      "lines": [
        {
          "line_number": 1,
          "content": "use std::env;",
          "source": {
            "type": "Original"
          },
          "edit_id": null,
          "prompt_index": null,
          "confidence": 1.0
        },
        {
          "line_number": 2,
          "content": "fn main() {",
          "source": {
            "type": "AI",
            "edit_id": "8f5c3d6a-4f95-4fa9-8d11-2d54f12e6f01"
          },
          "edit_id": "8f5c3d6a-4f95-4fa9-8d11-2d54f12e6f01",
          "prompt_index": 0,
          "confidence": 1.0
        },
        {
          "line_number": 3,
          "content": "    println!(\"{}\", \"hello\\tworld\");",
          "source": {
            "type": "AI",
            "edit_id": "8f5c3d6a-4f95-4fa9-8d11-2d54f12e6f01"
          },
          "edit_id": "8f5c3d6a-4f95-4fa9-8d11-2d54f12e6f01",
          "prompt_index": 0,
          "confidence": 1.0
        },
        {
          "line_number": 4,
          "content": "    for guest in env::args().skip(1) {",
          "source": {
            "type": "AIModified",
            "edit_id": "8f5c3d6a-4f95-4fa9-8d11-2d54f12e6f01",
            "similarity": 0.7234042553191489
          },
          "edit_id": "8f5c3d6a-4f95-4fa9-8d11-2d54f12e6f01",
          "prompt_index": 0,
          "confidence": 0.7234042553191489
        },
        {
          "line_number": 5,
          "content": "        greet(&guest); // ja, \u00e9\u00e9n voor \u00e9\u00e9n",
          "source": {
            "type": "Human"
          },
          "edit_id": null,
          "prompt_index": null,
          "confidence": 0.9
        },
        {
          "line_number": 6,
          "content": "    }",
          "source": {
            "type": "AI",
            "edit_id": "8f5c3d6a-4f95-4fa9-8d11-2d54f12e6f01"
          },
          "edit_id": "8f5c3d6a-4f95-4fa9-8d11-2d54f12e6f01",
          "prompt_index": 0,
          "confidence": 1.0
        },
        {
          "line_number": 7,
          "content": "}",
          "source": {
            "type": "Unknown"
          },
          "edit_id": null,
          "prompt_index": null,
          "confidence": 0.0
        }
      ],
      "summary": {
        "total_lines": 7,
        "ai_lines": 3,
        "ai_modified_lines": 1,
        "human_lines": 1,
        "original_lines": 1,
        "unknown_lines": 1
      }
    }
  ]
}`

// prettyEvidence is what pretty says.
func prettyEvidence() notes.Evidence {
	two := told("v2", 1)
	return notes.Evidence{
		Source: "whogitit", Whole: -1,
		Sessions: []notes.Session{{ID: "2b1d6f0e-5a3c-4f7b-9c8d-1e2f3a4b5c6d", Agent: "claude-code", Model: opus, Strength: two, ModelStrength: byDefault}},
		Claims: []notes.Claim{
			{Path: "src/greet.rs", Ranges: ranges(2, 3, 6, 6), Class: stemma.ClassAI, Strength: two},
			{Path: "src/greet.rs", Ranges: ranges(4, 4), Class: stemma.ClassAIEdited, Strength: told("v2", 0.7234042553191489)},
			{Path: "src/greet.rs", Ranges: ranges(5, 5), Class: stemma.ClassHuman, Session: -1, Strength: told("v2", 0.9)},
		},
	}
}

func TestSource(t *testing.T) {
	s := Source{}
	if got := s.Name(); got != "whogitit" {
		t.Errorf("Name() = %q", got)
	}
	if got, want := s.NotesRefs(), []string{"refs/notes/whogitit"}; !slices.Equal(got, want) {
		t.Errorf("NotesRefs() = %q, want %q", got, want)
	}
	if got := s.RefPrefixes(); len(got) != 0 {
		t.Errorf("RefPrefixes() = %q, want none", got)
	}
	if key, known := stemma.ParseAgent(agent()); key != "claude-code" || !known {
		t.Errorf("agent() = %q, known %v, want claude-code", key, known)
	}
}

func TestDecode(t *testing.T) {
	ai, edited, human := stemma.ClassAI, stemma.ClassAIEdited, stemma.ClassHuman
	with := func(claims ...notes.Claim) notes.Evidence {
		return notes.Evidence{Sessions: []notes.Session{one}, Claims: claims}
	}
	took := func(s notes.Session, problems ...string) notes.Evidence {
		return notes.Evidence{Sessions: []notes.Session{s}, Took: []int{0}, Problems: problems}
	}
	model := func(id, provider string) string {
		return fmt.Sprintf(`{"version":3,"session":{"session_id":"s","model":{"id":%q,"provider":%q}},"files":[]}`, id, provider)
	}
	ran := func(m stemma.Model) notes.Evidence {
		return took(notes.Session{ID: "s", Agent: "claude-code", Model: m, Strength: told("v3", 1)})
	}
	for _, tt := range []struct {
		name, note string
		want       notes.Evidence
	}{
		{"schema 2, indented", pretty, prettyEvidence()},
		{
			"lines of one owner become ranges, those of other confidence another claim",
			note(lines("a", "1 Original", "2 AI", "3 AI", "4 AIModified 0.75", "5 AIModified 0.75", "6 AIModified 0.8", "7 Human 0.9", "8 Unknown 0.0", "9 AI"), lines("b/c.go", "1 Human 0.9")),
			with(claim("a", ai, 1, ranges(2, 3, 9, 9)), claim("a", edited, 0.75, ranges(4, 5)), claim("a", edited, 0.8, ranges(6, 6)), claim("a", human, 0.9, ranges(7, 7)), claim("b/c.go", human, 0.9, ranges(1, 1))),
		},
		{"a session that wrote no line", note(lines("a", "1 Original", "2 Human 0.9")), notes.Evidence{
			Sessions: []notes.Session{one}, Took: []int{0}, Claims: []notes.Claim{claim("a", human, 0.9, ranges(2, 2))},
		}},
		{"no files", note(), took(one)},
		{"a byte order mark, white space, members in another order", "\xef\xbb\xbf \r\n" + `{"files":[{"summary":{},"lines":[{"source":{"edit_id":"AI","type":"AI"},"line_number":4}],"path":"a"}],` + session + ",\t\"version\" : 3 } \n", with(claim("a", ai, 1, ranges(4, 4)))},
		{"names with quotes, line feeds and other letters", note(lines("a \"b\"\nc", "1 AI"), `{"path":"\u00e9\ud83d\ude00\\","lines":[{"line_number":1,"source":{"type":"AI"}}]}`), with(claim("a \"b\"\nc", ai, 1, ranges(1, 1)), claim("é😀\\", ai, 1, ranges(1, 1)))},
		{"the same line twice, out of order", note(lines("a", "5 AI", "4 AI", "4 AI", "5 AI")), with(claim("a", ai, 1, ranges(4, 5)))},
		{"the first word on a line holds, in either direction", note(lines("a", "3 AI", "1 Original", "1 AI", "2 AI", "2 Human 0.9", "3 Original")), notes.Evidence{
			Sessions: []notes.Session{one}, Claims: []notes.Claim{claim("a", ai, 1, ranges(2, 3))},
			Problems: []string{
				`whogitit note: a at byte 259: line 1 is given twice, the first holds`,
				`whogitit note: a at byte 259: line 2 is given twice, the first holds`,
				`whogitit note: a at byte 259: line 3 is given twice, the first holds`,
			},
		}},
		{"a path twice", note(lines("a", "1 AI"), lines("a", "1 Human 0.9", "2 AI")), notes.Evidence{
			Sessions: []notes.Session{one}, Claims: []notes.Claim{claim("a", ai, 1, ranges(1, 1))},
			Problems: []string{`whogitit note: a at byte 479: a second record of this path is not read`},
		}},
		{
			"confidence that is none", note(lines("a", "1 AI 0", "2 AI 1.5", "3 AI -0.5", "4 AI null", "5 AI \"high\"", "6 AI true", "7 AI 1e999", "8 AI 1e-3")),
			notes.Evidence{
				Sessions: []notes.Session{one}, Claims: []notes.Claim{claim("a", ai, 1, ranges(1, 7)), claim("a", ai, 0.001, ranges(8, 8))},
				Problems: []string{
					`whogitit note: a at byte 280: confidence "0" is not between 0 and 1, read as 1`,
					`whogitit note: a at byte 434: confidence "1.5" is not between 0 and 1, read as 1`,
					`whogitit note: a at byte 590: confidence "-0.5" is not between 0 and 1, read as 1`,
					`whogitit note: a at byte 1063: confidence "true" is not between 0 and 1, read as 1`,
					`whogitit note: a at byte 1220: confidence "1e999" is not between 0 and 1, read as 1`,
				},
			},
		},
		{
			"hostile lines",
			note(`{"path":"a","lines":[{"line_number":0,"source":{"type":"AI"}},{"line_number":-1,"source":{"type":"AI"}},{"line_number":4294967296,"source":{"type":"AI"}},{"line_number":1.0,"source":{"type":"AI"}},{"source":{"type":"AI"}},{"line_number":"1","source":{"type":"AI"}},7,{"line_number":2,"source":{"type":"Robot"}},{"line_number":3,"source":"AI"},{"line_number":2147483647,"source":{"type":"AI"}}]}`),
			notes.Evidence{
				Sessions: []notes.Session{one}, Claims: []notes.Claim{claim("a", ai, 1, ranges(2147483647, 2147483647))},
				Problems: []string{
					`whogitit note: a at byte 280: line number "0" is none`,
					`whogitit note: a at byte 321: line number "-1" is none`,
					`whogitit note: a at byte 363: line number "4294967296" is none`,
					`whogitit note: a at byte 413: line number "1.0" is none`,
					`whogitit note: a at byte 456: line number "" is none`,
					`whogitit note: a at byte 481: line number "" is none`,
					`whogitit note: a at byte 524: a line that is no object`,
					`whogitit note: a at byte 526: line 2: source "Robot" is not known`,
					`whogitit note: a at byte 570: line 3: source "" is not known`,
				},
			},
		},
		{"files that are none", note(`5`, `{"lines":[{"line_number":1,"source":{"type":"AI"}}]}`, `{"path":"a"}`, `{"path":"b","lines":{}}`), took(
			one,
			`whogitit note: files at byte 259: no object`,
			`whogitit note: files at byte 261: a file without a path`,
		)},
		{"a session twice", `{"version":3,` + session + `,"session":{"session_id":"x"},"files":[]}`, took(one, `whogitit note: session at byte 247: a second one is not read`)},
		{"lines without a session", `{"version":3,"session":null,"files":[` + lines("a", "1 AI") + `]}`, notes.Evidence{
			Sessions: []notes.Session{{Agent: "claude-code", Strength: told("v3", 1)}}, Claims: []notes.Claim{claim("a", ai, 1, ranges(1, 1))},
			Problems: []string{`whogitit note: session at byte 0: missing`},
		}},
		{"the note by hand of whogitit's documentation", `{"version":3,"session":{"session_id":"unknown","model":{"id":"unknown","provider":"unknown"},"started_at":"1970-01-01T00:00:00Z","prompt_count":0},"prompts":[],"files":[]}`, notes.Evidence{}},
		{"a schema of tomorrow", `{"version":4,"session":{"session_id":"s","new":[{}]},"files":[],"x":1}`, took(
			notes.Session{ID: "s", Agent: "claude-code", Strength: told("v4", 1)}, `whogitit note: version at byte 11: 4 is not known, read as 3`,
		)},
		{"a schema that was never released", `{"version":1,"session":{"session_id":"s"},"files":[]}`, took(
			notes.Session{ID: "s", Agent: "claude-code", Strength: told("v1", 1)}, `whogitit note: version at byte 11: 1 is not known, read as 3`,
		)},
		{"no schema named", `{"session":{"session_id":"s"}}`, took(
			notes.Session{ID: "s", Agent: "claude-code", Strength: told("", 1)}, `whogitit note: version at byte 0: missing, read as 3`,
		)},
		{"a schema that is no number", `{"version":"3","session":{"session_id":"s"}}`, took(
			notes.Session{ID: "s", Agent: "claude-code", Strength: told("", 1)},
			`whogitit note: version at byte 11: no version: "\"3\""`, `whogitit note: version at byte 0: missing, read as 3`,
		)},
		{"a note that breaks off keeps the lines that were read before", note(lines("a", "1 AI", "2 Human 0.9", "3 AI"))[:670], notes.Evidence{
			Sessions: []notes.Session{one}, Claims: []notes.Claim{claim("a", ai, 1, ranges(1, 1)), claim("a", human, 0.9, ranges(2, 2))},
			Problems: []string{`whogitit note: files.[0].lines.[2] at byte 670: ends inside the string that begins at byte 666`},
		}},
		{"two notes that were joined", note(lines("a", "1 AI")) + "\n\n" + note(lines("a", "2 AI")), notes.Evidence{
			Sessions: []notes.Session{one}, Claims: []notes.Claim{claim("a", ai, 1, ranges(1, 1))},
			Problems: []string{`whogitit note: byte 482: 480 bytes after the end are not read`},
		}},
		{"the stated provider helps where the name does not tell", model("house-model-7", "Anthropic"), ran(stemma.Model{Provider: "anthropic", ID: "house-model-7", Exact: true, Raw: "house-model-7"})},
		{"the name is a better word than the stated provider", model("gpt-5", "anthropic"), ran(stemma.ParseModel("gpt-5"))},
		{"a provider that is none", model("house-model-7", "a b\n"), ran(stemma.ParseModel("house-model-7"))},
		{"a word that is no model", model("unknown", "anthropic"), ran(stemma.Model{Raw: "unknown"})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Source{}.Decode("7734793b756b3921c88db5375a8c156e9532447b", []byte(tt.note))
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Source, tt.want.Whole = "whogitit", -1
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("evidence (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeNothing(t *testing.T) {
	for _, tt := range []struct{ name, note, path, reason string }{
		{"empty", "", "", "empty"},
		{"white space", " \n\r\n", "", "empty"},
		{"a byte order mark", "\xef\xbb\xbf", "", "empty"},
		{"prose", "reviewed, looks good\n", "", "no JSON object"},
		{"a note of git-ai", "a\n  e61c0a4 1\n---\n{}", "", "no JSON object"},
		{"an array", "[]", "", "no JSON object"},
		{"a NUL", "\x00", "", "no JSON object"},
		{"JSON of something else", `{"hello":1}`, "", "no attribution: neither session nor files"},
		{"members of other types", `{"session":[],"files":{}}`, "", "no attribution: neither session nor files"},
		{"a brace", "{", "", `ends where '"' is expected`},
		{"truncated in the session", `{"version":3,"session":{"session_id":"7f`, "session.session_id", "ends inside the string that begins at byte 37"},
		{"truncated in a line", `{"files":[{"path":"a","lines":[{"line_num`, "files.[0].lines.[0]", "ends inside the string that begins at byte 32"},
		{"no comma", `{"version":3 "session":{}}`, "", `'"' where ',' is expected`},
		{"a broken escape", `{"session":{"session_id":"\x"}}`, "session.session_id", "a string with a broken escape"},
		{"deep JSON", `{"x":` + strings.Repeat("[", 600), "x", "more than 512 levels deep"},
		{"crossed brackets", `{"x":[}`, "x", `'}' where ']' is expected`},
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

// TestDecodeTruncated cuts a note at every byte: what was read before stands,
// no more is claimed than by the whole note, and the cut is told.
func TestDecodeTruncated(t *testing.T) {
	for _, whole := range []string{pretty, note(lines("a", "1 Original", "2 AI", "3 AIModified 0.8"), lines("b", "1 Human 0.9", "2 AI"))} {
		want := owners(mustDecode(t, []byte(whole)))
		prompts, err := Source{}.Prompts([]byte(whole))
		if err != nil {
			t.Fatal(err)
		}
		claimed, errs, asked := 0, 0, 0
		for cut := range len(whole) {
			got, err := Source{}.Decode("", []byte(whole[:cut]))
			var d *notes.DecodeError
			switch {
			case errors.As(err, &d):
				if errs++; errs != cut+1 {
					t.Errorf("cut at %d: error %v, but less could be read", cut, err)
				}
				if d.Offset > int64(cut) {
					t.Errorf("cut at %d: error at %d", cut, d.Offset)
				}
			case err != nil:
				t.Errorf("cut at %d: error %v is no *notes.DecodeError", cut, err)
			case len(got.Problems) == 0:
				t.Errorf("cut at %d: no word of it", cut)
			}
			checkEvidence(t, got)
			for line, o := range owners(got) {
				if want[line] != o {
					t.Errorf("cut at %d: %v is %v, want %v", cut, line, o, want[line])
				}
			}
			if n := len(owners(got)); n < claimed {
				t.Errorf("cut at %d: %d lines, %d were read of less", cut, n, claimed)
			} else {
				claimed = n
			}

			said, err := Source{}.Prompts([]byte(whole[:cut]))
			if !errors.Is(err, stemma.ErrInvalid) {
				t.Errorf("cut at %d: prompts: error %v, want ErrInvalid", cut, err)
			}
			if len(said) < asked || len(said) > len(prompts) {
				t.Fatalf("cut at %d: %d prompts, %d of less, %d of all", cut, len(said), asked, len(prompts))
			}
			asked = len(said)
			if !slices.Equal(said, prompts[:asked]) {
				t.Errorf("cut at %d: prompts %+v, want %+v", cut, said, prompts[:asked])
			}
		}
		if claimed != len(want) || asked != len(prompts) || errs == 0 {
			t.Errorf("without its end: %d lines, %d prompts, %d cuts that leave nothing; want %d, %d and some", claimed, asked, errs, len(want), len(prompts))
		}
	}
}

// owners gives what evidence says of each line.
func owners(e notes.Evidence) map[string]owner {
	all := make(map[string]owner)
	for _, c := range e.Claims {
		for _, r := range c.Ranges {
			for n := r.Start; n <= r.End; n++ {
				all[fmt.Sprintf("%s:%d", c.Path, n)] = owner{c.Class, c.Strength.Confidence}
			}
		}
	}
	return all
}

// TestDecodeKeepsNoContent holds that no line of code and no prompt goes
// further than here, also not in what is said of a note that broke off.
func TestDecodeKeepsNoContent(t *testing.T) {
	text := strings.Replace(note(lines("a", "1 AI", "2 Robot", "0 AI", "3 AI 7")), `"prompts":[]`, `"prompts":[{"index":0,"text":"secret wish"}]`, 1)
	for cut := range len(text) + 1 {
		got, err := Source{}.Decode("", []byte(text[:cut]))
		told, merr := json.Marshal(got)
		if merr != nil {
			t.Fatal(merr)
		}
		if bytes.Contains(told, []byte("secret")) || err != nil && strings.Contains(err.Error(), "secret") {
			t.Fatalf("cut at %d: %s, error %v", cut, told, err)
		}
	}
}

func TestDecodeLimits(t *testing.T) {
	var many []string
	for i := range 60 {
		many = append(many, fmt.Sprintf("%d Robot", i+1))
	}
	got, err := Source{}.Decode("", []byte(note(lines("a", append(many, "61 AI")...))))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got.Problems); n != maxProblems+1 || got.Problems[maxProblems] != "whogitit note: 10 more problems" {
		t.Errorf("%d problems, the last %q, want %d and the count of the others", n, got.Problems[n-1], maxProblems+1)
	}

	line := `{"line_number":7,"source":{"type":"AI"}},`
	huge := note(`{"path":"a","lines":[`+strings.Repeat(line, maxEntries)+`{"line_number":8,"source":{"type":"AI"}}]}`, lines("b", "1 AI"))
	got, err = Source{}.Decode("", []byte(huge))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]notes.Claim{claim("a", stemma.ClassAI, 1, ranges(7, 7))}, got.Claims); diff != "" || len(got.Problems) != 1 {
		t.Errorf("claims (-want +got):\n%s\nproblems %q, want that of the lines that were not read", diff, got.Problems)
	}

	files := note(strings.Repeat(`{"path":""},`, maxFiles-1)+lines("a", "1 AI"), lines("b", "1 AI"), lines("c", "1 AI"))
	got, err = Source{}.Decode("", []byte(files))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]notes.Claim{claim("a", stemma.ClassAI, 1, ranges(1, 1))}, got.Claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}

	long := strings.Repeat("x", 1<<20)
	got, err = Source{}.Decode("", []byte(`{"version":3,"session":{"session_id":"`+long+`","model":{"id":"`+long+`","provider":"`+long+`"}},"files":[`+lines(long, "1 AI")+","+
		lines("a", "1 "+long, long+" AI", "2 AI 1"+strings.Repeat("0", 1<<20))+"]}"))
	if err != nil {
		t.Fatal(err)
	}
	want := notes.Evidence{
		Source: "whogitit", Whole: -1,
		Sessions: []notes.Session{{Agent: "claude-code", Strength: told("v3", 1)}},
		Claims:   []notes.Claim{claim("a", stemma.ClassAI, 1, ranges(2, 2))},
		Problems: got.Problems,
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got.Problems) != 5 {
		t.Errorf("evidence (-want +got):\n%s\n%d problems, want 5", diff, len(got.Problems))
	}
	for _, p := range got.Problems {
		if len(p) > 300 {
			t.Errorf("a problem of %d bytes", len(p))
		}
	}
}

// TestDecodeStaysQuick holds notes that could be slow.
func TestDecodeStaysQuick(t *testing.T) {
	var backwards strings.Builder
	backwards.WriteString(`{"path":"a","lines":[`)
	for i := range 200_000 {
		fmt.Fprintf(&backwards, `{"line_number":%d,"source":{"type":"AIModified"},"confidence":0.%06d},`, 200_000-i/2, i+1)
	}
	backwards.WriteString("{}]}")
	for _, tt := range []struct{ name, note string }{
		{"lines backwards and twice, each with its own confidence", note(backwards.String())},
		{"escaped quotes", `{"x":"` + strings.Repeat(`\"`, 4<<20)},
		{"backslashes", `{"x":"` + strings.Repeat(`\`, 8<<20) + `"}`},
		{"objects that are no lines", note(`{"path":"a","lines":[` + strings.Repeat("{},", 4<<20) + "{}]}")},
		{"files that are none", note(strings.Repeat("{},", 4<<20) + "{}")},
	} {
		start := time.Now()
		if got, err := (Source{}).Decode("", []byte(tt.note)); err == nil {
			checkEvidence(t, got)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s: %d bytes took %v, want well under a second", tt.name, len(tt.note), took)
		}
	}
}

func TestPrompts(t *testing.T) {
	got, err := Source{}.Prompts([]byte(pretty))
	if err != nil {
		t.Fatal(err)
	}
	id := "2b1d6f0e-5a3c-4f7b-9c8d-1e2f3a4b5c6d"
	want := []notes.Prompt{
		{Session: id, Agent: "claude-code", Role: "user", Text: `"Greet the world,\nthen each guest."`, Time: "2026-01-31T21:44:10.301+00:00"},
		{Session: id, Agent: "claude-code", Role: "user", Text: "AI-assisted code change", Time: "2026-01-31T21:46:00.5+00:00"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("prompts (-want +got):\n%s", diff)
	}

	behind := `{"prompts":[5,{"text":"hi"},{}],"session":{"session_id":"s"},"session":{"session_id":"other"}}`
	want = []notes.Prompt{{Session: "s", Agent: "claude-code", Role: "user", Text: "hi"}, {Session: "s", Agent: "claude-code", Role: "user"}}
	if got, err := (Source{}).Prompts([]byte(behind)); err != nil || !cmp.Equal(got, want) {
		t.Errorf("before their session: %v, %v, want %v", got, err, want)
	}
	if got, err := (Source{}).Prompts([]byte(note())); err != nil || len(got) != 0 {
		t.Errorf("of a note without prompts: %v, %v, want none", got, err)
	}
	for _, text := range []string{"", "prose", strings.Repeat(" ", notes.MaxNote+1)} {
		if got, err := (Source{}).Prompts([]byte(text)); !errors.Is(err, stemma.ErrInvalid) || len(got) != 0 {
			t.Errorf("of %d bytes that are no note: %v, %v, want ErrInvalid", len(text), got, err)
		}
	}

	many := `{"prompts":[` + strings.Repeat("{},", maxPrompts) + `{"text":"one more"}]}`
	got, err = Source{}.Prompts([]byte(many))
	if !errors.Is(err, stemma.ErrInvalid) || len(got) != maxPrompts {
		t.Errorf("of too many: %d, error %v, want %d and ErrInvalid", len(got), err, maxPrompts)
	}
}

// TestDecodeDoesNotBuildContent holds what keeps large notes quick to read:
// memory follows the ranges, not the text of the lines.
func TestDecodeDoesNotBuildContent(t *testing.T) {
	small, large := wide(1000, 1), wide(1000, 100)
	few := testing.AllocsPerRun(5, func() { mustDecode(t, small) })
	many := testing.AllocsPerRun(5, func() { mustDecode(t, large) })
	if many > few+1 || few > 100 {
		t.Errorf("a note of %d bytes needs %.0f allocations, one of %d bytes %.0f, want the same, and few", len(small), few, len(large), many)
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

// wide makes a note of n lines, whose text has some times 20 bytes.
func wide(n, times int) []byte {
	var items []string
	for i := range n {
		items = append(items, fmt.Sprintf("%d %s", i+1, []string{"AI", "AI", "Original", "AI", "Human"}[i/10%5]))
	}
	return []byte(strings.ReplaceAll(note(lines("src/main.rs", items...)), "secret", strings.Repeat(`let x = \"a\\tb\";\t// `, times)))
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{10, 1000, 20_000} {
		note := wide(n, 2)
		b.Run(fmt.Sprintf("%dlines", n), func(b *testing.B) {
			b.SetBytes(int64(len(note)))
			b.ReportAllocs()
			for b.Loop() {
				mustDecode(b, note)
			}
		})
	}
}
