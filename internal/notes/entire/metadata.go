package entire

import (
	"strconv"
	"strings"

	"github.com/stemma-dev/stemma/internal/notes"
)

// The files of a session's folder.
const (
	metadataFile   = "metadata.json"
	transcriptFile = "full.jsonl"
)

// metadata is what is read of a metadata.json, of a checkpoint or of one of its
// sessions (CheckpointSummary and CommittedMetadata of
// cmd/entire/cli/checkpoint/checkpoint.go).
type metadata struct {
	id       string // the agent's own id of the session
	agent    string // as it stands
	model    string // of newer versions, as it stands
	start    int    // the line of the transcript at which the checkpoint begins, from 0
	counts   *notes.Figure
	sessions []int // of a checkpoint: the numbers of the folders it names
}

// readMetadata reads a metadata.json. What was read before an error stands.
func readMetadata(b []byte) (metadata, error) {
	var m metadata
	oldStart := 0
	s := notes.NewScanner(Name, b, 0)
	isObject, err := s.Object(func(key []byte) (err error) {
		switch string(key) {
		case "session_id":
			var id string
			id, err = s.Text()
			m.id = sessionID(id)
		case "agent":
			m.agent, err = s.Text()
		case "model":
			m.model, err = s.Text()
		case "checkpoint_transcript_start":
			m.start, err = number(s)
		case "transcript_lines_at_start":
			oldStart, err = number(s)
		case "initial_attribution", "combined_attribution": // the latter of a checkpoint
			m.counts, err = readCounts(s)
		case "sessions":
			_, err = s.Array(func() error { return m.readFolder(s) })
		default:
			err = s.Skip()
		}
		return err
	})
	if m.start <= 0 {
		m.start = oldStart
	}
	if err == nil && !isObject {
		err = s.Bad("no JSON object")
	}
	return m, err
}

// readFolder reads one item of a checkpoint's sessions: {"metadata":
// "/00/c9e2351016/2/metadata.json", ...}.
func (m *metadata) readFolder(s *notes.Scanner) error {
	_, err := s.Object(func(key []byte) error {
		if string(key) != "metadata" {
			return s.Skip()
		}
		path, err := s.Text()
		parts := strings.Split(path, "/")
		if err == nil && len(parts) >= 2 && len(m.sessions) < maxSessions {
			if n, bad := strconv.Atoi(parts[len(parts)-2]); bad == nil {
				m.sessions = append(m.sessions, n)
			}
		}
		return err
	})
	return err
}

// readCounts reads an initial_attribution, nil where it is none.
func readCounts(s *notes.Scanner) (*notes.Figure, error) {
	f := notes.Figure{AI: -1, Total: -1, Added: -1, Modified: -1, Removed: -1}
	_, err := s.Object(func(key []byte) (err error) {
		switch string(key) {
		case "agent_lines":
			f.AI, err = number(s)
		case "human_added":
			f.Added, err = number(s)
		case "human_modified":
			f.Modified, err = number(s)
		case "human_removed":
			f.Removed, err = number(s)
		case "total_committed":
			f.Total, err = number(s)
		default:
			err = s.Skip()
		}
		return err
	})
	if err != nil || f.AI < 0 || f.Total < 0 {
		return nil, err
	}
	return &f, nil
}

// number reads a whole number from 0; -1 for anything else.
func number(s *notes.Scanner) (int, error) {
	raw, err := s.Literal()
	if err != nil {
		return -1, err
	}
	n, bad := strconv.ParseInt(string(raw), 10, 32)
	if bad != nil || n < 0 {
		return -1, nil
	}
	return int(n), nil
}
