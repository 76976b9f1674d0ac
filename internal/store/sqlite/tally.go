package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// The first count of a tally.
const (
	tallyPresent = 1 << iota // always set, so that no tally packs to nothing
	tallyMerge
	tallyUnreadable
)

// tallyLookups is how many nodes are looked up one by one; for more it is
// quicker to go through all tallies.
const tallyLookups = 2000

// Tallies gives the tallies that q asks for, newest first.
func (s *Store) Tallies(ctx context.Context, q store.TallyQuery) iter.Seq2[store.Tally, error] {
	return sequence(ctx, s, "read tallies", func(v *view, yield func(store.Tally) bool) error {
		r := &tallyReader{v: v, q: q, yield: yield}
		var ok bool
		if r.kind, ok = v.words.id[wordNode+string(q.Kind)]; !ok {
			return nil
		}
		if q.Group != "" {
			if r.group, ok = v.words.id[wordGroup+q.Group]; !ok {
				return nil
			}
		}
		if q.Nodes == nil || len(q.Nodes) > tallyLookups {
			return r.scan()
		}
		return r.lookup()
	})
}

type tallyReader struct {
	v           *view
	q           store.TallyQuery
	yield       func(store.Tally) bool
	kind, group int64
	given       int

	// The columns of the row being read.
	time, grp   int64
	key, counts sql.RawBytes
}

func (r *tallyReader) columns() []any { return []any{&r.time, &r.key, &r.grp, &r.counts} }

// scan goes through the tallies in their order.
func (r *tallyReader) scan() error {
	since, until := r.bounds()
	var wanted map[string]bool
	if r.q.Nodes != nil {
		wanted = make(map[string]bool, len(r.q.Nodes))
		for _, id := range r.q.Nodes {
			if id.Kind == r.q.Kind {
				wanted[id.Key] = true
			}
		}
	}
	return r.v.each(`
		SELECT time, key, grp, counts
		FROM tally
		WHERE org = ? AND kind = ? AND time BETWEEN ? AND ?
		ORDER BY time DESC, key`,
		[]any{r.v.org, r.kind, since, until}, r.columns(), func() error {
			if wanted != nil && !wanted[string(r.key)] {
				return nil
			}
			return r.give()
		})
}

// lookup finds the tallies of a few nodes.
func (r *tallyReader) lookup() error {
	since, until := r.bounds()
	nodes, err := r.v.findNodes(r.q.Nodes)
	if err != nil {
		return err
	}
	nodes = slices.DeleteFunc(nodes, func(n found) bool {
		return n.name.Kind != r.q.Kind || !n.time.Valid || n.time.Int64 < since || n.time.Int64 > until
	})
	slices.SortFunc(nodes, func(a, b found) int {
		return cmp.Or(cmp.Compare(b.time.Int64, a.time.Int64), strings.Compare(a.name.Key, b.name.Key))
	})
	stmt, err := r.v.conn.PrepareContext(r.v.ctx, `
		SELECT time, key, grp, counts
		FROM tally
		WHERE org = ? AND kind = ? AND time = ? AND key = ?`)
	if err != nil {
		return err
	}
	defer stmt.Close()
	for _, n := range nodes {
		stopped := false
		err := r.v.eachOf(stmt, []any{r.v.org, r.kind, n.time.Int64, []byte(n.name.Key)}, r.columns(), func() error {
			err := r.give()
			stopped = err != nil
			return err
		})
		if err != nil || stopped {
			return err
		}
	}
	return nil
}

func (r *tallyReader) bounds() (since, until int64) {
	since, until = math.MinInt64, math.MaxInt64
	if r.q.Since != 0 {
		since = r.q.Since
	}
	if r.q.Until != 0 {
		until = r.q.Until
	}
	return since, until
}

// give yields the row being read, if it is asked for.
func (r *tallyReader) give() error {
	if r.group != 0 && r.grp != r.group {
		return nil
	}
	group, err := r.v.words.find(r.grp, wordGroup)
	if err != nil {
		return err
	}
	t := store.Tally{Group: group, Time: r.time}
	l := &t.Lines
	flags := 0
	if err := store.UnpackCounts(r.counts, &flags, &l.AI, &l.AIEdited, &l.Human, &l.Generated, &l.Unknown,
		&t.Candidate, &t.Sessions); err != nil {
		return err
	}
	if flags&tallyPresent == 0 || flags&^(tallyPresent|tallyMerge|tallyUnreadable) != 0 {
		return fmt.Errorf("flags %#x of the tally of %q: %w", flags, r.key, stemma.ErrInvalid)
	}
	if r.q.Class != "" && l.Of(r.q.Class) == 0 {
		return nil
	}
	if r.q.MinAI > 0 {
		if low, _, ok := l.AIShare(); !ok || low < r.q.MinAI {
			return nil
		}
	}
	t.Node = stemma.NodeID{Kind: r.q.Kind, Key: string(r.key)}
	t.Merge = flags&tallyMerge != 0
	t.Unreadable = flags&tallyUnreadable != 0
	r.given++
	if !r.yield(t) || r.given == r.q.Limit {
		return errStop
	}
	return nil
}
