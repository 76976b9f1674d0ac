package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/store"
	"github.com/stemma-dev/stemma/internal/tlog"
	"github.com/stemma-dev/stemma/internal/vault"
)

// CheckConfig is what [Check] looks at. Tree and Keys must be set.
type CheckConfig struct {
	// Evidence has the envelopes; where it is nil, the log alone is looked at.
	Evidence store.Evidence
	Tree     *tlog.Tree
	Keys     tlog.Keys
	// Head is what the log says of itself is durable; nil where that cannot be
	// read, and HeadFile says where it is.
	Head     *tlog.Head
	HeadFile string
	// Trust judges signatures: those of this machine's own keys must hold.
	Trust Verifier
	// Key is the secret of the organisation, as in [Config].
	Key []byte
	// Vault opens the content that statements are committed to; nil does not.
	Vault interface {
		Verify(ctx context.Context, ref vault.Reference) error
		IndexedHolds(ctx context.Context) ([]vault.Hold, error)
		Erasures(ctx context.Context) (all []vault.Erasure, left []string, err error)
	}
	// Progress is told how many of how many envelopes were looked at; nil is
	// nobody.
	Progress func(done, total uint64)
}

// Fault is one place where the evidence is not what it should be.
type Fault struct {
	// Where is the file and the offset, or the table and the row.
	Where  string `json:"where"`
	Reason string `json:"reason"`
}

func (f Fault) String() string { return f.Where + ": " + f.Reason }

// Checked counts what was looked at.
type Checked struct {
	Checkpoint uint64 `json:"checkpoint_size"` // entries that the published checkpoint covers
	Entries    uint64 `json:"log_entries"`
	Envelopes  uint64 `json:"envelopes"`
	Pending    uint64 `json:"pending"` // kept and not acknowledged: the next who records appends them
	Signed     uint64 `json:"signatures_checked"`
	Unchecked  uint64 `json:"signatures_without_a_known_key"`
	Opened     uint64 `json:"commitments_opened"`
	Erased     uint64 `json:"commitments_erased"`
}

// Check looks at everything that was recorded, once, in memory that does not
// grow with it: the log's tree from its entries up, its checkpoint and signature,
// every envelope against its entry, its signature and its place in the indexes,
// and every commitment that can still be opened. fault is told of each place that
// is not as it should be. It changes nothing.
//
// While somebody records, what comes in meanwhile may be told as a fault: check
// again. The error is that of reading, not of what was read.
func Check(ctx context.Context, cfg CheckConfig, fault func(Fault)) (Checked, error) {
	if cfg.Progress == nil {
		cfg.Progress = func(uint64, uint64) {}
	}
	c := &checking{CheckConfig: cfg, ctx: ctx, fault: fault, keys: New(Config{Key: cfg.Key})}
	if err := c.log(); err != nil {
		return c.done, fmt.Errorf("check the log: %w", err)
	}
	if cfg.Evidence == nil {
		return c.done, nil
	}
	if err := c.envelopes(); err != nil {
		return c.done, fmt.Errorf("check the envelopes: %w", err)
	}
	if err := c.erasures(); err != nil {
		return c.done, fmt.Errorf("check the erasures: %w", err)
	}
	if err := c.holds(); err != nil {
		return c.done, fmt.Errorf("check the holds: %w", err)
	}
	return c.done, nil
}

type checking struct {
	CheckConfig
	ctx   context.Context
	fault func(Fault)
	keys  *Recorder // knows the keys of events
	done  Checked
	torn  bool // some entries of the log could not be read

	tombstones map[string][]string // what each erasure says is gone
}

func (c *checking) say(where, format string, args ...any) {
	c.fault(Fault{where, fmt.Sprintf(format, args...)})
}

// log checks the tree, and that each entry has its envelope.
func (c *checking) log() error {
	heads, err := c.heads()
	if err != nil {
		return err
	}
	if c.Evidence == nil {
		return c.audit(heads, func(uint64, tlog.Digest) error { return nil })
	}
	next, stop := iter.Pull2(c.Evidence.Entries(c.ctx, 0))
	defer stop()
	j := &joining{checking: c, next: next}
	if err := j.advance(); err != nil {
		return err
	}
	if err := c.audit(heads, j.entry); err != nil {
		return err
	}
	return j.rest()
}

// audit checks the tree, and tells entry of each entry that could be read.
func (c *checking) audit(heads []tlog.Head, entry func(uint64, tlog.Digest) error) error {
	return c.Tree.Audit(c.ctx, heads, func(index uint64, d tlog.Digest) error {
		c.done.Entries++
		return entry(index, d)
	}, func(f tlog.Fault) {
		c.torn = true
		where := "tlog/" + f.File
		if f.Offset >= 0 {
			where += fmt.Sprintf(" offset %d", f.Offset)
		}
		c.say(where, "%s", f.Reason)
	})
}

// heads gives what the log is to be compared with: what was published, and what
// is durable.
func (c *checking) heads() ([]tlog.Head, error) {
	var heads []tlog.Head
	published, err := c.Tree.Checkpoint(c.ctx, c.Keys)
	var decode *tlog.DecodeError
	switch {
	case err == nil:
		heads = append(heads, published.Head)
		c.done.Checkpoint = published.Size
	case errors.As(err, &decode):
		c.say(fmt.Sprintf("tlog/checkpoint offset %d", decode.Offset), "%s", decode.Reason)
	case errors.Is(err, stemma.ErrNotFound), errors.Is(err, stemma.ErrDenied), errors.Is(err, stemma.ErrInvalid):
		c.say("tlog/checkpoint", "%v", err)
	default:
		return nil, err
	}
	switch {
	case c.Head == nil:
		c.say(c.HeadFile, "cannot be read")
	case len(heads) == 0:
		heads = append(heads, *c.Head)
	case c.Head.Size < heads[0].Size:
		c.say(c.HeadFile, "the log has %d entries, and a checkpoint was published of %d", c.Head.Size, heads[0].Size)
	case c.Head.Size == heads[0].Size && c.Head.Root != heads[0].Root:
		c.say(c.HeadFile, "the root is not that of the checkpoint of the same %d entries", c.Head.Size)
	default:
		heads = append(heads, *c.Head)
	}
	return heads, nil
}

// joining walks through the envelopes beside the log.
type joining struct {
	*checking
	next func() (store.Entry, error, bool)
	row  store.Entry
	has  bool // row is one that was not compared yet
	past uint64
}

func (j *joining) advance() error {
	row, err, ok := j.next()
	if errors.Is(err, stemma.ErrInvalid) {
		// The audit of the rows names it; what follows cannot be compared.
		j.torn, j.has = true, false
		j.say("evidence.db", "%v", err)
		return nil
	}
	if err != nil {
		return err
	}
	j.row, j.has = row, ok
	return nil
}

// entry compares an entry of the log with its envelope.
func (j *joining) entry(index uint64, d tlog.Digest) error {
	j.past = index + 1
	for j.has && j.row.Index < index { // its entry could not be read
		if err := j.advance(); err != nil {
			return err
		}
	}
	if !j.has || j.row.Index > index {
		return j.without(index, d)
	}
	if d != j.row.Digest {
		j.say(fmt.Sprintf("envelope %d (log index %d)", j.row.ID, index), "has the digest %x, and the log has %s there", j.row.Digest, d)
	}
	return j.advance()
}

// without tells of an entry that no envelope has as its index.
func (j *joining) without(index uint64, d tlog.Digest) error {
	e, err := j.Evidence.ByDigest(j.ctx, d)
	where := fmt.Sprintf("log index %d", index)
	switch {
	case errors.Is(err, stemma.ErrNotFound), errors.Is(err, stemma.ErrInvalid):
		j.say(where, "no envelope has the digest %s: it was deleted, or exchanged", d)
	case err != nil:
		return err
	case e.Pending:
		// Who added it died before it was written down: it was not acknowledged, and
		// the next who records writes it.
	default:
		j.say(where, "is the entry of envelope %d a second time; its index is %d", e.ID, e.Index)
	}
	return nil
}

// rest tells of envelopes past the end of the log.
func (j *joining) rest() error {
	for j.has {
		if j.row.Index >= j.past && !j.torn {
			j.say(fmt.Sprintf("envelope %d (log index %d)", j.row.ID, j.row.Index), "is past the end of the log, which has %d entries: the log is an old copy, or was cut", j.past)
		}
		if err := j.advance(); err != nil {
			return err
		}
	}
	return nil
}

// envelopes checks every row.
func (c *checking) envelopes() error {
	return c.Evidence.Audit(c.ctx, func(e store.Entry) ([]string, bool, error) {
		c.done.Envelopes++
		if e.Pending {
			c.done.Pending++
		}
		if c.done.Envelopes%1024 == 0 {
			c.Progress(c.done.Envelopes, max(c.done.Entries, c.done.Envelopes))
		}
		return c.envelope(e)
	}, func(f store.RowFault) {
		c.say(f.Where, "%s", f.Reason)
	})
}

// envelope checks what is in an envelope, and gives the names of its subjects.
func (c *checking) envelope(e store.Entry) ([]string, bool, error) {
	where := fmt.Sprintf("envelope %d", e.ID)
	if !e.Pending {
		where += fmt.Sprintf(" (log index %d)", e.Index)
	}
	env, err := attest.Decode(e.Bytes)
	if err != nil {
		c.say(where, "%v", err)
		return nil, false, nil
	}
	st, err := attest.DecodeStatement(env.Payload)
	if err != nil {
		c.say(where, "payload: %v", err)
		return nil, false, nil
	}
	if key, err := c.keys.KeyOf(e.Source, env, st); err != nil {
		c.say(where, "says nothing of its event: %v", err)
	} else if key != e.EventKey {
		c.say(where, "is kept as event %q of %q, and is %q of %q", e.EventID, e.Source, key.EventID, key.Source)
	}
	if e.PredicateType != st.PredicateType {
		c.say(where, "is kept as of type %q, and is of %q", e.PredicateType, st.PredicateType)
	}
	c.signatures(where, e, env, st)
	if err := c.commitments(where, st); err != nil {
		return nil, false, err
	}
	return store.SubjectNames(st), true, nil
}

func (c *checking) signatures(where string, e store.Entry, env attest.Envelope, st stemma.Statement) {
	if c.Trust == nil {
		return
	}
	for i, s := range c.Trust.Verify(c.ctx, env, st).Signatures {
		switch {
		case s.Checked && s.Good:
			c.done.Signed++
		case s.Checked:
			c.say(where, "signature %d is not one of key %s over these bytes", i+1, s.KeyID)
		case e.Source != foreignSource:
			c.done.Unchecked++
			c.say(where, "signature %d is of key %s, which this machine does not have", i+1, s.KeyID)
		default:
			c.done.Unchecked++
		}
	}
}

// commitments opens what the statement is committed to.
func (c *checking) commitments(where string, st stemma.Statement) error {
	if c.Vault == nil || !strings.Contains(string(st.Predicate), `"vault:`) {
		return nil
	}
	var predicate any
	if err := json.Unmarshal(st.Predicate, &predicate); err != nil {
		return nil // it was decoded before: it is JSON
	}
	for _, ref := range references(predicate, nil) {
		err := c.Vault.Verify(c.ctx, ref)
		switch {
		case err == nil:
			c.done.Opened++
		case errors.Is(err, stemma.ErrNotFound):
			var erased *vault.ErasedError
			if errors.As(err, &erased) {
				c.done.Erased++
				why, err := c.untold(ref.URI, erased.Erasure)
				if err != nil {
					return err
				}
				if why != "" {
					c.say(where, "content %s: %s", ref.URI, why)
				}
				continue
			}
			c.say(where, "content %s: %v", ref.URI, err)
		case errors.Is(err, stemma.ErrConflict), errors.Is(err, stemma.ErrInvalid):
			c.say(where, "content %s: %v", ref.URI, err)
		default:
			return err
		}
	}
	return nil
}

// references finds the commitments in a predicate, wherever its type has them:
// objects with the name of an object in the vault and a digest.
func references(v any, found []vault.Reference) []vault.Reference {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			found = references(x, found)
		}
	case map[string]any:
		uri, _ := v["vault"].(string)
		digest, _ := v["digest"].(string)
		if strings.HasPrefix(uri, "vault:") && digest != "" {
			if !strings.Contains(digest, ":") {
				digest = "sha256:" + digest
			}
			found = append(found, vault.Reference{URI: uri, Commitment: digest})
		}
		for _, x := range v {
			found = references(x, found)
		}
	}
	return found
}
