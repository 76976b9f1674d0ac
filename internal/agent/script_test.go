package agent

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma"
)

func scriptOf(texts ...string) Script {
	s := Session{Agent: "claude-code", ID: "s"}
	for i := 0; i < len(texts); i += 2 {
		turn := &Turn{Index: i/2 + 1, Prompt: &Text{Text: texts[i]}}
		if i+1 < len(texts) {
			turn.Answer = &Text{Text: texts[i+1]}
		}
		s.Turns = append(s.Turns, turn)
	}
	return ScriptOf(&s, "vault:x")
}

func TestFind(t *testing.T) {
	script := scriptOf("Round to\ncents, İstanbul", "DONE: Ärger mit ÜBERTRÄGEN", "and", "again cents")
	for _, c := range []struct {
		words string
		turn  int
		in    string // "prompt", "answer", or "" where it is not found
		near  string
	}{
		{"round TO cents", 1, "prompt", "Round to cents, İstanbul"},
		{"done", 1, "answer", "DONE: Ärger mit ÜBERTRÄGEN"},
		{"überträgen", 1, "answer", "DONE: Ärger mit ÜBERTRÄGEN"},
		{"STANBUL", 1, "prompt", "Round to cents, İstanbul"},
		{"again", 2, "answer", "again cents"},
		{"anddone", 0, "", ""},
		{"istanbuldone", 0, "", ""}, // of two parts
		{"nowhere", 0, "", ""},
	} {
		found, ok := NewSearcher([]string{c.words}).Find(script, func(int) bool { return true })
		if ok != (c.in != "") {
			t.Errorf("Find(%q) = %v, %t", c.words, found, ok)
			continue
		}
		if ok && (found[0].Turn != c.turn || found[0].Answer != (c.in == "answer") || found[0].Near != c.near) {
			t.Errorf("Find(%q) = %+v, want turn %d, %s, %q", c.words, found[0], c.turn, c.in, c.near)
		}
	}
	two := NewSearcher([]string{"round", "nowhere"})
	if _, ok := two.Find(script, func(int) bool { return true }); ok {
		t.Error("one of two words is enough")
	}
	if _, ok := two.Find(script, func(i int) bool { return i == 0 }); !ok {
		t.Error("a word that is not wanted is looked for")
	}
	long := scriptOf(strings.Repeat("ä", 500) + "needle" + strings.Repeat("ö", 500))
	found, ok := NewSearcher([]string{"needle"}).Find(long, func(int) bool { return true })
	if !ok || !strings.HasPrefix(found[0].Near, "…ä") || !strings.HasSuffix(found[0].Near, "ö…") || len(found[0].Near) > 120 {
		t.Errorf("found %+v", found)
	}
}

func TestScripts(t *testing.T) {
	want := []Script{scriptOf("a", "b", "", "c"), scriptOf(), scriptOf("☃")}
	var data []byte
	for _, s := range want {
		data = AppendScript(data, s)
	}
	got, err := Scripts(string(data))
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Scripts = %v (-put +got):\n%s", err, diff)
	}
	for cut := 1; cut < len(data); cut++ {
		if all, err := Scripts(string(data[:cut])); err == nil && len(all) == len(want) || err != nil && !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("cut at %d: %d scripts, %v", cut, len(all), err)
		}
	}
}

// FuzzScripts decodes scripts: what is decoded is encoded as it was, and can be
// searched.
func FuzzScripts(f *testing.F) {
	f.Add(string(AppendScript(AppendScript(nil, scriptOf("a", "b")), scriptOf("ÄÖ"))), "b")
	f.Add("\x01a\x01b\x01\x02\x05\x05hello", "l")
	f.Add("\x01a\x01b\xff\xff\xff\xff\x0f", "")
	f.Fuzz(func(t *testing.T, data, word string) {
		all, err := Scripts(data)
		if err != nil {
			if !errors.Is(err, stemma.ErrInvalid) {
				t.Fatalf("Scripts = %v, want ErrInvalid", err)
			}
			return
		}
		var again []byte
		s := NewSearcher([]string{word})
		for _, script := range all {
			again = AppendScript(again, script)
			s.Find(script, func(int) bool { return true })
		}
		same, err := Scripts(string(again))
		if diff := cmp.Diff(all, same); err != nil || diff != "" {
			t.Errorf("encoded and decoded again, %v (-first +again):\n%s", err, diff)
		}
	})
}
