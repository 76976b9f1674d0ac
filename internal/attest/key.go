package attest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"

	"github.com/stemma-dev/stemma"
)

// PublicKey is a key that verifies signatures, for a time.
type PublicKey struct {
	ID    string  `json:"keyid"`     // see [KeyID]
	PEM   string  `json:"publicKey"` // PKIX, PEM (RFC 7468)
	From  string  `json:"notBefore"`
	Until *string `json:"notAfter"` // null: until revoked
}

// KeyRotation says that a key takes the place of another from a time on. Its
// subject is the new key, by [KeyID]. It is signed by both keys; the first
// signature is the old key's.
type KeyRotation struct {
	Metadata
	Old PublicKey `json:"old"`
	New PublicKey `json:"new"`
}

// KeyRevocation says that a key is not to be believed any more. Its subject is
// the key.
type KeyRevocation struct {
	Metadata
	KeyID  string `json:"keyid"`
	Reason string `json:"reason"` // lost, compromised, replaced, retired
	// From is when the key stopped to be good: signatures that a log had before
	// then stay good. For a compromised key it is when the thief could first
	// have used it.
	From string `json:"notAfter"`
}

// KeyID names a public key: hex SHA-256 of its PKIX form, as sigstore and
// cosign name keys. The error is ErrInvalid for a key that is neither Ed25519
// nor ECDSA P-256.
func KeyID(key crypto.PublicKey) (string, error) {
	der, err := marshalKey(key)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

// EncodeKey gives a public key as PEM. The error is that of [KeyID].
func EncodeKey(key crypto.PublicKey) (string, error) {
	der, err := marshalKey(key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}

// DecodeKey reads what [EncodeKey] gives. The error is ErrInvalid.
func DecodeKey(text string) (crypto.PublicKey, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "PUBLIC KEY" || len(rest) > 0 {
		return nil, fmt.Errorf("public key: want one PEM block PUBLIC KEY: %w", stemma.ErrInvalid)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("public key: %v: %w", err, stemma.ErrInvalid)
	}
	if _, err := marshalKey(key); err != nil {
		return nil, err
	}
	return key, nil
}

func marshalKey(key crypto.PublicKey) ([]byte, error) {
	switch k := key.(type) {
	case ed25519.PublicKey:
	case *ecdsa.PublicKey:
		if k.Curve == nil || k.Curve.Params().Name != "P-256" {
			return nil, fmt.Errorf("public key: ECDSA on another curve than P-256: %w", stemma.ErrInvalid)
		}
	default:
		return nil, fmt.Errorf("public key of type %T: want Ed25519 or ECDSA P-256: %w", key, stemma.ErrInvalid)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("public key: %v: %w", err, stemma.ErrInvalid)
	}
	return der, nil
}

// KeySubject is the subject of a statement about a key.
func KeySubject(keyID string) stemma.Subject {
	return stemma.Subject{URI: "stemma:key:" + keyID, Digest: map[string]string{"sha256": keyID}}
}

func (k PublicKey) check(c *check, path string) {
	path = c.quiet(path)
	c.sha256(path+"/keyid", k.ID)
	key, err := DecodeKey(k.PEM)
	c.need(err == nil, path+"/publicKey", "want an Ed25519 or ECDSA P-256 key as PEM")
	if err == nil {
		id, err := KeyID(key)
		c.need(err == nil && id == k.ID, path+"/keyid", "not the id of this key")
	}
	c.time(path+"/notBefore", k.From)
	c.timeOf(path+"/notAfter", k.Until)
}

func (k KeyRotation) check(c *check) {
	k.Metadata.check(c, "")
	k.Old.check(c, "/old")
	k.New.check(c, "/new")
	c.need(k.Old.Until != nil, "/old/notAfter", "the old key ends")
	c.need(k.Old.ID != k.New.ID, "/new/keyid", "the same key")
}

func (k KeyRevocation) check(c *check) {
	k.Metadata.check(c, "")
	c.sha256("/keyid", k.KeyID)
	c.oneOf("/reason", k.Reason, "lost", "compromised", "replaced", "retired")
	c.time("/notAfter", k.From)
}
