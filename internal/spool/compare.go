package spool

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// slack is by how much the clock that stamps files may be behind the one that
// this process reads: file systems stamp with the time of the last tick.
const slack = 20 * time.Millisecond

// maxSame is how many files a record names that are as they were.
const maxSame = 256

// treeState is what a hook remembers of a work tree before a tool runs.
type treeState struct {
	Began int64           `json:"began"` // ns since 1970
	Dirty map[string]stat `json:"dirty"`
	Gone  []string        `json:"gone"`
	// Held are the files whose content, as of that stat, is in the spool.
	Held map[string]stat `json:"held"`
	// Index is the file that keeps git's index as it was; "" where it is not kept.
	Index string `json:"index,omitempty"`
}

// compare looks at the whole work tree: before a tool that may write anything
// it keeps what differs from git's index, after it what changed meanwhile.
func (b *binder) compare() {
	limit := b.Limits.Time
	if limit <= 0 {
		limit = 2 * time.Second
	}
	path := b.statePath()
	switch b.call.phase {
	case Before:
		began := time.Now().Add(-slack).UnixNano() // by the clock that stamps files
		now, err := scanTree(b.place, b.Config, began, time.Now().Add(limit))
		if err != nil {
			b.gap("before the tool: "+err.Error(), "")
			b.forget(path)
			return
		}
		state := treeState{Index: b.keepIndex(path), Began: began, Dirty: now.Dirty, Gone: slices.Sorted(maps.Keys(now.Gone)), Held: make(map[string]stat)}
		held := b.lastHeld()
		for _, rel := range slices.Sorted(maps.Keys(now.Dirty)) {
			s := now.Dirty[rel]
			switch {
			case held[rel] == s && utf8.ValidString(rel):
				b.record.Same = append(b.record.Same, rel)
			case held[rel] == s:
			case !b.take(rel):
				continue
			}
			state.Held[rel] = s
		}
		if len(b.record.Same) > maxSame {
			b.record.Same = nil
		}
		if err := b.writeState(path, state); err != nil {
			b.gap("before the tool: "+err.Error(), "")
		}
	case After:
		before, err := readState(path)
		if err != nil {
			b.gap("no comparison from before the tool", "")
			return
		}
		defer b.forget(path)
		now, err := scanTree(b.place, b.Config, before.Began, time.Now().Add(limit))
		if err != nil {
			b.gap("after the tool: "+err.Error(), "")
			return
		}
		b.changed(before, now)
	}
}

// changed keeps what changed between two looks at the work tree.
func (b *binder) changed(before treeState, now *scan) {
	paths := make(map[string]bool)
	for rel, s := range now.Young {
		if before.Dirty[rel] != s {
			paths[rel] = true
		}
	}
	for rel, s := range now.Dirty {
		// A system without ctime shows what a tool moved here only by this.
		if before.Dirty[rel] != s {
			paths[rel] = true
		}
	}
	for rel := range now.Gone {
		if !slices.Contains(before.Gone, rel) {
			paths[rel] = true
		}
	}
	for rel := range before.Dirty {
		if _, err := os.Lstat(filepath.Join(b.place.Tree, filepath.FromSlash(rel))); os.IsNotExist(err) {
			paths[rel] = true
		}
	}
	held := make(map[string]stat)
	was := b.wasInGit(before, paths)
	for _, rel := range slices.Sorted(maps.Keys(paths)) {
		n := len(b.record.Files)
		ok := b.take(rel)
		if len(b.record.Files) > n {
			b.record.Files[n].Was = was[rel]
		}
		if !ok {
			continue
		}
		if s, ok := now.Dirty[rel]; ok {
			held[rel] = s
		}
	}
	for rel, s := range before.Held {
		if _, ok := held[rel]; !ok && now.Dirty[rel] == s {
			held[rel] = s
		}
	}
	// What is held now need not be kept again before the next tool.
	if err := b.writeState(b.heldPath(), treeState{Held: held}); err != nil {
		b.gap("after the tool: "+err.Error(), "")
	}
}

// keepIndex keeps git's index as it is, for what a tool changes of files that
// are as it has them. git never writes into an index, it makes a new one: a link
// is enough where one can be made.
func (b *binder) keepIndex(state string) string {
	index := filepath.Join(b.place.GitDir, "index")
	kept := strings.TrimSuffix(state, ".json") + ".index"
	if os.MkdirAll(filepath.Dir(kept), 0o700) != nil {
		return ""
	}
	os.Remove(kept)
	if os.Link(index, kept) == nil {
		return kept
	}
	data, err := readAtMost(index, maxState)
	if err != nil || len(data) == maxState || os.WriteFile(kept, data, 0o600) != nil {
		return ""
	}
	return kept
}

// forget removes what was remembered of the time before a tool.
func (b *binder) forget(state string) {
	os.Remove(state)
	os.Remove(strings.TrimSuffix(state, ".json") + ".index")
}

// wasInGit gives the ids of git's objects that changed files were as, of those
// that were as git's index had them.
func (b *binder) wasInGit(before treeState, changed map[string]bool) map[string]string {
	was := make(map[string]string)
	for rel := range changed {
		if _, dirty := before.Dirty[rel]; !dirty && !slices.Contains(before.Gone, rel) {
			was[rel] = ""
		}
	}
	if len(was) == 0 || before.Index == "" {
		return nil
	}
	if _, err := readIndexFile(before.Index, hashSize(b.place.Common), was); err != nil {
		return nil
	}
	return was
}

// take makes a snapshot of a file that nothing named, within the limits, and
// reports whether its content is held.
func (b *binder) take(rel string) bool {
	files, bytes := b.Limits.Files, b.Limits.Bytes
	if files <= 0 {
		files = 2000
	}
	if bytes <= 0 {
		bytes = 128 << 20
	}
	if len(b.record.Files) >= files || b.bytes >= bytes {
		b.gap(fmt.Sprintf("more than %d files or %d bytes changed", files, bytes), rel)
		return false
	}
	n := len(b.record.Files)
	b.snapshot(rel, true)
	return len(b.record.Files) > n && b.record.Files[n].Blob != ""
}

// statePath is where the state before a tool call is kept until it has run:
// one for each call, or for each session where the agent does not number calls.
func (b *binder) statePath() string {
	sum := sha256.Sum256([]byte(b.record.Agent + "\x00" + b.record.Session + "\x00" + b.record.Call + "\x00" + b.place.Tree))
	return filepath.Join(b.spool.dir, "state", hex.EncodeToString(sum[:12])+".json")
}

// heldPath is where is kept which files of a work tree are in the spool as they
// were last seen.
func (b *binder) heldPath() string {
	sum := sha256.Sum256([]byte(b.place.Tree))
	return filepath.Join(b.spool.dir, "state", "held-"+hex.EncodeToString(sum[:12])+".json")
}

func (b *binder) lastHeld() map[string]stat {
	s, err := readState(b.heldPath())
	if err != nil {
		return nil
	}
	return s.Held
}

// maxState is the size in bytes over which a state is not read.
const maxState = 64 << 20

func readState(path string) (treeState, error) {
	var s treeState
	text, err := readAtMost(path, maxState)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, err
	}
	return s, nil
}

func (b *binder) writeState(path string, s treeState) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
