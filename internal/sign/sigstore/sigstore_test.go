package sigstore_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/sign"
	"github.com/stemma-dev/stemma/internal/sign/sigstore"
	"github.com/stemma-dev/stemma/internal/sign/sigstoretest"
)

const (
	issuer   = "https://token.forge.example"
	workflow = "https://forge.example/acme/pay/.ci/release.yml"
)

// authority is a private Fulcio and timestamp authority.
type authority struct{ sigstoretest.Authority }

type (
	certified = sigstoretest.Certified
	object    = sigstoretest.Object
	list      = []any
)

// must gives what cannot fail here.
func must[T any](t testing.TB, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func newAuthority(t testing.TB) authority {
	t.Helper()
	a, err := sigstoretest.New()
	return authority{must(t, a, err)}
}

// trust is the authority's trusted_root.json.
func (a authority) trust(t testing.TB) sigstore.Root {
	t.Helper()
	text, err := a.TrustedRoot()
	return sigstore.Root{Name: "acme", JSON: must(t, text, err)}
}

func (a authority) certify(t testing.TB, ref string, from time.Time) certified {
	t.Helper()
	c, err := a.Certify(sigstoretest.Claims{Issuer: issuer, Repository: "https://forge.example/acme/pay", Workflow: workflow, Ref: ref}, from)
	return must(t, c, err)
}

// bundle signs a payload and gives the bundle, to be spoilt.
func (a authority) bundle(t testing.TB, c certified, payload []byte) object {
	t.Helper()
	b, err := a.Bundle(c, payload)
	return must(t, b, err)
}

func statement(t testing.TB) (stemma.Statement, []byte) {
	t.Helper()
	s := stemma.Statement{
		Type:          stemma.StatementType,
		Subject:       []stemma.Subject{{Digest: map[string]string{"sha256": strings.Repeat("ab", 32)}}},
		PredicateType: attest.TypeTestResult, Predicate: []byte(`{"result":"PASSED","configuration":[]}`),
	}
	payload, err := attest.EncodeStatement(s)
	if err != nil {
		t.Fatal(err)
	}
	return s, payload
}

func TestVerify(t *testing.T) {
	acme, other := newAuthority(t), newAuthority(t)
	s, payload := statement(t)
	now := time.Now().Add(-time.Minute)
	good := acme.certify(t, "refs/heads/main", now)
	v, err := sigstore.New(acme.trust(t))
	if err != nil {
		t.Fatal(err)
	}
	envelope := func(b object) object { return b["dsseEnvelope"].(object) }
	material := func(b object) object { return b["verificationMaterial"].(object) }
	for _, tt := range []struct {
		name  string
		from  authority
		cert  certified
		spoil func(object)
		want  string // part of the reason; "" is good
	}{
		{"a workflow on a protected branch", acme, good, func(object) {}, ""},
		{"a certificate that had expired", acme, acme.certify(t, "refs/heads/main", now.Add(-time.Hour)), func(object) {}, "acme: the certificate was good from"},
		{"a certificate that is not good yet", acme, acme.certify(t, "refs/heads/main", now.Add(time.Hour)), func(object) {}, "acme: the certificate was good from"},
		{"another authority", other, other.certify(t, "refs/heads/main", now), func(object) {}, "acme: no authority of this root made the certificate"},
		{"no time", acme, good, func(b object) { delete(material(b), "timestampVerificationData") }, "timestamp"},
		{"another's time", acme, good, func(b object) {
			material(b)["timestampVerificationData"] = material(other.bundle(t, good, payload))["timestampVerificationData"]
		}, "timestamp"},
		{"another payload", acme, good, func(b object) {
			envelope(b)["payload"] = []byte(strings.Replace(string(payload), "PASSED", "FAILED", 1))
		}, "signature"},
		{"two signatures", acme, good, func(b object) {
			envelope(b)["signatures"] = append(envelope(b)["signatures"].(list), envelope(b)["signatures"].(list)...)
		}, "one"},
		{"no signature", acme, good, func(b object) { envelope(b)["signatures"] = list{} }, "signature"},
		{"another certificate", acme, good, func(b object) {
			material(b)["certificate"] = object{"rawBytes": acme.certify(t, "refs/heads/main", now).Cert.Raw}
		}, "signature"},
		{"no certificate", acme, good, func(b object) { delete(material(b), "certificate") }, ""},
		{"a key in its place", acme, good, func(b object) {
			delete(material(b), "certificate")
			material(b)["publicKey"] = object{"hint": "x"}
		}, ""},
		{"another media type", acme, good, func(b object) { b["mediaType"] = "application/json" }, "media"},
		{"a field that no bundle has", acme, good, func(b object) { b["x"] = 1 }, "bundle"},
	} {
		b := tt.from.bundle(t, tt.cert, payload)
		tt.spoil(b)
		text, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		got := v.Verify(t.Context(), text)
		if tt.name == "no certificate" || tt.name == "a key in its place" {
			if got.Good {
				t.Errorf("%s: good, as %+v", tt.name, got.Certificate)
			}
			continue
		}
		if got.Good != (tt.want == "") || !strings.Contains(strings.Join(got.Reasons, "; "), tt.want) {
			t.Errorf("%s: good %t, reasons %q, want %q", tt.name, got.Good, got.Reasons, tt.want)
			continue
		}
		if !got.Good {
			continue
		}
		if string(got.Envelope.Payload) != string(payload) || got.Certificate.Time.By == "" || got.Certificate.Ref != "refs/heads/main" {
			t.Errorf("%s: %+v", tt.name, got)
		}
		trust := sign.Trust{Identities: []sign.Identity{{Name: "release", Issuer: issuer, Workflow: workflow, ProtectedRefs: []string{"refs/heads/main"}}}}
		if j := trust.Judge(got.Certificate, s); j.Tier != stemma.TierAttested {
			t.Errorf("%s: judged %+v, want attested", tt.name, j)
		}
	}

	// The same workflow on a branch that developers push to proves nothing of the
	// kind, though its signature is as good.
	topic := acme.bundle(t, acme.certify(t, "refs/heads/topic", now), payload)
	text, err := json.Marshal(topic)
	if err != nil {
		t.Fatal(err)
	}
	got := v.Verify(t.Context(), text)
	trust := sign.Trust{Identities: []sign.Identity{{Name: "release", Issuer: issuer, Workflow: workflow, ProtectedRefs: []string{"refs/heads/main"}}}}
	if j := trust.Judge(got.Certificate, s); !got.Good || j.Trusted || j.Tier != "" {
		t.Errorf("on a topic branch: good %t, judged %+v", got.Good, j)
	}
}

func TestNewRefuses(t *testing.T) {
	acme := newAuthority(t)
	timeless, err := root.NewTrustedRoot(root.TrustedRootMediaType01, acme.Times.FulcioCertificateAuthorities(), nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := timeless.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]sigstore.Root{
		"no JSON":         {Name: "x", JSON: []byte("x")},
		"an empty root":   {Name: "x", JSON: []byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`)},
		"a root no clock": {Name: "x", JSON: text},
	} {
		if _, err := sigstore.New(r); !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	acme := newAuthority(f)
	_, payload := statement(f)
	text, err := json.Marshal(acme.bundle(f, acme.certify(f, "refs/heads/main", time.Now().Add(-time.Minute)), payload))
	if err != nil {
		f.Fatal(err)
	}
	v, err := sigstore.New(acme.trust(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := v.Verify(t.Context(), b); got.Good && string(got.Envelope.Payload) != string(payload) {
			t.Fatalf("good, and never signed: %q", b)
		} else if !got.Good && len(got.Reasons) == 0 {
			t.Fatal("not good, and no reason")
		}
	})
}
