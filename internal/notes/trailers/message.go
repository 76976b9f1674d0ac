package trailers

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/stemma-dev/stemma"
)

// The limits of one message.
const (
	maxMessage = 4 << 20 // of a longer one the end is read, where trailers are
	maxLine    = 4 << 10 // of a line with a trailer, folded lines included
	maxFolds   = 8
	maxSignals = 1000
)

// message is what a commit message says.
type message struct {
	signals  []signal
	people   bool // a co-author who is a person
	problems []string
}

// scan reads a message line by line. Trailers are looked for in every line and
// not in the last paragraph alone, where git has them: a squash merge leaves
// those of the single commits in the middle, and people write below them. In
// chainloop-dev/chainloop git sees 50 of 240 Assisted-by lines.
func scan(text []byte) message {
	var m message
	if len(text) > maxMessage {
		m.problems = append(m.problems, fmt.Sprintf("message: %d bytes long, only the last %d are read", len(text), maxMessage))
		text = text[len(text)-maxMessage:]
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	for len(text) > 0 {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte("\n"))
		if len(m.signals) >= maxSignals {
			m.problems = append(m.problems, fmt.Sprintf("message: more than %d lines name an agent, the others are not read", maxSignals))
			break
		}
		m.line(bytes.TrimRight(line, "\r"), text)
	}
	return m
}

// line reads one line; rest is what follows, for a trailer that is folded.
func (m *message) line(line, rest []byte) {
	if len(line) == 0 {
		return
	}
	// Every line of moby's 100,000 commits comes here: most begin with a letter
	// that none of the signals begins with.
	switch c := line[0]; {
	case strings.IndexByte("aAbBcCgGhHmMwW*_", c) >= 0, c >= 0x80:
	default:
		return
	}
	if read, key := trailer(line); read != nil {
		m.trailer(read, key, line, rest)
		return
	}
	if len(line) > maxLine {
		return
	}
	if id := sessionID(string(line)); id != "" {
		m.signals = append(m.signals, signal{agent: "claude-code", session: id, method: methodSession})
		return
	}
	m.signals = append(m.signals, bodyLine(string(line))...)
}

// reader reads the value of a trailer: the signals in it, whether it names a
// person, and whether it could be read to its end.
type reader func(value string) (signals []signal, person, ok bool)

// trailer gives the reader of the trailer that a line holds, and where its
// value begins, or nil.
func trailer(line []byte) (read reader, value int) {
	i := bytes.IndexByte(line[:min(len(line), 32)], ':')
	if i < 0 {
		return nil, 0
	}
	switch strings.ToLower(strings.TrimRight(string(line[:i]), " \t")) {
	case "co-authored-by", "co-author", "co-developed-by":
		return coAuthor, i + 1
	case "assisted-by", "ai-assisted-by":
		return named(methodAssisted), i + 1
	case "generated-by":
		return named(methodGenerated), i + 1
	case "made-with":
		return named(methodMade), i + 1
	case "claude-session":
		return claudeSession, i + 1
	default:
		return nil, 0
	}
}

func (m *message) trailer(read reader, value int, line, rest []byte) {
	if len(line) > maxLine {
		m.problems = append(m.problems, fmt.Sprintf("message: a line %q of %d bytes is not read", string(line[:value]), len(line)))
		return
	}
	plain := strings.TrimSpace(string(line[value:]))
	signals, person, ok := read(plain)
	// Folded lines may belong to the value, or be indented text that follows it.
	// They belong when the value can be read with them.
	if folded := unfold(plain, rest); folded != plain {
		if s, p, complete := read(folded); complete && (len(s) > 0 || p || !ok) {
			signals, person = s, p
		}
	}
	m.signals = append(m.signals, signals...)
	m.people = m.people || person
}

// unfold appends the lines that continue a trailer: those that begin with white
// space.
func unfold(value string, rest []byte) string {
	for range maxFolds {
		line, after, _ := bytes.Cut(rest, []byte("\n"))
		text := bytes.TrimSpace(line)
		if len(text) == 0 || line[0] != ' ' && line[0] != '\t' || len(value)+len(text) > maxLine {
			break
		}
		value = strings.TrimSpace(value + " " + string(text))
		rest = after
	}
	return value
}

// coAuthor reads "Name <mail>".
func coAuthor(value string) ([]signal, bool, bool) {
	name, mail, ok := cutMail(value)
	if s, found := account(name, mail, methodCoAuthor); found {
		return []signal{s}, false, true
	}
	return nil, ok && mail != "" && !stemma.Bot(name, mail), ok
}

// named gives the reader of a trailer whose value names tools: with a mail
// address, or in the form of the Linux kernel, or in words.
func named(method string) reader {
	return func(value string) ([]signal, bool, bool) {
		if name, mail, ok := cutMail(value); ok && mail != "" {
			s, found := account(name, mail, method)
			if !found {
				return nil, false, false
			}
			return []signal{s}, false, true
		}
		signals := tools(value, method)
		return signals, false, len(signals) > 0
	}
}

// claudeSession reads the address of a session of Claude Code on the web.
func claudeSession(value string) ([]signal, bool, bool) {
	id := sessionID(value)
	if id == "" && strings.HasPrefix(value, "session_") {
		id = sessionID(sessionAddress + value)
	}
	if id == "" {
		return nil, false, false
	}
	return []signal{{agent: "claude-code", session: id, method: methodSession}}, false, true
}

const sessionAddress = "https://claude.ai/code/"

// sessionID gives the id in the address of a session. Before the trailer had a
// key, Claude Code wrote the address alone on the last line.
func sessionID(s string) string {
	s, ok := strings.CutPrefix(strings.TrimSpace(s), sessionAddress)
	if !ok || !strings.HasPrefix(s, "session_") {
		return ""
	}
	if i := strings.IndexAny(s, "?#/"); i >= 0 {
		s = s[:i]
	}
	for _, c := range []byte(s[len("session_"):]) {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == '-') {
			return ""
		}
	}
	if n := len(s) - len("session_"); n < 8 || n > 120 {
		return ""
	}
	return s
}

// cutMail cuts "Name <mail>" apart. Without a mail address ok is true and mail
// "", if there is no angle bracket at all.
func cutMail(value string) (name, mail string, ok bool) {
	i := strings.LastIndexByte(value, '<')
	if i < 0 {
		return value, "", strings.IndexByte(value, '>') < 0
	}
	mail, after, closed := strings.Cut(value[i+1:], ">")
	if !closed || strings.Trim(after, " .,;") != "" || !strings.Contains(mail, "@") || strings.ContainsAny(mail, " \t") {
		return value, "", false
	}
	return strings.Trim(value[:i], " \t\"'"), mail, true
}
