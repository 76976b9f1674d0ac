package postgres

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
)

// A scribe is what the writer of this process remembers of the graph from one
// Put to the next, so that the paths and words of a repository are looked up
// once. It is good while the graph has its epoch: ids are only added until then.
type scribe struct {
	epoch                        int64
	nextNode, nextPath, nextWord int64
	puts                         int64
	words                        *words
	paths                        map[string]int64
	fresh                        []int64 // words that are new in this Put
}

// scribePaths bounds the paths that are remembered, to some tens of MB.
const scribePaths = 1 << 18

// look waits for all other writers of the organisation's graph, reads where the
// graph stands, and makes the organisation where it is new.
func (s *scribe) look(w *writer) error {
	now := scribe{}
	var name []byte
	read := func() error {
		return w.tx.QueryRow(w.ctx, `
			SELECT epoch, next_node, next_path, next_word, puts, name
			FROM stemma_graph.state
			WHERE org = $1
			FOR UPDATE`, w.org).
			Scan(&now.epoch, &now.nextNode, &now.nextPath, &now.nextWord, &now.puts, &name)
	}
	err := read()
	if errors.Is(err, pgx.ErrNoRows) {
		// The epoch begins anywhere, so that a graph which was made anew under an
		// open store is not taken for the one before.
		var epoch [8]byte
		if _, err := rand.Read(epoch[:]); err != nil {
			return err
		}
		if _, err := w.tx.Exec(w.ctx, `
			INSERT INTO stemma_graph.state (org, epoch, next_node, next_path, next_word, puts, name)
			VALUES ($1, $2, 1, 1, 1, 0, $3)
			ON CONFLICT (org) DO NOTHING`,
			w.org, int64(binary.BigEndian.Uint64(epoch[:])>>2), []byte(w.s.organisation)); err != nil {
			return err
		}
		err = read()
	}
	if err != nil {
		return err
	}
	if err := w.s.isOurs(name); err != nil {
		return err
	}
	if s.epoch == now.epoch && s.paths != nil && len(s.paths) < scribePaths {
		now.paths = s.paths
	} else {
		now.paths = make(map[string]int64)
	}
	if s.epoch == now.epoch && s.words != nil && s.nextWord == now.nextWord {
		now.words = s.words
	} else if now.words, err = loadWords(w.ctx, w.c, w.org, now.epoch, now.nextWord); err != nil {
		return err
	}
	*s = now
	return nil
}

// keep writes the words that are new, and where the graph stands now.
func (s *scribe) keep(w *writer) error {
	if len(s.fresh) > 0 {
		texts := make([][]byte, len(s.fresh))
		for i, id := range s.fresh {
			texts[i] = []byte(s.words.text[id])
		}
		if _, err := w.tx.Exec(w.ctx, `
			INSERT INTO stemma_graph.word (org, id, text)
			SELECT $1, d.id, d.text
			FROM unnest($2::integer[], $3::bytea[]) AS d (id, text)`,
			w.org, s.fresh, texts); err != nil {
			return err
		}
		s.fresh = nil
	}
	_, err := w.tx.Exec(w.ctx, `
		UPDATE stemma_graph.state
		SET next_node = $2, next_path = $3, next_word = $4, puts = $5
		WHERE org = $1`, w.org, s.nextNode, s.nextPath, s.nextWord, s.puts)
	return err
}

// word gives the id of a word, and makes it where it is new.
func (s *scribe) word(text string) (int64, error) {
	if id, ok := s.words.id[text]; ok {
		return id, nil
	}
	if len(s.fresh) == 0 {
		// Readers never see these words, but another Put of this process may have
		// given them its own.
		s.words = &words{
			epoch: s.words.epoch, next: s.words.next,
			id: maps.Clone(s.words.id), text: maps.Clone(s.words.text), origins: maps.Clone(s.words.origins),
		}
	}
	id := s.nextWord
	s.nextWord++
	s.fresh = append(slices.Clip(s.fresh), id)
	return id, s.words.add(id, text)
}
