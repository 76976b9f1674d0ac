package git

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
)

// settings are the few things that only a repository's own configuration
// tells. Nothing else of it is ever looked at, and includes are not followed:
// git itself reads these without them.
type settings struct {
	objectFormat string
	refStorage   string
	bare         bool
	workTree     string
	promisor     bool
	filter       string
}

func (s settings) hexLen() int {
	if s.objectFormat == "sha256" {
		return 64
	}
	return 40
}

// maxConfig is far over any configuration of a person or a tool.
const maxConfig = 4 << 20

func readSettings(common string) (settings, error) {
	file := filepath.Join(common, "config")
	data, err := readSmall(file, maxConfig)
	if errors.Is(err, os.ErrNotExist) {
		data, err = nil, nil
	}
	if err != nil {
		return settings{}, fmt.Errorf("read configuration: %w", err)
	}
	entries, err := parseConfig(data)
	if err != nil {
		return settings{}, fmt.Errorf("read %s: %w", file, err)
	}
	s := settings{objectFormat: "sha1", refStorage: "files"}
	for _, e := range entries {
		switch {
		case e.section == "extensions" && e.sub == "":
			switch e.key {
			case "objectformat":
				s.objectFormat = strings.ToLower(e.value)
			case "refstorage":
				s.refStorage, _, _ = strings.Cut(strings.ToLower(e.value), ":")
			case "partialclone":
				s.promisor = true
			}
		case e.section == "core" && e.sub == "":
			switch e.key {
			case "bare":
				s.bare = isTrue(e.value)
			case "worktree":
				s.workTree = e.value
			}
		case e.section == "remote" && e.key == "promisor":
			s.promisor = s.promisor || isTrue(e.value)
		case e.section == "remote" && e.key == "partialclonefilter":
			s.filter = clip(e.value)
		}
	}
	if s.objectFormat != "sha1" && s.objectFormat != "sha256" {
		return settings{}, fmt.Errorf("%w: %s names the unknown object format %q", stemma.ErrInvalid, file, clip(s.objectFormat))
	}
	if s.refStorage != "files" && s.refStorage != "reftable" {
		return settings{}, fmt.Errorf("%w: %s names the unknown ref storage %q", stemma.ErrInvalid, file, clip(s.refStorage))
	}
	return s, nil
}

// partial says what filter the objects came through. Packs that a promisor
// sent say so themselves, also when the configuration was lost.
func (s settings) partial(objects string) string {
	if s.promisor && s.filter != "" {
		return s.filter
	}
	if s.promisor {
		return "unknown"
	}
	packs, err := os.ReadDir(filepath.Join(objects, "pack"))
	if err == nil && slices.ContainsFunc(packs, func(e os.DirEntry) bool {
		return strings.HasSuffix(e.Name(), ".promisor")
	}) {
		return "unknown"
	}
	return ""
}

func isTrue(value string) bool {
	switch strings.ToLower(value) {
	case "true", "yes", "on", "1":
		return true
	default:
		return false
	}
}

type configEntry struct{ section, sub, key, value string }

// parseConfig reads git's configuration format: section and key in lower
// case, a key without a value as "true".
func parseConfig(data []byte) ([]configEntry, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	p := configParser{data: data}
	var entries []configEntry
	for {
		p.skipSpace()
		switch c, ok := p.peek(); {
		case !ok:
			return entries, nil
		case c == '#' || c == ';':
			p.skipLine()
		case c == '[':
			if err := p.header(); err != nil {
				return nil, err
			}
		case isAlpha(c):
			key, value, err := p.entry()
			if err != nil {
				return nil, err
			}
			entries = append(entries, configEntry{p.section, p.sub, key, value})
		default:
			return nil, &DecodeError{"configuration", int64(p.at), "neither a section nor a key"}
		}
	}
}

type configParser struct {
	data         []byte
	at           int
	section, sub string
}

func (p *configParser) peek() (byte, bool) {
	if p.at >= len(p.data) {
		return 0, false
	}
	return p.data[p.at], true
}

func (p *configParser) skipSpace() {
	for p.at < len(p.data) && bytes.IndexByte([]byte(" \t\r\n\v\f"), p.data[p.at]) >= 0 {
		p.at++
	}
}

func (p *configParser) skipLine() {
	if i := bytes.IndexByte(p.data[p.at:], '\n'); i >= 0 {
		p.at += i + 1
		return
	}
	p.at = len(p.data)
}

func (p *configParser) header() error {
	start := p.at
	p.at++ // [
	begin := p.at
	for p.at < len(p.data) && (isAlpha(p.data[p.at]) || isDigit(p.data[p.at]) || p.data[p.at] == '-' || p.data[p.at] == '.') {
		p.at++
	}
	p.section, p.sub, _ = strings.Cut(strings.ToLower(string(p.data[begin:p.at])), ".")
	for p.at < len(p.data) && (p.data[p.at] == ' ' || p.data[p.at] == '\t') {
		p.at++
	}
	if c, _ := p.peek(); c == '"' {
		p.at++
		var sub []byte
		for {
			c, ok := p.peek()
			if !ok || c == '\n' {
				return &DecodeError{"configuration", int64(start), "section name does not end"}
			}
			p.at++
			if c == '"' {
				break
			}
			if c == '\\' {
				if c, ok = p.peek(); !ok || c == '\n' {
					return &DecodeError{"configuration", int64(start), "section name does not end"}
				}
				p.at++
			}
			sub = append(sub, c)
		}
		p.sub = string(sub)
	}
	if c, _ := p.peek(); c != ']' {
		return &DecodeError{"configuration", int64(start), "section does not end with ]"}
	}
	p.at++
	return nil
}

func (p *configParser) entry() (key, value string, err error) {
	begin := p.at
	for p.at < len(p.data) && (isAlpha(p.data[p.at]) || isDigit(p.data[p.at]) || p.data[p.at] == '-') {
		p.at++
	}
	key = strings.ToLower(string(p.data[begin:p.at]))
	for p.at < len(p.data) && (p.data[p.at] == ' ' || p.data[p.at] == '\t' || p.data[p.at] == '\r') {
		p.at++
	}
	switch c, ok := p.peek(); {
	case !ok || c == '\n' || c == '#' || c == ';':
		p.skipLine()
		return key, "true", nil
	case c != '=':
		return "", "", &DecodeError{"configuration", int64(begin), "key without ="}
	}
	p.at++
	value, err = p.value()
	return key, value, err
}

func (p *configParser) value() (string, error) {
	start := p.at
	var value []byte
	keep := 0 // length up to the last byte that is not trailing space
	quoted := false
	for p.at < len(p.data) {
		c := p.data[p.at]
		p.at++
		switch {
		case c == '\n':
			if quoted {
				return "", &DecodeError{"configuration", int64(start), "quoted value does not end"}
			}
			return string(value[:keep]), nil
		case c == '"':
			quoted = !quoted
			keep = len(value)
		case c == '\\':
			if p.at < len(p.data) && p.data[p.at] == '\r' {
				p.at++
			}
			if p.at >= len(p.data) {
				return "", &DecodeError{"configuration", int64(start), "value ends in a backslash"}
			}
			e := p.data[p.at]
			p.at++
			i := bytes.IndexByte([]byte("\ntbn\\\""), e)
			if i < 0 {
				return "", &DecodeError{"configuration", int64(p.at - 1), "unknown escape"}
			}
			if i > 0 {
				value = append(value, "\n\t\b\n\\\""[i])
				keep = len(value)
			}
		case !quoted && (c == '#' || c == ';'):
			p.skipLine()
			return string(value[:keep]), nil
		case !quoted && (c == ' ' || c == '\t' || c == '\r'):
			if len(value) > 0 {
				value = append(value, c)
			}
		default:
			value = append(value, c)
			keep = len(value)
		}
	}
	if quoted {
		return "", &DecodeError{"configuration", int64(start), "quoted value does not end"}
	}
	return string(value[:keep]), nil
}

func isAlpha(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
