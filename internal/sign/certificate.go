package sign

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
)

// Certificate is what a verified certificate says of who signed. The child
// sigstore makes it, after it has checked the chain, the time and the
// signature.
type Certificate struct {
	Issuer  string // of the identity, not of the certificate
	Subject string // alternative name: a mail address or a URI
	// Workflow, Ref and Repository are the extensions that CI providers fill
	// (Fulcio OIDs 1.3.6.1.4.1.57264.1.18 buildConfigURI, .14 source repository
	// ref, .12 source repository URI); "" where there are none.
	Workflow, Ref, Repository string
	// Time is when the certificate was used, and who says so.
	Time When
}

// Certified is what checking a signature with a certificate came to.
type Certified struct {
	// Good says that the certificate leads to a trusted root, was good at a time
	// that somebody trusted vouches for, and that its key signed these bytes.
	Good        bool
	Certificate Certificate     // where good
	Envelope    attest.Envelope // what the signature is of, where good
	Reasons     []string        // why not
}

// Judge says what a good signature is worth that was made with a certificate.
func (t Trust) Judge(c Certificate, s stemma.Statement) SignatureVerdict {
	v := SignatureVerdict{Checked: true, Good: true, Identity: c.Subject, Issuer: c.Issuer, Reasons: []string{}}
	var near []string
	for _, id := range t.Identities {
		tier, reason := id.judge(c, s.PredicateType)
		if reason != "" {
			if id.Issuer == c.Issuer {
				near = append(near, fmt.Sprintf("%s (%s): %s", id.Name, id.Pinned, reason))
			}
			continue
		}
		if better(v.Tier, tier) != tier || v.Tier == tier {
			continue
		}
		v.Trusted, v.Tier, v.Name, v.Pinned = true, tier, id.Name, id.Pinned
	}
	switch {
	case v.Tier == stemma.TierAttested:
		v.Proves = "the workflow said so on a protected branch, which no developer can do alone"
	case v.Trusted:
		v.Proves = "the person or workflow of this identity said so"
	case len(near) > 0:
		v.Reasons = near
	default:
		v.Reasons = append(v.Reasons, "no identity of this issuer is trusted")
	}
	return v
}

func (id Identity) judge(c Certificate, predicateType string) (tier stemma.Tier, reason string) {
	switch {
	case id.Issuer != c.Issuer:
		return "", "another issuer"
	case id.Workflow == "" && id.Subject != c.Subject:
		return "", fmt.Sprintf("the subject is %q", c.Subject)
	case id.Workflow != "" && id.Workflow != withoutRef(c.Workflow):
		return "", fmt.Sprintf("the workflow is %q", c.Workflow)
	case !allows(id.Predicates, predicateType):
		return "", "may not say statements of type " + predicateType
	case id.Workflow == "":
		return stemma.TierClaimed, ""
	case !slices.Contains(id.ProtectedRefs, c.Ref):
		return "", fmt.Sprintf("ran on %q, which is not one of the protected refs", c.Ref)
	}
	return stemma.TierAttested, ""
}

// withoutRef takes "@refs/heads/main" off the URL of a workflow.
func withoutRef(workflow string) string {
	url, _, _ := strings.Cut(workflow, "@")
	return url
}

// certified says what the signature of a bundle with a certificate is worth.
func (t Trust) certified(ctx context.Context, e attest.Envelope, s stemma.Statement) SignatureVerdict {
	v := SignatureVerdict{Reasons: []string{}}
	cert, err := x509.ParseCertificate(e.Certificate)
	if err != nil {
		v.Checked = true
		v.Reasons = append(v.Reasons, "the certificate can not be read: "+strings.TrimPrefix(err.Error(), "x509: "))
		return v
	}
	if signed, known := signedBy(cert, e); known {
		// Whoever is believed: this is true of the bytes by themselves, and stays so.
		if v.Checked, v.Good = true, signed; !signed {
			v.Reasons = append(v.Reasons, "the signature is not one of these bytes by the key of its certificate")
			return v
		}
	}
	if t.Certified == nil {
		v.Checked, v.Good = false, false
		v.Reasons = append(v.Reasons, "no trust root is known: name one under \"roots\" in trust.yaml")
		return v
	}
	found, err := t.Certified(ctx, e.Bundle)
	switch {
	case err != nil:
		v.Checked, v.Good = false, false
		v.Reasons = append(v.Reasons, err.Error())
	case !found.Good:
		v.Checked = true
		v.Reasons = append(v.Reasons, found.Reasons...)
	case found.Envelope.PayloadType != e.PayloadType || !bytes.Equal(found.Envelope.Payload, e.Payload):
		v.Checked, v.Good = true, false
		v.Reasons = append(v.Reasons, "the bundle signs another statement than this one")
	default:
		return t.Judge(found.Certificate, s)
	}
	return v
}

// signedBy reports whether the key of a certificate made the signature, and
// whether that kind of key is known here.
func signedBy(cert *x509.Certificate, e attest.Envelope) (signed, known bool) {
	algorithm := x509.UnknownSignatureAlgorithm
	switch k := cert.PublicKey.(type) {
	case ed25519.PublicKey:
		algorithm = x509.PureEd25519
	case *ecdsa.PublicKey:
		algorithm = map[int]x509.SignatureAlgorithm{256: x509.ECDSAWithSHA256, 384: x509.ECDSAWithSHA384}[k.Params().BitSize]
	}
	if algorithm == x509.UnknownSignatureAlgorithm {
		return false, false
	}
	return cert.CheckSignature(algorithm, e.PAE(), e.Signatures[0].Sig) == nil, true
}
