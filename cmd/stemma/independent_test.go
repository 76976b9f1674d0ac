package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestIndependentCount compares, for every noted commit, the AI lines by model
// that stemma shows with those of a small program that reads the note and git's
// difference by itself and shares no code with stemma. It runs on a repository
// made from a printed seed, and on those that STEMMA_REPOSITORIES names (paths,
// divided as in PATH).
func TestIndependentCount(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dirs := append(filepath.SplitList(os.Getenv("STEMMA_REPOSITORIES")), notedRepository(t, seed))
	for _, dir := range dirs {
		t.Run(filepath.Base(filepath.Dir(dir)), func(t *testing.T) { independentCount(t, dir) })
	}
}

func independentCount(t *testing.T, dir string) {
	t.Setenv("STEMMA_DIR", t.TempDir())
	tell(t, "index", "-q", dir)
	noted, compared, lines := 0, 0, 0
	for entry := range strings.Lines(gitIn(t, dir, nil, "ls-tree", "-r", "refs/notes/ai")) {
		fields := strings.Fields(entry)
		blob, commit := fields[2], strings.ReplaceAll(fields[3], "/", "")
		noted++
		if !reached(t, dir, commit) {
			continue
		}
		shown := show(t, dir, commit)
		if shown.Merge || shown.Unreadable != "" {
			continue
		}
		generated := make(map[string]bool)
		for _, f := range shown.Files {
			if f.Generated {
				generated[f.Path] = true
			}
		}
		got := make(map[string]int)
		for _, p := range shown.Parts {
			if p.Source == "git-ai" && p.Class == "ai" && p.Lines > 0 {
				model := "unknown"
				if p.Model != nil {
					model = strings.ToLower(p.Model.Raw)
				}
				got[model] += p.Lines
			}
		}
		want, total := countByHand(t, dir, commit, blob, generated)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: AI lines by model (-by hand +stemma):\n%s", commit, d)
		}
		if shown.Lines.AI < total {
			t.Errorf("%s: stemma has %d AI lines, by hand there are %d", commit, shown.Lines.AI, total)
		}
		compared++
		lines += total
	}
	t.Logf("%d notes, %d reached commits compared, %d AI lines", noted, compared, lines)
	if compared == 0 {
		t.Error("no commit was compared")
	}
}

type shownCommit struct {
	Merge      bool   `json:"merge"`
	Unreadable string `json:"unreadable"`
	Lines      struct {
		AI int `json:"ai"`
	} `json:"lines"`
	Parts []struct {
		Class, Source string
		Lines         int
		Model         *struct{ Raw string }
	} `json:"parts"`
	Files []struct {
		Path      string
		Generated bool
	} `json:"files"`
}

func show(t *testing.T, dir, commit string) shownCommit {
	t.Helper()
	var c shownCommit
	if err := json.Unmarshal([]byte(tell(t, "show", "-R", dir, "--no-refresh", "--json", commit)), &c); err != nil {
		t.Fatalf("show %s: %v", commit, err)
	}
	return c
}

// tell runs stemma and gives what it prints.
func tell(t *testing.T, args ...string) string {
	t.Helper()
	var out, errOut bytes.Buffer
	if code := execute(t.Context(), args, &out, &errOut); code != 0 {
		t.Fatalf("stemma %q: exit code %d: %s", args, code, errOut.String())
	}
	return out.String()
}

func gitIn(t *testing.T, dir string, env []string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "safe.directory=*", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-C", dir}, args...)...)
	cmd.Env = append(append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"), env...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %q: %v", args, err)
	}
	return string(out)
}

var reachable = make(map[string]map[string]bool)

// reached reports whether a branch or tag reaches the commit.
func reached(t *testing.T, dir, commit string) bool {
	if reachable[dir] == nil {
		reachable[dir] = make(map[string]bool)
		for id := range strings.FieldsSeq(gitIn(t, dir, nil, "rev-list", "--branches", "--tags", "--remotes", "HEAD")) {
			reachable[dir][id] = true
		}
	}
	return reachable[dir][commit]
}

var hunkHeader = regexp.MustCompile(`(?m)^@@ -\S+ \+(\d+)(?:,(\d+))? @@`)

// countByHand counts the AI lines of a note by model, as simply as can be.
func countByHand(t *testing.T, dir, commit, blob string, generated map[string]bool) (byModel map[string]int, total int) {
	note := gitIn(t, dir, nil, "cat-file", "blob", blob)
	head, meta, _ := strings.Cut("\n"+note, "\n---\n")
	var known struct {
		Prompts, Sessions map[string]struct {
			Agent struct{ Model string } `json:"agent_id"`
		}
	}
	if err := json.Unmarshal([]byte(meta), &known); err != nil {
		t.Fatalf("note on %s: %v", commit, err)
	}
	added := make(map[string]map[int]bool)
	for _, section := range strings.Split(gitIn(t, dir, nil, "-c", "core.quotePath=false", "diff-tree", "-r", "-p", "-U0", "-M", "--root", "--no-commit-id", "--no-ext-diff", "--no-textconv", commit), "\ndiff --git ") {
		i := strings.Index(section, "\n+++ b/")
		if i < 0 {
			continue
		}
		path, _, _ := strings.Cut(section[i+7:], "\n")
		path = strings.TrimSuffix(path, "\t")
		added[path] = make(map[int]bool)
		for _, h := range hunkHeader.FindAllStringSubmatch(section, -1) {
			start, _ := strconv.Atoi(h[1])
			n := 1
			if h[2] != "" {
				n, _ = strconv.Atoi(h[2])
			}
			for l := range n {
				added[path][start+l] = true
			}
		}
	}
	byModel = make(map[string]int)
	owner := make(map[string]string) // path:line -> key; a later entry replaces an earlier one
	path := ""
	for line := range strings.Lines(head) {
		line = strings.TrimRight(line, "\n")
		if line == "" {
			continue
		}
		if !strings.HasPrefix(line, "  ") {
			path = strings.Trim(line, `"`)
			continue
		}
		fields := strings.Fields(line)
		for _, r := range strings.Split(fields[len(fields)-1], ",") {
			from, to, two := strings.Cut(r, "-")
			a, _ := strconv.Atoi(from)
			b := a
			if two {
				b, _ = strconv.Atoi(to)
			}
			for l := range added[path] {
				if a <= l && l <= b {
					owner[fmt.Sprint(path, ":", l)] = path + "\x00" + fields[0]
				}
			}
		}
	}
	for _, o := range owner {
		path, key, _ := strings.Cut(o, "\x00")
		if generated[path] || strings.HasPrefix(key, "h_") || key == "human" {
			continue
		}
		session, _, _ := strings.Cut(key, "::")
		model := known.Sessions[session].Agent.Model
		if model == "" {
			model = known.Prompts[key].Agent.Model
		}
		switch model {
		case "", "unknown", "default", "<synthetic>":
			model = "unknown"
		}
		byModel[strings.ToLower(model)]++
		total++
	}
	return byModel, total
}

// notedRepository makes a repository with notes of every shape that the format
// allows, some of them wrong.
func notedRepository(t *testing.T, seed uint64) string {
	r := rand.New(rand.NewPCG(seed, 2))
	dir := filepath.Join(t.TempDir(), "made", "repo")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	gitIn(t, dir, nil, "init", "-q", "-b", "main")
	paths := []string{"a.go", "with space.txt", "go.sum"}
	content := make(map[string][]string)
	for n := range 40 {
		for _, p := range paths {
			lines := content[p]
			at := r.IntN(len(lines) + 1)
			cut := min(r.IntN(3), len(lines)-at)
			var fresh []string
			for i := range r.IntN(6) {
				fresh = append(fresh, fmt.Sprintf("line %d.%d %d", n, i, r.IntN(4)))
			}
			content[p] = append(append(append([]string{}, lines[:at]...), fresh...), lines[at+cut:]...)
			if err := os.WriteFile(filepath.Join(dir, p), []byte(strings.Join(content[p], "\n")+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		gitIn(t, dir, nil, "add", "-A")
		gitIn(t, dir, []string{fmt.Sprintf("GIT_COMMITTER_DATE=2026-01-01T00:%02d:00Z", n)}, "commit", "-q", "--allow-empty", "-m", fmt.Sprint("commit ", n))
		if n%5 == 4 {
			continue // without a note
		}
		file := filepath.Join(dir, ".git", "note")
		if err := os.WriteFile(file, []byte(randomNote(r, paths)), 0o600); err != nil {
			t.Fatal(err)
		}
		gitIn(t, dir, nil, "notes", "--ref=ai", "add", "-F", file, "HEAD")
	}
	return dir
}

func randomNote(r *rand.Rand, paths []string) string {
	keys := []string{"s_1430e27f898b06::t_8f2635c4ed65f9", "s_0430e27f898b07", "0123456789abcdef", "h_ea2010baa7a42b"}
	var b strings.Builder
	for _, p := range paths {
		if strings.Contains(p, " ") {
			p = `"` + p + `"`
		}
		b.WriteString(p + "\n")
		for range 1 + r.IntN(3) {
			start := 1 + r.IntN(40)
			fmt.Fprintf(&b, "  %s %d,%d-%d\n", keys[r.IntN(len(keys))], start, start+2, start+2+r.IntN(30)*r.IntN(50))
		}
	}
	b.WriteString(`---
{"schema_version":"authorship/3.0.0","base_commit_sha":"","prompts":{"0123456789abcdef":{"agent_id":{"tool":"cursor","id":"p1","model":"default"},"messages":[]}},
"sessions":{"s_1430e27f898b06":{"agent_id":{"tool":"claude","id":"a","model":"claude-opus-4-5-20251101"}},"s_0430e27f898b07":{"agent_id":{"tool":"codex","id":"b","model":"gpt-5.2-Codex"}}},
"humans":{"h_ea2010baa7a42b":{"author":"Ada <ada@example.org>"}}}
`)
	return b.String()
}
