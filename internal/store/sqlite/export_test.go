package sqlite

import (
	"context"
	"fmt"
	"time"
)

// SetWait sets how long a writer waits for one in another process.
func (s *Store) SetWait(d time.Duration) {
	s.graph.wait, s.evidence.wait = d, d
}

// FillDisk leaves the graph or the evidence no room to grow.
func (s *Store) FillDisk(ctx context.Context, evidence bool) error {
	d := s.graph
	if evidence {
		d = s.evidence
	}
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
