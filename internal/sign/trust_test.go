package sign_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/sign"
)

// key is a signer in memory.
type key struct {
	id     string
	secret crypto.Signer
}

func (k key) KeyID() string            { return k.id }
func (k key) Public() crypto.PublicKey { return k.secret.Public() }
func (k key) Sign(_ context.Context, pae []byte) ([]byte, error) {
	if _, ok := k.secret.(ed25519.PrivateKey); ok {
		return k.secret.Sign(rand.Reader, pae, crypto.Hash(0))
	}
	sum := sha256.Sum256(pae)
	return k.secret.Sign(rand.Reader, sum[:], crypto.SHA256)
}

func newKey(t testing.TB, secret crypto.Signer) key {
	t.Helper()
	id, err := attest.KeyID(secret.Public())
	if err != nil {
		t.Fatal(err)
	}
	return key{id, secret}
}

func ed(t testing.TB) key {
	t.Helper()
	_, secret, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newKey(t, secret)
}

func p256(t testing.TB) key {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newKey(t, secret)
}

// noon is when the statement of these tests says that it was made.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func statement(t testing.TB) stemma.Statement {
	t.Helper()
	subject, err := attest.RecordSubject("", "stemma:waiver/1", map[string]any{"id": "1"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := attest.New(attest.TypeKeyRevocation, attest.KeyRevocation{
		Metadata: attest.Metadata{Source: "test", EventID: "1", Observed: "2026-03-01T12:00:00Z", Assertion: stemma.Declared},
		KeyID:    strings.Repeat("a", 64), Reason: "lost", From: "2026-03-01T12:00:00Z",
	}, subject)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func seal(t testing.TB, s stemma.Statement, by ...sign.Signer) attest.Envelope {
	t.Helper()
	e, err := sign.SealStatement(t.Context(), s, by...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func trusted(k key) sign.Key {
	return sign.Key{Name: "k", ID: k.id, Public: k.Public(), Holder: sign.HeldByPerson, Pinned: "test"}
}

func TestVerifyKeys(t *testing.T) {
	s, a, b, c := statement(t), ed(t), p256(t), ed(t)
	server := trusted(b)
	server.Holder = sign.HeldByServer
	with := func(k sign.Key, change func(*sign.Key)) sign.Trust {
		change(&k)
		return sign.Trust{Keys: []sign.Key{k}}
	}
	keep := func(*sign.Key) {}
	unnamed := seal(t, s, a)
	unnamed.Signatures[0].KeyID = ""
	lied := seal(t, s, c)
	lied.Signatures[0].KeyID = a.id
	flipped := seal(t, s, a)
	flipped.Payload = append([]byte{}, flipped.Payload...)
	flipped.Payload[len(flipped.Payload)-2] ^= 1
	otherType := seal(t, s, a)
	otherType.PayloadType = "application/json"
	for _, tt := range []struct {
		name     string
		envelope attest.Envelope
		trust    sign.Trust
		when     sign.When
		tier     stemma.Tier
		checked  bool
		reason   string
	}{
		{"a person's key", seal(t, s, a), with(trusted(a), keep), sign.When{}, stemma.TierClaimed, true, ""},
		{"the server's key", seal(t, s, b), with(server, keep), sign.When{}, stemma.TierObserved, true, ""},
		{"no key is named", unnamed, with(trusted(a), keep), sign.When{}, stemma.TierClaimed, true, ""},
		{"an unknown key", seal(t, s, a), with(trusted(b), keep), sign.When{}, "", false, "unknown key"},
		{"no key is named and none is known", unnamed, sign.Trust{}, sign.When{}, "", false, "no key is known"},
		{"no key is named and another is known", unnamed, with(trusted(b), keep), sign.When{}, "", false, "no known key made it"},
		{"the wrong key is named", lied, with(trusted(a), keep), sign.When{}, "", true, "not one of these bytes"},
		{"a flipped bit", flipped, with(trusted(a), keep), sign.When{}, "", true, "not one of these bytes"},
		{"another payload type", otherType, with(trusted(a), keep), sign.When{}, "", true, "not one of these bytes"},
		{"another predicate", seal(t, s, a), with(trusted(a), func(k *sign.Key) { k.Predicates = []string{attest.TypeReview} }), sign.When{}, "", true, "may not say"},
		{"its predicate", seal(t, s, a), with(trusted(a), func(k *sign.Key) { k.Predicates = []string{"https://stemma.dev/key-*"} }), sign.When{}, stemma.TierClaimed, true, ""},
		{"before its time", seal(t, s, a), with(trusted(a), func(k *sign.Key) { k.From = noon.Add(1) }), sign.When{}, "", true, "before the key was good"},
		{"at the end of its time", seal(t, s, a), with(trusted(a), func(k *sign.Key) { k.Until = noon }), sign.When{}, "", true, "after the key was good"},
		{"in its time", seal(t, s, a), with(trusted(a), func(k *sign.Key) { k.From, k.Until = noon, noon.Add(1) }), sign.When{}, stemma.TierClaimed, true, "signer's word"},
		{"in its time, proven", seal(t, s, a), with(trusted(a), func(k *sign.Key) { k.From = noon }), sign.When{Time: noon, By: "w"}, stemma.TierClaimed, true, ""},
		{"proven after its time only", seal(t, s, a), with(trusted(a), func(k *sign.Key) { k.Until = noon.Add(1) }), sign.When{Time: noon.Add(time.Hour), By: "w"}, stemma.TierClaimed, true, "signer's word"},
		{"proven to be older than it says, and than the key", seal(t, s, a), with(trusted(a), func(k *sign.Key) { k.From = noon }), sign.When{Time: noon.Add(-time.Hour), By: "w"}, "", true, "before the key was good"},
		{"revoked, and nobody says when", seal(t, s, a), revoked(with(trusted(a), keep), noon.Add(time.Hour)), sign.When{}, "", true, "nothing but the signer"},
		{"revoked later than it was seen", seal(t, s, a), revoked(with(trusted(a), keep), noon.Add(time.Hour)), sign.When{Time: noon, By: "w"}, stemma.TierClaimed, true, ""},
		{"revoked before it was seen", seal(t, s, a), revoked(with(trusted(a), keep), noon), sign.When{Time: noon, By: "w"}, "", true, "proven to be no older than 2026-03-01T12:00:00Z, by w"},
		{"two signatures, one trusted", seal(t, s, c, b), with(server, keep), sign.When{}, stemma.TierObserved, true, ""},
	} {
		v := tt.trust.VerifyAt(t.Context(), tt.envelope, s, tt.when)
		last := v.Signatures[len(v.Signatures)-1]
		if v.Tier != tt.tier || v.OK() != (tt.tier != "") || last.Checked != tt.checked {
			t.Errorf("%s: tier %q, checked %t, want %q, %t (%v)", tt.name, v.Tier, last.Checked, tt.tier, tt.checked, last.Reasons)
		}
		if got := strings.Join(last.Reasons, "; "); !strings.Contains(got, tt.reason) || tt.reason == "" && got != "" {
			t.Errorf("%s: reasons %q, want %q", tt.name, got, tt.reason)
		}
	}
}

func revoked(t sign.Trust, from time.Time) sign.Trust {
	t.Revoked = []sign.Revocation{{KeyID: t.Keys[0].ID, From: from, Reason: "lost"}}
	return t
}

// Whatever holder a key is given, its tier is not attested: only an identity
// that somebody else vouches for can be.
func TestNoKeyAttests(t *testing.T) {
	s, a := statement(t), ed(t)
	for _, holder := range []sign.Holder{sign.HeldByPerson, sign.HeldByServer, "ci", ""} {
		k := trusted(a)
		k.Holder = holder
		if v := (sign.Trust{Keys: []sign.Key{k}}).Verify(t.Context(), seal(t, s, a), s); v.Tier == stemma.TierAttested {
			t.Errorf("a key held by %q attests", holder)
		}
	}
}

func TestJudgeIdentities(t *testing.T) {
	s := statement(t)
	const issuer, workflow = "https://token.example.com", "https://git.example.com/acme/pay/.github/workflows/release.yml"
	ci := sign.Identity{Name: "release", Issuer: issuer, Workflow: workflow, ProtectedRefs: []string{"refs/heads/main"}, Pinned: "line 3"}
	ada := sign.Identity{Name: "ada", Issuer: issuer, Subject: "ada@example.org", Pinned: "line 9"}
	limited := ci
	limited.Predicates = []string{attest.TypeProvenance}
	good := sign.Certificate{Issuer: issuer, Subject: workflow + "@refs/heads/main", Workflow: workflow + "@refs/heads/main", Ref: "refs/heads/main"}
	branch := good
	branch.Ref = "refs/heads/topic"
	for _, tt := range []struct {
		name       string
		identities []sign.Identity
		with       sign.Certificate
		tier       stemma.Tier
		reason     string
	}{
		{"a workflow on a protected branch", []sign.Identity{ada, ci}, good, stemma.TierAttested, ""},
		{"the same on a developer's branch", []sign.Identity{ada, ci}, branch, "", "not one of the protected refs"},
		{"another workflow", []sign.Identity{ci}, sign.Certificate{Issuer: issuer, Workflow: "https://git.example.com/acme/pay/.github/workflows/evil.yml@refs/heads/main", Ref: "refs/heads/main"}, "", "the workflow is"},
		{"a workflow whose name begins the same", []sign.Identity{ci}, sign.Certificate{Issuer: issuer, Workflow: workflow + "x@refs/heads/main", Ref: "refs/heads/main"}, "", "the workflow is"},
		{"another issuer", []sign.Identity{ci}, sign.Certificate{Issuer: issuer + "/", Workflow: good.Workflow, Ref: good.Ref}, "", "no identity of this issuer"},
		{"another predicate", []sign.Identity{limited}, good, "", "may not say"},
		{"a person's identity", []sign.Identity{ada, ci}, sign.Certificate{Issuer: issuer, Subject: "ada@example.org"}, stemma.TierClaimed, ""},
		{"a workflow pinned without a ref", []sign.Identity{{Name: "x", Issuer: issuer, Workflow: workflow}}, good, "", "not one of the protected refs"},
		{"nobody is trusted", nil, good, "", "no identity"},
	} {
		v := sign.Trust{Identities: tt.identities}.Judge(tt.with, s)
		if got := fmt.Sprint(v.Reasons); v.Tier != tt.tier || v.Trusted != (tt.tier != "") || !strings.Contains(got, tt.reason) {
			t.Errorf("%s: %+v, want tier %q and %q", tt.name, v, tt.tier, tt.reason)
		}
	}
}
