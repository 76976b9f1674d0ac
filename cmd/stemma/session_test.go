package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma/internal/agent"
)

// rows are rows of a list of sessions, as many as a large company's repository has.
func rows(n int) rememberedRows {
	kept := rememberedRows{Next: 7, Graph: "2n9c.31"}
	cost := int64(1234)
	for i := range n {
		kept.Rows = append(kept.Rows, sessionRow{
			Session: fmt.Sprintf("claude-code/%08d \"☃\"\n", i), Agent: "claude-code", Version: "2.1.40", Start: "2026-03-02T09:00:00Z", End: "2026-03-02T10:00:00Z",
			Parent: "claude-code/p", Models: []string{"anthropic/claude-opus-4-6"}, Turns: 3, Prompts: 2, Calls: 40,
			Usage:    &agent.Usage{Requests: 3, Input: 10, CacheRead: 20, CacheWrite: 30, Output: 40, Reasoning: 5, Cost: &cost},
			TaskType: "bugfix", Rewrites: 1, Tickets: []string{"SHOP-42"}, Branch: "main", Commits: []string{fmt.Sprintf("83c840a2c85fe3fda5a25cc24d5669%010d", i)}, Gaps: 1, Config: 2,
			wrote: []string{fmt.Sprintf("93c840a2c85fe3fda5a25cc24d5669%010d", i)},
		})
	}
	return kept
}

func write(tb testing.TB, kept rememberedRows) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), rowsFile)
	if err := os.WriteFile(path, writeRows(kept), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// What is remembered of a list is read as it was written, every field of it.
func TestRememberedRows(t *testing.T) {
	want := rows(3)
	want.Rows[0].Usage.Cost = nil
	want.Rows[1].Usage = nil
	want.Rows[2].Models, want.Rows[2].Tickets = []string{"anthropic/claude-opus-4-6", "a"}, []string{}
	for _, v := range []reflect.Value{reflect.ValueOf(want.Rows[2]), reflect.ValueOf(*want.Rows[2].Usage)} {
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; v.Field(i).IsZero() {
				t.Errorf("the field %s is zero: the test does not see whether it is kept", name)
			}
		}
	}
	got, ok := readRows(write(t, want))
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(sessionRow{})); !ok || diff != "" {
		t.Errorf("read %t (-written +read):\n%s", ok, diff)
	}
	if _, ok := readRows(filepath.Join(t.TempDir(), "none")); ok {
		t.Error("a file that is not there was read")
	}
}

// A file of rows that was cut or changed is not taken for one, or read as
// something else without harm.
func TestRowsDamaged(t *testing.T) {
	whole := writeRows(rows(2))
	for n := range whole {
		if _, ok := parseRows(string(whole[:n])); ok {
			t.Errorf("the first %d of %d bytes were read", n, len(whole))
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2)) // not a fuzz target: it would have all of stemma compiled anew
	for range 20_000 {
		file := bytes.Clone(whole)
		for range 1 + rnd.IntN(4) {
			file[len(rowsMagic)+rnd.IntN(len(file)-len(rowsMagic))] = byte(rnd.IntN(256))
		}
		kept, ok := parseRows(string(file))
		if !ok {
			continue
		}
		again, ok := parseRows(string(writeRows(kept)))
		if !ok || !reflect.DeepEqual(kept, again) {
			t.Fatalf("%q\nread again %t:\n%s", file, ok, cmp.Diff(kept, again, cmp.AllowUnexported(sessionRow{})))
		}
	}
	huge := append([]byte(rowsMagic), "\xff\xff\xff\xff\x0f\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01"...)
	if _, ok := parseRows(string(huge)); ok {
		t.Error("more rows than there are bytes were read")
	}
}

func BenchmarkSessionRows(b *testing.B) {
	path := write(b, rows(50_000))
	flags := sessionFlags{models: []string{"claude-sonnet-*"}, agents: []string{"claude*"}, from: 1}
	for b.Loop() {
		kept, ok := readRows(path)
		n := len(flags.chosen(kept.Rows))
		if !ok || len(kept.Rows) != 50_000 || n != 0 {
			b.Fatalf("%d rows, %d match", len(kept.Rows), n)
		}
	}
}
