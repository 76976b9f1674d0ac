// Package attest answers what a piece of evidence says, byte for byte: it is
// the form of signed statements. Begin with [Decode], which reads a DSSE
// envelope, and [DecodeStatement], which reads the in-toto Statement in it;
// [Validate] then checks the predicate by its type.
//
// Foreign bytes are hostile: every decoder has limits, refuses duplicate keys,
// invalid UTF-8 and deep nesting, and says where it stopped ([DecodeError]).
// What is not understood is kept, because the payload is kept exactly as it
// was signed. The package signs nothing and trusts nobody: package sign does.
package attest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// PayloadType is the payload type of an envelope that holds an in-toto
// Statement (in-toto Attestation Framework v1, "Envelope").
const PayloadType = "application/vnd.in-toto+json"

// Envelope is a DSSE envelope v1.0. Payload is what was signed, exactly.
type Envelope struct {
	PayloadType string
	Payload     []byte
	Signatures  []Signature
	// Bundle is the whole of the Sigstore bundle that the envelope was in, and
	// Certificate the one in it whose key signed, in DER; nil where there is none.
	// [Envelope.Encode] leaves both out.
	Bundle      []byte
	Certificate []byte
}

// Signature is one signature over [PAE] of the envelope. The key id is a hint
// that nobody has signed.
type Signature struct {
	KeyID string
	Sig   []byte
}

// PAE is the pre-authentication encoding: what a signature of an envelope is
// over (DSSE v1.0.0, protocol.md).
func PAE(payloadType string, payload []byte) []byte {
	b := make([]byte, 0, len(payload)+len(payloadType)+40)
	b = append(b, "DSSEv1 "...)
	b = strconv.AppendInt(b, int64(len(payloadType)), 10)
	b = append(b, ' ')
	b = append(b, payloadType...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(payload)), 10)
	b = append(b, ' ')
	return append(b, payload...)
}

// PAE is what the envelope's signatures are over.
func (e Envelope) PAE() []byte { return PAE(e.PayloadType, e.Payload) }

// Encode gives the envelope as JSON on one line. The same envelope gives the
// same bytes.
func (e Envelope) Encode() []byte {
	type signature struct {
		KeyID string `json:"keyid,omitempty"`
		Sig   []byte `json:"sig"`
	}
	wire := struct {
		Payload     []byte      `json:"payload"`
		PayloadType string      `json:"payloadType"`
		Signatures  []signature `json:"signatures"`
	}{Payload: e.Payload, PayloadType: e.PayloadType, Signatures: make([]signature, len(e.Signatures))}
	for i, s := range e.Signatures {
		wire.Signatures[i] = signature(s)
	}
	if wire.Payload == nil {
		wire.Payload = []byte{}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	// Strings and bytes always encode, and a buffer takes everything.
	_ = enc.Encode(wire)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Digest is the hex SHA-256 of the bytes of a stored envelope: its name, and
// the leaf of the log.
func Digest(envelope []byte) string {
	sum := sha256.Sum256(envelope)
	return hex.EncodeToString(sum[:])
}

// Decode reads a DSSE envelope with [DefaultLimits], by itself or in a Sigstore
// bundle. Fields that DSSE does not name are passed over, as its protocol asks.
// The error is a *DecodeError.
func Decode(b []byte) (Envelope, error) { return DefaultLimits.Decode(b) }

// Decode reads a DSSE envelope, by itself or in a Sigstore bundle. The error is a
// *DecodeError.
func (l Limits) Decode(b []byte) (Envelope, error) {
	if len(b) > l.Envelope {
		return Envelope{}, tooLarge("envelope", len(b), l.Envelope)
	}
	s := newScan(b, l)
	var e Envelope
	var seen seenFields
	var bundle bundleFields
	err := s.object(func(name string) error {
		if ok, err := s.bundleField(name, &bundle, &e); ok || err != nil {
			return err
		}
		return s.envelopeField(l, name, &seen, &e)
	})
	if err == nil {
		err = s.end()
	}
	switch {
	case err != nil:
		return Envelope{}, err
	case bundle.is():
		if err := bundle.check(seen, b); err != nil {
			return Envelope{}, err
		}
		e.Bundle = b
		return e, nil
	}
	if err := seen.check("", e, len(b)); err != nil {
		return Envelope{}, err
	}
	e.Certificate = nil
	return e, nil
}

// seenFields are the fields of an envelope that were there.
type seenFields struct{ payload, payloadType, signatures bool }

func (seen seenFields) any() bool { return seen.payload || seen.payloadType || seen.signatures }

// check refuses an envelope without one of its fields.
func (seen seenFields) check(path string, e Envelope, offset int) error {
	switch {
	case !seen.payload:
		return missing(path, "payload", offset)
	case !seen.payloadType || e.PayloadType == "":
		return missing(path, "payloadType", offset)
	case !seen.signatures || len(e.Signatures) == 0:
		return missing(path, "signatures", offset)
	}
	return nil
}

func (s *scan) envelopeField(l Limits, name string, seen *seenFields, e *Envelope) (err error) {
	switch name {
	case "payload":
		seen.payload = true
		e.Payload, err = s.base64()
	case "payloadType":
		seen.payloadType = true
		e.PayloadType, err = s.text()
	case "signatures":
		seen.signatures = true
		err = s.array(func() error {
			if len(e.Signatures) == l.Signatures {
				return s.fault(fmt.Sprintf("more than %d signatures", l.Signatures))
			}
			sig, err := s.signature()
			e.Signatures = append(e.Signatures, sig)
			return err
		})
	default:
		err = s.skip()
	}
	return err
}

func (s *scan) signature() (Signature, error) {
	var sig Signature
	seen := false
	err := s.object(func(name string) error {
		var err error
		switch name {
		case "keyid":
			if s.dec.PeekKind() == jsontext.KindNull {
				return s.skip() // some producers write null for no key id
			}
			sig.KeyID, err = s.text()
		case "sig":
			seen = true
			sig.Sig, err = s.base64()
		default:
			err = s.skip()
		}
		return err
	})
	if err == nil && (!seen || len(sig.Sig) == 0) {
		return sig, s.fault("signature without \"sig\"")
	}
	return sig, err
}

// base64 reads standard or URL-safe base64, both of which DSSE allows.
func (s *scan) base64() ([]byte, error) {
	text, err := s.text()
	if err != nil {
		return nil, err
	}
	enc := base64.StdEncoding
	if strings.ContainsAny(text, "-_") {
		enc = base64.URLEncoding
	}
	if !strings.HasSuffix(text, "=") && len(text)%4 != 0 {
		enc = enc.WithPadding(base64.NoPadding)
	}
	// Go's decoder passes over line ends, which would give one payload many forms.
	if strings.ContainsAny(text, "\r\n") {
		return nil, s.fault("line end within base64")
	}
	b, err := enc.Strict().DecodeString(text)
	if err != nil {
		return nil, s.fault("not base64")
	}
	return b, nil
}
