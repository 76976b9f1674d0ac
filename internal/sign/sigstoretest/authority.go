// Package sigstoretest is a private Fulcio and timestamp authority, for tests:
// it makes what a workflow of a forge signs without a key of its own.
package sigstoretest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"net/url"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"

	"github.com/stemma-dev/stemma/internal/attest"
)

// Authority makes certificates and timestamps.
type Authority struct {
	root, issuing *x509.Certificate
	key           *ecdsa.PrivateKey
	Times         *ca.VirtualSigstore
}

// New makes an authority.
func New() (Authority, error) {
	rootCert, rootKey, err := ca.GenerateRootCa()
	if err != nil {
		return Authority{}, err
	}
	issuing, key, err := ca.GenerateFulcioIntermediate(rootCert, rootKey)
	if err != nil {
		return Authority{}, err
	}
	times, err := ca.NewVirtualSigstore()
	return Authority{rootCert, issuing, key, times}, err
}

// TrustedRoot is the authority's trusted_root.json.
func (a Authority) TrustedRoot() ([]byte, error) {
	now := time.Now()
	r, err := root.NewTrustedRoot(root.TrustedRootMediaType01, []root.CertificateAuthority{&root.FulcioCertificateAuthority{
		Root: a.root, Intermediates: []*x509.Certificate{a.issuing}, URI: "https://fulcio.acme.example",
		ValidityPeriodStart: now.Add(-5 * time.Hour), ValidityPeriodEnd: now.Add(time.Hour),
	}}, nil, a.Times.TimestampingAuthorities(), nil)
	if err != nil {
		return nil, err
	}
	return r.MarshalJSON()
}

// Claims are what an identity provider says of a workflow that runs.
type Claims struct {
	Issuer, Repository string
	Workflow           string // without its ref
	Ref                string
}

// Certified is a certificate with its key.
type Certified struct {
	Cert *x509.Certificate
	Key  *ecdsa.PrivateKey
}

// Certify makes a certificate as Fulcio does for a workflow, good for ten minutes
// from a time on.
func (a Authority) Certify(c Claims, from time.Time) (Certified, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Certified{}, err
	}
	var extensions []pkix.Extension
	for _, e := range []struct {
		n    int
		text string
	}{{8, c.Issuer}, {12, c.Repository}, {14, c.Ref}, {18, c.Workflow + "@" + c.Ref}} {
		value, merr := asn1.MarshalWithParams(e.text, "utf8")
		err = errors.Join(err, merr)
		extensions = append(extensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, e.n}, Value: value})
	}
	san, perr := url.Parse(c.Workflow + "@" + c.Ref)
	if err = errors.Join(err, perr); err != nil {
		return Certified{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(7), NotBefore: from, NotAfter: from.Add(10 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		URIs: []*url.URL{san}, ExtraExtensions: extensions,
	}, a.issuing, key.Public(), a.key)
	if err != nil {
		return Certified{}, err
	}
	cert, err := x509.ParseCertificate(der)
	return Certified{cert, key}, err
}

// Object is a bundle as JSON, to be spoilt.
type Object = map[string]any

// Bundle signs the payload of an in-toto envelope.
func (a Authority) Bundle(c Certified, payload []byte) (Object, error) {
	sum := sha256.Sum256(attest.PAE(attest.PayloadType, payload))
	sig, err := c.Key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	stamp, err := a.Times.TimestampResponse(sig)
	return Object{
		"mediaType": attest.BundleType,
		"verificationMaterial": Object{
			"certificate":               Object{"rawBytes": c.Cert.Raw},
			"timestampVerificationData": Object{"rfc3161Timestamps": []any{Object{"signedTimestamp": stamp}}},
		},
		"dsseEnvelope": Object{"payload": payload, "payloadType": attest.PayloadType, "signatures": []any{Object{"sig": sig}}},
	}, err
}
