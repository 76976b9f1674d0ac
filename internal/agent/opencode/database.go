package opencode

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/agent/opencode/storage"
)

// The limits of what is read of a database. A database is foreign bytes too.
const (
	maxSessions = 10_000
	maxParts    = 200_000 // of one session
	maxData     = 64 << 20
)

// watermark is the memo of the newest change that was read.
const watermark = "watermark"

// readDatabase reads the sessions that changed since. OpenCode may be writing at
// the same time: the database is opened read-only, and one transaction sees it as
// it is at one moment.
func readDatabase(ctx context.Context, src *agent.Source, from agent.State) (agent.Reading, error) {
	damaged := func(err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &agent.DecodeError{Agent: Name, Path: src.Path, Reason: "database: " + err.Error()}
	}
	path, err := filepath.Abs(src.Path)
	if err != nil {
		return agent.Reading{}, fmt.Errorf("opencode database %q: %v: %w", src.Path, err, stemma.ErrUnavailable)
	}
	if path = filepath.ToSlash(path); !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive
	}
	dsn := (&url.URL{Scheme: "file", Path: path, RawQuery: "mode=ro&_pragma=query_only(1)&_pragma=trusted_schema(0)&_pragma=busy_timeout(2000)"}).String()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return agent.Reading{}, fmt.Errorf("opencode database %q: %v: %w", src.Path, err, stemma.ErrUnavailable)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return agent.Reading{}, damaged(err)
	}
	defer tx.Rollback()
	since, _ := strconv.ParseInt(from.Memo[watermark], 10, 64)
	changed, newest, err := changedSessions(ctx, tx, since)
	if err != nil {
		return agent.Reading{}, damaged(err)
	}
	r := agent.Reading{State: agent.State{
		Agent: Name, Readings: from.Readings + 1,
		Memo: map[string]string{watermark: strconv.FormatInt(newest, 10)},
	}}
	r.Sessions = agent.Build(Name, func(b *agent.Builder) {
		for _, id := range changed {
			w := b.Session(id)
			w.Head().Whole = from.Readings > 0
			if err == nil {
				err = readSession(ctx, tx, b, w, id, &r)
			}
		}
	})
	if err != nil {
		return agent.Reading{}, damaged(err)
	}
	return r, nil
}

// changedSessions gives the sessions with a message or a part that is newer than
// since, and the time of the newest.
func changedSessions(ctx context.Context, tx *sql.Tx, since int64) (ids []string, newest int64, err error) {
	const query = `
		SELECT session_id, max(newest)
		FROM (
			SELECT session_id, max(time_updated) AS newest FROM message GROUP BY session_id
			UNION ALL
			SELECT session_id, max(time_updated) AS newest FROM part GROUP BY session_id
		)
		GROUP BY session_id
		HAVING max(newest) > ?
		ORDER BY max(newest), session_id
		LIMIT ?`
	rows, err := tx.QueryContext(ctx, query, since, maxSessions)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	newest = since
	for rows.Next() {
		var id string
		var at int64
		if err := rows.Scan(&id, &at); err != nil {
			return nil, 0, err
		}
		ids = append(ids, id)
		newest = max(newest, at)
	}
	return ids, newest, rows.Err()
}

func readSession(ctx context.Context, tx *sql.Tx, b *agent.Builder, w *agent.Work, id string, r *agent.Reading) error {
	if err := head(ctx, tx, w, id); err != nil {
		return err
	}
	messages, err := query(ctx, tx, w, `SELECT id, '', data FROM message WHERE session_id = ? ORDER BY time_created, id LIMIT ?`, id, r)
	if err != nil {
		return err
	}
	parts, err := query(ctx, tx, w, `SELECT id, message_id, data FROM part WHERE session_id = ? ORDER BY time_created, id LIMIT ?`, id, r)
	if err != nil {
		return err
	}
	byMessage := make(map[string][]storage.Row)
	for _, p := range parts {
		byMessage[p.of] = append(byMessage[p.of], p.Row)
	}
	for _, m := range messages {
		storage.Message(b, w, m.Row, byMessage[m.ID])
		delete(byMessage, m.ID)
	}
	if len(byMessage) > 0 {
		w.Gap(agent.GapVanished, "parts whose message is not there", agent.Span{})
	}
	return nil
}

// head reads the session's own row. Old databases have no such table, and later
// ones more columns.
func head(ctx context.Context, tx *sql.Tx, w *agent.Work, id string) error {
	rows, err := tx.QueryContext(ctx, `SELECT * FROM session WHERE id = ?`, id)
	if err != nil {
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		w.Gap(agent.GapVanished, "the table of sessions", agent.Span{})
		return nil
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	if !rows.Next() {
		w.Gap(agent.GapVanished, "the row of the session", agent.Span{})
		return rows.Err()
	}
	values := make([]sql.NullString, len(columns))
	into := make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	if err := rows.Scan(into...); err != nil {
		return err
	}
	s := w.Head()
	for i, name := range columns {
		v := values[i]
		if !v.Valid {
			continue
		}
		switch name {
		case "parent_id":
			if v.String != "" {
				s.Parent = &agent.Parent{Session: v.String, Method: "session.parent_id"}
			}
		case "directory":
			s.Base.Dir = v.String
		case "title":
			s.Title = v.String
		case "version":
			s.Version = v.String
		case "time_created":
			if ms, err := strconv.ParseInt(v.String, 10, 64); err == nil && ms > 0 && ms < 1<<43 {
				w.Around(time.UnixMilli(ms).UTC())
			}
		}
	}
	return rows.Err()
}

// found is a row with the message that it is of.
type found struct {
	storage.Row
	of string
}

func query(ctx context.Context, tx *sql.Tx, w *agent.Work, text, session string, r *agent.Reading) ([]found, error) {
	rows, err := tx.QueryContext(ctx, text, session, maxParts+1)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []found
	for rows.Next() {
		if len(all) == maxParts {
			w.Gap(agent.GapTooLarge, "more messages or parts than are read", agent.Span{})
			break
		}
		var f found
		var data []byte
		if err := rows.Scan(&f.ID, &f.of, &data); err != nil {
			return nil, err
		}
		r.Entries++
		r.Bytes += int64(len(data))
		if len(data) > maxData {
			w.Gap(agent.GapTooLarge, "a row over the limit", agent.Span{Length: int64(len(data))})
			continue
		}
		v, err := agent.ParseValue(slices.Clone(data), 0)
		if err != nil || !v.IsObject() {
			w.Gap(agent.GapUnreadable, "a row that is no JSON object", agent.Span{Length: int64(len(data))})
			continue
		}
		f.Data = v
		all = append(all, f)
	}
	return all, rows.Err()
}
