package evidence

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/sign"
	"github.com/stemma-dev/stemma/internal/tlog"
)

// Verifier verifies with what its user believes. The zero Verifier believes
// nobody: it checks forms alone. Its methods may be called at once.
type Verifier struct {
	Trust    sign.Trust
	Registry attest.Registry
	// Logs are the keys of the logs that are known.
	Logs []tlog.Keys
	// Subjects says whether the things that a statement is about are here; nil
	// where there is nowhere to look.
	Subjects func(ctx context.Context, s stemma.Statement) (Result, string, error)
	// Derive computes an attribution again; nil where there is no repository. The
	// error is ErrNotFound where git has not got what it was computed from.
	Derive func(ctx context.Context, a attest.Attribution) (stemma.Attribution, error)
}

// Verify checks every claim of a piece. The error is for what could not be
// looked at, such as a repository that can not be read; evidence that is false,
// damaged or foreign is a verdict.
func (v Verifier) Verify(ctx context.Context, p Piece) (Verdict, error) {
	out := Verdict{Name: p.Name, Envelope: attest.Digest(p.Envelope), Subjects: []stemma.Subject{}, NotUnderstood: []string{}}
	e, err := attest.FileLimits.Decode(p.Envelope)
	if err != nil {
		out.add(Claim{Claim: "form", Result: Fails, Says: "it is a DSSE envelope, or a Sigstore bundle of one", Reasons: []string{text(err)}})
		return out, nil
	}
	s, ok := out.statement(e, v.Registry)
	when := out.log(p, v.Logs)
	out.signatures(ctx, v, e, s, when)
	if !ok {
		return out, nil
	}
	if err := out.subjects(ctx, v, s); err != nil {
		return out, err
	}
	return out, out.derivation(ctx, v, s)
}

func (out *Verdict) add(c Claim) { out.Claims = append(out.Claims, c) }

// statement reads the payload and checks its form and its predicate.
func (out *Verdict) statement(e attest.Envelope, known attest.Registry) (stemma.Statement, bool) {
	form := Claim{Claim: "form", Result: Holds, Says: "it is a DSSE envelope with an in-toto Statement v1, in strict JSON"}
	if e.PayloadType != attest.PayloadType {
		form.Result, form.Reasons = Unknown, []string{fmt.Sprintf("the payload is %q, which is not read", e.PayloadType)}
		out.add(form)
		return stemma.Statement{}, false
	}
	s, err := attest.FileLimits.DecodeStatement(e.Payload)
	if err != nil {
		form.Result, form.Reasons = Fails, []string{text(err)}
		out.add(form)
		return s, false
	}
	out.add(form)
	out.PredicateType, out.Subjects = s.PredicateType, s.Subject
	predicate := Claim{Claim: "predicate", Result: Holds, Says: "the predicate is what its type asks for"}
	p, ok := known.Find(s.PredicateType)
	if !ok {
		predicate.Result, predicate.Reasons = Unknown, []string{"unknown predicate type: what it says was not looked at"}
		out.add(predicate)
		return s, true
	}
	out.Word = p.Word
	if err := known.ValidateIn(e.Payload, s); err != nil {
		predicate.Result, predicate.Reasons = Fails, []string{text(err)}
		out.add(predicate)
		return s, true
	}
	out.NotUnderstood = append(out.NotUnderstood, p.Unknown(s.Predicate)...)
	if m, err := attest.MetadataOf(s); err == nil {
		out.Metadata = &m
	}
	out.add(predicate)
	return s, true
}

// log checks the place in a log. It gives the time at which a witness saw that
// the log had it, where one is believed that did.
func (out *Verdict) log(p Piece, logs []tlog.Keys) sign.When {
	if p.Proof == nil {
		return sign.When{}
	}
	inclusion := Claim{Claim: "inclusion", Says: "the bytes of the envelope are an entry of the log"}
	checkpoint := Claim{Claim: "checkpoint", Says: "the head of the log that the proof leads to is signed by the log"}
	proof, err := tlog.ParseProof(p.Proof)
	if err != nil {
		inclusion.Result, inclusion.Reasons = Fails, []string{text(err)}
		out.add(inclusion)
		return sign.When{}
	}
	head, err := tlog.ParseHead(proof.Checkpoint)
	if err != nil {
		inclusion.Result, inclusion.Reasons = Fails, []string{text(err)}
		out.add(inclusion)
		return sign.When{}
	}
	if err := tlog.VerifyInclusion(head, proof.Index, tlog.DigestOf(p.Envelope), proof.Hashes); err != nil {
		inclusion.Result, inclusion.Reasons = Fails, []string{text(err)}
	} else {
		inclusion.Result, inclusion.By = Holds, fmt.Sprintf("%s, entry %d of %d", head.Origin, proof.Index, head.Size)
	}
	out.add(inclusion)
	var seen sign.When
	checkpoint.Result = Unknown
	checkpoint.Reasons = []string{fmt.Sprintf("no key of the log %q is known", head.Origin)}
	for _, keys := range logs {
		if keys.Origin() != head.Origin {
			continue
		}
		c, err := keys.Open(proof.Checkpoint)
		if err != nil {
			checkpoint.Result, checkpoint.Reasons = Fails, []string{text(err)}
			continue
		}
		checkpoint.Result, checkpoint.By, checkpoint.Reasons = Holds, head.Origin, nil
		if len(c.Witnesses) == 0 {
			checkpoint.Reasons = []string{"no witness that is known here cosigned it: the log alone says that it shows everybody the same"}
		} else {
			var names []string
			for _, w := range c.Witnesses {
				names = append(names, fmt.Sprintf("%s on %s", w.Witness, w.Time.Format(time.RFC3339)))
			}
			checkpoint.By += ", witnessed by " + strings.Join(names, ", ")
			if first := c.Seen(); inclusion.Result == Holds {
				seen = sign.When{Time: first.Time, By: "witness " + first.Witness}
			}
		}
		break
	}
	out.add(checkpoint)
	return seen
}

// signatures checks each signature by the keys and identities that are trusted.
func (out *Verdict) signatures(ctx context.Context, v Verifier, e attest.Envelope, s stemma.Statement, when sign.When) {
	checked := v.Trust.VerifyAt(ctx, e, s, when)
	out.Tier = checked.Tier
	for _, one := range checked.Signatures {
		out.add(signature(one))
	}
}

func signature(one sign.SignatureVerdict) Claim {
	c := Claim{Claim: "signature", Result: Holds, Tier: one.Tier, Says: one.Proves, Reasons: one.Reasons, Signature: &one}
	switch {
	case !one.Checked:
		c.Result, c.Says = Unknown, "somebody signed these bytes"
	case !one.Good:
		c.Result, c.Says = Fails, "somebody signed these bytes"
	case !one.Trusted:
		c.Result, c.Says = Fails, "somebody who may say this signed these bytes"
	}
	switch {
	case one.Identity != "":
		c.By = fmt.Sprintf("%s, vouched for by %s", one.Identity, one.Issuer)
	case one.KeyID != "":
		c.By = "key " + Short(one.KeyID)
		if one.Name != "" {
			c.By += " (" + one.Name + ", " + one.Pinned + ")"
		}
	}
	return c
}

// Short gives the beginning of a digest or key id, for people to read.
func Short(hexID string) string { return hexID[:min(16, len(hexID))] }

// subjects says whether what the statement is about is here.
func (out *Verdict) subjects(ctx context.Context, v Verifier, s stemma.Statement) error {
	c := Claim{Claim: "subject", Result: Unknown, Says: "what the statement is about is here, with this digest"}
	if v.Subjects == nil {
		c.Reasons = []string{"nothing was given to compare it with"}
		out.add(c)
		return nil
	}
	result, reason, err := v.Subjects(ctx, s)
	if err != nil {
		return err
	}
	c.Result = result
	if reason != "" {
		c.Reasons = []string{reason}
	}
	out.add(c)
	return nil
}

// derivation computes an attribution again; one whose predicate fails says
// nothing that could be computed.
func (out *Verdict) derivation(ctx context.Context, v Verifier, s stemma.Statement) error {
	if s.PredicateType != attest.TypeAttribution || v.Registry.Validate(s) != nil {
		return nil
	}
	a, err := attest.As[attest.Attribution](s)
	if err != nil {
		return err // Validate has read it
	}
	c := Claim{Claim: "derivation", Result: Unknown, Says: "the attribution is what the rules make of the repository"}
	if v.Derive == nil {
		c.Reasons = []string{"no repository to compute it from"}
		out.add(c)
		return nil
	}
	row, err := v.Derive(ctx, a)
	switch {
	case errors.Is(err, stemma.ErrNotFound), errors.Is(err, stemma.ErrInvalid):
		c.Reasons = []string{"inputs gone: " + text(err)}
	case err != nil:
		return fmt.Errorf("compute the attribution of %s again: %w", a.Commit, err)
	default:
		c.Result, c.Reasons = compare(a, row)
	}
	if c.Result == Holds {
		c.By = fmt.Sprintf("git objects of %s, rules of version %d", Short(a.Commit), a.Algorithm.Version)
	}
	out.add(c)
	return nil
}

// text is an error without its kind, which is for programs.
func text(err error) string {
	s := err.Error()
	for _, kind := range []error{stemma.ErrInvalid, stemma.ErrDenied, stemma.ErrNotFound, stemma.ErrConflict, stemma.ErrUnavailable} {
		s = strings.TrimSuffix(s, ": "+kind.Error())
	}
	return s
}

// FileSubject gives a check of whether a statement is about these bytes.
func FileSubject(sha256 [32]byte) func(context.Context, stemma.Statement) (Result, string, error) {
	want := hex.EncodeToString(sha256[:])
	return func(_ context.Context, s stemma.Statement) (Result, string, error) {
		some := false
		for _, sub := range s.Subject {
			if got, ok := sub.Digest["sha256"]; ok {
				some = true
				if got == want {
					return Holds, "", nil
				}
			}
		}
		if !some {
			return Unknown, "no subject has a SHA-256 to compare with", nil
		}
		return Fails, "the file has SHA-256 " + want + ", and no subject has", nil
	}
}
