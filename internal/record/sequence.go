package record

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
	"github.com/stemma-dev/stemma/internal/tlog"
)

// together is how many pending envelopes are appended as one.
const together = 4096

// Resume sequences what was left pending, by a process that died or a disk that
// was full. Whoever records does it too; it costs little where nothing is left.
// The error is as for [Recorder.Record].
func (r *Recorder) Resume(ctx context.Context) error {
	if err := r.sequence(ctx, nil); err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	return nil
}

// sequence appends everything that is pending to the log, unless what the
// caller waits for was appended meanwhile by somebody else.
func (r *Recorder) sequence(ctx context.Context, keys []store.EventKey) error {
	limit, cancel := context.WithTimeout(ctx, r.cfg.LockWait)
	defer cancel()
	release, err := r.cfg.Log.Lock(limit)
	if err != nil {
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			return &BusyError{5 * time.Second, fmt.Sprintf("another process has held the log for %s", r.cfg.LockWait)}
		}
		return err
	}
	defer release()
	if len(keys) > 0 {
		if done, err := r.done(ctx, keys); err != nil || done {
			return err
		}
	}
	if err := r.readTail(ctx); err != nil {
		return err
	}
	for {
		pending, err := r.cfg.Evidence.Pending(ctx, together)
		if err != nil || len(pending) == 0 {
			return err
		}
		digests := make([]tlog.Digest, len(pending))
		for i, k := range pending {
			digests[i] = k.Digest
		}
		at, err := r.cfg.Log.Add(ctx, digests)
		if err != nil {
			return err
		}
		indexes := make([]store.Sequenced, len(pending))
		for i, k := range pending {
			indexes[i] = store.Sequenced{ID: k.ID, Index: at[i]}
		}
		if err := r.cfg.Evidence.Sequence(ctx, indexes); err != nil {
			return err
		}
	}
}

// done reports whether all of these are sequenced.
func (r *Recorder) done(ctx context.Context, keys []store.EventKey) (bool, error) {
	kept, err := r.cfg.Evidence.Find(ctx, keys)
	if err != nil {
		return false, err
	}
	for _, k := range kept {
		if k.ID == 0 || k.Pending {
			return false, nil
		}
	}
	return true, nil
}

// readTail writes the indexes of what is in the log and was not written down:
// the process that added it died, or its disk was full. The caller holds the
// log's lock.
func (r *Recorder) readTail(ctx context.Context) error {
	head, err := r.cfg.Log.Head(ctx)
	if err != nil {
		return err
	}
	next, err := r.cfg.Evidence.Next(ctx)
	if err != nil {
		return err
	}
	if head.Size < next {
		return fmt.Errorf("the log has %d entries and the evidence knows of %d: one of them is an old copy; put back the newer log, or run stemma fsck: %w",
			head.Size, next, stemma.ErrConflict)
	}
	if err := r.sameLog(ctx, head, next); err != nil {
		return err
	}
	at, lost := next, 0
	var indexes []store.Sequenced
	flush := func() error {
		err := r.cfg.Evidence.Sequence(ctx, indexes)
		indexes = indexes[:0]
		return err
	}
	seen := make(map[tlog.Digest]bool)
	for d, err := range r.cfg.Log.Tree().Entries(ctx, next, head.Size) {
		if err != nil {
			return err
		}
		entry, err := r.cfg.Evidence.ByDigest(ctx, d)
		switch {
		case errors.Is(err, stemma.ErrNotFound):
			lost++
		case err != nil:
			return err
		case entry.Pending && !seen[d]:
			seen[d] = true
			indexes = append(indexes, store.Sequenced{ID: entry.ID, Index: at})
		}
		at++
		if len(indexes) == together {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if lost > 0 {
		r.cfg.Warn(fmt.Sprintf("the log has %d entries whose envelopes are not in the evidence; run stemma fsck", lost))
	}
	return flush()
}

// sameLog looks whether the last entry that the evidence knows of is the one
// that the log has there.
func (r *Recorder) sameLog(ctx context.Context, head tlog.Head, next uint64) error {
	if next == 0 {
		return nil
	}
	var want [sha256.Size]byte
	for e, err := range r.cfg.Evidence.Entries(ctx, next-1) {
		if err != nil {
			return err
		}
		want = e.Digest
		break
	}
	for d, err := range r.cfg.Log.Tree().Entries(ctx, next-1, head.Size) {
		if err != nil {
			return err
		}
		if d != want {
			return fmt.Errorf("entry %d of the log is %s and the evidence has %x there: they do not belong together; run stemma fsck: %w", next-1, d, want, stemma.ErrConflict)
		}
		break
	}
	return nil
}
