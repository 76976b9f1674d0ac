package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// Audit reads everything once: see [store.Evidence]. The file's structure is
// looked at by the database itself, the rows by their digests.
func (e *Evidence) Audit(ctx context.Context, row func(store.Entry) ([]string, bool, error), fault func(store.RowFault)) error {
	a := &envelopeAudit{e: e, ctx: ctx, row: row, fault: fault}
	for _, step := range []func(*view, int64) error{a.structure, a.rows, a.lost, a.subjects} {
		err := e.reading(ctx, "audit", step)
		switch {
		case a.err != nil:
			return a.err
		case errors.Is(err, stemma.ErrInvalid):
			// It cannot be read to its end: what it holds past there is not known.
			fault(store.RowFault{Where: e.d.path, Reason: err.Error()})
		case err != nil:
			return err
		}
	}
	return nil
}

type envelopeAudit struct {
	e     *Evidence
	ctx   context.Context
	row   func(store.Entry) ([]string, bool, error)
	fault func(store.RowFault)
	err   error // what row returned

	named   int64 // subjects that the envelopes have
	unknown bool  // of some it is not known
}

// structure asks the database whether its pages and keys hold together.
func (a *envelopeAudit) structure(v *view, _ int64) error {
	var said string
	return v.each("PRAGMA integrity_check(100)", nil, []any{&said}, func() error {
		if said != "ok" {
			a.fault(store.RowFault{Where: a.e.d.path, Reason: said})
		}
		return nil
	})
}

// rows looks at every envelope.
func (a *envelopeAudit) rows(v *view, org int64) error {
	has, err := v.conn.PrepareContext(a.ctx, "SELECT count(*) FROM subject WHERE org = ? AND name = ? AND id = ?")
	if err != nil {
		return err
	}
	defer has.Close()
	var id int64
	var source, event, predicateType, kinds sql.RawBytes
	var digest, bytes []byte
	var index any
	rows, err := v.query(`
		SELECT e.id, e.source, e.event, e.digest, e.predicate_type, e.log_index, b.bytes,
		       typeof(e.source) || typeof(e.event) || typeof(e.digest) || typeof(e.predicate_type) || typeof(coalesce(b.bytes, x''))
		FROM envelope AS e LEFT JOIN envelope_bytes AS b ON b.org = ? AND b.id = e.id
		WHERE e.org = ?
		ORDER BY e.id`, org, org)
	if err != nil {
		return err
	}
	return eachRow(rows, []any{&id, &source, &event, &digest, &predicateType, &index, &bytes, &kinds}, func() error {
		where := fmt.Sprintf("envelope %d", id)
		say := func(format string, args ...any) {
			a.fault(store.RowFault{Where: where, Reason: fmt.Sprintf(format, args...)})
		}
		n, pending := int64(0), index == nil
		if !pending {
			var ok bool
			if n, ok = index.(int64); !ok || n < 0 {
				say("log_index %v is no index", index)
				return nil
			}
		}
		switch {
		case string(kinds) != "blobblobblobblobblob":
			say("a value is of another kind than was written: %s", kinds)
			return nil
		case len(digest) != sha256.Size:
			say("digest of %d bytes", len(digest))
			return nil
		case bytes == nil:
			say("its bytes are missing")
			return nil
		case sha256.Sum256(bytes) != [sha256.Size]byte(digest):
			say("its bytes do not have the digest %x", digest)
			return nil
		}
		entry := store.Entry{
			ID: id, Index: uint64(n), Pending: pending,
			Envelope: store.Envelope{
				EventKey:      store.EventKey{Source: string(source), EventID: string(event)},
				PredicateType: string(predicateType), Digest: [sha256.Size]byte(digest), Bytes: bytes,
			},
		}
		subjects, known, err := a.row(entry)
		if err != nil {
			a.err = err
			return errStop
		}
		if !known {
			a.unknown = true
			return nil
		}
		for _, name := range subjects {
			var rows int
			if err := has.QueryRowContext(a.ctx, org, []byte(name), id).Scan(&rows); err != nil {
				return err
			}
			if rows == 0 {
				say("is not found by its subject %s", name)
				continue
			}
			a.named++
		}
		return nil
	})
}

// lost looks for bytes that no envelope has.
func (a *envelopeAudit) lost(v *view, org int64) error {
	var id int64
	return v.each(`
		SELECT b.id
		FROM envelope_bytes AS b
		WHERE b.org = ? AND NOT EXISTS (SELECT 1 FROM envelope AS e WHERE e.org = ? AND e.id = b.id)`,
		[]any{org, org}, []any{&id}, func() error {
			a.fault(store.RowFault{Where: fmt.Sprintf("envelope_bytes %d", id), Reason: "belongs to no envelope"})
			return nil
		})
}

// subjects looks for more subjects than the envelopes have.
func (a *envelopeAudit) subjects(v *view, org int64) error {
	var n int64
	if err := v.conn.QueryRowContext(a.ctx, "SELECT count(*) FROM subject WHERE org = ?", org).Scan(&n); err != nil {
		return err
	}
	if n > a.named && !a.unknown {
		a.fault(store.RowFault{Where: "subject", Reason: fmt.Sprintf("%d rows that no envelope has", n-a.named)})
	}
	return nil
}
