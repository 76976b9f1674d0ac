// Package sign answers by whose key a piece of evidence is signed, and how
// much that is worth. Begin with [Signer], which signs, and [Trust], which says
// of an envelope what was checked, by which key, at which tier.
//
// Keys live in the children: files (filekey), key services (kms), and
// certificates of an identity provider (sigstore). Evidence that does not hold
// is a [Verdict] with its reasons, never an error.
package sign

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
)

// Signer signs envelopes with one key. It may be used at once.
type Signer interface {
	// KeyID names the key: see [attest.KeyID].
	KeyID() string
	// Sign signs the pre-authentication encoding of an envelope ([attest.PAE]):
	// with Ed25519 as it is, with ECDSA its SHA-256, the signature in ASN.1.
	// The error is ErrUnavailable where a key service does not answer.
	Sign(ctx context.Context, pae []byte) ([]byte, error)
	// Public is the key that verifies.
	Public() crypto.PublicKey
}

// Seal makes the envelope of a payload, signed by each signer in turn.
func Seal(ctx context.Context, payloadType string, payload []byte, signers ...Signer) (attest.Envelope, error) {
	e := attest.Envelope{PayloadType: payloadType, Payload: payload}
	pae := e.PAE()
	for _, s := range signers {
		sig, err := s.Sign(ctx, pae)
		if err != nil {
			return attest.Envelope{}, fmt.Errorf("sign with key %s: %w", s.KeyID(), err)
		}
		e.Signatures = append(e.Signatures, attest.Signature{KeyID: s.KeyID(), Sig: sig})
	}
	if len(e.Signatures) == 0 {
		return attest.Envelope{}, fmt.Errorf("sign: no key: %w", stemma.ErrInvalid)
	}
	return e, nil
}

// SealStatement makes the signed envelope of a statement.
func SealStatement(ctx context.Context, s stemma.Statement, signers ...Signer) (attest.Envelope, error) {
	payload, err := attest.EncodeStatement(s)
	if err != nil {
		return attest.Envelope{}, err
	}
	return Seal(ctx, attest.PayloadType, payload, signers...)
}

// Good reports whether sig is key's signature of these bytes: Ed25519, or
// ECDSA P-256 over their SHA-256. A key of another kind has no good signature.
func Good(key crypto.PublicKey, pae, sig []byte) bool {
	switch k := key.(type) {
	case ed25519.PublicKey:
		return len(k) == ed25519.PublicKeySize && ed25519.Verify(k, pae, sig)
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(pae)
		return k.Curve != nil && k.Curve.Params().Name == "P-256" && ecdsa.VerifyASN1(k, sum[:], sig)
	}
	return false
}
