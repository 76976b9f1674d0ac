package vault_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/vault"
)

// objects, and not as a vault, which would make keys of its own.
func TestBackupWithoutKeysOpensNothing(t *testing.T) {
	h := home(t.TempDir())
	v := h.open(t)
	ref := mustPut(t, v, prompt("claude-code/1", "canary in a backup", ada))
	stolen := home(t.TempDir())
	if err := os.CopyFS(filepath.Join(string(stolen), "evidence"), os.DirFS(filepath.Join(string(h), "evidence"))); err != nil {
		t.Fatal(err)
	}
	if found := holds(t, string(stolen), "canary"); len(found) > 0 {
		t.Errorf("plain text in %v", found)
	}
	if _, err := vault.Open(t.Context(), stolen.config()); !errors.Is(err, stemma.ErrConflict) {
		t.Errorf("vault.Open without the master key = %v, want ErrConflict", err)
	}
	master, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(string(stolen), "keys", "vault", "master.key"), []byte(master.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := stolen.open(t)
	if o, err := w.Open(t.Context(), ref.URI); !errors.Is(err, stemma.ErrNotFound) {
		t.Errorf("Open with another master key = %q, %v, want ErrNotFound", o.Bytes, err)
	}
	wantFaults(t, w, "its name is not that of", "its name is not that of", "key sessions/", "keys of the session")
}

// A vault that lost its master key or its index is not begun anew: an erasure
// once said of a session whose keys were there that there was nothing of it.
func TestVaultThatLostSomethingIsNotBegunAnew(t *testing.T) {
	h := home(t.TempDir())
	v := h.open(t)
	ref := mustPut(t, v, prompt("claude-code/1", "text", ada))
	v.Close()
	keys, index := filepath.Join("keys", "vault"), filepath.Join("evidence", "vault")
	for name, lose := range map[string][]string{
		"the master key":            {filepath.Join(keys, "master.key")},
		"all keys":                  {keys},
		"the index":                 {filepath.Join(index, "vault.db")},
		"the index and the objects": {index},
		"the index and the master":  {filepath.Join(keys, "master.key"), index},
	} {
		dir := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(dir, os.DirFS(string(h))); err != nil {
			t.Fatal(err)
		}
		for _, file := range lose {
			if err := os.RemoveAll(filepath.Join(dir, file)); err != nil {
				t.Fatal(err)
			}
		}
		if w, err := vault.Open(t.Context(), home(dir).config()); !errors.Is(err, stemma.ErrConflict) {
			t.Errorf("%s is lost: Open = %v, want ErrConflict", name, err)
			if err == nil {
				w.Close()
			}
		}
		// What is put back is found.
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(dir, os.DirFS(string(h))); err != nil {
			t.Fatal(err)
		}
		w := home(dir).open(t)
		wantText(t, w, ref, "text")
		wantFaults(t, w)
	}
}

// When a compartment was added to last is what its term begins with: moved, to
// either side, it is named. An index of before that had no marks gets them.
func TestTermThatWasMovedIsNamed(t *testing.T) {
	h := home(t.TempDir())
	v := h.open(t)
	mustPut(t, v, prompt("claude-code/1", "one", ada))
	v.Close()
	change := func(query string) {
		t.Helper()
		db, err := sql.Open("sqlite", filepath.Join(string(h), "evidence", "vault", "vault.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	for _, by := range []string{"+ 1", "- 1", "+ 1000000000"} {
		change("update compartment set last = last " + by)
		w := h.open(t)
		wantFaults(t, w, "when it was last added to was changed")
		w.Close()
		change("update compartment set last = last - (" + by + ")")
	}
	change("alter table compartment drop column mark; pragma user_version = 1")
	w := h.open(t)
	wantFaults(t, w)
	mustPut(t, w, prompt("claude-code/1", "two", ada))
	wantFaults(t, w)
	w.Close()
	change("update compartment set last = last + 1")
	wantFaults(t, h.open(t), "when it was last added to was changed")
}
