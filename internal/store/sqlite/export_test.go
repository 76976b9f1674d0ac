package sqlite

import (
	"context"
	"fmt"
	"time"
)

// SetWait sets how long a writer waits for one in another process.
func (s *Store) SetWait(d time.Duration) { s.graph.wait = d }

// SetWait sets how long a writer waits for one in another process.
func (e *Evidence) SetWait(d time.Duration) { e.d.wait = d }

// FillDisk leaves the graph no room to grow.
func (s *Store) FillDisk(ctx context.Context) error { return s.graph.fill(ctx) }

// FillDisk leaves the evidence no room to grow.
func (e *Evidence) FillDisk(ctx context.Context) error { return e.d.fill(ctx) }

func (d *database) fill(ctx context.Context) error {
	w, err := d.begin(ctx)
	if err != nil {
		return err
	}
	defer w.end()
	var pages int
	if err := w.row("PRAGMA page_count", nil, &pages); err != nil {
		return err
	}
	_, err = w.conn.ExecContext(ctx, fmt.Sprint("PRAGMA max_page_count = ", pages))
	return err
}
