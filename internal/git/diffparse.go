package git

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// LineRange is a run of lines, 1-based, inclusive.
type LineRange struct{ Start, End int }

// FileDiff is what a commit did to one file.
type FileDiff struct {
	Path    string // after the commit; of a deleted file: before it
	OldPath string // of a renamed file; else ""
	// Status is 'A', 'D', 'M', 'R', or 'T' where a file became a link or so.
	Status  byte
	Added   int // lines the commit added: the lines of Ranges
	Deleted int // lines it took away; of a merge: that every parent had
	// Binary and submodule changes have no lines.
	Binary    bool
	Submodule bool
	Ranges    []LineRange // the added lines in the file after the commit, sorted, apart

	// Old and New are the ids of the file's blobs before and after the commit,
	// "" where it has none there, and of a pure rename. A merge has no Old.
	Old, New string
	// Hunks are the lines themselves, in order; only Patches gives them.
	Hunks []Hunk
}

// diffEntry is one commit in the output of diff-tree.
type diffEntry struct {
	id      string
	parents []string
	files   []FileDiff
	// renamed says that a merge has a file which some parent has not under this
	// name, so that only a search for renames finds what it differs from.
	renamed bool
	blobs   []string // that the raw lines name, in a pass that asks for those
	excess  string   // why the entry was cut off, "" if it was not
	lines   int      // in hunks
	hunk    Hunk     // that is being read
}

// The limits of one commit. What is over them is not counted, and the commit
// says so: nothing is short without a word.
const (
	maxDiffLine   = 1 << 20 // of a line that is not content
	maxDiffWeight = 1 << 29 // bytes of paths and ranges of one commit
	maxLineNumber = math.MaxInt32
)

// diffParser reads the output of diff-tree --stdin with patches: content is
// passed over as it comes, and only counted, however long its lines are.
type diffParser struct {
	r      *bufio.Reader
	hexLen int
	offset int64

	cur    *diffEntry
	file   *FileDiff // within cur; nil before the first
	submod map[string]bool
	inFile bool // the next line may be a hunk
	// wantBlobs collects the ids of raw lines.
	wantBlobs bool
	wantLines bool // fills Hunks
	weight    int
	limit     int // of weight
	sum       lineSum
}

func newDiffParser(r *bufio.Reader, hexLen int) *diffParser {
	return &diffParser{r: r, hexLen: hexLen, limit: maxDiffWeight}
}

// header begins each commit: a NUL, which no line of git's own begins with,
// the id and the parents.
const diffHeader = "tformat:%x00%H %P"

// read hands on each commit that is complete, until the line end, which the
// process echoes. An error leaves the commit it came from out.
func (p *diffParser) read(end string, deliver func(*diffEntry) error) error {
	p.cur = nil
	for {
		line, err := p.line()
		if err != nil {
			return err
		}
		switch {
		case len(line) == 0:
		case string(line) == end:
			return p.finish(deliver)
		case line[0] == 0:
			if err := p.finish(deliver); err != nil {
				return err
			}
			if err := p.begin(line[1:]); err != nil {
				return err
			}
		case p.cur == nil:
			return p.fail("no commit yet")
		default:
			if err := p.entry(line); err != nil {
				return err
			}
		}
	}
}

func (p *diffParser) finish(deliver func(*diffEntry) error) error {
	e := p.cur
	if e == nil {
		return nil
	}
	p.endFile()
	p.cur, p.file, p.inFile, p.submod = nil, nil, false, nil
	if e.excess != "" {
		e.files = nil
	}
	return deliver(e)
}

func (p *diffParser) begin(line []byte) error {
	ids := strings.Fields(string(line))
	for _, id := range ids {
		if len(id) != p.hexLen || !isHex(id) {
			return p.fail("header is not a list of ids")
		}
	}
	if len(ids) == 0 {
		return p.fail("header without an id")
	}
	p.cur = &diffEntry{id: ids[0], parents: ids[1:]}
	p.weight = 0
	return nil
}

// entry reads one line between the contents.
func (p *diffParser) entry(line []byte) error {
	word, rest, _ := bytes.Cut(line, []byte{' '})
	switch string(word) {
	case "diff":
		return p.beginFile(rest)
	case "@@":
		return p.hunk(rest)
	case "old", "new", "deleted", "mode", "similarity", "dissimilarity", "rename", "copy", "index", "---", "+++", "Binary", `\`:
		if p.file == nil {
			return p.fail("no file yet")
		}
		return p.extended(string(word), rest)
	}
	switch {
	case line[0] == ':':
		return p.raw(line)
	case bytes.HasPrefix(word, []byte("@@@")):
		return p.combinedHunk(len(word)-1, rest)
	default:
		return p.fail("neither a header nor a hunk: " + strconv.Quote(clip(string(line))))
	}
}

func (p *diffParser) beginFile(rest []byte) error {
	kind, names, _ := bytes.Cut(rest, []byte{' '})
	var path string
	var err error
	switch string(kind) {
	case "--git":
		path, err = gitName(names)
	case "--cc", "--combined":
		path, _, err = unquote(names)
	default:
		err = errQuote
	}
	if err != nil {
		return p.fail(err.Error())
	}
	p.endFile()
	p.weigh(len(path) + 64)
	if p.cur.excess == "" {
		p.cur.files = append(p.cur.files, FileDiff{})
	} else {
		p.cur.files = append(p.cur.files[:0], FileDiff{})
	}
	p.file = &p.cur.files[len(p.cur.files)-1]
	*p.file = FileDiff{Path: path, Status: 'M', Submodule: p.submod[path]}
	p.inFile = true
	return nil
}

// endFile joins the deletion and the addition that git shows where a file
// became a link.
func (p *diffParser) endFile() {
	if n := len(p.cur.files); n >= 2 {
		old, new := &p.cur.files[n-2], &p.cur.files[n-1]
		if old.Path == new.Path && old.Status == 'D' && new.Status == 'A' {
			new.Status, new.Deleted, new.Old = 'T', old.Deleted, old.Old
			p.cur.files[n-2] = *new
			p.cur.files = p.cur.files[:n-1]
		}
	}
}

// gitName reads the two names of "diff --git". They are the same but for
// renames, which name both in lines of their own.
func gitName(names []byte) (string, error) {
	if len(names) > 0 && names[0] == '"' {
		first, rest, err := unquote(names)
		if err != nil {
			return "", err
		}
		return trimSide(first, "a/"), wantSpace(rest)
	}
	// a/X b/X. A rename has other halves and is named later.
	half := len(names) / 2
	if len(names)%2 == 1 && names[half] == ' ' && half >= 2 && string(names[2:half]) == string(names[half+3:]) {
		return trimSide(string(names[:half]), "a/"), nil
	}
	return "", nil
}

func wantSpace(rest []byte) error {
	if len(rest) == 0 || rest[0] != ' ' {
		return errQuote
	}
	return nil
}

func trimSide(name, side string) string { return strings.TrimPrefix(name, side) }

// extended reads a line between "diff" and the first hunk.
func (p *diffParser) extended(word string, rest []byte) error {
	text := string(rest)
	switch word {
	case "new":
		if mode, ok := strings.CutPrefix(text, "file mode "); ok {
			p.file.Status = 'A'
			p.file.Submodule = p.file.Submodule || mode == "160000"
		}
	case "deleted":
		p.file.Status = 'D'
		if strings.HasPrefix(text, "file mode 160000") {
			p.file.Submodule = true
		}
	case "rename", "copy":
		side, quoted, _ := bytes.Cut(rest, []byte{' '})
		name, _, err := unquote(quoted)
		if err != nil {
			return p.fail(err.Error())
		}
		p.weigh(len(name))
		p.file.Status = 'R'
		if string(side) == "from" {
			p.file.OldPath = name
		} else {
			p.file.Path = name
		}
	case "index":
		ids, mode, _ := strings.Cut(text, " ")
		if mode == "160000" {
			p.file.Submodule = true
		}
		old, new, _ := strings.Cut(ids, "..")
		if !isZero(new) {
			p.file.New = new
		}
		if !isZero(old) && !strings.Contains(old, ",") {
			p.file.Old = old
		}
		if strings.Contains(old, ",") && !isZero(new) && slices.ContainsFunc(strings.Split(old, ","), isZero) {
			p.cur.renamed = true
		}
	case "Binary":
		p.file.Binary = true
	}
	if p.file.Path == "" && (word == "---" || word == "+++" || word == "Binary") {
		return p.fail("file without a name")
	}
	return nil
}

// hunk reads "-a,b +c,d @@ ..." and passes over its b and d lines.
func (p *diffParser) hunk(rest []byte) error {
	f := bytes.SplitN(rest, []byte{' '}, 3)
	if !p.inFile || len(f) < 3 || len(f[0]) == 0 || f[0][0] != '-' || len(f[1]) == 0 || f[1][0] != '+' || !bytes.HasPrefix(f[2], []byte("@@")) {
		return p.fail("hunk header malformed")
	}
	from, old, ok1 := span(f[0][1:])
	at, new, ok2 := span(f[1][1:])
	if !ok1 || !ok2 {
		return p.fail("hunk header malformed")
	}
	h := p.beginHunk(from, at)
	for old > 0 || new > 0 {
		first, line, err := p.content(1)
		if err != nil {
			return err
		}
		switch {
		case first == '-' && old > 0:
			old--
			p.lose(1)
			p.keep(&h.Removed, line)
		case first == '+' && new > 0:
			new--
			p.gain(at)
			p.keep(&h.Added, line)
			at++
		case first == ' ' && old > 0 && new > 0:
			old--
			new--
			at++
		case first == '\\':
		default:
			return p.fail("hunk is not as long as its header says")
		}
	}
	p.endHunk(h)
	return nil
}

// combinedHunk reads a hunk of a merge: "-a,b -c,d +e,f @@@", then lines with a
// column for each parent. All its lines begin with a blank or a sign, and what
// follows it never does.
func (p *diffParser) combinedHunk(parents int, rest []byte) error {
	f := bytes.SplitN(rest, []byte{' '}, parents+2)
	if !p.inFile || len(f) < parents+2 || len(f[parents]) == 0 || f[parents][0] != '+' {
		return p.fail("hunk header of a merge malformed")
	}
	at, left, ok := span(f[parents][1:])
	if !ok {
		return p.fail("hunk header of a merge malformed")
	}
	h := p.beginHunk(0, at)
	for {
		next, err := p.r.Peek(1)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if len(next) == 0 || strings.IndexByte(" +-\\", next[0]) < 0 {
			break
		}
		signs, err := p.r.Peek(parents)
		if err != nil {
			return io.ErrUnexpectedEOF
		}
		isLost := bytes.IndexByte(signs, '-') >= 0
		lost := bytes.Count(signs, []byte{'-'}) == parents
		gained := bytes.Count(signs, []byte{'+'}) == parents
		note := next[0] == '\\'
		_, line, err := p.content(parents)
		if err != nil {
			return err
		}
		switch {
		case note:
		case isLost:
			if lost {
				p.lose(1)
			}
		default:
			if left--; left < 0 {
				return p.fail("hunk of a merge is longer than its header says")
			}
			if gained {
				p.gain(at)
				if p.wantLines && h.NewStart+len(h.Added) != at {
					p.endHunk(h)
					h = p.beginHunk(0, at)
				}
				p.keep(&h.Added, line)
			}
			at++
		}
	}
	if left != 0 {
		return p.fail("hunk of a merge is shorter than its header says")
	}
	p.endHunk(h)
	return nil
}

// raw reads the line that tells the modes of a merged path: the patch that
// follows does not say what is a submodule.
func (p *diffParser) raw(line []byte) error {
	head, quoted, ok := bytes.Cut(line, []byte{'\t'})
	parents := len(head) - len(bytes.TrimLeft(head, ":"))
	modes := bytes.SplitN(head[parents:], []byte{' '}, parents+2)
	if !ok || len(modes) < parents+2 {
		return p.fail("raw line malformed")
	}
	if p.wantBlobs {
		blobs, ok := rawBlobs(head, p.hexLen)
		if !ok {
			return p.fail("raw line malformed")
		}
		p.weigh(2 * p.hexLen)
		if p.cur.excess == "" {
			p.cur.blobs = append(p.cur.blobs, blobs...)
		}
		return nil
	}
	if string(modes[parents]) != "160000" && !isZero(string(modes[parents])) {
		return nil
	}
	isModule := string(modes[parents]) == "160000"
	for _, mode := range modes[:parents] {
		isModule = isModule || isZero(string(modes[parents])) && string(mode) == "160000"
	}
	if !isModule {
		return nil
	}
	path, _, err := unquote(quoted)
	if err != nil {
		return p.fail(err.Error())
	}
	p.weigh(len(path))
	if p.submod == nil {
		p.submod = map[string]bool{}
	}
	if p.cur.excess == "" {
		p.submod[path] = true
	}
	return nil
}

func (p *diffParser) gain(line int) {
	if p.file.Submodule || p.cur.excess != "" {
		return
	}
	p.file.Added++
	if n := len(p.file.Ranges); n > 0 && p.file.Ranges[n-1].End == line-1 {
		p.file.Ranges[n-1].End = line
		return
	}
	p.file.Ranges = append(p.file.Ranges, LineRange{line, line})
	p.weigh(16)
}

func (p *diffParser) lose(n int) {
	if !p.file.Submodule {
		p.file.Deleted += n
	}
}

// weigh keeps the memory of one commit bounded.
func (p *diffParser) weigh(bytes int) {
	p.weight += bytes
	if p.weight > p.limit && p.cur.excess == "" {
		p.cur.excess = "the commit changes more files and places than can be held"
	}
}

// span reads "start,count" or "start", which means one line.
func span(s []byte) (start, count int, ok bool) {
	first, second, two := strings.Cut(string(s), ",")
	start, err := strconv.Atoi(first)
	if err != nil || start < 0 || start > maxLineNumber {
		return 0, 0, false
	}
	if !two {
		return start, 1, true
	}
	count, err = strconv.Atoi(second)
	return start, count, err == nil && count >= 0 && count <= maxLineNumber
}

func (p *diffParser) line() ([]byte, error) {
	line, err := readLine(p.r, maxDiffLine, nil)
	if err != nil {
		if errors.Is(err, io.EOF) {
			return nil, io.ErrUnexpectedEOF
		}
		return nil, err
	}
	p.offset += int64(len(line)) + 1
	return line, nil
}

// skip passes over one line of content and gives its first byte.
func (p *diffParser) skip() (byte, error) {
	part, err := p.r.ReadSlice('\n')
	if len(part) == 0 {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	first := part[0]
	p.offset += int64(len(part))
	for errors.Is(err, bufio.ErrBufferFull) {
		part, err = p.r.ReadSlice('\n')
		p.offset += int64(len(part))
	}
	if errors.Is(err, io.EOF) {
		return 0, io.ErrUnexpectedEOF
	}
	return first, err
}

func (p *diffParser) fail(reason string) error {
	return &DecodeError{"output of diff-tree", p.offset, reason}
}
