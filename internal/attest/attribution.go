package attest

import (
	"encoding/base64"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/stemma-dev/stemma"
)

// Attribution is the predicate that says who wrote the lines that a commit
// added: a [stemma.Attribution] with the digests of what it was computed from,
// so that anybody with the repository can compute it again. Its subject is the
// commit.
type Attribution struct {
	Metadata
	Repository string `json:"repository"` // key of the repository node
	Commit     string `json:"commit"`
	CommitTime string `json:"commitTime"` // committer time
	Merge      bool   `json:"merge"`

	Algorithm Algorithm `json:"algorithm"`
	// Input is the hex SHA-256 over what the rules were given: the added lines
	// and the ids of the evidence.
	Input string `json:"input"`
	Rules Rules  `json:"rules"`
	// Part says which files this statement holds, where a commit is too large
	// for one; null where it is whole.
	Part *Part `json:"part"`

	Lines     stemma.Lines     `json:"lines"` // of all parts
	Rest      Rest             `json:"rest"`
	Owners    []Owner          `json:"owners"`
	Files     []AttributedFile `json:"files"`
	Sources   []SourceClaim    `json:"sources"`
	Conflicts int              `json:"conflicts"`
	// Ambiguous counts lines that rewrites of two commits give to two owners.
	Ambiguous  int    `json:"ambiguous,omitempty"`
	Unreadable string `json:"unreadable,omitempty"`
}

// Algorithm names the rules and their version.
type Algorithm struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
}

// AlgorithmName is the name of stemma's own rules of attribution.
const AlgorithmName = "stemma"

// Rules are the settings that an attribution depends on.
type Rules struct {
	AgentEra  int64    `json:"agentEra"`  // UTC seconds
	Generated []string `json:"generated"` // the user's patterns, beside those of the repository
}

// Part is one of several statements about one commit: files are in the order
// of their paths, and no file is in two parts.
type Part struct {
	Number int `json:"number"` // from 1
	Of     int `json:"of"`
}

// Rest is what became of the lines that no range covers.
type Rest struct {
	Class stemma.Class `json:"class"`
	Owner int          `json:"owner"` // index of an owner, or -1
}

// Owner is a session or a person with lines of the commit, or who may have
// written some.
type Owner struct {
	Session      string          `json:"session,omitempty"`
	Person       string          `json:"person,omitempty"` // pseudonym
	Agent        string          `json:"agent,omitempty"`
	AgentVersion string          `json:"agentVersion,omitempty"`
	Model        *stemma.Model   `json:"model"` // null where no source names one
	Class        stemma.Class    `json:"class"`
	Source       string          `json:"source"`
	Strength     stemma.Strength `json:"strength"`
	// ModelStrength is that of the model, where it is another than Strength.
	ModelStrength *stemma.Strength `json:"modelStrength,omitempty"`
	Lines         int              `json:"lines"`
	Candidate     int              `json:"candidate"`
	// Via is the commit whose evidence names the owner, where this commit is a
	// rewrite of it; Gone says that git has its objects no more.
	Via  string `json:"via,omitempty"`
	Gone bool   `json:"gone,omitempty"`
}

// AttributedFile is what the commit added to one file. A path that is not
// UTF-8 is given as base64 in PathBytes.
type AttributedFile struct {
	Path      string  `json:"path,omitempty"`
	PathBytes string  `json:"pathBytes,omitempty"`
	Added     int     `json:"added"`
	Generated bool    `json:"generated,omitempty"`
	Whole     bool    `json:"whole,omitempty"` // one owner has all that was added: its range says 1 to 0
	Ranges    []Range `json:"ranges"`
}

// Range is a run of lines, 1-based, inclusive.
type Range struct {
	Start int          `json:"start"`
	End   int          `json:"end"`
	Owner int          `json:"owner"`
	Class stemma.Class `json:"class"`
}

// SourceClaim is what one source said of the commit.
type SourceClaim struct {
	Source  string       `json:"source"`
	Lines   stemma.Lines `json:"lines"`
	Outside int          `json:"outside"`
	Alone   int          `json:"alone"`
	Agree   int          `json:"agree"`
	Differ  int          `json:"differ"`
	Took    int          `json:"took"`
	Problem string       `json:"problem,omitempty"`
}

// Attributions makes the statements that say what a row says: one, or as many
// parts as keep each below the limit of a statement. The error is ErrInvalid
// for a row with one file that alone is over it.
func Attributions(row stemma.Attribution, repository string, rules Rules, m Metadata) ([]stemma.Statement, error) {
	p := fromRow(row, repository, rules, m)
	files := p.Files
	room := DefaultLimits.Statement - 2048
	p.Files = nil
	head, err := Canonical(p)
	if err != nil {
		return nil, err
	}
	var parts [][]AttributedFile
	used := room
	for _, f := range files {
		b, err := Canonical(f)
		if err != nil {
			return nil, err
		}
		if used+len(b)+1 > room-len(head) {
			parts, used = append(parts, nil), 0
		}
		parts[len(parts)-1] = append(parts[len(parts)-1], f)
		used += len(b) + 1
	}
	if len(parts) == 0 {
		parts = [][]AttributedFile{{}}
	}
	statements := make([]stemma.Statement, len(parts))
	id := p.EventID
	for i, files := range parts {
		p.Files = files
		if len(parts) > 1 {
			p.Part = &Part{Number: i + 1, Of: len(parts)}
			p.EventID = fmt.Sprintf("%s#%d", id, i+1)
		}
		statements[i], err = New(TypeAttribution, p, CommitSubject(repository, row.Commit))
		if err != nil {
			return nil, fmt.Errorf("attribution of commit %s: %w", row.Commit, err)
		}
	}
	return statements, nil
}

func fromRow(row stemma.Attribution, repository string, rules Rules, m Metadata) Attribution {
	p := Attribution{
		Metadata: m, Repository: repository, Commit: row.Commit,
		CommitTime: time.Unix(row.Time, 0).UTC().Format(time.RFC3339), Merge: row.Merge,
		Algorithm: Algorithm{AlgorithmName, row.Algorithm}, Input: row.Input, Rules: rules,
		Lines: row.Lines, Rest: Rest{row.Rest, row.RestOwner}, Conflicts: row.Conflicts,
		Ambiguous: row.Ambiguous, Unreadable: row.Unreadable,
		Owners: []Owner{}, Files: []AttributedFile{}, Sources: []SourceClaim{},
	}
	if p.Rules.Generated == nil {
		p.Rules.Generated = []string{}
	}
	for _, o := range row.Owners {
		owner := Owner{
			Session: o.Session, Person: o.Person, Agent: o.Agent, AgentVersion: o.AgentVersion,
			Class: o.Class, Source: o.Source, Strength: o.Strength, Lines: o.Lines, Candidate: o.Candidate, Via: o.Via, Gone: o.Gone,
		}
		if o.Model.Known() {
			model := o.Model
			owner.Model = &model
		}
		if strength := o.ModelStrength; strength != (stemma.Strength{}) {
			owner.ModelStrength = &strength
		}
		p.Owners = append(p.Owners, owner)
	}
	for _, f := range row.Files {
		file := AttributedFile{Path: f.Path, Added: f.Added, Generated: f.Generated, Whole: f.Whole, Ranges: []Range{}}
		if !utf8.ValidString(f.Path) {
			file.Path, file.PathBytes = "", base64.StdEncoding.EncodeToString([]byte(f.Path))
		}
		for _, r := range f.Ranges {
			file.Ranges = append(file.Ranges, Range(r))
		}
		p.Files = append(p.Files, file)
	}
	for _, s := range row.Sources {
		p.Sources = append(p.Sources, SourceClaim(s))
	}
	return p
}

// Row gives back the row. The statement must be valid; of a part it is the row
// with the files of that part alone.
func (a Attribution) Row() stemma.Attribution {
	// Validate has read the time and the paths before.
	at, _ := time.Parse(time.RFC3339, a.CommitTime)
	row := stemma.Attribution{
		Commit: a.Commit, Time: at.Unix(), Merge: a.Merge,
		Lines: a.Lines, Rest: a.Rest.Class, RestOwner: a.Rest.Owner, Conflicts: a.Conflicts, Ambiguous: a.Ambiguous,
		Algorithm: a.Algorithm.Version, Input: a.Input, Unreadable: a.Unreadable,
	}
	for _, o := range a.Owners {
		owner := stemma.Owner{
			Session: o.Session, Person: o.Person, Agent: o.Agent, AgentVersion: o.AgentVersion,
			Class: o.Class, Source: o.Source, Strength: o.Strength, Lines: o.Lines, Candidate: o.Candidate, Via: o.Via, Gone: o.Gone,
		}
		if o.Model != nil {
			owner.Model = *o.Model
		}
		if o.ModelStrength != nil {
			owner.ModelStrength = *o.ModelStrength
		}
		row.Owners = append(row.Owners, owner)
	}
	for _, f := range a.Files {
		file := stemma.FileLines{Path: f.Path, Added: f.Added, Generated: f.Generated, Whole: f.Whole}
		if f.PathBytes != "" {
			b, _ := base64.StdEncoding.DecodeString(f.PathBytes)
			file.Path = string(b)
		}
		for _, r := range f.Ranges {
			file.Ranges = append(file.Ranges, stemma.OwnedRange(r))
		}
		row.Files = append(row.Files, file)
	}
	for _, s := range a.Sources {
		row.Sources = append(row.Sources, stemma.SourceClaim(s))
	}
	return row
}

func (a Attribution) check(c *check) {
	a.Metadata.check(c, "")
	c.text("/repository", a.Repository)
	c.oid("/commit", a.Commit)
	c.time("/commitTime", a.CommitTime)
	c.text("/algorithm/name", a.Algorithm.Name)
	c.need(a.Algorithm.Version >= 1, "/algorithm/version", "want 1 or more")
	c.sha256("/input", a.Input)
	c.texts("/rules/generated", a.Rules.Generated)
	if p := a.Part; p != nil {
		c.need(p.Of >= 2, "/part/of", "want 2 or more")
		c.need(p.Number >= 1 && p.Number <= p.Of, "/part/number", "want 1 to the number of parts")
	}
	c.lines("/lines", a.Lines)
	c.class("/rest/class", a.Rest.Class)
	c.need(a.Rest.Owner >= -1 && a.Rest.Owner < len(a.Owners), "/rest/owner", "no such owner")
	c.need(a.Conflicts >= 0, "/conflicts", "want 0 or more")
	c.need(a.Ambiguous >= 0, "/ambiguous", "want 0 or more")
	c.optional("/unreadable", a.Unreadable)
	for i, o := range a.Owners {
		o.check(c, c.item("/owners", i))
	}
	added := 0
	for i, f := range a.Files {
		f.check(c, c.item("/files", i), len(a.Owners))
		added += f.Added
	}
	if a.Part == nil {
		c.need(added == a.Lines.Added(), "/lines", "not the sum of what the files added")
	} else {
		c.need(added <= a.Lines.Added(), "/lines", "less than what the files added")
	}
	for i, s := range a.Sources {
		at := c.item("/sources", i)
		c.text(at+"/source", s.Source)
		c.lines(at+"/lines", s.Lines)
		c.need(min(s.Outside, s.Alone, s.Agree, s.Differ, s.Took) >= 0, at, "want 0 or more")
		c.optional(at+"/problem", s.Problem)
	}
}

func (o Owner) check(c *check, path string) {
	c.need((o.Session != "") != (o.Person != ""), path, "an owner is a session or a person")
	c.optional(path+"/session", o.Session)
	c.optional(path+"/person", o.Person)
	c.optional(path+"/agent", o.Agent)
	c.optional(path+"/agentVersion", o.AgentVersion)
	c.class(path+"/class", o.Class)
	c.text(path+"/source", o.Source)
	c.strength(path+"/strength", o.Strength)
	if o.ModelStrength != nil {
		c.strength(path+"/modelStrength", *o.ModelStrength)
	}
	c.need(o.Lines >= 0, path+"/lines", "want 0 or more")
	c.need(o.Candidate >= 0, path+"/candidate", "want 0 or more")
	if o.Via != "" {
		c.oid(path+"/via", o.Via)
	}
}

func (c *check) strength(path string, s stemma.Strength) {
	path = c.quiet(path)
	c.oneOf(path+"/tier", string(s.Tier), string(stemma.TierClaimed), string(stemma.TierObserved), string(stemma.TierAttested))
	c.assertion(path+"/assertion", s.Assertion)
	c.need(s.Confidence >= 0 && s.Confidence <= 1, path+"/confidence", "want 0 to 1")
}

func (f AttributedFile) check(c *check, path string, owners int) {
	c.need((f.Path != "") != (f.PathBytes != ""), path, "a file has a path, or its bytes")
	c.optional(path+"/path", f.Path)
	if f.PathBytes != "" {
		_, err := base64.StdEncoding.DecodeString(f.PathBytes)
		c.need(err == nil, path+"/pathBytes", "want base64")
	}
	c.need(f.Added >= 0, path+"/added", "want 0 or more")
	last := 0
	for i, r := range f.Ranges {
		at := c.item(path+"/ranges", i)
		c.class(at+"/class", r.Class)
		c.need(r.Owner >= -1 && r.Owner < owners, at+"/owner", "no such owner")
		if f.Whole {
			c.need(len(f.Ranges) == 1 && r.Start == 1 && r.End == 0, at, "the range of a whole file is 1 to 0")
			continue
		}
		c.need(r.Start > last && r.End >= r.Start, at, "ranges are sorted, from 1, and do not overlap")
		last = r.End
	}
}

func (c *check) class(path string, v stemma.Class) { c.need(v.Valid(), path, "want a class of lines") }

func (c *check) lines(path string, l stemma.Lines) {
	c.need(min(l.AI, l.AIEdited, l.Human, l.Generated, l.Unknown) >= 0, path, "want 0 or more")
}
