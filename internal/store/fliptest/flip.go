// Package fliptest changes files of truth byte by byte, for the tests that show
// that each change is named.
package fliptest

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Flip is one byte of one file, and what is done to it.
type Flip struct {
	File string // below the folder
	At   int
	Bit  byte // what is flipped in it
}

func (f Flip) String() string { return fmt.Sprintf("%s: byte %d ^ %#x", f.File, f.At, f.Bit) }

// Each makes copies of a folder and in them one flip after the other, some at
// once, and calls check with the folder of each. It gives "" where the flip is
// named, and otherwise the reason why it need not be. What was checked is logged,
// with the offsets of each reason.
func Each(t *testing.T, dir string, flips []Flip, check func(t *testing.T, dir string, f Flip) (reason string)) {
	started := time.Now()
	todo := make(chan Flip)
	go func() {
		defer close(todo)
		for _, f := range flips {
			select {
			case todo <- f:
			case <-t.Context().Done():
				return
			}
		}
	}()
	var mu sync.Mutex
	tally := make(tally)
	done := 0
	t.Run("flips", func(t *testing.T) {
		for n := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				copied := t.TempDir()
				if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
					t.Fatal(err)
				}
				for f := range todo {
					began := time.Now()
					reason := one(t, copied, f, check)
					if took := time.Since(began); took > time.Second {
						t.Logf("%s took %v", f, took.Round(time.Millisecond))
					}
					mu.Lock()
					tally.add(f, reason)
					if done++; done%5000 == 0 {
						t.Logf("%d of %d after %v", done, len(flips), time.Since(started).Round(time.Second))
					}
					mu.Unlock()
				}
			})
		}
	})
	tally.log(t, time.Since(started))
}

// one makes a flip, has it checked, and puts it back.
func one(t *testing.T, dir string, f Flip, check func(*testing.T, string, Flip) string) string {
	path := filepath.Join(dir, f.File)
	was, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := slices.Clone(was)
	changed[f.At] ^= f.Bit
	write(t, path, changed)
	defer write(t, path, was)
	return check(t, dir, f)
}

// write puts a file in its place. What SQLite keeps beside it goes, since it is of
// the file that was there before.
func write(t *testing.T, path string, data []byte) {
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	os.Remove(path + "-wal")
	os.Remove(path + "-shm")
}

// tally holds the offsets of each file by the reason why they need not be named,
// "" being those that were named.
type tally map[string]map[string][]int

func (y tally) add(f Flip, reason string) {
	if y[f.File] == nil {
		y[f.File] = make(map[string][]int)
	}
	y[f.File][reason] = append(y[f.File][reason], f.At)
}

func (y tally) log(t *testing.T, took time.Duration) {
	flips, named, bytes := 0, 0, 0
	for _, file := range slices.Sorted(maps.Keys(y)) {
		for _, reason := range slices.Sorted(maps.Keys(y[file])) {
			at := y[file][reason]
			flips += len(at)
			slices.Sort(at)
			distinct := slices.Compact(slices.Clone(at))
			bytes += len(distinct)
			if reason == "" {
				named += len(at)
				t.Logf("%s: %d bytes named, by %d flips", file, len(distinct), len(at))
				continue
			}
			t.Logf("%s: %d bytes passed over: %s: %s", file, len(distinct), reason, ranges(distinct))
		}
	}
	t.Logf("%d bits of %d bytes flipped, %d named, %d passed over, in %v", flips, bytes, named, flips-named, took.Round(time.Millisecond))
}

// ranges writes offsets, in order and each once, as "3-7 9".
func ranges(at []int) string {
	var b strings.Builder
	for i := 0; i < len(at); {
		last := i
		for last+1 < len(at) && at[last+1] == at[last]+1 {
			last++
		}
		fmt.Fprintf(&b, " %d", at[i])
		if last > i {
			fmt.Fprintf(&b, "-%d", at[last])
		}
		i = last + 1
	}
	return strings.TrimSpace(b.String())
}
