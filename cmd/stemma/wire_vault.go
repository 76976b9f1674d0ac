package main

import (
	"context"
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
	"github.com/stemma-dev/stemma/internal/record"
	"github.com/stemma-dev/stemma/internal/spool"
	"github.com/stemma-dev/stemma/internal/vault"
	"github.com/stemma-dev/stemma/internal/vault/files"
)

// The files beside trust.yaml that say how the vault is kept.
const (
	retentionFile = "retention.json" // days by class
	copiesFile    = "key-copies"     // a folder a line
)

// openVault opens the vault of the evidence. It can erase only where the
// evidence can be added to: an erasure ends with a statement.
func openVault(ctx context.Context, s *spine) (*vault.Vault, error) {
	keys, err := keysDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.home, "vault")
	cfg := vault.Config{
		Dir: dir, Keys: filepath.Join(keys, "vault"), Objects: files.Open(filepath.Join(dir, "objects")),
		Places: []vault.Place{spools{}},
	}
	if s.recorder != nil {
		cfg.Tombstone = s.tombstone
	}
	text, err := ownFile(retentionFile)
	if err != nil {
		return nil, err
	}
	if text != "" {
		if cfg.Retention, err = vault.DecodeRetention([]byte(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", retentionFile, err)
		}
	}
	if text, err = ownFile(copiesFile); err != nil {
		return nil, err
	}
	if copies := strings.Fields(text); len(copies) > 0 {
		cfg.Places = append(cfg.Places, vault.Copies(copies))
	}
	return vault.Open(ctx, cfg)
}

// ownFile reads a small file of the user's configuration; "" is for none.
func ownFile(name string) (string, error) {
	dir, err := configDir()
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("%s: %v: %w", name, reason(err), stemma.ErrDenied)
	}
	return string(text), nil
}

// eraseSpine opens evidence and vault so that something can be erased, and
// finishes erasures that were stopped.
func (o *options) eraseSpine(ctx context.Context) (*spine, *vault.Vault, error) {
	s, err := openSpine(ctx, o.warn)
	if err != nil {
		return nil, nil, err
	}
	v, err := openVault(ctx, s)
	if err == nil {
		var done []vault.Erasure
		if done, err = v.Resume(ctx); err != nil {
			v.Close()
		}
		for _, e := range done {
			fmt.Fprintf(o.err, "stemma: finished an erasure that was stopped: %s %s\n", e.Kind, plain(e.Target))
		}
	}
	if err != nil {
		return nil, nil, errors.Join(err, s.close())
	}
	return s, v, nil
}

// readVault opens the vault to look at it. ErrNotFound says that nothing was
// kept on this machine yet.
func readVault(ctx context.Context) (*vault.Vault, error) {
	home, err := evidenceHome()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(home, "vault", "vault.db")); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no content is kept in %s: %w", home, stemma.ErrNotFound)
	}
	return openVault(ctx, &spine{home: home})
}

// maxGone bounds how many references one statement of an erasure names: with
// more it would be too large for the log.
const maxGone = 400

// tombstone records that something was erased. Told again, it is the same
// statement.
func (s *spine) tombstone(ctx context.Context, e vault.Erasure) error {
	var all []record.Submission
	gone, kept := slices.Collect(slices.Chunk(e.Gone, maxGone)), slices.Collect(slices.Chunk(e.Kept, maxGone))
	for i := range max(len(gone), len(kept), 1) {
		p := attest.Erasure{Of: e.Kind, Key: e.Target, Basis: e.Basis, Reason: e.Reason, By: attest.Party{Kind: "bot", ID: e.By}, Objects: []string{}}
		if e.Kind == vault.KindRetention {
			p.Of = "class"
		}
		if person, ok := strings.CutPrefix(e.By, personPrefix); ok {
			p.By = attest.Party{Kind: "person", ID: person}
		}
		at := time.Unix(e.Time, 0).UTC().Format(time.RFC3339)
		p.Metadata = attest.Metadata{Source: "stemma", EventID: fmt.Sprintf("erasure/%s/%d", e.ID, i), Observed: at, Claimed: &at, Assertion: stemma.Declared}
		if i < len(gone) {
			p.Objects = gone[i]
		}
		if i < len(kept) {
			for _, k := range kept[i] {
				p.Kept = append(p.Kept, attest.Kept{Object: k, Why: "co-owned"})
			}
		}
		subject, err := attest.RecordSubject(e.Target, "stemma:"+p.Of+":"+e.Target, map[string]any{p.Of: e.Target})
		if err != nil {
			return err
		}
		statement, err := attest.New(attest.TypeErasure, p, subject)
		if err != nil {
			return err
		}
		sub, err := record.NewSubmission(statement)
		if err != nil {
			return err
		}
		all = append(all, sub)
	}
	_, err := s.recorder.Record(ctx, all)
	return err
}

// personPrefix marks a person as the one who wants an erasure.
const personPrefix = "person:"

// spools are what the hooks of this machine captured, of all repositories.
type spools struct{}

// Name implements vault.Place.
func (spools) Name() string { return "spool" }

// Erase implements vault.Place. The spools of a machine are its user's own, so
// that of a session with several owners all goes that this one captured.
func (spools) Erase(_ context.Context, e vault.Erasure) error {
	if e.Kind == vault.KindRetention {
		return nil // the spool has its own term, which is shorter
	}
	home, err := spool.Home()
	if err != nil {
		return err
	}
	folders, err := os.ReadDir(home)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%v: %w", reason(err), stemma.ErrDenied)
	}
	var ids []string
	for _, session := range slices.Concat(e.Sessions, e.Partly) {
		_, id, _ := strings.Cut(session, "/")
		if id == "" {
			id = session
		}
		ids = append(ids, id)
	}
	for _, f := range folders {
		if !f.IsDir() {
			continue
		}
		s, err := spool.Open(filepath.Join(home, f.Name()), spool.Config{})
		if err != nil {
			return err
		}
		if _, err := s.Erase(func(r spool.Record) bool { return slices.ContainsFunc(ids, r.Of) }); err != nil {
			return err
		}
	}
	return nil
}
