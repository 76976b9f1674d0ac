package git

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
)

// pushTries is how often a push is tried again because others pushed meanwhile.
const pushTries = 10

// PushNotes pushes a ref of notes to a remote, by its name or its address. Where
// the remote has notes that are not here, they are taken in first: choose says
// which of two notes on one commit stays. Several clones may push at once: no note
// of any of them is lost.
//
// It is the one call that talks to another repository, and so runs git as the user
// would, with his configuration and credentials; hooks are not run. The error is
// ErrUnavailable where the remote can not be reached or refuses, ErrConflict where
// others kept pushing.
func (r *Repo) PushNotes(ctx context.Context, remote, ref string, choose func(ours, theirs []byte) []byte, by Signature) error {
	if strings.HasPrefix(remote, "-") || remote == "" || !strings.HasPrefix(ref, "refs/notes/") {
		return fmt.Errorf("push %s to %q: %w", ref, remote, stemma.ErrInvalid)
	}
	for try := range pushTries {
		said, err := r.asUser(ctx, "push", "--quiet", "--no-verify", remote, ref+":"+ref)
		if err == nil {
			return nil
		}
		moved := false
		for _, word := range []string{"non-fast-forward", "fetch first", "stale info", "cannot lock ref", "failed to update ref", "incorrect old value"} {
			moved = moved || strings.Contains(said, word)
		}
		if !moved {
			return fmt.Errorf("push %s to %s: %w", ref, remote, err)
		}
		if err := r.takeIn(ctx, remote, ref, choose, by); err != nil {
			return fmt.Errorf("take in the notes of %s: %w", remote, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try) * 50 * time.Millisecond):
		}
	}
	return fmt.Errorf("push %s to %s: others kept pushing: %w", ref, remote, stemma.ErrConflict)
}

// takeIn merges the notes of a remote into those that are here.
func (r *Repo) takeIn(ctx context.Context, remote, ref string, choose func(ours, theirs []byte) []byte, by Signature) error {
	const fetched = "refs/stemma/fetched-notes"
	if _, err := r.asUser(ctx, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", remote, "+"+ref+":"+fetched); err != nil {
		return err
	}
	theirs, err := r.tip(ctx, fetched)
	if err != nil {
		return err
	}
	for range noteTries {
		ours, err := r.tip(ctx, ref)
		if err != nil {
			return err
		}
		taken, err := r.differing(ctx, ours, theirs, choose)
		if err != nil {
			return err
		}
		err = r.importNotes(ctx, ref, ours, theirs, taken, by)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if now, terr := r.tip(ctx, ref); terr != nil || now == ours {
			return errors.Join(err, terr)
		}
	}
	return fmt.Errorf("%s kept moving: %w", ref, stemma.ErrConflict)
}

// differing gives the notes that are to be written so that ours holds theirs too.
func (r *Repo) differing(ctx context.Context, ours, theirs string, choose func(ours, theirs []byte) []byte) (map[string][]byte, error) {
	have, err := r.noteBlobs(ctx, ours)
	if err != nil {
		return nil, err
	}
	come, err := r.noteBlobs(ctx, theirs)
	if err != nil {
		return nil, err
	}
	taken := make(map[string][]byte)
	for commit, id := range come {
		if have[commit] == id {
			continue
		}
		note, err := r.Blob(ctx, id, maxNote)
		if err != nil {
			return nil, err
		}
		if mine := have[commit]; mine != "" {
			own, err := r.Blob(ctx, mine, maxNote)
			if err != nil {
				return nil, err
			}
			note = choose(own, note)
		}
		taken[commit] = note
	}
	return taken, nil
}

// maxNote is the size in bytes over which a note is not taken in.
const maxNote = 64 << 20

// Note is a note on a commit.
type Note struct {
	Commit string
	Text   []byte
}

// Notes gives the notes in a tree of notes, or of the commit that has it, with
// whatever fan-out, in the order of their commits. A note that is larger than is read
// is left out. The sequence ends at its first error.
func (r *Repo) Notes(ctx context.Context, tree string) iter.Seq2[Note, error] {
	return func(yield func(Note, error) bool) {
		blobs, err := r.noteBlobs(ctx, tree)
		if err != nil {
			yield(Note{}, fmt.Errorf("notes: %w", err))
			return
		}
		for _, commit := range slices.Sorted(maps.Keys(blobs)) {
			text, err := r.Blob(ctx, blobs[commit], maxNote)
			if errors.Is(err, stemma.ErrInvalid) {
				continue
			}
			if err != nil {
				err = fmt.Errorf("note on %s: %w", commit, err)
			}
			if !yield(Note{commit, text}, err) || err != nil {
				return
			}
		}
	}
}

// noteBlobs gives the ids of notes, by commit.
func (r *Repo) noteBlobs(ctx context.Context, tip string) (map[string]string, error) {
	blobs := make(map[string]string)
	if tip == "" {
		return blobs, nil
	}
	for e, err := range r.Tree(ctx, tip, true) {
		if err != nil {
			return nil, err
		}
		if id := strings.ReplaceAll(e.Path, "/", ""); len(id) == r.hexLen() && isHex(id) {
			blobs[id] = e.ID
		}
	}
	return blobs, nil
}

// asUser runs git in the repository as the user would, without hooks, and gives
// what it said on standard error.
func (r *Repo) asUser(ctx context.Context, args ...string) (string, error) {
	cmd := r.userCommand(ctx, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return said.String(), fmt.Errorf("%s: %w", clip(printable(strings.TrimSpace(said.String()))), stemma.ErrUnavailable)
	}
	return said.String(), nil
}

// userCommand makes a git process with the user's configuration, without hooks.
func (r *Repo) userCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, r.git, append([]string{"--git-dir=" + r.place.gitDir, "-c", "core.hooksPath=" + os.DevNull}, args...)...)
	cmd.Dir = cmp.Or(r.place.workTree, r.place.gitDir)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GIT_TERMINAL_PROMPT=0")
	cmd.WaitDelay = 5 * time.Second
	return cmd
}
