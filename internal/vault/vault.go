// Package vault answers "where does content live, and how is it forgotten?":
// prompts, transcripts and snapshots are kept encrypted, apart from the
// statements that speak of them, so that a log nobody can rewrite and people
// whose data must be erased can both be had.
//
// Begin with [Open], [Vault.Put] and [Vault.Open]. A statement holds the
// reference and the commitment that Put gives; both say nothing of the content.
// [Vault.EraseSession] and [Vault.ErasePerson] destroy the keys: from then on
// the content and the salt of its commitment are gone everywhere, also from
// copies of the encrypted objects, while every proof about the statements holds.
//
// # Keys
//
// The folder of keys holds, one file each so that each can be overwritten by
// itself: the master key; a key for each person, encrypted to the master key;
// and for each compartment of a session its data key, encrypted once to each
// person who owns the session. A compartment is what one person wrote in a
// session (or nobody: the agent and its tools), of one retention class. Objects
// are age files (age-encryption.org/v1) of zstd frames (RFC 8878), encrypted to
// the data key of their compartment: stock tools read them, given the key.
//
// # Who owns what
//
// A session may have several owners. Erasing a person destroys that person's
// access to every session, every word the person wrote in any session, and the
// link from the person's identities to the pseudonym. What the agent and the
// other owners wrote in a shared session stays while another owner is left: it
// is those people's data too (GDPR, Article 17 with 15(4)). A session without an
// owner left is erased as a whole. Who wants a shared session gone erases the
// session.
//
// The package knows no redaction: content is redacted before it comes here.
package vault

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"filippo.io/age"
	"github.com/gofrs/flock"
	"github.com/klauspost/compress/zstd"

	"github.com/stemma-dev/stemma"
)

// Config says where a vault lives.
type Config struct {
	// Dir is the folder of the vault's index, in the evidence home. It is made.
	Dir string
	// Keys is the folder of keys, outside of every repository and of what is
	// backed up with Dir. It is made, readable by its owner alone.
	Keys string
	// Objects keeps the encrypted objects. What of it can be closed is closed with
	// the vault.
	Objects Objects
	// Retention says how long content is kept; the zero value is the default.
	Retention Retention
	// Places are other places where what is erased may lie: the spool, caches,
	// copies of keys.
	Places []Place
	// Tombstone appends the statement that something was erased, and gives back
	// when it is durable. It may be told of the same erasure again after a crash,
	// with the same id. Without one, erasures stay untold until a vault that has
	// one resumes them.
	Tombstone func(context.Context, Erasure) error
	// Holds states legal holds, and knows those that are stated; nil has them in the
	// index alone. What it knows is in force, whatever the index has.
	Holds HoldLog
	// Now tells the time; nil is time.Now.
	Now func() time.Time
}

// Vault keeps content. It may be used at once from several places and by
// several processes. Close it after use.
type Vault struct {
	cfg    Config
	db     *sql.DB
	master *age.X25519Identity
	names  []byte // key of the names of files

	mu      sync.Mutex
	persons map[string]*age.X25519Identity // by pseudonym
	secrets map[string]*secret             // by session name and compartment
	packer  *zstd.Encoder
	reader  *zstd.Decoder
}

// Open opens the vault, and makes it where there is none. It is ErrDenied where
// a folder can not be written, ErrInvalid where the master key or the index is
// damaged, and ErrConflict where one of them is gone and the other is not.
func Open(ctx context.Context, cfg Config) (*Vault, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Objects == nil {
		return nil, fmt.Errorf("open vault: no objects: %w", stemma.ErrInvalid)
	}
	if err := cfg.Retention.check(); err != nil {
		return nil, fmt.Errorf("open vault: %w", err)
	}
	v := &Vault{cfg: cfg, persons: make(map[string]*age.X25519Identity), secrets: make(map[string]*secret)}
	for _, dir := range []string{cfg.Dir, cfg.Keys, v.keyPath("persons"), v.keyPath("links"), v.keyPath("sessions")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("open vault: make %s: %v: %w", dir, cause(err), stemma.ErrDenied)
		}
	}
	err := v.together()
	if err != nil {
		return nil, fmt.Errorf("open vault: %w", err)
	}
	if v.packer, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(2), zstd.WithEncoderCRC(true)); err != nil {
		return nil, fmt.Errorf("open vault: %w", err)
	}
	if v.reader, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(MaxContent+maxHeader)); err != nil {
		return nil, fmt.Errorf("open vault: %w", err)
	}
	if err := v.openMaster(ctx); err != nil {
		return nil, fmt.Errorf("open vault: %w", err)
	}
	if v.db, err = openIndex(ctx, v.indexPath()); err != nil {
		return nil, fmt.Errorf("open vault: %w", err)
	}
	if err := v.upgrade(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open vault: %w", err), v.db.Close())
	}
	return v, nil
}

// indexPath is the file of the index.
func (v *Vault) indexPath() string { return filepath.Join(v.cfg.Dir, "vault.db") }

// together refuses a vault that has lost its master key or its index: new ones
// would know nothing of what there is, and an erasure would say that there is
// nothing to erase. The master key is made first, then the index, then other keys.
func (v *Vault) together() error {
	gone := func(path string) bool {
		_, err := os.Stat(path)
		return errors.Is(err, fs.ErrNotExist)
	}
	indexGone, masterGone := gone(v.indexPath()), gone(v.keyPath("master.key"))
	var keys []string
	for _, pattern := range []string{"sessions/*/*.key", "persons/*.key"} {
		found, err := matching(v.cfg.Keys, pattern)
		if err != nil {
			return fmt.Errorf("list keys: %w", err)
		}
		keys = append(keys, found...)
	}
	switch {
	case masterGone && !indexGone, masterGone && len(keys) > 0 && gone(v.keyPath("master.key")):
		return fmt.Errorf("%s is gone, and what is in %s is under it; put back a copy, or move both folders away to begin anew: %w",
			v.keyPath("master.key"), v.cfg.Dir, stemma.ErrConflict)
	case indexGone && len(keys) > 0 && gone(v.indexPath()):
		return fmt.Errorf("the index %s is gone, and there are %d keys of what it lists; put back a copy of its folder: %w", v.indexPath(), len(keys), stemma.ErrConflict)
	}
	return nil
}

// Close gives back what the vault holds.
func (v *Vault) Close() error {
	v.packer.Close()
	v.reader.Close()
	err := v.db.Close()
	if c, ok := v.cfg.Objects.(io.Closer); ok {
		err = errors.Join(err, c.Close())
	}
	return err
}

// The locks: erasing excludes everything else, so that nobody puts content into
// a session while its keys go. Making keys excludes making keys.
const (
	vaultLock = "vault.lock"
	keyLock   = "keys.lock"
)

// lock takes a lock between processes, shared or alone, and gives what releases it.
func (v *Vault) lock(ctx context.Context, name string, alone bool) (func(), error) {
	l := flock.New(filepath.Join(v.cfg.Dir, name))
	try := l.TryRLockContext
	if alone {
		try = l.TryLockContext
	}
	if _, err := try(ctx, 5*time.Millisecond); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("lock vault: %v: %w", cause(err), stemma.ErrUnavailable)
	}
	return func() { l.Unlock() }, nil
}

func (v *Vault) now() int64 { return v.cfg.Now().Unix() }
