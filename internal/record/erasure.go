package record

import (
	"context"
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
	var all []Submission
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
			return err
		}
		statement, err := attest.New(attest.TypeErasure, p, subject)
		if err != nil {
			return err
		}
		sub, err := NewSubmission(statement)
		if err != nil {
			return err
		}
		all = append(all, sub)
	}
	_, err := r.Record(ctx, all)
	return err
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
	kept, err := c.Evidence.Find(c.ctx, []store.EventKey{key})
	if err != nil || kept[0].ID == 0 || kept[0].Pending {
		return nil, false, err
	}
	entry, err := c.Evidence.ByDigest(c.ctx, kept[0].Digest)
	if err != nil {
		return nil, false, err
	}
	envelope, err := attest.Decode(entry.Bytes)
	if err != nil {
		return nil, false, nil // told of where envelopes are checked
	}
	statement, err := attest.DecodeStatement(envelope.Payload)
	if err != nil || statement.PredicateType != attest.TypeErasure {
		return nil, false, nil
	}
	erasure, err := attest.As[attest.Erasure](statement)
	if err != nil {
		return nil, false, nil
	}
	return append([]string{}, erasure.Objects...), true, nil
}
