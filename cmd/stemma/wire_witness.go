package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/tlog"
)

// witnessesFile, beside trust.yaml, says which witnesses are believed, and which
// are asked to cosign this machine's log: a policy (C2SP tlog-policy).
const witnessesFile = "witnesses"

// witnesses is what the user's policy says.
type witnesses struct {
	keys   []string // of those that are believed
	policy string   // of those that are asked; "" where nobody is
}

// ownWitnesses reads the user's policy; a user without one believes no witness.
func ownWitnesses() (witnesses, error) {
	text, err := ownFile(witnessesFile)
	if err != nil {
		return witnesses{}, err
	}
	keys, quorum, err := tlog.WitnessKeys(text)
	if err != nil {
		return witnesses{}, fmt.Errorf("%s: %w", witnessesFile, err)
	}
	w := witnesses{keys: keys}
	if quorum {
		w.policy = text
	}
	return w, nil
}

// logKeysOf gives the keys of a log and of the witnesses that are believed: those
// of the user's policy and more.
func logKeysOf(logKey string, more ...string) (tlog.Keys, error) {
	w, err := ownWitnesses()
	if err != nil {
		return tlog.Keys{}, err
	}
	return tlog.NewKeys(logKey, append(w.keys, more...), 0)
}

// checkpointEnding is that of the files, beside the statements about keys, with
// the checkpoints that were kept when those were made.
const checkpointEnding = ".checkpoint"

// keepCheckpoint keeps what witnesses have seen of the log so far: a key is about
// to be rotated or revoked, and what the log has by now is older than that.
func keepCheckpoint(ctx context.Context, dir string, s *spine) error {
	c, err := s.tree.Checkpoint(ctx, s.keys)
	if errors.Is(err, stemma.ErrNotFound) || err == nil && len(c.Witnesses) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	return writeKept(statementsDir(dir), attest.Digest(c.Raw)+checkpointEnding, c.Raw)
}

// keptCheckpoints gives the checkpoints that were kept, the smallest first. bad is
// told of each that is none of this log.
func keptCheckpoints(keys tlog.Keys, bad func(name string, err error)) ([]tlog.Checkpoint, error) {
	dir, err := keysDir()
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(statementsDir(dir), "*"+checkpointEnding))
	if err != nil {
		return nil, err
	}
	var list []tlog.Checkpoint
	for _, file := range files {
		raw, err := readSmall(file, tlog.MaxCheckpoint)
		if err != nil {
			return nil, err
		}
		c, err := keys.Open(raw)
		if name := attest.Digest(raw) + checkpointEnding; err == nil && filepath.Base(file) != name {
			err = fmt.Errorf("its bytes are those of %s: %w", name, stemma.ErrInvalid)
		}
		if err != nil {
			bad(filepath.Base(file), err)
			continue
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b tlog.Checkpoint) int { return cmp.Compare(a.Size, b.Size) })
	return list, nil
}
