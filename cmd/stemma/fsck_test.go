package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/record"
	"github.com/stemma-dev/stemma/internal/sign"
	"github.com/stemma-dev/stemma/internal/sign/filekey"
)

// Every byte of every key file of this machine, changed, is named.
func TestEveryChangedByteOfAKeyIsNamed(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("STEMMA_DIR", dir)
	s, err := openSpine(t.Context(), func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	service, err := filekey.Open(filepath.Join(t.TempDir(), "service"), filekey.Config{Algorithm: filekey.ECDSA})
	if err != nil {
		t.Fatal(err)
	}
	if err := rememberService(service); err != nil {
		t.Fatal(err)
	}
	check := func() (faults []record.Fault) {
		t.Helper()
		if _, err := checkKeys(func(f record.Fault) { faults = append(faults, f) }); err != nil {
			t.Fatalf("checkKeys: %v", err)
		}
		return faults
	}
	if faults := check(); len(faults) > 0 {
		t.Fatalf("faults in what is whole: %v", faults)
	}
	files, err := filepath.Glob(filepath.Join(dir, "keys", "*"))
	if err != nil || len(files) < 6 {
		t.Fatalf("the key files are %q, %v", files, err)
	}
	for _, path := range files {
		if filepath.Base(path) == ".gitignore" {
			continue // keeps the folder out of a repository, and is no key
		}
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for at := range whole {
			bits := []int{rand.IntN(8)}
			if os.Getenv("STEMMA_SOAK") != "" {
				bits = []int{0, 1, 2, 3, 4, 5, 6, 7}
			}
			for _, bit := range bits {
				changed := bytes.Clone(whole)
				changed[at] ^= 1 << bit
				if err := os.WriteFile(path, changed, 0o600); err != nil {
					t.Fatal(err)
				}
				if faults := check(); len(faults) == 0 {
					t.Errorf("%s: byte %d (%q), changed to %q, is not named", filepath.Base(path), at, whole[at], changed[at])
				}
			}
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Every byte of the files of statements about keys, changed, is named, and a key that
// was revoked stays so.
func TestEveryChangedByteOfAKeyStatementIsNamed(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("STEMMA_DIR", dir)
	o := &options{out: io.Discard, err: io.Discard}
	if _, err := signingKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	done, err := o.rotate(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	if _, err := o.revoke(t.Context(), done.old, "lost", now, now); err != nil {
		t.Fatal(err)
	}
	e, err := readEvidence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	own, err := ownKeys()
	if err != nil {
		t.Fatal(err)
	}
	check := func() (faults []record.Fault) {
		t.Helper()
		if err := checkKeyStatements(t.Context(), e, func(f record.Fault) { faults = append(faults, f) }); err != nil {
			t.Fatalf("checkKeyStatements: %v", err)
		}
		if _, revoked, err := stated(t.Context(), own, e); err != nil || len(revoked) != 1 || revoked[0].KeyID != done.old {
			t.Fatalf("revoked are %+v, %v, want %s alone", revoked, err, done.old)
		}
		return faults
	}
	if faults := check(); len(faults) > 0 {
		t.Fatalf("faults in what is whole: %v", faults)
	}
	files, err := filepath.Glob(filepath.Join(dir, "keys", "statements", "*"+statementEnding))
	if err != nil || len(files) != 2 {
		t.Fatalf("the files are %q, %v, want two", files, err)
	}
	for _, path := range files {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for at := range whole {
			changed := bytes.Clone(whole)
			changed[at] ^= 1 << rand.IntN(8)
			if err := os.WriteFile(path, changed, 0o600); err != nil {
				t.Fatal(err)
			}
			faults := check()
			if !slices.ContainsFunc(faults, func(f record.Fault) bool { return strings.HasSuffix(f.Where, filepath.Base(path)) }) {
				t.Errorf("%s: byte %d (%q), changed to %q, is not named: %v", filepath.Base(path), at, whole[at], changed[at], faults)
			}
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Where a key service signs, there is no key in a file: what it signed is checked by
// the public key that is remembered, as a claim, and the other keys are looked at.
func TestKeyOfAServiceIsRemembered(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("STEMMA_DIR", dir)
	service, err := filekey.Open(filepath.Join(t.TempDir(), "service"), filekey.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := logSigner(); err != nil {
		t.Fatal(err)
	}
	if _, err := organisationKey(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := rememberService(service); err != nil {
			t.Fatal(err)
		}
	}
	known, err := believed(t.Context(), trustFlags{})
	if err != nil {
		t.Fatal(err)
	}
	s := stemma.Statement{
		Type: stemma.StatementType, PredicateType: attest.TypeTestResult, Predicate: []byte(`{"result":"PASSED","configuration":[]}`),
		Subject: []stemma.Subject{{Digest: map[string]string{"sha256": strings.Repeat("ab", 32)}}},
	}
	e, err := sign.SealStatement(t.Context(), s, service)
	if err != nil {
		t.Fatal(err)
	}
	if v := known.Verify(t.Context(), e, s); v.Tier != stemma.TierClaimed {
		t.Errorf("what the service signed is worth %+v, want claimed", v)
	}
	// It also revokes: once only what a key in a file had signed counted.
	at := "2026-01-02T03:04:05Z"
	s, err = attest.New(attest.TypeKeyRevocation, attest.KeyRevocation{
		Metadata: attest.Metadata{Source: "stemma", EventID: "key-revocation/x", Observed: at, Assertion: stemma.Declared},
		KeyID:    service.KeyID(), Reason: "lost", From: at,
	}, attest.KeySubject(service.KeyID()))
	if err != nil {
		t.Fatal(err)
	}
	if e, err = sign.SealStatement(t.Context(), s, service); err != nil {
		t.Fatal(err)
	}
	if err := writeStatement(statementsDir(filepath.Join(dir, "keys")), attest.Digest(e.Encode()), e.Encode()); err != nil {
		t.Fatal(err)
	}
	if known, err = believed(t.Context(), trustFlags{}); err != nil || len(known.Revoked) != 1 {
		t.Fatalf("revoked are %+v, %v, want one", known.Revoked, err)
	}
	var faults []record.Fault
	fault := func(f record.Fault) { faults = append(faults, f) }
	if n, err := checkKeys(fault); err != nil || n != 3 || len(faults) > 0 {
		t.Errorf("checkKeys = %d, %v, %v, want 3 keys and no fault", n, err, faults)
	}
	if err := os.Remove(filepath.Join(dir, "keys", "tlog.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := checkKeys(fault); err != nil || len(faults) != 1 || !strings.Contains(faults[0].Where, "tlog.key") {
		t.Errorf("without the key of the log: %v, %v", faults, err)
	}
}

// A key service revoked a key of this machine, and its public key is deleted from the
// keys folder. No rotation has it, so that the revocation can not be checked: that is
// an error while the folder has it, and while the log has something that the service
// signed here. Once it was a revocation by nobody, and the key was good again. What is
// signed by one who never signed here stays the word of a stranger.
func TestRevocationByAServiceWhoseKeyIsGone(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("STEMMA_DIR", dir)
	own, err := signingKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	service, err := filekey.Open(filepath.Join(t.TempDir(), "service"), filekey.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := rememberService(service); err != nil {
		t.Fatal(err)
	}
	at := "2026-01-02T03:04:05Z"
	s, err := attest.New(attest.TypeKeyRevocation, attest.KeyRevocation{
		Metadata: attest.Metadata{Source: "stemma", EventID: "key-revocation/x", Observed: at, Assertion: stemma.Declared},
		KeyID:    own.KeyID(), Reason: "lost", From: at,
	}, attest.KeySubject(own.KeyID()))
	if err != nil {
		t.Fatal(err)
	}
	spine, err := openSpine(t.Context(), func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	defer spine.close()
	e, err := sign.SealStatement(t.Context(), s, service)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := spine.recorder.Record(t.Context(), []record.Submission{{Envelope: e.Encode()}}); err != nil {
		t.Fatal(err)
	}
	if err := writeStatement(statementsDir(filepath.Join(dir, "keys")), attest.Digest(e.Encode()), e.Encode()); err != nil {
		t.Fatal(err)
	}
	check := func(what string, want int, kind error) {
		t.Helper()
		known, err := believed(t.Context(), trustFlags{})
		if !errors.Is(err, kind) || len(known.Revoked) != want {
			t.Errorf("%s: revoked are %+v, %v, want %d and %v", what, known.Revoked, err, want, kind)
		}
	}
	check("all is there", 1, nil)
	if err := os.Remove(filepath.Join(dir, "keys", servicePrefix+service.KeyID()+".pem")); err != nil {
		t.Fatal(err)
	}
	check("the key of the service is gone", 0, stemma.ErrInvalid)
	if err := os.RemoveAll(statementsDir(filepath.Join(dir, "keys"))); err != nil {
		t.Fatal(err)
	}
	check("by one who never signed here", 0, nil)
	signed := record.New(record.Config{Evidence: spine.evidence, Log: spine.log, Signer: service, Trust: sign.Trust{}, Warn: func(string) {}, Predicates: predicates()})
	payload := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"git#1","digest":{"sha256":"` + strings.Repeat("ab", 32) + `"}}],` +
		`"predicateType":"https://stemma.dev/ref-observation/v1","predicate":{"source":"tracker","sourceEventId":"e1","timeObserved":"` + at + `","timeClaimed":null,` +
		`"assertion":"observed","repository":"git#1","observer":"someone","refs":[{"name":"refs/heads/a"}]}}`
	if _, err := signed.Record(t.Context(), []record.Submission{{Payload: []byte(payload)}}); err != nil {
		t.Fatal(err)
	}
	check("by one who signed here", 0, stemma.ErrInvalid)
	if err := rememberService(service); err != nil {
		t.Fatal(err)
	}
	check("the key is put back", 1, nil)
}

func TestSubmissionsOfAnInput(t *testing.T) {
	long := strings.Repeat("x", record.MaxSubmission+10)
	r := &submissionReader{in: bufio.NewReader(strings.NewReader("{\"a\": 1}\n\n" + long + "\n{\"b\": 2}\n  \n{\"c\": 3}"))}
	var got []string
	for {
		text, line, err := r.next()
		if err == io.EOF {
			break
		}
		switch {
		case err != nil:
			got = append(got, "error in line "+string(rune('0'+line)))
		default:
			got = append(got, string(rune('0'+line))+strings.TrimSpace(string(text)))
		}
	}
	want := `1{"a": 1}|error in line 3|4{"b": 2}|6{"c": 3}`
	if strings.Join(got, "|") != want {
		t.Errorf("documents %q, want %q", strings.Join(got, "|"), want)
	}
	one := &submissionReader{in: bufio.NewReader(strings.NewReader("{\n  \"a\": 1\n}\n"))}
	if text, line, err := one.next(); err != nil || line != 1 || !strings.Contains(string(text), "\n") {
		t.Errorf("a document over several lines: %q, line %d, %v", text, line, err)
	}
	if _, _, err := one.next(); err != io.EOF {
		t.Errorf("after it: %v, want io.EOF", err)
	}
}
