package claudecode

import (
	"regexp"
	"strings"

	"github.com/stemma-dev/stemma/internal/agent"
)

// Sessions of a team say something to one another with the tool SendMessage. The
// other one has it as what a person would have said, in a tag that names the
// sender; later versions put a sentence before it.
var (
	peerTag   = regexp.MustCompile(`(?s)<(teammate-message|agent-message|cross-session-message)\b([^>]*)>(.*?)</(?:teammate-message|agent-message|cross-session-message)>`)
	peerName  = regexp.MustCompile(`\b(?:teammate_id|from|sender|agent_id)="([^"]*)"`)
	peerWords = []string{"<teammate-message", "<agent-message", "<cross-session-message", "Another Claude session sent a message"}
)

// fromPeer reports whether a text begins as a message of another session does. A
// person's words that begin so have the tag all the same.
func fromPeer(begin string) bool {
	begin = strings.TrimSpace(begin)
	for i, words := range peerWords {
		if strings.HasPrefix(begin, words) {
			return i < len(peerWords)-1 || strings.Contains(begin, "<")
		}
	}
	return false
}

// received notes the messages that a prompt is made of.
func received(b *agent.Builder, w *agent.Work, l *line, text *agent.Text) {
	if text == nil {
		return
	}
	for _, m := range peerTag.FindAllStringSubmatch(text.Text, -1) {
		name := ""
		if found := peerName.FindStringSubmatch(m[2]); found != nil {
			name = found[1]
		}
		said := strings.TrimSpace(m[3])
		w.Message(agent.Message{Time: l.time, Received: true, Name: member(name), Kind: protocol(said), Text: b.String(said, agent.MaxText)})
	}
}

// sent notes a message that the session sends.
func sent(b *agent.Builder, w *agent.Work, l *line, call string, input agent.Value) {
	var to, kind string
	var text agent.Value
	input.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "recipient", "to", "target":
			to, _ = v.TextUpTo(256)
		case "type":
			kind, _ = v.TextUpTo(64)
		case "content", "message":
			text = v
		}
	})
	switch {
	case kind == "broadcast":
		to = "*"
	case kind == "message":
		kind = ""
	}
	if inner := text.Get("type"); text.IsObject() && inner.IsString() {
		kind = inner.Text()
	}
	if kind == "broadcast" {
		kind = ""
	}
	w.Message(agent.Message{Time: l.time, Name: member(to), Kind: kind, Call: call, Text: b.Text(text, agent.MaxText)})
}

// member is the name of a session in its team: "rev" of "@rev" and of "rev@core".
func member(name string) string {
	name = strings.TrimPrefix(name, "@")
	if short, _, ok := strings.Cut(name, "@"); ok && short != "" {
		return short
	}
	return name
}

// protocol gives the type of a message that is no text.
func protocol(said string) string {
	if !strings.HasPrefix(said, "{") {
		return ""
	}
	v, err := agent.ParseValue([]byte(said), 0)
	if err != nil {
		return ""
	}
	kind, _ := v.Get("type").TextUpTo(64)
	return kind
}
