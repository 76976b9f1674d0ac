package vault_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/vault"
)

const sung = "the canary sings in the extract"

func mustExtract(t *testing.T, v *vault.Vault, person, text string, from ...vault.Reference) string {
	t.Helper()
	var uris []string
	for _, ref := range from {
		uris = append(uris, ref.URI)
	}
	id, err := v.PutExtract(t.Context(), person, "prompts", uris, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// wantExtracts compares what a person's extracts hold.
func wantExtracts(t *testing.T, v *vault.Vault, person string, want ...string) {
	t.Helper()
	ids, err := v.Extracts(t.Context(), person, "prompts")
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]bool)
	for _, id := range ids {
		e, err := v.Extract(t.Context(), person, "prompts", id)
		if err != nil {
			t.Errorf("Extract(%s): %v", id, err)
		}
		got[string(e.Bytes)] = true
	}
	for _, w := range want {
		if !got[w] {
			t.Errorf("the extracts of %.1s hold %v, want %q", person, got, w)
		}
	}
	if len(ids) != len(want) {
		t.Errorf("%.1s has %d extracts, want %d", person, len(ids), len(want))
	}
}

// copyOf copies a folder, as a backup does.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// Whatever erases content takes the extracts that were made from it, and no
// others: also from a copy of the vault that was made before.
func TestErasureReachesExtracts(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, erase := range map[string]func(*vault.Vault) error{
		"session": func(v *vault.Vault) error {
			_, err := v.EraseSession(t.Context(), request("claude-code/1"))
			return err
		},
		"author of a shared session": func(v *vault.Vault) error { _, err := v.ErasePerson(t.Context(), request(grace)); return err },
		"end of its term": func(v *vault.Vault) error {
			done, err := v.Expire(t.Context(), now.AddDate(0, 0, 90), false)
			if err == nil && len(done) == 0 {
				return errors.New("nothing expired")
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := home(t.TempDir())
			v := h.open(t, func(c *vault.Config) { c.Now = func() time.Time { return now } })
			one := mustPut(t, v, prompt("claude-code/1", "one", grace, ada))
			two := mustPut(t, v, prompt("claude-code/2", "two", ada))
			kept := prompt("claude-code/3", "three", ada)
			kept.Class = vault.ClassRelease
			three := mustPut(t, v, kept)
			gone := mustExtract(t, v, ada, sung, one, two)
			mustExtract(t, v, ada, "another", three)
			wantExtracts(t, v, ada, sung, "another")
			if found := holds(t, string(h), sung); len(found) > 0 {
				t.Errorf("in plain text in %v", found)
			}
			old := copyOf(t, filepath.Join(string(h), "evidence", "vault"))

			if err := erase(v); err != nil {
				t.Fatal(err)
			}
			wantExtracts(t, v, ada, "another")
			wantFaults(t, v)
			// The files of the backup, with the keys that are left.
			if err := os.CopyFS(filepath.Join(string(h), "evidence", "vault", "extracts"), os.DirFS(filepath.Join(old, "extracts"))); err != nil && !errors.Is(err, fs.ErrExist) {
				t.Fatal(err)
			}
			if _, err := h.open(t).Extract(t.Context(), ada, "prompts", gone); !errors.Is(err, stemma.ErrNotFound) {
				t.Errorf("Extract from an old copy = %v, want no key", err)
			}
			if _, err := v.PutExtract(t.Context(), ada, "prompts", []string{one.URI}, []byte(sung)); !errors.Is(err, stemma.ErrNotFound) {
				t.Errorf("PutExtract of what is erased = %v, want ErrNotFound", err)
			}
		})
	}
}

// An erased person's extracts go with the person, whoever else owns the sessions.
func TestErasePersonTakesExtracts(t *testing.T) {
	v := home(t.TempDir()).open(t)
	shared := mustPut(t, v, answer("claude-code/1", "the agent's", ada, grace))
	mustExtract(t, v, ada, "ada's", shared)
	if _, err := v.ErasePerson(t.Context(), request(ada)); err != nil {
		t.Fatal(err)
	}
	wantExtracts(t, v, ada)
	wantText(t, v, shared, "the agent's")
	mustExtract(t, v, grace, "grace's", shared)
	wantExtracts(t, v, grace, "grace's")
	wantFaults(t, v)
}

// A hold keeps an extract as it keeps the content; the release takes also those
// that were made meanwhile.
func TestHoldKeepsExtracts(t *testing.T) {
	v := home(t.TempDir()).open(t)
	one := mustPut(t, v, prompt("claude-code/1", "one", ada))
	hold, err := v.Hold(t.Context(), vault.KindSession, "claude-code/1", "claim 12", "tester")
	if err != nil {
		t.Fatal(err)
	}
	mustExtract(t, v, ada, "before", one)
	if _, err := v.EraseSession(t.Context(), request("claude-code/1")); !errors.As(err, new(*vault.HeldError)) {
		t.Fatalf("EraseSession = %v, want it held", err)
	}
	mustExtract(t, v, ada, "after", one)
	wantExtracts(t, v, ada, "before", "after")
	if _, err := v.Release(t.Context(), hold.ID, "tester"); err != nil {
		t.Fatal(err)
	}
	wantExtracts(t, v, ada)
	wantFaults(t, v)
}

// An erasure that is stopped after its intent keeps everybody from making the
// extract anew, and the next one finishes it, with copies of keys.
func TestErasureOfExtractsResumes(t *testing.T) {
	h := home(t.TempDir())
	full := fmt.Errorf("no space left: %w", stemma.ErrUnavailable)
	v := h.open(t, func(c *vault.Config) { c.Objects = &failing{c.Objects, 2, full} })
	one := mustPut(t, v, prompt("claude-code/1", "one", ada))
	id := mustExtract(t, v, ada, sung, one)
	if _, err := v.EraseSession(t.Context(), request("claude-code/1")); !errors.Is(err, stemma.ErrUnavailable) {
		t.Fatalf("EraseSession = %v, want it stopped", err)
	}
	if _, err := v.Extract(t.Context(), ada, "prompts", id); !errors.Is(err, stemma.ErrNotFound) {
		t.Errorf("Extract = %v, want its key gone", err)
	}
	if _, err := v.PutExtract(t.Context(), ada, "prompts", []string{one.URI}, []byte(sung)); !errors.Is(err, stemma.ErrNotFound) {
		t.Errorf("PutExtract = %v, want ErrNotFound", err)
	}
	copies := &place{}
	w := h.open(t, func(c *vault.Config) {
		c.Tombstone = func(context.Context, vault.Erasure) error { return nil }
		c.Places = []vault.Place{copies}
	})
	if _, err := w.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantExtracts(t, w, ada)
	if len(copies.told) != 1 || !strings.Contains(strings.Join(copies.told[0].KeyFiles, " "), filepath.Join("extracts", id)) {
		t.Errorf("the copies of keys are told of %+v", copies.told)
	}
	wantFaults(t, w)
}

// A changed extract does not open, is named, and is taken by any erasure, since
// nothing says what it was made from.
func TestDamagedExtract(t *testing.T) {
	h := home(t.TempDir())
	v := h.open(t)
	one, two := mustPut(t, v, prompt("claude-code/1", "one", ada)), mustPut(t, v, prompt("claude-code/2", "two", ada))
	id := mustExtract(t, v, ada, "text", one)
	mustExtract(t, v, ada, "intact", one)
	files, err := filepath.Glob(filepath.Join(string(h), "evidence", "vault", "extracts", "*", id))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for at := range text {
		changed := append([]byte(nil), text...)
		changed[at] ^= 1
		if err := os.WriteFile(files[0], changed, 0o600); err != nil {
			t.Fatal(err)
		}
		if e, err := v.Extract(t.Context(), ada, "prompts", id); err == nil {
			t.Errorf("byte %d was changed, and Extract gives %q", at, e.Bytes)
		}
	}
	// An insider says that it was made from another session only.
	other := strings.Replace(string(text), v.SessionName("claude-code/1"), v.SessionName("claude-code/2"), 1)
	if err := os.WriteFile(files[0], []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	wantFaults(t, v, "extract "+id)
	if _, err := v.EraseSession(t.Context(), request("claude-code/1")); err != nil {
		t.Fatal(err)
	}
	wantExtracts(t, v, ada)
	wantText(t, v, two, "two")
	wantFaults(t, v)
}

func TestExtractRefuses(t *testing.T) {
	v := home(t.TempDir()).open(t)
	adas := mustPut(t, v, prompt("claude-code/1", "ada's", ada))
	mustPut(t, v, prompt("claude-code/2", "grace's", grace))
	for name, try := range map[string]struct {
		person string
		from   []string
		want   error
	}{
		"another person's session": {grace, []string{adas.URI}, stemma.ErrDenied},
		"nothing":                  {ada, nil, stemma.ErrInvalid},
		"no reference":             {ada, []string{"file:x"}, stemma.ErrInvalid},
		"what is not there":        {ada, []string{adas.URI[:len(adas.URI)-1] + "x"}, stemma.ErrInvalid},
	} {
		if _, err := v.PutExtract(t.Context(), try.person, "prompts", try.from, []byte("x")); !errors.Is(err, try.want) {
			t.Errorf("PutExtract from %s = %v, want %v", name, err, try.want)
		}
	}
	if err := v.DropExtract(t.Context(), ada, "prompts", mustExtract(t, v, ada, "x", adas)); err != nil {
		t.Error(err)
	}
	wantExtracts(t, v, ada)
}

// The content right: a session is its owners', and the vault says whose it is.
func TestOpenAs(t *testing.T) {
	v := home(t.TempDir()).open(t)
	adas := mustPut(t, v, prompt("claude-code/1", "ada's", ada))
	if o, err := v.OpenAs(t.Context(), ada, adas.URI); err != nil || string(o.Bytes) != "ada's" {
		t.Errorf("OpenAs its owner = %q, %v", o.Bytes, err)
	}
	if _, err := v.OpenAs(t.Context(), grace, adas.URI); !errors.Is(err, stemma.ErrDenied) {
		t.Errorf("OpenAs another = %v, want ErrDenied", err)
	}
	if owners, err := v.Owners(t.Context(), "claude-code/1"); err != nil || len(owners) != 1 || owners[0] != ada {
		t.Errorf("Owners = %v, %v", owners, err)
	}
	if all, err := v.Readable(t.Context(), grace); err != nil || len(all) != 1 || all[adas.URI] {
		t.Errorf("Readable by another = %v, %v", all, err)
	}
	if _, err := v.EraseSession(t.Context(), request("claude-code/1")); err != nil {
		t.Fatal(err)
	}
	if _, err := v.OpenAs(t.Context(), ada, adas.URI); !errors.As(err, new(*vault.ErasedError)) {
		t.Errorf("OpenAs of what is erased = %v", err)
	}
	if all, err := v.Readable(t.Context(), ada); err != nil || len(all) != 0 {
		t.Errorf("Readable after the erasure = %v, %v", all, err)
	}
}
