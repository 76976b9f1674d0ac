// Package vaulttest is the suite that every place for the vault's objects
// passes.
package vaulttest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/vault"
)

// Objects holds a place for objects to its contract. open gives an empty one.
func Objects(t *testing.T, open func(t *testing.T) vault.Objects) {
	t.Run("put, get and delete", func(t *testing.T) { putGetDelete(t, open(t)) })
	t.Run("names that lead elsewhere", func(t *testing.T) { names(t, open(t)) })
	t.Run("at once", func(t *testing.T) { atOnce(t, open(t)) })
	t.Run("under a vault", func(t *testing.T) { underVault(t, open(t)) })
}

func list(t *testing.T, o vault.Objects, prefix string) []string {
	t.Helper()
	var names []string
	for name, err := range o.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

func putGetDelete(t *testing.T, o vault.Objects) {
	ctx := t.Context()
	if _, err := o.Get(ctx, "aa/bb/cc", 10); !errors.Is(err, stemma.ErrNotFound) {
		t.Errorf("Get of nothing = %v, want ErrNotFound", err)
	}
	if got := list(t, o, ""); len(got) != 0 {
		t.Errorf("List of nothing = %q", got)
	}
	if err := o.Delete(ctx, "aa/"); err != nil {
		t.Errorf("Delete of nothing = %v", err)
	}
	for _, name := range []string{"aa/bb/cc", "aa/bb/dd", "aa/ee/cc", "ab/bb/cc"} {
		if err := o.Put(ctx, name, []byte("old")); err != nil {
			t.Fatal(err)
		}
		if err := o.Put(ctx, name, []byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := o.Get(ctx, "aa/bb/cc", 8); err != nil || string(got) != "aa/bb/cc" {
		t.Errorf("Get = %q, %v", got, err)
	}
	if _, err := o.Get(ctx, "aa/bb/cc", 7); !errors.Is(err, stemma.ErrInvalid) {
		t.Errorf("Get over the limit = %v, want ErrInvalid", err)
	}
	if got, want := list(t, o, "aa/"), []string{"aa/bb/cc", "aa/bb/dd", "aa/ee/cc"}; !slices.Equal(got, want) {
		t.Errorf("List = %q, want %q", got, want)
	}
	for range o.List(ctx, "") {
		break // it can be left early
	}
	if err := o.Delete(ctx, "aa/bb/"); err != nil {
		t.Fatal(err)
	}
	if err := o.Delete(ctx, "aa/bb/"); err != nil {
		t.Errorf("Delete again = %v", err)
	}
	if err := o.Delete(ctx, "ab/bb/cc"); err != nil {
		t.Fatal(err)
	}
	if got, want := list(t, o, ""), []string{"aa/ee/cc"}; !slices.Equal(got, want) {
		t.Errorf("List after Delete = %q, want %q", got, want)
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	if err := o.Put(ctx, "big", big); err != nil {
		t.Fatal(err)
	}
	if got, err := o.Get(ctx, "big", int64(len(big))); err != nil || !bytes.Equal(got, big) {
		t.Errorf("Get of %d bytes = %d bytes, %v", len(big), len(got), err)
	}
}

func names(t *testing.T, o vault.Objects) {
	for _, name := range []string{"", "/a", "../a", "a/../b", "a//b", "A", "a\x00", "a b", "a/.b"} {
		if err := o.Put(t.Context(), name, nil); !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("Put(%q) = %v, want ErrInvalid", name, err)
		}
		if _, err := o.Get(t.Context(), name, 1); !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("Get(%q) = %v, want ErrInvalid", name, err)
		}
		if err := o.Delete(t.Context(), name); !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("Delete(%q) = %v, want ErrInvalid", name, err)
		}
	}
}

// Writers of one name leave it whole, whoever is last.
func atOnce(t *testing.T, o vault.Objects) {
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 10 {
				text := strings.Repeat(fmt.Sprintf("%d-%d ", n, i), 1000)
				if err := o.Put(t.Context(), fmt.Sprintf("aa/%d", i%3), []byte(text)); err != nil {
					t.Error(err)
				}
				got, err := o.Get(t.Context(), fmt.Sprintf("aa/%d", i%3), 1<<20)
				first, _, _ := strings.Cut(string(got), " ")
				if err != nil || string(got) != strings.Repeat(first+" ", 1000) {
					t.Errorf("Get = %.20q, %v: not whole", got, err)
				}
			}
		})
	}
	wg.Wait()
}

func underVault(t *testing.T, o vault.Objects) {
	dir := t.TempDir()
	v, err := vault.Open(t.Context(), vault.Config{Dir: dir + "/vault", Keys: dir + "/keys", Objects: o})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	ref, err := v.Put(t.Context(), vault.Content{Session: "a/1", Owners: []string{"aaaaaaaa"}, Class: vault.ClassContent, Bytes: []byte("text")})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := v.Open(t.Context(), ref.URI); err != nil || string(got.Bytes) != "text" {
		t.Errorf("Open = %q, %v", got.Bytes, err)
	}
	if _, err := v.EraseSession(t.Context(), vault.Request{Target: "a/1", Reason: "test", Basis: "test", By: "test"}); err != nil {
		t.Fatal(err)
	}
	if got := list(t, o, ""); len(got) != 0 {
		t.Errorf("objects %q are left of an erased session", got)
	}
}
