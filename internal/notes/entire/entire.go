// Package entire reads what Entire says about a commit: the checkpoints that
// its trailers name, in the branch entire/checkpoints/v1 (entire/sessions at first) or in one ref
// for each.
//
// Begin with [Source]. The format is docs/architecture/sessions-and-checkpoints.md
// and docs/architecture/ref-checkpoint-backend.md of entireio/cli (0.4.4 and
// later), and in detail its cmd/entire/cli/checkpoint.
//
// Entire tells which sessions took part in a commit, which files they touched
// and how many lines it counts for agent and people. It does not tell which
// lines: the sessions are candidates, and the counts are kept as figures.
// Models are not in the metadata of its first versions, so they are read from
// the transcripts, which are copies of the agent's own.
//
// The transcripts of Claude Code hold what each edit put in the place of what.
// Lines that were inserted so, and that the commit added to the same file, are
// concluded to be the session's, under a name of their own: see [EditsName].
package entire

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
)

// Name is the name of the source.
const Name = "entire"

// Where checkpoints are kept.
const (
	branch    = "entire/checkpoints/v1"
	oldBranch = "entire/sessions"          // its name in the first versions
	refPrefix = "refs/entire/checkpoints/" // then "<last two of the id>/<id>"
)

// Source reads Entire's checkpoints. The zero Source is ready to use.
type Source struct{}

var _ notes.KeyedSource = Source{}

// Names gives "entire" and "entire-transcript".
func (Source) Names() []string { return []string{Name, EditsName} }

// Holds reports whether a ref is the branch of checkpoints, here or as a remote
// has it, or the ref of one checkpoint.
func (Source) Holds(ref string) bool {
	if _, ok := refID(ref); ok {
		return true
	}
	for _, b := range []string{branch, oldBranch} {
		if ref == "refs/heads/"+b || strings.HasPrefix(ref, "refs/remotes/") && strings.HasSuffix(ref, "/"+b) {
			return true
		}
	}
	return false
}

// refID gives the id of the checkpoint that a ref is named after.
func refID(ref string) (string, bool) {
	rest, ok := strings.CutPrefix(ref, refPrefix)
	shard, id, cut := strings.Cut(rest, "/")
	if !ok || !cut || !validID(id) || shard != id[len(id)-2:] {
		return "", false
	}
	return id, true
}

// validID reports whether a text is the id of a checkpoint: 12 digits of
// hexadecimal, or a ULID.
func validID(s string) bool {
	switch len(s) {
	case 12:
		return strings.Trim(s, "0123456789abcdef") == ""
	case 26:
		return strings.Trim(s, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") == ""
	default:
		return false
	}
}

// keyPrefix begins the keys of checkpoints.
const keyPrefix = "checkpoint:"

// Open sorts the refs: a checkpoint is looked for in its own ref first, then in
// the local branch, then in those of remotes, by name.
func (Source) Open(_ context.Context, at notes.Place) (notes.Keyed, error) {
	c := &checkpoints{repo: at.Repo, refs: own(at.Refs), before: own(at.Before), branches: make(map[string]string)}
	for name, id := range at.Refs {
		if _, is := refID(name); !is {
			c.branches[name] = id
		}
	}
	c.order = slices.Sorted(maps.Keys(c.branches)) // refs/heads before refs/remotes
	return c, nil
}

// own gives the commits of refs that are named after checkpoints, by id.
func own(refs map[string]string) map[string]string {
	by := make(map[string]string)
	for name, at := range refs {
		if id, ok := refID(name); ok {
			by[id] = at
		}
	}
	return by
}

// checkpoints is where a repository keeps them.
type checkpoints struct {
	repo         *git.Repo
	refs, before map[string]string // of one checkpoint each: id -> commit
	branches     map[string]string // full name -> commit
	order        []string          // names of branches, as they are looked into
}

// refsState is the name in the state under which all refs of checkpoints are
// digested: there may be a hundred thousand.
const refsState = "refs"

// State gives the commits of the branches, and a digest of the refs.
func (k *checkpoints) State() map[string]string {
	state := maps.Clone(k.branches)
	if len(k.refs) > 0 {
		state[refsState] = digest(k.refs)
	}
	return state
}

func digest(refs map[string]string) string {
	h := sha256.New()
	for _, id := range slices.Sorted(maps.Keys(refs)) {
		fmt.Fprintf(h, "%s %s\n", id, refs[id])
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// Changed gives the checkpoints that were added, changed or removed.
func (k *checkpoints) Changed(ctx context.Context, from map[string]string) (notes.Change, error) {
	ids := make(map[string]bool)
	if err := k.refsChanged(from[refsState], ids); err != nil {
		return notes.Change{}, err
	}
	names := make(map[string]bool)
	for name := range from {
		names[name] = name != refsState
	}
	for name := range k.branches {
		names[name] = true
	}
	for name, is := range names {
		if !is {
			continue
		}
		if err := k.branchChanged(ctx, from[name], k.branches[name], ids); err != nil {
			return notes.Change{}, err
		}
	}
	var c notes.Change
	for id := range ids {
		c.Keys = append(c.Keys, keyPrefix+id)
	}
	slices.Sort(c.Keys)
	return c, nil
}

// refsChanged compares the refs of the last observation with those of now,
// where the earlier state is that of the last observation.
func (k *checkpoints) refsChanged(from string, ids map[string]bool) error {
	now := k.State()[refsState]
	before := k.before
	switch {
	case from == now:
		return nil
	case from == "":
		before = nil
	case len(before) == 0 || digest(before) != from:
		return fmt.Errorf("refs of checkpoints as they were: %w", stemma.ErrNotFound)
	}
	for id, at := range k.refs {
		if before[id] != at {
			ids[id] = true
		}
	}
	for id := range before {
		if k.refs[id] == "" {
			ids[id] = true
		}
	}
	return nil
}

func (k *checkpoints) branchChanged(ctx context.Context, from, to string, ids map[string]bool) error {
	if from == to {
		return nil
	}
	if from != "" {
		if _, _, err := k.repo.Stat(ctx, from); err != nil {
			return err
		}
	}
	if to == "" {
		from, to = "", from // the same paths, from the side that is there
	}
	for change, err := range k.repo.TreeDiff(ctx, from, to) {
		if err != nil {
			return err
		}
		if id, ok := pathID(change.Path); ok {
			ids[id] = true
		}
	}
	return nil
}

// pathID gives the id of the checkpoint that a path of the branch belongs to.
func pathID(path string) (string, bool) {
	shard, rest, _ := strings.Cut(path, "/")
	rest, _, _ = strings.Cut(rest, "/")
	id := shard + rest
	return id, len(shard) == 2 && validID(id)
}

// Keys gives the checkpoints that the message of the commit names.
func (k *checkpoints) Keys(c *git.Commit) []string {
	m := readMessage(c.Message)
	keys := make([]string, len(m.checkpoints))
	for i, id := range m.checkpoints {
		keys[i] = keyPrefix + id
	}
	if len(keys) == 0 && m.says() {
		keys = []string{keyPrefix} // the message is needed all the same
	}
	return keys
}

// Unreached counts the checkpoints that no reached commit names.
func (k *checkpoints) Unreached(ctx context.Context, r notes.Reached) (n int, unread []string, err error) {
	all := make(map[string]bool)
	for id := range k.refs {
		all[id] = true
	}
	for _, name := range k.order {
		if err := k.list(ctx, k.branches[name], all); err != nil {
			return 0, nil, err
		}
	}
	for id := range all {
		if !r.Key(keyPrefix + id) {
			n++
		}
	}
	return n, nil, nil
}

// list adds the checkpoints of a branch. What of it is damaged or missing has
// none that could be read.
func (k *checkpoints) list(ctx context.Context, commit string, all map[string]bool) error {
	_, shards, err := k.repo.Entries(ctx, commit, "")
	if err != nil {
		return unlessForeign(err)
	}
	for _, shard := range shards {
		if shard.Type != "tree" || len(shard.Path) != 2 {
			continue
		}
		_, entries, err := k.repo.Entries(ctx, shard.ID, "")
		if err := unlessForeign(err); err != nil {
			return err
		}
		for _, e := range entries {
			if id := shard.Path + e.Path; e.Type == "tree" && validID(id) {
				all[id] = true
			}
		}
	}
	return nil
}

// unlessForeign gives an error of our own, and nil for one of the bytes read.
func unlessForeign(err error) error {
	if errors.Is(err, stemma.ErrInvalid) || errors.Is(err, stemma.ErrNotFound) {
		return nil
	}
	return err
}
