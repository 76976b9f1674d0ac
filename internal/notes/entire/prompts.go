package entire

import (
	"context"
	"strings"

	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
)

// The file of a session's prompts, and what stands between two of them
// (cmd/entire/cli/checkpoint/committed.go).
const (
	promptFile   = "prompt.txt"
	promptParts  = "\n\n---\n\n"
	maxPromptTxt = 16 << 20
)

// Prompts gives the prompts of the sessions of the checkpoints that the commit
// names, in the order of the message. A prompt that holds what stands between
// two is given as two. Where a file can not be read there are none.
func (k *checkpoints) Prompts(ctx context.Context, c *git.Commit) ([]notes.Prompt, error) {
	r := &reading{checkpoints: k}
	var all []notes.Prompt
	for _, id := range readMessage(c.Message).checkpoints {
		_, entries, err := r.find(ctx, id)
		if err := unlessForeign(err); err != nil {
			return nil, err
		}
		for _, n := range numbered(entries) {
			of, err := r.prompts(ctx, n.tree)
			if err != nil {
				return nil, err
			}
			all = append(all, of...)
		}
	}
	return all, nil
}

// prompts gives those of one session.
func (r *reading) prompts(ctx context.Context, tree string) ([]notes.Prompt, error) {
	_, entries, err := r.repo.Entries(ctx, tree, "")
	if err != nil {
		return nil, unlessForeign(err)
	}
	var m metadata
	var text []byte
	for _, e := range entries {
		switch {
		case e.Type != "blob":
		case e.Path == metadataFile:
			if m, err = r.metadata(ctx, "", e.ID); err != nil {
				return nil, err
			}
		case e.Path == promptFile:
			text, err = r.repo.Blob(ctx, e.ID, maxPromptTxt)
			if err := unlessForeign(err); err != nil {
				return nil, err
			}
		}
	}
	var prompts []notes.Prompt
	for _, part := range strings.Split(string(text), promptParts) {
		if part = strings.TrimSpace(part); part != "" {
			prompts = append(prompts, notes.Prompt{Session: m.id, Agent: agentOf(m.agent), Role: "user", Text: part})
		}
	}
	return prompts, nil
}
