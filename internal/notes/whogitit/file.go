package whogitit

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/notes"
)

// owner is to whom a line is given. Lines of one owner make one claim.
type owner struct {
	class      stemma.Class
	confidence float64
}

// nobody stands in an entry for the owner of a line that is not claimed.
const nobody = -1

// entry is what the note says of one line.
type entry struct {
	line  int32
	owner int32 // index into file.owners, or nobody
}

// file collects the entries of one record of files.
type file struct {
	start   int // offset of the record
	path    string
	lines   []entry
	owners  []owner
	byOwner map[owner]int32
}

// label is how a problem names the file. The path may stand behind its lines.
func (f *file) label() string { return cmp.Or(f.path, "files") }

func (d *decoder) readFiles() error {
	d.Peek()
	start := d.Offset()
	isArray, err := d.Array(func() error {
		d.Peek()
		if d.files == maxFiles {
			d.problemAt("files", d.Offset(), "more than %d files; the rest is not read", maxFiles)
		}
		if d.files++; d.files > maxFiles {
			return d.Skip()
		}
		return d.readFile()
	})
	if !isArray && err == nil {
		d.problemAt("files", start, "no array")
	}
	d.found = d.found || isArray
	return err
}

func (d *decoder) readFile() error {
	f := file{start: d.Offset(), byOwner: make(map[owner]int32)}
	isObject, err := d.Object(func(key []byte) (err error) {
		switch string(key) {
		case "path":
			f.path, err = d.Text()
		case "lines":
			_, err = d.Array(func() error { return d.readLine(&f) })
		default:
			err = d.Skip() // the summary counts what the lines say
		}
		return err
	})
	switch {
	case f.path != "":
		d.claim(&f) // before an error, too: what was read stands
	case err != nil:
	case isObject:
		d.problemAt("files", f.start, "a file without a path")
	default:
		d.problemAt("files", f.start, "no object")
	}
	return err
}

// readLine reads one item of lines. Its content is passed over.
func (d *decoder) readLine(f *file) error {
	d.Peek()
	start := d.Offset()
	if d.entries == maxEntries {
		d.problemAt(f.label(), start, "more than %d lines; the rest is not read", maxEntries)
	}
	if d.entries++; d.entries > maxEntries {
		return d.Skip()
	}
	var kind, number, confidence []byte
	isObject, err := d.Object(func(key []byte) (err error) {
		switch string(key) {
		case "line_number":
			number, err = d.Literal()
		case "source":
			_, err = d.Object(func(key []byte) (err error) {
				if string(key) != "type" {
					return d.Skip()
				}
				kind, err = d.Bytes()
				return err
			})
		case "confidence":
			confidence, err = d.Literal()
		default:
			err = d.Skip()
		}
		return err
	})
	if err != nil {
		return err // half a line is none
	}
	if !isObject {
		d.problemAt(f.label(), start, "a line that is no object")
		return nil
	}
	line, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil || line < 1 || line > maxLine {
		d.problemAt(f.label(), start, "line number %q is none", notes.Clip(string(number)))
		return nil
	}
	class, ok := classOf(kind)
	if !ok {
		d.problemAt(f.label(), start, "line %d: source %q is not known", line, notes.Clip(string(kind)))
	}
	e := entry{line: int32(line), owner: nobody}
	if class != "" {
		e.owner = f.owner(owner{class, d.confidence(f, start, confidence)})
	}
	f.lines = append(f.lines, e)
	return nil
}

// classOf gives the class of a source.type, "" where the line is not claimed:
// Original lines were there before the session began, be it in the parent or
// only in the working tree. ok is false for a type that is not known.
func classOf(kind []byte) (class stemma.Class, ok bool) {
	switch string(kind) {
	case "AI":
		return stemma.ClassAI, true
	case "AIModified":
		return stemma.ClassAIEdited, true
	case "Human":
		return stemma.ClassHuman, true
	case "Original", "Unknown":
		return "", true
	default:
		return "", false
	}
}

// confidence reads a number over 0, up to 1. Anything else is 1.
func (d *decoder) confidence(f *file, offset int, raw []byte) float64 {
	if len(raw) == 0 || string(raw) == "null" {
		return 1
	}
	c, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || !(c > 0 && c <= 1) {
		d.problemAt(f.label(), offset, "confidence %q is not between 0 and 1, read as 1", notes.Clip(string(raw)))
		return 1
	}
	return c
}

func (f *file) owner(o owner) int32 {
	i, ok := f.byOwner[o]
	if !ok {
		i = int32(len(f.owners))
		f.byOwner[o] = i
		f.owners = append(f.owners, o)
	}
	return i
}

// claim makes the claims on one file, one for each owner, without overlaps.
func (d *decoder) claim(f *file) {
	switch {
	case len(f.path) > maxPath:
		d.problemAt("files", f.start, "a path of %d bytes", len(f.path))
		return
	case d.paths[f.path]:
		d.problemAt(f.path, f.start, "a second record of this path is not read")
		return
	}
	d.paths[f.path] = true
	ranges := make([][]notes.Range, len(f.owners))
	for _, e := range d.once(f) {
		if e.owner == nobody {
			continue
		}
		of, line := ranges[e.owner], int(e.line)
		if n := len(of); n > 0 && of[n-1].End == line-1 {
			of[n-1].End = line
			continue
		}
		ranges[e.owner] = append(of, notes.Range{Start: line, End: line})
	}
	for i, o := range f.owners {
		if len(ranges[i]) == 0 {
			continue // earlier entries took all of its lines
		}
		session := 0
		if o.class == stemma.ClassHuman {
			session = -1
		} else {
			d.ai = true
		}
		d.evidence.Claims = append(d.evidence.Claims, notes.Claim{
			Path: f.path, Ranges: ranges[i], Class: o.class, Session: session,
			Strength: stemma.Strength{Confidence: o.confidence}, // the rest comes with finish
		})
	}
}

// once gives the entries in the order of their lines, the first of each line.
// whogitit writes them so; other orders and repetitions come from other hands.
func (d *decoder) once(f *file) []entry {
	slices.SortStableFunc(f.lines, func(a, b entry) int { return cmp.Compare(a.line, b.line) })
	kept := f.lines[:0]
	for _, e := range f.lines {
		if n := len(kept); n > 0 && kept[n-1].line == e.line {
			if kept[n-1].owner != e.owner {
				d.problemAt(f.path, f.start, "line %d is given twice, the first holds", e.line)
			}
			continue
		}
		kept = append(kept, e)
	}
	return kept
}
