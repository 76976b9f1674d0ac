package stemma_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// This file runs the code blocks of README.md. The word after the fence says
// what becomes of a block:
//
//	console  is run by TestREADME with the real binary, in the repository that
//	         script/sample makes. A line "$ command" is run by bash; the lines
//	         below it are what it must print, to stdout and stderr together.
//	         A line "..." stands for any number of lines, "..." inside a line
//	         for any text; a last line "exit status 1" expects that status.
//	         All blocks share one repository and one working directory.
//	sh       is run by "make fresh" in a fresh clone; here its syntax is checked.
//	json, text, go and so on are read by people only.
//
// After an intended change, "go test -run TestREADME . -update-readme" writes
// the real output of each command that no longer matches.
var updateREADME = flag.Bool("update-readme", false, "write the real output of its commands into README.md")

// block is one fenced block of a Markdown file.
type block struct {
	language string
	line     int // of its first line of text, from 1
	text     []string
}

// blocks gives the fenced blocks of a Markdown file. A fence that is never
// closed, or without a language, is an error: nobody would know what it is for.
func blocks(markdown string) ([]block, error) {
	var found []block
	var open *block
	for i, line := range strings.Split(markdown, "\n") {
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && open == nil && fence == "":
			return nil, fmt.Errorf("line %d: a block without a language", i+1)
		case isFence && open == nil:
			open = &block{language: fence, line: i + 2}
		case isFence:
			found = append(found, *open)
			open = nil
		case open != nil:
			open.text = append(open.text, line)
		}
	}
	if open != nil {
		return nil, fmt.Errorf("line %d: the block is never closed", open.line-1)
	}
	return found, nil
}

// command is one "$ " of a console block, and what it shows to follow.
type command struct {
	line   int // of its output's first line, from 1
	text   string
	output []string
	status int
	shown  int // lines shown below the command, with that of the status
}

// commands reads a console block.
func commands(b block) ([]command, error) {
	var found []command
	for i, line := range b.text {
		if text, ok := strings.CutPrefix(line, "$ "); ok {
			found = append(found, command{line: b.line + i + 1, text: text})
			continue
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("line %d: %q before the first command", b.line+i, line)
		}
		last := &found[len(found)-1]
		more, ok := strings.CutPrefix(line, "> ")
		if ok && len(last.output) == 0 && strings.HasSuffix(last.text, `\`) {
			last.text += "\n" + more
			last.line++
			continue
		}
		last.output = append(last.output, line)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("line %d: a console block without a command", b.line)
	}
	for i := range found {
		c := &found[i]
		c.shown = len(c.output)
		if n := len(c.output); n > 0 {
			if _, err := fmt.Sscanf(c.output[n-1], "exit status %d", &c.status); err == nil { // as "go run" prints it
				c.output = c.output[:n-1]
			}
		}
	}
	return found, nil
}

// matches reports whether got is what want shows, where "..." stands for
// anything. Blanks at the end of a line and of the text do not count.
func matches(want []string, got string) bool {
	var pattern strings.Builder
	pattern.WriteString(`\A`)
	for _, line := range trimmed(want) {
		if line == "..." {
			pattern.WriteString(`(?s:(?:[^\n]*\n)*?)`)
			continue
		}
		pattern.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), regexp.QuoteMeta("..."), `[^\n]*`) + `\n`)
	}
	pattern.WriteString(`\z`)
	text := ""
	for _, line := range trimmed(strings.Split(got, "\n")) {
		text += line + "\n"
	}
	return regexp.MustCompile(pattern.String()).MatchString(text)
}

// trimmed drops blanks at the end of each line, and empty lines at the end.
func trimmed(lines []string) []string {
	var out []string
	for _, line := range lines {
		out = append(out, strings.TrimRight(line, " \t\r"))
	}
	for len(out) > 0 && out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	return out
}

// terminal runs commands as a reader of the README would: in one directory,
// with one environment, and the working directory kept from one to the next.
type terminal struct {
	dir string
	env []string
}

// newTerminal gives a terminal in dir that finds the programs of bin first.
// Nothing of the user's own configuration reaches it.
func newTerminal(t *testing.T, dir, bin string) *terminal {
	t.Helper()
	home := t.TempDir()
	return &terminal{dir: dir, env: []string{
		"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"),
		"HOME=" + home,
		"XDG_CONFIG_HOME=" + filepath.Join(home, "config"),
		"XDG_STATE_HOME=" + filepath.Join(home, "state"),
		"GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_CONFIG_SYSTEM=" + os.DevNull,
		"TERM=dumb", "NO_COLOR=1", "COLUMNS=100", "TZ=UTC", "LC_ALL=C.UTF-8", "PAGER=cat",
	}}
}

// run gives what the command prints and its exit status. The error says that it
// could not be run at all.
func (term *terminal) run(t *testing.T, text string) (output string, status int, err error) {
	t.Helper()
	where := filepath.Join(t.TempDir(), "pwd")
	// A line of its own, because the command may end in a comment.
	cmd := exec.CommandContext(t.Context(), "bash", "-c", text+"\nstatus=$?; pwd >\"$1\"; exit $status", "bash", where)
	cmd.Dir = term.dir
	cmd.Env = term.env
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return "", 0, err
	}
	if pwd, err := os.ReadFile(where); err == nil {
		term.dir = strings.TrimSpace(string(pwd))
	}
	return string(out), cmd.ProcessState.ExitCode(), nil
}

// replay runs the console blocks of a Markdown file. It gives the file as it
// would be if every command had shown what it really prints, and what differs.
func replay(t *testing.T, markdown string, term *terminal) (updated string, faults []string) {
	t.Helper()
	found, err := blocks(markdown)
	if err != nil {
		return markdown, []string{err.Error()}
	}
	lines := strings.Split(markdown, "\n")
	moved := 0 // how far lines lie behind their number in markdown
	ran := 0
	for _, b := range found {
		if b.language == "sh" {
			check := exec.CommandContext(t.Context(), "bash", "-n")
			check.Stdin = strings.NewReader(strings.Join(b.text, "\n"))
			if out, err := check.CombinedOutput(); err != nil {
				faults = append(faults, fmt.Sprintf("line %d: not a shell script: %v\n%s", b.line, err, out))
			}
		}
		if b.language != "console" {
			continue
		}
		all, err := commands(b)
		if err != nil {
			return markdown, append(faults, err.Error())
		}
		for _, c := range all {
			ran++
			got, status, err := term.run(t, c.text)
			if err != nil {
				return markdown, append(faults, fmt.Sprintf("line %d: $ %s: %v", c.line-1, c.text, err))
			}
			if status != c.status {
				faults = append(faults, fmt.Sprintf("line %d: $ %s: exit status %d, want %d\n%s", c.line-1, c.text, status, c.status, got))
			}
			real := c.output
			if !matches(c.output, got) {
				faults = append(faults, fmt.Sprintf("line %d: $ %s\ngot:\n%s\nwant:\n%s", c.line-1, c.text, got, strings.Join(c.output, "\n")))
				real = trimmed(strings.Split(got, "\n"))
			}
			if status != 0 {
				real = append(slices.Clone(real), fmt.Sprintf("exit status %d", status))
			}
			at := c.line - 1 + moved
			lines = slices.Replace(lines, at, at+c.shown, real...)
			moved += len(real) - c.shown
		}
	}
	if ran == 0 {
		faults = append(faults, "no console block was found, so nothing was run")
	}
	return strings.Join(lines, "\n"), faults
}

func TestREADME(t *testing.T) {
	markdown, err := os.ReadFile("README.md")
	if errors.Is(err, os.ErrNotExist) && os.Getenv("CI") != "true" {
		t.Skip("there is no README.md to run yet")
	} else if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	bin, repository := filepath.Join(dir, "bin"), filepath.Join(dir, "project")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", bin+string(filepath.Separator), "./cmd/stemma")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the binary: %v\n%s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), "script/sample", repository).CombinedOutput(); err != nil {
		t.Fatalf("make the sample repository: %v\n%s", err, out)
	}
	updated, faults := replay(t, string(markdown), newTerminal(t, repository, bin))
	if *updateREADME {
		if err := os.WriteFile("README.md", []byte(updated), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, fault := range faults {
		t.Errorf("README.md: %s", fault)
	}
}

// What CI runs is what the README tells a reader to run.
func TestCIRunsTheCommandOfTheREADME(t *testing.T) {
	markdown, err := os.ReadFile("README.md")
	if errors.Is(err, os.ErrNotExist) && os.Getenv("CI") != "true" {
		t.Skip("there is no README.md to compare with yet")
	} else if err != nil {
		t.Fatal(err)
	}
	run, err := os.ReadFile(".ci/run")
	if err != nil {
		t.Fatal(err)
	}
	lines := trimmed(strings.Split(string(run), "\n"))
	want, ok := strings.CutPrefix(lines[len(lines)-1], "exec ")
	if !ok {
		t.Fatalf(".ci/run ends with %q, want it to exec one command", lines[len(lines)-1])
	}
	found, err := blocks(string(markdown))
	if err != nil {
		t.Fatalf("README.md: %v", err)
	}
	for _, b := range found {
		if b.language == "sh" && slices.ContainsFunc(b.text, func(line string) bool {
			code, _, _ := strings.Cut(line, "#")
			return strings.TrimSpace(code) == want
		}) {
			return
		}
	}
	t.Errorf("README.md has no sh block with the line %q, which .ci/run runs", want)
}

// The sample repository has the same ids on every machine, so that the README
// can show them.
func TestSampleRepositoryIsAlwaysTheSame(t *testing.T) {
	var ids [2]string
	for i := range ids {
		dir := filepath.Join(t.TempDir(), "project")
		sample := exec.CommandContext(t.Context(), "script/sample", dir)
		sample.Env = append(os.Environ(), fmt.Sprintf("TZ=Etc/GMT+%d", i), "GIT_AUTHOR_NAME=Somebody Else")
		if out, err := sample.CombinedOutput(); err != nil {
			t.Fatalf("script/sample: %v\n%s", err, out)
		}
		out, err := exec.CommandContext(t.Context(), "git", "-C", dir, "show-ref").CombinedOutput()
		if err != nil {
			t.Fatalf("git show-ref: %v\n%s", err, out)
		}
		ids[i] = string(out)
	}
	if ids[0] != ids[1] {
		t.Errorf("two sample repositories differ:\n%s\n%s", ids[0], ids[1])
	}
	for _, ref := range []string{"refs/heads/main", "refs/notes/ai"} {
		if !strings.Contains(ids[0], ref) {
			t.Errorf("the sample repository has no %s:\n%s", ref, ids[0])
		}
	}
}

func TestReplay(t *testing.T) {
	bin, dir := t.TempDir(), t.TempDir()
	const program = `#!/bin/sh
case $1 in
lines) printf 'one\ntwo \nthree 3\n\n' ;;
fail) echo "fake: error: $2" >&2; exit 3 ;;
home) ls -A "$HOME" ;;
esac
`
	if err := os.WriteFile(filepath.Join(bin, "fake"), []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "windows" {
		t.Skip("the fake program is a shell script")
	}
	console := func(lines ...string) string {
		return "# title\n\n```console\n" + strings.Join(lines, "\n") + "\n```\n\ntext\n"
	}
	tests := []struct {
		name, markdown string
		updated        string // "" is markdown as it was
		faults         []string
	}{
		{"exact", console("$ fake lines", "one", "two", "three 3"), "", nil},
		{"no output", console("$ fake home"), "", nil},
		{"dots for lines", console("$ fake lines", "...", "three 3"), "", nil},
		{"dots for no lines", console("$ fake lines", "one", "two", "three 3", "..."), "", nil},
		{"dots inside a line", console("$ fake lines", "...", "thr... 3"), "", nil},
		{"dots do not cross lines", console("$ fake lines", "one...three 3"), console("$ fake lines", "one", "two", "three 3"), []string{"got:\none\n"}},
		{"pattern letters are letters", console("$ fake lines", "o.e", "..."), console("$ fake lines", "one", "two", "three 3"), []string{"want:\no.e"}},
		{"different", console("$ fake lines", "one", "$ fake home", "$ fake lines", "two", "..."), console("$ fake lines", "one", "two", "three 3", "$ fake home", "$ fake lines", "one", "two", "three 3"), []string{"line 4: $ fake lines", "line 7: $ fake lines"}},
		{"less", console("$ fake home", "one", "two"), console("$ fake home"), []string{"line 4: $ fake home"}},
		{"status", console("$ fake fail 'no repository'", "fake: error: no repository", "exit status 3"), "", nil},
		{"unexpected status", console("$ fake fail x", "fake: error: x", "$ fake home"), console("$ fake fail x", "fake: error: x", "exit status 3", "$ fake home"), []string{"exit status 3, want 0"}},
		{"missing status", console("$ fake lines", "...", "exit status 3", "$ fake home"), console("$ fake lines", "...", "$ fake home"), []string{"exit status 0, want 3"}},
		{"two lines", console("$ fake \\", "> lines | head -n1 # the first", "one"), "", nil},
		{"change of directory", console("$ mkdir -p below && cd below", "$ basename \"$PWD\"", "below", "$ cd .."), "", nil},
		{"unknown program", console("$ fakest"), console("$ fakest", "bash: line 1: fakest: command not found", "exit status 127"), []string{"exit status 127", "command not found"}},
		{"text before", console("one", "$ fake lines"), "", []string{"before the first command"}},
		{"no command", console(""), "", []string{"before the first command"}},
		{"no language", "```\nfake\n```\n", "", []string{"line 1: a block without a language"}},
		{"open", "a\n```console\n$ fake lines\n", "", []string{"line 2: the block is never closed"}},
		{"nothing to run", "```text\nfake\n```\n", "", []string{"nothing was run"}},
		{"shell", console("$ fake home") + "```sh\nif true\n```\n", "", []string{"line 9: not a shell script"}},
	}
	for _, tt := range tests {
		updated, faults := replay(t, tt.markdown, newTerminal(t, dir, bin))
		want := tt.updated
		if want == "" {
			want = tt.markdown
		}
		if updated != want {
			t.Errorf("%s: updated to:\n%s\nwant:\n%s", tt.name, updated, want)
		}
		all := strings.Join(faults, "\n")
		if (len(faults) == 0) != (len(tt.faults) == 0) {
			t.Errorf("%s: faults %q, want %q", tt.name, faults, tt.faults)
		}
		for _, fault := range tt.faults {
			if !strings.Contains(all, fault) {
				t.Errorf("%s: faults %q lack %q", tt.name, faults, fault)
			}
		}
		// What was written must match from then on.
		if tt.updated != "" {
			if _, again := replay(t, updated, newTerminal(t, dir, bin)); len(again) > 0 {
				t.Errorf("%s: after the update: %q", tt.name, again)
			}
		}
	}
	if entries, err := os.ReadDir(filepath.Join(dir, "below")); err != nil || len(entries) > 0 {
		t.Errorf("the directory made by a command: %v, %v", entries, err)
	}
}

// The README is the last place where a long line of output is wanted, but a
// pattern with many dots must not take for ever on one.
func TestMatchesInTime(t *testing.T) {
	want := slices.Repeat([]string{"...", "a...b...c"}, 50)
	if got := string(bytes.Repeat([]byte("abc"), 20_000)); matches(want, got) {
		t.Error("one line matched fifty")
	}
}
