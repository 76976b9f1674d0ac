package vault

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/stemma-dev/stemma"
)

// Class says why content is kept, and so for how long.
type Class string

// The classes of retention.
const (
	// ClassContent is for prompts, transcripts and snapshots: 90 days.
	ClassContent Class = "content"
	// ClassMetadata is for what describes them: 400 days, never under 183 (EU AI
	// Act, Articles 19 and 26(6): at least six months).
	ClassMetadata Class = "metadata"
	// ClassRelease is for what belongs to a release: 10 years (EU AI Act, Article 18).
	ClassRelease Class = "release-bundle"
	// ClassIncident is for what is kept for an incident: until it is erased.
	ClassIncident Class = "incident-hold"
	// ClassAudit is for who did what with evidence: 7 years.
	ClassAudit Class = "audit-log"
)

// Classes lists the classes.
var Classes = []Class{ClassContent, ClassMetadata, ClassRelease, ClassIncident, ClassAudit}

// terms are, in days, what holds by default, and the floor and ceiling of what
// may be chosen. 0 is for ever.
var terms = map[Class]struct{ days, floor, ceiling int }{
	ClassContent:  {90, 1, 3660},
	ClassMetadata: {400, 183, 36600},
	ClassRelease:  {3653, 3653, 36600},
	ClassIncident: {0, 0, 0},
	ClassAudit:    {2557, 2557, 36600},
}

// Retention is how many days content of each class is kept. Classes that are
// not named are kept for their default.
type Retention map[Class]int

// maxRetention bounds the file of a retention, bytes.
const maxRetention = 64 << 10

// DecodeRetention reads a retention from JSON, such as {"content": 30}. It is
// ErrInvalid for classes that do not exist, and for terms under the floor of
// their class.
func DecodeRetention(text []byte) (Retention, error) {
	if len(text) > maxRetention {
		return nil, fmt.Errorf("retention: longer than %d bytes: %w", maxRetention, stemma.ErrInvalid)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("retention: no JSON object: %w", stemma.ErrInvalid)
	}
	r := Retention{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("retention: at byte %d: %v: %w", dec.InputOffset(), err, stemma.ErrInvalid)
		}
		class := Class(name.(string)) // the names of members are strings
		var days int
		if err := dec.Decode(&days); err != nil {
			return nil, fmt.Errorf("retention: %s, at byte %d: no number of days: %w", class, dec.InputOffset(), stemma.ErrInvalid)
		}
		if _, twice := r[class]; twice {
			return nil, fmt.Errorf("retention: %s is named twice: %w", class, stemma.ErrInvalid)
		}
		r[class] = days
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("retention: the object is not ended: %w", stemma.ErrInvalid)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("retention: more follows at byte %d: %w", dec.InputOffset(), stemma.ErrInvalid)
	}
	return r, r.check()
}

func (r Retention) check() error {
	for class, days := range r {
		t, known := terms[class]
		switch {
		case !known:
			return fmt.Errorf("retention: there is no class %q: %w", class, stemma.ErrInvalid)
		case class == ClassIncident:
			return fmt.Errorf("retention: %s has no term: it ends by erasure: %w", class, stemma.ErrInvalid)
		case days < t.floor:
			return fmt.Errorf("retention: %s for %d days is under its floor of %d: %w", class, days, t.floor, stemma.ErrInvalid)
		case days > t.ceiling:
			return fmt.Errorf("retention: %s for %d days is over its ceiling of %d: %w", class, days, t.ceiling, stemma.ErrInvalid)
		}
	}
	return nil
}

// Days is how long content of a class is kept; 0 is until it is erased.
func (r Retention) Days(c Class) int {
	if days, chosen := r[c]; chosen {
		return days
	}
	return terms[c].days
}
