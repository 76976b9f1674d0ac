package entire

import (
	"bytes"
	"path"
	"strings"
	"time"

	"znkr.io/diff"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
)

// A transcript of Claude Code holds with each edit that succeeded what was put
// in the place of what. The lines that an edit inserted, and that the commit
// added to the same file, were written by the session.

// The limits of the edits that are kept for one commit.
const (
	maxEdits    = 100_000
	maxCompared = 256 << 20 // bytes of the texts
	maxText     = 2 << 20   // bytes of the text of one edit
	manyLines   = 5_000     // of a text, over which it is compared in less time and less well
)

// edit is what one call of a tool inserted into a file.
type edit struct {
	file    string     // of the commit
	blocks  [][]string // runs of lines, without their ends
	model   stemma.Model
	session int // index into the sessions of edits
}

// wanted are the files whose edits are looked for.
type wanted struct {
	byBase map[string][]string // base name -> files of the commit that gained lines
	until  time.Time           // when the commit was made
	left   int                 // bytes of texts that may still be compared
	edits  int
}

func newWanted(c *git.Commit, files []git.FileDiff) *wanted {
	w := &wanted{byBase: make(map[string][]string), until: time.Unix(c.Author.Time, 0), left: maxCompared}
	for _, f := range files {
		if f.Added > 0 {
			w.byBase[path.Base(f.Path)] = append(w.byBase[path.Base(f.Path)], f.Path)
		}
	}
	return w
}

// file finds the file of the commit that an absolute path on somebody's disk
// means: the one that it ends with. Where it ends with several, the one that
// lies below the folder in which the agent worked.
func (w *wanted) file(full, folder string) (string, bool) {
	full, folder = strings.ReplaceAll(full, `\`, "/"), strings.ReplaceAll(folder, `\`, "/")
	found, several := "", false
	for _, name := range w.byBase[path.Base(full)] {
		if full == folder+"/"+name {
			return name, true
		}
		if strings.HasSuffix(full, "/"+name) {
			several = found != ""
			found = name
		}
	}
	return found, found != "" && !several
}

// The members that a line with an edit has.
var (
	resultKey = []byte(`"toolUseResult"`)
	fileKey   = []byte(`"filePath"`)
)

// edit reads a line that tells of an edit, of a commit whose files are wanted.
func (l *lines) edit(b []byte) {
	if l.wanted == nil || l.wanted.left <= 0 || l.wanted.edits >= maxEdits || !bytes.Contains(b, resultKey) || !bytes.Contains(b, fileKey) {
		return
	}
	var r result
	if err := r.read(b); err != nil {
		l.broken++
		return
	}
	at, err := time.Parse(time.RFC3339Nano, r.time)
	if err != nil || at.After(l.wanted.until) || r.byUser {
		// What was inserted later came into another commit, whatever it says.
		return
	}
	file, ok := l.wanted.file(r.file, r.folder)
	if !ok {
		return
	}
	e := edit{file: file, model: l.current[r.sidechain]}
	for _, change := range r.changes {
		if l.wanted.left -= len(change.from) + len(change.to); l.wanted.left < 0 {
			break
		}
		e.blocks = append(e.blocks, inserted(change.from, change.to)...)
	}
	if len(e.blocks) > 0 {
		l.wanted.edits++
		l.edits = append(l.edits, e)
	}
}

// change is a text in the place of another.
type change struct{ from, to string }

// result is the toolUseResult of Edit, MultiEdit or Write.
type result struct {
	time, folder string
	sidechain    bool
	file         string
	changes      []change
	byUser       bool // a person changed the edit before it was made
}

func (r *result) read(b []byte) error {
	s := notes.NewScanner(Name, b, 0)
	_, err := s.Object(func(key []byte) (err error) {
		switch string(key) {
		case "timestamp":
			r.time, err = s.Text()
		case "cwd":
			r.folder, err = s.Text()
		case "isSidechain":
			r.sidechain, err = truth(s)
		case "toolUseResult":
			err = r.readResult(s)
		default:
			err = s.Skip()
		}
		return err
	})
	return err
}

func truth(s *notes.Scanner) (bool, error) {
	raw, err := s.Literal()
	return string(raw) == "true", err
}

func (r *result) readResult(s *notes.Scanner) error {
	var kind, content, original []byte
	var one change
	edited := false
	_, err := s.Object(func(key []byte) (err error) {
		switch string(key) {
		case "type":
			kind, err = s.Bytes()
		case "filePath":
			r.file, err = s.Text()
		case "oldString":
			one.from, err = s.Text()
		case "newString":
			edited = true
			one.to, err = s.Text()
		case "edits":
			_, err = s.Array(func() error { return r.readEdit(s) })
		case "userModified":
			r.byUser, err = truth(s)
		case "content":
			content, err = s.Value()
		case "originalFile":
			original, err = s.Value()
		default:
			err = s.Skip()
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case edited:
		r.changes = append(r.changes, one)
	case string(kind) == "create":
		r.changes = append(r.changes, change{to: text(content)})
	case string(kind) == "update" && len(original) > 0 && original[0] == '"':
		// Write gives the whole file again: what stood there before is not its.
		r.changes = append(r.changes, change{text(original), text(content)})
	}
	return nil
}

// readEdit reads one of the edits of a MultiEdit.
func (r *result) readEdit(s *notes.Scanner) error {
	var c change
	isObject, err := s.Object(func(key []byte) (err error) {
		switch string(key) {
		case "old_string":
			c.from, err = s.Text()
		case "new_string":
			c.to, err = s.Text()
		default:
			err = s.Skip()
		}
		return err
	})
	if isObject && err == nil {
		r.changes = append(r.changes, c)
	}
	return err
}

// text reads the text of a JSON string, "" of any other value.
func text(raw []byte) string {
	t, err := notes.NewScanner(Name, raw, 0).Text()
	if err != nil {
		return ""
	}
	return t
}

// inserted gives the runs of lines that one text has over another.
func inserted(from, to string) [][]string {
	if to == "" || len(from) > maxText || len(to) > maxText {
		return nil
	}
	if from == "" {
		return [][]string{split(to)}
	}
	var blocks [][]string
	open := false
	before, after := split(from), split(to)
	var options []diff.Option
	if max(len(before), len(after)) > manyLines {
		options = append(options, diff.Fast())
	}
	for _, e := range diff.Edits(before, after, options...) {
		switch {
		case e.Op == diff.Match:
			open = false
		case e.Op == diff.Insert && open:
			blocks[len(blocks)-1] = append(blocks[len(blocks)-1], e.Y)
		case e.Op == diff.Insert:
			blocks, open = append(blocks, []string{e.Y}), true
		}
	}
	return blocks
}

// split gives the lines of a text, without their ends.
func split(text string) []string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], "\r")
	}
	return lines
}
