package reconcile_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attribution"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
	"github.com/stemma-dev/stemma/internal/notes/agenttrace"
	"github.com/stemma-dev/stemma/internal/notes/entire"
	"github.com/stemma-dev/stemma/internal/notes/gitai"
	"github.com/stemma-dev/stemma/internal/notes/trailers"
	"github.com/stemma-dev/stemma/internal/project"
	"github.com/stemma-dev/stemma/internal/reconcile"
	"github.com/stemma-dev/stemma/internal/record"
	"github.com/stemma-dev/stemma/internal/store"
	"github.com/stemma-dev/stemma/internal/store/sqlite"
)

// lab is a repository written by plain git, whose clock goes on by a minute with
// each command.
type lab struct {
	t     testing.TB
	dir   string
	clock int64
}

func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{t: t, dir: filepath.Join(t.TempDir(), "repo"), clock: 1_780_000_000}
	l.run("", nil, "init", "-q", "-b", "main", l.dir)
	return l
}

func (l *lab) try(dir string, stdin []byte, args ...string) (string, error) {
	l.clock += 60
	date := fmt.Sprintf("%d +0000", l.clock)
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(stdin)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.org", "GIT_COMMITTER_NAME=Bob", "GIT_COMMITTER_EMAIL=bob@example.org",
		"GIT_AUTHOR_DATE=" + date, "GIT_COMMITTER_DATE=" + date, "GIT_EDITOR=true", "GIT_SEQUENCE_EDITOR=true",
	}
	out, err := cmd.CombinedOutput()
	return strings.TrimRight(string(out), "\n"), err
}

func (l *lab) run(dir string, stdin []byte, args ...string) string {
	l.t.Helper()
	out, err := l.try(dir, stdin, args...)
	if err != nil {
		l.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return out
}

// git runs git and gives what it prints.
func (l *lab) git(args ...string) string {
	l.t.Helper()
	return l.run(l.dir, nil, args...)
}

// refused runs git where it is to stop at a conflict.
func (l *lab) refused(args ...string) {
	l.t.Helper()
	if out, err := l.try(l.dir, nil, args...); err == nil {
		l.t.Fatalf("git %q met no conflict:\n%s", args, out)
	}
}

func (l *lab) write(path string, lines ...string) {
	l.t.Helper()
	full := filepath.Join(l.dir, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

// commit commits everything and gives its id.
func (l *lab) commit(message string) string {
	l.t.Helper()
	l.git("add", "-A")
	l.git("commit", "-q", "--allow-empty", "-m", message)
	return l.head()
}

func (l *lab) head() string { l.t.Helper(); return l.git("rev-parse", "HEAD") }

// note attaches a note of git-ai to a commit: each claim is "path session
// ranges", as in "a.go s1 1-3,5".
func (l *lab) note(commit string, claims ...string) {
	l.t.Helper()
	l.run(l.dir, nil, "notes", "--ref=ai", "add", "-f", "-m", noteOf(claims...), commit)
}

func noteOf(claims ...string) string {
	var head strings.Builder
	var sessions []string
	seen := make(map[string]bool)
	for _, c := range claims {
		f := strings.Fields(c)
		key := fmt.Sprintf("s_%014x", f[1])
		key = key[:16]
		fmt.Fprintf(&head, "%s\n  %s::t_00000000000000 %s\n", f[0], key, f[2])
		if !seen[key] {
			seen[key] = true
			sessions = append(sessions, fmt.Sprintf(`%q:{"agent_id":{"tool":"claude","id":%q,"model":"claude-opus-4-5"}}`, key, f[1]))
		}
	}
	return head.String() + "---\n" + `{"schema_version":"authorship/3.0.0","base_commit_sha":"","prompts":{},"sessions":{` + strings.Join(sessions, ",") + `}}`
}

// index is an index of a lab's repository.
type index struct {
	t     testing.TB
	lab   *lab
	store *sqlite.Store
	last  reconcile.Report
}

func (l *lab) newIndex() *index {
	l.t.Helper()
	s, err := sqlite.Open(l.t.Context(), l.t.TempDir(), "local")
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { s.Close() })
	return &index{t: l.t, lab: l, store: s}
}

// update brings the index up to date.
func (x *index) update() *index {
	x.t.Helper()
	repo, err := git.Open(x.t.Context(), x.lab.dir, git.Config{})
	if err != nil {
		x.t.Fatal(err)
	}
	defer repo.Close()
	x.last, err = reconcile.Run(x.t.Context(), reconcile.Config{
		Repo: repo, Store: x.store, Notes: []notes.NoteSource{gitai.Source{}},
		Keyed: []notes.KeyedSource{agenttrace.Source{}, entire.Source{}}, Commits: []notes.CommitSource{trailers.Source{}},
		Evidence: func(context.Context) (*record.Ledger, error) { return nil, stemma.ErrUnavailable },
		Now:      func() time.Time { return time.Unix(x.lab.clock, 0) }, Observer: "test",
		Person: func(s string) string { return s }, AgentEra: attribution.AgentEra,
	})
	if err != nil {
		x.t.Fatal(err)
	}
	x.remember()
	return x
}

// remember does what recording would: it keeps where the refs were seen, so that
// the next run looks at what is new alone.
func (x *index) remember() {
	x.t.Helper()
	seen := project.Observed{Repository: x.last.Repository, Refs: make(project.Refs)}
	for _, line := range strings.Split(x.lab.git("for-each-ref", "--format=%(refname) %(objectname) %(*objectname)"), "\n") {
		f := strings.Fields(line)
		if strings.HasPrefix(f[0], "refs/pull/") {
			continue
		}
		seen.Refs[f[0]] = stemma.RefMove{Name: f[0], At: f[len(f)-1]}
	}
	if _, err := x.lab.try(x.lab.dir, nil, "symbolic-ref", "-q", "HEAD"); err != nil {
		seen.Refs["HEAD"] = stemma.RefMove{Name: "HEAD", At: x.lab.head()}
	}
	text, err := json.Marshal(seen)
	if err == nil {
		err = x.store.Put(x.t.Context(), store.Batch{Marks: map[string]string{"seen/test": string(text)}})
	}
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *index) dump() string {
	x.t.Helper()
	var out bytes.Buffer
	if err := project.Dump(x.t.Context(), x.store, &out); err != nil {
		x.t.Fatal(err)
	}
	return out.String()
}

func (x *index) row(commit string) *stemma.Attribution {
	x.t.Helper()
	for row, err := range x.store.Attributions(x.t.Context(), []string{commit}) {
		if err != nil {
			x.t.Fatal(err)
		}
		return &row
	}
	return nil
}

// who tells for each line of a file at a revision whose it is: the session's id,
// or "?" where that is not known.
func (x *index) who(rev, path string) string {
	x.t.Helper()
	var owners []string
	for _, line := range strings.Split(x.lab.git("blame", "--porcelain", "-s", rev, "--", path), "\n") {
		f := strings.Fields(line)
		if len(f) < 3 || len(f[0]) != 40 {
			continue
		}
		row := x.row(f[0])
		if row == nil {
			x.t.Fatalf("%s has no row", f[0])
		}
		var at int
		fmt.Sscan(f[1], &at)
		o := attribution.OwnerAt(row, x.pathIn(f[0], rev, path), at)
		owners = append(owners, strings.TrimPrefix(o.Session, "claude-code/"))
		if o.Session == "" {
			owners[len(owners)-1] = "?"
		}
	}
	return strings.Join(owners, " ")
}

// pathIn is the name that a file had in the commit that blame names.
func (x *index) pathIn(commit, rev, path string) string {
	for _, f := range x.row(commit).Files {
		if f.Path == path {
			return path
		}
	}
	for _, line := range strings.Split(x.lab.git("log", "--follow", "--format=%H", "--name-only", rev, "--", path), "\n") {
		if slices.ContainsFunc(x.row(commit).Files, func(f stemma.FileLines) bool { return f.Path == line }) {
			return line
		}
	}
	return path
}

// rules gives the rules by which a commit has lines, with their count, by name.
func (x *index) rules(commit string) string {
	x.t.Helper()
	n := make(map[string]int)
	for _, o := range x.row(commit).Owners {
		if o.Via != "" && o.Lines > 0 {
			n[o.Strength.Method] += o.Lines
		}
	}
	var all []string
	for rule, lines := range n {
		all = append(all, fmt.Sprintf("%s %d", rule, lines))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// lines gives n lines that say something, of a kind of their own.
func lines(kind string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("func %s%d(input string) error { return check%s(input, %d) }", kind, i, strings.ToUpper(kind), i*7+3)
	}
	return all
}

func join(parts ...[]string) []string { return slices.Concat(parts...) }
