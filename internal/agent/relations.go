package agent

import (
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"time"
)

// Relation says that one session took up what another had said.
type Relation struct {
	From string // key of the session that did
	To   string // key of the session that had said it
	// Kind is "fixes" where To reviewed and From wrote, "reviews" where From was to
	// review files that To had written, and "quotes" otherwise.
	Kind   string
	Method string
	Lines  int // quoted, or files in common
}

// Outline is what [Relations] needs to know of a session. It holds no text, so
// that those of many sessions can be held at once.
type Outline struct {
	Key        string
	Start, End time.Time
	// reviewed and writes are those of the session.
	reviewed, writes bool
	prompts          []outlinedPrompt
	answers          []digest // lines of all answers, each once
	read, wrote      []digest // paths, each once; read is that of a reviewing session alone
}

type outlinedPrompt struct {
	start time.Time // of the turn
	lines []digest
}

// digest stands for a text within this process. Two texts of 2^20 have the same one
// with a chance of 2^-25, and nobody can make such texts.
type digest uint64

var digestSeed = maphash.MakeSeed()

func digestOf(text string) digest { return digest(maphash.String(digestSeed, text)) }

// digests gives those of texts, each once.
func digests(texts map[string]bool) []digest {
	all := make([]digest, 0, len(texts))
	for text := range texts {
		all = append(all, digestOf(text))
	}
	return all
}

// Outline gives what [Relations] needs to know of the session.
func (s *Session) Outline() Outline {
	o := Outline{Key: s.Key(), Start: s.Start, End: s.End, reviewed: reviewed(s), writes: s.writes()}
	said := make(map[string]bool)
	for _, t := range s.Turns {
		for _, line := range quotable(t.Answer) {
			said[line] = true
		}
		if lines := quotable(t.Prompt); len(lines) > 0 {
			p := outlinedPrompt{t.Start, make([]digest, len(lines))}
			for i, line := range lines {
				p.lines[i] = digestOf(line)
			}
			o.prompts = append(o.prompts, p)
		}
	}
	o.answers = digests(said)
	if o.reviewed {
		o.read = digests(s.touched(Read))
	}
	wrote := s.touched(Write)
	maps.Copy(wrote, s.touched(Create))
	o.wrote = digests(wrote)
	return o
}

// minQuote is the length in bytes from which a line is taken for a quotation.
const minQuote = 40

// Relations finds sessions that took up what others had said or done: prompts
// that quote another session's answer, and reviews of files that another one had
// written before.
func Relations(sessions []Outline) []Relation {
	// What no prompt has, and no reviewer read, relates nothing.
	said, wrote := make(map[digest][]int), make(map[digest][]int) // sessions
	for _, s := range sessions {
		for _, p := range s.prompts {
			for _, line := range p.lines {
				said[line] = nil
			}
		}
		for _, path := range s.read {
			wrote[path] = nil
		}
	}
	for i, s := range sessions {
		for _, line := range s.answers {
			if list, ok := said[line]; ok && len(list) < 10 {
				said[line] = append(list, i)
			}
		}
		for _, path := range s.wrote {
			if list, ok := wrote[path]; ok {
				wrote[path] = append(list, i)
			}
		}
	}
	var all []Relation
	for i, from := range sessions {
		quoted := make(map[int]int)
		for _, p := range from.prompts {
			for _, line := range p.lines {
				for _, j := range said[line] {
					if j != i && !sessions[j].Start.After(p.start) {
						quoted[j]++
					}
				}
			}
		}
		for _, j := range slices.Sorted(maps.Keys(quoted)) {
			r := Relation{From: from.Key, To: sessions[j].Key, Kind: "quotes", Method: "a prompt quotes an answer", Lines: quoted[j]}
			if sessions[j].reviewed && from.writes {
				r.Kind = "fixes"
			}
			all = append(all, r)
		}
		files := make(map[int]int)
		for _, path := range from.read {
			for _, j := range wrote[path] {
				if to := sessions[j]; j != i && !to.Start.IsZero() && !to.Start.After(from.Start) {
					files[j]++
				}
			}
		}
		for _, j := range slices.Sorted(maps.Keys(files)) {
			all = append(all, Relation{From: from.Key, To: sessions[j].Key, Kind: "reviews", Method: "was to review, and read files that had been written", Lines: files[j]})
		}
	}
	return all
}

// quotable gives the lines of a text that are long enough to be recognised, with
// white space and marks of quotation taken off.
func quotable(t *Text) []string {
	if t == nil {
		return nil
	}
	var all []string
	seen := make(map[string]bool)
	for line := range strings.Lines(t.Text) {
		line = strings.TrimLeft(strings.TrimSpace(line), "> -*#0123456789.)")
		if len(line) >= minQuote && !seen[line] && len(all) < 2000 {
			seen[line] = true
			all = append(all, line)
		}
	}
	return all
}
