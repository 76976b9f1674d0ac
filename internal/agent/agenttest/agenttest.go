// Package agenttest answers whether a decoder keeps the contract of package
// agent. [Run] is the suite that every child runs over its own transcripts;
// [Fuzz] is its fuzz target.
package agenttest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
)

var update = flag.Bool("update", false, "write the golden files of transcripts anew")

// Suite says what the suite needs to know of a decoder.
type Suite struct {
	Decoder agent.Decoder
	// Transcripts are globs of transcripts in testdata; beside each lies what it
	// holds, in <name>.golden.
	Transcripts string
	// Document says that a transcript is one JSON document, that is rewritten as
	// a whole, and not a file of lines that grows.
	Document bool
	// ID is the id of the session that the first transcript holds, in every
	// place where it stands in quotes; "" where the file's name is it.
	ID string
}

// Run runs the suite.
func Run(t *testing.T, s Suite) {
	paths, err := filepath.Glob(s.Transcripts)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no transcripts at %s: %v", s.Transcripts, err)
	}
	paths = slices.DeleteFunc(paths, func(p string) bool { return strings.HasSuffix(p, ".golden") })
	for i, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			golden(t, s, path)
			recognised(t, s, path)
			grows(t, s, text)
			cyclic(t, s, text)
			if i == 0 {
				huge(t, s, text)
			}
			if s.Document {
				cutDocument(t, s, text)
				replaced(t, s, text)
				return
			}
			cutAnywhere(t, s, text)
			rewritten(t, s, text)
			tomorrow(t, s, text)
			twoAgents(t, s, text)
			longLine(t, s, text)
		})
	}
	t.Run("odd ids", func(t *testing.T) {
		if s.ID != "" {
			oddIDs(t, s, paths[0])
		} else {
			oddNames(t, s, paths[0])
		}
	})
}

// Bytes is a transcript that lies in memory.
func Bytes(text []byte) *agent.Source {
	return &agent.Source{Body: bytes.NewReader(text), Size: int64(len(text))}
}

// read reads with a state that went through JSON, as it does between processes.
func read(t testing.TB, d agent.Decoder, text []byte, from agent.State) agent.Reading {
	t.Helper()
	kept, err := json.Marshal(from)
	if err != nil {
		t.Fatalf("keep the state: %v", err)
	}
	var again agent.State
	if err := json.Unmarshal(kept, &again); err != nil {
		t.Fatalf("take up the state: %v", err)
	}
	r, err := d.Read(context.Background(), Bytes(text), again)
	if err != nil {
		t.Fatalf("Read(%d bytes): %v", len(text), err)
	}
	Check(t, r)
	return r
}

// same compares sessions but for what never leaves memory.
func same(a, b []agent.Session) string {
	return cmp.Diff(a, b, cmpopts.IgnoreFields(agent.Call{}, "Edits"), cmpopts.EquateEmpty())
}

// Check holds what every reading must fulfil, however hostile the transcript.
func Check(t testing.TB, r agent.Reading) {
	t.Helper()
	for _, s := range r.Sessions {
		if s.Agent == "" || !utf8.ValidString(s.ID) {
			t.Errorf("session %q/%q: want an agent and an id that is UTF-8", s.Agent, s.ID)
		}
		last := 0
		for _, turn := range s.Turns {
			if turn.Index <= last {
				t.Errorf("session %q: turn %d comes after turn %d", s.ID, turn.Index, last)
			}
			last = turn.Index
			for _, text := range []*agent.Text{turn.Prompt, turn.Answer} {
				if text != nil && (len(text.Text) > agent.MaxText+3 || !utf8.ValidString(text.Text)) {
					t.Errorf("session %q: turn %d: a text of %d bytes, valid %t", s.ID, turn.Index, len(text.Text), utf8.ValidString(text.Text))
				}
			}
			for _, c := range turn.Calls {
				if c.Kind == "" {
					t.Errorf("session %q: call %q without a kind", s.ID, c.Name)
				}
			}
		}
		if key := s.Key(); len(key) < 2 {
			t.Errorf("session %q has the key %q", s.ID, key)
		}
		for _, g := range s.Gaps {
			if g.Count < 1 || g.Reason == "" || g.Kind == "" {
				t.Errorf("session %q: gap %+v", s.ID, g)
			}
		}
	}
}

func golden(t *testing.T, s Suite, path string) {
	t.Helper()
	src, closer, err := agent.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	r, err := s.Decoder.Read(t.Context(), src, agent.State{})
	if err != nil {
		t.Fatalf("Read(%s): %v", path, err)
	}
	Check(t, r)
	Golden(t, path, r)
}

// Golden compares a reading with the golden file beside path, or writes that
// where the test was called with -update.
func Golden(t *testing.T, path string, r agent.Reading) {
	t.Helper()
	got, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(path+".golden", got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path + ".golden")
	if err != nil {
		t.Fatalf("%v (call the test with -update, and read what it wrote)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is read otherwise than its golden file says (-want +got):\n%s", path, diff)
	}
}

func recognised(t *testing.T, s Suite, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Decoder.Recognises("", text[:min(len(text), 64<<10)]) {
		t.Errorf("Recognises(%s) = false for its own transcript", path)
	}
	for n := range min(len(text), 2000) {
		s.Decoder.Recognises("", text[:n]) // wherever the head ends
	}
	for _, foreign := range []string{"", "{", "null\n", "\x00\xff", "SQLite format 3\x00", "# notes\n"} {
		if s.Decoder.Recognises("notes.txt", []byte(foreign)) {
			t.Errorf("Recognises(%q) = true", foreign)
		}
	}
}

// cutAnywhere reads a transcript that was cut at a byte, and goes on when the
// rest is there.
func cutAnywhere(t *testing.T, s Suite, text []byte) {
	t.Helper()
	whole := agent.Fold(nil, read(t, s.Decoder, text, agent.State{}))
	step := max(1, len(text)/60)
	for cut := 0; cut < len(text); cut += step {
		first := read(t, s.Decoder, text[:cut], agent.State{})
		second := read(t, s.Decoder, text, first.State)
		if second.Replaced {
			t.Errorf("cut at %d: what follows passes for something else", cut)
		}
		if diff := same(whole, agent.Fold(agent.Fold(nil, first), second)); diff != "" {
			t.Fatalf("cut at byte %d of %d, the parts are not the whole (-whole +parts):\n%s", cut, len(text), diff)
		}
	}
	// Growing line by line, as it does under the agent's hands.
	var known []agent.Session
	var state agent.State
	for cut := range text {
		if text[cut] != '\n' && cut != len(text)-1 {
			continue
		}
		r := read(t, s.Decoder, text[:cut+1], state)
		known, state = agent.Fold(known, r), r.State
	}
	if diff := same(whole, known); diff != "" {
		t.Errorf("line by line, the parts are not the whole (-whole +parts):\n%s", diff)
	}
}

func rewritten(t *testing.T, s Suite, text []byte) {
	t.Helper()
	first := read(t, s.Decoder, text, agent.State{})
	other := bytes.Clone(text)
	i := bytes.LastIndexByte(other, '}')
	other[i-1] ^= 0 // the same length
	changed := bytes.Replace(other, []byte("e"), []byte("E"), 1)
	again := read(t, s.Decoder, changed, first.State)
	if !again.Replaced || len(again.Sessions) > 0 && !hasGap(again.Sessions, agent.GapRewritten) {
		t.Errorf("rewritten in place: Replaced = %t, gaps %v", again.Replaced, gaps(again.Sessions))
	}
	shorter := read(t, s.Decoder, text[:len(text)/2], first.State)
	if !shorter.Replaced {
		t.Error("half of it gone: Replaced = false")
	}
	same := read(t, s.Decoder, text, first.State)
	if same.Replaced || same.Bytes != 0 {
		t.Errorf("nothing new: Replaced = %t, %d bytes were read", same.Replaced, same.Bytes)
	}
}

// tomorrow adds what no version has today: the rest stays as it is.
func tomorrow(t *testing.T, s Suite, text []byte) {
	t.Helper()
	want := read(t, s.Decoder, text, agent.State{})
	var later bytes.Buffer
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(line, []byte("{\"")) {
			line = append([]byte(`{"tomorrow":{"a":[1,{"b":null}],"c":"\u00e9\ud83d\ude00"},`), line[1:]...)
		}
		later.Write(line)
	}
	later.WriteString("\n" + `{"type":"of tomorrow","payload":{"type":"new"},"role":"new"}` + "\n")
	got := read(t, s.Decoder, later.Bytes(), agent.State{})
	if diff := cmp.Diff(outline(want.Sessions), outline(got.Sessions)); diff != "" {
		t.Errorf("tomorrow's version (-today +tomorrow):\n%s", diff)
	}
	if n := count(got.Sessions, agent.GapUnknown); n <= count(want.Sessions, agent.GapUnknown) && len(got.Sessions) > 0 {
		t.Errorf("tomorrow's version: an entry nobody knows is no gap: %v", gaps(got.Sessions))
	}
}

// twoAgents puts lines of another agent, and damaged ones, into the file.
func twoAgents(t *testing.T, s Suite, text []byte) {
	t.Helper()
	want := read(t, s.Decoder, text, agent.State{})
	foreign := `{"another agent":"says","n":1}` + "\n" + `{"cut` + "\n" + "\x00\xff\xfe not JSON\n" + `[1,2]` + "\n" + strings.Repeat("[", 100_000) + "\n"
	got := read(t, s.Decoder, append(append(bytes.Clone(text), '\n'), foreign...), agent.State{})
	if diff := cmp.Diff(outline(want.Sessions), outline(got.Sessions)); diff != "" {
		t.Errorf("with lines of another agent (-without +with):\n%s", diff)
	}
	if len(got.Sessions) > 0 && count(got.Sessions, agent.GapUnreadable) < count(want.Sessions, agent.GapUnreadable)+3 {
		t.Errorf("with three damaged lines: gaps %v", gaps(got.Sessions))
	}
}

// longLine puts a line of a megabyte between the others.
func longLine(t *testing.T, s Suite, text []byte) {
	t.Helper()
	want := read(t, s.Decoder, text, agent.State{})
	line := `{"image":"` + strings.Repeat("iVBORw0KGgo", 100_000) + `"}` + "\n"
	i := bytes.IndexByte(text, '\n') + 1
	got := read(t, s.Decoder, slices.Concat(text[:i], []byte(line), text[i:]), agent.State{})
	if diff := cmp.Diff(outline(want.Sessions), outline(got.Sessions)); diff != "" {
		t.Errorf("with a line of 1 MB (-without +with):\n%s", diff)
	}
}

func oddIDs(t *testing.T, s Suite, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const odd = "a/../b\n\"\\ \x7f ☃"
	quoted, err := json.Marshal(odd)
	if err != nil {
		t.Fatal(err)
	}
	was := []byte(`"` + s.ID + `"`)
	if !bytes.Contains(text, was) {
		t.Fatalf("%s does not hold the id %q", path, s.ID)
	}
	r := read(t, s.Decoder, bytes.ReplaceAll(text, was, quoted), agent.State{})
	if !slices.ContainsFunc(r.Sessions, func(s agent.Session) bool { return s.ID == odd }) {
		t.Errorf("an id of odd characters: sessions %q", ids(r.Sessions))
	}
}

func cutDocument(t *testing.T, s Suite, text []byte) {
	t.Helper()
	for cut := 0; cut < len(text); cut += max(1, len(text)/60) {
		r, err := s.Decoder.Read(t.Context(), Bytes(text[:cut]), agent.State{})
		var d *agent.DecodeError
		if err != nil && (!errors.As(err, &d) || !errors.Is(err, stemma.ErrInvalid)) {
			t.Errorf("cut at %d: error %v is no DecodeError", cut, err)
		}
		Check(t, r)
	}
}

// replaced reads a document that was written anew.
func replaced(t *testing.T, s Suite, text []byte) {
	t.Helper()
	first := read(t, s.Decoder, text, agent.State{})
	same := read(t, s.Decoder, text, first.State)
	if same.Replaced || len(same.Sessions) > 0 {
		t.Errorf("nothing new: Replaced = %t, %d sessions", same.Replaced, len(same.Sessions))
	}
	again := read(t, s.Decoder, append(bytes.Clone(text), '\n', ' '), first.State)
	if !again.Replaced || cmp.Diff(outline(first.Sessions), outline(again.Sessions)) != "" {
		t.Errorf("written anew: Replaced = %t, sessions %q", again.Replaced, ids(again.Sessions))
	}
}

// Fuzz is the fuzz target of a decoder: whatever the bytes, it gives an error of
// the contract or sessions that keep it, and the same sessions when the bytes
// come in two parts.
func Fuzz(f *testing.F, s Suite) {
	paths, _ := filepath.Glob(s.Transcripts)
	for _, path := range paths {
		if text, err := os.ReadFile(path); err == nil && !strings.HasSuffix(path, ".golden") {
			f.Add(text, uint(len(text)/3))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, cut uint) {
		whole, err := s.Decoder.Read(t.Context(), Bytes(text), agent.State{})
		if err != nil {
			if !errors.Is(err, stemma.ErrInvalid) {
				t.Errorf("error %v is not ErrInvalid", err)
			}
			return
		}
		Check(t, whole)
		if s.Document || len(text) == 0 {
			return
		}
		part := text[:cut%uint(len(text))]
		if _, err := s.Decoder.Read(t.Context(), Bytes(part), agent.State{}); errors.Is(err, stemma.ErrInvalid) {
			return // a document, that is nothing while it is cut
		}
		first := read(t, s.Decoder, part, agent.State{})
		second := read(t, s.Decoder, text, first.State)
		if diff := same(agent.Fold(nil, whole), agent.Fold(agent.Fold(nil, first), second)); diff != "" {
			t.Errorf("cut at %d, the parts are not the whole (-whole +parts):\n%s", cut%uint(len(text)), diff)
		}
	})
}

// outline is a session without what depends on where it stands in the file.
func outline(sessions []agent.Session) []agent.Session {
	var all []agent.Session
	for _, s := range sessions {
		s.Gaps = nil
		turns := s.Turns
		s.Turns = nil
		for _, t := range turns {
			turn := *t
			turn.At, turn.Calls = agent.Span{}, nil
			for _, c := range t.Calls {
				call := *c
				call.At, call.Edits = agent.Span{}, nil
				turn.Calls = append(turn.Calls, &call)
			}
			s.Turns = append(s.Turns, &turn)
		}
		all = append(all, s)
	}
	return all
}

func gaps(sessions []agent.Session) []agent.Gap {
	var all []agent.Gap
	for _, s := range sessions {
		all = append(all, s.Gaps...)
	}
	return all
}

func hasGap(sessions []agent.Session, kind agent.GapKind) bool { return count(sessions, kind) > 0 }

func count(sessions []agent.Session, kind agent.GapKind) int {
	n := 0
	for _, g := range gaps(sessions) {
		if g.Kind == kind {
			n += g.Count
		}
	}
	return n
}

func ids(sessions []agent.Session) []string {
	var all []string
	for _, s := range sessions {
		all = append(all, s.ID)
	}
	return all
}

// Updating reports whether golden files are to be written anew.
func Updating() bool { return *update }
