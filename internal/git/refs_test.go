package git

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma"
)

func TestRefs(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		for _, packed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s packed %v", format, packed), func(t *testing.T) {
				g := newTestRepo(t, "--object-format="+format)
				first := g.commit("1", "f", "x\n")
				second := g.commit("2", "f", "y\n")
				blob, tree := g.git("rev-parse", "HEAD:f"), g.git("rev-parse", "HEAD^{tree}")
				g.git("branch", "old", first)
				g.git("tag", "-a", "-m", "m", "v1", first)
				g.git("tag", "-a", "-m", "m", "nested", "v1")
				g.git("tag", "-a", "-m", "m", "tagged-blob", blob)
				g.git("update-ref", "refs/evidence/blob", blob)
				g.git("update-ref", "refs/evidence/tree", tree)
				g.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/heads/main")
				if packed {
					g.git("pack-refs", "--all")
				}
				missing := strings.Repeat("7", len(first))
				g.write(".git/refs/heads/gone", missing+"\n")
				g.write(".git/refs/heads/nonsense", "what\n")
				want := []Ref{
					{Name: "refs/evidence/blob", ID: blob, Type: "blob"},
					{Name: "refs/evidence/tree", ID: tree, Type: "tree"},
					{Name: "refs/heads/main", ID: second, Commit: second, Type: "commit"},
					{Name: "refs/heads/old", ID: first, Commit: first, Type: "commit"},
					{Name: "refs/remotes/origin/HEAD", ID: second, Target: "refs/heads/main", Commit: second, Type: "commit"},
					{Name: "refs/tags/nested", ID: g.git("rev-parse", "nested"), Commit: first, Type: "tag"},
					{Name: "refs/tags/tagged-blob", ID: g.git("rev-parse", "tagged-blob"), Type: "tag"},
					{Name: "refs/tags/v1", ID: g.git("rev-parse", "v1"), Commit: first, Type: "tag"},
				}
				r := g.open()
				got, broken, err := r.Refs(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("Refs (-want +got):\n%s", diff)
				}
				var names []string
				for _, b := range broken {
					names = append(names, b.Name)
				}
				slices.Sort(names)
				if want := []string{"refs/heads/gone", "refs/heads/nonsense"}; !slices.Equal(names, want) {
					t.Errorf("broken refs = %v, want %v", broken, want)
				}
				got, _, err = r.Refs(t.Context(), "refs/tags/v1", "refs/evidence")
				if want := slices.Concat(want[:2], want[7:]); err != nil || !cmp.Equal(want, got) {
					t.Errorf("Refs(v1, evidence) = %v, %v; want %v", got, err, want)
				}
				for _, bad := range []string{"heads", "-x", "refs/he*", ""} {
					if _, _, err := r.Refs(t.Context(), bad); !errors.Is(err, stemma.ErrInvalid) {
						t.Errorf("Refs(%q): %v, want %v", bad, err, stemma.ErrInvalid)
					}
				}
			})
		}
	}
}

func TestRefsOfThousands(t *testing.T) {
	g := newTestRepo(t)
	id := g.commit("1", "f", "x\n")
	g.git("tag", "-a", "-m", "m", "v1")
	var in strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&in, "create refs/pull/%d/head %s\n", i, id)
	}
	mustRun(t, g.dir, nil, []byte(in.String()), "update-ref", "--stdin")
	g.git("pack-refs", "--all")
	refs, broken, err := g.open().Refs(t.Context())
	if err != nil || len(refs) != 5002 || len(broken) != 0 {
		t.Fatalf("Refs = %d refs, %v, %v; want 5002", len(refs), broken, err)
	}
	for _, ref := range refs {
		if ref.Commit != id {
			t.Fatalf("ref = %+v, want commit %s", ref, id)
		}
	}
}

func TestHead(t *testing.T) {
	g := newTestRepo(t)
	r := g.open()
	if head, err := r.Head(t.Context()); err != nil || head != (Ref{Name: "HEAD", Target: "refs/heads/main"}) {
		t.Errorf("unborn Head = %+v, %v", head, err)
	}
	id := g.commit("1", "f", "x\n")
	want := Ref{Name: "HEAD", ID: id, Target: "refs/heads/main", Commit: id, Type: "commit"}
	if head, err := r.Head(t.Context()); err != nil || head != want {
		t.Errorf("Head = %+v, %v; want %+v", head, err, want)
	}
	g.git("checkout", "-q", "--detach")
	if head, err := r.Head(t.Context()); err != nil || head != (Ref{Name: "HEAD", ID: id, Commit: id, Type: "commit"}) {
		t.Errorf("detached Head = %+v, %v", head, err)
	}
	path := filepath.Join(g.dir, ".git", "HEAD")
	if err := errors.Join(os.Remove(path), os.Symlink("refs/heads/main", path)); err != nil {
		t.Fatal(err)
	}
	if head, err := r.Head(t.Context()); err != nil || head != want {
		t.Errorf("Head that is a link = %+v, %v; want %+v", head, err, want)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "ref: ../../x", "ref: refs/heads/../../x", "ref: refs/heads/*", "xyz", "ref: refs/heads/a\nb"} {
		g.write(".git/HEAD", bad)
		if _, err := r.Head(t.Context()); !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("Head of %q: %v, want %v", bad, err, stemma.ErrInvalid)
		}
	}
	g.write(".git/HEAD", strings.Repeat("8", 40))
	if _, err := r.Head(t.Context()); !errors.Is(err, stemma.ErrNotFound) {
		t.Errorf("Head at a missing object: %v, want %v", err, stemma.ErrNotFound)
	}
}

func TestResolve(t *testing.T) {
	g := newTestRepo(t)
	first := g.commit("1", "f", "x\n")
	second := g.commit("2", "f", "y\n")
	third := g.commit("3", "f", "z\n")
	g.git("tag", "-a", "-m", "m", "v1", first)
	unreached := g.git("commit-tree", "-m", "lost", "HEAD^{tree}")
	g.git("reset", "-q", "--hard", second)
	tag, blob := g.git("rev-parse", "v1"), g.git("rev-parse", "HEAD:f")
	r := g.open()
	tests := []struct {
		rev, want string
		kind      error
	}{
		{"HEAD", second, nil},
		{"@", second, nil},
		{"main", second, nil},
		{"refs/heads/main", second, nil},
		{"HEAD~1", first, nil},
		{"v1", first, nil},
		{"v1^{}", first, nil},
		{tag, first, nil},
		{second[:8], second, nil},
		{unreached, unreached, nil},
		{unreached[:12], unreached, nil},
		{"ORIG_HEAD", third, nil},
		{"main@{1}", third, nil},
		{":/1", first, nil},
		{blob, "", stemma.ErrNotFound},
		{"HEAD~9", "", stemma.ErrNotFound},
		{"nothing", "", stemma.ErrNotFound},
		{"MERGE_HEAD", "", stemma.ErrNotFound},
		{"main..v1", "", stemma.ErrNotFound},
		{strings.Repeat("9", 40), "", stemma.ErrNotFound},
		{"--all", "", stemma.ErrInvalid},
		{"-n1", "", stemma.ErrInvalid},
		{"", "", stemma.ErrInvalid},
		{"a\nb", "", stemma.ErrInvalid},
	}
	for _, test := range tests {
		got, err := r.Resolve(t.Context(), test.rev)
		if got != test.want || !errors.Is(err, test.kind) {
			t.Errorf("Resolve(%q) = %q, %v; want %q, %v", test.rev, got, err, test.want, test.kind)
		}
	}
	g.git("checkout", "-q", "--detach", first)
	if got, err := r.Resolve(t.Context(), "HEAD"); err != nil || got != first {
		t.Errorf("Resolve(HEAD) after it moved = %q, %v; want %s", got, err, first)
	}
}

func TestParseDate(t *testing.T) {
	t.Setenv("TZ", "UTC")
	g := newTestRepo(t)
	r := g.open()
	now := time.Now().Unix()
	local := func(y, m, d int) int64 { return time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.Local).Unix() }
	const day = 24 * 60 * 60
	tests := []struct {
		words string
		end   bool
		want  int64
		slack int64
	}{
		{"2024-01-31", false, local(2024, 1, 31), 0},
		{"2024-01-31", true, local(2024, 2, 1) - 1, 0},
		{"2024-02", false, local(2024, 2, 1), 0},
		{"2024-02", true, local(2024, 3, 1) - 1, 0},
		{"2023", true, local(2024, 1, 1) - 1, 0},
		{"2024-01-31 10:00:00 +0200", false, 1706688000, 0},
		{"2024-01-31T10:00:00Z", true, 1706695200, 0},
		{"30d", false, now - 30*day, 60},
		{"30 days ago", false, now - 30*day, 60},
		{"2w", false, now - 14*day, 60},
		{"36h", true, now - 36*3600, 60},
		{"6m", false, now - 182*day, 5 * day},
		{"1y", false, now - 365*day, 2 * day},
		{"two weeks ago", false, now - 14*day, 60},
		{"yesterday", false, now - day, 60},
		{"last week", false, now - 7*day, 60},
		{"now", false, now, 60},
	}
	for _, test := range tests {
		got, err := r.ParseDate(t.Context(), test.words, test.end)
		if err != nil || got < test.want-test.slack || got > test.want+test.slack {
			t.Errorf("ParseDate(%q, %v) = %d, %v; want %d within %d", test.words, test.end, got, err, test.want, test.slack)
		}
	}
	for _, bad := range []string{"", "nonsense", "3 fortnights ago", "ago", "--all", "yesterdays news", "\x00"} {
		if got, err := r.ParseDate(t.Context(), bad, false); !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("ParseDate(%q) = %d, %v; want %v", bad, got, err, stemma.ErrInvalid)
		}
	}
}

func TestFingerprintChangesWithEveryMove(t *testing.T) {
	g := newTestRepo(t)
	first := g.commit("1", "f", "x\n")
	second := g.commit("2", "f", "y\n")
	linked := filepath.Join(filepath.Dir(g.dir), "linked")
	g.git("worktree", "add", "-q", linked, "-b", "other")
	r := g.open()
	seen := map[string]string{}
	mark := func(what string) {
		t.Helper()
		got, err := r.Fingerprint()
		if err != nil {
			t.Fatal(err)
		}
		if before, ok := seen[got]; ok {
			t.Errorf("after %q the fingerprint is as after %q", what, before)
		}
		seen[got] = what
	}
	mark("nothing")
	g.git("update-ref", "refs/heads/a/b", first)
	mark("a new branch")
	g.git("update-ref", "refs/heads/a/b", second)
	mark("a branch that moved")
	g.git("pack-refs", "--all")
	mark("packed refs")
	g.git("update-ref", "refs/heads/c", first)
	g.git("pack-refs", "--all")
	mark("another packed ref")
	g.git("update-ref", "-d", "refs/heads/a/b")
	mark("a branch deleted")
	g.git("checkout", "-q", "--detach", first)
	mark("HEAD detached")
	g.git("checkout", "-q", "c")
	mark("HEAD on a branch")
	g.write(".git/shallow", first+"\n")
	mark("a shallow boundary")
	g.write(".git/refs/heads/in-place", first+"\n")
	mark("a ref written by hand")
	g.write(".git/refs/heads/in-place", second+"\n")
	mark("a ref rewritten in place")

	again, err := r.Fingerprint()
	if err != nil || seen[again] != "a ref rewritten in place" {
		t.Errorf("the fingerprint changed though nothing moved: %v", err)
	}
	tree := openAt(t, linked)
	before, err := tree.Fingerprint()
	if err != nil {
		t.Fatal(err)
	}
	mustRun(t, linked, nil, nil, "checkout", "-q", "--detach")
	if after, err := tree.Fingerprint(); err != nil || after == before {
		t.Errorf("the fingerprint of a linked work tree did not change with its HEAD: %v", err)
	}
}
