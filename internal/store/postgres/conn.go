package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"github.com/stemma-dev/stemma"
)

const (
	// connections is how many one handle opens at most: a server has about a
	// hundred for everybody.
	connections = 16
	// connectTimeout is for an address that says nothing of it.
	connectTimeout = 10 * time.Second
	// slotWait is how long a call waits for one of the connections. Loops inside
	// of loops could otherwise wait for each other for ever.
	slotWait = 30 * time.Second
)

// session are the settings of every connection.
var session = map[string]string{
	"application_name": "stemma",
	// Our queries are short: compiling them costs more than it saves.
	"jit": "off",
	// Every query has its index, and a plan that was made while a table was empty
	// must not go through all of it when it is full: long lists are looked up one
	// by one, by LATERAL, which leaves nothing to be planned otherwise.
	"enable_seqscan": "off", "plan_cache_mode": "force_custom_plan",
	// Nothing but what we name in full: a schema that others may write to must
	// not slip a table or a function of its own in.
	"search_path": "pg_catalog, pg_temp",
	// How long a writer waits for one in another process. The largest Put seen
	// takes a few seconds.
	"lock_timeout": "60s",
	// A loop holds its snapshot as long as it runs, whatever the server's default.
	"idle_in_transaction_session_timeout": "0",
	// A machine that vanishes in the middle of a Put lets go of its locks.
	"tcp_keepalives_idle": "30", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "3",
}

// pool keeps the connections of one handle. It opens one when it is needed and
// starts nothing by itself.
type pool struct {
	config *pgx.ConnConfig
	where  string        // the database, for errors
	slots  chan struct{} // one for each connection in use
	wait   time.Duration // for one of them

	mu     sync.Mutex
	idle   []*conn
	closed bool
}

// conn is a connection in the hands of one call.
type conn struct {
	*pgx.Conn
	staging bool // the staging tables are made
}

// newPool reads the address, and connects to nothing.
func newPool(address string) (*pool, error) {
	if !strings.HasPrefix(address, "postgres://") && !strings.HasPrefix(address, "postgresql://") {
		return nil, fmt.Errorf("address of the store: want postgres://user@host:port/database: %w", stemma.ErrInvalid)
	}
	config, err := pgx.ParseConfig(address)
	if err != nil {
		// What the library says may quote a part of the address, and so of the
		// password.
		return nil, fmt.Errorf("address of the store: cannot be read; want postgres://user@host:port/database, "+
			"with %%-encoding for any of :/?#[]@%% in user and password: %w", stemma.ErrInvalid)
	}
	most := connections
	if text, ok := config.RuntimeParams["pool_max_conns"]; ok {
		delete(config.RuntimeParams, "pool_max_conns")
		if most, err = strconv.Atoi(text); err != nil || most < 2 || most > 10_000 {
			return nil, fmt.Errorf("address of the store: pool_max_conns is no number from 2 to 10000: %w", stemma.ErrInvalid)
		}
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	for name, value := range session {
		if _, ok := config.RuntimeParams[name]; !ok || name == "search_path" {
			config.RuntimeParams[name] = value
		}
	}
	// A context that ends stops the query on the server too, which may hold a
	// lock that others wait for.
	config.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: time.Second}
	}
	return &pool{config: config, where: where(config), slots: make(chan struct{}, most), wait: slotWait}, nil
}

// where names the database without user and password.
func where(config *pgx.ConnConfig) string {
	host := config.Host
	if !strings.HasPrefix(host, "/") {
		host = fmt.Sprintf("%s:%d", host, config.Port)
	}
	database := config.Database
	if database == "" {
		database = config.User
	}
	return fmt.Sprintf("database %s on %s", database, host)
}

// acquire gives a connection, which the caller must release.
func (p *pool) acquire(ctx context.Context) (*conn, error) {
	timer := time.NewTimer(p.wait)
	defer timer.Stop()
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return nil, fmt.Errorf("all %d connections of this process are in use; wait, or set pool_max_conns: %w",
			cap(p.slots), stemma.ErrUnavailable)
	}
	c, err := p.connection(ctx)
	if err != nil {
		<-p.slots
	}
	return c, err
}

func (p *pool) connection(ctx context.Context) (*conn, error) {
	c, err := p.takeIdle()
	if c != nil || err != nil {
		return c, err
	}
	made, err := pgx.ConnectConfig(ctx, p.config.Copy())
	if err != nil {
		return nil, err
	}
	return &conn{Conn: made}, nil
}

func (p *pool) takeIdle() (*conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	last := len(p.idle) - 1
	if last < 0 {
		return nil, nil
	}
	c := p.idle[last]
	p.idle = p.idle[:last]
	return c, nil
}

// release takes a connection back. One that is in the middle of something is
// ended, which undoes it.
func (p *pool) release(c *conn) {
	p.mu.Lock()
	keep := !p.closed && !c.IsClosed() && !c.PgConn().IsBusy() && c.PgConn().TxStatus() == 'I'
	if keep {
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if !keep {
		end(c.Conn)
	}
	<-p.slots
}

// close ends the connections that nobody uses; the others are ended when they
// are released.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.drain()
}

// drain ends the connections that nobody uses: where one was lost, the others
// are too, and each would be found out by a call of its own.
func (p *pool) drain() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, c := range idle {
		end(c.Conn)
	}
}

func (p *pool) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// end says good-bye for a moment, and then hangs up.
func end(c *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.Close(ctx)
}

// with calls fn with a connection, and again with another as long as again says
// so of its error, for a while. An error has its kind.
func (s *Store) with(ctx context.Context, again func(error) bool, fn func(*conn) error) error {
	var began time.Time
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := s.once(ctx, fn)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !again(err) || s.pool.isClosed():
			return s.fail(err)
		case began.IsZero():
			began = time.Now()
		case time.Since(began)+pause > s.patience:
			return s.fail(err)
		}
		s.pool.drain()
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Store) once(ctx context.Context, fn func(*conn) error) error {
	c, err := s.pool.acquire(ctx)
	if err != nil {
		return err
	}
	defer s.pool.release(c)
	return fn(c)
}

// rowsOf calls fn for every row of a query, after dest was filled from it.
func rowsOf(ctx context.Context, c *conn, query string, args, dest []any, fn func() error) error {
	rows, err := c.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return fmt.Errorf("%v: %w", err, stemma.ErrInvalid) // not what we write
		}
		if err := fn(); err != nil {
			return err
		}
	}
	return rows.Err()
}

// errStop ends a loop without an error.
var errStop = errors.New("stop")
