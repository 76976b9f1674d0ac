package spool

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// git runs real git in dir, without any configuration of this machine.
func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com",
	}
	out, err := cmd.CombinedOutput()
	if err != nil && args[0] != "check-ignore" {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestIndexIsReadAsGitWritesIt(t *testing.T) {
	for _, version := range []string{"2", "3", "4"} {
		for _, format := range []string{"sha1", "sha256"} {
			dir := t.TempDir()
			git(t, dir, "init", "-q", "--object-format="+format)
			names := []string{"a", "dir/b", "dir/bc", "dir/sub/" + strings.Repeat("long", 60), "ünï/ç", "new"}
			for _, n := range names {
				write(t, filepath.Join(dir, n), n)
			}
			git(t, dir, "add", "a", "dir", "ünï")
			git(t, dir, "add", "-N", "new") // makes version 3 of 2
			git(t, dir, "update-index", "--index-version", version)
			p, err := Find(dir)
			if err != nil {
				t.Fatal(err)
			}
			index, err := readIndex(p)
			if err != nil {
				t.Fatalf("version %s, %s: %v", version, format, err)
			}
			var got []string
			for _, e := range index {
				got = append(got, e.path)
			}
			want := slices.Sorted(slices.Values(names))
			if !slices.Equal(got, want) {
				t.Errorf("version %s, %s: index has %q, want %q", version, format, got, want)
			}
			if n, ok := index.find(0, "dir/bc"); !ok || index[n].size != 6 {
				t.Errorf("version %s, %s: dir/bc = %v, %v, want a size of 6", version, format, index[min(n, len(index)-1)], ok)
			}
		}
	}
}

func FuzzIndex(f *testing.F) {
	dir := f.TempDir()
	git(f, dir, "init", "-q")
	write(f, filepath.Join(dir, "a"), "a")
	write(f, filepath.Join(dir, "d/b"), "b")
	git(f, dir, "add", ".")
	for _, version := range []string{"2", "4"} {
		git(f, dir, "update-index", "--index-version", version)
		data, err := os.ReadFile(filepath.Join(dir, ".git/index"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, size := range []int{20, 32} {
			index, err := decodeIndex(data, size, nil)
			if err == nil && len(index)*40 > len(data) {
				t.Fatalf("%d entries from %d bytes", len(index), len(data))
			}
		}
	})
}

// What ignored says is what git says, for random patterns and paths.
func TestIgnoredAgreesWithGit(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	part := func() string { return pick("a", "b", "ab", "build", "x.o", "y.log", "foo bar", "é") }
	pattern := func() string {
		p := pick("", "", "!", "/") + pick(part(), part(), "*", "*.o", "?", "[ab]", "[!a]", "**", "a*", `\!a`, `\#b`, "# comment")
		for rnd.IntN(3) == 0 {
			p += "/" + pick(part(), "*", "**", "*.log")
		}
		return p + pick("", "", "/", " ", `\ `)
	}
	for range 12 {
		dir := t.TempDir()
		git(t, dir, "init", "-q")
		var paths []string
		for range 25 {
			p := part()
			for rnd.IntN(2) == 0 {
				p += "/" + part()
			}
			full := filepath.Join(dir, p)
			if os.MkdirAll(filepath.Dir(full), 0o755) == nil && os.WriteFile(full, nil, 0o644) == nil {
				paths = append(paths, p)
			}
		}
		for _, at := range []string{"", "a", "build"} {
			var lines []string
			for range rnd.IntN(5) {
				lines = append(lines, pattern())
			}
			if st, err := os.Stat(filepath.Join(dir, at)); err == nil && st.IsDir() {
				write(t, filepath.Join(dir, at, ".gitignore"), strings.Join(lines, "\n")+"\n")
			}
		}
		p, err := Find(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			want := git(t, dir, "check-ignore", "--no-index", "--", path) != ""
			if got := ignored(p, "", path); got != want {
				rules := git(t, dir, "check-ignore", "-v", "-n", "--no-index", "--", path)
				t.Errorf("ignored(%q) = %v, git says %v by %s", path, got, want, rules)
			}
		}
	}
}

// What a scan finds dirty is what git status finds, up to contents that were
// written anew and are the same.
func TestScanAgreesWithGitStatus(t *testing.T) {
	dir := t.TempDir()
	git(t, dir, "init", "-q")
	for i := range 40 {
		write(t, filepath.Join(dir, fmt.Sprintf("d%d/f%d", i%5, i)), fmt.Sprint(i))
	}
	write(t, filepath.Join(dir, ".gitignore"), "*.log\n/out/\n")
	git(t, dir, "add", ".")
	git(t, dir, "add", "-f", ".gitignore")
	write(t, filepath.Join(dir, "out/kept.go"), "x")
	git(t, dir, "add", "-f", "out/kept.go")
	git(t, dir, "commit", "-qm", "first")

	write(t, filepath.Join(dir, "d1/f1"), "changed")
	write(t, filepath.Join(dir, "new/deep/file"), "new")
	write(t, filepath.Join(dir, "d2/x.log"), "ignored")
	write(t, filepath.Join(dir, "out/ignored.go"), "ignored")
	write(t, filepath.Join(dir, "out/kept.go"), "tracked though ignored")
	os.Remove(filepath.Join(dir, "d3/f3"))
	inner := filepath.Join(dir, "nested")
	os.Mkdir(inner, 0o755)
	git(t, inner, "init", "-q")
	write(t, filepath.Join(inner, "file"), "of another repository")

	p, err := Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := scanTree(p, "", 0, time.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if dirty := slices.Sorted(maps.Keys(got.Dirty)); !slices.Equal(dirty, []string{"d1/f1", "new/deep/file", "out/kept.go"}) {
		t.Errorf("dirty = %q", dirty)
	}
	if gone := slices.Sorted(maps.Keys(got.Gone)); !slices.Equal(gone, []string{"d3/f3"}) {
		t.Errorf("gone = %q", gone)
	}
	if _, err := scanTree(p, "", 0, time.Now().Add(-time.Second)); err == nil {
		t.Error("a scan without time left gave no error")
	}
}

func TestFindSeesWorkTreesAndNoRepository(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	repo := filepath.Join(dir, "repo")
	os.Mkdir(repo, 0o755)
	git(t, repo, "init", "-q")
	write(t, filepath.Join(repo, "a"), "a")
	git(t, repo, "add", ".")
	git(t, repo, "commit", "-qm", "first")
	git(t, repo, "worktree", "add", "-q", filepath.Join(dir, "linked"))
	os.Symlink(repo, filepath.Join(dir, "link"))

	main, err := Find(filepath.Join(repo, "not/there/yet"))
	if err != nil || main.Tree != repo || main.Common != filepath.Join(repo, ".git") {
		t.Fatalf("Find in the repository = %+v, %v", main, err)
	}
	linked, err := Find(filepath.Join(dir, "linked"))
	if err != nil || linked.Folder() != main.Folder() || linked.Tree == main.Tree {
		t.Errorf("Find in a linked work tree = %+v, %v", linked, err)
	}
	if p, err := Find(filepath.Join(dir, "link", "a")); err != nil || p.Tree != repo {
		t.Errorf("Find through a link = %+v, %v", p, err)
	}
	if _, err := Find(dir); err == nil {
		t.Error("Find gave a repository where there is none")
	}
	for path, want := range map[string]string{"a": "a", "sub/../a": "a", ".git/config": "", "..": "", "../linked/a": ""} {
		if got, ok := main.Within(filepath.Join(repo, path)); got != want || ok != (want != "") {
			t.Errorf("Within(%q) = %q, %v; want %q", path, got, ok, want)
		}
	}
}
