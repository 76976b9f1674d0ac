package agent

import (
	"regexp"
	"slices"
	"strings"
)

var (
	// Keys of trackers: PROJ-123. Words that look like one and are none are left
	// out by notTickets.
	ticketKey = regexp.MustCompile(`(?:^|[^\w/-])([A-Z][A-Z0-9]{1,9}-[1-9]\d{0,6})(?:$|[^\w-])`)
	issueURL  = regexp.MustCompile(`https?://[^\s<>"')]+/(?:issues|browse|issue)/([\w-]+)`)
	issueHash = regexp.MustCompile(`(?i)(?:issue|ticket|fix(?:es)?|close[sd]?|resolve[sd]?) #([1-9]\d{0,6})\b`)
)

// notTickets are words in capitals with a number that name no ticket.
var notTickets = []string{"UTF-", "SHA-", "ISO-", "RFC-", "HTTP-", "AES-", "RSA-", "MD-", "GPT-", "COVID-", "X-", "UTC-", "ES-", "CVE-", "TLS-", "IPV-", "BASE-", "CLAUDE-", "PEP-"}

// maxTickets is how many tickets are taken from one text.
const maxTickets = 20

// Tickets gives the tickets that a text names, each once, in order: keys such as
// SHOP-42, links to issues, and "fixes #7" as "#7".
func Tickets(text string) []string {
	if len(text) > MaxText {
		text = text[:MaxText]
	}
	var all []string
	add := func(key string) {
		if !slices.Contains(all, key) && len(all) < maxTickets {
			all = append(all, key)
		}
	}
	for _, m := range issueURL.FindAllStringSubmatch(text, maxTickets) {
		if strings.Trim(m[1], "0123456789") == "" {
			add("#" + m[1])
		} else if ticketKey.MatchString(m[1]) {
			add(m[1])
		}
	}
	for _, m := range issueHash.FindAllStringSubmatch(text, maxTickets) {
		add("#" + m[1])
	}
	for from := 0; from < len(text) && len(all) < maxTickets; {
		m := ticketKey.FindStringSubmatchIndex(text[from:])
		if m == nil {
			break
		}
		key := text[from+m[2] : from+m[3]]
		if !slices.ContainsFunc(notTickets, func(p string) bool { return strings.HasPrefix(key, p) }) {
			add(key)
		}
		from += m[3] // what ends one may begin the next
	}
	return all
}
