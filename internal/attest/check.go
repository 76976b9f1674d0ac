package attest

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxText is the length in bytes of one text field of stemma's own predicates;
// longer text is content, and belongs in the vault.
const maxText = 4096

// check collects the first fault of a value. Paths are JSON pointers below raw.
//
// Most values have none, and paths cost more than the rules: a value is checked
// without them first, and once more with them where it failed.
type check struct {
	raw    []byte
	loud   bool
	failed bool // where not loud
	err    error
}

// checked runs the rules over a value, and gives its first fault.
func checked(raw []byte, rules func(*check)) error {
	c := &check{raw: raw}
	if rules(c); !c.failed {
		return nil
	}
	c = &check{raw: raw, loud: true}
	rules(c)
	return c.err
}

// item is the path of an item of a list.
func (c *check) item(path string, i int) string {
	if !c.loud {
		return ""
	}
	return path + "/" + strconv.Itoa(i)
}

// below is the path of a field of an object.
func (c *check) below(path, name string) string {
	if !c.loud {
		return ""
	}
	return path + "/" + name
}

// quiet is a path to make others from.
func (c *check) quiet(path string) string {
	if !c.loud {
		return ""
	}
	return path
}

func (c *check) need(ok bool, path, reason string) {
	if ok || c.err != nil {
		return
	}
	if c.failed = true; !c.loud {
		return
	}
	c.err = &DecodeError{Path: path, Offset: offsetOf(c.raw, path), Reason: reason}
}

// present needs a field to be there, of whatever value.
func (c *check) present(path string) {
	_, there := find(c.raw, path)
	c.need(c.err != nil || there, path, "missing: null says that it is not known")
}

// text needs something to be there.
func (c *check) text(path, s string) {
	c.need(s != "", path, "missing or empty")
	c.optional(path, s)
}

// optional needs what is there to be short.
func (c *check) optional(path, s string) {
	if len(s) > maxText {
		c.need(false, path, fmt.Sprintf("text of %d bytes is over the limit of %d", len(s), maxText))
	}
}

func (c *check) texts(path string, list []string) {
	for i, s := range list {
		c.text(c.item(path, i), s)
	}
}

func (c *check) uri(path, s string) {
	c.text(path, s)
	u, err := url.Parse(s)
	c.need(err == nil && u.Scheme != "", path, "want a URI")
}

func (c *check) oneOf(path, s string, allowed ...string) {
	if !slices.Contains(allowed, s) {
		c.need(false, path, "want one of: "+strings.Join(allowed, ", "))
	}
}

// time needs RFC 3339 in UTC, as stemma writes it.
func (c *check) time(path, s string) {
	_, err := time.Parse(time.RFC3339, s)
	c.need(err == nil && strings.HasSuffix(s, "Z"), path, "want a time in UTC (RFC 3339, ending in Z)")
}

// timeOf is time for a field that may be null.
func (c *check) timeOf(path string, s *string) {
	if s != nil {
		c.time(path, *s)
	}
}

// anyTime needs RFC 3339 in any zone, as others write it.
func (c *check) anyTime(path, s string) {
	_, err := time.Parse(time.RFC3339, s)
	c.need(err == nil, path, "want a time (RFC 3339)")
}

// oid needs a full git object id.
func (c *check) oid(path, s string) {
	c.need(isHex(s, 40) || isHex(s, 64), path, "want a full object id in lower-case hex")
}

func (c *check) sha256(path, s string) {
	c.need(isHex(s, 64), path, "want SHA-256 in lower-case hex")
}

func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}
