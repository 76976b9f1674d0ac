package git

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
)

// ParseDate gives the UTC seconds that git's date words mean now: "2 weeks
// ago", "yesterday", "2024-01-31 12:00 +0200". 30d, 2w, 6m and 1y are short for
// so many days, weeks, months and years ago. A year, month or day without a
// time is its first second, or its last when end is set, in local time. Words
// that git would take for the present are refused with stemma.ErrInvalid.
func (r *Repo) ParseDate(ctx context.Context, words string, end bool) (int64, error) {
	text := strings.TrimSpace(words)
	if at, ok := wholeDay(text, end); ok {
		return at, nil
	}
	if m := shortAge.FindStringSubmatch(text); m != nil {
		text = m[1] + ageUnits[m[2]] + " ago"
	}
	if err := knownWords(text); err != nil {
		return 0, err
	}
	option := "--since="
	if end {
		option = "--until="
	}
	out, err := r.output(ctx, r.objects, 1<<10, "rev-parse", option+text)
	if err != nil {
		return 0, fmt.Errorf("date %q: %w", clip(words), err)
	}
	_, number, _ := strings.Cut(strings.TrimSpace(string(out)), "-age=")
	at, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("date %q: %w", clip(words), &DecodeError{"output of rev-parse", 0, "no time: " + strconv.Quote(clip(string(out)))})
	}
	return at, nil
}

var (
	shortAge = regexp.MustCompile(`^(\d{1,5}) ?([dwmyh])$`)
	ageUnits = map[string]string{"h": " hours", "d": " days", "w": " weeks", "m": " months", "y": " years"}
)

// wholeDay reads a year, month or day. Git would give it the present time of
// day, so that an answer would depend on when one asks.
func wholeDay(text string, end bool) (int64, bool) {
	for layout, step := range map[string][3]int{"2006-01-02": {0, 0, 1}, "2006/01/02": {0, 0, 1}, "2006-01": {0, 1, 0}, "2006": {1, 0, 0}} {
		day, err := time.ParseInLocation(layout, text, time.Local)
		if err != nil {
			continue
		}
		if end {
			return day.AddDate(step[0], step[1], step[2]).Unix() - 1, true
		}
		return day.Unix(), true
	}
	return 0, false
}

var (
	wordOrNumber = regexp.MustCompile(`[A-Za-z]+|\d+`)
	// anchors are the words that carry a date by themselves; git knows months
	// and days of the week from three letters on.
	anchors = []string{"now", "today", "yesterday", "noon", "midnight", "tea", "never", "last"}
	units   = []string{"second", "minute", "hour", "day", "week", "month", "year"}
	numbers = []string{"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}
	between = []string{"a", "an", "ago", "at", "on", "in", "of", "the", "and", "am", "pm", "t", "z", "th", "st", "nd", "rd", "utc", "gmt"}
	named   = []string{
		"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
		"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday",
	}
)

// knownWords refuses words that git's reader of dates would pass over: it
// takes what is left, and nonsense for the present.
func knownWords(text string) error {
	anchored := false
	for _, word := range wordOrNumber.FindAllString(text, -1) {
		word = strings.ToLower(word)
		isName := slices.ContainsFunc(named, func(n string) bool { return len(word) >= 3 && strings.HasPrefix(n, word) })
		switch {
		case isDigit(word[0]), slices.Contains(anchors, word), isName, slices.Contains(units, strings.TrimSuffix(word, "s")):
			anchored = true
		case slices.Contains(numbers, word), slices.Contains(between, word):
		default:
			return fmt.Errorf(`%w: date %q: the word %q means nothing to git; write a date such as "2024-01-31", "2 weeks ago" or "30d"`, stemma.ErrInvalid, clip(text), clip(word))
		}
	}
	if !anchored || strings.ContainsAny(text, "\x00\n") {
		return fmt.Errorf(`%w: %q is not a date; write one such as "2024-01-31", "2 weeks ago" or "30d"`, stemma.ErrInvalid, clip(text))
	}
	return nil
}
