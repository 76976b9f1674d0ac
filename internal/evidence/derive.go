package evidence

import (
	"fmt"
	"reflect"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
)

// compare says whether an attribution that was computed again is the one that
// was stated. People are compared by their place, not by name: pseudonyms are
// made with a key that stays on a machine, so that another machine has others.
func compare(stated attest.Attribution, again stemma.Attribution) (Result, []string) {
	if stated.Algorithm.Name != attest.AlgorithmName || stated.Algorithm.Version != again.Algorithm {
		return Unknown, []string{fmt.Sprintf("made by version %d of the rules %q; this stemma has version %d of %q",
			stated.Algorithm.Version, stated.Algorithm.Name, again.Algorithm, attest.AlgorithmName)}
	}
	if stated.Input != again.Input {
		return Unknown, []string{"inputs gone: what the repository has today (notes, or which paths are generated) is not what it was computed from"}
	}
	was := stated.Row()
	if stated.Part != nil {
		again.Files = only(again.Files, was.Files)
	}
	if reason := differ(was, again); reason != "" {
		return Fails, []string{"differs: " + reason}
	}
	return Holds, []string{"equal"}
}

// only gives the files of which a part speaks.
func only(files, part []stemma.FileLines) []stemma.FileLines {
	named := make(map[string]bool, len(part))
	for _, f := range part {
		named[f.Path] = true
	}
	var kept []stemma.FileLines
	for _, f := range files {
		if named[f.Path] {
			kept = append(kept, f)
		}
	}
	return kept
}

// differ names the first thing in which two rows differ, or "".
func differ(was, again stemma.Attribution) string {
	if len(was.Owners) != len(again.Owners) {
		return fmt.Sprintf("%d owners were stated, and there are %d", len(was.Owners), len(again.Owners))
	}
	people := make(map[string]string)
	used := make(map[string]bool)
	for i, o := range was.Owners {
		other := again.Owners[i].Person
		if name, ok := people[o.Person]; ok && name != other || !ok && other != "" && used[other] {
			return fmt.Sprintf("owner %d is another person", i)
		}
		people[o.Person], used[other] = other, true
		if (o.Person == "") == (other == "") {
			was.Owners[i].Person = other
		}
		if !reflect.DeepEqual(was.Owners[i], again.Owners[i]) {
			return fmt.Sprintf("owner %d was stated as %s, and is %s", i, owner(was.Owners[i]), owner(again.Owners[i]))
		}
	}
	if len(was.Files) != len(again.Files) {
		return fmt.Sprintf("%d files were stated, and there are %d", len(was.Files), len(again.Files))
	}
	for i, f := range was.Files {
		g := again.Files[i]
		if len(f.Ranges) == 0 && len(g.Ranges) == 0 {
			f.Ranges, g.Ranges = nil, nil
		}
		if !reflect.DeepEqual(f, g) {
			return fmt.Sprintf("the lines of %q", f.Path)
		}
	}
	was.Owners, was.Files, again.Owners, again.Files = nil, nil, nil, nil
	if len(was.Sources) == 0 && len(again.Sources) == 0 {
		was.Sources, again.Sources = nil, nil
	}
	a, b := reflect.ValueOf(was), reflect.ValueOf(again)
	for i := range a.NumField() {
		if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			return fmt.Sprintf("%s was stated as %v, and is %v", a.Type().Field(i).Name, a.Field(i).Interface(), b.Field(i).Interface())
		}
	}
	return ""
}

func owner(o stemma.Owner) string {
	who := "session " + o.Session
	if o.Session == "" {
		who = "a person"
	}
	return fmt.Sprintf("%s (%s, %d lines, from %s)", who, o.Class, o.Lines, o.Source)
}
