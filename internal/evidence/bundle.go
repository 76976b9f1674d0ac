package evidence

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
)

// Bundle gives an envelope in the form that stock tools take: a Sigstore bundle
// v0.3 that names the key and holds no certificate; a bundle is what it was. The error is ErrInvalid for
// an envelope with more than one signature, which a bundle can not have.
func Bundle(envelope []byte) ([]byte, error) {
	e, err := attest.FileLimits.Decode(envelope)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	if e.Bundle != nil {
		return e.Bundle, nil
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
	}{MediaType: attest.BundleType}
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
