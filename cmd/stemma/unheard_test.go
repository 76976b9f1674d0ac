package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// This file holds what no hook reported against the transcript that tells of it.

// unheard lets a session work while no hook runs: only its transcript tells.
func (s *story) unheard(session, tool string, input map[string]any, act func()) {
	s.t.Helper()
	s.call++
	from := s.tick()
	act()
	account{s.t, filepath.Dir(s.home), s.dir, session}.call(fmt.Sprint(s.call), tool, input, from, s.tick())
}

// edit is an unheard Edit: lines in the place of a line.
func (s *story) edit(session, path, old, new string, lines ...string) {
	s.t.Helper()
	input := map[string]any{"file_path": filepath.Join(s.dir, path), "old_string": old, "new_string": new}
	s.unheard(session, "Edit", input, func() { s.put(path, lines...) })
}

// look syncs by the story's clock, and so looks at the files that are in doubt.
func (s *story) look() {
	s.t.Helper()
	var out bytes.Buffer
	if code := executeAt(s.t.Context(), []string{"-R", s.dir, "sync", "--quiet"}, &out, &out, s.tick); code != exitOK {
		s.t.Fatalf("stemma sync: exit %d: %s", code, out.String())
	}
}

var unheard = []told{
	{"unheard: both hooks of an edit are missing, and the transcript has its lines", func(s *story) {
		s.agent("s1", "a.go", "alpha := one()")
		s.edit("s1", "a.go", "alpha := one()", "alpha := one()\nif unheard(alpha) {\n}", "alpha := one()", "if unheard(alpha) {", "}")
		s.put("a.go", "alpha := one()", "if unheard(alpha) {", "}", "mine := byHand()")
		s.commit("work")
		s.want("a.go", "s1: alpha := one()", "s1: if unheard(alpha) {", "?: }", "?: mine := byHand()")
	}},
	{"unheard: a whole session, in files that no hook ever saw", func(s *story) {
		s.edit("s9", "a.go", "nothing", "alpha := unheard(one)", "alpha := unheard(one)")
		s.put("b.go", "mine := byHand(two)")
		s.commit("work")
		s.want("a.go", "s9: alpha := unheard(one)")
		s.want("b.go", "ada: mine := byHand(two)")
	}},
	{"unheard: written before a commit of something else, committed after it", func(s *story) {
		s.unheard("s9", "Write", map[string]any{"file_path": filepath.Join(s.dir, "a.go"), "content": "alpha := unheard(one)\n"}, func() { s.put("a.go", "alpha := unheard(one)") })
		s.put("b.go", "mine := byHand(two)")
		s.git("add", "b.go")
		s.committed("commit", "-qm", "mine")
		s.agent("s1", "c.go", "other := thing()")
		s.commit("the rest")
		s.want("a.go", "?: alpha := unheard(one)")
		s.want("b.go", "ada: mine := byHand(two)")
	}},
	{"unheard: and moved by hand to another name", func(s *story) {
		s.edit("s9", "a.go", "nothing", "alpha := unheard(oneAndTwo)", "alpha := unheard(oneAndTwo)")
		s.put("a.go")
		s.put("b.go", "alpha := unheard(oneAndTwo)", "mine := byHand(two)")
		s.commit("work")
		s.want("b.go", "?: alpha := unheard(oneAndTwo)", "ada: mine := byHand(two)")
	}},
	{"unheard: a shell, while a person writes too", func(s *story) {
		s.agent("s1", "a.go", "alpha := one()")
		s.unheard("s9", "Bash", map[string]any{"command": "make"}, func() { s.put("a.go", "alpha := one()", "beta := unheard(two)") })
		s.put("b.go", "mine := byHand(two)")
		s.commit("work")
		s.look()
		s.put("b.go", "mine := byHand(two)", "more := byHand(three)")
		s.commit("more")
		s.want("a.go", "s1: alpha := one()", "?: beta := unheard(two)")
		s.want("b.go", "?: mine := byHand(two)", "ada: more := byHand(three)")
	}},
	{"unheard: a shell, and no sync looks before more is committed", func(s *story) {
		s.agent("s1", "a.go", "alpha := one()")
		s.unheard("s9", "Bash", map[string]any{"command": "make"}, func() { s.put("a.go", "alpha := one()", "beta := unheard(two)") })
		s.put("b.go", "mine := byHand(two)")
		s.commit("work")
		// It may be the rest of what the shell wrote, of which a part was staged.
		s.put("b.go", "mine := byHand(two)", "more := byHand(three)")
		s.commit("more")
		s.want("b.go", "?: mine := byHand(two)", "?: more := byHand(three)")
	}},
	{"unheard: a shell, and then another whose hooks ran makes a file that was not there", func(s *story) {
		s.unheard("s9", "Bash", map[string]any{"command": "make"}, func() { s.put("b.go", "beta := unheard(two)") })
		s.tool("s1", "Bash", "", func() { s.put("a.go", "alpha := one()") })
		s.commit("work")
		s.want("a.go", "s1: alpha := one()")
		s.want("b.go", "?: beta := unheard(two)")
	}},
	{"unheard: what the transcript told stays when it is gone", func(s *story) {
		s.edit("s9", "a.go", "nothing", "alpha := unheard(one)", "alpha := unheard(one)")
		s.commit("work")
		s.blame("a.go")
		if err := os.RemoveAll(filepath.Dir(account{s.t, filepath.Dir(s.home), s.dir, "s9"}.path())); err != nil {
			s.t.Fatal(err)
		}
		s.git("update-ref", "-d", "refs/notes/stemma")
		s.want("a.go", "s9: alpha := unheard(one)")
	}},
}
