package store_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

func TestNamesOfScopesComeBack(t *testing.T) {
	var scopes []store.Scope
	var ids []stemma.NodeID
	for _, key := range []string{"a", "", "odd\x00\xff\n", strings.Repeat("k", 300)} {
		id := stemma.NodeID{Kind: stemma.KindSession, Key: key}
		scopes, ids = append(scopes, store.Scope{ID: id}), append(ids, id)
	}
	packed, ok := store.PackNames(scopes)
	if !ok {
		t.Fatal("PackNames gave up on few names")
	}
	got, err := store.ParseIDs(packed)
	if err != nil || !slices.Equal(got, ids) {
		t.Errorf("ParseIDs = %v, %v, want %v", got, err, ids)
	}
	for n := range len(packed) {
		got, err := store.ParseIDs(packed[:n])
		if err == nil && !slices.Equal(got, ids[:len(got)]) || err != nil && !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("ParseIDs of the first %d bytes = %v, %v", n, got, err)
		}
	}
	scopes = append(scopes, store.Scope{ID: stemma.CommitID(strings.Repeat("k", store.PutNames))})
	if _, ok := store.PackNames(scopes); ok {
		t.Error("PackNames wrote more than is remembered")
	}
}
