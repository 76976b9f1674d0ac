package sign

import (
	"context"
	"crypto"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
)

// Holder says who can use a key, and so what its signature is worth.
type Holder string

// The holders. There is none that makes a key [stemma.TierAttested]: anybody
// can make a key, and only an identity that a third party vouches for is one
// that the developer can not use.
const (
	// HeldByPerson is a key on a developer's machine: claimed.
	HeldByPerson Holder = "person"
	// HeldByServer is the key of an organisation's own stemma server: observed.
	HeldByServer Holder = "server"
)

// Key is a public key that is believed, for a time and for some predicates.
type Key struct {
	Name   string
	ID     string // see [attest.KeyID]
	Public crypto.PublicKey
	Holder Holder
	// From and Until bound when it may sign; zero is open.
	From, Until time.Time
	// Predicates are patterns of predicate types, in which * stands for any
	// characters; empty is all.
	Predicates []string
	// Pinned says where it is known from: "trust.yaml line 7", "keys folder".
	Pinned string
}

// Identity is who may attest through a certificate: somebody, or a workflow,
// that an identity provider vouches for.
type Identity struct {
	Name string
	// Issuer is the identity provider's URL, exactly.
	Issuer string
	// Subject is the certificate's subject alternative name, exactly; for a
	// workflow it is empty and Workflow is set.
	Subject string
	// Workflow is the URL of a workflow file without its ref.
	Workflow string
	// ProtectedRefs are the full names of the refs, protected by the forge,
	// from which the workflow counts.
	ProtectedRefs []string
	Predicates    []string
	Pinned        string
}

// Revocation ends the life of a key.
type Revocation struct {
	KeyID  string
	From   time.Time // signatures proven to be older stay good
	Reason string
	Pinned string // where it is known from
}

// Trust is what the verifier believes; see [ParseTrust]. The zero Trust
// believes nobody.
type Trust struct {
	Keys       []Key
	Identities []Identity
	Revoked    []Revocation
	// Roots are the paths of the trust roots (trusted_root.json) whose
	// certificates are believed, as trust.yaml has them.
	Roots []string
	// Certified checks a Sigstore bundle with a certificate against these roots;
	// nil where there are none. An error says that a root can not be read.
	Certified func(ctx context.Context, bundle []byte) (Certified, error)
}

// When is a time at which something is proven to have existed, and who proves
// it; it may be older. The zero When proves nothing.
type When struct {
	Time time.Time
	By   string // "witness witness.example/w1", "timestamp authority"
}

// Verdict is what is known of the signatures of one envelope.
type Verdict struct {
	// Tier is the best tier of a signature that is good and trusted; "" where
	// there is none.
	Tier       stemma.Tier        `json:"tier,omitempty"`
	Signatures []SignatureVerdict `json:"signatures"`
}

// OK reports whether at least one signature is good and trusted.
func (v Verdict) OK() bool { return v.Tier != "" }

// SignatureVerdict is what is known of one signature.
type SignatureVerdict struct {
	// Checked is false where the key that made it is not known: the signature
	// may be good or not.
	Checked bool `json:"checked"`
	// Good says that the signature is one of these bytes by this key.
	Good bool `json:"good"`
	// Trusted says that the key or identity may say this, and could at the time.
	Trusted  bool        `json:"trusted"`
	Tier     stemma.Tier `json:"tier,omitempty"` // where good and trusted
	KeyID    string      `json:"key,omitempty"`
	Name     string      `json:"name,omitempty"`
	Holder   Holder      `json:"holder,omitempty"`
	Identity string      `json:"identity,omitempty"` // subject of the certificate
	Issuer   string      `json:"issuer,omitempty"`
	Pinned   string      `json:"pinned,omitempty"` // where the key or identity is known from
	// Proves says in words what the signature proves.
	Proves string `json:"proves,omitempty"`
	// Reasons say why it is not trusted, or what weakens it.
	Reasons []string `json:"reasons"`
}

// Verify checks every signature of an envelope. The statement is the one in
// the envelope; its own metadata give the time, which is the signer's word: see
// [Trust.VerifyAt] for a time that is proven.
func (t Trust) Verify(ctx context.Context, e attest.Envelope, s stemma.Statement) Verdict {
	return t.VerifyAt(ctx, e, s, When{})
}

// VerifyAt is Verify where the envelope is proven to have existed at a time. That
// does not tell when it was signed, but that it was not later: what a key signed
// before it was revoked stays good. A bundle with a certificate brings its own time.
func (t Trust) VerifyAt(ctx context.Context, e attest.Envelope, s stemma.Statement, seen When) Verdict {
	if e.Certificate != nil {
		one := t.certified(ctx, e, s)
		return Verdict{Tier: one.Tier, Signatures: []SignatureVerdict{one}}
	}
	var v Verdict
	pae := e.PAE()
	for _, sig := range e.Signatures {
		one := t.verifyOne(pae, sig, s, seen)
		v.Signatures = append(v.Signatures, one)
		v.Tier = better(v.Tier, one.Tier)
	}
	return v
}

// claimedTime is when a statement says that it was made; zero where it does not.
func claimedTime(s stemma.Statement) time.Time {
	at, _ := attest.ObservedAt(s)
	return at
}

// verifyOne tries the keys that may have made a signature: the one that it
// names, or all of them where it names none, as DSSE asks.
func (t Trust) verifyOne(pae []byte, sig attest.Signature, s stemma.Statement, seen When) SignatureVerdict {
	named := false
	for _, k := range t.Keys {
		if sig.KeyID != "" && k.ID != sig.KeyID {
			continue
		}
		named = true
		if Good(k.Public, pae, sig.Sig) {
			return t.judge(k, s, seen)
		}
	}
	switch {
	case named && sig.KeyID != "":
		return SignatureVerdict{Checked: true, KeyID: sig.KeyID, Reasons: []string{"the signature is not one of these bytes by the key that it names"}}
	case named:
		return SignatureVerdict{Reasons: []string{"the signature names no key, and no known key made it"}}
	case sig.KeyID == "":
		return SignatureVerdict{Reasons: []string{"the signature names no key, and no key is known"}}
	}
	return SignatureVerdict{KeyID: sig.KeyID, Reasons: []string{"unknown key: the signature was not checked"}}
}

// judge says what a good signature by a known key is worth.
func (t Trust) judge(k Key, s stemma.Statement, seen When) SignatureVerdict {
	v := SignatureVerdict{Checked: true, Good: true, KeyID: k.ID, Name: k.Name, Holder: k.Holder, Pinned: k.Pinned, Reasons: []string{}}
	refuse := func(format string, args ...any) { v.Reasons = append(v.Reasons, fmt.Sprintf(format, args...)) }
	if !allows(k.Predicates, s.PredicateType) {
		refuse("the key may not say statements of type %s", s.PredicateType)
	}
	at, proven := claimedTime(s), seen.By != ""
	if proven && (at.IsZero() || at.After(seen.Time)) {
		at = seen.Time
	}
	switch {
	case at.IsZero() && !(k.From.IsZero() && k.Until.IsZero()):
		refuse("the key is good for a time, and nothing tells when it signed")
	case !k.From.IsZero() && at.Before(k.From):
		refuse("signed %s, before the key was good (from %s)", stamp(at), stamp(k.From))
	case !k.Until.IsZero() && !at.Before(k.Until):
		refuse("signed %s, after the key was good (until %s)", stamp(at), stamp(k.Until))
	}
	for _, r := range t.Revoked {
		if r.KeyID != k.ID {
			continue
		}
		switch {
		case !proven:
			refuse("the key was revoked (%s, from %s), and nothing but the signer says that this is older", r.Reason, stamp(r.From))
		case !seen.Time.Before(r.From):
			refuse("the key was revoked (%s, from %s), and this is proven to be no older than %s, by %s", r.Reason, stamp(r.From), stamp(seen.Time), seen.By)
		}
	}
	v.Trusted = len(v.Reasons) == 0
	if !v.Trusted {
		return v
	}
	switch k.Holder {
	case HeldByServer:
		v.Tier = stemma.TierObserved
		v.Proves = "the server of this key heard it, and it has not changed since"
	default:
		v.Tier = stemma.TierClaimed
		v.Proves = "nothing has changed since it was recorded; who recorded it could have made it up"
	}
	inTime := k.Until.IsZero() || seen.Time.Before(k.Until)
	if !(proven && inTime) && !(k.From.IsZero() && k.Until.IsZero()) {
		v.Reasons = append(v.Reasons, "that the key was good then rests on the signer's word for the time")
	}
	return v
}

func allows(patterns []string, predicateType string) bool {
	if len(patterns) == 0 {
		return true
	}
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, predicateType) })
}

// matches compares with * for any characters, the slash included.
func matches(pattern, s string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	if !strings.HasPrefix(s, head) {
		return false
	}
	s = s[len(head):]
	for i := 0; i <= len(s); i++ {
		if matches(rest, s[i:]) {
			return true
		}
	}
	return false
}

func better(a, b stemma.Tier) stemma.Tier {
	order := []stemma.Tier{"", stemma.TierClaimed, stemma.TierObserved, stemma.TierAttested}
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
