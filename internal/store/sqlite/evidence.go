package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// append stores those statements whose keys are not stored, and syncs them.
func (s *Store) append(ctx context.Context, statements []store.KeyedStatement) error {
	w, err := s.evidence.begin(ctx)
	if err != nil {
		return err
	}
	defer w.end()
	org, err := appendOrganisation(w, s.organisation)
	if err != nil {
		return s.evidence.fail(err)
	}
	added, err := appendStatements(ctx, w, org, statements)
	if err != nil {
		return s.evidence.fail(err)
	}
	if added == 0 {
		return nil // and no sync for nothing
	}
	return s.evidence.fail(w.commit())
}

func appendStatements(ctx context.Context, w *writer, org int64, statements []store.KeyedStatement) (added int, err error) {
	var seq int64
	if err := w.row("SELECT coalesce(max(seq), 0) FROM statement WHERE org = ?", []any{org}, &seq); err != nil {
		return 0, err
	}
	for i := range statements {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		st := &statements[i]
		subject, err := json.Marshal(st.Statement.Subject)
		if err != nil {
			return 0, fmt.Errorf("subject of statement %q: %w", st.EventID, err)
		}
		result, err := w.exec(`
			INSERT INTO statement (org, seq, source, event, type, predicate_type, subject, predicate)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (org, source, event) DO NOTHING`,
			org, seq+1, []byte(st.Source), []byte(st.EventID),
			st.Statement.Type, st.Statement.PredicateType, subject, []byte(st.Statement.Predicate))
		if err != nil {
			return 0, err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return 0, err
		}
		seq += n
		added += int(n)
	}
	return added, nil
}

// Statements gives the statements in the order in which they were stored.
func (s *Store) Statements(ctx context.Context, after int64) iter.Seq2[store.StoredStatement, error] {
	return func(yield func(store.StoredStatement, error) bool) {
		stopped, err := s.statements(ctx, after, yield)
		if err = readError(ctx, s.evidence, "read statements", err); err != nil && !stopped {
			yield(store.StoredStatement{}, err)
		}
	}
}

func (s *Store) statements(ctx context.Context, after int64, yield func(store.StoredStatement, error) bool) (stopped bool, err error) {
	v, err := newView(ctx, s, s.evidence)
	if err != nil {
		return false, err
	}
	defer v.close()
	var org int64
	err = v.conn.QueryRowContext(ctx, "SELECT org FROM organisation WHERE name = ?", s.organisation).Scan(&org)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var st store.StoredStatement
	var source, event, subject, predicate []byte
	dest := []any{&st.Sequence, &source, &event, &st.Statement.Type, &st.Statement.PredicateType, &subject, &predicate}
	err = v.each(`
		SELECT seq, source, event, type, predicate_type, subject, predicate
		FROM statement
		WHERE org = ? AND seq > ?
		ORDER BY seq`,
		[]any{org, after}, dest, func() error {
			out := st
			out.Source, out.EventID = string(source), string(event)
			out.Statement.Predicate = predicate
			if err := json.Unmarshal(subject, &out.Statement.Subject); err != nil {
				return fmt.Errorf("subject of statement %d: %v: %w", st.Sequence, err, stemma.ErrInvalid)
			}
			if stopped = !yield(out, nil); stopped {
				return errStop
			}
			return nil
		})
	return stopped, err
}
