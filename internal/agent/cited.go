package agent

import (
	"regexp"
	"slices"
	"strings"
)

// Citation is something of a forge or a scanner that a prompt names: what a
// session was to review, or whose complaint it was to mend.
type Citation struct {
	Kind string `json:"kind"` // "change", "review", "finding" or "run"
	// Key is the end of the address, "pull/12#discussion_r99": what comes before may
	// name a person, and statements do not. Or it is the identifier of a weakness.
	Key string `json:"key"`
}

// The kinds of citations.
const (
	CitesChange  = "change"  // a pull or merge request
	CitesReview  = "review"  // a comment on one, or a review of it
	CitesFinding = "finding" // of a scanner: CVE-2026-1, GHSA-..., CWE-89, an alert
	CitesRun     = "run"     // of CI
)

var (
	forgeURL = regexp.MustCompile(`https?://[A-Za-z0-9.-]+(?::\d+)?/[^\s<>"'()\[\]?#]{1,400}?/(?:-/)?(pull|pull-requests|merge_requests|actions/runs|pipelines|security/code-scanning|security/dependabot|security/secret-scanning|security/advisories)/([A-Za-z0-9-]{1,40})(?:/[a-z]+)?(#(?:discussion_r|issuecomment-|pullrequestreview-|note_|comment-)\d{1,20})?`)
	weakness = regexp.MustCompile(`(?i)\b(CVE-\d{4}-\d{4,9}|GHSA(?:-[23456789cfghjmpqrvwx]{4}){3}|CWE-\d{1,5})\b`)
)

// citedKinds says what the part of an address stands for.
var citedKinds = map[string]string{
	"pull": CitesChange, "pull-requests": CitesChange, "merge_requests": CitesChange,
	"actions/runs": CitesRun, "pipelines": CitesRun,
	"security/code-scanning": CitesFinding, "security/dependabot": CitesFinding, "security/secret-scanning": CitesFinding, "security/advisories": CitesFinding,
}

// maxCited is how many citations are taken from one text.
const maxCited = 20

// Cited gives the changes, reviews, findings and CI runs that a text names by
// address or identifier, each once, in order of their kinds.
func Cited(text string) []Citation {
	if len(text) > MaxText {
		text = text[:MaxText]
	}
	var all []Citation
	add := func(kind, key string) {
		if c := (Citation{kind, clean(key, 512)}); len(all) < maxCited && !slices.Contains(all, c) {
			all = append(all, c)
		}
	}
	for _, m := range forgeURL.FindAllStringSubmatch(text, maxCited) {
		kind, key := citedKinds[m[1]], m[1]+"/"+m[2]
		if m[3] != "" {
			kind, key = CitesReview, key+m[3]
		}
		add(kind, key)
	}
	for _, m := range weakness.FindAllString(text, maxCited) {
		add(CitesFinding, strings.ToUpper(m))
	}
	slices.SortStableFunc(all, func(a, b Citation) int { return strings.Compare(a.Kind, b.Kind) })
	return all
}
