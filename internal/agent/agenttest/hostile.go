package agenttest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
)

// hugeText is how long the text is that huge puts into a transcript, and
// hugeMemory what reading it may allocate for each byte of it in all: a decoder
// may hold the entry, and no copy of its text.
const (
	hugeText   = 50 << 20
	hugeMemory = 5
)

// stretched is a transcript with one place that is repeated, so that it needs no
// memory of its length.
type stretched struct {
	before, after []byte
	fill          byte
	length        int64
}

func (s stretched) source() *agent.Source {
	return &agent.Source{Body: s, Size: int64(len(s.before)) + s.length + int64(len(s.after))}
}

// Stretched is a transcript with a byte that is repeated between two parts.
func Stretched(before []byte, fill byte, length int64, after []byte) *agent.Source {
	return stretched{before, after, fill, length}.source()
}

// ReadAt implements io.ReaderAt.
func (s stretched) ReadAt(p []byte, off int64) (n int, err error) {
	at := off
	put := func(from, length int64, copyTo func(p []byte, at int64) int) {
		for at >= from && at < from+length && n < len(p) {
			m := copyTo(p[n:min(int64(len(p)), int64(n)+from+length-at)], at-from)
			n, at = n+m, at+int64(m)
		}
	}
	b, m := int64(len(s.before)), s.length
	put(0, b, func(p []byte, at int64) int { return copy(p, s.before[at:]) })
	put(b, m, func(p []byte, _ int64) int {
		for i := range p {
			p[i] = s.fill
		}
		return len(p)
	})
	put(b+m, int64(len(s.after)), func(p []byte, at int64) int { return copy(p, s.after[at:]) })
	if n < len(p) {
		err = io.EOF
	}
	return n, err
}

// huge makes a prompt of a transcript 50 MB long; or, where its text stands
// otherwise in the transcript, gives an entry another field of that length.
func huge(t *testing.T, s Suite, text []byte) {
	t.Helper()
	want := read(t, s.Decoder, text, agent.State{})
	whole, prompt := stretched{fill: 'x', length: hugeText}, (*agent.Turn)(nil)
	for _, session := range want.Sessions {
		for _, turn := range session.Turns {
			if turn.Prompt == nil || turn.Prompt.Text == "" || prompt != nil {
				continue
			}
			quoted, err := json.Marshal(turn.Prompt.Text)
			if err != nil {
				t.Fatal(err)
			}
			if i := bytes.Index(text, quoted); i >= 0 && bytes.Count(text, quoted) == 1 {
				prompt = turn
				end := i + len(quoted) - 1 // before the quote
				whole.before, whole.after = text[:end], text[end:]
			}
		}
	}
	if prompt == nil {
		first := text
		if !s.Document {
			first, _, _ = bytes.Cut(text, []byte("\n"))
		}
		i := bytes.LastIndexByte(first, '}')
		whole.before = append(bytes.Clone(text[:i]), `,"image":"`...)
		whole.after = append([]byte(`"`), text[i:]...)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := s.Decoder.Read(t.Context(), whole.source(), agent.State{})
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatalf("with a text of 50 MB: %v", err)
	}
	Check(t, got)
	if took := after.TotalAlloc - before.TotalAlloc; took > hugeMemory*hugeText {
		t.Errorf("with a text of 50 MB: %d MB were allocated", took>>20)
	}
	if prompt != nil {
		// What is kept is the beginning, and it says how long the whole is.
		for i, session := range got.Sessions {
			for j, turn := range session.Turns {
				if turn.Prompt != nil && turn.Prompt.Size >= hugeText && turn.Prompt.Cut {
					if i < len(want.Sessions) && j < len(want.Sessions[i].Turns) {
						*turn.Prompt = *want.Sessions[i].Turns[j].Prompt
						prompt = nil
					}
				}
			}
		}
		if prompt != nil {
			t.Error("with a prompt of 50 MB: no prompt says that it is as long and cut")
		}
	}
	if diff := cmp.Diff(outline(want.Sessions), outline(got.Sessions), sizes); diff != "" {
		t.Errorf("with a text of 50 MB (-without +with):\n%s", diff)
	}
}

// sizes leaves out what a longer entry changes.
var sizes = cmp.FilterPath(func(p cmp.Path) bool {
	name := p.Last().String()
	return name == ".Title" || name == ".Input"
}, cmp.Ignore())

// growing is a file to which its agent writes while it is read: each read finds
// more of it.
type growing struct {
	text []byte
	size *int
	more int
}

// ReadAt implements io.ReaderAt.
func (g growing) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	if off < int64(*g.size) {
		n = copy(p, g.text[off:*g.size])
	}
	*g.size = min(len(g.text), *g.size+g.more)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// grows reads a transcript while it grows, and goes on until all of it is there.
func grows(t *testing.T, s Suite, text []byte) {
	t.Helper()
	whole := agent.Fold(nil, read(t, s.Decoder, text, agent.State{}))
	for _, from := range []int{0, 1, len(text) / 2, len(text) - 2} {
		size := from
		var known []agent.Session
		var state agent.State
		for round := 0; ; round++ {
			was := size
			src := &agent.Source{Body: growing{text, &size, max(1, len(text)/7)}, Size: int64(was)}
			r, err := s.Decoder.Read(context.Background(), src, state)
			switch {
			case err == nil:
				Check(t, r)
				known, state = agent.Fold(known, r), r.State
			case !s.Document || !errors.Is(err, stemma.ErrInvalid):
				t.Fatalf("growing from %d: %v", from, err)
			}
			if was == len(text) {
				break
			}
			if round > 100 {
				t.Fatal("it does not end")
			}
		}
		if diff := cmp.Diff(outline(whole), outline(known)); diff != "" {
			t.Errorf("read while it grew from %d bytes, it is not the whole (-whole +grown):\n%s", from, diff)
		}
	}
}

// cyclic makes a transcript's sessions parents of one another.
func cyclic(t *testing.T, s Suite, text []byte) {
	t.Helper()
	r := read(t, s.Decoder, text, agent.State{})
	if len(r.Sessions) == 0 {
		t.Fatal("no session")
	}
	sessions := append([]agent.Session{}, r.Sessions...)
	if sessions[0].ID == "" {
		sessions[0].ID = "by the name of its file"
	}
	twin := sessions[0]
	twin.ID += " of another file"
	sessions = append(sessions, twin)
	for i := range sessions {
		before := sessions[(i+len(sessions)-1)%len(sessions)]
		sessions[i].Parent = &agent.Parent{Session: before.ID, Agent: before.Agent, Method: "a test"}
	}
	cycles := inForest(t, sessions)
	if cycles != 1 {
		t.Errorf("%d sessions that are each other's parents: %d cycles are told, want 1", len(sessions), cycles)
	}
}

// inForest holds that each session is in the forest once, and counts the places
// where parents go round.
func inForest(t testing.TB, sessions []agent.Session) (cycles int) {
	t.Helper()
	seen := make(map[string]int)
	for _, root := range agent.Forest(sessions) {
		root.Each(func(n *agent.Node) {
			seen[n.Key]++
			if n.Cyclic {
				cycles++
			}
		})
	}
	for i := range sessions {
		if key := sessions[i].Key(); seen[key] != 1 {
			t.Errorf("session %q is in the forest %d times", key, seen[key])
		}
	}
	return cycles
}

// oddNames is oddIDs for an agent whose sessions have the names of their files.
func oddNames(t *testing.T, s Suite, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const odd = "a\n\"\\ \x7f ☃"
	dir := t.TempDir()
	named := filepath.Join(dir, odd+filepath.Ext(path))
	if err := os.WriteFile(named, text, 0o600); err != nil {
		t.Skipf("this file system has no such names: %v", err)
	}
	src, closer, err := agent.Open(named)
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	r, err := s.Decoder.Read(t.Context(), src, agent.State{})
	if err != nil {
		t.Fatal(err)
	}
	Check(t, r)
	if len(r.Sessions) != 1 || !strings.HasSuffix(r.Sessions[0].ID, odd) {
		t.Errorf("a name of odd characters: sessions %q", ids(r.Sessions))
	}
}
