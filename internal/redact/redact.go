// Package redact answers "what of this text must not be kept?": it takes secrets
// and personal data out of content before the content is stored anywhere, and
// puts in each place a mark that names only the kind.
//
// Begin with [New] and [Redactor.Text]; [Redactor.JSON] and [Redactor.JSONL] are
// for what agents write, and [Redactor.Stream] for what is too large to hold.
// What is found is counted by kind and then forgotten: no function of this
// package gives a secret back.
//
// Whatever the input, the number of lines stays, JSON stays JSON of the same
// shape, and a second pass changes nothing. What is not covered: numbers of JSON
// (they are untouched), names of people, and what somebody hides on purpose, by
// encoding it or by writing a mark around it.
package redact

import (
	"bytes"
	"maps"
	"slices"
	"strings"
)

// version counts the rules of this package: what it finds and what it lets
// pass. It is raised with every change of that.
const version = "stemma/1"

// Span is a part of a text that is to be taken out: the bytes from Start up to
// End, of a kind such as "github-pat" (lower-case letters, digits, hyphens).
type Span struct {
	Start, End int
	Kind       string
	// Weak says that the kind is a guess: a span of a better known kind that
	// overlaps gives the name.
	Weak bool
}

// Detector finds secrets of some family.
type Detector interface {
	// Version names the detector and the version of its rules, such as
	// "gitleaks/8.30.0".
	Version() string
	// Find gives the spans to take out, in any order; they may overlap. The
	// text may be any bytes. It may be called at once from several places.
	Find(text []byte) []Span
}

// Findings counts what was taken out, by kind.
type Findings map[string]int

// Total is the number of findings of all kinds.
func (f Findings) Total() int {
	n := 0
	for _, c := range f {
		n += c
	}
	return n
}

// Add adds the findings of another text.
func (f Findings) Add(more Findings) {
	for kind, n := range more {
		f[kind] += n
	}
}

// Kinds gives the kinds that were found, sorted.
func (f Findings) Kinds() []string { return slices.Sorted(maps.Keys(f)) }

// Redactor takes secrets and personal data out of content. It may be used at
// once from several places. Make it with [New].
type Redactor struct {
	detectors []Detector
	rules     string
}

// New makes a redactor of the detectors given and of those that this package
// brings: credentials in URLs, headers, assignments and files of configuration,
// private keys, personal data, and strings that look drawn by lot.
func New(more ...Detector) *Redactor {
	r := &Redactor{detectors: append(slices.Clone(more), newCredentials(), privateKeys{}, personal{})}
	names := []string{version}
	for _, d := range more {
		names = append(names, d.Version())
	}
	r.rules = strings.Join(names, " ")
	return r
}

// Rules names the rules that are applied, with their versions. It is kept with
// content, so that one can tell what was looked for when the content came in.
func (r *Redactor) Rules() string { return r.rules }

// Text takes secrets and personal data out of a text, which may be any bytes.
// The number of lines stays. The input is not changed; where nothing is found
// it is given back itself.
func (r *Redactor) Text(text []byte) ([]byte, Findings) {
	found := Findings{}
	return r.text(text, hint{}, found), found
}

// maxRounds bounds how often a text is looked through again because of what was
// replaced in it. One round finds it all and the second finds nothing, except
// in texts made to be difficult.
const maxRounds = 16

func (r *Redactor) text(text []byte, h hint, found Findings) []byte {
	for range maxRounds {
		spans := r.find(text, h)
		if len(spans) == 0 {
			break
		}
		text = replace(text, spans, found)
	}
	return text
}

// hint is what the place of a text in a document says of it.
type hint struct {
	key      string // the name it is the value of
	identity bool   // it is an id, a digest or a signature: drawn by lot, but no secret
	quoted   bool   // it lies within a JSON string of which it must not take the end
}

// find gives the spans to take out, in order, apart from one another and from
// the marks that are in the text already.
func (r *Redactor) find(text []byte, h hint) []Span {
	if len(text) < shortest {
		return nil
	}
	var spans []Span
	for _, d := range r.detectors {
		spans = append(spans, d.Find(text)...)
	}
	if !h.identity {
		spans = append(spans, findEntropy(text)...)
	}
	if named := h.named(text); named != nil {
		from := len(named) - len(text) - 1
		for _, d := range r.detectors {
			for _, s := range d.Find(named) {
				s.Start, s.End = max(s.Start-from, 0), min(s.End-from, len(text))
				if s.Start < s.End {
					spans = append(spans, s)
				}
			}
		}
	}
	return apart(text, spans, h.quoted)
}

// shortest is the length under which nothing is a secret that can be known as
// one by itself.
const shortest = 6

// named gives the text as the value in an assignment to its name, which is what
// many rules look for. It is nil where the text is no single word or has no name.
func (h hint) named(text []byte) []byte {
	if h.key == "" || len(h.key) > 64 || len(text) < 8 || len(text) > 512 || bytes.ContainsAny(text, " \t\r\n\"'") {
		return nil
	}
	named := make([]byte, 0, len(h.key)+len(text)+6)
	named = append(named, '"')
	named = append(named, h.key...)
	named = append(named, `": "`...)
	named = append(named, text...)
	return append(named, '"')
}

// apart puts spans in order, joins those that overlap, cuts them out of marks
// that are in the text already, and trims them of quotes and white space.
func apart(text []byte, spans []Span, quoted bool) []Span {
	if len(spans) == 0 {
		return nil
	}
	slices.SortFunc(spans, func(a, b Span) int {
		if a.Start != b.Start {
			return a.Start - b.Start
		}
		return b.End - a.End
	})
	joined := spans[:1]
	for _, s := range spans[1:] {
		last := &joined[len(joined)-1]
		if s.Start >= last.End {
			joined = append(joined, s)
			continue
		}
		last.End = max(last.End, s.End)
		if last.Weak && !s.Weak {
			last.Kind, last.Weak = s.Kind, false
		}
	}
	marks := findMarks(text)
	var clear []Span
	for _, s := range joined {
		for _, s := range without(s, marks) {
			if quoted {
				s = unquoted(text, s)
			}
			if s = trim(text, s); s.Start < s.End {
				clear = append(clear, s)
			}
		}
	}
	return clear
}

// without cuts the marks out of a span. What is left of one that a mark
// interrupts counts only where it is long enough to be a secret.
func without(s Span, marks []Span) []Span {
	i, _ := slices.BinarySearchFunc(marks, s.Start, func(m Span, at int) int { return m.End - 1 - at })
	if i == len(marks) || marks[i].Start >= s.End {
		return []Span{s}
	}
	var left []Span
	for ; i < len(marks) && marks[i].Start < s.End; i++ {
		if m := marks[i]; m.Start-s.Start >= 8 {
			left = append(left, Span{s.Start, m.Start, s.Kind, s.Weak})
		}
		s.Start = max(s.Start, marks[i].End)
	}
	if s.End-s.Start >= 8 {
		left = append(left, s)
	}
	return left
}

// unquoted ends a span before the first quote in it.
func unquoted(text []byte, s Span) Span {
	if i := bytes.IndexByte(text[s.Start:s.End], '"'); i >= 0 {
		s.End = s.Start + i
	}
	for s.End > s.Start && text[s.End-1] == '\\' {
		s.End--
	}
	if s.Start > 0 && text[s.Start-1] == '\\' && s.Start < s.End {
		s.Start++ // the letter of an escape stays with its backslash
	}
	return s
}

func trim(text []byte, s Span) Span {
	const around = " \t\r\n\"'`"
	for s.Start < s.End && strings.IndexByte(around, text[s.Start]) >= 0 {
		s.Start++
	}
	for s.Start < s.End && strings.IndexByte(around, text[s.End-1]) >= 0 {
		s.End--
	}
	if len(bytes.Trim(text[s.Start:s.End], "\\[]{}()<>,;:=.*-_/|$#@!?&%+~^ \t\r\n\"'`")) == 0 {
		s.End = s.Start // no letter and no digit: nothing to hide
	}
	return s
}

// The marks: "[redacted:" kind "]".
const (
	markOpen  = "[redacted:"
	markClose = ']'
	maxKind   = 64
)

// Mark is what stands in a text for something of a kind that was taken out.
func Mark(kind string) string { return markOpen + kind + string(markClose) }

// findMarks gives the marks that are in a text, in order.
func findMarks(text []byte) []Span {
	var marks []Span
	for at := 0; ; {
		i := bytes.Index(text[at:], []byte(markOpen))
		if i < 0 {
			return marks
		}
		start := at + i
		end := start + len(markOpen)
		for end < len(text) && end < start+len(markOpen)+maxKind && isKind(text[end]) {
			end++
		}
		at = end
		if end < len(text) && text[end] == markClose && end > start+len(markOpen) {
			at = end + 1
			marks = append(marks, Span{Start: start, End: at})
		}
	}
}

func isKind(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '#'
}

// isMarks reports whether a text is nothing but marks.
func isMarks(text []byte) bool {
	at := 0
	for _, m := range findMarks(text) {
		if len(bytes.TrimSpace(text[at:m.Start])) > 0 {
			return false
		}
		at = m.End
	}
	return at > 0 && len(bytes.TrimSpace(text[at:])) == 0
}

// replace puts marks in the place of the spans, which are in order and apart.
func replace(text []byte, spans []Span, found Findings) []byte {
	out := make([]byte, 0, len(text)+16*len(spans))
	at := 0
	for _, s := range spans {
		out = append(out, text[at:s.Start]...)
		out = appendMark(out, text[s.Start:s.End], s.Kind)
		at = s.End
		found[s.Kind]++
	}
	return append(out, text[at:]...)
}

// appendMark appends the mark for what is taken out: one on each line of it that
// is not empty, so that the number of lines stays.
func appendMark(out, taken []byte, kind string) []byte {
	for first := true; ; first = false {
		line, rest, more := bytes.Cut(taken, []byte("\n"))
		if first || len(bytes.TrimSpace(line)) > 0 {
			out = append(out, Mark(kind)...)
		}
		if !more {
			return out
		}
		if bytes.HasSuffix(line, []byte("\r")) {
			out = append(out, '\r')
		}
		out = append(out, '\n')
		taken = rest
	}
}
