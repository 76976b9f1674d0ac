package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
)

// interop are the formats of others that an attribution is written in.
var interop = []string{"gitai-notes", "agent-trace", "trailers"}

// toldOther is what `stemma export --format --json` prints.
type toldOther struct {
	Schema  string   `json:"schema"`
	Format  string   `json:"format"`
	Commits []string `json:"commits"` // that something was written for
	Silent  int      `json:"silent"`  // commits of which nothing is known that the format can say
	Kept    int      `json:"kept"`    // commits that have a note of git-ai's own, which stays
	Ref     string   `json:"ref,omitempty"`
}

// exportFormat writes the attribution of commits in a format of others: to
// standard output, or, of notes that are to be written, to their ref.
func (o *options) exportFormat(ctx context.Context, format, revs string, write bool) error {
	if !slices.Contains(interop, format) {
		return fmt.Errorf("--format %q: want one of %s: %w", format, strings.Join(interop, ", "), stemma.ErrInvalid)
	}
	if write && format != "gitai-notes" {
		return fmt.Errorf("--write is for gitai-notes: %w", stemma.ErrInvalid)
	}
	b, err := o.ready(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	commits, err := b.commitsIn(ctx, revs)
	if err != nil {
		return err
	}
	told := toldOther{Schema: "stemma.interop/v1", Format: format, Commits: []string{}}
	write = write && format == "gitai-notes"
	blobs := make(map[string][]byte)
	for _, id := range commits {
		a, err := b.attributed(ctx, id)
		if err != nil {
			return err
		}
		text, err := encodeInterop(format, a)
		if err != nil {
			return err
		}
		if len(text) == 0 {
			told.Silent++
			continue
		}
		if write {
			theirs, err := b.hasGitAINote(ctx, id)
			if err != nil {
				return err
			}
			if theirs {
				told.Kept++
				continue
			}
		}
		told.Commits = append(told.Commits, id)
		blobs[id] = text
		if !write && !o.json {
			if format != "agent-trace" {
				fmt.Fprintf(o.out, "%s\n", id)
			}
			if _, err := o.out.Write(text); err != nil {
				return err
			}
		}
	}
	if write {
		told.Ref = gitAINotes
		if err := b.repo.AddNotes(ctx, gitAINotes, blobs, git.Signature{Name: "stemma", Time: time.Now().Unix()}); err != nil {
			return err
		}
	}
	if o.json {
		return printJSON(o.out, told)
	}
	if write {
		fmt.Fprintf(o.out, "%s notes written to %s, %s that git-ai wrote are kept, nothing known of %s commits\n", count(len(told.Commits)), gitAINotes, count(told.Kept), count(told.Silent))
	}
	return nil
}

// commitsIn gives the commits of a revision or of a range A..B, oldest first.
func (b *bench) commitsIn(ctx context.Context, revs string) ([]string, error) {
	from, to, isRange := strings.Cut(revs, "..")
	if !isRange {
		id, err := b.repo.Resolve(ctx, revs)
		return []string{id}, err
	}
	if to == "" {
		to = "HEAD"
	}
	tip, err := b.repo.Resolve(ctx, to)
	if err != nil {
		return nil, err
	}
	query := git.HistoryQuery{Tips: []string{tip}, NoMessages: true}
	if from != "" {
		base, err := b.repo.Resolve(ctx, from)
		if err != nil {
			return nil, err
		}
		query.Not = []string{base}
	}
	var ids []string
	for c, err := range b.repo.History(ctx, query) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, c.ID)
	}
	slices.Reverse(ids)
	return ids, nil
}

// attributed gives the attribution of a commit with the lines that it added.
func (b *bench) attributed(ctx context.Context, commit string) (notes.Attributed, error) {
	told, err := b.attribute(ctx, commit)
	if err != nil {
		return notes.Attributed{}, err
	}
	c, err := b.repo.Commit(ctx, commit)
	if err != nil {
		return notes.Attributed{}, err
	}
	a := notes.Attributed{Attribution: told.Row, Added: make(map[string][]notes.Range)}
	if _, agent := stemma.AgentAccount(c.Author.Name, c.Author.Mail); !agent {
		a.Author = c.Author.Name + " <" + c.Author.Mail + ">"
	}
	for d, err := range b.repo.Added(ctx, slices.Values([]string{commit}), 1) {
		if err != nil {
			return a, err
		}
		for _, f := range d.Files {
			for _, r := range f.Ranges {
				a.Added[f.Path] = append(a.Added[f.Path], notes.Range{Start: r.Start, End: r.End})
			}
		}
	}
	return a, nil
}
