package record

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/store"
	"github.com/stemma-dev/stemma/internal/vault"
)

// ByPerson marks a pseudonym as the one who wanted an erasure: without it, By
// names a program.
const ByPerson = "person:"

// party gives who did something, as those say it who call.
func party(by string) attest.Party {
	if person, ok := strings.CutPrefix(by, ByPerson); ok {
		return attest.Party{Kind: "person", ID: person}
	}
	return attest.Party{Kind: "bot", ID: by}
}

// maxGone bounds how many references one statement of an erasure names: with
// more it would be too large for the log.
const maxGone = 400

// Tombstone records what was erased from the vault, as one statement or, where
// much was, as several. Told again, they are the same statements.
func (r *Recorder) Tombstone(ctx context.Context, e vault.Erasure) error {
	statements, err := tombstones(e)
	if err != nil {
		return err
	}
	var all []Submission
	for _, s := range statements {
		sub, err := NewSubmission(s)
		if err != nil {
			return err
		}
		all = append(all, sub)
	}
	_, err = r.Record(ctx, all)
	return err
}

// tombstones are the statements of an erasure.
func tombstones(e vault.Erasure) (all []stemma.Statement, err error) {
	gone, kept := slices.Collect(slices.Chunk(e.Gone, maxGone)), slices.Collect(slices.Chunk(e.Kept, maxGone))
	for i := range max(len(gone), len(kept), 1) {
		p := attest.Erasure{Of: e.Kind, Key: e.Target, Basis: e.Basis, Reason: e.Reason, By: party(e.By), Objects: []string{}}
		if e.Kind == vault.KindRetention {
			p.Of = "class"
		}
		at := time.Unix(e.Time, 0).UTC().Format(time.RFC3339)
		key := tombstoneKey(e.ID, i)
		p.Metadata = attest.Metadata{Source: key.Source, EventID: key.EventID, Observed: at, Claimed: &at, Assertion: stemma.Declared}
		if i < len(gone) {
			p.Objects = gone[i]
		}
		if i < len(kept) {
			for _, k := range kept[i] {
				p.Kept = append(p.Kept, attest.Kept{Object: k, Why: "co-owned"})
			}
		}
		subject, err := attest.RecordSubject(e.Target, "stemma:"+p.Of+":"+e.Target, map[string]any{p.Of: e.Target})
		if err != nil {
			return nil, err
		}
		statement, err := attest.New(attest.TypeErasure, p, subject)
		if err != nil {
			return nil, err
		}
		all = append(all, statement)
	}
	return all, nil
}

// erasures compares what the vault says of its erasures with their tombstones.
func (c *checking) erasures() error {
	if c.Vault == nil {
		return nil
	}
	list, left, err := c.Vault.Erasures(c.ctx)
	if errors.Is(err, stemma.ErrInvalid) {
		return nil // the vault's own check names it
	}
	if err != nil {
		return err
	}
	for i, e := range list {
		if left[i] != "" {
			continue // not told yet
		}
		where := "vault erasure " + e.ID
		statements, err := tombstones(e)
		if err != nil {
			c.say(where, "%v", err)
			continue
		}
		for part, want := range statements {
			got, found, err := c.stated(tombstoneKey(e.ID, part))
			switch {
			case err != nil:
				return err
			case !found:
				c.say(where, "no tombstone in the log tells of it")
			case !bytes.Equal(got.Predicate, want.Predicate):
				c.say(where, "is otherwise than its tombstone in the log")
			}
		}
	}
	return nil
}

// tombstoneKey is what a part of the tombstone of an erasure is known by.
func tombstoneKey(id string, part int) store.EventKey {
	return store.EventKey{Source: "stemma", EventID: fmt.Sprintf("erasure/%s/%d", id, part)}
}

// untold gives why an erasure does not account for content that can not be
// opened, or "": the vault alone could be made to say that anything was erased.
func (c *checking) untold(uri string, e vault.Erasure) (string, error) {
	gone, known := c.tombstones[e.ID]
	if !known {
		for part := 0; ; part++ {
			objects, found, err := c.tombstone(tombstoneKey(e.ID, part))
			if err != nil {
				return "", err
			}
			if !found {
				break
			}
			gone = append(gone, objects...)
		}
		if c.tombstones == nil {
			c.tombstones = make(map[string][]string)
		}
		c.tombstones[e.ID] = gone
	}
	if gone == nil {
		return fmt.Sprintf("the vault has erased it (%s), and no tombstone in the log says so", e.ID), nil
	}
	if !slices.ContainsFunc(gone, func(g string) bool { return uri == g || strings.HasSuffix(g, "/") && strings.HasPrefix(uri, g) }) {
		return fmt.Sprintf("the tombstone %s does not name it", e.ID), nil
	}
	return "", nil
}

// tombstone gives what one statement of an erasure says is gone.
func (c *checking) tombstone(key store.EventKey) (objects []string, found bool, err error) {
	statement, found, err := c.stated(key)
	if err != nil || !found || statement.PredicateType != attest.TypeErasure {
		return nil, false, err
	}
	erasure, err := attest.As[attest.Erasure](statement)
	if err != nil {
		return nil, false, nil // told of where envelopes are checked
	}
	return append([]string{}, erasure.Objects...), true, nil
}

// stated gives the statement of an event. One that can not be read is told of where
// envelopes are checked, and not found here.
func (c *checking) stated(key store.EventKey) (stemma.Statement, bool, error) {
	kept, err := c.Evidence.Find(c.ctx, []store.EventKey{key})
	if err != nil || kept[0].ID == 0 || kept[0].Pending {
		return stemma.Statement{}, false, err
	}
	entry, err := c.Evidence.ByDigest(c.ctx, kept[0].Digest)
	if err != nil {
		return stemma.Statement{}, false, err
	}
	envelope, err := attest.Decode(entry.Bytes)
	if err != nil {
		return stemma.Statement{}, false, nil
	}
	statement, err := attest.DecodeStatement(envelope.Payload)
	return statement, err == nil, nil
}
