package redact

import (
	"bytes"
	"strings"
)

// newPersonal makes the detector of personal data that can be known by its own
// form: mail addresses, telephone numbers, and numbers that carry check digits.
// Names of people and postal addresses have no form to know them by.
func newPersonal() Detector { return personal{newMailMatcher()} }

type personal struct{ *Matcher }

// Version implements [Detector].
func (personal) Version() string { return version }

// Find implements [Detector].
func (p personal) Find(text []byte) []Span {
	return append(p.Matcher.Find(text), findNumbers(text)...)
}

// Version implements [Detector].
func (*Matcher) Version() string { return version }

func newMailMatcher() *Matcher {
	return NewMatcher([]Pattern{
		{
			Kind: "email", Keywords: []string{"@"}, Before: 72, After: 256,
			Near: func(after []byte) bool { return len(after) > 3 && (isWord(after[0]) || after[0] >= 0x80) },
			// RFC 5321, section 4.1.2, without quoted local parts and literals.
			Regexp: lazy(`[\p{L}\p{N}.!#$%&'*+/=?^_{|}~-]{0,63}[\p{L}\p{N}_+-]@(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,61}[\p{L}\p{N}])?\.)+(?:[\p{L}]{2,24}|xn--[a-zA-Z0-9-]{2,59})`),
			Accept: isMail,
		},
		idPattern("us-ssn", []string{"-"}, 4, 8, `(?:^|[^\w.-])(\d{3}-\d\d-\d{4})(?:$|[^\w.-])`, isSSN),
		idPattern("br-cpf", []string{"-"}, 12, 3, `(?:^|[^\w.-])(\d{3}\.\d{3}\.\d{3}-\d\d)(?:$|[^\w-])`, isCPF),
		idPattern("ch-ahv", []string{"756."}, 1, 16, `(?:^|[^\w.-])(756\.\d{4}\.\d{4}\.\d\d)(?:$|[^\w-])`, isAHV),
		idPattern("be-rrn", []string{"-"}, 9, 7, `(?:^|[^\w.-])(\d\d\.\d\d\.\d\d-\d{3}\.\d\d)(?:$|[^\w-])`, isRRN),
	})
}

func idPattern(kind string, keywords []string, before, after int, expr string, valid func([]byte) bool) Pattern {
	return Pattern{
		Kind: kind, Keywords: keywords, Before: before, After: after, Regexp: lazy(expr), Group: 1,
		Near:   func(after []byte) bool { return len(after) > 1 && isDigit(after[0]) && isDigit(after[1]) },
		Accept: func(m Match) bool { return valid(digitsOf(m.Secret)) },
	}
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

func isMail(m Match) bool {
	at := bytes.LastIndexByte(m.All, '@')
	local, domain := lowerString(string(m.All[:at])), lowerString(string(m.All[at+1:]))
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
	end := m.Start + len(m.Secret)
	if end < len(m.Text) && m.Text[end] == ':' && end+1 < len(m.Text) && (isWord(m.Text[end+1]) && !isDigit(m.Text[end+1]) || m.Text[end+1] == '/' || m.Text[end+1] == '~') {
		return false
	}
	return !bytes.HasSuffix(m.Text[:m.Start], []byte("://"))
}
