package agent

import (
	"regexp"
	"slices"
	"strings"
)

// Iterations are counts of what it took. Two of the four that a change has are
// not told by transcripts: rounds of CI and rounds of review.
type Iterations struct {
	// Prompts counts the prompts of people.
	Prompts int `json:"prompts"`
	// Rewrites counts edits that replaced lines which an earlier edit of the same
	// session had written; see [Rewrite].
	Rewrites int `json:"rewrites"`
}

// Iterations counts prompts and rewrites of a session.
func (s *Session) Iterations() Iterations {
	var n Iterations
	for _, t := range s.Turns {
		if t.Origin == FromPerson {
			n.Prompts++
		}
	}
	for _, rewrites := range s.Rewrites() {
		n.Rewrites += len(rewrites)
	}
	return n
}

// Signals say how a session worked.
type Signals struct {
	// ReadFirst counts the files that were read before the first edit, -1 where
	// nothing was edited.
	ReadFirst int   `json:"filesReadBeforeEdit"`
	Thinking  int64 `json:"thinkingBytes"`
	// Tested says whether tests ran after the last edit: "pass", "fail", "ran" where
	// their result is not told, "no", or "" where nothing was edited.
	Tested      string   `json:"testsBeforeDone"`
	Modes       []string `json:"permissionModes"` // in order, each once
	Interrupted int      `json:"interrupted"`
	Rejected    int      `json:"rejected"` // calls, those redirected included
}

// Signals tells how the session worked.
func (s *Session) Signals() Signals {
	g := Signals{ReadFirst: -1, Modes: []string{}}
	read := make(map[string]bool)
	edited := false
	for _, t := range s.Turns {
		g.Thinking += t.Thinking
		if t.Interrupted {
			g.Interrupted++
		}
		if t.Mode != "" && !slices.Contains(g.Modes, t.Mode) {
			g.Modes = append(g.Modes, t.Mode)
		}
		for _, c := range t.Calls {
			if c.Decision == Rejected || c.Decision == Redirected {
				g.Rejected++
			}
			switch {
			case c.Kind == KindRead && !edited:
				for _, f := range c.Files {
					read[f.Path] = true
				}
			case c.Kind == KindEdit && c.Outcome != OutcomeNone && c.Outcome != OutcomeError:
				if !edited {
					g.ReadFirst = len(read)
				}
				edited, g.Tested = true, "no"
			case c.Test != nil && edited && c.Outcome != OutcomeNone:
				if g.Tested = c.Test.Result; g.Tested == "" {
					g.Tested = "ran"
				}
			}
		}
	}
	return g
}

// Task is what a session was for: a task type of the glossary, with the method
// that tells. Type is "" where nothing does.
type Task struct {
	Type   string `json:"type"`
	Method string `json:"method,omitempty"`
}

var reviewWords = regexp.MustCompile(`(?i)\b(?:code[- ]?review(?:er)?|review(?:er|s|ing)?|audit)\b`)

// taskWords tell the type of a task from the words of a prompt, the more special
// ones first.
var taskWords = []struct {
	kind string
	word *regexp.Regexp
}{
	{"security", regexp.MustCompile(`(?i)\b(?:CVE-\d|vulnerab|security (?:fix|issue|hole|bug)|XSS|SQL injection|CSRF|sanitiz)`)},
	{"migration", regexp.MustCompile(`(?i)\b(?:migrat(?:e|ion)|upgrade .{1,40} to |port .{1,40} to )`)},
	{"performance", regexp.MustCompile(`(?i)\b(?:performance|speed up|make .{1,30} faster|optimi[sz]e|slow(?:er|ness)?\b.{0,20}\bquer)`)},
	{"bugfix", regexp.MustCompile(`(?i)\b(?:fix(?:es|ed|ing)?|bug|crash(?:es|ed)?|regression|broken|does(?:n't| not) work|fails? (?:when|with|on)|error (?:when|in))\b`)},
	{"test", regexp.MustCompile(`(?i)\b(?:(?:add|write|more|missing|improve) .{0,30}\btests?|test coverage|unit tests?)\b`)},
	{"docs", regexp.MustCompile(`(?i)\b(?:readme|documentation|docs?\b|docstrings?|changelog|comment(?:s|ing)?\b .{0,20}(?:code|function))`)},
	{"refactor", regexp.MustCompile(`(?i)\b(?:refactor|restructure|clean ?up|simplify|rename|extract .{1,40} into|dedup|deduplicate)\b`)},
	{"chore", regexp.MustCompile(`(?i)\b(?:bump|dependenc(?:y|ies)|lint(?:er|ing)?|format(?:ting)?|ci (?:config|pipeline)|release|commit (?:this|these|the changes))\b`)},
	{"feature", regexp.MustCompile(`(?i)\b(?:add|implement|create|build|support|introduce|make|write|allow)\b`)},
}

// Task tells what the session was for: by the only kind of files it wrote, or by
// the words of its first prompts.
func (s *Session) Task() Task {
	if kind := s.filesKind(); kind != "" {
		return Task{kind, "all files written are of one kind"}
	}
	n := 0
	for _, t := range s.Turns {
		if t.Prompt == nil || t.Origin != FromPerson && t.Origin != FromTask {
			continue
		}
		text := t.Prompt.Text
		if len(text) > 2000 {
			text = text[:2000]
		}
		for _, w := range taskWords {
			if w.word.MatchString(text) {
				return Task{w.kind, "words of a prompt"}
			}
		}
		if n++; n == 3 {
			break
		}
	}
	return Task{}
}

// filesKind is the type of task that the names of all written files tell.
func (s *Session) filesKind() string {
	kind := ""
	for _, t := range s.Turns {
		for _, c := range t.Calls {
			if c.Kind != KindEdit || c.Outcome == OutcomeNone || c.Outcome == OutcomeError {
				continue
			}
			for _, f := range c.Files {
				this := ""
				name := strings.ToLower(f.Path)
				switch {
				case strings.HasSuffix(name, "_test.go"), strings.Contains(name, ".test."), strings.Contains(name, ".spec."),
					strings.Contains(name, "/tests/"), strings.Contains(name, "/test_"):
					this = "test"
				case strings.HasSuffix(name, ".md"), strings.HasSuffix(name, ".rst"), strings.Contains(name, "/docs/"):
					this = "docs"
				}
				if this == "" || kind != "" && kind != this {
					return ""
				}
				kind = this
			}
		}
	}
	return kind
}

// reviewed reports whether a session was to review, and wrote nothing.
func reviewed(s *Session) bool {
	if s.writes() {
		return false
	}
	if s.Parent != nil && reviewWords.MatchString(s.Parent.Role) {
		return true
	}
	for _, t := range s.Turns {
		if t.Prompt != nil {
			text := t.Prompt.Text
			return reviewWords.MatchString(text[:min(len(text), 500)])
		}
	}
	return false
}

// writes reports whether the session wrote files.
func (s *Session) writes() bool {
	return slices.ContainsFunc(s.Turns, func(t *Turn) bool {
		return slices.ContainsFunc(t.Calls, func(c *Call) bool {
			return c.Kind == KindEdit && c.Outcome != OutcomeNone && c.Outcome != OutcomeError
		})
	})
}

// touched gives the files with this kind of access.
func (s *Session) touched(access Access) map[string]bool {
	files := make(map[string]bool)
	for _, t := range s.Turns {
		for _, c := range t.Calls {
			if c.Outcome == OutcomeNone || c.Outcome == OutcomeError {
				continue
			}
			for _, f := range c.Files {
				if f.Access == access {
					files[f.Path] = true
				}
			}
		}
	}
	return files
}
