package agent_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
)

// plain makes of a value what encoding/json makes of it.
func plain(v agent.Value) any {
	switch {
	case v.IsObject():
		m := map[string]any{}
		v.Each(func(name []byte, v agent.Value) { m[strings.ToValidUTF8(string(name), "\uFFFD")] = plain(v) })
		return m
	case v.IsArray():
		a := []any{}
		v.Items(func(v agent.Value) { a = append(a, plain(v)) })
		return a
	case v.IsString():
		return v.Text()
	case !v.Exists():
		return nil
	case v.Raw()[0] == 't' || v.Raw()[0] == 'f':
		return v.True()
	default:
		return v.Float()
	}
}

func FuzzValue(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,-2.5e3,true,false,null,"x\n\"\\\u00e9\ud83d\ude00\ud800"],"":{}}`, `[]`, `"\\"`, `{"a":1,"a":2}`,
		`{"a" : [ ] , "b":"\\\\\""}`, `01`, `-`, `1.`, `tru`, `{"a"}`, `[1,]`, `{,}`, "\"\x01\"", `"\x"`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := agent.ParseValue(text, 0)
		var want any
		wrong := json.Unmarshal(text, &want)
		if err != nil {
			var d *agent.DecodeError
			if !errors.As(err, &d) || !errors.Is(err, stemma.ErrInvalid) || d.Offset < 0 || d.Offset > int64(len(text)) {
				t.Errorf("ParseValue(%q) = %v, want a DecodeError within %d bytes", text, err, len(text))
			}
			if wrong == nil && strings.Count(string(text), "[")+strings.Count(string(text), "{") < 500 {
				t.Errorf("ParseValue(%q) = %v, and encoding/json reads it", text, err)
			}
			return
		}
		got := plain(v)
		if wrong == nil && utf8.Valid(text) && !reflect.DeepEqual(got, want) {
			t.Errorf("ParseValue(%q) = %#v, want %#v", text, got, want)
		}
		for limit := range 8 {
			short, cut := v.TextUpTo(limit)
			if whole := v.Text(); !cut && short != whole || len(short) > limit {
				t.Errorf("TextUpTo(%d) of %q = %q, %t", limit, whole, short, cut)
			}
		}
	})
}

func TestValueTime(t *testing.T) {
	tests := []struct {
		text string
		want time.Time
	}{
		{`"2026-03-02T09:00:00.123456Z"`, time.Date(2026, 3, 2, 9, 0, 0, 123e6, time.UTC)},
		{`"2026-03-02T10:00:00+01:00"`, time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)},
		{`1772442000123`, time.Date(2026, 3, 2, 9, 0, 0, 123e6, time.UTC)},
		{`1772442000123.7`, time.Date(2026, 3, 2, 9, 0, 0, 123e6, time.UTC)},
		{`"yesterday"`, time.Time{}},
		{`"0001-01-01T00:00:00Z"`, time.Time{}},
		{`-5`, time.Time{}},
		{`9e300`, time.Time{}},
		{`null`, time.Time{}},
	}
	for _, tt := range tests {
		v, err := agent.ParseValue([]byte(tt.text), 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := v.Time(); !got.Equal(tt.want) {
			t.Errorf("Time(%s) = %v, want %v", tt.text, got, tt.want)
		}
	}
}

func TestValueWhere(t *testing.T) {
	v, err := agent.ParseValue([]byte(` {"a": {"b": [10, "x"]}}`), 1000)
	if err != nil {
		t.Fatal(err)
	}
	b := v.Get("a", "b")
	if b.Offset() != 1013 || b.Len() != 9 {
		t.Errorf("a.b is at %d, %d bytes long; want 1013, 9", b.Offset(), b.Len())
	}
	if v.Get("a", "c", "d").Exists() || v.Get("a", "b").First().Int() != 10 {
		t.Error("Get or First gave something else than what is there")
	}
	_, err = agent.ParseValue([]byte(`{"a":[1 2]}`), 500)
	var d *agent.DecodeError
	if !errors.As(err, &d) || d.Offset != 508 {
		t.Errorf("error %v, want one at byte 508", err)
	}
}
