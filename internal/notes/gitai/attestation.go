package gitai

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/notes"
)

// owner is whom a key of the attestation section stands for. It is comparable:
// entries of one owner make one claim.
type owner struct {
	class   stemma.Class
	session int    // index, or -1
	person  string // key of a person, or ""
	method  string
}

// span is the lines that one entry gives to an owner.
type span struct {
	start, end int
	entry      int // a later entry of a file holds against an earlier one
	owner      int // index into file.owners
}

// file collects the entries of one path.
type file struct {
	path    string
	entries int
	owners  []owner
	spans   []span
}

// attestations reads the first section and gives the number of entries that
// could be read.
func (d *decoder) attestations(b []byte) (entries int) {
	var (
		current *file
		order   []*file
		byPath  = make(map[string]*file)
		lines   = 0 // entries, readable or not
		spans   = 0
		full    = false
	)
	for pos := 0; pos < len(b) && !full; {
		line, next := cutLine(b, pos)
		entry, isEntry := bytes.CutPrefix(line, []byte("  "))
		switch {
		case len(line) == 0:
		case !isEntry:
			var path string
			path, next = d.path(b, pos, line, next)
			switch {
			case len(path) > maxPath:
				d.problemAt("attestations", pos, "a path of %d bytes", len(path))
				current = &file{} // its entries are read, and forgotten
			case byPath[path] != nil:
				d.problemAt(path, pos, "a second block for this path, read as part of the first")
				current = byPath[path]
			case len(order) == maxFiles:
				d.problemAt("attestations", pos, "more than %d files; the rest is not read", maxFiles)
				full = true
			default:
				current = &file{path: path}
				byPath[path] = current
				order = append(order, current)
			}
		case current == nil:
			d.problemAt("attestations", pos, "an entry before the first path")
		case lines == maxEntries || spans >= maxRanges:
			d.problemAt(current.path, pos, "more than %d entries or %d ranges; the rest is not read", maxEntries, maxRanges)
			full = true
		default:
			before := len(current.spans)
			if d.entry(current, entry, pos+2, maxRanges-spans) {
				entries++
			}
			spans += len(current.spans) - before
			lines++
		}
		pos = next
	}
	for _, f := range order {
		d.claim(f)
	}
	return entries
}

// cutLine gives the line at pos without its end and trailing white space, which
// git-ai ignores, and where the next begins.
func cutLine(b []byte, pos int) (line []byte, next int) {
	line, next = b[pos:], len(b)
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line, next = line[:i], pos+i+1
	}
	return bytes.TrimRight(line, " \t\r"), next
}

// path reads a line with a path. A path is quoted when it holds white space,
// without any escapes; one with a line feed then goes over several lines, which
// git-ai writes and cannot read back. A quote that nothing closes is part of
// the name.
func (d *decoder) path(b []byte, pos int, line []byte, next int) (string, int) {
	if line[0] != '"' || d.unclosed == maxUnclosed {
		return string(line), next
	}
	if len(line) > 1 && line[len(line)-1] == '"' {
		return string(line[1 : len(line)-1]), next
	}
	at := next
	for range maxPathLines {
		if at >= len(b) || at-pos > maxPath {
			break
		}
		more, after := cutLine(b, at)
		if bytes.HasPrefix(more, []byte("  ")) {
			return string(line), next // an entry
		}
		if len(more) > 0 && more[len(more)-1] == '"' {
			return string(b[pos+1 : at+len(more)-1]), after
		}
		at = after
	}
	// Looking ahead from every line would take long in a note of quotes alone.
	if d.unclosed++; d.unclosed == maxUnclosed {
		d.problemAt("attestations", pos, "%d quotes that are not closed; from here on they are part of the names", maxUnclosed)
	}
	return string(line), next
}

// entry reads "<key> <ranges>" into f, at most room ranges of it.
func (d *decoder) entry(f *file, line []byte, offset, room int) bool {
	key, ranges, ok := bytes.Cut(line, []byte(" "))
	if !ok || len(key) == 0 {
		d.problemAt(f.path, offset, "an entry without lines")
		return false
	}
	if len(key) > maxID {
		d.problemAt(f.path, offset, "a key of %d bytes", len(key))
		return false
	}
	f.entries++
	offset += len(key) + 1
	who := -1
	for n := 0; len(ranges) > 0; n++ {
		if n == room {
			d.problemAt(f.path, offset, "more than %d ranges; the rest of the entry is not read", maxRanges)
			break
		}
		part, rest, _ := bytes.Cut(ranges, []byte(","))
		start, end, reason := readRange(part)
		if reason != "" {
			d.problemAt(f.path, offset, "range %q %s", notes.Clip(string(part)), reason)
		}
		if end > 0 {
			if who < 0 {
				o, ok := d.ownerOf(key)
				if !ok {
					d.problemAt(f.path, offset-len(key)-1, "key %q is of no known kind", notes.Clip(string(key)))
					return false
				}
				who = f.owner(o)
			}
			f.spans = append(f.spans, span{start: start, end: end, entry: f.entries, owner: who})
		}
		offset += len(part) + 1
		ranges = rest
	}
	return who >= 0
}

// ownerOf tells whom a key stands for, by its prefix as the specification says
// (section 1.2.3.1), and by the keys that real notes have beside those. It
// gives false for a key that neither the note explains nor git-ai can have made.
func (d *decoder) ownerOf(key []byte) (owner, bool) {
	switch {
	case bytes.HasPrefix(key, []byte("h_")):
		// A trace may follow, as it does with sessions: the migration notes of
		// git-ai 1.4 announce it.
		person, _, _ := bytes.Cut(key, []byte("::"))
		return owner{class: stemma.ClassHuman, session: -1, person: string(person), method: methodNote}, true
	case string(key) == "human":
		return owner{class: stemma.ClassHuman, session: -1, method: methodHuman}, true
	case string(key) == "ai_agent":
		return owner{class: stemma.ClassAI, session: -1, method: methodNote}, true
	case bytes.HasPrefix(key, []byte("s_")):
		key, _, _ = bytes.Cut(key, []byte("::"))
	default:
		if _, explained := d.byKey[string(key)]; !explained && !digest(key) {
			return owner{}, false
		}
	}
	return owner{class: stemma.ClassAI, session: d.session(key), method: methodNote}, true
}

// digest reports whether a key without prefix may be git-ai's: hex digits, or
// a UUID.
func digest(key []byte) bool {
	return len(key) >= 7 && len(bytes.Trim(key, "0123456789abcdef-")) == 0
}

func (f *file) owner(o owner) int {
	// The last ones first: entries of one session follow each other.
	for i := len(f.owners) - 1; i >= max(0, len(f.owners)-256); i-- {
		if f.owners[i] == o {
			return i
		}
	}
	f.owners = append(f.owners, o)
	return len(f.owners) - 1
}

// readRange reads "n" or "n-m". Where it is damaged, reason says how; end is 0
// where no line of it can be used.
func readRange(b []byte) (start, end int, reason string) {
	first, last, isRange := bytes.Cut(b, []byte("-"))
	start, ok := readLine(first)
	if !ok {
		return 0, 0, "is no range of lines"
	}
	end = start
	if isRange {
		if end, ok = readLine(last); !ok {
			return 0, 0, "is no range of lines"
		}
	}
	switch {
	case end == 0:
		return 0, 0, "has no lines: they are counted from 1"
	case start > end:
		return 0, 0, "is reversed"
	case start == 0:
		return 1, end, "begins at 0, read from 1 on"
	default:
		return start, end, ""
	}
}

func readLine(b []byte) (int, bool) {
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n = n*10 + int64(c-'0'); n > maxLine {
			return 0, false
		}
	}
	return int(n), len(b) > 0
}

// claim makes the claims on one file, one for each owner, without overlaps.
func (d *decoder) claim(f *file) {
	if len(f.spans) == 0 {
		return
	}
	ranges := make([][]notes.Range, len(f.owners))
	for _, s := range flatten(f.spans) {
		of := ranges[s.owner]
		if n := len(of); n > 0 && of[n-1].End == s.start-1 {
			of[n-1].End = s.end
			continue
		}
		ranges[s.owner] = append(of, notes.Range{Start: s.start, End: s.end})
	}
	for i, o := range f.owners {
		if len(ranges[i]) == 0 {
			continue // later entries took all of its lines
		}
		if o.session >= 0 {
			d.claimed[o.session] = true
		}
		strength := declared(o.method)
		if o.method == methodHuman || o.method == methodBlob && o.class == stemma.ClassHuman {
			strength = inferredHuman(o.method)
		}
		d.evidence.Claims = append(d.evidence.Claims, notes.Claim{
			Path: f.path, Ranges: ranges[i], Class: o.class, Session: o.session, Person: o.person, Strength: strength,
		})
	}
}

// flatten gives spans in the order of their lines, none of which is in two of
// them: the one of the later entry holds. It changes its argument.
func flatten(spans []span) []span {
	slices.SortStableFunc(spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	clean := true
	for i := 1; i < len(spans) && clean; i++ {
		clean = spans[i].start > spans[i-1].end
	}
	if clean {
		return spans
	}
	// A sweep over the lines, with all spans that reach the current one in a
	// heap, the latest entry on top.
	var (
		open latest
		flat = make([]span, 0, len(spans))
		line = 1 // the first line that is not decided yet
	)
	for i := 0; i < len(spans) || len(open) > 0; {
		if len(open) == 0 {
			line = max(line, spans[i].start)
		}
		for i < len(spans) && spans[i].start <= line {
			open.push(spans[i])
			i++
		}
		for len(open) > 0 && open[0].end < line {
			open.pop()
		}
		if len(open) == 0 {
			continue
		}
		end := open[0].end
		if i < len(spans) {
			end = min(end, spans[i].start-1)
		}
		flat = append(flat, span{start: line, end: end, entry: open[0].entry, owner: open[0].owner})
		line = end + 1
	}
	return flat
}

// latest is a heap of spans, that of the latest entry first.
type latest []span

func (h *latest) push(s span) {
	*h = append(*h, s)
	a := *h
	for i := len(a) - 1; i > 0; {
		up := (i - 1) / 2
		if a[up].entry >= a[i].entry {
			return
		}
		a[up], a[i] = a[i], a[up]
		i = up
	}
}

func (h *latest) pop() {
	a := *h
	n := len(a) - 1
	a[0] = a[n]
	*h = a[:n]
	for i := 0; ; {
		big := 2*i + 1
		if big >= n {
			return
		}
		if big+1 < n && a[big+1].entry > a[big].entry {
			big++
		}
		if a[i].entry >= a[big].entry {
			return
		}
		a[i], a[big] = a[big], a[i]
		i = big
	}
}
