package redact_test

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stemma-dev/stemma/internal/redact"
)

// endless gives lines of a corpus again and again, up to a length.
type endless struct {
	lines [][]byte
	next  int
	left  int64
	rest  []byte
}

func (e *endless) Read(p []byte) (int, error) {
	if len(e.rest) == 0 {
		if e.left <= 0 {
			return 0, io.EOF
		}
		e.rest = e.lines[e.next%len(e.lines)]
		e.next++
		e.left -= int64(len(e.rest))
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// counter counts lines and keeps nothing.
type counter struct {
	lines, writes int
	most          uint64
}

func (c *counter) Write(p []byte) (int, error) {
	c.lines += bytes.Count(p, []byte("\n"))
	if c.writes++; c.writes%8 == 0 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		c.most = max(c.most, m.HeapAlloc)
	}
	return len(p), nil
}

// ordinary gives source code and prose, in which little looks like a secret.
func ordinary(t testing.TB, n int) []byte {
	var all []byte
	var names []string
	for _, pattern := range []string{"../lineage/*.go", "../git/*.go", "../../doc/*.md", "../../cmd/stemma/*.go"} {
		some, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, some...)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	return bytes.Repeat(all, n/len(all)+1)[:n]
}

func TestStreamInBoundedMemory(t *testing.T) {
	filler := bytes.Repeat([]byte("Nothing in this line has to be taken out of it.\n"), 400)
	turn, err := json.Marshal(map[string]any{"type": "user", "uuid": "x", "message": string(filler)})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		form  redact.Form
		lines [][]byte
	}{
		{redact.FormText, [][]byte{filler, []byte("mail ada@lovelace.io\n")}},
		{redact.FormJSONL, [][]byte{append(turn, '\n'), []byte("{\"password\": \"abcdef\"}\n")}},
	} {
		in := &endless{lines: tt.lines, left: 20 << 20}
		out := &counter{}
		runtime.GC()
		var before runtime.MemStats
		runtime.ReadMemStats(&before)
		found, err := redactor.Stream(out, in, tt.form)
		if err != nil || found.Total() != in.next/2 {
			t.Fatalf("Stream = %v, %v, want %d", found, err, in.next/2)
		}
		want := 0
		for i := range in.next {
			want += bytes.Count(tt.lines[i%2], []byte("\n"))
		}
		if out.lines != want {
			t.Errorf("%d lines became %d", want, out.lines)
		}
		if more := int64(out.most) - int64(before.HeapAlloc); more > 18<<20 {
			t.Errorf("for 20 MiB, %d MiB were in use", more>>20)
		}
	}
}

// What crosses the border of two blocks is found, and JSON of any length stays
// JSON.
func TestStreamBorders(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	made := func(kind string) string {
		return plantedKinds[slices.IndexFunc(plantedKinds, func(p planted) bool { return p.kind == kind })].make(r)
	}
	secrets := []string{made("private key, SSH"), "DB_PASSWORD=" + password(r), made("github token"), "password:\n\"" + password(r) + "\""}
	filler := strings.Repeat("nothing to see here, at all\n", 1<<14)
	for _, shift := range []int{-70000, -65536 - 40, -65536 + 10, -300, -20, 0, 20, 70} {
		for _, secret := range secrets {
			at := redact.SmallBlock + shift
			doc := filler[:at-at%28] + secret + "\n" + filler[:140000]
			var out bytes.Buffer
			found, err := redactor.StreamBy(&out, strings.NewReader(doc), redact.FormText)
			if err != nil || found.Total() != 1 || leaks(out.String(), strings.TrimPrefix(secret, "DB_PASSWORD=")) {
				t.Errorf("shift %d: Stream = %v, %v; %.40q is left", shift, found, err, secret)
			}
		}
	}
	var long strings.Builder
	long.WriteString(`{"text":"`)
	for long.Len() < 3*redact.SmallLine {
		long.WriteString(strings.Repeat(`words and \"more\" words\n`, 4000) + `DB_PASSWORD=` + password(r) + `\n\"password\": \"` + password(r) + `\"\n`)
	}
	long.WriteString("\"}\n{\"password\":\"abcdef\"}\n")
	var out bytes.Buffer
	found, err := redactor.StreamBy(&out, strings.NewReader(long.String()), redact.FormJSONL)
	if err != nil || found.Total() < 60 {
		t.Fatalf("Stream = %v, %v", found, err)
	}
	lines := bytes.Split(out.Bytes(), []byte("\n"))
	if len(lines) != 3 || !json.Valid(lines[0]) || string(lines[1]) != `{"password":"[redacted:password]"}` {
		t.Errorf("%d lines, valid %t, then %q", len(lines), json.Valid(lines[0]), lines[1])
	}
}

func BenchmarkText(b *testing.B) {
	doc := ordinary(b, 2<<20)
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		redactor.Text(doc)
	}
}

func BenchmarkJSONL(b *testing.B) {
	r := rand.New(rand.NewPCG(7, 8))
	var doc bytes.Buffer
	for text := range slices.Chunk(ordinary(b, 2<<20), 3000) {
		line, err := json.Marshal(shapes[r.IntN(len(shapes))](r, string(text)))
		if err != nil {
			b.Fatal(err)
		}
		doc.Write(append(line, '\n'))
	}
	b.SetBytes(int64(doc.Len()))
	for b.Loop() {
		redactor.JSONL(doc.Bytes())
	}
}
