package postgres

import (
	"context"
	"fmt"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
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
	origins     map[int64]store.Origin
}

func newWords(epoch, next int64) *words {
	return &words{
		epoch: epoch, next: next,
		id: make(map[string]int64), text: make(map[int64]string), origins: make(map[int64]store.Origin),
	}
}

func loadWords(ctx context.Context, c *conn, org, epoch, next int64) (*words, error) {
	w := newWords(epoch, next)
	var id int64
	var text []byte
	err := rowsOf(ctx, c, "SELECT id, text FROM stemma_graph.word WHERE org = $1", []any{org}, []any{&id, &text}, func() error {
		return w.add(id, string(text))
	})
	return w, err
}

func (w *words) add(id int64, text string) error {
	if len(text) > 0 && text[:1] == wordOrigin {
		o, err := store.ParseOrigin(text[1:])
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
	if !ok || text == "" || text[:1] != of {
		return "", fmt.Errorf("word %d is missing: %w", id, stemma.ErrInvalid)
	}
	return text[1:], nil
}

// wordsOf gives the ids of those kinds that the graph has; nil of nil.
func wordsOf[K ~string](w *words, of string, kinds []K) []int64 {
	if kinds == nil {
		return nil
	}
	ids := make([]int64, 0, len(kinds))
	for _, kind := range kinds {
		if id, ok := w.id[of+string(kind)]; ok {
			ids = append(ids, id)
		}
	}
	return ids
}
