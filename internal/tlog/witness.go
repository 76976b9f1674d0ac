package tlog

import (
	"fmt"
	"strings"

	"github.com/stemma-dev/stemma"
)

// WitnessKeys gives the keys of the witnesses that a policy names (C2SP
// tlog-policy: lines of "witness name vkey [url]", "group name n members",
// "quorum name" and "log vkey [url]", comments after #), for [NewKeys]. quorum
// says whether it asks for a quorum: a policy without one says who is believed,
// and has nobody asked. The error is ErrInvalid, with the line.
func WitnessKeys(policy string) (keys []string, quorum bool, err error) {
	n := 0
	for line := range strings.Lines(policy) {
		n++
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "witness":
			if len(words) != 3 && len(words) != 4 {
				return nil, false, fmt.Errorf("line %d: want \"witness name vkey url\": %w", n, stemma.ErrInvalid)
			}
			keys = append(keys, words[2])
		case "quorum":
			quorum = true
		case "group", "log":
		default:
			return nil, false, fmt.Errorf("line %d: %q is none of witness, group, quorum and log: %w", n, clip(words[0]), stemma.ErrInvalid)
		}
	}
	return keys, quorum, nil
}
