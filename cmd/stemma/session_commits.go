package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// askedRows is of how many rows of a list the commits are asked of the graph. Of
// more, they are remembered with the rows, and asked of what changed.
const askedRows = 1000

// joinCommits adds to rows of a list the commits of which evidence gives lines to
// their sessions. The rows are some of those that are known, in their order.
func (b *bench) joinCommits(ctx context.Context, rows []*sessionRow, known rememberedRows) error {
	if len(rows) <= askedRows {
		if err := b.askWrote(ctx, rows); err != nil {
			return err
		}
	} else {
		if err := b.bringUpWrote(ctx, &known); err != nil {
			return err
		}
		at := 0
		for _, r := range rows {
			for known.Rows[at].Session != r.Session {
				at++
			}
			r.wrote = known.Rows[at].wrote
		}
	}
	for _, r := range rows {
		if len(r.Commits) == 0 && len(r.wrote) > 0 {
			r.Commits = slices.Clip(r.wrote)
			continue
		}
		for _, commit := range r.wrote {
			if !slices.Contains(r.Commits, commit) {
				r.Commits = append(slices.Clip(r.Commits), commit)
			}
		}
	}
	return nil
}

// askWrote asks the graph for the commits of which evidence gives lines to the
// sessions of these rows.
func (b *bench) askWrote(ctx context.Context, rows []*sessionRow) error {
	keys := make([]string, len(rows))
	for i, r := range rows {
		keys[i] = r.Session
	}
	wrote, err := b.wrote(ctx, keys)
	if err != nil {
		return fmt.Errorf("find commits of %d sessions: %w", len(rows), err)
	}
	for _, r := range rows {
		r.wrote = nil
		for _, w := range wrote[r.Session] {
			if n := len(r.wrote); n == 0 || r.wrote[n-1] != w.Commit {
				r.wrote = append(r.wrote, w.Commit)
			}
		}
	}
	return nil
}

// fewChanges is how many changes of the graph are looked at again the next time,
// rather than that all rows are written.
const fewChanges = 50

// bringUpWrote brings what is remembered of the commits of all rows up to the
// graph as it is: the sessions are asked for that the scopes put since have, or
// had, something to do with.
func (b *bench) bringUpWrote(ctx context.Context, known *rememberedRows) error {
	// What is asked after the moment was read may be newer than it, and is then
	// asked once more.
	changes, err := b.store.Since(ctx, known.Graph)
	if err != nil {
		return fmt.Errorf("read index %s: %w", b.place(), err)
	}
	var asked []*sessionRow
	if changes.Known {
		if asked, err = b.touched(ctx, known.Rows, changes.Scopes); err != nil {
			return err
		}
	} else {
		for i := range known.Rows {
			asked = append(asked, &known.Rows[i])
		}
	}
	if err := b.askWrote(ctx, asked); err != nil {
		return err
	}
	if changes.Known && len(changes.Scopes) <= fewChanges {
		return nil
	}
	known.Graph = changes.Now
	// Where it can not be written the next list takes longer.
	_ = writeWhole(b.rowsPath(), writeRows(*known))
	return nil
}

// touched gives the rows of sessions that edges of these scopes join with
// commits, or did when it was asked before.
func (b *bench) touched(ctx context.Context, rows []sessionRow, scopes []stemma.NodeID) ([]*sessionRow, error) {
	commits, sessions := make(map[string]bool), make(map[string]bool)
	var derived []stemma.NodeID
	for _, id := range scopes {
		if id.Kind == stemma.KindCommit { // no other scope's edges tell of lines
			derived = append(derived, id)
			commits[id.Key] = true
		}
	}
	if len(derived) == 0 {
		return nil, nil
	}
	for e, err := range b.store.Edges(ctx, store.EdgeQuery{Scope: derived, Kinds: []stemma.EdgeKind{stemma.EdgeWrittenBy}}) {
		if err != nil {
			return nil, fmt.Errorf("find sessions of %d commits: %w", len(derived), err)
		}
		sessions[e.To.Key] = true
	}
	var touched []*sessionRow
	for i := range rows {
		r := &rows[i]
		if sessions[r.Session] || slices.ContainsFunc(r.wrote, func(id string) bool { return commits[id] }) {
			touched = append(touched, r)
		}
	}
	return touched, nil
}
