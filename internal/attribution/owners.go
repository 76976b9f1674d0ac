package attribution

import (
	"cmp"
	"slices"

	"github.com/stemma-dev/stemma"
)

// Evidenced reports whether a row has lines whose owner the commit's own
// evidence names. Such a commit is an origin of lines; one without them is a
// target, whose lines may be those of another.
func Evidenced(row *stemma.Attribution) bool {
	return row != nil && slices.ContainsFunc(row.Owners, own)
}

// own reports whether an owner with lines is known by the commit's own evidence.
// That nobody else can have written a line is no evidence.
func own(o stemma.Owner) bool {
	return o.Via == "" && o.Lines > 0 && o.Strength.Method != MethodBeforeAgents
}

// owners gives the owners of a commit's lines.
type owners struct {
	row   *stemma.Attribution
	files map[string]*stemma.FileLines
	by    map[ownerBy]*stemma.Owner // what at gave
}

// ownerBy is an owner of the row and the rule by which lines are his.
type ownerBy struct {
	n    int
	rule string
}

// ownersOf gives nil for a row that is no origin.
func ownersOf(row *stemma.Attribution) *owners {
	if !Evidenced(row) {
		return nil
	}
	o := &owners{row: row, files: make(map[string]*stemma.FileLines), by: make(map[ownerBy]*stemma.Owner)}
	for i := range row.Files {
		if f := &row.Files[i]; len(f.Ranges) > 0 {
			o.files[f.Path] = f
		}
	}
	return o
}

func (o *owners) has(path string) bool { return o.files[path] != nil }

// at gives the owner of a line of the commit as it is an owner by this rule, the
// same pointer for the same owner; nil where nobody is known.
func (o *owners) at(path string, line int, rule string) *stemma.Owner {
	f := o.files[path]
	if f == nil {
		return nil
	}
	n := ownerIndex(f, line)
	if n < 0 || !own(o.row.Owners[n]) {
		return nil
	}
	owner := o.by[ownerBy{n, rule}]
	if owner == nil {
		by := By(o.row.Owners[n], rule, o.row.Commit)
		owner = &by
		o.by[ownerBy{n, rule}] = owner
	}
	return owner
}

// ownerIndex gives the index of the owner of an added line, or -1.
func ownerIndex(f *stemma.FileLines, line int) int {
	if f.Whole {
		return f.Ranges[0].Owner
	}
	i, ok := slices.BinarySearchFunc(f.Ranges, line, func(r stemma.OwnedRange, line int) int {
		switch {
		case r.End < line:
			return -1
		case r.Start > line:
			return 1
		default:
			return 0
		}
	})
	if !ok {
		return -1
	}
	return f.Ranges[i].Owner
}

// By gives an owner of a line of the commit via, as he is one by this rule in a
// commit that has the line from it.
func By(o stemma.Owner, rule, via string) stemma.Owner {
	o.Lines, o.Candidate, o.Gone, o.Via = 0, 0, false, via
	o.Strength.Assertion = stemma.Inferred
	o.Strength.Method = rule
	o.Strength.Confidence = min(cmp.Or(o.Strength.Confidence, 1), ruleConfidence[rule])
	return o
}
