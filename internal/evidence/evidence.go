// Package evidence answers whether a piece of evidence holds, from its bytes
// alone: offline, without a store and without believing who handed it over.
// Begin with [Read], which takes a file of any form stemma knows, and
// [Verifier], which says of each claim in it what was checked, by which key,
// and at which tier. [Write] makes such a file.
//
// There is no answer to the whole: a signature, a place in a log and a
// derivation that comes out the same are three claims, and each has its own
// [Result]. Evidence that does not hold is a result with reasons, never an error.
package evidence

import (
	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/sign"
)

// Piece is one signed envelope and what came with it.
type Piece struct {
	Name string // where in the file it was
	// Envelope is the DSSE envelope, or the Sigstore bundle of one, as stored: these
	// bytes are what the log has the digest of.
	Envelope []byte
	// Proof is a proof of inclusion in a log (c2sp.org/tlog-proof@v1), or nil.
	Proof []byte
}

// Result says how a claim came out.
type Result string

// The results. What could not be checked is unknown, and never holds.
const (
	Holds   Result = "holds"
	Fails   Result = "fails"
	Unknown Result = "unknown"
)

// Claim is one thing that a piece of evidence asks to be believed.
type Claim struct {
	// Claim names it: form, predicate, signature, subject, inclusion,
	// checkpoint, derivation.
	Claim  string `json:"claim"`
	Result Result `json:"result"`
	// By is the key, identity or log that vouches for it; "" where the claim
	// needs none or nobody does.
	By string `json:"by,omitempty"`
	// Tier is what a trusted signature is worth.
	Tier stemma.Tier `json:"tier,omitempty"`
	// Says tells in words what was checked.
	Says    string   `json:"says"`
	Reasons []string `json:"reasons,omitempty"`
	// Signature has the details of a signature.
	Signature *sign.SignatureVerdict `json:"signature,omitempty"`
}

// Verdict is what is known of one piece.
type Verdict struct {
	Name          string           `json:"name,omitempty"`
	Envelope      string           `json:"envelope"` // hex SHA-256 of its bytes
	PredicateType string           `json:"predicate_type,omitempty"`
	Word          string           `json:"about,omitempty"` // the glossary's word for what it is about
	Subjects      []stemma.Subject `json:"subjects"`
	Metadata      *attest.Metadata `json:"metadata"` // null for a statement that stemma did not make
	// NotUnderstood are the fields that are signed and that this version does
	// not know, as JSON pointers.
	NotUnderstood []string `json:"not_understood"`
	// Tier is the best of the trusted signatures; "" where none is.
	Tier   stemma.Tier `json:"tier,omitempty"`
	Claims []Claim     `json:"claims"`
}

// Fails reports whether a claim of the verdict is false.
func (v Verdict) Fails() bool {
	for _, c := range v.Claims {
		if c.Result == Fails {
			return true
		}
	}
	return false
}

// Proven reports whether nothing fails and somebody trusted has signed.
func (v Verdict) Proven() bool { return !v.Fails() && v.Tier != "" }
