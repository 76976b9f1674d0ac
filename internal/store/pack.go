package store

import (
	"encoding/binary"
	"fmt"

	"github.com/stemma-dev/stemma"
)

// Origin is what the edges of one source and rule have in common, so that a
// backend can write it once.
type Origin struct {
	Source, Method string
	Tier           stemma.Tier
	Assertion      stemma.Assertion
}

// OriginOf gives the origin of an edge.
func OriginOf(e *stemma.Edge) Origin {
	return Origin{Source: e.Source, Tier: e.Strength.Tier, Assertion: e.Strength.Assertion, Method: e.Strength.Method}
}

// Pack gives the origin as bytes in a string. Two origins are the same where
// these are.
func (o Origin) Pack() string {
	var buf []byte
	for _, s := range []string{o.Source, string(o.Tier), string(o.Assertion), o.Method} {
		buf = binary.AppendUvarint(buf, uint64(len(s)))
		buf = append(buf, s...)
	}
	return string(buf)
}

// ParseOrigin reads what [Origin.Pack] wrote. The error is ErrInvalid, with the
// offset, for anything else.
func ParseOrigin(packed string) (o Origin, err error) {
	rest := []byte(packed)
	for _, s := range []*string{&o.Source, (*string)(&o.Tier), (*string)(&o.Assertion), &o.Method} {
		n, size := binary.Uvarint(rest)
		if size <= 0 || n > uint64(len(rest)-size) {
			return o, fmt.Errorf("origin of an edge: cut short at byte %d: %w", len(packed)-len(rest), stemma.ErrInvalid)
		}
		*s = string(rest[size : size+int(n)])
		rest = rest[size+int(n):]
	}
	if len(rest) > 0 {
		return o, fmt.Errorf("origin of an edge: %d bytes too many: %w", len(rest), stemma.ErrInvalid)
	}
	return o, nil
}

// PackCounts writes counts as numbers; those at the end that are 0 are left out,
// and nil stands for all 0. Counts are not negative, and at most 1<<62.
func PackCounts(counts ...int) []byte {
	for len(counts) > 0 && counts[len(counts)-1] == 0 {
		counts = counts[:len(counts)-1]
	}
	if len(counts) == 0 {
		return nil
	}
	buf := make([]byte, 0, len(counts)+4)
	for _, n := range counts {
		buf = binary.AppendUvarint(buf, uint64(n))
	}
	return buf
}

// unPackCounts reads what PackCounts wrote.
func UnpackCounts(packed []byte, counts ...*int) error {
	at := 0
	for _, n := range counts {
		if at == len(packed) {
			*n = 0
			continue
		}
		v, size := binary.Uvarint(packed[at:])
		if size <= 0 || v > 1<<62 {
			return fmt.Errorf("counts: no number at byte %d: %w", at, stemma.ErrInvalid)
		}
		*n = int(v)
		at += size
	}
	if at != len(packed) {
		return fmt.Errorf("counts: %d bytes too many: %w", len(packed)-at, stemma.ErrInvalid)
	}
	return nil
}
