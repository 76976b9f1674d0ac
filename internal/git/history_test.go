package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma"
)

func history(t *testing.T, r *Repo, q HistoryQuery) []string {
	t.Helper()
	var ids []string
	for c, err := range r.History(t.Context(), q) {
		if err != nil {
			t.Fatalf("History(%+v): %v", q, err)
		}
		ids = append(ids, c.ID)
	}
	return ids
}

func TestHistory(t *testing.T) {
	g := newTestRepo(t)
	im := &imports{}
	one := im.commit("main", "", nil, file{"100644", "f", "1\n"})
	two := im.commit("main", "", []int{one}, file{"100644", "dir/g", "2\n"})
	side := im.commit("side", "", []int{one}, file{"100644", "h", "3\n"})
	merge := im.commit("main", "", []int{two, side}, file{"100644", "h", "3\n"})
	tip := im.commit("main", "", []int{merge}, file{"100644", "f", "4\n"})
	ids := im.into(g)
	g.git("tag", "-a", "-m", "m", "v1", ids[side])
	missing := strings.Repeat("e", 40)
	r := g.open()
	tests := []struct {
		name string
		q    HistoryQuery
		want []int
	}{
		{"all", HistoryQuery{Tips: []string{ids[tip]}}, []int{tip, merge, side, two, one}},
		{"topological", HistoryQuery{Tips: []string{ids[tip]}, TopoOrder: true}, []int{tip, merge, side, two, one}},
		{"first parents", HistoryQuery{Tips: []string{ids[tip]}, FirstParent: true}, []int{tip, merge, two, one}},
		{"not known", HistoryQuery{Tips: []string{ids[tip]}, Not: []string{ids[two]}}, []int{tip, merge, side}},
		{"known is gone", HistoryQuery{Tips: []string{ids[tip]}, Not: []string{missing, ids[merge]}}, []int{tip}},
		{"a tag", HistoryQuery{Tips: []string{g.git("rev-parse", "v1")}}, []int{side, one}},
		{"two tips", HistoryQuery{Tips: []string{ids[two], ids[side]}}, []int{side, two, one}},
		{"no tips", HistoryQuery{}, nil},
		{"nothing new", HistoryQuery{Tips: []string{ids[one]}, Not: []string{ids[one]}}, nil},
		{"path", HistoryQuery{Tips: []string{ids[tip]}, Paths: []string{"dir"}}, []int{two}},
		{"paths are no patterns", HistoryQuery{Tips: []string{ids[tip]}, Paths: []string{"*"}}, nil},
		{"limit", HistoryQuery{Tips: []string{ids[tip]}, Limit: 2}, []int{tip, merge}},
		{"time", HistoryQuery{Tips: []string{ids[tip]}, Since: 1700000002, Until: 1700000004}, []int{merge, side, two}},
	}
	for _, test := range tests {
		var want []string
		for _, mark := range test.want {
			want = append(want, ids[mark])
		}
		if got := history(t, r, test.q); !slices.Equal(got, want) {
			t.Errorf("%s: History = %v, want %v", test.name, got, want)
		}
	}
	for _, test := range []struct {
		q    HistoryQuery
		kind error
	}{
		{HistoryQuery{Tips: []string{missing}}, stemma.ErrNotFound},
		{HistoryQuery{Tips: []string{"HEAD"}}, stemma.ErrInvalid},
		{HistoryQuery{Tips: []string{ids[tip]}, Not: []string{"--all"}}, stemma.ErrInvalid},
	} {
		for c, err := range r.History(t.Context(), test.q) {
			if c != nil || !errors.Is(err, test.kind) {
				t.Errorf("History(%+v) = %v, %v; want %v", test.q, c, err, test.kind)
			}
		}
	}
}

func TestHistoryEndsWhenNobodyWantsMore(t *testing.T) {
	g := newTestRepo(t)
	im := &imports{}
	at := im.commit("main", "", nil)
	for range 3000 {
		at = im.commit("main", "", []int{at})
	}
	tip := im.into(g)[at]
	r := g.open()
	before := runtime.NumGoroutine()
	for stop := range 3 {
		n := 0
		for _, err := range r.History(t.Context(), HistoryQuery{Tips: []string{tip}}) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n > stop {
				break
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var last error
		for _, err := range r.History(ctx, HistoryQuery{Tips: []string{tip}}) {
			last = err
			cancel()
		}
		cancel()
		if !errors.Is(last, context.Canceled) {
			t.Errorf("after cancel the last error = %v, want %v", last, context.Canceled)
		}
	}
	waitFor(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
	if left := children(t); len(left) > 0 {
		t.Errorf("git processes left: %v", left)
	}
}

func TestHistoryThatMissesAParentIsAnError(t *testing.T) {
	g := newTestRepo(t)
	first := g.commit("1", "f", "x\n")
	second := g.commit("2", "f", "y\n")
	g.removeObject(first)
	var last error
	for _, err := range g.open().History(t.Context(), HistoryQuery{Tips: []string{second}}) {
		last = err
	}
	if !errors.Is(last, stemma.ErrNotFound) {
		t.Errorf("History = %v, want %v", last, stemma.ErrNotFound)
	}
}

func TestCommitGivesBytesAsTheyAre(t *testing.T) {
	g := newTestRepo(t)
	tree := g.git("write-tree")
	parent := g.commit("parent")
	raw := func(text string) string {
		return mustRun(t, g.dir, nil, []byte(text), "hash-object", "-t", "commit", "--literally", "-w", "--stdin")
	}
	head := "tree " + tree + "\n"
	tests := []struct {
		name, text string
		want       Commit
	}{
		{
			"plain", head + "parent " + parent + "\nauthor A B <a@x> 17 +0100\ncommitter C <c@x> 18 -0100\n\nsubject\n\nbody\n",
			Commit{Tree: tree, Parents: []string{parent}, Author: Signature{"A B", "a@x", 17}, Committer: Signature{"C", "c@x", 18}, Message: []byte("subject\n\nbody\n")},
		},
		{
			"latin-1", head + "author J\xfcrgen <j@x> 1 +0000\ncommitter J\xfcrgen <j@x> 1 +0000\nencoding ISO-8859-1\n\ngr\xfc\xdfe",
			Commit{Tree: tree, Author: Signature{"J\xfcrgen", "j@x", 1}, Committer: Signature{"J\xfcrgen", "j@x", 1}, Encoding: "ISO-8859-1", Message: []byte("gr\xfc\xdfe")},
		},
		{
			"NUL and no UTF-8", head + "author A <a@x> 1 +0000\ncommitter A <a@x> 1 +0000\n\n\n a\x00b\xff\n\n",
			Commit{Tree: tree, Author: Signature{"A", "a@x", 1}, Committer: Signature{"A", "a@x", 1}, Message: []byte("\n a\x00b\xff\n\n")},
		},
		{
			"signature", head + "author A <a@x> 1 +0000\ncommitter A <a@x> 1 +0000\ngpgsig -----BEGIN\n \n parent x\n -----END\n\nm",
			Commit{Tree: tree, Author: Signature{"A", "a@x", 1}, Committer: Signature{"A", "a@x", 1}, Message: []byte("m")},
		},
		{
			"odd names", head + "author <> <a <b>> c@x> 99999999999999999999 +0000\ncommitter nobody\n\nm",
			Commit{Tree: tree, Author: Signature{"", "", 0}, Committer: Signature{"nobody", "", 0}, Message: []byte("m")},
		},
		{
			"time before 1970", head + "author A <a@x> -5 +0000\ncommitter A <a@x> soon\n\nm",
			Commit{Tree: tree, Author: Signature{"A", "a@x", 0}, Committer: Signature{"A", "a@x", 0}, Message: []byte("m")},
		},
		{
			"no message", head + "author A <a@x> 1 +0000\ncommitter A <a@x> 1 +0000\n",
			Commit{Tree: tree, Author: Signature{"A", "a@x", 1}, Committer: Signature{"A", "a@x", 1}, Message: []byte{}},
		},
	}
	r := g.open()
	for _, test := range tests {
		test.want.ID = raw(test.text)
		got, err := r.Commit(t.Context(), test.want.ID)
		if err != nil {
			t.Errorf("%s: Commit: %v", test.name, err)
			continue
		}
		if diff := cmp.Diff(&test.want, got); diff != "" {
			t.Errorf("%s: Commit (-want +got):\n%s", test.name, diff)
		}
		for c, err := range r.History(t.Context(), HistoryQuery{Tips: []string{test.want.ID}, Limit: 1}) {
			if err != nil || !cmp.Equal(got, c) {
				t.Errorf("%s: History = %+v, %v; want as of Commit, %+v", test.name, c, err, got)
			}
		}
	}
}

func TestCommitErrors(t *testing.T) {
	g := newTestRepo(t)
	g.commit("1", "f", "x\n")
	bad := mustRun(t, g.dir, nil, []byte("parent x\n\nm"), "hash-object", "-t", "commit", "--literally", "-w", "--stdin")
	r := g.open()
	for _, test := range []struct {
		id   string
		kind error
	}{
		{strings.Repeat("0", 40), stemma.ErrNotFound},
		{g.git("rev-parse", "HEAD:f"), stemma.ErrInvalid},
		{bad, stemma.ErrInvalid},
		{"HEAD", stemma.ErrInvalid},
	} {
		if c, err := r.Commit(t.Context(), test.id); !errors.Is(err, test.kind) {
			t.Errorf("Commit(%s) = %v, %v; want %v", test.id, c, err, test.kind)
		}
	}
}

func TestShallowCommitsHaveNoParents(t *testing.T) {
	g := newTestRepo(t)
	var tip string
	for i := range 4 {
		tip = g.commit(fmt.Sprint(i), "f", fmt.Sprint(i))
	}
	dir := filepath.Join(t.TempDir(), "shallow")
	mustRun(t, "", nil, nil, "clone", "-q", "--depth=2", "file://"+g.dir, dir)
	r := openAt(t, dir)
	var parents []int
	for c, err := range r.History(t.Context(), HistoryQuery{Tips: []string{tip}}) {
		if err != nil {
			t.Fatal(err)
		}
		parents = append(parents, len(c.Parents))
	}
	if want := []int{1, 0}; !slices.Equal(parents, want) {
		t.Errorf("numbers of parents = %v, want %v", parents, want)
	}
	if c, err := r.Commit(t.Context(), r.Shallow()[0]); err != nil || c.Parents != nil {
		t.Errorf("Commit at the boundary = %+v, %v; want no parents", c, err)
	}
}

func TestBlobAndFile(t *testing.T) {
	g := newTestRepo(t)
	big := strings.Repeat("0123456789", 1<<20)
	id := g.commit("1", "a/b c", "x\n", "new\nline", "nl\n", "big", big, "empty", "")
	r := g.open()
	blob := func(path string) string { return g.git("rev-parse", "HEAD:"+path) }
	tests := []struct {
		path, want string
		limit      int64
		kind       error
	}{
		{"a/b c", "x\n", 2, nil},
		{"new\nline", "nl\n", 100, nil},
		{"empty", "", 0, nil},
		{"a/b c", "", 1, stemma.ErrInvalid},
		{"big", "", 1000, stemma.ErrInvalid}, // costs a process
		{"big", big, 1 << 24, nil},
		{"a", "", 100, stemma.ErrInvalid},
		{"none", "", 100, stemma.ErrNotFound},
		{"no\nne", "", 100, stemma.ErrNotFound},
		{"./a/b c", "", 100, stemma.ErrNotFound},
		{"a//b c", "", 100, stemma.ErrNotFound},
		{"../x", "", 100, stemma.ErrNotFound},
		{"", "", 100, stemma.ErrNotFound},
	}
	for _, test := range tests {
		got, err := r.File(t.Context(), id, test.path, test.limit)
		if string(got) != test.want || !errors.Is(err, test.kind) {
			t.Errorf("File(%q, %d) = %d bytes, %v; want %d bytes, %v", test.path, test.limit, len(got), err, len(test.want), test.kind)
		}
		if test.kind == nil {
			if got, err := r.Blob(t.Context(), blob(test.path), test.limit); err != nil || string(got) != test.want {
				t.Errorf("Blob of %q = %d bytes, %v; want %d bytes", test.path, len(got), err, len(test.want))
			}
		}
	}
	_, err := r.Blob(t.Context(), blob("big"), 99)
	if !errors.Is(err, stemma.ErrInvalid) || !strings.Contains(err.Error(), "10485760") || !strings.Contains(err.Error(), "99") {
		t.Errorf("Blob over its limit: %v, want both sizes", err)
	}
	if kind, size, err := r.Stat(t.Context(), blob("big")); kind != "blob" || size != int64(len(big)) || err != nil {
		t.Errorf("Stat = %q, %d, %v", kind, size, err)
	}
	if _, _, err := r.Stat(t.Context(), strings.Repeat("d", 40)); !errors.Is(err, stemma.ErrNotFound) {
		t.Errorf("Stat of a missing object: %v, want %v", err, stemma.ErrNotFound)
	}
}

func TestQuestionsAtOnce(t *testing.T) {
	g := newTestRepo(t)
	id := g.commit("1", "f", "x\n")
	r := g.open()
	before := runtime.NumGoroutine()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for i := range 50 {
				ctx, cancel := context.WithCancel(t.Context())
				if i%10 == 3 {
					cancel()
				}
				got, err := r.File(ctx, id, "f", 10)
				if i%10 == 3 && !errors.Is(err, context.Canceled) || i%10 != 3 && (err != nil || string(got) != "x\n") {
					t.Errorf("File = %q, %v", got, err)
				}
				cancel()
			}
		})
	}
	all.Wait()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	waitFor(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}

func TestAKilledProcessIsReplaced(t *testing.T) {
	g := newTestRepo(t)
	id := g.commit("1", "f", "x\n")
	r := g.open()
	for range 3 {
		if _, err := r.Commit(t.Context(), id); err != nil {
			t.Fatalf("Commit: %v", err)
		}
		for _, p := range r.batch.all {
			if err := p.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestTreeAndTreeDiff(t *testing.T) {
	g := newTestRepo(t)
	im := &imports{}
	module := strings.Repeat("a1", 20)
	one := im.commit("main", "", nil, file{"100644", "a/x\ty", "1\n"}, file{"100755", "new\nline", "2\n"}, file{"120000", "link", "a"}, file{"100644", "t", "t\n"})
	two := im.commit("main", "", []int{one}, file{"100644", "a/x\ty", "1b\n"}, file{"", "new\nline", ""}, file{"160000", "module", module}, file{"120000", "t", "a"})
	ids := im.into(g)
	r := g.open()
	paths := func(commit string, recursive bool) []string {
		var got []string
		for e, err := range r.Tree(t.Context(), commit, recursive) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.Mode+" "+e.Type+" "+e.Path)
		}
		return got
	}
	if diff := cmp.Diff([]string{"100644 blob a/x\ty", "120000 blob link", "160000 commit module", "120000 blob t"}, paths(ids[two], true)); diff != "" {
		t.Errorf("Tree, recursive (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"040000 tree a", "120000 blob link", "100755 blob new\nline", "100644 blob t"}, paths(ids[one], false)); diff != "" {
		t.Errorf("Tree (-want +got):\n%s", diff)
	}
	changes := func(old, new string) []string {
		var got []string
		for c, err := range r.TreeDiff(t.Context(), old, new) {
			if err != nil {
				t.Fatal(err)
			}
			if c.Path == "module" && c.NewID != module {
				t.Errorf("id of the submodule = %s, want %s", c.NewID, module)
			}
			got = append(got, fmt.Sprintf("%c %s %s %s", c.Status, c.OldMode, c.NewMode, c.Path))
		}
		return got
	}
	if diff := cmp.Diff([]string{"M 100644 100644 a/x\ty", "A 000000 160000 module", "D 100755 000000 new\nline", "T 100644 120000 t"}, changes(ids[one], ids[two])); diff != "" {
		t.Errorf("TreeDiff (-want +got):\n%s", diff)
	}
	if got := changes("", ids[one]); len(got) != 4 {
		t.Errorf("TreeDiff from nothing = %v, want 4 additions", got)
	}
	for _, bad := range []string{strings.Repeat("0", 39) + "1", "HEAD"} {
		var last error
		for _, err := range r.TreeDiff(t.Context(), "", bad) {
			last = err
		}
		if !errors.Is(last, stemma.ErrNotFound) && !errors.Is(last, stemma.ErrInvalid) {
			t.Errorf("TreeDiff(%s): %v", bad, last)
		}
	}
}

func TestAncestor(t *testing.T) {
	g := newTestRepo(t)
	first := g.commit("1", "f", "x\n")
	second := g.commit("2", "f", "y\n")
	other := g.git("commit-tree", "-m", "other", "HEAD^{tree}")
	r := g.open()
	for _, test := range []struct {
		first, second string
		want          bool
	}{{first, second, true}, {second, first, false}, {first, first, true}, {other, second, false}} {
		if got, err := r.Ancestor(t.Context(), test.first, test.second); got != test.want || err != nil {
			t.Errorf("Ancestor(%s, %s) = %v, %v; want %v", test.first, test.second, got, err, test.want)
		}
	}
	for _, pair := range [][2]string{{strings.Repeat("1", 40), first}, {first, strings.Repeat("1", 40)}} {
		if _, err := r.Ancestor(t.Context(), pair[0], pair[1]); !errors.Is(err, stemma.ErrNotFound) {
			t.Errorf("Ancestor(%v): %v, want %v", pair, err, stemma.ErrNotFound)
		}
	}
}

// A repository may be repacked, and lose what no ref reaches, at any time.
func TestRepositoryThatChangesWhileItIsRead(t *testing.T) {
	g := newTestRepo(t)
	var ids []string
	for i := range 20 {
		ids = append(ids, g.commit(fmt.Sprint(i), "f", numbered(0, i)))
	}
	lost := mustRun(t, g.dir, nil, []byte("lost\n"), "hash-object", "-w", "--stdin")
	r := g.open()
	if _, err := r.Blob(t.Context(), lost, 100); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range r.Added(t.Context(), func(yield func(string) bool) {
		for i, id := range ids {
			if i == 10 {
				g.git("gc", "-q", "--prune=now")
			}
			if !yield(id) {
				return
			}
		}
	}, 2) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != len(ids) {
		t.Errorf("Added told of %d commits, want %d", n, len(ids))
	}
	if _, err := r.Blob(t.Context(), lost, 100); !errors.Is(err, stemma.ErrNotFound) {
		t.Errorf("Blob of a pruned object: %v, want %v", err, stemma.ErrNotFound)
	}
	if err := os.RemoveAll(filepath.Join(g.dir, ".git")); err != nil {
		t.Fatal(err)
	}
	_, _, errRefs := r.Refs(t.Context())
	_, errHead := r.Head(t.Context())
	_, errCommit := r.Commit(t.Context(), ids[3])
	_, errFile := r.File(t.Context(), ids[3], "f", 100)
	var errHistory error
	for _, err := range r.History(t.Context(), HistoryQuery{Tips: ids[19:]}) {
		errHistory = err
	}
	kinds := []error{stemma.ErrNotFound, stemma.ErrInvalid, stemma.ErrUnavailable, os.ErrNotExist}
	for name, err := range map[string]error{"Refs": errRefs, "Head": errHead, "File": errFile, "History": errHistory} {
		if err == nil || !slices.ContainsFunc(kinds, func(kind error) bool { return errors.Is(err, kind) }) {
			t.Errorf("%s of a repository that is gone: %v, want an error of a kind", name, err)
		}
	}
	_ = errCommit // its pack may still be open: either answer is right
}

func TestTailKeepsTheEndAndEscapes(t *testing.T) {
	var tl tail
	for range 100 {
		fmt.Fprintf(&tl, "warning: %s\n", bytes.Repeat([]byte("w"), 100))
	}
	fmt.Fprint(&tl, "fatal: \x1b[31mend\xff\n")
	got := tl.text()
	if len(got) > 2*tailSize || !strings.HasPrefix(got, "...") || !strings.HasSuffix(got, `fatal: \x1b[31mend\xff`) {
		t.Errorf("text = %q", got)
	}
}
