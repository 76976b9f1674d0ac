package lineage

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma"
)

// dates reads "30d" as 30 and nothing else.
func dates(words string, _ bool) (int64, error) {
	if words == "30d" {
		return 30, nil
	}
	return 0, stemma.ErrInvalid
}

func TestParse(t *testing.T) {
	for _, test := range []struct {
		search string
		want   Query
		fails  bool
	}{
		{search: "", want: Query{}},
		{search: "model:claude-opus-4* since:30d ai:>50% path:src/", want: Query{Models: []string{"claude-opus-4*"}, Since: 30, MinAI: .5, OverMin: true, Paths: []string{"src/"}}},
		{search: "model:A model:b\tagent:Codex", want: Query{Models: []string{"a", "b"}, Agents: []string{"codex"}}},
		{search: `path:"with space/x" class:AI_Edited`, want: Query{Paths: []string{"with space/x"}, Class: stemma.ClassAIEdited}},
		{search: "ai:<10% limit:3 until:30d", want: Query{MaxAI: .1, Limit: 3, Until: 30}},
		{search: "session:a/b source:git-ai ai:0.25", want: Query{Sessions: []string{"a/b"}, Sources: []string{"git-ai"}, MinAI: .25}},
		{search: "ai:>=50% path:src/**/*.go", want: Query{MinAI: .5, Paths: []string{"src/**/*.go"}}},
		{
			search: "task-type:Security tool:Bash config:CLAUDE.md iterations:>3 iterations:rewrites<=2",
			want:   Query{TaskTypes: []string{"security"}, Tools: []string{"Bash"}, Configs: []string{"CLAUDE.md"}, Iterations: []Bound{{"", ">", 3}, {"rewrites", "<=", 2}}},
		},
		{search: "task-type:bug", fails: true},
		{search: "tool:claude-code", fails: true},
		{search: "iterations:many", fails: true},
		{search: "ai:>0", want: Query{OverMin: true}},
		{search: "ai:><5%", fails: true},
		{search: "ai:<=5%", fails: true},
		{search: "path:src/[", fails: true},
		{search: "model", fails: true},
		{search: "model:", fails: true},
		{search: "colour:red", fails: true},
		{search: "class:robot", fails: true},
		{search: "ai:many", fails: true},
		{search: "ai:200%", fails: true},
		{search: "ai:NaN", fails: true},
		{search: "limit:-1", fails: true},
		{search: "since:never", fails: true},
		{search: "model:[", fails: true},
		{search: `path:"open`, fails: true},
		{search: strings.Repeat("x", maxQuery+1), fails: true},
	} {
		var got Query
		err := got.Parse(test.search, dates)
		switch {
		case test.fails:
			if !errors.Is(err, stemma.ErrInvalid) {
				t.Errorf("Parse(%.40q) gives error %v, want one of kind ErrInvalid", test.search, err)
			}
		case err != nil:
			t.Errorf("Parse(%q): %v", test.search, err)
		default:
			if d := cmp.Diff(test.want, got); d != "" {
				t.Errorf("Parse(%q) (-want +got):\n%s", test.search, d)
			}
		}
	}
}

func TestMatches(t *testing.T) {
	for _, test := range []struct {
		pattern, key string
		want         bool
	}{
		{"claude-opus-4*", "anthropic/claude-opus-4-5-20251101", true},
		{"anthropic/*", "anthropic/claude-opus-4-5", true},
		{"claude-opus-4", "anthropic/claude-opus-4-5", false},
		{"*opus*", "anthropic/claude-opus-4-5", true},
		{"gpt-5", "openai/gpt-5", true},
		{"*", "unknown/x", true},
		{"codex", "codex", true},
		{"a/b", "claude-code/a/b", true},
		{"openai/gpt-5", "anthropic/gpt-5", false},
	} {
		if got := matches([]string{test.pattern}, test.key); got != test.want {
			t.Errorf("matches(%q, %q) = %v, want %v", test.pattern, test.key, got, test.want)
		}
	}
}

func TestPath(t *testing.T) {
	for path, want := range map[string]string{
		"a/b.go":     "a/b.go",
		"with space": "with space",
		"ü.go":       "ü.go",
		"a\nb":       `"a\nb"`,
		`"quoted"`:   `"\"quoted\""`,
		"\xff":       `"\377"`,
		"tab\there":  `"tab\there"`,
	} {
		if got := Path(path); got != want {
			t.Errorf("Path(%q) = %s, want %s", path, got, want)
		}
	}
}

func TestPathMatcher(t *testing.T) {
	for _, test := range []struct {
		name, path string
		want       bool
	}{
		{"src", "src/a/b.go", true},
		{"src/", "src", true},
		{"src", "srcs/a", false},
		{".", "a", true},
		{"*.go", "a.go", true},
		{"*.go", "src/a.go", false},
		{"**/*.go", "a.go", true},
		{"**/*.go", "src/a/b.go", true},
		{"src/**/*.go", "src/a.go", true},
		{"src/*", "src/a/b.go", true}, // below the folder src/a
		{"src/*.go", "src/a/b.go", false},
		{"{a,b}/x", "b/x", true},
		{"a[1].go", "a[1].go", true},
		{"a[1].go", "a1.go", true},
		{"?/", "a/b", true},
	} {
		match, err := PathMatcher(test.name)
		if err != nil {
			t.Fatal(err)
		}
		if got := match(test.path); got != test.want {
			t.Errorf("PathMatcher(%q)(%q) = %v, want %v", test.name, test.path, got, test.want)
		}
	}
}

func TestOwnerAt(t *testing.T) {
	row := stemma.Attribution{
		Rest: stemma.ClassUnknown, RestOwner: -1,
		Files: []stemma.FileLines{
			{Path: "a", Added: 9, Ranges: []stemma.OwnedRange{{Start: 2, End: 3, Owner: 0, Class: stemma.ClassAI}, {Start: 7, End: 7, Owner: 1, Class: stemma.ClassHuman}}},
			{Path: "g", Added: 5, Generated: true},
			{Path: "w", Added: 5, Whole: true, Ranges: []stemma.OwnedRange{{Start: 1, End: 0, Owner: 1, Class: stemma.ClassAI}}},
		},
	}
	for _, test := range []struct {
		path  string
		line  int
		class stemma.Class
		owner int
	}{
		{"a", 1, stemma.ClassUnknown, -1},
		{"a", 2, stemma.ClassAI, 0},
		{"a", 3, stemma.ClassAI, 0},
		{"a", 4, stemma.ClassUnknown, -1},
		{"a", 7, stemma.ClassHuman, 1},
		{"g", 1, stemma.ClassGenerated, -1},
		{"w", 4, stemma.ClassAI, 1},
		{"not touched", 1, stemma.ClassUnknown, -1},
	} {
		class, owner := ownerAt(&row, test.path, test.line)
		if class != test.class || owner != test.owner {
			t.Errorf("%s:%d is %s of %d, want %s of %d", test.path, test.line, class, owner, test.class, test.owner)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"model:a since:30d", `path:"x y" ai:>50%`, "ai:<1e-300", "class:ai-edited", "a:b:c", `"`, "iterations:prompts>=2 tool:x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var q Query
		err := q.Parse(s, dates)
		if err != nil && !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("Parse(%q): %v is of no kind", s, err)
		}
		if err == nil && (q.MinAI < 0 || q.MinAI > 1 || q.MaxAI < 0 || q.MaxAI > 1) {
			t.Errorf("Parse(%q) gives shares %v and %v", s, q.MinAI, q.MaxAI)
		}
		matches(append(q.Models, q.Agents...), "anthropic/claude")
	})
}
