package spool

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Transcript is how far an agent's own account of sessions was compared with
// what the hooks reported.
type Transcript struct {
	Size  int64 `json:"size"`
	Mtime int64 `json:"mtime"` // ns since 1970
	// Sessions are those that it tells of, Agent whose they are.
	Agent    string   `json:"agent,omitempty"`
	Version  string   `json:"version,omitempty"` // of the agent, the last that it names
	Sessions []string `json:"sessions,omitempty"`
	// Own are the sessions that worked in the repository.
	Own []string `json:"own,omitempty"`
	// Models are the models that worked in each session, as the transcript names
	// them, each once.
	Models map[string][]string `json:"models,omitempty"`
	// Reason says why it could not be compared.
	Reason string `json:"reason,omitempty"`
	// State is what the reader needs to go on where it ended.
	State json.RawMessage `json:"state,omitempty"`
	// Erased says that a session of it was erased: it is not read again.
	Erased bool `json:"erased,omitempty"`
}

// transcripts is the file, in the folder of a spool, that remembers them by path.
const transcripts = "transcripts"

// Transcripts gives how far transcripts were compared, by path. What can not be
// read is nothing: they are compared again.
func (s *Spool) Transcripts() map[string]Transcript {
	known := make(map[string]Transcript)
	text, err := readAtMost(filepath.Join(s.dir, transcripts), maxState)
	if err != nil || json.Unmarshal(text, &known) != nil {
		return make(map[string]Transcript)
	}
	return known
}

// KeepTranscripts remembers how far transcripts were compared.
func (s *Spool) KeepTranscripts(known map[string]Transcript) error {
	text, err := json.Marshal(known)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	f, err := os.CreateTemp(s.dir, ".new-*")
	if err != nil {
		return fmt.Errorf("spool: %v: %w", err, kindOf(err))
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(s.dir, transcripts))
	}
	if err != nil {
		return fmt.Errorf("spool: %v: %w", err, kindOf(err))
	}
	return nil
}

// eraseTranscripts forgets what is remembered of transcripts with a session that
// matches, and remembers not to read them again.
func (s *Spool) eraseTranscripts(match func(Record) bool) error {
	known, changed := s.Transcripts(), false
	for path, t := range known {
		if slices.ContainsFunc(t.Sessions, func(id string) bool { return match(Record{Agent: t.Agent, Session: id}) }) {
			known[path], changed = Transcript{Erased: true}, true
		}
	}
	if !changed {
		return nil
	}
	text, err := json.Marshal(known)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	return s.rewrite(filepath.Join(s.dir, transcripts), text)
}
