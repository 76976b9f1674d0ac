package git

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stemma-dev/stemma"
)

func TestEntries(t *testing.T) {
	g := newTestRepo(t)
	id := g.commit("1", "a/b c/x", "x\n", "a/y", "y\n", "z", "z\n")
	r := g.open()
	tests := []struct {
		path, want string
		kind       error
	}{
		{"", "tree a, blob z", nil},
		{"a", "tree b c, blob y", nil},
		{"a/b c", "blob x", nil},
		{"z", "", stemma.ErrNotFound}, // a file
		{"none", "", stemma.ErrNotFound},
		{"a\nb", "", stemma.ErrNotFound},
	}
	for _, test := range tests {
		tree, entries, err := r.Entries(t.Context(), id, test.path)
		var got []string
		for _, e := range entries {
			got = append(got, e.Type+" "+e.Path)
			if want := g.git("rev-parse", "HEAD:"+strings.TrimPrefix(test.path+"/"+e.Path, "/")); e.ID != want {
				t.Errorf("Entries(%q): id of %s = %s, want %s", test.path, e.Path, e.ID, want)
			}
		}
		if strings.Join(got, ", ") != test.want || !errors.Is(err, test.kind) {
			t.Errorf("Entries(%q) = %q, %v; want %q, %v", test.path, got, err, test.want, test.kind)
		}
		if test.kind == nil {
			if want := g.git("rev-parse", "HEAD:"+test.path); tree != want {
				t.Errorf("Entries(%q): id %s, want %s", test.path, tree, want)
			}
			if _, again, err := r.Entries(t.Context(), tree, ""); err != nil || len(again) != len(entries) {
				t.Errorf("Entries of the tree = %d entries, %v; want %d", len(again), err, len(entries))
			}
		}
	}
}

func TestFolders(t *testing.T) {
	g := newTestRepo(t)
	without := g.commit("1", "z", "z\n")
	with := g.commit("2", "a/y", "y\n")
	r := g.open()
	got, err := r.Folders(t.Context(), []string{without, with}, "a")
	want := []string{"", g.git("rev-parse", with+":a")}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Folders = %q, %v; want %q", got, err, want)
	}
	if got, err := r.Folders(t.Context(), []string{with}, "z"); err != nil || got[0] != "" {
		t.Errorf("Folders of a file = %q, %v", got, err)
	}
	if got, err := r.Folders(t.Context(), []string{with}, "a\nb"); err != nil || got[0] != "" {
		t.Errorf("Folders of a path with a line end = %q, %v", got, err)
	}
	if got, err := r.Folders(t.Context(), nil, "a"); err != nil || len(got) != 0 {
		t.Errorf("Folders of no commit = %q, %v", got, err)
	}
}

func TestStream(t *testing.T) {
	g := newTestRepo(t)
	big := strings.Repeat("0123456789", 1<<20)
	g.commit("1", "big", big, "small", "abc")
	r := g.open()
	blob := func(path string) string { return g.git("rev-parse", "HEAD:"+path) }
	sum := func(id string, limit int64) (string, error) {
		var got []byte
		err := r.Stream(t.Context(), id, limit, func(in io.Reader) (err error) {
			got, err = io.ReadAll(in)
			return err
		})
		return string(got), err
	}
	stop := errors.New("enough")
	for range 3 { // each leaves the process fit, or has it replaced
		if got, err := sum(blob("big"), 1<<30); got != big || err != nil {
			t.Errorf("Stream of a big blob = %d bytes, %v; want %d", len(got), err, len(big))
		}
		for _, path := range []string{"small", "big"} {
			err := r.Stream(t.Context(), blob(path), 1<<30, func(in io.Reader) error {
				if _, err := io.ReadFull(in, make([]byte, 2)); err != nil {
					return err
				}
				return stop
			})
			if !errors.Is(err, stop) {
				t.Errorf("Stream of %s that is not read to its end: %v, want %v", path, err, stop)
			}
		}
		if got, err := sum(blob("small"), 3); got != "abc" || err != nil {
			t.Errorf("Stream = %q, %v; want abc", got, err)
		}
	}
	if _, err := sum(blob("small"), 2); !errors.Is(err, stemma.ErrInvalid) {
		t.Errorf("Stream over the limit: %v, want %v", err, stemma.ErrInvalid)
	}
	if _, err := sum(g.git("rev-parse", "HEAD"), 1<<20); !errors.Is(err, stemma.ErrInvalid) {
		t.Errorf("Stream of a commit: %v, want %v", err, stemma.ErrInvalid)
	}
	if _, err := sum(strings.Repeat("d", 40), 1); !errors.Is(err, stemma.ErrNotFound) {
		t.Errorf("Stream of a missing blob: %v, want %v", err, stemma.ErrNotFound)
	}
}

func FuzzTreeObject(f *testing.F) {
	f.Add([]byte("100644 a b\x00" + strings.Repeat("i", 20) + "40000 c\x00" + strings.Repeat("j", 20)))
	f.Add([]byte("160000 m\x00" + strings.Repeat("i", 19)))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := parseTree(data, 40)
		wantInvalid(t, err)
		for _, e := range entries {
			if e.Path == "" || len(e.ID) != 40 || len(e.Mode) != 6 || e.Type == "" {
				t.Errorf("entry %+v of %q", e, data)
			}
		}
	})
}
