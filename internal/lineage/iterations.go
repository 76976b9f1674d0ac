package lineage

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/project"
)

// Iterations are the four counts of what a change took. See [SessionsOf] for
// which turns belong to it.
type Iterations struct {
	// Of is the key of the change; or the id of the commit, where it is that of a
	// commit by which no change entered.
	Of string `json:"of"`
	// Prompts are those of people in the turns that belong to it, in its sessions
	// that count and those that spawned them.
	Prompts Tallied `json:"prompts"`
	// Rewrites are edits that replaced lines which the same session had written,
	// in files of the change, both after the session's commit before and before
	// this one: see agent.Rewrite.
	Rewrites Tallied `json:"rewrites"`
	CI       Tallied `json:"ci_rounds"`
	Reviews  Tallied `json:"review_rounds"`
}

// Tallied is a count that may not be known.
type Tallied struct {
	Value   *int   `json:"value"` // null where it is not known
	AtLeast int    `json:"at_least"`
	Why     string `json:"why,omitempty"` // it is not known
}

// Why counts that nothing here tells are not known.
const (
	WhyNoCI      = "no source of CI runs is read"
	WhyNoReviews = "no source of reviews is read"
	WhyNoSession = "no session is known to have taken part"
	WhyNotTold   = "no transcript of its sessions was recorded on this machine"
)

// enoughAlike is the confidence from which a session that only content joins with
// a commit counts in what the commit took.
const enoughAlike = 0.5

// Counts reports whether the session counts in what its commits took: a source
// joins it with them, or content does with a confidence of one half or more, or
// it spawned one that counts.
func (s *SessionWork) Counts() bool {
	return len(s.Joined) == 0 || slices.ContainsFunc(s.Joined, Join.Counts)
}

// Counts reports whether a source says so, or content with a confidence of one half
// or more.
func (j Join) Counts() bool { return !j.ByContent() || j.Strength.Confidence >= enoughAlike }

// IterationsOf counts what a change, or a commit, took, given its sessions.
func IterationsOf(of string, sessions []*SessionWork) Iterations {
	n := Iterations{Of: of, CI: Tallied{Why: WhyNoCI}, Reviews: Tallied{Why: WhyNoReviews}}
	sessions = slices.DeleteFunc(slices.Clone(sessions), func(s *SessionWork) bool { return !s.Counts() })
	if len(sessions) == 0 {
		n.Prompts.Why, n.Rewrites.Why = WhyNoSession, WhyNoSession
		return n
	}
	seen := make(map[string]bool)
	told := slices.ContainsFunc(sessions, func(s *SessionWork) bool { return s.tale != nil })
	for _, s := range sessions {
		if s.tale == nil && !told {
			n.Prompts.Why, n.Rewrites.Why = WhyNotTold, WhyNotTold
			break
		}
		if why := s.unknown(); why != "" {
			n.Prompts.unknown(s, why)
			if len(s.Joined) > 0 {
				n.Rewrites.unknown(s, why)
			}
			if s.tale == nil {
				continue
			}
		}
		for _, i := range s.included {
			t := s.tale.Session.Turns[i]
			// Of sessions that were forked or resumed the transcripts have the turns
			// of the first, with the same ids.
			if key := s.Agent + "/" + t.ID; len(t.ID) >= agent.GlobalID {
				if seen[key] {
					continue
				}
				seen[key] = true
			}
			switch t.Origin {
			case agent.FromPerson:
				n.Prompts.AtLeast++
			case "":
				n.Prompts.unknown(s, "its transcript begins within a turn")
			}
		}
		for _, t := range s.Turns {
			n.Rewrites.AtLeast += t.Rewrites
			if s.tale.Rewrites[t.Index].Short {
				n.Rewrites.unknown(s, "it was not told from its beginning on")
			}
		}
	}
	for _, c := range []*Tallied{&n.Prompts, &n.Rewrites} {
		if c.Why == "" {
			value := c.AtLeast
			c.Value = &value
		}
	}
	return n
}

func (c *Tallied) unknown(s *SessionWork, why string) {
	if c.Why == "" {
		c.Why = s.Session + ": " + why
	}
}

// unknown gives why what the session did for the commits is not known, or not
// whole; "" where it is.
func (s *SessionWork) unknown() string {
	switch {
	case s.tale == nil:
		return "nothing of it was recorded on this machine"
	case s.lost:
		return "nothing tells in which turn it spawned another session"
	case len(s.Joined) > 0 && len(s.Turns) == 0:
		return "none of its turns is known to have written the files"
	case s.tale.Missing > 0:
		return "parts of what was told of it are missing"
	}
	for _, g := range s.tale.Session.Gaps {
		if g.Kind == agent.GapUnreadable || g.Kind == agent.GapTooLarge {
			return "parts of its transcript could not be read"
		}
	}
	for _, i := range s.included {
		if s.tale.Session.Turns[i].Start.IsZero() {
			return "its transcript has no times"
		}
	}
	return ""
}

// Bound is a condition on one of the counts of [Iterations].
type Bound struct {
	Count string // prompts, rewrites, ci, reviews; "" is any of them
	Op    string // >, >=, =, <=, <
	N     int
}

// the names of the counts in a condition.
var boundCounts = []string{"prompts", "rewrites", "ci", "reviews"}

// ParseBound reads ">3", "prompts>=2" or "rewrites=0". Without a name, any of the
// counts may be more; a condition on less, or on a number itself, names its count,
// because the others are less nearly always. The error is of kind ErrInvalid.
func ParseBound(s string) (Bound, error) {
	at := strings.IndexAny(s, "<>=")
	if at < 0 {
		return Bound{}, fmt.Errorf("%q: want a condition such as >3 or rewrites>=2: %w", s, stemma.ErrInvalid)
	}
	b := Bound{Count: strings.ToLower(strings.TrimSpace(s[:at]))}
	digits := strings.TrimLeft(s[at:], "<>=")
	b.Op = s[at : len(s)-len(digits)]
	var err error
	switch b.N, err = strconv.Atoi(strings.TrimSpace(digits)); {
	case err != nil || b.N < 0 || b.N > 1_000_000:
		return Bound{}, fmt.Errorf("%q: want a number up to 1000000 behind %s: %w", s, b.Op, stemma.ErrInvalid)
	case !slices.Contains([]string{">", ">=", "=", "<=", "<"}, b.Op):
		return Bound{}, fmt.Errorf("%q: want >, >=, =, <= or <: %w", s, stemma.ErrInvalid)
	case b.Count != "" && !slices.Contains(boundCounts, b.Count):
		return Bound{}, fmt.Errorf("%q: no such count; there are %s: %w", s, strings.Join(boundCounts, ", "), stemma.ErrInvalid)
	case b.Count == "" && b.Op != ">" && b.Op != ">=":
		return Bound{}, fmt.Errorf("%q: want the name of a count before %s: %s: %w", s, b.Op, strings.Join(boundCounts, ", "), stemma.ErrInvalid)
	}
	return b, nil
}

// Unknowable gives why the counts that the condition names are known of no change,
// "" where they may be known.
func (b Bound) Unknowable() string {
	switch b.Count {
	case "ci":
		return WhyNoCI
	case "reviews":
		return WhyNoReviews
	default:
		return ""
	}
}

// of gives the counts that the condition is about.
func (b Bound) of(n *Iterations) []Tallied {
	switch b.Count {
	case "prompts":
		return []Tallied{n.Prompts}
	case "rewrites":
		return []Tallied{n.Rewrites}
	case "ci":
		return []Tallied{n.CI}
	case "reviews":
		return []Tallied{n.Reviews}
	default:
		return []Tallied{n.Prompts, n.Rewrites, n.CI, n.Reviews}
	}
}

// Holds reports whether what is known proves the condition.
func (b Bound) Holds(n *Iterations) bool {
	return slices.ContainsFunc(b.of(n), func(c Tallied) bool {
		switch b.Op {
		case ">":
			return c.AtLeast > b.N
		case ">=":
			return c.AtLeast >= b.N && (c.AtLeast > 0 || c.Value != nil)
		}
		if c.Value == nil {
			return false
		}
		return b.Op == "=" && *c.Value == b.N || b.Op == "<=" && *c.Value <= b.N || b.Op == "<" && *c.Value < b.N
	})
}

// least is the least that a count must be, and the counts of sessions that bound it.
func (b Bound) least() (n int, counts []project.Count) {
	switch n = b.N; b.Op {
	case ">":
		n++
	case "<", "<=":
		n = 0
	}
	switch b.Count {
	case "prompts":
		return n, []project.Count{project.Prompts}
	case "rewrites":
		return n, []project.Count{project.Rewrites}
	default:
		return n, []project.Count{project.Prompts, project.Rewrites}
	}
}

// iterationsOf counts what a change took.
func (g Graph) iterationsOf(ctx context.Context, change string, rows []stemma.Attribution) (Iterations, []*SessionWork, error) {
	sessions, err := SessionsOf(ctx, g, change, rows)
	if err != nil {
		return Iterations{}, nil, err
	}
	return IterationsOf(change, sessions), sessions, nil
}
