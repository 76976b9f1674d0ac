// Package gitleaks gives the redactor the rules of gitleaks: the forms of the
// secrets that some two hundred issuers give out.
//
// Only its rules are used, with their expressions, entropy floors and lists of
// what is none. They are matched by the redactor itself, because gitleaks gives
// lines and not bytes, honours a comment that lets secrets pass, and brings
// readers of archives that nothing here needs. Expressions are compiled when a
// text first holds a keyword of theirs.
package gitleaks

import (
	"bytes"
	"fmt"
	"math"
	"regexp"
	"strings"
	"sync"

	"github.com/spf13/viper"
	"github.com/zricethezav/gitleaks/v8/config"

	"github.com/stemma-dev/stemma/internal/redact"
)

// version is that of the gitleaks module; a test holds it to go.mod.
const version = "8.30.0"

// Detector finds what the rules of gitleaks describe. The zero value is ready;
// its rules are read at first use. It may be used at once from several places.
type Detector struct {
	once    sync.Once
	matcher *redact.Matcher
	err     error
}

// Version implements [redact.Detector].
func (*Detector) Version() string { return "gitleaks/" + version }

// Load reads the rules, unless they are read. An error would be one of the
// rules that are part of the program.
func (d *Detector) Load() error {
	d.once.Do(func() {
		patterns, err := patterns()
		if err != nil {
			d.err = fmt.Errorf("rules of gitleaks: %w", err)
			return
		}
		d.matcher = redact.NewMatcher(patterns)
	})
	return d.err
}

// Find implements [redact.Detector]. It panics if the rules that are part of
// the program can not be read: content must not pass unseen.
func (d *Detector) Find(text []byte) []redact.Span {
	if err := d.Load(); err != nil {
		panic(err)
	}
	return d.matcher.Find(text)
}

// without are the rules that are left out, and why.
var without = map[string]string{
	"private-key":           "internal/redact finds these, also when they are cut off or quoted",
	"hashicorp-tf-password": "it is for files of Terraform; elsewhere internal/redact tells passwords from placeholders",
}

// keywords are for rules whose own are too common to be looked around.
var keywords = map[string][]string{
	"kubernetes-secret-yaml": {"kind:"},
}

func patterns() ([]redact.Pattern, error) {
	v := viper.New()
	v.SetConfigType("toml")
	if err := v.ReadConfig(strings.NewReader(config.DefaultConfig)); err != nil {
		return nil, err
	}
	var all config.ViperConfig
	if err := v.Unmarshal(&all); err != nil {
		return nil, err
	}
	shared := all
	shared.Rules = nil
	global, err := shared.Translate()
	if err != nil {
		return nil, err
	}
	var patterns []redact.Pattern
	for i := range all.Rules {
		r := &all.Rules[i]
		if r.Regex == "" || without[r.ID] != "" {
			continue // a rule for names of files
		}
		atKeyword, near := true, redact.Assigned
		bounded := strings.HasPrefix(r.Regex, `\b`)
		if rest, ok := strings.CutPrefix(r.Regex, anyName); ok && namesBeginWith(rest, r.Keywords) {
			r.Regex = `\A(?i)` + rest
		} else if rest := strings.TrimPrefix(r.Regex, `\b`); beginsWith(rest, r.Keywords) {
			r.Regex, near = `\A`+rest, tokenFollows
		} else {
			atKeyword = false
		}
		one := config.ViperConfig{Rules: all.Rules[i : i+1]}
		rule := sync.OnceValue(func() config.Rule {
			c, err := one.Translate()
			if err != nil {
				panic(fmt.Errorf("rule %s of gitleaks: %w", r.ID, err))
			}
			return c.Rules[r.ID]
		})
		p := redact.Pattern{
			Kind: r.ID, Weak: r.ID == "generic-api-key",
			Keywords: lowered(r.Keywords), Group: r.SecretGroup, AtKeyword: atKeyword,
			Regexp: func() *regexp.Regexp { return rule().Regex },
			Accept: func(m redact.Match) bool { return accepted(rule(), global.Allowlists, m) },
		}
		switch {
		case atKeyword:
			p.Near, p.Bounded = near, bounded
			if !strings.Contains(r.Regex, assignment) {
				p.After = 8192 // tokens have no longest length
			}
		case strings.Contains(r.Regex, assignment):
			p.Near = redact.Assigned
		default:
			p.Before = 192 // the keyword may stand in the middle
		}
		if r.ID == "vault-service-token" {
			p.Near = tokenFollows // one of its keywords is "s."
		}
		if own := keywords[r.ID]; own != nil {
			p.Keywords, p.Near = own, isSecretKind
		}
		if strings.HasPrefix(r.ID, "curl-") {
			p.After = 2048
		}
		if len(p.Keywords) == 0 {
			return nil, fmt.Errorf("rule %s has no keyword", r.ID)
		}
		patterns = append(patterns, p)
	}
	return patterns, nil
}

// anyName begins the expressions that look for an assignment. The part of the
// name before the keyword tells only those that are no secrets from others, and
// is looked at again by accepted.
const anyName = `(?i)[\w.-]{0,50}?`

// assignment is the part of an expression that [redact.Assigned] stands for.
const assignment = `(?:[ \t\w.-]{0,20})[\s'"]{0,3}(?:=|>|:{1,3}=|\|\||:|=>|\?=|,)`

// beginsWith reports whether an expression begins with each of the words, as they
// are.
func beginsWith(expr string, words []string) bool {
	expr = strings.ToLower(strings.TrimLeft(expr, "("))
	for _, w := range words {
		if !strings.HasPrefix(expr, regexp.QuoteMeta(strings.ToLower(w))) {
			return false
		}
	}
	return len(words) > 0
}

// namesBeginWith reports whether each of the words begins one of the names that
// an expression begins with, such as (?:access|key|(?-i:[Aa]pi|API)).
func namesBeginWith(expr string, words []string) bool {
	names, _, _ := strings.Cut(expr, assignment)
	names = strings.ReplaceAll(strings.ToLower(names), "passw(?:or)?d", "passwd|password")
	for _, w := range words {
		w = strings.ToLower(w)
		begins := false
		for _, before := range []string{"(?:", "|", "(?-i:"} {
			begins = begins || strings.Contains(names, before+regexp.QuoteMeta(w)) || strings.Contains(names, before+"["+w[:1]+w[:1]+"]"+w[1:])
		}
		if !begins {
			return false
		}
	}
	return len(words) > 0
}

// tokenFollows reports whether more of a token can follow its first letters.
func tokenFollows(after []byte) bool {
	for _, c := range after[:min(len(after), 6)] {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("_-+/=.~", c) >= 0) {
			return false
		}
	}
	return len(after) >= 6
}

func lowered(words []string) []string {
	low := make([]string, len(words))
	for i, w := range words {
		low[i] = strings.ToLower(w)
	}
	return low
}

func isSecretKind(after []byte) bool {
	return bytes.HasPrefix(bytes.ToLower(bytes.TrimLeft(after[:min(len(after), 32)], " \t\"'")), []byte("secret"))
}

// accepted applies a rule's entropy floor and the lists of what is no secret.
func accepted(rule config.Rule, global []*config.Allowlist, m redact.Match) bool {
	if rule.Entropy != 0 && entropy(m.Secret) <= rule.Entropy {
		return false
	}
	for _, lists := range [][]*config.Allowlist{rule.Allowlists, global} {
		for _, a := range lists {
			if allowed(a, m) {
				return false
			}
		}
	}
	return true
}

// allowed reports whether a list says that a match is no secret. Lists that ask
// for a path as well say nothing: content has none.
func allowed(a *config.Allowlist, m redact.Match) bool {
	if a.MatchCondition == config.AllowlistMatchAnd && (len(a.Paths) > 0 || len(a.Commits) > 0) {
		return false
	}
	target := m.Secret
	switch a.RegexTarget {
	case "match":
		_, from := m.Name(50)
		target = m.Text[from : m.From+len(m.All)]
	case "line":
		target = m.Line()
	}
	byExpression := len(a.Regexes) > 0 && a.RegexAllowed(string(target))
	byWord := false
	if len(a.StopWords) > 0 {
		byWord, _ = a.ContainsStopWord(string(m.Secret))
	}
	if a.MatchCondition == config.AllowlistMatchAnd {
		return (len(a.Regexes) == 0 || byExpression) && (len(a.StopWords) == 0 || byWord) && len(a.Regexes)+len(a.StopWords) > 0
	}
	return byExpression || byWord
}

// entropy is Shannon's, of the characters, as gitleaks reckons it.
func entropy(secret []byte) float64 {
	counts := make(map[rune]int)
	n := 0
	for _, r := range string(secret) {
		counts[r]++
		n++
	}
	h := 0.0
	for _, k := range counts {
		p := float64(k) / float64(n)
		h -= p * math.Log2(p)
	}
	return h
}
