package stemma_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every line of doc/trust.md that claims something names what shows it, and all
// that is named exists.
func TestTrust(t *testing.T) {
	text, err := os.ReadFile("doc/trust.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := shownBy(t)
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+|[a-z]+\\.txtar)`")
	rows, claims := 0, 0
	for n, line := range strings.Split(string(text), "\n") {
		names := named.FindAllStringSubmatch(line, -1)
		for _, name := range names {
			if !shown[name[1]] {
				t.Errorf("doc/trust.md:%d: there is no %s", n+1, name[1])
			}
		}
		cells := strings.Split(line, "|")
		if len(cells) != 5 || strings.HasPrefix(cells[1], "-") || cells[1] == " attack " || cells[1] == " class " || strings.Contains(cells[1], "`") {
			continue
		}
		rows++
		outcome := strings.TrimSpace(cells[2])
		switch {
		case strings.HasPrefix(outcome, "prevented"), strings.HasPrefix(outcome, "detected"):
			claims++
			if !named.MatchString(cells[3]) {
				t.Errorf("doc/trust.md:%d: %q is shown by nothing", n+1, outcome)
			}
		case !strings.HasPrefix(outcome, "not covered"):
			t.Errorf("doc/trust.md:%d: the outcome %q is none of prevented, detected and not covered", n+1, outcome)
		}
	}
	if rows < 30 || claims < 20 {
		t.Errorf("%d rows with %d claims were read", rows, claims)
	}
}

// shownBy gives the names of all tests and scripts of the module.
func shownBy(t *testing.T) map[string]bool {
	t.Helper()
	shown := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\(`)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "bin" || d.Name() == "dist"):
			return fs.SkipDir
		case strings.HasSuffix(path, ".txtar"):
			shown[d.Name()] = true
		case strings.HasSuffix(path, "_test.go"):
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, name := range declared.FindAllStringSubmatch(string(text), -1) {
				shown[name[1]] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return shown
}
