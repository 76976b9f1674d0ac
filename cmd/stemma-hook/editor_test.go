package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stemma-dev/stemma/internal/spool"
)

// A person saves a file in vim, with the plugin that is shipped: the content is in
// the spool, as a save.
func TestVimReportsWhatAPersonSaves(t *testing.T) {
	vim, err := exec.LookPath("vim")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("vim is missing: script/setup installs it")
		}
		t.Skip("vim is not installed")
	}
	dir, state := repository(t)
	hook := filepath.Join(t.TempDir(), "stemma-hook")
	build := exec.Command("go", "build", "-o", hook, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	plugin, err := filepath.Abs("../../editor/vim/plugin/stemma.vim")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(vim, "-N", "-u", "NONE", "-i", "NONE", "-n", "-es",
		"--cmd", "let g:stemma_hook = '"+hook+"'", "-S", plugin,
		"-c", "call setline(1, 'package a // by ada')", "-c", "write", "-c", "quitall!", filepath.Join(dir, "a.go"))
	cmd.Env = append(os.Environ(), "STEMMA_DIR="+state, "HOME="+state, "SHELL=/bin/sh")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("vim: %v\n%s", err, out)
	}
	p, err := spool.Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := spool.Open(filepath.Join(state, "spool", p.Folder()), spool.Config{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for r, err := range s.Records() {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if r.Agent != spool.AgentEditor || r.Phase != spool.Save || len(r.Files) != 1 || len(r.Gaps) != 0 {
			t.Fatalf("record %+v", r.Record)
		}
		if text, err := s.Blob(r.Files[0].Blob); err != nil || string(text) != "package a // by ada\n" {
			t.Errorf("content %q, %v", text, err)
		}
	}
	if n != 1 {
		t.Errorf("%d records, want 1", n)
	}
}
