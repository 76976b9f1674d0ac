package record

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
)

// MaxSubmission is the size in bytes over which a submission is not read: that
// of the largest envelope.
const MaxSubmission = 160 << 10

// ParseSubmission reads a statement, an envelope or a bundle, whichever it is, from JSON.
// It looks no further than needed to tell the two apart: [Recorder.Record] does.
// The error is ErrInvalid, an *attest.DecodeError where it is no JSON.
func ParseSubmission(data []byte) (Submission, error) {
	data = bytes.TrimSpace(data)
	if len(data) > MaxSubmission {
		return Submission{}, fmt.Errorf("%d bytes, over the limit of %d: %w", len(data), MaxSubmission, stemma.ErrInvalid)
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(data, &top); err != nil {
		if at := (attest.Limits{Envelope: MaxSubmission, Depth: attest.DefaultLimits.Depth}).Strict(data); at != nil {
			return Submission{}, at
		}
		return Submission{}, fmt.Errorf("neither a statement nor an envelope: %v: %w", err, stemma.ErrInvalid)
	}
	_, statement := top["_type"]
	_, envelope := top["payloadType"]
	_, bundle := top["dsseEnvelope"]
	switch {
	case statement && !envelope:
		return Submission{Payload: data}, nil
	case (envelope || bundle) && !statement:
		return Submission{Envelope: data}, nil
	}
	return Submission{}, fmt.Errorf("neither a statement (field _type), an envelope (field payloadType) nor a bundle (field dsseEnvelope): %w", stemma.ErrInvalid)
}

// withContent keeps the content of a submission, and adds the commitments to
// its predicate.
func (r *Recorder) withContent(ctx context.Context, p *prepared) error {
	kept, found, err := r.Keep(ctx, p.content)
	if err != nil {
		return err
	}
	p.redacted = found
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(p.statement.Predicate, &fields); err != nil {
		return fmt.Errorf("predicate: %v: %w", err, stemma.ErrInvalid)
	}
	var all []json.RawMessage
	if was := fields["content"]; len(was) > 0 {
		if err := json.Unmarshal(was, &all); err != nil {
			return fmt.Errorf("field content of the predicate: %v: %w", err, stemma.ErrInvalid)
		}
	}
	for _, c := range kept {
		text, err := json.Marshal(c)
		if err != nil {
			return err
		}
		all = append(all, text)
	}
	if fields["content"], err = json.Marshal(all); err != nil {
		return err
	}
	if p.statement.Predicate, err = json.Marshal(fields); err != nil {
		return err
	}
	if p.payload, err = attest.EncodeStatement(p.statement); err != nil {
		return err
	}
	return r.cfg.Predicates.ValidateIn(p.payload, p.statement)
}

// withoutTimes is the canonical form of a statement without when it was
// observed or is claimed to have happened.
func withoutTimes(st stemma.Statement) ([]byte, error) {
	var predicate map[string]any
	decode := json.NewDecoder(bytes.NewReader(st.Predicate))
	decode.UseNumber()
	if err := decode.Decode(&predicate); err != nil {
		return nil, fmt.Errorf("predicate: %v: %w", err, stemma.ErrInvalid)
	}
	at := predicate
	if !attest.Own(st.PredicateType) {
		at, _ = predicate[attest.MetadataField].(map[string]any)
	}
	delete(at, "timeObserved")
	delete(at, "timeClaimed")
	return json.Marshal(map[string]any{
		"subject": st.Subject, "predicateType": st.PredicateType, "predicate": predicate,
	})
}
