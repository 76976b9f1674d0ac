package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/agent/amp"
	"github.com/stemma-dev/stemma/internal/agent/claudecode"
	"github.com/stemma-dev/stemma/internal/agent/codex"
	"github.com/stemma-dev/stemma/internal/agent/continuedev"
	"github.com/stemma-dev/stemma/internal/agent/copilot"
	"github.com/stemma-dev/stemma/internal/agent/cursor"
	"github.com/stemma-dev/stemma/internal/agent/droid"
	"github.com/stemma-dev/stemma/internal/agent/gemini"
	"github.com/stemma-dev/stemma/internal/agent/opencode"
	"github.com/stemma-dev/stemma/internal/agent/pi"
	"github.com/stemma-dev/stemma/internal/agent/windsurf"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/project"
	"github.com/stemma-dev/stemma/internal/record"
	"github.com/stemma-dev/stemma/internal/store"
	"github.com/stemma-dev/stemma/internal/vault"
)

// agents are the decoders of transcripts. The more telling forms come first.
func agents() agent.Family {
	return agent.Family{
		claudecode.Decoder{},
		codex.Decoder{},
		gemini.Decoder{},
		cursor.Decoder{},
		copilot.CLI{},
		copilot.VSCode{},
		opencode.Decoder{},
		windsurf.Decoder{},
		droid.Decoder{},
		amp.Decoder{},
		pi.Decoder{},
		continuedev.Decoder{},
	}
}

// predicates are the types of statements that are understood.
func predicates() attest.Registry { return attest.NewRegistry(agent.Predicate()) }

// sessionMark is how far the statements about sessions are in the graph: an index
// of the log of this machine. What is derived of a session has a version: of
// another one, all are derived again.
func (b *bench) sessionMark() string {
	return "sessions/" + b.observer + "/" + b.clone.Repository + "/" + strconv.Itoa(project.SessionVersion)
}

// projectSessions brings the graph up to date with what was recorded of sessions.
// Where nothing was recorded on this machine there is nothing to do.
func (b *bench) projectSessions(ctx context.Context) error {
	_, err := b.reading(ctx)
	if errors.Is(err, stemma.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	known, err := b.sessionsKnown(ctx)
	if err != nil {
		return err
	}
	next, err := b.toldSince(ctx, known, func(told []agent.Tale) error {
		var batch store.Batch
		for _, t := range told {
			batch.Scopes = append(batch.Scopes, project.Session(t))
		}
		return b.store.Put(ctx, batch)
	})
	if err == nil && next != known {
		err = b.store.Put(ctx, store.Batch{Marks: map[string]string{b.sessionMark(): strconv.FormatUint(next, 10)}})
	}
	if err != nil {
		return fmt.Errorf("put sessions into the graph: %w", err)
	}
	return nil
}

func (b *bench) sessionsKnown(ctx context.Context) (uint64, error) {
	marks, err := b.store.Marks(ctx)
	if err != nil {
		return 0, fmt.Errorf("read index %s: %w", b.dir, err)
	}
	known, _ := strconv.ParseUint(marks[b.sessionMark()], 10, 64)
	return known, nil
}

// manyTold is how many sessions are put together of their statements at once, where
// there is no telling how many there are.
const manyTold = 200

// toldSince gives the sessions of this repository of which something was recorded
// from an index of the log on, each as all its statements tell it, so many at a
// time that they can be held; and the index after the last of them.
func (b *bench) toldSince(ctx context.Context, from uint64, each func([]agent.Tale) error) (next uint64, err error) {
	s, err := b.reading(ctx)
	if err != nil {
		return 0, err
	}
	next = from
	var since project.Sessions
	keys := make(map[string]bool)
	for st, err := range record.StatementsAbout(ctx, s.evidence, []string{"uri:" + sessionsOf(b.clone.Repository)}, from) {
		if err != nil {
			return 0, fmt.Errorf("read sessions: %w", err)
		}
		b.fold(&since, st)
		next = st.Index + 1
		if since.Len() == manyTold {
			since.Drain(keys)
		}
	}
	if from == 0 && len(keys) == 0 {
		return next, each(since.Tales())
	}
	since.Drain(keys)
	// A part that comes late changes the session as a whole.
	for some := range slices.Chunk(slices.Sorted(maps.Keys(keys)), manyTold) {
		told, err := b.talesOf(ctx, some)
		if err == nil {
			err = each(told)
		}
		if err != nil {
			return 0, err
		}
	}
	return next, nil
}

// fold applies a statement, and says what can not be read.
func (b *bench) fold(all *project.Sessions, st record.Statement) {
	if err := all.Fold(st.Statement); err != nil {
		b.say(fmt.Sprintf("log index %d: %v", st.Index, err))
	}
}

// tales gives the sessions of this repository as their statements tell them, and
// brings the graph up to date with them. Where nothing was recorded on this
// machine there are none.
func (b *bench) tales(ctx context.Context) ([]agent.Tale, error) {
	if err := b.projectSessions(ctx); err != nil {
		return nil, err
	}
	return b.allTales(ctx)
}

func (b *bench) allTales(ctx context.Context) ([]agent.Tale, error) {
	s, err := b.reading(ctx)
	if errors.Is(err, stemma.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all project.Sessions
	for st, err := range record.StatementsAbout(ctx, s.evidence, []string{"uri:" + sessionsOf(b.clone.Repository)}, 0) {
		if err != nil {
			return nil, fmt.Errorf("read sessions: %w", err)
		}
		b.fold(&all, st)
	}
	return all.Tales(), nil
}

// tale gives one session as its statements tell it. The error is of kind
// stemma.ErrNotFound where nothing was recorded of it on this machine.
func (b *bench) tale(ctx context.Context, key string) (agent.Tale, error) {
	told, err := b.talesOf(ctx, []string{key})
	if err == nil && len(told) == 0 {
		err = fmt.Errorf("session %s: %w", key, stemma.ErrNotFound)
	}
	if err != nil {
		return agent.Tale{}, err
	}
	return told[0], nil
}

// talesOf gives those of these sessions of which something was recorded on this
// machine, by key.
func (b *bench) talesOf(ctx context.Context, keys []string) ([]agent.Tale, error) {
	s, err := b.reading(ctx)
	if errors.Is(err, stemma.ErrNotFound) || len(keys) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var told project.Sessions
	for chunk := range slices.Chunk(keys, 500) {
		var subjects []string
		for _, key := range chunk {
			subjects = append(subjects, "uri:"+agent.SubjectURI(key))
		}
		for st, err := range record.StatementsAbout(ctx, s.evidence, subjects, 0) {
			if err != nil {
				return nil, fmt.Errorf("read %d sessions: %w", len(chunk), err)
			}
			b.fold(&told, st)
		}
	}
	asked := make(map[string]bool, len(keys))
	for _, key := range keys {
		asked[key] = true
	}
	return slices.DeleteFunc(told.Tales(), func(t agent.Tale) bool { return !asked[t.Key] }), nil
}

// sessionsOf is the URI of what all sessions of a repository are about.
func sessionsOf(repository string) string { return "stemma:sessions:" + repository }

// reading opens the evidence to be read, once.
func (b *bench) reading(ctx context.Context) (*spine, error) {
	if b.spine != nil {
		return b.spine, nil
	}
	s, err := readSpine(ctx)
	if err != nil {
		return nil, err
	}
	b.spine = s
	return s, nil
}

func (b *bench) say(text string) {
	if b.warn != nil {
		b.warn(text)
	}
}

// workTrees are the folders of this repository: the work tree, and the linked
// ones that git knows of.
func (b *bench) workTrees() []string {
	var dirs []string
	if top := b.repo.WorkTree(); top != "" {
		dirs = append(dirs, top)
	}
	links, _ := fs.Glob(os.DirFS(b.repo.CommonDir()), "worktrees/*/gitdir") // the pattern is fixed
	for _, link := range links {
		text, err := os.ReadFile(filepath.Join(b.repo.CommonDir(), filepath.FromSlash(link)))
		if err == nil && len(text) < 4096 {
			dirs = append(dirs, filepath.Dir(strings.TrimSpace(string(text))))
		}
	}
	for _, dir := range slices.Clone(dirs) {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			dirs = append(dirs, real)
		}
	}
	return dirs
}

// match compares what sessions wrote with the commits of the time.
func (b *bench) match(ctx context.Context, all []*imported, progress func(done int)) error {
	var since, until int64
	for _, i := range all {
		from, to, ok := i.written.Window()
		if !ok || i.written.Empty() {
			continue
		}
		if since == 0 || from < since {
			since = from
		}
		until = max(until, to)
	}
	if since == 0 {
		return nil
	}
	refs, _, err := b.repo.Refs(ctx, "refs/heads/", "refs/remotes/", "refs/tags/")
	if err != nil {
		return err
	}
	var tips []string
	for _, r := range refs {
		tips = append(tips, r.ID)
	}
	times := make(map[string]int64)
	var commits []string
	for c, err := range b.repo.History(ctx, git.HistoryQuery{Tips: tips, Since: since, Until: until, NoMessages: true}) {
		if err != nil {
			return err
		}
		if c.Problem == "" && len(c.Parents) < 2 {
			times[c.ID] = c.Committer.Time
			commits = append(commits, c.ID)
		}
	}
	done := 0
	for d, err := range b.repo.Patches(ctx, slices.Values(commits), 2) {
		if err != nil {
			return err
		}
		for _, i := range all {
			if m, ok := i.written.Match(d, times[d.Commit]); ok {
				i.matches = append(i.matches, m)
			}
		}
		done++
		progress(done)
	}
	for _, i := range all {
		slices.SortFunc(i.matches, func(a, b agent.Match) int {
			return cmp.Or(b.Lines-a.Lines, strings.Compare(a.Commit, b.Commit))
		})
	}
	return nil
}

// keep records sessions: their content redacted and encrypted in the vault, and
// statements that hold none of it. A session that is known already is told again
// as a whole where it has grown. What can not be read as it was looked at is not
// recorded, and given back.
func (b *bench) keep(ctx context.Context, all []*imported, from *transcripts, now time.Time) (kept int, left []error, err error) {
	outlines := make([]agent.Outline, len(all))
	for n, i := range all {
		outlines[n] = i.outline
	}
	related, err := b.relations(ctx, outlines...)
	if err != nil {
		return 0, nil, err
	}
	own := make(map[string]bool)
	var batch []sessionPart
	size := 0
	flush := func() error {
		recorded, err := b.recordTogether(ctx, batch)
		for _, key := range recorded {
			own[key] = true
		}
		clear(batch)
		batch, size = batch[:0], 0
		return err
	}
	for some := range slices.Chunk(byTranscript(all), manyTold) {
		known, err := b.toldOf(ctx, some)
		if err != nil {
			return len(own), left, err
		}
		for _, i := range some {
			told := agent.Told{First: 1, Final: true, Complete: true, Observed: now, Commits: i.matches, Related: related[i.key]}
			t, again := known[i.key]
			if again {
				// What hooks alone told of it is less than its transcript does.
				better := t.Vantage == stemma.Harness && i.sized.turns >= len(t.Session.Turns)
				if !better && !i.sized.end.Truncate(time.Millisecond).After(t.Session.End) && i.sized.turns <= len(t.Session.Turns) {
					continue
				}
				told.First = t.Last + 1
			}
			s, err := i.session(ctx, from)
			if ctx.Err() != nil {
				return len(own), left, ctx.Err()
			}
			if err != nil {
				left = append(left, err)
				continue
			}
			s.Whole = s.Whole || again
			part, err := b.part(ctx, s, told)
			if errors.Is(err, stemma.ErrInvalid) {
				b.say(err.Error())
				continue
			}
			if err != nil {
				return len(own), left, err
			}
			batch, size = append(batch, part), size+part.size
			if len(batch) == partsTogether || size > partsSize {
				if err := flush(); err != nil {
					return len(own), left, err
				}
			}
		}
	}
	if err := flush(); err != nil {
		return len(own), left, err
	}
	return len(own), left, b.relateLate(ctx, related, own, now)
}

// toldOf gives those sessions of an import of which something was recorded before,
// by key.
func (b *bench) toldOf(ctx context.Context, some []*imported) (map[string]agent.Tale, error) {
	keys := make([]string, len(some))
	for n, i := range some {
		keys[n] = i.key
	}
	told, err := b.talesOf(ctx, keys)
	if err != nil {
		return nil, err
	}
	by := make(map[string]agent.Tale, len(told))
	for _, t := range told {
		by[t.Key] = t
	}
	return by, nil
}

// Sessions of an import are recorded so many together, or so many bytes of them:
// each time waits for the disk.
const (
	partsTogether = 50
	partsSize     = 8 << 20
)

// recordTogether records parts of several sessions, and gives the keys of those
// that are recorded. Of one that can not be told the others are recorded all the same.
func (b *bench) recordTogether(ctx context.Context, parts []sessionPart) (recorded []string, err error) {
	if len(parts) == 0 {
		return nil, nil
	}
	var all []record.Submission
	for _, p := range parts {
		all = append(all, p.submissions...)
	}
	err = b.recordParts(ctx, all)
	one := errors.Is(err, stemma.ErrInvalid) || errors.Is(err, stemma.ErrNotFound) // then nothing is recorded
	if err != nil && (!one || ctx.Err() != nil) {
		return nil, err
	}
	for _, p := range parts {
		if one {
			err := b.recordPart(ctx, p)
			if errors.Is(err, stemma.ErrInvalid) {
				b.say(err.Error())
				continue
			}
			if err != nil {
				return recorded, err
			}
		}
		recorded = append(recorded, p.key)
	}
	return recorded, nil
}

// tell records one part of a session, in as many statements as it takes, and
// gives the number of the last one. The error is ErrInvalid where the session
// can not be told, and ErrConflict where a part of that number is recorded already.
func (b *bench) tell(ctx context.Context, s agent.Session, told agent.Told) (last int, err error) {
	var related map[string][]agent.Relation
	if told.All != nil && !told.Open && told.Related == nil {
		whole := *told.All
		whole.ID = s.ID
		if related, err = b.relations(ctx, whole.Outline()); err != nil {
			return 0, err
		}
		told.Related = related[s.Key()]
	}
	part, err := b.part(ctx, s, told)
	if err != nil {
		return 0, err
	}
	if err := b.recordPart(ctx, part); err != nil {
		return 0, err
	}
	if err := b.relateLate(ctx, related, map[string]bool{s.Key(): true}, told.Observed); err != nil {
		b.say(err.Error()) // the part is recorded
	}
	return max(1, told.First) + len(part.submissions) - 1, nil
}

// sessionPart is one part of a session, to be recorded.
type sessionPart struct {
	key         string
	submissions []record.Submission
	size        int // of its content
}

// part makes what records one part of a session.
func (b *bench) part(ctx context.Context, s agent.Session, told agent.Told) (sessionPart, error) {
	part := sessionPart{key: s.Key()}
	ledger, err := b.ledger(ctx)
	if err != nil {
		return part, err
	}
	if ledger.Recorder == nil {
		return part, ledger.Why
	}
	owner, err := b.owner(ctx)
	if err != nil {
		return part, err
	}
	told.Repository, told.About = b.clone.Repository, []stemma.Subject{sessionsSubject(b.clone.Repository)}
	var config []agent.ConfigFile
	if told.Config == nil { // else it is what was told before
		config = b.configOf(s, told.Observed)
		told.Config = agent.Digests(config)
	}
	statements, err := agent.Statements(s, told)
	if err != nil {
		return part, err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return part, err
	}
	part.size = len(text)
	for n, st := range statements {
		var items []record.Item
		if n == 0 {
			items = []record.Item{{Name: "session", Content: vault.Content{
				Session: s.Key(), Owners: []string{owner}, Author: owner, Class: vault.ClassContent, Media: "application/json", Bytes: text,
			}}}
			if len(config) > 0 {
				more := items[0]
				more.Name = configContent
				if more.Bytes, err = json.Marshal(keptConfig{redactedConfig(config)}); err != nil {
					return part, err
				}
				items = append(items, more)
			}
		}
		sub, err := record.NewSubmission(st, items...)
		if err != nil {
			return part, err
		}
		part.submissions = append(part.submissions, sub)
	}
	return part, nil
}

// recordPart records one part. Content of the session that was erased is not kept
// again.
func (b *bench) recordPart(ctx context.Context, p sessionPart) error {
	err := b.recordParts(ctx, p.submissions)
	if errors.Is(err, stemma.ErrNotFound) && ctx.Err() == nil {
		for n := range p.submissions {
			p.submissions[n].Content = nil
		}
		err = b.recordParts(ctx, p.submissions)
	}
	return err
}

// recordParts records submissions that nobody has recorded before, all or none of
// them where one is ErrInvalid, or has content that was erased, which is
// ErrNotFound.
func (b *bench) recordParts(ctx context.Context, submissions []record.Submission) error {
	ledger, err := b.ledger(ctx)
	if err != nil {
		return err
	}
	receipts, err := ledger.Recorder.Record(ctx, submissions)
	if err != nil {
		return err
	}
	for _, r := range receipts {
		if !r.New {
			return fmt.Errorf("part %s is told already: %w", r.EventID, stemma.ErrConflict)
		}
	}
	return nil
}

// localUser is the identity of whoever works on this machine.
const localUser = "user:local"

// owner is the pseudonym of whoever works on this machine, or of whom the sessions
// are said to be, as the vault made it: erasing the person destroys the link to it.
func (b *bench) owner(ctx context.Context) (string, error) {
	if b.ownerKnown != "" {
		return b.ownerKnown, nil
	}
	v, err := openVault(ctx, b.spine)
	if err != nil {
		return "", err
	}
	defer v.Close()
	b.ownerKnown, err = v.Pseudonym(ctx, cmp.Or(b.whose, localUser))
	return b.ownerKnown, err
}

// fresh is how long after its end the configuration on disk is held to be the one
// that a session ran with.
const fresh = 15 * time.Minute

// configOf gives the configuration that a session ran with, where it ended just
// now; of one that ended long ago nothing tells.
func (b *bench) configOf(s agent.Session, now time.Time) []agent.ConfigFile {
	if s.End.IsZero() || now.Sub(s.End) > fresh {
		return nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = ""
	}
	files, skipped := agent.ReadConfiguration(b.repo.WorkTree(), home)
	for _, name := range skipped {
		b.say("configuration not read: " + name)
	}
	return files[:min(len(files), 200)]
}

// sessionsSubject is the subject by which the sessions of a repository are found.
func sessionsSubject(repository string) stemma.Subject {
	s, err := attest.RecordSubject("", sessionsOf(repository), map[string]any{"repository": repository})
	if err != nil {
		panic(err) // a string is JSON
	}
	return s
}

// date reads a date as the filters of log do.
func (b *bench) date(ctx context.Context, words string, end bool) (int64, error) {
	return b.repo.ParseDate(ctx, words, end)
}
