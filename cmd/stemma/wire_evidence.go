package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/reconcile"
	"github.com/stemma-dev/stemma/internal/record"
	"github.com/stemma-dev/stemma/internal/redact"
	"github.com/stemma-dev/stemma/internal/redact/gitleaks"
	"github.com/stemma-dev/stemma/internal/sign/filekey"
	"github.com/stemma-dev/stemma/internal/store"
	"github.com/stemma-dev/stemma/internal/store/sqlite"
	"github.com/stemma-dev/stemma/internal/tlog"
	"github.com/stemma-dev/stemma/internal/tlog/tessera"
	"github.com/stemma-dev/stemma/internal/vault"
)

// evidenceHome is where the truth of an organisation lives, apart from every
// repository: below STEMMA_DIR, or in the user's data folder.
func evidenceHome() (string, error) {
	if dir := os.Getenv("STEMMA_DIR"); dir != "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", fmt.Errorf("STEMMA_DIR: %v: %w", err, stemma.ErrInvalid)
		}
		return filepath.Join(abs, "evidence"), nil
	}
	data := os.Getenv("XDG_DATA_HOME")
	if !filepath.IsAbs(data) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", hinted{fmt.Errorf("%v: %w", err, stemma.ErrDenied), "set STEMMA_DIR to a folder that you may write to"}
		}
		data = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(data, "stemma", organisation), nil
}

// spine is the evidence of the organisation on this machine, opened to be read
// or to be added to.
type spine struct {
	home     string
	evidence store.Evidence
	tree     *tlog.Tree // of the log
	keys     tlog.Keys  // of the log
	log      tlog.Log   // nil where it is only read
	recorder *record.Recorder
}

func (s *spine) close() error {
	var errs []error
	if s.log != nil {
		errs = append(errs, s.log.Close())
	}
	if s.evidence != nil {
		errs = append(errs, s.evidence.Close())
	}
	return errors.Join(errs...)
}

// openEvidence opens the envelopes, and gives nothing where it fails: a nil of
// its type in the place of nothing would be closed.
func openEvidence(ctx context.Context, home string) (store.Evidence, error) {
	e, err := sqlite.OpenEvidence(ctx, home, organisation)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// openLog opens the log, and gives nothing where it fails.
func openLog(ctx context.Context, cfg tessera.Config) (tlog.Log, error) {
	l, err := tessera.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// recordedHome is evidenceHome where something was recorded.
func recordedHome() (string, error) {
	home, err := evidenceHome()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(home, "evidence.db")); errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return "", hinted{fmt.Errorf("nothing is recorded in %s: %w", home, stemma.ErrNotFound), "stemma index and stemma record make the first entries"}
	}
	return home, nil
}

// readEvidence opens the envelopes alone to be read, which needs no key. ErrNotFound
// is as with readSpine.
func readEvidence(ctx context.Context) (store.Evidence, error) {
	home, err := recordedHome()
	if err != nil {
		return nil, err
	}
	return openEvidence(ctx, home)
}

// readSpine opens the evidence to be read. ErrNotFound says that nothing was
// recorded on this machine yet.
func readSpine(ctx context.Context) (*spine, error) {
	home, err := recordedHome()
	if err != nil {
		return nil, err
	}
	s, err := readLog(home)
	if err != nil {
		return nil, err
	}
	if s.evidence, err = openEvidence(ctx, home); err != nil {
		return nil, err
	}
	return s, nil
}

// readLog opens the log alone to be read, without the envelopes.
func readLog(home string) (*spine, error) {
	keys, err := ownLogKey()
	if err != nil {
		return nil, err
	}
	return &spine{home: home, tree: &tlog.Tree{Fetch: tlog.Folder(filepath.Join(home, "tlog"))}, keys: keys}, nil
}

// openSpine opens the evidence to be added to, and makes it, the log and the
// keys where they are new. warn is told of what is wrong and holds nothing up.
func openSpine(ctx context.Context, warn func(string)) (_ *spine, err error) {
	home, err := evidenceHome()
	if err != nil {
		return nil, err
	}
	s := &spine{home: home}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if err := makeDir(home); err != nil {
		return nil, err
	}
	signer, err := signingKey(ctx)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	logKey, err := logSigner()
	if err != nil {
		return nil, err
	}
	if s.keys, err = ownLogKey(); err != nil {
		return nil, err
	}
	secret, err := organisationKey()
	if err != nil {
		return nil, err
	}
	if s.evidence, err = openEvidence(ctx, home); err != nil {
		return nil, err
	}
	seen, err := ownWitnesses()
	if err != nil {
		return nil, err
	}
	if s.log, err = openLog(ctx, tessera.Config{Dir: filepath.Join(home, "tlog"), Signer: logKey, Witnesses: seen.policy}); err != nil {
		return nil, err
	}
	s.tree = s.log.Tree()
	known, own, err := knownKeys(trustFlags{})
	if err != nil {
		return nil, err
	}
	_, revoked, err := stated(ctx, own, s.evidence)
	if err != nil {
		return nil, err
	}
	known.Revoked = append(known.Revoked, revoked...)
	s.recorder = record.New(record.Config{
		Evidence: s.evidence, Log: s.log, Signer: signer, Trust: known.Trust, Key: secret, Warn: warn, Predicates: predicates(),
		Vault: &lazyVault{open: func(ctx context.Context) (record.Vault, error) { return openVault(ctx, s) }}, Redact: redactor(),
	})
	return s, nil
}

// ledger opens the evidence when there is something to record. Where it can only
// be read, it is.
func (b *bench) ledger(ctx context.Context) (*record.Ledger, error) {
	if b.spine == nil {
		warn := b.warn
		if warn == nil {
			warn = func(string) {}
		}
		s, err := openSpine(ctx, warn)
		if err != nil && ctx.Err() == nil {
			s, rerr := readSpine(ctx)
			if rerr != nil {
				return nil, err
			}
			b.spine = s
			return &record.Ledger{Origin: s.keys.Origin(), Evidence: s.evidence, Why: err}, nil
		}
		if err != nil {
			return nil, err
		}
		b.spine = s
	}
	return &record.Ledger{
		Origin: b.spine.keys.Origin(), Evidence: b.spine.evidence, Recorder: b.spine.recorder,
		Why: fmt.Errorf("%s can only be read: %w", b.spine.home, stemma.ErrDenied),
	}, nil
}

// durableHead reads what the log says of itself is durable; nil where it cannot
// be read.
func durableHead(s *spine) (*tlog.Head, string, error) {
	dir := filepath.Join(s.home, "tlog")
	where := "tlog/" + tessera.HeadFile
	head, err := tessera.ReadHead(dir, s.keys.Origin())
	if errors.Is(err, stemma.ErrNotFound) || errors.Is(err, stemma.ErrInvalid) {
		return nil, where, nil
	}
	return &head, where, err
}

// checkKeys checks the keys of this machine: that each can be read and is of one
// piece. It gives how many there are.
func checkKeys(fault func(record.Fault)) (int, error) {
	dir, keys, err := machineKeys()
	bad := func(name string, err error) error {
		if err == nil {
			return nil
		}
		if errors.Is(err, stemma.ErrInvalid) || errors.Is(err, stemma.ErrConflict) || errors.Is(err, stemma.ErrNotFound) {
			fault(record.Fault{Where: "keys/" + name, Reason: err.Error()})
			return nil
		}
		return err
	}
	if err != nil {
		// Whatever it is, the keys cannot be read, and what follows rests on them.
		fault(record.Fault{Where: "keys/signing", Reason: err.Error()})
		return 0, nil
	}
	services, err := serviceKeys()
	if err := bad(servicePrefix+"*", err); err != nil {
		return 0, err
	}
	n := len(keys) + len(services)
	if n == 0 && err == nil {
		return 0, nil
	}
	for _, info := range keys {
		if err := bad("signing-"+info.ID+".json", filekey.Check(dir, info)); err != nil {
			return n, err
		}
	}
	if _, err := filekey.Current(dir); err != nil && len(keys) > 0 {
		fault(record.Fault{Where: "keys/signing", Reason: err.Error()})
	}
	public, err := readKeyFile(filepath.Join(dir, logPublicFile))
	if err == nil {
		var of tlog.Keys
		if of, err = tlog.NewKeys(public, nil, 0); err == nil {
			_, err = keptCheckpoints(of, func(name string, err error) {
				fault(record.Fault{Where: "keys/statements/" + name, Reason: err.Error()})
			})
		}
	}
	if err != nil {
		if err := bad(logPublicFile, err); err != nil {
			return n, err
		}
		public = ""
	}
	n++
	secret, err := readKeyFile(filepath.Join(dir, logKeyFile))
	if err == nil {
		err = checkLogKey(secret, public)
	}
	if err != nil {
		if err := bad(logKeyFile, err); err != nil {
			return n, err
		}
	}
	n++
	_, err = readOrganisationKey()
	return n, bad(orgKeyFile, err)
}

// checkLogKey checks the secret key of the log, and that the public one is of it,
// where that is known.
func checkLogKey(secret, public string) error {
	derived, err := tlog.VerifierKey(secret)
	if err != nil {
		return err
	}
	if public != "" && derived != public {
		return fmt.Errorf("it is not the key in %s: %w", logPublicFile, stemma.ErrConflict)
	}
	// The number that both have in them is hexadecimal, and read in either case.
	if number := strings.SplitN(derived, "+", 3)[1]; !strings.Contains(secret, "+"+number+"+") {
		return fmt.Errorf("it is not as it was written: %w", stemma.ErrInvalid)
	}
	return nil
}

// deriveAgain derives the graph of the repository into a folder of its own.
func (b *bench) deriveAgain(ctx context.Context, dir string, bar *bar) (store.Store, error) {
	defer bar.stop()
	again, err := sqlite.Open(ctx, dir, organisation)
	if err != nil {
		return nil, err
	}
	cfg := b.config()
	cfg.Store, cfg.Progress = again, bar.show
	_, err = reconcile.Run(ctx, cfg)
	if err == nil {
		// What was recorded of sessions is in the graph as well.
		if _, err = b.reading(ctx); err == nil {
			other := *b
			other.store = again
			err = other.projectSessions(ctx)
		} else if errors.Is(err, stemma.ErrNotFound) {
			err = nil
		}
	}
	if err != nil {
		return nil, errors.Join(err, again.Close())
	}
	return again, nil
}

// openAnew opens the index of a repository after it removed the graph that was
// there, which cannot be read.
func openAnew(ctx context.Context, path, address string) (*bench, error) {
	repo, err := git.Open(ctx, path, scratch())
	if err != nil {
		return nil, err
	}
	defer repo.Close()
	dir, _, err := indexDir(repo)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"graph.db", "graph.db-wal", "graph.db-shm"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%v: %w", err, stemma.ErrDenied)
		}
	}
	return open(ctx, path, address)
}

// redactor takes out of content what must not be kept.
func redactor() *redact.Redactor { return redact.New(&gitleaks.Detector{}) }

// lazyVault opens the vault when content comes, which it seldom does.
type lazyVault struct {
	open  func(context.Context) (record.Vault, error)
	mu    sync.Mutex
	vault record.Vault
}

// PutAll keeps content in the vault.
func (l *lazyVault) PutAll(ctx context.Context, contents []vault.Content) ([]vault.Reference, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.vault == nil {
		v, err := l.open(ctx)
		if err != nil {
			return nil, err
		}
		l.vault = v
	}
	return l.vault.PutAll(ctx, contents)
}

// The files of the log's key in the folder of keys: the secret, and what
// everybody may know.
const (
	logKeyFile    = "tlog.key"
	logPublicFile = "tlog.pub"
	orgKeyFile    = "organisation.key"
)

// logSigner reads the key that the log's checkpoints are signed with, or makes
// it. Its name is the log's origin, which no other log has.
func logSigner() (string, error) {
	dir, err := keysDir()
	if err != nil {
		return "", err
	}
	text, err := readOrMake(filepath.Join(dir, logKeyFile), func() (string, error) {
		if err := noLogYet(dir); err != nil {
			return "", err
		}
		id, err := randomHex(8)
		if err != nil {
			return "", err
		}
		signer, _, err := tlog.GenerateKey("stemma.local/" + organisation + "/" + id)
		return signer, err
	})
	if err != nil {
		return "", fmt.Errorf("key of the log: %w", err)
	}
	public, err := tlog.VerifierKey(text)
	if err != nil {
		return "", fmt.Errorf("%s: %w", filepath.Join(dir, logKeyFile), err)
	}
	written, err := readOrMake(filepath.Join(dir, logPublicFile), func() (string, error) { return public, nil })
	if err == nil && written != public {
		err = fmt.Errorf("%s is not of the key in %s: %w", filepath.Join(dir, logPublicFile), logKeyFile, stemma.ErrConflict)
	}
	return text, err
}

// noLogYet refuses to make a key where there is a log of another one: what is
// there could never be added to.
func noLogYet(keys string) error {
	folder, err := logFolder()
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(folder, "checkpoint")); err != nil {
		return nil
	}
	return hinted{
		fmt.Errorf("%s is gone, and the log in %s needs it: %w", filepath.Join(keys, logKeyFile), folder, stemma.ErrConflict),
		"put back a copy of the file; without it nothing can be recorded here, and a new place is begun by moving the old one away",
	}
}

// ownLogKey gives the public key of this machine's log.
func ownLogKey() (tlog.Keys, error) {
	text, err := ownLogKeyText()
	if err != nil {
		return tlog.Keys{}, err
	}
	return logKeysOf(text)
}

func ownLogKeyText() (string, error) {
	dir, err := keysDir()
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(dir, logPublicFile))
	if err != nil {
		kind := stemma.ErrDenied
		if errors.Is(err, fs.ErrNotExist) {
			kind = stemma.ErrNotFound
		}
		return "", fmt.Errorf("public key of the log: %v: %w", err, kind)
	}
	return strings.TrimSpace(string(text)), nil
}

// logFolder is where this machine's log is.
func logFolder() (string, error) {
	home, err := evidenceHome()
	return filepath.Join(home, "tlog"), err
}

// organisationKey is what keyed hashes of content are made with. It stays on
// this machine. Its file has the key in hex and the beginning of the SHA-256 of
// that, so that damage of it is seen.
func organisationKey() ([]byte, error) {
	dir, err := keysDir()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, orgKeyFile)
	text, err := readOrMake(path, func() (string, error) {
		key, err := randomHex(32)
		return key + "-" + checkOf(key), err
	})
	if err != nil {
		return nil, fmt.Errorf("key of the organisation: %w", err)
	}
	return parseOrganisationKey(path, text)
}

func checkOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:4])
}

func parseOrganisationKey(path, text string) ([]byte, error) {
	key, check, _ := strings.Cut(text, "-")
	if len(key) != 64 || check != checkOf(key) {
		return nil, fmt.Errorf("%s is damaged; put back a copy of it: %w", path, stemma.ErrInvalid)
	}
	return []byte(key), nil
}

// readOrganisationKey reads the key, and does not make one.
func readOrganisationKey() ([]byte, error) {
	dir, err := keysDir()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, orgKeyFile)
	text, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	return parseOrganisationKey(path, text)
}

// readKeyFile reads a file that readOrMake made: one line, as it was written.
func readKeyFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		kind := stemma.ErrDenied
		if errors.Is(err, fs.ErrNotExist) {
			kind = stemma.ErrNotFound
		}
		return "", fmt.Errorf("%v: %w", err, kind)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return "", fmt.Errorf("%v: %w", err, stemma.ErrUnavailable)
	}
	line, ok := strings.CutSuffix(string(text), "\n")
	if !ok || line == "" || line != strings.TrimSpace(line) {
		return "", fmt.Errorf("%s is damaged: not one line: %w", path, stemma.ErrInvalid)
	}
	return line, nil
}

// maxKeyFile is the size in bytes over which no file of a key is read.
const maxKeyFile = 64 << 10

// readOrMake reads a small secret file, or makes it, whole, unless another
// process is faster.
func readOrMake(path string, make func() (string, error)) (string, error) {
	for range 3 {
		f, err := os.Open(path)
		if err == nil {
			text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
			f.Close()
			if err != nil {
				return "", fmt.Errorf("%v: %w", err, stemma.ErrUnavailable)
			}
			return strings.TrimSpace(string(text)), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%v: %w", err, stemma.ErrDenied)
		}
		text, err := make()
		if err != nil {
			return "", err
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return "", fmt.Errorf("%v: %w", err, stemma.ErrDenied)
		}
		if err := writeNew(path, text); err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("%s comes and goes: %w", path, stemma.ErrUnavailable)
}
