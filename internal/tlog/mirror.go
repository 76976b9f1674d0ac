package tlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	sumdb "golang.org/x/mod/sumdb/tlog"

	"github.com/stemma-dev/stemma"
)

// Mirror copies a log into a folder, which is then itself a log that anyone can
// read and serve: only what is missing is read, and nothing is kept that does
// not lead to the root of a checkpoint that verifies. The new checkpoint is
// written last. progress is told how many of how many entries are there; nil is
// nobody.
//
// It gives the checkpoint that the mirror now has. The error is a
// *RollbackError where the source is not what the mirror has a checkpoint of:
// the mirror is left as it is, and is the proof.
func Mirror(ctx context.Context, from *Tree, dir string, keys Keys, progress func(done, size uint64)) (Checkpoint, error) {
	if progress == nil {
		progress = func(uint64, uint64) {}
	}
	now, err := from.Checkpoint(ctx, keys)
	if err != nil {
		return Checkpoint{}, err
	}
	mirror := &Tree{Folder(dir)}
	before, err := mirror.Checkpoint(ctx, keys)
	switch {
	case errors.Is(err, stemma.ErrNotFound):
	case err != nil:
		return Checkpoint{}, fmt.Errorf("mirror %s: %w", dir, err)
	default:
		if err := from.Consistent(ctx, before.Head, now.Head); err != nil {
			return Checkpoint{}, err
		}
	}
	m := mirroring{from: from, to: mirror, dir: dir, ctx: ctx}
	for n := before.Size / tileWidth; n*tileWidth < now.Size; n++ {
		if err := m.bundle(n, now.Head); err != nil {
			return Checkpoint{}, err
		}
		progress(min((n+1)*tileWidth, now.Size), now.Size)
	}
	if err := m.tiles(before.Size, now.Size); err != nil {
		return Checkpoint{}, err
	}
	return now, m.write("checkpoint", now.Raw)
}

type mirroring struct {
	from, to *Tree
	dir      string
	ctx      context.Context
}

// bundle copies a bundle of entries after it was checked against the head, and
// the tile of its hashes.
func (m *mirroring) bundle(n uint64, h Head) error {
	want := min(h.Size-n*tileWidth, tileWidth)
	name := bundleName(n, want)
	entries, err := m.from.bundle(m.ctx, n, h.Size)
	if err != nil {
		return err
	}
	indexes := make([]int64, want)
	for i := range indexes {
		indexes[i] = sumdb.StoredHashIndex(0, int64(n*tileWidth)+int64(i))
	}
	hashes, err := m.from.reader(m.ctx, h).ReadHashes(indexes)
	if err != nil {
		return proveError(name, err)
	}
	var bundle, tile bytes.Buffer
	for i, e := range entries {
		if Hash(hashes[i]) != e.Leaf() {
			return &DecodeError{name, i*(2+len(e)) + 2, fmt.Sprintf("entry %d does not lead to the root of %s", i, h)}
		}
		bundle.Write([]byte{0, byte(len(e))})
		bundle.Write(e[:])
		tile.Write(hashes[i][:])
	}
	if err := m.write(name, bundle.Bytes()); err != nil {
		return err
	}
	return m.write(tileName(0, n, want), tile.Bytes())
}

// tiles makes the tiles above level 0 from those below, which are verified.
func (m *mirroring) tiles(before, size uint64) error {
	for level := 1; size >= tileWidth; level++ {
		below := size // hashes of the level below
		size /= tileWidth
		before /= tileWidth
		for n := before / tileWidth; n*tileWidth < size; n++ {
			want := min(size-n*tileWidth, tileWidth)
			var tile bytes.Buffer
			for i := range want {
				name, data, err := m.to.part(m.ctx, fmt.Sprintf("tile/%d", level-1), n*tileWidth+i, min(below-(n*tileWidth+i)*tileWidth, tileWidth))
				if err != nil {
					return err
				}
				if len(data) != tileWidth*len(Hash{}) {
					return &DecodeError{name, len(data), "not a full tile"}
				}
				h := perfect(split(data))
				tile.Write(h[:])
			}
			if err := m.write(tileName(level, n, want), tile.Bytes()); err != nil {
				return err
			}
		}
	}
	return nil
}

func split(tile []byte) []Hash {
	out := make([]Hash, len(tile)/len(Hash{}))
	for i := range out {
		out[i] = Hash(tile[i*len(Hash{}):])
	}
	return out
}

func bundleName(n, width uint64) string {
	if width < tileWidth {
		return fmt.Sprintf("tile/entries/%s.p/%d", TileNumber(n), width)
	}
	return "tile/entries/" + TileNumber(n)
}

func tileName(level int, n, width uint64) string {
	if width < tileWidth {
		return fmt.Sprintf("tile/%d/%s.p/%d", level, TileNumber(n), width)
	}
	return fmt.Sprintf("tile/%d/%s", level, TileNumber(n))
}

// write puts a file into the mirror, whole or not at all.
func (m *mirroring) write(name string, data []byte) error {
	path := filepath.Join(m.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fileError(err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fileError(err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if serr := f.Sync(); err == nil {
		err = serr
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fileError(err)
	}
	return nil
}
