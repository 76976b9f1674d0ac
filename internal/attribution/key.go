package attribution

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/stemma-dev/stemma/internal/git"
)

// Keys are what two versions of one piece of work have in common, so that one
// is found by the other: the author line (name, mail, time), which git keeps
// when it rewrites a commit; the tree, of a squash and the head it was made
// from; the blob of each file; each block of added lines; and some of the lines
// that say much, so that a block which was cut up is found as well. A block that
// was taken away has a key of its own: what a revert brings back.
//
// The commits that have a key in common need not be versions of one another:
// [Resolve] decides that from their content.
type Keys struct {
	Own  []string // what the commit is found by
	Lost []string // of blocks that it took away; see Found
	// Back are the keys of Lost under which a commit that took away what this
	// one adds would be found.
	Back []string
}

// The limits of one commit's keys: what says most is kept.
const (
	minBlock  = 24  // weight of a block that has a key
	minSample = 30  // weight of a line that may have one
	sampled   = 8   // one line of so many has one
	maxBlocks = 128 // of one commit
	maxLines  = 128 // of one commit
	maxBlobs  = 512 // of one commit
)

// KeysOf gives the keys of a commit from its own difference. generated tells
// which files are left out; nil means none.
func KeysOf(c *git.Commit, diff git.Diff, generated func(path string) bool) Keys {
	var k Keys
	var added, lost []block
	var lines []git.Line
	blobs, total := 0, 0
	for _, f := range diff.Files {
		if generated != nil && generated(f.Path) {
			continue
		}
		weight := 0
		for _, h := range f.Hunks {
			w := weigh(h.Added)
			weight += w
			if w >= minBlock {
				added = append(added, block{w, h.Added})
			}
			if w >= enoughMove {
				lines = append(lines, least(h.Added))
			}
			if w := weigh(h.Removed); w >= minBlock {
				lost = append(lost, block{w, h.Removed})
			}
			for _, l := range h.Added {
				if l.Weight() >= minSample && uint64(l)>>6%sampled == 0 {
					lines = append(lines, l)
				}
			}
		}
		if f.New != "" && weight >= minBlock && blobs < maxBlobs {
			blobs++
			k.Own = append(k.Own, "blob:"+f.New)
		}
		total += weight
	}
	for _, b := range Moved(diff) {
		for i := range diff.Files {
			if f := &diff.Files[i]; f.Path == b.Path {
				lines = append(lines, least(b.of(f)))
			}
		}
	}
	if a := c.Author; total > 0 && a.Time > 0 && a.Name+a.Mail != "" {
		sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d", a.Name, a.Mail, a.Time))
		k.Own = append(k.Own, "author:"+hex.EncodeToString(sum[:12]))
	}
	if total > 0 {
		k.Own = append(k.Own, "tree:"+c.Tree)
	}
	for _, b := range heaviest(added) {
		k.Own = append(k.Own, "block:"+b)
		k.Back = append(k.Back, "lost:"+b)
	}
	for _, b := range heaviest(lost) {
		k.Lost = append(k.Lost, "lost:"+b)
	}
	slices.Sort(lines)
	lines = slices.DeleteFunc(slices.Compact(lines), func(l git.Line) bool { return l == 0 })
	for _, l := range lines[:min(len(lines), maxLines)] {
		k.Own = append(k.Own, fmt.Sprintf("line:%016x", uint64(l)))
	}
	return k
}

// least gives the line of a block that says something and whose sum is least:
// the same for a block that was moved whole.
func least(lines []git.Line) git.Line {
	var l git.Line
	for _, other := range lines {
		if other.Weight() >= anchorHunk && (l == 0 || other < l) {
			l = other
		}
	}
	return l
}

// block is a run of lines with its weight.
type block struct {
	weight int
	lines  []git.Line
}

func weigh(lines []git.Line) int {
	n := 0
	for _, l := range lines {
		n += l.Weight()
	}
	return n
}

// heaviest gives digests of the blocks that say most, each once.
func heaviest(blocks []block) []string {
	slices.SortStableFunc(blocks, func(a, b block) int { return cmp.Compare(b.weight, a.weight) })
	seen := make(map[string]bool)
	var sums []string
	for _, b := range blocks[:min(len(blocks), maxBlocks)] {
		if sum := digestLines(b.lines); !seen[sum] {
			seen[sum] = true
			sums = append(sums, sum)
		}
	}
	return sums
}

func digestLines(lines []git.Line) string {
	h := sha256.New()
	for _, l := range lines {
		number(h, int64(l))
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}
