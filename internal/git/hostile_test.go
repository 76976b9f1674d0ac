package git

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// answers is everything this package says about a repository.
type answers struct {
	Refs    []Ref
	Head    Ref
	Commits []*Commit
	Added   map[string]Diff
	Tree    []TreeEntry
	Changes []TreeChange
	Blame   []BlameLine
	Edited  []BlameLine
	File    string
	Resolve []string
	Since   int64
	Errors  []string
}

func ask(t *testing.T, dir string) answers {
	t.Helper()
	r, err := Open(t.Context(), dir, Config{Scratch: filepath.Join(t.TempDir(), "scratch")})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}()
	var a answers
	note := func(err error) bool {
		if err != nil {
			a.Errors = append(a.Errors, err.Error())
		}
		return err == nil
	}
	a.Refs, _, err = r.Refs(t.Context())
	note(err)
	a.Head, err = r.Head(t.Context())
	note(err)
	_, err = r.Fingerprint()
	note(err)
	var ids []string
	for c, err := range r.History(t.Context(), HistoryQuery{Tips: []string{a.Head.Commit}, TopoOrder: true}) {
		if note(err) {
			a.Commits = append(a.Commits, c)
			ids = append(ids, c.ID)
			_, err = r.Commit(t.Context(), c.ID)
			note(err)
		}
	}
	a.Added = map[string]Diff{}
	for d, err := range r.Added(t.Context(), slices.Values(ids), 2) {
		if note(err) {
			a.Added[d.Commit] = d
		}
	}
	for e, err := range r.Tree(t.Context(), a.Head.Commit, true) {
		if note(err) {
			a.Tree = append(a.Tree, e)
			_, _, err = r.Stat(t.Context(), e.ID)
			note(err)
		}
	}
	for c, err := range r.TreeDiff(t.Context(), ids[len(ids)-1], a.Head.Commit) {
		if note(err) {
			a.Changes = append(a.Changes, c)
		}
	}
	for line, err := range r.Blame(t.Context(), BlameQuery{Path: "a.txt", Copies: true}) {
		if note(err) {
			a.Blame = append(a.Blame, line)
		}
	}
	for line, err := range r.Blame(t.Context(), BlameQuery{Path: "a.txt", Contents: []byte("one\r\nTWO\nthree\nnew\n")}) {
		if note(err) {
			a.Edited = append(a.Edited, line)
		}
	}
	data, err := r.File(t.Context(), a.Head.Commit, "a.txt", 1<<20)
	note(err)
	a.File = string(data)
	for _, rev := range []string{"HEAD", "main", "v1", "HEAD~1", "v1^{}"} {
		id, err := r.Resolve(t.Context(), rev)
		note(err)
		a.Resolve = append(a.Resolve, id)
	}
	a.Since, err = r.ParseDate(t.Context(), "2024-01-01 10:00 +0000", false)
	note(err)
	_, err = r.Ancestor(t.Context(), ids[len(ids)-1], a.Head.Commit)
	note(err)
	return a
}

// victim is a repository with something for each trick to bite on.
func victim(t *testing.T) *testRepo {
	g := newTestRepo(t)
	g.commit("first", "a.txt", "one\ntwo\nthree\n", "b.go", numbered(1, 20))
	g.git("tag", "-a", "-m", "tag", "v1")
	g.commit("second", "a.txt", "one\nTWO\nthree\n", "b.go", numbered(1, 21), "c.bin", "x\ny\n")
	return g
}

// trick makes a repository do something to whoever looks at it.
type trick struct {
	name string
	// set plays the trick. run is a command that leaves the canary, and prints
	// what its stdin has, so that a filter works.
	set func(g *testRepo, run string)
	// trip is a call of plain git that falls for it; nil where proving that is
	// no longer cheap or this git is not fooled any more.
	trip []string
	// env is set for this process, and for plain git.
	env func(run, canary string) []string
	// sees says that plain git's answer changes, and nothing runs.
	sees bool
	// commits says that the trick changes what the repository holds: a blob is
	// gone, or the tip is another commit.
	commits bool
}

func config(pairs ...string) func(*testRepo, string) {
	return func(g *testRepo, run string) {
		for i := 0; i < len(pairs); i += 2 {
			g.git("config", strings.ReplaceAll(pairs[i], "RUN", run), strings.ReplaceAll(pairs[i+1], "RUN", run))
		}
	}
}

func attributes(where, line string, more func(*testRepo, string)) func(*testRepo, string) {
	return func(g *testRepo, run string) {
		g.write(where, line+"\n")
		if more != nil {
			more(g, run)
		}
	}
}

func hook(names ...string) func(*testRepo, string) {
	return func(g *testRepo, run string) {
		for _, name := range names {
			g.write(".git/hooks/"+name, "#!/bin/sh\n"+run+"\n")
			if err := os.Chmod(filepath.Join(g.dir, ".git/hooks", name), 0o755); err != nil {
				g.t.Fatal(err)
			}
		}
	}
}

// promisor takes the blob of a file away, as a partial clone does, and says
// where it could be fetched from.
func promisor(url string, more ...string) func(*testRepo, string) {
	return func(g *testRepo, run string) {
		config(append([]string{
			"core.repositoryFormatVersion", "1", "extensions.partialClone", "origin",
			"remote.origin.url", url, "remote.origin.promisor", "true", "remote.origin.partialCloneFilter", "blob:none",
		}, more...)...)(g, run)
		g.removeObject(g.git("rev-parse", "HEAD:c.bin"))
	}
}

func tricks() []trick {
	return []trick{
		{name: "core.fsmonitor", set: config("core.fsmonitor", "RUN"), trip: []string{"status"}},
		{name: "diff.external", set: config("diff.external", "RUN"), trip: []string{"diff", "HEAD~1", "HEAD"}},
		{name: "GIT_EXTERNAL_DIFF", env: func(run, _ string) []string { return []string{"GIT_EXTERNAL_DIFF=" + run} }, trip: []string{"diff", "HEAD~1", "HEAD"}},
		{name: "diff driver by info/attributes", set: attributes(".git/info/attributes", "* diff=evil", config("diff.evil.command", "RUN")), trip: []string{"diff", "HEAD~1", "HEAD"}},
		{name: "textconv by info/attributes", set: attributes(".git/info/attributes", "* diff=evil", config("diff.evil.textconv", "RUN; cat")), trip: []string{"diff", "HEAD~1", "HEAD"}},
		{name: "textconv by core.attributesFile", set: attributes("../attr", "* diff=evil", config("core.attributesFile", "../attr", "diff.evil.textconv", "RUN; cat")), trip: []string{"diff", "HEAD~1", "HEAD"}},
		{name: "filter.clean", set: attributes(".git/info/attributes", "* filter=evil", config("filter.evil.clean", "RUN; cat", "filter.evil.smudge", "RUN; cat", "filter.evil.required", "true")), trip: []string{"blame", "--contents", "b.go", "a.txt"}},
		{name: "filter.process", set: attributes(".git/info/attributes", "* filter=evil", config("filter.evil.process", "RUN")), trip: []string{"blame", "--contents", "b.go", "a.txt"}},
		{name: "filter by the work tree's .gitattributes", set: attributes(".gitattributes", "* filter=evil", config("filter.evil.clean", "RUN; cat")), trip: []string{"blame", "--contents", "b.go", "a.txt"}},
		{name: "hooks", set: hook("post-checkout", "reference-transaction", "post-index-change", "pre-auto-gc", "fsmonitor-watchman"), trip: []string{"update-ref", "refs/heads/trip", "HEAD"}},
		{name: "core.hooksPath", set: func(g *testRepo, run string) {
			hook("reference-transaction", "post-index-change")(g, run)
			if err := os.Rename(filepath.Join(g.dir, ".git/hooks"), filepath.Join(g.dir, "evil")); err != nil {
				g.t.Fatal(err)
			}
			config("core.hooksPath", "evil")(g, run)
		}, trip: []string{"update-ref", "refs/heads/trip", "HEAD"}},
		{name: "lazy fetch by ext::", set: promisor("ext::sh -c RUN", "protocol.ext.allow", "always"), trip: []string{"cat-file", "-p", "HEAD:c.bin"}, commits: true},
		{name: "lazy fetch by uploadpack", set: promisor(".", "remote.origin.uploadpack", "RUN;"), trip: []string{"cat-file", "-p", "HEAD:c.bin"}, commits: true},
		{
			name: "lazy fetch by core.sshCommand", set: promisor("ssh://nowhere.invalid/x", "core.sshCommand", "RUN;", "protocol.ssh.allow", "always"), trip: []string{"cat-file", "-p", "HEAD:c.bin"}, commits: true,
			env: func(_, _ string) []string { return []string{"GIT_ALLOW_PROTOCOL=ssh"} },
		},
		{name: "url.insteadOf", set: promisor("https://example.invalid/x", "url.ext::sh -c RUN .insteadOf", "https://example.invalid/", "protocol.ext.allow", "always"), trip: []string{"cat-file", "-p", "HEAD:c.bin"}, commits: true},
		{name: "core.askPass and credential.helper", set: promisor("https://127.0.0.1:1/x", "core.askPass", "RUN", "credential.helper", "!RUN"), commits: true},
		{name: "replace refs", sees: true, set: func(g *testRepo, _ string) {
			blob := mustRun(g.t, g.dir, nil, []byte("replaced\n"), "hash-object", "-w", "--stdin")
			g.git("update-ref", "refs/replace/"+g.git("rev-parse", "HEAD:a.txt"), blob)
		}, trip: []string{"cat-file", "-p", "HEAD:a.txt"}},
		{name: "grafts", sees: true, set: func(g *testRepo, _ string) {
			g.write(".git/info/grafts", g.git("rev-parse", "HEAD")+"\n")
		}, trip: []string{"rev-list", "HEAD"}},
		{name: "info/attributes -diff", sees: true, set: attributes(".git/info/attributes", "* -diff", nil), trip: []string{"diff", "HEAD~1", "HEAD"}},
		{name: "the work tree's .gitattributes -diff", sees: true, set: attributes(".gitattributes", "* binary", nil), trip: []string{"diff", "HEAD~1", "HEAD"}},
		{name: "diff configuration", sees: true, set: config("diff.algorithm", "patience", "diff.context", "20", "diff.noprefix", "true", "diff.renames", "false", "diff.orderFile", "b.go", "diff.interHunkContext", "9", "core.quotePath", "true", "color.ui", "always", "diff.wsErrorHighlight", "all"), trip: []string{"diff", "HEAD~1", "HEAD"}},
		{name: "blame configuration", sees: true, set: func(g *testRepo, run string) {
			g.write("ignored", g.git("rev-parse", "HEAD")+"\n")
			config("blame.ignoreRevsFile", "ignored", "blame.showRoot", "false", "blame.blankBoundary", "true")(g, run)
		}, trip: []string{"blame", "a.txt"}},
		{name: "mailmap", sees: true, set: func(g *testRepo, run string) {
			g.write(".mailmap", "Eve <eve@example.com> Ada <ada@example.com>\n")
			config("mailmap.file", ".mailmap")(g, run)
		}, trip: []string{"blame", "--porcelain", "a.txt"}},
		{name: "output encoding", sees: true, set: config("i18n.logOutputEncoding", "UTF-16", "log.date", "raw"), trip: []string{"log"}},
		{name: "aliases", set: config("alias.cat-file", "!RUN", "alias.diff-tree", "!RUN", "alias.blame", "!RUN", "alias.rev-list", "!RUN", "alias.trip", "!RUN"), trip: []string{"trip"}},
		{name: "pagers", set: config("core.pager", "RUN", "pager.blame", "RUN", "pager.for-each-ref", "RUN", "pager.trip", "RUN"), env: func(run, _ string) []string { return []string{"GIT_PAGER=" + run, "PAGER=" + run} }},
		{name: "include.path", set: func(g *testRepo, run string) {
			g.write("evil.inc", "[core]\n\tfsmonitor = "+strings.ReplaceAll(run, `"`, `\"`)+"\n")
			config("include.path", "../evil.inc")(g, run)
		}, trip: []string{"status"}},
		{name: "core.alternateRefsCommand", set: func(g *testRepo, run string) {
			config("core.alternateRefsCommand", "RUN;")(g, run)
			g.write(".git/objects/info/alternates", filepath.Join(g.dir, ".git", "objects")+"\n")
		}},
		{name: "gpg.program with log.showSignature", set: func(g *testRepo, run string) {
			config("log.showSignature", "true", "gpg.program", "RUN")(g, run)
			text := g.git("cat-file", "commit", "HEAD")
			head, body, _ := strings.Cut(text, "\n\n")
			signed := head + "\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\n" + body + "\n"
			id := mustRun(g.t, g.dir, nil, []byte(signed), "hash-object", "-t", "commit", "-w", "--stdin")
			g.git("update-ref", "refs/heads/main", id)
		}, trip: []string{"log", "-1"}, commits: true},
		{name: "merge drivers", set: attributes(".git/info/attributes", "* merge=evil", config("merge.evil.driver", "RUN", "core.editor", "RUN", "sequence.editor", "RUN"))},
		{name: "uploadpack.packObjectsHook and gc", set: config("uploadpack.packObjectsHook", "RUN", "gc.auto", "1", "gc.recentObjectsHook", "RUN", "maintenance.auto", "true")},
		{name: "configuration by our environment", env: func(run, _ string) []string {
			return []string{"GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=core.fsmonitor", "GIT_CONFIG_VALUE_0=" + run, "GIT_CONFIG_KEY_1=diff.external", "GIT_CONFIG_VALUE_1=" + run}
		}, trip: []string{"diff", "HEAD~1", "HEAD"}},
		{name: "trace to a file", env: func(_, canary string) []string {
			return []string{"GIT_TRACE=" + canary, "GIT_TRACE2=" + canary}
		}, trip: []string{"status"}},
		{name: "objects and index by our environment", sees: true, env: func(_, _ string) []string {
			return []string{"GIT_OBJECT_DIRECTORY=/nonexistent", "GIT_INDEX_FILE=/nonexistent", "GIT_NAMESPACE=evil", "GIT_SHALLOW_FILE=/nonexistent", "GIT_REPLACE_REF_BASE=refs/evil", "GIT_DIFF_OPTS=-u9", "GIT_LITERAL_PATHSPECS=0", "GIT_DEFAULT_HASH=sha256"}
		}, trip: []string{"cat-file", "-p", "HEAD:a.txt"}},
		{name: "unknown extensions and nonsense", sees: true, set: func(g *testRepo, _ string) {
			g.write(".git/config", "[core]\n\trepositoryFormatVersion = 1\n\tcompression = nonsense\n\tworktree = /nonexistent\n[extensions]\n\tevil = 1\n")
		}, trip: []string{"cat-file", "-p", "HEAD:a.txt"}},
		{name: "commit graph that lies", set: func(g *testRepo, run string) {
			g.git("commit-graph", "write", "--reachable")
			path := filepath.Join(g.dir, ".git/objects/info/commit-graph")
			data, err := os.ReadFile(path)
			if err != nil {
				g.t.Fatal(err)
			}
			for i := range data[len(data)/2:] {
				data[len(data)/2+i] ^= 0x15
			}
			if err := errors.Join(os.Chmod(path, 0o644), os.WriteFile(path, data, 0o644)); err != nil {
				g.t.Fatal(err)
			}
		}},
	}
}

func TestHostileRepositoryRunsNothingAndChangesNoAnswer(t *testing.T) {
	for _, trick := range tricks() {
		t.Run(trick.name, func(t *testing.T) {
			g := victim(t)
			canary := filepath.Join(t.TempDir(), "canary")
			run := filepath.Join(t.TempDir(), "run")
			if err := os.WriteFile(run, []byte("#!/bin/sh\ntouch '"+canary+"'\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			var env []string
			if trick.env != nil {
				env = trick.env(run, canary)
			}
			want := ask(t, g.dir)
			if len(want.Errors) > 0 || len(want.Blame) != 3 || len(want.Edited) != 4 || len(want.Added) != 2 {
				t.Fatalf("before the trick: %+v", want)
			}
			plain, _ := tryRun(g.dir, nil, nil, trick.trip...)
			if trick.set != nil {
				trick.set(g, run)
			}
			if trick.trip != nil {
				proveTrick(t, g, trick, env, canary, plain)
			}
			for _, pair := range env {
				name, value, _ := strings.Cut(pair, "=")
				t.Setenv(name, value)
			}
			got := ask(t, g.dir)
			if _, err := os.Stat(canary); err == nil {
				t.Fatalf("the repository ran a program")
			}
			if trick.commits {
				return
			}
			ignore := cmp.Options{cmpopts.IgnoreSliceElements(func(r Ref) bool { return strings.HasPrefix(r.Name, "refs/replace/") || r.Name == "refs/heads/trip" })}
			if diff := cmp.Diff(want, got, ignore); diff != "" {
				t.Errorf("the answer changed (-before +after):\n%s", diff)
			}
		})
	}
}

// proveTrick shows that the trick works on plain git, so that a test which
// passes says something.
func proveTrick(t *testing.T, g *testRepo, trick trick, env []string, canary, before string) {
	t.Helper()
	out, _ := tryRun(g.dir, env, nil, trick.trip...)
	_, err := os.Stat(canary)
	switch {
	case trick.sees && out == before:
		t.Fatalf("plain git %v is not fooled: %s", trick.trip, out)
	case !trick.sees && err != nil:
		t.Fatalf("plain git %v leaves no canary: %s", trick.trip, out)
	case !trick.sees:
		if err := os.Remove(canary); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCommittedAttributesHideNoLines(t *testing.T) {
	g := newTestRepo(t)
	id := g.commit("hide", ".gitattributes", "*.go -diff\n*.txt binary\n* export-subst ident\n", "a.go", numbered(1, 7), "b.txt", "x\n")
	if out := g.git("show", "--numstat", "--format=", id); !strings.Contains(out, "-\t-\ta.go") {
		t.Fatalf("plain git is not fooled: %s", out)
	}
	for _, bare := range []bool{false, true} {
		dir := g.dir
		if bare {
			dir = filepath.Join(t.TempDir(), "bare")
			mustRun(t, "", nil, nil, "clone", "-q", "--bare", g.dir, dir)
		}
		got := map[string]int{}
		for _, f := range addedOf(t, openAt(t, dir), id)[id].Files {
			got[f.Path] = f.Added
		}
		if want := map[string]int{".gitattributes": 3, "a.go": 7, "b.txt": 1}; !cmp.Equal(got, want) {
			t.Errorf("bare %v: added lines = %v, want %v", bare, got, want)
		}
	}
}

// A repository may come with what looks like our own scratch directory.
func TestPlantedShadowIsSwept(t *testing.T) {
	g := victim(t)
	want := ask(t, g.dir)
	scratch := filepath.Join(g.dir, ".git", "stemma")
	cfg := Config{Scratch: scratch}
	r, err := Open(t.Context(), g.dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	objects, refs := r.objects.dir, r.refs.dir
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	canary := filepath.Join(t.TempDir(), "canary")
	for _, dir := range []string{objects, refs} {
		for name, text := range map[string]string{
			"config":          "[diff]\n\texternal = touch " + canary + "\n[core]\n\tfsmonitor = touch " + canary + "\n",
			"info/attributes": "* -diff\n", "info/grafts": want.Head.ID + "\n", "commondir": "/nonexistent\n",
			"config.worktree": "[core]\n\tbare = false\n", "shallow": want.Head.ID + "\n", ".gitconfig": "[core]\n\tbare = false\n",
			"git/attributes": "* -diff\n", "git/config": "[core]\n\tbare = false\n", "gitdir": "x", "index": "x",
		} {
			path := filepath.Join(dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
	outside := t.TempDir()
	if err := errors.Join(os.RemoveAll(filepath.Join(objects, "refs")), os.Symlink(outside, filepath.Join(objects, "refs"))); err != nil {
		t.Fatal(err)
	}
	r, err = Open(t.Context(), g.dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }() // asked only
	got := addedOf(t, r, want.Head.ID)
	if diff := cmp.Diff(want.Added[want.Head.ID], got[want.Head.ID]); diff != "" {
		t.Errorf("Added with a planted shadow (-want +got):\n%s", diff)
	}
	for name, want := range map[string][]string{objects: {"HEAD", "config", "refs"}, refs: {
		"CHERRY_PICK_HEAD", "FETCH_HEAD", "HEAD", "MERGE_HEAD", "ORIG_HEAD", "REBASE_HEAD", "REVERT_HEAD", "config", "logs", "packed-refs", "refs",
	}} {
		entries, err := os.ReadDir(name)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			got = append(got, e.Name())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s holds %v, want %v", name, got, want)
		}
	}
	if _, err := os.Stat(canary); err == nil {
		t.Error("the planted configuration ran a program")
	}
}

func TestScratchThatLeadsElsewhereIsNotWritten(t *testing.T) {
	g := victim(t)
	scratch, outside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(scratch, "git")); err != nil {
		t.Fatal(err)
	}
	r, err := Open(t.Context(), g.dir, Config{Scratch: scratch})
	if err != nil {
		t.Fatal(err)
	}
	temp := r.temp
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("the place a link leads to holds %v, %v; want nothing", entries, err)
	}
	if temp == "" {
		t.Error("Open used the scratch directory, want a temporary one")
	}
	if _, err := os.Stat(temp); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Close the temporary directory is there: %v", err)
	}
}

func TestErrorsShowNoControlCharacters(t *testing.T) {
	g := victim(t)
	_, err := g.open().Resolve(t.Context(), "x\x1b[31m\x07\xff")
	if err == nil || strings.ContainsAny(err.Error(), "\x1b\x07") || strings.Contains(err.Error(), "\xff") {
		t.Errorf("error = %q, want one without control characters", fmt.Sprint(err))
	}
}
