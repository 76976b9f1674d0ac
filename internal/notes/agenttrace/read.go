package agenttrace

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
)

// How a record is joined to a commit, and how sure that is. Lines were counted
// when the agent edited; what was edited above them afterwards has moved them.
const (
	methodRevision = "agent trace, revision is the commit"
	methodParent   = "agent trace, revision is the parent"
	methodHash     = "agent trace, content hash"

	confidenceRevision = 0.9
	confidenceParent   = 0.6
	confidenceHash     = 0.95
)

// Read gives what the records of the commit say. A record of the reference hook
// is about a child of its revision; one of others is about its revision, and
// about a child only where the revision itself added no line that it claims.
//
// A range is claimed for a session (ai, and mixed as ai-edited) or for people
// (human). Where its content hash is that of lines of the commit, these are
// claimed. A conversation without a range that can be believed took part: of
// the reference hook, ranges that begin with line 1 are where it did not find
// the edit, or was not told of it.
func (t *traces) Read(ctx context.Context, c *git.Commit, diff git.Diff) ([]notes.Found, error) {
	if len(t.files) == 0 || len(diff.Files) == 0 {
		return nil, nil
	}
	all, err := t.all(ctx)
	if err != nil {
		return nil, err
	}
	b := &builder{evidence: notes.Evidence{Source: Name, Whole: -1}, touched: newTouched(diff), sessions: make(map[string]int)}
	b.contents = contents{ctx: ctx, repo: t.repo, commit: c.ID}
	for _, parent := range c.Parents {
		for _, rec := range byTime(all.by[parent]) {
			if !rec.hook {
				fits, err := t.fits(ctx, parent, rec)
				if err != nil {
					return nil, err
				}
				if fits {
					continue
				}
			}
			b.record(rec, methodParent, confidenceParent)
		}
	}
	for _, rec := range byTime(all.by[c.ID]) {
		if !rec.hook { // behind the others, because the last claim on a line stands
			b.record(rec, methodRevision, confidenceRevision)
		}
	}
	if b.found == 0 || b.contents.err != nil {
		return nil, b.contents.err
	}
	b.took()
	b.evidence.Partial = true
	return []notes.Found{{Evidence: b.evidence, Input: hex.EncodeToString(b.input.sum())}}, nil
}

// byTime gives records in the order in which they were made: of two that speak
// of one line the later stands.
func byTime(of []*record) []*record {
	of = slices.Clone(of)
	slices.SortFunc(of, func(a, b *record) int {
		return cmp.Or(cmp.Compare(a.order, b.order), slices.Compare(a.sum[:], b.sum[:]))
	})
	return of
}

// fits reports whether a record speaks of a line that its own revision added.
func (t *traces) fits(ctx context.Context, revision string, rec *record) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	its, ok := t.added[revision]
	if !ok {
		var diff git.Diff
		for d, err := range t.repo.Added(ctx, one(revision), 1) {
			if foreign(err) {
				break
			}
			if err != nil {
				return false, err
			}
			diff = d
		}
		its = newTouched(diff)
		t.added[revision] = its
	}
	for _, f := range rec.files {
		path, ok := its.find(f.path)
		for _, c := range f.claims {
			if ok && overlap(its.files[path].Ranges, c) {
				return true, nil
			}
		}
	}
	return false, nil
}

func one(commit string) iter.Seq[string] {
	return func(yield func(string) bool) { yield(commit) }
}

func overlap(added []git.LineRange, c claim) bool {
	return slices.ContainsFunc(added, func(r git.LineRange) bool { return r.Start <= c.end && c.start <= r.End })
}

// builder makes the evidence on one commit.
type builder struct {
	evidence notes.Evidence
	touched  touched
	sessions map[string]int // index by what makes a session one
	claimed  map[int]bool   // sessions with lines
	input    digest
	found    int
	contents contents
}

// record adds what a record says, if it speaks of a file of the commit.
func (b *builder) record(rec *record, method string, confidence float64) {
	speaks := false
	for _, f := range rec.files {
		path, ok := b.touched.find(f.path)
		if !ok {
			continue
		}
		speaks = true
		for _, c := range f.claims {
			b.claim(rec, path, c, method, confidence)
		}
	}
	if !speaks {
		return
	}
	b.found++
	b.input.add(method, rec.sum)
	for _, p := range rec.problems {
		b.problem(p)
	}
}

// problem names a part that was not read; those over a limit are all alike.
func (b *builder) problem(text string) {
	if len(b.evidence.Problems) < maxProblems {
		b.evidence.Problems = append(b.evidence.Problems, text)
	} else if len(b.evidence.Problems) == maxProblems {
		b.evidence.Problems = append(b.evidence.Problems, "and more problems")
	}
}

// touched are the files that a commit touched.
type touched struct {
	files  map[string]git.FileDiff
	byBase map[string][]string // base name -> files that gained lines
}

func newTouched(diff git.Diff) touched {
	t := touched{files: make(map[string]git.FileDiff), byBase: make(map[string][]string)}
	for _, f := range diff.Files {
		t.files[f.Path] = f
		if f.Added > 0 {
			t.byBase[path.Base(f.Path)] = append(t.byBase[path.Base(f.Path)], f.Path)
		}
	}
	return t
}

// find finds the file that a record means. An absolute path is that of the one
// file in whose name it ends.
func (t touched) find(p string) (string, bool) {
	if !absolute(p) {
		f, ok := t.files[p]
		return p, ok && f.Added > 0
	}
	found := ""
	for _, name := range t.byBase[path.Base(p)] {
		if strings.HasSuffix(p, "/"+name) {
			if found != "" {
				return "", false
			}
			found = name
		}
	}
	return found, found != ""
}

func (b *builder) claim(rec *record, path string, c claim, method string, confidence float64) {
	start, end, exact := b.contents.locate(path, c)
	if exact {
		c.start, c.end, method, confidence = start, end, methodHash, confidenceHash
	}
	strength := stemma.Strength{Tier: stemma.TierClaimed, Assertion: stemma.Inferred, Method: method, Confidence: confidence}
	out := notes.Claim{Path: path, Ranges: []notes.Range{{Start: c.start, End: c.end}}, Session: -1, Strength: strength}
	switch c.kind {
	case "human":
		out.Class = stemma.ClassHuman
		b.evidence.Claims = append(b.evidence.Claims, out)
		return
	case "ai":
		out.Class = stemma.ClassAI
	case "mixed":
		out.Class = stemma.ClassAIEdited
	case "unknown", "":
		if rec.session == "" && c.session == "" {
			return // nobody
		}
	default:
		b.problem(fmt.Sprintf("%s: contributor %q is not known", notes.Clip(path), notes.Clip(c.kind)))
		return
	}
	out.Session = b.session(rec, c, strength)
	if out.Class == "" || rec.hook && c.start == 1 && !exact {
		return
	}
	if b.claimed == nil {
		b.claimed = make(map[int]bool)
	}
	b.claimed[out.Session] = true
	b.evidence.Claims = append(b.evidence.Claims, out)
}

// session gives the index of a session, which joins the evidence if it is new.
func (b *builder) session(rec *record, c claim, strength stemma.Strength) int {
	s := notes.Session{ID: cmp.Or(rec.session, c.session), Model: stemma.ParseModel(c.model), Strength: strength}
	if !strings.EqualFold(rec.tool, "unknown") {
		s.Agent, _ = stemma.ParseAgent(rec.tool)
	}
	if len(rec.version) <= 64 {
		s.AgentVersion = rec.version
	}
	if !s.Model.Known() {
		s.Model = stemma.Model{}
	}
	key := s.Agent + "\x00" + s.ID + "\x00" + s.Model.Key()
	i, ok := b.sessions[key]
	if !ok {
		i = len(b.evidence.Sessions)
		b.sessions[key] = i
		b.evidence.Sessions = append(b.evidence.Sessions, s)
	}
	return i
}

// took adds the sessions without lines.
func (b *builder) took() {
	for i := range b.evidence.Sessions {
		if !b.claimed[i] {
			b.evidence.Took = append(b.evidence.Took, i)
		}
	}
}

// digest is over the records that were read, and how they were joined.
type digest struct{ parts []byte }

func (d *digest) add(method string, sum [32]byte) {
	d.parts = append(append(d.parts, method...), sum[:]...)
}

func (d *digest) sum() []byte {
	sum := sha256.Sum256(d.parts)
	return sum[:]
}
