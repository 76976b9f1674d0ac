package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stemma-dev/stemma"
)

// errClosed says that the handle is closed.
var errClosed = fmt.Errorf("the store is closed: %w", stemma.ErrUnavailable)

// fail turns an error of the driver into one of the kinds, with the database and
// what to do next. Errors that are of a kind already, and the end of a context,
// come through as they are. No error type of the driver leaves the package, and
// no text of it that could show a password.
func (s *Store) fail(err error) error { return s.pool.fail(err) }

func (p *pool) fail(err error) error {
	if err == nil {
		return nil
	}
	var server *pgconn.PgError
	switch {
	case errors.As(err, &server):
		return p.serverError(server)
	case errors.Is(err, errClosed):
		return fmt.Errorf("%s: %w", p.where, err)
	case kindOf(err) != nil:
		return err
	case lost(err):
		return fmt.Errorf("%s: %s; see that the server runs and can be reached from here: %w", p.where, reason(err), stemma.ErrUnavailable)
	default:
		var connect *pgconn.ConnectError
		if errors.As(err, &connect) {
			return fmt.Errorf("%s: cannot connect (%s); see that server and address fit: %w", p.where, reason(err), stemma.ErrUnavailable)
		}
		return fmt.Errorf("%s: %v", p.where, err)
	}
}

// serverError gives an answer of the server its kind, by its SQLSTATE
// (PostgreSQL documentation, appendix A).
func (p *pool) serverError(e *pgconn.PgError) error {
	say := func(kind error, hint string) error {
		return fmt.Errorf("%s: %s (SQLSTATE %s); %s: %w", p.where, e.Message, e.Code, hint, kind)
	}
	switch e.Code {
	case "3D000":
		return say(stemma.ErrNotFound, "make it with createdb, or name another in the address")
	case "42501":
		return say(stemma.ErrDenied, "ask for the right to write there")
	case "25006":
		return say(stemma.ErrDenied, "the server can only be read: use the address of the primary")
	case "55P03":
		return say(stemma.ErrConflict, "another process is writing; wait for it to end")
	case "57014":
		return say(stemma.ErrUnavailable, "the server stopped the query; run again")
	case "42P01", "42703", "3F000", "42704", "42883":
		return p.remade()
	case "53300":
		return say(stemma.ErrUnavailable, "the server has no connection left; run again, or raise max_connections")
	case "XX001", "XX002":
		return say(stemma.ErrInvalid, "the database is damaged: restore it")
	}
	switch e.Code[:min(2, len(e.Code))] {
	case "08", "57":
		return say(stemma.ErrUnavailable, "run again")
	case "53", "58":
		return say(stemma.ErrUnavailable, "see to disk and memory of the server, and run again")
	case "28":
		return say(stemma.ErrDenied, "check user and password: in the address, PGPASSWORD or ~/.pgpass")
	case "40":
		return say(stemma.ErrConflict, "run again")
	case "23":
		return say(stemma.ErrConflict, "another process wrote the same; run again")
	case "22", "54":
		return say(stemma.ErrInvalid, "the value is not one that the database can hold")
	case "25":
		return say(stemma.ErrUnavailable, "run again")
	default:
		return fmt.Errorf("%s: %s (SQLSTATE %s)", p.where, e.Message, e.Code)
	}
}

func (p *pool) remade() error {
	return fmt.Errorf("%s: another version of stemma has changed the store meanwhile; run again: %w", p.where, stemma.ErrConflict)
}

// passing reports whether an error may be gone on another connection, a moment
// later.
func passing(err error) bool {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		switch e.Code {
		case "57P01", "57P02", "57P03", "53300", "40001", "40P01":
			return true
		}
		return strings.HasPrefix(e.Code, "08")
	}
	return kindOf(err) == nil && lost(err)
}

// lost reports whether an error is that of a connection, and not of what was
// said over it.
func lost(err error) bool {
	var network net.Error
	var connect *pgconn.ConnectError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, pgconn.ErrConnClosed) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &network) || errors.As(err, &connect) || pgconn.SafeToRetry(err) || pgconn.Timeout(err)
}

// reason is what went wrong with a connection, in the words of the system.
func reason(err error) string {
	var op *net.OpError
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		if dns.IsNotFound {
			return "no such host"
		}
		return "the name of the host cannot be looked up"
	case pgconn.Timeout(err) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.As(err, &op):
		var system *os.SyscallError
		if errors.As(op.Err, &system) {
			return system.Err.Error()
		}
		return op.Op + ": " + op.Err.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, pgconn.ErrConnClosed):
		return "the connection was lost"
	}
	// The innermost error says what is wrong; those around it name user and host.
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// kindOf gives the kind of an error of package stemma or of a context, or nil.
func kindOf(err error) error {
	for _, kind := range []error{
		stemma.ErrNotFound, stemma.ErrInvalid, stemma.ErrConflict, stemma.ErrDenied, stemma.ErrUnavailable,
		context.Canceled,
	} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return nil
}

// damaged says that what we wrote does not read.
func (p *pool) damaged(reason string) error {
	return fmt.Errorf("%s: damaged (%s); put a backup back, or where it is the graph drop the schema stemma_graph and index again: %w", p.where, reason, stemma.ErrInvalid)
}
