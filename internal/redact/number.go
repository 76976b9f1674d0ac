package redact

import "bytes"

// findNumbers gives the numbers that a person or an account is known by, as far
// as their own form proves it: telephone numbers, payment cards, bank accounts
// (IBAN) and identity numbers that are letters and digits.
func findNumbers(text []byte) []Span {
	var spans []Span
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '+' && i+1 < len(text) && isDigit(text[i+1]):
			if end := phoneEnd(text, i); end > 0 {
				spans = append(spans, Span{i, end, "phone", false})
				i = end - 1
			}
		case i > 0 && (isWord(text[i-1]) || text[i-1] >= 0x80):
			// within a word
		case isDigit(c):
			if end := cardEnd(text, i); end > 0 {
				spans = append(spans, Span{i, end, "payment-card", false})
				i = end - 1
			} else if end := localPhoneEnd(text, i); end > 0 {
				spans = append(spans, Span{i, end, "phone", false})
				i = end - 1
			} else if kind, end := shapedEnd(text, i); end > 0 {
				spans = append(spans, Span{i, end, kind, false})
				i = end - 1
			} else if end := frenchEnd(text, i); end > 0 {
				spans = append(spans, Span{i, end, "fr-nir", false})
				i = end - 1
			} else if end := finnishEnd(text, i); end > 0 {
				spans = append(spans, Span{i, end, "fi-hetu", false})
				i = end - 1
			}
		case c == '(':
			if end := localPhoneEnd(text, i); end > 0 {
				spans = append(spans, Span{i, end, "phone", false})
				i = end - 1
			}
		case isLetter(c):
			if end := ibanEnd(text, i); end > 0 {
				spans = append(spans, Span{i, end, "iban", false})
				i = end - 1
			} else if end := italianEnd(text, i); end > 0 {
				spans = append(spans, Span{i, end, "it-cf", false})
				i = end - 1
			}
		}
	}
	return spans
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// ends reports whether a number can end at i: no letter and no digit follows,
// nor a sign that would make it part of a longer number.
func ends(text []byte, i int) bool {
	if i >= len(text) {
		return true
	}
	c := text[i]
	if isWord(c) || c >= 0x80 {
		return false
	}
	if (c == '.' || c == '-' || c == ',') && i+1 < len(text) && isDigit(text[i+1]) {
		return false
	}
	return true
}

// begins reports whether a number can begin at i.
func begins(text []byte, i int) bool {
	if i == 0 {
		return true
	}
	c := text[i-1]
	if isWord(c) || c >= 0x80 || c == '+' || c == '#' {
		return false
	}
	return !((c == '.' || c == '-' || c == ',') && i > 1 && (isDigit(text[i-2]) || text[i-2] == c))
}

// numberWord reads digits in groups divided by one sign of a set, which is the
// same between all of them, and gives the digits and where they end.
func numberWord(text []byte, i, most int, between string) (digits []byte, end int) {
	var sign byte
	end = i
	for i < len(text) && len(digits) <= most {
		c := text[i]
		switch {
		case isDigit(c):
			digits = append(digits, c)
			end = i + 1
		case len(digits) > 0 && isDigit(text[i-1]) && bytes.IndexByte([]byte(between), c) >= 0 && i+1 < len(text) && isDigit(text[i+1]) && (sign == 0 || sign == c):
			sign = c
		default:
			return digits, end
		}
		i++
	}
	return digits, end
}

// cardEnd gives where the payment card number (ISO/IEC 7812) that begins at i
// ends, or 0.
func cardEnd(text []byte, i int) int {
	if !begins(text, i) {
		return 0
	}
	digits, end := numberWord(text, i, 19, " -")
	if len(digits) < 13 || len(digits) > 19 || !isGrouped(text[i:end], len(digits)) || !ends(text, end) || !luhn(digits) || !isIssuer(digits) || testCards[string(digits)] {
		return 0
	}
	return end
}

// isGrouped reports whether a card number of n digits is written in one piece or
// in the groups that are embossed.
func isGrouped(number []byte, n int) bool {
	if len(number) == n {
		return true
	}
	shape := "dddd dddd dddd dddd ddd"
	switch n {
	case 14:
		shape = "dddd dddddd dddd"
	case 15:
		shape = "dddd dddddd ddddd"
	}
	return len(shape) >= len(number) && hasShape(bytes.ReplaceAll(number, []byte("-"), []byte(" ")), shape[:len(number)])
}

// testCards are numbers that payment services publish for tests.
var testCards = map[string]bool{
	"4242424242424242": true, "4111111111111111": true, "4012888888881881": true, "4000056655665556": true, "4000000000000002": true,
	"5555555555554444": true, "5105105105105100": true, "2223003122003222": true, "5200828282828210": true,
	"378282246310005": true, "371449635398431": true, "6011111111111117": true, "6011000990139424": true, "30569309025904": true,
	"3056930009020004": true, "3566002020360505": true, "4222222222222": true,
}

func isIssuer(d []byte) bool {
	n := len(d)
	two, four := number(d[:2]), number(d[:4])
	switch {
	case d[0] == '4':
		return n == 13 || n == 16 || n == 19
	case 51 <= two && two <= 55, 2221 <= four && four <= 2720:
		return n == 16
	case two == 34, two == 37:
		return n == 15
	case four == 6011, two == 65, 644 <= number(d[:3]) && number(d[:3]) <= 649, two == 62, 3528 <= four && four <= 3589:
		return n == 16
	case two == 36, two == 38, 300 <= number(d[:3]) && number(d[:3]) <= 305:
		return n == 14
	}
	return false
}

func number(digits []byte) int {
	n := 0
	for _, c := range digits {
		n = n*10 + int(c-'0')
	}
	return n
}

func luhn(digits []byte) bool {
	sum := 0
	for i, c := range digits {
		d := int(c - '0')
		if (len(digits)-i)%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// phoneEnd gives where the telephone number with a country code (ITU-T E.164)
// that begins with the + at i ends, or 0.
func phoneEnd(text []byte, i int) int {
	if i > 0 && (isWord(text[i-1]) || text[i-1] == '+' || text[i-1] == ')' || text[i-1] >= 0x80) {
		return 0
	}
	var digits []byte
	end, groups, open := i+1, 1, false
	for j := i + 1; j < len(text) && len(digits) < 16; j++ {
		c := text[j]
		if isDigit(c) {
			digits = append(digits, c)
			end = j + 1
			continue
		}
		if c == '(' && !open || c == ')' && open {
			open = !open
			continue
		}
		if (c != ' ' && c != '-' && c != '.') || j+1 >= len(text) || !isDigit(text[j+1]) && text[j+1] != '(' {
			break
		}
		groups++
	}
	if len(digits) < 9 || len(digits) > 15 || !ends(text, end) || !isCountry(digits) {
		return 0
	}
	if (i == 0 || text[i-1] == '\n') && (groups == 1 || isDate(text[i+1:])) {
		return 0 // an added line of a difference that begins with a number or a date
	}
	return end
}

// isDate reports whether a text begins with a date, or a time stamp.
func isDate(text []byte) bool {
	return hasShape(text, "dddd-dd-dd") || hasShape(text, "dddd.dd.dd") || hasShape(text, "dd.dd.dddd")
}

// hasShape reports whether a text begins with a shape, in which d is for a digit.
func hasShape(text []byte, shape string) bool {
	if len(text) < len(shape) {
		return false
	}
	for i := range len(shape) {
		if shape[i] == 'd' && !isDigit(text[i]) || shape[i] != 'd' && shape[i] != text[i] {
			return false
		}
	}
	return true
}

// isCountry reports whether a number begins with a country code in use.
func isCountry(d []byte) bool {
	switch d[0] {
	case '0':
		return false
	case '1':
		return len(d) == 11 && d[1] >= '2' && d[4] >= '2'
	case '7':
		return len(d) == 11
	}
	switch two := number(d[:2]); two {
	case 20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56, 57, 58,
		60, 61, 62, 63, 64, 65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95, 98:
		return len(d) >= 9
	default:
		three := number(d[:3])
		return 211 <= three && three <= 299 || 350 <= three && three <= 389 || 420 <= three && three <= 423 ||
			500 <= three && three <= 509 || 590 <= three && three <= 599 || 670 <= three && three <= 692 ||
			850 <= three && three <= 886 || 960 <= three && three <= 998
	}
}

// localPhoneEnd gives where the North American telephone number that begins at
// i, without a country code, ends, or 0: (212) 555-0123, 212-555-0123.
func localPhoneEnd(text []byte, i int) int {
	shape := "ddd-ddd-dddd"
	if text[i] == '(' {
		shape = "(ddd) ddd-dddd"
	}
	if !hasShape(text[i:], shape) || !begins(text, i) || i > 0 && (text[i-1] == '-' || text[i-1] == '/' || text[i-1] == '.') {
		return 0
	}
	digits := digitsOf(text[i : i+len(shape)])
	end := i + len(shape)
	if !ends(text, end) || end < len(text) && text[end] == '-' || digits[0] < '2' || digits[3] < '2' || string(digits[1:3]) == "11" || string(digits[4:6]) == "11" {
		return 0
	}
	return end
}
