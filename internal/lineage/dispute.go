package lineage

import (
	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attribution"
	"github.com/stemma-dev/stemma/internal/notes"
)

// Told is what is known of a commit, beside the graph, to show it.
type Told struct {
	Row      stemma.Attribution
	Prompts  []Prompt              // that its sources carry; none where nobody asked for them
	Disputes []attribution.Dispute // where its sources differ
	Figures  []Figure
}

// Dispute is a run of lines of which sources say different things.
type Dispute struct {
	Path  string       `json:"path"` // see Path
	Start int          `json:"start"`
	End   int          `json:"end"`
	Class stemma.Class `json:"class"` // what became of the lines
	Says  []Saying     `json:"says"`
}

// Saying is what one source says of the lines of a Dispute.
type Saying struct {
	Source  string        `json:"source"`
	Class   stemma.Class  `json:"class"`
	Session string        `json:"session,omitempty"`
	Person  string        `json:"person,omitempty"`
	Agent   string        `json:"agent,omitempty"`
	Model   *stemma.Model `json:"model"`
	Whole   bool          `json:"whole_commit"` // said of the commit, not of these lines
}

// Figure is a count of lines that a source states without telling lines. What
// it does not state is null.
type Figure struct {
	Source   string `json:"source"`
	What     string `json:"what"` // what states it
	Session  string `json:"session,omitempty"`
	AI       int    `json:"ai"`
	Total    int    `json:"total"`
	Added    *int   `json:"human_added"`
	Modified *int   `json:"human_modified"`
	Removed  *int   `json:"human_removed"`
}

// FigureOf gives what a source states as it is shown.
func FigureOf(source string, f notes.Figure) Figure {
	stated := func(n int) *int {
		if n < 0 {
			return nil
		}
		return &n
	}
	return Figure{
		Source: source, What: f.What, Session: f.Session, AI: f.AI, Total: f.Total,
		Added: stated(f.Added), Modified: stated(f.Modified), Removed: stated(f.Removed),
	}
}

func disputes(all []attribution.Dispute) []Dispute {
	out := make([]Dispute, 0, len(all))
	for _, d := range all {
		shown := Dispute{Path: Path(d.Path), Start: d.Start, End: d.End, Class: d.Class}
		for _, s := range d.Says {
			say := Saying{Source: s.Source, Class: s.Class, Session: s.Session, Person: s.Person, Agent: s.Agent, Whole: s.Whole}
			if s.Model.Known() {
				say.Model = &s.Model
			}
			shown.Says = append(shown.Says, say)
		}
		out = append(out, shown)
	}
	return out
}
