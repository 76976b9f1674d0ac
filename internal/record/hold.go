package record

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/store"
	"github.com/stemma-dev/stemma/internal/vault"
)

// holdSource and holdPrefix are what the statements of holds are known by; those
// of others say nothing of what may be erased here.
const (
	holdSource = "stemma"
	holdPrefix = "hold/"
)

// everything is the key of a hold on all there is.
const everything = "*"

// HoldStatement records that a legal hold was placed or, where it has a time of
// release, released by somebody. Told again, it is the same statement.
func (r *Recorder) HoldStatement(ctx context.Context, h vault.Hold, by string) error {
	at, action := h.Made, "placed"
	if h.Released != 0 {
		at, action = h.Released, "released"
	}
	when := time.Unix(at, 0).UTC().Format(time.RFC3339)
	p := attest.Hold{
		Metadata: attest.Metadata{Source: holdSource, EventID: holdPrefix + h.ID + "/" + action, Observed: when, Claimed: &when, Assertion: stemma.Declared},
		Hold:     h.ID, Action: action, Of: h.Kind, Key: h.Target, Reason: h.Reason, By: party(by),
	}
	subjects, err := holdSubjects(h)
	if err != nil {
		return err
	}
	if p.Key == "" {
		p.Key = everything
	}
	statement, err := attest.New(attest.TypeHold, p, subjects...)
	if err != nil {
		return err
	}
	sub, err := NewSubmission(statement)
	if err != nil {
		return err
	}
	_, err = r.Record(ctx, []Submission{sub})
	return err
}

// holdSubjects are what a hold is on, and the holds of the organisation.
func holdSubjects(h vault.Hold) ([]stemma.Subject, error) {
	all, err := attest.RecordSubject("holds", "stemma:holds", map[string]any{"holds": "all"})
	if err != nil || h.Kind == vault.KindAll {
		return []stemma.Subject{all}, err
	}
	held, err := attest.RecordSubject(h.Target, "stemma:"+h.Kind+":"+h.Target, map[string]any{h.Kind: h.Target})
	return []stemma.Subject{held, all}, err
}

// Holds gives the legal holds that the evidence states, the oldest first, released
// ones with their time.
func Holds(ctx context.Context, e store.Evidence) ([]vault.Hold, error) {
	all, err := holdSubjects(vault.Hold{Kind: vault.KindAll})
	if err != nil {
		return nil, err
	}
	found := make(map[string]vault.Hold)
	var order []string
	for entry, err := range e.About(ctx, store.SubjectNames(stemma.Statement{Subject: all}), 0) {
		if err != nil {
			return nil, err
		}
		h, err := statedHold(entry)
		if err != nil {
			return nil, fmt.Errorf("envelope %d: %w", entry.ID, err)
		}
		was, known := found[h.ID]
		switch {
		case h.ID == "":
			continue
		case !known:
			order = append(order, h.ID)
		case h.Released == 0: // of a release that is known already
			h.Released = was.Released
		default:
			h.Made = was.Made
		}
		found[h.ID] = h
	}
	list := make([]vault.Hold, 0, len(order))
	for _, id := range order {
		list = append(list, found[id])
	}
	return list, nil
}

// statedHold reads the hold of a statement that this organisation made of one; ""
// is the id of every other.
func statedHold(e store.Entry) (vault.Hold, error) {
	if e.Pending || e.Source != holdSource || e.PredicateType != attest.TypeHold || !strings.HasPrefix(e.EventID, holdPrefix) {
		return vault.Hold{}, nil
	}
	envelope, err := attest.Decode(e.Bytes)
	if err != nil {
		return vault.Hold{}, err
	}
	statement, err := attest.DecodeStatement(envelope.Payload)
	if err != nil {
		return vault.Hold{}, err
	}
	p, err := attest.As[attest.Hold](statement)
	if err != nil {
		return vault.Hold{}, err
	}
	h := vault.Hold{ID: p.Hold, Kind: p.Of, Target: p.Key, Reason: p.Reason}
	if p.Of == vault.KindAll {
		h.Target = ""
	}
	at, ok := attest.ObservedAt(statement)
	if !ok {
		return vault.Hold{}, fmt.Errorf("a hold without a time: %w", stemma.ErrInvalid)
	}
	if h.Made = at.Unix(); p.Action == "released" {
		h.Released = at.Unix()
	}
	return h, nil
}

// holds compares the holds of the vault's index with those that are stated.
func (c *checking) holds() error {
	if c.Vault == nil {
		return nil
	}
	list, err := Holds(c.ctx, c.Evidence)
	if errors.Is(err, stemma.ErrInvalid) {
		c.say("evidence.db", "the holds cannot be read: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	stated := make(map[string]vault.Hold)
	for _, h := range list {
		stated[h.ID] = h
	}
	kept, err := c.Vault.IndexedHolds(c.ctx)
	if err != nil && !errors.Is(err, stemma.ErrInvalid) {
		return err
	}
	for _, h := range kept {
		where := "vault hold " + h.ID
		s, ok := stated[h.ID]
		delete(stated, h.ID)
		switch {
		case !ok:
			c.say(where, "no statement in the log says that it was placed")
		case s.Released == 0 && h.Released != 0:
			c.say(where, "is released, and no statement in the log says so")
		case s.Released != 0 && h.Released == 0:
			c.say(where, "is in force, and the log says that it was released")
		case s != h:
			c.say(where, "is otherwise than the log states it")
		}
	}
	for _, id := range slices.Sorted(maps.Keys(stated)) {
		c.say("vault hold "+id, "the log states it, and the vault does not have it; it holds all the same, and the next hold or erasure puts it back")
	}
	return nil
}
