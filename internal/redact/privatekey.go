package redact

import "bytes"

// privateKeys finds private keys in PEM (RFC 7468), as SSH and PGP write them,
// also where lines have numbers or signs of a diff before them, where newlines
// are written as \n, and where the end is cut off.
type privateKeys struct{}

// Version implements [Detector].
func (privateKeys) Version() string { return version }

// Find implements [Detector].
func (privateKeys) Find(text []byte) []Span {
	var spans []Span
	for at := 0; ; {
		i := bytes.Index(text[at:], []byte("-----BEGIN "))
		if i < 0 {
			return spans
		}
		start := at + i
		at = start + len("-----BEGIN ")
		label := text[at:min(len(text), at+100)]
		stop := bytes.Index(label, []byte("-----"))
		if stop < 0 || !bytes.Contains(label[:stop], []byte("PRIVATE KEY")) || bytes.IndexByte(label[:stop], '\n') >= 0 {
			continue
		}
		at += stop + len("-----")
		end := keyEnd(text, at)
		if end-at >= 16 {
			spans = append(spans, Span{start, end, "private-key", false})
		}
		at = end
	}
}

// keyEnd gives where the private key ends whose first line ends at i.
func keyEnd(text []byte, i int) int {
	room := text[i:min(len(text), i+MaxSpan)]
	if next := bytes.Index(room, []byte("-----BEGIN ")); next >= 0 {
		room = room[:next]
	}
	if end := bytes.Index(room, []byte("-----END ")); end >= 0 {
		stop := end + len("-----END ")
		if tail := bytes.Index(room[stop:min(len(room), stop+100)], []byte("-----")); tail >= 0 {
			stop += tail + len("-----")
		}
		return i + stop
	}
	// Cut off: as far as it looks like base64.
	end := i
	for line := range bytes.Lines(room) {
		body := bytes.TrimLeft(bytes.TrimRight(line, "\r\n"), "+->| \t0123456789:\xe2\x86\x92")
		if len(bytes.TrimSpace(line)) > 0 && len(body) > 0 && !isKeyLine(body) {
			break
		}
		end += len(line)
	}
	return end
}

// isKeyLine reports whether a line is of the body or of the head of a key.
func isKeyLine(line []byte) bool {
	line = bytes.TrimSpace(line)
	for _, head := range []string{"Proc-Type:", "DEK-Info:", "Version:", "Comment:"} {
		if bytes.HasPrefix(line, []byte(head)) {
			return true
		}
	}
	for _, c := range line {
		if !(isWord(c) && c != '_' || c == '+' || c == '/' || c == '=' || c == '\\') {
			return false
		}
	}
	return true
}
