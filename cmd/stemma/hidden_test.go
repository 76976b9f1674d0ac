package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attribution"
)

// TestHiddenNotesAreFoundAgain hides every second note of a reached commit, lets
// the rules for rewrites tell whose its lines are, and compares with the note. It
// runs on a repository made here, and on those that STEMMA_REPOSITORIES names.
//
// A note is no oracle where a session took up what another had written: it names
// the one that typed the lines again, the rules name the one that wrote them. So
// the commits that keep the author line of what they were made from, which are
// rewrites for certain, are told apart, and only they decide.
func TestHiddenNotesAreFoundAgain(t *testing.T) {
	for _, dir := range append(filepath.SplitList(os.Getenv("STEMMA_REPOSITORIES")), rebasedRepository(t)) {
		t.Run(filepath.Base(filepath.Dir(dir)), func(t *testing.T) { hiddenNotes(t, dir) })
	}
}

// verdicts counts the lines that one rule resolved.
type verdicts struct{ right, wrong, silent int }

func hiddenNotes(t *testing.T, dir string) {
	t.Setenv("STEMMA_DIR", t.TempDir())
	hiding := filepath.Join(t.TempDir(), "hiding")
	gitIn(t, dir, nil, "clone", "-q", "--bare", "--shared", ".", hiding)
	gitIn(t, hiding, nil, "fetch", "-q", "--no-write-fetch-head", dir, "+refs/*:refs/*")
	var keep strings.Builder
	var hidden []string
	for line := range strings.Lines(gitIn(t, dir, nil, "ls-tree", "-r", "refs/notes/ai")) {
		_, path, _ := strings.Cut(strings.TrimSpace(line), "\t")
		commit := strings.ReplaceAll(path, "/", "")
		if reached(t, dir, commit) && strings.ContainsAny(commit[39:], "13579bdf") {
			hidden = append(hidden, commit)
			continue
		}
		keep.WriteString(line)
	}
	scratch := []string{"GIT_INDEX_FILE=" + filepath.Join(t.TempDir(), "index")}
	gitWith(t, hiding, scratch, keep.String(), "update-index", "--index-info")
	tree := strings.TrimSpace(gitIn(t, hiding, scratch, "write-tree"))
	notes := strings.TrimSpace(gitIn(t, hiding, nil, "commit-tree", "-m", "hidden", tree))
	gitIn(t, hiding, nil, "update-ref", "refs/notes/ai", notes)

	truth, found := rowsOf(t, dir), rowsOf(t, hiding)
	author := make(map[string]string)
	for line := range strings.Lines(gitIn(t, hiding, nil, "log", "--all", "--format=%H %an <%ae> %at")) {
		commit, who, _ := strings.Cut(strings.TrimSpace(line), " ")
		author[commit] = who
	}
	by := make(map[string]*verdicts)
	missed, told := 0, 0
	for _, commit := range hidden {
		want, got := truth[commit], found[commit]
		if want == nil || got == nil {
			t.Fatalf("%s has no row", commit)
		}
		for _, f := range want.Files {
			for line := range ownedLines(f) {
				if o := attribution.OwnerAt(want, f.Path, line); o != (stemma.Owner{}) && o.Via == "" {
					told++
					if attribution.OwnerAt(got, f.Path, line) == (stemma.Owner{}) {
						missed++
					}
				}
			}
		}
		for _, f := range got.Files {
			for line := range ownedLines(f) {
				o := attribution.OwnerAt(got, f.Path, line)
				if o.Via == "" {
					continue
				}
				rule := o.Strength.Method
				if author[commit] == author[o.Via] {
					rule = "rewrite: " + rule
				}
				v := by[rule]
				if v == nil {
					v = &verdicts{}
					by[rule] = v
				}
				is := attribution.OwnerAt(want, f.Path, line)
				switch {
				case is == stemma.Owner{} || is.Via != "":
					v.silent++
				case is.Session == o.Session && is.Person == o.Person && is.Class == o.Class:
					v.right++
				default:
					v.wrong++
					if os.Getenv("STEMMA_WRONG") != "" {
						t.Logf("%s %s:%d by %s of %s: %s %s, note says %s %s", commit, f.Path, line, o.Strength.Method, o.Via, o.Class, o.Session+o.Person, is.Class, is.Session+is.Person)
					}
				}
			}
		}
	}
	right, wrong := 0, 0
	rules := make([]string, 0, len(by))
	for rule := range by {
		rules = append(rules, rule)
	}
	slices.Sort(rules)
	for _, rule := range rules {
		v := by[rule]
		if strings.HasPrefix(rule, "rewrite: ") {
			right, wrong = right+v.right, wrong+v.wrong
		}
		t.Logf("%-24s right %d, wrong %d (%.4f), the note is silent on %d", rule, v.right, v.wrong, float64(v.right)/float64(max(v.right+v.wrong, 1)), v.silent)
	}
	t.Logf("%d notes hidden with %d lines: of commits with the same author line %d found right, %d wrong; %d not found", len(hidden), told, right, wrong, missed)
	if right == 0 || wrong*200 > right {
		t.Errorf("%d lines right and %d wrong: rules are to be right, or to say nothing", right, wrong)
	}
}

// ownedLines gives the lines of a file that a row speaks of.
func ownedLines(f stemma.FileLines) func(func(int) bool) {
	return func(yield func(int) bool) {
		for _, r := range f.Ranges {
			for n := r.Start; n <= r.End; n++ {
				if !yield(n) {
					return
				}
			}
		}
	}
}

// rowsOf indexes a repository and gives its rows.
func rowsOf(t *testing.T, dir string) map[string]*stemma.Attribution {
	t.Helper()
	rows := make(map[string]*stemma.Attribution)
	tell(t, "index", "-q", dir)
	b, err := open(t.Context(), dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	for row, err := range b.store.AllAttributions(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		rows[row.Commit] = &row
	}
	return rows
}

func gitWith(t *testing.T, dir string, env []string, stdin string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "safe.directory=*", "-C", dir}, args...)...)
	cmd.Env, cmd.Stdin = append(os.Environ(), env...), strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %q: %v\n%s", args, err, out)
	}
}

// rebasedRepository makes branches that were rebased with their notes, as git-ai
// does, and keeps what they were.
func rebasedRepository(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "rebased", "repo")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	clock := 0
	git := func(args ...string) string {
		clock++
		date := fmt.Sprintf("2026-02-01T%02d:%02d:00Z", clock/60, clock%60)
		return strings.TrimSpace(gitIn(t, dir, []string{"GIT_COMMITTER_DATE=" + date, "GIT_AUTHOR_DATE=" + date}, args...))
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	note := func(commit, name string, session int) {
		meta, err := json.Marshal(map[string]any{
			"schema_version": "authorship/3.0.0", "base_commit_sha": "", "prompts": map[string]any{},
			"sessions": map[string]any{fmt.Sprintf("s_%014d", session): map[string]any{"agent_id": map[string]any{"tool": "claude", "id": fmt.Sprint("session", session), "model": "claude-opus-4-5"}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		git("notes", "--ref=ai", "add", "-f", "-m", fmt.Sprintf("%s\n  s_%014d::t_00000000000000 2-4\n---\n%s", name, session, meta), commit)
	}
	git("init", "-q", "-b", "main")
	git("commit", "-q", "--allow-empty", "-m", "root")
	for n := range 8 {
		name := fmt.Sprintf("file%d.go", n)
		git("switch", "-q", "-c", fmt.Sprint("topic", n))
		write(name, fmt.Sprintf("package made%d\nfunc First%d() error { return run(%d) }\nfunc Second%d() error { return walk(%d) }\n}\n", n, n, n, n, n))
		git("add", "-A")
		git("commit", "-q", "-m", fmt.Sprint("topic ", n))
		note("HEAD", name, n)
		git("switch", "-q", "main")
		git("commit", "-q", "--allow-empty", "-m", fmt.Sprint("meanwhile ", n))
		git("cherry-pick", fmt.Sprint("topic", n))
		note("HEAD", name, n)
	}
	return dir
}
