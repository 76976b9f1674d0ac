package attribution

import (
	"bytes"
	"crypto/sha256"
	"maps"
	"slices"

	znkr "znkr.io/diff"
	"znkr.io/diff/textdiff"
)

// Replay follows one file through the states in which it was seen, and tells
// who wrote each of its lines (doc/design.md, section 4). Owners travel along
// line differences: what is equal keeps its owner, what differs in white space
// only or comes back after it was gone does too.
//
// It is content alone: git's moves of commits mean nothing to it, so that a
// rewritten history needs no migration. Begin with [NewReplay].
type Replay struct {
	content []byte
	marks   []Mark
	grave   []Piece      // what was deleted, oldest first
	person  map[int]bool // owners that are people, as far as they wrote
	past    []whole      // what the file was before, oldest first
	gone    []Piece      // what the last step deleted
}

// whole is a file as it was once.
type whole struct {
	sum   [sha256.Size]byte
	marks []Mark
}

// maxPast is how many earlier states are remembered whole.
const maxPast = 16

// Mark says who wrote a line.
type Mark struct {
	Owner int // index that the caller chose, or Base or Nobody
	// Edited is the person who wrote at a line of a session, or whose line a
	// session wrote at; Base where nobody did. The line is then ai-edited.
	Edited int
	// May are the owners that may have written a line of Nobody.
	May []int
}

// Owners that are no index.
const (
	Base   = -1 // the line was there before: git's history knows its owner
	Nobody = -2 // nothing tells
)

func owned(owner int) Mark { return Mark{Owner: owner, Edited: Base} }

// Writer made the difference between two states.
type Writer struct {
	Owner  int  // index that the caller chose, or Nobody
	Person bool // the owner is a person
	// Loose says that more than the writer's own typing may have brought the
	// content: a shell, a git command, a time without a hook. Lines that come
	// back then belong to whoever wrote them first.
	Loose bool
	May   []int // who may have written it, where Owner is Nobody
	// Told gives who wrote a line, where something else than the states tells: an
	// agent's own account of a call that no state shows. nil tells of none.
	Told func(line []byte) (Mark, bool)
}

func (w Writer) mark() Mark { return Mark{Owner: w.Owner, Edited: Base, May: w.May} }

// Piece is a piece of a file that was deleted, with who wrote its lines.
type Piece struct {
	lines [][]byte
	marks []Mark
}

// maxGrave is how many deleted pieces are remembered.
const maxGrave = 512

// NewReplay begins with a file as git's history has it; nil where it has none.
func NewReplay(base []byte) *Replay {
	r := &Replay{content: base, person: make(map[int]bool)}
	r.marks = make([]Mark, len(lines(base)))
	for i := range r.marks {
		r.marks[i] = owned(Base)
	}
	return r
}

// Step goes on to the next state, which the writer made.
func (r *Replay) Step(content []byte, w Writer) {
	r.gone = nil
	if bytes.Equal(content, r.content) {
		return
	}
	if w.Person && w.Owner >= 0 {
		r.person[w.Owner] = true
	}
	s := newStep(r, content, w)
	s.match()
	s.reflowed()
	s.moved()
	s.cameBack()
	s.indented()
	s.told()
	s.edits()
	for i := range s.marks {
		if !s.known[i] {
			s.marks[i] = w.mark()
		}
	}
	s.alike()
	if was := r.was(content); was != nil && w.Loose {
		s.marks = was // git brought it back
	}
	r.past = append(r.past, whole{sha256.Sum256(r.content), r.marks})
	if over := len(r.past) - maxPast; over > 0 {
		r.past = slices.Delete(r.past, 0, over)
	}
	r.content, r.marks = content, s.marks
	r.gone = s.deleted
	r.bury(s.deleted...)
}

// was gives who wrote the lines of content when the file was the same before; nil
// where it was not.
func (r *Replay) was(content []byte) []Mark {
	sum := sha256.Sum256(content)
	for _, p := range slices.Backward(r.past) {
		if p.sum == sum {
			return slices.Clone(p.marks)
		}
	}
	return nil
}

func (r *Replay) bury(pieces ...Piece) {
	r.grave = append(r.grave, pieces...)
	if over := len(r.grave) - maxGrave; over > 0 {
		r.grave = slices.Delete(r.grave, 0, over)
	}
}

// Marks gives who wrote each line of content, which was made of the last state
// by the writer: what a commit took of it. The replay stays where it is.
func (r *Replay) Marks(content []byte, w Writer) []Mark {
	c := &Replay{content: r.content, marks: r.marks, grave: slices.Clone(r.grave), person: maps.Clone(r.person), past: slices.Clone(r.past)}
	c.Step(content, w)
	return slices.Clone(c.marks)
}

// Deleted gives the pieces that the last step deleted, for [Replay.Remember] of
// the file that they were moved to.
func (r *Replay) Deleted() []Piece { return r.gone }

// Remember makes pieces of other files known: lines that were moved here keep
// their owners.
func (r *Replay) Remember(pieces []Piece) { r.bury(pieces...) }

// lines cuts content into lines, each with its end.
func lines(content []byte) [][]byte {
	l := bytes.SplitAfter(content, []byte("\n"))
	if len(l[len(l)-1]) == 0 {
		l = l[:len(l)-1]
	}
	return l
}

// hunk is a place where two states differ: old lines From to To gave way to new
// lines At to End, both without the last.
type hunk struct{ from, to, at, end int }

// step is the making of one state from another.
type step struct {
	before, after [][]byte
	old           []Mark
	writer        Writer
	grave         []Piece
	people        map[int]bool

	marks   []Mark // of after
	known   []bool // marks that are settled
	pair    []int  // of after: the line of before that it is, but for white space; or -1
	hunks   []hunk // all places where the states differ
	changed []hunk // those that more than white space makes differ
	deleted []Piece
}

func newStep(r *Replay, content []byte, w Writer) *step {
	after := lines(content)
	return &step{
		before: lines(r.content), after: after, old: r.marks, writer: w, grave: r.grave, people: r.person,
		marks: make([]Mark, len(after)), known: make([]bool, len(after)), pair: slices.Repeat([]int{-1}, len(after)),
	}
}

// match carries owners over to equal lines, and finds the hunks.
func (s *step) match() {
	var h hunk
	open := false
	i, j := 0, 0
	closing := func() {
		if open {
			s.changed = append(s.changed, h)
			if h.to > h.from {
				s.deleted = append(s.deleted, Piece{lines: s.before[h.from:h.to], marks: s.old[h.from:h.to]})
			}
		}
		open = false
	}
	opening := func() {
		if !open {
			h, open = hunk{i, i, j, j}, true
		}
	}
	before, after := bytes.Join(s.before, nil), bytes.Join(s.after, nil)
	for _, e := range textdiff.Edits(before, after, textdiff.IndentHeuristic()) {
		switch e.Op {
		case znkr.Match:
			closing()
			s.settle(j, s.old[i])
			s.pair[j] = i
			i++
			j++
		case znkr.Delete:
			opening()
			i++
			h.to = i
		case znkr.Insert:
			opening()
			j++
			h.end = j
		}
	}
	closing()
	s.hunks = slices.Clone(s.changed)
}

func (s *step) settle(line int, m Mark) {
	s.marks[line], s.known[line] = m, true
}

// Bounds of what counts as the same piece of text somewhere else: lines with
// enough in them to be told from others.
const (
	moveLines  = 2 // telling lines of a piece that moved within one step
	typedLines = 3 // that a writer who types brought back or took from another file
	looseLines = 1 // that came back while nobody was typing
	maxPiece   = 20_000
)

// moved finds pieces that were deleted in this step and inserted elsewhere.
func (s *step) moved() { s.recall(s.deleted, moveLines) }

// cameBack finds pieces that were deleted earlier, or in another file.
func (s *step) cameBack() {
	least := typedLines
	if s.writer.Loose {
		least = looseLines
	}
	s.recall(s.grave, least)
}

// recall gives inserted lines the owners that they had in a deleted piece, the
// youngest first, where at least so many telling lines follow one another.
func (s *step) recall(pieces []Piece, least int) {
	if len(pieces) == 0 {
		return
	}
	wanted := make(map[string]bool)
	for _, h := range s.changed {
		for n := h.at; n < h.end; n++ {
			if !s.known[n] && Telling(s.after[n]) {
				wanted[string(s.after[n])] = true
			}
		}
	}
	for p := len(pieces) - 1; p >= 0 && len(wanted) > 0; p-- {
		piece := pieces[p]
		if len(piece.lines) > maxPiece || !slices.ContainsFunc(piece.lines, func(l []byte) bool { return wanted[string(l)] }) {
			continue
		}
		for _, h := range s.changed {
			s.recallHunk(h, piece, least, wanted)
		}
	}
}

func (s *step) recallHunk(h hunk, piece Piece, least int, wanted map[string]bool) {
	if h.end == h.at {
		return
	}
	var block [][2]int // pairs of lines that follow one another: in the piece, in after
	flush := func() {
		n := 0
		for _, b := range block {
			if Telling(s.after[b[1]]) {
				n++
			}
		}
		if n >= least || n > 0 && len(block) == len(piece.lines) && len(block) == h.end-h.at {
			for _, b := range block {
				if !s.known[b[1]] {
					s.settle(b[1], piece.marks[b[0]])
					delete(wanted, string(s.after[b[1]]))
				}
			}
		}
		block = block[:0]
	}
	last := [2]int{-1, -1}
	for _, pair := range s.anchored(h, piece.lines) {
		if pair[0] != last[0]+1 || pair[1] != last[1]+1 {
			flush()
		}
		block = append(block, pair)
		last = pair
	}
	flush()
}

// anchored pairs lines of a piece with equal lines of a hunk, in order: telling
// lines first, then what stands right before and behind them. A plain difference
// could hold the two together at a blank line.
func (s *step) anchored(h hunk, piece [][]byte) [][2]int {
	var old, now [][]byte
	var from, to []int
	for i, l := range piece {
		if Telling(l) {
			old, from = append(old, l), append(from, i)
		}
	}
	for n := h.at; n < h.end; n++ {
		if Telling(s.after[n]) {
			now, to = append(now, s.after[n]), append(to, n)
		}
	}
	var pairs [][2]int
	i, j := 0, 0
	for _, e := range znkr.EditsFunc(old, now, bytes.Equal) {
		switch e.Op {
		case znkr.Match:
			pairs = s.extend(pairs, h, piece, [2]int{from[i], to[j]})
			i++
			j++
		case znkr.Delete:
			i++
		case znkr.Insert:
			j++
		}
	}
	if n := len(pairs); n > 0 {
		last := pairs[n-1]
		for i, j := last[0]+1, last[1]+1; i < len(piece) && j < h.end && bytes.Equal(piece[i], s.after[j]); i, j = i+1, j+1 {
			pairs = append(pairs, [2]int{i, j})
		}
	}
	return pairs
}

// extend adds a pair of telling lines, and before it the equal lines between
// the last pair and this one: those behind the last, then those before this.
func (s *step) extend(pairs [][2]int, h hunk, piece [][]byte, pair [2]int) [][2]int {
	last := [2]int{-1, h.at - 1}
	if n := len(pairs); n > 0 {
		last = pairs[n-1]
		for i, j := last[0]+1, last[1]+1; i < pair[0] && j < pair[1] && bytes.Equal(piece[i], s.after[j]); i, j = i+1, j+1 {
			pairs = append(pairs, [2]int{i, j})
			last = [2]int{i, j}
		}
	}
	i, j := pair[0], pair[1]
	for i-1 > last[0] && j-1 > last[1] && bytes.Equal(piece[i-1], s.after[j-1]) {
		i, j = i-1, j-1
	}
	for ; i <= pair[0]; i, j = i+1, j+1 {
		pairs = append(pairs, [2]int{i, j})
	}
	return pairs
}

// Telling reports whether a line has enough in it to be told from others: a
// lone bracket or "return err" is everywhere.
func Telling(line []byte) bool {
	letters := 0
	for _, c := range line {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80 {
			letters++
		}
	}
	return letters >= 4 && !common[string(bytes.TrimSpace(line))]
}

// common lines stand in most files.
var common = map[string]bool{
	"return err": true, "return nil": true, "return": true, "else {": true, "} else {": true, "break": true, "break;": true,
	"continue": true, "default:": true, "if err != nil {": true, "return nil, err": true, "import (": true, "pass": true,
	"return true": true, "return false": true, "return;": true, "return null;": true, "return false;": true, "return true;": true,
	"*/": true, "/**": true, "end": true, "else": true, "else:": true, "try {": true, "} catch (e) {": true, "<div>": true, "</div>": true,
}

// reflowed settles the hunks that differ in white space only.
func (s *step) reflowed() {
	s.changed = slices.DeleteFunc(s.changed, s.reflow)
}

// indented settles lines that differ in white space only from a line of
// another hunk, in order.
func (s *step) indented() {
	var old, now [][]byte // squeezed
	var from, to []int
	for _, h := range s.changed {
		for i := h.from; i < h.to; i++ {
			if Telling(s.before[i]) {
				text, _ := squeeze(s.before[i : i+1])
				old, from = append(old, text), append(from, i)
			}
		}
		for n := h.at; n < h.end; n++ {
			if Telling(s.after[n]) && !s.known[n] {
				text, _ := squeeze(s.after[n : n+1])
				now, to = append(now, text), append(to, n)
			}
		}
	}
	// Where every line is indented, brackets that were indented already hold the
	// difference together at the wrong places.
	i, j := 0, 0
	for _, e := range znkr.EditsFunc(old, now, bytes.Equal, znkr.Minimal()) {
		switch e.Op {
		case znkr.Match:
			s.settle(to[j], s.old[from[i]])
			s.pair[to[j]] = from[i]
			i++
			j++
		case znkr.Delete:
			i++
		case znkr.Insert:
			j++
		}
	}
}

// told settles lines that something else tells of. A line that has too little in it
// to be told from others may be whose it tells, and so may those beside a line that
// is told.
func (s *step) told() {
	if s.writer.Told == nil {
		return
	}
	for _, h := range s.changed {
		var by []int
		for n := h.at; n < h.end; n++ {
			if s.known[n] {
				continue
			}
			if m, ok := s.writer.Told(s.after[n]); ok {
				if Telling(s.after[n]) {
					s.settle(n, m)
				}
				by = append(append(by, m.May...), m.Owner)
			}
		}
		by = slices.DeleteFunc(by, func(owner int) bool { return owner < 0 })
		if len(by) == 0 {
			continue
		}
		slices.Sort(by)
		may := slices.Compact(append(by, s.writer.May...))
		for n := h.at; n < h.end; n++ {
			if !s.known[n] && !Telling(s.after[n]) {
				s.settle(n, Mark{Owner: Nobody, Edited: Base, May: may})
			}
		}
	}
}

// edits settles lines that were edited rather than written anew.
func (s *step) edits() {
	for _, h := range s.changed {
		if h.to > h.from && h.end > h.at {
			s.align(h)
		}
	}
}

// reflow handles a hunk that differs in white space only: a formatter, another
// kind of line ends. Each new line takes the owner of the old line that most of
// its characters come from.
func (s *step) reflow(h hunk) bool {
	old, starts := squeeze(s.before[h.from:h.to])
	now, ends := squeeze(s.after[h.at:h.end])
	if !bytes.Equal(old, now) || len(now) == 0 {
		return false
	}
	for n := h.at; n < h.end; n++ {
		from, to := ends[n-h.at], ends[n-h.at+1]
		if s.known[n] || from == to {
			continue
		}
		best, most := -1, 0
		first, _ := slices.BinarySearch(starts, from+1)
		for l := first - 1; l < len(starts)-1 && starts[l] < to; l++ {
			if part := min(to, starts[l+1]) - max(from, starts[l]); part > most {
				best, most = l, part
			}
		}
		s.settle(n, s.old[h.from+best])
		if starts[best] == from && starts[best+1] == to {
			s.pair[n] = h.from + best
		}
	}
	s.blank(h)
	return true
}

// squeeze gives the text of lines without white space, and where in it each
// line begins, and the last ends.
func squeeze(of [][]byte) (text []byte, starts []int) {
	for _, l := range of {
		starts = append(starts, len(text))
		for _, c := range l {
			if !space(c) {
				text = append(text, c)
			}
		}
	}
	return text, append(starts, len(text))
}

func space(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// blank settles lines without any character in a hunk that only changed in
// white space: each takes the owner of an old blank line, in order.
func (s *step) blank(h hunk) {
	i := h.from
	for n := h.at; n < h.end; n++ {
		if s.known[n] {
			continue
		}
		for i < h.to && len(bytes.TrimSpace(s.before[i])) > 0 {
			i++
		}
		if i == h.to {
			return
		}
		s.settle(n, s.old[i])
		i++
	}
}
