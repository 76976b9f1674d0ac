package postgres

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// Evidence keeps the envelopes of one organisation in a database. Its maker is
// [OpenEvidence]. It fulfils the contract of [store.Evidence].
type Evidence struct{ s *Store }

var _ store.Evidence = (*Evidence)(nil)

// OpenEvidence opens the evidence of an organisation in the database at address:
// see [Open], which takes the same and has the same errors.
func OpenEvidence(ctx context.Context, address, organisation string) (*Evidence, error) {
	s, err := Open(ctx, address, organisation)
	if err != nil {
		return nil, fmt.Errorf("open evidence: %w", err)
	}
	return &Evidence{s}, nil
}

// Close ends the connections. Loops that still run go on to their end. Closing
// again does nothing; any other call after it is ErrUnavailable.
func (e *Evidence) Close() error { return e.s.Close() }

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
	if len(envelopes) == 0 {
		return nil, ctx.Err()
	}
	var kept []store.Kept
	err := e.s.write(ctx, func(w *writer) (err error) {
		kept, err = w.keep(envelopes)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("keep: %w", err)
	}
	return kept, nil
}

// keep finds what is kept already, under the lock of the organisation's
// evidence, and stores the rest.
func (w *writer) keep(envelopes []store.Envelope) ([]store.Kept, error) {
	if err := w.lockEvidence(); err != nil {
		return nil, err
	}
	keys := make([]store.EventKey, len(envelopes))
	for i := range envelopes {
		keys[i] = envelopes[i].EventKey
	}
	kept, err := findKept(w.ctx, w.c, w.org, keys)
	if err != nil {
		return nil, err
	}
	var last int64
	if err := w.tx.QueryRow(w.ctx, "SELECT coalesce(max(id), 0) FROM stemma_evidence.envelope WHERE org = $1", w.org).Scan(&last); err != nil {
		return nil, err
	}
	added := make(map[store.EventKey]store.Kept)
	digests := make(map[[sha256.Size]byte]bool)
	batch := &pgx.Batch{}
	for i := range envelopes {
		v := &envelopes[i]
		if kept[i].ID != 0 {
			continue
		}
		if first, ok := added[v.EventKey]; ok {
			first.New = false
			kept[i] = first
			continue
		}
		if digests[v.Digest] {
			return nil, underAnotherKey(v)
		}
		digests[v.Digest] = true
		last++
		kept[i] = store.Kept{ID: last, Digest: v.Digest, Pending: true, New: true}
		added[v.EventKey] = kept[i]
		batch.Queue(`
			INSERT INTO stemma_evidence.envelope (org, id, key, source, event, digest, predicate_type)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			w.org, last, eventKey(v.Source, v.EventID), []byte(v.Source), []byte(v.EventID), v.Digest[:], []byte(v.PredicateType))
		content := v.Bytes
		if content == nil {
			content = []byte{}
		}
		batch.Queue("INSERT INTO stemma_evidence.envelope_bytes (org, id, bytes) VALUES ($1, $2, $3)", w.org, last, content)
		names := make([][]byte, len(v.Subjects))
		for j, name := range v.Subjects {
			names[j] = subjectDigest(name)
		}
		batch.Queue(`
			INSERT INTO stemma_evidence.subject (org, name, id)
			SELECT $1, d.name, $2
			FROM unnest($3::bytea[]) AS d (name)
			ON CONFLICT (org, name, id) DO NOTHING`, w.org, last, names)
	}
	if len(digests) == 0 {
		return kept, nil
	}
	// The database itself would say no more than that there is one.
	taken, err := w.takenDigests(envelopes)
	if err != nil {
		return nil, err
	}
	for i := range envelopes {
		if kept[i].New && taken[envelopes[i].Digest] {
			return nil, underAnotherKey(&envelopes[i])
		}
	}
	return kept, w.tx.SendBatch(w.ctx, batch).Close()
}

// takenDigests gives the digests of these envelopes that some envelope has.
func (w *writer) takenDigests(envelopes []store.Envelope) (map[[sha256.Size]byte]bool, error) {
	digests := make([][]byte, len(envelopes))
	for i := range envelopes {
		digests[i] = envelopes[i].Digest[:]
	}
	taken := make(map[[sha256.Size]byte]bool)
	var digest []byte
	err := w.each(`
		SELECT e.digest
		FROM unnest($2::bytea[]) AS d (digest)
		CROSS JOIN LATERAL (
			SELECT digest FROM stemma_evidence.envelope WHERE org = $1 AND digest = d.digest LIMIT 1
		) AS e`,
		[]any{w.org, digests}, []any{&digest}, func() error {
			if len(digest) == sha256.Size {
				taken[[sha256.Size]byte(digest)] = true
			}
			return nil
		})
	return taken, err
}

func underAnotherKey(v *store.Envelope) error {
	return fmt.Errorf("the envelope of %s %q is kept under another key: %w", v.Source, v.EventID, stemma.ErrInvalid)
}

func subjectDigest(name string) []byte {
	sum := sha256.Sum256([]byte(name))
	return sum[:]
}

// findKept gives what is kept under these keys, in their order.
func findKept(ctx context.Context, c *conn, org int64, keys []store.EventKey) ([]store.Kept, error) {
	found := make([]store.Kept, len(keys))
	digests := make([][]byte, len(keys))
	for i, key := range keys {
		digests[i] = eventKey(key.Source, key.EventID)
	}
	var n, id int64
	var digest []byte
	var index *int64
	err := rowsOf(ctx, c, `
		SELECT d.n, e.id, e.digest, e.log_index
		FROM unnest($2::bytea[]) WITH ORDINALITY AS d (key, n)
		CROSS JOIN LATERAL (
			SELECT id, digest, log_index FROM stemma_evidence.envelope WHERE org = $1 AND key = d.key LIMIT 1
		) AS e`,
		[]any{org, digests}, []any{&n, &id, &digest, &index}, func() (err error) {
			found[n-1], err = keptOf(id, digest, index)
			return err
		})
	return found, err
}

func keptOf(id int64, digest []byte, index *int64) (store.Kept, error) {
	if len(digest) != sha256.Size || index != nil && *index < 0 {
		return store.Kept{}, fmt.Errorf("envelope %d: digest of %d bytes, or an index below 0: %w", id, len(digest), stemma.ErrInvalid)
	}
	k := store.Kept{ID: id, Digest: [sha256.Size]byte(digest), Pending: index == nil}
	if index != nil {
		k.Index = uint64(*index)
	}
	return k, nil
}

// Find gives what is kept under these keys: see [store.Evidence].
func (e *Evidence) Find(ctx context.Context, keys []store.EventKey) (found []store.Kept, err error) {
	err = e.s.read(ctx, "find", never, func(v *view) (err error) {
		found, err = findKept(ctx, v.c, v.org, keys)
		return err
	})
	return found, err
}

// never is of a call that shows nothing before its end.
func never() bool { return false }

// Pending gives envelopes without an index: see [store.Evidence].
func (e *Evidence) Pending(ctx context.Context, limit int) (pending []store.Kept, err error) {
	err = e.s.read(ctx, "pending", never, func(v *view) error {
		pending = nil
		var id int64
		var digest []byte
		return v.each(`
			SELECT id, digest
			FROM stemma_evidence.envelope
			WHERE org = $1 AND log_index IS NULL
			ORDER BY id
			LIMIT $2`,
			[]any{v.org, limit}, []any{&id, &digest}, func() error {
				k, err := keptOf(id, digest, nil)
				pending = append(pending, k)
				return err
			})
	})
	return pending, err
}

// Sequence writes the indexes of pending envelopes: see [store.Evidence].
func (e *Evidence) Sequence(ctx context.Context, indexes []store.Sequenced) error {
	if len(indexes) == 0 {
		return ctx.Err()
	}
	err := e.s.write(ctx, func(w *writer) error {
		if err := w.lockEvidence(); err != nil {
			return err
		}
		return w.sequence(indexes)
	})
	if err != nil {
		return fmt.Errorf("sequence: %w", err)
	}
	return nil
}

// sequence looks at what there is of the envelopes and of the indexes, and
// writes what is new.
func (w *writer) sequence(indexes []store.Sequenced) error {
	ids, places := make([]int64, len(indexes)), make([]int64, len(indexes))
	for i, s := range indexes {
		if s.Index > 1<<62 {
			return fmt.Errorf("index %d of envelope %d: %w", s.Index, s.ID, stemma.ErrInvalid)
		}
		ids[i], places[i] = s.ID, int64(s.Index)
	}
	// The index of each envelope, nil while it is pending; and whose each index is.
	has, owner := make(map[int64]*int64), make(map[int64]int64)
	var id int64
	var index *int64
	err := w.each(`
		SELECT d.id, e.log_index
		FROM unnest($2::bigint[]) AS d (id)
		CROSS JOIN LATERAL (
			SELECT log_index FROM stemma_evidence.envelope WHERE org = $1 AND id = d.id LIMIT 1
		) AS e`,
		[]any{w.org, ids}, []any{&id, &index}, func() error {
			has[id] = index
			return nil
		})
	if err != nil {
		return err
	}
	var place int64
	err = w.each(`
		SELECT e.id, d.log_index
		FROM unnest($2::bigint[]) AS d (log_index)
		CROSS JOIN LATERAL (
			SELECT id FROM stemma_evidence.envelope WHERE org = $1 AND log_index = d.log_index LIMIT 1
		) AS e`,
		[]any{w.org, places}, []any{&id, &place}, func() error {
			owner[place] = id
			return nil
		})
	if err != nil {
		return err
	}
	for i, s := range indexes {
		now, ok := has[s.ID]
		of, taken := owner[places[i]]
		switch {
		case !ok:
			return fmt.Errorf("envelope %d: %w", s.ID, stemma.ErrNotFound)
		case now != nil && *now != places[i]:
			return fmt.Errorf("envelope %d has index %d, not %d: %w", s.ID, *now, s.Index, stemma.ErrConflict)
		case taken && of != s.ID:
			return fmt.Errorf("index %d is of another envelope than %d: %w", s.Index, s.ID, stemma.ErrConflict)
		}
		has[s.ID], owner[places[i]] = &places[i], s.ID
	}
	_, err = w.tx.Exec(w.ctx, `
		UPDATE stemma_evidence.envelope AS e
		SET log_index = d.log_index
		FROM unnest($2::bigint[], $3::bigint[]) AS d (id, log_index)
		WHERE e.org = $1 AND e.id = d.id AND e.log_index IS NULL`,
		w.org, ids, places)
	return err
}

// Next is the index after the highest: see [store.Evidence].
func (e *Evidence) Next(ctx context.Context) (next uint64, err error) {
	err = e.s.read(ctx, "next index", never, func(v *view) error {
		var n int64
		err := v.c.QueryRow(ctx, `
			SELECT coalesce(max(log_index), -1)
			FROM stemma_evidence.envelope
			WHERE org = $1 AND log_index IS NOT NULL`, v.org).Scan(&n)
		next = uint64(n + 1)
		return err
	})
	return next, err
}

// entryPage is how many envelopes are read before they are given.
const entryPage = 100

// rawEntry is a row of an envelope and its bytes.
type rawEntry struct {
	id                                            int64
	source, event, digest, predicateType, content []byte
	index                                         *int64
}

func (r *rawEntry) columns() []any {
	return []any{&r.id, &r.source, &r.event, &r.digest, &r.predicateType, &r.index, &r.content}
}

// entry gives the entry of a row. The subjects are not read: they follow from
// the bytes.
func (r *rawEntry) entry() (store.Entry, error) {
	k, err := keptOf(r.id, r.digest, r.index)
	if err != nil {
		return store.Entry{}, err
	}
	return store.Entry{ID: k.ID, Index: k.Index, Pending: k.Pending, Envelope: store.Envelope{
		EventKey:      store.EventKey{Source: string(r.source), EventID: string(r.event)},
		PredicateType: string(r.predicateType), Digest: k.Digest, Bytes: r.content,
	}}, nil
}

// pages gives the rows of a query for what comes from an index on, page by page.
// Its last two arguments are that index and the size of a page.
func (e *Evidence) pages(ctx context.Context, op, query string, from uint64, args ...any) iter.Seq2[store.Entry, error] {
	return sequence(ctx, e.s, op, func(v *view, yield func(store.Entry) bool) error {
		if from > 1<<62 {
			return nil
		}
		for from := int64(from); ; {
			var page []store.Entry
			var raw rawEntry
			err := v.each(query, append(append([]any{v.org}, args...), from, entryPage), raw.columns(), func() error {
				entry, err := raw.entry()
				page = append(page, entry)
				return err
			})
			if err != nil {
				return err
			}
			for i := range page {
				from = int64(page[i].Index) + 1
				if !yield(page[i]) {
					return errStop
				}
			}
			if len(page) < entryPage {
				return nil
			}
		}
	})
}

// Entries gives the sequenced envelopes by index: see [store.Evidence].
func (e *Evidence) Entries(ctx context.Context, from uint64) iter.Seq2[store.Entry, error] {
	return e.pages(ctx, "entries", `
		SELECT e.id, e.source, e.event, e.digest, e.predicate_type, e.log_index, b.bytes
		FROM stemma_evidence.envelope AS e
		JOIN stemma_evidence.envelope_bytes AS b ON b.org = $1 AND b.id = e.id
		WHERE e.org = $1 AND e.log_index >= $2
		ORDER BY e.log_index
		LIMIT $3`, from)
}

// About gives the envelopes about subjects: see [store.Evidence].
func (e *Evidence) About(ctx context.Context, subjects []string, from uint64) iter.Seq2[store.Entry, error] {
	names := make([][]byte, len(subjects))
	for i, name := range subjects {
		names[i] = subjectDigest(name)
	}
	return e.pages(ctx, "about", `
		SELECT e.id, e.source, e.event, e.digest, e.predicate_type, e.log_index, b.bytes
		FROM (SELECT DISTINCT id FROM stemma_evidence.subject WHERE org = $1 AND name = ANY($2)) AS s
		JOIN stemma_evidence.envelope AS e ON e.org = $1 AND e.id = s.id
		JOIN stemma_evidence.envelope_bytes AS b ON b.org = $1 AND b.id = s.id
		WHERE e.log_index >= $3
		ORDER BY e.log_index
		LIMIT $4`, from, names)
}

// ByDigest gives the envelope with this digest: see [store.Evidence].
func (e *Evidence) ByDigest(ctx context.Context, digest [sha256.Size]byte) (entry store.Entry, err error) {
	found := false
	err = e.s.read(ctx, "by digest", never, func(v *view) error {
		var raw rawEntry
		return v.each(`
			SELECT e.id, e.source, e.event, e.digest, e.predicate_type, e.log_index, b.bytes
			FROM stemma_evidence.envelope AS e
			JOIN stemma_evidence.envelope_bytes AS b ON b.org = $1 AND b.id = e.id
			WHERE e.org = $1 AND e.digest = $2`,
			[]any{v.org, digest[:]}, raw.columns(), func() (err error) {
				found = true
				entry, err = raw.entry()
				return err
			})
	})
	if err == nil && !found {
		err = fmt.Errorf("envelope %x: %w", digest, stemma.ErrNotFound)
	}
	return entry, err
}

// Audit reads everything once: see [store.Evidence]. The rows are looked at by
// their digests; the pages of the database are the server's own to check.
func (e *Evidence) Audit(ctx context.Context, row func(store.Entry) ([]string, bool, error), fault func(store.RowFault)) error {
	a := &audit{row: row, fault: fault}
	err := e.s.read(ctx, "audit", func() bool { return a.told }, func(v *view) error {
		for _, step := range []func(*view) error{a.rows, a.lost, a.subjects} {
			if err := step(v); err != nil {
				return err
			}
		}
		return nil
	})
	if a.err != nil {
		return a.err
	}
	return err
}

type audit struct {
	row   func(store.Entry) ([]string, bool, error)
	fault func(store.RowFault)
	told  bool  // something was shown to the caller
	err   error // what row returned

	named   int64 // subjects that the envelopes have
	unknown bool  // of some it is not known
}

func (a *audit) say(where, format string, args ...any) {
	a.told = true
	a.fault(store.RowFault{Where: where, Reason: fmt.Sprintf(format, args...)})
}

// rows looks at every envelope, page by page.
func (a *audit) rows(v *view) error {
	for last := int64(0); ; {
		var page []rawEntry
		var raw rawEntry
		err := v.each(`
			SELECT e.id, e.source, e.event, e.digest, e.predicate_type, e.log_index, b.bytes
			FROM stemma_evidence.envelope AS e
			LEFT JOIN stemma_evidence.envelope_bytes AS b ON b.org = $1 AND b.id = e.id
			WHERE e.org = $1 AND e.id > $2
			ORDER BY e.id
			LIMIT $3`,
			[]any{v.org, last, entryPage}, raw.columns(), func() error {
				page = append(page, raw)
				return nil
			})
		if err != nil {
			return err
		}
		for i := range page {
			last = page[i].id
			if err := a.envelope(v, &page[i]); err != nil {
				return err
			}
		}
		if len(page) < entryPage {
			return nil
		}
	}
}

func (a *audit) envelope(v *view, raw *rawEntry) error {
	where := fmt.Sprintf("envelope %d", raw.id)
	entry, err := raw.entry()
	sum := sha256.Sum256(raw.content)
	switch {
	case err != nil:
		a.say(where, "%v", err)
		return nil
	case raw.content == nil:
		a.say(where, "its bytes are missing")
		return nil
	case !bytes.Equal(sum[:], raw.digest):
		a.say(where, "its bytes do not have the digest %x", raw.digest)
		return nil
	}
	a.told = true
	subjects, known, err := a.row(entry)
	if err != nil {
		a.err = err
		return err
	}
	if !known {
		a.unknown = true
		return nil
	}
	for _, name := range subjects {
		var has bool
		if err := v.c.QueryRow(v.ctx, "SELECT EXISTS (SELECT FROM stemma_evidence.subject WHERE org = $1 AND name = $2 AND id = $3)",
			v.org, subjectDigest(name), raw.id).Scan(&has); err != nil {
			return err
		}
		if !has {
			a.say(where, "is not found by its subject %s", name)
			continue
		}
		a.named++
	}
	return nil
}

// lost looks for bytes that no envelope has.
func (a *audit) lost(v *view) error {
	var id int64
	return v.each(`
		SELECT b.id
		FROM stemma_evidence.envelope_bytes AS b
		WHERE b.org = $1 AND NOT EXISTS (SELECT FROM stemma_evidence.envelope AS e WHERE e.org = $1 AND e.id = b.id)`,
		[]any{v.org}, []any{&id}, func() error {
			a.say(fmt.Sprintf("envelope_bytes %d", id), "belongs to no envelope")
			return nil
		})
}

// subjects looks for more subjects than the envelopes have.
func (a *audit) subjects(v *view) error {
	var n int64
	if err := v.c.QueryRow(v.ctx, "SELECT count(*) FROM stemma_evidence.subject WHERE org = $1", v.org).Scan(&n); err != nil {
		return err
	}
	if n > a.named && !a.unknown {
		a.say("subject", "%d rows that no envelope has", n-a.named)
	}
	return nil
}
