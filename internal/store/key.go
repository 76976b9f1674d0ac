package store

import (
	"bytes"
	"crypto/sha256"
	"slices"
)

// KeyDigest is what stands for a key of a scope in a backend, which looks keys
// up and never shows them: half of a SHA-256, enough that no two are the same.
type KeyDigest [16]byte

// DigestKey gives the digest of a key.
func DigestKey(key string) KeyDigest {
	sum := sha256.Sum256([]byte(key))
	return KeyDigest(sum[:])
}

// DigestKeys gives the digests of keys, sorted and each once.
func DigestKeys(keys []string) []KeyDigest {
	digests := make([]KeyDigest, len(keys))
	for i, key := range keys {
		digests[i] = DigestKey(key)
	}
	slices.SortFunc(digests, func(a, b KeyDigest) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(digests)
}
