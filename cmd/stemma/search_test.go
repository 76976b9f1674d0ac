package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// searching is a repository with imported sessions to search.
type searching struct {
	home, repo, transcripts string
}

func newSearching(t *testing.T) searching {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("STEMMA_DIR", filepath.Join(home, "stemma"))
	t.Setenv("XDG_CACHE_HOME", filepath.Join(home, ".cache"))
	s := searching{home, filepath.Join(home, "repo"), t.TempDir()}
	gitIn(t, home, nil, "init", "-q", "repo")
	gitIn(t, s.repo, nil, "commit", "-q", "--allow-empty", "-m", "first")
	return s
}

// write adds a prompt to the transcript of a session.
func (s searching) write(t *testing.T, session, at, prompt string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(s.transcripts, session+".jsonl"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	line := `{"parentUuid":null,"isSidechain":false,"cwd":"/shop","sessionId":"` + session + `","version":"2.1.40","type":"user","message":{"role":"user","content":"` + prompt + `"},"uuid":"` + session + at + `","timestamp":"` + at + `"}` + "\n"
	if _, err := f.WriteString(line); err != nil {
		t.Fatal(err)
	}
}

func (s searching) read(t *testing.T) {
	t.Helper()
	tell(t, "session", "import", "-R", s.repo, "--from", s.transcripts, "--anywhere", "--yes")
}

// finds says which sessions a search gives, by their ids, newest first.
func (s searching) finds(t *testing.T, words string) string {
	t.Helper()
	var out, errOut bytes.Buffer
	if code := execute(t.Context(), []string{"session", "search", "-R", s.repo, "--prompts", words}, &out, &errOut); code != 0 {
		t.Fatalf("search: %d: %s", code, errOut.String())
	}
	if strings.Contains(errOut.String(), "index of prompts") {
		t.Errorf("search says %q", errOut.String())
	}
	var ids []string
	for line := range strings.Lines(out.String()) {
		if fields := strings.Fields(line); !strings.HasPrefix(line, " ") {
			ids = append(ids, fields[len(fields)-1])
		}
	}
	return strings.Join(ids, " ")
}

func (s searching) wantFound(t *testing.T, words, want string) {
	t.Helper()
	if got := s.finds(t, words); got != want {
		t.Errorf("search for %q finds %q, want %q", words, got, want)
	}
}

// extracts is the folder of the index of prompts.
func (s searching) extracts() string {
	return filepath.Join(s.home, "stemma", "evidence", "vault", "extracts")
}

// The index of prompts is made by the first search, made again where it is
// missing or damaged, and follows sessions that grow.
func TestIndexOfPrompts(t *testing.T) {
	s := newSearching(t)
	s.wantFound(t, "anything", "")
	for _, id := range []string{"one", "two", "three"} {
		s.write(t, id, "2026-03-02T09:00:00.000Z", "shared words of "+id)
	}
	s.read(t)
	if _, err := os.Stat(s.extracts()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("before the first search there is an index: %v", err)
	}
	s.wantFound(t, "SHARED words", "one three two")
	s.wantFound(t, "of two", "two")
	files, err := filepath.Glob(filepath.Join(s.extracts(), "*", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the index is %v, %v, want one extract", files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)-1] ^= 1
	if err := os.WriteFile(files[0], text, 0o600); err != nil {
		t.Fatal(err)
	}
	s.wantFound(t, "of two", "two")
	if err := os.RemoveAll(s.extracts()); err != nil {
		t.Fatal(err)
	}
	s.wantFound(t, "of two", "two")
	s.write(t, "two", "2026-03-02T10:00:00.000Z", "later words")
	s.read(t)
	s.wantFound(t, "later words", "two")
	s.wantFound(t, "shared words", "one three two")
	s.write(t, "four", "2026-03-02T11:00:00.000Z", "shared words of four")
	s.read(t)
	s.wantFound(t, "shared words", "four one three two")
	if files, _ = filepath.Glob(filepath.Join(s.extracts(), "*", "*")); len(files) != 1 {
		t.Errorf("small extracts are not put together: %v", files)
	}
	tell(t, "vault", "check")
}

// A canary in a prompt is found by search, which keeps it in an index. When the
// session is erased, on request, after a hold or at the end of its term, it is
// found by no search and nowhere on the disk by any key that is left.
func TestCanaryOfTheIndexOfPrompts(t *testing.T) {
	for name, erase := range map[string]func(t *testing.T){
		"session": func(t *testing.T) { tell(t, "erase", "--yes", "--session", "claude-code/sings") },
		"hold": func(t *testing.T) {
			id := strings.Fields(tell(t, "hold", "add", "--session", "claude-code/sings", "--reason", "claim 12"))
			var out, errOut bytes.Buffer
			if code := execute(t.Context(), []string{"erase", "--yes", "--session", "claude-code/sings"}, &out, &errOut); code == 0 {
				t.Fatal("it is erased under a hold")
			}
			if out := tell(t, "session", "search", "-R", filepath.Join(os.Getenv("HOME"), "repo"), "--prompts", canary); !strings.Contains(out, "sings") {
				t.Errorf("under a hold search prints %q", out)
			}
			for _, word := range id {
				if len(word) == 12 && strings.Trim(word, "0123456789abcdef") == "" {
					tell(t, "hold", "release", word)
				}
			}
		},
		"term": func(t *testing.T) {
			spine, err := openSpine(t.Context(), func(string) {})
			if err != nil {
				t.Fatal(err)
			}
			v, err := openVault(t.Context(), spine)
			if err != nil {
				t.Fatal(err)
			}
			done, err := v.Expire(t.Context(), time.Now().AddDate(0, 0, 91), false)
			if err := errors.Join(err, v.Close(), spine.close()); err != nil || len(done) != 1 {
				t.Fatalf("Expire = %v, %v", done, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSearching(t)
			s.write(t, "sings", "2026-03-02T09:00:00.000Z", "please: "+canary)
			s.write(t, "other", "2026-03-02T09:00:00.000Z", "please: nothing")
			s.read(t)
			before := len(sightings(t, s.home))
			s.wantFound(t, canary, "sings")
			if found := sightings(t, s.home); len(found) != before+1 {
				t.Fatalf("after the search the canary is in %v, want the index too: this test is blind", found)
			}
			erase(t)
			if found := sightings(t, s.home); len(found) > 0 {
				t.Errorf("the canary is in %v", found)
			}
			s.wantFound(t, canary, "")
			if name != "term" {
				s.wantFound(t, "please: nothing", "other")
			}
			s.read(t) // from the agent's own transcript
			if found := sightings(t, s.home); len(found) > 0 && name != "term" {
				t.Errorf("after a search and an import the canary is in %v", found)
			}
			tell(t, "fsck", "--no-graph")
		})
	}
}

// An agent's id may have slashes, quotes and line feeds: its session is kept,
// found and erased like any other.
func TestOddSessionID(t *testing.T) {
	s := newSearching(t)
	text := `{"parentUuid":null,"isSidechain":false,"cwd":"/shop","sessionId":"a/../b\n\"☃","version":"2.1.40","type":"user","message":{"role":"user","content":"odd words"},"uuid":"u1","timestamp":"2026-03-02T09:00:00.000Z"}`
	if err := os.WriteFile(filepath.Join(s.transcripts, "odd.jsonl"), []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.read(t)
	const key = "claude-code/a/../b\n\"☃"
	if out := tell(t, "session", "search", "-R", s.repo, "--prompts", "odd words"); !strings.Contains(out, "turn 1, prompt: odd words") {
		t.Errorf("search prints %q", out)
	}
	if out := tell(t, "session", "show", "-R", s.repo, "--prompts", key); !strings.Contains(out, "odd words") {
		t.Errorf("show prints %q", out)
	}
	tell(t, "erase", "--yes", "--session", key)
	s.wantFound(t, "odd words", "")
	tell(t, "fsck", "-R", s.repo)
}

// What is remembered of metadata is read as it was written.
func TestRememberedWords(t *testing.T) {
	s := newSearching(t)
	s.write(t, "one", "2026-03-02T09:00:00.000Z", "Fix SHOP-42")
	s.read(t)
	search := func() string { return tell(t, "session", "search", "-R", s.repo, "shop-42") }
	first := search()
	if second := search(); !strings.Contains(first, " one") || second != first {
		t.Errorf("the first search prints %q, the second %q", first, second)
	}
	files, err := filepath.Glob(filepath.Join(s.home, "stemma", "*", wordsFile))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.WriteFile(files[0], []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if third := search(); third != first {
		t.Errorf("with a damaged file it prints %q", third)
	}
	if _, ok := readWords(filepath.Join(t.TempDir(), "none")); ok {
		t.Error("a file that is not there was read")
	}
}
