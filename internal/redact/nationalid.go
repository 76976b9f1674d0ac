package redact

import "bytes"

// Numbers that states give to people, where check digits or an unusual form tell
// them from other numbers. Those that any number of their length could be are
// left out: taking them out would take out half of every log.

// digitsOf gives the digits of a text.
func digitsOf(b []byte) []byte {
	var digits []byte
	for _, c := range b {
		if isDigit(c) {
			digits = append(digits, c)
		}
	}
	return digits
}

// shaped are the numbers that are written in groups of their own.
var shaped = []struct {
	kind, shape string
	valid       func(digits []byte) bool
}{
	{"us-ssn", "ddd-dd-dddd", isSSN},
	{"br-cpf", "ddd.ddd.ddd-dd", isCPF},
	{"ch-ahv", "756.dddd.dddd.dd", isAHV},
	{"be-rrn", "dd.dd.dd-ddd.dd", isRRN},
}

// shapedEnd gives the kind of the number that begins at i, and where it ends.
func shapedEnd(text []byte, i int) (kind string, end int) {
	for _, s := range shaped {
		if hasShape(text[i:], s.shape) && begins(text, i) && ends(text, i+len(s.shape)) && s.valid(digitsOf(text[i:i+len(s.shape)])) {
			return s.kind, i + len(s.shape)
		}
	}
	return "", 0
}

// isSSN is for the Social Security number of the United States.
func isSSN(d []byte) bool {
	area := number(d[:3])
	return area != 0 && area != 666 && area < 900 && number(d[3:5]) != 0 && number(d[5:]) != 0 && string(d) != "123456789" && string(d) != "078051120"
}

// isCPF is for the Cadastro de Pessoas Físicas of Brazil.
func isCPF(d []byte) bool {
	if bytes.Count(d, d[:1]) == len(d) {
		return false
	}
	for n := 9; n <= 10; n++ {
		sum := 0
		for i := range n {
			sum += int(d[i]-'0') * (n + 1 - i)
		}
		if byte(sum*10%11%10) != d[n]-'0' {
			return false
		}
	}
	return true
}

// isAHV is for the AHV number of Switzerland, which has the check digit of EAN-13.
func isAHV(d []byte) bool {
	sum := 0
	for i, c := range d[:12] {
		sum += int(c-'0') * (1 + 2*(i%2))
	}
	return byte((10-sum%10)%10) == d[12]-'0'
}

// isRRN is for the Rijksregisternummer of Belgium; those born from 2000 on have
// a 2 before it when it is reckoned.
func isRRN(d []byte) bool {
	n, check := number(d[:9]), number(d[9:])
	return check == 97-n%97 || check == 97-(2_000_000_000+n)%97
}

// frenchEnd gives where the NIR of France that begins at i ends, or 0: 15 digits,
// of which the last two are 97 less the rest of the others by 97.
func frenchEnd(text []byte, i int) int {
	if text[i] != '1' && text[i] != '2' || !begins(text, i) {
		return 0
	}
	d, end := numberWord(text, i, 15, " ")
	if len(d) != 15 || !ends(text, end) {
		return 0
	}
	month := number(d[3:5])
	if month < 1 || month > 12 && month < 20 || number(d[13:]) != 97-number(d[:13])%97 {
		return 0
	}
	return end
}

// finnishEnd gives where the henkilötunnus of Finland that begins at i ends, or 0.
func finnishEnd(text []byte, i int) int {
	const length, letters = 11, "0123456789ABCDEFHJKLMNPRSTUVWXY"
	if i+length > len(text) || !begins(text, i) || !ends(text, i+length) {
		return 0
	}
	s := text[i : i+length]
	if bytes.IndexByte([]byte("+-ABCDEFYXWVU"), s[6]) < 0 {
		return 0
	}
	for _, k := range []int{0, 1, 2, 3, 4, 5, 7, 8, 9} {
		if !isDigit(s[k]) {
			return 0
		}
	}
	day, month := number(s[:2]), number(s[2:4])
	if day < 1 || day > 31 || month < 1 || month > 12 || letters[(number(s[:6])*1000+number(s[7:10]))%31] != s[10] {
		return 0
	}
	return i + length
}

// italianEnd gives where the codice fiscale of Italy that begins at i ends, or 0.
func italianEnd(text []byte, i int) int {
	const length, shape = 16, "LLLLLLddLddLdddL"
	if i+length > len(text) || !ends(text, i+length) {
		return 0
	}
	s := text[i : i+length]
	for k, c := range s {
		if shape[k] == 'L' && (c < 'A' || c > 'Z') || shape[k] == 'd' && !isDigit(c) {
			return 0
		}
	}
	odd := [...]int{1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23}
	sum := 0
	for k, c := range s[:15] {
		n := int(c - 'A')
		if isDigit(c) {
			n = int(c - '0')
		}
		if k%2 == 0 {
			n = odd[n]
		}
		sum += n
	}
	if byte(sum%26)+'A' != s[15] {
		return 0
	}
	return i + length
}

// ibanLengths are those of the registry of ISO 13616, by country.
var ibanLengths = map[string]int{
	"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28, "CH": 21, "CR": 22, "CY": 28,
	"CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18,
	"GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32,
	"LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15,
	"PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "ST": 25,
	"SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}

// ibanEnd gives where the IBAN that begins at i ends, or 0. It may be written in
// groups of four.
func ibanEnd(text []byte, i int) int {
	if i+15 > len(text) || !isDigit(text[i+2]) || !isDigit(text[i+3]) {
		return 0
	}
	length := ibanLengths[string(text[i:i+2])]
	if length == 0 {
		return 0
	}
	var account []byte
	end := i
	for j := i; j < len(text) && len(account) < length; j++ {
		c := text[j]
		switch {
		case isDigit(c) || 'A' <= c && c <= 'Z':
			account = append(account, c)
			end = j + 1
		case c == ' ' && len(account)%4 == 0 && len(account) > 0 && text[j-1] != ' ':
		default:
			return 0
		}
	}
	if len(account) != length || end < len(text) && (isWord(text[end]) || text[end] >= 0x80) {
		return 0
	}
	rest := 0
	for _, c := range append(account[4:length:length], account[:4]...) {
		if isDigit(c) {
			rest = (rest*10 + int(c-'0')) % 97
		} else {
			rest = (rest*100 + int(c-'A') + 10) % 97
		}
	}
	if rest != 1 {
		return 0
	}
	return end
}
