package redact_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/stemma-dev/stemma/internal/redact"
)

// seeds gives texts with secrets in all their places.
func seeds(f *testing.F, transcripts bool) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, it := range corpus(r, 1) {
		if !transcripts {
			f.Add([]byte(it.text))
			continue
		}
		line, err := json.Marshal(shapes[r.IntN(len(shapes))](r, it.text))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
	}
	f.Add([]byte("\xff\x00[redacted:email] [redacted: [redacted:] token=\"[redacted:x]abcdefgh1\"\r\n"))
}

func FuzzText(f *testing.F) {
	seeds(f, false)
	f.Fuzz(func(t *testing.T, text []byte) {
		given := bytes.Clone(text)
		once, _ := redactor.Text(text)
		if !bytes.Equal(text, given) {
			t.Fatal("the input was changed")
		}
		if got, want := bytes.Count(once, []byte("\n")), bytes.Count(text, []byte("\n")); got != want {
			t.Fatalf("%d lines became %d: %q -> %q", want, got, text, once)
		}
		twice, found := redactor.Text(once)
		if !bytes.Equal(once, twice) || found.Total() != 0 {
			t.Fatalf("a second pass changes %q to %q (%v)", once, twice, found)
		}
		var out bytes.Buffer
		if _, err := redactor.Stream(&out, bytes.NewReader(text), redact.FormText); err != nil || !bytes.Equal(out.Bytes(), once) {
			t.Fatalf("as a stream it is %q, %v, as a text %q", out.Bytes(), err, once)
		}
	})
}

func FuzzJSON(f *testing.F) {
	seeds(f, true)
	f.Add([]byte(`{"password":"x\ud800y\"z","a":[{"name":"token","value":"\u005c\u0022"}]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		once, _ := redactor.JSON(doc)
		if got, want := bytes.Count(once, []byte("\n")), bytes.Count(doc, []byte("\n")); got != want {
			t.Fatalf("%d lines became %d: %q -> %q", want, got, doc, once)
		}
		if json.Valid(doc) {
			if !json.Valid(once) {
				t.Fatalf("no JSON any more: %q -> %q", doc, once)
			}
			if got, want := shape(t, once), shape(t, doc); got != want {
				t.Fatalf("another shape: %q -> %q", want, got)
			}
		}
		twice, found := redactor.JSON(once)
		if !bytes.Equal(once, twice) || found.Total() != 0 {
			t.Fatalf("a second pass changes %q to %q (%v)", once, twice, found)
		}
	})
}

// shape gives a JSON value with nothing in its strings, in the order of the
// document: what must not change.
func shape(t *testing.T, doc []byte) string {
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	var b bytes.Buffer
	for {
		tok, err := dec.Token()
		if err != nil {
			return b.String()
		}
		switch tok := tok.(type) {
		case string:
			b.WriteString("s ")
		case json.Number:
			b.WriteString(tok.String() + " ")
		case json.Delim:
			b.WriteString(tok.String() + " ")
		case bool:
			b.WriteString("b ")
		default:
			b.WriteString("n ")
		}
	}
}

func FuzzJSONL(f *testing.F) {
	seeds(f, true)
	seeds(f, false)
	f.Fuzz(func(t *testing.T, doc []byte) {
		once, _ := redactor.JSONL(doc)
		if got, want := bytes.Count(once, []byte("\n")), bytes.Count(doc, []byte("\n")); got != want {
			t.Fatalf("%d lines became %d: %q -> %q", want, got, doc, once)
		}
		was, is := bytes.Split(doc, []byte("\n")), bytes.Split(once, []byte("\n"))
		for i := range was {
			if json.Valid(was[i]) && !json.Valid(is[i]) {
				t.Fatalf("line %d is no JSON any more: %q -> %q", i, was[i], is[i])
			}
		}
		var out bytes.Buffer
		if _, err := redactor.Stream(&out, bytes.NewReader(doc), redact.FormJSONL); err != nil || !bytes.Equal(out.Bytes(), once) {
			t.Fatalf("as a stream it is %q, %v, as a document %q", out.Bytes(), err, once)
		}
		twice, found := redactor.JSONL(once)
		if !bytes.Equal(once, twice) || found.Total() != 0 {
			t.Fatalf("a second pass changes %q to %q (%v)", once, twice, found)
		}
	})
}
