package sqlite

import (
	"database/sql"
	"errors"
)

// A scribe is what the writer of this process remembers of the graph from one
// Put to the next, so that the paths and words of a repository are looked up
// once. It is good while the graph has its epoch: ids are only added until then.
type scribe struct {
	org, epoch                   int64
	nextNode, nextPath, nextWord int64
	puts                         int64
	words                        *words
	paths                        map[string]int64
}

// scribePaths bounds the paths that are remembered, to some tens of MB.
const scribePaths = 1 << 18

// look reads where the graph stands, in the transaction of w, and makes the
// organisation where it is new.
func (s *scribe) look(w *writer, organisation string) error {
	now := scribe{}
	read := func() error {
		return w.row(`
			SELECT org, epoch, next_node, next_path, next_word, puts
			FROM organisation
			WHERE name = ?`, []any{organisation},
			&now.org, &now.epoch, &now.nextNode, &now.nextPath, &now.nextWord, &now.puts)
	}
	err := read()
	if errors.Is(err, sql.ErrNoRows) {
		// The epoch begins anywhere, so that a graph which was made anew under an
		// open store is not taken for the one before.
		if _, err := w.exec(`
			INSERT INTO organisation (name, epoch, next_node, next_path, next_word, puts)
			VALUES (?, abs(random() / 2), 1, 1, 1, 0)`, organisation); err != nil {
			return err
		}
		err = read()
	}
	if err != nil {
		return err
	}
	if s.org == now.org && s.epoch == now.epoch && len(s.paths) < scribePaths {
		now.paths = s.paths
	} else {
		now.paths = make(map[string]int64)
	}
	if s.org == now.org && s.epoch == now.epoch && s.nextWord == now.nextWord {
		now.words = s.words
	} else {
		rows, err := w.query("SELECT id, text FROM word WHERE org = ?", now.org)
		if err != nil {
			return err
		}
		if now.words, err = loadWords(rows, now.epoch, now.nextWord); err != nil {
			return w.d.damaged(err.Error())
		}
	}
	*s = now
	return nil
}

// keep writes where the graph stands now.
func (s *scribe) keep(w *writer) error {
	_, err := w.exec(`
		UPDATE organisation
		SET next_node = ?, next_path = ?, next_word = ?, puts = ?
		WHERE org = ?`, s.nextNode, s.nextPath, s.nextWord, s.puts, s.org)
	return err
}

// word gives the id of a word, and makes it where it is new.
func (s *scribe) word(w *writer, text string) (int64, error) {
	if id, ok := s.words.id[text]; ok {
		return id, nil
	}
	id := s.nextWord
	if _, err := w.exec("INSERT INTO word (org, id, text) VALUES (?, ?, ?)", s.org, id, []byte(text)); err != nil {
		return 0, err
	}
	s.nextWord++
	return id, s.words.add(id, text)
}
