package gitleaks

import (
	"strings"
	"testing"
)

// Rules that can not be tried at their keyword are looked for around it, which
// is slower; a new version of the rules may bring some.
func TestPatterns(t *testing.T) {
	all, err := patterns()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 200 {
		t.Errorf("%d rules, want 200 at least", len(all))
	}
	var around []string
	for _, p := range all {
		p.Regexp() // compiles
		if !p.AtKeyword {
			around = append(around, p.Kind+" "+strings.Join(p.Keywords, ","))
		}
	}
	t.Logf("%d of %d rules are looked for around a keyword:\n%s", len(around), len(all), strings.Join(around, "\n"))
	if len(around) > 60 {
		t.Errorf("%d rules are looked for around a keyword, want 60 at most", len(around))
	}
}
