package gitai

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/notes"
)

// Ref is where git-ai keeps its notes.
const Ref = "refs/notes/ai"

// tools are git-ai's names of agents, where they differ from stemma's keys.
var tools = map[string]string{"claude-code": "claude", "gemini-cli": "gemini", "copilot-cli": "github-copilot", "copilot-vscode": "github-copilot", "copilot": "github-copilot"}

// Encode gives a note on refs/notes/ai that says what the attribution says
// (git-ai, "authorship log v3"): the same bytes for the same attribution. Lines of
// class unknown are in no range, which the format calls untracked; of ai-edited
// lines it knows only the session. nil says that the attribution tells no line.
func Encode(a notes.Attributed) ([]byte, error) {
	type agent struct {
		Tool  string `json:"tool"`
		ID    string `json:"id"`
		Model string `json:"model"`
	}
	type session struct {
		Agent  agent  `json:"agent_id"`
		Author string `json:"human_author,omitempty"`
	}
	type human struct {
		Author string `json:"author"`
	}
	meta := struct {
		Schema   string             `json:"schema_version"`
		Version  string             `json:"git_ai_version"`
		Base     string             `json:"base_commit_sha"`
		Prompts  struct{}           `json:"prompts"`
		Sessions map[string]session `json:"sessions,omitempty"`
		Humans   map[string]human   `json:"humans,omitempty"`
	}{
		Schema: "authorship/3.0.0", Version: "stemma", Base: a.Commit,
		Sessions: make(map[string]session), Humans: make(map[string]human),
	}
	var b bytes.Buffer
	for _, f := range a.Files {
		lines := make(map[string][]string) // by key
		var order []string
		for _, r := range a.Ranges(f) {
			if r.Owner < 0 || r.Class == stemma.ClassUnknown {
				continue
			}
			o := a.Owners[r.Owner]
			key := humanKey(a.Author)
			if o.Session != "" {
				tool := o.Agent
				if t, ok := tools[tool]; ok {
					tool = t
				}
				id := strings.TrimPrefix(o.Session, o.Agent+"/")
				s := "s_" + hash(tool+":"+id)
				key = s + "::t_" + hash(a.Commit+o.Session)
				model := o.Model.Raw
				if model == "" {
					model = "unknown"
				}
				meta.Sessions[s] = session{Agent: agent{tool, id, model}, Author: a.Author}
			} else {
				meta.Humans[key] = human{a.Author}
			}
			if _, ok := lines[key]; !ok {
				order = append(order, key)
			}
			text := strconv.Itoa(r.Start)
			if r.End > r.Start {
				text += "-" + strconv.Itoa(r.End)
			}
			lines[key] = append(lines[key], text)
		}
		if len(order) == 0 {
			continue
		}
		b.WriteString(quotePath(f.Path) + "\n")
		for _, key := range order {
			b.WriteString("  " + key + " " + strings.Join(lines[key], ",") + "\n")
		}
	}
	if b.Len() == 0 {
		return nil, nil
	}
	b.WriteString("---\n")
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(meta); err != nil {
		return nil, fmt.Errorf("git-ai note on %s: %v: %w", a.Commit, err, stemma.ErrInvalid)
	}
	return b.Bytes(), nil
}

// hash is how git-ai makes ids: the first 14 hex digits of a SHA-256.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:14]
}

func humanKey(author string) string { return "h_" + hash(author) }

// quotePath quotes a path with white space in it; the format knows no escapes.
func quotePath(path string) string {
	if strings.ContainsAny(path, " \t\n") {
		return `"` + path + `"`
	}
	return path
}
