package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/stemma-dev/stemma"
)

// maxTree is the size of a tree object over which it is not read. A folder of
// a million files has some 40 MB.
const maxTree = 64 << 20

// Entries gives the entries of one folder, in git's order and not recursively:
// of the tree, or of the folder path in the tree of a commit, by its full id.
// "" is its root. Paths are names in the folder. id is that of the folder's tree.
//
// It costs no process. The error is of kind stemma.ErrNotFound where there is
// no such folder, or its tree is not here.
func (r *Repo) Entries(ctx context.Context, treeish, path string) (id string, entries []TreeEntry, err error) {
	if err := r.checkID(treeish); err != nil {
		return "", nil, fmt.Errorf("entries: %w", err)
	}
	if strings.ContainsAny(path, "\n\x00") {
		return "", nil, fmt.Errorf("%w: %s has no folder %q", stemma.ErrNotFound, treeish, clip(path))
	}
	question := treeish + ":" + path
	if path == "" {
		question = treeish + "^{tree}"
	}
	head, data, err := r.give(ctx, question, "tree", maxTree)
	if err != nil {
		if errors.Is(err, stemma.ErrInvalid) && head.kind != "" && head.kind != "tree" {
			return "", nil, fmt.Errorf("%w: %s has no folder %q", stemma.ErrNotFound, treeish, clip(path))
		}
		return "", nil, err
	}
	entries, err = parseTree(data, r.hexLen())
	if err != nil {
		return "", nil, err
	}
	return head.id, entries, nil
}

// Folders gives the ids of the trees that a path names in commits, one for each
// commit in its place; "" where it names none. It costs one process for all.
func (r *Repo) Folders(ctx context.Context, commits []string, path string) ([]string, error) {
	questions := make([]string, len(commits))
	for i, id := range commits {
		if err := r.checkID(id); err != nil {
			return nil, fmt.Errorf("folders: %w", err)
		}
		questions[i] = id + ":" + path
	}
	if strings.ContainsAny(path, "\n\x00") {
		return make([]string, len(commits)), nil
	}
	ids := make([]string, len(commits))
	err := r.tellAll(ctx, questions, func(i int, head object, err error) {
		if err == nil && head.kind == "tree" {
			ids[i] = head.id
		}
	})
	return ids, err
}

// parseTree reads a tree object: "<mode> <name>\0<id in bytes>", without end.
func parseTree(data []byte, hexLen int) ([]TreeEntry, error) {
	var entries []TreeEntry
	for at := 0; at < len(data); {
		fail := func(reason string) ([]TreeEntry, error) {
			return nil, &DecodeError{"tree", int64(at), reason}
		}
		head, rest, ok := bytes.Cut(data[at:], []byte{0})
		mode, name, named := bytes.Cut(head, []byte{' '})
		if !ok || !named || len(name) == 0 || len(mode) == 0 || len(mode) > 6 {
			return fail("not mode and name")
		}
		if len(rest) < hexLen/2 {
			return fail("ends inside an id")
		}
		e := TreeEntry{Mode: strings.Repeat("0", 6-len(mode)) + string(mode), Path: string(name), ID: fmt.Sprintf("%x", rest[:hexLen/2])}
		switch e.Mode {
		case "040000":
			e.Type = "tree"
		case "160000":
			e.Type = "commit"
		default:
			e.Type = "blob"
		}
		entries = append(entries, e)
		at += len(head) + 1 + hexLen/2
	}
	return entries, nil
}

// Stream lets read take the content of a blob piece by piece, so that one of
// any size can be read in little memory of this process; read need not read to
// its end. The errors are those of Blob, and those of read as they are.
func (r *Repo) Stream(ctx context.Context, id string, limit int64, read func(io.Reader) error) error {
	if err := r.checkID(id); err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	return r.ask(ctx, giveObjects, id, func(head object, p *process) (bool, error) {
		if fit, err := p.refuse(id, head, "blob", limit); err != nil {
			return fit, err
		}
		content := &io.LimitedReader{R: p.out, N: head.size}
		err := read(content)
		if content.N > cheapSkip {
			return false, err
		}
		if _, end := io.CopyN(io.Discard, p.out, content.N+1); end != nil {
			return false, errors.Join(err, p.broken(end))
		}
		return true, err
	})
}
