// Package filekey answers where the signing keys of this machine are: in files
// of one folder. [Open] gives the key that signs, and makes it on first use;
// [Rotate] puts another in its place; [List] gives all there were, to verify
// with.
//
// The folder belongs to the user alone (0700, files 0600), and is never inside
// a repository. A key here proves that nothing changed since it signed, no more.
package filekey

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/sign"
)

// Algorithm is the kind of a key.
type Algorithm string

// The algorithms.
const (
	Ed25519 Algorithm = "ed25519"
	ECDSA   Algorithm = "ecdsa-p256"
)

// Config says how a key is made. The zero Config makes an Ed25519 key, by the
// system's clock.
type Config struct {
	Algorithm Algorithm
	Now       func() time.Time
}

func (c Config) now() time.Time {
	if c.Now == nil {
		return time.Now().UTC()
	}
	return c.Now().UTC()
}

// Key signs. It may be used at once.
type Key struct {
	Info
	private crypto.Signer
}

// Info is what is known of a key without its secret.
type Info struct {
	ID        string     `json:"keyid"`
	Algorithm Algorithm  `json:"algorithm"`
	Public    string     `json:"publicKey"` // PEM
	From      time.Time  `json:"notBefore"`
	Until     *time.Time `json:"notAfter"` // null while it signs
	Current   bool       `json:"-"`
	Secret    bool       `json:"-"` // the secret is still there
}

// The files of the folder. A key is two: what is known of it, and its secret.
const (
	currentName = "signing.current" // the id of the key that signs
	lockName    = "signing.lock"
	infoSuffix  = ".json"
	keySuffix   = ".key"
	prefix      = "signing-"
)

// Open gives the key that signs, and makes the folder and the key where there
// are none. Two that open at once get the same key.
//
// The error is ErrDenied where the folder or the secret can be read by others,
// or can not be read or made, and ErrInvalid for a damaged file.
func Open(dir string, c Config) (*Key, error) {
	if err := makeFolder(dir); err != nil {
		return nil, err
	}
	k, err := current(dir)
	if err == nil && k.Until != nil {
		k, err = resumed(dir, k)
	}
	if !errors.Is(err, stemma.ErrNotFound) {
		return k, err
	}
	unlock, err := lock(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if k, err = current(dir); !errors.Is(err, stemma.ErrNotFound) {
		return k, err
	}
	if k, err = unfinished(dir); errors.Is(err, stemma.ErrNotFound) {
		k, err = generate(dir, c)
	}
	if err != nil {
		return nil, err
	}
	return k, setCurrent(dir, k.ID)
}

// resumed finishes a rotation that was killed when the key that signs had been
// ended, and gives the key that signs then. While somebody rotates, the old one does.
func resumed(dir string, k *Key) (*Key, error) {
	unlock, err := tryLock(dir)
	if err != nil || unlock == nil {
		return k, err
	}
	defer unlock()
	if err := finish(dir); err != nil {
		return nil, err
	}
	return current(dir)
}

// finish carries a rotation to its end that was recorded, and then killed: the new
// key signs, and what is over has no secret. The caller holds the lock.
func finish(dir string) error {
	k, err := current(dir)
	if err != nil {
		return err
	}
	if k.Until != nil {
		made, err := unfinished(dir)
		if errors.Is(err, stemma.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := setCurrent(dir, made.ID); err != nil {
			return err
		}
	}
	all, err := List(dir)
	if err != nil {
		return err
	}
	needed := make(map[string]bool)
	for _, info := range all {
		needed[info.ID] = info.Current || info.Until == nil
	}
	secrets, err := fs.Glob(os.DirFS(dir), prefix+"*"+keySuffix)
	if err != nil {
		return fmt.Errorf("keys in %s: %v: %w", dir, err, stemma.ErrInvalid)
	}
	for _, name := range secrets {
		// One of which nothing is known was being made.
		if id := strings.TrimSuffix(strings.TrimPrefix(name, prefix), keySuffix); !needed[id] {
			if err := removeSecret(dir, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// Current gives the key that signs. The error is ErrNotFound where none was made.
func Current(dir string) (*Key, error) {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("signing key in %s: %w", dir, stemma.ErrNotFound)
	}
	return current(dir)
}

func current(dir string) (*Key, error) {
	if err := private(dir, true); err != nil {
		return nil, err
	}
	id, err := currentID(dir)
	if err != nil {
		return nil, err
	}
	return load(dir, id)
}

// currentID gives the id of the key that signs.
func currentID(dir string) (string, error) {
	path := filepath.Join(dir, currentName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("signing key in %s: %w", dir, stemma.ErrNotFound)
	}
	if err != nil {
		return "", denied("read", path, err)
	}
	id, whole := strings.CutSuffix(string(text), "\n")
	if !whole {
		return "", damaged(path, "want the id of a key on a line")
	}
	return id, nil
}

// load reads a key with its secret, and checks that they belong together.
func load(dir, id string) (*Key, error) {
	info, err := readInfo(dir, id)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, prefix+id+keySuffix)
	if err := private(path, false); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, denied("read", path, err)
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" || len(strings.TrimSpace(string(rest))) > 0 {
		return nil, damaged(path, "want one PEM block PRIVATE KEY")
	}
	secret, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, damaged(path, err.Error())
	}
	signer, ok := secret.(crypto.Signer)
	if !ok {
		return nil, damaged(path, "not a signing key")
	}
	if got, err := attest.KeyID(signer.Public()); err != nil || got != id {
		return nil, damaged(path, "it is not the secret of key "+id)
	}
	info.Current, info.Secret = true, true
	return &Key{Info: info, private: signer}, nil
}

// KeyID names the key.
func (k *Key) KeyID() string { return k.ID }

// Public is the key that verifies.
func (k *Key) Public() crypto.PublicKey { return k.private.Public() }

// Sign signs as [sign.Signer] says.
func (k *Key) Sign(_ context.Context, pae []byte) ([]byte, error) {
	switch key := k.private.(type) {
	case ed25519.PrivateKey:
		return ed25519.Sign(key, pae), nil
	case *ecdsa.PrivateKey:
		sum := sha256.Sum256(pae)
		return ecdsa.SignASN1(rand.Reader, key, sum[:])
	}
	return nil, fmt.Errorf("key %s: no way to sign: %w", k.ID, stemma.ErrInvalid)
}

// Trusted gives the key as one to verify with.
func (i Info) Trusted(where string) (sign.Key, error) {
	public, err := attest.DecodeKey(i.Public)
	if err != nil {
		return sign.Key{}, err
	}
	k := sign.Key{Name: "this machine", ID: i.ID, Public: public, Holder: sign.HeldByPerson, From: i.From, Pinned: where}
	if i.Until != nil {
		k.Until = *i.Until
	}
	return k, nil
}

// List gives every key that the folder knows, oldest first; none where there is
// no folder.
func List(dir string) ([]Info, error) {
	names, err := fs.Glob(os.DirFS(dir), prefix+"*"+infoSuffix)
	if err != nil {
		return nil, fmt.Errorf("keys in %s: %v: %w", dir, err, stemma.ErrInvalid)
	}
	id, err := currentID(dir)
	if err != nil && !errors.Is(err, stemma.ErrNotFound) {
		return nil, err
	}
	var all []Info
	for _, name := range names {
		info, err := readInfo(dir, strings.TrimSuffix(strings.TrimPrefix(name, prefix), infoSuffix))
		if err != nil {
			return nil, err
		}
		info.Current = info.ID == id
		_, err = os.Lstat(filepath.Join(dir, prefix+info.ID+keySuffix))
		info.Secret = err == nil
		all = append(all, info)
	}
	slices.SortFunc(all, func(a, b Info) int {
		if c := a.From.Compare(b.From); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return all, nil
}

func readInfo(dir, id string) (Info, error) {
	path := filepath.Join(dir, prefix+id+infoSuffix)
	text, err := os.ReadFile(path)
	if err != nil {
		return Info{}, denied("read", path, err)
	}
	var file infoFile
	if err := json.Unmarshal(text, &file); err != nil {
		return Info{}, damaged(path, err.Error())
	}
	info := file.Info
	public, err := attest.DecodeKey(info.Public)
	if err != nil {
		return Info{}, damaged(path, err.Error())
	}
	if got, err := attest.KeyID(public); err != nil || got != id || info.ID != id {
		return Info{}, damaged(path, "the key has another id")
	}
	if file.Check != "" && file.Check != info.check() {
		return Info{}, damaged(path, "it is not as it was written")
	}
	return info, nil
}

// infoFile is the file of what is known of a key. Earlier ones have no check.
type infoFile struct {
	Info
	Check string `json:"check,omitempty"` // that the rest is as it was written
}

// check is a digest of what is known of a key: nothing else says from when on it
// is good. Who can write the folder has the key.
func (i Info) check() string {
	text, err := json.Marshal(i)
	if err != nil {
		panic(err) // texts and times
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

func (f infoFile) encode() ([]byte, error) {
	text, err := json.MarshalIndent(f, "", "  ")
	return append(text, '\n'), err
}

// Check says whether the files of a key are as they were written, byte for byte.
// The error is ErrInvalid where they are not.
func Check(dir string, info Info) error {
	path := filepath.Join(dir, prefix+info.ID+infoSuffix)
	text, err := os.ReadFile(path)
	if err != nil {
		return denied("read", path, err)
	}
	var file infoFile
	if err := json.Unmarshal(text, &file); err != nil {
		return damaged(path, err.Error())
	}
	again, err := file.encode()
	if err != nil {
		return err
	}
	if !bytes.Equal(text, again) {
		return damaged(path, "it is not as it was written")
	}
	public, err := attest.DecodeKey(info.Public)
	if err != nil {
		return damaged(path, err.Error())
	}
	want := ECDSA
	if _, ok := public.(ed25519.PublicKey); ok {
		want = Ed25519
	}
	if info.Algorithm != want {
		return damaged(path, fmt.Sprintf("algorithm %q, and the key is of %q", info.Algorithm, want))
	}
	if !info.Secret {
		return nil
	}
	k, err := load(dir, info.ID)
	if err != nil {
		return err
	}
	path = filepath.Join(dir, prefix+info.ID+keySuffix)
	if text, err = os.ReadFile(path); err != nil {
		return denied("read", path, err)
	}
	if again, err = encodeSecret(k.private); err != nil {
		return err
	}
	if !bytes.Equal(text, again) {
		return damaged(path, "it is not as it was written")
	}
	return nil
}

// Rotation is a key that takes the place of another.
type Rotation struct{ Old, New *Key }

// Rotate makes a new key. record is called with both keys, so that a statement
// of the rotation can be signed by both and stored; when it returns nil, the
// new key signs from then on and the secret of the old one is removed. When it
// fails, nothing has changed. A run that was killed in between is finished by
// the next one: record is then called again with the same two keys.
func Rotate(dir string, c Config, record func(Rotation) error) (Rotation, error) {
	if err := makeFolder(dir); err != nil {
		return Rotation{}, err
	}
	unlock, err := lock(dir)
	if err != nil {
		return Rotation{}, err
	}
	defer unlock()
	if err := finish(dir); err != nil {
		return Rotation{}, err
	}
	old, err := current(dir)
	if err != nil {
		return Rotation{}, err
	}
	if c.Algorithm == "" {
		c.Algorithm = old.Algorithm
	}
	made, err := unfinished(dir)
	if errors.Is(err, stemma.ErrNotFound) {
		made, err = generate(dir, c)
	}
	if err != nil {
		return Rotation{}, err
	}
	// Statements say their time in seconds: what the old key signed in this one
	// is not after its end.
	until := made.From.Add(time.Second)
	ended := old.Info
	ended.Until = &until
	r := Rotation{Old: &Key{Info: ended, private: old.private}, New: made}
	if err := record(r); err != nil {
		forget(dir, made.ID)
		return Rotation{}, err
	}
	if err := writeInfo(dir, ended); err != nil {
		return r, err
	}
	if err := setCurrent(dir, made.ID); err != nil {
		return r, err
	}
	return r, removeSecret(dir, old.ID)
}

// unfinished gives the key of a rotation that was killed: it has a secret, no
// end, and does not sign.
func unfinished(dir string) (*Key, error) {
	all, err := List(dir)
	if err != nil {
		return nil, err
	}
	for _, info := range all {
		if !info.Current && info.Secret && info.Until == nil {
			return load(dir, info.ID)
		}
	}
	return nil, fmt.Errorf("rotation in %s: %w", dir, stemma.ErrNotFound)
}

// forget takes back a key that never signed.
func forget(dir, id string) {
	_ = removeSecret(dir, id)
	_ = os.Remove(filepath.Join(dir, prefix+id+infoSuffix))
}

// removeSecret overwrites the secret before it removes the file; on storage
// that keeps old blocks that is all a program can do.
func removeSecret(dir, id string) error {
	path := filepath.Join(dir, prefix+id+keySuffix)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return denied("remove", path, err)
	}
	st, err := f.Stat()
	if err == nil {
		_, err = f.Write(make([]byte, st.Size()))
	}
	if serr := f.Sync(); err == nil {
		err = serr
	}
	f.Close()
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		return denied("remove", path, err)
	}
	return syncFolder(dir)
}

// generate makes a key and writes its two files, durably.
func generate(dir string, c Config) (*Key, error) {
	var secret crypto.Signer
	var err error
	switch c.Algorithm {
	case "", Ed25519:
		c.Algorithm = Ed25519
		_, secret, err = ed25519.GenerateKey(rand.Reader)
	case ECDSA:
		secret, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		err = fmt.Errorf("algorithm %q: want %s or %s: %w", c.Algorithm, Ed25519, ECDSA, stemma.ErrInvalid)
	}
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	id, err := attest.KeyID(secret.Public())
	if err != nil {
		return nil, err
	}
	public, err := attest.EncodeKey(secret.Public())
	if err != nil {
		return nil, err
	}
	text, err := encodeSecret(secret)
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	info := Info{ID: id, Algorithm: c.Algorithm, Public: public, From: c.now().Truncate(time.Second), Current: true, Secret: true}
	if err := writeFile(filepath.Join(dir, prefix+id+keySuffix), text); err != nil {
		return nil, err
	}
	if err := writeInfo(dir, info); err != nil {
		return nil, err
	}
	return &Key{Info: info, private: secret}, nil
}

func encodeSecret(secret crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(secret)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
}

func writeInfo(dir string, info Info) error {
	text, err := infoFile{info, info.check()}.encode()
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, prefix+info.ID+infoSuffix), text)
}

func setCurrent(dir, id string) error {
	return writeFile(filepath.Join(dir, currentName), []byte(id+"\n"))
}
