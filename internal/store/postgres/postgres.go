// Package postgres answers how the facts of an organisation are kept on a
// server that many machines share: it is the store of a team, in a PostgreSQL
// database (13 or newer). Begin with [Open].
//
// The schema stemma_evidence holds the envelopes ([OpenEvidence]). It is the
// truth: append-only, and migrated from version to version. The schema
// stemma_graph holds what was derived from the statements and from git, and can
// be dropped at any time. A call that writes is one transaction: all of it is
// stored or nothing, whatever happens to the server, the network or the process.
//
// # Many at once
//
// Of all processes that put into one organisation one writes at a time, because
// it holds the organisation's row of stemma_graph.state, and of those that keep
// envelopes one, by stemma_evidence.organisation; the others wait for it.
// Nobody waits to read: a loop has a connection of its own, with a snapshot of
// the moment it began. Organisations neither see nor hinder one another.
//
// # A server that goes away
//
// A call that loses its connection begins again on another, for a while: a read
// that has given nothing yet, and a Put, which changes nothing where it had
// succeeded after all. A loop that has given values already ends with
// ErrUnavailable: what it saw is not to be had any more.
//
// # Distributed
//
// The SQL can run on Citus, with org as the distribution column of every table:
// org leads every primary key, unique constraint and index and is never updated,
// and every reference to a table carries it as a constant, so that a query goes
// to one shard. There are no foreign keys, triggers or lists in the text of a
// query. A test reads all of the SQL and holds it to that.
package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// Store keeps the facts of one organisation in a database. Its maker is [Open].
// It fulfils the contracts of [store.Store] and [store.Locker].
type Store struct {
	organisation string
	org          int64
	pool         *pool
	patience     time.Duration // for a server that went away
	words        atomic.Pointer[words]

	writing chan struct{} // held by the Put of this process; guards scribe
	scribe  scribe
}

var (
	_ store.Store  = (*Store)(nil)
	_ store.Locker = (*Store)(nil)
)

// patience is how long a call waits for a server that went away: long enough
// for a restart or a failover.
const patience = 20 * time.Second

// Open opens the store of an organisation in the database at address, a
// postgres:// or postgresql:// URL as libpq understands it, and makes or
// migrates both where needed; the database itself must exist. What the address
// leaves open is taken from PGHOST, PGUSER, PGPASSWORD, ~/.pgpass and so on. The
// parameter pool_max_conns bounds the connections of this handle; without it 16
// do.
//
// A user without the right to write can read, and every write is ErrDenied. The
// error is ErrInvalid for an address that is none, ErrDenied where the server
// refuses the user, ErrNotFound where it has no such database, ErrUnavailable
// where it cannot be reached, and ErrConflict where a newer stemma has changed
// the store. No error shows a password.
func Open(ctx context.Context, address, organisation string) (*Store, error) {
	if organisation == "" {
		return nil, fmt.Errorf("open store: no organisation: %w", stemma.ErrInvalid)
	}
	pool, err := newPool(address)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{
		organisation: organisation, org: organisationID(organisation),
		pool: pool, patience: patience, writing: make(chan struct{}, 1),
	}
	if err := s.prepare(ctx); err != nil {
		pool.close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

// Close ends the connections. Loops that still run go on to their end. Closing
// again does nothing; any other call after it is ErrUnavailable.
func (s *Store) Close() error {
	s.pool.close()
	return nil
}

// organisationID is the number that stands for an organisation in every table.
// It is made from the name, so that it need not be looked up; that two names
// have one is found when the second is written.
func organisationID(name string) int64 {
	sum := sha256.Sum256([]byte(name))
	return int64(binary.BigEndian.Uint64(sum[:]) >> 1)
}
