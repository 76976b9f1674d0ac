package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
// of the log of this machine.
func (b *bench) sessionMark() string { return "sessions/" + b.observer + "/" + b.clone.Repository }

// newSessions reports whether sessions of this repository were recorded from an
// index of the log on.
func (b *bench) newSessions(ctx context.Context, s *spine, from uint64) (bool, error) {
	for _, err := range record.StatementsAbout(ctx, s.evidence, []string{"uri:" + sessionsOf(b.clone.Repository)}, from) {
		return err == nil, err
	}
	return false, nil
}

// projectSessions brings the graph up to date with what was recorded of sessions.
// Where nothing was recorded on this machine there is nothing to do.
func (b *bench) projectSessions(ctx context.Context) error {
	s, err := b.reading(ctx)
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
	if some, err := b.newSessions(ctx, s, known); err != nil || !some {
		return err
	}
	_, err = b.tales(ctx)
	return err
}

func (b *bench) sessionsKnown(ctx context.Context) (uint64, error) {
	marks, err := b.store.Marks(ctx)
	if err != nil {
		return 0, fmt.Errorf("read index %s: %w", b.dir, err)
	}
	known, _ := strconv.ParseUint(marks[b.sessionMark()], 10, 64)
	return known, nil
}

// tales gives the sessions of this repository as their statements tell them, and
// brings the graph up to date with them. Where nothing was recorded on this
// machine there are none.
func (b *bench) tales(ctx context.Context) ([]agent.Tale, error) {
	s, err := b.reading(ctx)
	if errors.Is(err, stemma.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	known, err := b.sessionsKnown(ctx)
	if err != nil {
		return nil, err
	}
	var all project.Sessions
	next := known
	for st, err := range record.StatementsAbout(ctx, s.evidence, []string{"uri:" + sessionsOf(b.clone.Repository)}, 0) {
		if err != nil {
			return nil, fmt.Errorf("read sessions: %w", err)
		}
		if st.Index < known {
			// In the graph already; folded all the same, because a part that comes
			// late changes the session as a whole.
			err = all.FoldKnown(st.Statement)
		} else {
			err = all.Fold(st.Statement)
			next = st.Index + 1
		}
		if err != nil {
			b.say(fmt.Sprintf("log index %d: %v", st.Index, err))
		}
	}
	if next != known {
		batch := store.Batch{Scopes: all.Changed(), Marks: map[string]string{b.sessionMark(): strconv.FormatUint(next, 10)}}
		if err := b.store.Put(ctx, batch); err != nil {
			return nil, fmt.Errorf("put sessions into the graph: %w", err)
		}
	}
	return all.Tales(), nil
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

// imported is a session that was read from a transcript of this machine.
type imported struct {
	session agent.Session
	path    string
	written agent.Written
	matches []agent.Match
}

// readTranscript reads a transcript from its beginning. It gives nil where no
// agent's decoder recognises it.
func readTranscript(ctx context.Context, path string) (*agent.Reading, error) {
	src, closer, err := agent.Open(path)
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	d, err := agents().Recognise(src)
	if d == nil || err != nil {
		return nil, err
	}
	r, err := d.Read(ctx, src, agent.State{})
	return &r, err
}

// workTrees are the folders of this repository: the work tree, and the linked
// ones that git knows of.
func (b *bench) workTrees() []string {
	var dirs []string
	if top := b.repo.WorkTree(); top != "" {
		dirs = append(dirs, top)
	}
	links, _ := filepath.Glob(filepath.Join(b.repo.CommonDir(), "worktrees", "*", "gitdir"))
	for _, link := range links {
		text, err := os.ReadFile(link)
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
		slices.SortFunc(i.matches, func(a, b agent.Match) int { return b.Lines - a.Lines })
	}
	return nil
}

// keep records sessions: their content redacted and encrypted in the vault, and
// statements that hold none of it. A session that is known already is told again
// as a whole where it has grown.
func (b *bench) keep(ctx context.Context, all []*imported, known []agent.Tale, now time.Time) (kept int, err error) {
	ledger, err := b.ledger(ctx)
	if err != nil {
		return 0, err
	}
	if ledger.Recorder == nil {
		return 0, ledger.Why
	}
	owner, err := b.owner(ctx)
	if err != nil {
		return 0, err
	}
	parts := make(map[string]agent.Tale)
	for _, t := range known {
		parts[t.Key] = t
	}
	related := make(map[string][]agent.Relation)
	for _, r := range agent.Relations(sessionsRead(all)) {
		related[r.From] = append(related[r.From], r)
	}
	for _, i := range all {
		told := agent.Told{
			Repository: b.clone.Repository, First: 1, Final: true, Complete: true, Observed: now, Commits: i.matches,
			About: []stemma.Subject{sessionsSubject(b.clone.Repository)},
		}
		s := i.session
		told.Related = related[s.Key()]
		told.Config = b.configOf(s, now)
		if t, ok := parts[s.Key()]; ok {
			if !s.End.After(t.Session.End) && len(s.Turns) <= len(t.Session.Turns) {
				continue
			}
			s.Whole, told.First = true, t.Last+1
		}
		statements, err := agent.Statements(s, told)
		if err != nil {
			b.say(err.Error())
			continue
		}
		text, err := json.Marshal(s)
		if err != nil {
			return kept, err
		}
		var batch []record.Submission
		for n, st := range statements {
			var items []record.Item
			if n == 0 {
				items = []record.Item{{Name: "session", Content: vault.Content{
					Session: s.Key(), Owners: []string{owner}, Author: owner, Class: vault.ClassContent, Media: "application/json", Bytes: text,
				}}}
			}
			sub, err := record.NewSubmission(st, items...)
			if err != nil {
				return kept, err
			}
			batch = append(batch, sub)
		}
		_, err = ledger.Recorder.Record(ctx, batch)
		if errors.Is(err, stemma.ErrNotFound) && ctx.Err() == nil {
			// Its content was erased, and is not kept again.
			for n := range batch {
				batch[n].Content = nil
			}
			_, err = ledger.Recorder.Record(ctx, batch)
		}
		if err != nil {
			return kept, err
		}
		kept++
	}
	return kept, nil
}

// localUser is the identity of whoever works on this machine.
const localUser = "user:local"

// owner is the pseudonym of whoever works on this machine, as the vault made it:
// erasing the person destroys the link to it.
func (b *bench) owner(ctx context.Context) (string, error) {
	v, err := openVault(ctx, b.spine)
	if err != nil {
		return "", err
	}
	defer v.Close()
	return v.Pseudonym(ctx, localUser)
}

func sessionsRead(all []*imported) []agent.Session {
	list := make([]agent.Session, 0, len(all))
	for _, i := range all {
		list = append(list, i.session)
	}
	return list
}

// fresh is how long after its end the configuration on disk is held to be the one
// that a session ran with.
const fresh = 15 * time.Minute

// configOf gives the configuration that a session ran with, where it ended just
// now; of one that ended long ago nothing tells.
func (b *bench) configOf(s agent.Session, now time.Time) []agent.ConfigDigest {
	if s.End.IsZero() || now.Sub(s.End) > fresh {
		return nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = ""
	}
	files, skipped := agent.Configuration(b.repo.WorkTree(), home)
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

// content opens what the vault keeps of a session: redacted, and the user's own.
func (b *bench) content(ctx context.Context, t agent.Tale) (agent.Session, error) {
	var whole agent.Session
	if len(t.Content) == 0 {
		return whole, fmt.Errorf("content of session %s: %w", t.Key, stemma.ErrNotFound)
	}
	s, err := b.reading(ctx)
	if err != nil {
		return whole, err
	}
	if b.vault == nil {
		if b.vault, err = openVault(ctx, s); err != nil {
			return whole, err
		}
	}
	opened, err := b.vault.Open(ctx, t.Content[len(t.Content)-1].Vault)
	if err != nil {
		return whole, fmt.Errorf("content of session %s: %w", t.Key, err)
	}
	if err := json.Unmarshal(opened.Bytes, &whole); err != nil {
		return whole, fmt.Errorf("content of session %s: %v: %w", t.Key, err, stemma.ErrInvalid)
	}
	return whole, nil
}

// date reads a date as the filters of log do.
func (b *bench) date(ctx context.Context, words string, end bool) (int64, error) {
	return b.repo.ParseDate(ctx, words, end)
}

// rowsFile is where the rows of the list are remembered, in the folder of the
// index: it can be made again at any time.
const rowsFile = "sessions.json"

// rememberedRows is the file: the rows as they were at an index of the log.
type rememberedRows struct {
	Next uint64       `json:"next"`
	Rows []sessionRow `json:"rows"`
}

// readRows reads the file, and gives false where there is none that can be read.
// A list of many thousand sessions is read at each call: it is taken apart by
// hand, which takes a third of the time.
func readRows(path string) (rememberedRows, bool) {
	var kept rememberedRows
	text, err := os.ReadFile(path)
	if err != nil {
		return kept, false
	}
	v, err := agent.ParseValue(text, 0)
	if err != nil {
		return kept, false
	}
	v.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "next":
			kept.Next = uint64(v.Int())
		case "rows":
			v.Items(func(v agent.Value) { kept.Rows = append(kept.Rows, readRow(v)) })
		}
	})
	return kept, kept.Next > 0
}

func readRow(v agent.Value) sessionRow {
	r := sessionRow{Models: []string{}, Tickets: []string{}, Commits: []string{}}
	list := func(v agent.Value, into *[]string) {
		v.Items(func(v agent.Value) { *into = append(*into, v.Text()) })
	}
	v.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "session":
			r.Session = v.Text()
		case "agent":
			r.Agent = v.Text()
		case "agent_version":
			r.Version = v.Text()
		case "start":
			r.Start = v.Text()
		case "end":
			r.End = v.Text()
		case "parent":
			r.Parent = v.Text()
		case "models":
			list(v, &r.Models)
		case "turns":
			r.Turns = int(v.Int())
		case "prompts":
			r.Prompts = int(v.Int())
		case "calls":
			r.Calls = int(v.Int())
		case "usage":
			r.Usage = readUsage(v)
		case "task_type":
			r.TaskType = v.Text()
		case "rewrites":
			r.Rewrites = int(v.Int())
		case "tickets":
			list(v, &r.Tickets)
		case "branch":
			r.Branch = v.Text()
		case "commits":
			list(v, &r.Commits)
		case "gaps":
			r.Gaps = int(v.Int())
		}
	})
	return r
}

func readUsage(v agent.Value) *agent.Usage {
	if !v.IsObject() {
		return nil
	}
	u := &agent.Usage{}
	v.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "requests":
			u.Requests = int(v.Int())
		case "input":
			u.Input = v.Int()
		case "cacheRead":
			u.CacheRead = v.Int()
		case "cacheWrite":
			u.CacheWrite = v.Int()
		case "output":
			u.Output = v.Int()
		case "reasoning":
			u.Reasoning = v.Int()
		case "cost":
			cost := v.Int()
			u.Cost = &cost
		}
	})
	return u
}

// sessionRows gives the rows of the list, newest first: as they are remembered,
// unless sessions were recorded since.
func (b *bench) sessionRows(ctx context.Context) ([]sessionRow, error) {
	s, err := b.reading(ctx)
	if errors.Is(err, stemma.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	path := filepath.Join(b.dir, rowsFile)
	if kept, ok := readRows(path); ok {
		if some, err := b.newSessions(ctx, s, kept.Next); err != nil {
			return nil, err
		} else if !some {
			return kept.Rows, nil
		}
	}
	next, err := s.evidence.Next(ctx)
	if err != nil {
		return nil, err
	}
	all, err := b.tales(ctx)
	if err != nil {
		return nil, err
	}
	rows := make([]sessionRow, 0, len(all))
	for _, t := range all {
		rows = append(rows, rowOf(t))
	}
	newestFirst(rows)
	text, err := json.Marshal(rememberedRows{next, rows})
	if err == nil {
		// Where it can not be written the next list takes longer.
		_ = writeWhole(path, text)
	}
	return rows, nil
}

// writeWhole replaces a file, so that a reader sees the old or the new one.
func writeWhole(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".rows-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
