package lineage

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/stemma-dev/stemma/internal/git"
)

// A blameCache keeps what git said of content and history that never change: a
// blame by the commit at which the content of a path came to be, the path, and
// where the blame ended; the size of a blob by its id. What the index says of
// the lines is not in it.
type blameCache struct {
	blames map[blameKey]*keptBlame
	sizes  map[string]*keptSize
	fresh  bool // something is new
}

type blameKey struct {
	commit, path string
	zone         string // digest of the commits at which the blame ended
}

type keptBlame struct {
	runs []git.BlameRun
	used bool // by this call
}

// fileSize is how many lines a blob has.
type fileSize struct {
	lines  int
	binary bool
}

type keptSize struct {
	fileSize
	used bool
}

func (c *blameCache) runs(k blameKey) ([]git.BlameRun, bool) {
	b, ok := c.blames[k]
	if !ok {
		return nil, false
	}
	b.used = true
	return b.runs, true
}

func (c *blameCache) setRuns(k blameKey, runs []git.BlameRun) {
	c.blames[k] = &keptBlame{runs, true}
	c.fresh = true
}

func (c *blameCache) size(blob string) (fileSize, bool) {
	s, ok := c.sizes[blob]
	if !ok {
		return fileSize{}, false
	}
	s.used = true
	return s.fileSize, true
}

func (c *blameCache) setSize(blob string, size fileSize) {
	c.sizes[blob] = &keptSize{size, true}
	c.fresh = true
}

const (
	blameCacheMagic = "stemma blames 1\n"
	// maxBlameCache bounds what is kept, in bytes. What this call did not use goes
	// first, all of it: a cache is no history.
	maxBlameCache = 64 << 20
)

// encode gives the bytes to keep, or nil where they would be the same or too
// many.
func (c *blameCache) encode() []byte {
	if !c.fresh {
		return nil
	}
	text := c.bytes(false)
	if len(text) > maxBlameCache {
		text = c.bytes(true)
	}
	if len(text) > maxBlameCache {
		return nil
	}
	return text
}

func (c *blameCache) bytes(usedOnly bool) []byte {
	w := cacheWriter{names: make(map[string]uint64)}
	for blob, s := range c.sizes {
		if usedOnly && !s.used {
			continue
		}
		n := uint64(s.lines) << 1
		if s.binary {
			n |= 1
		}
		w.sizes++
		w.sizeBody = w.name(w.sizeBody, blob)
		w.sizeBody = binary.AppendUvarint(w.sizeBody, n)
	}
	for k, b := range c.blames {
		if usedOnly && !b.used {
			continue
		}
		w.blames++
		for _, s := range []string{k.commit, k.path, k.zone} {
			w.body = w.name(w.body, s)
		}
		w.body = binary.AppendUvarint(w.body, uint64(len(b.runs)))
		for _, run := range b.runs {
			w.body = w.name(w.body, run.Commit)
			w.body = w.name(w.body, run.OrigPath)
			w.body = binary.AppendUvarint(w.body, uint64(run.OrigLine))
			w.body = binary.AppendUvarint(w.body, uint64(run.Count))
		}
	}
	return w.finish()
}

// cacheWriter writes each string once, before everything that names it.
type cacheWriter struct {
	names          map[string]uint64
	table          []byte
	sizes, blames  uint64
	sizeBody, body []byte
}

func (w *cacheWriter) name(to []byte, s string) []byte {
	id, ok := w.names[s]
	if !ok {
		id = uint64(len(w.names))
		w.names[s] = id
		w.table = binary.AppendUvarint(w.table, uint64(len(s)))
		w.table = append(w.table, s...)
	}
	return binary.AppendUvarint(to, id)
}

func (w *cacheWriter) finish() []byte {
	out := []byte(blameCacheMagic)
	out = binary.AppendUvarint(out, uint64(len(w.names)))
	out = append(out, w.table...)
	out = binary.AppendUvarint(out, w.sizes)
	out = append(out, w.sizeBody...)
	out = binary.AppendUvarint(out, w.blames)
	out = append(out, w.body...)
	sum := sha256.Sum256(out)
	return append(out, sum[:]...)
}

var errBlameCache = errors.New("no cache of blames")

// decodeBlameCache reads what encode gave. Of anything else nothing is known.
func decodeBlameCache(text []byte) *blameCache {
	c := &blameCache{blames: make(map[blameKey]*keptBlame), sizes: make(map[string]*keptSize)}
	if err := c.decode(text); err != nil {
		clear(c.blames)
		clear(c.sizes)
	}
	return c
}

func (c *blameCache) decode(text []byte) error {
	body, ok := bytes.CutPrefix(text, []byte(blameCacheMagic))
	if !ok || len(text) > maxBlameCache || len(body) < sha256.Size {
		return errBlameCache
	}
	end := len(text) - sha256.Size
	if sum := sha256.Sum256(text[:end]); !bytes.Equal(sum[:], text[end:]) {
		return errBlameCache
	}
	r := cacheReader{rest: body[:len(body)-sha256.Size]}
	for range r.count(1) {
		n := r.number()
		if n > uint64(len(r.rest)) {
			return errBlameCache
		}
		r.names = append(r.names, string(r.rest[:n]))
		r.rest = r.rest[n:]
	}
	for range r.count(2) {
		blob, n := r.name(), r.number()
		c.sizes[blob] = &keptSize{fileSize: fileSize{lines: int(n >> 1), binary: n&1 == 1}}
	}
	for range r.count(4) {
		k := blameKey{commit: r.name(), path: r.name(), zone: r.name()}
		runs := make([]git.BlameRun, r.count(4))
		line := 1
		for i := range runs {
			runs[i] = git.BlameRun{Commit: r.name(), OrigPath: r.name(), OrigLine: int(r.number()), Line: line, Count: int(r.number())}
			line += runs[i].Count
		}
		c.blames[k] = &keptBlame{runs: runs}
	}
	if r.failed || len(r.rest) > 0 {
		return errBlameCache
	}
	return nil
}

// cacheReader reads numbers, and names by their number. After the first that is
// malformed it gives zeros.
type cacheReader struct {
	rest   []byte
	names  []string
	failed bool
}

func (r *cacheReader) number() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || n >= 1<<40 {
		r.failed, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

// count is a number of things that take so many bytes each at least.
func (r *cacheReader) count(size uint64) uint64 {
	n := r.number()
	if n > uint64(len(r.rest))/size {
		r.failed, r.rest = true, nil
		return 0
	}
	return n
}

func (r *cacheReader) name() string {
	n := r.number()
	if n >= uint64(len(r.names)) {
		r.failed, r.rest = true, nil
		return ""
	}
	return r.names[n]
}
