package reconcile

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attribution"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
	"github.com/stemma-dev/stemma/internal/project"
)

// Evidence that is found by a key (notes.KeyedSource) is read when a commit is
// derived, with its difference at hand. The keys that the commit names are
// stored with its scope, so that evidence which comes, changes or goes later
// finds it again.

// keyed is one such source as this run found it.
type keyed struct {
	notes.Keyed
	name string
}

// holds gives the source that keeps evidence in a ref, or nil.
func (r *run) holds(ref string) notes.KeyedSource {
	for _, s := range r.Keyed {
		if s.Holds(ref) {
			return s
		}
	}
	return nil
}

// openKeyed looks at where the evidence of each source stands.
func (r *run) openKeyed(ctx context.Context) error {
	for _, s := range r.Keyed {
		held := func(refs project.Refs) map[string]string {
			of := make(map[string]string)
			for name, m := range refs {
				if s.Holds(name) {
					of[name] = m.At
				}
			}
			return of
		}
		k, err := s.Open(ctx, notes.Place{Repo: r.Repo, Refs: held(r.now), Before: held(r.before), Tips: r.tips})
		if err != nil {
			return fmt.Errorf("look for evidence of %s: %w", s.Names()[0], err)
		}
		r.keyed = append(r.keyed, keyed{k, s.Names()[0]})
	}
	return nil
}

// keyedStates gives the states of the sources that have evidence, by name.
func (r *run) keyedStates() map[string]map[string]string {
	states := make(map[string]map[string]string)
	for _, k := range r.keyed {
		if s := k.State(); len(s) > 0 {
			states[k.name] = s
		}
	}
	return states
}

// equalKeyed reports whether both states name the same evidence.
func equalKeyed(a, b map[string]map[string]string) bool {
	return maps.EqualFunc(a, b, maps.Equal[map[string]string, map[string]string])
}

// keyedChanged adds the commits whose evidence is another than under an earlier
// state. all is true where that can not be told.
func (r *run) keyedChanged(ctx context.Context, from map[string]map[string]string, dirty map[string]bool) (all bool, err error) {
	var keys []string
	for _, k := range r.keyed {
		if maps.Equal(from[k.name], k.State()) {
			continue
		}
		change, err := k.Changed(ctx, from[k.name])
		if err != nil && foreign(err) {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("compare evidence of %s: %w", k.name, err)
		}
		keys = append(keys, change.Keys...)
		for _, id := range change.Commits {
			dirty[id] = true
		}
	}
	for chunk := range slices.Chunk(keys, batch) {
		for scope, err := range r.Store.ScopesByKey(ctx, chunk) {
			if err != nil {
				return false, err
			}
			if scope.ID.Kind == stemma.KindCommit {
				dirty[scope.ID.Key] = true
			}
		}
	}
	return false, nil
}

// keys gives the keys that a commit names, of every source.
func (r *run) keys(c *git.Commit) []string {
	var all []string
	for _, k := range r.keyed {
		all = append(all, k.Keys(c)...)
	}
	return all
}

// withKeyed adds to what notes and the commit say what the keyed sources say:
// behind the notes, before the commit's own signals.
func (r *run) withKeyed(ctx context.Context, c *git.Commit, diff git.Diff, said []attribution.Said) ([]attribution.Said, error) {
	var found []attribution.Said
	for _, k := range r.keyed {
		of, err := k.Read(ctx, c, diff)
		if err != nil {
			return nil, fmt.Errorf("evidence of %s on %s: %w", k.name, c.ID, err)
		}
		for _, f := range of {
			found = append(found, attribution.Said{Evidence: f.Evidence, Input: f.Input})
		}
	}
	if len(found) == 0 {
		return said, nil
	}
	at := slices.IndexFunc(said, func(s attribution.Said) bool { return s.Input == fromCommit })
	if at < 0 {
		at = len(said)
	}
	return slices.Concat(said[:at], found, said[at:]), nil
}

// countUnreachedKeyed counts the evidence that no reached commit leads to.
func (r *run) countUnreachedKeyed(ctx context.Context, reached, named map[string]bool) error {
	for _, k := range r.keyed {
		if len(k.State()) == 0 {
			continue
		}
		n, unread, err := k.Unreached(ctx, notes.Reached{
			Commit: func(id string) bool { return reached[id] },
			Key:    func(key string) bool { return named[key] },
		})
		if err != nil {
			return fmt.Errorf("evidence of %s: %w", k.name, err)
		}
		r.report.Unread = append(r.report.Unread, unread...)
		if n > 0 {
			r.report.Unreached[k.name] += n
		}
	}
	return nil
}

// shadowBranch reports whether a branch holds what Entire keeps of a work tree
// between two commits: "entire/<7 hex>", with "-<6 hex>" of the work tree behind.
func shadowBranch(name string) bool {
	rest, ok := strings.CutPrefix(name, "entire/")
	base, tree, two := strings.Cut(rest, "-")
	return ok && len(base) >= 7 && isHex(base) && (!two || len(tree) == 6 && isHex(tree))
}

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }
