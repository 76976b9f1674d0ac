package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxReflog is how many bytes of one reflog are read, from its end.
const maxReflog = 16 << 20

// Reflog gives the commits that the reflogs of all refs and work trees name
// (gitrepository-layout(5), "logs"), each once, in the order of their ids: also
// those that a rewrite left behind. A reflog that can not be read names none.
// A commit may be gone from the repository.
func (r *Repo) Reflog(ctx context.Context) ([]string, error) {
	roots := []string{filepath.Join(r.place.common, "logs")}
	trees, _ := filepath.Glob(filepath.Join(r.place.common, "worktrees", "*", "logs")) // the pattern is fixed
	seen := make(map[string]bool)
	for _, root := range append(roots, trees...) {
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if cerr := ctx.Err(); cerr != nil {
				return cerr
			}
			if err != nil || !e.Type().IsRegular() {
				return nil // nothing there to be read
			}
			r.reflog(path, seen)
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("reflogs: %w", err)
		}
	}
	ids := make([]string, 0, len(seen))
	for id := range seen {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids, nil
}

// reflog adds the ids of one reflog: two at the beginning of each line.
func (r *Repo) reflog(path string, seen map[string]bool) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > maxReflog {
		_, _ = f.Seek(-maxReflog, 2) // from the start where it can not
	}
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	n := r.hexLen()
	for in.Scan() {
		line := in.Bytes()
		if len(line) < 2*n+2 || line[n] != ' ' || line[2*n+1] != ' ' {
			continue
		}
		for _, id := range []string{string(bytes.Clone(line[:n])), string(line[n+1 : 2*n+1])} {
			if isHex(id) && strings.Trim(id, "0") != "" {
				seen[id] = true
			}
		}
	}
}
