package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

// A writer is the one connection of this process that writes to a database, in
// a transaction. Its statements stay prepared from one transaction to the next.
//
// Between begin and end it does not listen to a context, so that nothing stops
// it in the middle; who uses it looks at the context between steps.
type writer struct {
	d      *database
	conn   *sql.Conn
	stmts  map[string]*sql.Stmt
	active bool // a transaction is under way
}

// begin waits for all other writers, of this process and of others, and starts
// a transaction. The caller must call end, once.
func (d *database) begin(ctx context.Context) (*writer, error) {
	if d.readOnly {
		return nil, d.denied()
	}
	select {
	case d.lock <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	w, err := d.beginLocked(ctx)
	if err != nil {
		<-d.lock
		return nil, d.fail(err)
	}
	return w, nil
}

func (d *database) beginLocked(ctx context.Context) (*writer, error) {
	if d.writer == nil {
		conn, err := d.writers.Conn(ctx)
		if err != nil {
			return nil, err
		}
		d.writer = &writer{d: d, conn: conn, stmts: make(map[string]*sql.Stmt)}
	}
	w := d.writer
	for start := time.Now(); ; {
		_, err := w.conn.ExecContext(ctx, "BEGIN IMMEDIATE")
		if err == nil {
			break
		}
		// A context that ends just now may leave a transaction behind.
		w.rollback()
		if !isCode(err, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) || ctx.Err() != nil || time.Since(start) > d.wait {
			return nil, err
		}
	}
	var version int
	if err := w.row("PRAGMA user_version", nil, &version); err != nil {
		w.rollback()
		return nil, err
	}
	if version != d.version {
		w.rollback()
		return nil, d.remade()
	}
	w.active = true
	return w, nil
}

// end gives the database to the next writer. What was not committed is undone.
func (w *writer) end() {
	if w.active {
		w.rollback()
	}
	<-w.d.lock
}

// commit makes the transaction durable. After it only end may be called.
func (w *writer) commit() error {
	if _, err := w.exec("COMMIT"); err != nil {
		return err
	}
	w.active = false
	return nil
}

// rollback undoes the transaction, if there is one. A connection that cannot do
// so is thrown away; the file itself is never left half written.
func (w *writer) rollback() {
	w.active = false
	_, err := w.exec("ROLLBACK")
	if err == nil || isCode(err, sqlite3.SQLITE_ERROR) { // no transaction is active
		return
	}
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = w.close()
	w.d.writer = nil
}

func (w *writer) exec(query string, args ...any) (sql.Result, error) {
	stmt, err := w.prepare(query)
	if err != nil {
		return nil, err
	}
	return stmt.Exec(args...)
}

func (w *writer) query(query string, args ...any) (*sql.Rows, error) {
	stmt, err := w.prepare(query)
	if err != nil {
		return nil, err
	}
	return stmt.Query(args...)
}

// scan reads a row; what is not of the kind that we write is damage.
func (w *writer) scan(rows *sql.Rows, dest ...any) error {
	if err := rows.Scan(dest...); err != nil {
		return w.d.damaged(err.Error())
	}
	return nil
}

// row reads the single row of a query; sql.ErrNoRows where there is none.
func (w *writer) row(query string, args []any, dest ...any) (err error) {
	stmt, err := w.prepare(query)
	if err != nil {
		return err
	}
	rows, err := stmt.Query(args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return err
		}
		return sql.ErrNoRows
	}
	return w.scan(rows, dest...)
}

func (w *writer) prepare(query string) (*sql.Stmt, error) {
	if stmt, ok := w.stmts[query]; ok {
		return stmt, nil
	}
	stmt, err := w.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	w.stmts[query] = stmt
	return stmt, nil
}

// close works on a nil writer too.
func (w *writer) close() error {
	if w == nil {
		return nil
	}
	var errs []error
	for _, stmt := range w.stmts {
		errs = append(errs, stmt.Close())
	}
	if err := w.conn.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// bulk inserts rows into a table, many with one statement.
type bulk struct {
	w     *writer
	full  string // inserts bulkRows rows
	one   string // inserts one
	width int
	args  []any
}

// bulkRows is where a longer statement stops to pay: the cost of a call is then
// well under that of its rows.
const bulkRows = 32

// newBulk inserts into what comes after INSERT INTO: "table (column, ...)".
//
// OR FAIL spares the journal that would undo the rows of one statement before
// the row that cannot be inserted, a quarter of the time: whoever fails undoes
// the whole transaction.
func newBulk(w *writer, into string, width int) *bulk {
	one := "(" + repeat("?", width) + ")"
	return &bulk{
		w: w, width: width,
		one:  "INSERT OR FAIL INTO " + into + " VALUES " + one,
		full: "INSERT OR FAIL INTO " + into + " VALUES " + repeat(one, bulkRows),
		args: make([]any, 0, width*bulkRows),
	}
}

func (b *bulk) add(row ...any) error {
	if len(row) != b.width {
		return fmt.Errorf("insert of %d values into %d columns", len(row), b.width)
	}
	b.args = append(b.args, row...)
	if len(b.args) < b.width*bulkRows {
		return nil
	}
	_, err := b.w.exec(b.full, b.args...)
	b.args = b.args[:0]
	return err
}

func (b *bulk) flush() error {
	for i := 0; i < len(b.args); i += b.width {
		if _, err := b.w.exec(b.one, b.args[i:i+b.width]...); err != nil {
			return err
		}
	}
	b.args = b.args[:0]
	return nil
}

// repeat gives s n times with commas between.
func repeat(s string, n int) string {
	out := make([]byte, 0, n*(len(s)+2))
	for i := range n {
		if i > 0 {
			out = append(out, ", "...)
		}
		out = append(out, s...)
	}
	return string(out)
}

// collect reads all rows of one column, and closes them.
func collect[T any](rows *sql.Rows) (all []T, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}
