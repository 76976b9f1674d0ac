package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
)

// TreeEntry is one entry of a tree. Paths are bytes, with slashes.
type TreeEntry struct {
	Mode string // "100644", "100755", "120000", "040000", "160000"
	Type string // "blob", "tree", "commit"
	ID   string
	Path string
}

// maxEntry bounds one line of a listing. A path of a real tree ends far below.
const maxEntry = 1 << 20

// Tree gives the entries of a tree, in git's order, by the full id of a commit,
// tag or tree. When recursive, trees are entered and not given themselves. The
// sequence ends at its first error, which is of kind stemma.ErrNotFound where
// the object is not here.
func (r *Repo) Tree(ctx context.Context, treeish string, recursive bool) iter.Seq2[TreeEntry, error] {
	if recursive {
		return r.lsTree(ctx, treeish, "-r")
	}
	return r.lsTree(ctx, treeish)
}

func (r *Repo) lsTree(ctx context.Context, treeish string, more ...string) iter.Seq2[TreeEntry, error] {
	return func(yield func(TreeEntry, error) bool) {
		if err := r.checkID(treeish); err != nil {
			yield(TreeEntry{}, fmt.Errorf("tree: %w", err))
			return
		}
		args := []string{"ls-tree", "-z", "--full-tree"}
		for len(more) > 0 && more[0] != "--" {
			args, more = append(args, more[0]), more[1:]
		}
		args = append(append(args, treeish), more...)
		r.records(ctx, args, func(line []byte, offset int64) (bool, error) {
			e, err := parseTreeEntry(line, offset, r.hexLen())
			if err != nil {
				return false, err
			}
			return yield(e, nil), nil
		}, func(err error) { yield(TreeEntry{}, err) })
	}
}

// records runs git and hands on each NUL-ended record of its output. take says
// whether to go on; fail gets the error, if there is one, and is last.
func (r *Repo) records(ctx context.Context, args []string, take func([]byte, int64) (bool, error), fail func(error)) {
	p, err := r.start(ctx, r.objects, nil, args...)
	if err != nil {
		fail(err)
		return
	}
	defer p.kill()
	var offset int64
	var buf []byte
	for {
		line, err := readTo(p.out, 0, maxEntry, buf)
		if errors.Is(err, io.EOF) {
			if err := p.wait(); err != nil {
				fail(err)
			}
			return
		}
		if err != nil {
			fail(p.broken(err))
			return
		}
		more, err := take(line, offset)
		if err != nil {
			fail(err)
			return
		}
		if !more {
			return
		}
		offset += int64(len(line)) + 1
	}
}

// parseTreeEntry reads "<mode> <type> <id>\t<path>".
func parseTreeEntry(line []byte, offset int64, hexLen int) (TreeEntry, error) {
	fail := func(reason string) (TreeEntry, error) {
		return TreeEntry{}, &DecodeError{"output of ls-tree", offset, reason}
	}
	head, path, ok := bytes.Cut(line, []byte{'\t'})
	if !ok || len(path) == 0 {
		return fail("no path")
	}
	f := bytes.Split(head, []byte{' '})
	if len(f) != 3 {
		return fail("not mode, type and id")
	}
	e := TreeEntry{Mode: string(f[0]), Type: string(f[1]), ID: string(f[2]), Path: string(path)}
	if len(e.Mode) != 6 || len(e.ID) != hexLen || !isHex(e.ID) {
		return fail("mode or id malformed")
	}
	switch e.Type {
	case "blob", "tree", "commit":
		return e, nil
	default:
		return fail("unknown type")
	}
}

// TreeChange is one path that differs between two trees.
type TreeChange struct {
	Status           byte // 'A', 'D', 'M', or 'T' where the type changed
	OldMode, NewMode string
	OldID, NewID     string // of zeros where there is none
	Path             string
}

// TreeDiff gives the paths that differ between two trees, recursively, by the
// full ids of commits, tags or trees; old "" is the empty tree. Renames are a
// deletion and an addition. The sequence ends at its first error.
func (r *Repo) TreeDiff(ctx context.Context, old, new string) iter.Seq2[TreeChange, error] {
	return func(yield func(TreeChange, error) bool) {
		if old == "" {
			old = r.emptyTree()
		}
		for _, id := range []string{old, new} {
			if err := r.checkID(id); err != nil {
				yield(TreeChange{}, fmt.Errorf("tree diff: %w", err))
				return
			}
		}
		var head []byte
		args := []string{"diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--no-ext-diff", "--no-relative", old, new, "--"}
		r.records(ctx, args, func(field []byte, offset int64) (bool, error) {
			if head == nil {
				head = bytes.Clone(field)
				return true, nil
			}
			c, err := parseTreeChange(head, field, offset, r.hexLen())
			head = nil
			if err != nil {
				return false, err
			}
			return yield(c, nil), nil
		}, func(err error) { yield(TreeChange{}, err) })
	}
}

func (r *Repo) emptyTree() string {
	if r.format == "sha256" {
		return "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"
	}
	return "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
}

// parseTreeChange reads ":<mode> <mode> <id> <id> <status>" and a path.
func parseTreeChange(head, path []byte, offset int64, hexLen int) (TreeChange, error) {
	fail := func(reason string) (TreeChange, error) {
		return TreeChange{}, &DecodeError{"output of diff-tree", offset, reason}
	}
	rest, ok := bytes.CutPrefix(head, []byte{':'})
	f := bytes.Split(rest, []byte{' '})
	if !ok || len(f) != 5 || len(path) == 0 {
		return fail("not a change")
	}
	c := TreeChange{
		OldMode: string(f[0]), NewMode: string(f[1]), OldID: string(f[2]), NewID: string(f[3]), Path: string(path),
	}
	for _, id := range []string{c.OldID, c.NewID} {
		if len(id) != hexLen || !isHex(id) {
			return fail("id malformed")
		}
	}
	if len(f[4]) != 1 || bytes.IndexByte([]byte("ADMT"), f[4][0]) < 0 {
		return fail("unknown status")
	}
	c.Status = f[4][0]
	return c, nil
}
