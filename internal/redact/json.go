package redact

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON takes secrets and personal data out of a JSON value (RFC 8259): out of
// its strings as they read without their escapes, also where a string holds a
// JSON document itself, and out of the names of members. The value of a member
// whose name says that it is secret ("password", "github_token") is taken out
// whatever it is. The shape stays, and so do numbers and all bytes outside of
// what is taken out. Input that is no JSON is taken for text.
func (r *Redactor) JSON(doc []byte) ([]byte, Findings) {
	found := Findings{}
	return r.json(doc, found), found
}

// JSONL takes secrets and personal data out of a document of one JSON value a
// line. A line that is no JSON is taken for text; where there is one, what
// spans lines is looked for as well.
func (r *Redactor) JSONL(doc []byte) ([]byte, Findings) {
	found := Findings{}
	var out []byte
	var broken []byte // lines in a row that are no JSON
	flush := func() {
		if len(broken) > 0 {
			out = append(out, r.text(broken, hint{}, found)...)
			broken = broken[:0]
		}
	}
	for line := range bytes.Lines(doc) {
		if !json.Valid(line) {
			broken = append(broken, line...)
			continue
		}
		flush()
		out = append(out, r.json(line, found)...)
	}
	flush()
	return out, found
}

// maxNesting bounds how deep JSON in strings of JSON is followed.
const maxNesting = 8

func (r *Redactor) json(doc []byte, found Findings) []byte {
	if !json.Valid(doc) {
		return r.text(doc, hint{}, found)
	}
	w := &walk{r: r, src: doc, found: found}
	w.value(0, member{})
	return w.applied()
}

// edit replaces a part of a document by a text.
type edit struct {
	start, end int
	text       []byte
}

// walk goes through a JSON document that is known to be valid, and notes what
// is to be replaced.
type walk struct {
	r       *Redactor
	src     []byte
	found   Findings
	edits   []edit
	nesting int
}

func (w *walk) applied() []byte {
	if len(w.edits) == 0 {
		return w.src
	}
	out := make([]byte, 0, len(w.src)+16*len(w.edits))
	at := 0
	for _, e := range w.edits {
		out = append(out, w.src[at:e.start]...)
		out = append(out, e.text...)
		at = e.end
	}
	return append(out, w.src[at:]...)
}

// value goes through the value that begins at or behind i and gives where it ends.
func (w *walk) value(i int, of member) int {
	i = w.space(i)
	switch w.src[i] {
	case '{':
		return w.object(i + 1)
	case '[':
		for i = w.space(i + 1); w.src[i] != ']'; {
			i = w.space(w.value(i, of))
			if w.src[i] == ',' {
				i++
			}
		}
		return i + 1
	case '"':
		end := w.closing(i)
		w.text(i+1, end-1, of)
		return end
	default: // a number, true, false or null
		for i < len(w.src) && bytes.IndexByte([]byte(",]} \t\r\n"), w.src[i]) < 0 {
			i++
		}
		return i
	}
}

// object goes through the members of an object.
func (w *walk) object(i int) int {
	var pair named
	var names map[string]int
	for i = w.space(i); w.src[i] != '}'; {
		end := w.closing(i)
		raw := w.src[i+1 : end-1]
		name := raw
		if bytes.IndexByte(raw, '\\') >= 0 {
			name, _ = unescape(raw, false)
		}
		of := memberOf(name)
		if n := len(w.edits); len(name) >= shortest {
			w.text(i+1, end-1, member{identity: true})
			names = w.distinct(n, i+1, end-1, names)
		}
		i = w.space(w.space(end) + 1) // behind the colon
		before := len(w.edits)
		start := i
		i = w.value(i, of)
		pair.see(w, string(name), start, i, before)
		if i = w.space(i); w.src[i] == ',' {
			i = w.space(i + 1)
		}
	}
	return i + 1
}

// distinct keeps names apart that became the same by what was taken out.
func (w *walk) distinct(n, start, end int, names map[string]int) map[string]int {
	if len(w.edits) == n {
		return names
	}
	inner := walk{src: w.src[start:end]}
	for _, e := range w.edits[n:] {
		inner.edits = append(inner.edits, edit{e.start - start, e.end - start, e.text})
	}
	name := string(inner.applied())
	if names == nil {
		names = make(map[string]int)
	}
	names[name]++
	if count := names[name]; count > 1 {
		last := &w.edits[len(w.edits)-1]
		last.text = append(bytes.TrimSuffix(last.text, []byte{markClose}), "#"+strconv.Itoa(count)...)
		last.text = append(last.text, markClose)
	}
	return names
}

// named is an object that holds a name and a value beside each other, as the
// headers of a request are written: {"name": "Authorization", "value": "..."}.
type named struct {
	of         member
	start, end int // of the value's string, without quotes
	from       int // its edits
	has        bool
}

func (p *named) see(w *walk, name string, start, end, before int) {
	if w.src[start] != '"' {
		return
	}
	switch lowerString(name) {
	case "name", "key", "header":
		text, _ := unescape(w.src[start+1:end-1], false)
		p.of = memberOf(text)
	case "value":
		p.start, p.end, p.from, p.has = start+1, end-1, before, true
	default:
		return
	}
	if p.of.secret == "" || !p.has {
		return
	}
	// The edits of the value are replaced by one of all of it.
	after := w.edits[p.from:]
	for len(after) > 0 && after[0].end <= p.end {
		after = after[1:]
	}
	later := append([]edit{}, after...)
	w.edits = w.edits[:p.from]
	w.text(p.start, p.end, p.of)
	w.edits = append(w.edits, later...)
	p.has = false
}

func (w *walk) space(i int) int {
	for i < len(w.src) && (w.src[i] == ' ' || w.src[i] == '\n' || w.src[i] == '\t' || w.src[i] == '\r') {
		i++
	}
	return i
}

// closing gives the place behind the string that begins at i.
func (w *walk) closing(i int) int {
	for i++; ; i++ {
		switch w.src[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// text looks through the string between start and end, which are within its
// quotes, and notes what to replace in it.
func (w *walk) text(start, end int, of member) {
	raw := w.src[start:end]
	if len(raw) == 0 {
		return
	}
	edits := w.r.stringEdits(raw, of, w.nesting, w.found)
	for _, e := range edits {
		w.edits = append(w.edits, edit{start + e.start, start + e.end, e.text})
	}
}

// stringEdits gives what to replace in the inside of a JSON string, in places of
// its raw form and as raw form.
func (r *Redactor) stringEdits(raw []byte, of member, nesting int, found Findings) []edit {
	text := raw
	escaped := bytes.IndexByte(raw, '\\') >= 0
	if escaped {
		text, _ = unescape(raw, false)
	}
	if of.secret != "" && !isPlaceholder(text) {
		found[of.secret]++
		return []edit{{0, len(raw), quote(appendMark(nil, text, of.secret))}}
	}
	var edits []edit
	if inner := bytes.TrimSpace(text); nesting < maxNesting && len(inner) > 2 && (inner[0] == '{' || inner[0] == '[') && json.Valid(text) {
		w := &walk{r: r, src: text, found: found, nesting: nesting + 1}
		w.value(0, of)
		edits = w.edits
	} else {
		edits = r.rounds(text, hint{key: of.name, identity: of.identity}, found)
	}
	if len(edits) == 0 || !escaped {
		for i := range edits {
			edits[i].text = quote(edits[i].text)
		}
		return edits
	}
	_, places := unescape(raw, true)
	for i, e := range edits {
		edits[i] = edit{places[e.start], places[e.end], quote(e.text)}
	}
	return edits
}

// rounds gives what to replace in a text so that a second pass finds nothing.
func (r *Redactor) rounds(text []byte, h hint, found Findings) []edit {
	spans := r.find(text, h)
	if len(spans) == 0 {
		return nil
	}
	edits := make([]edit, len(spans))
	for i, s := range spans {
		edits[i] = edit{s.Start, s.End, appendMark(nil, text[s.Start:s.End], s.Kind)}
	}
	once := replace(text, spans, found)
	counted := found.Total()
	again := r.text(once, h, found)
	if found.Total() == counted {
		return edits
	}
	// What was replaced let something else be seen: all of it is one edit.
	return []edit{{0, len(text), again}}
}

// unescape gives the text that the inside of a JSON string stands for, and where
// each byte of it, and its end, comes from. Half of a surrogate pair becomes
// U+FFFD, as in encoding/json.
func unescape(raw []byte, wantPlaces bool) (text []byte, places []int) {
	text = make([]byte, 0, len(raw))
	if wantPlaces {
		places = make([]int, 0, len(raw)+1)
	}
	for i := 0; i < len(raw); {
		from, length := i, len(text)
		if raw[i] != '\\' || i+1 >= len(raw) {
			text = append(text, raw[i])
			i++
		} else {
			i += 2
			switch c := raw[i-1]; c {
			case 'n':
				text = append(text, '\n')
			case 't':
				text = append(text, '\t')
			case 'r':
				text = append(text, '\r')
			case 'b':
				text = append(text, '\b')
			case 'f':
				text = append(text, '\f')
			case 'u':
				u := hex4(raw, i)
				i = min(i+4, len(raw))
				if utf16.IsSurrogate(u) {
					low := rune(-1)
					if i+1 < len(raw) && raw[i] == '\\' && raw[i+1] == 'u' {
						low = hex4(raw, i+2)
					}
					if u = utf16.DecodeRune(u, low); u != utf8.RuneError {
						i += 6
					}
				}
				text = utf8.AppendRune(text, u)
			default:
				text = append(text, c)
			}
		}
		if wantPlaces {
			for range len(text) - length {
				places = append(places, from)
			}
		}
	}
	if wantPlaces {
		places = append(places, len(raw))
	}
	return text, places
}

func hex4(raw []byte, i int) rune {
	if i+4 > len(raw) {
		return -1
	}
	n, err := strconv.ParseUint(string(raw[i:i+4]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}

// quote gives a text as the inside of a JSON string. Bytes that are no UTF-8
// stay as they are: they came from the document.
func quote(text []byte) []byte {
	out := make([]byte, 0, len(text)+8)
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c == '\n':
			out = append(out, '\\', 'n')
		case c == '\r':
			out = append(out, '\\', 'r')
		case c == '\t':
			out = append(out, '\\', 't')
		case c < 0x20:
			out = append(out, '\\', 'u', '0', '0', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		default:
			out = append(out, c)
		}
	}
	return out
}
