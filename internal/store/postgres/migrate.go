package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/stemma-dev/stemma"
)

//go:embed migrations
var migrations embed.FS

// The last file of each part.
const (
	evidenceVersion = 3
	graphVersion    = 2
)

// migrationLock is the advisory lock of who makes or migrates the schemas.
const migrationLock int64 = 0x7374656d6d61 // "stemma"

// prepare sees to it that both schemas are of our version. The usual case costs
// one question. A server that is not there is not waited for, one that says it
// is starting is.
func (s *Store) prepare(ctx context.Context) error {
	current := false
	err := s.with(ctx, starting, func(c *conn) (err error) {
		current, err = isCurrent(ctx, s.pool, c)
		return err
	})
	if err != nil || current {
		return err
	}
	return s.with(ctx, starting, func(c *conn) error { return migrate(ctx, s.pool, c) })
}

// starting reports whether a server is about to be there.
func starting(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "57P03" || e.Code == "53300")
}

// isCurrent reports whether both schemas are of our version. One of a newer
// version is ErrConflict.
func isCurrent(ctx context.Context, p *pool, c *conn) (bool, error) {
	var evidence, graph int64
	err := c.QueryRow(ctx, `
		SELECT
			(SELECT coalesce(max(version_id), 0) FROM stemma_evidence.migration WHERE is_applied),
			(SELECT coalesce(max(version_id), 0) FROM stemma_graph.migration WHERE is_applied)`).Scan(&evidence, &graph)
	var e *pgconn.PgError
	if errors.As(err, &e) && (e.Code == "42P01" || e.Code == "3F000") {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if evidence > evidenceVersion || graph > graphVersion {
		return false, fmt.Errorf("%s: made by a newer stemma (schemas %d and %d, this one knows %d and %d); use that one: %w",
			p.where, evidence, graph, evidenceVersion, graphVersion, stemma.ErrConflict)
	}
	return evidence == evidenceVersion && graph == graphVersion, nil
}

// migrate makes both schemas, or brings them to our version, while no other
// process does.
func migrate(ctx context.Context, p *pool, c *conn) error {
	if _, err := c.Exec(ctx, "SELECT pg_advisory_lock($1)", migrationLock); err != nil {
		return err
	}
	// The lock is the session's, because a migration has transactions of its own.
	defer end(c.Conn)
	current, err := isCurrent(ctx, p, c)
	if err != nil || current {
		return err // made by somebody else while we waited
	}
	for _, part := range []struct{ schema, dir string }{
		{"stemma_evidence", "migrations/evidence"},
		{"stemma_graph", "migrations/graph"},
	} {
		if err := migratePart(ctx, p, c, part.schema, part.dir); err != nil {
			return err
		}
	}
	return nil
}

func migratePart(ctx context.Context, p *pool, c *conn, schema, dir string) (err error) {
	var exists bool
	if err := c.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)", schema).Scan(&exists); err != nil {
		return err
	}
	if !exists {
		// Not "if not exists", which asks for the right to make it in any case.
		if _, err := c.Exec(ctx, "CREATE SCHEMA "+schema); err != nil {
			return err
		}
	}
	files, err := fs.Sub(migrations, dir)
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*p.config.Copy())
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithDisableGlobalRegistry(true), goose.WithTableName(schema+".migration"))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}
