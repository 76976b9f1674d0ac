package lineage

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attribution"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
	"github.com/stemma-dev/stemma/internal/store"
)

// Commit is everything known of one commit. It is what `stemma show --json`
// gives (schema stemma.show/v1).
type Commit struct {
	Commit    string       `json:"commit"`
	Change    string       `json:"change,omitempty"` // key of the change that brought it
	Brought   *Brought     `json:"brought"`          // where it is the commit by which a change entered
	Time      string       `json:"time"`             // of the committer, RFC 3339, UTC
	Author    string       `json:"author"`
	Title     string       `json:"title"`
	Merge     bool         `json:"merge"` // added then means: differs from every parent
	Indexed   bool         `json:"indexed"`
	Lines     Lines        `json:"lines"`
	AI        *Share       `json:"ai_share"`
	Models    []ModelLines `json:"models"`
	Parts     []Part       `json:"parts"`
	Files     []File       `json:"files"`
	Sources   []Source     `json:"sources"`
	Conflicts int          `json:"conflicts"`
	// Rewrites are the commits that lines came by, where this one is a rewrite of
	// them or brings their lines back. Ambiguous counts the lines that two of them
	// give to two owners: they are unknown.
	Rewrites  []Rewrite `json:"rewrites"`
	Ambiguous int       `json:"ambiguous"`
	Disputes  []Dispute `json:"disputes"` // lines of which sources say different things
	Figures   []Figure  `json:"figures"`  // what sources count without telling lines
	Prompts   []Prompt  `json:"prompts"`
	// Work is what sessions did for the commit, turn by turn, as far as their
	// transcripts were read; or for the change that entered by it, where no session
	// is joined with the commit itself. Iterations is what the commit took, or the
	// change that entered by it.
	Work       []*SessionWork `json:"work"`
	Iterations Iterations     `json:"iterations"`
	// Algorithm and Input say by which rules and from what this was computed.
	Algorithm  int    `json:"algorithm"`
	Input      string `json:"input"`
	Unreadable string `json:"unreadable,omitempty"`
}

// Brought is the change that entered the default branch with a commit.
type Brought struct {
	Commits []string `json:"commits"` // the commit itself included
	Lines   Lines    `json:"lines"`
	AI      *Share   `json:"ai_share"`
}

// brought describes the change, or gives nil where another commit brought it in.
func (g Graph) brought(ctx context.Context, change, commit string) (*Brought, error) {
	if change == "" || change != stemma.ChangeID(g.Repository, commit).Key {
		return nil, nil
	}
	id := []stemma.NodeID{{Kind: stemma.KindChange, Key: change}}
	b := &Brought{Commits: []string{}}
	for t, err := range g.Store.Tallies(ctx, store.TallyQuery{Kind: stemma.KindChange, Nodes: id}) {
		if err != nil {
			return nil, err
		}
		b.Lines, b.AI = lines(t.Lines), share(t.Lines)
	}
	for e, err := range g.Store.Edges(ctx, store.EdgeQuery{To: id, Kinds: []stemma.EdgeKind{stemma.EdgePartOf}}) {
		if err != nil {
			return nil, err
		}
		b.Commits = append(b.Commits, e.From.Key)
	}
	return b, nil
}

// Rewrite is a commit that lines of another came by.
type Rewrite struct {
	Commit string `json:"commit"`
	// Rule is the method of the parts that came so; see doc/design.md, section 4.
	Rule       string  `json:"rule"`
	Confidence float64 `json:"confidence"` // of the rule
	Lines      int     `json:"lines"`
	// Gone says that the objects of Commit are in the repository no more: the
	// lines were found while they were, and can not be found again.
	Gone bool `json:"inputs_gone"`
}

// rewritesOf sums what came by other commits, most lines first.
func rewritesOf(owners []stemma.Owner) []Rewrite {
	all := []Rewrite{}
	for _, o := range owners {
		if o.Via == "" {
			continue
		}
		i := slices.IndexFunc(all, func(r Rewrite) bool { return r.Commit == o.Via && r.Rule == o.Strength.Method })
		if i < 0 {
			i = len(all)
			all = append(all, Rewrite{Commit: o.Via, Rule: o.Strength.Method, Confidence: attribution.RuleConfidence(o.Strength.Method), Gone: o.Gone})
		}
		all[i].Lines += o.Lines
	}
	slices.SortStableFunc(all, func(a, b Rewrite) int {
		return cmp.Or(cmp.Compare(b.Lines, a.Lines), cmp.Compare(a.Commit, b.Commit), cmp.Compare(a.Rule, b.Rule))
	})
	return all
}

// File is what a commit added to one file.
type File struct {
	Path      string  `json:"path"` // see Path
	Lines     Lines   `json:"lines"`
	Generated bool    `json:"generated"`
	Ranges    []Range `json:"ranges"` // the attributed lines
	All       bool    `json:"all"`    // one part has every added line: Ranges is empty
	Part      int     `json:"part"`   // of all lines: index into Parts, or -1
}

// Range is a run of lines, 1-based, inclusive, of a file after the commit.
type Range struct {
	Start int          `json:"start"`
	End   int          `json:"end"`
	Class stemma.Class `json:"class"`
	Part  int          `json:"part"` // index into Parts, or -1
}

// Source is what one source says of a commit; see stemma.SourceClaim.
type Source struct {
	Source  string       `json:"source"`
	Lines   stemma.Lines `json:"lines"`
	Outside int          `json:"outside"`
	Alone   int          `json:"alone"`
	Agree   int          `json:"agree"`
	Differ  int          `json:"differ"`
	Took    int          `json:"took_part"`
	Problem string       `json:"problem,omitempty"`
}

// Prompt is a prompt or an answer, read from its source for this call.
type Prompt struct {
	Source  string `json:"source"`
	Session string `json:"session,omitempty"`
	Agent   string `json:"agent,omitempty"`
	Role    string `json:"role"`
	Text    string `json:"text"`
	Time    string `json:"time,omitempty"`
	Turn    int    `json:"turn,omitempty"` // of the session, from 1; 0 where it is not told
}

// Show describes a commit from its row.
func Show(ctx context.Context, g Graph, told Told) (Commit, error) {
	row := told.Row
	c, err := g.Repo.Commit(ctx, row.Commit)
	if err != nil {
		return Commit{}, fmt.Errorf("show %s: %w", row.Commit, err)
	}
	out := Commit{
		Commit: row.Commit, Time: Time(row.Time), Merge: row.Merge, Title: Title(c.Message),
		Author: strings.ToValidUTF8(cmp.Or(c.Author.Name, c.Author.Mail), "\uFFFD"),
		Lines:  lines(row.Lines), AI: share(row.Lines), Models: byModel(row.Owners),
		Parts: []Part{}, Files: []File{}, Sources: []Source{}, Prompts: append([]Prompt{}, told.Prompts...),
		Disputes: disputes(told.Disputes), Figures: append([]Figure{}, told.Figures...),
		Conflicts: row.Conflicts, Rewrites: rewritesOf(row.Owners), Ambiguous: row.Ambiguous, Algorithm: row.Algorithm, Input: row.Input, Unreadable: row.Unreadable,
	}
	for _, o := range row.Owners {
		out.Parts = append(out.Parts, part(o))
	}
	for _, f := range row.Files {
		out.Files = append(out.Files, file(row, f))
	}
	for _, s := range row.Sources {
		out.Sources = append(out.Sources, Source(s))
	}
	for e, err := range g.Store.Edges(ctx, store.EdgeQuery{From: []stemma.NodeID{stemma.CommitID(row.Commit)}, Kinds: []stemma.EdgeKind{stemma.EdgePartOf}}) {
		if err != nil {
			return Commit{}, fmt.Errorf("show %s: %w", row.Commit, err)
		}
		out.Change = e.To.Key
	}
	if out.Brought, err = g.brought(ctx, out.Change, row.Commit); err != nil {
		return Commit{}, fmt.Errorf("show %s: %w", row.Commit, err)
	}
	if out.Indexed, err = g.indexed(ctx, row.Commit); err != nil {
		return Commit{}, fmt.Errorf("show %s: %w", row.Commit, err)
	}
	if err = g.workOf(ctx, &out, row); err == nil {
		err = g.drift(ctx, out.Work)
	}
	if err != nil {
		return Commit{}, fmt.Errorf("show %s: %w", row.Commit, err)
	}
	return out, nil
}

// workOf tells what sessions did for the commit, and what it took.
func (g Graph) workOf(ctx context.Context, out *Commit, row stemma.Attribution) (err error) {
	if out.Work, err = SessionsOf(ctx, g, out.Change, []stemma.Attribution{row}); err != nil {
		return err
	}
	if out.Work == nil {
		out.Work = []*SessionWork{}
	}
	if out.Brought == nil || len(out.Brought.Commits) < 2 {
		of := row.Commit
		if out.Brought != nil {
			of = out.Change
		}
		out.Iterations = IterationsOf(of, out.Work)
		return nil
	}
	rows, err := g.rows(ctx, out.Brought.Commits)
	if err != nil {
		return err
	}
	var work []*SessionWork
	if out.Iterations, work, err = g.iterationsOf(ctx, out.Change, slices.Collect(maps.Values(rows))); err == nil && len(out.Work) == 0 {
		out.Work = append(out.Work, work...) // of the change, as of a merge that adds no lines
	}
	return err
}

// indexed reports whether an indexed ref reaches the commit. The rows of some
// others are kept too, for the lines that commits have from them.
func (g Graph) indexed(ctx context.Context, commit string) (bool, error) {
	for _, err := range g.Store.Tallies(ctx, store.TallyQuery{Kind: stemma.KindCommit, Nodes: []stemma.NodeID{stemma.CommitID(commit)}}) {
		return err == nil, err
	}
	return false, nil
}

func file(row stemma.Attribution, f stemma.FileLines) File {
	out := File{Path: Path(f.Path), Generated: f.Generated, Ranges: []Range{}, Part: -1}
	var count stemma.Lines
	switch {
	case f.Generated:
		count.Count(stemma.ClassGenerated, f.Added)
	case f.Whole:
		r := f.Ranges[0]
		count.Count(r.Class, f.Added)
		out.All, out.Part = true, r.Owner
	default:
		rest := f.Added
		for _, r := range f.Ranges {
			n := r.End - r.Start + 1
			count.Count(r.Class, n)
			rest -= n
			out.Ranges = append(out.Ranges, Range{Start: r.Start, End: r.End, Class: r.Class, Part: r.Owner})
		}
		count.Count(row.Rest, rest)
	}
	out.Lines = lines(count)
	return out
}

// ownerAt gives the class and the owner of a line that the commit added to a
// file; owner is -1 for nobody.
func ownerAt(row *stemma.Attribution, path string, line int) (class stemma.Class, owner int) {
	i, ok := slices.BinarySearchFunc(row.Files, path, func(f stemma.FileLines, p string) int { return cmp.Compare(f.Path, p) })
	if !ok {
		return stemma.ClassUnknown, -1
	}
	f := row.Files[i]
	switch {
	case f.Generated:
		return stemma.ClassGenerated, -1
	case f.Whole:
		return f.Ranges[0].Class, f.Ranges[0].Owner
	}
	j, ok := slices.BinarySearchFunc(f.Ranges, line, func(r stemma.OwnedRange, n int) int {
		switch {
		case r.End < n:
			return -1
		case r.Start > n:
			return 1
		default:
			return 0
		}
	})
	if ok {
		return f.Ranges[j].Class, f.Ranges[j].Owner
	}
	return row.Rest, row.RestOwner
}

// Prompts turns what a source carries into what is shown.
func Prompts(source string, prompts []notes.Prompt) []Prompt {
	out := make([]Prompt, len(prompts))
	for i, p := range prompts {
		out[i] = Prompt{Source: source, Session: p.Session, Agent: p.Agent, Role: p.Role, Text: p.Text, Time: p.Time}
	}
	return out
}

// BlamedLine is a line of a file with who wrote it. It is one record of
// `stemma blame --json` (schema stemma.blame/v1).
type BlamedLine struct {
	Line     int          `json:"line"`
	Commit   string       `json:"commit"` // "" for a line that is not committed
	OrigPath string       `json:"orig_path"`
	OrigLine int          `json:"orig_line"`
	Class    stemma.Class `json:"class"`
	Part     *Part        `json:"part"`   // null where nobody is known
	Reason   string       `json:"reason"` // why the class is unknown; "" where it is not
	// Candidates are the sessions that took part in the commit, where nothing
	// says whether the line is theirs.
	Candidates []Part `json:"candidates,omitempty"`
	Author     string `json:"author"`
	Mail       string `json:"author_mail"`
	Time       int64  `json:"author_time"` // UTC seconds
	Text       string `json:"text"`
}

// Blame tells for each line of a file who wrote it: git says in which commit,
// the row of that commit says who. Lines come in order.
func Blame(ctx context.Context, g Graph, q git.BlameQuery) ([]BlamedLine, error) {
	var blamed []git.BlameLine
	commits := make(map[string]bool)
	for l, err := range g.Repo.Blame(ctx, q) {
		if err != nil {
			return nil, fmt.Errorf("blame %s: %w", Path(q.Path), err)
		}
		l.Text = slices.Clone(l.Text)
		blamed = append(blamed, l)
		if l.Commit != "" {
			commits[l.Commit] = true
		}
	}
	ids := make([]string, 0, len(commits))
	for id := range commits {
		ids = append(ids, id)
	}
	rows, err := g.rows(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := make([]BlamedLine, len(blamed))
	for i, l := range blamed {
		out[i] = blamedLine(l, rows)
	}
	return out, nil
}

// The reasons for which a line is unknown.
const (
	ReasonUncommitted = "not committed"
	ReasonNotIndexed  = "its commit is not indexed"
	ReasonCandidate   = "a session took part, but nothing says which lines are its"
	ReasonConflict    = "sources contradict each other"
	ReasonAmbiguous   = "two commits that it may be a rewrite of name two owners"
	ReasonUnreadable  = "the commit could not be read"
	ReasonNoEvidence  = "no evidence"
)

func blamedLine(l git.BlameLine, rows map[string]stemma.Attribution) BlamedLine {
	out := BlamedLine{
		Line: l.Line, Commit: l.Commit, OrigPath: Path(l.OrigPath), OrigLine: l.OrigLine, Class: stemma.ClassUnknown,
		Author: strings.ToValidUTF8(l.AuthorName, "\uFFFD"), Mail: strings.ToValidUTF8(l.AuthorMail, "\uFFFD"),
		Time: l.AuthorTime, Text: strings.ToValidUTF8(string(l.Text), "\uFFFD"),
	}
	row, ok := rows[l.Commit]
	switch {
	case l.Commit == "":
		out.Reason = ReasonUncommitted
		return out
	case !ok:
		out.Reason = ReasonNotIndexed
		return out
	}
	class, owner := ownerAt(&row, l.OrigPath, l.OrigLine)
	out.Class = class
	if owner >= 0 {
		p := part(row.Owners[owner])
		out.Part = &p
	}
	if class == stemma.ClassUnknown {
		out.Reason = unknownReason(&row, l.OrigPath, l.OrigLine)
		for _, o := range row.Owners {
			if o.Candidate > 0 && o.Session != "" {
				out.Candidates = append(out.Candidates, part(o))
			}
		}
	}
	return out
}

func unknownReason(row *stemma.Attribution, path string, line int) string {
	if row.Unreadable != "" {
		return ReasonUnreadable
	}
	for _, f := range row.Files {
		if f.Path != path {
			continue
		}
		for _, r := range f.Ranges {
			if r.Start <= line && line <= r.End && r.Class == stemma.ClassUnknown {
				if row.Conflicts == 0 {
					return ReasonAmbiguous
				}
				return ReasonConflict
			}
		}
	}
	for _, o := range row.Owners {
		if o.Candidate > 0 {
			return ReasonCandidate
		}
	}
	return ReasonNoEvidence
}
