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

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/live"
	"github.com/stemma-dev/stemma/internal/record"
	"github.com/stemma-dev/stemma/internal/spool"
	"github.com/stemma-dev/stemma/internal/vault"
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
	objects, err := vaultObjects(ctx, dir)
	if err != nil {
		return nil, err
	}
	cfg := vault.Config{Dir: dir, Keys: filepath.Join(keys, "vault"), Objects: objects, Places: []vault.Place{spools{}}, Holds: statedHolds{s}}
	if s.recorder != nil {
		cfg.Tombstone = s.recorder.Tombstone
	}
	if cfg.Retention, err = retention(); err != nil {
		return nil, err
	}
	text, err := ownFile(copiesFile)
	if err != nil {
		return nil, err
	}
	if copies := strings.Fields(text); len(copies) > 0 {
		cfg.Places = append(cfg.Places, vault.Copies(copies))
	}
	return vault.Open(ctx, cfg)
}

// retention is how long the user wants content kept.
func retention() (vault.Retention, error) {
	text, err := ownFile(retentionFile)
	if err != nil || text == "" {
		return nil, err
	}
	r, err := vault.DecodeRetention([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", retentionFile, err)
	}
	return r, nil
}

// contentDays is how many days what sessions said is kept.
func contentDays() (int, error) {
	r, err := retention()
	return r.Days(vault.ClassContent), err
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
		o.restoreHolds(ctx, v)
		for _, e := range done {
			fmt.Fprintf(o.err, "stemma: finished an erasure that was stopped: %s %s\n", e.Kind, plain(e.Target))
		}
	}
	if err != nil {
		return nil, nil, errors.Join(err, s.close())
	}
	return s, v, nil
}

// statedHolds are the legal holds that the evidence states.
type statedHolds struct{ s *spine }

// State implements vault.HoldLog.
func (h statedHolds) State(ctx context.Context, hold vault.Hold, by string) error {
	if h.s.recorder == nil {
		return fmt.Errorf("the evidence in %s is only read: %w", h.s.home, stemma.ErrUnavailable)
	}
	return h.s.recorder.HoldStatement(ctx, hold, by)
}

// Stated implements vault.HoldLog.
func (h statedHolds) Stated(ctx context.Context) (holds []vault.Hold, err error) {
	s := h.s
	if s.evidence == nil {
		if s, err = readSpine(ctx); errors.Is(err, stemma.ErrNotFound) {
			return nil, nil // nothing was recorded
		} else if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, s.close()) }()
	}
	return record.Holds(ctx, s.evidence)
}

// restoreHolds puts back into the vault's index what it lost of the holds that the
// evidence states. They are in force either way.
func (o *options) restoreHolds(ctx context.Context, v *vault.Vault) {
	lost, err := v.RestoreHolds(ctx)
	if err != nil {
		o.warn(err.Error())
	}
	for _, h := range lost {
		o.warn(fmt.Sprintf("the vault's index did not have the legal hold %s as the log states it; it is put back", h.ID))
	}
}

// readVault opens the vault to look at it. ErrNotFound says that nothing was
// kept on this machine yet.
func readVault(ctx context.Context) (*vault.Vault, error) {
	home, err := evidenceHome()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(home, "vault", "vault.db")); errors.Is(err, fs.ErrNotExist) {
		// With keys and no index it is not empty, but has lost it: opening says so.
		keys, err := keysDir()
		if err != nil {
			return nil, err
		}
		if left, err := fs.Glob(os.DirFS(keys), "vault/sessions/*/*.key"); err != nil || len(left) == 0 {
			return nil, fmt.Errorf("no content is kept in %s: %w", home, stemma.ErrNotFound)
		}
	}
	return openVault(ctx, &spine{home: home})
}

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
		if err := live.Forget(s, ids); err != nil {
			return err
		}
	}
	return nil
}
