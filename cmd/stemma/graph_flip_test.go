package main

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stemma-dev/stemma/internal/store/fliptest"
)

// graphPassedOver is what rebuild --compare passes over of the graph, by table: no
// question reads it, or the next index finds out.
var graphPassedOver = map[string]string{
	"sqlite_schema": "the header of the file: of another version the graph is made anew",
	"organisation":  "the numbers that the next rows get",
	"put":           "which scopes changed lately, for whoever follows",
	"mark":          "what the index was derived from, which a rebuild makes anew",
	"scope_key":     "what late evidence finds a commit by: looked up, and in no answer",
	"key_scope":     "what late evidence finds a commit by: looked up, and in no answer",
	"node":          "whether a node has rows of its own, which is for writing",
}

// Every byte of the graph that an answer is made of, changed, is named by rebuild
// --compare, and the graph is what it was afterwards.
func TestEveryChangedByteOfTheGraphIsNamed(t *testing.T) {
	work := t.TempDir()
	t.Setenv("HOME", work)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	repo, place := filepath.Join(work, "repo"), filepath.Join(work, "place")
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", repo, "-c", "user.name=Ada", "-c", "user.email=ada@example.org"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_DATE=2026-03-01T12:00:00Z", "GIT_COMMITTER_DATE=2026-03-01T12:00:00Z")
		must(t, cmd)
	}
	if err := os.Mkdir(repo, 0o755); err != nil {
		t.Fatal(err)
	}
	git("init", "-q", "-b", "main")
	text := ""
	for i, message := range []string{"one", "two\n\nCo-Authored-By: Claude Opus 4.5 <noreply@anthropic.com>", "three\n\nAssisted-by: codex:gpt-5.1-codex"} {
		text += strings.Repeat("func f() { return }\n", i+1)
		if err := os.WriteFile(filepath.Join(repo, "a.go"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		git("add", ".")
		git("commit", "-q", "-m", message)
	}
	must(t, program(t, place, "index", "-q", "-R", repo))
	must(t, program(t, place, "rebuild", "-R", repo))
	found, err := filepath.Glob(filepath.Join(place, "*", "graph.db"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	name, err := filepath.Rel(place, found[0])
	if err != nil {
		t.Fatal(err)
	}
	pages := fliptest.ReadPages(t, found[0])
	info, err := os.Stat(found[0])
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	many := 40
	if os.Getenv("STEMMA_SOAK") != "" {
		many = 4000
	}
	whole := must(t, program(t, place, "dump", "-R", repo))
	var flips []fliptest.Flip
	for _, at := range r.Perm(int(info.Size())) {
		if pages.HoldsNothing(at) == "" && len(flips) < many {
			flips = append(flips, fliptest.Flip{File: name, At: at, Bit: 1 << r.IntN(8)})
		}
	}
	fliptest.Each(t, place, flips, func(t *testing.T, dir string, f fliptest.Flip) string {
		var out bytes.Buffer
		cmd := program(t, dir, "rebuild", "--compare", "-R", repo)
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		if now := must(t, program(t, dir, "dump", "-R", repo)); now != whole {
			t.Errorf("%s: after a rebuild the graph is\n%s\nwant\n%s", f, now, whole)
		}
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit) && exit.ExitCode() == exitConflict:
			return ""
		case err != nil:
			t.Errorf("%s, of %s: %v: %s", f, pages.Owner(f.At), err, out.String())
			return "?"
		}
		reason := graphPassedOver[pages.Owner(f.At)]
		if reason == "" {
			t.Errorf("%s, of %s, is not named", f, pages.Owner(f.At))
			return "?"
		}
		return reason
	})
}
