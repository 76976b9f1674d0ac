package git

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stemma-dev/stemma"
)

func TestOpenFindsTheRepository(t *testing.T) {
	g := newTestRepo(t)
	g.commit("1", "sub/dir/file", "x\n")
	dir := filepath.Dir(g.dir)
	linked, bare, module := filepath.Join(dir, "linked"), filepath.Join(dir, "bare.git"), filepath.Join(g.dir, "module")
	g.git("worktree", "add", "-q", linked, "-b", "other")
	mustRun(t, "", nil, nil, "clone", "-q", "--bare", g.dir, bare)
	g.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", bare, "module")
	if err := os.Symlink(g.dir, filepath.Join(dir, "alias")); err != nil {
		t.Fatal(err)
	}
	gitDir := filepath.Join(g.dir, ".git")
	tests := []struct{ name, path, dir, common, tree string }{
		{"top", g.dir, gitDir, gitDir, g.dir},
		{"below", filepath.Join(g.dir, "sub", "dir"), gitDir, gitDir, g.dir},
		{"file", filepath.Join(g.dir, "sub", "dir", "file"), gitDir, gitDir, g.dir},
		{"git directory", gitDir, gitDir, gitDir, g.dir},
		{"inside git directory", filepath.Join(gitDir, "hooks"), gitDir, gitDir, g.dir},
		{"linked work tree", filepath.Join(linked, "sub"), filepath.Join(gitDir, "worktrees", "linked"), gitDir, linked},
		{"git directory of a linked work tree", filepath.Join(gitDir, "worktrees", "linked"), filepath.Join(gitDir, "worktrees", "linked"), gitDir, linked},
		{"bare", bare, bare, bare, ""},
		{"inside bare", filepath.Join(bare, "objects"), bare, bare, ""},
		{"submodule", module, filepath.Join(gitDir, "modules", "module"), filepath.Join(gitDir, "modules", "module"), module},
		{"git directory of a submodule", filepath.Join(gitDir, "modules", "module"), filepath.Join(gitDir, "modules", "module"), filepath.Join(gitDir, "modules", "module"), module},
		{"link", filepath.Join(dir, "alias"), filepath.Join(dir, "alias", ".git"), filepath.Join(dir, "alias", ".git"), filepath.Join(dir, "alias")},
	}
	for _, test := range tests {
		r := openAt(t, test.path)
		if r.Dir() != test.dir || r.CommonDir() != test.common || r.WorkTree() != test.tree {
			t.Errorf("%s: Dir, CommonDir, WorkTree = %q, %q, %q; want %q, %q, %q", test.name,
				r.Dir(), r.CommonDir(), r.WorkTree(), test.dir, test.common, test.tree)
		}
		head, err := r.Head(t.Context())
		if err != nil || head.Commit == "" {
			t.Errorf("%s: Head = %+v, %v", test.name, head, err)
		}
	}
	other := openAt(t, linked)
	if head, err := other.Head(t.Context()); err != nil || head.Target != "refs/heads/other" {
		t.Errorf("Head of the linked work tree = %+v, %v; want refs/heads/other", head, err)
	}
	if id, err := other.Resolve(t.Context(), "HEAD@{0}"); err != nil || id != g.git("rev-parse", "main") {
		t.Errorf("Resolve(HEAD@{0}) in the linked work tree = %q, %v", id, err)
	}
}

func TestOpenTakesGitDirOfAHook(t *testing.T) {
	g := newTestRepo(t)
	id := g.commit("1", "f", "x\n")
	other := newTestRepo(t)
	other.commit("2", "f", "y\n")
	t.Chdir(other.dir)
	t.Setenv("GIT_DIR", filepath.Join(g.dir, ".git"))
	for _, path := range []string{"", "."} {
		if head, err := openAt(t, path).Head(t.Context()); err != nil || head.ID != id {
			t.Errorf("with GIT_DIR, Open(%q) has HEAD %+v, %v; want %s", path, head, err, id)
		}
	}
	if got := openAt(t, other.dir).Dir(); got != filepath.Join(other.dir, ".git") {
		t.Errorf("with GIT_DIR, Open of another path = %q", got)
	}
	t.Setenv("GIT_DIR", "/nonexistent")
	if _, err := Open(t.Context(), "", Config{}); !errors.Is(err, stemma.ErrNotFound) {
		t.Errorf("with a wrong GIT_DIR: %v, want %v", err, stemma.ErrNotFound)
	}
}

// In a pre-receive hook the new objects are not in the repository yet.
func TestOpenSeesObjectsInQuarantine(t *testing.T) {
	g := newTestRepo(t)
	g.commit("1", "f", "x\n")
	objects, quarantine := filepath.Join(g.dir, ".git", "objects"), t.TempDir()
	env := []string{"GIT_OBJECT_DIRECTORY=" + quarantine, "GIT_ALTERNATE_OBJECT_DIRECTORIES=" + objects}
	blob := mustRun(t, g.dir, env, []byte("pushed\n"), "hash-object", "-w", "--stdin")
	for _, pair := range append(env, "GIT_DIR="+filepath.Join(g.dir, ".git")) {
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value)
	}
	r := openAt(t, "")
	if got, err := r.Blob(t.Context(), blob, 100); err != nil || string(got) != "pushed\n" {
		t.Errorf("Blob in quarantine = %q, %v", got, err)
	}
	if head, err := r.Head(t.Context()); err != nil || head.Type != "commit" {
		t.Errorf("Head beside a quarantine = %+v, %v", head, err)
	}
}

func TestOpenFollowsRelativeAlternates(t *testing.T) {
	g := newTestRepo(t)
	id := g.commit("1", "f", "x\n")
	borrower := filepath.Join(filepath.Dir(g.dir), "borrower")
	mustRun(t, "", nil, nil, "clone", "-q", "--shared", "--bare", g.dir, borrower)
	info := filepath.Join(borrower, "objects", "info", "alternates")
	if err := os.WriteFile(info, []byte("../../repo/.git/objects\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := openAt(t, borrower).Commit(t.Context(), id); err != nil {
		t.Errorf("Commit through a relative alternate: %v", err)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	empty := t.TempDir()
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, ".git"), []byte("gitdir: ../gone\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	nonsense := t.TempDir()
	if err := os.WriteFile(filepath.Join(nonsense, ".git"), []byte(strings.Repeat("x", 100)), 0o644); err != nil {
		t.Fatal(err)
	}
	format := newTestRepo(t)
	format.git("config", "extensions.objectFormat", "sha7")
	config := newTestRepo(t)
	config.write(".git/config", "[core\n")
	shallow := newTestRepo(t)
	shallow.write(".git/shallow", "no id\n")
	old := filepath.Join(t.TempDir(), "git")
	if err := os.WriteFile(old, []byte("#!/bin/sh\necho git version 2.29.9\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, path string
		cfg        Config
		kind       error
		says       string
	}{
		{"no repository", empty, Config{}, stemma.ErrNotFound, "no git repository at"},
		{"no path", filepath.Join(empty, "none"), Config{}, stemma.ErrNotFound, "does not exist"},
		{"gitdir that is gone", broken, Config{}, stemma.ErrNotFound, "git worktree repair"},
		{"gitdir that is nonsense", nonsense, Config{}, stemma.ErrInvalid, "does not name a git directory"},
		{"object format", format.dir, Config{}, stemma.ErrInvalid, "sha7"},
		{"configuration", config.dir, Config{}, stemma.ErrInvalid, "byte 0: section does not end"},
		{"shallow", shallow.dir, Config{}, stemma.ErrInvalid, "not an object id"},
		{"no git", shallow.dir, Config{Git: "no-such-git"}, stemma.ErrUnavailable, "git not found on PATH; install git 2.30 or newer"},
		{"old git", newTestRepo(t).dir, Config{Git: old}, stemma.ErrUnavailable, "is git 2.29; install git 2.30 or newer"},
	}
	for _, test := range tests {
		test.cfg.Scratch = t.TempDir()
		_, err := Open(t.Context(), test.path, test.cfg)
		if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: Open = %v, want %v saying %q", test.name, err, test.kind, test.says)
		}
	}
}

func TestJudgeVersion(t *testing.T) {
	tests := []struct {
		said string
		ok   bool
	}{
		{"git version 2.30.0\n", true},
		{"git version 2.39.5 (Apple Git-154)\n", true},
		{"git version 3.0.rc1\n", true},
		{"git version 2.29.2.windows.1\n", false},
		{"git version 1.99\n", false},
		{"hub version 2.30\n", false},
		{"", false},
	}
	for _, test := range tests {
		if err := judgeVersion("git", test.said); (err == nil) != test.ok {
			t.Errorf("judgeVersion(%q) = %v, want ok %v", test.said, err, test.ok)
		}
	}
}

func TestOpenAtOnceSharesAScratch(t *testing.T) {
	g := newTestRepo(t)
	id := g.commit("1", "f", "x\n")
	scratch := filepath.Join(t.TempDir(), "deep", "scratch")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 5 {
				r, err := Open(t.Context(), g.dir, Config{Scratch: scratch})
				if err != nil {
					t.Errorf("Open: %v", err)
					return
				}
				if got, err := r.Resolve(t.Context(), "HEAD"); err != nil || got != id {
					t.Errorf("Resolve = %q, %v; want %s", got, err, id)
				}
				if r.temp != "" {
					t.Error("Open did not use the scratch directory")
				}
				if err := r.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}
		})
	}
	all.Wait()
}

func TestOpenWhereNothingCanBeWritten(t *testing.T) {
	g := newTestRepo(t)
	id := g.commit("1", "f", "x\n")
	r, err := Open(t.Context(), g.dir, Config{Scratch: filepath.Join(g.dir, "f", "below a file")})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Resolve(t.Context(), "HEAD"); err != nil || got != id {
		t.Errorf("Resolve = %q, %v; want %s", got, err, id)
	}
	if err := errors.Join(r.Close(), r.Close()); err != nil {
		t.Errorf("Close twice: %v", err)
	}
	if _, err := r.Commit(t.Context(), id); !errors.Is(err, stemma.ErrUnavailable) {
		t.Errorf("Commit after Close: %v, want %v", err, stemma.ErrUnavailable)
	}
}

func TestPartialKnowsFiltersAndPromisorPacks(t *testing.T) {
	g := newTestRepo(t)
	if got := g.open().Partial(); got != "" {
		t.Errorf("Partial of a whole repository = %q", got)
	}
	g.write(".git/objects/pack/pack-1.promisor", "")
	if got := g.open().Partial(); got != "unknown" {
		t.Errorf("Partial with promised packs = %q, want unknown", got)
	}
	g.git("config", "remote.origin.promisor", "true")
	g.git("config", "remote.origin.partialclonefilter", "tree:0")
	if got := g.open().Partial(); got != "tree:0" {
		t.Errorf("Partial = %q, want tree:0", got)
	}
}

func TestOpenSweepsWhatKilledCallsLeft(t *testing.T) {
	g := newTestRepo(t)
	scratch := t.TempDir()
	open := func() *Repo {
		r, err := Open(t.Context(), g.dir, Config{Scratch: scratch})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := open()
	home := filepath.Dir(r.objects.dir)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	old, young := filepath.Join(home, blamePrefix+"old"), filepath.Join(home, blamePrefix+"young")
	if err := errors.Join(os.Mkdir(old, 0o700), os.Mkdir(young, 0o700)); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(home, "refs", tempPrefix+"old")
	past := time.Now().Add(-48 * time.Hour)
	if err := errors.Join(os.WriteFile(left, nil, 0o600), os.Chtimes(left, past, past), os.Chtimes(old, past, past)); err != nil {
		t.Fatal(err)
	}
	if err := open().Close(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{old: false, left: false, young: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("after Open, %s is there: %v, want %v", path, err == nil, want)
		}
	}
}
