package sqlite

import (
	"encoding/binary"
	"fmt"

	"github.com/stemma-dev/stemma"
)

// The first byte of a word tells what it is a word for.
const (
	wordNode   = "n" // a node kind
	wordEdge   = "e" // an edge kind
	wordGroup  = "g" // the group of a tally
	wordOrigin = "o" // an origin
)

// words is the table of words of one graph. It only grows while the graph
// lives, so that a copy is good as long as epoch and next are those of the graph.
type words struct {
	epoch, next int64
	id          map[string]int64
	text        map[int64]string
	origins     map[int64]origin
}

// origin is what edges of one source and rule have in common.
type origin struct {
	source, method string
	tier           stemma.Tier
	assertion      stemma.Assertion
}

func newWords(epoch, next int64) *words {
	return &words{
		epoch: epoch, next: next,
		id: make(map[string]int64), text: make(map[int64]string), origins: make(map[int64]origin),
	}
}

func (w *words) add(id int64, text string) error {
	if len(text) > 0 && text[:1] == wordOrigin {
		o, err := parseOrigin(text[1:])
		if err != nil {
			return fmt.Errorf("word %d: %w", id, err)
		}
		w.origins[id] = o
	}
	w.id[text] = id
	w.text[id] = text
	return nil
}

// find gives the word with this id, without its first byte.
func (w *words) find(id int64, of string) (string, error) {
	text, ok := w.text[id]
	if !ok || text[:1] != of {
		return "", fmt.Errorf("word %d is missing: %w", id, stemma.ErrInvalid)
	}
	return text[1:], nil
}

func (o origin) word() string {
	buf := []byte(wordOrigin)
	for _, s := range []string{o.source, string(o.tier), string(o.assertion), o.method} {
		buf = binary.AppendUvarint(buf, uint64(len(s)))
		buf = append(buf, s...)
	}
	return string(buf)
}

func parseOrigin(text string) (o origin, err error) {
	rest := []byte(text)
	for _, s := range []*string{&o.source, (*string)(&o.tier), (*string)(&o.assertion), &o.method} {
		n, size := binary.Uvarint(rest)
		if size <= 0 || n > uint64(len(rest)-size) {
			return o, fmt.Errorf("origin of an edge: cut short at byte %d: %w", len(text)-len(rest), stemma.ErrInvalid)
		}
		*s = string(rest[size : size+int(n)])
		rest = rest[size+int(n):]
	}
	if len(rest) > 0 {
		return o, fmt.Errorf("origin of an edge: %d bytes too many: %w", len(rest), stemma.ErrInvalid)
	}
	return o, nil
}

// packCounts writes counts as numbers; those at the end that are 0 are left out,
// and nil stands for all 0.
func packCounts(counts ...int) []byte {
	for len(counts) > 0 && counts[len(counts)-1] == 0 {
		counts = counts[:len(counts)-1]
	}
	if len(counts) == 0 {
		return nil
	}
	buf := make([]byte, 0, len(counts)+4)
	for _, n := range counts {
		buf = binary.AppendUvarint(buf, uint64(n))
	}
	return buf
}

// unpackCounts reads what packCounts wrote.
func unpackCounts(packed []byte, counts ...*int) error {
	at := 0
	for _, n := range counts {
		if at == len(packed) {
			*n = 0
			continue
		}
		v, size := binary.Uvarint(packed[at:])
		if size <= 0 || v > 1<<62 {
			return fmt.Errorf("counts: no number at byte %d: %w", at, stemma.ErrInvalid)
		}
		*n = int(v)
		at += size
	}
	if at != len(packed) {
		return fmt.Errorf("counts: %d bytes too many: %w", len(packed)-at, stemma.ErrInvalid)
	}
	return nil
}
