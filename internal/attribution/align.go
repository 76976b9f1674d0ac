package attribution

import "bytes"

// Similar is the similarity, between 0 and 1, from which on a new line is an
// edit of an old one: twice the weight of the tokens that both have in the same
// order, by the weight of the tokens of both. Below it the last writer wrote the
// line anew.
const Similar = 0.6

// maxPairs bounds the work of aligning one hunk: old lines times new lines.
// Beyond it only lines that differ in white space are paired.
const maxPairs = 40_000

// maxTokens is how many tokens of a line are compared.
const maxTokens = 200

// align pairs the old and the new lines of a hunk, in order, by similarity, and
// settles what becomes of the new ones.
func (s *step) align(h hunk) {
	old, now := s.before[h.from:h.to], s.after[h.at:h.end]
	pairs := alignment(old, now)
	for n, o := range pairs {
		if o < 0 || s.known[h.at+n] {
			continue
		}
		was := s.old[h.from+o]
		if same(old[o], now[n]) {
			if s.pairUp(h, h.from+o, h.at+n) || Telling(now[n]) {
				s.settle(h.at+n, was)
			}
			continue
		}
		s.settle(h.at+n, s.edited(was))
	}
}

// pairUp says that a new line of a hunk is an old one of it, unless that is another
// one already, or stands on the other side of one: it reports whether it is.
func (s *step) pairUp(h hunk, old, line int) bool {
	for n := h.at; n < h.end; n++ {
		if i := s.pair[n]; i >= 0 && (n < line && i >= old || n > line && i <= old) {
			return false
		}
	}
	s.pair[line] = old
	return true
}

// edited is the mark of a line of somebody that the writer wrote at.
func (s *step) edited(was Mark) Mark {
	w := s.writer
	switch {
	case was.Owner == Base || was.Owner == w.Owner && was.Edited == Base:
		return w.mark()
	case w.Owner == Nobody || was.Owner == Nobody:
		m := w.mark()
		m.Owner = Nobody
		m.May = append(append([]int(nil), w.May...), was.May...)
		for _, o := range []int{was.Owner, w.Owner} {
			if o >= 0 {
				m.May = append(m.May, o)
			}
		}
		return m
	case was.Edited != Base && w.Person:
		return Mark{Owner: was.Owner, Edited: w.Owner}
	case was.Edited != Base:
		return Mark{Owner: w.Owner, Edited: was.Edited}
	case w.Person && !s.people[was.Owner]:
		return Mark{Owner: was.Owner, Edited: w.Owner}
	case !w.Person && s.people[was.Owner]:
		return Mark{Owner: w.Owner, Edited: was.Owner}
	default:
		return w.mark() // of two sessions, or two people, the last
	}
}

// same reports whether two lines differ in white space at most.
func same(a, b []byte) bool {
	i, j := 0, 0
	for {
		for i < len(a) && space(a[i]) {
			i++
		}
		for j < len(b) && space(b[j]) {
			j++
		}
		if i == len(a) || j == len(b) {
			return i == len(a) && j == len(b)
		}
		if a[i] != b[j] {
			return false
		}
		i++
		j++
	}
}

// alignment gives for each new line the old line that it is an edit of, or -1:
// the pairing in order with the greatest similarity in sum.
func alignment(old, now [][]byte) []int {
	pairs := make([]int, len(now))
	for i := range pairs {
		pairs[i] = -1
	}
	if len(old)*len(now) > maxPairs {
		sameInOrder(old, now, pairs)
		return pairs
	}
	a, b := tokenize(old), tokenize(now)
	alike := make([][]float32, len(old))
	for i := range old {
		alike[i] = make([]float32, len(now))
		for j := range now {
			switch {
			case same(old[i], now[j]):
				alike[i][j] = 1.5 // before any edit
				if len(bytes.TrimSpace(old[i])) == 0 {
					alike[i][j] = 0.1
				}
			default:
				if v := similarity(a[i], b[j]); v >= Similar {
					alike[i][j] = float32(v)
				}
			}
		}
	}
	best := make([][]float32, len(old)+1)
	for i := range best {
		best[i] = make([]float32, len(now)+1)
	}
	for i := len(old) - 1; i >= 0; i-- {
		for j := len(now) - 1; j >= 0; j-- {
			best[i][j] = max(best[i+1][j], best[i][j+1])
			if v := alike[i][j]; v > 0 {
				best[i][j] = max(best[i][j], v+best[i+1][j+1])
			}
		}
	}
	for i, j := 0, 0; i < len(old) && j < len(now); {
		switch {
		case alike[i][j] > 0 && best[i][j] == alike[i][j]+best[i+1][j+1]:
			pairs[j] = i
			i++
			j++
		case best[i][j] == best[i+1][j]:
			i++
		default:
			j++
		}
	}
	return pairs
}

// sameInOrder pairs lines that differ in white space only, greedily.
func sameInOrder(old, now [][]byte, pairs []int) {
	at := make(map[string][]int, len(old))
	for i, l := range old {
		text, _ := squeeze([][]byte{l})
		if len(text) > 0 {
			at[string(text)] = append(at[string(text)], i)
		}
	}
	last := -1
	for j, l := range now {
		text, _ := squeeze([][]byte{l})
		for _, i := range at[string(text)] {
			if i > last {
				pairs[j], last = i, i
				break
			}
		}
	}
}

// tokenize cuts lines into words, numbers and single other characters.
func tokenize(of [][]byte) [][]string {
	all := make([][]string, len(of))
	for i, l := range of {
		for at := 0; at < len(l) && len(all[i]) < maxTokens; {
			c := l[at]
			if space(c) {
				at++
				continue
			}
			end := at + 1
			if word(c) {
				for end < len(l) && word(l[end]) {
					end++
				}
			}
			all[i] = append(all[i], string(l[at:end]))
			at = end
		}
	}
	return all
}

func word(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// similarity is twice the weight of what both have in the same order, by the
// weight of both. Words weigh more than what stands between them: two calls have
// the same brackets, whoever wrote them.
func similarity(a, b []string) float64 {
	weigh := func(of []string) (sum int) {
		for _, t := range of {
			sum += weight(t)
		}
		return sum
	}
	wa, wb := weigh(a), weigh(b)
	if wa == 0 || wb == 0 || 2*min(wa, wb) < int(Similar*float64(wa+wb)) {
		return 0 // it can not be reached
	}
	row := make([]int, len(b)+1)
	for i := range a {
		diagonal := 0
		for j := range b {
			up := row[j+1]
			if a[i] == b[j] {
				row[j+1] = diagonal + weight(a[i])
			} else {
				row[j+1] = max(up, row[j])
			}
			diagonal = up
		}
	}
	return 2 * float64(row[len(b)]) / float64(wa+wb)
}

// weight is that of one token.
func weight(token string) int {
	if word(token[0]) {
		return 4
	}
	return 1
}
