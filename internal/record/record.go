// Package record answers how evidence comes in: it is the one door. Begin with
// [Recorder.Record], which validates, signs, logs and keeps statements, and
// keeps foreign envelopes as they came.
//
// # The order of things
//
// An envelope is first kept as pending, durably; then its digest is appended to
// the tlog; then, when the log has it durably, its index is written, durably
// again; only then is it acknowledged. Whoever appends holds the log's lock, and
// appends everything that is pending, whoever kept it: many at once, in one
// process or several, share the cost of the disk.
//
// A process may die between any two of these steps. What is pending then was not
// acknowledged, and is appended by the next appender; what is in the log without
// a written index is found by reading the log's tail before anything is added.
// So nothing is lost, and nothing is added twice.
//
// # The same event again
//
// A statement is known by its source and the source's event id: told again, it
// is the statement that was kept first, and its signature is not made again. An
// envelope that somebody else signed is known by a keyed hash of what it says and
// of whose key it names, without times and signatures.
package record

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/redact"
	"github.com/stemma-dev/stemma/internal/sign"
	"github.com/stemma-dev/stemma/internal/store"
	"github.com/stemma-dev/stemma/internal/tlog"
)

// Verifier says what the signatures of a foreign envelope are worth;
// [sign.Trust] is one.
type Verifier interface {
	Verify(ctx context.Context, e attest.Envelope, s stemma.Statement) sign.Verdict
}

// Config is what a recorder works with. Evidence, Log and Signer must be set.
type Config struct {
	Evidence store.Evidence
	Log      tlog.Log
	Signer   sign.Signer
	// Trust judges foreign envelopes; nil knows no key.
	Trust Verifier
	// Predicates are the types of predicates that are recorded; the zero Registry
	// has those of package attest.
	Predicates attest.Registry
	// Vault keeps the content of submissions, and Redact takes out of it what must
	// not be kept; without both, submissions with content are refused.
	Vault  Vault
	Redact *redact.Redactor
	// Key is the secret of the organisation that content hashes are made with.
	Key []byte
	// Waiting is how many submissions may be under way at once in this process,
	// 0 is 16384; LockWait how long the log may be held by others, 0 is 20 s. What
	// is over is a *BusyError.
	Waiting  int
	LockWait time.Duration
	// Warn is told of what is wrong and does not keep the recorder from its work;
	// nil is nobody.
	Warn func(string)
}

// BusyError says that there is more to do than can be done now.
type BusyError struct {
	// RetryAfter is when it may be worth to try again.
	RetryAfter time.Duration
	Reason     string
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("%s; try again in %s", e.Reason, e.RetryAfter)
}

// Is says that it is of kind stemma.ErrUnavailable.
func (e *BusyError) Is(target error) bool { return target == stemma.ErrUnavailable }

// Submission is one piece of evidence: a statement to be signed, or an envelope
// that is signed already. See [ParseSubmission].
type Submission struct {
	// Payload is an in-toto Statement; it is signed exactly as it is, unless
	// Content is added to it.
	Payload []byte
	// Envelope is a DSSE envelope, or a Sigstore bundle with one, which is kept
	// exactly as it is.
	Envelope []byte
	// Content goes to the vault; its commitments are added to the predicate's
	// field "content". Only a statement can have it.
	Content []Item
}

// NewSubmission is a submission of a statement that stemma made. The error is
// ErrInvalid for a statement that is not valid.
func NewSubmission(s stemma.Statement, content ...Item) (Submission, error) {
	payload, err := attest.EncodeStatement(s)
	if err != nil {
		return Submission{}, err
	}
	return Submission{Payload: payload, Content: content}, nil
}

// Receipt acknowledges one submission: it is durable, and in the log.
type Receipt struct {
	Index         uint64      // in the tlog
	Digest        tlog.Digest // of the stored envelope
	Source        string
	EventID       string
	PredicateType string
	// New says that this call recorded it; otherwise the event was recorded
	// before, and Index and Digest are those of then.
	New bool
	// Redacted counts what was taken out of its content, by kind.
	Redacted redact.Findings
	// Verdict is what a foreign envelope's signatures are worth; zero for a
	// statement that was signed here.
	Verdict sign.Verdict
}

// Recorder records. All methods may be called at once.
type Recorder struct {
	cfg     Config
	waiting atomic.Int64
}

// New makes a recorder. It opens and starts nothing.
func New(cfg Config) *Recorder {
	if cfg.Waiting <= 0 {
		cfg.Waiting = 16384
	}
	if cfg.LockWait <= 0 {
		cfg.LockWait = 20 * time.Second
	}
	if cfg.Warn == nil {
		cfg.Warn = func(string) {}
	}
	return &Recorder{cfg: cfg}
}

// SubmissionError says which submission of a batch is at fault.
type SubmissionError struct {
	At  int // from 0
	Err error
}

func (e *SubmissionError) Error() string { return fmt.Sprintf("submission %d: %v", e.At+1, e.Err) }
func (e *SubmissionError) Unwrap() error { return e.Err }

// Record records a batch, and gives a receipt for each submission, in order,
// when all of them are durable and in the log. It may be called again with the
// same batch after any error: what was recorded stays, and is not recorded twice.
//
// The error is a *SubmissionError of kind ErrInvalid for a submission that is
// malformed, over the limits or says what its predicate must not, and for an
// envelope with a signature that is known to be false: nothing of the batch is
// recorded then. It is a *BusyError, of kind ErrUnavailable, where the caller
// should wait; ErrUnavailable where the disk is full or fails; ErrDenied where it
// cannot be written; and ErrConflict where log and evidence do not belong
// together, so that one of them is an old copy.
func (r *Recorder) Record(ctx context.Context, submissions []Submission) ([]Receipt, error) {
	n := int64(len(submissions))
	if waiting := r.waiting.Add(n); waiting > int64(r.cfg.Waiting) && waiting > n {
		r.waiting.Add(-n)
		return nil, &BusyError{time.Second, fmt.Sprintf("%d submissions are under way", waiting-n)}
	}
	defer r.waiting.Add(-n)
	receipts, err := r.record(ctx, submissions)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	return receipts, nil
}

func (r *Recorder) record(ctx context.Context, submissions []Submission) ([]Receipt, error) {
	all := make([]prepared, len(submissions))
	keys := make([]store.EventKey, len(submissions))
	for i := range submissions {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p, err := r.prepare(ctx, &submissions[i])
		if err != nil {
			return nil, &SubmissionError{i, err}
		}
		all[i], keys[i] = p, p.key
	}
	found, err := r.cfg.Evidence.Find(ctx, keys)
	if err != nil {
		return nil, err
	}
	kept := found
	if missing := unfound(found, keys); len(missing) > 0 {
		if kept, err = r.keep(ctx, all, missing, found); err != nil {
			return nil, err
		}
	}
	fresh := make([]bool, len(kept))
	pending := false
	for i, k := range kept {
		fresh[i] = k.New
		pending = pending || k.Pending
	}
	if pending {
		if err := r.sequence(ctx, keys); err != nil {
			return nil, err
		}
		if kept, err = r.cfg.Evidence.Find(ctx, keys); err != nil {
			return nil, err
		}
	}
	receipts := make([]Receipt, len(all))
	for i, k := range kept {
		if k.ID == 0 || k.Pending {
			return nil, fmt.Errorf("%s %q was kept and is not sequenced: %w", keys[i].Source, keys[i].EventID, stemma.ErrConflict)
		}
		receipts[i] = Receipt{
			Index: k.Index, Digest: k.Digest, Source: keys[i].Source, EventID: keys[i].EventID,
			PredicateType: all[i].statement.PredicateType, New: fresh[i], Verdict: all[i].verdict, Redacted: all[i].redacted,
		}
	}
	return receipts, nil
}

// unfound gives the places of those that are not kept, the first of each key.
func unfound(found []store.Kept, keys []store.EventKey) []int {
	var missing []int
	seen := make(map[store.EventKey]bool)
	for i, k := range found {
		if k.ID == 0 && !seen[keys[i]] {
			seen[keys[i]] = true
			missing = append(missing, i)
		}
	}
	return missing
}

// keep signs and keeps those that are missing, and gives the places of all.
func (r *Recorder) keep(ctx context.Context, all []prepared, missing []int, found []store.Kept) ([]store.Kept, error) {
	envelopes := make([]store.Envelope, 0, len(missing))
	for _, i := range missing {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e, err := r.seal(ctx, &all[i])
		if err != nil {
			return nil, &SubmissionError{i, err}
		}
		envelopes = append(envelopes, e)
	}
	stored, err := r.cfg.Evidence.Keep(ctx, envelopes)
	if err != nil {
		return nil, err
	}
	by := make(map[store.EventKey]store.Kept, len(stored))
	for j, i := range missing {
		by[all[i].key] = stored[j]
	}
	for i := range found {
		if found[i].ID != 0 {
			continue
		}
		k := by[all[i].key]
		found[i] = k
		k.New = false // for the next of the same key
		by[all[i].key] = k
	}
	return found, nil
}

// prepared is a submission that was looked at.
type prepared struct {
	key       store.EventKey
	statement stemma.Statement
	payload   []byte
	envelope  []byte // of a foreign one
	content   []Item
	redacted  redact.Findings
	verdict   sign.Verdict
}

func (r *Recorder) prepare(ctx context.Context, s *Submission) (prepared, error) {
	switch {
	case (s.Payload == nil) == (s.Envelope == nil):
		return prepared{}, fmt.Errorf("neither a statement nor an envelope: %w", stemma.ErrInvalid)
	case s.Envelope != nil:
		return r.foreign(ctx, s)
	}
	st, err := attest.DecodeStatement(s.Payload)
	if err != nil {
		return prepared{}, err
	}
	if err := r.cfg.Predicates.ValidateIn(s.Payload, st); err != nil {
		return prepared{}, err
	}
	m, err := attest.MetadataOf(st)
	if errors.Is(err, stemma.ErrNotFound) {
		return prepared{}, fmt.Errorf("a statement of type %s without %s says of itself neither source nor event; sign it, and record the envelope: %w",
			st.PredicateType, attest.MetadataField, stemma.ErrInvalid)
	}
	if err != nil {
		return prepared{}, err
	}
	if m.Source == foreignSource {
		return prepared{}, fmt.Errorf("source %q is kept for envelopes: %w", foreignSource, stemma.ErrInvalid)
	}
	return prepared{
		key: store.EventKey{Source: m.Source, EventID: m.EventID}, statement: st,
		payload: s.Payload, content: s.Content,
	}, nil
}

// foreignSource is the source in the keys of envelopes that others signed.
const foreignSource = "envelope"

// foreign looks at an envelope that somebody else signed.
func (r *Recorder) foreign(ctx context.Context, s *Submission) (prepared, error) {
	if len(s.Content) > 0 {
		return prepared{}, fmt.Errorf("content cannot be added to what is signed: %w", stemma.ErrInvalid)
	}
	e, err := attest.Decode(s.Envelope)
	if err != nil {
		return prepared{}, err
	}
	if e.PayloadType != attest.PayloadType {
		return prepared{}, fmt.Errorf("an envelope of %q, want %q: %w", e.PayloadType, attest.PayloadType, stemma.ErrInvalid)
	}
	st, err := attest.DecodeStatement(e.Payload)
	if err != nil {
		return prepared{}, err
	}
	if err := r.cfg.Predicates.ValidateIn(e.Payload, st); err != nil {
		return prepared{}, err
	}
	p := prepared{statement: st, payload: e.Payload, envelope: s.Envelope}
	if r.cfg.Trust != nil {
		p.verdict = r.cfg.Trust.Verify(ctx, e, st)
		for i, sig := range p.verdict.Signatures {
			if sig.Checked && !sig.Good {
				by := fmt.Sprintf("key %q", sig.KeyID)
				if e.Certificate != nil {
					by = "the certificate"
				}
				return prepared{}, fmt.Errorf("signature %d of %s is false: what is signed was changed: %w", i+1, by, stemma.ErrInvalid)
			}
		}
	}
	p.key, err = r.contentKey(e, st)
	return p, err
}

// contentKey is the key of what an envelope says and of whose key said it, as
// it names it: the same said again is the same, whenever it was signed. Otherwise
// whoever says first what a trusted pipeline is about to say would have its
// signature passed over. A certificate is of one signing.
func (r *Recorder) contentKey(e attest.Envelope, st stemma.Statement) (store.EventKey, error) {
	said, err := withoutTimes(st)
	if err != nil {
		return store.EventKey{}, err
	}
	var signers []string
	if e.Certificate != nil {
		signers = append(signers, attest.Digest(e.Certificate))
	} else {
		for _, sig := range e.Signatures {
			signers = append(signers, sig.KeyID)
		}
	}
	slices.Sort(signers)
	mac := hmac.New(sha256.New, r.cfg.Key)
	fmt.Fprintf(mac, "%q %d %s ", signers, len(e.PayloadType), e.PayloadType)
	mac.Write(said)
	return store.EventKey{Source: foreignSource, EventID: hex.EncodeToString(mac.Sum(nil))}, nil
}

// KeyOf gives the idempotency key of a stored envelope, which is nowhere but in
// the envelope itself: for who checks that the index of keys is true.
func (r *Recorder) KeyOf(source string, e attest.Envelope, st stemma.Statement) (store.EventKey, error) {
	if source == foreignSource {
		return r.contentKey(e, st)
	}
	m, err := attest.MetadataOf(st)
	return store.EventKey{Source: m.Source, EventID: m.EventID}, err
}

// seal makes the envelope that is kept.
func (r *Recorder) seal(ctx context.Context, p *prepared) (store.Envelope, error) {
	stored := p.envelope
	if stored == nil {
		if len(p.content) > 0 {
			if err := r.withContent(ctx, p); err != nil {
				return store.Envelope{}, err
			}
		}
		e, err := sign.Seal(ctx, attest.PayloadType, p.payload, r.cfg.Signer)
		if err != nil {
			return store.Envelope{}, err
		}
		stored = e.Encode()
	}
	return store.Envelope{
		EventKey: p.key, PredicateType: p.statement.PredicateType, Subjects: store.SubjectNames(p.statement),
		Digest: tlog.DigestOf(stored), Bytes: bytes.Clone(stored),
	}, nil
}
