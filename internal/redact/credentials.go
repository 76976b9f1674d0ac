package redact

import "bytes"

// newCredentials makes the detector of credentials by the place they stand in,
// whoever issued them: what the rules for each issuer's own form do not see.
func newCredentials() *Matcher {
	secret := func(m Match) bool { return !isPlaceholder(m.Secret) }
	return NewMatcher([]Pattern{
		{
			// scheme://user:password@host
			Kind: "url-password", Keywords: []string{"://"}, Before: 16,
			Regexp: lazy(`[a-zA-Z][a-zA-Z0-9+.-]{1,15}://[^\s/:@"'<>\\` + "`" + `]{0,128}:([^\s/@"'<>\\` + "`" + `]{3,256})@[\w\[.-]`),
			Accept: secret,
		}, {
			// Authorization: Bearer ..., also as an argument or a member
			Kind: "authorization", Weak: true, Keywords: []string{"authorization", "x-auth", "x-api-key", "api-key", "apikey", "private-token"},
			After:  1200,
			Near:   Assigned,
			Regexp: lazy(`(?i)(?:(?:proxy-)?authorization|x-auth(?:-token)?|x-api-key|api-?key|private-token)["'\\]{0,3}\s{0,3}[:=]\s{0,3}["'\\]{0,3}(?:(?:bearer|basic|token|digest|negotiate|apikey|aws4-hmac-sha256)\s+)?([\w=~@.+/,:%-]{8,})`),
			Accept: func(m Match) bool { return secret(m) && (hasDigit(m.Secret) || len(m.Secret) > 24) },
		}, {
			Kind: "authorization", Weak: true, Keywords: []string{"bearer ", "basic "}, After: 1200,
			Regexp: lazy(`(?i)\b(?:bearer|basic)\s+([\w=~.+/-]{16,})`),
			Accept: func(m Match) bool { return hasDigit(m.Secret) && entropy(m.Secret) > 3 },
		}, {
			Kind: "cookie", Keywords: []string{"cookie"}, Near: Assigned, After: 2048,
			Regexp: lazy(`(?i)\b(?:set-)?cookie["'\\]{0,3}\s?:\s?["'\\]{0,3}([^\s=;"'\\]{1,64}=[^\r\n"'\\]{6,})`),
			Accept: secret,
		}, {
			// a quoted value that is assigned to a name which says password
			Kind: "password", Weak: true, Keywords: []string{"passw", "pwd", "passphrase", "secret"}, Near: Assigned, AtKeyword: true,
			Regexp: lazy(`\A(?i)(?:passw(?:or)?d|passphrase|pwd|secret)(?:[_.-]?(?:value|text|string|key))?["'\\\])]{0,3}\s{0,3}(?:=>|:=|[:=])\s{0,3}(?:b|r|u|f)?\\?["'` + "`" + `]([^\s"'` + "`" + `\\]{4,256})\\?["'` + "`" + `]`),
			Accept: func(m Match) bool { return secret(m) && (!isName(m.Secret) || m.All[0]|0x20 != 's') },
		}, {
			// a quoted word that looks drawn by lot, hexadecimal too, under the name of a key
			Kind: "api-key", Weak: true, Keywords: []string{"token", "api_key", "api-key", "apikey", "access_key", "accesskey", "access-key", "auth_key", "authkey"}, Near: Assigned, AtKeyword: true,
			Regexp: lazy(`\A(?i)(?:token|(?:api|access|auth)[_-]?key)["'\\\])]{0,3}\s{0,3}(?:=>|:=|[:=])\s{0,3}\\?["'` + "`" + `]([\w+/=.~-]{16,256})\\?["'` + "`" + `]`),
			Accept: func(m Match) bool {
				return secret(m) && hasDigit(m.Secret) && entropy(m.Secret) > 3 && !isName(m.Secret)
			},
		}, {
			// NAME_PASSWORD=value, as in files of environment variables and on command lines
			Kind: "password", Weak: true, Keywords: []string{"passw", "pwd", "passphrase", "secret", "token", "api_key", "apikey", "access_key", "private_key", "auth_key", "account_key"}, Near: Assigned, AtKeyword: true,
			Regexp: lazy(`\A(?:PASSW(?:OR)?D|PASSPHRASE|PWD|SECRET|TOKEN|API_?KEY|ACCESS_KEY|PRIVATE_KEY|AUTH_KEY|ACCOUNT_KEY)(?:_[A-Z0-9]{1,12})?=["']?([^\s"'` + "`" + `\\;&|<>$(){}][^\s\x00-\x1f"'` + "`" + `\\;&|<>()]{3,256})`),
			Accept: func(m Match) bool { return secret(m) && isVariable(m) },
		}, {
			// password: value, as in YAML and in files of properties
			Kind: "password", Weak: true, Keywords: []string{"passw", "pwd", "passphrase", "secret"}, Near: Assigned, AtKeyword: true,
			Regexp: lazy(`\A(?:[Pp]assw(?:or)?d|[Pp]assphrase|pwd|[Ss]ecret)[ \t]?[=:][ \t]?([^\s"'` + "`" + `\\{}()\[\]<>,;|&$*]{6,128})[ \t]*(?:\r?\n|\z)`),
			Accept: func(m Match) bool { return secret(m) && !isName(m.Secret) && beginsLine(m) },
		}, {
			Kind: "password", Keywords: []string{"--pass", "--token", "--api-key", "--apikey", "--secret", "--client-secret", "--access-token", "sshpass", "--auth-token"},
			Regexp: lazy(`(?:--(?:pass(?:word|phrase|wd)?|token|api-?key|secret(?:-key)?|client-secret|access-token|auth-token)[= ]|sshpass -p ?)["']?([^\s"'` + "`" + `\\$<>{}()|;&-][^\s"'` + "`" + `\\<>{}()|;&]{4,256})`),
			Accept: secret,
		}, {
			// machine host login user password secret
			Kind: "password", Keywords: []string{"password", "passwd"}, Before: 200,
			Regexp: lazy(`(?:login|user)\s{1,8}\S{1,100}\s{1,8}passw(?:or)?d\s{1,8}([^\s"']{4,256})`),
			Accept: func(m Match) bool {
				return secret(m) && bytes.Contains(m.Text[max(m.Start-300, 0):m.Start], []byte("machine"))
			},
		}, {
			Kind: "curl-auth-user", Keywords: []string{"curl"}, Before: 1, After: 1024,
			Regexp: lazy(`\bcurl\b[^\n]{0,800}?[ \t](?:-u|--user)[= \t]{0,4}["']?[^\s:"']{1,100}:([^\s"']{3,256})`),
			Accept: secret,
		}, {
			// Server=...;Password=...; and the keys of cloud storage
			Kind: "connection-string", Keywords: []string{"accountkey=", "sharedaccesskey=", "sharedaccesssignature=", "password=", "pwd="}, Before: 8, After: 256,
			Regexp: lazy(`(?i)[;"'\s](?:accountkey|sharedaccesskey|sharedaccesssignature|password|pwd)=([^;"'\s\\` + "`" + `]{4,256});?`),
			Accept: func(m Match) bool { return secret(m) && bytes.IndexByte(m.Line(), ';') >= 0 },
		}, {
			Kind: "url-signature", Keywords: []string{"x-amz-signature=", "x-goog-signature=", "sig=", "signature=", "x-amz-security-token=", "access_token=", "client_secret="}, Before: 2, After: 1500,
			Regexp: lazy(`(?i)[?&](?:amp;)?(?:x-amz-signature|x-goog-signature|x-amz-security-token|sig|signature|access_token|client_secret)=([\w%+/=.~-]{16,})`),
			Accept: secret,
		}, {
			// crypt(5), bcrypt, argon2, scrypt
			Kind: "password-hash", Keywords: []string{"$1$", "$2a$", "$2b$", "$2y$", "$5$", "$6$", "$y$", "$apr1$", "$argon2", "$scrypt$", "$pbkdf2"}, Before: 4,
			Regexp: lazy(`\$(?:2[aby]\$\d\d\$[./A-Za-z0-9]{53}|(?:1|5|6|y|apr1)\$(?:rounds=\d+\$)?[./A-Za-z0-9]{1,64}\$[./A-Za-z0-9]{20,90}|(?:argon2(?:id|i|d)|scrypt|pbkdf2[\w-]*)\$[\w=,./+$-]{20,256})`),
		}, {
			Kind: "private-key", Keywords: []string{"private-lines:"}, After: 4096,
			Regexp: lazy(`Private-Lines: \d+\r?\n((?:[A-Za-z0-9+/=]{4,64}\r?\n?)+)`),
		}, {
			// the auth of a registry in the configuration of Docker, npm and pip
			Kind: "registry-auth", Keywords: []string{"_auth", "\"auth\"", "_authtoken", "_password"},
			Regexp: lazy(`(?:_auth(?:Token)?|_password|\\?"auth\\?")\s{0,3}[=:]\s{0,3}\\?["']?([A-Za-z0-9+/=_.-]{12,512})`),
			Accept: secret,
		},
	})
}

// isVariable reports whether what stands before a match is the rest of the name
// of an environment variable.
func isVariable(m Match) bool {
	name, from := m.Name(60)
	if len(name) > 0 && from > 0 && m.Text[from-1] == '\\' {
		name = name[1:] // the letter of a newline that is written as \n
	}
	for _, c := range name {
		if !('A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// beginsLine reports whether nothing but a name, and white space or the sign of
// a difference, is between a match and the start of its line.
func beginsLine(m Match) bool {
	name, from := m.Name(60)
	if len(name) > 0 && from > 0 && m.Text[from-1] == '\\' {
		return name[0] == 'n'
	}
	for n := 0; from > 0 && n < 40; n++ {
		switch m.Text[from-1] {
		case '\n':
			return true
		case ' ', '\t', '+', '-':
			from--
		default:
			return false
		}
	}
	return from == 0
}

// isName reports whether a value reads like a name in a program rather than a
// secret: letters of one word after another, without digits and other signs.
func isName(value []byte) bool {
	for _, c := range value {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == '.' || c == '-' || c == ':' || c == '/') {
			return false
		}
	}
	// Letters in both cases with no pattern of words are no name.
	changes := 0
	for i := 1; i < len(value); i++ {
		if isLower(value[i-1]) != isLower(value[i]) {
			changes++
		}
	}
	return changes*3 <= len(value)
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }

func hasDigit(b []byte) bool { return bytes.ContainsAny(b, "0123456789") }
