package attest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
)

// shape holds the two rules that every predicate of stemma's own keeps, as its
// Go type has them: a field that is not marked omitempty must be there, and
// only a pointer that is not may be null. What is there by accident and what somebody
// thought of then stay two things.
func shape(raw []byte, t reflect.Type) error {
	var doc any
	if err := jsonv2.Unmarshal(raw, &doc); err != nil {
		return &DecodeError{Reason: clean(err.Error())}
	}
	path, reason := misshapen("", doc, t)
	if reason == "" {
		return nil
	}
	return &DecodeError{Path: path, Offset: offsetOf(raw, path), Reason: reason}
}

var rawType = reflect.TypeFor[json.RawMessage]()

func misshapen(path string, v any, t reflect.Type) (at, reason string) {
	if t == rawType {
		return "", ""
	}
	if t.Kind() == reflect.Pointer {
		if v == nil {
			return "", ""
		}
		t = t.Elem()
	}
	switch v := v.(type) {
	case nil:
		return path, "null, where something is wanted"
	case map[string]any:
		if t.Kind() == reflect.Struct {
			return misshapenFields(path, v, t)
		}
		for name, item := range v {
			if at, reason = misshapen(path+"/"+pointer(name), item, t.Elem()); reason != "" {
				return at, reason
			}
		}
	case []any:
		if t.Kind() != reflect.Slice {
			return "", ""
		}
		for i, item := range v {
			if at, reason = misshapen(fmt.Sprintf("%s/%d", path, i), item, t.Elem()); reason != "" {
				return at, reason
			}
		}
	}
	return "", ""
}

func misshapenFields(path string, v map[string]any, t reflect.Type) (at, reason string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			if at, reason = misshapenFields(path, v, f.Type); reason != "" {
				return at, reason
			}
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		item, ok := v[name]
		switch {
		case ok && item == nil && options != "":
			return path + "/" + pointer(name), "null, where something is wanted or nothing"
		case ok:
			if at, reason = misshapen(path+"/"+pointer(name), item, f.Type); reason != "" {
				return at, reason
			}
		case options == "":
			return path + "/" + pointer(name), "missing"
		}
	}
	return "", ""
}
