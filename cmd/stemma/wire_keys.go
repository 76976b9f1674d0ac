package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/stemma-dev/stemma"
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
