package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"
)

// lockAgain is how often a lock that another holds is tried.
const lockAgain = 200 * time.Millisecond

// Lock takes a lock of the organisation: no other process of any machine has it
// until it is released, or this one has lost its connection. A process that is
// gone holds none.
func (s *Store) Lock(ctx context.Context, name string, waiting func()) (release func(), err error) {
	c, err := s.lockConnection(ctx, name, waiting)
	if err != nil {
		if err = s.fail(err); ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return func() {
		// The lock is the session's and ends with it.
		end(c.Conn)
		s.pool.release(c)
	}, nil
}

func (s *Store) lockConnection(ctx context.Context, name string, waiting func()) (*conn, error) {
	c, err := s.pool.acquire(ctx)
	if err != nil {
		return nil, err
	}
	key := lockKey(s.organisation, name)
	for told := false; ; {
		var free bool
		if err := c.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", key).Scan(&free); err != nil {
			s.pool.release(c)
			return nil, err
		}
		if free {
			return c, nil
		}
		if !told && waiting != nil {
			told = true
			waiting()
		}
		select {
		case <-time.After(lockAgain):
		case <-ctx.Done():
			s.pool.release(c)
			return nil, ctx.Err()
		}
	}
}

// lockKey is the number of a lock. Locks belong to the database, so that the
// organisation is in the number.
func lockKey(organisation, name string) int64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "stemma lock %q %q", organisation, name))
	return int64(binary.BigEndian.Uint64(sum[:]))
}
