package attest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// shape holds the two rules that every predicate of stemma's own keeps, as its
// Go type has them: a field that is not marked omitempty must be there, and
// only a pointer that is not may be null. What is there by accident and what somebody
// thought of then stay two things.
//
// Most predicates keep them, which the plan of the type tells fast; where one
// does not, misshapen finds the place.
func shape(raw []byte, t reflect.Type, p *plan) error {
	// The form was checked when the value was decoded.
	if p.fits(jsontext.NewDecoder(bytes.NewBuffer(raw), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))) {
		return nil
	}
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

// plan is what a Go type asks of a JSON value.
type plan struct {
	null   bool             // the value may be null
	needed bool             // the field must be there
	fields map[string]*plan // of an object; nil where any will do
	must   int              // how many of the fields must be there
	item   *plan            // of an array, or of an object without fixed fields
}

func planOf(t reflect.Type) *plan {
	p := &plan{}
	if t == rawType {
		p.null = true
		return p
	}
	if t.Kind() == reflect.Pointer {
		p.null = true
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Struct:
		p.fields = make(map[string]*plan)
		p.take(t)
	case reflect.Slice, reflect.Map:
		p.item = planOf(t.Elem())
	}
	return p
}

// take adds the fields of a struct, those of embedded ones included.
func (p *plan) take(t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			p.take(f.Type)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		field := planOf(f.Type)
		field.needed = options == ""
		if field.needed {
			p.must++
		} else {
			field.null = false // leaving it out is how to say that there is nothing
		}
		p.fields[name] = field
	}
}

// fits reads one value. What has another kind than the plan is for the decoder
// to refuse, as are names that are there twice.
func (p *plan) fits(dec *jsontext.Decoder) bool {
	kind := dec.PeekKind()
	if kind == jsontext.KindNull && p != nil && !p.null {
		return false
	}
	object := kind == jsontext.KindBeginObject
	if p == nil || p.fields == nil && p.item == nil || !object && kind != jsontext.KindBeginArray {
		return dec.SkipValue() == nil
	}
	if _, err := dec.ReadToken(); err != nil {
		return false
	}
	seen := 0
	for dec.PeekKind() != jsontext.KindEndObject && dec.PeekKind() != jsontext.KindEndArray {
		of := p.item
		if object {
			name, err := dec.ReadToken()
			if err != nil {
				return false
			}
			if p.fields != nil {
				if of = p.fields[name.String()]; of != nil && of.needed {
					seen++
				}
			}
		}
		if !of.fits(dec) {
			return false
		}
	}
	_, err := dec.ReadToken()
	return err == nil && (!object || seen == p.must)
}
