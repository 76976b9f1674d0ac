package postgres

import (
	"context"

	"github.com/stemma-dev/stemma/internal/store"
)

// Since gives the scopes that were put since a moment.
func (s *Store) Since(ctx context.Context, moment string) (c store.Changes, err error) {
	then, ok := store.ParseMoment(moment)
	err = s.read(ctx, "read changes", func() bool { return false }, func(v *view) error {
		if !v.known {
			return nil
		}
		var now store.Moment
		if err := v.c.QueryRow(ctx, "SELECT epoch, puts FROM stemma_graph.state WHERE org = $1", v.org).Scan(&now.Epoch, &now.Puts); err != nil {
			return err
		}
		c = store.Changes{Now: now.String()}
		if !ok || !then.Kept(now) {
			return nil
		}
		var puts [][]byte
		var names []byte
		if err := v.each("SELECT names FROM stemma_graph.put WHERE org = $1 AND number > $2", []any{v.org, then.Puts}, []any{&names}, func() error {
			puts = append(puts, append([]byte(nil), names...))
			return nil
		}); err != nil {
			return err
		}
		var err error
		c, err = then.Until(now, puts)
		return err
	})
	return c, err
}
