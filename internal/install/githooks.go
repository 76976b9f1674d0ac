package install

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
)

// gitHooks are the hooks of git that make capture sooner and show its health
// (githooks(5)). None of them can stop git.
var gitHooks = []string{"post-commit", "post-rewrite", "post-merge", "post-checkout", "pre-push"}

// assistHook is the hook of git that writes the trailer, where it is wanted.
const assistHook = "prepare-commit-msg"

// Assists reports whether the hook that names agents in commit messages is
// installed in the folder that git looks for hooks in.
func Assists(hooks string) bool {
	if hooks == "" {
		return false
	}
	text, err := read(filepath.Join(hooks, assistHook))
	return err == nil && bytes.Contains(text, []byte(blockBegin))
}

const (
	blockBegin = "# >>> stemma >>>"
	blockEnd   = "# <<< stemma <<<"
)

// block is what a hook of git runs: nothing of it can fail, print or wait.
func block(cfg Config, name string) string {
	if name == assistHook {
		return blockBegin + "\n" + cfg.Assist + ` "$@" </dev/null >/dev/null 2>&1 || :` + "\n" + blockEnd + "\n"
	}
	lines := []string{blockBegin, cfg.Hook + " git " + name + " </dev/null >/dev/null 2>&1 || :"}
	if cfg.Sync != "" && name != "post-checkout" {
		lines = append(lines, "(nice "+cfg.Sync+" </dev/null >/dev/null 2>&1 &)")
	}
	return strings.Join(append(lines, blockEnd, ""), "\n")
}

// besideSuffix is what a hook that is no shell script is renamed with.
const besideSuffix = ".before-stemma"

// gitHook makes a hook of git run the block, before what it ran.
func gitHook(cfg Config, name string) ([]Edit, error) {
	path := filepath.Join(cfg.Hooks, name)
	before, err := read(path)
	if err != nil {
		return nil, err
	}
	e := Edit{Path: path, For: "git", Before: before, Mode: 0o755, mark: []string{cfg.Hook + " git " + name}, strip: stripScript}
	if name == assistHook {
		e.mark = []string{cfg.Assist}
	}
	own := block(cfg, name)
	switch {
	case len(before) == 0:
		e.After = []byte("#!/bin/sh\n" + own)
		return []Edit{e}, nil
	case bytes.Contains(before, []byte(blockBegin)):
		theirs, err := stripScript(before)
		if err != nil {
			return nil, err
		}
		e.After = withBlock(theirs, own)
		return []Edit{e}, nil
	case isShell(before):
		e.After = withBlock(before, own)
		return []Edit{e}, nil
	}
	// Another language: it stays as it is, under another name.
	beside := Edit{Path: path + besideSuffix, For: "git", After: before, Mode: 0o755, strip: stripScript}
	if beside.Before, err = read(beside.Path); err != nil {
		return nil, err
	}
	if beside.Before != nil && !bytes.Equal(beside.Before, before) {
		return nil, fmt.Errorf("%s is in the way", beside.Path)
	}
	e.After = []byte("#!/bin/sh\n" + own + `exec "$(dirname "$0")/` + name + besideSuffix + "\" \"$@\"\n")
	return []Edit{beside, e}, nil
}

// isShell reports whether a script is run by a shell that knows the block.
func isShell(script []byte) bool {
	first, _, _ := bytes.Cut(script, []byte("\n"))
	line := strings.TrimSpace(string(first))
	if !strings.HasPrefix(line, "#!") {
		return !bytes.ContainsRune(first, 0) // git has the system's shell run it
	}
	for _, shell := range []string{"/sh", "/bash", "/dash", "/zsh", "/ksh", " sh", " bash", " dash", " zsh", " ksh"} {
		if strings.HasSuffix(strings.TrimSuffix(strings.TrimSuffix(line, " -e"), " -eu"), shell) {
			return true
		}
	}
	return false
}

// withBlock puts the block behind the first line of a script: a script may end
// anywhere.
func withBlock(script []byte, own string) []byte {
	if !bytes.HasPrefix(script, []byte("#!")) {
		return append([]byte(own), script...)
	}
	first, rest, _ := bytes.Cut(script, []byte("\n"))
	return append(append(bytes.Clone(first), []byte("\n"+own)...), rest...)
}

// stripScript takes the block out of a script.
func stripScript(script []byte) ([]byte, error) {
	begin := bytes.Index(script, []byte(blockBegin))
	if begin < 0 {
		return script, nil
	}
	end := bytes.Index(script[begin:], []byte(blockEnd+"\n"))
	if end < 0 {
		return script, nil
	}
	return append(bytes.Clone(script[:begin]), script[begin+end+len(blockEnd)+1:]...), nil
}
