package git

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
)

// Commit is a commit as git stores it. Names and messages are bytes in
// whatever encoding their author used.
type Commit struct {
	ID        string   // full hex object id
	Tree      string   // full hex object id
	Parents   []string // full hex object ids, in order; of a shallow boundary: none
	Author    Signature
	Committer Signature
	Encoding  string // of names and message, as the commit states it; "" is UTF-8
	Message   []byte // without the header, encoding header not applied
	// Problem says why the commit could not be read; then only ID is set. It is
	// "" of a commit that was read.
	Problem string
}

// Signature is the author or committer line of a commit.
type Signature struct {
	Name, Mail string
	Time       int64 // UTC seconds since 1970; 0 where git could not read it
}

// maxCommit is the size of a commit object over which it is not read. Signed
// merges of signed tags have some tens of kilobytes.
const maxCommit = 32 << 20

// Commit gives one commit by its full id. The error is of kind
// stemma.ErrNotFound where it is not here, and stemma.ErrInvalid where the
// object is not a commit or is damaged.
func (r *Repo) Commit(ctx context.Context, id string) (*Commit, error) {
	if err := r.checkID(id); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	data, err := r.object(ctx, id, "commit", maxCommit)
	if err != nil {
		return nil, err
	}
	c, err := parseCommit(id, data, r.hexLen())
	if err != nil {
		return nil, err
	}
	if r.isShallow(id) {
		c.Parents = nil
	}
	return c, nil
}

// parseCommit reads a commit object. As git does, it wants a tree first, takes
// as parents only the lines that follow it, and forgives everything after.
func parseCommit(id string, data []byte, hexLen int) (*Commit, error) {
	c := &Commit{ID: id}
	rest := data
	next := func(key string) ([]byte, bool) {
		line, after, _ := bytes.Cut(rest, []byte{'\n'})
		value, ok := bytes.CutPrefix(line, []byte(key))
		if ok {
			rest = after
		}
		return value, ok
	}
	fail := func(reason string) error {
		return &DecodeError{"commit " + id, int64(len(data) - len(rest)), reason}
	}

	tree, ok := next("tree ")
	if !ok || len(tree) != hexLen || !isHex(string(tree)) {
		return nil, fail("no tree")
	}
	c.Tree = string(tree)
	for {
		parent, ok := next("parent ")
		if !ok {
			break
		}
		if len(parent) != hexLen || !isHex(string(parent)) {
			return nil, fail("parent is not an object id")
		}
		c.Parents = append(c.Parents, string(parent))
	}
	if line, ok := next("author "); ok {
		c.Author = parseSignature(line)
	}
	if line, ok := next("committer "); ok {
		c.Committer = parseSignature(line)
	}
	for len(rest) > 0 && rest[0] != '\n' {
		if value, ok := next("encoding "); ok {
			c.Encoding = string(value)
			continue
		}
		_, rest, _ = bytes.Cut(rest, []byte{'\n'})
	}
	c.Message = bytes.TrimPrefix(rest, []byte{'\n'})
	return c, nil
}

// parseSignature reads "Name <mail> seconds zone". The mail lies between the
// first < and the > after it, the time after the last >, as git sees them.
func parseSignature(line []byte) Signature {
	open := bytes.IndexByte(line, '<')
	if open < 0 {
		return Signature{Name: string(bytes.TrimSpace(line))}
	}
	s := Signature{Name: string(bytes.TrimSpace(line[:open]))}
	mail := line[open+1:]
	end := bytes.IndexByte(mail, '>')
	if end < 0 {
		s.Mail = string(bytes.TrimSpace(mail))
		return s
	}
	s.Mail = string(bytes.TrimSpace(mail[:end]))
	stamp := bytes.Fields(line[bytes.LastIndexByte(line, '>')+1:])
	if len(stamp) > 0 {
		if t, err := strconv.ParseInt(string(stamp[0]), 10, 64); err == nil && t >= 0 {
			s.Time = t
		}
	}
	return s
}
