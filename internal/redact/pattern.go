package redact

import (
	"bytes"
	"regexp"
	"slices"

	ahocorasick "github.com/BobuSumisu/aho-corasick"
)

// Pattern is a rule that finds secrets of one kind by a regular expression. The
// expression is tried only around the rule's keywords.
type Pattern struct {
	Kind string
	Weak bool
	// Keywords, lower-case, of which one is part of every match, or near it.
	Keywords []string
	// Before and After say how many bytes around a keyword are looked at; 0 is
	// for 64 and 512. A match that reaches the end is given more room, up to
	// [MaxSpan].
	Before, After int
	// AtKeyword says that every match begins at a keyword, and that the expression
	// begins with \A: it is tried there and nowhere else, which is much quicker.
	AtKeyword bool
	// Bounded says that nothing of a word stands before the keyword. It is looked
	// at only with AtKeyword.
	Bounded bool
	// Near looks, where it is not nil, at the text that follows a keyword at
	// once, and says whether the expression can match at all.
	Near func(after []byte) bool
	// Regexp gives the expression, and is asked only when it is needed.
	Regexp func() *regexp.Regexp
	// Group is the number of the expression's group that is the secret; 0 is for
	// the first one that is not empty, or all of the match.
	Group int
	// Accept says, where it is not nil, whether a match is to be taken out.
	Accept func(Match) bool
}

// Match is a place where the expression of a pattern matches.
type Match struct {
	Text   []byte // of which the others are parts
	All    []byte // what the expression matched
	Secret []byte // its group
	From   int    // where All begins in Text
	Start  int    // where Secret begins in Text
}

// Name gives what stands before the match without a gap, of the letters that
// names are made of, at most n of them, and where it begins.
func (m Match) Name(n int) (name []byte, from int) {
	from = m.From
	for from > 0 && m.From-from < n && (isWord(m.Text[from-1]) || m.Text[from-1] == '.' || m.Text[from-1] == '-') {
		from--
	}
	return m.Text[from:m.From], from
}

// Line is the text from the start of the first line of the match to the end of
// its last.
func (m Match) Line() []byte {
	start := bytes.LastIndexByte(m.Text[:m.Start], '\n') + 1
	end := m.Start + len(m.Secret)
	if i := bytes.IndexByte(m.Text[end:], '\n'); i >= 0 {
		end += i
	} else {
		end = len(m.Text)
	}
	// A line can be the whole of a document.
	start, end = max(start, m.Start-1024), min(end, m.Start+len(m.Secret)+1024)
	return m.Text[start:end]
}

// MaxSpan bounds the length of a match, bytes.
const MaxSpan = 64 << 10

// Matcher finds the matches of many patterns in one pass for all keywords. It
// may be used at once from several places.
type Matcher struct {
	patterns []Pattern
	trie     *ahocorasick.Trie
	of       [][]int // patterns, by keyword
}

// NewMatcher makes a matcher of the patterns, each of which has a keyword.
func NewMatcher(patterns []Pattern) *Matcher {
	m := &Matcher{patterns: patterns}
	var words []string
	number := make(map[string]int)
	for i, p := range patterns {
		for _, w := range p.Keywords {
			n, known := number[w]
			if !known {
				n = len(words)
				number[w] = n
				words = append(words, w)
				m.of = append(m.of, nil)
			}
			m.of[n] = append(m.of[n], i)
		}
	}
	m.trie = ahocorasick.NewTrieBuilder().AddStrings(words).Build()
	return m
}

// Version implements [Detector].
func (*Matcher) Version() string { return version }

// window is a part of a text that an expression is tried on.
type window struct{ start, end int }

// Find gives what the patterns match.
func (m *Matcher) Find(text []byte) []Span {
	var windows map[int][]window
	m.trie.Walk(lower(text), func(end, n, word int64) bool {
		after := int(end) + 1
		start := after - int(n)
		for _, i := range m.of[word] {
			p := &m.patterns[i]
			if p.Bounded && start > 0 && isWord(text[start-1]) || p.Near != nil && !p.Near(text[after:]) {
				continue
			}
			w := window{max(start-orDefault(p.Before, 64), 0), min(after+orDefault(p.After, 512), len(text))}
			if windows == nil {
				windows = make(map[int][]window)
			}
			known := windows[i]
			if p.AtKeyword {
				w.start = start
				windows[i] = append(known, w)
				continue
			}
			if k := len(known) - 1; k >= 0 && w.start <= known[k].end {
				known[k].end = max(known[k].end, w.end)
				continue
			}
			windows[i] = append(known, w)
		}
		return true
	})
	if windows == nil {
		return nil
	}
	var spans []Span
	for i := range m.patterns {
		p := &m.patterns[i]
		done := 0
		for _, w := range windows[i] {
			if p.AtKeyword && w.start < done {
				continue // within a secret that was found
			}
			before := len(spans)
			if spans = p.find(spans, text, w); len(spans) > before {
				done = spans[len(spans)-1].End
			}
		}
	}
	return spans
}

func orDefault(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// find appends the matches within a window.
func (p *Pattern) find(spans []Span, text []byte, w window) []Span {
	// A window does not begin within a word: it would seem to begin there.
	for limit := w.start - 64; !p.AtKeyword && w.start > 0 && w.start > limit && isWord(text[w.start-1]); {
		w.start--
	}
	re := p.Regexp()
	for w.start < w.end {
		at := re.FindSubmatchIndex(text[w.start:w.end])
		if at == nil {
			return spans
		}
		if w.start+at[1] == w.end && w.end < len(text) && w.end-w.start-at[0] < MaxSpan {
			// The match may go on behind the window.
			w.start += at[0]
			w.end = min(len(text), w.start+2*(w.end-w.start)+64)
			continue
		}
		for i := range at {
			if at[i] >= 0 {
				at[i] += w.start
			}
		}
		start, end := p.group(at)
		if start < end {
			match := Match{Text: text, All: text[at[0]:at[1]], Secret: text[start:end], From: at[0], Start: start}
			if p.Accept == nil || p.Accept(match) {
				spans = append(spans, Span{start, end, p.Kind, p.Weak})
			}
		}
		if p.AtKeyword {
			return spans
		}
		// Behind the secret, not behind the match: what ends one may begin the next.
		w.start = max(end, at[0]+1)
	}
	return spans
}

func (p *Pattern) group(at []int) (start, end int) {
	if p.Group > 0 && 2*p.Group+1 < len(at) {
		return max(at[2*p.Group], 0), max(at[2*p.Group+1], 0)
	}
	for g := 2; g+1 < len(at); g += 2 {
		if at[g] >= 0 && at[g] < at[g+1] {
			return at[g], at[g+1]
		}
	}
	return at[0], at[1]
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

// lower gives a copy with the ASCII letters in lower case. Every byte stays in
// its place, which bytes.ToLower does not promise.
func lower(text []byte) []byte {
	low := slices.Clone(text)
	for i, c := range low {
		if 'A' <= c && c <= 'Z' {
			low[i] = c + 'a' - 'A'
		}
	}
	return low
}

// Assigned is a [Pattern.Near] for expressions that look for a name, at most 20
// letters more, and then a sign of assignment: one of = : > | , ?.
func Assigned(after []byte) bool {
	for _, c := range after[:min(len(after), 26)] {
		switch {
		case c == '=' || c == ':' || c == '>' || c == '|' || c == ',' || c == '?':
			return true
		case isWord(c) || c == '.' || c == '-' || c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '"' || c == '\'' || c == '\\' || c == '`' || c == ']' || c == ')':
		default:
			return false
		}
	}
	return false
}
