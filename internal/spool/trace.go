package spool

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxParent is the length in bytes over which a text names no session.
const maxParent = 4 << 10

// Traceparent reads a traceparent (W3C Trace Context, section 3.2): the id of the
// trace, and that of the span which started what sees it. It is false for what
// is none, also where an id is zero.
func Traceparent(text string) (trace, span string, ok bool) {
	if len(text) < 55 || len(text) > 512 || text[2] != '-' || text[35] != '-' || text[52] != '-' {
		return "", "", false
	}
	version, flags := text[:2], text[53:55]
	trace, span = text[3:35], text[36:52]
	switch {
	case !hexadecimal(version) || version == "ff" || !hexadecimal(flags):
		return "", "", false
	case len(text) > 55 && (version == "00" || text[55] != '-'): // a later version may add fields
		return "", "", false
	case !hexadecimal(trace) || strings.Trim(trace, "0") == "" || !hexadecimal(span) || strings.Trim(span, "0") == "":
		return "", "", false
	}
	return trace, span, true
}

// hexadecimal reports whether a text is of lower-case hexadecimal digits alone.
func hexadecimal(text string) bool { return strings.Trim(text, "0123456789abcdef") == "" }

// SpanOf is the id of the span that stands for a session, by the key of its node:
// whoever starts another session on its behalf gives it that as its parent.
func SpanOf(session string) string {
	sum := sha256.Sum256([]byte("stemma span " + session))
	sum[0] |= 1 // never zero
	return hex.EncodeToString(sum[:8])
}

// TraceOf is the id of the trace of a session that is in none yet.
func TraceOf(session string) string {
	sum := sha256.Sum256([]byte("stemma trace " + session))
	sum[0] |= 1
	return hex.EncodeToString(sum[:16])
}

// tracestate gives the value of stemma's own member of a tracestate (section 3.3):
// the key of the session that is above, or "".
func tracestate(text string) string {
	if len(text) > 8<<10 {
		return ""
	}
	for member := range strings.SplitSeq(text, ",") {
		if value, ok := strings.CutPrefix(strings.TrimSpace(member), "stemma="); ok {
			return value
		}
	}
	return ""
}

// SubagentID is the id of the session of a sub-agent to which its agent gives an
// id within its parent's, as Claude Code does.
func SubagentID(parent, id string) string { return parent + "/agent-" + id }

// TracestateValue reports whether a text may be the value of a member of a
// tracestate (section 3.3.1.3.2).
func TracestateValue(text string) bool {
	return text != "" && len(text) <= 256 && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || r == ',' || r == '=' })
}
