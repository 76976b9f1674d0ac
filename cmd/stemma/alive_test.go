package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// standingCount is what stands of a revision, as both ways to count it say.
type standingCount struct {
	Files   int
	Lines   map[string]int // by class
	Unknown map[string]int // by reason
}

// TestAliveEqualsBlame compares what stats --alive says of a revision with the
// sum of stemma blame over all its files, on a history made from a printed seed
// with what makes the two differ most easily: commits from before coding agents,
// renames (also to and from generated names), copies, merges of either kind,
// modes, links, binary and empty files, notes, trailers and commits that are not
// indexed.
func TestAliveEqualsBlame(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dir := livelyRepository(t, seed)
	index := t.TempDir()
	t.Setenv("STEMMA_DIR", index)
	tell(t, "index", "-q", dir)
	for _, rev := range []string{"HEAD", "HEAD~20", "aside", "old"} {
		want := sumOfBlames(t, dir, rev)
		// With nothing remembered, with all, and with what is no memory.
		for _, memory := range []string{"none", "all", "damaged"} {
			if memory == "damaged" {
				damage(t, index)
			}
			if d := cmp.Diff(want, standingAt(t, dir, rev)); d != "" {
				t.Errorf("%s, remembered: %s (-blame +alive):\n%s", rev, memory, d)
			}
		}
	}
	// A note that comes late changes what is known of lines that stand already.
	gitIn(t, dir, nil, "notes", "--ref=ai", "add", "-f", "-m", randomNote(rand.New(rand.NewPCG(seed, 3)), livelyPaths), "HEAD~5")
	tell(t, "index", "-q", dir)
	if d := cmp.Diff(sumOfBlames(t, dir, "HEAD"), standingAt(t, dir, "HEAD")); d != "" {
		t.Errorf("after a late note (-blame +alive):\n%s", d)
	}
}

func damage(t *testing.T, index string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(index, "*", "blames.cache"))
	if err != nil || len(found) != 1 {
		t.Fatalf("what is remembered is in %v, %v", found, err)
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 1
	if err := os.WriteFile(found[0], text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func standingAt(t *testing.T, dir, rev string) standingCount {
	t.Helper()
	var s struct {
		Total struct {
			Lines map[string]int `json:"lines"`
		} `json:"total"`
		Groups []struct {
			Lines map[string]int `json:"lines"`
		} `json:"groups"`
		Unknown map[string]int `json:"unknown_lines_by_reason"`
		Files   struct{ Text int }
	}
	text := tell(t, "stats", "-R", dir, "--no-refresh", "--alive", "--at", rev, "--by", "directory", "--json")
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	groups := map[string]int{}
	for _, g := range s.Groups {
		for class, n := range g.Lines {
			groups[class] += n
		}
	}
	if d := cmp.Diff(s.Total.Lines, groups); d != "" {
		t.Errorf("%s: the groups are not the total (-total +groups):\n%s", rev, d)
	}
	delete(s.Total.Lines, "added")
	maps.DeleteFunc(s.Total.Lines, func(_ string, n int) bool { return n == 0 })
	return standingCount{s.Files.Text, s.Total.Lines, s.Unknown}
}

func sumOfBlames(t *testing.T, dir, rev string) standingCount {
	t.Helper()
	sum := standingCount{Lines: map[string]int{}, Unknown: map[string]int{}}
	commit := strings.TrimSpace(gitIn(t, dir, nil, "rev-parse", rev))
	for entry := range strings.SplitSeq(gitIn(t, dir, nil, "ls-tree", "-r", "-z", commit), "\x00") {
		head, path, ok := strings.Cut(entry, "\t")
		if !ok || strings.Fields(head)[1] != "blob" {
			continue
		}
		if bytes.IndexByte([]byte(gitIn(t, dir, nil, "cat-file", "blob", strings.Fields(head)[2])), 0) >= 0 {
			continue // binary
		}
		var b struct {
			Sum    map[string]int `json:"lines_by_class"`
			Unsure map[string]int `json:"unknown_lines_by_reason"`
		}
		if err := json.Unmarshal([]byte(tell(t, "blame", "-R", dir, "--no-refresh", "--json", ":/"+path, commit)), &b); err != nil {
			t.Fatal(err)
		}
		sum.Files++
		for class, n := range b.Sum {
			sum.Lines[strings.ReplaceAll(class, "-", "_")] += n
		}
		for reason, n := range b.Unsure {
			sum.Unknown[reason] += n
		}
	}
	return sum
}

var livelyPaths = []string{"a.go", "b.go", "dir/c.go", "dir/ü d.go", "go.sum", "vendor/v.go", "free.go", "plain.txt"}

// livelyRepository makes a history of 60 commits. It ends on main; aside is a
// branch that was never merged, old a commit from before coding agents.
func livelyRepository(t *testing.T, seed uint64) string {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 2))
	dir := filepath.Join(t.TempDir(), "lively")
	gitIn(t, ".", nil, "init", "-q", "-b", "main", dir)
	// Half of the history is from before coding agents, in a clock that is not
	// always right.
	at := func(n int) []string {
		date := fmt.Sprintf("%d +0000", 1_500_000_000+n*5_000_000-r.IntN(2)*r.IntN(20_000_000))
		return []string{"GIT_AUTHOR_DATE=" + date, "GIT_COMMITTER_DATE=" + date}
	}
	content := map[string][]string{}
	edit := func(path string) {
		lines := content[path]
		for range 1 + r.IntN(4) {
			i := r.IntN(len(lines) + 1)
			fresh := fmt.Sprintf("%s line %d of %s", strings.Repeat("\t", r.IntN(3)), r.IntN(1e6), path)
			if i < len(lines) && r.IntN(2) == 0 {
				lines[i] = fresh
			} else {
				lines = append(lines[:i:i], append([]string{fresh}, lines[i:]...)...)
			}
		}
		content[path] = lines
		text := strings.Join(lines, "\n")
		if r.IntN(3) > 0 {
			text += "\n"
		}
		full := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	rename := func(from, to string) {
		if _, ok := content[from]; !ok || content[to] != nil {
			return
		}
		content[to] = content[from]
		delete(content, from)
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, to)), 0o755); err != nil {
			t.Fatal(err)
		}
		gitIn(t, dir, nil, "add", "-A")
		gitIn(t, dir, nil, "mv", from, to)
	}
	commit := func(n int, message string) {
		gitIn(t, dir, nil, "add", "-A")
		gitIn(t, dir, at(n), "commit", "-q", "--allow-empty", "-m", message)
	}
	for n := range 60 {
		for range 1 + r.IntN(2) {
			edit(livelyPaths[r.IntN(len(livelyPaths)-1)])
		}
		message := fmt.Sprint("commit ", n)
		switch n {
		case 0:
			edit("plain.txt") // which nothing touches again
			if err := os.WriteFile(filepath.Join(dir, "binary"), []byte("a\x00b\nc\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "empty"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("a.go", filepath.Join(dir, "link")); err != nil {
				t.Fatal(err)
			}
		case 12:
			gitIn(t, dir, nil, "tag", "old")
			rename("a.go", "dir/renamed.go")
		case 18:
			rename("vendor/v.go", "v.go")
		case 26:
			gitIn(t, dir, nil, "update-index", "--chmod=+x", "plain.txt")
		case 40:
			rename("b.go", "vendor/b.go")
		case 45:
			rename("dir/renamed.go", "once more.go")
		}
		switch {
		case n > 30 && n%4 == 0:
			message += "\n\nCo-Authored-By: Claude <noreply@anthropic.com>"
		case n%7 == 3:
			gitIn(t, dir, nil, "add", "-A")
			gitIn(t, dir, at(n), "commit", "-q", "--allow-empty", "-m", "before a side")
			side(t, dir, n, at, edit)
		}
		commit(n, message)
		if n > 32 && n%3 == 0 {
			gitIn(t, dir, nil, "notes", "--ref=ai", "add", "-m", randomNote(r, livelyPaths), "HEAD")
		}
	}
	gitIn(t, dir, nil, "checkout", "-q", "-b", "aside", "HEAD~2")
	gitIn(t, dir, at(61), "commit", "-q", "--allow-empty", "-m", "aside")
	gitIn(t, dir, nil, "checkout", "-q", "main")
	return dir
}

// side works on a branch and on main, and merges the two, our way where they
// contradict each other.
func side(t *testing.T, dir string, n int, at func(int) []string, edit func(string)) {
	t.Helper()
	gitIn(t, dir, nil, "checkout", "-q", "-b", fmt.Sprint("side", n))
	edit("dir/c.go")
	edit(fmt.Sprintf("side%d.go", n))
	gitIn(t, dir, nil, "add", "-A")
	gitIn(t, dir, at(n), "commit", "-q", "-m", "on a side")
	gitIn(t, dir, nil, "checkout", "-q", "main")
	edit("go.sum")
	gitIn(t, dir, nil, "add", "-A")
	gitIn(t, dir, at(n), "commit", "-q", "-m", "meanwhile")
	gitIn(t, dir, at(n), "merge", "-q", "--no-commit", "-X", "ours", fmt.Sprint("side", n))
	edit("dir/c.go") // an edit of the merge itself
}
