package git

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// testRepo is a real repository, written by plain git.
type testRepo struct {
	t   *testing.T
	dir string
	env []string // added to the environment of plain git
}

func newTestRepo(t *testing.T, options ...string) *testRepo {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repo")
	g := &testRepo{t: t, dir: dir}
	mustRun(t, "", nil, nil, append(append([]string{"init", "-q", "-b", "main"}, options...), dir)...)
	return g
}

// plainEnv is a quiet environment for plain git, with the configuration of the
// repository in force.
func plainEnv() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_AUTHOR_DATE=1700000000 +0000",
		"GIT_COMMITTER_NAME=Bob", "GIT_COMMITTER_EMAIL=bob@example.com", "GIT_COMMITTER_DATE=1700000001 +0000",
		"GIT_TERMINAL_PROMPT=0", "GIT_ALLOW_PROTOCOL=file:ext",
	}
}

func tryRun(dir string, env []string, stdin []byte, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(plainEnv(), env...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return strings.TrimRight(string(out), "\n"), err
}

func mustRun(t testing.TB, dir string, env []string, stdin []byte, args ...string) string {
	t.Helper()
	out, err := tryRun(dir, env, stdin, args...)
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// git runs plain git in the repository.
func (g *testRepo) git(args ...string) string {
	g.t.Helper()
	return mustRun(g.t, g.dir, g.env, nil, args...)
}

func (g *testRepo) write(name, content string) {
	g.t.Helper()
	path := filepath.Join(g.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		g.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		g.t.Fatal(err)
	}
}

// commit writes files, given as name and content in turn, and commits them.
func (g *testRepo) commit(message string, files ...string) string {
	g.t.Helper()
	for i := 0; i < len(files); i += 2 {
		g.write(files[i], files[i+1])
	}
	g.git("add", "-A")
	g.git("commit", "-q", "--allow-empty", "-m", message)
	return g.git("rev-parse", "HEAD")
}

// open opens the repository, as all tests do, with a scratch directory.
func (g *testRepo) open() *Repo {
	g.t.Helper()
	return openAt(g.t, g.dir)
}

func openAt(t testing.TB, dir string) *Repo {
	t.Helper()
	r, err := Open(t.Context(), dir, Config{Scratch: filepath.Join(t.TempDir(), "scratch")})
	if err != nil {
		t.Fatalf("Open(%s): %v", dir, err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return r
}

// imports builds commits that no work tree could, by git fast-import.
type imports struct {
	bytes.Buffer
	mark int
}

// file is one entry of a commit: deleted when mode is "".
type file struct{ mode, path, content string }

// commit adds a commit to a branch and gives its mark. A submodule has its
// commit id as content.
func (im *imports) commit(branch, header string, parents []int, files ...file) int {
	im.mark++
	fmt.Fprintf(im, "commit refs/heads/%s\nmark :%d\n", branch, im.mark)
	if header == "" {
		header = fmt.Sprintf("author A <a@x> %d +0000\ncommitter B <b@x> %d +0000\n", 1700000000+im.mark, 1700000000+im.mark)
	}
	message := fmt.Sprintf("commit %d\n", im.mark)
	fmt.Fprintf(im, "%sdata %d\n%s\n", header, len(message), message)
	for i, parent := range parents {
		word := "merge"
		if i == 0 {
			word = "from"
		}
		fmt.Fprintf(im, "%s :%d\n", word, parent)
	}
	for _, f := range files {
		switch f.mode {
		case "":
			fmt.Fprintf(im, "D %s\n", quoteC(f.path))
		case "160000":
			fmt.Fprintf(im, "M 160000 %s %s\n", f.content, quoteC(f.path))
		default:
			fmt.Fprintf(im, "M %s inline %s\ndata %d\n%s\n", f.mode, quoteC(f.path), len(f.content), f.content)
		}
	}
	fmt.Fprintln(im)
	return im.mark
}

func quoteC(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, "\\%03o", c)
	}
	b.WriteByte('"')
	return b.String()
}

// into runs fast-import and gives the commit ids by mark.
func (im *imports) into(g *testRepo) map[int]string {
	g.t.Helper()
	marks := filepath.Join(g.t.TempDir(), "marks")
	mustRun(g.t, g.dir, nil, im.Bytes(), "fast-import", "--quiet", "--export-marks="+marks)
	data, err := os.ReadFile(marks)
	if err != nil {
		g.t.Fatal(err)
	}
	ids := map[int]string{}
	for line := range strings.Lines(string(data)) {
		var mark int
		var id string
		if _, err := fmt.Sscanf(line, ":%d %s", &mark, &id); err != nil {
			g.t.Fatal(err)
		}
		ids[mark] = id
	}
	return ids
}

// removeObject deletes a loose object.
func (g *testRepo) removeObject(id string) {
	g.t.Helper()
	dir := g.git("rev-parse", "--absolute-git-dir")
	if err := os.Remove(filepath.Join(dir, "objects", id[:2], id[2:])); err != nil {
		g.t.Fatal(err)
	}
}

func numbered(from, to int) string {
	var b strings.Builder
	for i := from; i <= to; i++ {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	return b.String()
}
