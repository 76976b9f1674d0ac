package filekey_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/sign"
	"github.com/stemma-dev/stemma/internal/sign/filekey"
)

func TestKeyIsMadeOnFirstUse(t *testing.T) {
	for _, algorithm := range []filekey.Algorithm{"", filekey.Ed25519, filekey.ECDSA} {
		dir := filepath.Join(t.TempDir(), "keys")
		if _, err := filekey.Current(dir); !errors.Is(err, stemma.ErrNotFound) {
			t.Errorf("%s: Current before first use: %v, want ErrNotFound", algorithm, err)
		}
		k, err := filekey.Open(dir, filekey.Config{Algorithm: algorithm})
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		var _ sign.Signer = k
		sig, err := k.Sign(t.Context(), []byte("x"))
		if err != nil || !sign.Good(k.Public(), []byte("x"), sig) {
			t.Errorf("%s: its own signature is not good (%v)", algorithm, err)
		}
		again, err := filekey.Open(dir, filekey.Config{})
		if err != nil || again.KeyID() != k.KeyID() {
			t.Errorf("%s: Open again = %v, %v, want key %s", algorithm, again, err, k.KeyID())
		}
		secret := filepath.Join(dir, "signing-"+k.KeyID()+".key")
		if st, err := os.Stat(secret); err != nil || runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
			t.Errorf("%s: secret has mode %v (%v), want 0600", algorithm, st.Mode(), err)
		}
		if ignore, err := os.ReadFile(filepath.Join(dir, ".gitignore")); err != nil || string(ignore) != "*\n" {
			t.Errorf("%s: .gitignore = %q, %v", algorithm, ignore, err)
		}
	}
	if _, err := filekey.Open(t.TempDir()+"/k", filekey.Config{Algorithm: "rsa"}); !errors.Is(err, stemma.ErrInvalid) {
		t.Errorf("an RSA key: %v, want ErrInvalid", err)
	}
}

func TestManyOpenAtOnceAndGetOneKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	ids := make([]string, 16)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			k, err := filekey.Open(dir, filekey.Config{})
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = k.KeyID()
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("two keys: %s and %s", ids[0], id)
		}
	}
}

func TestKeysOfOthersAreRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes say nothing on Windows")
	}
	for name, spoil := range map[string]func(dir, secret string) error{
		"a folder open to the group": func(dir, _ string) error { return os.Chmod(dir, 0o750) },
		"a secret open to all":       func(_, secret string) error { return os.Chmod(secret, 0o604) },
		"a secret that is a link": func(dir, secret string) error {
			if err := os.Rename(secret, filepath.Join(dir, "elsewhere")); err != nil {
				return err
			}
			return os.Symlink("elsewhere", secret)
		},
	} {
		dir := filepath.Join(t.TempDir(), "keys")
		k, err := filekey.Open(dir, filekey.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if err := spoil(dir, filepath.Join(dir, "signing-"+k.KeyID()+".key")); err != nil {
			t.Fatal(err)
		}
		if _, err := filekey.Open(dir, filekey.Config{}); !errors.Is(err, stemma.ErrDenied) {
			t.Errorf("%s: %v, want ErrDenied", name, err)
		}
	}
}

func TestDamagedKeysAreNamed(t *testing.T) {
	for name, spoil := range map[string]func(dir, id string) error{
		"half a secret": func(dir, id string) error {
			return os.WriteFile(filepath.Join(dir, "signing-"+id+".key"), []byte("-----BEGIN PRIVATE"), 0o600)
		},
		"another's secret": func(dir, id string) error {
			other, err := filekey.Open(dir+"2", filekey.Config{})
			if err != nil {
				return err
			}
			text, err := os.ReadFile(filepath.Join(dir+"2", "signing-"+other.KeyID()+".key"))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "signing-"+id+".key"), text, 0o600)
		},
		"another's public key": func(dir, id string) error {
			other, err := filekey.Open(dir+"2", filekey.Config{})
			if err != nil {
				return err
			}
			text, err := os.ReadFile(filepath.Join(dir+"2", "signing-"+other.KeyID()+".json"))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "signing-"+id+".json"), text, 0o600)
		},
	} {
		dir := filepath.Join(t.TempDir(), "keys")
		k, err := filekey.Open(dir, filekey.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if err := spoil(dir, k.KeyID()); err != nil {
			t.Fatal(err)
		}
		_, err = filekey.Open(dir, filekey.Config{})
		if !errors.Is(err, stemma.ErrInvalid) || !strings.Contains(err.Error(), "signing-") {
			t.Errorf("%s: %v, want ErrInvalid that names the file", name, err)
		}
	}
}

// The folder may have any name: what would be a pattern in it is none.
func TestKeysInAFolderNamedAsAPattern(t *testing.T) {
	for _, name := range []string{"a[b]", "a[b", "*", `a\b`} {
		if runtime.GOOS == "windows" && strings.ContainsAny(name, `*\`) {
			continue
		}
		dir := filepath.Join(t.TempDir(), name)
		first, err := filekey.Open(dir, filekey.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := filekey.Rotate(dir, filekey.Config{}, func(filekey.Rotation) error { return nil }); err != nil {
			t.Fatal(err)
		}
		all, err := filekey.List(dir)
		// Both may be of one second, and are then in the order of their ids.
		if len(all) == 2 && all[0].Current {
			slices.Reverse(all)
		}
		if err != nil || len(all) != 2 || all[0].ID != first.ID || all[0].Secret || !all[1].Current || !all[1].Secret {
			t.Errorf("%s: List = %+v, %v; want the first key without a secret, and the one that signs", name, all, err)
		}
	}
}

// A process that is killed at any step of a rotation leaves nothing that the next
// does not finish: one key signs, which has not ended, and no other has a secret.
// Secrets of old keys once stayed for ever, and a key signed after its end.
func TestRotationKilledAtAnyStep(t *testing.T) {
	keep := filepath.Join(t.TempDir(), "keys")
	first, err := filekey.Open(keep, filekey.Config{})
	if err != nil {
		t.Fatal(err)
	}
	copied := func() string {
		dir := filepath.Join(t.TempDir(), "keys")
		files, err := filepath.Glob(filepath.Join(keep, "*"))
		if err == nil {
			err = os.Mkdir(dir, 0o700)
		}
		for _, file := range files {
			text, rerr := os.ReadFile(file)
			err = errors.Join(err, rerr, os.WriteFile(filepath.Join(dir, filepath.Base(file)), text, 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	before := copied()
	r, err := filekey.Rotate(keep, filekey.Config{}, func(filekey.Rotation) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	oldSecret, oldInfo, current := "signing-"+first.ID+".key", "signing-"+first.ID+".json", "signing.current"
	for name, undo := range map[string][]string{
		"the old secret is there":        {oldSecret},
		"the old key signs":              {oldSecret, current},
		"the old key has not ended":      {oldSecret, current, oldInfo},
		"the first key, not yet current": nil,
	} {
		dir := copied()
		for _, file := range undo {
			text, err := os.ReadFile(filepath.Join(before, file))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, file), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if undo == nil {
			if err := os.Remove(filepath.Join(dir, current)); err != nil {
				t.Fatal(err)
			}
		}
		k, err := filekey.Open(dir, filekey.Config{})
		if err != nil || k.Until != nil || name != "the old key has not ended" && k.ID != r.New.ID {
			t.Errorf("%s: Open = %+v, %v", name, k, err)
			continue
		}
		// The next rotation is of the key that signs, whatever was left; a secret of
		// which nothing is known yet never signed.
		orphan := filepath.Join(dir, "signing-"+strings.Repeat("ab", 32)+".key")
		if err := os.WriteFile(orphan, []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := filekey.Rotate(dir, filekey.Config{}, func(filekey.Rotation) error { return nil }); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := os.Stat(orphan); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: a secret of no key is left: %v", name, err)
		}
		all, err := filekey.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, info := range all {
			if info.Secret != info.Current || info.Current != (info.Until == nil) {
				t.Errorf("%s: after the next rotation %s has a secret %t, signs %t, ends %v", name, info.ID[:8], info.Secret, info.Current, info.Until)
			}
		}
	}
}

func TestRotate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	c := filekey.Config{Now: func() time.Time { return now }}
	if _, err := filekey.Rotate(dir, c, nil); !errors.Is(err, stemma.ErrNotFound) {
		t.Errorf("Rotate without a key: %v, want ErrNotFound", err)
	}
	first, err := filekey.Open(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour)

	refused := errors.New("the log is full")
	if _, err := filekey.Rotate(dir, c, func(filekey.Rotation) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("Rotate that is not recorded: %v, want %v", err, refused)
	}
	if all, err := filekey.List(dir); err != nil || len(all) != 1 || !all[0].Current || all[0].Until != nil {
		t.Fatalf("after a rotation that was refused: %v, %v", all, err)
	}

	var killed filekey.Rotation
	func() {
		defer func() { _ = recover() }()
		_, _ = filekey.Rotate(dir, c, func(r filekey.Rotation) error { killed = r; panic("kill -9") })
	}()
	r, err := filekey.Rotate(dir, c, func(r filekey.Rotation) error {
		for _, k := range []*filekey.Key{r.Old, r.New} {
			sig, err := k.Sign(context.Background(), []byte("x"))
			if err != nil || !sign.Good(k.Public(), []byte("x"), sig) {
				t.Errorf("key %s does not sign the rotation: %v", k.KeyID(), err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.New.KeyID() != killed.New.KeyID() {
		t.Error("a rotation that was killed is not finished by the next")
	}
	if k, err := filekey.Open(dir, c); err != nil || k.KeyID() != r.New.KeyID() {
		t.Errorf("Open after Rotate = %v, %v, want the new key", k, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "signing-"+first.KeyID()+".key")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the secret of the old key is still there (%v)", err)
	}
	all, err := filekey.List(dir)
	if err != nil || len(all) != 2 {
		t.Fatalf("List = %v, %v, want two keys", all, err)
	}
	old, err := all[0].Trusted("keys folder")
	if err != nil {
		t.Fatal(err)
	}
	if old.ID != first.KeyID() || !old.Until.Equal(now.Add(time.Second)) || old.Holder != sign.HeldByPerson || all[0].Secret || !all[1].Current {
		t.Errorf("after Rotate: %+v", all)
	}
}
