package sqlite

import (
	"context"
	"database/sql"

	"github.com/stemma-dev/stemma/internal/store"
)

// Since gives the scopes that were put since a moment.
func (s *Store) Since(ctx context.Context, moment string) (c store.Changes, err error) {
	then, ok := store.ParseMoment(moment)
	err = s.read(ctx, "read changes", func(v *view) error {
		if v.org == 0 {
			return nil
		}
		var now store.Moment
		if err := v.conn.QueryRowContext(ctx, "SELECT epoch, puts FROM organisation WHERE org = ?", v.org).Scan(&now.Epoch, &now.Puts); err != nil {
			return err
		}
		c.Now = now.String()
		if !ok || !then.Kept(now) {
			return nil
		}
		var puts [][]byte
		var names sql.RawBytes
		if err := v.each("SELECT names FROM put WHERE org = ? AND number > ?", []any{v.org, then.Puts}, []any{&names}, func() error {
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
