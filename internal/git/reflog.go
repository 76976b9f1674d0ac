package git

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxReflog is how many bytes of one reflog are read, from its end.
const maxReflog = 16 << 20

// ReflogEntry is one movement of a ref, as a reflog has it.
type ReflogEntry struct {
	Old, New string // full hex object ids; "" for no commit
	Time     int64  // UTC seconds since 1970
	// Action is what moved it, the words before the colon: "commit",
	// "commit (amend)", "rebase (pick)", "pull".
	Action string
}

// Reflog gives the entries of the reflogs of all refs and work trees
// (gitrepository-layout(5), "logs"), each once, in the order of times: also those
// of commits that a rewrite left behind. A reflog that can not be read has none.
// A commit may be gone from the repository.
func (r *Repo) Reflog(ctx context.Context) ([]ReflogEntry, error) {
	roots := []string{filepath.Join(r.place.common, "logs")}
	trees, _ := fs.Glob(os.DirFS(r.place.common), "worktrees/*/logs") // the pattern is fixed
	for _, name := range trees {
		roots = append(roots, filepath.Join(r.place.common, filepath.FromSlash(name)))
	}
	seen := make(map[ReflogEntry]bool)
	for _, root := range roots {
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
	return slices.SortedFunc(maps.Keys(seen), func(a, b ReflogEntry) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.New, b.New), cmp.Compare(a.Old, b.Old), cmp.Compare(a.Action, b.Action))
	}), nil
}

// reflog adds the entries of one reflog: old id, new id, name and address, time
// and zone, and behind a tab what was done.
func (r *Repo) reflog(path string, seen map[ReflogEntry]bool) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > maxReflog {
		_, _ = f.Seek(-maxReflog, io.SeekEnd) // from the start where it can not
	}
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		if e, ok := r.reflogEntry(in.Text()); ok {
			seen[e] = true
		}
	}
}

func (r *Repo) reflogEntry(line string) (ReflogEntry, bool) {
	n := r.hexLen()
	if len(line) < 2*n+2 || line[n] != ' ' || line[2*n+1] != ' ' {
		return ReflogEntry{}, false
	}
	e := ReflogEntry{Old: line[:n], New: line[n+1 : 2*n+1]}
	if !isHex(e.Old) || !isHex(e.New) {
		return ReflogEntry{}, false
	}
	for _, id := range []*string{&e.Old, &e.New} {
		if isZero(*id) {
			*id = ""
		}
	}
	who, did, _ := strings.Cut(line[2*n+2:], "\t")
	e.Action, _, _ = strings.Cut(did, ":")
	if i := strings.LastIndex(who, "> "); i >= 0 {
		at, _, _ := strings.Cut(who[i+2:], " ")
		e.Time, _ = strconv.ParseInt(at, 10, 64) // 0 where git wrote none
	}
	return e, true
}
