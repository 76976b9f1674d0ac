package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/evidence"
	"github.com/stemma-dev/stemma/internal/sign"
	"github.com/stemma-dev/stemma/internal/sign/filekey"
	"github.com/stemma-dev/stemma/internal/sign/kms"
	"github.com/stemma-dev/stemma/internal/sign/sigstore"
)

// configDir is where the user's keys and trust.yaml are: not in a repository,
// because what a repository says of whom to believe is no reason to believe it.
func configDir() (string, error) {
	if dir := os.Getenv("STEMMA_DIR"); dir != "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", fmt.Errorf("STEMMA_DIR: %v: %w", err, stemma.ErrInvalid)
		}
		return abs, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", hinted{fmt.Errorf("%v: %w", err, stemma.ErrDenied), "set STEMMA_DIR to a folder that you may write to"}
	}
	return filepath.Join(dir, "stemma"), nil
}

// keysDir is where the signing keys of this machine are.
func keysDir() (string, error) {
	dir, err := configDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "keys"), nil
}

// keyVariable names the key that signs in the place of this machine's own: the
// URI of a key service.
const keyVariable = "STEMMA_SIGNING_KEY"

// serviceKey reports whether a key service signs.
func serviceKey() bool { return os.Getenv(keyVariable) != "" }

// signingKey gives the key that signs: of the key service that the user names, or
// of this machine, which is made on first use.
func signingKey(ctx context.Context) (sign.Signer, error) {
	if uri := os.Getenv(keyVariable); uri != "" {
		k, err := kms.Open(ctx, uri)
		if err != nil {
			return nil, hinted{err, "unset " + keyVariable + " to sign with a key of this machine"}
		}
		return k, rememberService(k)
	}
	dir, err := keysDir()
	if err != nil {
		return nil, err
	}
	return filekey.Open(dir, filekey.Config{})
}

// servicePrefix begins the names of the files of public keys with which key services
// signed for this machine: so what they signed is checked without asking them.
const servicePrefix = "service-"

// rememberService keeps the public key of a key service.
func rememberService(k sign.Signer) error {
	dir, err := keysDir()
	if err != nil {
		return err
	}
	_, err = readOrMake(filepath.Join(dir, servicePrefix+k.KeyID()+".pem"), func() (string, error) {
		text, err := attest.EncodeKey(k.Public())
		return strings.TrimSuffix(text, "\n"), err
	})
	return err
}

// serviceKeys gives the public keys that are remembered of key services. Nothing tells
// who holds them, so that what they sign is claimed; trust.yaml may say more.
func serviceKeys() ([]sign.Key, error) {
	dir, err := keysDir()
	if err != nil {
		return nil, err
	}
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%v: %w", reason(err), stemma.ErrDenied)
	}
	var keys []sign.Key
	for _, f := range files {
		id, ours := strings.CutPrefix(f.Name(), servicePrefix)
		if !ours {
			continue
		}
		path := filepath.Join(dir, f.Name())
		text, err := readSmall(path, maxKeyFile)
		if err != nil {
			return nil, err
		}
		public, err := attest.DecodeKey(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		again, err := attest.EncodeKey(public)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if got, err := attest.KeyID(public); err != nil || got+".pem" != id || again != string(text) {
			return nil, fmt.Errorf("%s is not as it was written: %w", path, stemma.ErrInvalid)
		}
		keys = append(keys, sign.Key{Name: "key service", ID: strings.TrimSuffix(id, ".pem"), Public: public, Holder: sign.HeldByPerson, Pinned: "keys folder"})
	}
	return keys, nil
}

// ownKey is what is known of a signing key of this machine.
type ownKey = filekey.Info

// machineKeys gives the folder of the keys of this machine, and the keys.
func machineKeys() (dir string, keys []ownKey, err error) {
	if dir, err = keysDir(); err != nil {
		return "", nil, err
	}
	keys, err = filekey.List(dir)
	return dir, keys, err
}

// ownKeys gives the keys that signed on this machine, of files and of key services,
// to verify with.
func ownKeys() ([]sign.Key, error) {
	_, infos, err := machineKeys()
	if err != nil {
		return nil, err
	}
	var own []sign.Key
	for _, info := range infos {
		k, err := info.Trusted("keys folder")
		if err != nil {
			return nil, err
		}
		own = append(own, k)
	}
	services, err := serviceKeys()
	return append(own, services...), err
}

// rotate puts a new key in the place of the one that signs.
func (o *options) rotate(ctx context.Context, algorithm string) (rotation, error) {
	if serviceKey() {
		return rotation{}, hinted{
			fmt.Errorf("a key service signs, by %s: its key is not stemma's to rotate: %w", keyVariable, stemma.ErrInvalid),
			"rotate it there, or unset " + keyVariable + " to rotate the key of this machine",
		}
	}
	dir, err := keysDir()
	if err != nil {
		return rotation{}, err
	}
	var done rotation
	_, err = filekey.Rotate(dir, filekey.Config{Algorithm: filekey.Algorithm(algorithm)}, func(r filekey.Rotation) error {
		s, err := rotationStatement(r.Old.Info, r.New.Info, time.Now())
		if err != nil {
			return err
		}
		digest, err := keepKeyStatement(ctx, dir, s, o.warn, r.Old, r.New)
		done = rotation{old: r.Old.ID, made: r.New.ID, statement: digest}
		return err
	})
	return done, err
}

// verifier checks with what is believed.
func (o *options) verifier(t trust) evidence.Verifier {
	return evidence.Verifier{Trust: t.Trust, Logs: t.logs, Registry: predicates()}
}

// certificates checks bundles by the trust roots in these files, which are read
// when the first bundle asks for them.
func certificates(files []string) func(context.Context, []byte) (sign.Certified, error) {
	open := sync.OnceValues(func() (*sigstore.Verifier, error) {
		var roots []sigstore.Root
		for _, file := range files {
			text, err := readSmall(file, maxRoot)
			if err != nil {
				return nil, fmt.Errorf("trust root: %w", err)
			}
			roots = append(roots, sigstore.Root{Name: filepath.Base(file), JSON: text})
		}
		return sigstore.New(roots...)
	})
	return func(ctx context.Context, bundle []byte) (sign.Certified, error) {
		v, err := open()
		if err != nil {
			return sign.Certified{}, err
		}
		return v.Verify(ctx, bundle), nil
	}
}

// maxRoot is the size in bytes over which a trust root is not read.
const maxRoot = 4 << 20
