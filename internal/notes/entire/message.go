package entire

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/stemma-dev/stemma/internal/notes"
)

// The limits of one message.
const (
	maxMessage = 4 << 20 // of a longer one the end is read, where trailers are
	maxNamed   = 1000    // checkpoints and sessions of one message
	maxTrailer = 1024    // bytes of one trailer's line
)

// message is what Entire put into the message of a commit.
type message struct {
	checkpoints []string // ids, in the order of the message, each once
	sessions    []string // of Entire-Session, each once
	agent       string   // of Entire-Agent, as it stands
	figures     []notes.Figure
	problems    []string
}

// says reports whether Entire said anything at all.
func (m message) says() bool {
	return len(m.checkpoints)+len(m.sessions)+len(m.figures)+len(m.problems) > 0
}

// readMessage looks for Entire's trailers in every line: a squash merge leaves
// those of the single commits in the middle, and GitHub's oldest first, git's
// newest first. The keys are those of cmd/entire/cli/trailers/trailers.go.
// Entire-Strategy, Entire-Metadata, Entire-Condensation and Entire-Source-Ref,
// which older versions wrote, name no session that could be found any more.
func readMessage(text []byte) message {
	var m message
	if !bytes.Contains(text, []byte("ntire-")) && !bytes.Contains(text, []byte("NTIRE-")) {
		return m
	}
	if len(text) > maxMessage {
		m.problems = append(m.problems, fmt.Sprintf("message: %d bytes long, only the last %d are read", len(text), maxMessage))
		text = text[len(text)-maxMessage:]
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	for line := range bytes.Lines(text) {
		if len(line) < 7 || line[0]|0x20 != 'e' || len(line) > maxTrailer {
			continue
		}
		key, value, ok := strings.Cut(string(line), ":")
		if !ok {
			continue
		}
		if m.trailer(strings.ToLower(strings.TrimRight(key, " \t")), strings.TrimSpace(value)); len(m.checkpoints)+len(m.sessions) >= maxNamed {
			m.problems = append(m.problems, fmt.Sprintf("message: more than %d checkpoints, the others are not read", maxNamed))
			break
		}
	}
	return m
}

func (m *message) trailer(key, value string) {
	switch key {
	case "entire-checkpoint":
		if len(value) == 26 {
			value = strings.ToUpper(value)
		}
		switch {
		case !validID(value):
			m.problems = append(m.problems, fmt.Sprintf("message: Entire-Checkpoint %q is no id of a checkpoint", notes.Clip(value)))
		case !slices.Contains(m.checkpoints, value):
			m.checkpoints = append(m.checkpoints, value)
		}
	case "entire-session":
		if id := sessionID(value); id != "" && !slices.Contains(m.sessions, id) {
			m.sessions = append(m.sessions, id)
		}
	case "entire-agent":
		if m.agent == "" {
			m.agent = value
		}
	case "entire-attribution":
		f, ok := attribution(value)
		if !ok {
			m.problems = append(m.problems, fmt.Sprintf("message: Entire-Attribution %q is not read", notes.Clip(value)))
			return
		}
		m.figures = append(m.figures, f)
	}
}

// attributionForm is "73% agent (146/200 lines)".
var attributionForm = regexp.MustCompile(`^\d{1,3}% agent \((\d{1,9})/(\d{1,9}) lines\)$`)

func attribution(value string) (notes.Figure, bool) {
	of := attributionForm.FindStringSubmatch(value)
	if of == nil {
		return notes.Figure{}, false
	}
	ai, _ := strconv.Atoi(of[1])
	total, _ := strconv.Atoi(of[2])
	return notes.Figure{What: "Entire-Attribution trailer", AI: ai, Total: total, Added: -1, Modified: -1, Removed: -1}, true
}

// datedSession is how Entire named sessions until February 2026: the day, then
// the agent's own id.
var datedSession = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}-`)

// sessionID gives the agent's own id of what Entire calls a session, "" where
// it is none.
func sessionID(s string) string {
	s = strings.TrimPrefix(s, datedSession.FindString(s))
	if s == "unknown" || len(s) > maxSessionID {
		return ""
	}
	return s
}
