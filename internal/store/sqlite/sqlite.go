// Package sqlite answers how the facts of one organisation are kept on one
// machine: it is the store of a laptop and of a small server, in SQLite files,
// without cgo. Begin with [Open] for the graph and [OpenEvidence] for the
// evidence, which is in a directory of its own.
//
// evidence.db holds the envelopes. It is the truth: append-only, migrated from
// version to version, and synced to the disk before a call that writes returns.
//
// graph.db holds what was derived from the statements and from git. A graph of
// another version is dropped and made anew, with no marks in it, so that the
// next index run fills it. A Put survives the death of the process; a power cut
// may undo the last of them, each as a whole and with its marks, and the next
// index run does them again. Syncing each of them would buy nothing that cannot
// be had again.
//
// # Many at once
//
// One process writes at a time, the others wait for it; nobody waits to read,
// and a reader sees the store as it was when its loop began.
package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// Store keeps the facts of one organisation in a directory. Its maker is
// [Open]. It fulfils the contract of [store.Store].
type Store struct {
	organisation string
	graph        *database
	scribe       scribe // guarded by graph's write lock
	words        atomic.Pointer[words]
}

var _ store.Store = (*Store)(nil)

// writerWait is how long a writer waits for one in another process. The
// largest Put seen takes less than a second.
const writerWait = 30 * time.Second

// Open opens the store of an organisation in dir, and makes both where they do
// not exist. Several may be open on one directory, for one organisation or more,
// in one process or more; organisations do not see one another.
//
// In a directory that cannot be written the store can be read, and every write
// is ErrDenied. The error is ErrDenied where neither is possible, ErrConflict
// where another version of stemma has changed it meanwhile, and ErrInvalid where
// the file is damaged or is no store.
func Open(ctx context.Context, dir, organisation string) (*Store, error) {
	if organisation == "" {
		return nil, fmt.Errorf("open store %s: no organisation: %w", dir, stemma.ErrInvalid)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	s := &Store{organisation: organisation}
	if s.graph, err = openDatabase(ctx, graphFile(dir)); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

// Close lets go of the file. Loops that still run go on to their end. Closing
// again does nothing; any other call after it is ErrUnavailable.
func (s *Store) Close() error {
	return s.graph.shut()
}
