package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"
)

// CommitChanges is which files a commit changed.
type CommitChanges struct {
	Commit  string
	Parents []string // full ids, in order; of a shallow boundary: none
	// Against holds, for each parent, the paths that differ from it, by name; of
	// a commit without parents it holds one list, of everything. Renames are a
	// deletion and an addition.
	Against [][]TreeChange
}

// Changes gives every commit that tip reaches, each once and none before all
// its children, with the files it changed. It reads trees and no content. The
// sequence ends at its first error, which is of kind stemma.ErrNotFound where a
// commit or a tree is not in the repository.
func (r *Repo) Changes(ctx context.Context, tip string) iter.Seq2[CommitChanges, error] {
	return func(yield func(CommitChanges, error) bool) {
		if err := r.changes(ctx, tip, func(c CommitChanges) bool { return yield(c, nil) }); err != nil {
			yield(CommitChanges{}, fmt.Errorf("changes: %w", err))
		}
	}
}

func (r *Repo) changes(ctx context.Context, tip string, take func(CommitChanges) bool) error {
	if err := r.checkID(tip); err != nil {
		return err
	}
	var commits []CommitChanges
	if err := r.parents(ctx, tip, func(c CommitChanges) { commits = append(commits, c) }); err != nil {
		return err
	}
	p, err := r.converse(ctx, r.objects,
		"diff-tree", "--stdin", "-r", "-z", "--raw", "--root", "--always", "--no-renames", "--no-abbrev", "--no-ext-diff", "--no-relative")
	if err != nil {
		return err
	}
	var asking sync.WaitGroup
	defer asking.Wait()
	defer p.kill()
	asking.Go(func() {
		// That git is gone is seen where its output ends.
		_ = askChanges(p.in, commits)
		_ = p.in.Close()
	})
	parser := changesParser{read: func() ([]byte, error) { return readTo(p.out, 0, maxEntry, nil) }, hexLen: r.hexLen()}
	for _, c := range commits {
		for range max(1, len(c.Parents)) {
			changes, err := parser.one(c.Commit)
			if err != nil {
				return p.broken(err)
			}
			c.Against = append(c.Against, changes)
		}
		if !take(c) {
			return nil
		}
	}
	if err := parser.end(); err != nil {
		return p.broken(err)
	}
	return p.wait()
}

// askChanges asks for the difference to each parent by itself, so that it is known
// which of them an answer is about.
func askChanges(w io.Writer, commits []CommitChanges) error {
	var b strings.Builder
	for i, c := range commits {
		if len(c.Parents) == 0 {
			b.WriteString(c.Commit + "\n")
		}
		for _, parent := range c.Parents {
			b.WriteString(c.Commit + " " + parent + "\n")
		}
		if b.Len() < 32<<10 && i < len(commits)-1 {
			continue
		}
		if _, err := io.WriteString(w, b.String()); err != nil {
			return err
		}
		b.Reset()
	}
	return nil
}

// parents gives the commits that a tip reaches, children first.
func (r *Repo) parents(ctx context.Context, tip string, take func(CommitChanges)) error {
	p, err := r.start(ctx, r.objects, nil, "rev-list", "--topo-order", "--parents", tip, "--")
	if err != nil {
		return err
	}
	defer p.kill()
	var offset int64
	for {
		line, err := readLine(p.out, maxEntry, nil)
		if errors.Is(err, io.EOF) {
			return p.wait()
		}
		if err != nil {
			return p.broken(err)
		}
		ids := strings.Split(string(line), " ")
		for _, id := range ids {
			if len(id) != r.hexLen() || !isHex(id) {
				return &DecodeError{"output of rev-list", offset, "not object ids"}
			}
		}
		offset += int64(len(line)) + 1
		take(CommitChanges{Commit: ids[0], Parents: ids[1:]})
	}
}

// changesParser reads what diff-tree --stdin -z prints: an id, then for each
// path a record and the path.
type changesParser struct {
	read   func() ([]byte, error)
	hexLen int
	offset int64
	next   []byte // an id that was read already
}

// one reads the answer about one commit.
func (p *changesParser) one(commit string) ([]TreeChange, error) {
	at := p.offset
	id := p.next
	p.next = nil
	if id == nil {
		var err error
		if id, err = p.field(); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	if string(id) != commit {
		return nil, &DecodeError{"output of diff-tree", at, "is not about " + commit}
	}
	var changes []TreeChange
	for {
		at := p.offset
		head, err := p.field()
		if errors.Is(err, io.EOF) {
			return changes, nil
		}
		if err != nil {
			return nil, err
		}
		if len(head) == 0 || head[0] != ':' {
			p.next = head
			return changes, nil
		}
		path, err := p.field()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		c, err := parseTreeChange(head, path, at, p.hexLen)
		if err != nil {
			return nil, err
		}
		changes = append(changes, c)
	}
}

func (p *changesParser) field() ([]byte, error) {
	b, err := p.read()
	if err != nil {
		return nil, err
	}
	p.offset += int64(len(b)) + 1
	return bytes.Clone(b), nil
}

// end says whether everything was read.
func (p *changesParser) end() error {
	if p.next == nil {
		_, err := p.field()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return &DecodeError{"output of diff-tree", p.offset, "tells more than was asked"}
}
