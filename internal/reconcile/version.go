package reconcile

import (
	"context"
	"maps"
	"slices"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attribution"
	"github.com/stemma-dev/stemma/internal/git"
)

// scopesBy gives the commits that have each of the keys, as far as there are any.
func (f *following) scopesBy(ctx context.Context, keys []string) (map[string][]string, error) {
	by := make(map[string][]string)
	slices.Sort(keys)
	for chunk := range slices.Chunk(slices.Compact(keys), 10*batch) {
		for scope, err := range f.Store.ScopesByKey(ctx, chunk) {
			if err != nil {
				return nil, err
			}
			if scope.ID.Kind == stemma.KindCommit {
				by[scope.Key] = append(by[scope.Key], scope.ID.Key)
			}
		}
	}
	return by, nil
}

// keysOf reads the keys of commits whose scopes are stored, as far as their
// objects are here.
func (f *following) keysOf(ctx context.Context, ids []string) ([]attribution.Keys, error) {
	var all []attribution.Keys
	for chunk := range slices.Chunk(ids, batch) {
		versions, err := f.versions(ctx, chunk)
		if err != nil {
			return nil, err
		}
		for _, id := range chunk {
			if v := versions[id]; v != nil {
				keys, err := f.keysFor(v)
				if err != nil {
					return nil, err
				}
				all = append(all, keys)
			}
		}
	}
	return all, nil
}

func (f *following) keysFor(v *attribution.Version) (attribution.Keys, error) {
	generated, err := f.generated.matcher(v.Diff.Files)
	if err != nil {
		return attribution.Keys{}, err
	}
	return attribution.KeysOf(v.Commit, v.Diff, generated), nil
}

// versions reads commits with their lines. One whose objects are missing or
// damaged is left out.
func (f *following) versions(ctx context.Context, ids []string) (map[string]*attribution.Version, error) {
	versions := make(map[string]*attribution.Version, len(ids))
	var read []string
	for _, id := range ids {
		if v := f.links.held.of[id]; v != nil {
			versions[id] = v
			continue
		}
		c, err := f.Repo.Commit(ctx, id)
		if err != nil && foreign(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		versions[id] = &attribution.Version{Commit: c}
		read = append(read, id)
	}
	for diff, err := range f.Repo.Patches(ctx, slices.Values(read), f.Workers) {
		if err != nil {
			return nil, err
		}
		versions[diff.Commit].Diff = diff
	}
	f.links.held.replace(versions)
	return versions, nil
}

// maxHeld is how many changed lines are held: from the derivation on, because
// most commits are compared to others, and from one chunk of targets to the
// next, because those of neighbours have much in common.
const maxHeld = 8 << 20

// held is what was read of commits, without rows.
type held struct {
	of    map[string]*attribution.Version
	lines int
}

// add keeps one more where there is room.
func (h *held) add(v *attribution.Version) {
	if n := linesIn(v.Diff); h.lines+n <= maxHeld {
		h.of[v.Commit.ID] = v
		h.lines += n
	}
}

// replace keeps what was read last, and the rest where there is room.
func (h *held) replace(versions map[string]*attribution.Version) {
	for id, v := range versions {
		if h.of[id] == nil {
			h.lines += linesIn(v.Diff)
		}
	}
	if h.lines > maxHeld {
		h.of, h.lines = make(map[string]*attribution.Version), 0
		for _, v := range versions {
			h.lines += linesIn(v.Diff)
		}
	}
	maps.Copy(h.of, versions)
}

func linesIn(d git.Diff) int {
	n := 1
	for _, file := range d.Files {
		for _, h := range file.Hunks {
			n += len(h.Added) + len(h.Removed)
		}
	}
	return n
}

// maxRanges is how many ranges of rows are held, as what is held of commits.
const maxRanges = 1 << 20

// heldRows are the rows that were read and that this run has not changed since.
type heldRows struct {
	of     map[string]*stemma.Attribution
	ranges int
}

// rowsOf reads the rows of commits. Nobody changes a row that it gave.
func (f *following) rowsOf(ctx context.Context, ids []string) (map[string]*stemma.Attribution, error) {
	rows := make(map[string]*stemma.Attribution, len(ids))
	var read []string
	for _, id := range ids {
		if row := f.rows.of[id]; row != nil {
			rows[id] = row
		} else {
			read = append(read, id)
		}
	}
	if f.rows.ranges > maxRanges {
		f.rows = heldRows{of: make(map[string]*stemma.Attribution)}
	}
	for row, err := range f.Store.Attributions(ctx, read) {
		if err != nil {
			return nil, err
		}
		rows[row.Commit] = &row
		f.rows.of[row.Commit] = &row
		for i := range row.Files {
			f.rows.ranges += len(row.Files[i].Ranges)
		}
	}
	return rows, nil
}
