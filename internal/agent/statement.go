package agent

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
)

// StatementType is the type of the predicate that says what a session did: a
// [Delta]. Its JSON Schema is schema/session-v1.json, and doc/session.md says how
// another tool makes it.
const StatementType = "https://stemma.dev/session/v1"

// Predicate is the type of statements about sessions, for attest.NewRegistry.
func Predicate() attest.Predicate { return attest.Typed[Delta](StatementType, "session") }

// Delta is one part of what is told of a session: what came since the part
// before it. It holds metadata only. Prompts, answers and the input and output of
// calls are in the vault, and the statement's content names them.
type Delta struct {
	attest.Metadata
	Session string       `json:"session"` // key of the session's node: agent/id
	Number  int          `json:"number"`  // of this part, from 1
	Final   bool         `json:"final"`   // nothing follows
	Whole   bool         `json:"whole"`   // replaces the parts before it
	Agent   DeltaAgent   `json:"agent"`
	Parent  *DeltaParent `json:"parent"` // null where none is known
	Base    DeltaBase    `json:"base"`
	Start   *string      `json:"start"` // of the session, RFC 3339 in UTC; null where it is not told
	End     *string      `json:"end"`   // of what was read so far
	Turns   []DeltaTurn  `json:"turns"`
	// Total is what the tool counts for the session as a whole; null where it
	// counts for the turns, or nothing.
	Total       *DeltaUse      `json:"total"`
	Compactions []Compaction   `json:"compactions"`
	Gaps        []DeltaGap     `json:"gaps"`
	Config      []ConfigDigest `json:"config"`
	// Commits hold lines that the session wrote before, as its content tells; they
	// are inferred. Which lines are its is not told.
	Commits []DeltaCommit `json:"commits"`
	// Related are sessions whose answers or files this one took up, inferred.
	Related []DeltaRelation `json:"related"`
	// Team is the team of sessions that it is one of; null where none is told.
	// Messages are what it said to others and they to it, without the words, and
	// MessagesCut counts those that there was no room for.
	Team        *Team          `json:"team,omitempty"`
	Messages    []DeltaMessage `json:"messages,omitempty"`
	MessagesCut int            `json:"messagesCut,omitempty"`
	// Derived is what was concluded from the content of the session as a whole, as
	// far as it was read; null where only a part was. The last stands.
	Derived *Derived            `json:"derived"`
	Content []attest.Commitment `json:"content,omitempty"`
}

// DeltaRelation is a session that this one took up; see [Relation].
type DeltaRelation struct {
	Session string `json:"session"` // key of its node
	Kind    string `json:"kind"`
	Method  string `json:"method"`
	Count   int    `json:"count"` // lines that are quoted, or files in common
}

// DeltaMessage is a message between sessions; see [Message].
type DeltaMessage struct {
	Turn     int     `json:"turn"`
	Time     *string `json:"time,omitempty"`
	Received bool    `json:"received,omitempty"`
	Session  string  `json:"session,omitempty"` // key of the other session's node
	Name     string  `json:"name,omitempty"`    // in the team
	Kind     string  `json:"kind,omitempty"`
	Bytes    int64   `json:"bytes"`
}

// DeltaCommit is a commit with lines that the session wrote.
type DeltaCommit struct {
	Commit     string  `json:"commit"`
	Lines      int     `json:"lines"` // added ones that the session wrote
	Of         int     `json:"of"`    // added ones that can be told from others
	Method     string  `json:"method"`
	Confidence float64 `json:"confidence"`
}

// Derived is what was concluded from content that the statement does not hold.
type Derived struct {
	Task       Task       `json:"task"`
	Iterations Iterations `json:"iterations"`
	Signals    Signals    `json:"signals"`
}

// Derive concludes from a session as a whole.
func (s *Session) Derive() *Derived { return &Derived{s.Task(), s.Iterations(), s.Signals()} }

// DeltaAgent is the agent that ran.
type DeltaAgent struct {
	Name    string `json:"name"`    // key
	Version string `json:"version"` // "" where it is not told
}

// DeltaParent is the session that spawned this one.
type DeltaParent struct {
	Session string `json:"session"` // key of the session's node
	Call    string `json:"call,omitempty"`
	Role    string `json:"role,omitempty"`
	Fork    bool   `json:"fork,omitempty"`
	Method  string `json:"method"`
	// Inferred says that nobody named the parent: the method concludes it.
	Inferred bool `json:"inferred,omitempty"`
}

// DeltaBase is where the session worked. Folders of the machine are not in it.
type DeltaBase struct {
	Repository string `json:"repository,omitempty"` // key of the repository's node, where the recorder knows it
	Branch     string `json:"branch,omitempty"`
	Commit     string `json:"commit,omitempty"`
}

// DeltaTurn is a turn, or what came of one since the part before.
type DeltaTurn struct {
	Index       int        `json:"index"`
	ID          string     `json:"id,omitempty"`
	Origin      Origin     `json:"origin,omitempty"`
	Start       *string    `json:"start,omitempty"`
	End         *string    `json:"end,omitempty"`
	Prompt      int64      `json:"prompt"`   // bytes
	Answer      int64      `json:"answer"`   // bytes
	Thinking    int64      `json:"thinking"` // bytes
	Images      int        `json:"images,omitempty"`
	Models      []DeltaUse `json:"models"`
	Effort      string     `json:"effort,omitempty"`
	Mode        string     `json:"mode,omitempty"`
	Interrupted bool       `json:"interrupted,omitempty"`
	Errors      int        `json:"errors,omitempty"`
	// Calls counts calls by kind, Outcomes by outcome, Decisions by decision; what
	// is not known is not in them.
	Calls     map[Kind]int     `json:"calls,omitempty"`
	Outcomes  map[Outcome]int  `json:"outcomes,omitempty"`
	Decisions map[Decision]int `json:"decisions,omitempty"`
	// Tools counts calls by the tool's name, as the agent names it; ToolsCut counts
	// those that there was no room for.
	Tools    map[string]int `json:"tools,omitempty"`
	ToolsCut int            `json:"toolsCut,omitempty"`
	// Files are those within the working directory, by their path in it. Outside
	// counts the others, and Cut those that there was no room for.
	Files   []File       `json:"files,omitempty"`
	Outside int          `json:"filesOutside,omitempty"`
	Cut     int          `json:"filesCut,omitempty"`
	Tests   []Test       `json:"tests,omitempty"`
	Spawned []DeltaSpawn `json:"spawned,omitempty"`
	// Tickets are the keys of tickets that the prompt names.
	Tickets []string `json:"tickets,omitempty"`
	// Cited are the changes, reviews, findings and CI runs that the prompt names.
	Cited []Citation `json:"cited,omitempty"`
	// Rewrites are the edits that replaced lines which the session had written,
	// in files within the working directory; null where the session was not read
	// from its beginning, so that nothing tells. RewritesCut counts those that there
	// was no room for.
	Rewrites    []Rewrite `json:"rewrites"`
	RewritesCut int       `json:"rewritesCut,omitempty"`
}

// DeltaUse is a model with what it used.
type DeltaUse struct {
	Provider string `json:"provider,omitempty"`
	Model    string `json:"model,omitempty"` // "" where none is named
	Exact    bool   `json:"exact,omitempty"` // an identifier that the agent reported, not a display name
	Usage    *Usage `json:"usage"`           // null where it is not told
}

// DeltaSpawn is a session that a call asked for.
type DeltaSpawn struct {
	Session string `json:"session,omitempty"` // key of its node
	Call    string `json:"call,omitempty"`
	Role    string `json:"role,omitempty"`
	Status  string `json:"status,omitempty"`
	// Team and Member name a session that joins a team, where its id is not told.
	Team   string `json:"team,omitempty"`
	Member string `json:"member,omitempty"`
}

// DeltaGap is a gap without its place in a file that nobody else has.
type DeltaGap struct {
	Kind   GapKind `json:"kind"`
	Reason string  `json:"reason"`
	Count  int     `json:"count"`
	Bytes  int64   `json:"bytes"`
}

// Key is the key of the session's node.
func (s *Session) Key() string { return stemma.SessionID(s.Agent, s.ID).Key }

// Told says what is known beside a session when it is told.
type Told struct {
	Repository string // key of the repository's node, "" where it is not known
	First      int    // number of the first part, from 1; 0 is 1
	Final      bool
	Observed   time.Time
	Vantage    stemma.Vantage // "" is self-reported
	Assertion  stemma.Assertion
	Config     []ConfigDigest
	Commits    []Match
	Related    []Relation // of which the session is the From
	// About are further subjects, by which the statement is found.
	About []stemma.Subject
	// Complete says that the session was read from its beginning, so that what it
	// was for and how it worked can be told.
	Complete bool
	// All is the session as it was read from its beginning, where what is told is a
	// part of it; nil where it was not.
	All *Session
	// Open says that the session goes on: calls of its last turn that have no result
	// yet are left for a later part. Held are the ids of those that the part before
	// left.
	Open bool
	Held []string
}

// maxStatement is the size in bytes of a predicate over which a part is cut in
// two; a statement must stay below 64 KB with its subject and its content.
const maxStatement = 40 << 10

// The limits of one turn of a statement: how many files, rewrites and tools it
// names, and the bytes of a tool's name.
const (
	maxFiles    = 100
	maxTools    = 50
	maxToolName = 128
)

// Statements tells what a reading gave of a session, in as many parts as keep
// each small. Told again, the same reading gives the same source and event ids.
func Statements(s Session, told Told) ([]stemma.Statement, error) {
	d := deltaOf(s, told)
	turns := make([]DeltaTurn, 0, len(s.Turns))
	all := told.All
	if told.Complete {
		all = &s
	}
	var rewrites map[int][]Rewrite
	if all != nil {
		rewrites = all.Rewrites()
	}
	for i, t := range s.Turns {
		goesOn := told.Open && i == len(s.Turns)-1
		turn := turnOf(s, t, told.Held, goesOn)
		if all != nil {
			turn.rewrote(s.Base.Dir, t.rewritten(rewrites[t.Index], goesOn))
		}
		turns = append(turns, turn)
	}
	var parts []stemma.Statement
	for number := max(1, told.First); ; number++ {
		n, size := 0, 2<<10
		for n < len(turns) && (n == 0 || size < maxStatement) {
			text, err := json.Marshal(turns[n])
			if err != nil {
				return nil, fmt.Errorf("tell session %s: %w", d.Session, err)
			}
			if size += len(text); size < maxStatement || n == 0 {
				n++
			}
		}
		d.Number, d.Turns = number, turns[:n:n]
		turns = turns[n:]
		d.Final = told.Final && len(turns) == 0
		d.EventID = PartID(s.ID, number)
		if len(d.EventID) > 1024 {
			return nil, fmt.Errorf("tell session %.64q: its id is too long: %w", s.ID, stemma.ErrInvalid)
		}
		st, err := d.statement(told.About)
		if err != nil {
			return nil, err
		}
		parts = append(parts, st)
		if len(turns) == 0 {
			return parts, nil
		}
		// Only the first part replaces, and has what is of no turn.
		d.Whole, d.Total, d.Derived = false, nil, nil
		d.Compactions, d.Gaps, d.Config, d.Commits = []Compaction{}, []DeltaGap{}, []ConfigDigest{}, []DeltaCommit{}
		d.Messages, d.MessagesCut = nil, 0
		d.Related = []DeltaRelation{}
	}
}

// PartID is the source's event id of a part of a session, by the agent's own id.
func PartID(session string, number int) string { return session + "#" + strconv.Itoa(number) }

// SubjectURI is the URI of the subject of statements about the session with this
// key.
func SubjectURI(key string) string { return "stemma:session:" + key }

func (d Delta) statement(about []stemma.Subject) (stemma.Statement, error) {
	subject, err := attest.RecordSubject(d.Session, SubjectURI(d.Session), map[string]any{"session": d.Session})
	if err != nil {
		return stemma.Statement{}, fmt.Errorf("tell session %s: %w", d.Session, err)
	}
	text, err := json.Marshal(d)
	if err != nil {
		return stemma.Statement{}, fmt.Errorf("tell session %s: %w", d.Session, err)
	}
	st := stemma.Statement{Type: stemma.StatementType, Subject: append([]stemma.Subject{subject}, about...), PredicateType: StatementType, Predicate: text}
	if err := attest.NewRegistry(Predicate()).Validate(st); err != nil {
		return stemma.Statement{}, fmt.Errorf("tell session %s: %w", d.Session, err)
	}
	return st, nil
}

func deltaOf(s Session, told Told) Delta {
	d := Delta{
		Metadata: attest.Metadata{
			Source: s.Agent, Observed: told.Observed.UTC().Format(time.RFC3339),
			Claimed: stamp(s.End), Assertion: told.Assertion, Vantage: told.Vantage,
		},
		Session: s.Key(), Whole: s.Whole,
		Agent: DeltaAgent{s.Agent, clean(s.Version, 256)},
		Base:  DeltaBase{Repository: told.Repository, Branch: clean(s.Base.Branch, 1024), Commit: oid(s.Base.Commit)},
		Start: stamp(s.Start), End: stamp(s.End),
		Compactions: append([]Compaction{}, s.Compactions...),
		Gaps:        []DeltaGap{},
		Config:      append([]ConfigDigest{}, told.Config...),
		Commits:     []DeltaCommit{}, Related: []DeltaRelation{},
	}
	for _, r := range told.Related[:min(len(told.Related), maxFiles)] {
		d.Related = append(d.Related, DeltaRelation{r.To, r.Kind, r.Method, r.Lines})
	}
	for _, m := range told.Commits[:min(len(told.Commits), maxFiles)] {
		d.Commits = append(d.Commits, DeltaCommit{m.Commit, m.Lines, m.Of, MatchMethod, m.Confidence})
	}
	if d.Vantage == "" {
		d.Vantage = stemma.SelfReported
	}
	if d.Assertion == "" {
		d.Assertion = stemma.Declared
	}
	if p := s.Parent; p != nil && p.Session != "" {
		agent := p.Agent
		if agent == "" {
			agent = s.Agent
		}
		d.Parent = &DeltaParent{
			Session: stemma.SessionID(agent, p.Session).Key, Call: p.Call, Role: clean(p.Role, 256), Fork: p.Fork, Method: p.Method, Inferred: p.Inferred,
		}
	}
	switch {
	case told.Complete:
		d.Derived = s.Derive()
	case told.All != nil:
		d.Derived = told.All.Derive()
	}
	if s.Total != nil {
		use := useOf(*s.Total)
		d.Total = &use
	}
	d.Team = s.Team
	for _, m := range s.delivered() {
		if len(d.Messages) >= maxFiles {
			d.MessagesCut++
			continue
		}
		told := DeltaMessage{Turn: m.Turn, Time: stamp(m.Time), Received: m.Received, Name: m.Name, Kind: m.Kind, Bytes: sizeOf(m.Text)}
		if m.Session != "" {
			told.Session = stemma.SessionID(s.Agent, m.Session).Key
		}
		d.Messages = append(d.Messages, told)
	}
	for _, g := range s.Gaps {
		d.Gaps = append(d.Gaps, DeltaGap{g.Kind, g.Reason, g.Count, g.Bytes})
	}
	return d
}

// turnOf tells a turn, or what came of one since the part before. held are the
// calls that were left out there; goesOn leaves out those without a result.
func turnOf(s Session, t *Turn, held []string, goesOn bool) DeltaTurn {
	d := DeltaTurn{
		Index: t.Index, ID: clean(t.ID, 256), Origin: t.Origin, Start: stamp(t.Start), End: stamp(t.End),
		Prompt: sizeOf(t.Prompt), Answer: sizeOf(t.Answer), Thinking: t.Thinking, Images: t.Images,
		Models: []DeltaUse{}, Effort: t.Effort, Mode: t.Mode, Interrupted: t.Interrupted, Errors: t.Errors,
		Calls: map[Kind]int{}, Outcomes: map[Outcome]int{}, Decisions: map[Decision]int{}, Tools: map[string]int{},
	}
	for _, m := range t.Models {
		d.Models = append(d.Models, useOf(m))
	}
	if t.Prompt != nil {
		d.Tickets, d.Cited = Tickets(t.Prompt.Text), Cited(t.Prompt.Text)
	}
	files := map[string]int{}
	for _, c := range t.Calls {
		if goesOn && waits(c) {
			continue
		}
		again := c.Again && !slices.Contains(held, c.ID) // told before, but for how it ended
		if !again {
			d.Calls[c.Kind]++
			d.called(c.Name)
		}
		if c.Outcome != "" {
			d.Outcomes[c.Outcome]++
		}
		if c.Decision != "" {
			d.Decisions[c.Decision]++
		}
		if again {
			continue
		}
		if c.Test != nil && len(d.Tests) < maxFiles {
			d.Tests = append(d.Tests, *c.Test)
		}
		if c.Spawn != nil && len(d.Spawned) < maxFiles {
			spawned := DeltaSpawn{Call: clean(c.ID, 256), Role: clean(c.Spawn.Role, 256), Status: clean(c.Spawn.Status, 64), Team: clean(c.Spawn.Team, 256), Member: clean(c.Spawn.Member, 256)}
			if c.Spawn.Session != "" {
				spawned.Session = stemma.SessionID(s.Agent, c.Spawn.Session).Key
			}
			d.Spawned = append(d.Spawned, spawned)
		}
		if c.Outcome != OutcomeNone && c.Outcome != OutcomeError {
			d.touch(s.Base.Dir, c, files)
		}
	}
	return d
}

// called counts a call by the name of its tool.
func (d *DeltaTurn) called(name string) {
	switch name = clean(name, maxToolName); {
	case name == "":
	case d.Tools[name] == 0 && len(d.Tools) >= maxTools:
		d.ToolsCut++
	default:
		d.Tools[name]++
	}
}

// rewrote adds the rewrites of files within the working directory.
func (d *DeltaTurn) rewrote(dir string, all []Rewrite) {
	d.Rewrites = []Rewrite{}
	for _, r := range all {
		rel, ok := within(dir, r.Path)
		switch {
		case !ok:
		case len(d.Rewrites) >= maxFiles:
			d.RewritesCut++
		default:
			d.Rewrites = append(d.Rewrites, Rewrite{rel, r.At, r.Of})
		}
	}
}

// touch adds the files of a call, each with each kind of access once.
func (d *DeltaTurn) touch(dir string, c *Call, seen map[string]int) {
	for _, f := range c.Files {
		if f.Access != Read {
			f.Last = c.Start
		}
		rel, ok := within(dir, f.Path)
		if !ok {
			d.Outside++
			continue
		}
		i, known := seen[string(f.Access)+" "+rel]
		if known {
			if f.Last.After(d.Files[i].Last) {
				d.Files[i].Last = f.Last
			}
			d.Files[i].Added += f.Added
			d.Files[i].Removed += f.Removed
			continue
		}
		if len(d.Files) >= maxFiles {
			d.Cut++
			continue
		}
		seen[string(f.Access)+" "+rel] = len(d.Files)
		f.Path = rel
		d.Files = append(d.Files, f)
	}
}

// within gives the path of a file in the working directory. A path that is not
// absolute is one already, unless it leaves the directory.
func within(dir, file string) (string, bool) {
	file = strings.ReplaceAll(file, `\`, "/")
	dir = strings.TrimSuffix(strings.ReplaceAll(dir, `\`, "/"), "/")
	if rest, ok := strings.CutPrefix(file, dir+"/"); ok && dir != "" {
		file = rest
	} else if strings.HasPrefix(file, "/") || len(file) > 1 && file[1] == ':' || strings.HasPrefix(file, "~") {
		return "", false
	}
	file = path.Clean(file)
	if file == ".." || strings.HasPrefix(file, "../") || len(file) > 1024 {
		return "", false
	}
	return file, true
}

func useOf(m ModelUse) DeltaUse {
	return DeltaUse{Provider: m.Model.Provider, Model: m.Model.ID, Exact: m.Model.Exact, Usage: m.Usage}
}

func sizeOf(t *Text) int64 {
	if t == nil {
		return 0
	}
	return t.Size
}

func stamp(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format("2006-01-02T15:04:05.000Z")
	return &s
}

// oid keeps what is a full object id.
func oid(s string) string {
	if (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == "" {
		return s
	}
	return ""
}

// Validate says what is wrong with a predicate: a *attest.DecodeError, or nil.
// The schema says the rest.
func (d Delta) Validate() error {
	bad := func(path, reason string) error { return &attest.DecodeError{Path: path, Reason: reason} }
	switch agent, id, ok := strings.Cut(d.Session, "/"); {
	case !ok || agent == "" || d.Agent.Name == "":
		return bad("/session", "want the key of a session: agent/id")
	case agent != d.Agent.Name:
		return bad("/agent/name", "is not the agent of the session")
	case d.Number < 1:
		return bad("/number", "want a number from 1")
	case d.Vantage == "":
		return bad("/vantage", "missing: a statement about a session says from where it was watched")
	case d.Parent != nil && d.Parent.Session == "":
		return bad("/parent/session", "missing or empty")
	case d.Parent != nil && d.Parent.Method == "":
		return bad("/parent/method", "missing or empty")
	case len(id) > 4096:
		return bad("/session", "over the limit of 4096 bytes")
	}
	for _, t := range []struct {
		path string
		time *string
	}{{"/start", d.Start}, {"/end", d.End}} {
		if t.time == nil {
			continue
		}
		if _, err := time.Parse(time.RFC3339, *t.time); err != nil || !strings.HasSuffix(*t.time, "Z") {
			return bad(t.path, "want a time in UTC (RFC 3339, ending in Z)")
		}
	}
	last := 0
	for i, t := range d.Turns {
		if t.Index <= last {
			return bad(fmt.Sprintf("/turns/%d/index", i), "want turns by index, from 1")
		}
		last = t.Index
		if !slices.Contains([]Origin{"", FromPerson, FromTask, FromCommand, FromTool, FromPeer}, t.Origin) {
			return bad(fmt.Sprintf("/turns/%d/origin", i), "want one of: person, task, command, tool, peer")
		}
		for j, f := range t.Files {
			if rel, ok := within("", f.Path); !ok || rel != f.Path {
				return bad(fmt.Sprintf("/turns/%d/files/%d/path", i, j), "want a path within the working directory")
			}
		}
	}
	for i, t := range d.Turns {
		for j, r := range t.Rewrites {
			if rel, ok := within("", r.Path); !ok || rel != r.Path {
				return bad(fmt.Sprintf("/turns/%d/rewrites/%d/path", i, j), "want a path within the working directory")
			}
		}
	}
	if d.Team != nil && d.Team.Name == "" {
		return bad("/team/name", "missing or empty")
	}
	for i, m := range d.Messages {
		if m.Turn < 0 || m.Bytes < 0 || m.Session == "" && m.Name == "" {
			return bad(fmt.Sprintf("/messages/%d", i), "want a turn, bytes, and the other session or its name")
		}
	}
	for i, c := range d.Commits {
		if oid(c.Commit) == "" || c.Lines < 0 || c.Method == "" || c.Confidence < 0 || c.Confidence > 1 {
			return bad(fmt.Sprintf("/commits/%d", i), "want a full object id, lines, a method and a confidence between 0 and 1")
		}
	}
	for i, g := range d.Gaps {
		if g.Kind == "" || g.Count < 1 {
			return bad(fmt.Sprintf("/gaps/%d", i), "want a kind and a count from 1")
		}
	}
	return nil
}
