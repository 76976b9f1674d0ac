// Package native answers what stemma itself captured of a commit: it reads and
// writes the notes on refs/notes/stemma, by which the lines of agents and of
// people are told apart in git itself. Begin with [Encode] and [Source].
//
// A note names sessions, pseudonyms of people and ranges of lines; never a
// prompt, a mail address or a line of code. doc/notes.md has the format.
package native

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/notes"
	"github.com/stemma-dev/stemma/internal/tlog"
)

// Name is the name of this source.
const Name = "stemma"

// Ref is where the notes are.
const Ref = "refs/notes/stemma"

// version is that of the format.
const version = 1

// Methods of what a note says.
const (
	// MethodCaptured gives a line to the session whose hook saw it appear.
	MethodCaptured = "captured: written between the hooks of a tool call"
	// MethodBetween gives a line to the person at the machine, because no agent
	// was at work while capture was healthy.
	MethodBetween = "captured: no agent was at work"
	// MethodHooksAlone is MethodBetween where the transcript of a session that was
	// at work meanwhile could not be compared with what its hooks reported.
	MethodHooksAlone = "captured: no agent was at work, by the hooks alone"
	// MethodTold gives a line to the session whose transcript says that it put it
	// there, in a call that no hook reported.
	MethodTold = "captured: told by the session's transcript"
	// MethodSaved gives a line to the person whose editor reported the save.
	MethodSaved = "captured: saved by an editor"
	// MethodOpen says that the session may have written lines: in a gap, or because a
	// line like them stands beside them, and either may be its.
	MethodOpen = "captured: at work while the line appeared, a hook is missing, or a line like it stands beside it"
)

// Note is what was captured of one commit.
type Note struct {
	Version   int       `json:"stemma"`
	Algorithm int       `json:"algorithm"` // version of the rules of replay
	Sessions  []Session `json:"sessions,omitempty"`
	People    []string  `json:"people,omitempty"` // pseudonyms
	Files     []File    `json:"files,omitempty"`
	// Input is the hex SHA-256 over the captured states that it was made from; "" of
	// a note that only takes lines back.
	Input string `json:"input"`
	// Gaps are reasons why lines are unknown, each once.
	Gaps []string `json:"gaps,omitempty"`
	// Uncompared are the keys of sessions that were at work meanwhile, and whose
	// transcripts were not compared with what their hooks reported.
	Uncompared []string `json:"uncompared,omitempty"`
	// Checkpoint is the signed head of the log of the machine that made the note, as
	// it stood then (C2SP tlog-checkpoint): whoever has the note finds a log that
	// was rolled back. "" where there was none.
	Checkpoint string `json:"checkpoint,omitempty"`
}

// Session is a session that wrote lines, or may have.
type Session struct {
	Agent   string `json:"agent"` // key of the agent: stemma.ParseAgent
	ID      string `json:"id"`    // the agent's own
	Version string `json:"version,omitempty"`
	Model   string `json:"model,omitempty"` // as the agent reported it
	Parent  string `json:"parent,omitempty"`
}

// File is a file with lines that the commit added.
type File struct {
	Path string
	Own  []Part
}

// Part is a set of lines of one class and owner.
type Part struct {
	Ranges   []notes.Range
	Class    stemma.Class
	Session  int   // index into Sessions, or -1
	Person   int   // index into People, or -1
	Observed bool  // the person's editor reported it
	Told     bool  // the session's transcript tells it, and no hook
	May      []int // sessions that may have written unknown lines
	// Alike says of unknown lines that they were known, until a later commit wrote
	// or took away lines like them beside them: see [Withdraw].
	Alike bool
}

// fileJSON and partJSON are File and Part as they are written.
type fileJSON struct {
	Path      string     `json:"path,omitempty"`
	PathBytes string     `json:"pathBytes,omitempty"` // base64, of a path that is not UTF-8
	Lines     []partJSON `json:"lines"`
}

type partJSON struct {
	Ranges   string       `json:"ranges"` // "1-4,7"
	Class    stemma.Class `json:"class"`
	Session  *int         `json:"session,omitempty"`
	Person   *int         `json:"person,omitempty"`
	Observed bool         `json:"observed,omitempty"`
	Told     bool         `json:"told,omitempty"`
	May      []int        `json:"may,omitempty"`
	Alike    bool         `json:"alike,omitempty"`
}

// MarshalJSON writes the file as in doc/notes.md.
func (f File) MarshalJSON() ([]byte, error) {
	j := fileJSON{Path: f.Path, Lines: []partJSON{}}
	if !utf8.ValidString(f.Path) {
		j.Path, j.PathBytes = "", base64.StdEncoding.EncodeToString([]byte(f.Path))
	}
	for _, p := range f.Own {
		part := partJSON{Ranges: formatRanges(p.Ranges), Class: p.Class, Observed: p.Observed, Told: p.Told, May: p.May, Alike: p.Alike}
		if p.Session >= 0 {
			part.Session = &p.Session
		}
		if p.Person >= 0 {
			part.Person = &p.Person
		}
		j.Lines = append(j.Lines, part)
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (f *File) UnmarshalJSON(text []byte) error {
	var j fileJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	f.Path = j.Path
	if j.PathBytes != "" {
		path, err := base64.StdEncoding.DecodeString(j.PathBytes)
		if err != nil {
			return fmt.Errorf("pathBytes: %w", err)
		}
		f.Path = string(path)
	}
	if f.Path == "" || strings.ContainsRune(f.Path, 0) {
		return fmt.Errorf("path %q", f.Path)
	}
	for _, p := range j.Lines {
		part := Part{Class: p.Class, Session: -1, Person: -1, Observed: p.Observed, Told: p.Told, May: p.May, Alike: p.Alike}
		var err error
		if part.Ranges, err = parseRanges(p.Ranges); err != nil {
			return fmt.Errorf("%q: %w", f.Path, err)
		}
		if !p.Class.Valid() {
			return fmt.Errorf("%q: class %q", f.Path, p.Class)
		}
		if p.Session != nil {
			part.Session = *p.Session
		}
		if p.Person != nil {
			part.Person = *p.Person
		}
		f.Own = append(f.Own, part)
	}
	return nil
}

func formatRanges(ranges []notes.Range) string {
	var b strings.Builder
	for i, r := range ranges {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(r.Start))
		if r.End > r.Start {
			b.WriteString("-" + strconv.Itoa(r.End))
		}
	}
	return b.String()
}

// maxLine is the largest line number: more than a file of notes.MaxNote has.
const maxLine = 1 << 30

func parseRanges(text string) ([]notes.Range, error) {
	var ranges []notes.Range
	last := 0
	for part := range strings.SplitSeq(text, ",") {
		from, to, two := strings.Cut(part, "-")
		if !two {
			to = from
		}
		start, err := strconv.Atoi(from)
		end, eerr := strconv.Atoi(to)
		if err != nil || eerr != nil || start <= last || end < start || end > maxLine {
			return nil, fmt.Errorf("ranges %q", text)
		}
		ranges = append(ranges, notes.Range{Start: start, End: end})
		last = end
	}
	return ranges, nil
}

// FromEvidence makes the note that says what the evidence says. Claims of class
// unknown name, with their session, who may have written the lines. input and
// algorithm are those of the note.
func FromEvidence(e notes.Evidence, algorithm int, input string) Note {
	n := Note{Version: version, Algorithm: algorithm, Input: input, Gaps: e.Problems}
	for _, s := range e.Sessions {
		n.Sessions = append(n.Sessions, Session{Agent: s.Agent, ID: s.ID, Version: s.AgentVersion, Model: s.Model.Raw})
	}
	people := make(map[string]int)
	files := make(map[string]int)
	for _, c := range e.Claims {
		p := Part{Ranges: c.Ranges, Class: c.Class, Session: c.Session, Person: -1, Observed: c.Class == stemma.ClassHuman && c.Strength.Assertion == stemma.Observed}
		p.Told = c.Class == stemma.ClassAI && c.Strength.Assertion == stemma.Inferred
		if c.Person != "" {
			i, ok := people[c.Person]
			if !ok {
				i = len(n.People)
				people[c.Person] = i
				n.People = append(n.People, c.Person)
			}
			p.Person = i
		}
		f, ok := files[c.Path]
		if !ok {
			f = len(n.Files)
			files[c.Path] = f
			n.Files = append(n.Files, File{Path: c.Path})
		}
		own := &n.Files[f].Own
		if c.Class == stemma.ClassUnknown {
			p.Session, p.May = -1, []int{c.Session}
			if k := len(*own) - 1; k >= 0 && (*own)[k].Class == stemma.ClassUnknown && slices.Equal((*own)[k].Ranges, c.Ranges) {
				(*own)[k].May = append((*own)[k].May, c.Session)
				continue
			}
		}
		*own = append(*own, p)
	}
	return n
}

// Encode gives the bytes of a note: the same for the same note.
func Encode(n Note) ([]byte, error) {
	n.Version = version
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(n); err != nil {
		return nil, fmt.Errorf("note: %v: %w", err, stemma.ErrInvalid)
	}
	return b.Bytes(), nil
}

// Decode reads the bytes of a note. Fields that it does not know are left
// alone, so that a later version adds to what this one reads.
func Decode(blob []byte) (Note, error) {
	var n Note
	fail := func(at int64, reason string) (Note, error) {
		return Note{}, &notes.DecodeError{Source: Name, Offset: at, Reason: reason}
	}
	if len(blob) > notes.MaxNote {
		return fail(0, fmt.Sprintf("%d bytes", len(blob)))
	}
	dec := json.NewDecoder(bytes.NewReader(blob))
	if err := dec.Decode(&n); err != nil {
		return fail(dec.InputOffset(), err.Error())
	}
	if _, err := dec.Token(); err != io.EOF {
		return fail(dec.InputOffset(), "more than one JSON value")
	}
	if n.Version != version {
		return fail(0, fmt.Sprintf("version %d, this stemma reads %d", n.Version, version))
	}
	for _, s := range n.Sessions {
		if s.Agent == "" || s.ID == "" {
			return fail(0, "a session without agent or id")
		}
	}
	for _, f := range n.Files {
		for _, p := range f.Own {
			for _, s := range append([]int{p.Session}, p.May...) {
				if s < -1 || s >= len(n.Sessions) {
					return fail(0, fmt.Sprintf("%q: no session %d", f.Path, s))
				}
			}
			if p.Person < -1 || p.Person >= len(n.People) {
				return fail(0, fmt.Sprintf("%q: no person %d", f.Path, p.Person))
			}
			if (p.Class == stemma.ClassAI || p.Class == stemma.ClassAIEdited) && p.Session < 0 {
				return fail(0, fmt.Sprintf("%q: lines of class %s without a session", f.Path, p.Class))
			}
		}
	}
	return n, nil
}

// Same reports whether two notes say the same of the commit. Their checkpoints
// may differ: a note is not written anew because the log grew.
func Same(a, b []byte) bool {
	return bytes.Equal(a, b) || bytes.Equal(said(a), said(b))
}

// said is a note without its checkpoint, or the bytes where they are no note.
func said(blob []byte) []byte {
	n, err := Decode(blob)
	if err != nil {
		return blob
	}
	n.Checkpoint = ""
	text, err := Encode(n)
	if err != nil {
		return blob
	}
	return text
}

// Twin is a line of a file in whose place another may stand by now, and who wrote
// that: a session, a person by his pseudonym, or nobody knows.
type Twin struct {
	Path    string
	Line    int
	Session string // key of the session
	Person  string
}

// taken gives the lines that the note takes back, by path, sorted, apart.
func (n *Note) taken() map[string][]notes.Range {
	taken := make(map[string][]notes.Range)
	for _, f := range n.Files {
		for _, p := range f.Own {
			if p.Alike {
				taken[f.Path] = append(taken[f.Path], p.Ranges...)
			}
		}
	}
	for path, ranges := range taken {
		taken[path] = united(ranges)
	}
	return taken
}

// Withdraw makes known lines of a note unknown, unless the other line is of the
// same session or person: the session that had a line may have written it. It
// reports whether that changed the note. Lines that it does not know are left
// alone; to withdraw again changes nothing.
func Withdraw(n *Note, lines []Twin) bool {
	changed := false
	for i := range n.Files {
		f := &n.Files[i]
		for _, t := range lines {
			if t.Path == f.Path {
				line := []notes.Range{{Start: t.Line, End: t.Line}}
				changed = f.withdraw(line, func(p *Part) bool { return n.by(p, t) }) || changed
			}
		}
	}
	return changed
}

// TakeOver takes back of a note what another one on the same commit took back, and
// reports whether that changed it. A note that says nothing of who wrote lines takes
// over all of it, any other what it knows.
func TakeOver(n *Note, other Note) bool {
	taken := other.taken()
	changed := false
	for i := range n.Files {
		f := &n.Files[i]
		changed = f.withdraw(taken[f.Path], func(*Part) bool { return false }) || changed
	}
	if n.Input != "" {
		return changed
	}
	before := n.Files
	n.Files = TakeBack(n.Algorithm, nil, *n, other).Files
	return changed || !reflect.DeepEqual(before, n.Files)
}

// TakeBack makes the note on a commit of which nothing was captured, and that may
// be known to be a rewrite of another: these lines of it are nobody's to tell, nor
// are those that earlier notes take back. It has no Input.
func TakeBack(algorithm int, lines []Twin, earlier ...Note) Note {
	taken := make(map[string][]notes.Range)
	for _, note := range earlier {
		for path, ranges := range note.taken() {
			taken[path] = append(taken[path], ranges...)
		}
	}
	for _, t := range lines {
		taken[t.Path] = append(taken[t.Path], notes.Range{Start: t.Line, End: t.Line})
	}
	n := Note{Algorithm: algorithm}
	for _, path := range slices.Sorted(maps.Keys(taken)) {
		n.Files = append(n.Files, File{Path: path, Own: []Part{{
			Ranges: united(taken[path]), Class: stemma.ClassUnknown, Session: -1, Person: -1, Alike: true,
		}}})
	}
	return n
}

// withdraw makes lines of a file unknown that are known, but those of some parts.
func (f *File) withdraw(lines []notes.Range, but func(*Part) bool) bool {
	if len(lines) == 0 {
		return false
	}
	var own, alike []Part
	for i := range f.Own {
		p := f.Own[i]
		if p.Class != stemma.ClassUnknown && !but(&p) {
			in, rest := split(p.Ranges, lines)
			if len(in) > 0 {
				a := Part{Ranges: in, Class: stemma.ClassUnknown, Session: -1, Person: -1, Alike: true}
				if p.Session >= 0 {
					a.May = []int{p.Session}
				}
				alike, p.Ranges = append(alike, a), rest
			}
		}
		if len(p.Ranges) > 0 {
			own = append(own, p)
		}
	}
	if len(alike) == 0 {
		return false
	}
	f.Own = own
	for _, a := range alike {
		f.addAlike(a)
	}
	return true
}

// addAlike adds lines to those that are alike and may be of the same session, in
// the same place whichever came first.
func (f *File) addAlike(a Part) {
	for i := range f.Own {
		p := &f.Own[i]
		if p.Alike && slices.Equal(p.May, a.May) {
			p.Ranges = united(slices.Concat(p.Ranges, a.Ranges))
			return
		}
	}
	at := len(f.Own)
	for at > 0 && f.Own[at-1].Alike && slices.Compare(f.Own[at-1].May, a.May) > 0 {
		at--
	}
	f.Own = slices.Insert(f.Own, at, a)
}

// by reports whether the lines of a part are of whoever wrote the other line.
func (n *Note) by(p *Part, t Twin) bool {
	switch p.Class {
	case stemma.ClassAI:
		s := n.Sessions[p.Session]
		return t.Session != "" && stemma.SessionID(s.Agent, s.ID).Key == t.Session
	case stemma.ClassHuman:
		return t.Person != "" && p.Person >= 0 && n.People[p.Person] == t.Person
	default:
		return false
	}
}

// united sorts ranges, and joins those that meet.
func united(ranges []notes.Range) []notes.Range {
	slices.SortFunc(ranges, func(a, b notes.Range) int { return cmp.Compare(a.Start, b.Start) })
	var out []notes.Range
	for _, r := range ranges {
		if n := len(out); n > 0 && r.Start <= out[n-1].End+1 {
			out[n-1].End = max(out[n-1].End, r.End)
			continue
		}
		out = append(out, r)
	}
	return out
}

// split cuts ranges into what lies in others and what does not, both sorted and
// apart as these are.
func split(ranges, by []notes.Range) (in, rest []notes.Range) {
	k := 0
	for _, r := range ranges {
		for k > 0 && by[k-1].End >= r.Start {
			k--
		}
		for start := r.Start; start <= r.End; {
			for k < len(by) && by[k].End < start {
				k++
			}
			switch {
			case k == len(by) || by[k].Start > r.End:
				rest = append(rest, notes.Range{Start: start, End: r.End})
				start = r.End + 1
			case by[k].Start > start:
				rest = append(rest, notes.Range{Start: start, End: by[k].Start - 1})
				start = by[k].Start
			default:
				end := min(r.End, by[k].End)
				in = append(in, notes.Range{Start: start, End: end})
				start = end + 1
			}
		}
	}
	return in, rest
}

// Choose says which of two notes on one commit stays, the same in every order: the
// one that can be read, then the one with fewer gaps, then the one that says
// more, then the smaller by its bytes; of two that say the same, that with the
// longer log. What the other took back stays taken back.
func Choose(a, b []byte) []byte {
	stays, goes := choose(a, b)
	n, err := Decode(stays)
	other, oerr := Decode(goes)
	if err != nil || oerr != nil || !TakeOver(&n, other) {
		return stays
	}
	text, err := Encode(n)
	if err != nil {
		return stays
	}
	return text
}

func choose(a, b []byte) (stays, goes []byte) {
	rank := func(blob []byte) []int {
		n, err := Decode(blob)
		if err != nil {
			return []int{2, 0, 0}
		}
		empty := 0
		if n.Input == "" {
			empty = 1 // it says nothing of who wrote lines
		}
		return []int{empty, len(n.Gaps), -len(said(blob))}
	}
	size := func(blob []byte) uint64 {
		n, _ := Decode(blob)                            // what can not be read has none
		head, _ := tlog.ParseHead([]byte(n.Checkpoint)) // likewise
		return head.Size
	}
	c := cmp.Or(slices.Compare(rank(a), rank(b)), bytes.Compare(said(a), said(b)), cmp.Compare(size(b), size(a)), bytes.Compare(a, b))
	if c <= 0 {
		return a, b
	}
	return b, a
}

// Source reads stemma's own notes.
type Source struct{}

// Name is "stemma".
func (Source) Name() string { return Name }

// NotesRefs is [Ref].
func (Source) NotesRefs() []string { return []string{Ref} }

// RefPrefixes is nil: there is one ref of notes.
func (Source) RefPrefixes() []string { return nil }

// Prompts is nil: a note holds none.
func (Source) Prompts([]byte) ([]notes.Prompt, error) { return nil, nil }

// Decode reads the note on a commit.
func (Source) Decode(_ string, blob []byte) (notes.Evidence, error) {
	n, err := Decode(blob)
	if err != nil {
		return notes.Evidence{}, err
	}
	e := notes.Evidence{Source: Name, Whole: -1, Problems: n.Gaps}
	told := func(a stemma.Assertion, method string, confidence float64) stemma.Strength {
		return stemma.Strength{Tier: stemma.TierClaimed, Assertion: a, Method: method, Confidence: confidence}
	}
	for _, s := range n.Sessions {
		e.Sessions = append(e.Sessions, notes.Session{
			ID: s.ID, Agent: s.Agent, AgentVersion: s.Version, Model: stemma.ParseModel(s.Model),
			Strength: told(stemma.Observed, MethodOpen, 1),
		})
	}
	for _, f := range n.Files {
		for _, p := range f.Own {
			if p.Class == stemma.ClassUnknown {
				if p.Alike {
					e.Claims = append(e.Claims, notes.Claim{Path: f.Path, Ranges: p.Ranges, Class: p.Class, Session: -1, Strength: told(stemma.Inferred, MethodOpen, 0)})
				}
				for _, s := range p.May {
					e.Claims = append(e.Claims, notes.Claim{
						Path: f.Path, Ranges: p.Ranges, Class: p.Class, Session: s, Strength: told(stemma.Inferred, MethodOpen, 0),
					})
				}
				continue
			}
			c := notes.Claim{Path: f.Path, Ranges: p.Ranges, Class: p.Class, Session: p.Session}
			if p.Person >= 0 {
				c.Person = n.People[p.Person]
			}
			switch {
			case p.Told:
				c.Strength = told(stemma.Inferred, MethodTold, 0.8)
			case p.Class != stemma.ClassHuman:
				c.Strength = told(stemma.Observed, MethodCaptured, 1)
			case p.Observed:
				c.Strength = told(stemma.Observed, MethodSaved, 1)
			case len(n.Uncompared) > 0:
				c.Strength = told(stemma.Inferred, MethodHooksAlone, 0.9)
			default:
				c.Strength = told(stemma.Inferred, MethodBetween, 0.9)
			}
			e.Claims = append(e.Claims, c)
		}
	}
	return e, nil
}
