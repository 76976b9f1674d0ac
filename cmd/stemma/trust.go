package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/record"
	"github.com/stemma-dev/stemma/internal/sign"
	"github.com/stemma-dev/stemma/internal/tlog"
)

// trust is what this user believes.
type trust struct {
	sign.Trust
	file string // the trust.yaml that was read, or ""
	logs []tlog.Keys
	// witnesses are the keys of those that are believed beside the user's own.
	witnesses []string
}

// trustFlags say what to believe beside the keys of this machine.
type trustFlags struct {
	file string   // a trust.yaml, in place of the user's
	keys []string // files with public keys
	logs []string // verifier keys of logs, or files with them
	seen []string // verifier keys of witnesses, or files with them
}

// believed puts together what is believed.
func believed(f trustFlags) (trust, error) {
	t, err := readTrust(f.file)
	if err != nil {
		return t, err
	}
	dir, own, err := machineKeys()
	if err != nil {
		return t, err
	}
	for _, info := range own {
		k, err := info.Trusted("keys folder")
		if err != nil {
			return t, err
		}
		t.Keys = append(t.Keys, k)
	}
	services, err := serviceKeys()
	if err != nil {
		return t, err
	}
	t.Keys = append(t.Keys, services...)
	revoked, err := revocations(dir, own)
	if err != nil {
		return t, err
	}
	t.Revoked = append(t.Revoked, revoked...)
	for _, path := range f.keys {
		k, err := givenKey(path)
		if err != nil {
			return t, err
		}
		t.Keys = append(t.Keys, k)
	}
	for _, text := range f.seen {
		key, err := verifierKey(text)
		if err != nil {
			return t, err
		}
		t.witnesses = append(t.witnesses, key)
	}
	for _, text := range f.logs {
		key, err := verifierKey(text)
		if err != nil {
			return t, err
		}
		k, err := logKeysOf(key, t.witnesses...)
		if err != nil {
			return t, err
		}
		t.logs = append(t.logs, k)
	}
	return t, nil
}

// readTrust reads a trust.yaml: the one that is named, which must be there, or
// the user's, which need not be.
func readTrust(file string) (trust, error) {
	named := file != ""
	if !named {
		dir, err := configDir()
		if err != nil {
			return trust{}, err
		}
		file = filepath.Join(dir, "trust.yaml")
	}
	text, err := readSmall(file, sign.MaxTrustFile)
	if errors.Is(err, stemma.ErrNotFound) && !named {
		return trust{}, nil
	}
	if err != nil {
		return trust{}, err
	}
	base := filepath.Dir(file)
	parsed, err := sign.ParseTrust(filepath.Base(file), text, func(path string) ([]byte, error) {
		return readSmall(below(base, path), 64<<10)
	})
	if err != nil {
		return trust{}, err
	}
	for i, root := range parsed.Roots {
		parsed.Roots[i] = below(base, root)
	}
	if len(parsed.Roots) > 0 {
		parsed.Certified = certificates(parsed.Roots)
	}
	return trust{Trust: parsed, file: file}, nil
}

// below gives a path as a file in base names it.
func below(base, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(base, path)
}

// readSmall reads a file of at most limit bytes.
func readSmall(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %v: %w", path, reason(err), stemma.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %v: %w", path, reason(err), stemma.ErrDenied)
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > limit {
		return nil, fmt.Errorf("%s is over the limit of %d bytes: %w", path, limit, stemma.ErrInvalid)
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %v: %w", path, reason(err), stemma.ErrUnavailable)
	case int64(len(b)) > limit:
		return nil, fmt.Errorf("%s is over the limit of %d bytes: %w", path, limit, stemma.ErrInvalid)
	}
	return b, nil
}

// givenKey reads a public key from the command line. Nothing tells who holds
// it, so that what it signs is claimed.
func givenKey(path string) (sign.Key, error) {
	text, err := readSmall(path, 64<<10)
	if err != nil {
		return sign.Key{}, err
	}
	public, err := attest.DecodeKey(string(text))
	if err != nil {
		return sign.Key{}, fmt.Errorf("%s: %w", path, err)
	}
	id, err := attest.KeyID(public)
	if err != nil {
		return sign.Key{}, fmt.Errorf("%s: %w", path, err)
	}
	return sign.Key{Name: filepath.Base(path), ID: id, Public: public, Holder: sign.HeldByPerson, Pinned: "given by --key"}, nil
}

// verifierKey reads the verifier key of a log or a witness, or a file that holds one.
func verifierKey(text string) (string, error) {
	if strings.Contains(text, "+") {
		return text, nil
	}
	b, err := readSmall(text, 64<<10)
	return strings.TrimSpace(string(b)), err
}

// statementsDir is where statements about keys are kept beside them, so that a
// revocation is known without any log.
func statementsDir(keys string) string { return filepath.Join(keys, "statements") }

// keepKeyStatement signs a statement about a key, keeps it beside the keys and
// records it. It gives the digest of the envelope.
func keepKeyStatement(ctx context.Context, dir string, s stemma.Statement, warn func(string), signers ...sign.Signer) (string, error) {
	e, err := sign.SealStatement(ctx, s, signers...)
	if err != nil {
		return "", err
	}
	b := e.Encode()
	spine, err := openSpine(ctx, warn)
	if err != nil {
		return "", err
	}
	err = keepCheckpoint(ctx, dir, spine)
	var receipts []record.Receipt
	if err == nil {
		receipts, err = spine.recorder.Record(ctx, []record.Submission{{Envelope: b}})
	}
	if cerr := spine.close(); cerr != nil && err == nil {
		warn(cerr.Error()) // what is recorded is durable all the same
	}
	if err != nil {
		return "", err
	}
	digest := receipts[0].Digest.String()
	if digest != attest.Digest(b) {
		return digest, nil // it was recorded before, and is kept
	}
	return digest, writeStatement(statementsDir(dir), digest, b)
}

// writeStatement puts an envelope into a folder, whole and durable.
func writeStatement(folder, digest string, b []byte) error {
	return writeKept(folder, digest+".dsse.json", b)
}

// writeKept puts a file into a folder, whole and durable.
func writeKept(folder, name string, b []byte) error {
	if err := makeDir(folder); err != nil {
		return err
	}
	f, err := os.CreateTemp(folder, ".new-*")
	if err != nil {
		return fmt.Errorf("write to %s: %v: %w", folder, reason(err), stemma.ErrDenied)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if serr := f.Sync(); err == nil {
		err = serr
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(folder, name))
	}
	if err != nil {
		return fmt.Errorf("write to %s: %v: %w", folder, reason(err), stemma.ErrUnavailable)
	}
	return nil
}

// revocations reads the revocations of keys of this machine. One counts when a
// key of this machine has signed it, the revoked one included: a key may say of
// itself that it is not to be believed.
func revocations(dir string, own []ownKey) ([]sign.Revocation, error) {
	var t sign.Trust
	for _, info := range own {
		k, err := info.Trusted("keys folder")
		if err != nil {
			return nil, err
		}
		k.From, k.Until = time.Time{}, time.Time{}
		t.Keys = append(t.Keys, k)
	}
	folder := statementsDir(dir)
	files, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %v: %w", folder, reason(err), stemma.ErrDenied)
	}
	var all []sign.Revocation
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".dsse.json") {
			continue
		}
		path := filepath.Join(folder, file.Name())
		b, err := readSmall(path, int64(attest.DefaultLimits.Envelope))
		if err != nil {
			return nil, err
		}
		e, err := attest.Decode(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		s, err := attest.DecodeStatement(e.Payload)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if s.PredicateType != attest.TypeKeyRevocation || !t.Verify(context.Background(), e, s).OK() {
			continue
		}
		r, err := attest.As[attest.KeyRevocation](s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		from, err := time.Parse(time.RFC3339, r.From)
		if err != nil {
			return nil, fmt.Errorf("%s: %v: %w", path, err, stemma.ErrInvalid)
		}
		all = append(all, sign.Revocation{KeyID: r.KeyID, From: from, Reason: r.Reason, Pinned: path})
	}
	return all, nil
}
