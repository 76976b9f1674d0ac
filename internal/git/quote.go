package git

import "errors"

var errQuote = errors.New("name in quotes cannot be read")

// unquote reads a name as git prints it: as it is, or in double quotes with
// the escapes of C where it holds a quote, a backslash or a control character.
// rest is what follows a quoted name; a name without quotes has no rest.
func unquote(s []byte) (name string, rest []byte, err error) {
	if len(s) == 0 || s[0] != '"' {
		return string(s), nil, nil
	}
	out := make([]byte, 0, len(s))
	for i := 1; i < len(s); i++ {
		switch c := s[i]; c {
		case '"':
			return string(out), s[i+1:], nil
		case '\\':
			i++
			if i >= len(s) {
				return "", nil, errQuote
			}
			c, n, ok := unescape(s[i:])
			if !ok {
				return "", nil, errQuote
			}
			out = append(out, c)
			i += n - 1
		default:
			out = append(out, c)
		}
	}
	return "", nil, errQuote
}

// unescape reads what follows a backslash: one letter, or three octal digits.
func unescape(s []byte) (c byte, n int, ok bool) {
	switch s[0] {
	case 'a':
		return '\a', 1, true
	case 'b':
		return '\b', 1, true
	case 'f':
		return '\f', 1, true
	case 'n':
		return '\n', 1, true
	case 'r':
		return '\r', 1, true
	case 't':
		return '\t', 1, true
	case 'v':
		return '\v', 1, true
	case '"', '\\':
		return s[0], 1, true
	}
	if len(s) < 3 || s[0] < '0' || s[0] > '3' || !isOctal(s[1]) || !isOctal(s[2]) {
		return 0, 0, false
	}
	return (s[0]-'0')<<6 | (s[1]-'0')<<3 | (s[2] - '0'), 3, true
}

func isOctal(c byte) bool { return c >= '0' && c <= '7' }
