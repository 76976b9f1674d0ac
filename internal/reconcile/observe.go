package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/project"
	"github.com/stemma-dev/stemma/internal/store"
)

// seenMark is where the store remembers what the evidence says of the refs that
// an observer saw, so that each statement is folded once.
const seenMark = "seen/"

// lookBack finds out what the evidence says: the repository's key and where its
// refs were. It is the projection of the observations, so that a graph that was
// dropped has it again.
func (r *run) lookBack(ctx context.Context, tip string) error {
	all, err := r.Store.Marks(ctx)
	if err != nil {
		return err
	}
	if text := all[seenMark+r.Observer]; text != "" {
		// A mark that can not be read is none: it is folded again.
		if json.Unmarshal([]byte(text), &r.seen) != nil {
			r.seen = project.Observed{}
		}
	}
	if err := r.openLedger(ctx); err != nil {
		return err
	}
	if r.ledger != nil {
		if r.seen.Log != r.ledger.Origin {
			r.seen = project.Observed{Log: r.ledger.Origin}
		}
		if err := r.foldSeen(ctx); err != nil {
			return err
		}
	}
	r.report.Repository = r.seen.Repository
	if r.report.Repository == "" {
		key, err := rootKey(ctx, r.Repo, tip)
		if err != nil {
			return err
		}
		r.report.Repository = key
	}
	r.before = maps.Clone(r.seen.Refs)
	if r.before == nil {
		r.before = make(project.Refs)
	}
	r.named = make(map[string]bool)
	for _, name := range r.seen.Gone {
		r.nameAll(project.Refs{name: stemma.RefMove{}})
	}
	r.nameAll(r.before)
	r.nameAll(r.now)
	return nil
}

// openLedger opens the evidence. That it can not be opened is told, and no error.
func (r *run) openLedger(ctx context.Context) error {
	ledger, err := r.Evidence(ctx)
	if err != nil {
		return r.unrecorded(ctx, err)
	}
	r.ledger = ledger
	return nil
}

// unrecorded goes on without the evidence, unless the run itself is to end.
func (r *run) unrecorded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.ledger, r.report.Unrecorded = nil, err.Error()
	return nil
}

// foldSeen folds the observations that the store has not folded yet, and
// remembers the result.
func (r *run) foldSeen(ctx context.Context) error {
	from := r.seen.Next
	for s, err := range r.ledger.About(ctx, []string{store.NameSubject(r.Observer)}, from) {
		if err == nil {
			err = r.seen.Fold(s.Index, s.Statement, r.Observer)
		}
		if err != nil {
			return r.unrecorded(ctx, err)
		}
	}
	if r.seen.Next == from {
		return nil
	}
	text, err := json.Marshal(r.seen)
	if err != nil {
		return fmt.Errorf("marks: %w", err)
	}
	return r.Store.Put(ctx, store.Batch{Marks: map[string]string{seenMark + r.Observer: string(text)}})
}

// maxMoves bounds the JSON of the moves in one statement, in bytes, well under
// what a statement may have.
const maxMoves = 40 << 10

// recordMoves records where the refs moved: one observation, or as many as its
// size asks for.
func (r *run) recordMoves(ctx context.Context, moves []stemma.RefMove) error {
	var statements []stemma.Statement
	for len(moves) > 0 {
		n, size := 0, 0
		for n < len(moves) {
			m := moves[n]
			// A name may need escapes, at most six bytes for one.
			size += 6*len(m.Name) + 6*len(m.Target) + len(m.At) + len(m.From) + 64
			if n > 0 && size > maxMoves {
				break
			}
			n++
		}
		s, err := r.observation(moves[:n])
		if err != nil {
			return err
		}
		statements, moves = append(statements, s), moves[n:]
	}
	if err := r.ledger.Record(ctx, statements); err != nil {
		return r.unrecorded(ctx, err)
	}
	return r.foldSeen(ctx)
}

// observation is the statement that refs moved. Its event id is made from what
// it says and from the place in the log after the last one, so that saying it
// again is the same event, and a ref that goes to and fro makes new ones.
//
// Its subjects are the repository and the observer: by the latter a clone finds
// its own observations among those of all.
func (r *run) observation(moves []stemma.RefMove) (stemma.Statement, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%d\n%s\n%s\n", r.seen.Next, r.report.Repository, r.Observer)
	for _, m := range moves {
		fmt.Fprintf(h, "%q %q %q %q\n", m.Name, m.At, m.From, m.Target)
	}
	predicate, err := json.Marshal(stemma.RefObservation{
		Source:     "git",
		EventID:    hex.EncodeToString(h.Sum(nil)),
		Repository: r.report.Repository,
		Observer:   r.Observer,
		Observed:   r.Now().UTC().Format(time.RFC3339),
		Assertion:  stemma.Observed,
		Refs:       moves,
	})
	if err != nil {
		return stemma.Statement{}, fmt.Errorf("ref observation: %w", err)
	}
	return stemma.Statement{
		Type:          stemma.StatementType,
		Subject:       []stemma.Subject{named(r.report.Repository), named(r.Observer)},
		PredicateType: stemma.RefObservationType,
		Predicate:     predicate,
	}, nil
}

// named is the subject of something that has no digest but that of its name.
func named(name string) stemma.Subject {
	sum := sha256.Sum256([]byte(name))
	return stemma.Subject{Name: name, Digest: map[string]string{"sha256": hex.EncodeToString(sum[:])}}
}
