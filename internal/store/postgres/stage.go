package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Rows are loaded by COPY, which is many times as fast as inserting them, into a
// staging table of the session: without an index, a log or a lock. From there
// one statement takes them into the table that they are for, in the order of
// its key and with the organisation as a constant.

// makeStaging makes the staging tables of a session. They are emptied by the end
// of every transaction.
const makeStaging = `
	CREATE TEMPORARY TABLE IF NOT EXISTS staged_node (
		id bigint, kind integer, scope boolean, key bytea, tail bytea
	) ON COMMIT DELETE ROWS;
	CREATE TEMPORARY TABLE IF NOT EXISTS staged_edge (
		src bigint, dst bigint, scope bigint, confidence double precision, kind integer, origin integer,
		ai bigint, ai_edited bigint, human bigint, generated bigint, unknown bigint, candidate bigint
	) ON COMMIT DELETE ROWS;
	CREATE TEMPORARY TABLE IF NOT EXISTS staged_tally (
		node bigint, time bigint, kind integer, grp integer, flags integer,
		ai bigint, ai_edited bigint, human bigint, generated bigint, unknown bigint, candidate bigint, sessions bigint,
		key bytea
	) ON COMMIT DELETE ROWS;
	CREATE TEMPORARY TABLE IF NOT EXISTS staged_attribution (node bigint, row bytea) ON COMMIT DELETE ROWS;
	CREATE TEMPORARY TABLE IF NOT EXISTS staged_path (id bigint, path bytea, tail bytea) ON COMMIT DELETE ROWS;
	CREATE TEMPORARY TABLE IF NOT EXISTS staged_touch (path bigint, node bigint) ON COMMIT DELETE ROWS;
	CREATE TEMPORARY TABLE IF NOT EXISTS staged_key (node bigint, digest uuid) ON COMMIT DELETE ROWS`

// A stage loads rows into one table.
type stage struct {
	table   string // of the session
	columns []string
	take    string // takes the rows over; $1 is the organisation
	rows    [][]any
}

func newNodes() *stage {
	return &stage{
		table: "staged_node", columns: []string{"id", "kind", "scope", "key", "tail"},
		take: `
			INSERT INTO stemma_graph.node (org, id, kind, scope, key, tail)
			SELECT $1, id, kind, scope, key, tail
			FROM pg_temp.staged_node
			ORDER BY kind, key
			ON CONFLICT (org, id) DO UPDATE SET scope = excluded.scope`,
	}
}

func newEdges() *stage {
	return &stage{
		table: "staged_edge",
		columns: []string{
			"src", "dst", "scope", "confidence", "kind", "origin",
			"ai", "ai_edited", "human", "generated", "unknown", "candidate",
		},
		take: `
			INSERT INTO stemma_graph.edge (org, src, dst, scope, confidence, kind, origin, ai, ai_edited, human, generated, unknown, candidate)
			SELECT $1, src, dst, scope, confidence, kind, origin, ai, ai_edited, human, generated, unknown, candidate
			FROM pg_temp.staged_edge
			ORDER BY src, kind, dst, scope, origin`,
	}
}

func newTallies() *stage {
	return &stage{
		table: "staged_tally",
		columns: []string{
			"node", "time", "kind", "grp", "flags",
			"ai", "ai_edited", "human", "generated", "unknown", "candidate", "sessions", "key",
		},
		take: `
			INSERT INTO stemma_graph.tally (org, node, time, kind, grp, flags, ai, ai_edited, human, generated, unknown, candidate, sessions, key)
			SELECT $1, node, time, kind, grp, flags, ai, ai_edited, human, generated, unknown, candidate, sessions, key
			FROM pg_temp.staged_tally
			ORDER BY kind, grp, time DESC, key`,
	}
}

func newAttributions() *stage {
	return &stage{
		table: "staged_attribution", columns: []string{"node", "row"},
		take: `
			INSERT INTO stemma_graph.attribution (org, node, row)
			SELECT $1, node, row
			FROM pg_temp.staged_attribution
			ORDER BY node`,
	}
}

func newPaths() *stage {
	return &stage{
		table: "staged_path", columns: []string{"id", "path", "tail"},
		take: `
			INSERT INTO stemma_graph.path (org, id, path, tail)
			SELECT $1, id, path, tail
			FROM pg_temp.staged_path
			ORDER BY path`,
	}
}

func newTouches() *stage {
	return &stage{
		table: "staged_touch", columns: []string{"path", "node"},
		take: `
			INSERT INTO stemma_graph.touch (org, path, node)
			SELECT DISTINCT $1::bigint, path, node
			FROM pg_temp.staged_touch
			ORDER BY path, node`,
	}
}

func newKeys() *stage {
	return &stage{
		table: "staged_key", columns: []string{"node", "digest"},
		take: `
			INSERT INTO stemma_graph.scope_key (org, node, digest)
			SELECT $1, node, digest
			FROM pg_temp.staged_key
			ORDER BY digest, node`,
	}
}

func (s *stage) add(row ...any) { s.rows = append(s.rows, row) }

// load copies the rows and takes them over; without rows it asks nothing.
func (s *stage) load(ctx context.Context, w *writer) error {
	if len(s.rows) == 0 {
		return nil
	}
	if _, err := w.tx.CopyFrom(ctx, pgx.Identifier{"pg_temp", s.table}, s.columns, pgx.CopyFromRows(s.rows)); err != nil {
		return err
	}
	_, err := w.tx.Exec(ctx, s.take, w.org)
	s.rows = nil
	return err
}
