package tlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/stemma-dev/stemma"
)

// Fault is one place where a log is not what it should be.
type Fault struct {
	File   string // path in the log
	Offset int    // in bytes; -1 where it is the file as a whole
	Reason string
}

func (f Fault) String() string {
	if f.Offset < 0 {
		return f.File + ": " + f.Reason
	}
	return fmt.Sprintf("%s: offset %d: %s", f.File, f.Offset, f.Reason)
}

// Audit reads every entry and every tile of a log once, in bounded memory, and
// compares each with the others and with the roots of the heads, which must be
// of growing size; what the log has past the last of them is not looked at. It
// tells fault of each place that is wrong, and entry, where it is not nil, of
// every entry that could be read, in order.
//
// Where an entry and its tile differ, the one that does not lead to the parent's
// hash is named; at the right edge of the tree, where no parent tells, both are.
// The error is only that of reading, or what entry returned.
func (t *Tree) Audit(ctx context.Context, heads []Head, entry func(index uint64, d Digest) error, fault func(Fault)) error {
	a := &audit{tree: t, ctx: ctx, fault: fault, entry: entry}
	done := uint64(0)
	for _, h := range heads {
		a.head = h
		if err := a.until(&done, h); err != nil {
			return err
		}
	}
	return nil
}

type audit struct {
	tree  *Tree
	ctx   context.Context
	head  Head // that is compared with
	entry func(uint64, Digest) error
	fault func(Fault)
	// levels has, for each level of tiles, the hashes of its last tile, fewer
	// than 256; counts has how many tiles are before it.
	levels [][]Hash
	counts []uint64
}

// until goes on to the end of a head and compares with it.
func (a *audit) until(done *uint64, h Head) error {
	for *done/tileWidth < h.Size/tileWidth {
		n := *done / tileWidth
		hashes, err := a.leaves(n, (n+1)*tileWidth, *done%tileWidth)
		if err != nil {
			return err
		}
		a.push(0, hashes[len(a.level(0)):])
		if err := a.carry(0); err != nil {
			return err
		}
		*done = (n + 1) * tileWidth
	}
	if h.Size > *done {
		if err := a.edge(*done, h); err != nil {
			return err
		}
		*done = h.Size
	}
	for level := range a.levels {
		if err := a.compare(level); err != nil {
			return err
		}
	}
	if got := rootOf(a.levels); got != h.Root {
		a.fault(Fault{"checkpoint", -1, fmt.Sprintf("the entries do not have the root of %s", h)})
	}
	return nil
}

// edge adds the entries of the last bundle, which is not full: what they should
// be only the root says.
func (a *audit) edge(done uint64, h Head) error {
	n := h.Size / tileWidth
	hashes, err := a.leaves(n, h.Size, done%tileWidth)
	if err != nil {
		return err
	}
	a.push(0, hashes[len(a.level(0)):])
	return nil
}

func (a *audit) level(l int) []Hash {
	for len(a.levels) <= l {
		a.levels = append(a.levels, nil)
		a.counts = append(a.counts, 0)
	}
	return a.levels[l]
}

func (a *audit) push(l int, hashes []Hash) { a.levels[l] = append(a.level(l), hashes...) }

// carry takes a full tile up a level.
func (a *audit) carry(l int) error {
	if len(a.level(l)) < tileWidth {
		return nil
	}
	if err := a.compare(l); err != nil {
		return err
	}
	parent := perfect(a.levels[l])
	a.levels[l] = a.levels[l][:0]
	a.counts[l]++
	a.push(l+1, []Hash{parent})
	return a.carry(l + 1)
}

// compare compares the hashes of a level's last tile with the file. Those of
// level 0 were compared with the entries already.
func (a *audit) compare(l int) error {
	want := a.levels[l]
	if l == 0 || len(want) == 0 {
		return nil
	}
	name, got, err := a.tile(l, a.counts[l], uint64(len(want)))
	if err != nil || got == nil {
		return err
	}
	for i := range want {
		if got[i] != want[i] {
			a.fault(Fault{name, i * len(Hash{}), fmt.Sprintf("hash %d is not that of what is below it", i)})
			return nil
		}
	}
	return nil
}

// tile reads a tile; nil where it cannot be read, which is a fault.
func (a *audit) tile(level int, n, want uint64) (string, []Hash, error) {
	name, data, err := a.tree.part(a.ctx, fmt.Sprintf("tile/%d", level), n, want)
	if err != nil {
		return name, nil, a.missing(name, err)
	}
	if size := want * uint64(len(Hash{})); uint64(len(data)) != size && (isPart(name) || len(data) != tileWidth*len(Hash{})) {
		a.fault(Fault{name, len(data), fmt.Sprintf("a tile of %d bytes, want %d", len(data), want*uint64(len(Hash{})))})
		return name, nil, nil
	}
	hashes := make([]Hash, want)
	for i := range hashes {
		hashes[i] = Hash(data[i*len(Hash{}):])
	}
	return name, hashes, nil
}

// isPart reports whether a file is one of those that a full one replaces.
func isPart(name string) bool { return strings.Contains(name, ".p/") }

// missing makes a fault of a file that is not there or is malformed, and gives
// back every other error.
func (a *audit) missing(name string, err error) error {
	var decode *DecodeError
	switch {
	case errors.As(err, &decode):
		a.fault(Fault{name, decode.Offset, decode.Reason})
	case errors.Is(err, stemma.ErrNotFound):
		a.fault(Fault{name, -1, "is missing"})
	case errors.Is(err, stemma.ErrInvalid):
		a.fault(Fault{name, -1, err.Error()})
	default:
		return err
	}
	return nil
}

// leaves reads the leaf hashes of a bundle in a log of size entries, and tells
// of its entries from the index skip on. It compares the bundle with its tile.
func (a *audit) leaves(n, size, skip uint64) ([]Hash, error) {
	if err := a.ctx.Err(); err != nil {
		return nil, err
	}
	want := min(size-n*tileWidth, tileWidth)
	bundle, data, err := a.tree.part(a.ctx, "tile/entries", n, want)
	var entries []Digest
	if err != nil {
		err = a.missing(bundle, err)
	} else if entries, err = ParseBundle(data); err != nil {
		err = a.missing(bundle, err)
	} else if uint64(len(entries)) != want && (isPart(bundle) || len(entries) != tileWidth) {
		a.fault(Fault{bundle, len(data), fmt.Sprintf("%d entries, want %d", len(entries), want)})
		entries = nil
	}
	if err != nil {
		return nil, err
	}
	name, tile, err := a.tile(0, n, want)
	if err != nil {
		return nil, err
	}
	if entries == nil && tile == nil {
		return make([]Hash, want), nil // both are named already
	}
	if entries == nil {
		return tile, nil
	}
	hashes := make([]Hash, want)
	for i, e := range entries[:want] {
		hashes[i] = e.Leaf()
	}
	if tile != nil {
		if err := a.differ(n, bundle, hashes, name, tile); err != nil {
			return nil, err
		}
	}
	for i := skip; i < want && a.entry != nil; i++ {
		if err := a.entry(n*tileWidth+i, entries[i]); err != nil {
			return nil, err
		}
	}
	return hashes, nil
}

// differ names the one of a bundle and its tile that is wrong, where a level
// above tells; both where nothing does.
func (a *audit) differ(n uint64, bundle string, entries []Hash, name string, tile []Hash) error {
	at := -1
	for i := range entries {
		if entries[i] != tile[i] {
			at = i
			break
		}
	}
	if at < 0 {
		return nil
	}
	inBundle := Fault{bundle, at*(2+len(Digest{})) + 2, fmt.Sprintf("entry %d (index %d) is not the one that %s has", at, n*tileWidth+uint64(at), name)}
	inTile := Fault{name, at * len(Hash{}), fmt.Sprintf("hash %d is not that of its entry in %s", at, bundle)}
	if len(entries) == tileWidth {
		wide := min(a.head.Size/tileWidth-n/tileWidth*tileWidth, tileWidth)
		parent, data, err := a.tree.part(a.ctx, "tile/1", n/tileWidth, wide)
		if err == nil && uint64(len(data)) >= (n%tileWidth+1)*uint64(len(Hash{})) {
			above := data[n%tileWidth*uint64(len(Hash{})):][:len(Hash{})]
			byEntries, byTile := perfect(entries), perfect(tile)
			switch {
			case bytes.Equal(above, byTile[:]):
				a.fault(inBundle)
				copy(entries, tile) // so that what is above is still compared
				return nil
			case bytes.Equal(above, byEntries[:]):
				a.fault(inTile)
				return nil
			}
		} else if err != nil && !errors.Is(err, stemma.ErrNotFound) && !errors.Is(err, stemma.ErrInvalid) {
			return fmt.Errorf("%s: %w", parent, err)
		}
	}
	a.fault(inBundle)
	a.fault(inTile)
	return nil
}

// perfect is the root of a full tree over the hashes, whose number is a power
// of two.
func perfect(hashes []Hash) Hash {
	row := append([]Hash(nil), hashes...)
	for len(row) > 1 {
		for i := range len(row) / 2 {
			row[i] = node(row[2*i], row[2*i+1])
		}
		row = row[:len(row)/2]
	}
	return row[0]
}

func node(left, right Hash) Hash {
	return Hash(rfc6962.DefaultHasher.HashChildren(left[:], right[:]))
}

// rootOf is the root of a tree, from the hashes of the last tile of each level.
func rootOf(levels [][]Hash) Hash {
	var acc *Hash
	for _, hashes := range levels {
		for k, size := len(hashes), 1; k > 0; size <<= 1 {
			if k&size == 0 {
				continue
			}
			sub := perfect(hashes[k-size : k])
			k -= size
			if acc != nil {
				sub = node(sub, *acc)
			}
			acc = &sub
		}
	}
	if acc == nil {
		return Hash(rfc6962.DefaultHasher.EmptyRoot())
	}
	return *acc
}
