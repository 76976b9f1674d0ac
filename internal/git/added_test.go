package git

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma"
)

func addedOf(t testing.TB, r *Repo, ids ...string) map[string]Diff {
	t.Helper()
	got := map[string]Diff{}
	for d, err := range r.Added(t.Context(), slices.Values(ids), 2) {
		if err != nil {
			t.Fatalf("Added: %v", err)
		}
		if _, twice := got[d.Commit]; twice {
			t.Errorf("Added told twice of %s", d.Commit)
		}
		got[d.Commit] = d
	}
	if len(got) != len(ids) {
		t.Fatalf("Added told of %d commits, want %d", len(got), len(ids))
	}
	return got
}

// oddHistory has every kind of change that diff-tree prints in its own way. It
// gives all commits, and those that are merges.
func oddHistory(t *testing.T, g *testRepo) (all, merges []string) {
	im := &imports{}
	const f, x, link = "100644", "100755", "120000"
	module := strings.Repeat("a1", map[bool]int{true: 20, false: 32}[g.git("rev-parse", "--show-object-format") == "sha1"])
	root := im.commit("main", "", nil,
		file{f, "plain", numbered(1, 50)}, file{f, "empty", ""}, file{f, "no end", "one\ntwo"},
		file{f, "tab\there", "a\n"}, file{f, "new\nline", "a\nb\n"}, file{f, `quo"te\back`, "q\n"},
		file{f, "latin-\xe9\xff", "\xe9\xff\n"}, file{f, "ünï", "ü\n"}, file{f, " a b/x b/x ", "s\n"},
		file{f, "binary", "a\x00b"}, file{link, "link", "plain"}, file{f, "x", "1\n"}, file{f, "crlf", "a\r\nb\r\n"},
		file{f, "headers", "diff --git a/x b/x\n@@ -1 +1 @@\n--- a/x\n+++ b/x\n\x00\nend of chunk\n"})
	at := im.commit("main", "", []int{root}, // contents that look like headers, and lose them
		file{f, "headers", "-- a/x\n++ b/x\n@@ -1,99 +1,99 @@\n\\ No newline at end of file\nindex 1..2\n"})
	at = im.commit("main", "", []int{at}, file{f, "no end", "one\ntwo\n"}, file{f, "crlf", "a\nb\r\n"})
	at = im.commit("main", "", []int{at}, file{f, "no end", "one\nTWO"}, file{x, "x", "1\n"}) // mode alone
	at = im.commit("main", "", []int{at}, file{"", "plain", ""}, file{f, "moved\tto", numbered(1, 49) + "other\n"})
	at = im.commit("main", "", []int{at}, file{"", "moved\tto", ""}, file{f, "a b/c", numbered(1, 49) + "other\n"})
	at = im.commit("main", "", []int{at}, file{f, "link", "plain\nnow a file\n"}, file{link, "x", "elsewhere"}) // types change
	at = im.commit("main", "", []int{at}, file{"160000", "module", module})
	at = im.commit("main", "", []int{at}, file{"160000", "module", strings.ReplaceAll(module, "a1", "b2")})
	at = im.commit("main", "", []int{at}, file{f, "module", "a file now\n"})
	at = im.commit("main", "", []int{at}, file{"", "module", ""}, file{"", "binary", ""}, file{f, "moved binary", "a\x00b"})
	at = im.commit("main", "", []int{at}, file{f, "moved binary", "a\x00c"}, file{"", "empty", ""})
	at = im.commit("main", "", []int{at}) // nothing
	at = im.commit("main", "", []int{at}, file{f, "long", strings.Repeat("x", 3<<20) + "\n" + strings.Repeat("y", 1<<20)})
	at = im.commit("main", "", []int{at}, file{f, "new\nline", "a\nc\n"}, file{f, `quo"te\back`, "r\n"}, file{f, "latin-\xe9\xff", "\xe8\n"}, file{f, " a b/x b/x ", "t\n"})
	at = im.commit("main", "", []int{at}, file{f, "attributes", numbered(1, 9)}, file{f, ".gitattributes", "* -diff\n*.bin binary\n"})
	base := im.commit("main", "", []int{at}, file{f, "both", numbered(1, 60)}, file{f, "renamed here", numbered(100, 160)})

	edit := func(lines string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(lines) }
	left := im.commit("left", "", []int{base},
		file{f, "both", edit(numbered(1, 60), "line 3\n", "left 3\n", "line 30\n", "left 30\n")}, file{f, "only left", "l\n"},
		file{"", "renamed here", ""}, file{f, "new name", numbered(100, 160)}, file{"160000", "sub", module})
	right := im.commit("right", "", []int{base},
		file{f, "both", edit(numbered(1, 60), "line 30\n", "right 30\n", "line 55\n", "")},
		file{f, "renamed here", edit(numbered(100, 160), "line 120\n", "right 120\nright 121\n")},
		file{"160000", "sub", strings.ReplaceAll(module, "a1", "c3")}, file{f, "only right", "r\n"})
	third := im.commit("third", "", []int{base}, file{f, "both", "third 0\n" + numbered(1, 60)})
	resolved := edit(numbered(1, 60), "line 3\n", "left 3\n", "line 30\n", "both 30\nnew in merge\n", "line 55\n", "", "line 40\n", "line 40\nevil\n")
	clean := im.commit("main", "", []int{left, right}, file{f, "both", edit(numbered(1, 60), "line 3\n", "left 3\n", "line 30\n", "right 30\n", "line 55\n", "")},
		file{f, "only right", "r\n"}, file{f, "new name", edit(numbered(100, 160), "line 120\n", "right 120\nright 121\n")})
	dirty := im.commit("main", "", []int{left, right}, file{f, "both", resolved}, file{f, "only right", "r\nadded\n"},
		file{f, "made by merge", "m\nn\n"}, file{f, "new\nby\tmerge", "m"}, file{"160000", "sub", strings.ReplaceAll(module, "a1", "d4")},
		file{f, "new name", edit(numbered(100, 160), "line 120\n", "right 120\nmerge 121\n")}, file{f, "bin", "\x00m"}, file{"", "only left", ""})
	octopus := im.commit("main", "", []int{left, right, third}, file{f, "both", "third 0\n" + resolved + "--- a/x\n+++ b/x"},
		file{f, "new name", numbered(100, 160)}, file{link, "x", "merged"})
	deleted := im.commit("main", "", []int{left, right}, file{"", "both", ""}, file{f, "link", "-plain\n+now\n"})
	kept := im.commit("main", "", []int{right, left}, file{f, "both", edit(numbered(1, 60), "line 1\n", "\n", "line 2\n", "line 2\n\n")})

	ids := im.into(g)
	for mark := 1; mark <= im.mark; mark++ {
		all = append(all, ids[mark])
	}
	for _, mark := range []int{clean, dirty, octopus, deleted, kept} {
		merges = append(merges, ids[mark])
	}
	return all, merges
}

// numstat counts a commit's lines by git itself. Its own diff is asked without
// context, as ours, because git finds other lines with it. Submodules count none.
func numstat(g *testRepo, commit string) map[string][2]int {
	g.t.Helper()
	out := mustRun(g.t, g.dir, nil, nil, "-c", "core.attributesFile=/dev/null", "--git-dir="+g.git("rev-parse", "--absolute-git-dir"), "-c", "core.bare=true",
		"diff-tree", "-r", "--root", "-M", "-l1000", "--diff-algorithm=myers", "-U0", "--numstat", "-z", "--no-commit-id", commit)
	out, _, _ = strings.Cut(out, "\x00\x00diff --git") // -U0 asks for the patch too
	got := map[string][2]int{}
	f := strings.Split(out, "\x00")
	for i := 0; i < len(f); i++ {
		n := strings.SplitN(strings.TrimPrefix(f[i], "\n"), "\t", 3)
		if len(n) != 3 {
			break
		}
		path := n[2]
		if path == "" { // a rename: old and new name follow
			path = f[i+2]
			i += 2
		}
		added, _ := strconv.Atoi(n[0]) // "-" of a binary is none
		deleted, _ := strconv.Atoi(n[1])
		got[path] = [2]int{added, deleted}
	}
	for line := range strings.SplitSeq(g.git("diff-tree", "-r", "--root", "--no-commit-id", "-z", "--raw", commit), "\x00:") {
		if strings.Contains(line, "160000") {
			head, path, _ := strings.Cut(strings.TrimRight(line, "\x00"), "\x00")
			counts := got[path]
			if strings.HasPrefix(strings.TrimPrefix(head, ":"), "160000") {
				counts[1] = 0
			}
			if strings.Fields(head)[1] == "160000" {
				counts[0] = 0
			}
			got[path] = counts
		}
	}
	return got
}

func TestAddedCountsWhatNumstatCounts(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			g := newTestRepo(t, "--object-format="+format)
			all, merges := oddHistory(t, g)
			got := addedOf(t, g.open(), all...)
			for _, id := range all {
				if got[id].Unreadable != "" {
					t.Errorf("commit %s: unreadable: %s", id, got[id].Unreadable)
				}
				if slices.Contains(merges, id) {
					continue
				}
				counts := map[string][2]int{}
				for _, f := range got[id].Files {
					counts[f.Path] = [2]int{f.Added, f.Deleted}
				}
				if diff := cmp.Diff(numstat(g, id), counts); diff != "" {
					t.Errorf("commit %s (%s): lines by path (-numstat +Added):\n%s", id, g.git("log", "-1", "--format=%s", id), diff)
				}
			}
		})
	}
}

// linesAdded is the slow, independent way: the added lines of each file by one
// plain diff, told by what the new blob has at them.
func linesAdded(g *testRepo, parent, commit string) map[string][]int {
	g.t.Helper()
	got := map[string][]int{}
	for change := range strings.SplitSeq(g.git("--git-dir="+g.git("rev-parse", "--absolute-git-dir"), "-c", "core.bare=true",
		"diff-tree", "-r", "-M", "-l1000", "-z", "--raw", "--ignore-submodules=all", parent, commit), "\x00:") {
		f := strings.Split(strings.TrimRight(strings.TrimPrefix(change, ":"), "\x00"), "\x00")
		head := strings.Fields(f[0])
		if len(head) < 5 || strings.Trim(head[3], "0") == "" || head[1] == "160000" {
			continue
		}
		path := f[len(f)-1]
		old := head[2]
		if strings.Trim(old, "0") == "" || head[4] == "T" || head[0] == "160000" {
			old = mustRun(g.t, g.dir, nil, []byte{}, "hash-object", "-w", "--stdin")
		}
		out := g.git("diff", "-U0", "--no-color", "--text", old, head[3])
		if content := g.git("cat-file", "blob", head[3]); strings.Contains(content, "\x00") {
			continue // binary
		}
		for line := range strings.Lines(out) {
			var at int
			count := 1
			_, rest, ok := strings.Cut(line, "@@ -")
			if !ok || !strings.HasPrefix(line, "@@ -") {
				continue
			}
			_, rest, _ = strings.Cut(rest, " +")
			span, _, _ := strings.Cut(rest, " @@")
			first, second, two := strings.Cut(span, ",")
			at, _ = strconv.Atoi(first)
			if two {
				count, _ = strconv.Atoi(second)
			}
			for n := at; n < at+count; n++ {
				got[path] = append(got[path], n)
			}
		}
	}
	return got
}

func TestAddedByMergesDiffersFromEveryParent(t *testing.T) {
	g := newTestRepo(t)
	_, merges := oddHistory(t, g)
	got := addedOf(t, g.open(), merges...)
	total := 0
	for _, id := range merges {
		want := map[string][]int{}
		for i, parent := range strings.Fields(g.git("log", "-1", "--format=%P", id)) {
			lines := linesAdded(g, parent, id)
			if i == 0 {
				want = lines
				continue
			}
			for path, have := range want {
				want[path] = slices.DeleteFunc(have, func(n int) bool { return !slices.Contains(lines[path], n) })
				if len(want[path]) == 0 {
					delete(want, path)
				}
			}
		}
		lines := map[string][]int{}
		for _, f := range got[id].Files {
			for _, r := range f.Ranges {
				for n := r.Start; n <= r.End; n++ {
					lines[f.Path] = append(lines[f.Path], n)
					total++
				}
			}
			if f.Path == "sub" && (!f.Submodule || f.Added != 0) {
				t.Errorf("merge %s: sub = %+v, want a submodule without lines", id, f)
			}
		}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Errorf("merge %s: added lines (-slow way +Added):\n%s", id, diff)
		}
	}
	if total < 10 {
		t.Errorf("merges added %d lines in all, too few to show anything", total)
	}
}

func TestAddedTellsStatusNamesAndRanges(t *testing.T) {
	g := newTestRepo(t)
	all, _ := oddHistory(t, g)
	got := addedOf(t, g.open(), all...)
	tests := []struct {
		commit int // counted from 1
		want   FileDiff
	}{
		{1, FileDiff{Path: "new\nline", Status: 'A', Added: 2, Ranges: []LineRange{{1, 2}}}},
		{1, FileDiff{Path: "latin-\xe9\xff", Status: 'A', Added: 1, Ranges: []LineRange{{1, 1}}}},
		{1, FileDiff{Path: " a b/x b/x ", Status: 'A', Added: 1, Ranges: []LineRange{{1, 1}}}},
		{1, FileDiff{Path: "binary", Status: 'A', Binary: true}},
		{1, FileDiff{Path: "empty", Status: 'A'}},
		{4, FileDiff{Path: "no end", Status: 'M', Added: 1, Deleted: 1, Ranges: []LineRange{{2, 2}}}},
		{4, FileDiff{Path: "x", Status: 'M'}},
		{5, FileDiff{Path: "moved\tto", OldPath: "plain", Status: 'R', Added: 1, Deleted: 1, Ranges: []LineRange{{50, 50}}}},
		{6, FileDiff{Path: "a b/c", OldPath: "moved\tto", Status: 'R'}},
		{7, FileDiff{Path: "link", Status: 'T', Added: 2, Deleted: 1, Ranges: []LineRange{{1, 2}}}},
		{8, FileDiff{Path: "module", Status: 'A', Submodule: true}},
		{9, FileDiff{Path: "module", Status: 'M', Submodule: true}},
		{10, FileDiff{Path: "module", Status: 'T', Added: 1, Ranges: []LineRange{{1, 1}}}},
		{14, FileDiff{Path: "long", Status: 'A', Added: 2, Ranges: []LineRange{{1, 2}}}},
		{16, FileDiff{Path: "attributes", Status: 'A', Added: 9, Ranges: []LineRange{{1, 9}}}},
	}
	for _, test := range tests {
		files := got[all[test.commit-1]].Files
		i := slices.IndexFunc(files, func(f FileDiff) bool { return f.Path == test.want.Path })
		if i < 0 {
			t.Errorf("commit %d: no file %q in %+v", test.commit, test.want.Path, files)
			continue
		}
		files[i].Old, files[i].New = "", ""
		if diff := cmp.Diff(test.want, files[i]); diff != "" {
			t.Errorf("commit %d: %q (-want +got):\n%s", test.commit, test.want.Path, diff)
		}
	}
}

func TestAddedGoesOnAfterMissingObjects(t *testing.T) {
	for _, commits := range []int{3, 40} { // 40 kill more processes than a worker lets die
		t.Run(fmt.Sprint(commits), func(t *testing.T) {
			g := newTestRepo(t)
			var ids, gone []string
			for i := range commits {
				ids = append(ids, g.commit(fmt.Sprint(i), fmt.Sprintf("f%d", i), numbered(i*100, i*100+5)))
				if i%2 == 1 {
					gone = append(gone, g.git("rev-parse", fmt.Sprintf("HEAD:f%d", i)))
				}
			}
			for _, id := range gone {
				g.removeObject(id)
			}
			none := strings.Repeat("1", 40)
			tree := g.git("rev-parse", "HEAD^{tree}")
			got := addedOf(t, g.open(), append(slices.Clone(ids), none, tree)...)
			for i, id := range ids {
				d := got[id]
				if i%2 == 0 && (d.Unreadable != "" || len(d.Files) != 1 || d.Files[0].Added != 6) {
					t.Errorf("commit %d = %+v, want 6 lines", i, d)
				}
				if i%2 == 1 && (d.Unreadable != "object "+gone[i/2]+" is missing" || d.Files != nil) {
					t.Errorf("commit %d = %+v, want it unreadable because object %s is missing", i, d, gone[i/2])
				}
			}
			for _, id := range []string{none, tree} {
				if got[id].Unreadable == "" {
					t.Errorf("%s = %+v, want it unreadable", id, got[id])
				}
			}
		})
	}
}

func TestAddedNamesCorruptObjects(t *testing.T) {
	g := newTestRepo(t)
	first := g.commit("1", "a", numbered(1, 5))
	second := g.commit("2", "b", numbered(1, 5)+"b\n")
	blob := g.git("rev-parse", "HEAD:b")
	path := filepath.Join(g.dir, ".git/objects", blob[:2], blob[2:])
	if err := errors.Join(os.Chmod(path, 0o644), os.WriteFile(path, []byte("not an object"), 0o644)); err != nil {
		t.Fatal(err)
	}
	got := addedOf(t, g.open(), first, second)
	if d := got[first]; d.Unreadable != "" || len(d.Files) != 1 {
		t.Errorf("the sound commit = %+v, want one file", d)
	}
	if d := got[second]; !strings.Contains(d.Unreadable, blob) {
		t.Errorf("the damaged commit = %+v, want it unreadable for %s", d, blob)
	}
}

func TestAddedInPartialAndShallowClones(t *testing.T) {
	g := newTestRepo(t)
	g.git("config", "uploadpack.allowFilter", "true")
	var ids []string
	for i := range 30 {
		ids = append(ids, g.commit(fmt.Sprint(i), "f", numbered(1, i+1)))
	}
	clone := func(args ...string) string {
		dir := filepath.Join(t.TempDir(), "clone")
		mustRun(t, "", nil, nil, append(append([]string{"clone", "-q", "--bare"}, args...), "file://"+g.dir, dir)...)
		return dir
	}
	partial := openAt(t, clone("--filter=blob:none"))
	if got := partial.Partial(); got != "blob:none" {
		t.Errorf("Partial = %q, want blob:none", got)
	}
	for id, d := range addedOf(t, partial, ids...) {
		if !strings.Contains(d.Unreadable, "missing") {
			t.Errorf("without blobs, %s = %+v, want it unreadable", id, d)
		}
	}
	shallow := openAt(t, clone("--depth=5"))
	if got, want := shallow.Shallow(), []string{ids[25]}; !slices.Equal(got, want) {
		t.Errorf("Shallow = %v, want %v", got, want)
	}
	for i, d := range addedOf(t, shallow, ids[25:]...) {
		if atEdge := i == ids[25]; atEdge != (d.Unreadable != "") {
			t.Errorf("in a shallow clone, %s = %+v, at the boundary: %v", i, d, atEdge)
		}
	}
}

func TestAddedEndsWhenNobodyWantsMore(t *testing.T) {
	g := newTestRepo(t)
	im := &imports{}
	at := im.commit("main", "", nil, file{"100644", "f", "0\n"})
	for i := range 2000 {
		at = im.commit("main", "", []int{at}, file{"100644", "f", numbered(0, i%100)})
	}
	marks := im.into(g)
	var ids []string
	for mark := 1; mark <= im.mark; mark++ {
		ids = append(ids, marks[mark])
	}
	r := g.open()
	before := runtime.NumGoroutine()
	for range 5 {
		n := 0
		for _, err := range r.Added(t.Context(), slices.Values(ids), 3) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == 7 {
				break
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var last error
		for _, err := range r.Added(ctx, slices.Values(ids), 3) {
			last = err
			cancel()
		}
		if !errors.Is(last, context.Canceled) {
			t.Errorf("after cancel the last error = %v, want %v", last, context.Canceled)
		}
		cancel()
	}
	waitFor(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
	if left := children(t); len(left) > 0 {
		t.Errorf("git processes left: %v", left)
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 200 {
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("waited in vain for %s", what)
}

// children are the processes that this one has started and not waited for.
func children(t *testing.T) []string {
	t.Helper()
	var left []string
	for _, name := range mustGlob(t, "/proc/self/task/*/children") {
		data, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		left = append(left, strings.Fields(string(data))...)
	}
	return left
}

func mustGlob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestAddedRefusesWhatIsNoID(t *testing.T) {
	g := newTestRepo(t)
	id := g.commit("1", "a", "a\n")
	for _, bad := range []string{"HEAD", "", endOfChunk, id + "\n", id[:39], "-p"} {
		var last error
		for _, err := range g.open().Added(t.Context(), slices.Values([]string{bad}), 1) {
			last = err
		}
		if !errors.Is(last, stemma.ErrInvalid) {
			t.Errorf("Added(%q): %v, want %v", bad, last, stemma.ErrInvalid)
		}
	}
}

func TestAddedHoldsNoContent(t *testing.T) {
	g := newTestRepo(t)
	const size = 64 << 20
	g.write("big", strings.Repeat("x", size/2)+"\n"+strings.Repeat(strings.Repeat("y", 99)+"\n", size/200))
	id := g.commit("big")
	r := g.open()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	d := addedOf(t, r, id)[id]
	runtime.ReadMemStats(&after)
	if len(d.Files) != 1 || d.Files[0].Added != size/200+1 {
		t.Errorf("big file = %+v, want %d lines", d, size/200+1)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 {
		t.Errorf("Added allocated %d bytes for a diff of %d", used, size)
	}
}

func TestWeightOfACommitIsBounded(t *testing.T) {
	header := "\x00" + strings.Repeat("a", 40) + "\ndiff --git a/f b/f\n"
	in := header + strings.Repeat("@@ -0,0 +1 @@\n+x\n@@ -0,0 +3 @@\n+x\n", 3) + "end\n"
	p := newDiffParser(bufio.NewReader(strings.NewReader(in)), 40)
	p.limit = 100
	var got []*diffEntry
	if err := p.read("end", func(e *diffEntry) error { got = append(got, e); return nil }); err != nil || len(got) != 1 {
		t.Fatalf("read = %v, %v", got, err)
	}
	if got[0].excess == "" || got[0].files != nil {
		t.Errorf("entry over the limit = %+v, want it to say so and hold nothing", got[0])
	}
}

func BenchmarkAdded(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "repo")
	mustRun(b, "", nil, nil, "init", "-q", "-b", "main", dir)
	im := &imports{}
	at := im.commit("main", "", nil, file{"100644", "f0", numbered(0, 300)})
	for i := range 1000 {
		at = im.commit("main", "", []int{at}, file{"100644", fmt.Sprintf("d%d/f%d", i%7, i%50), numbered(i, i+300)})
	}
	mustRun(b, dir, nil, im.Bytes(), "fast-import", "--quiet")
	ids := strings.Fields(mustRun(b, dir, nil, nil, "rev-list", "main"))
	b.Run("Added", func(b *testing.B) {
		r := openAt(b, dir)
		for b.Loop() {
			addedOf(b, r, ids...)
		}
	})
	// The floor: the same history, counted by one process of plain git.
	b.Run("git-log-numstat", func(b *testing.B) {
		for b.Loop() {
			mustRun(b, dir, nil, nil, "log", "--numstat", "-M", "--format=%H", "main")
		}
	})
}
