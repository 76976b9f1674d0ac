package vault_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/vault"
)

// patterned are names of folders that would be patterns, or half of one.
var patterned = []string{"a[b]", "a[b", "*", "a?", "[^a]"}

// The folders of a vault may have any name. Below one with a bracket in it keys
// were once not found: a vault that had lost its index was begun anew.
func TestLostIndexBelowAPatternIsRefused(t *testing.T) {
	for _, name := range patterned {
		h := home(filepath.Join(t.TempDir(), name))
		v := h.open(t)
		mustPut(t, v, prompt("claude-code/1", "text", ada))
		v.Close()
		if err := os.Remove(filepath.Join(string(h), "evidence", "vault", "vault.db")); err != nil {
			t.Fatal(err)
		}
		if w, err := vault.Open(t.Context(), h.config()); !errors.Is(err, stemma.ErrConflict) || !strings.Contains(err.Error(), "there are 2 keys") {
			t.Errorf("%s: Open without the index = %v, want ErrConflict and the keys of the session and of its person counted", name, err)
			if err == nil {
				w.Close()
			}
		}
	}
}

// Below a folder with a bracket in its name an erasure once found no keys to
// destroy: what it was to forget opened from a copy made before.
func TestErasureBelowAPatternDestroysKeys(t *testing.T) {
	for _, name := range patterned {
		for kind, erase := range map[string]func(*vault.Vault) error{
			"session": func(v *vault.Vault) error {
				_, err := v.EraseSession(t.Context(), request("claude-code/1"))
				return err
			},
			"person": func(v *vault.Vault) error { _, err := v.ErasePerson(t.Context(), request(grace)); return err },
		} {
			h := home(filepath.Join(t.TempDir(), name))
			v := h.open(t)
			gone := mustPut(t, v, prompt("claude-code/1", "canary of a session", grace))
			stays := mustPut(t, v, prompt("claude-code/2", "stays", ada))
			mustExtract(t, v, grace, sung, gone)
			mustExtract(t, v, ada, "another", stays)
			session := strings.Split(strings.TrimPrefix(gone.URI, "vault:"), "/")[0]
			// What writers left that were killed.
			keys, extracts := filepath.Join(string(h), "keys", "vault"), filepath.Join(string(h), "evidence", "vault", "extracts")
			groups, err := os.ReadDir(extracts)
			if err != nil || len(groups) == 0 {
				t.Fatalf("%d groups of extracts, %v", len(groups), err)
			}
			left := []string{
				filepath.Join(keys, "persons", ".key-1"), filepath.Join(keys, "extracts", ".key-1"), filepath.Join(keys, "sessions", session, ".key-1"),
				filepath.Join(extracts, groups[0].Name(), ".extract-1"),
			}
			for _, path := range left {
				if err := os.WriteFile(path, []byte("left"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			copied := copyOf(t, filepath.Join(string(h), "evidence"))
			before := opened(t, copied, h)

			if err := erase(v); err != nil {
				t.Fatalf("%s: erase %s: %v", name, kind, err)
			}
			wantErased(t, v, gone)
			wantText(t, v, stays, "stays")
			wantExtracts(t, v, ada, "another")
			wantFaults(t, v)
			if n := opened(t, copied, h); before != 4 || n != 2 {
				t.Errorf("%s: %d files of a copy open, and %d once the %s is erased; want both sessions and extracts, then one of each", name, before, n, kind)
			}
			for _, path := range append(left, filepath.Join(keys, "sessions", session)) {
				if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %s is there after the erasure of the %s: %v", name, path, kind, err)
				}
			}
		}
	}
}

// opened counts the files below a folder that open with the keys of a vault.
func opened(t *testing.T, dir string, h home) int {
	t.Helper()
	identities, n := identitiesLeft(t, h), 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		// An extract has its header before the file of age.
		if i := bytes.Index(raw, []byte("age-encryption.org/v1")); i >= 0 {
			if _, err := age.Decrypt(bytes.NewReader(raw[i:]), identities...); err == nil {
				n++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A folder of keys that can not be listed may hold keys of a person: an erasure
// that saw none of them would say that all are gone.
func TestErasureSaysThatKeysCanNotBeListed(t *testing.T) {
	h := home(t.TempDir())
	v := h.open(t)
	ref := mustPut(t, v, prompt("claude-code/1", "text", ada))
	loop := filepath.Join(string(h), "keys", "vault", "sessions", "loop")
	if err := os.Symlink("loop", loop); err != nil { // nobody can list it, whoever asks
		t.Skip(err)
	}
	if _, err := v.ErasePerson(t.Context(), request(ada)); !errors.Is(err, stemma.ErrUnavailable) {
		t.Errorf("ErasePerson with keys that can not be listed = %v, want ErrUnavailable", err)
	}
	if err := os.Remove(loop); err != nil {
		t.Fatal(err)
	}
	if _, err := v.ErasePerson(t.Context(), request(ada)); err != nil {
		t.Error(err)
	}
	wantErased(t, v, ref)
}
