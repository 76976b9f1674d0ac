package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
	hint     string // what to do; "" is to put back a copy
}

// unsigned says that it is a revocation by a key of which nothing is known any more.
func (b *badStatement) unsigned(signer string) {
	b.err = fmt.Errorf("revokes a key of this machine and names as its signer key %s, whose record is gone: %w", evidence.Short(signer), stemma.ErrInvalid)
	b.hint = fmt.Sprintf("put back a copy of keys/%s%s.pem, or of keys/signing-%s.json", servicePrefix, signer, signer)
}

// keyStatements is what the log and the folder beside the keys say of the keys of
// this machine.
type keyStatements struct {
	list []keyStatement
	bad  []badStatement // what is there not what it should be
	tied []string       // ids of keys whose record is gone, and that a rotation still has
}

// readKeyStatements reads the statements about the keys of this machine that the log
// and the folder beside the keys have.
func readKeyStatements(ctx context.Context, own []sign.Key, e store.Evidence) (keyStatements, error) {
	dir, err := keysDir()
	if err != nil {
		return keyStatements{}, err
	}
	files, err := statementFiles(statementsDir(dir))
	if err != nil {
		return keyStatements{}, err
	}
	var signed []signedText
	for _, f := range files {
		if f.err == nil {
			signed = append(signed, f.signedText)
		}
	}
	r := &statementReader{keyChain: newKeyChain(own), at: make(map[string]int), digests: make(map[string]bool)}
	entries, err := r.gather(ctx, e, signed)
	if err != nil {
		return keyStatements{}, fmt.Errorf("statements about keys: %w", err)
	}
	for _, entry := range entries {
		r.entry(ctx, entry)
	}
	for _, f := range files {
		r.file(ctx, f)
	}
	for i, b := range r.bad {
		r.bad[i].harmless = b.harmless || r.digests[b.digest]
	}
	return keyStatements{r.list, r.bad, r.tied}, nil
}

// statementReader reads statements about keys.
type statementReader struct {
	*keyChain
	list    []keyStatement
	at      map[string]int  // what is signed: place in list
	digests map[string]bool // of those in list
	bad     []badStatement
}

// entry takes in what the log has.
func (r *statementReader) entry(ctx context.Context, entry store.Entry) {
	b := badStatement{where: fmt.Sprintf("envelope %d", entry.ID), digest: hex.EncodeToString(entry.Digest[:])}
	t, err := decodeSigned(entry.Bytes)
	if err != nil {
		b.err = err
		r.bad = append(r.bad, b)
		return
	}
	if k, ours := r.read(ctx, entry.Bytes, t); ours {
		k.logged, k.index = true, entry.Index
		r.add(k)
		return
	}
	// Others may record what they like of these keys. But what names a key that signed
	// here as its signer can not be told from a revocation.
	if id := slices.IndexFunc(r.strangers(t), func(id string) bool { return r.gone[id] }); id >= 0 {
		b.unsigned(r.strangers(t)[id])
		r.bad = append(r.bad, b)
	}
}

// statementFile is a file of the folder of statements.
type statementFile struct {
	signedText
	name   string
	digest string // by its name
	text   []byte
	err    error // why it can not be read
}

// statementFiles reads the folder of statements. The error is that of the folder.
func statementFiles(dir string) ([]statementFile, error) {
	found, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %v: %w", dir, reason(err), stemma.ErrDenied)
	}
	var files []statementFile
	for _, file := range found {
		digest, is := strings.CutSuffix(file.Name(), statementEnding)
		if !is {
			continue
		}
		f := statementFile{name: file.Name(), digest: digest}
		f.text, f.err = readSmall(filepath.Join(dir, f.name), int64(attest.DefaultLimits.Envelope))
		if f.err != nil && !errors.Is(f.err, stemma.ErrInvalid) {
			return nil, f.err
		}
		if f.err == nil {
			f.signedText, f.err = decodeSigned(f.text)
		}
		files = append(files, f)
	}
	return files, nil
}

// file takes in what is kept beside the keys.
func (r *statementReader) file(ctx context.Context, f statementFile) {
	b := badStatement{where: "keys/statements/" + f.name, digest: f.digest, err: f.err}
	if b.err == nil {
		k, ours := r.read(ctx, f.text, f.signedText)
		strangers := r.strangers(f.signedText)
		switch {
		case !ours && len(strangers) > 0: // nobody but this machine writes here
			b.unsigned(strangers[0])
		case !ours && (r.revokes(f.signedText) || r.misnames(ctx, f.signedText)):
			b.err = fmt.Errorf("is not signed by the key that it names: %w", stemma.ErrInvalid)
		case !ours:
			b.harmless = true
			b.err = fmt.Errorf("is no statement about a key that a key of this machine has signed, and counts for nothing: %w", stemma.ErrInvalid)
		default:
			b.harmless = true // it counts for what it is
			k.kept = k.digest == f.digest
			have := r.add(k)
			switch {
			case !k.kept:
				b.err = fmt.Errorf("its bytes are those of %s: %w", k.name(), stemma.ErrInvalid)
			case have != k.digest:
				b.err = fmt.Errorf("says what %s says, in another envelope: %w", have+statementEnding, stemma.ErrInvalid)
			}
		}
	}
	if b.err != nil {
		r.bad = append(r.bad, b)
	}
}

// read reads a signed statement. ours is false where it is none about a key, or one
// that no key of this machine has signed.
func (r *statementReader) read(ctx context.Context, text []byte, t signedText) (k keyStatement, ours bool) {
	k = keyStatement{digest: attest.Digest(text), signed: string(t.envelope.Payload), envelope: text, statement: t.statement}
	about := t.statement.PredicateType == attest.TypeKeyRotation || t.statement.PredicateType == attest.TypeKeyRevocation
	return k, about && r.trust.Verify(ctx, t.envelope, t.statement).OK()
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
// folder beside the keys: taking one of the two away makes no key good again, nor does
// taking away the record of the key that signed it. Nor does damage: what may have
// been a revocation is an error.
func stated(ctx context.Context, own []sign.Key, e store.Evidence) ([]keyStatement, []sign.Revocation, error) {
	said, err := readKeyStatements(ctx, own, e)
	if err != nil {
		return nil, nil, err
	}
	for _, b := range said.bad {
		if !b.harmless {
			return nil, nil, hinted{fmt.Errorf("%s: %w", b.where, b.err), cmp.Or(b.hint, "it may be a revocation: put back a copy of it")}
		}
	}
	var all []sign.Revocation
	for _, k := range said.list {
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
	return said.list, all, nil
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
	said, err := readKeyStatements(ctx, own, e)
	if errors.Is(err, stemma.ErrInvalid) {
		fault(record.Fault{Where: "keys/statements", Reason: err.Error()})
		return nil
	}
	if err != nil {
		return err
	}
	for _, b := range said.bad {
		fault(record.Fault{Where: b.where, Reason: b.err.Error()})
	}
	for _, id := range said.tied {
		fault(record.Fault{Where: "keys/signing-" + id + ".json", Reason: "the record of key " + evidence.Short(id) + " is gone: what it says of keys counts all the same, by the rotation that has the key, and nothing else that it signed can be checked"})
	}
	if e == nil {
		return nil
	}
	for _, k := range said.list {
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
