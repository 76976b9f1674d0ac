package spool

import (
	"strings"
	"testing"
	"time"
)

// The examples and the limits of W3C Trace Context, section 3.2.2.
func TestTraceparent(t *testing.T) {
	const ids = "-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-"
	for text, want := range map[string]bool{
		"00" + ids + "01":      true,
		"00" + ids + "00":      true,
		"cc" + ids + "01":      true, // a later version
		"cc" + ids + "01-more": true,
		"cc" + ids + "01more":  false,
		"00" + ids + "01-more": false,
		"ff" + ids + "01":      false,
		"00" + ids + "0":       false,
		"00" + ids + "0g":      false,
		"":                     false,
		"00-" + ids:            false,
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01": false,
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01": false,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01": false,
	} {
		trace, span, ok := Traceparent(text)
		if ok != want || ok && (trace != "4bf92f3577b34da6a3ce929d0e0e4736" || span != "00f067aa0ba902b7") {
			t.Errorf("Traceparent(%q) = %q, %q, %t", text, trace, span, ok)
		}
	}
	made := "00-" + TraceOf("claude-code/s") + "-" + SpanOf("claude-code/s") + "-01"
	if trace, span, ok := Traceparent(made); !ok || trace != TraceOf("claude-code/s") || span != SpanOf("claude-code/s") || span == SpanOf("claude-code/t") {
		t.Errorf("Traceparent(%q) = %q, %q, %t", made, trace, span, ok)
	}
}

// What the environment says of a parent is kept with its name, and stands below
// what the payload says.
func TestParentFromTheEnvironment(t *testing.T) {
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	d := newDesk(t)
	for _, test := range []struct {
		in               Input
		payload          string
		parent, by, seen string
	}{
		{Input{Parent: "codex/p", Trace: trace, State: "stemma=codex/q"}, `{"session_id":"s"}`, "codex/p", "STEMMA_PARENT_SESSION", trace},
		{Input{Trace: trace, State: "a=1, stemma=codex/q"}, `{"session_id":"s"}`, "codex/q", "TRACESTATE", trace},
		{Input{Trace: "none", State: "a=1,b=stemma"}, `{"session_id":"s"}`, "", "", ""},
		{Input{Parent: "codex/p"}, `{"session_id":"s","agent_id":"w"}`, "s", "agent_id", ""},
		{Input{Parent: strings.Repeat("x", maxParent+1)}, `{"session_id":"s"}`, "", "", ""},
	} {
		in := test.in
		in.Agent, in.Payload, in.Dir, in.Home, in.Now = "claudecode", strings.NewReader(test.payload), d.dir, d.home, time.Now
		if err := Capture(in); err != nil {
			t.Fatal(err)
		}
		all := d.records()
		r := all[len(all)-1]
		if r.Parent != test.parent || r.ParentBy != test.by || r.Trace != test.seen {
			t.Errorf("%s: parent %q by %q, trace %q", test.payload, r.Parent, r.ParentBy, r.Trace)
		}
	}
}
