package agent

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep values may lie in one another.
const maxDepth = 512

// Value is one JSON value (RFC 8259) of a transcript, as it stands in the file.
// The grammar of brackets, commas, names and literals was checked when it was
// parsed, so that reading it can not fail; asking it for something that it is
// not gives the zero value. The zero Value is absent.
//
// Nothing is decoded before it is asked for: most of a transcript is content
// that no field of a session needs, and it is skipped at the speed of memory.
type Value struct {
	b  []byte
	at int64
}

// ParseValue takes b as one JSON value with nothing but white space around it.
// at is the offset of b in the transcript, for errors and for [Value.Offset].
// The error is a *DecodeError. The value refers to b.
func ParseValue(b []byte, at int64) (Value, error) {
	v, n, err := nextValue(b, at)
	if err == nil && n < len(b) {
		return Value{}, &DecodeError{Offset: at + int64(n), Reason: "something after the value"}
	}
	return v, err
}

// nextValue takes the value that b begins with, and gives how much of b it takes
// up: some writers put several on a line.
func nextValue(b []byte, at int64) (v Value, n int, err error) {
	start := skipSpace(b, 0)
	end, reason := check(b, start, 0)
	if reason != "" {
		return Value{}, 0, &DecodeError{Offset: at + int64(end), Reason: reason}
	}
	return Value{b[start:end:end], at + int64(start)}, skipSpace(b, end), nil
}

// Offset is where the value begins in the transcript.
func (v Value) Offset() int64 { return v.at }

// Len is the length of the value in bytes, as it stands there.
func (v Value) Len() int64 { return int64(len(v.b)) }

// Exists reports whether the value is there and not null.
func (v Value) Exists() bool { return len(v.b) > 0 && v.b[0] != 'n' }

// IsObject reports whether the value is an object.
func (v Value) IsObject() bool { return len(v.b) > 0 && v.b[0] == '{' }

// IsArray reports whether the value is an array.
func (v Value) IsArray() bool { return len(v.b) > 0 && v.b[0] == '[' }

// IsString reports whether the value is a string.
func (v Value) IsString() bool { return len(v.b) > 0 && v.b[0] == '"' }

// Raw is the value as it stands in the transcript. It is not a copy.
func (v Value) Raw() []byte { return v.b }

// Each calls member for every member of an object, in order. The name is valid
// during the call only. A name that occurs twice is given twice.
func (v Value) Each(member func(name []byte, v Value)) {
	if !v.IsObject() {
		return
	}
	for i := skipSpace(v.b, 1); v.b[i] != '}'; {
		end := skipString(v.b, i)
		name := v.b[i+1 : end-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			name = unescape(nil, name)
		}
		i = skipSpace(v.b, skipSpace(v.b, end)+1)
		end = skipValue(v.b, i)
		member(name, Value{v.b[i:end:end], v.at + int64(i)})
		if i = skipSpace(v.b, end); v.b[i] == ',' {
			i = skipSpace(v.b, i+1)
		}
	}
}

// Items calls item for every element of an array, in order.
func (v Value) Items(item func(Value)) {
	if !v.IsArray() {
		return
	}
	for i := skipSpace(v.b, 1); v.b[i] != ']'; {
		end := skipValue(v.b, i)
		item(Value{v.b[i:end:end], v.at + int64(i)})
		if i = skipSpace(v.b, end); v.b[i] == ',' {
			i = skipSpace(v.b, i+1)
		}
	}
}

// Get gives the value at a path of member names, absent where there is none. Of
// a name that occurs twice the last counts.
func (v Value) Get(path ...string) Value {
	for _, name := range path {
		var found Value
		v.Each(func(n []byte, v Value) {
			if string(n) == name {
				found = v
			}
		})
		v = found
	}
	return v
}

// First gives the first element of an array.
func (v Value) First() Value {
	var first Value
	v.Items(func(v Value) {
		if first.b == nil {
			first = v
		}
	})
	return first
}

// Text is the string, with its escapes undone and valid UTF-8; "" for anything
// that is no string.
func (v Value) Text() string {
	s, _ := v.TextUpTo(3 * len(v.b)) // a byte that is not UTF-8 becomes three
	return s
}

// Texts is the string, or the texts of the parts that the array holds.
func (v Value) Texts() string {
	if v.IsString() {
		return v.Text()
	}
	var all strings.Builder
	v.Items(func(v Value) {
		if v.IsString() {
			all.WriteString(v.Text())
			return
		}
		all.WriteString(v.Get("text").Text())
	})
	return all.String()
}

// TextUpTo is like Text, but gives no more than limit bytes, whole
// characters only; cut then is true. What is not given is not decoded.
func (v Value) TextUpTo(limit int) (text string, cut bool) {
	if !v.IsString() {
		return "", false
	}
	in := v.b[1 : len(v.b)-1]
	if len(in) > 6*limit { // the longest escape of one byte is \u00XX
		in, cut = in[:6*limit], true
	}
	out := in
	if bytes.IndexByte(in, '\\') >= 0 {
		out = unescape(make([]byte, 0, len(in)), in)
	}
	if len(out) > limit {
		out, cut = out[:limit], true
	}
	if cut {
		// The cut may have gone through a character, or through an escape.
		for n := 0; n < utf8.UTFMax && len(out) > 0; n++ {
			if r, _ := utf8.DecodeLastRune(out); r != utf8.RuneError {
				break
			}
			out = out[:len(out)-1]
		}
	}
	text = strings.ToValidUTF8(string(out), "\uFFFD")
	if len(text) > limit { // what is not UTF-8 has become longer
		return clean(text, limit), true
	}
	return text, cut
}

// Size is about how many bytes the string has: exact where nothing is escaped.
func (v Value) Size() int64 {
	if !v.IsString() {
		return 0
	}
	return int64(len(v.b) - 2 - bytes.Count(v.b, []byte(`\`)))
}

// Int is the number, rounded towards zero; 0 for anything else and for what
// does not fit.
func (v Value) Int() int64 {
	if n, err := strconv.ParseInt(string(v.b), 10, 64); err == nil {
		return n
	}
	f := v.Float()
	if f > -9e18 && f < 9e18 {
		return int64(f)
	}
	return 0
}

// Float is the number, or 0.
func (v Value) Float() float64 {
	if len(v.b) == 0 || v.b[0] != '-' && (v.b[0] < '0' || v.b[0] > '9') {
		return 0
	}
	f, err := strconv.ParseFloat(string(v.b), 64)
	if err != nil {
		return 0
	}
	return f
}

// True reports whether the value is true.
func (v Value) True() bool { return len(v.b) > 0 && v.b[0] == 't' }

// Time reads a time, in UTC to the millisecond: RFC 3339, or a number of
// milliseconds since 1970. It is zero for anything else and for years that no
// agent has seen.
func (v Value) Time() time.Time {
	var t time.Time
	if v.IsString() {
		if len(v.b) > 48 {
			return t
		}
		var err error
		if t, err = time.Parse(time.RFC3339Nano, v.Text()); err != nil {
			return time.Time{}
		}
	} else {
		ms := v.Int()
		if ms <= 0 {
			return t
		}
		t = time.UnixMilli(ms)
	}
	t = t.UTC().Truncate(time.Millisecond)
	if t.Year() < 2000 || t.Year() > 2200 {
		return time.Time{}
	}
	return t
}

// Embedded reads the JSON that stands in the string, as arguments of calls
// often do. It is absent where the string holds none. A value that is no string
// is given as it is.
func (v Value) Embedded() Value {
	if !v.IsString() {
		return v
	}
	inner, err := ParseValue([]byte(v.Text()), v.at)
	if err != nil {
		return Value{}
	}
	return inner
}

// check finds the end of the value at i, or the reason why there is none, with
// the place.
func check(b []byte, i, depth int) (end int, reason string) {
	if i >= len(b) {
		return i, "ends where a value is expected"
	}
	switch b[i] {
	case '"':
		if end = skipString(b, i); end < 0 {
			return len(b), "ends within a string"
		}
		return end, ""
	case '{', '[':
		if depth == maxDepth {
			return i, "values lie too deep in one another"
		}
		return checkContainer(b, i, depth)
	default:
		n := literal(b[i:])
		if n == 0 {
			return i, "no JSON value"
		}
		return i + n, ""
	}
}

func checkContainer(b []byte, i, depth int) (end int, reason string) {
	closing := b[i] + 2 // '}' and ']' are two places behind '{' and '['
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == closing {
		return i + 1, ""
	}
	for {
		if closing == '}' {
			if i >= len(b) || b[i] != '"' {
				return i, "a name in quotes is expected"
			}
			if end = skipString(b, i); end < 0 {
				return len(b), "ends within a name"
			}
			i = skipSpace(b, end)
			if i >= len(b) || b[i] != ':' {
				return i, "a colon is expected"
			}
			i = skipSpace(b, i+1)
		}
		if i, reason = check(b, i, depth+1); reason != "" {
			return i, reason
		}
		i = skipSpace(b, i)
		switch {
		case i >= len(b):
			return i, "ends within an object or an array"
		case b[i] == closing:
			return i + 1, ""
		case b[i] != ',':
			return i, "a comma or the end is expected"
		}
		i = skipSpace(b, i+1)
	}
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// skipString gives the index behind the string at i, or -1 where it does not
// end. A quote ends it unless an odd number of backslashes stands before it.
func skipString(b []byte, i int) int {
	for i++; ; {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return -1
		}
		end := i + n
		slash := end
		for slash > i && b[slash-1] == '\\' {
			slash--
		}
		i = end + 1
		if (end-slash)%2 == 0 {
			return i
		}
	}
}

// skipValue gives the index behind the value at i, which was checked before.
func skipValue(b []byte, i int) int {
	depth := 0
	for {
		switch c := b[i]; c {
		case '"':
			i = skipString(b, i)
		case '{', '[':
			depth++
			i++
			continue
		case '}', ']':
			depth--
			i++
		case ',', ':', ' ', '\n', '\t', '\r':
			i++
			continue
		default:
			i += literal(b[i:])
		}
		if depth == 0 {
			return i
		}
	}
}

// literal gives the length of the number, true, false or null that b begins
// with, or 0.
func literal(b []byte) int {
	for _, word := range [...]string{"true", "false", "null"} {
		if b[0] == word[0] {
			if len(b) >= len(word) && string(b[:len(word)]) == word {
				return len(word)
			}
			return 0
		}
	}
	i := 0
	digits := func() bool {
		start := i
		for i < len(b) && '0' <= b[i] && b[i] <= '9' {
			i++
		}
		return i > start
	}
	if b[0] == '-' {
		i++
	}
	zero := i < len(b) && b[i] == '0'
	start := i
	if !digits() || zero && i > start+1 {
		return 0
	}
	if i < len(b) && b[i] == '.' {
		i++
		if !digits() {
			return 0
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !digits() {
			return 0
		}
	}
	return i
}

// unescape appends the text of a string to out. An escape that means nothing is
// the replacement character.
func unescape(out, in []byte) []byte {
	for {
		i := bytes.IndexByte(in, '\\')
		if i < 0 || i+1 >= len(in) {
			return append(out, in...)
		}
		out = append(out, in[:i]...)
		c := in[i+1]
		in = in[i+2:]
		switch c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := hex4(in)
			if r >= 0 {
				in = in[4:]
			}
			if utf16.IsSurrogate(r) {
				var low rune = -1
				if len(in) > 1 && in[0] == '\\' && in[1] == 'u' {
					low = hex4(in[2:])
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					in = in[6:]
				}
			}
			out = utf8.AppendRune(out, r) // of -1, too, the replacement character
		default:
			out = utf8.AppendRune(out, utf8.RuneError)
		}
	}
}

// hex4 reads four hexadecimal digits, or gives -1.
func hex4(b []byte) rune {
	if len(b) < 4 {
		return -1
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}
