package postgres

import (
	"cmp"
	"context"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// The bits of the column flags.
const (
	tallyMerge = 1 << iota
	tallyUnreadable
)

// Tallies gives the tallies that q asks for, newest first.
func (s *Store) Tallies(ctx context.Context, q store.TallyQuery) iter.Seq2[store.Tally, error] {
	return sequence(ctx, s, "read tallies", func(v *view, yield func(store.Tally) bool) error {
		r := &tallyReader{v: v, q: q, yield: yield}
		r.order.give = r.give
		var ok bool
		if r.kind, ok = v.words.id[wordNode+string(q.Kind)]; !ok {
			return nil
		}
		if q.Group != "" {
			if r.group, ok = v.words.id[wordGroup+q.Group]; !ok {
				return nil
			}
		}
		if q.Nodes != nil {
			return r.lookup()
		}
		return r.scan()
	})
}

type tallyReader struct {
	v           *view
	q           store.TallyQuery
	yield       func(store.Tally) bool
	kind, group int64
	given       int
	order       inOrder[store.Tally]
}

// rawTally is a row.
type rawTally struct {
	node, time, group, flags int64
	key                      []byte
	tally                    store.Tally
}

func (r *rawTally) columns() []any {
	t := &r.tally
	return []any{
		&r.node, &r.time, &r.key, &r.group, &r.flags,
		&t.Lines.AI, &t.Lines.AIEdited, &t.Lines.Human, &t.Lines.Generated, &t.Lines.Unknown, &t.Candidate, &t.Sessions,
	}
}

// What comes after a row, newest first, then by key: of one group, and of all.
const (
	talliesOfGroup = `
		SELECT node, time, key, grp, flags, ai, ai_edited, human, generated, unknown, candidate, sessions
		FROM stemma_graph.tally
		WHERE org = $1 AND kind = $2 AND grp = $7 AND time BETWEEN $3 AND $4 AND (time < $4 OR key > $5)
		ORDER BY time DESC, key
		LIMIT $6`
	talliesOfKind = `
		SELECT node, time, key, grp, flags, ai, ai_edited, human, generated, unknown, candidate, sessions
		FROM stemma_graph.tally
		WHERE org = $1 AND kind = $2 AND time BETWEEN $3 AND $4 AND (time < $4 OR key > $5)
		ORDER BY time DESC, key
		LIMIT $6`
)

// scan goes through the tallies in their order, page by page: a small one first,
// for a listing that wants few.
func (r *tallyReader) scan() error {
	since, until := r.bounds()
	key := []byte{}
	for size := 200; ; size = pageSize {
		query, args := talliesOfKind, []any{r.v.org, r.kind, since, until, key, size}
		if r.group != 0 {
			query, args = talliesOfGroup, append(args, r.group)
		}
		page, err := r.read(query, args)
		if err != nil {
			return err
		}
		if err := r.giveAll(page); err != nil {
			return err
		}
		if len(page) < size {
			break
		}
		last := page[len(page)-1]
		until, key = last.time, last.key
	}
	r.order.flush()
	return nil
}

// lookup finds the tallies of some nodes, and puts them in order.
func (r *tallyReader) lookup() error {
	since, until := r.bounds()
	nodes, err := r.v.findNodes(slices.DeleteFunc(slices.Clone(r.q.Nodes), func(id stemma.NodeID) bool { return id.Kind != r.q.Kind }))
	if err != nil {
		return err
	}
	var all []rawTally
	for chunk := range slices.Chunk(nodes, chunkSize) {
		ids := make([]int64, len(chunk))
		for i := range chunk {
			ids[i] = chunk[i].id
		}
		page, err := r.read(`
			SELECT d.node, t.time, t.key, t.grp, t.flags,
				t.ai, t.ai_edited, t.human, t.generated, t.unknown, t.candidate, t.sessions
			FROM unnest($2::bigint[]) AS d (node)
			CROSS JOIN LATERAL (
				SELECT time, key, grp, flags, ai, ai_edited, human, generated, unknown, candidate, sessions
				FROM stemma_graph.tally
				WHERE org = $1 AND node = d.node
				LIMIT 1
			) AS t
			WHERE t.time BETWEEN $3 AND $4`,
			[]any{r.v.org, ids, since, until})
		if err != nil {
			return err
		}
		all = append(all, page...)
	}
	slices.SortFunc(all, func(a, b rawTally) int {
		return cmp.Or(cmp.Compare(b.time, a.time), strings.Compare(string(a.key), string(b.key)))
	})
	if err := r.giveAll(all); err != nil {
		return err
	}
	r.order.flush()
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

func (r *tallyReader) read(query string, args []any) (page []rawTally, err error) {
	var raw rawTally
	err = r.v.each(query, args, raw.columns(), func() error {
		page = append(page, raw)
		return nil
	})
	return page, err
}

// giveAll yields those of the rows that are asked for.
func (r *tallyReader) giveAll(page []rawTally) error {
	var long []int64
	for i := range page {
		if len(page[i].key) > headSize {
			long = append(long, page[i].node)
		}
	}
	if err := r.v.needNodes(long); err != nil {
		return err
	}
	for i := range page {
		raw := &page[i]
		if r.group != 0 && raw.group != r.group {
			continue
		}
		group, err := r.v.words.find(raw.group, wordGroup)
		if err != nil {
			return err
		}
		t := raw.tally
		if r.q.Class != "" && t.Lines.Of(r.q.Class) == 0 {
			continue
		}
		if r.q.MinAI > 0 {
			if low, _, ok := t.Lines.AIShare(); !ok || low < r.q.MinAI {
				continue
			}
		}
		t.Node = stemma.NodeID{Kind: r.q.Kind, Key: string(raw.key)}
		if len(raw.key) > headSize {
			t.Node = r.v.nodes[raw.node]
		}
		t.Group, t.Time = group, raw.time
		t.Merge = raw.flags&tallyMerge != 0
		t.Unreadable = raw.flags&tallyUnreadable != 0
		if !r.order.add(strconv.FormatInt(t.Time, 10)+" ", t.Node.Key, t) {
			return errStop
		}
	}
	return nil
}

func (r *tallyReader) give(t store.Tally) bool {
	if !r.yield(t) {
		return false
	}
	r.given++
	return r.given != r.q.Limit
}
