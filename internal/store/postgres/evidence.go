package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// statementPage is how many statements are read before they are given.
const statementPage = 256

// statementKey is what a statement is found by: its idempotency key.
func statementKey(source, event string) []byte {
	text := binary.AppendUvarint(nil, uint64(len(source)))
	text = append(append(text, source...), event...)
	sum := sha256.Sum256(text)
	return sum[:]
}

// append stores those statements whose keys are not stored. The organisation's
// row is held until the transaction ends, so that sequence numbers come to be
// seen in their order.
func (w *writer) append(statements []store.KeyedStatement) error {
	if err := w.lockEvidence(); err != nil {
		return err
	}
	var last int64
	if err := w.tx.QueryRow(w.ctx, "SELECT coalesce(max(seq), 0) FROM stemma_evidence.statement WHERE org = $1", w.org).Scan(&last); err != nil {
		return err
	}
	n := len(statements)
	keys, sources, events := make([][]byte, n), make([][]byte, n), make([][]byte, n)
	types, predicateTypes := make([][]byte, n), make([][]byte, n)
	subjects, predicates := make([][]byte, n), make([][]byte, n)
	for i := range statements {
		s := &statements[i]
		subject, err := json.Marshal(s.Statement.Subject)
		if err != nil {
			return fmt.Errorf("subject of statement %q: %w", s.EventID, err)
		}
		keys[i] = statementKey(s.Source, s.EventID)
		sources[i], events[i] = []byte(s.Source), []byte(s.EventID)
		types[i], predicateTypes[i] = []byte(s.Statement.Type), []byte(s.Statement.PredicateType)
		subjects[i], predicates[i] = subject, s.Statement.Predicate
	}
	_, err := w.tx.Exec(w.ctx, `
		INSERT INTO stemma_evidence.statement (org, seq, key, source, event, type, predicate_type, subject, predicate)
		SELECT $1, $2 + d.n, d.key, d.source, d.event, d.type, d.predicate_type, d.subject, d.predicate
		FROM unnest($3::bytea[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bytea[], $8::bytea[], $9::bytea[])
			WITH ORDINALITY AS d (key, source, event, type, predicate_type, subject, predicate, n)
		ORDER BY d.n
		ON CONFLICT (org, key) DO NOTHING`,
		w.org, last, keys, sources, events, types, predicateTypes, subjects, predicates)
	return err
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

// Statements gives the statements in the order in which they were stored.
func (s *Store) Statements(ctx context.Context, after int64) iter.Seq2[store.StoredStatement, error] {
	return sequence(ctx, s, "read statements", func(v *view, yield func(store.StoredStatement) bool) error {
		for last := after; ; {
			page, err := v.statements(last)
			if err != nil {
				return err
			}
			for _, st := range page {
				if !yield(st) {
					return errStop
				}
			}
			if len(page) < statementPage {
				return nil
			}
			last = page[len(page)-1].Sequence
		}
	})
}

func (v *view) statements(after int64) (page []store.StoredStatement, err error) {
	var seq int64
	var source, event, typ, predicateType, subject, predicate []byte
	err = v.each(`
		SELECT seq, source, event, type, predicate_type, subject, predicate
		FROM stemma_evidence.statement
		WHERE org = $1 AND seq > $2
		ORDER BY seq
		LIMIT $3`,
		[]any{v.org, after, statementPage},
		[]any{&seq, &source, &event, &typ, &predicateType, &subject, &predicate}, func() error {
			st := store.StoredStatement{Sequence: seq, KeyedStatement: store.KeyedStatement{
				Source: string(source), EventID: string(event),
				Statement: stemma.Statement{
					Type: string(typ), PredicateType: string(predicateType), Predicate: predicate,
				},
			}}
			if err := json.Unmarshal(subject, &st.Statement.Subject); err != nil {
				return fmt.Errorf("subject of statement %d: %v: %w", seq, err, stemma.ErrInvalid)
			}
			page = append(page, st)
			return nil
		})
	return page, err
}
