package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// This file holds how what stemma says of the oracle's world is judged.

// score is how well the lines at HEAD are told.
type score struct {
	wrong, open          []string
	told                 int // lines that are ai or human by what stemma says, and by the truth known
	ai, aiTold           int // unique lines of sessions, and how many are told
	human, humanTold     int
	plain, plainTold     int // the same of lines that stand in many places
	unknown, all, inGaps int
}

// run runs stemma by the clock of this world.
func (w *world) run(args ...string) []byte {
	w.t.Helper()
	var out, errOut bytes.Buffer
	if code := executeAt(w.t.Context(), append([]string{"-R", w.dir}, args...), &out, &errOut, w.tick); code != exitOK {
		w.t.Fatalf("stemma %s: exit %d: %s", strings.Join(args, " "), code, errOut.String())
	}
	return out.Bytes()
}

// judge compares what stemma says of every line at HEAD with the truth.
func (w *world) judge() score {
	w.t.Helper()
	w.commit()
	w.reread()
	w.run("sync", "--quiet")
	var s score
	for path, truth := range w.files {
		if len(truth) == 0 {
			continue
		}
		var told struct {
			Lines []struct {
				Class  string
				Commit string
				Text   string
				Reason string
				Part   *struct{ Session, Via string }
			}
		}
		if err := json.Unmarshal(w.run("blame", "--json", path), &told); err != nil {
			w.t.Fatal(err)
		}
		if len(told.Lines) != len(truth) {
			w.t.Fatalf("%s: %d lines told, %d are there", path, len(told.Lines), len(truth))
		}
		for i, l := range told.Lines {
			by, session := truth[i].by, ""
			if l.Part != nil {
				session = strings.TrimPrefix(l.Part.Session, "claude-code/")
			}
			if by.gap {
				s.inGaps++
			} else {
				s.all++
				if l.Class == "unknown" {
					s.unknown++
					s.open = append(s.open, fmt.Sprintf("%s:%d %q of %.10s is unknown: %s, truth %+v", path, i+1, l.Text, l.Commit, l.Reason, by))
				}
			}
			right := l.Class == "ai" && by.session != "" && session == by.session || l.Class == "human" && by.session == ""
			if !by.lost && (l.Class == "ai" || l.Class == "human") {
				s.told++
				if !right {
					s.wrong = append(s.wrong, fmt.Sprintf("%s:%d %q of %.10s is %s of %q (%s), truth %+v", path, i+1, l.Text, l.Commit, l.Class, session, l.Reason, by))
				}
			}
			switch {
			case by.gap:
			case truth[i].plain:
				s.plain++
				if right {
					s.plainTold++
				}
			case by.session == "":
				s.human++
				if l.Class == "human" {
					s.humanTold++
				}
			default:
				s.ai++
				if (l.Class == "ai" || l.Class == "ai-edited") && session == by.session {
					s.aiTold++
				}
			}
		}
	}
	return s
}

func share(part, whole int) float64 {
	if whole == 0 {
		return 1
	}
	return float64(part) / float64(whole)
}
