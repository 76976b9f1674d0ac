package postgres

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
)

// A name, such as the key of a node or a path, may be longer than an index
// takes. The head of a name stands for it in a column that is indexed, unique
// and in order: the name itself where it is short; where it is long, its
// beginning and a digest of it. The tail, in a column that is not indexed, is
// what comes after the beginning.
//
// Heads are in the order of their names, but for long names with the same
// beginning, which stand beside each other: see [inOrder].
const (
	headSize   = 1000
	digestSize = 16
)

// headOf gives the head of a name.
func headOf(name string) []byte {
	if len(name) <= headSize {
		return []byte(name)
	}
	sum := sha256.Sum256([]byte(name))
	return append([]byte(name[:headSize]), sum[:digestSize]...)
}

// tailOf gives the tail of a name; nil, which the database has as NULL, of a
// short one.
func tailOf(name string) []byte {
	if len(name) <= headSize {
		return nil
	}
	return []byte(name[headSize:])
}

// nameOf gives the name of a head and a tail.
func nameOf(head, tail []byte) (string, error) {
	if len(head) <= headSize && len(tail) == 0 {
		return string(head), nil
	}
	if len(head) != headSize+digestSize || len(tail) == 0 {
		return "", fmt.Errorf("name with a head of %d bytes and a tail of %d: %w", len(head), len(tail), stemma.ErrInvalid)
	}
	return string(head[:headSize]) + string(tail), nil
}

// headRange gives the heads of all names that begin with prefix: from, and
// before; a nil before is no bound. Where the prefix is long, they are heads of
// other names too.
func headRange(prefix string) (from, before []byte) {
	prefix = prefix[:min(len(prefix), headSize)]
	// The first value after all that begin with the prefix: its last byte that
	// can grow, grown.
	before = []byte(prefix)
	for len(before) > 0 && before[len(before)-1] == 0xff {
		before = before[:len(before)-1]
	}
	if len(before) == 0 {
		return []byte(prefix), nil
	}
	before[len(before)-1]++
	return []byte(prefix), before
}

// after gives the first head after this one.
func after(head []byte) []byte { return append(slices.Clone(head), 0) }

// inOrder gives on what comes in the order of heads in the order of names.
type inOrder[T any] struct {
	give  func(T) bool
	group []named[T] // long names with one beginning
}

type named[T any] struct {
	beginning, name string
	value           T
}

// add gives on one value, or keeps it until those that may come before it are
// there. within tells apart what is not in one order: names with different ones
// are never turned around. It is false when nothing more is wanted.
func (o *inOrder[T]) add(within, name string, value T) bool {
	if len(name) <= headSize {
		return o.flush() && o.give(value)
	}
	beginning := within + name[:headSize]
	if len(o.group) > 0 && o.group[0].beginning != beginning && !o.flush() {
		return false
	}
	o.group = append(o.group, named[T]{beginning, name, value})
	return true
}

// flush gives on what is kept. It is to be called at the end.
func (o *inOrder[T]) flush() bool {
	slices.SortFunc(o.group, func(a, b named[T]) int { return strings.Compare(a.name, b.name) })
	for i := range o.group {
		if !o.give(o.group[i].value) {
			o.group = nil
			return false
		}
	}
	o.group = o.group[:0]
	return true
}
