package store

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/stemma-dev/stemma"
)

// Changes is what was put since a moment.
type Changes struct {
	// Now is the moment that they lead up to; "" where nothing was ever put.
	Now string
	// Known says that Scopes is all that changed. Where it is false anything may
	// have: more was put than is remembered, or the graph is not the one of that
	// moment.
	Known bool
	// Scopes were put or removed, each once, in no stated order. One that was put
	// again as it was may be among them.
	Scopes []stemma.NodeID
}

// What a backend remembers of Puts: the newest PutsKept, and of each the names of
// its scopes, where they take no more than PutNames bytes. Of a larger one
// nothing is remembered but that it was.
const (
	PutsKept = 500
	PutNames = 32 << 10
)

// Moment tells apart the states of one graph: how many Puts of scopes it has
// seen, in which of its lives.
type Moment struct{ Epoch, Puts int64 }

// String is the moment in words that [ParseMoment] reads.
func (m Moment) String() string {
	return strconv.FormatInt(m.Epoch, 36) + "." + strconv.FormatInt(m.Puts, 10)
}

// ParseMoment reads what [Moment.String] wrote, and gives false for anything else.
func ParseMoment(s string) (m Moment, ok bool) {
	epoch, puts, ok := strings.Cut(s, ".")
	if !ok {
		return Moment{}, false
	}
	var err error
	if m.Epoch, err = strconv.ParseInt(epoch, 36, 64); err != nil {
		return Moment{}, false
	}
	if m.Puts, err = strconv.ParseInt(puts, 10, 64); err != nil {
		return Moment{}, false
	}
	return m, m.String() == s
}

// Kept reports whether the puts from m until now are still kept.
func (m Moment) Kept(now Moment) bool {
	return m.Epoch == now.Epoch && now.Puts-m.Puts <= PutsKept
}

// Until gives what changed up to now, from the names that a backend remembers of
// each Put after m, which it need not know to be all.
func (m Moment) Until(now Moment, puts [][]byte) (Changes, error) {
	c := Changes{Now: now.String()}
	if m.Epoch != now.Epoch || m.Puts > now.Puts || int64(len(puts)) != now.Puts-m.Puts {
		return c, nil
	}
	c.Known = true
	seen := make(map[stemma.NodeID]bool)
	for _, packed := range puts {
		ids, err := ParseIDs(packed)
		if err != nil {
			return Changes{}, err
		}
		for _, id := range ids {
			if !seen[id] {
				seen[id] = true
				c.Scopes = append(c.Scopes, id)
			}
		}
	}
	return c, nil
}

// PackNames writes the names of scopes, and gives false where they take more than
// [PutNames] bytes.
func PackNames(scopes []Scope) (packed []byte, ok bool) {
	for i := range scopes {
		for _, s := range [...]string{string(scopes[i].ID.Kind), scopes[i].ID.Key} {
			packed = binary.AppendUvarint(packed, uint64(len(s)))
			packed = append(packed, s...)
		}
		if len(packed) > PutNames {
			return nil, false
		}
	}
	return packed, true
}

// ParseIDs reads what [PackNames] wrote. The error is ErrInvalid, with the offset,
// for anything else.
func ParseIDs(packed []byte) (ids []stemma.NodeID, err error) {
	rest := packed
	text := func() string {
		n, size := binary.Uvarint(rest)
		if size <= 0 || n > uint64(len(rest)-size) {
			err = fmt.Errorf("names of scopes: cut short at byte %d: %w", len(packed)-len(rest), stemma.ErrInvalid)
			return ""
		}
		s := string(rest[size : size+int(n)])
		rest = rest[size+int(n):]
		return s
	}
	for len(rest) > 0 {
		id := stemma.NodeID{Kind: stemma.NodeKind(text())}
		if err == nil {
			id.Key = text()
		}
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}
