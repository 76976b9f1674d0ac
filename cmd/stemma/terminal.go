package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/lineage"
)

// painter colours text, or leaves it as it is.
type painter bool

// painter decides about colour: on a terminal that wants it, or as told.
func (o *options) painter() (painter, error) {
	switch o.color {
	case "always":
		return true, nil
	case "never":
		return false, nil
	case "auto":
		return painter(isTerminal(o.out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"), nil
	default:
		return false, fmt.Errorf("--color %q: want auto, always or never: %w", o.color, stemma.ErrInvalid)
	}
}

func (p painter) in(code, s string) string {
	if !p {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p painter) bold(s string) string  { return p.in("1", s) }
func (p painter) faint(s string) string { return p.in("2", s) }

// class colours something in the colour of a class.
func (p painter) class(c stemma.Class, s string) string {
	codes := map[stemma.Class]string{
		stemma.ClassAI: "35", stemma.ClassAIEdited: "36", stemma.ClassHuman: "32",
		stemma.ClassGenerated: "2", stemma.ClassUnknown: "33",
	}
	return p.in(codes[c], s)
}

// count groups the digits of a number.
func count(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// percent shows a share with its bounds, rounded away from each other: "40%",
// "40-72%", or "-" for none.
func percent(s *lineage.Share) string {
	if s == nil {
		return "-"
	}
	if s.Low == s.High {
		return round(s.Low) + "%"
	}
	low := strconv.Itoa(int(math.Floor(s.Low * 100)))
	if low == "0" && s.Low > 0 {
		low = "<1"
	}
	return fmt.Sprintf("%s-%.0f%%", low, math.Ceil(s.High*100))
}

// round rounds a share to whole per cent, but never a part to none or all.
func round(share float64) string {
	switch n := share * 100; {
	case n > 0 && n < 1:
		return "<1"
	case n > 99 && n < 100:
		return ">99"
	default:
		return strconv.Itoa(int(n + 0.5))
	}
}

func ratio(part, whole int) string {
	if whole == 0 {
		return "-"
	}
	return round(float64(part)/float64(whole)) + "%"
}

// plain makes foreign text safe to print: control characters, which a terminal
// would obey, become visible.
func plain(s string) string {
	if !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' }) {
		return s // nearly all that is shown
	}
	return strings.Map(func(c rune) rune {
		if c == '\t' {
			return ' '
		}
		if unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) {
			return '\uFFFD'
		}
		return c
	}, s)
}

// code is plain, but keeps tabs.
func code(s string) string {
	parts := strings.Split(s, "\t")
	for i := range parts {
		parts[i] = plain(parts[i])
	}
	return strings.Join(parts, "\t")
}

// paragraph is plain, but keeps its lines, indented.
func paragraph(s, indent string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString(indent + plain(strings.TrimRight(line, "\r\n")) + "\n")
	}
	return b.String()
}

// fit cuts or pads text to a width in characters.
func fit(s string, width int) string {
	n := utf8.RuneCountInString(s)
	switch {
	case n == width:
		return s
	case n > width:
		return string([]rune(s)[:width-1]) + "…"
	}
	return s + strings.Repeat(" ", width-n)
}

// width is how many columns the terminal has, 0 where the output is none.
func (o *options) width() int {
	f, ok := o.out.(*os.File)
	if !ok {
		return 0
	}
	w, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return w
}

// short is the start of an object id that people read.
func short(oid string) string { return oid[:min(len(oid), 10)] }

// printJSON prints one document.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
