package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stemma-dev/stemma/internal/git"
)

// Sessions of a linked work tree are the repository's. Where that lies below a
// folder with a bracket in its name they were once those of another one.
func TestWorkTreesBelowAPattern(t *testing.T) {
	for _, name := range []string{"a[b]", "a[b"} {
		root, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		dir, linked := filepath.Join(root, name), filepath.Join(root, "linked")
		gitIn(t, ".", nil, "init", "-q", "-b", "main", dir)
		gitIn(t, dir, nil, "commit", "-q", "--allow-empty", "-m", "one")
		gitIn(t, dir, nil, "worktree", "add", "-q", linked)
		repo, err := git.Open(t.Context(), dir, git.Config{Scratch: filepath.Join(root, "scratch")})
		if err != nil {
			t.Fatal(err)
		}
		trees := (&bench{repo: repo}).workTrees()
		if err := repo.Close(); err != nil {
			t.Error(err)
		}
		if !slices.Contains(trees, dir) || !slices.Contains(trees, linked) {
			t.Errorf("the work trees of %s are %s; want it and %s", dir, strings.Join(trees, ", "), linked)
		}
	}
}
