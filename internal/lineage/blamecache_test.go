package lineage

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma/internal/git"
)

func cacheOf(n int) *blameCache {
	c := decodeBlameCache(nil)
	for i := range n {
		c.setSize(fmt.Sprint("blob", i), fileSize{lines: i * 1000, binary: i%3 == 0})
		c.setRuns(blameKey{commit: fmt.Sprint("c", i), path: "dir/ü \xff", zone: strings.Repeat("z", i%2)}, []git.BlameRun{
			{Commit: "a", OrigPath: "old", OrigLine: 7, Line: 1, Count: i + 1},
			{Commit: "b", OrigPath: "", OrigLine: 1 << 20, Line: i + 2, Count: 1},
		})
	}
	return c
}

func TestBlameCacheKeepsWhatItWasGiven(t *testing.T) {
	for _, n := range []int{0, 1, 50} {
		want := cacheOf(n)
		text := want.bytes(false)
		got := decodeBlameCache(text)
		for k, b := range want.blames {
			if runs, ok := got.runs(k); !ok {
				t.Errorf("blame of %+v is lost", k)
			} else if d := cmp.Diff(b.runs, runs); d != "" {
				t.Errorf("blame of %+v (-want +got):\n%s", k, d)
			}
		}
		for blob, s := range want.sizes {
			if size, ok := got.size(blob); !ok || size != s.fileSize {
				t.Errorf("size of %s = %+v, want %+v", blob, size, s.fileSize)
			}
		}
		if got.encode() != nil {
			t.Error("a cache in which nothing is new is to be kept again")
		}
		if again := decodeBlameCache(append(text, 0)); len(again.blames)+len(again.sizes) > 0 {
			t.Error("a cache with a byte too many was read")
		}
		if n > 0 {
			text[len(text)/2] ^= 0x40
			if again := decodeBlameCache(text); len(again.blames)+len(again.sizes) > 0 {
				t.Error("a damaged cache was read")
			}
		}
	}
}

// What was not used goes when there is no room for all.
func TestBlameCacheForgetsWhatWasNotUsed(t *testing.T) {
	c := decodeBlameCache(cacheOf(10).bytes(false))
	k := blameKey{commit: "c3", path: "dir/ü \xff", zone: "z"}
	if _, ok := c.runs(k); !ok {
		t.Fatal("the blame is not there")
	}
	c = decodeBlameCache(c.bytes(true))
	if _, ok := c.runs(k); !ok || len(c.blames) != 1 || len(c.sizes) != 0 {
		t.Errorf("%d blames and %d sizes are kept, want the one that was used", len(c.blames), len(c.sizes))
	}
}

func FuzzBlameCache(f *testing.F) {
	for _, n := range []int{0, 1, 3} {
		text := cacheOf(n).bytes(false)
		f.Add(bytes.TrimPrefix(text[:len(text)-sha256.Size], []byte(blameCacheMagic)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		text := append([]byte(blameCacheMagic), body...)
		sum := sha256.Sum256(text)
		c := decodeBlameCache(append(text, sum[:]...))
		for k, b := range c.blames {
			for _, run := range b.runs {
				if run.Line < 1 || run.Count < 0 || run.OrigLine < 0 {
					t.Errorf("%+v has run %+v", k, run)
				}
			}
		}
		again := decodeBlameCache(c.bytes(false))
		if len(again.blames) != len(c.blames) || len(again.sizes) != len(c.sizes) {
			t.Errorf("%d blames and %d sizes became %d and %d", len(c.blames), len(c.sizes), len(again.blames), len(again.sizes))
		}
	})
}
