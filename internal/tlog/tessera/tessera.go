// Package tessera answers how a log is kept on the disk of one machine: in a
// folder in the layout of tlog-tiles (C2SP), by Tessera's POSIX driver. Anyone
// may read, copy and serve the folder as it is; only its subfolder .state is the
// driver's own. Begin with [Open].
//
// The folder must be on a file system that keeps POSIX promises: not on NFS.
// Every file is written beside its place, fsynced and renamed, and so is the
// folder; a process that dies in the middle leaves at most files that nobody
// reads.
package tessera

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	tesseralib "github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
	"k8s.io/klog/v2"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/tlog"
)

const (
	// batch is how many entries are written as one.
	batch = 1024
	// batchAge is how long an entry waits for others that come with it.
	batchAge = time.Millisecond
	// checkpointInterval is how often at most a checkpoint is published.
	checkpointInterval = 200 * time.Millisecond
	// poll is how often the published checkpoint is looked at by who waits for it.
	poll = 3 * time.Millisecond
	// lockPoll is how often an appender looks whether another process let go.
	lockPoll = 2 * time.Millisecond
	// closeWait is how long Close waits for what was added to be published.
	closeWait = 2 * time.Second
	// width is how many entries a full bundle has.
	width = 256
)

// Config says which log. Dir and Signer must be set.
type Config struct {
	// Dir is the folder of the log; it is made where it does not exist.
	Dir string
	// Signer is the secret key that checkpoints are signed with, as
	// tlog.GenerateKey makes it. Its name is the log's origin.
	Signer string
	// Witnesses is the policy of the witnesses that cosign each checkpoint before
	// it is published, in Sigsum's format with keys of C2SP signed-note: lines of
	// "witness name vkey url", "group name n members" and "quorum name". "" is
	// none.
	Witnesses string
	// WitnessTimeout is how long a witness may take; 0 is a second.
	WitnessTimeout time.Duration
	// WitnessRequired holds checkpoints back until the policy is met, instead of
	// publishing them without.
	WitnessRequired bool
}

// Log is a log on the disk. It fulfils the contract of [tlog.Log].
type Log struct {
	shared *shared
	once   sync.Once
	closed chan struct{}
}

var _ tlog.Log = (*Log)(nil)

// shared is the one appender of this process for a folder: the driver's locks
// keep processes apart, not two appenders of one process.
type shared struct {
	dir   string
	cfg   Config
	keys  tlog.Keys
	users int // guarded by open.mu

	lock chan struct{} // held by the appender of this process
	file *flock.Flock  // held with it

	stop     context.CancelFunc
	appender *tesseralib.Appender
	began    uint64 // entries when it was opened

	mu    sync.Mutex // held while adding
	added uint64     // size after the last entry that was added here
}

// open has the appenders of this process, by folder.
var open struct {
	mu   sync.Mutex
	dirs map[string]*shared
}

// Open opens a log, and makes it where there is none. It costs about a
// millisecond. Opening a folder again, in this process or another, is allowed;
// within a process all share the configuration of the first.
//
// The error is ErrInvalid for a key or a policy that cannot be read and for a
// damaged state or checkpoint, ErrConflict where the log is of another origin,
// has lost a part or is put together of two copies, and ErrDenied where the folder
// cannot be written or the checkpoint is not signed by the key.
func Open(ctx context.Context, cfg Config) (*Log, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", cfg.Dir, err)
	}
	open.mu.Lock()
	defer open.mu.Unlock()
	s := open.dirs[dir]
	if s != nil && s.cfg.Signer != cfg.Signer {
		return nil, fmt.Errorf("open log %s: it is open with another key: %w", dir, stemma.ErrConflict)
	}
	if s == nil {
		if s, err = start(ctx, dir, cfg); err != nil {
			return nil, fmt.Errorf("open log %s: %w", dir, err)
		}
		if open.dirs == nil {
			open.dirs = make(map[string]*shared)
		}
		open.dirs[dir] = s
	}
	s.users++
	return &Log{shared: s, closed: make(chan struct{})}, nil
}

// start opens the driver.
func start(ctx context.Context, dir string, cfg Config) (s *shared, err error) {
	signer, err := note.NewSigner(strings.TrimSpace(cfg.Signer))
	if err != nil {
		return nil, fmt.Errorf("key of the log: %v: %w", err, stemma.ErrInvalid)
	}
	verifier, err := tlog.VerifierKey(cfg.Signer)
	if err != nil {
		return nil, err
	}
	s = &shared{
		dir: dir, cfg: cfg,
		lock: make(chan struct{}, 1),
		file: flock.New(filepath.Join(dir, ".state", "append.lock")),
	}
	if s.keys, err = tlog.NewKeys(verifier, nil, 0); err != nil {
		return nil, err
	}
	made, err := s.own(ctx, signer.Name())
	if err != nil {
		return nil, err
	}
	defer made()
	opts := tesseralib.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithBatching(batch, batchAge).
		WithCheckpointInterval(checkpointInterval).
		WithCheckpointRepublishInterval(0)
	if cfg.Witnesses != "" {
		group, err := tesseralib.NewWitnessGroupFromPolicy([]byte(cfg.Witnesses))
		if err != nil {
			return nil, fmt.Errorf("policy of witnesses: %v: %w", err, stemma.ErrInvalid)
		}
		timeout := cfg.WitnessTimeout
		if timeout <= 0 {
			timeout = time.Second
		}
		opts = opts.WithWitnesses(group, &tesseralib.WitnessOptions{Timeout: timeout, FailOpen: !cfg.WitnessRequired})
	}
	quiet()
	driver, err := posix.New(ctx, posix.Config{Path: dir})
	if err != nil {
		return nil, fmt.Errorf("%v: %w", err, stemma.ErrUnavailable)
	}
	// The appender outlives the call, and the context of whoever opened it first.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		// The driver panics where it cannot take its own lock.
		if r := recover(); r != nil {
			s, err = nil, fmt.Errorf("%v: %w", r, stemma.ErrUnavailable)
		}
		if err != nil {
			stop()
		}
	}()
	appender, _, _, err := tesseralib.NewAppender(running, driver, opts)
	if err != nil {
		return nil, kindOf(err)
	}
	s.stop, s.appender = stop, appender
	head, err := s.head()
	if err != nil {
		return nil, err
	}
	s.began, s.added = head.Size, head.Size
	return s, nil
}

// own makes the folder where it is new, proves that it can be written, and
// refuses a log of another origin. A log that there is not yet is made by one
// process at a time: the caller calls made when it is.
func (s *shared) own(ctx context.Context, origin string) (made func(), err error) {
	if err := os.MkdirAll(filepath.Join(s.dir, ".state"), 0o755); err != nil {
		return nil, kindOf(err)
	}
	if err := s.writable(); err != nil {
		return nil, err
	}
	made = func() {}
	raw, err := tlog.Folder(s.dir)(ctx, "checkpoint")
	if errors.Is(err, stemma.ErrNotFound) {
		if _, err := s.file.TryLockContext(ctx, lockPoll); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, kindOf(err)
		}
		made = func() { _ = s.file.Unlock() } // at the latest when the process ends
		raw, err = tlog.Folder(s.dir)(ctx, "checkpoint")
		if errors.Is(err, stemma.ErrNotFound) {
			if err := s.first(); err != nil {
				made()
				return nil, err
			}
			return made, nil
		}
	}
	if err == nil {
		err = s.whole(raw, origin)
	}
	if err == nil {
		err = s.clock()
	}
	if err != nil {
		made()
		return nil, err
	}
	return made, nil
}

// whole refuses a log of another origin, and one that has lost something: the
// driver would begin a new one in its place, and sign that it is empty.
func (s *shared) whole(raw []byte, origin string) error {
	if h, err := tlog.ParseHead(raw); err == nil && h.Origin != origin {
		return fmt.Errorf("the log is %q and the key is of %q; put back the key of this log: %w", h.Origin, origin, stemma.ErrConflict)
	}
	c, err := s.keys.Open(raw)
	if err != nil {
		return fmt.Errorf("%w; put back a copy of the file checkpoint, or remove it: the next entry publishes it again", err)
	}
	head, err := s.head()
	switch {
	case errors.Is(err, stemma.ErrNotFound) && c.Size > 0:
		return fmt.Errorf("the log has a checkpoint of %d entries and no .state/treeState; put back a copy of the folder: %w", c.Size, stemma.ErrConflict)
	case err != nil && !errors.Is(err, stemma.ErrNotFound):
		return fmt.Errorf("%w; put back a copy of the folder", err)
	case head.Size < c.Size:
		return fmt.Errorf("the log has %d entries and a checkpoint of %d: one of them is an old copy; put back the newer: %w", head.Size, c.Size, stemma.ErrConflict)
	}
	return nil
}

// first removes what a process left that died while it made the log: without a
// checkpoint there never was an entry, so that the driver may begin again.
func (s *shared) first() error {
	head, err := s.head()
	if errors.Is(err, stemma.ErrNotFound) {
		if _, err := os.Stat(filepath.Join(s.dir, "tile")); err == nil {
			return fmt.Errorf("there are tiles, and neither a checkpoint nor .state/treeState; put back a copy of the folder: %w", stemma.ErrConflict)
		}
		return nil
	}
	if err == nil && head.Size > 0 {
		return nil
	}
	if err := os.Remove(filepath.Join(s.dir, ".state", "treeState")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return kindOf(err)
	}
	return nil
}

// writable proves that the driver can take the lock without which it panics.
func (s *shared) writable() error {
	f, err := os.OpenFile(filepath.Join(s.dir, ".state", "treeState.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return kindOf(err)
	}
	// Closing lets go of every lock that this process has on the file. It has
	// none: the caller holds open.mu or shared.mu, and nothing is being added.
	if err := f.Close(); err != nil {
		return kindOf(err)
	}
	return nil
}

// clock brings back the time of a checkpoint that is in the future, because the
// clock was: the driver would publish no other one until then.
func (s *shared) clock() error {
	path := filepath.Join(s.dir, "checkpoint")
	info, err := os.Stat(path)
	if err != nil {
		return kindOf(err)
	}
	now := time.Now()
	if info.ModTime().After(now) {
		past := now.Add(-checkpointInterval)
		if err := os.Chtimes(path, past, past); err != nil {
			return kindOf(err)
		}
	}
	return nil
}

// quiet keeps the driver's log off standard error: what fails is an error.
var quiet = sync.OnceFunc(func() {
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
})

// kindOf gives an error of the driver or the system its kind.
func kindOf(err error) error {
	kind := stemma.ErrUnavailable
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		kind = stemma.ErrDenied
	}
	if errors.Is(err, fs.ErrNotExist) {
		kind = stemma.ErrNotFound
	}
	return fmt.Errorf("%v: %w", err, kind)
}

// state is what the driver keeps of the tree: .state/treeState.
type state struct {
	Size uint64 `json:"size"`
	Root []byte `json:"root"`
}

// head reads what is durable.
func (s *shared) head() (tlog.Head, error) { return readHead(s.dir, s.keys.Origin()) }

func readHead(dir, origin string) (tlog.Head, error) {
	path := filepath.Join(dir, ".state", "treeState")
	raw, err := os.ReadFile(path)
	if err != nil {
		return tlog.Head{}, kindOf(err)
	}
	var st state
	err = json.Unmarshal(raw, &st)
	if again, merr := json.Marshal(st); err != nil || merr != nil || !bytes.Equal(raw, again) || len(st.Root) != len(tlog.Hash{}) {
		return tlog.Head{}, &tlog.DecodeError{What: path, Reason: "not the state of a tree"}
	}
	return tlog.Head{Origin: origin, Size: st.Size, Root: tlog.Hash(st.Root)}, nil
}

// Head is what is durable, published or not.
func (l *Log) Head(ctx context.Context) (tlog.Head, error) {
	if err := l.alive(ctx); err != nil {
		return tlog.Head{}, err
	}
	return l.shared.head()
}

// Tree reads the log's files.
func (l *Log) Tree() *tlog.Tree { return &tlog.Tree{Fetch: tlog.Folder(l.shared.dir)} }

func (l *Log) alive(ctx context.Context) error {
	select {
	case <-l.closed:
		return fmt.Errorf("the log is closed: %w", stemma.ErrUnavailable)
	default:
		return ctx.Err()
	}
}

// Lock keeps every other appender away: see [tlog.Log].
func (l *Log) Lock(ctx context.Context) (release func(), err error) {
	if err := l.alive(ctx); err != nil {
		return nil, err
	}
	s := l.shared
	select {
	case s.lock <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if _, err := s.file.TryLockContext(ctx, lockPoll); err != nil {
		<-s.lock
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("lock log %s: %w", s.dir, kindOf(err))
	}
	return sync.OnceFunc(func() {
		// The system lets go of the lock also where this fails: at the latest when
		// the process ends.
		_ = s.file.Unlock()
		<-s.lock
	}), nil
}

// Add appends the digests: see [tlog.Log].
func (l *Log) Add(ctx context.Context, digests []tlog.Digest) ([]uint64, error) {
	if err := l.alive(ctx); err != nil {
		return nil, err
	}
	s := l.shared
	s.mu.Lock()
	defer s.mu.Unlock()
	head, err := s.head()
	if err != nil {
		return nil, fmt.Errorf("append to log: %w", err)
	}
	indexes := make([]uint64, 0, len(digests))
	for at := 0; at < len(digests); at += batch {
		if err := s.writable(); err != nil {
			return nil, fmt.Errorf("append to log: %w", err)
		}
		part := digests[at:min(at+batch, len(digests))]
		got, err := s.add(ctx, part, head.Size+uint64(at))
		if err != nil {
			return nil, fmt.Errorf("append to log: %w", err)
		}
		indexes = append(indexes, got...)
	}
	return indexes, nil
}

// add appends what is written as one, behind first entries. It does not stop
// half-way: what was handed to the driver is waited for. Where the driver's clock
// cuts the batch in two, the second part may come first.
func (s *shared) add(ctx context.Context, digests []tlog.Digest, first uint64) ([]uint64, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	futures := make([]tesseralib.IndexFuture, len(digests))
	for i := range digests {
		futures[i] = s.appender.Add(context.WithoutCancel(ctx), tesseralib.NewEntry(digests[i][:]))
	}
	var failed error
	indexes := make([]uint64, len(digests))
	taken := make([]bool, len(digests))
	for i, future := range futures {
		index, err := future()
		at := index.Index - first // wraps around below first
		switch {
		case failed != nil:
		case err != nil:
			failed = kindOf(err)
		case at >= uint64(len(taken)) || taken[at]:
			failed = fmt.Errorf("one of entries %d to %d got index %d: somebody else appends to the log: %w", first, first+uint64(len(digests))-1, index.Index, stemma.ErrConflict)
		default:
			indexes[i], taken[at] = index.Index, true
		}
	}
	if failed != nil {
		return nil, failed
	}
	s.added = first + uint64(len(digests))
	return indexes, nil
}

// Published waits until a checkpoint covers size entries: see [tlog.Log].
func (l *Log) Published(ctx context.Context, size uint64) (tlog.Checkpoint, error) {
	return l.shared.published(ctx, size)
}

func (s *shared) published(ctx context.Context, size uint64) (tlog.Checkpoint, error) {
	tree := tlog.Tree{Fetch: tlog.Folder(s.dir)}
	for start := time.Now(); ; {
		c, err := tree.Checkpoint(ctx, s.keys)
		if err != nil && !errors.Is(err, stemma.ErrNotFound) { // one that is lost is published again
			return tlog.Checkpoint{}, err
		}
		if err == nil && c.Size >= size {
			return c, nil
		}
		if time.Since(start) > checkpointInterval {
			// It may be that the clock was set back meanwhile.
			if err := s.clock(); err != nil && !errors.Is(err, stemma.ErrNotFound) {
				return tlog.Checkpoint{}, err
			}
			start = time.Now()
		}
		select {
		case <-ctx.Done():
			return tlog.Checkpoint{}, ctx.Err()
		case <-time.After(poll):
		}
	}
}

// Close waits a moment for what was added to be published, and lets go of the
// log. Closing again does nothing.
func (l *Log) Close() error {
	var err error
	l.once.Do(func() {
		close(l.closed)
		open.mu.Lock()
		defer open.mu.Unlock()
		s := l.shared
		if s.users--; s.users > 0 {
			return
		}
		delete(open.dirs, s.dir)
		err = s.close()
	})
	return err
}

func (s *shared) close() error {
	defer s.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	c, err := s.published(ctx, s.added)
	if errors.Is(err, context.DeadlineExceeded) {
		// Nothing is lost: the entries are durable.
		return fmt.Errorf("close log %s: no checkpoint covers its %d entries yet; who opens the log next publishes one: %w", s.dir, s.added, stemma.ErrUnavailable)
	}
	if err != nil {
		return fmt.Errorf("close log %s: %w", s.dir, err)
	}
	return s.prune(s.began, c.Size)
}

// prune removes the partial bundles and tiles that full ones have replaced
// since the log had from entries. The driver does it too, once a minute; most of
// our processes do not live that long.
func (s *shared) prune(from, size uint64) error {
	for level, n, end := -1, from/width, size/width; end > 0; level++ {
		name := "entries"
		if level >= 0 {
			name = strconv.Itoa(level)
		}
		for ; n < end; n++ {
			if err := os.RemoveAll(filepath.Join(s.dir, "tile", name, filepath.FromSlash(tlog.TileNumber(n))+".p")); err != nil {
				return kindOf(err)
			}
		}
		if level < 0 {
			n, end = from/width, size/width
			continue
		}
		from, size = from/width, size/width
		n, end = from/width, size/width
	}
	return nil
}

// HeadFile is where, below a log's folder, its durable head is.
const HeadFile = ".state/treeState"

// ReadHead reads the durable head of a log that is not open here. The error is
// ErrNotFound where there is none, and a *tlog.DecodeError where it is damaged.
func ReadHead(dir, origin string) (tlog.Head, error) { return readHead(dir, origin) }
