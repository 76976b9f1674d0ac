// Package capture answers who wrote the lines of a commit, from what the hooks
// on this machine saw. Begin with [Attribute].
//
// It turns the spool into evidence: for each file the states in which it was
// seen are put in order, each difference between two is given to whom the hooks
// show at work, and package attribution replays them. What may have been written
// by two, or in a gap, is unknown, with the sessions that may have as candidates.
package capture

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attribution"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
	"github.com/stemma-dev/stemma/internal/spool"
)

// Config is what the work is done with. All fields must be set.
type Config struct {
	Repo    *git.Repo
	Records iter.Seq2[spool.Stored, error]
	// Blob gives the content of a snapshot, as spool.Spool.Blob does.
	Blob func(digest string) ([]byte, error)
	// Person is the pseudonym of the person at this machine.
	Person string
	// Unread are the sessions whose transcripts could not be compared with what
	// their hooks reported, by key: see [Compare].
	Unread map[string]string
	// Models are the models that transcripts name, by the key of a session.
	Models map[string][]string
	// Pauses are when capture was paused: what was written then is nobody's.
	Pauses []spool.Interval
}

// Result is what was captured of one commit.
type Result struct {
	Commit string
	// Evidence claims ranges of added lines. Claims of class unknown name a
	// session that may have written the lines; its Problems are the gaps.
	Evidence notes.Evidence
	// Input is the hex SHA-256 over the states that it was made from.
	Input string
	// Uncompared are the keys of the sessions that were at work meanwhile and whose
	// transcripts were not compared: that they wrote no more than their hooks
	// reported rests on the hooks alone.
	Uncompared []string
	// Doubt are files, by work tree, in which a call may have written that was not
	// seen whole: those of which lines are unknown, and others that were at work. A
	// look at them now tells what is written later from that.
	Doubt map[string][]string
	// Alike are lines of earlier commits that the commit wrote anew, or took away,
	// beside their like: git takes the one for the other, and from here on a line
	// that git gives to them may be another.
	Alike []Twin
	// Empty says that nothing was captured of the lines that the commit added:
	// Evidence has none, and Alike alone tells something.
	Empty bool
}

// Attribute attributes these commits, in the order of their times, and leaves
// out those of which nothing was captured. It may be called again, with the same
// result, as long as the spool holds the same.
func Attribute(ctx context.Context, cfg Config, commits []string) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		fail := func(err error) { yield(Result{}, fmt.Errorf("attribute what was captured: %w", err)) }
		t, err := read(cfg.Records, cfg.Pauses)
		if err != nil {
			fail(err)
			return
		}
		w := &work{
			Config: cfg, timeline: t, files: make(map[place]*file), actions: make(map[string]string), replaced: make(map[string]string),
			marks: make(map[version]gitsMarks),
		}
		if err := w.readReflog(ctx); err != nil {
			fail(err)
			return
		}
		all, diffs, err := w.readCommits(ctx, commits)
		if err != nil {
			fail(err)
			return
		}
		all, err = w.withParents(ctx, all, diffs)
		if err != nil {
			fail(err)
			return
		}
		for _, c := range all {
			if d, ok := diffs[c.ID]; ok {
				r, any, err := w.commit(ctx, c, d)
				if err != nil {
					fail(fmt.Errorf("commit %s: %w", c.ID, err))
					return
				}
				if any && !yield(r, nil) {
					return
				}
			}
			if err := w.remember(ctx, c); err != nil {
				fail(fmt.Errorf("commit %s: %w", c.ID, err))
				return
			}
		}
	}
}

// readCommits reads those of the commits that are there, in the order of their
// times, and what they changed.
func (w *work) readCommits(ctx context.Context, commits []string) ([]*git.Commit, map[string]git.Diff, error) {
	var all []*git.Commit
	for _, id := range commits {
		c, err := w.Repo.Commit(ctx, id)
		if errors.Is(err, stemma.ErrNotFound) {
			continue // gone meanwhile
		}
		if err != nil {
			return nil, nil, err
		}
		if c.Problem == "" {
			all = append(all, c)
		}
	}
	slices.Reverse(all) // the youngest came first: of one second, parents before children
	slices.SortStableFunc(all, byTime)
	diffs := make(map[string]git.Diff, len(all))
	for d, err := range w.Repo.Patches(ctx, ids(all), 2) {
		if err != nil {
			return nil, nil, err
		}
		diffs[d.Commit] = d
	}
	return all, diffs, nil
}

func byTime(a, b *git.Commit) int { return cmp.Compare(a.Committer.Time, b.Committer.Time) }

func ids(commits []*git.Commit) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, c := range commits {
			if !yield(c.ID) {
				return
			}
		}
	}
}

// work is one call of Attribute.
type work struct {
	Config
	*timeline
	files    map[place]*file
	actions  map[string]string // of reflogs, by the commit they made
	replaced map[string]string // what was there before it
	tips     []string          // commits that refs and reflogs name
	lost     []lost            // by all files, in the order of time
	ancestry
	marks map[version]gitsMarks
}

// readReflog reads how commits came about, and what there is beside a branch.
func (w *work) readReflog(ctx context.Context) error {
	entries, err := w.Repo.Reflog(ctx)
	if err != nil {
		return err
	}
	tips := make(map[string]bool)
	for _, e := range entries {
		if e.New == "" {
			continue
		}
		// The first entry tells how it was made; later ones move refs to it.
		if _, ok := w.actions[e.New]; !ok {
			w.actions[e.New], w.replaced[e.New] = e.Action, e.Old
		}
		tips[e.New] = true
	}
	refs, _, err := w.Repo.Refs(ctx, "refs/heads/", "refs/remotes/", "refs/stash")
	if err != nil {
		return err
	}
	for _, r := range refs {
		if r.Commit != "" {
			tips[r.Commit] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(tips)) {
		typ, _, err := w.Repo.Stat(ctx, id)
		if errors.Is(err, stemma.ErrNotFound) {
			continue // pruned
		}
		if err != nil {
			return err
		}
		if typ == "commit" {
			w.tips = append(w.tips, id)
		}
	}
	return nil
}

// file is a file of a work tree, replayed up to next.
type file struct {
	replay *attribution.Replay
	now    []byte    // the content of the last state
	from   time.Time // when that was so
	began  time.Time // the first from
	since  time.Time // from when on what is not committed at began can be
	next   int       // index of the first state that was not replayed
	heard  time.Time // until when it knows what other files lost
	looked look      // of marks: see marksOf
	marks  []attribution.Mark
	faults map[string]bool // why states are not known, since the last commit that added lines
}

// fault keeps why a state is not known, for the next commit that adds lines.
func (f *file) fault(reason string) {
	if f.faults == nil {
		f.faults = make(map[string]bool)
	}
	f.faults[reason] = true
}

// maxBlob is the size in bytes over which a file in git is not replayed: more
// than a snapshot has.
const maxBlob = spool.MaxFile

// owners are the numbers of sessions, then the person, then the person as an
// editor saw it, then the sessions as their transcripts tell of them.
func (w *work) person() int               { return len(w.sessions) }
func (w *work) seen() int                 { return len(w.sessions) + 1 }
func (w *work) toldOwner(session int) int { return len(w.sessions) + 2 + session }

// sessionOf gives the session that an owner is, and whether a transcript tells
// so; -1 where the owner is none.
func (w *work) sessionOf(owner int) (session int, told bool) {
	switch {
	case owner < w.person():
		return owner, false
	case owner > w.seen():
		return owner - w.seen() - 1, true
	default:
		return -1, false
	}
}

// madeUntil is until when what was seen counts for a commit: commits are stamped
// in seconds, and what was seen in the same one counts.
func madeUntil(c *git.Commit) time.Time { return time.Unix(c.Committer.Time+1, 0).Add(-1) }

// commit attributes one commit.
func (w *work) commit(ctx context.Context, c *git.Commit, d git.Diff) (Result, bool, error) {
	until := madeUntil(c)
	e := &evidence{work: w, commit: c, until: until, gaps: make(map[string]bool), input: sha256.New()}
	if len(c.Parents) > 0 {
		parent, err := w.Repo.Commit(ctx, c.Parents[0])
		if err != nil && !errors.Is(err, stemma.ErrNotFound) {
			return Result{}, false, err
		}
		if err == nil && parent.Problem == "" {
			e.parent = parent
		}
	}
	var touched []place
	for _, f := range d.Files {
		if len(f.Ranges) == 0 && len(f.Hunks) == 0 {
			continue
		}
		p, ok := w.where(f.Path, until)
		if !ok && f.Added == 0 {
			continue
		}
		if session, in := w.within(f.Path, until); !ok && in {
			if err := e.inside(ctx, f, session); err != nil {
				return Result{}, false, err
			}
			continue
		}
		if !ok {
			if err := e.untouched(ctx, f); err != nil {
				return Result{}, false, err
			}
			continue
		}
		if err := w.begin(ctx, p, c); err != nil {
			return Result{}, false, err
		}
		touched = append(touched, p)
		e.want = append(e.want, wanted{p, f})
	}
	if err := w.advance(ctx, touched, until); err != nil {
		return Result{}, false, err
	}
	for _, want := range e.want {
		content, err := w.Repo.File(ctx, c.ID, want.diff.Path, maxBlob)
		if errors.Is(err, stemma.ErrInvalid) || errors.Is(err, stemma.ErrNotFound) {
			if want.diff.Added > 0 {
				e.gaps["a file is too large or not there"] = true
			}
			continue
		}
		if err != nil {
			return Result{}, false, err
		}
		marks := e.claim(want, content)
		if err := e.alike(ctx, want.diff, content, marks); err != nil {
			return Result{}, false, err
		}
	}
	if left, err := e.leave(ctx, d); err != nil || left {
		return Result{}, false, err
	}
	return e.result()
}

// where finds the work tree in which the file was seen last before a time.
func (w *work) where(path string, until time.Time) (place, bool) {
	var best place
	var at time.Time
	for _, p := range w.byPath[path] {
		states := w.states[p]
		n, _ := slices.BinarySearchFunc(states, until, func(s state, t time.Time) int { return s.at.Compare(t) })
		if n == 0 {
			continue
		}
		if last := states[n-1].at; best.path == "" || last.After(at) || last.Equal(at) && p.tree < best.tree {
			best, at = p, last
		}
	}
	return best, best.path != ""
}

// within finds the session in the middle of whose call a commit was made, of a
// file that was as git has it before the call and was seen first after it.
func (w *work) within(path string, at time.Time) (session int, ok bool) {
	session = -1
	for _, p := range w.byPath[path] {
		first := w.states[p][0]
		own := w.windowOf(p.tree, first)
		if own == nil || own.fault != "" || own.from.After(at) || own.to.Before(at) || len(w.open(p, at, own)) > 0 {
			continue
		}
		if ok && session != own.session {
			return -1, false // in two work trees at once: nobody can tell
		}
		session, ok = own.session, true
	}
	return session, ok
}

// inside claims what a commit added that was made in the middle of a call.
func (e *evidence) inside(ctx context.Context, f git.FileDiff, session int) error {
	content, err := e.Repo.File(ctx, e.commit.ID, f.Path, maxBlob)
	if errors.Is(err, stemma.ErrInvalid) || errors.Is(err, stemma.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var base []byte
	if len(e.commit.Parents) > 0 {
		base, err = e.Repo.File(ctx, e.commit.Parents[0], cmp.Or(f.OldPath, f.Path), maxBlob)
		if err != nil && !errors.Is(err, stemma.ErrNotFound) && !errors.Is(err, stemma.ErrInvalid) {
			return err
		}
	}
	fmt.Fprintf(e.input, "%q within a call\n", f.Path)
	marks := attribution.NewReplay(base).Marks(content, attribution.Writer{Owner: session, Loose: true})
	e.addMarks(f, marks, "")
	return nil
}

// begin makes the replay of a file. It begins with what the youngest commit
// before the commit has that was made before the file was seen first: what
// differs then was written in between, and which commit is attributed first makes
// no difference. Else it begins with the first state: who wrote that is not for
// the hooks to tell.
func (w *work) begin(ctx context.Context, p place, c *git.Commit) error {
	if w.files[p] != nil {
		return nil
	}
	f := &file{}
	first := w.states[p][0]
	base, err := w.madeBefore(ctx, c, first.at)
	if err != nil {
		return err
	}
	if base != nil {
		f.from = time.Unix(base.Committer.Time, 0)
		f.since = w.uncommittedSince(p, f.from)
		f.now, err = w.Repo.File(ctx, base.ID, p.path, maxBlob)
		if err != nil && !errors.Is(err, stemma.ErrNotFound) && !errors.Is(err, stemma.ErrInvalid) {
			return err
		}
	}
	if f.from.IsZero() {
		f.from, f.since, f.next = first.at, first.at, 1
		f.now, _ = w.content(first) // what is not held any more is a file without lines of its own
	}
	f.began = f.from
	f.replay = attribution.NewReplay(f.now)
	w.files[p] = f
	return nil
}

// madeBefore gives the youngest of a commit's first parents that was made before a
// time; nil where there is none.
func (w *work) madeBefore(ctx context.Context, c *git.Commit, at time.Time) (*git.Commit, error) {
	if len(c.Parents) == 0 {
		return nil, nil
	}
	parent, err := w.Repo.Commit(ctx, c.Parents[0])
	if err != nil {
		return nil, err
	}
	until := at.Add(-1).Unix() // commits are stamped in seconds
	if parent.Committer.Time <= until {
		return parent, nil
	}
	query := git.HistoryQuery{Tips: []string{parent.ID}, FirstParent: true, Until: until, Limit: 1, NoMessages: true}
	for c, err := range w.Repo.History(ctx, query) {
		return c, err
	}
	return nil, nil
}

// advance replays the files up to a time, one state after the other over all
// of them, so that a piece that leaves one is known to the next.
func (w *work) advance(ctx context.Context, of []place, until time.Time) error {
	for {
		var next place
		var at time.Time
		for _, p := range of {
			f, states := w.files[p], w.states[p]
			if f.next < len(states) && !states[f.next].at.After(until) && (next.path == "" || states[f.next].at.Before(at)) {
				next, at = p, states[f.next].at
			}
		}
		if next.path == "" {
			return nil
		}
		if err := w.step(ctx, next); err != nil {
			return err
		}
	}
}

// step replays the next state of a file.
func (w *work) step(ctx context.Context, p place) error {
	f, states := w.files[p], w.states[p]
	s, from := states[f.next], f.from
	f.next++
	f.from = s.at
	own := w.windowOf(p.tree, s)
	if own != nil && own.fault == "" && s.found && s.file.Was == "" && len(f.now) == 0 && from.Before(own.from) {
		from = own.from // the hook before the tool looked at the whole tree, and it was not there
	}
	if own != nil && s.file.Was != "" && from.Before(own.from) {
		// It was as git had it when the tool began: what came before is not the tool's.
		was, err := w.Repo.Blob(ctx, s.file.Was, maxBlob)
		switch {
		case err == nil:
			writer := w.between(p, from, own.from)
			w.replay(p, was, own.from, writer.Writer)
			if writer.fault != "" && string(was) != string(f.now) {
				f.fault(writer.fault)
			}
			f.now, from = was, own.from
		case !errors.Is(err, stemma.ErrNotFound) && !errors.Is(err, stemma.ErrInvalid):
			return err
		}
	}
	content, err := w.content(s)
	if err != nil {
		f.fault("a snapshot is not held any more")
		return nil
	}
	writer := w.writer(p, s, from)
	w.replay(p, content, s.at, writer.Writer)
	if writer.fault != "" && string(content) != string(f.now) {
		f.fault(writer.fault)
	}
	f.now = content
	return nil
}

// lost is what a file lost at a time.
type lost struct {
	at     time.Time
	by     place
	pieces []attribution.Piece
}

// maxLost is how many times of loss before a state are told to the file that it is
// a state of.
const maxLost = 256

// replay goes on to a state of a file, which knows then what the others lost before
// it: a piece that was moved from one to another keeps its owners, whichever was
// replayed first.
func (w *work) replay(p place, content []byte, at time.Time, writer attribution.Writer) {
	f := w.files[p]
	end, _ := slices.BinarySearchFunc(w.lost, at, func(l lost, t time.Time) int {
		if l.at.After(t) {
			return 1
		}
		return -1
	})
	begin, _ := slices.BinarySearchFunc(w.lost[:end], f.heard, func(l lost, t time.Time) int {
		if l.at.After(t) {
			return 1
		}
		return -1
	})
	for _, l := range w.lost[max(begin, end-maxLost):end] {
		if l.by != p {
			f.replay.Remember(l.pieces)
		}
	}
	f.heard = at
	f.replay.Step(content, writer)
	if gone := f.replay.Deleted(); len(gone) > 0 {
		w.lost = slices.Insert(w.lost, end, lost{at, p, gone})
	}
}

// content is that of a state; nil of a file that is not there.
func (w *work) content(s state) ([]byte, error) {
	switch s.file.State {
	case spool.Absent:
		return nil, nil
	case spool.Present, spool.Link:
		return w.Blob(s.file.Blob)
	default:
		return nil, stemma.ErrUnavailable
	}
}

// writer is who made a difference, and why that is not known.
type writer struct {
	attribution.Writer
	fault string
}

func nobody(fault string, may ...int) writer {
	slices.Sort(may)
	may = slices.DeleteFunc(slices.Compact(may), func(s int) bool { return s < 0 })
	return writer{attribution.Writer{Owner: attribution.Nobody, Loose: true, May: may}, fault}
}

// writer tells who made the difference between a state and the one before,
// which was seen at from.
func (w *work) writer(p place, s state, from time.Time) writer {
	if s.phase == spool.Save {
		return writer{attribution.Writer{Owner: w.seen(), Person: true, Told: w.from(p, s.at)}, ""}
	}
	if s.phase == spool.After && s.session >= 0 {
		own := w.windowOf(p.tree, s)
		if own == nil || own.fault != "" {
			fault := "a hook is missing"
			if own != nil {
				fault = own.fault
			}
			return nobody(fault, append(w.may(p, from, s.at, own), s.session)...)
		}
		if !w.ordered(from, s.at) && !from.Equal(own.from) {
			return nobody(gapSetBack, append(w.atWork(p), s.session)...)
		}
		if !s.found {
			if from.Before(own.from) {
				return nobody("the content before the tool was not seen", s.session)
			}
			if others := w.unseen(p, from, s.at, s.session); len(others) > 0 {
				return nobody(faultTold, append(others, s.session)...)
			}
			return writer{attribution.Writer{Owner: s.session}, ""}
		}
		if others := append(w.open(p, s.at, own), w.unseen(p, from, s.at, s.session)...); len(others) > 0 {
			return nobody("two agents were at work at once", append(others, s.session)...)
		}
		return writer{attribution.Writer{Owner: s.session, Loose: true}, ""}
	}
	return w.between(p, from, s.at)
}

// between tells who wrote in a time in which no hook shows a writer.
func (w *work) between(p place, from, to time.Time) writer {
	if !w.ordered(from, to) {
		return nobody(gapSetBack, w.atWork(p)...)
	}
	since := from
	if f := w.files[p]; f != nil && from.Equal(f.began) {
		since = f.since // what was not committed then may be older
	}
	if may := w.may(p, since, to, nil); len(may) > 0 {
		n := nobody(w.faultIn(p, since, to), may...)
		n.Told = w.from(p, to)
		return n
	}
	switch open := w.open(p, to, nil); len(open) {
	case 0:
	case 1:
		return writer{attribution.Writer{Owner: open[0], Loose: true}, ""}
	default:
		return nobody("two agents were at work at once", open...)
	}
	if !w.healthy(p.tree, from, to) {
		return nobody("it is not known that capture was healthy")
	}
	return writer{attribution.Writer{Owner: w.person(), Person: true, Loose: true, Told: w.from(p, to)}, ""}
}

// unseen gives other sessions with a call in an interval that no hook reported.
func (w *work) unseen(p place, from, to time.Time, but int) []int {
	var unseen []int
	for _, c := range w.windows[p.tree] {
		if c.fault == faultTold && c.session != but && c.touches(p.path) && c.from.Before(to) && c.to.After(from) {
			unseen = append(unseen, c.session)
		}
	}
	return unseen
}

// windowOf is the call whose end the state was seen at.
func (w *work) windowOf(tree string, s state) *window {
	for _, c := range w.windows[tree] {
		if c.session == s.session && c.call == s.call && c.to.Equal(s.at) {
			return c
		}
	}
	return nil
}

// touches reports whether a call may have written a file.
func (c *window) touches(path string) bool { return c.shell || c.paths[path] }

// may gives the sessions with a call in an interval that was not seen whole.
func (w *work) may(p place, from, to time.Time, but *window) []int {
	var may []int
	for _, c := range w.windows[p.tree] {
		if c != but && c.fault != "" && c.touches(p.path) && c.from.Before(to) && c.to.After(from) {
			may = append(may, c.session)
		}
	}
	slices.Sort(may)
	return slices.Compact(may)
}

// atWork gives the sessions with a call that may have written a file in a time
// whose order is not known.
func (w *work) atWork(p place) []int {
	var may []int
	for _, c := range w.windows[p.tree] {
		if c.touches(p.path) && !w.ordered(c.from, c.to) {
			may = append(may, c.session)
		}
	}
	return may
}

func (w *work) faultIn(p place, from, to time.Time) string {
	for _, c := range w.windows[p.tree] {
		if c.fault != "" && c.touches(p.path) && c.from.Before(to) && c.to.After(from) {
			return c.fault
		}
	}
	return "a hook is missing"
}

// open gives the sessions in the middle of a call that may write the file.
func (w *work) open(p place, at time.Time, but *window) []int {
	var open []int
	for _, c := range w.windows[p.tree] {
		if c != but && c.fault == "" && c.touches(p.path) && c.from.Before(at) && c.to.After(at) && (but == nil || c.session != but.session) {
			open = append(open, c.session)
		}
	}
	slices.Sort(open)
	return slices.Compact(open)
}
