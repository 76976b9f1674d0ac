// Package attribution answers who wrote the lines that a commit added, from
// what the sources say of it. Begin with [Commit].
//
// It is pure: it reads no git and no store, and the same input gives the same
// row. Every claim is intersected with the lines that the commit really added,
// so attributed lines can not exceed added ones; what no claim covers is
// unknown, never human, unless a stated rule says otherwise.
package attribution

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
)

// Algorithm is the version of the rules of this package. It is part of every
// row; rows of another version are computed again.
const Algorithm = 7

// AgentEra is the default of [Rules.AgentEra], 2021-06-29 00:00 UTC: the day on
// which the first coding assistant was shown to the public.
const AgentEra = 1624924800

// Methods of facts that this package concludes itself.
const (
	// MethodBeforeAgents makes lines human that were committed before coding
	// agents existed and that nothing else speaks of.
	MethodBeforeAgents = "before coding agents"
)

// Rules are what the caller decides.
type Rules struct {
	// AgentEra is the time, UTC seconds, before which no coding agent existed.
	// Author and committer time must both be earlier.
	AgentEra int64
	// Generated reports whether a path is generated; nil means none is.
	Generated func(path string) bool
	// Person gives the pseudonym of somebody whom a source names: by mail or
	// name for git identities, by the source's own id otherwise. It must not
	// be nil.
	Person func(identity string) string
}

// Said is what one source says, with the identity of what it was read from.
type Said struct {
	notes.Evidence
	// Input names the bytes that were read: the object id of a note, or "commit"
	// for the commit itself.
	Input string
}

// Commit attributes the lines that the commit added. Sources that come first
// in said give the owner of a line where several agree on its class. rewritten
// is what rewrites tell of lines that no source speaks of; nil is nothing.
func Commit(c *git.Commit, diff git.Diff, said []Said, rewritten *Rewritten, rules Rules) stemma.Attribution {
	w := newWork(c, diff, said, rules)
	w.rewritten = rewritten
	w.rest()
	w.files(diff.Files)
	w.took()
	w.row.Input = w.digest(diff)
	return w.row
}

func newWork(c *git.Commit, diff git.Diff, said []Said, rules Rules) *work {
	w := &work{
		commit: c,
		rules:  rules,
		said:   said,
		owners: make(map[ownerKey]int),
		whole:  -1,
		row: stemma.Attribution{
			Commit:     c.ID,
			Time:       c.Committer.Time,
			Merge:      len(c.Parents) > 1,
			Rest:       stemma.ClassUnknown,
			RestOwner:  -1,
			Sources:    make([]stemma.SourceClaim, len(said)),
			Algorithm:  Algorithm,
			Unreadable: diff.Unreadable,
		},
	}
	for i, s := range said {
		w.row.Sources[i] = stemma.SourceClaim{Source: s.Source, Problem: strings.Join(s.Problems, "; ")}
	}
	return w
}

// work is the making of one row.
type work struct {
	commit *git.Commit
	rules  Rules
	said   []Said
	row    stemma.Attribution
	owners map[ownerKey]int

	rewritten *Rewritten

	whole int // index of the source whose agent authored the commit, or -1
}

// ownerKey is what makes two claims have one owner.
type ownerKey struct {
	source, session, person, model string
	class                          stemma.Class
	via, rule                      string
}

// rest decides what becomes of lines that no claim covers.
func (w *work) rest() {
	for i, s := range w.said {
		if s.Whole >= 0 {
			w.whole = i
			w.row.Rest = stemma.ClassAI
			w.row.RestOwner = w.sessionOwner(i, s.Whole, stemma.ClassAI, s.WholeStrength)
			return
		}
	}
	silent := true
	for _, s := range w.said {
		silent = silent && len(s.Claims) == 0 && len(s.Took) == 0
	}
	before := max(w.commit.Author.Time, w.commit.Committer.Time) < w.rules.AgentEra
	if silent && before {
		w.row.Rest = stemma.ClassHuman
		w.row.RestOwner = w.owner(stemma.Owner{
			Person: w.rules.Person(Identity(w.commit.Author)),
			Class:  stemma.ClassHuman,
			Source: "git",
			Strength: stemma.Strength{
				Tier: stemma.TierClaimed, Assertion: stemma.Inferred,
				Method: MethodBeforeAgents, Confidence: 1,
			},
		})
	}
}

// Identity is what a git signature is known by: the mail address in lower
// case, or the name where there is no address.
func Identity(s git.Signature) string {
	if s.Mail != "" {
		return strings.ToLower(s.Mail)
	}
	return s.Name
}

// files attributes each file.
func (w *work) files(files []git.FileDiff) {
	claims := w.claimsByPath()
	touched := make(map[string]bool, len(files))
	for _, f := range files {
		touched[f.Path] = true
		generated := w.rules.Generated != nil && w.rules.Generated(f.Path)
		line := stemma.FileLines{Path: f.Path, Added: f.Added, Generated: generated}
		switch of := claims[f.Path]; {
		case len(of) > 0, !generated && w.rewritten.has(f.Path):
			w.claimed(f, of, &line)
		case generated:
			w.row.Lines.Count(stemma.ClassGenerated, f.Added)
		default:
			w.countRest(f.Added)
			if w.row.RestOwner >= 0 && f.Added > 0 {
				line.Whole = true
				line.Ranges = []stemma.OwnedRange{{Start: 1, End: 0, Owner: w.row.RestOwner, Class: w.row.Rest}}
			}
		}
		w.row.Files = append(w.row.Files, line)
	}
	slices.SortFunc(w.row.Files, func(a, b stemma.FileLines) int { return cmp.Compare(a.Path, b.Path) })
	for path, of := range claims {
		if touched[path] {
			continue
		}
		for _, c := range of {
			w.row.Sources[c.source].Outside += size(w.said[c.source].Claims[c.claim].Ranges)
		}
	}
}

// countRest counts lines that no claim covers.
func (w *work) countRest(n int) {
	w.row.Lines.Count(w.row.Rest, n)
	if w.row.RestOwner >= 0 {
		w.row.Owners[w.row.RestOwner].Lines += n
	}
	w.wholeAlone(n)
}

// wholeAlone counts lines of which only the author of the commit speaks.
func (w *work) wholeAlone(n int) {
	if w.whole >= 0 {
		w.row.Sources[w.whole].Lines.Count(stemma.ClassAI, n)
		w.row.Sources[w.whole].Alone += n
	}
}

// claimRef points to a claim of a source.
type claimRef struct{ source, claim int }

func (w *work) claimsByPath() map[string][]claimRef {
	by := make(map[string][]claimRef)
	for i, s := range w.said {
		for j, c := range s.Claims {
			by[c.Path] = append(by[c.Path], claimRef{i, j})
		}
	}
	return by
}

// claimed attributes a file of which at least one source speaks.
func (w *work) claimed(f git.FileDiff, of []claimRef, line *stemma.FileLines) {
	layers, may, open := w.layers(f, of), w.may(f, of), w.open(f, of)
	speak := make([]claimRef, 0, len(layers))
	at := 0
	for _, r := range f.Ranges {
		for n := r.Start; n <= r.End; n++ {
			speak = speak[:0]
			for _, l := range layers {
				if c := l.claim[at]; c >= 0 {
					speak = append(speak, claimRef{l.source, int(c)})
				}
			}
			d := decision{class: stemma.ClassUnknown, owner: -1}
			if len(speak) > 0 || line.Generated || !open[at] {
				d = w.decide(speak, f.Path, n, line.Generated)
			}
			if d.class == stemma.ClassUnknown && !d.conflict {
				w.mayHaveLine(may, at)
			}
			at++
			w.row.Lines.Count(d.class, 1)
			if d.owner >= 0 {
				w.row.Owners[d.owner].Lines++
			}
			if d.owner >= 0 || d.conflict {
				line.Ranges = extend(line.Ranges, stemma.OwnedRange{Start: n, End: n, Owner: d.owner, Class: d.class})
			}
		}
	}
}

// extend appends r to ranges, or lengthens the last one where r continues it.
func extend(ranges []stemma.OwnedRange, r stemma.OwnedRange) []stemma.OwnedRange {
	if n := len(ranges); n > 0 {
		last := &ranges[n-1]
		if last.End+1 == r.Start && last.Owner == r.Owner && last.Class == r.Class {
			last.End = r.End
			return ranges
		}
	}
	return append(ranges, r)
}

// layer is what one source says of the added lines of one file: for each added
// line, in order, the index of a claim, or -1.
type layer struct {
	source int
	claim  []int32
}

// layers intersects the claims on a file with its added lines, and counts what
// lies outside.
func (w *work) layers(f git.FileDiff, of []claimRef) []layer {
	var layers []layer
	offsets := offsets(f)
	for _, c := range of {
		if w.claim(c).Class == stemma.ClassUnknown {
			continue // see may
		}
		if len(layers) == 0 || layers[len(layers)-1].source != c.source {
			l := layer{source: c.source, claim: make([]int32, f.Added)}
			for i := range l.claim {
				l.claim[i] = -1
			}
			layers = append(layers, l)
		}
		l := layers[len(layers)-1]
		// A later claim of one source stands over an earlier one.
		for _, claimed := range w.said[c.source].Claims[c.claim].Ranges {
			inside := paint(l.claim, f.Ranges, offsets, claimed, int32(c.claim))
			w.row.Sources[c.source].Outside += claimed.End - claimed.Start + 1 - inside
		}
	}
	return layers
}

// may intersects the claims of class unknown on a file with its added lines:
// each names a session that may have written them.
func (w *work) may(f git.FileDiff, of []claimRef) []layer {
	var layers []layer
	for _, c := range of {
		claim := w.claim(c)
		if claim.Class != stemma.ClassUnknown || claim.Session < 0 {
			continue
		}
		l := layer{source: c.source, claim: slices.Repeat([]int32{-1}, f.Added)}
		for _, r := range claim.Ranges {
			paint(l.claim, f.Ranges, offsets(f), r, int32(c.claim))
		}
		layers = append(layers, l)
	}
	return layers
}

// open marks the added lines of a file of which a source says that nobody can
// tell.
func (w *work) open(f git.FileDiff, of []claimRef) []bool {
	var line []int32
	for _, c := range of {
		claim := w.claim(c)
		if claim.Class != stemma.ClassUnknown || claim.Session >= 0 {
			continue
		}
		if line == nil {
			line = slices.Repeat([]int32{-1}, f.Added)
		}
		before := offsets(f)
		for _, r := range claim.Ranges {
			paint(line, f.Ranges, before, r, 0)
		}
	}
	open := make([]bool, f.Added)
	for at, mark := range line {
		open[at] = mark == 0
	}
	return open
}

// mayHaveLine makes the sessions that a source names as possible writers of an
// unknown line its candidates.
func (w *work) mayHaveLine(may []layer, at int) {
	var owners []int
	for _, l := range may {
		if c := l.claim[at]; c >= 0 {
			owners = append(owners, w.claimOwner(claimRef{l.source, int(c)}))
		}
	}
	slices.Sort(owners)
	for _, o := range slices.Compact(owners) {
		w.row.Owners[o].Candidate++
	}
}

// offsets gives, for each range of added lines, how many come before it.
func offsets(f git.FileDiff) []int {
	before := make([]int, len(f.Ranges))
	for i := 1; i < len(f.Ranges); i++ {
		before[i] = before[i-1] + f.Ranges[i-1].End - f.Ranges[i-1].Start + 1
	}
	return before
}

// paint marks the added lines that lie in the claimed range and returns how
// many there are. offsets holds, for each range of added lines, how many added
// lines come before it.
func paint(line []int32, added []git.LineRange, offsets []int, claimed notes.Range, mark int32) int {
	first, _ := slices.BinarySearchFunc(added, claimed.Start, func(r git.LineRange, start int) int {
		return cmp.Compare(r.End, start)
	})
	inside := 0
	for i := first; i < len(added) && added[i].Start <= claimed.End; i++ {
		r := added[i]
		from, to := max(r.Start, claimed.Start), min(r.End, claimed.End)
		for n := from; n <= to; n++ {
			line[offsets[i]+n-r.Start] = mark
		}
		inside += to - from + 1
	}
	return inside
}

// decision is what becomes of one line.
type decision struct {
	class    stemma.Class
	owner    int // -1: nobody
	conflict bool
}

// decide joins the claims on one added line.
func (w *work) decide(speak []claimRef, path string, n int, generated bool) decision {
	same := w.compare(speak)
	switch {
	case generated:
		// Claims on generated lines are counted with their source, and no more.
		return decision{class: stemma.ClassGenerated, owner: -1}
	case len(speak) == 0:
		if of, ok := w.rewritten.at(path, n); ok {
			return w.rewrite(of)
		}
		w.wholeAlone(1)
		if w.row.RestOwner >= 0 {
			return decision{class: w.row.Rest, owner: w.row.RestOwner}
		}
		return decision{class: w.row.Rest, owner: -1}
	case !same:
		w.row.Conflicts++
		claimants := make([]int, len(speak))
		for i, c := range speak {
			claimants[i] = w.claimOwner(c)
		}
		slices.Sort(claimants)
		for _, o := range slices.Compact(claimants) { // two sources may name one session
			w.row.Owners[o].Candidate++
		}
		return decision{class: stemma.ClassUnknown, owner: -1, conflict: true}
	default:
		return decision{class: w.claim(speak[0]).Class, owner: w.claimOwner(speak[0])}
	}
}

// compare counts agreement between the claims on one line, and reports whether
// all give it to the same class.
func (w *work) compare(speak []claimRef) bool {
	same := true
	if w.whole >= 0 && len(speak) > 0 {
		w.compareWhole(speak)
	}
	for i, a := range speak {
		source := &w.row.Sources[a.source]
		source.Lines.Count(w.claim(a).Class, 1)
		if len(speak) == 1 && w.whole < 0 {
			source.Alone++
			return true
		}
		agree := w.whole < 0 || w.asWhole(a)
		for j, b := range speak {
			if i == j {
				continue
			}
			class := w.claim(a).Class == w.claim(b).Class
			same = same && class
			agree = agree && class && w.agent(a) == w.agent(b)
		}
		if agree {
			source.Agree++
		} else {
			source.Differ++
		}
	}
	return same
}

// asWhole reports whether a claim says what the author of the commit says.
func (w *work) asWhole(c claimRef) bool {
	whole := w.said[w.whole]
	return w.claim(c).Class == stemma.ClassAI && w.agent(c) == whole.Sessions[whole.Whole].Agent
}

// compareWhole counts agreement of the commit's author with the claims on one
// line. A contradiction is no conflict: a claim on a line is more exact.
func (w *work) compareWhole(speak []claimRef) {
	source := &w.row.Sources[w.whole]
	source.Lines.Count(stemma.ClassAI, 1)
	agree := true
	for _, c := range speak {
		agree = agree && w.asWhole(c)
	}
	if agree {
		source.Agree++
	} else {
		source.Differ++
	}
}

func (w *work) claim(c claimRef) notes.Claim { return w.said[c.source].Claims[c.claim] }

func (w *work) agent(c claimRef) string {
	if s := w.claim(c).Session; s >= 0 {
		return w.said[c.source].Sessions[s].Agent
	}
	return ""
}

// claimOwner is the index of the owner that a claim names.
func (w *work) claimOwner(c claimRef) int {
	claim := w.claim(c)
	if claim.Session >= 0 {
		return w.sessionOwner(c.source, claim.Session, claim.Class, claim.Strength)
	}
	o := stemma.Owner{Class: claim.Class, Source: w.said[c.source].Source, Strength: claim.Strength}
	switch {
	case claim.Class == stemma.ClassHuman || claim.Person != "":
		o.Person = w.rules.Person(o.Source + ":" + claim.Person)
	default:
		o.Session, o.Agent = sessionKey(w.commit.ID, notes.Session{}), UnknownAgent
	}
	return w.owner(o)
}

func (w *work) sessionOwner(source, session int, class stemma.Class, strength stemma.Strength) int {
	s := w.said[source].Sessions[session]
	return w.owner(stemma.Owner{
		Session:       sessionKey(w.commit.ID, s),
		Agent:         agentKey(s),
		AgentVersion:  s.AgentVersion,
		Model:         s.Model,
		ModelStrength: s.ModelStrength,
		Class:         class,
		Source:        w.said[source].Source,
		Strength:      strength,
	})
}

// UnknownAgent is the key of the agent of sessions whose source names none.
const UnknownAgent = "unknown"

func agentKey(s notes.Session) string { return cmp.Or(s.Agent, UnknownAgent) }

func sessionKey(oid string, s notes.Session) string {
	return stemma.SessionID(agentKey(s), cmp.Or(s.ID, stemma.UnnamedSession(oid))).Key
}

// owner gives the index of this owner in the row, which it joins if it is new.
func (w *work) owner(o stemma.Owner) int {
	k := ownerKey{source: o.Source, session: o.Session, person: o.Person, model: o.Model.Key(), class: o.Class, via: o.Via}
	if o.Via != "" {
		k.rule = o.Strength.Method
	}
	if i, ok := w.owners[k]; ok {
		// Lines of one owner that are known in several ways are known as well as
		// the weakest.
		if have := &w.row.Owners[i]; o.Strength.Confidence < have.Strength.Confidence {
			have.Strength = o.Strength
		}
		return i
	}
	w.owners[k] = len(w.row.Owners)
	w.row.Owners = append(w.row.Owners, o)
	return len(w.row.Owners) - 1
}

// took adds the sessions that took part as candidates of the unknown lines.
// Where another source names sessions of the same agent, those are the
// candidates: an unnamed session would count one session twice. A session of
// which not even the agent is known is any of those that are.
func (w *work) took() {
	for i := range w.said {
		w.tookPart(i, func(s notes.Session) bool { return s.ID != "" || s.Agent != "" })
	}
	for i := range w.said {
		w.tookPart(i, func(s notes.Session) bool { return s.ID == "" && s.Agent == "" })
	}
}

// tookPart adds the sessions of one source that are wanted now.
func (w *work) tookPart(source int, wanted func(notes.Session) bool) {
	s := w.said[source]
	open := w.row.Lines.Unknown - w.row.Conflicts - w.row.Ambiguous
	if len(s.Claims) > 0 && !s.Partial {
		// A source that tells lines has told which are this session's: none.
		open = 0
	}
	counted := make(map[string]bool) // a session with two models is one
	for _, t := range s.Took {
		session := s.Sessions[t]
		if !wanted(session) {
			continue
		}
		if key := sessionKey(w.commit.ID, session); session.ID == "" || !counted[key] {
			counted[key] = true
			w.row.Sources[source].Took++
		}
		if session.ID == "" && session.Agent == "" && slices.ContainsFunc(w.row.Owners, func(o stemma.Owner) bool { return o.Session != "" }) {
			continue
		}
		if session.ID == "" && w.candidate(agentKey(session), open) {
			continue
		}
		if session.ID != "" && w.candidateAgain(sessionKey(w.commit.ID, session), session.Model, open) {
			continue
		}
		o := w.sessionOwner(source, t, stemma.ClassUnknown, session.Strength)
		w.mayHave(&w.row.Owners[o], open)
	}
}

// mayHave makes an owner a candidate of the open lines, beside those that it
// claims in contradiction to others.
func (w *work) mayHave(o *stemma.Owner, open int) {
	o.Candidate = min(o.Candidate+open, w.row.Lines.Unknown)
}

// candidateAgain makes a session that has lines here a candidate of the open
// ones too, and reports whether it has any.
func (w *work) candidateAgain(session string, model stemma.Model, open int) bool {
	for i := range w.row.Owners {
		o := &w.row.Owners[i]
		if o.Session == session && o.Model.Key() == model.Key() && o.Lines > 0 {
			w.mayHave(o, open)
			return true
		}
	}
	return false
}

// candidate makes the sessions of this agent that have lines here candidates
// of the open lines, and reports whether there is one.
func (w *work) candidate(agent string, open int) bool {
	seen := make(map[string]bool)
	for i := range w.row.Owners {
		o := &w.row.Owners[i]
		if o.Session == "" || o.Agent != agent || o.Lines+o.Candidate == 0 {
			continue
		}
		// A session with lines of two classes is two owners: once is enough.
		if !seen[o.Session] {
			w.mayHave(o, open)
		}
		seen[o.Session] = true
	}
	return len(seen) > 0
}

// digest is over everything that the row was computed from.
func (w *work) digest(diff git.Diff) string {
	h := sha256.New()
	number(h, Algorithm)
	text(h, w.commit.ID)
	number(h, w.row.Time)
	text(h, string(w.row.Rest))
	number(h, int64(len(w.said)))
	for _, s := range w.said {
		text(h, s.Source)
		text(h, s.Input)
	}
	w.rewritten.digest(h)
	text(h, diff.Unreadable)
	byPath := slices.Clone(diff.Files)
	slices.SortFunc(byPath, func(a, b git.FileDiff) int { return cmp.Compare(a.Path, b.Path) })
	for _, f := range byPath {
		text(h, f.Path)
		number(h, int64(f.Added))
		if w.rules.Generated != nil && w.rules.Generated(f.Path) {
			number(h, 1)
		}
		for _, r := range f.Ranges {
			number(h, int64(r.Start))
			number(h, int64(r.End))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func text(h hash.Hash, s string) {
	number(h, int64(len(s)))
	h.Write([]byte(s))
}

func number(h hash.Hash, n int64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	h.Write(b[:])
}

func size(ranges []notes.Range) int {
	n := 0
	for _, r := range ranges {
		n += r.End - r.Start + 1
	}
	return n
}
