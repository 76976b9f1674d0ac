package sqlite

import (
	"errors"
	"math"
	"testing"

	"github.com/stemma-dev/stemma"
)

func FuzzParseOrigin(f *testing.F) {
	f.Add(origin{source: "git-ai", method: "note", tier: stemma.TierClaimed, assertion: stemma.Declared}.word()[1:])
	f.Add("")
	f.Add("\xff\xff\xff\xff\xff\xff\xff\xff\x7f")
	f.Fuzz(func(t *testing.T, text string) {
		o, err := parseOrigin(text)
		if err != nil {
			if !errors.Is(err, stemma.ErrInvalid) {
				t.Fatalf("parseOrigin error = %v, want ErrInvalid", err)
			}
			return
		}
		if again, err := parseOrigin(o.word()[1:]); err != nil || again != o {
			t.Errorf("origin came back as %+v, %v, want %+v", again, err, o)
		}
	})
}

func FuzzUnpackCounts(f *testing.F) {
	f.Add(packCounts(1, 2, 300, 0, 0))
	f.Add([]byte{0x80})
	f.Add([]byte{1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, packed []byte) {
		var a, b, c int
		if err := unpackCounts(packed, &a, &b, &c); err != nil {
			if !errors.Is(err, stemma.ErrInvalid) {
				t.Fatalf("unpackCounts error = %v, want ErrInvalid", err)
			}
			return
		}
		var x, y, z int
		if err := unpackCounts(packCounts(a, b, c), &x, &y, &z); err != nil || x != a || y != b || z != c {
			t.Errorf("counts came back as %d %d %d, %v, want %d %d %d", x, y, z, err, a, b, c)
		}
	})
}

func TestPrefixRange(t *testing.T) {
	for _, test := range []struct {
		prefix   string
		from, to string
		open     bool // no upper bound
	}{
		{prefix: "a", from: "a", to: "b"},
		{prefix: "a\xff", from: "a\xff", to: "b"},
		{prefix: "\xff\xff", from: "\xff\xff", open: true},
		{prefix: "a/", from: "a/", to: "a0"},
	} {
		_, args := prefixRange("key", test.prefix)
		if got := string(args[0].([]byte)); got != test.from {
			t.Errorf("prefixRange(%q) begins at %q, want %q", test.prefix, got, test.from)
		}
		if test.open != (len(args) == 1) {
			t.Errorf("prefixRange(%q) has %d bounds", test.prefix, len(args))
		} else if !test.open && string(args[1].([]byte)) != test.to {
			t.Errorf("prefixRange(%q) ends before %q, want %q", test.prefix, args[1], test.to)
		}
	}
	if where, args := prefixRange("key", ""); where != "" || args != nil {
		t.Errorf("prefixRange of nothing = %q, %v, want no condition", where, args)
	}
}

func TestCheckCounts(t *testing.T) {
	if err := checkCounts(stemma.Lines{AI: math.MaxInt64}, 0, 0); !errors.Is(err, stemma.ErrInvalid) {
		t.Errorf("checkCounts of a count that does not read back = %v, want ErrInvalid", err)
	}
}
