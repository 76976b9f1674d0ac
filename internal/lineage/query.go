// Package lineage answers the questions that people and agents ask of the
// graph: which changes, by which model, and who wrote this line. Begin with
// [Log], [Show], [Blame] and [Measure].
//
// It reads a store and a repository and changes neither. Every door (command
// line, API, page) asks here, so that all give the same answer.
package lineage

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/stemma-dev/stemma"
)

// Query chooses changes. Each field that is set narrows; several values of one
// field are alternatives. Names are shell patterns (* ? [a-z]), in lower case.
type Query struct {
	Models   []string // of "provider/id" or of the id alone
	Agents   []string
	Sessions []string // of the key "agent/id" or of the id alone
	Sources  []string
	Paths    []string // a file, a folder with all below it, or a pattern: see PathMatcher
	Class    stemma.Class
	MinAI    float64 // share of the written lines, 0 to 1
	OverMin  bool    // the share must be more than MinAI
	MaxAI    float64 // 0 is no limit
	Since    int64   // UTC seconds, inclusive; 0 is open
	Until    int64
	Limit    int // 0 is no limit
	// TaskTypes, Tools and Configs choose by sessions whose transcripts were read:
	// by what they were for, by the tools they called (their name, or a kind of
	// call), and by what configured them (the beginning of a digest, a path, or the
	// name of a file). One session must be all that is asked for.
	TaskTypes, Tools, Configs []string
	Iterations                []Bound // all must be proved
	Turns                     bool    // tell what sessions did, turn by turn
}

// ByEvidence reports whether the query asks for what sources say.
func (q Query) ByEvidence() bool {
	return len(q.Models)+len(q.Agents)+len(q.Sessions)+len(q.Sources)+len(q.TaskTypes)+len(q.Tools)+len(q.Configs) > 0
}

// ByTold reports whether the query asks for what only sessions tell whose
// transcripts were read.
func (q Query) ByTold() bool {
	return len(q.TaskTypes)+len(q.Tools)+len(q.Configs)+len(q.Iterations) > 0
}

// byWork reports whether the query needs to know what sessions did.
func (q Query) byWork() bool { return q.Turns || len(q.Iterations) > 0 }

// TaskTypes are the types that a task may be concluded to be of.
var TaskTypes = []string{"feature", "bugfix", "security", "refactor", "test", "docs", "chore", "migration", "performance"}

// Dates reads git's date words. end says that the words are an upper bound.
type Dates func(words string, end bool) (int64, error)

// maxQuery is the length in bytes over which a search string is refused.
const maxQuery = 64 << 10

// Parse adds the terms of a search string to q:
//
//	model:claude-opus-4* agent:codex session:ac145480* since:30d until:2026-01-01
//	ai:>50% ai:<10% path:src/ path:src/**/*.go class:unknown source:git-ai limit:20
//	task-type:security tool:Bash config:CLAUDE.md iterations:>3 iterations:rewrites>=2
//
// Terms are divided by white space; "quotes" keep it in a value. The error is
// of kind ErrInvalid and names the term.
func (q *Query) Parse(search string, dates Dates) error {
	if len(search) > maxQuery {
		return fmt.Errorf("search of %d bytes: more than %d: %w", len(search), maxQuery, stemma.ErrInvalid)
	}
	terms, err := split(search)
	if err != nil {
		return err
	}
	for _, t := range terms {
		key, value, ok := strings.Cut(t, ":")
		if !ok || value == "" {
			return fmt.Errorf("search term %q: want key:value, with one of the keys %s: %w", t, keys, stemma.ErrInvalid)
		}
		if err := q.Term(key, value, dates); err != nil {
			return fmt.Errorf("search term %q: %w", t, err)
		}
	}
	return nil
}

// keys are the keys of a search string.
const keys = "model, agent, session, source, path, class, ai, task-type, tool, config, iterations, since, until, limit"

// Term adds one term, as Parse does for key:value.
func (q *Query) Term(key, value string, dates Dates) error {
	var err error
	switch strings.ToLower(key) {
	case "model":
		err = addPattern(&q.Models, value)
	case "agent":
		err = addPattern(&q.Agents, value)
	case "session":
		err = addPattern(&q.Sessions, value)
	case "source":
		err = addPattern(&q.Sources, value)
	case "path":
		if _, err = PathMatcher(value); err == nil {
			q.Paths = append(q.Paths, value)
		}
	case "class":
		q.Class, err = ParseClass(value)
	case "task-type":
		value = strings.ToLower(value)
		if q.TaskTypes = append(q.TaskTypes, value); !slices.Contains(TaskTypes, value) {
			err = fmt.Errorf("task type %q: want one of %s: %w", value, strings.Join(TaskTypes, ", "), stemma.ErrInvalid)
		}
	case "tool":
		q.Tools = append(q.Tools, value)
		if name := stemma.AgentName(strings.ToLower(value)); name != strings.ToLower(value) {
			err = fmt.Errorf("tool %q: that is an agent (%s); a tool is what an agent calls, such as Bash or Edit: ask by agent: %w", value, name, stemma.ErrInvalid)
		}
	case "config":
		q.Configs = append(q.Configs, value)
	case "iterations":
		var b Bound
		if b, err = ParseBound(value); err == nil {
			q.Iterations = append(q.Iterations, b)
		}
	case "ai":
		err = q.share(value)
	case "since":
		q.Since, err = dates(value, false)
	case "until":
		q.Until, err = dates(value, true)
	case "limit":
		if q.Limit, err = strconv.Atoi(value); err != nil || q.Limit < 0 {
			err = fmt.Errorf("want a number: %w", stemma.ErrInvalid)
		}
	default:
		err = fmt.Errorf("no such key; keys are %s: %w", keys, stemma.ErrInvalid)
	}
	return err
}

// ParseClass reads the name of a class; "-" and "_" are the same.
func ParseClass(s string) (stemma.Class, error) {
	c := stemma.Class(strings.ReplaceAll(strings.ToLower(s), "_", "-"))
	if !c.Valid() {
		return "", fmt.Errorf("class %q: want ai, ai-edited, human, generated or unknown: %w", s, stemma.ErrInvalid)
	}
	return c, nil
}

// share reads ">50%", ">=0.5", "<10%" or "50%", which means at least 50%.
func (q *Query) share(s string) error {
	rest := strings.TrimLeft(s, "<>=")
	n, err := ParseShare(rest)
	if err != nil {
		return err
	}
	switch sign := strings.TrimSuffix(s, rest); sign {
	case "<":
		return q.SetMaxAI(n)
	case ">", ">=", "":
		q.MinAI, q.OverMin = n, sign == ">"
		return nil
	default:
		return fmt.Errorf("%q: want < or >, or >= for the same and more: %w", s, stemma.ErrInvalid)
	}
}

// SetMaxAI sets MaxAI. Nothing is less than 0, which is refused: it means no
// limit in a Query.
func (q *Query) SetMaxAI(n float64) error {
	if n == 0 {
		return fmt.Errorf("no share is less than 0%%: %w", stemma.ErrInvalid)
	}
	q.MaxAI = n
	return nil
}

// ParseShare reads a share: "50%", "0.5", or "50", which is a percentage as
// everything above 1 is.
func ParseShare(s string) (float64, error) {
	digits, percent := strings.CutSuffix(s, "%")
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("share %q: want a percentage such as 50%%: %w", s, stemma.ErrInvalid)
	}
	if percent || n > 1 {
		n /= 100
	}
	if !(n <= 1) {
		return 0, fmt.Errorf("share %q: more than 100%%: %w", s, stemma.ErrInvalid)
	}
	return n, nil
}

func addPattern(to *[]string, pattern string) error {
	pattern = strings.ToLower(pattern)
	if err := CheckPattern(pattern); err != nil {
		return err
	}
	*to = append(*to, pattern)
	return nil
}

// CheckPattern reports whether a shell pattern is well formed; the error is of
// kind ErrInvalid.
func CheckPattern(pattern string) error {
	if _, err := path.Match(pattern, ""); err != nil {
		return fmt.Errorf("pattern %q: not closed: %w", pattern, stemma.ErrInvalid)
	}
	return nil
}

// matches reports whether one of the patterns matches the key, or what follows
// its first slash.
func matches(patterns []string, key string) bool {
	key = strings.ToLower(key)
	_, rest, _ := strings.Cut(key, "/")
	for _, p := range patterns {
		for _, name := range []string{key, rest} {
			// Names may hold slashes, which a pattern's star is to cross.
			ok, err := path.Match(strings.ReplaceAll(p, "/", "\x00"), strings.ReplaceAll(name, "/", "\x00"))
			if err == nil && ok {
				return true
			}
		}
	}
	return false
}

// split divides a search string at white space outside of quotes.
func split(s string) ([]string, error) {
	var terms []string
	var term strings.Builder
	quoted, open := false, false
	for _, c := range s {
		switch {
		case c == '"':
			quoted, open = !quoted, true
		case !quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			if open {
				terms = append(terms, term.String())
			}
			term.Reset()
			open = false
		default:
			term.WriteRune(c)
			open = true
		}
	}
	if quoted {
		return nil, fmt.Errorf("search %q: a quote is not closed: %w", s, stemma.ErrInvalid)
	}
	if open {
		terms = append(terms, term.String())
	}
	return terms, nil
}
