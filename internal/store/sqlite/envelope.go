package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"path/filepath"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// Evidence keeps the envelopes of one organisation in a directory. Its maker is
// [OpenEvidence]. It fulfils the contract of [store.Evidence].
type Evidence struct {
	organisation string
	d            *database
}

var _ store.Evidence = (*Evidence)(nil)

// OpenEvidence opens the evidence of an organisation in dir, and makes both
// where they do not exist. Several may be open on one directory, for one
// organisation or more, in one process or more.
//
// In a directory that cannot be written the evidence can be read, and every
// write is ErrDenied. The error is ErrDenied where neither is possible,
// ErrConflict where a newer stemma has changed the file, and ErrInvalid where it
// is damaged or is none.
func OpenEvidence(ctx context.Context, dir, organisation string) (*Evidence, error) {
	if organisation == "" {
		return nil, fmt.Errorf("open evidence %s: no organisation: %w", dir, stemma.ErrInvalid)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open evidence %s: %w", dir, err)
	}
	d, err := openDatabase(ctx, evidenceFile(dir))
	if err != nil {
		return nil, fmt.Errorf("open evidence: %w", err)
	}
	return &Evidence{organisation: organisation, d: d}, nil
}

// Close lets go of the file. Loops that still run go on to their end. Closing
// again does nothing; any other call after it is ErrUnavailable.
func (e *Evidence) Close() error { return e.d.shut() }

// write calls fn in a transaction that is durable when it returns nil. fn
// reports whether there is anything to write.
func (e *Evidence) write(ctx context.Context, op string, fn func(w *writer, org int64) (bool, error)) error {
	err := func() error {
		w, err := e.d.begin(ctx)
		if err != nil {
			return err
		}
		defer w.end()
		org, err := appendOrganisation(w, e.organisation)
		if err != nil {
			return e.d.fail(err)
		}
		dirty, err := fn(w, org)
		if err != nil {
			return e.d.fail(err)
		}
		if err := ctx.Err(); err != nil || !dirty {
			return err // and no sync for nothing
		}
		return e.d.fail(w.commit())
	}()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return fmt.Errorf("%s: %w", op, err)
}

func appendOrganisation(w *writer, name string) (org int64, err error) {
	if _, err := w.exec("INSERT INTO organisation (name) VALUES (?) ON CONFLICT DO NOTHING", name); err != nil {
		return 0, err
	}
	err = w.row("SELECT org FROM organisation WHERE name = ?", []any{name}, &org)
	return org, err
}

// keptColumns are what scanKept reads.
const keptColumns = "id, digest, log_index"

func scanKept(row interface{ Scan(dest ...any) error }) (store.Kept, error) {
	var k store.Kept
	var digest []byte
	var index sql.NullInt64
	if err := row.Scan(&k.ID, &digest, &index); err != nil {
		return k, err
	}
	return keptOf(k.ID, digest, index)
}

func keptOf(id int64, digest []byte, index sql.NullInt64) (store.Kept, error) {
	if len(digest) != sha256.Size || index.Valid && index.Int64 < 0 {
		return store.Kept{}, fmt.Errorf("envelope %d: digest of %d bytes, index %d: %w", id, len(digest), index.Int64, stemma.ErrInvalid)
	}
	return store.Kept{ID: id, Digest: [sha256.Size]byte(digest), Index: uint64(index.Int64), Pending: !index.Valid}, nil
}

// Keep stores envelopes as pending: see [store.Evidence].
func (e *Evidence) Keep(ctx context.Context, envelopes []store.Envelope) ([]store.Kept, error) {
	for i := range envelopes {
		v := &envelopes[i]
		switch {
		case v.Source == "" || v.EventID == "":
			return nil, fmt.Errorf("keep: envelope %d has no key: %w", i, stemma.ErrInvalid)
		case sha256.Sum256(v.Bytes) != v.Digest:
			return nil, fmt.Errorf("keep: envelope %d has another digest: %w", i, stemma.ErrInvalid)
		}
	}
	var kept []store.Kept
	err := e.write(ctx, "keep", func(w *writer, org int64) (bool, error) {
		kept = make([]store.Kept, len(envelopes))
		dirty := false
		for i := range envelopes {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			k, err := keepOne(w, org, &envelopes[i])
			if err != nil {
				return false, err
			}
			kept[i] = k
			dirty = dirty || k.New
		}
		return dirty, nil
	})
	if err != nil {
		return nil, err
	}
	return kept, nil
}

func keepOne(w *writer, org int64, v *store.Envelope) (store.Kept, error) {
	result, err := w.exec(`
		INSERT INTO envelope (org, source, event, digest, predicate_type)
		VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (org, source, event) DO NOTHING`,
		org, []byte(v.Source), []byte(v.EventID), v.Digest[:], []byte(v.PredicateType))
	if isConstraint(err) {
		return store.Kept{}, fmt.Errorf("the envelope of %s %q is kept under another key: %w", v.Source, v.EventID, stemma.ErrInvalid)
	}
	if err != nil {
		return store.Kept{}, err
	}
	n, err := result.RowsAffected()
	if err != nil {
		return store.Kept{}, err
	}
	if n == 0 {
		return findOne(w, org, v.EventKey)
	}
	id, err := result.LastInsertId()
	if err != nil {
		return store.Kept{}, err
	}
	if _, err := w.exec("INSERT INTO envelope_bytes (org, id, bytes) VALUES (?, ?, ?)", org, id, v.Bytes); err != nil {
		return store.Kept{}, err
	}
	for _, name := range v.Subjects {
		if _, err := w.exec("INSERT INTO subject (org, name, id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", org, []byte(name), id); err != nil {
			return store.Kept{}, err
		}
	}
	return store.Kept{ID: id, Digest: v.Digest, Pending: true, New: true}, nil
}

func findOne(w *writer, org int64, key store.EventKey) (store.Kept, error) {
	var id int64
	var digest []byte
	var index sql.NullInt64
	err := w.row("SELECT "+keptColumns+" FROM envelope WHERE org = ? AND source = ? AND event = ?",
		[]any{org, []byte(key.Source), []byte(key.EventID)}, &id, &digest, &index)
	if err != nil {
		return store.Kept{}, err
	}
	return keptOf(id, digest, index)
}

// Sequence writes the indexes of pending envelopes: see [store.Evidence].
func (e *Evidence) Sequence(ctx context.Context, indexes []store.Sequenced) error {
	return e.write(ctx, "sequence", func(w *writer, org int64) (bool, error) {
		dirty := false
		for _, s := range indexes {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			result, err := w.exec("UPDATE envelope SET log_index = ? WHERE org = ? AND id = ? AND log_index IS NULL", int64(s.Index), org, s.ID)
			if isConstraint(err) {
				return false, fmt.Errorf("index %d is of another envelope than %d: %w", s.Index, s.ID, stemma.ErrConflict)
			}
			if err != nil {
				return false, err
			}
			n, err := result.RowsAffected()
			if err != nil {
				return false, err
			}
			if n > 0 {
				dirty = true
				continue
			}
			var index int64
			err = w.row("SELECT log_index FROM envelope WHERE org = ? AND id = ?", []any{org, s.ID}, &index)
			switch {
			case errors.Is(err, sql.ErrNoRows):
				return false, fmt.Errorf("envelope %d: %w", s.ID, stemma.ErrNotFound)
			case err != nil:
				return false, err
			case uint64(index) != s.Index:
				return false, fmt.Errorf("envelope %d has index %d, not %d: %w", s.ID, index, s.Index, stemma.ErrConflict)
			}
		}
		return dirty, nil
	})
}

// reading calls fn with a view of the file and the organisation's number, 0
// where it has kept nothing.
func (e *Evidence) reading(ctx context.Context, op string, fn func(v *view, org int64) error) error {
	v, err := newView(ctx, nil, e.d)
	if err == nil {
		defer v.close()
		var org int64
		err = v.conn.QueryRowContext(ctx, "SELECT org FROM organisation WHERE name = ?", e.organisation).Scan(&org)
		if err == nil || errors.Is(err, sql.ErrNoRows) {
			err = fn(v, org)
		}
	}
	if errors.Is(err, stemma.ErrNotFound) {
		return fmt.Errorf("%s: %w", op, err)
	}
	return readError(ctx, e.d, op, err)
}

// Find gives what is kept under these keys: see [store.Evidence].
func (e *Evidence) Find(ctx context.Context, keys []store.EventKey) ([]store.Kept, error) {
	found := make([]store.Kept, len(keys))
	err := e.reading(ctx, "find", func(v *view, org int64) error {
		stmt, err := v.conn.PrepareContext(ctx, "SELECT "+keptColumns+" FROM envelope WHERE org = ? AND source = ? AND event = ?")
		if err != nil {
			return err
		}
		defer stmt.Close()
		for i, key := range keys {
			k, err := scanKept(stmt.QueryRowContext(ctx, org, []byte(key.Source), []byte(key.EventID)))
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
			found[i] = k
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Pending gives envelopes without an index: see [store.Evidence].
func (e *Evidence) Pending(ctx context.Context, limit int) (pending []store.Kept, err error) {
	err = e.reading(ctx, "pending", func(v *view, org int64) error {
		var id int64
		var digest []byte
		var index sql.NullInt64
		return v.each("SELECT "+keptColumns+" FROM envelope WHERE org = ? AND log_index IS NULL ORDER BY id LIMIT ?",
			[]any{org, limit}, []any{&id, &digest, &index}, func() error {
				k, err := keptOf(id, digest, index)
				pending = append(pending, k)
				return err
			})
	})
	return pending, err
}

// Next is the index after the highest: see [store.Evidence].
func (e *Evidence) Next(ctx context.Context) (next uint64, err error) {
	err = e.reading(ctx, "next index", func(v *view, org int64) error {
		var n int64
		err := v.conn.QueryRowContext(ctx, "SELECT coalesce(max(log_index), -1) FROM envelope WHERE org = ? AND log_index IS NOT NULL", org).Scan(&n)
		next = uint64(n + 1)
		return err
	})
	return next, err
}

// entryColumns are what entries reads, of envelope e and its bytes b. The
// subjects are not read: they follow from the bytes.
const entryColumns = "e.id, e.source, e.event, e.digest, e.predicate_type, e.log_index, b.bytes"

// entries gives the rows of a query for entryColumns.
func (e *Evidence) entries(ctx context.Context, op, query string, args func(org int64) []any) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		stopped := false
		err := e.reading(ctx, op, func(v *view, org int64) error {
			var id int64
			var source, event, digest, predicateType, bytes []byte
			var index sql.NullInt64
			return v.each(query, args(org), []any{&id, &source, &event, &digest, &predicateType, &index, &bytes}, func() error {
				k, err := keptOf(id, digest, index)
				if err != nil {
					return err
				}
				entry := store.Entry{ID: k.ID, Index: k.Index, Pending: k.Pending, Envelope: store.Envelope{
					EventKey:      store.EventKey{Source: string(source), EventID: string(event)},
					PredicateType: string(predicateType), Digest: k.Digest, Bytes: bytes,
				}}
				if stopped = !yield(entry, nil); stopped {
					return errStop
				}
				return nil
			})
		})
		if err != nil && !stopped {
			yield(store.Entry{}, err)
		}
	}
}

// Entries gives the sequenced envelopes by index: see [store.Evidence].
func (e *Evidence) Entries(ctx context.Context, from uint64) iter.Seq2[store.Entry, error] {
	return e.entries(ctx, "entries", `
		SELECT `+entryColumns+`
		FROM envelope AS e CROSS JOIN envelope_bytes AS b ON b.org = ? AND b.id = e.id
		WHERE e.org = ? AND e.log_index >= ?
		ORDER BY e.log_index`,
		func(org int64) []any { return []any{org, org, int64(from)} })
}

// ByDigest gives the envelope with this digest: see [store.Evidence].
func (e *Evidence) ByDigest(ctx context.Context, digest [sha256.Size]byte) (store.Entry, error) {
	for entry, err := range e.entries(ctx, "by digest", `
		SELECT `+entryColumns+`
		FROM envelope AS e CROSS JOIN envelope_bytes AS b ON b.org = ? AND b.id = e.id
		WHERE e.org = ? AND e.digest = ?`,
		func(org int64) []any { return []any{org, org, digest[:]} }) {
		return entry, err
	}
	return store.Entry{}, fmt.Errorf("no envelope has the digest %x: %w", digest, stemma.ErrNotFound)
}

// About gives the envelopes about subjects: see [store.Evidence].
func (e *Evidence) About(ctx context.Context, subjects []string, from uint64) iter.Seq2[store.Entry, error] {
	// What came lately is asked for often, of subjects that many thousand envelopes
	// have: none of them that is older than all of these is looked at.
	since, args := "", func(org int64) []any { return []any{jsonList(subjects), org, org, org, int64(from)} }
	if from > 0 {
		since = `
		      AND s.id >= (SELECT min(l.id) FROM envelope AS l INDEXED BY envelope_by_index WHERE l.org = ? AND l.log_index >= ?)`
		args = func(org int64) []any { return []any{jsonList(subjects), org, org, int64(from), org, org, int64(from)} }
	}
	return e.entries(ctx, "about", `
		SELECT `+entryColumns+`
		FROM (SELECT DISTINCT s.id
		      FROM json_each(?) AS j CROSS JOIN subject AS s ON s.org = ? AND s.name = CAST(j.value AS BLOB)`+since+`) AS s
		     CROSS JOIN envelope AS e ON e.org = ? AND e.id = s.id
		     CROSS JOIN envelope_bytes AS b ON b.org = ? AND b.id = e.id
		WHERE e.log_index >= ?
		ORDER BY e.log_index`, args)
}
