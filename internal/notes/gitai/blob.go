package gitai

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/notes"
)

// blob reads the single JSON object of git-ai's first versions (July 2025,
// schema authorship/0.0.1):
//
//	{"files": {"<path>": {"file": "<path>", "authors": [
//	  {"author": "Claude", "lines": [22, [30, 41]], "agent_metadata": {"model": "..."}}]}},
//	 "schema_version": "authorship/0.0.1"}
//
// An author is an agent when its entry names a model, or when the name is that
// of a known agent or model; else it is the person whose lines these are, as
// far as git-ai could tell.
//
// Metadata of schema 3 without an attestation section is read here, too.
func (d *decoder) blob(b []byte, base int) error {
	s := notes.NewScanner(Name, b, base)
	found := false
	_, err := s.Object(func(key []byte) error {
		switch string(key) {
		case "files":
			found = true
			return d.files(s)
		case "prompts", "sessions":
			found = true
			return d.records(s, string(key))
		default:
			return s.Skip()
		}
	})
	switch {
	case err != nil && len(d.evidence.Claims) == 0 && len(d.evidence.Sessions) == 0:
		return err
	case err != nil:
		d.problem(err)
	case !found:
		return &notes.DecodeError{Source: Name, Offset: int64(base), Reason: "no authorship log: neither files nor sessions"}
	case s.Left() > 0:
		d.problemAt("", s.Offset(), "%d bytes after the end are not read", s.Left())
	}
	return nil
}

func (d *decoder) files(s *notes.Scanner) error {
	files, spans := 0, 0
	seen := make(map[string]bool)
	_, err := s.Object(func(key []byte) error {
		path, start := string(key), s.Offset()
		if files == maxFiles {
			d.problemAt("files", start, "more than %d files; the rest is not read", maxFiles)
		}
		if files++; files > maxFiles {
			return s.Skip()
		}
		if seen[path] {
			d.problemAt(path, start, "a second member for this path is not read")
			return s.Skip()
		}
		seen[path] = true
		f := file{path: path}
		_, err := s.Object(func(key []byte) error {
			if string(key) != "authors" {
				return s.Skip()
			}
			_, err := s.Array(func() error { return d.author(s, &f, maxRanges-spans) })
			return err
		})
		spans += len(f.spans)
		d.claim(&f) // before an error, too: what was read stands
		return err
	})
	return err
}

// author reads one entry of authors into f, at most room ranges of it.
func (d *decoder) author(s *notes.Scanner, f *file, room int) error {
	var (
		start       = s.Offset()
		name, model string
		first       = len(f.spans)
	)
	f.entries++
	_, err := s.Object(func(key []byte) (err error) {
		switch string(key) {
		case "author":
			name, err = s.Text()
		case "lines":
			_, err = s.Array(func() error { return d.lines(s, f, room) })
		case "agent_metadata":
			_, err = s.Object(func(key []byte) (err error) {
				if string(key) != "model" {
					return s.Skip()
				}
				model, err = s.Text()
				return err
			})
		default:
			err = s.Skip()
		}
		return err
	})
	if err == nil && name == "" {
		d.problemAt(f.path, start, "lines without an author")
	}
	if name == "" {
		f.spans = f.spans[:first] // nobody to give them to
		return err
	}
	who := f.owner(d.authorOf(name, model))
	for i := first; i < len(f.spans); i++ {
		f.spans[i].owner = who
	}
	return err
}

// lines reads one item of lines: n, or [n, m].
func (d *decoder) lines(s *notes.Scanner, f *file, room int) error {
	c, start := s.Peek(), s.Offset()
	raw, err := s.Value()
	if err != nil {
		return err
	}
	if c == '[' {
		raw = pair(raw)
	}
	from, to, reason := readRange(raw)
	if reason != "" {
		d.problemAt(f.path, start, "range %q %s", notes.Clip(string(raw)), reason)
	}
	if to == 0 {
		return nil
	}
	if len(f.spans) >= room {
		d.problemAt(f.path, start, "more than %d ranges", maxRanges)
		return nil
	}
	f.spans = append(f.spans, span{start: from, end: to, entry: f.entries})
	return nil
}

// pair makes "n-m" of "[n, m]", and what is no range of other arrays.
func pair(array []byte) []byte {
	out := make([]byte, 0, 24)
	for _, c := range array[1 : len(array)-1] {
		switch c {
		case ' ', '\n', '\t', '\r':
		case ',':
			out = append(out, '-')
		case '-':
			return nil
		default:
			out = append(out, c)
		}
		if len(out) > 64 {
			return out
		}
	}
	return out
}

func (d *decoder) authorOf(name, model string) owner {
	session := notes.Session{Model: stemma.ParseModel(model), Strength: declared(methodBlob)}
	agent, known := stemma.ParseAgent(name)
	switch {
	case known || session.Model.Known():
		session.Agent = agent
	default:
		// The first users wrote the model for the agent: "o3".
		session.Model = stemma.ParseModel(name)
		if session.Model.Provider == "" {
			return owner{class: stemma.ClassHuman, session: -1, person: personKey(name), method: methodBlob}
		}
	}
	key := name + "\n" + model
	i, have := d.byKey[key]
	switch {
	case have:
	case len(d.evidence.Sessions) >= maxSessions:
		d.problemAt("files", 0, "more than %d authors: the lines of %q have no session", maxSessions, notes.Clip(name))
		i = -1
	default:
		i = d.add(key, session)
	}
	return owner{class: stemma.ClassAI, session: i, method: methodBlob}
}

// personKey gives a person of a 0.0.1 blob the kind of key that git-ai gives to
// people since schema 3, so that no name goes further than here.
func personKey(author string) string {
	sum := sha256.Sum256([]byte(author))
	return "h_" + hex.EncodeToString(sum[:])[:14]
}
