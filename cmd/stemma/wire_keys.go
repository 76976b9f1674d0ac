package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/evidence"
	"github.com/stemma-dev/stemma/internal/sign"
	"github.com/stemma-dev/stemma/internal/sign/filekey"
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

// signingKey gives the key that signs on this machine, and makes it on first use.
func signingKey() (sign.Signer, error) {
	dir, err := keysDir()
	if err != nil {
		return nil, err
	}
	return filekey.Open(dir, filekey.Config{})
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

// rotate puts a new key in the place of the one that signs.
func (o *options) rotate(ctx context.Context, algorithm string) (rotation, error) {
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
func (o *options) verifier(t trust) (evidence.Verifier, error) {
	return evidence.Verifier{Trust: t.Trust, Logs: t.logs}, nil
}
