package native

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/notes"
)

func sample() Note {
	return Note{
		Version: version, Algorithm: 1, Input: "ab",
		Sessions: []Session{{Agent: "claude-code", ID: "s1", Version: "2.1", Model: "claude-opus-4-5-20251101"}, {Agent: "codex", ID: "s/2\n"}},
		People:   []string{"0011"},
		Files: []File{
			{Path: "a b.go", Own: []Part{
				{Ranges: []notes.Range{{Start: 1, End: 4}, {Start: 7, End: 7}}, Class: stemma.ClassAI, Session: 0, Person: -1},
				{Ranges: []notes.Range{{Start: 5, End: 5}}, Class: stemma.ClassAIEdited, Session: 1, Person: 0},
				{Ranges: []notes.Range{{Start: 6, End: 6}}, Class: stemma.ClassHuman, Session: -1, Person: 0},
			}},
			{Path: "not\xffUTF-8", Own: []Part{{Ranges: []notes.Range{{Start: 1, End: 2}}, Class: stemma.ClassUnknown, Session: -1, Person: -1, May: []int{1}}}},
		},
		Gaps: []string{"a hook after the edit is missing"},
	}
}

func TestNoteComesBackAsItWasWritten(t *testing.T) {
	blob, err := Encode(sample())
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(blob)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample(), got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestEvidenceOfANote(t *testing.T) {
	blob, _ := Encode(sample())
	e, err := Source{}.Decode("", blob)
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Claims) != 4 || len(e.Sessions) != 2 || len(e.Problems) != 1 {
		t.Errorf("evidence %+v", e)
	}
	if c := e.Claims[2]; c.Class != stemma.ClassHuman || c.Person != "0011" || c.Strength.Assertion != stemma.Inferred {
		t.Errorf("the person's claim is %+v", c)
	}
	if m := e.Sessions[0].Model; m.Key() != "anthropic/claude-opus-4-5-20251101" {
		t.Errorf("model %q", m.Key())
	}
}

func TestBadNotesAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"empty":              ``,
		"not JSON":           `hello`,
		"two values":         `{"stemma":1}{"stemma":1}`,
		"another version":    `{"stemma":2}`,
		"no session":         `{"stemma":1,"files":[{"path":"a","lines":[{"ranges":"1","class":"ai","session":0}]}]}`,
		"ai of nobody":       `{"stemma":1,"files":[{"path":"a","lines":[{"ranges":"1","class":"ai"}]}]}`,
		"ranges backwards":   `{"stemma":1,"files":[{"path":"a","lines":[{"ranges":"4-2","class":"human"}]}]}`,
		"ranges overlap":     `{"stemma":1,"files":[{"path":"a","lines":[{"ranges":"1-4,4","class":"human"}]}]}`,
		"a class nobody has": `{"stemma":1,"files":[{"path":"a","lines":[{"ranges":"1","class":"alien"}]}]}`,
		"no path":            `{"stemma":1,"files":[{"lines":[]}]}`,
		"an unnamed session": `{"stemma":1,"sessions":[{"agent":"codex"}]}`,
	} {
		_, err := Decode([]byte(text))
		var fault *notes.DecodeError
		if !errors.As(err, &fault) || !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("%s: %v, want a DecodeError", name, err)
		}
	}
	if _, err := Decode([]byte(`{"stemma":1,"of":"tomorrow"}`)); err != nil {
		t.Errorf("a field of a later version: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	blob, _ := Encode(sample())
	f.Add(string(blob))
	f.Add(strings.Replace(string(blob), "1-4", "1-4000000000", 1))
	f.Fuzz(func(t *testing.T, text string) {
		n, err := Decode([]byte(text))
		if err != nil {
			return
		}
		again, err := Encode(n)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Decode(again)
		if err != nil {
			t.Fatalf("%v after writing %s", err, again)
		}
		if third, err := Encode(m); err != nil || string(third) != string(again) {
			t.Fatalf("%v: %s became %s", err, again, third)
		}
	})
}

func TestNoteOfEvidenceSaysTheSame(t *testing.T) {
	e := notes.Evidence{
		Source: Name, Whole: -1, Problems: []string{"a gap"},
		Sessions: []notes.Session{{Agent: "codex", ID: "a"}, {Agent: "claude-code", ID: "b", Model: stemma.ParseModel("claude-opus-4-5-20251101")}},
		Claims: []notes.Claim{
			{Path: "x", Ranges: []notes.Range{{Start: 1, End: 2}}, Class: stemma.ClassAI, Session: 1},
			{Path: "x", Ranges: []notes.Range{{Start: 3, End: 3}}, Class: stemma.ClassHuman, Session: -1, Person: "p", Strength: stemma.Strength{Assertion: stemma.Observed}},
			{Path: "x", Ranges: []notes.Range{{Start: 4, End: 5}}, Class: stemma.ClassUnknown, Session: 0},
			{Path: "x", Ranges: []notes.Range{{Start: 4, End: 5}}, Class: stemma.ClassUnknown, Session: 1},
			{Path: "y", Ranges: []notes.Range{{Start: 1, End: 1}}, Class: stemma.ClassAIEdited, Session: 0, Person: "p"},
		},
	}
	blob, err := Encode(FromEvidence(e, 3, "ff"))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"stemma":1,"algorithm":3,"sessions":[{"agent":"codex","id":"a"},{"agent":"claude-code","id":"b","model":"claude-opus-4-5-20251101"}],"people":["p"],` +
		`"files":[{"path":"x","lines":[{"ranges":"1-2","class":"ai","session":1},{"ranges":"3","class":"human","person":0,"observed":true},` +
		`{"ranges":"4-5","class":"unknown","may":[0,1]}]},{"path":"y","lines":[{"ranges":"1","class":"ai-edited","session":0,"person":0}]}],"input":"ff","gaps":["a gap"]}` + "\n"
	if got := string(blob); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestChoiceOfTwoNotesIsTheSameInEveryOrder(t *testing.T) {
	whole := []byte(`{"stemma":1,"input":"a"}`)
	gap := []byte(`{"stemma":1,"input":"b","gaps":["x"]}`)
	more := []byte(`{"stemma":1,"input":"longer"}`)
	broken := []byte(`{`)
	root := "\n" + strings.Repeat("A", 43) + "=\n\n\u2014 log AAAA\n"
	at := func(size string) []byte {
		text, err := Encode(Note{Input: "a", Checkpoint: "log\n" + size + root})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for _, test := range []struct{ a, b, want []byte }{
		{whole, gap, whole},
		{whole, broken, whole},
		{whole, more, more},
		{gap, broken, gap},
		{whole, whole, whole},
		{[]byte(`{"stemma":1,"input":"c"}`), whole, whole},
		{at("9"), at("10"), at("10")},
		{at("10"), whole, at("10")},
		{at("10"), more, more},
		{at("10"), gap, at("10")},
	} {
		if got, other := Choose(test.a, test.b), Choose(test.b, test.a); string(got) != string(test.want) || string(other) != string(test.want) {
			t.Errorf("of %s and %s: %s and %s, want %s", test.a, test.b, got, other, test.want)
		}
	}
	if !Same(at("9"), at("10")) || Same(at("9"), more) || Same(whole, broken) {
		t.Error("two notes are the same where they say the same, whatever their checkpoints")
	}
}

// TestLinesAreTakenBack is about lines that a later commit made alike to others:
// whichever comes first, and however often, the note is the same, and what is known
// to be of the same writer stays.
func TestLinesAreTakenBack(t *testing.T) {
	note := func() Note {
		return Note{
			Algorithm: 7, Input: "00", Sessions: []Session{{Agent: "claude-code", ID: "s1"}, {Agent: "codex", ID: "s2"}}, People: []string{"ada"},
			Files: []File{
				{Path: "a.go", Own: []Part{
					{Ranges: []notes.Range{{Start: 1, End: 4}, {Start: 9, End: 9}}, Class: stemma.ClassAI, Session: 0, Person: -1},
					{Ranges: []notes.Range{{Start: 5, End: 5}}, Class: stemma.ClassHuman, Session: -1, Person: 0},
					{Ranges: []notes.Range{{Start: 6, End: 6}}, Class: stemma.ClassUnknown, Session: -1, Person: -1, May: []int{1}},
				}},
				{Path: "b.go", Own: []Part{{Ranges: []notes.Range{{Start: 1, End: 1}}, Class: stemma.ClassAI, Session: 1, Person: -1}}},
			},
		}
	}
	twins := []Twin{
		{Path: "a.go", Line: 3},
		{Path: "a.go", Line: 1, Session: "codex/s2"},
		{Path: "a.go", Line: 5},
		{Path: "a.go", Line: 6},
		{Path: "a.go", Line: 2, Session: "claude-code/s1"},
		{Path: "b.go", Line: 1, Session: "codex/s2"},
		{Path: "b.go", Line: 7},
		{Path: "c.go", Line: 1},
	}
	want := note()
	want.Files[0].Own = []Part{
		{Ranges: []notes.Range{{Start: 2, End: 2}, {Start: 4, End: 4}, {Start: 9, End: 9}}, Class: stemma.ClassAI, Session: 0, Person: -1},
		{Ranges: []notes.Range{{Start: 6, End: 6}}, Class: stemma.ClassUnknown, Session: -1, Person: -1, May: []int{1}},
		{Ranges: []notes.Range{{Start: 5, End: 5}}, Class: stemma.ClassUnknown, Session: -1, Person: -1, Alike: true},
		{Ranges: []notes.Range{{Start: 1, End: 1}, {Start: 3, End: 3}}, Class: stemma.ClassUnknown, Session: -1, Person: -1, May: []int{0}, Alike: true},
	}
	for range 20 {
		n := note()
		rand.Shuffle(len(twins), func(i, j int) { twins[i], twins[j] = twins[j], twins[i] })
		if !Withdraw(&n, twins) || !reflect.DeepEqual(n, want) {
			t.Fatalf("after %+v:\n%+v\nwant\n%+v", twins, n, want)
		}
		if Withdraw(&n, twins) {
			t.Fatal("taken back again, the note changed")
		}
		blob, err := Encode(n)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(blob)
		if err != nil {
			t.Fatal(err)
		}
		again := note()
		if !TakeOver(&again, back) || TakeOver(&again, back) || !reflect.DeepEqual(again, want) {
			t.Fatalf("a note made anew, with what the old one had taken back:\n%+v\nwant\n%+v", again, want)
		}
		e, err := Source{}.Decode("", blob)
		if err != nil {
			t.Fatal(err)
		}
		open := 0
		for _, c := range e.Claims {
			if c.Class == stemma.ClassUnknown && c.Session < 0 {
				open += len(c.Ranges)
			}
		}
		if open != 3 {
			t.Fatalf("%d ranges are nobody's to tell, want 3: %+v", open, e.Claims)
		}
	}
}

func TestNoteThatOnlyTakesBack(t *testing.T) {
	first := TakeBack(7, []Twin{{Path: "b.go", Line: 4}, {Path: "a.go", Line: 9}, {Path: "a.go", Line: 2}, {Path: "a.go", Line: 9}})
	blob, err := Encode(first)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(blob)
	if err != nil {
		t.Fatal(err)
	}
	again := TakeBack(7, []Twin{{Path: "a.go", Line: 5}}, back)
	want := map[string][]notes.Range{"a.go": {{Start: 2, End: 2}, {Start: 5, End: 5}, {Start: 9, End: 9}}, "b.go": {{Start: 4, End: 4}}}
	if got := again.taken(); !reflect.DeepEqual(got, want) || again.Input != "" {
		t.Errorf("got %v, want %v", got, want)
	}
	if other, err := Encode(TakeBack(7, nil, again)); err != nil || !Same(other, mustEncode(t, again)) {
		t.Errorf("taken back once more: %s (%v)", other, err)
	}
}

func mustEncode(t *testing.T, n Note) []byte {
	t.Helper()
	blob, err := Encode(n)
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

// TestWhatWasTakenBackStaysSo is about notes of two machines: whichever is chosen,
// it takes back what the other did. The one that knew more was once chosen as it was.
func TestWhatWasTakenBackStaysSo(t *testing.T) {
	note := func(lines ...int) []byte {
		n := Note{
			Algorithm: 7, Input: "00", Sessions: []Session{{Agent: "claude-code", ID: "s1"}}, People: []string{"ada"},
			Files: []File{{Path: "a.go", Own: []Part{
				{Ranges: []notes.Range{{Start: 1, End: 1}}, Class: stemma.ClassAIEdited, Session: 0, Person: 0},
				{Ranges: []notes.Range{{Start: 2, End: 9}}, Class: stemma.ClassAI, Session: 0, Person: -1},
			}}},
		}
		for _, l := range lines {
			Withdraw(&n, []Twin{{Path: "a.go", Line: l}})
		}
		return mustEncode(t, n)
	}
	alone := mustEncode(t, TakeBack(7, []Twin{{Path: "a.go", Line: 8}}))
	want := note(1, 3, 5, 8)
	all := [][]byte{note(), note(1), note(3), note(5), alone}
	for range 30 {
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		got := all[0]
		for _, b := range all[1:] {
			got = Choose(got, b)
		}
		if !Same(got, want) {
			t.Fatalf("got %s\nwant %s", got, want)
		}
	}
	both := Choose(alone, mustEncode(t, TakeBack(7, []Twin{{Path: "a.go", Line: 2}})))
	if n, err := Decode(both); err != nil || len(n.taken()["a.go"]) != 2 {
		t.Errorf("of two that only take back: %s (%v)", both, err)
	}
	// Notes that may be anybody's: all lines that there can be, a million times, and
	// a line that is known and taken back at once.
	hostileNote := func(own ...Part) []byte {
		return mustEncode(t, Note{Input: "00", Sessions: []Session{{Agent: "claude-code", ID: "s1"}}, Files: []File{{Path: "a.go", Own: own}}})
	}
	every := []notes.Range{{Start: 1, End: maxLine}}
	known := Part{Ranges: every, Class: stemma.ClassAI, Session: 0, Person: -1}
	taken := Part{Ranges: every, Class: stemma.ClassUnknown, Session: -1, Person: -1, Alike: true}
	got, err := Decode(Choose(hostileNote(known), hostileNote(slices.Repeat([]Part{taken}, 10_000)...)))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range got.Files[0].Own {
		if p.Class != stemma.ClassUnknown {
			t.Errorf("of a note that takes all back, %+v is left", p)
		}
	}
	hostile := Note{
		Input: "00", Sessions: []Session{{Agent: "claude-code", ID: "s1"}},
		Files: []File{{Path: "a.go", Own: []Part{
			{Ranges: []notes.Range{{Start: 5, End: 5}}, Class: stemma.ClassAI, Session: 0, Person: -1},
			{Ranges: []notes.Range{{Start: 1, End: 10}}, Class: stemma.ClassUnknown, Session: -1, Person: -1, May: []int{0}, Alike: true},
		}}},
	}
	if !Withdraw(&hostile, []Twin{{Path: "a.go", Line: 5}}) {
		t.Error("a line that is known and taken back was left known")
	}
	if _, err := Decode(mustEncode(t, hostile)); err != nil {
		t.Errorf("the note can not be read any more: %v", err)
	}
}

func TestSplit(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	some := func() (ranges []notes.Range, is [40]bool) {
		for n := 1 + rnd.IntN(4); n < 40; n += 1 + rnd.IntN(6) {
			end := min(39, n+rnd.IntN(5))
			ranges = append(ranges, notes.Range{Start: n, End: end})
			for ; n <= end; n++ {
				is[n] = true
			}
		}
		return ranges, is
	}
	for range 2000 {
		ranges, of := some()
		by, cut := some()
		in, rest := split(ranges, by)
		var gotIn, gotRest [40]bool
		for _, r := range in {
			for n := r.Start; n <= r.End; n++ {
				gotIn[n] = true
			}
		}
		for _, r := range rest {
			for n := r.Start; n <= r.End; n++ {
				gotRest[n] = true
			}
		}
		for n := range 40 {
			if gotIn[n] != (of[n] && cut[n]) || gotRest[n] != (of[n] && !cut[n]) {
				t.Fatalf("seed %d: %v by %v is %v and %v", seed, ranges, by, in, rest)
			}
		}
	}
}
