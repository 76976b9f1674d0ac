package vault

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"

	_ "modernc.org/sqlite" // the index is a SQLite database
)

// The index says what there is; it holds no key and no content. Rows that are
// deleted are overwritten (secure_delete), and after an erasure the write-ahead
// log is emptied as well.
const indexSchema = `
create table if not exists session (
	name    text primary key,  -- of its folder: a keyed hash
	session text not null unique,
	made    integer not null,  -- UTC seconds, as all times here
	erasure text not null default ''
) strict, without rowid;
create table if not exists owner (
	name   text not null,
	person text not null,      -- pseudonym
	primary key (name, person)
) strict, without rowid;
create index if not exists owner_person on owner (person);
create table if not exists compartment (
	name   text not null,
	part   text not null,
	author text not null,      -- pseudonym, or '' for agent and tools
	class  text not null,
	last   integer not null,   -- when something was put into it last
	mark   text not null default '', -- a keyed hash of that: see lastMark
	primary key (name, part)
) strict, without rowid;
create index if not exists compartment_author on compartment (author);
create table if not exists object (
	name       text not null,
	part       text not null,
	id         text not null,
	size       integer not null, -- of the content, bytes
	made       integer not null,
	commitment text not null,
	primary key (name, part, id)
) strict, without rowid;
create table if not exists link (
	person text not null,
	link   text not null,      -- name of the file
	primary key (person, link)
) strict, without rowid;
create table if not exists erasure (
	id     text primary key,
	state  integer not null,
	kind   text not null,
	target text not null,
	made   integer not null,
	detail text not null       -- JSON of what it destroys
) strict, without rowid;
create index if not exists erasure_target on erasure (target, kind);
create table if not exists hold (
	id       text primary key,
	kind     text not null,
	target   text not null,
	reason   text not null,
	made     integer not null,
	released integer not null default 0
) strict, without rowid;
pragma user_version = 2;
`

// indexVersion is the version of the schema that this program knows.
const indexVersion = 2

func openIndex(ctx context.Context, path string) (*sql.DB, error) {
	if _, err := os.Stat(path); err != nil {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, fmt.Errorf("index %s: %w", path, kind(err))
		}
		f.Close()
	}
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)", "journal_mode(wal)", "synchronous(full)", "secure_delete(on)", "foreign_keys(on)", "trusted_schema(off)",
	}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("index %s: %w", path, indexError(err))
	}
	db.SetMaxOpenConns(1)
	var version int
	if err = db.QueryRowContext(ctx, `pragma user_version`).Scan(&version); err == nil && version == 0 {
		_, err = db.ExecContext(ctx, indexSchema)
	}
	if err == nil && version > indexVersion {
		err = fmt.Errorf("made by a newer stemma: %w", errInvalid)
	}
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("index %s: %w", path, indexError(err))
	}
	return db, nil
}

// upgrade brings an index of an earlier version up to date: from 1, that has no
// marks. What it says is believed once.
func (v *Vault) upgrade(ctx context.Context) error {
	var version int
	if err := v.db.QueryRowContext(ctx, `pragma user_version`).Scan(&version); err != nil {
		return indexError(err)
	}
	if version == indexVersion {
		return nil
	}
	return v.transact(ctx, func(tx *sql.Tx) error {
		// Another process may have been first.
		if err := tx.QueryRowContext(ctx, `pragma user_version`).Scan(&version); err != nil || version == indexVersion {
			return err
		}
		if _, err := tx.ExecContext(ctx, `alter table compartment add column mark text not null default ''`); err != nil {
			return err
		}
		type row struct {
			name, part string
			last       int64
		}
		var list []row
		err := rows(ctx, tx, func(r *sql.Rows) error {
			var c row
			err := r.Scan(&c.name, &c.part, &c.last)
			list = append(list, c)
			return err
		}, `select name, part, last from compartment`)
		if err != nil {
			return err
		}
		for _, c := range list {
			if _, err := tx.ExecContext(ctx, `update compartment set mark = ? where name = ? and part = ?`, v.lastMark(c.name, c.part, c.last), c.name, c.part); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, fmt.Sprintf(`pragma user_version = %d`, indexVersion))
		return err
	})
}

// lastMark is the mark of when something was put into a compartment last. Its
// content expires from then on, so that whoever can write the index could have it
// kept for ever, or gone tomorrow.
func (v *Vault) lastMark(name, part string, last int64) string {
	return keyed(v.names, 8, "last", name, part, strconv.FormatInt(last, 10))
}

// transact runs f in a transaction that is durable when transact returns.
func (v *Vault) transact(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := v.db.BeginTx(ctx, nil)
	if err != nil {
		return indexError(err)
	}
	defer tx.Rollback()
	if err := f(tx); err != nil {
		return indexError(err)
	}
	return indexError(tx.Commit())
}

// rows calls f for each row of a query.
func rows(ctx context.Context, q querier, f func(*sql.Rows) error, query string, args ...any) error {
	r, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return indexError(err)
	}
	defer r.Close()
	for r.Next() {
		if err := f(r); err != nil {
			return indexError(err)
		}
	}
	return indexError(r.Err())
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// words gives the first column of a query, as text.
func words(ctx context.Context, q querier, query string, args ...any) ([]string, error) {
	var list []string
	err := rows(ctx, q, func(r *sql.Rows) error {
		var s string
		err := r.Scan(&s)
		list = append(list, s)
		return err
	}, query, args...)
	return list, err
}

// forget empties the write-ahead log into the index, so that it holds nothing
// that was deleted.
func (v *Vault) forget(ctx context.Context) error {
	var busy, log, done int
	if err := v.db.QueryRowContext(ctx, `pragma wal_checkpoint(truncate)`).Scan(&busy, &log, &done); err != nil {
		return fmt.Errorf("empty the log of the index: %w", indexError(err))
	}
	if busy != 0 {
		return fmt.Errorf("empty the log of the index: somebody reads it: %w", errUnavailable)
	}
	return nil
}

// indexError gives an error of the database its kind, and hides the rest.
func indexError(err error) error {
	switch {
	case err == nil, isKind(err):
		return err
	case errors.Is(err, sql.ErrNoRows):
		return errNotFound
	}
	text := err.Error()
	for _, k := range []struct {
		part string
		kind error
	}{
		{"malformed", errInvalid}, {"not a database", errInvalid}, {"readonly", errDenied}, {"unable to open", errDenied},
	} {
		if strings.Contains(text, k.part) {
			return fmt.Errorf("%v: %w", err, k.kind)
		}
	}
	// 4874 is no room for the file of shared memory beside the database.
	if strings.Contains(text, "(4874)") || strings.Contains(text, "disk is full") {
		return fmt.Errorf("the index of the vault: the disk is full; free some space and run again: %w", errUnavailable)
	}
	return fmt.Errorf("the index of the vault: %v: %w", err, errUnavailable)
}
