package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attribution"
	"github.com/stemma-dev/stemma/internal/capture"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/live"
	"github.com/stemma-dev/stemma/internal/notes"
	"github.com/stemma-dev/stemma/internal/record"
	"github.com/stemma-dev/stemma/internal/spool"
)

// synced is what `stemma sync --json` prints (schema stemma.sync/v1).
type synced struct {
	Schema  string         `json:"schema"`
	DryRun  bool           `json:"dry_run"`
	Commits []syncedCommit `json:"commits"` // whose note is new or differs
	Same    int            `json:"same"`    // commits whose note stands
	Gaps    map[string]int `json:"gaps"`    // commits by reason
	Damaged int            `json:"damaged"` // parts of the spool that can not be read
	Purged  int64          `json:"purged"`  // bytes
	// Compared counts the sessions whose transcripts were compared with what their
	// hooks reported, Unread the others, by reason, and Unreported the calls that
	// no hook reported and that were not known yet.
	Compared   int            `json:"compared"`
	Unread     map[string]int `json:"unread"`
	Unreported int            `json:"unreported"`
	// Recorded counts the attribution statements that the log has of these commits.
	Recorded int `json:"recorded"`
	// Told are the parts of sessions that were told, Waiting counts the sessions of
	// which there is more, Problems say which could not be told and why.
	Told     []live.Row `json:"sessions"`
	Waiting  int        `json:"sessions_waiting"`
	Problems []string   `json:"problems"`
	Pushed   string     `json:"pushed,omitempty"` // the remote
}

type syncedCommit struct {
	Commit   string       `json:"commit"`
	Lines    stemma.Lines `json:"lines"` // that the note gives to somebody, or says are unknown
	Sessions []string     `json:"sessions"`
}

func newSync(o *options) *cobra.Command {
	var dry, quiet, soon bool
	var push string
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Attribute what was captured, and write it into git as notes",
		Long: `Reads the spool of this repository, replays for each commit what agents' hooks
and editors saw of its files, and writes one small note for each commit to
refs/notes/stemma: sessions, pseudonyms and ranges of lines, never a prompt, an
address or a line of code. From then on every command tells agents' lines from
people's, in this clone and in every one that fetches the notes.

Before that, what the hooks reported is compared with the agents' own transcripts:
what a call wrote that no hook reported is never a person's.

Commits that a rewrite left behind get their note too: from them the lines of a
squashed or rebased commit are resolved. Running it again, or several at once,
changes nothing more. Raw spool is purged 30 days after it was captured.

The attribution of commits that branches reach is recorded as signed statements.
So are the sessions that hooks named: read from the transcripts of their agents, or
from what the hooks saw, in parts, each told with a commit, at the end or after 15
minutes. What was said is kept redacted and encrypted in the vault.
Nothing leaves the machine unless --push names a remote: then its notes are taken
in, and all are pushed. --dry-run shows what would be written.`,
		Example: "  stemma sync --dry-run\n  stemma sync\n  stemma sync --push origin",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			s, _, _, err := o.ownSpool()
			if err != nil {
				return err
			}
			if soon {
				return o.syncSoon(ctx, s)
			}
			b, err := open(ctx, o.path, o.store)
			if err != nil {
				return err
			}
			defer b.close()
			b.warn = o.warn
			var done synced
			sync := func() error {
				if done, err = o.syncAll(ctx, b, s, dry); err != nil || push == "" || dry {
					return err
				}
				done.Pushed = push
				return b.repo.PushNotes(ctx, push, ownNotes, chooseNote, git.Signature{Name: "stemma", Time: time.Now().Unix()})
			}
			if dry {
				err = sync()
			} else {
				err = o.alone(ctx, s, sync)
			}
			if err != nil {
				return err
			}
			switch {
			case o.json:
				return printJSON(o.out, done)
			case !quiet:
				o.showSynced(done)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "write and purge nothing")
	cmd.Flags().StringVar(&push, "push", "", "push the notes to this `remote` afterwards, taking in what others pushed")
	cmd.Flags().BoolVar(&soon, "soon", false, "what git's hooks run: wait a moment for more to come, leave it to a sync that is under way, print nothing")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print no summary")
	return cmd
}

// alone does something while no sync writes notes: they hold what earlier ones took
// back, and two at once would lose some. What git's hooks ask for meanwhile is done
// after it.
func (o *options) alone(ctx context.Context, s *spool.Spool, do func() error) error {
	if _, err := os.Stat(s.Dir()); err != nil {
		return do() // nothing was captured
	}
	lock := flock.New(filepath.Join(s.Dir(), syncLock))
	soon, cancel := context.WithTimeout(ctx, time.Second)
	held, err := lock.TryLockContext(soon, 10*time.Millisecond)
	cancel()
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		o.warn("another sync of this repository is under way: waiting for it")
		held, err = lock.TryLockContext(ctx, 50*time.Millisecond)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil || !held {
		return do() // there are no locks here
	}
	err = do()
	if uerr := lock.Unlock(); err == nil && uerr != nil {
		err = fmt.Errorf("sync: %v: %w", reason(uerr), stemma.ErrUnavailable)
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(s.Dir(), syncWanted)); err == nil {
		return o.syncWhatIsWanted(ctx, s)
	}
	return nil
}

// syncAll attributes commits, records their attribution, tells sessions, and
// purges what is over its time and was told.
func (o *options) syncAll(ctx context.Context, b *bench, s *spool.Spool, dry bool) (synced, error) {
	done, err := o.syncNotes(ctx, b, s, dry)
	if err != nil {
		return done, err
	}
	told, err := o.syncSessions(ctx, b, s, dry)
	if ctx.Err() != nil {
		return done, ctx.Err()
	}
	if err != nil {
		told.Problems, told.Later = append(told.Problems, err.Error()), 1
	}
	done.Told, done.Waiting, done.Problems = append(done.Told, told.Told...), told.Waiting, append(done.Problems, told.Problems...)
	if dry || told.Later > 0 {
		return done, nil // what could not be told is kept
	}
	done.Purged, err = s.Purge(time.Now().Add(-keepSpool))
	return done, err
}

// sync attributes the commits that were made since the spool begins.
func (b *bench) sync(ctx context.Context, s *spool.Spool, dry bool, now func() time.Time) (synced, error) {
	done := synced{Schema: "stemma.sync/v1", DryRun: dry, Commits: []syncedCommit{}, Gaps: make(map[string]int), Unread: make(map[string]int), Told: []live.Row{}, Problems: []string{}}
	if !dry {
		if err := b.awaitLook(ctx, s); err != nil {
			return done, err
		}
	}
	since, err := b.spooledSince(s, &done)
	if err != nil {
		return done, err
	}
	if since.IsZero() {
		return done, nil
	}
	commits, err := b.commitsSince(ctx, since)
	if err != nil {
		return done, err
	}
	open, err := b.openCommits(ctx, commits)
	if err != nil {
		return done, err
	}
	done.Same = len(commits) - len(open)
	compared, err := b.compare(ctx, s, dry, &done)
	if err != nil {
		return done, err
	}
	cfg := capture.Config{Repo: b.repo, Records: s.Records(), Blob: s.Blob, Person: b.me(), Unread: compared.Unread, Models: compared.Models, Pauses: spool.Pauses(filepath.Dir(s.Dir()), filepath.Base(s.Dir()))}
	tip, err := b.ownNotesTip(ctx)
	if err != nil {
		return done, err
	}
	// The note comes first and the log after it: the note holds the log as it stood
	// before, and the next one holds the statement about this commit.
	checkpoint, err := lastCheckpoint(ctx)
	if ctx.Err() != nil {
		return done, ctx.Err()
	}
	if err != nil {
		b.say(fmt.Sprintf("the notes name no checkpoint: %v", err)) // they stand all the same
	}
	write, doubt := make(map[string][]byte), make(map[string][]string)
	alike := make(map[string][]capture.Twin)
	for r, err := range capture.Attribute(ctx, cfg, open) {
		if err != nil {
			return done, err
		}
		for _, l := range r.Alike {
			alike[l.Commit] = append(alike[l.Commit], l)
		}
		if r.Empty {
			continue
		}
		for _, g := range r.Evidence.Problems {
			done.Gaps[g]++
		}
		blob, err := capturedNote(r, attribution.Algorithm, checkpoint)
		if err != nil {
			return done, err
		}
		old, err := b.ownNote(ctx, tip, r.Commit)
		if err != nil {
			return done, err
		}
		if blob, err = withdrawAgain(blob, old); err != nil {
			return done, err
		}
		if sameNote(old, blob) {
			done.Same++
			continue
		}
		write[r.Commit] = blob
		done.Commits = append(done.Commits, syncedOf(r.Commit, r.Evidence))
		for tree, paths := range r.Doubt {
			doubt[tree] = append(doubt[tree], paths...)
		}
	}
	if err := b.withdraw(ctx, tip, alike, commits, write, &done); err != nil {
		return done, err
	}
	if dry {
		return done, nil
	}
	config, _ := os.UserConfigDir() // without one there are no patterns of the user's
	for tree, paths := range doubt {
		slices.Sort(paths)
		if err := s.Look(tree, slices.Compact(paths), config, now()); err != nil && !errors.Is(err, stemma.ErrNotFound) {
			b.say(err.Error()) // what is written later is unknown too, no more
		}
	}
	return done, b.repo.AddNotes(ctx, ownNotes, write, git.Signature{Name: "stemma", Time: time.Now().Unix()})
}

// withdraw takes back of earlier commits the lines that later ones made alike to
// others: in the notes that are to be written, and in those that stand.
func (b *bench) withdraw(ctx context.Context, tip string, alike map[string][]capture.Twin, commits []string, write map[string][]byte, done *synced) error {
	for _, commit := range slices.Sorted(maps.Keys(alike)) {
		blob, ok := write[commit]
		if !ok {
			var err error
			if blob, err = b.ownNote(ctx, tip, commit); err != nil {
				return err
			}
		}
		noted := blob != nil
		if !noted && !slices.Contains(commits, commit) {
			continue // from before capture began: what others tell of it stands
		}
		blob, said, err := withdrawLines(blob, alike[commit])
		if err != nil {
			return err
		}
		if blob == nil {
			continue // they are unknown already
		}
		write[commit] = blob
		at := slices.IndexFunc(done.Commits, func(c syncedCommit) bool { return c.Commit == commit })
		if at < 0 {
			at = len(done.Commits)
			if noted && slices.Contains(commits, commit) {
				done.Same--
			}
			done.Commits = append(done.Commits, syncedCommit{})
		}
		done.Commits[at] = syncedOf(commit, said)
	}
	return nil
}

// lookTime is how long after a commit the look of git's hook, which runs in the
// background, is waited for.
const lookTime = 3 * time.Second

// awaitLook waits for the look of git's hook after a commit of this moment: without
// it, what a person wrote would be unknown until the next sync. Where no look comes
// in time it is a gap, as always.
func (b *bench) awaitLook(ctx context.Context, s *spool.Spool) error {
	entries, err := b.repo.Reflog(ctx)
	if err != nil {
		return err
	}
	var last int64
	for _, e := range entries {
		if strings.HasPrefix(e.Action, "commit") {
			last = max(last, e.Time)
		}
	}
	made := time.Unix(last, 0)
	if age := time.Since(made); age < 0 || age > lookTime {
		return nil
	}
	read, hooked := make(spool.Cursor), false
	for {
		for r, err := range s.RecordsAfter(read) {
			if err != nil || r.Agent != spool.AgentGit {
				continue // what can not be read is counted later
			}
			hooked = true
			if !r.Time.Before(made) {
				return nil
			}
		}
		if !hooked || time.Since(made) > lookTime {
			return nil // git's hooks do not run here, or this one did not
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// syncLock is held by the one that writes notes, and syncWanted is the mark of who
// wants it done and does not wait.
const (
	syncLock   = "sync.lock"
	syncWanted = "sync-wanted"
)

// syncDelay is how long a sync in the background waits for more commits.
const syncDelay = 500 * time.Millisecond

// syncSoon syncs in the background, once for many calls: whoever comes while
// another is at it leaves a mark, and the other goes round again.
func (o *options) syncSoon(ctx context.Context, s *spool.Spool) error {
	if err := os.WriteFile(filepath.Join(s.Dir(), syncWanted), nil, 0o600); err != nil {
		return fmt.Errorf("sync: %v: %w", reason(err), stemma.ErrUnavailable)
	}
	return o.syncWhatIsWanted(ctx, s)
}

// syncWhatIsWanted syncs until no more marks are left, or leaves it to another.
func (o *options) syncWhatIsWanted(ctx context.Context, s *spool.Spool) error {
	wanted := filepath.Join(s.Dir(), syncWanted)
	lock := flock.New(filepath.Join(s.Dir(), syncLock))
	free, err := lock.TryLock()
	if err != nil || !free {
		return nil // it sees the mark; without locks, the next sync by hand does
	}
	defer lock.Unlock()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(syncDelay):
		}
		if err := os.Remove(wanted); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		b, err := open(ctx, o.path, o.store)
		if err != nil {
			return err
		}
		_, err = o.syncAll(ctx, b, s, false)
		b.close()
		if err != nil {
			return err
		}
	}
}

// syncedFile remembers what the last sync found of commits, beside the spool.
const syncedFile = "synced"

// rememberedSync is the file. It holds for as long as neither the spool, a ref
// nor a transcript that was compared has changed.
type rememberedSync struct {
	Mark        string              `json:"mark"`
	Transcripts map[string][2]int64 `json:"transcripts"` // size and time, by path
	Done        synced              `json:"done"`
}

// holds reports whether nothing has changed.
func (r *rememberedSync) holds(mark string) bool {
	if r.Mark != mark {
		return false
	}
	for path, was := range r.Transcripts {
		if st, err := os.Stat(path); err != nil || [2]int64{st.Size(), st.ModTime().UnixNano()} != was {
			return false
		}
	}
	return true
}

// syncNotes attributes commits and records it, unless nothing has changed since
// that was done last.
func (o *options) syncNotes(ctx context.Context, b *bench, s *spool.Spool, dry bool) (synced, error) {
	if dry {
		return b.sync(ctx, s, true, o.now)
	}
	mark, err := b.syncMark(s)
	if err != nil {
		return synced{}, err
	}
	path := filepath.Join(s.Dir(), syncedFile)
	var before rememberedSync
	if text, err := os.ReadFile(path); err == nil && json.Unmarshal(text, &before) == nil && before.holds(mark) {
		return before.Done, nil
	}
	done, err := b.sync(ctx, s, false, o.now)
	if err == nil && len(done.Commits) > 0 {
		done.Recorded, err = o.recordSynced(ctx, b, done.Commits)
	}
	if err != nil {
		return done, err
	}
	if _, err := os.Stat(s.Dir()); err != nil {
		return done, nil // nothing was captured
	}
	next := rememberedSync{Mark: mark, Transcripts: make(map[string][2]int64), Done: done}
	for path, t := range s.Transcripts() {
		if _, err := os.Stat(path); err == nil && !t.Erased && t.Size >= 0 {
			next.Transcripts[path] = [2]int64{t.Size, t.Mtime}
		}
	}
	next.Done.Same, next.Done.Commits, next.Done.Recorded, next.Done.Unreported = done.Same+len(done.Commits), []syncedCommit{}, 0, 0
	if text, err := json.Marshal(next); err == nil {
		_ = writeWhole(path, text) // without it the next one looks again
	}
	return done, nil
}

// syncMark changes whenever there may be something to sync.
func (b *bench) syncMark(s *spool.Spool) (string, error) {
	refs, err := b.repo.Fingerprint()
	if err != nil {
		return "", fmt.Errorf("look at refs: %w", err)
	}
	sizes, err := s.Sizes()
	if err != nil {
		return "", err
	}
	text, err := json.Marshal([]any{refs, sizes, s.Generation(), attribution.Algorithm})
	return string(text), err
}

// recordSynced records the attribution of the commits that the index has, as
// signed statements. Where nothing can be recorded the notes stand all the same,
// and it is said.
func (o *options) recordSynced(ctx context.Context, b *bench, commits []syncedCommit) (int, error) {
	if err := o.refresh(ctx, b); err != nil {
		return 0, err
	}
	var submissions []record.Submission
	for _, c := range commits {
		reached, err := b.store.Node(ctx, stemma.CommitID(c.Commit))
		if err != nil {
			return 0, err
		}
		if !reached {
			continue // left behind by a rewrite: its note is what it leaves
		}
		of, err := b.attributionSubmissions(ctx, c.Commit)
		if err != nil {
			return 0, err
		}
		submissions = append(submissions, of...)
	}
	if len(submissions) == 0 {
		return 0, nil
	}
	s, err := openSpine(ctx, o.warn)
	if err != nil {
		o.warn(fmt.Sprintf("the attribution is not recorded: %v", err))
		return 0, nil
	}
	defer func() {
		if err := s.close(); err != nil {
			o.warn(err.Error()) // nothing is lost: it is durable already
		}
	}()
	recorded := 0
	for part := range slices.Chunk(submissions, 256) {
		receipts, err := s.recorder.Record(ctx, part)
		if err != nil {
			return recorded, err
		}
		recorded += len(receipts)
	}
	return recorded, nil
}

// openCommits leaves out the commits whose note has no gap: nothing that is
// captured later changes it. A hook that was on its way closes gaps.
func (b *bench) openCommits(ctx context.Context, commits []string) ([]string, error) {
	tip, err := b.ownNotesTip(ctx)
	if err != nil {
		return nil, err
	}
	var open []string
	for _, c := range commits {
		blob, err := b.ownNote(ctx, tip, c)
		if err != nil {
			return nil, err
		}
		if blob == nil || noteIsOpen(blob) {
			open = append(open, c)
		}
	}
	return open, nil
}

// spooledSince is when the spool's first event was; zero where it holds none.
func (b *bench) spooledSince(s *spool.Spool, done *synced) (time.Time, error) {
	var since time.Time
	for r, err := range s.Records() {
		var fault *spool.DecodeError
		if errors.As(err, &fault) {
			done.Damaged++
			continue
		}
		if err != nil {
			return since, err
		}
		if since.IsZero() || r.Time.Before(since) {
			since = r.Time
		}
	}
	return since, nil
}

// commitsSince gives the commits made since a time that refs or reflogs reach.
func (b *bench) commitsSince(ctx context.Context, since time.Time) ([]string, error) {
	refs, _, err := b.repo.Refs(ctx, "refs/heads/", "refs/stash")
	if err != nil {
		return nil, err
	}
	tips := make(map[string]bool)
	for _, r := range refs {
		if r.Commit != "" {
			tips[r.Commit] = true
		}
	}
	logged, err := b.repo.Reflog(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range logged {
		id := e.New
		if id == "" || tips[id] || e.Time != 0 && e.Time < since.Unix() {
			continue
		}
		typ, _, err := b.repo.Stat(ctx, id)
		if errors.Is(err, stemma.ErrNotFound) {
			continue // pruned
		}
		if err != nil {
			return nil, err
		}
		if typ == "commit" {
			tips[id] = true
		}
	}
	query := git.HistoryQuery{Tips: slices.Sorted(maps.Keys(tips)), Since: since.Unix(), NoMessages: true}
	var commits []string
	for c, err := range b.repo.History(ctx, query) {
		if err != nil {
			return nil, err
		}
		commits = append(commits, c.ID)
	}
	return commits, nil
}

func syncedOf(commit string, e notes.Evidence) syncedCommit {
	c := syncedCommit{Commit: commit, Sessions: []string{}}
	type place struct {
		path string
		notes.Range
	}
	seen := make(map[place]bool) // several sessions may have written the same unknown lines
	for _, claim := range e.Claims {
		for _, r := range claim.Ranges {
			if at := (place{claim.Path, r}); claim.Class != stemma.ClassUnknown || !seen[at] {
				seen[at] = true
				c.Lines.Count(claim.Class, r.End-r.Start+1)
			}
		}
	}
	for _, s := range e.Sessions {
		c.Sessions = append(c.Sessions, stemma.SessionID(s.Agent, s.ID).Key)
	}
	return c
}

func (o *options) showSynced(done synced) {
	defer o.showToldSessions(done)
	if len(done.Commits) == 0 && done.Same == 0 {
		fmt.Fprintln(o.out, "nothing was captured of the commits of this repository")
		return
	}
	verb := "noted"
	if done.DryRun {
		verb = "to be noted"
	}
	fmt.Fprintf(o.out, "%s commits %s on refs/notes/stemma, the notes of %s stand\n", count(len(done.Commits)), verb, count(done.Same))
	for _, c := range done.Commits {
		fmt.Fprintf(o.out, "  %.10s  ai %d  ai-edited %d  human %d  unknown %d  %d sessions\n", c.Commit, c.Lines.AI, c.Lines.AIEdited, c.Lines.Human, c.Lines.Unknown, len(c.Sessions))
	}
	if done.Recorded > 0 {
		fmt.Fprintf(o.out, "%s statements are in the log: stemma verify <commit>\n", count(done.Recorded))
	}
	if done.Unreported > 0 {
		fmt.Fprintf(o.out, "  no hook reported %s calls that transcripts tell of\n", count(done.Unreported))
	}
	for _, why := range slices.Sorted(maps.Keys(done.Unread)) {
		fmt.Fprintf(o.out, "  %s sessions are known by their hooks alone: %s\n", count(done.Unread[why]), plain(why))
	}
	for _, g := range slices.Sorted(maps.Keys(done.Gaps)) {
		fmt.Fprintf(o.out, "  gap in %d commits: %s\n", done.Gaps[g], plain(g))
	}
	if done.Damaged > 0 {
		fmt.Fprintf(o.out, "  %d parts of the spool can not be read; what stands before and behind them was\n", done.Damaged)
	}
}
