// Package sigstore answers whose certificate signed a Sigstore bundle: it checks
// bundles of version 0.3 and older against trust roots that the user names, such
// as those of an organisation's own Fulcio. Begin with [New].
//
// It asks no server and knows no root of its own: the public instance of
// Sigstore is believed only by who names its root. Who the identity is, and what
// it may say, is for [sign.Trust.Judge].
package sigstore

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/sign"
)

// Verifier checks bundles against trust roots. It may be used at once.
type Verifier struct{ roots []*trusted }

// trusted is one trust root, with what it asks of a bundle.
type trusted struct {
	name     string
	material root.TrustedMaterial
	verifier *verify.Verifier
}

// Root is a trust root: the content of a trusted_root.json (Sigstore
// protobuf-specs, "TrustedRoot").
type Root struct {
	Name string // what to call it in reasons
	JSON []byte
}

// New makes a verifier. The error is ErrInvalid for a root that can not be read
// or that vouches for no time: a certificate is good for minutes, and only a
// timestamp authority or a log can say that it was used in them.
func New(roots ...Root) (*Verifier, error) {
	v := &Verifier{}
	for _, r := range roots {
		material, err := root.NewTrustedRootFromJSON(r.JSON)
		if err != nil {
			return nil, fmt.Errorf("trust root %s: %v: %w", r.Name, err, stemma.ErrInvalid)
		}
		one, err := use(r.Name, material)
		if err != nil {
			return nil, err
		}
		v.roots = append(v.roots, one)
	}
	return v, nil
}

// use asks of bundles everything that a root can check.
func use(name string, material root.TrustedMaterial) (*trusted, error) {
	if len(material.FulcioCertificateAuthorities()) == 0 {
		return nil, fmt.Errorf("trust root %s: no certificate authority: %w", name, stemma.ErrInvalid)
	}
	if len(material.TimestampingAuthorities()) == 0 && len(material.RekorLogs()) == 0 {
		return nil, fmt.Errorf("trust root %s: neither a timestamp authority nor a log vouches for the time: %w", name, stemma.ErrInvalid)
	}
	options := []verify.VerifierOption{verify.WithObserverTimestamps(1)}
	if len(material.RekorLogs()) > 0 {
		options = append(options, verify.WithTransparencyLog(1))
	}
	if len(material.CTLogs()) > 0 {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
	}
	v, err := verify.NewVerifier(material, options...)
	if err != nil {
		return nil, fmt.Errorf("trust root %s: %v: %w", name, err, stemma.ErrInvalid)
	}
	return &trusted{name, material, v}, nil
}

// Verify checks a bundle: that its certificate leads to a root and was good at
// the time that somebody in the root vouches for, that its key signed the
// envelope, and that the logs of the root have it. A bundle that does not hold
// is a result with reasons.
func (v *Verifier) Verify(_ context.Context, text []byte) sign.Certified {
	var b bundle.Bundle
	if err := b.UnmarshalJSON(text); err != nil {
		return sign.Certified{Reasons: []string{"not a Sigstore bundle that can be read: " + oneLine(err)}}
	}
	e, err := envelope(&b)
	if err != nil {
		return sign.Certified{Reasons: []string{oneLine(err)}}
	}
	if len(v.roots) == 0 {
		return sign.Certified{Reasons: []string{"no trust root is known"}}
	}
	var reasons []string
	for _, r := range v.roots {
		c, err := r.verify(&b)
		if err == nil {
			return sign.Certified{Good: true, Certificate: c, Envelope: e}
		}
		reason := r.why(&b)
		if reason == "" {
			reason = oneLine(err)
		}
		reasons = append(reasons, r.name+": "+reason)
	}
	return sign.Certified{Reasons: reasons}
}

// why tells what is wrong with a certificate, of which the library only says that
// it is refused; "" where it is something else.
func (r *trusted) why(b *bundle.Bundle) string {
	content, err := b.VerificationContent()
	if err != nil || content.Certificate() == nil {
		return ""
	}
	cert := content.Certificate()
	if !r.made(cert) {
		return "no authority of this root made the certificate"
	}
	stamps, _, err := verify.VerifySignedTimestamp(b, r.material)
	if err != nil {
		return ""
	}
	for _, s := range stamps {
		if s.Time.Before(cert.NotBefore) || s.Time.After(cert.NotAfter) {
			return fmt.Sprintf("the certificate was good from %s to %s, and was used at %s", stamp(cert.NotBefore), stamp(cert.NotAfter), stamp(s.Time))
		}
	}
	return ""
}

// made reports whether an authority of the root signed a certificate, whenever
// that was.
func (r *trusted) made(cert *x509.Certificate) bool {
	for _, ca := range r.material.FulcioCertificateAuthorities() {
		f, ok := ca.(*root.FulcioCertificateAuthority)
		if !ok {
			continue
		}
		for _, by := range append([]*x509.Certificate{f.Root}, f.Intermediates...) {
			if by != nil && cert.CheckSignatureFrom(by) == nil {
				return true
			}
		}
	}
	return false
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// verify checks the bundle by one root. Identity and artifact are left to the
// caller, who looks at each of them by itself.
func (r *trusted) verify(b *bundle.Bundle) (sign.Certificate, error) {
	result, err := r.verifier.Verify(b, verify.NewPolicy(verify.WithoutArtifactUnsafe(), verify.WithoutIdentitiesUnsafe()))
	if err != nil {
		return sign.Certificate{}, err
	}
	if result.Signature == nil || result.Signature.Certificate == nil {
		return sign.Certificate{}, fmt.Errorf("no certificate: %w", stemma.ErrInvalid)
	}
	c := identity(result.Signature.Certificate)
	for _, t := range result.VerifiedTimestamps {
		if c.Time.By == "" || t.Timestamp.After(c.Time.Time) {
			// The latest: the earlier ones were good too, and prove less.
			c.Time = sign.When{Time: t.Timestamp.UTC(), By: t.Type}
		}
	}
	return c, nil
}

// identity takes from a certificate who it names. The workflow is the one that
// ran (build config); older certificates have it in their first extensions only.
func identity(s *certificate.Summary) sign.Certificate {
	c := sign.Certificate{
		Issuer: s.Issuer, Subject: s.SubjectAlternativeName,
		Workflow: s.BuildConfigURI, Ref: s.SourceRepositoryRef, Repository: s.SourceRepositoryURI,
	}
	if c.Ref == "" {
		c.Ref = s.GithubWorkflowRef
	}
	return c
}

// envelope takes the envelope out of a bundle, as it was verified.
func envelope(b *bundle.Bundle) (attest.Envelope, error) {
	content, err := b.Envelope()
	if err != nil {
		return attest.Envelope{}, err
	}
	raw := content.RawEnvelope()
	if len(raw.Signatures) != 1 {
		return attest.Envelope{}, fmt.Errorf("a bundle has exactly one signature, and this has %d", len(raw.Signatures))
	}
	payload, err := raw.DecodeB64Payload()
	if err != nil {
		return attest.Envelope{}, err
	}
	return attest.Envelope{PayloadType: raw.PayloadType, Payload: payload}, nil
}

// oneLine gives an error of the library in one line.
func oneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}
