package record

import (
	"context"
	"fmt"
	"iter"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/store"
)

// Statement is a statement of the evidence, at its place in the log.
type Statement struct {
	Index uint64
	stemma.Statement
	Source, EventID string
}

// Statements gives the statements of the evidence from an index on, in the order
// of the log. What it gives is what was recorded: whose word it is, package sign
// says. An envelope that cannot be read ends it with ErrInvalid, which names it:
// stemma fsck tells more.
func Statements(ctx context.Context, e store.Evidence, from uint64) iter.Seq2[Statement, error] {
	return decoded(e.Entries(ctx, from))
}

// StatementsAbout gives those with a subject of one of these names; see
// store.SubjectNames.
func StatementsAbout(ctx context.Context, e store.Evidence, subjects []string, from uint64) iter.Seq2[Statement, error] {
	return decoded(e.About(ctx, subjects, from))
}

func decoded(entries iter.Seq2[store.Entry, error]) iter.Seq2[Statement, error] {
	return func(yield func(Statement, error) bool) {
		for e, err := range entries {
			if err != nil {
				yield(Statement{}, err)
				return
			}
			st, err := statementOf(e)
			if err != nil {
				yield(Statement{}, err)
				return
			}
			if !yield(st, nil) {
				return
			}
		}
	}
}

func statementOf(e store.Entry) (Statement, error) {
	fail := func(err error) (Statement, error) {
		return Statement{}, fmt.Errorf("envelope %d (log index %d): %w", e.ID, e.Index, err)
	}
	env, err := attest.Decode(e.Bytes)
	if err != nil {
		return fail(err)
	}
	st, err := attest.DecodeStatement(env.Payload)
	if err != nil {
		return fail(err)
	}
	return Statement{Index: e.Index, Statement: st, Source: e.Source, EventID: e.EventID}, nil
}

// Ledger is the evidence as those see it who observe and record what they saw.
type Ledger struct {
	Origin   string // of the log
	Evidence store.Evidence
	// Recorder is nil where the evidence can only be read; Why says why.
	Recorder *Recorder
	Why      error
}

// About gives the statements about subjects: see [StatementsAbout].
func (l *Ledger) About(ctx context.Context, subjects []string, from uint64) iter.Seq2[Statement, error] {
	return StatementsAbout(ctx, l.Evidence, subjects, from)
}

// Record records statements as one batch: see [Recorder.Record]. Where the
// evidence can only be read the error is Why.
func (l *Ledger) Record(ctx context.Context, statements []stemma.Statement) error {
	if l.Recorder == nil {
		return l.Why
	}
	batch := make([]Submission, len(statements))
	for i, st := range statements {
		s, err := NewSubmission(st)
		if err != nil {
			return &SubmissionError{i, err}
		}
		batch[i] = s
	}
	_, err := l.Recorder.Record(ctx, batch)
	return err
}
