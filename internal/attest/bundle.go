package attest

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// BundleType is the media type of a Sigstore bundle (protobuf-specs,
// sigstore_bundle.proto, version 0.3).
const BundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// bundleFields are what is read of a Sigstore bundle. Its times and log entries
// are for who verifies it.
type bundleFields struct {
	mediaType string
	envelope  bool
	material  bool
	message   bool
}

// is reports whether the document is a bundle, in one of the two ways in which
// versions have written the media type.
func (f bundleFields) is() bool {
	return f.envelope || strings.HasPrefix(f.mediaType, "application/vnd.dev.sigstore.bundle")
}

// check refuses what is half a bundle, or an envelope as well: two readers could
// see two statements.
func (f bundleFields) check(seen seenFields, b []byte) error {
	switch {
	case seen.any():
		return &DecodeError{Reason: "both an envelope and a bundle"}
	case f.message:
		return &DecodeError{Path: "/messageSignature", Offset: offsetOf(b, "/messageSignature"), Reason: "the bundle signs a message, not a statement"}
	case !f.envelope:
		return missing("", "dsseEnvelope", len(b))
	case !strings.HasPrefix(f.mediaType, "application/vnd.dev.sigstore.bundle"):
		return &DecodeError{Path: "/mediaType", Offset: offsetOf(b, "/mediaType"), Reason: fmt.Sprintf("%q is not that of a Sigstore bundle", f.mediaType)}
	case !f.material:
		return missing("", "verificationMaterial", len(b))
	}
	return nil
}

// bundleField reads a field that a bundle has, and reports whether it did. In an
// envelope by itself they mean nothing.
func (s *scan) bundleField(name string, f *bundleFields, e *Envelope) (bool, error) {
	kind := s.dec.PeekKind()
	switch {
	case name == "mediaType" && kind == jsontext.KindString:
		text, err := s.text()
		f.mediaType = text
		return true, err
	case name == "messageSignature":
		f.message = true
		return true, s.skip()
	case name == "verificationMaterial" && kind == jsontext.KindBeginObject:
		f.material = true
		return true, s.object(func(name string) error { return s.material(name, e) })
	case name == "dsseEnvelope":
		f.envelope = true
		var seen seenFields
		err := s.object(func(name string) error { return s.envelopeField(Limits{Signatures: 1}, name, &seen, e) })
		if err == nil {
			err = seen.check("/dsseEnvelope", *e, len(s.src))
		}
		return true, err
	}
	return false, nil
}

// material reads the certificate of who signed: the only one, or the first of a
// chain.
func (s *scan) material(name string, e *Envelope) error {
	certificate := func(name string) error {
		if name != "rawBytes" || e.Certificate != nil {
			return s.skip()
		}
		raw, err := s.base64()
		if err == nil && len(raw) == 0 {
			err = s.fault("empty certificate")
		}
		e.Certificate = raw
		return err
	}
	switch name {
	case "certificate":
		return s.object(certificate)
	case "x509CertificateChain":
		return s.object(func(name string) error {
			if name != "certificates" {
				return s.skip()
			}
			return s.array(func() error { return s.object(certificate) })
		})
	}
	return s.skip()
}
