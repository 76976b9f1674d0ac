package postgres

import "time"

// SetPatience sets how long a call waits for a server that went away.
func (s *Store) SetPatience(d time.Duration) { s.patience = d }

// SetSlotWait sets how long a call waits for one of the connections.
func (s *Store) SetSlotWait(d time.Duration) { s.pool.wait = d }
