package reconcile

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attribution"
	"github.com/stemma-dev/stemma/internal/store"
)

// links is what a run notes of the commits that it derives, to find afterwards
// which commits may be rewrites of which. A nil *links notes nothing.
type links struct {
	anew    bool              // every commit is looked at again
	touched map[string]*touch // derived by this run; when anew, only those with evidence
	gone    []string          // commits that are not kept any more
	kept    map[string]*attribution.Rewritten
	held    held // commits that were read, as far as there is room

	// When anew: who takes blocks away and who adds some, to find reverts.
	takes map[uint64]struct{}
	adds  map[string][]uint64
}

// touch is a commit that this run derived.
type touch struct {
	keys      attribution.Keys
	evidenced bool // it has lines of its own evidence
	changed   bool // it may have had other evidence before
}

// openLinks begins to note links, where rewrites are followed, and takes care of
// lines that were found by way of commits whose objects are gone since.
func (r *run) openLinks(ctx context.Context, p *plan) error {
	if !r.state.Follow {
		return nil
	}
	r.links = &links{
		anew: p.anew || p.every(), touched: make(map[string]*touch),
		kept: make(map[string]*attribution.Rewritten), held: held{of: make(map[string]*attribution.Version)}, takes: make(map[uint64]struct{}), adds: make(map[string][]uint64),
	}
	var absent []string
	for id := range r.absent {
		absent = append(absent, id)
	}
	slices.Sort(absent)
	var from []string
	for chunk := range slices.Chunk(absent, batch) {
		query := store.EdgeQuery{To: commitIDs(chunk), Kinds: []stemma.EdgeKind{stemma.EdgeRewriteOf}}
		for e, err := range r.Store.Edges(ctx, query) {
			if err != nil {
				return err
			}
			from = append(from, e.From.Key)
		}
	}
	if len(from) == 0 {
		return nil
	}
	slices.Sort(from)
	for row, err := range r.Store.Attributions(ctx, slices.Compact(from)) {
		if err != nil {
			return err
		}
		if kept := attribution.Lost(&row, func(id string) bool { return r.absent[id] }); kept != nil {
			r.links.kept[row.Commit] = kept
		}
	}
	return nil
}

// lost gives what an earlier run found of a commit's lines by way of commits
// whose objects are gone; nil where there is nothing.
func (l *links) lost(commit string) *attribution.Rewritten {
	if l == nil {
		return nil
	}
	return l.kept[commit]
}

// lose notes a commit that is not kept any more.
func (l *links) lose(commit string) {
	if l != nil {
		l.gone = append(l.gone, commit)
	}
}

// add notes a commit that was derived and gives the keys of its scope.
func (l *links) add(v attribution.Version, row *stemma.Attribution, keys attribution.Keys, changed bool) []string {
	if l == nil {
		return nil
	}
	l.held.add(&v)
	evidenced := attribution.Evidenced(row)
	if evidenced || !l.anew {
		l.touched[row.Commit] = &touch{keys, evidenced, changed}
	}
	if l.anew {
		for _, k := range keys.Lost {
			l.takes[short(k)] = struct{}{}
		}
		if !evidenced && len(keys.Back) > 0 {
			adds := make([]uint64, len(keys.Back))
			for i, k := range keys.Back {
				adds[i] = short(k)
			}
			l.adds[row.Commit] = adds
		}
	}
	return slices.Concat(keys.Own, keys.Lost)
}

// short gives 64 bits of the digest in a key.
func short(key string) uint64 {
	_, digest, _ := strings.Cut(key, ":")
	b, err := hex.DecodeString(digest[:16])
	if err != nil {
		return 0 // it is no digest: whoever has it is looked at, and no more
	}
	return binary.BigEndian.Uint64(b)
}

// reverting gives the commits that add a block which another took away.
func (l *links) reverting() []string {
	var ids []string
	for id, adds := range l.adds {
		if slices.ContainsFunc(adds, func(k uint64) bool { _, ok := l.takes[k]; return ok }) {
			ids = append(ids, id)
		}
	}
	return ids
}
