package agenttrace

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
)

// A range may have a hash of its text, "sha256:" with the first 16 or more
// digits: 0.1.0 leaves the algorithm open, and hooks in use take SHA-256 over
// the text as the agent wrote it, with line feeds. Where it is that of lines of
// the commit, these are the lines, wherever the range says that they were.
// "murmur3:", as in the specification's example, names no variant of murmur3
// and is not looked at.

const (
	hashPrefix = "sha256:"
	minHash    = 16       // digits
	maxSource  = 8 << 20  // bytes of a file over which it is not looked into
	maxHashed  = 64 << 20 // bytes that are hashed for one commit
)

// validHash gives the digits of a hash that can be compared, or "".
func validHash(s string) string {
	digits, ok := strings.CutPrefix(strings.ToLower(s), hashPrefix)
	if !ok || len(digits) < minHash || len(digits) > 64 || strings.Trim(digits, "0123456789abcdef") != "" {
		return ""
	}
	return digits
}

// contents reads files of one commit, each once.
type contents struct {
	ctx    context.Context
	repo   *git.Repo
	commit string
	files  map[string][]string
	err    error // our own, of the first that failed
	hashed int
}

// lines gives the lines of a file, without their ends; none where it can not be
// read.
func (c *contents) lines(path string) []string {
	if lines, ok := c.files[path]; ok || c.repo == nil {
		return lines
	}
	b, err := c.repo.File(c.ctx, c.commit, path, maxSource)
	var lines []string
	switch {
	case err == nil:
		lines = strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	case !errors.Is(err, stemma.ErrInvalid) && !errors.Is(err, stemma.ErrNotFound) && c.err == nil:
		c.err = fmt.Errorf("%s: %w", path, err)
	}
	if c.files == nil {
		c.files = make(map[string][]string)
	}
	c.files[path] = lines
	return lines
}

// locate gives the lines whose hash a claim has: those that it names, or the
// only ones of the file that have it. A text that ends with a line feed was
// counted as a line more than it has.
func (c *contents) locate(path string, of claim) (start, end int, ok bool) {
	if of.hash == "" {
		return 0, 0, false
	}
	lines := c.lines(path)
	for _, ending := range []string{"", "\n"} {
		n := of.end - of.start + 1 - len(ending)
		if n < 1 || n > len(lines) {
			continue
		}
		if c.is(lines, of.start-1, n, ending, of.hash) {
			return of.start, of.start + n - 1, true
		}
		found := -1
		for at := 0; at+n <= len(lines) && c.hashed <= maxHashed; at++ {
			if !c.is(lines, at, n, ending, of.hash) {
				continue
			}
			if found >= 0 {
				return 0, 0, false
			}
			found = at
		}
		if found >= 0 {
			return found + 1, found + n, true
		}
	}
	return 0, 0, false
}

// is reports whether n lines from at, with ending behind them, have a hash.
func (c *contents) is(lines []string, at, n int, ending, digits string) bool {
	if at < 0 || at+n > len(lines) || c.hashed > maxHashed {
		return false
	}
	h := sha256.New()
	for i, line := range lines[at : at+n] {
		if i > 0 {
			c.write(h, "\n")
		}
		c.write(h, line)
	}
	c.write(h, ending)
	return strings.HasPrefix(hex.EncodeToString(h.Sum(nil)), digits)
}

func (c *contents) write(h hash.Hash, s string) {
	h.Write([]byte(s))
	c.hashed += len(s)
}
