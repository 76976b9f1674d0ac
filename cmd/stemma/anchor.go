package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/evidence"
	"github.com/stemma-dev/stemma/internal/record"
	"github.com/stemma-dev/stemma/internal/tlog"
)

// A note in git holds the checkpoint of the log of the machine that made it. Git
// carries it to every clone: a log that was rolled back since does not lead to it
// any more.

// lastCheckpoint gives the signed head of this machine's log, "" where there is
// none yet.
func lastCheckpoint(ctx context.Context) (string, error) {
	c, _, err := ownLog(ctx)
	if errors.Is(err, stemma.ErrNotFound) {
		return "", nil
	}
	return string(c.Raw), err
}

// ownLog opens this machine's log with its newest checkpoint.
func ownLog(ctx context.Context) (tlog.Checkpoint, *tlog.Tree, error) {
	keys, err := ownLogKey()
	if err != nil {
		return tlog.Checkpoint{}, nil, err
	}
	dir, err := logFolder()
	if err != nil {
		return tlog.Checkpoint{}, nil, err
	}
	tree := &tlog.Tree{Fetch: tlog.Folder(dir)}
	c, err := tree.Checkpoint(ctx, keys)
	return c, tree, err
}

// anchor is what a checkpoint in a note says of this machine's log.
type anchor struct {
	Origin string          `json:"origin"`
	Size   uint64          `json:"size"`
	Result evidence.Result `json:"result"`
	Says   string          `json:"says"`
}

// anchored compares checkpoints of notes with the log. Only one that the log's own
// key signed can say something against it: anybody can write a note.
type anchored struct {
	keys tlog.Keys
	now  tlog.Checkpoint
	tree *tlog.Tree
	none bool // there is no log here
}

func openAnchored(ctx context.Context) (*anchored, error) {
	a := &anchored{}
	var err error
	if a.keys, err = ownLogKey(); err == nil {
		a.now, a.tree, err = ownLog(ctx)
	}
	if errors.Is(err, stemma.ErrNotFound) {
		a.none = true
		return a, nil
	}
	return a, err
}

func (a *anchored) compare(ctx context.Context, checkpoint string) (anchor, error) {
	head, err := tlog.ParseHead([]byte(checkpoint))
	if err != nil {
		return anchor{Result: evidence.Unknown, Says: "the note's checkpoint can not be read"}, nil
	}
	told := anchor{Origin: head.Origin, Size: head.Size, Result: evidence.Unknown}
	if a.none || head.Origin != a.keys.Origin() {
		told.Says = "the note's checkpoint is of another machine's log"
		return told, nil
	}
	before, err := a.keys.Open([]byte(checkpoint))
	if err != nil {
		told.Says = "the note's checkpoint is not signed by the log"
		return told, nil
	}
	err = a.tree.Consistent(ctx, before.Head, a.now.Head)
	var rolled *tlog.RollbackError
	switch {
	case errors.As(err, &rolled):
		told.Result, told.Says = evidence.Fails, err.Error()
	case errors.Is(err, stemma.ErrInvalid):
		told.Result, told.Says = evidence.Fails, fmt.Sprintf("the log does not lead to size %d: %v", head.Size, err)
	case err != nil:
		return told, err
	default:
		told.Result, told.Says = evidence.Holds, fmt.Sprintf("the log still holds the %d entries that it had when the note was made", head.Size)
	}
	return told, nil
}

// anchorOf compares the checkpoint in the note on a commit with the log; nil
// where there is no note, or it holds none.
func (b *bench) anchorOf(ctx context.Context, commit string) (*anchor, error) {
	tip, err := b.ownNotesTip(ctx)
	if err != nil {
		return nil, err
	}
	blob, err := b.ownNote(ctx, tip, commit)
	if err != nil {
		return nil, err
	}
	checkpoint := noteCheckpoint(blob)
	if checkpoint == "" {
		return nil, nil
	}
	a, err := openAnchored(ctx)
	if err != nil {
		return nil, err
	}
	told, err := a.compare(ctx, checkpoint)
	return &told, err
}

// anchorsChecked counts the checkpoints of notes that fsck compared with the log.
type anchorsChecked struct {
	Compared int `json:"compared"`
	Others   int `json:"others"`  // of other logs, or not signed by this one
	Skipped  int `json:"skipped"` // over the most that are compared
}

// maxAnchors is how many checkpoints of notes fsck compares, the longest first.
const maxAnchors = 1000

// checkAnchors compares the checkpoints in the notes of this repository with the
// log. A note that says something against it is a fault.
func (b *bench) checkAnchors(ctx context.Context, fault func(record.Fault)) (anchorsChecked, error) {
	var done anchorsChecked
	a, err := openAnchored(ctx)
	if err != nil || a.none {
		return done, err
	}
	tip, err := b.ownNotesTip(ctx)
	if err != nil || tip == "" {
		return done, err
	}
	type held struct {
		commit, checkpoint string
		size               uint64
	}
	var all []held
	seen := make(map[string]bool)
	for n, err := range b.repo.Notes(ctx, tip) {
		if err != nil {
			return done, err
		}
		c := noteCheckpoint(n.Text)
		if c == "" || seen[c] {
			continue
		}
		seen[c] = true
		head, _ := tlog.ParseHead([]byte(c)) // what can not be read is of no size
		all = append(all, held{n.Commit, c, head.Size})
	}
	slices.SortFunc(all, func(a, b held) int { return cmp.Or(cmp.Compare(b.size, a.size), cmp.Compare(a.commit, b.commit)) })
	done.Skipped = max(0, len(all)-maxAnchors)
	for _, h := range all[:min(len(all), maxAnchors)] {
		told, err := a.compare(ctx, h.checkpoint)
		if err != nil {
			return done, err
		}
		switch told.Result {
		case evidence.Unknown:
			done.Others++
			continue
		case evidence.Fails:
			fault(record.Fault{Where: "note on commit " + h.commit, Reason: told.Says})
		}
		done.Compared++
	}
	return done, nil
}
