package notes

import "github.com/stemma-dev/stemma"

// Attributed is a commit's attribution with the lines that it added, for the
// formats that stemma writes for others.
type Attributed struct {
	stemma.Attribution
	Author string             // the commit's author, "Name <mail>"; "" where it is an agent's account
	Added  map[string][]Range // by path: the lines of FileLines that are Whole
}

// Ranges gives the ranges of a file by owner, with a file that one owner has as
// a whole spelled out. Generated files have none.
func (a Attributed) Ranges(f stemma.FileLines) []stemma.OwnedRange {
	if !f.Whole || len(f.Ranges) != 1 {
		return f.Ranges
	}
	all := make([]stemma.OwnedRange, 0, len(a.Added[f.Path]))
	for _, r := range a.Added[f.Path] {
		all = append(all, stemma.OwnedRange{Start: r.Start, End: r.End, Owner: f.Ranges[0].Owner, Class: f.Ranges[0].Class})
	}
	return all
}
