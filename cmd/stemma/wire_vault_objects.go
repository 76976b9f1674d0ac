package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/vault"
	"github.com/stemma-dev/stemma/internal/vault/blob"
	"github.com/stemma-dev/stemma/internal/vault/files"
)

const (
	// objectsFile, beside trust.yaml, says where the encrypted objects live: a URL.
	objectsFile = "vault-objects"
	// objectsMark, beside the vault's index, says where its objects were put.
	objectsMark = "objects.at"
)

// vaultObjects opens the place of the vault's objects: a folder beside its index,
// or what the user has set. A vault whose objects are elsewhere than is set is not
// opened: an erasure would not reach them.
func vaultObjects(ctx context.Context, dir string) (vault.Objects, error) {
	text, err := ownFile(objectsFile)
	if err != nil {
		return nil, err
	}
	own := filepath.Join(dir, "objects")
	address, place := strings.TrimSpace(text), own
	if address != "" {
		if place, err = objectsPlace(address); err != nil {
			return nil, fmt.Errorf("%s: %w", objectsFile, err)
		}
	}
	was, err := objectsWere(dir, own)
	switch {
	case err != nil:
		return nil, err
	case was != "" && was != place:
		return nil, hinted{
			fmt.Errorf("the vault's objects are in %s, and %s says %s: %w", was, objectsFile, place, stemma.ErrConflict),
			"copy them there by the same names, remove them where they were, and write the new place into " + filepath.Join(dir, objectsMark),
		}
	case was == "" && place != own:
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("%v: %w", err, stemma.ErrDenied)
		}
		if err := writeNew(filepath.Join(dir, objectsMark), place); err != nil {
			return nil, err
		}
	}
	if strings.HasPrefix(place, "s3://") {
		return blob.Open(ctx, address)
	}
	return files.Open(place), nil
}

// objectsPlace gives the place that a URL names: a folder, or a bucket without what
// says how to get there.
func objectsPlace(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || strings.ContainsAny(address, " \t\n") {
		return "", fmt.Errorf("%q is no URL: %w", address, stemma.ErrInvalid)
	}
	switch {
	case u.Scheme == "file" && u.Host == "" && filepath.IsAbs(u.Path) && u.RawQuery == "":
		return filepath.Clean(u.Path), nil
	case u.Scheme == "s3" && u.Host != "":
		return "s3://" + u.Host + "/" + u.Query().Get("prefix"), nil
	}
	return "", fmt.Errorf("%q: want s3://bucket?... or file:///folder: %w", address, stemma.ErrInvalid)
}

// objectsWere gives where the objects of a vault were put; "" where there are none.
func objectsWere(dir, own string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, objectsMark))
	if err == nil {
		return strings.TrimSpace(string(text)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%v: %w", err, stemma.ErrDenied)
	}
	some, err := os.ReadDir(own)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%v: %w", err, stemma.ErrDenied)
	}
	if len(some) > 0 {
		return own, nil
	}
	return "", nil
}
