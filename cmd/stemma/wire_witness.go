package main

import (
	"fmt"

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
