package main

import (
	"context"
	"path/filepath"

	"github.com/stemma-dev/stemma/internal/vault"
	"github.com/stemma-dev/stemma/internal/vault/files"
)

// openVault opens the vault of the evidence.
func openVault(ctx context.Context, s *spine) (*vault.Vault, error) {
	keys, err := keysDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.home, "vault")
	return vault.Open(ctx, vault.Config{
		Dir: dir, Keys: filepath.Join(keys, "vault"), Objects: files.Open(filepath.Join(dir, "objects")),
	})
}
