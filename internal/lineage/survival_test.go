package lineage

import (
	"math"
	"testing"
)

// TestEstimate compares with an example that textbooks work by hand: the
// remission times, in weeks, of 21 patients of Freireich and others, 1963. Here
// each patient is two commits of ten lines each.
func TestEstimate(t *testing.T) {
	var seen []observation
	for _, o := range []struct{ age, gone, left int }{
		{6, 3, 1},
		{7, 1, 0},
		{9, 0, 1},
		{10, 1, 1},
		{11, 0, 1},
		{13, 1, 0},
		{16, 1, 0},
		{17, 0, 1},
		{19, 0, 1},
		{20, 0, 1},
		{22, 1, 0},
		{23, 1, 0},
		{25, 0, 1},
		{32, 0, 2},
		{34, 0, 1},
		{35, 0, 1},
	} {
		seen = append(seen, observation{age: o.age, gone: 20 * o.gone, left: 20 * o.left, commits: 2 * (o.gone + o.left)})
	}
	out := Survivors{Lines: 420, Commits: 42}
	estimate(&out, seen)
	want := map[int]float64{6: 0.8571, 7: 0.8067, 10: 0.7529, 13: 0.6902, 16: 0.6275, 22: 0.5378, 23: 0.4482}
	found := 0
	for _, p := range out.Curve {
		if share, ok := want[p.Days]; ok {
			found++
			if math.Abs(p.Share-share) > 0.0001 {
				t.Errorf("share at %d = %.4f, want %.4f", p.Days, p.Share, share)
			}
		}
	}
	if found != len(want) {
		t.Errorf("the curve has %d of %d points: %+v", found, len(want), out.Curve)
	}
	if out.HalfLife == nil || *out.HalfLife != 23 {
		t.Errorf("half-life %v, want 23", out.HalfLife)
	}
	// At 25 five patients are left: 100 lines, 10 commits. Later there are fewer.
	if out.Observed != 25 {
		t.Errorf("observed to %d, want 25", out.Observed)
	}
}

func TestEstimateStatesNothingOfLittle(t *testing.T) {
	for name, out := range map[string]Survivors{
		"few lines":   {Lines: leastObserved.Lines - 1, Commits: 50},
		"few commits": {Lines: 5000, Commits: leastObserved.Commits - 1},
	} {
		estimate(&out, []observation{{age: 100, gone: out.Lines, commits: out.Commits}})
		if out.HalfLife != nil || out.Standing != nil {
			t.Errorf("%s: %+v, want nothing stated", name, out)
		}
	}
	stays := Survivors{Lines: 1000, Commits: 20}
	estimate(&stays, []observation{{age: 90, gone: 300}, {age: 120, left: 700, commits: 20}})
	if stays.HalfLife != nil || stays.Observed != 120 || stays.Standing == nil || math.Abs(*stays.Standing-0.7) > 1e-9 {
		t.Errorf("lines that stand: %+v, want no half-life and 0.7 at 120 days", stays)
	}
}
