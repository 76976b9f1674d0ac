package sqlite

import "testing"

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
