package spool

import (
	"path"
	"path/filepath"
	"strings"
)

// excluded are names of files that never enter the spool, whatever git thinks
// of them: they hold secrets by convention. Patterns are those of path.Match
// on the base name.
var excluded = []string{
	".env", ".env.*", "*.env", ".envrc", ".netrc", "_netrc", ".pgpass", ".npmrc", ".pypirc", ".git-credentials", ".htpasswd",
	"*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519",
	"credentials", "credentials.json", "secrets.json", "secrets.y*ml", "*.tfstate", "*.tfvars",
}

// excludedByName reports whether a path is one of excluded, or matches one of
// the user's own rules.
func excludedByName(rel string, rules []rule) bool {
	base := strings.ToLower(path.Base(rel))
	for _, p := range excluded {
		if ok, _ := path.Match(p, base); ok { // the patterns are well-formed
			// An example of a file of secrets is there to be read.
			return base != ".env.example" && base != ".env.sample" && base != ".env.template"
		}
	}
	for dir := rel; len(rules) > 0 && dir != "." && dir != "/"; dir = path.Dir(dir) {
		if verdict(rules, dir, dir != rel) == yes {
			return true
		}
	}
	return false
}

// rule is one line of a .gitignore file (gitignore(5), "PATTERN FORMAT").
type rule struct {
	base     string   // folder of the file, "" for the top, without a slash at its end
	parts    []string // of the pattern
	anchored bool     // it is matched against the whole path below base
	folder   bool     // it matches folders only
	negate   bool
}

// parseRules reads the patterns of a user's settings.
func parseRules(lines []string) []rule {
	rules := make([]rule, 0, len(lines))
	for _, line := range lines {
		if r, ok := parseRule(line, ""); ok {
			rules = append(rules, r)
		}
	}
	return rules
}

func parseRule(line, base string) (rule, bool) {
	line = strings.TrimSuffix(line, "\r")
	for strings.HasSuffix(line, " ") && !strings.HasSuffix(line, `\ `) {
		line = strings.TrimSuffix(line, " ")
	}
	if line == "" || line[0] == '#' {
		return rule{}, false
	}
	r := rule{base: base}
	if line[0] == '!' {
		r.negate, line = true, line[1:]
	}
	if strings.HasSuffix(line, "/") {
		r.folder, line = true, strings.TrimSuffix(line, "/")
	}
	if line == "" {
		return rule{}, false
	}
	r.anchored = strings.Contains(line, "/")
	line = strings.TrimPrefix(line, "/")
	r.parts = strings.Split(line, "/")
	return r, true
}

// answer is what rules say of a path.
type answer int

const (
	silent answer = iota
	yes           // it is ignored
	no            // a rule says that it is not
)

// verdict gives what the last rule that matches says. rel is the path below the
// top of the work tree.
func verdict(rules []rule, rel string, folder bool) answer {
	for i := len(rules) - 1; i >= 0; i-- {
		r := &rules[i]
		if r.folder && !folder {
			continue
		}
		below := rel
		if r.base != "" {
			var ok bool
			if below, ok = strings.CutPrefix(rel, r.base+"/"); !ok {
				continue
			}
		}
		if !r.matches(below) {
			continue
		}
		if r.negate {
			return no
		}
		return yes
	}
	return silent
}

func (r *rule) matches(below string) bool {
	if !r.anchored {
		return wildmatch(r.parts[0], path.Base(below))
	}
	return matchParts(r.parts, strings.Split(below, "/"))
}

// matchParts matches a pattern with slashes. "**" stands for any number of
// folders, at its end for everything inside.
func matchParts(pattern, parts []string) bool {
	for len(pattern) > 0 {
		if pattern[0] == "**" {
			if len(pattern) == 1 {
				return len(parts) > 0
			}
			for i := range parts {
				if matchParts(pattern[1:], parts[i:]) {
					return true
				}
			}
			return false
		}
		if len(parts) == 0 || !wildmatch(pattern[0], parts[0]) {
			return false
		}
		pattern, parts = pattern[1:], parts[1:]
	}
	return len(parts) == 0
}

// wildmatch matches one part of a path. A pattern that path.Match does not
// know, such as an open bracket, matches nothing, as in git.
func wildmatch(pattern, name string) bool {
	for strings.Contains(pattern, "**") {
		pattern = strings.ReplaceAll(pattern, "**", "*")
	}
	// path.Match negates a class with ^, git with ! too.
	pattern = strings.ReplaceAll(pattern, "[!", "[^")
	ok, err := path.Match(bytewise(pattern), bytewise(name))
	return ok && err == nil
}

// bytewise makes each byte a character of its own: git's "?" is one byte.
func bytewise(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

// maxIgnore is the size in bytes over which a file of patterns is not read.
const maxIgnore = 1 << 20

// rulesIn reads the rules of one file of patterns; none where it can not be read.
func rulesIn(file, base string) []rule {
	text, err := readAtMost(file, maxIgnore)
	if err != nil {
		return nil
	}
	var rules []rule
	for line := range strings.Lines(string(text)) {
		if r, ok := parseRule(strings.TrimSuffix(line, "\n"), base); ok {
			rules = append(rules, r)
		}
	}
	return rules
}

// topRules are the rules that hold for a whole work tree, weakest first: the
// user's default file of excludes and the repository's own. (A file that
// core.excludesFile names is not looked for: it would need git's configuration.)
func topRules(p Place, userConfig string) []rule {
	var rules []rule
	if userConfig != "" {
		rules = rulesIn(filepath.Join(userConfig, "git", "ignore"), "")
	}
	return append(rules, rulesIn(filepath.Join(p.Common, "info", "exclude"), "")...)
}

// ignored reports whether git would ignore an untracked path: it or a folder
// above it is matched.
func ignored(p Place, userConfig, rel string) bool {
	rules := topRules(p, userConfig)
	dir := ""
	parts := strings.Split(rel, "/")
	for i := range parts {
		rules = append(rules, rulesIn(filepath.Join(p.Tree, filepath.FromSlash(dir), ".gitignore"), dir)...)
		at := strings.Join(parts[:i+1], "/")
		if verdict(rules, at, i < len(parts)-1) == yes {
			return true
		}
		dir = at
	}
	return false
}
