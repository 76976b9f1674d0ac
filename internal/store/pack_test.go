package store_test

import (
	"errors"
	"math"
	"testing"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

func FuzzParseOrigin(f *testing.F) {
	f.Add(store.Origin{Source: "git-ai", Method: "note", Tier: stemma.TierClaimed, Assertion: stemma.Declared}.Pack())
	f.Add("")
	f.Add("\xff\xff\xff\xff\xff\xff\xff\xff\x7f")
	f.Fuzz(func(t *testing.T, text string) {
		o, err := store.ParseOrigin(text)
		if err != nil {
			if !errors.Is(err, stemma.ErrInvalid) {
				t.Fatalf("ParseOrigin error = %v, want ErrInvalid", err)
			}
			return
		}
		if again, err := store.ParseOrigin(o.Pack()); err != nil || again != o {
			t.Errorf("origin came back as %+v, %v, want %+v", again, err, o)
		}
	})
}

func FuzzUnpackCounts(f *testing.F) {
	f.Add(store.PackCounts(1, 2, 300, 0, 0))
	f.Add([]byte{0x80})
	f.Add([]byte{1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, packed []byte) {
		var a, b, c int
		if err := store.UnpackCounts(packed, &a, &b, &c); err != nil {
			if !errors.Is(err, stemma.ErrInvalid) {
				t.Fatalf("Unstore.PackCounts error = %v, want ErrInvalid", err)
			}
			return
		}
		var x, y, z int
		if err := store.UnpackCounts(store.PackCounts(a, b, c), &x, &y, &z); err != nil || x != a || y != b || z != c {
			t.Errorf("counts came back as %d %d %d, %v, want %d %d %d", x, y, z, err, a, b, c)
		}
	})
}

// A count that does not read back is turned away, wherever it stands.
func TestCheckCounts(t *testing.T) {
	id := stemma.CommitID("c")
	_, err := store.Check(store.Batch{Scopes: []store.Scope{{ID: id, Tally: &store.Tally{Lines: stemma.Lines{AI: math.MaxInt64}}}}})
	if !errors.Is(err, stemma.ErrInvalid) {
		t.Errorf("Check of a count that does not read back = %v, want ErrInvalid", err)
	}
}
