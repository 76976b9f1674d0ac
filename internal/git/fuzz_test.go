package git

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stemma-dev/stemma"
)

// wantInvalid checks that a decoder refuses what it cannot read as such.
func wantInvalid(t *testing.T, err error) {
	t.Helper()
	var decode *DecodeError
	if err != nil && !errors.Is(err, stemma.ErrInvalid) && !errors.As(err, &decode) {
		t.Errorf("error of the wrong kind: %v", err)
	}
}

func FuzzDiffParser(f *testing.F) {
	a, b := strings.Repeat("a", 40), strings.Repeat("b", 40)
	f.Add("\x00"+a+" "+b+"\ndiff --git a/x b/x\nindex "+a+".."+b+" 100644\n--- a/x\n+++ b/x\n@@ -1 +1,2 @@ f\n-a\n+b\n+c\n\\ No newline at end of file\nend\n", true)
	f.Add("\x00"+a+"\n\n\x00"+b+" "+a+" "+a+"\n::100644 160000 160000 "+a+" "+a+" "+b+" MM\tx\n\ndiff --cc x\nindex "+a+","+a+".."+b+"\n--- a/x\n+++ b/x\n@@@ -1,1 -1,1 +1,2 @@@\n--a\n++b\n  c\nend\n", false)
	f.Add("\x00"+a+"\ndiff --git \"a/\\303\\tx\" \"b/\\303\\tx\"\nnew file mode 100644\nBinary files /dev/null and b/x differ\nend\n", false)
	f.Add("\x00"+a+"\ndiff --git a/x b/y\nsimilarity index 90%\nrename from x\nrename to y\n@@ -2147483647,0 +2147483647 @@\n+x\nend\n", false)
	f.Add("\x00"+a+"\ndiff --git a/x b/x\ndeleted file mode 120000\n@@ -1 +0,0 @@\n-x\ndiff --git a/x b/x\nnew file mode 100644\n@@ -0,0 +1 @@\n+x\nend\n", false)
	f.Fuzz(func(t *testing.T, in string, blobs bool) {
		p := newDiffParser(bufio.NewReaderSize(strings.NewReader(in), 16), 40)
		p.wantBlobs, p.wantLines = blobs, !blobs
		err := p.read("end", func(e *diffEntry) error {
			for _, file := range e.files {
				lines := 0
				for _, r := range file.Ranges {
					if r.Start > r.End {
						t.Errorf("range %v of %q is upside down", r, file.Path)
					}
					lines += r.End - r.Start + 1
				}
				if lines != file.Added {
					t.Errorf("%q: ranges hold %d lines, Added is %d", file.Path, lines, file.Added)
				}
				held := 0
				for _, h := range file.Hunks {
					held += len(h.Added)
				}
				if !blobs && held != file.Added {
					t.Errorf("%q: hunks hold %d lines, Added is %d", file.Path, held, file.Added)
				}
				if lines > len(in) {
					t.Errorf("%q: %d lines out of %d bytes", file.Path, lines, len(in))
				}
			}
			return nil
		})
		if err != nil && !strings.HasSuffix(err.Error(), "EOF") {
			wantInvalid(t, err)
		}
	})
}

func FuzzCommit(f *testing.F) {
	tree := strings.Repeat("c", 40)
	f.Add([]byte("tree " + tree + "\nparent " + tree + "\nauthor A <a@x> 1 +0000\ncommitter B <b@x> 2 -0100\nencoding latin-1\ngpgsig a\n b\n\nmessage\x00\n"))
	f.Add([]byte("tree " + tree + "\nauthor <<>> > 99999999999999999999\n"))
	f.Add([]byte("tree x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseCommit("id", data, 40)
		if err != nil {
			wantInvalid(t, err)
			return
		}
		if len(c.Tree) != 40 || !bytes.HasSuffix(data, c.Message) || c.Author.Time < 0 || c.Committer.Time < 0 {
			t.Errorf("commit = %+v", c)
		}
	})
}

func FuzzBlame(f *testing.F) {
	id := strings.Repeat("d", 40)
	f.Add(id + " 1 1 2\nauthor A\nauthor-mail <a@x>\nauthor-time 5\nsummary s\nfilename \"a\\tb\"\n\ttext\n" + id + " 2 2\n\tmore\n")
	f.Add(strings.Repeat("0", 40) + " 1 1 1\nauthor Not Committed Yet\nfilename f\n\t\n")
	f.Add(id + " -1 99999999999999999999\n")
	f.Fuzz(func(t *testing.T, in string) {
		p := blameParser{hexLen: 40, boundary: func(string) bool { return false }, seen: map[string]*BlameLine{}}
		for line := range strings.SplitSeq(in, "\n") {
			got, ok, err := p.line([]byte(line))
			if err != nil {
				wantInvalid(t, err)
				return
			}
			if ok && (got.OrigPath == "" || got.Line < 1 || got.OrigLine < 1 || string(got.Text) != line[1:]) {
				t.Errorf("line %q = %+v", line, got)
			}
		}
		wantInvalid(t, p.end())
	})
}

func FuzzTree(f *testing.F) {
	id := strings.Repeat("e", 40)
	f.Add([]byte("100644 blob "+id+"\ta b\tc\n"), []byte(":100644 000000 "+id+" "+id+" D"))
	f.Add([]byte("160000 commit "+id+"\tx"), []byte("::"))
	f.Fuzz(func(t *testing.T, line, head []byte) {
		e, err := parseTreeEntry(line, 3, 40)
		wantInvalid(t, err)
		if err == nil && fmt.Sprintf("%s %s %s\t%s", e.Mode, e.Type, e.ID, e.Path) != string(line) {
			t.Errorf("entry %q = %+v", line, e)
		}
		c, err := parseTreeChange(head, line, 3, 40)
		wantInvalid(t, err)
		if err == nil && fmt.Sprintf(":%s %s %s %s %c", c.OldMode, c.NewMode, c.OldID, c.NewID, c.Status) != string(head) {
			t.Errorf("change %q = %+v", head, c)
		}
	})
}

func FuzzUnquote(f *testing.F) {
	f.Add([]byte(`"a\tb\\\"\303\244\a\n" rest`))
	f.Add([]byte(`plain name`))
	f.Add([]byte(`"\4`))
	f.Fuzz(func(t *testing.T, in []byte) {
		name, rest, err := unquote(in)
		if err == nil && len(name)+len(rest) > len(in) {
			t.Errorf("unquote(%q) = %q, %q: longer than its input", in, name, rest)
		}
		if err == nil && len(in) > 0 && in[0] != '"' && name != string(in) {
			t.Errorf("unquote(%q) = %q, want it as it is", in, name)
		}
		back, rest, err := unquote([]byte(quoteC(string(in)) + "x"))
		if back != string(in) || string(rest) != "x" || err != nil {
			t.Errorf("quoted and unquoted, %q = %q, %q, %v", in, back, rest, err)
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte("[core]\n\tbare = true # x\n[remote \"a\\\"b\"] promisor\n url = \"a b\" c \\\n d\\n\n"))
	f.Add([]byte("\xef\xbb\xbf[a.b]k=\"\\\\\"\r\n;x\n"))
	f.Add([]byte("[a"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := parseConfig(data)
		wantInvalid(t, err)
		for _, e := range entries {
			if e.key == "" || strings.ToLower(e.key) != e.key || strings.ToLower(e.section) != e.section {
				t.Errorf("entry = %+v", e)
			}
		}
	})
}

func FuzzRefsAndHeads(f *testing.F) {
	id := strings.Repeat("f", 40)
	f.Add(id+" refs/heads/x ", "ref: refs/heads/main\n", id+" blob 5")
	f.Add(id+" refs/remotes/o/HEAD refs/remotes/o/main", id+"\n", "x missing")
	f.Fuzz(func(t *testing.T, ref, head, answer string) {
		_, err := parseRef([]byte(ref), 0, 40)
		wantInvalid(t, err)
		text, err := checkHead(head, 40)
		if err == nil && (strings.ContainsAny(text, "\n\x00*") || strings.Contains(text, "..")) {
			t.Errorf("HEAD %q was taken as %q", head, text)
		}
		object, err := parseHead("x", answer)
		if err == nil && (object.size < 0 || !isHex(object.id)) {
			t.Errorf("answer %q = %+v", answer, object)
		}
		ids, err := parseShallow("shallow", []byte(head), 40)
		wantInvalid(t, err)
		if !slices.IsSorted(ids) {
			t.Errorf("shallow boundary %v is not sorted", ids)
		}
	})
}

// The reader of configurations agrees with git's own.
func TestConfigIsReadAsGitReadsIt(t *testing.T) {
	g := newTestRepo(t)
	texts := []string{
		"[a]\n\tk = v # comment\n\tflag\n\tq = \" x ; y \" z  \n\te = a\\tb\\\\ \\\"c\\\"\n",
		"[A \"Sub \\\"x\\\\\"] K=1\n[b.C]\nlong = one \\\n  two\n;c\n[d]k=\n",
		"[a]\r\n\tk = v\r\n\tm = \"a\"b \"c\"\r\n",
		"[a]\n\tk = #\n\tx = \"#\"\n",
	}
	for _, text := range texts {
		g.write("config", text)
		out := g.git("config", "--file", "config", "--list", "-z")
		var want []string
		for item := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
			want = append(want, item)
		}
		entries, err := parseConfig([]byte(text))
		if err != nil {
			t.Errorf("parseConfig(%q): %v", text, err)
			continue
		}
		var got []string
		for _, e := range entries {
			name := e.section + "."
			if e.sub != "" {
				name += e.sub + "."
			}
			item := name + e.key + "\n" + e.value
			if e.value == "true" && !slices.Contains(want, item) {
				item = name + e.key // git shows a key without a value so
			}
			got = append(got, item)
		}
		if !slices.Equal(got, want) {
			t.Errorf("parseConfig(%q) = %q, git says %q", text, got, want)
		}
	}
}

func FuzzRunsParser(f *testing.F) {
	a := strings.Repeat("a", 40)
	f.Add(a + " 1 1 2\nauthor x\nsummary filename y\nfilename x\n" + a + " 9 3 1\nfilename \"q\\tx\"\n")
	f.Add(a + " 1 2 1\nfilename x\n")
	f.Add(a + " 2147483647 1 2147483647\nprevious " + a + " y\nfilename x\n")
	f.Fuzz(func(t *testing.T, in string) {
		p := runsParser{hexLen: 40}
		for line := range strings.Lines(in) {
			if err := p.line([]byte(strings.TrimSuffix(line, "\n"))); err != nil {
				wantInvalid(t, err)
				return
			}
		}
		runs, err := p.end()
		wantInvalid(t, err)
		next := 1
		for _, run := range runs {
			if run.Line != next || run.Count < 1 || run.OrigLine < 1 {
				t.Errorf("run %+v does not follow line %d", run, next-1)
			}
			next += run.Count
		}
	})
}

func FuzzChangesParser(f *testing.F) {
	a, z := strings.Repeat("a", 40), strings.Repeat("0", 40)
	f.Add(a + "\x00:000000 100644 " + z + " " + a + " A\x00x\ny\x00" + a + "\x00")
	f.Add(a + "\x00:000000 100644 " + z + " " + a + " A\x00")
	f.Add(a + "\x00" + a + "\x00" + a + "\x00")
	f.Fuzz(func(t *testing.T, in string) {
		r := bufio.NewReaderSize(strings.NewReader(in), 16)
		p := changesParser{hexLen: 40, read: func() ([]byte, error) { return readTo(r, 0, maxEntry, nil) }}
		for range 2 {
			changes, err := p.one(a)
			if err != nil {
				if !strings.HasSuffix(err.Error(), "EOF") {
					wantInvalid(t, err)
				}
				return
			}
			for _, c := range changes {
				if c.Path == "" || len(c.NewID) != 40 {
					t.Errorf("change %+v is not whole", c)
				}
			}
		}
		if err := p.end(); err != nil && !strings.HasSuffix(err.Error(), "EOF") {
			wantInvalid(t, err)
		}
	})
}
