package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/lineage"
	"github.com/stemma-dev/stemma/internal/store"
)

// saidSource is the source of prompts that the vault keeps.
const saidSource = "session"

// said gives what was said, before a commit was made, in the sessions that wrote it
// or may have: as the vault keeps it, of those that are the user's own. Of a session
// whose prompts are known from elsewhere there is none.
func (b *bench) said(ctx context.Context, commit string, known []lineage.Prompt) ([]lineage.Prompt, error) {
	c, err := b.repo.Commit(ctx, commit)
	if errors.Is(err, stemma.ErrNotFound) {
		return nil, nil // its objects are gone: nobody knows when it was made
	}
	if err != nil {
		return nil, err
	}
	var all []lineage.Prompt
	var keys []string
	for e, err := range b.store.Edges(ctx, store.EdgeQuery{From: []stemma.NodeID{stemma.CommitID(commit)}, Kinds: []stemma.EdgeKind{stemma.EdgeWrittenBy}}) {
		if err != nil {
			return nil, err
		}
		if e.To.Kind == stemma.KindSession && !slices.Contains(keys, e.To.Key) {
			keys = append(keys, e.To.Key)
		}
	}
	for _, key := range keys {
		name, id, _ := strings.Cut(key, "/")
		if slices.ContainsFunc(known, func(p lineage.Prompt) bool { return p.Session == id }) {
			continue
		}
		t, err := b.tale(ctx, key)
		if err == nil {
			var s agent.Session
			if s, err = b.content(ctx, t, ""); err == nil {
				all = append(all, saidIn(s, name, c.Committer.Time)...)
			}
		}
		// Not recorded, erased, or another person's: there is nothing to be shown.
		if err != nil && !errors.Is(err, stemma.ErrNotFound) && !errors.Is(err, stemma.ErrDenied) {
			return nil, err
		}
	}
	return all, nil
}

// saidIn gives the prompts and answers of the turns that began before a time.
func saidIn(s agent.Session, name string, until int64) []lineage.Prompt {
	var all []lineage.Prompt
	for _, turn := range s.Turns {
		if !turn.Start.IsZero() && turn.Start.Unix() > until {
			continue
		}
		for _, part := range []struct {
			role string
			text *agent.Text
			time string
		}{{"user", turn.Prompt, when(turn.Start)}, {"assistant", turn.Answer, when(turn.End)}} {
			if part.text != nil && part.text.Text != "" {
				all = append(all, lineage.Prompt{Source: saidSource, Session: s.ID, Agent: name, Role: part.role, Text: part.text.Text, Time: part.time, Turn: turn.Index})
			}
		}
	}
	return all
}
