package agent

import (
	"cmp"
	"strconv"
	"strings"
)

// tested are the newest versions of agents of whose transcripts the decoders were
// tried with one: what stands in their testdata.
var tested = map[string]string{
	"amp": "0.0.1772237000", "claude-code": "2.1.90", "codex": "0.142.0", "copilot-cli": "1.0.62", "copilot-vscode": "0.47.0", "opencode": "1.2",
}

// Tested gives the newest version of an agent that its decoder was tried with; ""
// where no transcript of it names one.
func Tested(agent string) string { return tested[agent] }

// Newer reports whether a version comes after another: their numbers are compared
// part by part. What is no version is not newer.
func Newer(version, than string) bool {
	a, b := strings.Split(version, "."), strings.Split(than, ".")
	for i := range max(len(a), len(b)) {
		x, y := number(a, i), number(b, i)
		if x < 0 || y < 0 {
			return false
		}
		if c := cmp.Compare(x, y); c != 0 {
			return c > 0
		}
	}
	return false
}

// number is the number that a part of a version begins with, 0 behind its end.
func number(parts []string, i int) int {
	if i >= len(parts) {
		return 0
	}
	digits := parts[i][:len(parts[i])-len(strings.TrimLeft(parts[i], "0123456789"))]
	n, err := strconv.Atoi(digits)
	if err != nil {
		return -1
	}
	return n
}
