// Package kms answers how to sign with a key that never leaves a key service:
// it opens the key that a URI names, by the interfaces of sigstore. Begin with
// [Open].
//
//	awskms://[ENDPOINT]/KEY        AWS KMS, and what speaks its protocol
//	hashivault://KEY               the transit engine of Vault and OpenBao
//	NAME://...                     whatever the program sigstore-kms-NAME on the
//	                               path speaks to (sigstore's plugin protocol)
//
// The key must be ECDSA P-256 or Ed25519. Credentials come from where the
// service's own tools take them; none is in the URI.
package kms

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"strings"

	sigstorekms "github.com/sigstore/sigstore/pkg/signature/kms"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/aws"        // awskms://
	_ "github.com/sigstore/sigstore/pkg/signature/kms/hashivault" // hashivault://
	"github.com/sigstore/sigstore/pkg/signature/options"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/sign"
)

// Key signs by a key service. It may be used at once.
type Key struct {
	id      string
	uri     string
	public  crypto.PublicKey
	service sigstorekms.SignerVerifier
}

var _ sign.Signer = (*Key)(nil)

// Open asks the service for the public key that the URI names. The error is
// ErrInvalid for a URI that no service has and a key that is of another kind,
// and ErrUnavailable where the service does not answer or refuses.
func Open(ctx context.Context, uri string) (*Key, error) {
	if name, _, ok := strings.Cut(uri, "://"); !ok || name == "" {
		return nil, fmt.Errorf("key %q: want the URI of a key service, such as awskms:///alias/stemma: %w", uri, stemma.ErrInvalid)
	}
	service, err := sigstorekms.Get(ctx, uri, crypto.SHA256)
	var unknown *sigstorekms.ProviderNotFoundError
	switch {
	case errors.As(err, &unknown):
		return nil, fmt.Errorf("key %s: no such key service; known are awskms and hashivault, and programs sigstore-kms-* on the path: %w", uri, stemma.ErrInvalid)
	case err != nil:
		return nil, fmt.Errorf("key %s: %v: %w", uri, err, stemma.ErrUnavailable)
	}
	public, err := service.PublicKey(options.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("public key of %s: %v: %w", uri, err, stemma.ErrUnavailable)
	}
	id, err := attest.KeyID(public)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", uri, err)
	}
	return &Key{id: id, uri: uri, public: public, service: service}, nil
}

// KeyID names the key.
func (k *Key) KeyID() string { return k.id }

// Public is the key that verifies.
func (k *Key) Public() crypto.PublicKey { return k.public }

// Sign asks the service for a signature, and checks it before it gives it away:
// a service that signs with another key, or something else, is ErrUnavailable,
// as is one that does not answer.
func (k *Key) Sign(ctx context.Context, pae []byte) ([]byte, error) {
	sig, err := k.service.SignMessage(bytes.NewReader(pae), options.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %v: %w", k.uri, err, stemma.ErrUnavailable)
	}
	if !sign.Good(k.public, pae, sig) {
		return nil, fmt.Errorf("sign with %s: the signature is not one by key %s: %w", k.uri, k.id, stemma.ErrUnavailable)
	}
	return sig, nil
}
