package agenttrace

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/notes"
)

// Encode gives one record of Agent Trace 0.1.0 (agent-trace.dev, schemas.ts) that
// says what the attribution says, on one line: the same bytes for the same
// attribution. Paths that are not UTF-8 can not be said in it and are left out. nil
// says that the attribution tells no line.
func Encode(a notes.Attributed, version string) ([]byte, error) {
	type contributor struct {
		Type  string `json:"type"`
		Model string `json:"model_id,omitempty"`
	}
	type lineRange struct {
		Start int `json:"start_line"`
		End   int `json:"end_line"`
	}
	type related struct {
		Type string `json:"type"`
		URL  string `json:"url"`
	}
	type conversation struct {
		Contributor contributor `json:"contributor"`
		Ranges      []lineRange `json:"ranges"`
		Related     []related   `json:"related,omitempty"`
	}
	type file struct {
		Path          string         `json:"path"`
		Conversations []conversation `json:"conversations"`
	}
	record := struct {
		Version   string            `json:"version"`
		ID        string            `json:"id"`
		Timestamp string            `json:"timestamp"`
		VCS       map[string]string `json:"vcs"`
		Tool      map[string]string `json:"tool"`
		Files     []file            `json:"files"`
	}{
		Version: "0.1.0", ID: recordID(a), Timestamp: time.Unix(a.Time, 0).UTC().Format(time.RFC3339),
		VCS:  map[string]string{"type": "git", "revision": a.Commit},
		Tool: map[string]string{"name": "stemma", "version": version},
	}
	for _, f := range a.Files {
		if !utf8.ValidString(f.Path) {
			continue
		}
		at := make(map[int]int) // owner -> conversation
		out := file{Path: f.Path}
		for _, r := range a.Ranges(f) {
			if r.Owner < 0 || r.Class == stemma.ClassUnknown {
				continue
			}
			i, ok := at[r.Owner]
			if !ok {
				o := a.Owners[r.Owner]
				i = len(out.Conversations)
				at[r.Owner] = i
				c := conversation{Contributor: contributor{Type: contributorType(o.Class), Model: modelID(o)}}
				if o.Session != "" {
					c.Related = []related{{Type: "session", URL: "urn:stemma:session:" + hex.EncodeToString([]byte(o.Session))}}
				}
				out.Conversations = append(out.Conversations, c)
			}
			out.Conversations[i].Ranges = append(out.Conversations[i].Ranges, lineRange{r.Start, r.End})
		}
		if len(out.Conversations) > 0 {
			record.Files = append(record.Files, out)
		}
	}
	if len(record.Files) == 0 {
		return nil, nil
	}
	text, err := json.Marshal(record)
	if err != nil {
		return nil, fmt.Errorf("agent trace of %s: %v: %w", a.Commit, err, stemma.ErrInvalid)
	}
	return append(text, '\n'), nil
}

func contributorType(c stemma.Class) string {
	switch c {
	case stemma.ClassAI:
		return "ai"
	case stemma.ClassAIEdited:
		return "mixed"
	case stemma.ClassHuman:
		return "human"
	default:
		return "unknown"
	}
}

func modelID(o stemma.Owner) string {
	if key := o.Model.Key(); o.Session != "" && len(key) <= maxModel {
		return key
	}
	return ""
}

// recordID is a UUID (RFC 9562, version 8) made of what the record says.
func recordID(a notes.Attributed) string {
	sum := sha256.Sum256([]byte("agent-trace\x00" + a.Commit + "\x00" + a.Input))
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
