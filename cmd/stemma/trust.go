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

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
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

// believed puts together what is believed, by what the evidence of this machine says
// of its keys too.
func believed(ctx context.Context, f trustFlags) (trust, error) {
	t, own, err := knownKeys(f)
	if err != nil {
		return t, err
	}
	_, revoked, err := statedHere(ctx, own)
	t.Revoked = append(t.Revoked, revoked...)
	return t, err
}

// knownKeys puts together whose signatures can be checked, without asking which
// keys were revoked. It gives the keys of this machine as well.
func knownKeys(f trustFlags) (t trust, own []sign.Key, err error) {
	if t, err = readTrust(f.file); err != nil {
		return t, nil, err
	}
	if own, err = ownKeys(); err != nil {
		return t, nil, err
	}
	t.Keys = append(t.Keys, own...)
	for _, path := range f.keys {
		k, err := givenKey(path)
		if err != nil {
			return t, nil, err
		}
		t.Keys = append(t.Keys, k)
	}
	for _, text := range f.seen {
		key, err := verifierKey(text)
		if err != nil {
			return t, nil, err
		}
		t.witnesses = append(t.witnesses, key)
	}
	for _, text := range f.logs {
		key, err := verifierKey(text)
		if err != nil {
			return t, nil, err
		}
		k, err := logKeysOf(key, t.witnesses...)
		if err != nil {
			return t, nil, err
		}
		t.logs = append(t.logs, k)
	}
	return t, own, nil
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
