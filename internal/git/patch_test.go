package git

import (
	"slices"
	"strings"
	"testing"
)

// TestPatchesHoldTheLinesOfTheirFiles compares each hunk with the files before
// and after the commit, and the rest with what Added gives.
func TestPatchesHoldTheLinesOfTheirFiles(t *testing.T) {
	g := newTestRepo(t)
	all, merges := oddHistory(t, g)
	r := g.open()
	added := addedOf(t, r, all...)
	linesOf := func(rev, path string) []string {
		text, err := tryRun(g.dir, nil, nil, "cat-file", "blob", rev+":"+path)
		if err != nil {
			t.Fatalf("%s:%s: %s", rev, path, text)
		}
		return strings.Split(text, "\n")
	}
	lines := 0
	for d, err := range r.Patches(t.Context(), slices.Values(all), 2) {
		if err != nil {
			t.Fatal(err)
		}
		merge := slices.Contains(merges, d.Commit)
		for i, f := range d.Files {
			if !slices.Equal(f.Ranges, added[d.Commit].Files[i].Ranges) {
				t.Errorf("%s %q: ranges %v, Added has %v", d.Commit, f.Path, f.Ranges, added[d.Commit].Files[i].Ranges)
			}
			var ranges []LineRange
			for _, h := range f.Hunks {
				if len(h.Added) > 0 {
					ranges = append(ranges, LineRange{h.NewStart, h.NewStart + len(h.Added) - 1})
				}
				if f.Status == 'T' || strings.ContainsRune(f.Path, '\n') {
					continue
				}
				for n, l := range h.Added {
					lines++
					if want := linesOf(d.Commit, f.Path)[h.NewStart-1+n]; LineOf([]byte(want)) != l {
						t.Errorf("%s %q: line %d is not %q", d.Commit, f.Path, h.NewStart+n, want)
					}
				}
				old := f.Path
				if f.OldPath != "" {
					old = f.OldPath
				}
				for n, l := range h.Removed {
					if merge {
						t.Errorf("%s %q: a merge has no lines before it", d.Commit, f.Path)
						continue
					}
					if want := linesOf(d.Commit+"^", old)[h.OldStart-1+n]; LineOf([]byte(want)) != l {
						t.Errorf("%s %q: line %d before is not %q", d.Commit, old, h.OldStart+n, want)
					}
				}
			}
			if len(ranges) != len(f.Ranges) && !merge {
				t.Errorf("%s %q: hunks %v, ranges %v", d.Commit, f.Path, ranges, f.Ranges)
			}
		}
	}
	if lines < 50 {
		t.Errorf("%d lines were compared, too few to show anything", lines)
	}
}

// TestLineLeavesWhiteSpaceOut holds what one line is and how much it says.
func TestLineLeavesWhiteSpaceOut(t *testing.T) {
	for _, same := range [][2]string{{"\tif a {", "if  a { "}, {"x\r", "x"}, {"", " \t"}} {
		if LineOf([]byte(same[0])) != LineOf([]byte(same[1])) {
			t.Errorf("%q and %q differ in white space alone, and are two lines", same[0], same[1])
		}
	}
	long := strings.Repeat("long ", 400)
	for _, two := range [][2]string{{"a", "b"}, {"", "}"}, {long, long + "x"}} {
		if LineOf([]byte(two[0])) == LineOf([]byte(two[1])) {
			t.Errorf("%.20q and %.20q are one line", two[0], two[1])
		}
	}
	for text, want := range map[string]int{"": 0, " } ": 0, "return nil": 9, "ä": 2, long: 63} {
		if got := LineOf([]byte(text)).Weight(); got != want {
			t.Errorf("weight of %.20q = %d, want %d", text, got, want)
		}
	}
}
