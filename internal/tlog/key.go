package tlog

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/mod/sumdb/note"

	"github.com/stemma-dev/stemma"
)

// GenerateKey makes an Ed25519 key for a log. signer is the secret, in the form
// "PRIVATE+KEY+origin+hash+key"; verifier is what everybody may know, in the form
// that [NewKeys] reads (C2SP signed-note). The error is ErrInvalid for an origin
// that cannot be one: empty, or with a space, a plus or a newline.
func GenerateKey(origin string) (signer, verifier string, err error) {
	if origin == "" || strings.ContainsFunc(origin, func(r rune) bool { return r == '+' || unicode.IsSpace(r) }) {
		return "", "", fmt.Errorf("origin %q of a log: %w", clip(origin), stemma.ErrInvalid)
	}
	return note.GenerateKey(rand.Reader, origin)
}

// VerifierKey gives the public key of a signer that [GenerateKey] made. The
// error is ErrInvalid.
func VerifierKey(signer string) (string, error) {
	s, err := note.NewSigner(strings.TrimSpace(signer))
	if err != nil {
		return "", fmt.Errorf("key of a log: %v: %w", err, stemma.ErrInvalid)
	}
	// "PRIVATE+KEY+name+hash+key": the key is the algorithm and the seed.
	parts := strings.SplitN(strings.TrimSpace(signer), "+", 5)
	seed, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil || len(seed) != 1+ed25519.SeedSize {
		return "", fmt.Errorf("key of a log: no Ed25519 key: %w", stemma.ErrInvalid)
	}
	public, ok := ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return "", fmt.Errorf("key of a log: no Ed25519 key: %w", stemma.ErrInvalid)
	}
	return note.NewEd25519VerifierKey(s.Name(), public)
}
