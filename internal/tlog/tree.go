package tlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"

	sumdb "golang.org/x/mod/sumdb/tlog"

	"github.com/stemma-dev/stemma"
)

// The sizes of tlog-tiles: hashes in a tile and entries in a bundle.
const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

// maxTile is the size in bytes over which no file of a log is read. A tile has
// 8 KiB, a bundle of our entries 8.5 KiB.
const maxTile = 64 << 10

// Fetch reads one file of a log by its path in tlog-tiles: "checkpoint",
// "tile/0/x001/067", "tile/entries/000.p/7". A file that is not there is
// ErrNotFound, and one over 64 KiB ErrInvalid.
type Fetch func(ctx context.Context, path string) ([]byte, error)

// Folder reads a log, or a mirror of one, from a folder.
func Folder(dir string) Fetch {
	return func(_ context.Context, name string) ([]byte, error) {
		file := filepath.Join(dir, filepath.FromSlash(name))
		f, err := os.Open(file)
		if err != nil {
			return nil, fileError(err)
		}
		defer f.Close()
		return readFile(f, file)
	}
}

func readFile(r io.Reader, name string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxTile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %v: %w", name, err, stemma.ErrUnavailable)
	}
	if len(data) > maxTile {
		return nil, fmt.Errorf("%s: over the limit of %d bytes: %w", name, maxTile, stemma.ErrInvalid)
	}
	return data, nil
}

// fileError gives an error of the file system its kind.
func fileError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%v: %w", err, stemma.ErrNotFound)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%v: %w", err, stemma.ErrDenied)
	}
	return fmt.Errorf("%v: %w", err, stemma.ErrUnavailable)
}

// Web reads a log from a web server that has its files, below an address that
// begins with http:// or https://.
func Web(client *http.Client, address string) (Fetch, error) {
	base, err := url.Parse(address)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("address %q of a log is none of http or https: %w", clip(address), stemma.ErrInvalid)
	}
	return func(ctx context.Context, name string) ([]byte, error) {
		at := base.JoinPath(name).String()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
		if err != nil {
			return nil, fmt.Errorf("%s: %v: %w", at, err, stemma.ErrInvalid)
		}
		resp, err := client.Do(req)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, fmt.Errorf("%s: %v: %w", at, err, stemma.ErrUnavailable)
		}
		defer resp.Body.Close()
		switch {
		case resp.StatusCode == http.StatusNotFound:
			return nil, fmt.Errorf("%s: %w", at, stemma.ErrNotFound)
		case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
			return nil, fmt.Errorf("%s: %s: %w", at, resp.Status, stemma.ErrDenied)
		case resp.StatusCode != http.StatusOK:
			return nil, fmt.Errorf("%s: %s: %w", at, resp.Status, stemma.ErrUnavailable)
		}
		return readFile(resp.Body, at)
	}, nil
}

// Tree reads a log or a mirror of one. Nothing that it gives is believed before
// it was checked against the head that it is asked for.
type Tree struct{ Fetch Fetch }

// Checkpoint reads the newest checkpoint and verifies it. ErrNotFound says that
// there is no log.
func (t *Tree) Checkpoint(ctx context.Context, keys Keys) (Checkpoint, error) {
	raw, err := t.Fetch(ctx, "checkpoint")
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	return keys.Open(raw)
}

// Prove gives the proof that the entry at index is in the log with this
// checkpoint. The error is ErrNotFound for an index past its end, and
// ErrInvalid where the tiles do not have its root.
func (t *Tree) Prove(ctx context.Context, c Checkpoint, index uint64) (Proof, error) {
	return t.ProveEarlier(ctx, c, c.Head, index)
}

// ProveEarlier is Prove under a checkpoint that was kept from before, of a log
// that has grown to now since: its files may not be there any more.
func (t *Tree) ProveEarlier(ctx context.Context, c Checkpoint, now Head, index uint64) (Proof, error) {
	if index >= c.Size {
		return Proof{}, fmt.Errorf("index %d is past the end of %s: %w", index, c.Head, stemma.ErrNotFound)
	}
	if c.Size > now.Size {
		return Proof{}, fmt.Errorf("%s is past the end of %s: %w", c.Head, now, stemma.ErrNotFound)
	}
	hashes, err := sumdb.ProveRecord(int64(c.Size), int64(index), t.reader(ctx, now))
	if err != nil {
		return Proof{}, proveError(fmt.Sprintf("prove index %d of %s", index, c.Head), err)
	}
	p := Proof{Index: index, Checkpoint: c.Raw}
	for _, h := range hashes {
		p.Hashes = append(p.Hashes, Hash(h))
	}
	return p, nil
}

// ProveConsistency gives the hashes that lead from the log's first size entries
// to its head, for [VerifyConsistency].
func (t *Tree) ProveConsistency(ctx context.Context, after Head, size uint64) ([]Hash, error) {
	if size > after.Size {
		return nil, fmt.Errorf("size %d is past the end of %s: %w", size, after, stemma.ErrNotFound)
	}
	if size == 0 || size == after.Size {
		return nil, nil
	}
	hashes, err := sumdb.ProveTree(int64(after.Size), int64(size), t.reader(ctx, after))
	if err != nil {
		return nil, proveError(fmt.Sprintf("prove that %s grew from size %d", after, size), err)
	}
	var out []Hash
	for _, h := range hashes {
		out = append(out, Hash(h))
	}
	return out, nil
}

// Consistent checks that the log still holds everything that a checkpoint kept
// from before holds. The error is a *RollbackError where it does not.
func (t *Tree) Consistent(ctx context.Context, before, after Head) error {
	if before.Origin != after.Origin || before.Size > after.Size {
		return VerifyConsistency(before, after, nil)
	}
	hashes, err := t.ProveConsistency(ctx, after, before.Size)
	if err != nil {
		return err
	}
	return VerifyConsistency(before, after, hashes)
}

// proveError gives an error of the proof maker its kind: tiles that do not add
// up to the head are malformed.
func proveError(what string, err error) error {
	for _, kind := range []error{stemma.ErrNotFound, stemma.ErrDenied, stemma.ErrUnavailable, stemma.ErrInvalid, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, kind) {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return fmt.Errorf("%s: %v: %w", what, err, stemma.ErrInvalid)
}

// Entries gives the entries from an index on, up to the end of a log of size
// entries, as its bundles have them. They are not checked against a head: see
// [Audit]. Every error has the bundle's path in it.
func (t *Tree) Entries(ctx context.Context, from, size uint64) iter.Seq2[Digest, error] {
	return func(yield func(Digest, error) bool) {
		for at := from; at < size; {
			bundle := at / tileWidth
			entries, err := t.bundle(ctx, bundle, size)
			if err != nil {
				yield(Digest{}, err)
				return
			}
			for _, e := range entries[at%tileWidth:] {
				if !yield(e, nil) {
					return
				}
				at++
			}
		}
	}
}

// bundle reads those entries of a bundle that a log of size entries has.
func (t *Tree) bundle(ctx context.Context, n, size uint64) ([]Digest, error) {
	want := min(size-n*tileWidth, tileWidth)
	name, data, err := t.part(ctx, "tile/entries", n, want)
	if err != nil {
		return nil, err
	}
	entries, err := ParseBundle(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if uint64(len(entries)) < want || isPart(name) && uint64(len(entries)) != want {
		return nil, fmt.Errorf("%s: %d entries, want %d: %w", name, len(entries), want, stemma.ErrInvalid)
	}
	return entries[:want], nil
}

// part reads a file of which a log has want of 256 parts: that with so many, or
// the whole one, which replaces it when it is full.
func (t *Tree) part(ctx context.Context, folder string, n, want uint64) (name string, data []byte, err error) {
	whole := path.Join(folder, TileNumber(n))
	name = whole
	if want < tileWidth {
		name = fmt.Sprintf("%s.p/%d", whole, want)
	}
	data, err = t.Fetch(ctx, name)
	if err != nil && name != whole && errors.Is(err, stemma.ErrNotFound) {
		if data, werr := t.Fetch(ctx, whole); werr == nil {
			return whole, data, nil
		}
	}
	if err != nil {
		return name, nil, fmt.Errorf("%s: %w", name, err)
	}
	return name, data, nil
}

// TileNumber is the path of a number in tlog-tiles: 1234067 is x001/x234/067.
func TileNumber(n uint64) string {
	s := fmt.Sprintf("%03d", n%1000)
	for n >= 1000 {
		n /= 1000
		s = fmt.Sprintf("x%03d/%s", n%1000, s)
	}
	return s
}

// ParseBundle reads a bundle of entries (tlog-tiles: each a big-endian length of
// two bytes and the entry). The error is a *DecodeError: an entry that has not
// 32 bytes is none of ours, and more than 256 are no bundle.
func ParseBundle(data []byte) ([]Digest, error) {
	var out []Digest
	for at := 0; at < len(data); {
		fail := func(format string, args ...any) ([]Digest, error) {
			return nil, &DecodeError{"entry bundle", at, fmt.Sprintf(format, args...)}
		}
		if len(out) == tileWidth {
			return fail("more than %d entries", tileWidth)
		}
		if len(data)-at < 2 {
			return fail("ends in the length of an entry")
		}
		n := int(binary.BigEndian.Uint16(data[at:]))
		if n != len(Digest{}) {
			return fail("entry of %d bytes, want %d", n, len(Digest{}))
		}
		if len(data)-at-2 < n {
			return fail("ends in an entry")
		}
		out = append(out, Digest(data[at+2:at+2+n]))
		at += 2 + n
	}
	return out, nil
}

// reader reads hashes from tiles, and checks each against the head.
func (t *Tree) reader(ctx context.Context, h Head) sumdb.HashReader {
	return sumdb.TileHashReader(sumdb.Tree{N: int64(h.Size), Hash: sumdb.Hash(h.Root)}, &tiles{t, ctx})
}

// tiles reads tiles for golang.org/x/mod/sumdb/tlog, whose paths begin with the
// tile's height where those of tlog-tiles, with the height fixed, do not.
type tiles struct {
	tree *Tree
	ctx  context.Context
}

func (*tiles) Height() int { return tileHeight }

func (t *tiles) ReadTiles(want []sumdb.Tile) ([][]byte, error) {
	data := make([][]byte, len(want))
	for i, tile := range want {
		name, d, err := t.tree.part(t.ctx, fmt.Sprintf("tile/%d", tile.L), uint64(tile.N), uint64(tile.W))
		if err != nil {
			return nil, err
		}
		if len(d) < tile.W*len(Hash{}) {
			return nil, &DecodeError{"tile " + name, len(d), fmt.Sprintf("ends before hash %d", tile.W)}
		}
		data[i] = d[:tile.W*len(Hash{})]
	}
	return data, nil
}

func (*tiles) SaveTiles([]sumdb.Tile, [][]byte) {}
