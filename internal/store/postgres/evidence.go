package postgres

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/stemma-dev/stemma"
)

// eventKey is what an envelope is found by: its idempotency key.
func eventKey(source, event string) []byte {
	text := binary.AppendUvarint(nil, uint64(len(source)))
	text = append(append(text, source...), event...)
	sum := sha256.Sum256(text)
	return sum[:]
}

// lockEvidence waits for all other writers of the organisation's evidence, and
// makes the organisation where it is new.
func (w *writer) lockEvidence() error {
	if _, err := w.tx.Exec(w.ctx, `
		INSERT INTO stemma_evidence.organisation (org, name)
		VALUES ($1, $2)
		ON CONFLICT (org) DO NOTHING`, w.org, []byte(w.s.organisation)); err != nil {
		return err
	}
	var name []byte
	if err := w.tx.QueryRow(w.ctx, `
		SELECT name
		FROM stemma_evidence.organisation
		WHERE org = $1
		FOR UPDATE`, w.org).Scan(&name); err != nil {
		return err
	}
	return w.s.isOurs(name)
}

// isOurs finds that two organisations have one number, which none ever should.
func (s *Store) isOurs(name []byte) error {
	if string(name) == s.organisation {
		return nil
	}
	return fmt.Errorf("%s: organisations %q and %q have the same number; name one otherwise: %w",
		s.pool.where, name, s.organisation, stemma.ErrConflict)
}
