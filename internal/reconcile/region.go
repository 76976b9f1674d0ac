package reconcile

import (
	"cmp"
	"context"
	"math/bits"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma/internal/git"
)

// region is the part of the history that never entered the default branch:
// branches, and what is kept outside. A commit of it and those it builds on, as
// far as they are in it, are a series: the work that a change was made from.
type region struct {
	number  map[string]int32
	ids     []string
	whole   []bool    // has one parent
	parents [][]int32 // that are in the region
	first   []int32   // the first parent, or -1 where it is not in the region
	heights []int32   // over the commits that have no parent in the region
	ranks   []int32   // place in the order of heights, then ids
	trees   map[string][]int32
	// children are those of each commit; outer those of parents that are not in
	// the region.
	children [][]int32
	outer    map[string][]int32
}

// region reads the region of this run.
func (r *run) region(ctx context.Context) (*region, error) {
	g := &region{number: make(map[string]int32), trees: make(map[string][]int32), outer: make(map[string][]int32)}
	query := git.HistoryQuery{Tips: slices.Concat(r.tips, r.outside), Not: []string{r.state.Tip}, NoMessages: true}
	var commits []*git.Commit
	for c, err := range r.Repo.History(ctx, query) {
		if err != nil {
			return nil, err
		}
		g.number[c.ID] = int32(len(g.ids))
		g.ids = append(g.ids, c.ID)
		commits = append(commits, c)
	}
	g.children = make([][]int32, len(g.ids))
	for n, c := range commits {
		g.trees[c.Tree] = append(g.trees[c.Tree], int32(n))
		g.whole = append(g.whole, len(c.Parents) == 1)
		var parents []int32
		first := int32(-1)
		for i, p := range c.Parents {
			if m, ok := g.number[p]; ok {
				parents = append(parents, m)
				g.children[m] = append(g.children[m], int32(n))
				if i == 0 {
					first = m
				}
			} else {
				g.outer[p] = append(g.outer[p], int32(n))
			}
		}
		g.parents, g.first = append(g.parents, parents), append(g.first, first)
	}
	g.raise()
	g.rank()
	return g, nil
}

// rank computes the ranks.
func (g *region) rank() {
	order := make([]int32, len(g.ids))
	for n := range order {
		order[n] = int32(n)
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(g.heights[a], g.heights[b]), strings.Compare(g.ids[a], g.ids[b]))
	})
	g.ranks = make([]int32, len(g.ids))
	for rank, n := range order {
		g.ranks[n] = int32(rank)
	}
}

// part is a set of commits of a region; nil is the empty one.
type part []uint64

func (p part) has(n int32) bool { return p != nil && p[n/64]&(1<<(n%64)) != 0 }

func (p part) add(n int32) { p[n/64] |= 1 << (n % 64) }

// numbers gives the commits of the set.
func (p part) numbers() []int32 {
	var all []int32
	for i, word := range p {
		for ; word != 0; word &= word - 1 {
			all = append(all, int32(i*64+bits.TrailingZeros64(word)))
		}
	}
	return all
}

// reach gives these commits and what can be reached from them by parents or by
// children, but for avoid and what lies behind it.
func (g *region) reach(from []int32, next [][]int32, avoid part) part {
	seen := make(part, (len(g.ids)+63)/64)
	stack := slices.Clone(from)
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if !seen.has(n) && !avoid.has(n) {
			seen.add(n)
			stack = append(stack, next[n]...)
		}
	}
	return seen
}

// raise computes the heights.
func (g *region) raise() {
	g.heights = make([]int32, len(g.ids))
	var stack []int32
	for n := range g.ids {
		stack = append(stack[:0], int32(n))
		for len(stack) > 0 {
			at := stack[len(stack)-1]
			height, waits := int32(1), false
			for _, p := range g.parents[at] {
				if g.heights[p] == 0 {
					stack = append(stack, p)
					waits = true
				}
				height = max(height, g.heights[p]+1)
			}
			if !waits {
				g.heights[at] = height
				stack = stack[:len(stack)-1]
			}
		}
	}
}

// maxSeries is how many commits are looked at as what one commit was made from.
const maxSeries = 1000

// below gives the commits that these build on, themselves included, youngest
// first and at most so many; avoid and what it builds on are left out.
func (g *region) below(of []int32, avoid part, most int) []int32 {
	found := g.reach(of, g.parents, avoid).numbers()
	slices.SortFunc(found, func(a, b int32) int { return g.older(b, a) })
	return found[:min(len(found), most)]
}

// older orders commits by their height.
func (g *region) older(a, b int32) int { return int(g.ranks[a] - g.ranks[b]) }

// above gives the commits that build on these, themselves included as far as
// they are in the region, which they need not be.
func (g *region) above(of []string) part {
	var from []int32
	for _, id := range of {
		if n, ok := g.number[id]; ok {
			from = append(from, n)
		}
		from = append(from, g.outer[id]...)
	}
	return g.reach(from, g.children, nil)
}

// chain gives the commits from where the region begins to this one, oldest
// first; nil where a merge or a root lies between.
func (g *region) chain(n int32) []int32 {
	var ids []int32
	for n >= 0 {
		if !g.whole[n] || len(ids) == maxSeries {
			return nil
		}
		ids = append(ids, n)
		n = g.first[n]
	}
	slices.Reverse(ids)
	return ids
}

// components numbers the commits of a set: those that are joined by parents in
// it have one number.
func (g *region) components(set []int32) map[int32]int {
	of := make(map[int32]int, len(set))
	for i, n := range set {
		of[n] = i
	}
	root := make([]int, len(set))
	for i := range root {
		root[i] = i
	}
	find := func(i int) int {
		for root[i] != i {
			root[i] = root[root[i]]
			i = root[i]
		}
		return i
	}
	for i, n := range set {
		for _, p := range g.parents[n] {
			if j, ok := of[p]; ok {
				root[find(i)] = find(j)
			}
		}
	}
	for n, i := range of {
		of[n] = find(i)
	}
	return of
}
