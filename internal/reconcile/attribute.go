package reconcile

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attribution"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
)

// Attributed is a commit with what its sources say of it.
type Attributed struct {
	Row      stemma.Attribution
	Said     []attribution.Said
	Disputes []attribution.Dispute // where the sources differ
}

// Attribute attributes one commit as Run would, without storing anything: for
// commits that no indexed ref reaches, and for what a row does not keep.
func Attribute(ctx context.Context, cfg Config, commit string) (Attributed, error) {
	r := &run{Config: cfg}
	defer r.close()
	refs, err := r.readRefs(ctx)
	if err != nil {
		return Attributed{}, err
	}
	_, tip, err := r.branch(ctx, refs)
	if err != nil {
		return Attributed{}, err
	}
	if r.generated, err = newGenerated(ctx, r.Repo, tip, r.Generated); err != nil {
		return Attributed{}, fmt.Errorf("generated paths: %w", err)
	}
	if err := r.readEvidence(ctx); err != nil {
		return Attributed{}, err
	}
	if err := r.openKeyed(ctx); err != nil {
		return Attributed{}, err
	}
	c, err := r.Repo.Commit(ctx, commit)
	if err != nil {
		return Attributed{}, err
	}
	said, err := r.said(ctx, c)
	if err != nil {
		return Attributed{}, err
	}
	for diff, err := range r.Repo.Added(ctx, one(commit), 1) {
		if err != nil {
			return Attributed{}, err
		}
		generated, err := r.generated.matcher(diff.Files)
		if err != nil {
			return Attributed{}, err
		}
		if said, err = r.withKeyed(ctx, c, diff, said); err != nil {
			return Attributed{}, err
		}
		rules := r.rules(generated)
		return Attributed{
			Row:      attribution.Commit(c, diff, said, nil, rules),
			Said:     said,
			Disputes: attribution.Disputes(c, diff, said, rules),
		}, nil
	}
	return Attributed{}, fmt.Errorf("commit %s: git gave no difference: %w", commit, stemma.ErrUnavailable)
}

// Prompts gives the prompts that keyed sources carry for a commit, by source.
func Prompts(ctx context.Context, cfg Config, commit string) (map[string][]notes.Prompt, error) {
	r := &run{Config: cfg}
	if _, err := r.readRefs(ctx); err != nil {
		return nil, err
	}
	if err := r.openKeyed(ctx); err != nil {
		return nil, err
	}
	c, err := r.Repo.Commit(ctx, commit)
	if err != nil {
		return nil, err
	}
	all := make(map[string][]notes.Prompt)
	for _, k := range r.keyed {
		if all[k.name], err = k.Prompts(ctx, c); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func one(commit string) iter.Seq[string] {
	return func(yield func(string) bool) { yield(commit) }
}

// Evidence gives the bytes of what one source has on a commit; none where it
// has nothing.
func Evidence(ctx context.Context, repo *git.Repo, source notes.NoteSource, commit string) ([][]byte, error) {
	var found [][]byte
	take := func(b []byte, err error) error {
		if errors.Is(err, stemma.ErrNotFound) {
			return nil
		}
		if err == nil {
			found = append(found, b)
		}
		return err
	}
	prefixes := append(source.NotesRefs(), source.RefPrefixes()...)
	refs, _, err := repo.Refs(ctx, prefixes...)
	if err != nil {
		return nil, err
	}
	for _, ref := range refs {
		if len(source.NotesRefs()) > 0 && ref.Commit != "" {
			if err := take(Note(ctx, repo, ref.Commit, commit)); err != nil {
				return nil, err
			}
			continue
		}
		for _, prefix := range source.RefPrefixes() {
			if name, ok := strings.CutPrefix(ref.Name, prefix); ok && name == commit {
				if err := take(repo.Blob(ctx, ref.ID, notes.MaxNote)); err != nil {
					return nil, err
				}
			}
		}
	}
	return found, nil
}

// Note reads the note on a commit from a tree of notes, or the commit that has
// it, with whatever fan-out the tree has. The error is ErrNotFound where there is
// none.
func Note(ctx context.Context, repo *git.Repo, tree, commit string) ([]byte, error) {
	path := commit
	for at := 0; at+2 < len(commit) && at < 8; at += 2 {
		b, err := repo.File(ctx, tree, path, notes.MaxNote)
		if !errors.Is(err, stemma.ErrNotFound) {
			return b, err
		}
		split := at + at/2 + 2
		path = path[:split] + "/" + path[split:]
	}
	return nil, fmt.Errorf("note on %s: %w", commit, stemma.ErrNotFound)
}
