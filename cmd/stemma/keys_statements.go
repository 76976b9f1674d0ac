package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/evidence"
	"github.com/stemma-dev/stemma/internal/record"
	"github.com/stemma-dev/stemma/internal/sign"
	"github.com/stemma-dev/stemma/internal/store"
)

// statementsDir is where statements about keys are kept beside them, so that a
// revocation is known without any log. The log has them too: what is in either
// counts.
func statementsDir(keys string) string { return filepath.Join(keys, "statements") }

// statementEnding is that of the files of statements; before it is the digest.
const statementEnding = ".dsse.json"

// keepKeyStatement signs a statement about a key, records it and keeps it beside
// the keys. It gives the digest of the envelope.
func keepKeyStatement(ctx context.Context, dir string, s stemma.Statement, warn func(string), signers ...sign.Signer) (digest string, err error) {
	e, err := sign.SealStatement(ctx, s, signers...)
	if err != nil {
		return "", err
	}
	b := e.Encode()
	spine, err := openSpine(ctx, warn)
	if err != nil {
		return "", err
	}
	defer func() {
		if cerr := spine.close(); cerr != nil && err == nil {
			warn(cerr.Error()) // what is recorded is durable all the same
		}
	}()
	if err := keepCheckpoint(ctx, dir, spine); err != nil {
		return "", err
	}
	receipts, err := spine.recorder.Record(ctx, []record.Submission{{Envelope: b}})
	if err != nil {
		return "", err
	}
	if digest = receipts[0].Digest.String(); digest != attest.Digest(b) {
		// It was recorded before, by one who may have died before it was kept here.
		first, err := spine.evidence.ByDigest(ctx, receipts[0].Digest)
		if err != nil {
			return "", err
		}
		b = first.Bytes
	}
	return digest, writeStatement(statementsDir(dir), digest, b)
}

// keyStatement is a rotation or a revocation of a key of this machine, which one
// of its keys has signed: a key may also say of itself that it is not to be
// believed.
type keyStatement struct {
	digest    string // of the envelope
	signed    string // in it
	envelope  []byte
	statement stemma.Statement
	logged    bool
	index     uint64 // in the log, where it is there
	kept      bool   // it is in the folder, under its name
}

// name is that of its file.
func (k keyStatement) name() string { return k.digest + statementEnding }

// where says where it is known from.
func (k keyStatement) where() string {
	if k.logged {
		return fmt.Sprintf("entry %d of the log", k.index)
	}
	return "keys/statements/" + k.name()
}

// badStatement is a file in the folder, or an entry of the log, that is not what it
// should be.
type badStatement struct {
	where  string
	digest string // what it should be
	err    error
	// harmless says that no revocation can be lost by it: what it should be is known,
	// or it could not count.
	harmless bool
}

// keyStatements gives the statements about the keys of this machine that the log
// and the folder beside the keys have, and what there is not what it should be.
func keyStatements(ctx context.Context, own []sign.Key, e store.Evidence) ([]keyStatement, []badStatement, error) {
	r := &statementReader{at: make(map[string]int), digests: make(map[string]bool)}
	var ids []string
	for _, k := range own {
		ids = append(ids, k.ID)
		k.From, k.Until = time.Time{}, time.Time{}
		r.trust.Keys = append(r.trust.Keys, k)
	}
	if e != nil {
		entries, err := record.KeyStatements(ctx, e, ids...)
		if err != nil {
			return nil, nil, fmt.Errorf("statements about keys: %w", err)
		}
		for _, entry := range entries {
			r.entry(ctx, entry)
		}
	}
	dir, err := keysDir()
	if err != nil {
		return nil, nil, err
	}
	if err := r.folder(ctx, statementsDir(dir)); err != nil {
		return nil, nil, err
	}
	for i, b := range r.bad {
		r.bad[i].harmless = b.harmless || r.digests[b.digest]
	}
	return r.list, r.bad, nil
}

// statementReader reads statements about keys.
type statementReader struct {
	trust   sign.Trust
	list    []keyStatement
	at      map[string]int  // what is signed: place in list
	digests map[string]bool // of those in list
	bad     []badStatement
}

// entry takes in what the log has.
func (r *statementReader) entry(ctx context.Context, entry store.Entry) {
	k, ours, err := r.read(ctx, entry.Bytes)
	switch {
	case err != nil:
		r.bad = append(r.bad, badStatement{where: fmt.Sprintf("envelope %d", entry.ID), digest: hex.EncodeToString(entry.Digest[:]), err: err})
	case ours: // others may record what they like of these keys
		k.logged, k.index = true, entry.Index
		r.add(k)
	}
}

// folder takes in what is kept beside the keys.
func (r *statementReader) folder(ctx context.Context, dir string) error {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %v: %w", dir, reason(err), stemma.ErrDenied)
	}
	for _, file := range files {
		digest, is := strings.CutSuffix(file.Name(), statementEnding)
		if !is {
			continue
		}
		b := badStatement{where: "keys/statements/" + file.Name(), digest: digest}
		text, err := readSmall(filepath.Join(dir, file.Name()), int64(attest.DefaultLimits.Envelope))
		if err != nil && !errors.Is(err, stemma.ErrInvalid) {
			return err
		}
		var k keyStatement
		var ours bool
		if err == nil {
			k, ours, err = r.read(ctx, text)
		}
		switch {
		case err != nil:
			b.err = err
		case !ours:
			b.harmless = true
			b.err = fmt.Errorf("is no statement about a key that a key of this machine has signed, and counts for nothing: %w", stemma.ErrInvalid)
		default:
			b.harmless = true // it counts for what it is
			k.kept = k.digest == digest
			have := r.add(k)
			switch {
			case !k.kept:
				b.err = fmt.Errorf("its bytes are those of %s: %w", k.name(), stemma.ErrInvalid)
			case have != k.digest:
				b.err = fmt.Errorf("says what %s says, in another envelope: %w", have+statementEnding, stemma.ErrInvalid)
			}
		}
		if b.err != nil {
			r.bad = append(r.bad, b)
		}
	}
	return nil
}

// read reads an envelope. ours is false where it is no statement about a key, or
// one that no key of this machine has signed.
func (r *statementReader) read(ctx context.Context, text []byte) (k keyStatement, ours bool, err error) {
	e, err := attest.Decode(text)
	if err != nil {
		return k, false, err
	}
	s, err := attest.DecodeStatement(e.Payload)
	if err != nil {
		return k, false, err
	}
	k = keyStatement{digest: attest.Digest(text), signed: string(e.Payload), envelope: text, statement: s}
	about := s.PredicateType == attest.TypeKeyRotation || s.PredicateType == attest.TypeKeyRevocation
	return k, about && r.trust.Verify(ctx, e, s).OK(), nil
}

// add adds a statement, or to what is known of it where the same was signed in the
// same or another envelope. It gives the digest of the one that counts: the first.
func (r *statementReader) add(k keyStatement) string {
	i, known := r.at[k.signed]
	if !known {
		r.at[k.signed], r.digests[k.digest] = len(r.list), true
		r.list = append(r.list, k)
		return k.digest
	}
	have := &r.list[i]
	have.kept = have.kept || k.kept && k.digest == have.digest
	return have.digest
}

// stated gives the statements about the keys of this machine, and what they say of
// keys that are not to be believed. A revocation counts that the log has, or the
// folder beside the keys: taking one of the two away makes no key good again. Nor
// does damage: what may have been a revocation is an error.
func stated(ctx context.Context, own []sign.Key, e store.Evidence) ([]keyStatement, []sign.Revocation, error) {
	list, bad, err := keyStatements(ctx, own, e)
	if err != nil {
		return nil, nil, err
	}
	for _, b := range bad {
		if !b.harmless {
			return nil, nil, hinted{fmt.Errorf("%s: %w", b.where, b.err), "it may be a revocation: put back a copy of it"}
		}
	}
	var all []sign.Revocation
	for _, k := range list {
		if k.statement.PredicateType != attest.TypeKeyRevocation {
			continue
		}
		r, err := attest.As[attest.KeyRevocation](k.statement)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", k.where(), err)
		}
		from, err := time.Parse(time.RFC3339, r.From)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %v: %w", k.where(), err, stemma.ErrInvalid)
		}
		all = append(all, sign.Revocation{KeyID: r.KeyID, From: from, Reason: r.Reason, Pinned: k.where()})
	}
	return list, all, nil
}

// statedHere is stated, by the evidence of this machine.
func statedHere(ctx context.Context, own []sign.Key) ([]keyStatement, []sign.Revocation, error) {
	e, err := readEvidence(ctx)
	if errors.Is(err, stemma.ErrNotFound) {
		return stated(ctx, own, nil)
	}
	if err != nil {
		return nil, nil, err
	}
	defer e.Close()
	return stated(ctx, own, e)
}

// restored says what was done so that the log and the folder beside the keys have
// the same statements.
type restored struct {
	Written  []string `json:"written"`  // digests of those that the folder lacked
	Recorded []string `json:"recorded"` // and of those that the log lacked
}

// restoreStatements writes the files of statements that the log has and the folder
// beside the keys has not, and records those that only the folder has.
func restoreStatements(ctx context.Context, warn func(string)) (done restored, err error) {
	done = restored{Written: []string{}, Recorded: []string{}}
	own, err := ownKeys()
	if err != nil || len(own) == 0 {
		return done, err
	}
	dir, err := keysDir()
	if err != nil {
		return done, err
	}
	list, _, err := statedHere(ctx, own)
	if err != nil {
		return done, err
	}
	var missing []record.Submission
	for _, k := range list {
		if !k.kept {
			if err := writeStatement(statementsDir(dir), k.digest, k.envelope); err != nil {
				return done, err
			}
			done.Written = append(done.Written, k.digest)
		}
		if !k.logged {
			missing = append(missing, record.Submission{Envelope: k.envelope})
			done.Recorded = append(done.Recorded, k.digest)
		}
	}
	if len(missing) == 0 {
		return done, nil
	}
	spine, err := openSpine(ctx, warn)
	if err != nil {
		return done, err
	}
	_, err = spine.recorder.Record(ctx, missing)
	return done, errors.Join(err, spine.close())
}

// checkKeyStatements compares the statements about the keys of this machine that
// the log has with those in the folder beside the keys; without evidence, it looks
// at the folder alone.
func checkKeyStatements(ctx context.Context, e store.Evidence, fault func(record.Fault)) error {
	own, err := ownKeys()
	if err != nil {
		return nil // it is named with the keys
	}
	list, bad, err := keyStatements(ctx, own, e)
	if errors.Is(err, stemma.ErrInvalid) {
		fault(record.Fault{Where: "keys/statements", Reason: err.Error()})
		return nil
	}
	if err != nil {
		return err
	}
	for _, b := range bad {
		fault(record.Fault{Where: b.where, Reason: b.err.Error()})
	}
	if e == nil {
		return nil
	}
	for _, k := range list {
		what := k.about()
		switch {
		case !k.logged:
			fault(record.Fault{Where: "keys/statements/" + k.name(), Reason: "is " + what + ", and no entry of the log; it counts all the same, and stemma keys restore records it"})
		case !k.kept:
			fault(record.Fault{Where: "keys/statements/" + k.name(), Reason: fmt.Sprintf("is gone or changed; it was %s, which counts all the same as entry %d of the log, and stemma keys restore puts it back", what, k.index)})
		}
	}
	return nil
}

// about says what a statement does, to which key.
func (k keyStatement) about() string {
	word := "the rotation to"
	if k.statement.PredicateType == attest.TypeKeyRevocation {
		word = "the revocation of"
	}
	for _, s := range k.statement.Subject {
		if id := s.Digest["sha256"]; id != "" {
			return word + " key " + evidence.Short(id)
		}
	}
	return word + " a key"
}

// writeStatement puts an envelope into a folder, whole and durable.
func writeStatement(folder, digest string, b []byte) error {
	return writeKept(folder, digest+statementEnding, b)
}

// writeKept puts a file into a folder, whole and durable.
func writeKept(folder, name string, b []byte) error {
	if err := makeDir(folder); err != nil {
		return err
	}
	f, err := os.CreateTemp(folder, ".new-*")
	if err != nil {
		return fmt.Errorf("write to %s: %v: %w", folder, reason(err), stemma.ErrDenied)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if serr := f.Sync(); err == nil {
		err = serr
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(folder, name))
	}
	if err != nil {
		return fmt.Errorf("write to %s: %v: %w", folder, reason(err), stemma.ErrUnavailable)
	}
	return nil
}
