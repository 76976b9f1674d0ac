package agenttrace

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
)

// The limits of one file and one record.
const (
	maxFile     = 256 << 20
	maxRecord   = 4 << 20 // bytes of one line
	maxRecords  = 2_000_000
	maxPaths    = 10_000 // files of one record
	maxRanges   = 100_000
	maxPath     = 1 << 16
	maxID       = 1024
	maxModel    = 250 // schemas.ts
	maxLine     = 1<<31 - 1
	maxProblems = 20 // of one record
)

// records are what files hold, by the revision that they state.
type records struct {
	by     map[string][]*record // "" for those that state none of git's
	have   map[[32]byte]bool    // a record is in the files of many tips
	broken int                  // lines that are no records
	first  string               // what is wrong with the first of them
}

func newRecords() *records {
	return &records{by: make(map[string][]*record), have: make(map[[32]byte]bool)}
}

// record is one record.
type record struct {
	sum      [32]byte // of its bytes
	order    string   // its time, as it stands: RFC 3339 in UTC, so that it sorts
	tool     string
	version  string // of the tool
	session  string // the agent's own id, as far as the record has it
	hook     bool   // the reference hook wrote it, before the commit was made
	files    []file
	problems []string
}

// file is what a record says of one file.
type file struct {
	path   string
	claims []claim
}

// claim is a range of lines.
type claim struct {
	start, end int
	kind       string // "human", "ai", "mixed", "unknown"; "" where it is not said
	model      string
	session    string // of the conversation, where the record as a whole has none
	hash       string // digits of SHA-256 over the text, or ""
}

// read adds the records of one file.
func (r *records) read(ctx context.Context, repo *git.Repo, blob string) error {
	return repo.Stream(ctx, blob, maxFile, func(in io.Reader) error { return r.lines(in) })
}

// lines adds the records of a file, one a line.
func (r *records) lines(in io.Reader) error {
	scan := bufio.NewScanner(in)
	scan.Buffer(nil, maxRecord)
	for scan.Scan() {
		line := bytes.TrimSpace(scan.Bytes())
		if len(line) == 0 {
			continue
		}
		r.line(line)
	}
	if errors.Is(scan.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("a line of more than %d bytes, what follows is not read: %w", maxRecord, stemma.ErrInvalid)
	}
	return scan.Err()
}

func (r *records) line(line []byte) {
	sum := sha256.Sum256(line)
	if r.have[sum] {
		return
	}
	r.have[sum] = true
	if len(r.have) > maxRecords {
		r.bad(fmt.Sprintf("more than %d records", maxRecords))
		return
	}
	rec, revision, err := parse(line)
	if err != nil {
		r.bad(err.Error())
		return
	}
	rec.sum = sum
	r.by[revision] = append(r.by[revision], rec)
}

func (r *records) bad(reason string) {
	if r.broken++; r.broken == 1 {
		r.first = reason
	}
}

// differ gives the revisions of records that only one side has.
func (r *records) differ(from *records) map[string]bool {
	revisions := make(map[string]bool)
	for _, side := range []struct{ of, not *records }{{r, from}, {from, r}} {
		for revision, of := range side.of.by {
			if revision != "" && slices.ContainsFunc(of, func(rec *record) bool { return !side.not.have[rec.sum] }) {
				revisions[revision] = true
			}
		}
	}
	return revisions
}

// versions are those of 0.1.0, and of the two parts that schemas.ts asks for
// and the reference implementation writes: "1.0".
var versions = regexp.MustCompile(`^[01]\.\d{1,4}(\.\d{1,4})?$`)

// parse reads one record. It is strict in what a record must have: version, id,
// timestamp and files (README.md, 6.1). revision is "" where it is none of git's.
func parse(line []byte) (rec *record, revision string, err error) {
	rec = &record{}
	var version, id, time string
	var metadata metadata
	has := make(map[string]bool)
	s := notes.NewScanner(Name, line, 0)
	isObject, err := s.Object(func(key []byte) (err error) {
		has[string(key)] = true
		switch string(key) {
		case "version":
			version, err = s.Text()
		case "id":
			id, err = s.Text()
		case "timestamp":
			time, err = s.Text()
		case "vcs":
			revision, err = readRevision(s)
		case "tool":
			err = rec.readTool(s)
		case "files":
			_, err = s.Array(func() error { return rec.readFile(s) })
		case "metadata":
			metadata, err = readMetadata(s)
		default:
			err = s.Skip()
		}
		return err
	})
	switch {
	case err != nil:
		return nil, "", err
	case !isObject:
		return nil, "", &notes.DecodeError{Source: Name, Reason: "no JSON object"}
	case s.Left() > 0:
		return nil, "", s.Bad("%d bytes after the record", s.Left())
	case version == "" || id == "" || time == "" || !has["files"]:
		return nil, "", &notes.DecodeError{Source: Name, Reason: "no record: version, id, timestamp or files is missing"}
	}
	rec.order = time
	if !versions.MatchString(version) {
		rec.problem("version %q is not known, read as 0.1.0", notes.Clip(version))
	}
	rec.session = metadata.session
	// The reference hook, and what was made after it, names the call of the tool
	// or the generation at the top of the metadata: it runs while the agent edits.
	rec.hook = metadata.hook
	return rec, revision, nil
}

func (rec *record) problem(format string, args ...any) {
	if len(rec.problems) < maxProblems {
		rec.problems = append(rec.problems, fmt.Sprintf(format, args...))
	}
}

// readRevision reads {"type": "git", "revision": "..."}.
func readRevision(s *notes.Scanner) (string, error) {
	kind, revision := "", ""
	_, err := s.Object(func(key []byte) (err error) {
		switch string(key) {
		case "type":
			kind, err = s.Text()
		case "revision":
			revision, err = s.Text()
		default:
			err = s.Skip()
		}
		return err
	})
	revision = strings.ToLower(revision)
	if kind != "git" || len(revision) != 40 && len(revision) != 64 || strings.Trim(revision, "0123456789abcdef") != "" {
		return "", err
	}
	return revision, err
}

func (rec *record) readTool(s *notes.Scanner) error {
	_, err := s.Object(func(key []byte) (err error) {
		switch string(key) {
		case "name":
			rec.tool, err = s.Text()
		case "version":
			rec.version, err = s.Text()
		default:
			err = s.Skip()
		}
		return err
	})
	return err
}

// metadata is what the reference hook writes beside the record.
type metadata struct {
	session string
	hook    bool
}

func readMetadata(s *notes.Scanner) (m metadata, err error) {
	conversation := ""
	_, err = s.Object(func(key []byte) (err error) {
		switch string(key) {
		case "session_id":
			m.session, err = s.Text()
		case "conversation_id":
			conversation, err = s.Text()
		case "tool_use_id", "generation_id":
			m.hook = true
			err = s.Skip()
		default:
			err = s.Skip()
		}
		return err
	})
	if m.session == "" {
		m.session = conversation
	}
	if len(m.session) > maxID {
		m.session = ""
	}
	return m, err
}

// pseudo are the paths under which the reference hook files what is about no
// file.
func pseudo(p string) bool { return p == ".sessions" || p == ".shell-history" || p == ".unknown" }

func (rec *record) readFile(s *notes.Scanner) error {
	var f file
	isObject, err := s.Object(func(key []byte) (err error) {
		switch string(key) {
		case "path":
			f.path, err = s.Text()
		case "conversations":
			_, err = s.Array(func() error { return f.readConversation(s, rec) })
		default:
			err = s.Skip()
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case !isObject || f.path == "":
		rec.problem("a file without a path")
	case pseudo(f.path):
	case len(f.path) > maxPath:
		rec.problem("a path of %d bytes", len(f.path))
	case len(rec.files) == maxPaths:
		rec.problem("more than %d files", maxPaths)
	default:
		f.path = plainPath(f.path)
		rec.files = append(rec.files, f)
	}
	return nil
}

// plainPath gives a path with slashes, as git has it; absolute ones stay so.
func plainPath(p string) string {
	p = strings.TrimPrefix(p, "file://")
	if drive.MatchString(p) || !strings.Contains(p, "/") {
		p = strings.ReplaceAll(p, `\`, "/")
	}
	return path.Clean(p)
}

// drive begins an absolute path of Windows.
var drive = regexp.MustCompile(`^[A-Za-z]:[\\/]`)

func absolute(p string) bool { return strings.HasPrefix(p, "/") || drive.MatchString(p) }

func (f *file) readConversation(s *notes.Scanner, rec *record) error {
	var (
		url, session string
		by           contributor
		claims       []claim
	)
	_, err := s.Object(func(key []byte) (err error) {
		switch string(key) {
		case "url":
			url, err = s.Text()
		case "contributor":
			by, err = readContributor(s)
		case "ranges":
			_, err = s.Array(func() error {
				c, ok, err := readRange(s, rec)
				if ok && len(f.claims)+len(claims) < maxRanges {
					claims = append(claims, c)
				}
				return err
			})
		case "related":
			_, err = s.Array(func() error {
				id, err := readRelated(s)
				if id != "" {
					session = id
				}
				return err
			})
		default:
			err = s.Skip()
		}
		return err
	})
	if session == "" {
		session = lastPart(url)
	}
	for _, c := range claims {
		if c.kind == "" {
			c.kind, c.model = by.kind, by.model
		}
		c.session = session
		f.claims = append(f.claims, c)
	}
	return err
}

// readRelated gives the id of a related session.
func readRelated(s *notes.Scanner) (string, error) {
	kind, url := "", ""
	_, err := s.Object(func(key []byte) (err error) {
		switch string(key) {
		case "type":
			kind, err = s.Text()
		case "url":
			url, err = s.Text()
		default:
			err = s.Skip()
		}
		return err
	})
	if kind != "session" {
		return "", err
	}
	return lastPart(url), err
}

// lastPart gives the end of a URL, which is the id of what it leads to; of a
// transcript on somebody's disk, its name without the folders, which are the
// affair of that somebody.
func lastPart(url string) string {
	url, _, _ = strings.Cut(url, "?")
	url, _, _ = strings.Cut(url, "#")
	url = strings.TrimRight(strings.ReplaceAll(url, `\`, "/"), "/")
	if !strings.Contains(url, "/") || len(url) > maxID {
		return ""
	}
	last := url[strings.LastIndexByte(url, '/')+1:]
	return strings.TrimSuffix(strings.TrimSuffix(last, ".jsonl"), ".json")
}

// contributor is who made a range.
type contributor struct{ kind, model string }

func readContributor(s *notes.Scanner) (c contributor, err error) {
	_, err = s.Object(func(key []byte) (err error) {
		switch string(key) {
		case "type":
			c.kind, err = s.Text()
		case "model_id":
			c.model, err = s.Text()
		default:
			err = s.Skip()
		}
		return err
	})
	if len(c.model) > maxModel {
		c.model = ""
	}
	return c, err
}

func readRange(s *notes.Scanner, rec *record) (c claim, ok bool, err error) {
	var by contributor
	var start, end []byte
	_, err = s.Object(func(key []byte) (err error) {
		switch string(key) {
		case "start_line":
			start, err = s.Literal()
		case "end_line":
			end, err = s.Literal()
		case "contributor":
			by, err = readContributor(s)
		case "content_hash":
			var text string
			text, err = s.Text()
			c.hash = validHash(text)
		default:
			err = s.Skip()
		}
		return err
	})
	if err != nil {
		return c, false, err
	}
	from, bad1 := strconv.ParseInt(string(start), 10, 32)
	to, bad2 := strconv.ParseInt(string(end), 10, 32)
	if bad1 != nil || bad2 != nil || from < 1 || to < from || to > maxLine-1 {
		rec.problem("range %q to %q is none", notes.Clip(string(start)), notes.Clip(string(end)))
		return c, false, nil
	}
	c.start, c.end, c.kind, c.model = int(from), int(to), by.kind, by.model
	return c, true, nil
}
