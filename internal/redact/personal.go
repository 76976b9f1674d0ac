package redact

import (
	"bytes"
	"strings"
)

// personal finds personal data that can be known by its own form: mail
// addresses, telephone numbers, and numbers that carry check digits. Names of
// people and postal addresses have no form to know them by.
type personal struct{}

// Version implements [Detector].
func (personal) Version() string { return version }

// Find implements [Detector].
func (personal) Find(text []byte) []Span {
	return append(findMail(text), findNumbers(text)...)
}

// findMail gives the mail addresses (RFC 5321, section 4.1.2, and RFC 6531,
// without quoted local parts and literals).
func findMail(text []byte) []Span {
	var spans []Span
	for at := 0; ; {
		i := bytes.IndexByte(text[at:], '@')
		if i < 0 {
			return spans
		}
		sign := at + i
		at = sign + 1
		start, end := sign, sign+1
		for start > 0 && sign-start < 64 && (isMailLetter(text[start-1]) || text[start-1] == '.') {
			start--
		}
		for start < sign && text[start] == '.' {
			start++
		}
		dot := 0
		for end < len(text) && end-sign < 255 && (isWord(text[end]) && text[end] != '_' || text[end] >= 0x80 || text[end] == '-' || text[end] == '.') {
			if text[end] == '.' {
				if end == sign+1 || text[end-1] == '.' {
					break
				}
				dot = end
			}
			end++
		}
		for end > sign && (text[end-1] == '.' || text[end-1] == '-') {
			end--
		}
		if dot >= end {
			dot = bytes.LastIndexByte(text[:end], '.')
		}
		if start < sign && text[sign-1] != '.' && dot > sign+1 && end-dot > 2 && !hasDigit(text[dot:end]) && isMail(text, start, sign, end) {
			spans = append(spans, Span{start, end, "email", false})
			at = end
		}
	}
}

func isMailLetter(c byte) bool {
	return isWord(c) || c >= 0x80 || strings.IndexByte("!#$%&'*+/=?^{|}~-", c) >= 0
}

// reservedDomains belong to nobody (RFC 2606, RFC 6761), or to machines that
// write mail and read none.
var reservedDomains = []string{
	"example.com", "example.org", "example.net", "example", "test", "invalid", "localhost", "local", "internal",
	"users.noreply.github.com", "noreply.github.com", "noreply.gitlab.com", "email.com", "domain.com", "host.com", "server.com",
}

// machineNames are local parts behind which no person is.
var machineNames = []string{"noreply", "no-reply", "donotreply", "do-not-reply", "git", "postmaster", "mailer-daemon", "root", "user", "username", "svn", "hg"}

// fileEndings look like top-level domains after the @ of an icon's name or of a
// package's version.
var fileEndings = []string{
	"png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "js", "mjs", "cjs", "jsx", "ts", "tsx", "json", "html", "css", "scss", "yml", "yaml",
	"toml", "lock", "txt", "xml", "map", "go", "java", "kt", "rb", "php", "cpp", "hpp", "service", "socket", "target", "mount", "timer",
}

// isMail reports whether the mail address between start and end, with its @ at
// sign, can be a person's.
func isMail(text []byte, start, sign, end int) bool {
	local, domain := lowerString(string(text[start:sign])), lowerString(string(text[sign+1:end]))
	for _, d := range reservedDomains {
		if domain == d || strings.HasSuffix(domain, "."+d) {
			return false
		}
	}
	for _, n := range machineNames {
		if local == n {
			return false
		}
	}
	ending := domain[strings.LastIndexByte(domain, '.')+1:]
	for _, e := range fileEndings {
		if ending == e {
			return false
		}
	}
	// git@host:path and user@host/path are addresses of machines.
	if end+1 < len(text) && text[end] == ':' && (isLetter(text[end+1]) || text[end+1] == '/' || text[end+1] == '~') {
		return false
	}
	return !bytes.HasSuffix(text[:start], []byte("://")) && !strings.Contains(local, "://")
}
