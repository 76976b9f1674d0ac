package trailers

import (
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
)

// Encode gives the trailers that say which agents and models took part in a
// commit, in the form of the Linux kernel (Documentation/process/coding-assistants.rst):
// "Assisted-by: AGENT:MODEL". Each is given once, sorted; none where no session took part.
func Encode(a stemma.Attribution) []string {
	var lines []string
	for _, o := range a.Owners {
		if o.Session != "" && o.Lines+o.Candidate > 0 {
			lines = append(lines, Assisted(o.Agent, o.Model))
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// Assisted gives the trailer of one agent. A model that is not known is left out.
func Assisted(agent string, m stemma.Model) string {
	word := func(s string) string {
		return strings.Map(func(c rune) rune {
			if c <= ' ' || c == ':' || c == 0x7f {
				return '-'
			}
			return c
		}, s)
	}
	line := "Assisted-by: " + word(agent)
	if m.Known() {
		line += ":" + word(m.ID)
	}
	return line
}
