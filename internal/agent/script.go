package agent

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stemma-dev/stemma"
)

// Script is what was said in a session, prompts and answers, as one text to be
// searched. It is content: where it is kept, it is kept in the vault.
type Script struct {
	Session string // key of the session's node
	Of      string // what it was made from, such as the reference of content
	Parts   []ScriptPart
	// Text is the texts of all parts, one after the other.
	Text string
}

// ScriptPart is one prompt or answer.
type ScriptPart struct {
	Turn   int
	Answer bool
	Length int // bytes of the text
}

// ScriptOf gives the script of a session.
func ScriptOf(s *Session, of string) Script {
	script := Script{Session: s.Key(), Of: of}
	var text strings.Builder
	for _, turn := range s.Turns {
		for i, part := range []*Text{turn.Prompt, turn.Answer} {
			if part != nil && part.Text != "" {
				script.Parts = append(script.Parts, ScriptPart{turn.Index, i == 1, len(part.Text)})
				text.WriteString(part.Text)
			}
		}
	}
	script.Text = text.String()
	return script
}

// Found is a place in a script.
type Found struct {
	Turn   int    `json:"turn"`
	Answer bool   `json:"answer"` // else in the prompt
	Words  string `json:"words"`  // what was looked for
	Near   string `json:"near"`   // the text around it
}

// Searcher looks for words in scripts, whatever the case of their letters. It is
// not for several goroutines at once.
type Searcher struct {
	words  []string // in lower case
	ascii  []bool
	folded []byte // the script that is looked at
}

// NewSearcher looks for words; each may be several words with spaces between.
func NewSearcher(words []string) *Searcher {
	s := &Searcher{}
	for _, w := range words {
		w = strings.Map(fold, w)
		s.words = append(s.words, w)
		s.ascii = append(s.ascii, !strings.ContainsFunc(w, func(r rune) bool { return r >= utf8.RuneSelf }))
	}
	return s
}

// Find gives the first place of each of the words that are wanted, and false
// where one of them is nowhere in the script.
func (s *Searcher) Find(script Script, wanted func(i int) bool) ([]Found, bool) {
	var found []Found
	s.folded = s.folded[:0]
	for i := range s.words {
		if !wanted(i) {
			continue
		}
		f, ok := s.first(script, i)
		if !ok {
			return nil, false
		}
		found = append(found, f)
	}
	return found, true
}

// first gives the first place of a word, which is within one part.
func (s *Searcher) first(script Script, i int) (Found, bool) {
	word := []byte(s.words[i])
	if s.ascii[i] {
		if len(s.folded) == 0 {
			s.folded = foldASCII(s.folded, script.Text)
		}
		if !bytes.Contains(s.folded, word) {
			return Found{}, false
		}
	}
	at := 0
	for _, p := range script.Parts {
		text := script.Text[at : at+p.Length]
		n := -1
		if s.ascii[i] {
			n = bytes.Index(s.folded[at:at+p.Length], word)
		} else {
			n = indexFolded(text, s.words[i])
		}
		if n >= 0 {
			return Found{Turn: p.Turn, Answer: p.Answer, Words: s.words[i], Near: around(text, n, len(word))}, true
		}
		at += p.Length
	}
	return Found{}, false
}

// fold is what a letter is compared as: words may stand in several lines.
func fold(r rune) rune {
	if r == '\n' || r == '\t' || r == '\r' {
		return ' '
	}
	return unicode.ToLower(r)
}

// foldASCII folds the letters of ASCII, and leaves all others: what is looked for
// has none. Most of what is searched is folded by it.
func foldASCII(to []byte, text string) []byte {
	for _, c := range []byte(text) {
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c == '\n' || c == '\t' || c == '\r':
			c = ' '
		}
		to = append(to, c)
	}
	return to
}

// indexFolded is strings.Index of what is folded. A letter and its lower case may
// have other lengths, so that runes are counted.
func indexFolded(text, word string) int {
	folded := strings.Map(fold, text)
	n := strings.Index(folded, word)
	if n <= 0 {
		return n
	}
	runes := utf8.RuneCountInString(folded[:n])
	for at := range text {
		if runes == 0 {
			return at
		}
		runes--
	}
	return len(text)
}

// nearBytes is how much of a text is shown on each side of what was found.
const nearBytes = 48

// around gives the text around a place, on one line.
func around(text string, at, length int) string {
	from, to := max(0, at-nearBytes), min(len(text), at+length+nearBytes)
	for from > 0 && !utf8.RuneStart(text[from]) {
		from--
	}
	for to < len(text) && !utf8.RuneStart(text[to]) {
		to++
	}
	near := strings.Join(strings.Fields(text[from:to]), " ")
	if from > 0 {
		near = "…" + near
	}
	if to < len(text) {
		near += "…"
	}
	return near
}

// AppendScript encodes a script, after others.
func AppendScript(to []byte, s Script) []byte {
	word := func(text string) {
		to = binary.AppendUvarint(to, uint64(len(text)))
		to = append(to, text...)
	}
	word(s.Session)
	word(s.Of)
	to = binary.AppendUvarint(to, uint64(len(s.Parts)))
	for _, p := range s.Parts {
		to = binary.AppendUvarint(to, uint64(p.Turn)<<1|uint64(b2i(p.Answer)))
		to = binary.AppendUvarint(to, uint64(p.Length))
	}
	word(s.Text)
	return to
}

// Scripts decodes what [AppendScript] encoded. The error is of the kind
// stemma.ErrInvalid.
func Scripts(data string) ([]Script, error) {
	var all []Script
	whole := len(data)
	bad := func(what string) ([]Script, error) {
		return nil, fmt.Errorf("script %d, byte %d: %s: %w", len(all), whole-len(data), what, stemma.ErrInvalid)
	}
	number := func() (uint64, bool) {
		n, size := binary.Uvarint([]byte(data[:min(len(data), binary.MaxVarintLen64)]))
		if size <= 0 {
			return 0, false
		}
		data = data[size:]
		return n, true
	}
	word := func() (string, bool) {
		n, ok := number()
		if !ok || n > uint64(len(data)) {
			return "", false
		}
		text := data[:n]
		data = data[n:]
		return text, true
	}
	for len(data) > 0 {
		var s Script
		var ok1, ok2 bool
		if s.Session, ok1 = word(); ok1 {
			s.Of, ok2 = word()
		}
		n, ok := number()
		if !ok1 || !ok2 || !ok || n > uint64(len(data)) {
			return bad("no script begins here")
		}
		total := uint64(0)
		for range n {
			turn, ok1 := number()
			length, ok2 := number()
			if !ok1 || !ok2 || turn>>1 > 1<<31 || length > uint64(whole) {
				return bad("a part without its place")
			}
			total += length
			s.Parts = append(s.Parts, ScriptPart{int(turn >> 1), turn&1 == 1, int(length)})
		}
		if s.Text, ok = word(); !ok || total != uint64(len(s.Text)) {
			return bad("the parts are not the text")
		}
		all = append(all, s)
	}
	return all, nil
}
