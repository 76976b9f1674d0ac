package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/stemma-dev/stemma"
)

// fail turns an error of the database into one of the kinds, with the file and
// what to do next. Errors that are of a kind already, and the end of a context,
// come through as they are. No error type of the database leaves the package.
func (d *database) fail(err error) error {
	if err == nil || kindOf(err) != nil {
		return err
	}
	if d.closed.Load() {
		return fmt.Errorf("%s: the store is closed: %w", d.path, stemma.ErrUnavailable)
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		if strings.Contains(err.Error(), "sql: Scan error") {
			return d.damaged(err.Error()) // of another kind than what we write
		}
		return fmt.Errorf("%s: %v", d.path, err)
	}
	code := e.Code() & 0xff
	if e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE { // no room for the file of shared memory beside it
		code = sqlite3.SQLITE_FULL
	}
	switch code {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL:
		return fmt.Errorf("%s: another process is writing to it; wait for it to end: %w", d.path, stemma.ErrConflict)
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%s: the disk is full; free some space and run again: %w", d.path, stemma.ErrUnavailable)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
		return d.denied()
	case sqlite3.SQLITE_CANTOPEN:
		return d.cannotOpen()
	case sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%s: not a store of stemma; %s: %w", d.path, d.remedy, stemma.ErrInvalid)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_MISMATCH,
		sqlite3.SQLITE_ERROR,      // it is of our version, yet lacks what a query names
		sqlite3.SQLITE_CONSTRAINT: // a key that no lookup found is there
		return d.damaged(e.Error())
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM:
		return fmt.Errorf("%s: %s; check the disk and run again: %w", d.path, e.Error(), stemma.ErrUnavailable)
	case sqlite3.SQLITE_TOOBIG:
		return fmt.Errorf("%s: a value is over the limit of the database: %w", d.path, stemma.ErrInvalid)
	case sqlite3.SQLITE_SCHEMA:
		return d.remade()
	default:
		return fmt.Errorf("%s: %s", d.path, e.Error())
	}
}

// kindOf gives the kind of an error of package stemma or of a context, or nil.
func kindOf(err error) error {
	for _, kind := range []error{
		stemma.ErrNotFound, stemma.ErrInvalid, stemma.ErrConflict, stemma.ErrDenied, stemma.ErrUnavailable,
		context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return nil
}

func isCode(err error, codes ...int) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	for _, code := range codes {
		if e.Code()&0xff == code {
			return true
		}
	}
	return false
}

// isConstraint reports whether a unique key was in the way.
func isConstraint(err error) bool { return isCode(err, sqlite3.SQLITE_CONSTRAINT) }

func (d *database) damaged(reason string) error {
	return fmt.Errorf("%s: damaged (%s); %s: %w", d.path, reason, d.remedy, stemma.ErrInvalid)
}

func (d *database) denied() error {
	return fmt.Errorf("%s: cannot be written; get write permission, or use another directory: %w", d.path, stemma.ErrDenied)
}

func (d *database) remade() error {
	return fmt.Errorf("%s: another version of stemma has changed it meanwhile; run again: %w", d.path, stemma.ErrConflict)
}

// cannotOpen asks the file system for the reason, which the database does not
// tell. It must not open the file: closing it again would release the locks
// that another store of this process holds on it.
func (d *database) cannotOpen() error {
	_, err := os.Stat(d.path)
	if err == nil {
		err = mayRead(d.path)
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: cannot be read; get permission, or use another directory: %w", d.path, stemma.ErrDenied)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w", d.path, stemma.ErrNotFound)
	default:
		return fmt.Errorf("%s: cannot be opened; check the directory and run again: %w", d.path, stemma.ErrUnavailable)
	}
}

// fileError gives an error of the file system its kind.
func fileError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission), errors.Is(err, errReadOnlyFS):
		return fmt.Errorf("%v; get write permission, or use another directory: %w", err, stemma.ErrDenied)
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%v; use another directory: %w", err, stemma.ErrInvalid)
	default:
		return fmt.Errorf("%v: %w", err, stemma.ErrUnavailable)
	}
}
