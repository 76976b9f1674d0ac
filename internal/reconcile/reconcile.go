// Package reconcile answers what is new: it compares the state of a repository
// with what the store knows, and derives what is missing. Begin with [Run].
//
// It is idempotent. A run that was stopped anywhere, by anything, is completed
// by the next one; a run that finds nothing new does next to nothing. The cost
// grows with what changed, not with the repository.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attribution"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
	"github.com/stemma-dev/stemma/internal/project"
	"github.com/stemma-dev/stemma/internal/record"
	"github.com/stemma-dev/stemma/internal/store"
)

// Config is what a run works with. Repo, Store, Evidence, Now and Person must be
// set.
type Config struct {
	Repo    *git.Repo
	Store   store.Store
	Notes   []notes.NoteSource
	Keyed   []notes.KeyedSource
	Commits []notes.CommitSource

	// Evidence opens the place where observations are recorded, when there is
	// something to look up or to record. Where that fails, or nothing can be
	// recorded there, the run goes on and says so in its report.
	Evidence func(context.Context) (*record.Ledger, error)
	// Now is the clock that stamps observations.
	Now func() time.Time
	// Observer names who sees the refs: the same for every run on one clone.
	Observer string
	// Person gives the pseudonym of an identity; see attribution.Rules.
	Person func(identity string) string
	// AgentEra is attribution.Rules.AgentEra.
	AgentEra int64
	// Generated are patterns of generated paths in gitattributes syntax, in
	// addition to the usual names and the repository's own attributes.
	Generated []string
	// AllRefs takes in every ref that leads to a commit, not only branches,
	// remote-tracking branches and tags.
	AllRefs bool
	// Branch is the name of the default branch; "" finds it.
	Branch string
	// Workers is how many git processes read differences side by side; 0 is 2.
	Workers int
	// Progress is told how far the run is, from one goroutine at a time; nil is
	// nobody.
	Progress func(Progress)
}

// Progress is how far a run is. Total is 0 while it is not known.
type Progress struct {
	Stage       string
	Done, Total int
}

// Report is what a run found and did.
type Report struct {
	Repository string // key of the repository node
	Branch     string // full name of the ref that changes enter; "" where there is none
	Moved      int    // refs that moved since the last observation
	Added      int    // commits that are new
	Redone     int    // commits derived again, because their evidence or a rule changed
	Removed    int    // commits that no ref reaches any more
	// Unreached counts, by source, evidence on commits that no ref reaches.
	Unreached map[string]int
	// Unrecorded says why the refs that moved could not be recorded; "" where they
	// were. A later run records them.
	Unrecorded string
	// Absent counts the commits that have evidence and whose objects are not in
	// the repository, so that no rewrite of them can be told.
	Absent int
	// Resolved counts the commits whose lines this run found, or found again, to
	// be those of others.
	Resolved int
	// BrokenRefs are refs that git could not read.
	BrokenRefs []string
	// Unread are refs that carry evidence which no source reads.
	Unread []string
	// Fingerprint is that of the refs as the run read them; "" where they moved
	// meanwhile. One taken at another moment could name refs that moved away and
	// came back, while the run saw them in between.
	Fingerprint string
	Empty       bool // the repository has no commits
}

// Changed reports whether the run changed the graph.
func (r Report) Changed() bool { return r.Added+r.Redone+r.Removed+r.Resolved > 0 || r.Moved > 0 }

// batch is how many scopes one Put holds: enough to pay for its transaction,
// few enough that a stop loses little.
const batch = 2000

// Run brings the store up to date with the repository. It may be called again
// after any error. Two runs on one store at once are safe but do work twice:
// callers hold a lock.
func Run(ctx context.Context, cfg Config) (Report, error) {
	if cfg.Workers <= 0 {
		cfg.Workers = 2
	}
	if cfg.Progress == nil {
		cfg.Progress = func(Progress) {}
	}
	r := &run{Config: cfg}
	defer r.close()
	if err := r.observe(ctx); err != nil {
		return r.report, fmt.Errorf("observe refs: %w", err)
	}
	if r.report.Empty {
		return r.report, nil
	}
	p, err := r.plan(ctx)
	if err != nil {
		return r.report, fmt.Errorf("plan: %w", err)
	}
	if p.nothing {
		return r.report, nil
	}
	if err := r.begin(ctx); err != nil {
		return r.report, fmt.Errorf("begin: %w", err)
	}
	if err := r.derive(ctx, p); err != nil {
		return r.report, fmt.Errorf("derive commits: %w", err)
	}
	if err := r.rewrites(ctx, p); err != nil {
		return r.report, fmt.Errorf("follow rewrites: %w", err)
	}
	if err := r.changes(ctx, p); err != nil {
		return r.report, fmt.Errorf("derive changes: %w", err)
	}
	if err := r.finish(ctx); err != nil {
		return r.report, fmt.Errorf("finish: %w", err)
	}
	return r.report, nil
}

// run is one run.
type run struct {
	Config
	report Report

	ledger *record.Ledger   // nil where it can not be opened
	seen   project.Observed // what the evidence says, as far as it was read
	before project.Refs     // as the evidence had them when the run began
	now    project.Refs
	tips   []string        // commits that selected refs point to, each once
	named  map[string]bool // commits that a ref of evidence is or was named after
	marks  marks
	state  state // what this run derives from

	evidence  map[string]map[string][]string // source -> commit -> object ids of its evidence
	keyed     []keyed
	generated *generated

	outside []string        // commits to look at although no ref may reach them: sorted
	absent  map[string]bool // commits that have evidence and no object here
	links   *links          // what this run found of rewrites; nil where none are followed
}

// close ends what the run started.
func (r *run) close() {
	if r.generated != nil {
		r.generated.close()
	}
}

// observe reads the refs and records where they moved.
func (r *run) observe(ctx context.Context) error {
	before, err := r.Repo.Fingerprint()
	if err != nil {
		return err
	}
	refs, err := r.readRefs(ctx)
	if err != nil {
		return err
	}
	after, err := r.Repo.Fingerprint()
	if err != nil {
		return err
	}
	if before == after {
		r.report.Fingerprint = after
	}
	branch, tip, err := r.branch(ctx, refs)
	if err != nil {
		return err
	}
	r.report.Branch = branch
	if len(r.tips) == 0 {
		r.report.Empty = true
		return nil
	}
	if tip == "" {
		tip = r.tips[0]
	}
	if err := r.lookBack(ctx, tip); err != nil {
		return err
	}
	if r.marks, err = readMarks(ctx, r.Store, r.report.Repository); err != nil {
		return err
	}
	moves := r.before.Moves(r.now)
	r.report.Moved = len(moves)
	if err := r.readState(ctx, refs, branch, tip); err != nil {
		return err
	}
	if len(moves) == 0 || r.ledger == nil {
		return nil
	}
	return r.recordMoves(ctx, moves)
}

// nameAll adds the commits that refs of evidence are named after.
func (r *run) nameAll(refs project.Refs) {
	for name := range refs {
		if commit, ok := r.namedAfter(name); ok {
			r.named[commit] = true
		}
	}
}

// rootKey is the key of a repository that no forge has named: its first
// commit, found along first parents, so that histories merged in later do not
// change it.
func rootKey(ctx context.Context, repo *git.Repo, tip string) (string, error) {
	root := tip
	for c, err := range repo.History(ctx, git.HistoryQuery{Tips: []string{tip}, FirstParent: true, NoMessages: true}) {
		if err != nil {
			return "", fmt.Errorf("find the first commit: %w", err)
		}
		root = c.ID
	}
	return "git#" + root, nil
}

// plan says what has to be derived.
type plan struct {
	nothing bool
	full    bool            // what is stored can not be told from the refs alone
	old     []string        // tips whose history is derived already
	dirty   map[string]bool // commits whose evidence or rules changed
	all     bool            // every commit is dirty
	rekey   bool            // the scopes of all commits lack keys, or have them for nothing
	anew    bool            // rewrites are looked for in all commits
	stored  map[string]bool // in a full plan: commits that the store has
	redone  []string        // filled by derive: dirty commits that were derived again
}

// every reports whether all commits are derived again.
func (p *plan) every() bool { return p.all || p.rekey }

// plan compares this run's state with those that the store was derived from.
func (r *run) plan(ctx context.Context) (*plan, error) {
	p := &plan{dirty: make(map[string]bool)}
	if r.marks.done != nil && len(r.marks.begun) == 0 && r.marks.done.equal(r.state) {
		p.nothing = true
		return p, nil
	}
	p.anew = r.marks.done == nil || len(r.marks.begun) > 0
	p.full = r.marks.done == nil || len(r.marks.begun) > 0 ||
		r.marks.done.Refs != r.tipsDigest(r.before) || r.marks.done.Shallow != r.state.Shallow ||
		r.marks.done.AllRefs != r.state.AllRefs
	from := slices.Clone(r.marks.begun)
	if r.marks.done != nil {
		from = append(from, *r.marks.done)
	}
	for _, s := range from {
		if err := r.dirty(ctx, s, p); err != nil {
			return nil, err
		}
	}
	if !p.full {
		if err := r.incremental(ctx, p); err != nil {
			return nil, err
		}
	}
	if p.full {
		p.old = nil
		p.stored = make(map[string]bool)
		repository := stemma.NodeID{Kind: stemma.KindRepository, Key: r.report.Repository}
		for e, err := range r.Store.Edges(ctx, store.EdgeQuery{To: []stemma.NodeID{repository}, Kinds: []stemma.EdgeKind{stemma.EdgeIn}}) {
			if err != nil {
				return nil, err
			}
			p.stored[e.From.Key] = true
		}
	}
	return p, nil
}

// incremental finds the tips that are done. It falls back to a full plan when an
// old tip is not there any more, or is not part of what the refs reach now.
func (r *run) incremental(ctx context.Context, p *plan) error {
	now := make(map[string]bool, len(r.tips))
	for _, t := range r.tips {
		now[t] = true
	}
	var lost []string
	since := []string{r.state.Tip} // where what refs moved away from mostly is
	for _, m := range r.before {
		tip := m.At
		if tip == "" || !r.selected(m.Name) {
			continue
		}
		typ, _, err := r.Repo.Stat(ctx, tip)
		if errors.Is(err, stemma.ErrNotFound) {
			p.full = true
			return nil
		}
		if err != nil {
			return err
		}
		if typ != "commit" {
			continue
		}
		p.old = append(p.old, tip)
		if !now[tip] {
			lost = append(lost, tip)
			if at := r.now[m.Name].At; at != "" {
				since = append(since, at)
			}
		}
	}
	slices.Sort(p.old)
	p.old = slices.Compact(p.old)
	// What no ref reaches any more is compared as a whole: the objects may vanish
	// while they are looked at. A ref that moved on has left nothing behind.
	for _, err := range r.Repo.History(ctx, git.HistoryQuery{Tips: lost, Not: since, Limit: 1, NoMessages: true}) {
		if err != nil && !foreign(err) {
			return err
		}
		p.full = true
		return nil
	}
	return nil
}

// dirty adds what must be derived again because it was derived from s.
func (r *run) dirty(ctx context.Context, s state, p *plan) error {
	if s.Algorithm != r.state.Algorithm {
		p.all, p.anew = true, true
		return nil
	}
	if s.Follow != r.state.Follow {
		p.rekey, p.anew = true, true
	}
	for _, source := range r.Notes {
		for _, ref := range source.NotesRefs() {
			err := r.notesChanged(ctx, s.Notes[ref], r.state.Notes[ref], p.dirty)
			if err != nil && foreign(err) {
				p.all = true // what it was is not here any more, or it is no tree of notes
				return nil
			}
			if err != nil {
				return fmt.Errorf("compare %s: %w", ref, err)
			}
		}
	}
	if s.EvidenceRefs != r.state.EvidenceRefs {
		// Every commit that ever had such a ref: one that was there in between
		// may have left its mark on a run that did not end.
		for commit := range r.named {
			p.dirty[commit] = true
		}
	}
	if !equalKeyed(s.Keyed, r.state.Keyed) {
		all, err := r.keyedChanged(ctx, s.Keyed, p.dirty)
		if err != nil {
			return err
		}
		p.all = p.all || all
	}
	if s.AgentEra != r.state.AgentEra {
		until := max(s.AgentEra, r.state.AgentEra)
		for t, err := range r.Store.Tallies(ctx, store.TallyQuery{Kind: stemma.KindCommit, Group: r.report.Repository, Until: until}) {
			if err != nil {
				return err
			}
			p.dirty[t.Node.Key] = true
		}
	}
	if s.Generated != r.state.Generated {
		if err := r.generatedChanged(ctx, p.dirty); err != nil {
			return err
		}
	}
	for _, id := range slices.Concat(s.Boundary, r.state.Boundary) {
		if s.Shallow != r.state.Shallow {
			p.dirty[id] = true
		}
	}
	return nil
}

// notesChanged adds the commits whose note differs between two trees of notes.
func (r *run) notesChanged(ctx context.Context, from, to string, dirty map[string]bool) error {
	if from == to {
		return nil
	}
	if from != "" {
		if _, _, err := r.Repo.Stat(ctx, from); err != nil {
			return err
		}
	}
	if to == "" {
		from, to = "", from // the same paths, from the side that is there
	}
	for c, err := range r.Repo.TreeDiff(ctx, from, to) {
		if err != nil {
			return err
		}
		if id, ok := notedCommit(c.Path); ok {
			dirty[id] = true
		}
	}
	return nil
}

// generatedChanged adds the commits with a file that is now, or is not any
// more, generated.
func (r *run) generatedChanged(ctx context.Context, dirty map[string]bool) error {
	for row, err := range r.Store.AllAttributions(ctx) {
		if err != nil {
			return err
		}
		is, err := r.generated.changed(&row)
		if err != nil {
			return err
		}
		if is {
			dirty[row.Commit] = true
		}
	}
	return nil
}

// rules are the rules of attribution for this run.
func (r *run) rules(generated func(string) bool) attribution.Rules {
	return attribution.Rules{AgentEra: r.AgentEra, Generated: generated, Person: r.Person}
}

// foreign reports whether an error is about the bytes that were read, and not
// about reading them: those are counted and the rest goes on.
func foreign(err error) bool {
	return errors.Is(err, stemma.ErrInvalid) || errors.Is(err, stemma.ErrNotFound)
}
