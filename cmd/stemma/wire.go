package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/attribution"
	"github.com/stemma-dev/stemma/internal/capture"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/lineage"
	"github.com/stemma-dev/stemma/internal/notes"
	"github.com/stemma-dev/stemma/internal/notes/agenttrace"
	"github.com/stemma-dev/stemma/internal/notes/entire"
	"github.com/stemma-dev/stemma/internal/notes/gitai"
	"github.com/stemma-dev/stemma/internal/notes/native"
	"github.com/stemma-dev/stemma/internal/notes/trailers"
	"github.com/stemma-dev/stemma/internal/notes/whogitit"
	"github.com/stemma-dev/stemma/internal/reconcile"
	"github.com/stemma-dev/stemma/internal/store"
	"github.com/stemma-dev/stemma/internal/vault"
)

// organisation is the tenant of an index on one machine.
const organisation = "local"

// noteSources, keyedSources and commitSources are the importers, in the order in which they
// give the owner of a line that several agree on.
func noteSources() []notes.NoteSource {
	return []notes.NoteSource{native.Source{}, gitai.Source{}, whogitit.Source{}}
}

func keyedSources() []notes.KeyedSource {
	return []notes.KeyedSource{agenttrace.Source{}, entire.Source{}}
}

func commitSources() []notes.CommitSource { return []notes.CommitSource{trailers.Source{}} }

// bench is what a command works with: a repository and its index.
type bench struct {
	repo     *git.Repo
	store    store.Store
	dir      string // of the index, and of what a clone keeps to itself
	keyDir   string // of the key of pseudonyms
	observer string
	person   func(string) string
	settings settings
	rebuild  bool // drop the graph before the next update
	chosen   bool // the settings are new, and not yet remembered
	clone    clone
	spine    *spine       // nil until the evidence is needed
	vault    *vault.Vault // nil until content is asked for
	whose    string       // identity of the person whose sessions are kept; "" is the user
	// ownerKnown is that person's pseudonym, once it was asked for.
	ownerKnown string
	told       *toldSessions
	warn       func(string) // nil is nobody
	shared     shared
}

// scratch is where git's shadows are kept from one command to the next.
func scratch() git.Config {
	if cache, err := os.UserCacheDir(); err == nil {
		return git.Config{Scratch: filepath.Join(cache, "stemma")}
	}
	return git.Config{}
}

// open finds the repository and opens its index: in the store at address, where
// there is one.
func open(ctx context.Context, path, address string) (*bench, error) {
	repo, err := git.Open(ctx, path, scratch())
	if err != nil {
		return nil, err
	}
	b := &bench{repo: repo}
	if b.shared, err = newShared(address); err != nil {
		b.close()
		return nil, err
	}
	sum := sha256.Sum256([]byte(b.shared.observer(repo.CommonDir())))
	b.observer = "clone-" + hex.EncodeToString(sum[:8])
	if err := b.openIndex(ctx); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) openIndex(ctx context.Context) error {
	dir, keyDir, err := indexDir(b.repo)
	if err != nil {
		return err
	}
	b.dir, b.keyDir = dir, keyDir
	key, err := personKey(keyDir)
	if err != nil {
		return fmt.Errorf("key of pseudonyms: %w", err)
	}
	b.person = func(identity string) string {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(identity))
		return hex.EncodeToString(mac.Sum(nil)[:8])
	}
	if b.settings, err = readSettings(dir); err != nil {
		return err
	}
	if b.store, err = openStore(ctx, dir, b.shared); err != nil {
		return fmt.Errorf("open index: %w", err)
	}
	return b.readClone(ctx)
}

func (b *bench) close() {
	if b.vault != nil {
		b.vault.Close()
	}
	if b.spine != nil {
		// What was recorded is durable; who opens the log next publishes it.
		if err := b.spine.close(); err != nil && b.warn != nil {
			b.warn(err.Error())
		}
	}
	if b.store != nil {
		b.store.Close()
	}
	b.repo.Close()
}

// graph is what questions are asked of.
func (b *bench) graph() lineage.Graph {
	if b.told == nil {
		b.told = &toldSessions{b: b, tales: make(map[string]*agent.Tale)}
	}
	return lineage.Graph{Repo: b.repo, Store: b.store, Repository: b.clone.Repository, Sessions: b.told}
}

// indexDir is where the index lives, and the key of pseudonyms: in a folder of
// this repository below STEMMA_DIR, where all repositories share the key; in the
// repository's common git directory; or in the user's state directory when that
// can not be written to.
func indexDir(repo *git.Repo) (dir, keyDir string, err error) {
	sum := sha256.Sum256([]byte(repo.CommonDir()))
	own := hex.EncodeToString(sum[:12])
	if dir := os.Getenv("STEMMA_DIR"); dir != "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", "", fmt.Errorf("STEMMA_DIR: %v: %w", err, stemma.ErrInvalid)
		}
		own = filepath.Join(abs, own)
		return own, abs, makeDir(own)
	}
	dir = filepath.Join(repo.CommonDir(), "stemma")
	// A link in a foreign repository could lead our writes anywhere.
	if st, lerr := os.Lstat(dir); lerr == nil && !st.IsDir() {
		err = fmt.Errorf("%s is no folder: %w", dir, stemma.ErrDenied)
	} else if err = makeDir(dir); err == nil {
		return dir, dir, nil
	}
	state := os.Getenv("XDG_STATE_HOME")
	if state == "" {
		home, herr := os.UserHomeDir()
		if herr != nil {
			return "", "", hinted{err, "set STEMMA_DIR to a folder that you may write to"}
		}
		state = filepath.Join(home, ".local", "state")
	}
	dir = filepath.Join(state, "stemma", own)
	return dir, dir, makeDir(dir)
}

// makeDir makes a private folder and proves that it can be written to.
func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make %s: %v: %w", dir, reason(err), stemma.ErrDenied)
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return fmt.Errorf("write to %s: %v: %w", dir, reason(err), stemma.ErrDenied)
	}
	probe.Close()
	return os.Remove(probe.Name())
}

// reason is what the system said, without the path that the caller names.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// personKey reads the key that pseudonyms are made with, or makes it. It stays
// on this machine: without it a pseudonym can not be guessed from an address.
func personKey(dir string) ([]byte, error) {
	path := filepath.Join(dir, "person.key")
	for range 3 {
		text, err := os.ReadFile(path)
		if err == nil {
			key, err := hex.DecodeString(strings.TrimSpace(string(text)))
			if err != nil || len(key) != 32 {
				return nil, fmt.Errorf("%s is damaged; remove the folder to index anew: %w", path, stemma.ErrInvalid)
			}
			return key, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%v: %w", err, stemma.ErrDenied)
		}
		made, err := randomHex(32)
		if err != nil {
			return nil, err
		}
		if err := writeNew(path, made); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s comes and goes: %w", path, stemma.ErrUnavailable)
}

// randomHex gives n random bytes in hex.
func randomHex(n int) (string, error) {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	return hex.EncodeToString(b), nil
}

// writeNew makes the key file, whole, unless another process was faster.
func writeNew(path, key string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*")
	if err != nil {
		return fmt.Errorf("%v: %w", err, stemma.ErrDenied)
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(key + "\n")
	if serr := f.Sync(); err == nil {
		err = serr
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write %s: %v: %w", path, reason(err), stemma.ErrUnavailable)
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write %s: %v: %w", path, reason(err), stemma.ErrUnavailable)
	}
	return nil
}

// settings are what a user chose for an index; they stay until changed.
type settings struct {
	AgentEra  int64    `json:"agentEra"` // UTC seconds
	Generated []string `json:"generated,omitempty"`
	AllRefs   bool     `json:"allRefs,omitempty"`
	Branch    string   `json:"branch,omitempty"`
}

func settingsPath(dir string) string { return filepath.Join(dir, "settings.json") }

func readSettings(dir string) (settings, error) {
	s := settings{AgentEra: attribution.AgentEra}
	text, err := os.ReadFile(settingsPath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return s, fmt.Errorf("settings %s: %v; remove the file to use the defaults: %w", settingsPath(dir), err, stemma.ErrInvalid)
	}
	return s, nil
}

func (s settings) write(dir string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".settings-*")
	if err != nil {
		return fmt.Errorf("settings: %v: %w", reason(err), stemma.ErrDenied)
	}
	_, err = f.Write(append(text, '\n'))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), settingsPath(dir))
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("settings: %v: %w", reason(err), stemma.ErrUnavailable)
	}
	return nil
}

// clone is what the index remembers of this clone, so that a command knows in
// a few milliseconds that nothing moved.
type clone struct {
	Repository  string   `json:"repository"`
	Branch      string   `json:"branch"`
	Fingerprint string   `json:"fingerprint"`
	Settings    settings `json:"settings"`
	Algorithm   int      `json:"algorithm"`
	Sources     string   `json:"sources"`              // names; a new importer sees what is there anew
	Unrecorded  string   `json:"unrecorded,omitempty"` // why the last moves of refs were not recorded
}

// sourceNames are the names of all importers, as users see and filter them.
func sourceNames() []string {
	var names []string
	for _, s := range noteSources() {
		names = append(names, s.Name())
	}
	for _, s := range keyedSources() {
		names = append(names, s.Names()...)
	}
	for _, s := range commitSources() {
		names = append(names, s.Name())
	}
	return names
}

func (b *bench) cloneMark() string { return "clone/" + b.observer }

func (b *bench) readClone(ctx context.Context) error {
	marks, err := b.store.Marks(ctx)
	if err != nil {
		return fmt.Errorf("read index %s: %w", b.place(), err)
	}
	b.clone = clone{}
	if text := marks[b.cloneMark()]; text != "" {
		// A mark that can not be read is none: the next run makes it anew.
		_ = json.Unmarshal([]byte(text), &b.clone)
	}
	return b.findKeeper(ctx, marks)
}

// current reports whether the index shows the repository as it is, as far as a
// look at a few files tells.
func (b *bench) current(fingerprint string) bool {
	a, c := b.settings, b.clone.Settings
	return b.clone.Repository != "" && fingerprint != "" && b.clone.Fingerprint == fingerprint &&
		b.clone.Algorithm == attribution.Algorithm && b.clone.Sources == strings.Join(sourceNames(), " ") && a.AgentEra == c.AgentEra && a.AllRefs == c.AllRefs &&
		a.Branch == c.Branch && strings.Join(a.Generated, "\x00") == strings.Join(c.Generated, "\x00")
}

func (b *bench) config() reconcile.Config {
	return reconcile.Config{
		Repo: b.repo, Store: b.store, Notes: noteSources(), Keyed: keyedSources(), Commits: commitSources(),
		Evidence: b.ledger, Now: time.Now, Observer: b.observer, Person: b.person,
		AgentEra: b.settings.AgentEra, Generated: b.settings.Generated,
		AllRefs: b.settings.AllRefs, Branch: b.settings.Branch,
	}
}

// update brings the index up to date. waiting is told when another process
// holds it.
func (b *bench) update(ctx context.Context, progress func(reconcile.Progress), waiting func()) (reconcile.Report, error) {
	lock := flock.New(filepath.Join(b.dir, "index.lock"))
	free, err := lock.TryLock()
	if err == nil && !free {
		waiting()
		_, err = lock.TryLockContext(ctx, 100*time.Millisecond)
	}
	if err != nil {
		if ctx.Err() != nil {
			return reconcile.Report{}, ctx.Err()
		}
		return reconcile.Report{}, fmt.Errorf("lock index %s: %v: %w", b.dir, err, stemma.ErrUnavailable)
	}
	defer lock.Unlock()
	release, err := b.share(ctx, waiting)
	if err != nil {
		return reconcile.Report{}, err
	}
	defer release()
	if b.rebuild {
		// Under the lock: another run would go on filling what is dropped here.
		if err := b.drop(ctx); err != nil {
			return reconcile.Report{}, fmt.Errorf("drop the graph: %w", err)
		}
		b.clone, b.rebuild = clone{}, false
	}
	if b.clone.Fingerprint != "" {
		// A run that stops half-way must not pass for current when the refs come
		// back to where they were.
		behind := b.clone
		behind.Fingerprint = ""
		text, err := json.Marshal(behind)
		if err != nil {
			return reconcile.Report{}, err
		}
		if err := b.store.Put(ctx, store.Batch{Marks: map[string]string{b.cloneMark(): string(text)}}); err != nil {
			return reconcile.Report{}, err
		}
	}
	cfg := b.config()
	cfg.Progress = progress
	r, err := reconcile.Run(ctx, cfg)
	if err != nil || r.Empty {
		return r, err
	}
	if b.chosen {
		// Only now: a choice that can not be carried out is not remembered.
		if err := b.settings.write(b.dir); err != nil {
			return r, err
		}
	}
	b.clone = clone{
		Repository: r.Repository, Branch: r.Branch, Fingerprint: r.Fingerprint,
		Settings: b.settings, Algorithm: attribution.Algorithm, Sources: strings.Join(sourceNames(), " "),
		Unrecorded: r.Unrecorded,
	}
	text, err := json.Marshal(b.clone)
	if err != nil {
		return r, err
	}
	set := map[string]string{b.cloneMark(): string(text)}
	if r.Changed() {
		set[b.coverageMark()] = "" // it is added up again when somebody asks
	}
	if err := b.store.Put(ctx, store.Batch{Marks: set}); err != nil {
		return r, err
	}
	return r, b.projectSessions(ctx)
}

func (b *bench) coverageMark() string { return "coverage/" + b.clone.Repository }

// coverage is what is known of all indexed commits. It is remembered until the
// next update that changes something.
func (b *bench) coverage(ctx context.Context) (lineage.Measurement, error) {
	marks, err := b.store.Marks(ctx)
	if err != nil {
		return lineage.Measurement{}, fmt.Errorf("read index %s: %w", b.place(), err)
	}
	var m lineage.Measurement
	if json.Unmarshal([]byte(marks[b.coverageMark()]), &m) == nil {
		return m, nil
	}
	m, err = lineage.Measure(ctx, b.graph(), lineage.MeasureQuery{Everything: true})
	if err != nil {
		return m, err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return m, err
	}
	err = b.store.Put(ctx, store.Batch{Marks: map[string]string{b.coverageMark(): string(text)}})
	if b.keptElsewhere() && errors.Is(err, stemma.ErrDenied) {
		return m, nil // who may only read adds it up each time
	}
	return m, err
}

// attribute attributes one commit that may not be in the index, and gives what
// its sources say that no row keeps.
func (b *bench) attribute(ctx context.Context, commit string) (lineage.Told, error) {
	a, err := reconcile.Attribute(ctx, b.config(), commit)
	if err != nil {
		return lineage.Told{}, err
	}
	told := lineage.Told{Row: a.Row, Disputes: a.Disputes}
	for _, s := range a.Said {
		for _, f := range s.Figures {
			told.Figures = append(told.Figures, lineage.FigureOf(s.Source, f))
		}
	}
	return told, nil
}

// tellsMore reports whether the sources of a row say things that it does not
// keep: where they differ, and what they count.
func tellsMore(row stemma.Attribution) bool {
	counting := make(map[string]bool)
	for _, s := range keyedSources() {
		counting[s.Names()[0]] = true
	}
	return slices.ContainsFunc(row.Sources, func(s stemma.SourceClaim) bool { return s.Differ > 0 || counting[s.Source] })
}

// prompts reads the prompts that the sources carry for a commit, and those that the
// vault keeps.
func (b *bench) prompts(ctx context.Context, commit string) ([]lineage.Prompt, error) {
	var all []lineage.Prompt
	for _, s := range noteSources() {
		blobs, err := reconcile.Evidence(ctx, b.repo, s, commit)
		if err != nil {
			return nil, err
		}
		for _, blob := range blobs {
			prompts, err := s.Prompts(blob)
			if err != nil && !errors.Is(err, stemma.ErrInvalid) {
				return nil, err
			}
			all = append(all, lineage.Prompts(s.Name(), prompts)...)
		}
	}
	keyed, err := reconcile.Prompts(ctx, b.config(), commit)
	if err != nil {
		return nil, err
	}
	for _, s := range keyedSources() {
		all = append(all, lineage.Prompts(s.Names()[0], keyed[s.Names()[0]])...)
	}
	said, err := b.said(ctx, commit, all)
	return append(all, said...), err
}

// ownNotes is the ref of stemma's own notes.
const ownNotes = native.Ref

// capturedNote gives the bytes of the note on a commit.
func capturedNote(r capture.Result, algorithm int, checkpoint string) ([]byte, error) {
	n := native.FromEvidence(r.Evidence, algorithm, r.Input)
	n.Uncompared, n.Checkpoint = r.Uncompared, checkpoint
	return native.Encode(n)
}

// withdrawLines makes lines of a note unknown in whose place others may stand, and
// gives the note and what it says then; nil where it changes nothing. Where nothing
// was captured of the commit, the note says that alone.
func withdrawLines(blob []byte, twins []capture.Twin) ([]byte, notes.Evidence, error) {
	lines := make([]native.Twin, len(twins))
	for i, t := range twins {
		lines[i] = native.Twin{Path: t.Path, Line: t.Line, Session: t.Session, Person: t.Person}
	}
	n, err := native.Decode(blob)
	switch {
	case blob == nil || err == nil && n.Input == "":
		n = native.TakeBack(attribution.Algorithm, lines, n)
	case err != nil: // index counts notes that can not be read
		return nil, notes.Evidence{}, nil
	default:
		native.Withdraw(&n, lines)
	}
	changed, err := native.Encode(n)
	if err != nil || native.Same(changed, blob) {
		return nil, notes.Evidence{}, err
	}
	e, err := native.Source{}.Decode("", changed)
	if err != nil {
		return nil, notes.Evidence{}, nil // what can not be read any more is no better: it is left as it was
	}
	return changed, e, nil
}

// withdrawAgain takes back of a note what the one before it had taken back.
func withdrawAgain(blob, old []byte) ([]byte, error) {
	before, err := native.Decode(old)
	if err != nil {
		return blob, nil // there was none, or it can not be read
	}
	n, err := native.Decode(blob)
	if err != nil {
		return nil, err
	}
	if !native.TakeOver(&n, before) {
		return blob, nil
	}
	return native.Encode(n)
}

// sameNote reports whether two notes of stemma's say the same.
func sameNote(a, b []byte) bool { return native.Same(a, b) }

// noteCheckpoint gives the checkpoint that a note of stemma's holds, or "".
func noteCheckpoint(blob []byte) string {
	n, err := native.Decode(blob)
	if err != nil {
		return "" // index counts notes that can not be read
	}
	return n.Checkpoint
}

// ownNotesTip gives the commit that the ref of stemma's own notes points to; ""
// where there is none.
func (b *bench) ownNotesTip(ctx context.Context) (string, error) {
	tip, err := b.repo.Resolve(ctx, ownNotes)
	if errors.Is(err, stemma.ErrNotFound) {
		return "", nil
	}
	return tip, err
}

// ownNote gives the bytes of stemma's own note on a commit, at a tip of its ref;
// nil where there is none.
func (b *bench) ownNote(ctx context.Context, tip, commit string) ([]byte, error) {
	if tip == "" {
		return nil, nil
	}
	blob, err := reconcile.Note(ctx, b.repo, tip, commit)
	if errors.Is(err, stemma.ErrNotFound) {
		return nil, nil
	}
	return blob, err
}

// noteIsOpen reports whether a note of stemma's names gaps, can not be read, or says
// nothing of who wrote lines.
func noteIsOpen(blob []byte) bool {
	n, err := native.Decode(blob)
	return err != nil || len(n.Gaps) > 0 || n.Input == ""
}

// chooseNote says which of two notes on one commit stays.
func chooseNote(ours, theirs []byte) []byte { return native.Choose(ours, theirs) }

// me is the pseudonym of whoever works on this clone.
func (b *bench) me() string { return b.person(b.observer) }

// gitAINotes is the ref of git-ai's notes.
const gitAINotes = gitai.Ref

// encodeInterop writes an attribution in a format of others; nothing where it
// has nothing to say.
func encodeInterop(format string, a notes.Attributed) ([]byte, error) {
	switch format {
	case "gitai-notes":
		return gitai.Encode(a)
	case "agent-trace":
		return agenttrace.Encode(a, versionText())
	default:
		lines := trailers.Encode(a.Attribution)
		if len(lines) == 0 {
			return nil, nil
		}
		return []byte(strings.Join(lines, "\n") + "\n"), nil
	}
}

// assistedTrailer is the trailer that names an agent and its model.
func assistedTrailer(agent string, m stemma.Model) string { return trailers.Assisted(agent, m) }

// hasGitAINote reports whether git-ai left a note on a commit.
func (b *bench) hasGitAINote(ctx context.Context, commit string) (bool, error) {
	blobs, err := reconcile.Evidence(ctx, b.repo, gitai.Source{}, commit)
	return len(blobs) > 0, err
}
