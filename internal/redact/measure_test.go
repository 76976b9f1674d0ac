package redact_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// The floors that the rules are held to, over secrets and texts of the kinds in
// this package's tests: of 100 secrets at least 98 are taken out, and of 100
// things taken out at least 95 are secrets.
const (
	recallFloor    = 0.98
	precisionFloor = 0.95
)

// shapes put a text into a line of a transcript.
var shapes = []func(r *rand.Rand, text string) any{
	func(r *rand.Rand, text string) any {
		return claude(r, "user", map[string]any{"role": "user", "content": text})
	},
	func(r *rand.Rand, text string) any {
		return claude(r, "assistant", map[string]any{
			"role": "assistant", "model": "claude-opus-4-5-20251101", "id": "msg_01" + drawn(r, 22, base62),
			"content": []any{map[string]any{"type": "text", "text": "I see:\n" + text}},
			"usage":   map[string]any{"input_tokens": r.IntN(1e5), "output_tokens": r.IntN(1e4)},
		})
	},
	func(r *rand.Rand, text string) any {
		return claude(r, "assistant", map[string]any{"role": "assistant", "content": []any{map[string]any{
			"type": "tool_use", "id": "toolu_01" + drawn(r, 22, base62), "name": "Write",
			"input": map[string]any{"file_path": "/src/app/config.txt", "content": text},
		}}})
	},
	func(r *rand.Rand, text string) any {
		return claude(r, "user", map[string]any{"role": "user", "content": []any{map[string]any{
			"type": "tool_result", "tool_use_id": "toolu_01" + drawn(r, 22, base62), "content": "Result:\n" + text + "\nexit 0", "is_error": false,
		}}})
	},
	func(r *rand.Rand, text string) any {
		// Codex: the arguments of a call are JSON in a string.
		arguments, err := json.Marshal(map[string]any{"command": []string{"bash", "-lc", text}, "timeout_ms": 1000})
		if err != nil {
			panic(err)
		}
		return map[string]any{"timestamp": "2026-01-02T03:04:05Z", "type": "response_item", "payload": map[string]any{
			"type": "function_call", "name": "shell", "arguments": string(arguments), "call_id": "call_" + drawn(r, 24, base62),
		}}
	},
}

func claude(r *rand.Rand, kind string, message any) any {
	return map[string]any{
		"type": kind, "uuid": uuid(r), "parentUuid": uuid(r), "sessionId": uuid(r), "timestamp": "2026-01-02T03:04:05.678Z",
		"cwd": "/src/app", "gitBranch": "main", "version": "2.1.0", "requestId": "req_011" + drawn(r, 21, base62), "message": message,
		"signature": drawn(r, 300, base62+"+/"),
	}
}

// item is one text of the corpus.
type item struct {
	kind, secret, text string // kind is "" for one without a secret
}

// corpus makes a text for each kind of secret, each times, and five times as
// many without one.
func corpus(r *rand.Rand, each int) []item {
	var items []item
	for _, p := range plantedKinds {
		for range each {
			in := p.in
			if in == nil {
				in = anywhere
			}
			secret := p.make(r)
			items = append(items, item{p.kind, secret, strings.Replace(in[r.IntN(len(in))], "%s", secret, 1)})
		}
	}
	for range 5 * len(items) {
		items = append(items, item{text: tempting[r.IntN(len(tempting))](r)})
	}
	r.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	return items
}

// leaks reports whether two thirds of a secret, or more, are still in a text in
// one piece.
func leaks(text, secret string) bool {
	secret = strings.TrimSpace(secret)
	if strings.HasPrefix(secret, "-----BEGIN") {
		_, secret, _ = strings.Cut(secret, "KEY-----")
	}
	n := max(2*len(secret)/3, 6)
	for i := 0; i+n <= len(secret); i++ {
		if strings.Contains(text, secret[i:i+n]) {
			return true
		}
	}
	return false
}

// plantedEach makes the measurement larger: go test -run Measured -planted 200.
var plantedEach = flag.Int("planted", 4, "secrets of each kind to plant")

// TestMeasured plants secrets in transcripts and in text, and counts what is
// taken out of both.
func TestMeasured(t *testing.T) {
	seed := rand.Uint64()
	for _, mode := range []string{"transcript", "text"} {
		t.Run(mode, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			items := corpus(r, *plantedEach)
			var got []string
			if mode == "transcript" {
				got = asTranscript(t, r, items)
			} else {
				for _, it := range items {
					out, _ := redactor.Text([]byte(it.text))
					got = append(got, string(out))
				}
			}
			score(t, seed, items, got)
		})
	}
}

// asTranscript puts each text on a line of one transcript, takes out what is to
// be taken out of it as a whole, and gives the texts of each line.
func asTranscript(t *testing.T, r *rand.Rand, items []item) []string {
	var doc bytes.Buffer
	var wrote []string
	for _, it := range items {
		line, err := json.Marshal(shapes[r.IntN(len(shapes))](r, it.text))
		if err != nil {
			t.Fatal(err)
		}
		wrote = append(wrote, string(line))
		doc.Write(line)
		doc.WriteByte('\n')
	}
	out, _ := redactor.JSONL(doc.Bytes())
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != len(items) {
		t.Fatalf("%d lines of %d are left", len(lines), len(items))
	}
	got := make([]string, len(items))
	for i, line := range lines {
		var v any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("line %d is no JSON any more: %v\n%s", i, err, line)
		}
		if line == wrote[i] {
			got[i] = items[i].text
			continue
		}
		got[i] = line + "\n" + texts(v)
	}
	return got
}

// texts gives all strings of a JSON value as they read, also of JSON in strings.
func texts(v any) string {
	switch v := v.(type) {
	case string:
		var inner any
		if json.Unmarshal([]byte(v), &inner) == nil {
			return v + "\n" + texts(inner)
		}
		return v + "\n"
	case []any:
		var b strings.Builder
		for _, e := range v {
			b.WriteString(texts(e))
		}
		return b.String()
	case map[string]any:
		var b strings.Builder
		for _, k := range slices.Sorted(maps.Keys(v)) {
			b.WriteString(k + "\n" + texts(v[k]))
		}
		return b.String()
	}
	return ""
}

func score(t *testing.T, seed uint64, items []item, got []string) {
	planted, taken := map[string]int{}, map[string]int{}
	var all, found, wrong, plain int
	examples := map[string]int{}
	for i, it := range items {
		if it.kind == "" {
			plain++
			if got[i] != it.text {
				wrong++
				if examples[""]++; examples[""] <= 12 {
					t.Logf("no secret: %.200q\n  became %.300q", it.text, got[i])
				}
			}
			continue
		}
		all++
		planted[it.kind]++
		if leaks(got[i], it.secret) {
			if examples[it.kind]++; examples[it.kind] <= 2 {
				t.Logf("%s is left: %.200q", it.kind, it.text)
			}
			continue
		}
		found++
		taken[it.kind]++
	}
	recall, precision := float64(found)/float64(all), float64(found)/float64(found+wrong)
	t.Logf("%d kinds: recall %.4f (%d of %d), precision %.4f (%d of %d texts without a secret were changed), seed %d",
		len(planted), recall, found, all, precision, wrong, plain, seed)
	var weak []string
	for _, kind := range slices.Sorted(maps.Keys(planted)) {
		if taken[kind] < planted[kind] {
			weak = append(weak, fmt.Sprintf("%s %d/%d", kind, taken[kind], planted[kind]))
		}
	}
	if len(weak) > 0 {
		t.Logf("not all of: %s", strings.Join(weak, ", "))
	}
	if len(planted) < 40 {
		t.Errorf("%d kinds of secrets are planted, want 40", len(planted))
	}
	if recall < recallFloor {
		t.Errorf("recall %.4f is under %.2f (seed %d)", recall, recallFloor, seed)
	}
	if precision < precisionFloor {
		t.Errorf("precision %.4f is under %.2f (seed %d)", precision, precisionFloor, seed)
	}
}
