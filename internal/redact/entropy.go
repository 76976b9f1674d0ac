package redact

import (
	"bytes"
	"math"
)

// The lengths of words that can look drawn by lot. Shorter ones are chance, and
// longer ones are content: images, certificates, signatures.
const (
	minRandom = 24
	maxRandom = 128
)

// identityPrefixes begin ids that agents, forges and services give out. They
// look drawn by lot, join one piece of evidence to another, and open nothing.
var identityPrefixes = [][]byte{
	[]byte("toolu_"), []byte("srvtoolu_"), []byte("msg_"), []byte("req_"), []byte("call_"), []byte("resp_"), []byte("rs_"), []byte("fc_"), []byte("ws_"),
	[]byte("chatcmpl-"), []byte("run_"), []byte("thread_"), []byte("asst_"), []byte("file-"), []byte("file_"), []byte("ses_"), []byte("prt_"), []byte("session_"),
	[]byte("evt_"), []byte("cus_"), []byte("pi_"), []byte("price_"), []byte("prod_"), []byte("sub_"), []byte("in_"), []byte("ch_"), []byte("AAAA"),
}

// digestPrefixes stand before what is a digest by its own account.
var digestPrefixes = [][]byte{
	[]byte("sha1-"), []byte("sha256-"), []byte("sha384-"), []byte("sha512-"), []byte("sha256:"), []byte("sha512:"), []byte("SHA256:"), []byte("h1:"),
	[]byte("base64,"), []byte("md5-"), []byte("md5:"), []byte("ETag: "), []byte("nonce-"),
}

// findEntropy gives the words that look drawn by lot, with nothing around them
// that says what they are.
func findEntropy(text []byte) []Span {
	var spans []Span
	for i := 0; i < len(text); {
		if !isRandomLetter(text[i]) {
			i++
			continue
		}
		start := i
		for i < len(text) && isRandomLetter(text[i]) {
			i++
		}
		end := i
		for end < len(text) && end < i+2 && text[end] == '=' {
			end++
		}
		if i-start < minRandom || i-start > maxRandom || inBlock(text, start, end) || isDigest(text, start, end) {
			continue
		}
		for _, p := range pieces(text, start, i) {
			if p.end == i {
				p.end = end
			}
			if min(p.end, i)-p.start >= minRandom && looksRandom(text[p.start:min(p.end, i)]) && !isDigest(text, p.start, p.end) {
				spans = append(spans, Span{p.start, p.end, "high-entropy", true})
			}
		}
	}
	return spans
}

// pieces gives a word, or its parts between slashes where it is a path: where a
// part is a word of small letters.
func pieces(text []byte, start, end int) []window {
	whole := []window{{start, end}}
	if bytes.IndexByte(text[start:end], '/') < 0 {
		return whole
	}
	var parts []window
	path := false
	for at := start; at <= end; {
		stop := end
		if i := bytes.IndexByte(text[at:end], '/'); i >= 0 {
			stop = at + i
		}
		parts = append(parts, window{at, stop})
		small := stop-at >= 2
		for _, c := range text[at:stop] {
			small = small && isLower(c)
		}
		path = path || small
		at = stop + 1
	}
	if path {
		return parts
	}
	return whole
}

func isRandomLetter(c byte) bool { return isWord(c) || c == '-' || c == '+' || c == '/' }

// looksRandom reports whether a word has letters of both cases and digits in the
// disorder that only chance makes. Hexadecimal never does: it looks the same
// whether it is a key or a commit.
func looksRandom(word []byte) bool {
	var upper, lower, digits, signs, changes, run, spelled int
	for i, c := range word {
		switch {
		case isLower(c):
			lower++
		case 'A' <= c && c <= 'Z':
			upper++
		case '0' <= c && c <= '9':
			digits++
		default:
			signs++
		}
		if isLower(c) {
			if run++; run >= 8 {
				return false // a word of some language
			}
			if run == 4 {
				spelled += 3
			}
			if run >= 4 {
				spelled++
			}
		} else {
			run = 0
		}
		if i > 0 && letterClass(c) != letterClass(word[i-1]) {
			changes++
		}
	}
	n := len(word)
	if spelled*3 > n {
		return false // words with capitals between them: a name
	}
	return upper >= 3 && lower >= 3 && digits >= 2 && signs*8 <= n && digits*3 <= 2*n &&
		changes*20 >= 9*(n-1) && entropy(word) >= 0.82*math.Log2(float64(min(n, 62)))
}

func letterClass(c byte) int {
	switch {
	case isLower(c):
		return 0
	case 'A' <= c && c <= 'Z':
		return 1
	case '0' <= c && c <= '9':
		return 2
	}
	return 3
}

// isDigest reports whether the word between start and end is an id or a digest.
func isDigest(text []byte, start, end int) bool {
	word := text[start:end]
	for _, p := range identityPrefixes {
		if bytes.HasPrefix(word, p) {
			return true
		}
	}
	for _, p := range digestPrefixes {
		if bytes.HasPrefix(word, p) || bytes.HasSuffix(text[:start], p) {
			return true
		}
	}
	return false
}

// inBlock reports whether a word is alone on its line and the line before or
// after it is a long word as well: base64 that is broken into lines.
func inBlock(text []byte, start, end int) bool {
	from, to := start, end
	for from > 0 && isMargin(text[from-1]) {
		from--
	}
	for to < len(text) && (text[to] == ' ' || text[to] == '\t' || text[to] == '\r') {
		to++
	}
	if from > 0 && text[from-1] != '\n' || to < len(text) && text[to] != '\n' {
		return false
	}
	if from > 0 {
		above := text[:from-1]
		line := above[bytes.LastIndexByte(above, '\n')+1:]
		if isBlockLine(line) || bytes.Contains(line, []byte("-----BEGIN ")) {
			return true
		}
	}
	if to < len(text) {
		below, _, _ := bytes.Cut(text[to+1:min(len(text), to+256)], []byte("\n"))
		return isBlockLine(below)
	}
	return false
}

// isMargin reports whether a byte can stand before each line of a block: white
// space, signs of a difference, numbers of lines do not count as words here.
func isMargin(c byte) bool { return c == ' ' || c == '\t' || c == '+' || c == '>' || c == '|' }

// isBlockLine reports whether a line is one long word.
func isBlockLine(line []byte) bool {
	line = bytes.TrimRight(bytes.TrimSpace(line), "=")
	for len(line) > 0 && isMargin(line[0]) {
		line = line[1:]
	}
	if len(line) < 40 || len(line) > 200 {
		return false
	}
	for _, c := range line {
		if !isRandomLetter(c) {
			return false
		}
	}
	return true
}

// entropy is Shannon's, of the bytes, in bits a byte.
func entropy(b []byte) float64 {
	var counts [256]int
	for _, c := range b {
		counts[c]++
	}
	h, n := 0.0, float64(len(b))
	for _, k := range counts {
		if k > 0 {
			p := float64(k) / n
			h -= p * math.Log2(p)
		}
	}
	return h
}
