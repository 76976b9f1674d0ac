package evidence_test

import (
	"testing"

	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/evidence"
	"github.com/stemma-dev/stemma/internal/sign"
	"github.com/stemma-dev/stemma/internal/tlog"
)

// BenchmarkVerify compares verifying a statement with the bare signature check,
// which is the floor, on one core.
func BenchmarkVerify(b *testing.B) {
	key := newKey(b)
	trusted, err := key.Trusted("bench")
	if err != nil {
		b.Fatal(err)
	}
	envelope := seal(b, statement(b, row()), key)
	proof, vkey := logged(b, envelope)
	logs, err := tlog.NewKeys(vkey, nil, 0)
	if err != nil {
		b.Fatal(err)
	}
	e, err := attest.Decode(envelope)
	if err != nil {
		b.Fatal(err)
	}
	pae := e.PAE()
	b.Run("floor: Ed25519 alone", func(b *testing.B) {
		for b.Loop() {
			if !sign.Good(key.Public(), pae, e.Signatures[0].Sig) {
				b.Fatal("not good")
			}
		}
	})
	trust := sign.Trust{Keys: []sign.Key{trusted}}
	b.Run("envelope, statement, signature and inclusion proof", func(b *testing.B) {
		p, err := tlog.ParseProof(proof)
		if err != nil {
			b.Fatal(err)
		}
		// The head is checked once, as for many statements under one checkpoint.
		head, err := logs.Open(p.Checkpoint)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			e, err := attest.Decode(envelope)
			if err != nil {
				b.Fatal(err)
			}
			s, err := attest.DecodeStatement(e.Payload)
			if err != nil {
				b.Fatal(err)
			}
			if err := attest.Validate(s); err != nil {
				b.Fatal(err)
			}
			p, err := tlog.ParseProof(proof)
			if err != nil {
				b.Fatal(err)
			}
			if err := tlog.VerifyInclusion(head.Head, p.Index, tlog.DigestOf(envelope), p.Hashes); err != nil {
				b.Fatal(err)
			}
			if !trust.Verify(b.Context(), e, s).OK() {
				b.Fatal("not trusted")
			}
		}
	})
	b.Run("every claim, checkpoint signature too", func(b *testing.B) {
		v := evidence.Verifier{Trust: trust, Logs: []tlog.Keys{logs}}
		for b.Loop() {
			verdict, err := v.Verify(b.Context(), evidence.Piece{Envelope: envelope, Proof: proof})
			if err != nil || !verdict.Proven() {
				b.Fatal(verdict, err)
			}
		}
	})
}
