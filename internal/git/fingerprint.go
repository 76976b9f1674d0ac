package git

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/stemma-dev/stemma"
)

// maxLoose bounds the files of loose refs that a fingerprint looks at.
const maxLoose = 50_000

// Fingerprint is a short text that changes whenever a ref, HEAD or the shallow
// boundary may have moved. It runs nothing and reads little: packed refs are
// known by their file's identity, loose refs by their content. It may change
// though nothing moved.
func (r *Repo) Fingerprint() (string, error) {
	h := sha256.New()
	for _, file := range []string{
		filepath.Join(r.place.gitDir, "HEAD"),
		filepath.Join(r.place.common, "shallow"),
		filepath.Join(r.place.common, "reftable", "tables.list"),
		filepath.Join(r.place.gitDir, "reftable", "tables.list"),
	} {
		if err := mixContent(h, file); err != nil {
			return "", fmt.Errorf("fingerprint: %w", err)
		}
	}
	if err := mixStat(h, filepath.Join(r.place.common, "packed-refs")); err != nil {
		return "", fmt.Errorf("fingerprint: %w", err)
	}
	seen := 0
	err := filepath.WalkDir(filepath.Join(r.place.common, "refs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return nil // removed while we walk: the next fingerprint differs
			}
			return fmt.Errorf("%w: %w", stemma.ErrUnavailable, err)
		}
		if d.IsDir() {
			return nil
		}
		if seen++; seen > maxLoose {
			return fs.SkipAll
		}
		return mixContent(h, path)
	})
	if err != nil {
		return "", fmt.Errorf("fingerprint: %w", err)
	}
	if seen > maxLoose {
		// Too many to look at: say that something may have moved.
		fmt.Fprintf(h, "now %d\x00", time.Now().UnixNano())
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

func mixContent(h hash.Hash, file string) error {
	if target, err := os.Readlink(file); err == nil {
		fmt.Fprintf(h, "%s -> %s\x00", file, target)
	}
	data, err := readSmall(file, 16<<20)
	switch {
	case errors.Is(err, os.ErrNotExist):
		fmt.Fprintf(h, "%s none\x00", file)
	case errors.Is(err, stemma.ErrInvalid):
		return mixStat(h, file)
	case err != nil:
		return err
	default:
		fmt.Fprintf(h, "%s %d\x00", file, len(data))
		h.Write(data)
	}
	return nil
}

// recent is how long a file's times may fail to tell two writes apart.
const recent = 2 * time.Second

func mixStat(h hash.Hash, file string) error {
	stat, err := os.Stat(file)
	if errors.Is(err, os.ErrNotExist) {
		fmt.Fprintf(h, "%s none\x00", file)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", stemma.ErrUnavailable, err)
	}
	fmt.Fprintf(h, "%s %d %d %s\x00", file, stat.Size(), stat.ModTime().UnixNano(), fileIdentity(stat))
	if age := time.Since(stat.ModTime()); age < recent && stat.Mode().IsRegular() {
		if data, err := readSmall(file, 256<<20); err == nil {
			h.Write(data)
		}
	}
	return nil
}
