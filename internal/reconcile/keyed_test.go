package reconcile_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

// move is a ref that comes to a place, or goes ("").
type move struct{ ref, to string }

// tree writes files as a commit of their own and gives its id: refs move there
// later.
func (l *lab) tree(parent string, files map[string]string) string {
	l.t.Helper()
	l.git("read-tree", "--empty")
	if parent != "" {
		l.git("read-tree", parent)
	}
	for path, content := range files {
		blob := l.run(l.dir, []byte(content), "hash-object", "-w", "--stdin")
		l.git("update-index", "--add", "--cacheinfo", "100644,"+blob+","+path)
	}
	args := []string{"commit-tree", l.git("write-tree"), "-m", "records"}
	if parent != "" {
		args = append(args, "-p", parent)
	}
	return l.git(args...)
}

// checkpoint gives the files of a checkpoint below a folder.
func checkpoint(folder, session, model, edit string) map[string]string {
	return map[string]string{
		folder + "metadata.json":   `{"sessions":[{"metadata":"` + folder + `0/metadata.json"}]}`,
		folder + "0/metadata.json": `{"session_id":"` + session + `","agent":"Claude Code","initial_attribution":{"agent_lines":2,"total_committed":3}}`,
		folder + "0/full.jsonl": `{"parentUuid":null,"sessionId":"` + session + `","type":"assistant","message":{"model":"` + model + `"}}` + "\n" +
			`{"type":"user","cwd":"/r","timestamp":"2026-05-01T00:00:00Z","toolUseResult":{"filePath":"/r/b.go","oldString":"","newString":"` + edit + `"}}` + "\n",
	}
}

func trace(id, revision, path string, start, end int) string {
	return fmt.Sprintf(`{"version":"0.1.0","id":%q,"timestamp":"2026-05-01T00:00:00Z","vcs":{"type":"git","revision":%q},"tool":{"name":"codex"},`+
		`"files":[{"path":%q,"conversations":[{"url":"https://example.org/c/%s","contributor":{"type":"ai"},"ranges":[{"start_line":%d,"end_line":%d}]}]}]}`+"\n",
		id, revision, path, id, start, end)
}

// The same evidence in any order gives the same graph as all of it at once: the
// code, notes, checkpoints in a branch, here and at a remote, and in refs of
// their own, and trace files on branches, which come, change and go.
func TestEvidenceThatIsFoundByAKeyInAnyOrder(t *testing.T) {
	l := newLab(t)
	l.write("a.go", lines("a", 6)...)
	first := l.commit("first")
	l.write("b.go", lines("b", 6)...)
	second := l.commit("second\n\nEntire-Checkpoint: a3b2c4d5e6f7")
	l.write("c.go", lines("c", 6)...)
	third := l.commit("third\n\nEntire-Checkpoint: a3b2c4d5e6f7\nEntire-Checkpoint: 01JZZZZZZZZZZZZZZZZZZZZZZZ\nCo-Authored-By: Claude Opus 4.5 <noreply@anthropic.com>")

	edit := strings.Join(lines("b", 6)[:3], `\n`)
	early := l.tree("", checkpoint("a3/b2c4d5e6f7/", "s1", "claude-opus-4-5-20251101", edit))
	late := l.tree(early, checkpoint("a3/b2c4d5e6f7/", "s1", "claude-opus-4-6", edit))
	other := l.tree(late, checkpoint("ff/ffffffffff/", "s3", "claude-opus-4-6", "nothing"))
	alone := l.tree("", checkpoint("", "s2", "claude-sonnet-4-5-20250929", "nothing"))
	traced := l.tree(third, map[string]string{".agent-trace/traces.jsonl": trace("t1", second, "b.go", 2, 5) + "junk\n"})
	more := l.tree(traced, map[string]string{".agent-trace/more.jsonl": trace("t2", first, "b.go", 6, 6) + trace("t3", first, "a.go", 1, 2)})
	l.note(second, "b.go s9 4-6")
	noted := l.git("rev-parse", "refs/notes/ai")
	l.git("read-tree", third)

	refs := []string{
		"refs/heads/main", "refs/heads/traces", "refs/heads/entire/checkpoints/v1", "refs/remotes/origin/entire/checkpoints/v1",
		"refs/entire/checkpoints/ZZ/01JZZZZZZZZZZZZZZZZZZZZZZZ", "refs/notes/ai",
	}
	ways := map[string][]string{
		refs[0]: {second, third, first}, refs[1]: {traced, more, ""}, refs[2]: {early, late, other, ""},
		refs[3]: {early, other, ""}, refs[4]: {alone, ""}, refs[5]: {noted, ""},
	}
	end := []move{{refs[0], third}, {refs[1], more}, {refs[2], late}, {refs[3], other}, {refs[4], alone}, {refs[5], noted}}
	put := func(moves ...move) {
		for _, m := range moves {
			if m.to == "" {
				l.git("update-ref", "-d", m.ref)
			} else {
				l.git("update-ref", m.ref, m.to)
			}
		}
	}
	put(end...)
	want := l.newIndex().update().dump()
	for _, part := range []string{"claude-code/s1", "claude-code/s2", "codex/t1", "entire-transcript", "git-ai"} {
		if !strings.Contains(want, part) {
			t.Fatalf("the graph of all evidence has no %s", part)
		}
	}

	rounds, seed := 4, uint64(1)
	switch n, err := strconv.Atoi(os.Getenv("STEMMA_SOAK")); {
	case err == nil && n > 1:
		rounds = n
	case err == nil:
		rounds = 300
	}
	for round := range rounds {
		rnd := rand.New(rand.NewPCG(seed, uint64(round)))
		for _, ref := range refs[1:] {
			put(move{ref, ""})
		}
		put(move{refs[0], first})
		x := l.newIndex()
		var done []move
		step := func(m move) {
			done = append(done, m)
			put(m)
			if rnd.IntN(2) == 0 {
				x.update()
			}
		}
		for range 8 {
			ref := refs[rnd.IntN(len(refs))]
			step(move{ref, ways[ref][rnd.IntN(len(ways[ref]))]})
		}
		for _, i := range rnd.Perm(len(end)) {
			step(end[i])
		}
		if got := x.update().dump(); got != want {
			t.Fatalf("round %d, after %v: %s", round, done, firstDifference(got, want))
		}
	}
}

// firstDifference gives the first line in which two dumps differ.
func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d is\n%s\nwant\n%s", i+1, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(a), len(b))
}
