package evidence

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
)

// BundleType is the media type of a Sigstore bundle (protobuf-specs,
// sigstore_bundle.proto, version 0.3).
const BundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// isBundle reports whether a media type is that of a Sigstore bundle, in the
// two ways in which versions have written it.
func isBundle(mediaType string) bool {
	return strings.HasPrefix(mediaType, "application/vnd.dev.sigstore.bundle")
}

// Bundle gives an envelope in the form that stock tools take: a Sigstore bundle
// v0.3 that names the key and holds no certificate. The error is ErrInvalid for
// an envelope with more than one signature, which a bundle can not have.
func Bundle(envelope []byte) ([]byte, error) {
	e, err := attest.FileLimits.Decode(envelope)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	if len(e.Signatures) != 1 {
		return nil, fmt.Errorf("bundle: %d signatures, want exactly one: %w", len(e.Signatures), stemma.ErrInvalid)
	}
	// Without the key's id: libraries that name keys in another way pass over a
	// signature whose id is not theirs. The hint says which key it is.
	type signature struct {
		Sig []byte `json:"sig"`
	}
	wire := struct {
		MediaType string `json:"mediaType"`
		Material  struct {
			PublicKey struct {
				Hint string `json:"hint"`
			} `json:"publicKey"`
		} `json:"verificationMaterial"`
		Envelope struct {
			Payload     []byte      `json:"payload"`
			PayloadType string      `json:"payloadType"`
			Signatures  []signature `json:"signatures"`
		} `json:"dsseEnvelope"`
	}{MediaType: BundleType}
	wire.Material.PublicKey.Hint = hint(e.Signatures[0].KeyID)
	wire.Envelope.Payload, wire.Envelope.PayloadType = e.Payload, e.PayloadType
	wire.Envelope.Signatures = []signature{{e.Signatures[0].Sig}}
	return json.Marshal(wire)
}

// hint is the SHA-256 of the key in base64, as cosign writes it.
func hint(keyID string) string {
	b, err := hex.DecodeString(keyID)
	if err != nil {
		return keyID
	}
	return base64.StdEncoding.EncodeToString(b)
}

// bundle is what is read of a Sigstore bundle here; its certificate, times and
// log entries are for who verifies it.
type bundle struct {
	MediaType string          `json:"mediaType"`
	Envelope  json.RawMessage `json:"dsseEnvelope"`
	Message   json.RawMessage `json:"messageSignature"`
	Material  struct {
		Certificate json.RawMessage `json:"certificate"`
		Chain       json.RawMessage `json:"x509CertificateChain"`
	} `json:"verificationMaterial"`
}

// openBundle takes the envelope out of a bundle.
func openBundle(b []byte) ([]byte, error) {
	if err := attest.FileLimits.Strict(b); err != nil {
		return nil, err
	}
	var read bundle
	// Names count with their case: otherwise two readers could see two envelopes.
	if err := jsonv2.Unmarshal(b, &read); err != nil {
		return nil, fmt.Errorf("sigstore bundle: %v: %w", err, stemma.ErrInvalid)
	}
	switch {
	case read.Message != nil:
		return nil, fmt.Errorf("sigstore bundle: it signs a message, not a statement: %w", stemma.ErrInvalid)
	case read.Envelope == nil:
		return nil, fmt.Errorf("sigstore bundle: no envelope: %w", stemma.ErrInvalid)
	}
	return bytes.TrimSpace(read.Envelope), nil
}

// certified reports whether a bundle has a certificate.
func certified(b []byte) bool {
	var read bundle
	return jsonv2.Unmarshal(b, &read) == nil && (read.Material.Certificate != nil || read.Material.Chain != nil)
}
