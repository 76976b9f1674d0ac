package project

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/stemma-dev/stemma"
)

// Observed is what the evidence says of the refs that one observer saw: the
// projection of its ref observations, up to a place in the log.
type Observed struct {
	Log        string   `json:"log"`        // origin
	Next       uint64   `json:"next"`       // index after the last observation
	Repository string   `json:"repository"` // key of its node; "" before the first
	Refs       Refs     `json:"refs"`
	Gone       []string `json:"gone,omitempty"` // names of refs that were seen once; sorted
}

// Fold applies the statement at an index of the log. One of another type or
// observer changes nothing. The error is ErrInvalid for a predicate that can not
// be read.
func (o *Observed) Fold(index uint64, s stemma.Statement, observer string) error {
	if s.PredicateType != stemma.RefObservationType || index < o.Next {
		return nil
	}
	var seen stemma.RefObservation
	if err := json.Unmarshal(s.Predicate, &seen); err != nil {
		return fmt.Errorf("ref observation at log index %d: %v: %w", index, err, stemma.ErrInvalid)
	}
	if seen.Observer != observer {
		return nil
	}
	o.Next = index + 1
	if seen.Repository != o.Repository {
		// The clone is another repository's now: what was seen of the first says
		// nothing of it.
		o.Repository, o.Refs, o.Gone = seen.Repository, nil, nil
	}
	if o.Refs == nil {
		o.Refs = make(Refs)
	}
	for _, m := range seen.Refs {
		at, known := slices.BinarySearch(o.Gone, m.Name)
		switch {
		case m.At == "" && m.Target == "":
			delete(o.Refs, m.Name)
			if !known {
				o.Gone = slices.Insert(o.Gone, at, m.Name)
			}
		default:
			o.Refs[m.Name] = m
			if known {
				o.Gone = slices.Delete(o.Gone, at, at+1)
			}
		}
	}
	return nil
}
