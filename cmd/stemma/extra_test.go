package main

import (
	"bytes"
	"strings"
	"sync"
)

// extras are stories beside the numbered ones: what happens to refs, reflogs,
// hooks and notes.
var extras = []told{
	{"alike: a bracket is deleted and another written beside it: git takes the new one for the old one", func(s *story) {
		s.agent("s1", "a.go", "alpha := one(first)", "}", "omega := two(second)")
		s.commit("s1's work")
		s.agent("s2", "a.go", "alpha := one(first)", "omega := two(second)")
		s.agent("s2", "a.go", "alpha := one(first)", "beta := three(third)", "}", "gamma := four(fourth)", "omega := two(second)")
		s.commit("s2's work")
		s.want("a.go", "s1: alpha := one(first)", "s2: beta := three(third)", "?: }", "s2: gamma := four(fourth)", "s1: omega := two(second)")
	}},
	{"alike: the same, and the first commit was synced before", func(s *story) {
		s.agent("s1", "a.go", "alpha := one(first)", "}", "omega := two(second)")
		first := s.commit("s1's work")
		s.want("a.go", "s1: alpha := one(first)", "s1: }", "s1: omega := two(second)")
		s.agent("s2", "a.go", "alpha := one(first)", "omega := two(second)")
		s.agent("s2", "a.go", "alpha := one(first)", "beta := three(third)", "}", "gamma := four(fourth)", "omega := two(second)")
		s.commit("s2's work")
		s.want("a.go", "s1: alpha := one(first)", "s2: beta := three(third)", "?: }", "s2: gamma := four(fourth)", "s1: omega := two(second)")
		if note := s.note(first); !strings.Contains(note, `"alike":true`) {
			s.t.Errorf("the note on the first commit does not say which line it takes back: %s", note)
		}
	}},
	{"alike: the same, rebased onto another base", func(s *story) {
		s.git("switch", "-qc", "side")
		s.agent("s1", "a.go", "alpha := one(first)", "}", "omega := two(second)")
		s.commit("s1's work")
		s.agent("s2", "a.go", "alpha := one(first)", "omega := two(second)")
		s.agent("s2", "a.go", "alpha := one(first)", "beta := three(third)", "}", "gamma := four(fourth)", "omega := two(second)")
		s.commit("s2's work")
		s.git("switch", "-q", "main")
		s.put("b.go", "mine := byHand(two)")
		s.commit("meanwhile")
		s.git("switch", "-q", "side")
		s.git("rebase", "-q", "main")
		s.want("a.go", "s1: alpha := one(first)", "s2: beta := three(third)", "?: }", "s2: gamma := four(fourth)", "s1: omega := two(second)")
	}},
	{"alike: the same, and the file has another name since", func(s *story) {
		s.agent("s1", "a.go", "alpha := one(first)", "}", "omega := two(second)", "delta := five(fifth)")
		s.commit("s1's work")
		s.git("mv", "a.go", "b.go")
		s.agent("s2", "b.go", "alpha := one(first)", "omega := two(second)", "delta := five(fifth)")
		s.agent("s2", "b.go", "alpha := one(first)", "beta := three(third)", "}", "gamma := four(fourth)", "omega := two(second)", "delta := five(fifth)")
		s.commit("s2's work")
		got := s.blame("b.go")
		if got[2] == "s1: }" {
			s.t.Errorf("a bracket that s2 wrote is s1's: %s", strings.Join(got, "\n"))
		}
	}},
	{"moved to a new file while another was committed and synced", func(s *story) {
		block := []string{"alpha := one(first)", "beta := two(second)", "gamma := three(third)", "delta := four(fourth)"}
		s.put("a.go", "package a", "last := line(a)")
		s.put("c.go", "package c")
		s.commit("base")
		s.look()
		s.agent("s1", "a.go", append(append([]string{"package a"}, block...), "last := line(a)")...)
		s.agent("s2", "c.go", "package c", "other := thing(c)")
		s.agent("s2", "a.go", "package a", "last := line(a)", "next := line(b)")
		s.agent("s2", "b.go", block...)
		s.git("add", "c.go")
		s.committed("commit", "-qm", "c alone")
		s.look()
		s.commit("the rest")
		s.want("b.go", "s1: alpha := one(first)", "s1: beta := two(second)", "s1: gamma := three(third)", "s1: delta := four(fourth)")
	}},
	{"alike: one of two blank lines is deleted, by whom it was not written", func(s *story) {
		s.agent("s1", "a.go", "alpha := one(first)", "", "omega := two(second)")
		s.put("a.go", "alpha := one(first)", "", "", "omega := two(second)")
		s.commit("a blank line more")
		s.want("a.go", "s1: alpha := one(first)", "?: ", "?: ", "s1: omega := two(second)")
	}},
	{"alike: a whole block in one piece, its inner brackets are known", func(s *story) {
		s.agent("s1", "a.go", "func first() {", "}", "", "func last() {", "}")
		s.commit("s1's work")
		s.agent("s2", "a.go", "func first() {", "}", "", "func middle() {", "\tif x {", "\t}", "}", "", "func last() {", "}")
		s.commit("s2's work")
		// Which of the brackets and blank lines at its ends are new nobody can tell.
		s.want("a.go", "s1: func first() {", "?: }", "?: ", "s2: func middle() {", "s2: \tif x {", "s2: \t}", "?: }", "?: ", "s1: func last() {", "s1: }")
	}},
	{"extra: notes made one by one are those made at once", func(s *story) {
		s.agent("s1", "a.go", "alpha := one()", "beta := two()")
		one := s.commit("one")
		s.blame("a.go")
		s.put("a.go", "\talpha := one()", "\tbeta := two()", "mine := byHand()")
		s.agent("s2", "a.go", "\talpha := one()", "\tbeta := two()", "mine := byHand()", "gamma := three()")
		two := s.commit("two")
		s.want("a.go", "s1: \talpha := one()", "s1: \tbeta := two()", "ada: mine := byHand()", "s2: gamma := three()")
		was := []string{s.note(one), s.note(two)}
		s.git("update-ref", "-d", "refs/notes/stemma")
		s.blame("a.go")
		for i, now := range []string{s.note(one), s.note(two)} {
			if !sameNote([]byte(now), []byte(was[i])) {
				s.t.Errorf("at once\n%s\none by one\n%s", now, was[i])
			}
		}
	}},
	{"extra: the same message twice", func(s *story) {
		s.agent("s1", "a.go", "alpha := one()")
		s.commit("work")
		s.agent("s2", "b.go", "beta := two()")
		s.commit("work")
		s.want("a.go", "s1: alpha := one()")
		s.want("b.go", "s2: beta := two()")
	}},
	{"extra: a branch is deleted and made again", func(s *story) {
		s.git("switch", "-qc", "side")
		s.agent("s1", "a.go", "alpha := one()")
		id := s.commit("work")
		s.git("switch", "-q", "main")
		s.git("branch", "-qD", "side")
		s.git("switch", "-qc", "side", id)
		s.want("a.go", "s1: alpha := one()")
	}},
	{"extra: the reflog is pruned", func(s *story) {
		s.git("switch", "-qc", "side")
		s.agent("s1", "a.go", "alpha := one()")
		s.commit("work")
		s.blame("a.go")
		s.git("commit", "-q", "--amend", "-m", "reworded")
		s.git("reflog", "expire", "--expire=now", "--all")
		s.want("a.go", "s1: alpha := one()")
	}},
	{"extra: a hook of git writes another subject", func(s *story) {
		s.hook("commit-msg", `sed -i.was "1s/.*/ABC-1: rewritten/" "$1"`)
		s.agent("s1", "a.go", "alpha := one()")
		s.put("b.go", "mine := byHand()")
		s.commit("as the person wrote it")
		if subject := s.git("log", "-1", "--format=%s"); subject != "ABC-1: rewritten" {
			s.t.Fatalf("the subject is %q", subject)
		}
		s.want("a.go", "s1: alpha := one()")
		s.want("b.go", "ada: mine := byHand()")
		s.committed("commit", "-q", "--amend", "-m", "and again")
		s.want("a.go", "s1: alpha := one()")
	}},
	{"extra: notes in a tree of mixed fan-out, beside what is no note", func(s *story) {
		s.agent("s1", "a.go", "alpha := one()")
		one := s.commit("one")
		s.agent("s2", "b.go", "beta := two()")
		two := s.commit("two")
		s.blame("a.go")
		blob := func(commit string) string { return s.git("rev-parse", "refs/notes/stemma:"+commit) }
		a, b := blob(one), blob(two)
		s.git("read-tree", "--empty")
		s.git("update-index", "--add", "--cacheinfo", "100644,"+a+","+one[:2]+"/"+one[2:])
		s.git("update-index", "--add", "--cacheinfo", "100644,"+b+","+two[:2]+"/"+two[2:4]+"/"+two[4:])
		s.git("update-index", "--add", "--cacheinfo", "100644,"+a+",no/note")
		s.git("update-ref", "refs/notes/stemma", s.git("commit-tree", s.git("write-tree"), "-m", "notes"))
		s.git("read-tree", "HEAD")
		s.want("a.go", "s1: alpha := one()")
		s.want("b.go", "s2: beta := two()")
		s.agent("s3", "c.go", "gamma := three()")
		s.commit("three")
		s.want("c.go", "s3: gamma := three()")
		s.want("a.go", "s1: alpha := one()")
	}},
	{"extra: a ref of notes that holds no notes", func(s *story) {
		s.agent("s1", "a.go", "alpha := one()")
		s.commit("one")
		s.git("update-ref", "refs/notes/stemma", s.git("commit-tree", s.git("rev-parse", "HEAD^{tree}"), "-m", "not notes"))
		s.want("a.go", "s1: alpha := one()")
	}},
	{"extra: notes are pushed by two at once", func(s *story) {
		remote := s.dir + "-remote.git"
		s.git("clone", "-q", "--bare", s.dir, remote)
		s.git("remote", "add", "origin", remote)
		s.agent("s1", "a.go", "alpha := one()")
		s.commit("one")
		s.git("push", "-q", "origin", "main")
		other := s.dir + "-other"
		s.git("clone", "-q", remote, other)
		mine := s.dir
		s.dir = other
		s.git("config", "user.name", "Ben")
		s.git("config", "user.email", "ben@example.com")
		s.healthy()
		s.agent("s2", "b.go", "beta := two()")
		s.commit("two")
		s.git("push", "-q", "origin", "main")
		var both sync.WaitGroup
		for _, dir := range []string{mine, other} {
			both.Go(func() {
				var out, errOut bytes.Buffer
				if code := execute(s.t.Context(), []string{"-R", dir, "sync", "--push", "origin"}, &out, &errOut); code != exitOK {
					s.t.Errorf("sync --push: exit %d: %s", code, errOut.String())
				}
			})
		}
		both.Wait()
		third := mine + "-third"
		s.git("clone", "-q", remote, third)
		s.dir = third
		s.git("fetch", "-q", "origin", "refs/notes/*:refs/notes/*")
		s.want("a.go", "s1: alpha := one()")
		s.want("b.go", "s2: beta := two()")
	}},
	{"extra: a commit without a difference", func(s *story) {
		s.agent("s1", "a.go", "alpha := one()")
		s.commit("work")
		s.committed("commit", "-q", "--allow-empty", "-m", "nothing")
		s.want("a.go", "s1: alpha := one()")
	}},
	{"extra: bytes that are no text, in a path and in a file", func(s *story) {
		s.tool("s1", "Bash", "", func() { s.put("caf\xe9.go", "alpha := \"\xff\xfe\"") })
		s.commit("work")
		s.want("caf\xe9.go", "s1: alpha := \"\ufffd\"")
	}},
}
