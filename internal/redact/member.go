package redact

import (
	"bytes"
	"regexp"
	"strings"
	"sync"
)

// member is what the name of a member of a JSON object says of its value.
type member struct {
	name     string
	secret   string // the kind, where the name says that the value is secret
	identity bool   // it is an id, a digest or a signature
}

// secretNames are names of members, without the signs between their words and
// in lower case, whose values are secret. Names that end in one of them, after
// another word, say so too.
var secretNames = map[string]string{
	"password": "password", "passwd": "password", "pwd": "password", "passphrase": "password", "userpassword": "password",
	"secret": "secret", "clientsecret": "secret", "secretkey": "secret", "secretaccesskey": "secret", "sharedsecret": "secret",
	"signingsecret": "secret", "signingkey": "secret", "encryptionkey": "secret", "masterkey": "secret", "accountkey": "secret",
	"sharedaccesskey": "secret", "connectionstring": "secret", "credential": "secret",
	"apikey": "api-key", "xapikey": "api-key", "apisecret": "api-key", "apitoken": "api-key", "subscriptionkey": "api-key",
	"token": "token", "accesstoken": "token", "refreshtoken": "token", "idtoken": "token", "authtoken": "token",
	"sessiontoken": "token", "bearertoken": "token", "oauthtoken": "token", "personalaccesstoken": "token", "deploytoken": "token",
	"authorization": "authorization", "proxyauthorization": "authorization",
	"cookie": "cookie", "setcookie": "cookie",
	"privatekey": "private-key", "sshkey": "private-key",
}

// openNames end like a name of a secret, and are none.
var openNames = map[string]bool{
	"pagetoken": true, "nextpagetoken": true, "nexttoken": true, "continuationtoken": true, "continuetoken": true, "synctoken": true, "cancellationtoken": true,
	"stoptoken": true, "eostoken": true, "bostoken": true, "padtoken": true, "unktoken": true, "septoken": true, "clstoken": true, "masktoken": true,
	"specialtoken": true, "tokentype": true,
}

// identityWords end the names of members whose values look drawn by lot and are
// no secrets.
var identityWords = []string{
	"id", "ids", "uuid", "guid", "hash", "digest", "sha", "sha1", "sha256", "sha512", "checksum", "integrity", "signature", "etag",
	"fingerprint", "commit", "oid", "cursor", "nonce", "revision", "rev", "publickey", "thumbprint", "model", "data", "blob",
	"encryptedcontent", "thoughtsignature",
}

// memberOf reads what a name says.
func memberOf(name []byte) member {
	m := member{name: string(name)}
	if len(name) == 0 || len(name) > 128 {
		return m
	}
	flat, last := flatten(name)
	if !openNames[flat] {
		m.secret = secretNames[flat]
		if m.secret == "" {
			// The last word, or the last two or three, say it: GITHUB_TOKEN, db.password.
			for _, at := range last {
				if kind := secretNames[flat[at:]]; kind != "" && !openNames[flat[at:]] {
					m.secret = kind
					break
				}
			}
		}
	}
	for _, w := range identityWords {
		if rest, ok := strings.CutSuffix(flat, w); ok && (rest == "" || contains(last, len(rest))) {
			m.identity = true
			break
		}
	}
	return m
}

// flatten gives a name without the signs between its words and in lower case,
// and where in it its words begin, the last first, at most three.
func flatten(name []byte) (flat string, words []int) {
	var b strings.Builder
	var starts []int
	boundary := true
	for i, c := range name {
		upper := 'A' <= c && c <= 'Z'
		if !isWord(c) || c == '_' {
			boundary = true
			continue
		}
		if upper && i > 0 && 'a' <= name[i-1] && name[i-1] <= 'z' {
			boundary = true
		}
		if boundary {
			starts = append(starts, b.Len())
			boundary = false
		}
		if upper {
			c += 'a' - 'A'
		}
		b.WriteByte(c)
	}
	for i := len(starts) - 1; i >= 0 && len(words) < 3; i-- {
		words = append(words, starts[i])
	}
	return b.String(), words
}

func contains(list []int, n int) bool {
	for _, m := range list {
		if m == n {
			return true
		}
	}
	return false
}

func lowerString(s string) string { return string(lower([]byte(s))) }

// placeholder matches what stands where a secret will be, or was.
var placeholder = lazy(`^(?i:` +
	`\$\{.*\}|\$\(.*\)|\$[a-z_][a-z0-9_]*|\$\d?|%\w*%|\{\{.*|<.*>|\[.*\]|\*+|\.{3,}|x{3,}|-+|_+|` + // a variable, a gap
	`(?:process\.|os\.|env[.\[(]|config[.\[(]|settings\.|secrets?\.|vars?\.|self\.|this\.|args?\.|req\.|vault:|op://|file:|env:|ref\+).*|` +
	`(?:your|my|some|the|insert|enter|put|add|paste|replace)[ _-].*|.*[ _-]here|` +
	`null|nil|none|undefined|true|false|empty|string|str|text|varchar.*|bytes|object|any|required|optional|` +
	`test|tests|testing|example|dummy|fake|mock|sample|placeholder|todo|changeme|change[ _-]me|redacted|hidden|masked|` +
	`password|passwd|pwd|secret|token|api[_-]?key|foo|bar|baz|foobar|bearer|basic|digest|abc|123|1234|12345|abc123` +
	`)$`)

// isPlaceholder reports whether the value of something secret is none.
func isPlaceholder(value []byte) bool {
	value = bytes.TrimSpace(value)
	return len(value) < 3 || len(value) < 256 && placeholder().Match(value) || isMarks(value)
}

// lazy gives an expression that is compiled when it is first asked for.
func lazy(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
