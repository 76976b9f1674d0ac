package lineage

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/store"
)

// Graph is what questions are asked of. Repo, Store and Repository must be set.
type Graph struct {
	Repo       *git.Repo
	Store      store.Store
	Repository string // key of the repository node
	// Sessions tells what was recorded of sessions; nil is nothing.
	Sessions Sessions
}

// Part is what one owner has in a commit or a change.
type Part struct {
	Session   string          `json:"session,omitempty"` // key: agent/id
	Person    string          `json:"person,omitempty"`  // pseudonym
	Agent     string          `json:"agent,omitempty"`
	Version   string          `json:"agent_version,omitempty"`
	Model     *stemma.Model   `json:"model"`
	Class     stemma.Class    `json:"class"`
	Lines     int             `json:"lines"`
	Candidate int             `json:"candidate_lines"` // unknown lines it may have written
	Source    string          `json:"source"`
	Strength  stemma.Strength `json:"strength"`
	// ModelStrength is that of the model, where it is another than Strength.
	ModelStrength *stemma.Strength `json:"model_strength,omitempty"`
	// Via is the commit whose evidence names the owner, where this one is a
	// rewrite of it; the rule is Strength.Method. Gone says that its objects are
	// in the repository no more.
	Via  string `json:"via,omitempty"`
	Gone bool   `json:"inputs_gone,omitempty"`
}

// ModelLines is what one model has in a commit or a change.
type ModelLines struct {
	ID        string `json:"id"` // provider/id; "unknown" where no source names a model
	Lines     int    `json:"lines"`
	Candidate int    `json:"candidate_lines"`
}

// Lines are the added lines by class, with their sum.
type Lines struct {
	Added int `json:"added"`
	stemma.Lines
}

// Share bounds the share of AI in the written lines: Low counts every unknown
// line as a person's, High as AI's.
type Share struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// UnknownModel stands for the model of a session whose source names none.
const UnknownModel = "unknown"

func lines(l stemma.Lines) Lines { return Lines{Added: l.Added(), Lines: l} }

// share is nil where nothing was written.
func share(l stemma.Lines) *Share {
	low, high, ok := l.AIShare()
	if !ok {
		return nil
	}
	return &Share{Low: low, High: high}
}

func part(o stemma.Owner) Part {
	p := Part{
		Session: o.Session, Person: o.Person, Agent: o.Agent, Version: o.AgentVersion, Class: o.Class,
		Lines: o.Lines, Candidate: o.Candidate, Source: o.Source, Strength: o.Strength, Via: o.Via, Gone: o.Gone,
	}
	if o.Model.Known() {
		p.Model = &o.Model
		if strength := o.StrengthOfModel(); strength != o.Strength {
			p.ModelStrength = &strength
		}
	}
	return p
}

func modelKey(o stemma.Owner) string { return cmp.Or(o.Model.Key(), UnknownModel) }

// byModel sums what sessions have, most lines first.
func byModel(owners []stemma.Owner) []ModelLines {
	at := make(map[string]int)
	sum := make([]ModelLines, 0, 1)
	for _, o := range owners {
		if o.Session == "" {
			continue
		}
		key := modelKey(o)
		i, ok := at[key]
		if !ok {
			i = len(sum)
			at[key] = i
			sum = append(sum, ModelLines{ID: key})
		}
		if o.Class == stemma.ClassAI || o.Class == stemma.ClassAIEdited {
			sum[i].Lines += o.Lines
		}
		sum[i].Candidate += o.Candidate
	}
	slices.SortFunc(sum, func(a, b ModelLines) int {
		return cmp.Or(cmp.Compare(b.Lines, a.Lines), cmp.Compare(b.Candidate, a.Candidate), cmp.Compare(a.ID, b.ID))
	})
	return sum
}

// Title is the first line of a commit's message.
func Title(message []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimLeft(message, "\n"), []byte("\n"))
	return strings.ToValidUTF8(strings.TrimSpace(string(line)), "\uFFFD")
}

// Path gives a path as text: as it is where it is UTF-8 and plain, else quoted
// as git quotes it, between double quotes.
func Path(p string) string {
	plain := !strings.HasPrefix(p, `"`)
	for _, c := range p {
		if c < ' ' || c == 0x7f || c == '\uFFFD' {
			plain = false
		}
	}
	if plain {
		return p
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(p) {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, `\%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Time gives a time of the store as RFC 3339, UTC.
func Time(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.RFC3339) }

// rows reads the rows of these commits.
func (g Graph) rows(ctx context.Context, commits []string) (map[string]stemma.Attribution, error) {
	rows := make(map[string]stemma.Attribution, len(commits))
	if len(commits) == 0 {
		return rows, nil
	}
	for row, err := range g.Store.Attributions(ctx, commits) {
		if err != nil {
			return nil, fmt.Errorf("read attributions: %w", err)
		}
		rows[row.Commit] = row
	}
	return rows, nil
}
