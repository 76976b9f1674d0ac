package git

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
)

// noteTries is how often notes are written anew because somebody else moved
// their ref meanwhile.
const noteTries = 20

// AddNotes attaches notes to commits (git-notes(1)): by commit, in one commit
// on top of the ref of notes, with the fan-out that git chooses. A note that a
// commit has already is replaced, the others stay. It writes new objects and this
// one ref. No hook is run.
//
// Several processes may add notes at once: none is lost. The error is
// ErrConflict when the ref kept moving, ErrInvalid for a ref that is none of
// notes.
func (r *Repo) AddNotes(ctx context.Context, ref string, notes map[string][]byte, by Signature) error {
	if !strings.HasPrefix(ref, "refs/notes/") || strings.ContainsAny(ref, " \n\x00") {
		return fmt.Errorf("add notes to %q: no ref of notes: %w", ref, stemma.ErrInvalid)
	}
	for id := range notes {
		if err := r.checkID(id); err != nil {
			return fmt.Errorf("add notes: %w", err)
		}
	}
	if len(notes) == 0 {
		return nil
	}
	var err error
	for try := range noteTries {
		var tip string
		if tip, err = r.tip(ctx, ref); err != nil {
			return fmt.Errorf("add notes: %w", err)
		}
		err = r.importNotes(ctx, ref, tip, "", notes, by)
		if err == nil || ctx.Err() != nil {
			return err
		}
		now, terr := r.tip(ctx, ref)
		if terr != nil || now == tip && !strings.Contains(err.Error(), "lock") {
			return fmt.Errorf("add notes to %s: %w", ref, errors.Join(err, terr))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try+1) * 10 * time.Millisecond):
		}
	}
	return fmt.Errorf("add notes to %s: it kept moving: %v: %w", ref, err, stemma.ErrConflict)
}

// tip is the commit that a ref points to, or "".
func (r *Repo) tip(ctx context.Context, ref string) (string, error) {
	refs, _, err := r.Refs(ctx, ref)
	if err != nil {
		return "", err
	}
	for _, f := range refs {
		if f.Name == ref {
			return cmp.Or(f.Commit, f.ID), nil
		}
	}
	return "", nil
}

// importNotes writes one commit of notes, on top of tip, and of also where that
// is a commit of notes that were taken in. git refuses it when the ref is not at
// tip any more (git-fast-import(1), "--force").
func (r *Repo) importNotes(ctx context.Context, ref, tip, also string, notes map[string][]byte, by Signature) error {
	var in bytes.Buffer
	name := strings.Map(func(c rune) rune {
		if c == '<' || c == '>' || c == '\n' || c == 0 {
			return -1
		}
		return c
	}, by.Name)
	message := fmt.Sprintf("stemma: notes on %d commits\n", len(notes))
	fmt.Fprintf(&in, "commit %s\ncommitter %s <> %d +0000\ndata %d\n%s\n", ref, name, by.Time, len(message), message)
	if tip != "" {
		fmt.Fprintf(&in, "from %s\n", tip)
	}
	if also != "" && also != tip {
		fmt.Fprintf(&in, "merge %s\n", also)
	}
	for _, id := range slices.Sorted(maps.Keys(notes)) {
		where, err := r.placeNote(ctx, tip, id)
		if err != nil {
			return err
		}
		fmt.Fprintf(&in, "%s\ndata %d\n", where, len(notes[id]))
		in.Write(notes[id])
		in.WriteByte('\n')
	}
	in.WriteString("done\n")
	p, err := r.start(ctx, r.refs, &in, "fast-import", "--quiet", "--done")
	if err != nil {
		return err
	}
	return p.wait()
}

// placeNote gives the command of git-fast-import(1) that writes a note on a
// commit. It writes none on a commit that is not here, as of somebody whose notes
// were fetched before his commits: that becomes a file of the tree, where the note
// stands already or with a fan-out of one.
func (r *Repo) placeNote(ctx context.Context, tip, commit string) (string, error) {
	_, _, err := r.Stat(ctx, commit)
	if !errors.Is(err, stemma.ErrNotFound) {
		return "N inline " + commit, err
	}
	path := commit[:2] + "/" + commit[2:]
	for at := commit; tip != "" && len(at) < len(commit)+4; {
		_, err := r.tell(ctx, tip+":"+at)
		if err == nil {
			path = at
			break
		}
		if !errors.Is(err, stemma.ErrNotFound) {
			return "", err
		}
		cut := strings.LastIndexByte(at, '/') + 3
		at = at[:cut] + "/" + at[cut:]
	}
	return "M 100644 inline " + path, nil
}

// Staged gives the paths that the next commit changes, as the user's git sees
// them. It reads his configuration and runs nothing of it.
func (r *Repo) Staged(ctx context.Context) ([]string, error) {
	cmd := r.userCommand(ctx, "diff", "--cached", "--name-only", "--no-renames", "--no-ext-diff", "-z")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("staged paths: %v: %w", err, stemma.ErrUnavailable)
	}
	return strings.FieldsFunc(string(out), func(c rune) bool { return c == 0 }), nil
}

// AddTrailers adds trailers to a message in a file, each that it does not have
// (git-interpret-trailers(1)).
func (r *Repo) AddTrailers(ctx context.Context, file string, trailers []string) error {
	args := []string{"interpret-trailers", "--in-place", "--if-exists=addIfDifferent", "--no-divider"}
	for _, t := range trailers {
		args = append(args, "--trailer="+t)
	}
	if _, err := r.asUser(ctx, append(args, "--", file)...); err != nil {
		return fmt.Errorf("add trailers: %w", err)
	}
	return nil
}
