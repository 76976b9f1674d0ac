package main

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/spool"
)

// newAssist is what a prepare-commit-msg hook runs (githooks(5)).
func newAssist(o *options) *cobra.Command {
	return &cobra.Command{
		Use:    "assist <file> [source]",
		Short:  "Name the agents that touched what is staged in a commit message",
		Hidden: true,
		Long: `Adds a trailer "Assisted-by: AGENT:MODEL" to the commit message in the file, for each
agent whose hooks saw it write a file that is staged, since the last commit. It is
run by the prepare-commit-msg hook that stemma init installs with --assisted-by;
messages of merges and squashes stay as they are.`,
		Args: cobra.RangeArgs(1, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 && (args[1] == "merge" || args[1] == "squash") {
				return nil
			}
			file, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			return o.assist(cmd.Context(), file)
		},
	}
}

func (o *options) assist(ctx context.Context, file string) error {
	s, place, _, err := o.ownSpool()
	if err != nil {
		return err
	}
	repo, err := git.Open(ctx, o.path, scratch())
	if err != nil {
		return err
	}
	defer repo.Close()
	var since time.Time
	if head, err := repo.Resolve(ctx, "HEAD"); err == nil {
		c, err := repo.Commit(ctx, head)
		if err != nil {
			return err
		}
		since = time.Unix(c.Committer.Time, 0)
	} else if !errors.Is(err, stemma.ErrNotFound) && !errors.Is(err, stemma.ErrInvalid) {
		return err
	}
	staged, err := repo.Staged(ctx)
	if err != nil || len(staged) == 0 {
		return err
	}
	models := make(map[[2]string]string) // agent and session: the model as reported
	wrote := make(map[[2]string]bool)
	for r, err := range s.RecordsSince(since) {
		var fault *spool.DecodeError
		if errors.As(err, &fault) {
			continue
		}
		if err != nil {
			return err
		}
		if r.Session == "" {
			continue
		}
		agent := r.AgentKey()
		key := [2]string{agent, r.Session}
		if r.Model != "" {
			models[key] = r.Model
		}
		if r.Phase != spool.After || r.Tree != place.Tree || r.Time.Before(since) {
			continue
		}
		for _, f := range r.Files {
			wrote[key] = wrote[key] || slices.Contains(staged, f.Path)
		}
	}
	var trailers []string
	for key, did := range wrote {
		if did {
			trailers = append(trailers, assistedTrailer(key[0], stemma.ParseModel(models[key])))
		}
	}
	if len(trailers) == 0 {
		return nil
	}
	slices.Sort(trailers)
	return repo.AddTrailers(ctx, file, slices.Compact(trailers))
}
