package gitai

import (
	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/notes"
)

// schema is the version that this package was written for.
const schema = "authorship/3.0.0"

// metadata reads the JSON of schema 3, which explains the keys. What was read
// before an error stands.
func (d *decoder) metadata(b []byte, base int) error {
	s := notes.NewScanner(Name, b, base)
	version := ""
	isObject, err := s.Object(func(key []byte) (err error) {
		switch string(key) {
		case "schema_version":
			version, err = s.Text()
			return err
		case "prompts", "sessions":
			return d.records(s, string(key))
		default:
			// humans holds names of people, of whom the key says enough here.
			return s.Skip()
		}
	})
	if err != nil {
		return notes.Within("metadata", err)
	}
	switch {
	case !isObject:
		return &notes.DecodeError{Source: Name, Path: "metadata", Offset: int64(base), Reason: "no object"}
	case version == "":
		d.problemAt("metadata.schema_version", base, "missing, read as %s", schema)
	case version != schema:
		d.problemAt("metadata.schema_version", base, "%q is not known, read as %s", notes.Clip(version), schema)
	}
	if s.Left() > 0 {
		// Notes of two commits that git joined by "notes merge -s union", say.
		d.problemAt("metadata", s.Offset(), "%d bytes after the end are not read", s.Left())
	}
	return nil
}

// records reads the members of prompts or sessions.
func (d *decoder) records(s *notes.Scanner, section string) error {
	first, at := s.Peek(), s.Offset()
	isObject, err := s.Object(func(member []byte) error {
		key, start := string(member), s.Offset()
		if len(d.byKey) == maxSessions {
			d.problemAt(section+"."+key, start, "more than %d sessions", maxSessions)
		}
		if len(d.byKey) >= maxSessions || len(key) > maxID {
			return s.Skip()
		}
		a, isObject, err := readRecord(s)
		if !isObject && err == nil {
			d.problemAt(section+"."+key, start, "no object")
		}
		if a.found {
			d.add(key, d.described(section, key, start, a))
		}
		return err
	})
	if err == nil && !isObject && first != 'n' { // null is as good as absent
		d.problemAt(section, at, "no object")
	}
	return err
}

// agentID is the agent_id of a record.
type agentID struct {
	found           bool
	tool, id, model string
}

// readRecord reads one member of prompts or sessions. Everything but its
// agent_id is passed over.
func readRecord(s *notes.Scanner) (a agentID, isObject bool, err error) {
	isObject, err = s.Object(func(key []byte) error {
		if string(key) != "agent_id" {
			return s.Skip()
		}
		return a.read(s)
	})
	return a, isObject, err
}

func (a *agentID) read(s *notes.Scanner) error {
	_, err := s.Object(func(key []byte) (err error) {
		switch string(key) {
		case "tool":
			a.tool, err = s.Text()
		case "id":
			a.id, err = s.Text()
		case "model":
			a.model, err = s.Text()
		default:
			err = s.Skip()
		}
		return err
	})
	a.found = a.tool != "" || a.id != ""
	return err
}

// described makes the session that a record describes.
func (d *decoder) described(section, key string, offset int, a agentID) notes.Session {
	session := notes.Session{ID: a.id, Model: stemma.ParseModel(a.model), Strength: declared(methodNote)}
	session.Agent, _ = stemma.ParseAgent(a.tool)
	if a.tool != "" && session.Agent == "" {
		d.problemAt(section+"."+key+".agent_id.tool", offset, "%q is no name of an agent", notes.Clip(a.tool))
	}
	if a.id == "" || len(a.id) > maxID {
		if a.id != "" {
			d.problemAt(section+"."+key+".agent_id.id", offset, "longer than %d bytes", maxID)
		}
		session.ID = key
	}
	return session
}
