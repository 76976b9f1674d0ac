package git

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// written makes a repository with commits, and a hook that must not be run.
func written(t *testing.T, commits int) (dir string, ids []string) {
	t.Helper()
	dir = t.TempDir()
	run := func(args ...string) string {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
			"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@x", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@x",
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run("init", "-q")
	for i := range commits {
		run("commit", "-q", "--allow-empty", "-m", fmt.Sprint(i))
		ids = append(ids, run("rev-parse", "HEAD"))
	}
	hook := filepath.Join(dir, ".git", "hooks", "reference-transaction")
	os.MkdirAll(filepath.Dir(hook), 0o755)
	if err := os.WriteFile(hook, []byte("#!/bin/sh\necho ran >>"+dir+"/ran\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir, ids
}

func notesOf(t *testing.T, dir string, ids []string) map[string]string {
	t.Helper()
	got := make(map[string]string)
	for _, id := range ids {
		cmd := exec.Command("git", "-C", dir, "notes", "--ref=refs/notes/stemma", "show", id)
		if out, err := cmd.Output(); err == nil {
			got[id] = string(out)
		}
	}
	return got
}

func TestNotesAreAddedByManyAtOnce(t *testing.T) {
	dir, ids := written(t, 12)
	var group sync.WaitGroup
	for _, id := range ids {
		group.Go(func() {
			repo, err := Open(t.Context(), dir, Config{Scratch: filepath.Join(t.TempDir(), "s")})
			if err != nil {
				t.Error(err)
				return
			}
			defer repo.Close()
			if err := repo.AddNotes(t.Context(), "refs/notes/stemma", map[string][]byte{id: []byte("note of " + id + "\n")}, Signature{Name: "stemma", Time: 1}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	got := notesOf(t, dir, ids)
	for _, id := range ids {
		if got[id] != "note of "+id+"\n" {
			t.Errorf("note on %s is %q", id, got[id])
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("a hook of the repository was run")
	}
}

func TestNotesAreReplacedAndOthersStay(t *testing.T) {
	dir, ids := written(t, 2)
	repo, err := Open(t.Context(), dir, Config{Scratch: filepath.Join(t.TempDir(), "s")})
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	for _, notes := range []map[string][]byte{
		{ids[0]: []byte("one\n"), ids[1]: []byte("two\n")}, {ids[0]: []byte("one again\n")}, {},
	} {
		if err := repo.AddNotes(t.Context(), "refs/notes/stemma", notes, Signature{Name: "a <b>\n", Time: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if got := notesOf(t, dir, ids); got[ids[0]] != "one again\n" || got[ids[1]] != "two\n" {
		t.Errorf("notes are %q", got)
	}
	// somebody's notes may come before his commits
	absent := strings.Repeat("ab", len(ids[0])/2)
	for _, text := range []string{"theirs\n", "theirs again\n"} {
		if err := repo.AddNotes(t.Context(), "refs/notes/stemma", map[string][]byte{absent: []byte(text), ids[1]: []byte("two again\n")}, Signature{}); err != nil {
			t.Fatal(err)
		}
	}
	all := make(map[string]string)
	tip, err := repo.Resolve(t.Context(), "refs/notes/stemma")
	if err != nil {
		t.Fatal(err)
	}
	for n, err := range repo.Notes(t.Context(), tip) {
		if err != nil {
			t.Fatal(err)
		}
		all[n.Commit] = string(n.Text)
	}
	if len(all) != 3 || all[absent] != "theirs again\n" || all[ids[0]] != "one again\n" || all[ids[1]] != "two again\n" {
		t.Errorf("notes are %q", all)
	}
	for _, ref := range []string{"refs/heads/main", "refs/notes/a b", "refs/notes/x\ny"} {
		if err := repo.AddNotes(t.Context(), ref, map[string][]byte{ids[0]: nil}, Signature{}); err == nil {
			t.Errorf("notes were added to %q", ref)
		}
	}
	if err := repo.AddNotes(t.Context(), "refs/notes/stemma", map[string][]byte{"HEAD": nil}, Signature{}); err == nil {
		t.Error("a note was added to a name")
	}
}

func TestReflogNamesWhatARewriteLeftBehind(t *testing.T) {
	dir, ids := written(t, 2)
	cmd := exec.Command("git", "-c", "user.name=A", "-c", "user.email=a@x", "-c", "core.hooksPath=/dev/null", "commit", "-q", "--amend", "--allow-empty", "-m", "again")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	repo, err := Open(t.Context(), dir, Config{Scratch: filepath.Join(t.TempDir(), "s")})
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	got, err := repo.Reflog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	actions := make(map[string]string)
	for _, e := range got {
		actions[e.New] = e.Action
		if e.Time == 0 {
			t.Errorf("no time in %+v", e)
		}
	}
	if len(actions) != 3 || actions[ids[0]] != "commit (initial)" || actions[ids[1]] != "commit" {
		t.Errorf("Reflog tells %q; want both commits and the amended one", actions)
	}
}

// What a linked work tree left behind is in its own reflog. In a repository below
// a folder with a bracket in its name those were once not found.
func TestReflogOfALinkedWorkTreeBelowAPattern(t *testing.T) {
	for _, name := range []string{"a[b]", "a[b"} {
		g := &testRepo{t: t, dir: filepath.Join(t.TempDir(), name)}
		mustRun(t, "", nil, nil, "init", "-q", "-b", "main", g.dir)
		g.commit("1", "f", "x\n")
		linked := filepath.Join(filepath.Dir(g.dir), "linked")
		g.git("worktree", "add", "-q", "--detach", linked)
		mustRun(t, linked, nil, nil, "commit", "-q", "--allow-empty", "-m", "of nobody's branch")
		want := mustRun(t, linked, nil, nil, "rev-parse", "HEAD")
		got, err := g.open().Reflog(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(got, func(e ReflogEntry) bool { return e.New == want && e.Action == "commit" }) {
			t.Errorf("%s: Reflog tells %+v, and not of %s", name, got, want)
		}
	}
}

// Clones that push their notes at once lose none, and end with the same notes.
func TestNotesPushedByManyClonesAtOnce(t *testing.T) {
	dir, ids := written(t, 4)
	remote := filepath.Join(t.TempDir(), "remote.git")
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run("clone", "-q", "--bare", dir, remote)
	var group sync.WaitGroup
	for i, id := range ids {
		clone := filepath.Join(t.TempDir(), fmt.Sprint("clone", i))
		run("clone", "-q", remote, clone)
		group.Go(func() {
			repo, err := Open(t.Context(), clone, Config{Scratch: filepath.Join(t.TempDir(), "s")})
			if err != nil {
				t.Error(err)
				return
			}
			defer repo.Close()
			by := Signature{Name: "stemma", Time: int64(i + 1)}
			// each has a note of its own, and one on which they differ
			notes := map[string][]byte{id: []byte("note of " + id + "\n")}
			if id != ids[0] {
				notes[ids[0]] = fmt.Appendf(nil, "%d\n", i)
			}
			smaller := func(a, b []byte) []byte {
				if string(a) < string(b) {
					return a
				}
				return b
			}
			if err := repo.AddNotes(t.Context(), "refs/notes/stemma", notes, by); err != nil {
				t.Error(err)
			}
			if err := repo.PushNotes(t.Context(), "origin", "refs/notes/stemma", smaller, by); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	got := notesOf(t, remote, ids)
	for _, id := range ids[1:] {
		if got[id] != "note of "+id+"\n" {
			t.Errorf("note on %s is %q", id, got[id])
		}
	}
	if got[ids[0]] != "1\n" {
		t.Errorf("the note on which they differ is %q, want the smallest", got[ids[0]])
	}
	repo, err := Open(t.Context(), dir, Config{Scratch: filepath.Join(t.TempDir(), "s")})
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	for _, remote := range []string{"", "--upload-pack=x", filepath.Join(dir, "nowhere")} {
		if err := repo.PushNotes(t.Context(), remote, "refs/notes/stemma", nil, Signature{}); err == nil {
			t.Errorf("pushed to %q", remote)
		}
	}
}
