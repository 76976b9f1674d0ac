package agent_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stemma-dev/stemma/internal/agent"
)

// The table of versions is that of the transcripts that the decoders are tried with.
func TestTestedVersionsAreThoseOfTheTestdata(t *testing.T) {
	goldens, err := filepath.Glob(filepath.Join("*", "testdata", "*.golden"))
	if err != nil || len(goldens) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	session := regexp.MustCompile(`"agent": "([a-z-]+)",\s+"id": "[^"]*",\s+"version": "([^"]+)"`)
	newest := make(map[string]string)
	for _, path := range goldens {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range session.FindAllStringSubmatch(strings.ReplaceAll(string(text), "\r", ""), -1) {
			if was, ok := newest[m[1]]; !ok || agent.Newer(m[2], was) {
				newest[m[1]] = m[2]
			}
		}
	}
	for name, want := range newest {
		if got := agent.Tested(name); got != want {
			t.Errorf("Tested(%q) = %q, the testdata has %q", name, got, want)
		}
	}
	if len(newest) < 4 {
		t.Errorf("the testdata names versions of %d agents alone", len(newest))
	}
}

func TestNewerComparesNumbers(t *testing.T) {
	for _, test := range []struct {
		version, than string
		want          bool
	}{
		{"2.1.100", "2.1.90", true},
		{"2.1.90", "2.1.90", false},
		{"2.1", "2.1.0", false},
		{"3", "2.1.90", true},
		{"2.1.89", "2.1.90", false},
		{"0.143.0-alpha.1", "0.142.0", true},
		{"", "1", false},
		{"development", "1", false},
		{"2.x", "2.1", false},
	} {
		if got := agent.Newer(test.version, test.than); got != test.want {
			t.Errorf("Newer(%q, %q) = %v, want %v", test.version, test.than, got, test.want)
		}
	}
}
