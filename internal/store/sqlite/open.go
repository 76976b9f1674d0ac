package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/stemma-dev/stemma"
)

// errReadOnlyFS is what the system says of a file system mounted read-only.
const errReadOnlyFS = syscall.EROFS

const (
	// applicationID marks our files, so that we do not write into a database of
	// another program.
	applicationID   = 0x73746d61 // "stma"
	evidenceVersion = 2          // of the last file in evidence
	graphVersion    = 5          // of graph.sql and of the rows in it
)

//go:embed evidence/*.sql
var migrations embed.FS

//go:embed graph.sql
var graphSchema string

// A database is one of the two files: a pool of readers and one writer.
type database struct {
	path    string
	version int
	sync    string // PRAGMA synchronous of the writer
	remedy  string // what to do when the file is damaged
	// make brings the file to version; it is called by one process at a time.
	make func(ctx context.Context, d *database, now int) error
	// newer says that a file of a newer version is an error, and not remade.
	newer bool

	readOnly bool
	readers  *sql.DB
	writers  *sql.DB       // one connection
	lock     chan struct{} // held by the writer of this process
	wait     time.Duration // for a writer in another process
	writer   *writer       // guarded by lock; nil until first used
	closed   atomic.Bool
}

func evidenceFile(dir string) *database {
	return &database{
		path: filepath.Join(dir, "evidence.db"), version: evidenceVersion,
		// What is acknowledged must survive a power cut.
		sync: "full", newer: true,
		remedy: "run stemma fsck to see what is wrong, and put back a copy of it",
		make:   migrateEvidence,
	}
}

func graphFile(dir string) *database {
	path := filepath.Join(dir, "graph.db")
	return &database{
		path: path, version: graphVersion,
		// A power cut may undo whole transactions at the end, marks included.
		sync:   "normal",
		remedy: "delete " + path + ", " + path + "-wal and " + path + "-shm and index again",
		make:   remakeGraph,
	}
}

// openDatabase opens a file, and makes it or brings it to our version where
// needed. The usual case costs two pragmas.
func openDatabase(ctx context.Context, d *database) (*database, error) {
	d.lock = make(chan struct{}, 1)
	d.wait = writerWait
	if info, err := os.Stat(d.path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a file; move it away: %w", d.path, stemma.ErrInvalid)
	}
	var current bool
	err := d.patiently(ctx, func() (err error) {
		current, err = d.connect(ctx, "rw")
		return err
	})
	if err == nil && current {
		return d, nil
	}
	if isCode(err, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM) && exists(d.path) {
		// It may be that another process is making the file at this moment: what
		// it holds back is there once it is done, and it holds the lock till then.
		if d.prepare(ctx) == nil {
			return d, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return d, d.connectReadOnly(ctx, err)
	}
	if err != nil && !isCode(err, sqlite3.SQLITE_CANTOPEN) {
		return nil, d.fail(err)
	}
	if err := d.prepare(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

// patiently calls fn again while another process is in its way: one that makes
// the file, or that puts right what a process left that was killed. The database
// itself does not wait for every step of these.
func (d *database) patiently(ctx context.Context, fn func() error) error {
	for start := time.Now(); ; {
		err := fn()
		if !isCode(err, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) || time.Since(start) > d.wait {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// connect opens the pools and reports whether the file is of our version.
func (d *database) connect(ctx context.Context, mode string) (current bool, err error) {
	if err := d.close(); err != nil {
		return false, err
	}
	readers, err := sql.Open("sqlite", d.dsn(mode,
		"busy_timeout(10000)", "query_only(1)", "cell_size_check(1)", "cache_size(-8000)"))
	if err != nil {
		return false, err
	}
	// Readers are not bounded: a loop holds one, and a caller may nest loops.
	readers.SetMaxIdleConns(4)
	d.readers = readers
	d.writers, err = sql.Open("sqlite", d.dsn(mode,
		// Short, because begin tries again by itself: the database's own waits
		// grow so long that a busy writer of another process is never caught
		// between two transactions.
		"busy_timeout(250)", "synchronous("+d.sync+")", "cell_size_check(1)",
		"cache_size(-32000)", "wal_autocheckpoint(4000)"))
	if err != nil {
		return false, errors.Join(err, d.close())
	}
	d.writers.SetMaxOpenConns(1)
	version, err := d.probe(ctx)
	if err != nil {
		return false, errors.Join(err, d.close())
	}
	if d.newer && version > d.version {
		return false, errors.Join(fmt.Errorf(
			"%s: made by a newer stemma (schema %d, this one knows %d); use that one: %w",
			d.path, version, d.version, stemma.ErrConflict), d.close())
	}
	return version == d.version, nil
}

// connectReadOnly is tried where the file is there and cannot be opened for
// writing. A file of the database's kind needs two more beside it while it is
// open; where those cannot be made, it can only be read as something that does
// not change, and only if nothing is left in its log.
func (d *database) connectReadOnly(ctx context.Context, cause error) error {
	d.readOnly = true
	current, err := d.connect(ctx, "ro")
	if isCode(err, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) {
		if info, statErr := os.Stat(d.path + "-wal"); statErr == nil && info.Size() > 0 {
			return fmt.Errorf("%s: has changes that only a process that may write there can finish; run once with write permission: %w",
				d.path, stemma.ErrDenied)
		}
		current, err = d.connect(ctx, "ro&immutable=1")
	}
	switch {
	case isCode(err, sqlite3.SQLITE_CANTOPEN):
		return d.fail(cause)
	case err != nil:
		return d.fail(err)
	case !current:
		return errors.Join(fmt.Errorf("%s: made by another version of stemma, and cannot be written; run once with write permission: %w",
			d.path, stemma.ErrDenied), d.close())
	default:
		return nil
	}
}

// prepare makes the file, or brings it to our version, while no other process
// does.
func (d *database) prepare(ctx context.Context) (err error) {
	dir := filepath.Dir(d.path)
	if err := makeDir(dir); err != nil {
		return fileError(err)
	}
	// The lock file stays: who removes it takes the lock of whoever waits for it.
	guard := flock.New(filepath.Join(dir, "lock"))
	if _, err := guard.TryLockContext(ctx, 10*time.Millisecond); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fileError(err)
	}
	defer func() {
		if unlockErr := guard.Unlock(); unlockErr != nil && err == nil {
			err = errors.Join(fileError(unlockErr), d.close())
		}
	}()
	current, err := d.connect(ctx, "rwc")
	if err != nil || current {
		return d.fail(err) // made by somebody else while we waited
	}
	now, err := d.probe(ctx)
	if err != nil {
		return errors.Join(d.fail(err), d.close())
	}
	if err := d.patiently(ctx, func() error { return d.make(ctx, d, now) }); err != nil {
		return errors.Join(d.fail(err), d.close())
	}
	if current, err := d.connect(ctx, "rw"); err != nil || !current {
		return errors.Join(d.fail(err), d.remade())
	}
	return nil
}

// probe gives the schema version of the file, 0 for an empty one. A database of
// another program is ErrInvalid.
func (d *database) probe(ctx context.Context) (version int, err error) {
	// All of one moment: another process may be making the database, and then has
	// tables in what had no mark a moment ago.
	tx, err := d.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return 0, err
	}
	defer tx.Rollback() // it only reads
	var app, tables int
	for query, to := range map[string]*int{"PRAGMA user_version": &version, "PRAGMA application_id": &app, "SELECT count(*) FROM sqlite_master": &tables} {
		if err := tx.QueryRowContext(ctx, query).Scan(to); err != nil {
			return 0, err
		}
	}
	if app == applicationID {
		return version, nil
	}
	if app != 0 || version != 0 || tables != 0 {
		return 0, fmt.Errorf("%s: a database of another program; use another directory: %w", d.path, stemma.ErrInvalid)
	}
	return 0, nil
}

func migrateEvidence(ctx context.Context, d *database, _ int) error {
	if err := d.claim(ctx); err != nil {
		return err
	}
	files, err := fs.Sub(migrations, "evidence")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, d.writers, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

func remakeGraph(ctx context.Context, d *database, _ int) (err error) {
	if err := d.claim(ctx); err != nil {
		return err
	}
	tx, err := d.writers.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	rows, err := tx.QueryContext(ctx, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
	if err != nil {
		return err
	}
	tables, err := collect[string](rows)
	if err != nil {
		return err
	}
	for _, table := range tables {
		if _, err := tx.ExecContext(ctx, `DROP TABLE "`+strings.ReplaceAll(table, `"`, `""`)+`"`); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, graphSchema+"\nPRAGMA user_version = "+strconv.Itoa(graphVersion)); err != nil {
		return err
	}
	return tx.Commit()
}

// claim marks an empty file as ours, and lets readers read while we write.
func (d *database) claim(ctx context.Context) error {
	for _, pragma := range []string{
		"PRAGMA journal_mode = wal",
		"PRAGMA application_id = " + strconv.Itoa(applicationID),
	} {
		if _, err := d.writers.ExecContext(ctx, pragma); err != nil {
			return err
		}
	}
	return nil
}

// dsn names the file as a URI, so that no byte of its path means something else.
func (d *database) dsn(mode string, pragmas ...string) string {
	path := filepath.ToSlash(d.path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	query := "mode=" + mode
	for _, pragma := range pragmas {
		query += "&_pragma=" + url.QueryEscape(pragma)
	}
	uri := url.URL{Scheme: "file", Path: path, RawQuery: query}
	return uri.String()
}

// shut closes the database for good; closing it again does nothing.
func (d *database) shut() error {
	if d.closed.Swap(true) {
		return nil
	}
	return d.close()
}

// close lets go of the pools, after the writer of this process is done.
func (d *database) close() error {
	var errs []error
	if d.writers != nil {
		d.lock <- struct{}{}
		errs = append(errs, d.writer.close())
		d.writer = nil
		errs = append(errs, d.writers.Close())
		<-d.lock
	}
	if d.readers != nil {
		errs = append(errs, d.readers.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close: %w", d.fail(err))
	}
	return nil
}

// makeDir makes dir and syncs what it hangs from, so that a power cut does not
// take the store away as a whole.
func makeDir(dir string) error {
	if exists(dir) {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := os.Open(parent)
	if err != nil {
		return nil // a directory that we may write to and not read: nothing to sync by
	}
	// Not every system can sync a directory; the store is then only as safe as
	// the system makes it.
	_ = f.Sync()
	return f.Close()
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
