package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attribution"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/project"
	"github.com/stemma-dev/stemma/internal/store"
)

// state is everything that the derived facts depend on, besides the commits.
type state struct {
	Refs         string                       `json:"refs"`            // digest of the selected refs
	EvidenceRefs string                       `json:"evidenceRefs"`    // digest of the refs named after commits
	Notes        map[string]string            `json:"notes"`           // ref of notes -> where it is
	Keyed        map[string]map[string]string `json:"keyed,omitempty"` // source -> what its evidence is made of
	Generated    string                       `json:"generated"`       // digest of the rules
	AgentEra     int64                        `json:"agentEra"`
	Shallow      string                       `json:"shallow"` // digest of the boundary
	Boundary     []string                     `json:"boundary,omitempty"`
	AllRefs      bool                         `json:"allRefs,omitempty"`
	Branch       string                       `json:"branch"`
	Tip          string                       `json:"tip"` // of the branch
	Algorithm    int                          `json:"algorithm"`
	// Follow says that rewrites are followed: there is evidence. Outside is a
	// digest of the commits that are looked at beside those that refs reach.
	Follow  bool   `json:"follow,omitempty"`
	Outside string `json:"outside,omitempty"`
}

// equal reports whether both states derive the same graph.
func (s state) equal(t state) bool {
	return s.Refs == t.Refs && s.EvidenceRefs == t.EvidenceRefs && maps.Equal(s.Notes, t.Notes) && equalKeyed(s.Keyed, t.Keyed) &&
		s.Generated == t.Generated && s.AgentEra == t.AgentEra && s.Shallow == t.Shallow &&
		s.AllRefs == t.AllRefs && s.Branch == t.Branch && s.Tip == t.Tip && s.Algorithm == t.Algorithm &&
		s.Follow == t.Follow && s.Outside == t.Outside
}

// readState says what this run derives from.
func (r *run) readState(ctx context.Context, refs []git.Ref, branch, tip string) error {
	boundary := slices.Clone(r.Repo.Shallow())
	slices.Sort(boundary)
	sum := sha256.Sum256([]byte(strings.Join(boundary, " ")))
	g, err := newGenerated(ctx, r.Repo, tip, r.Generated)
	if err != nil {
		return fmt.Errorf("generated paths: %w", err)
	}
	r.generated = g
	if err := r.openKeyed(ctx); err != nil {
		return err
	}
	r.state = state{
		Refs:         r.tipsDigest(r.now),
		EvidenceRefs: digestRefs(r.now, func(name string) bool { _, ok := r.namedAfter(name); return ok }),
		Notes:        make(map[string]string),
		Keyed:        r.keyedStates(),
		Generated:    g.digest,
		AgentEra:     r.AgentEra,
		Shallow:      hex.EncodeToString(sum[:]),
		Boundary:     boundary,
		AllRefs:      r.AllRefs,
		Branch:       branch,
		Tip:          tip,
		Algorithm:    attribution.Algorithm,
	}
	for _, s := range r.Notes {
		for _, ref := range s.NotesRefs() {
			if m, ok := r.now[ref]; ok {
				r.state.Notes[ref] = m.At
			}
		}
	}
	if err := r.readEvidence(ctx); err != nil {
		return err
	}
	return r.readOutside(ctx, refs)
}

func (r *run) tipsDigest(refs project.Refs) string { return digestRefs(refs, r.selected) }

// marks is what the store remembers of earlier runs on one repository.
type marks struct {
	done  *state  // what everything was last derived from; nil before the first run ended
	begun []state // what runs that did not end derived from since
}

const (
	doneMark  = "derived/"
	begunMark = "deriving/"
)

func readMarks(ctx context.Context, s store.Store, repository string) (marks, error) {
	all, err := s.Marks(ctx)
	if err != nil {
		return marks{}, err
	}
	var m marks
	if text := all[doneMark+repository]; text != "" {
		if err := json.Unmarshal([]byte(text), &m.done); err != nil {
			return marks{}, fmt.Errorf("mark %s: %v: %w", doneMark+repository, err, stemma.ErrInvalid)
		}
	}
	if text := all[begunMark+repository]; text != "" {
		if err := json.Unmarshal([]byte(text), &m.begun); err != nil {
			return marks{}, fmt.Errorf("mark %s: %v: %w", begunMark+repository, err, stemma.ErrInvalid)
		}
	}
	return m, nil
}

// begin notes that rows are from now on derived from this state too, so that a
// run after a stop knows what to compare with.
func (r *run) begin(ctx context.Context) error {
	if slices.ContainsFunc(r.marks.begun, r.state.equal) {
		return nil
	}
	r.marks.begun = append(r.marks.begun, r.state)
	return r.putMarks(ctx)
}

// finish notes that everything is derived from this state.
func (r *run) finish(ctx context.Context) error {
	r.marks.done, r.marks.begun = &r.state, nil
	return r.putMarks(ctx)
}

func (r *run) putMarks(ctx context.Context) error {
	m := map[string]string{begunMark + r.report.Repository: ""}
	if len(r.marks.begun) > 0 {
		text, err := json.Marshal(r.marks.begun)
		if err != nil {
			return fmt.Errorf("marks: %w", err)
		}
		m[begunMark+r.report.Repository] = string(text)
	}
	if r.marks.done != nil {
		text, err := json.Marshal(r.marks.done)
		if err != nil {
			return fmt.Errorf("marks: %w", err)
		}
		m[doneMark+r.report.Repository] = string(text)
	}
	return r.Store.Put(ctx, store.Batch{Marks: m})
}
