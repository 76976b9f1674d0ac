package lineage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/store"
)

// Why is everything that led to one line, from the line to the prompt. It is
// what `stemma why --json` gives (schema stemma.why/v1). What is null or empty
// is not known; Ends says why it goes no further.
type Why struct {
	Path string      `json:"path"` // as asked for; see Path
	Rev  string      `json:"rev"`  // "" is the work tree
	Line BlamedLine  `json:"line"` // with the owner, and how strong that is
	Made *WhyCommit  `json:"commit"`
	In   []WhyChange `json:"changes"` // by which the commit entered
	// Rewrites lead from the commit to the one whose evidence names the owner,
	// each with the rule that joins it to the one before.
	Rewrites []WhyRewrite `json:"rewrites"`
	// Evidence is what the sources say of the last of these commits.
	Evidence []Source `json:"evidence"`
	// Session is what is known of where the session came from.
	Session []WhyLink `json:"session"`
	// Turns are those of the session that wrote the line's file for the commit, as
	// far as its transcript was read. Which of several wrote the line is not told.
	Turns []*TurnWork `json:"turns"`
	// Prompts are those of the turns, where these are known and their content is
	// kept; otherwise all of the session, in their order, as far as a source
	// carries them.
	Prompts []Prompt `json:"prompts"`
	Ends    string   `json:"ends"`
}

// WhyCommit is a commit on the way.
type WhyCommit struct {
	Commit string `json:"commit"`
	Time   string `json:"time"`
	Author string `json:"author"`
	Title  string `json:"title"`
}

// WhyChange is a change by which the line's commit entered.
type WhyChange struct {
	Change   string          `json:"change"` // key
	Title    string          `json:"title"`
	Time     string          `json:"time"`
	Source   string          `json:"source"`
	Strength stemma.Strength `json:"strength"`
}

// WhyRewrite is a step from a commit to one that it is a rewrite of.
type WhyRewrite struct {
	WhyCommit
	// Here says that the repository has the commit; else only its id is known.
	Here     bool            `json:"here"`
	Source   string          `json:"source"`
	Strength stemma.Strength `json:"strength"` // its method is the rule
}

// WhyLink is a link from the session to what spawned or directed it, and on from
// there.
type WhyLink struct {
	From     string          `json:"from"` // id of a node
	Kind     stemma.EdgeKind `json:"kind"`
	To       string          `json:"to"`
	Source   string          `json:"source"`
	Strength stemma.Strength `json:"strength"`
}

// Prompted reads the prompts that the sources carry for a commit.
type Prompted func(ctx context.Context, commit string) ([]Prompt, error)

// Explain tells why a line is there. Of the line it takes what Blame gave.
func Explain(ctx context.Context, g Graph, line BlamedLine, prompted Prompted) (Why, error) {
	w := Why{Line: line, In: []WhyChange{}, Rewrites: []WhyRewrite{}, Evidence: []Source{}, Session: []WhyLink{}, Turns: []*TurnWork{}, Prompts: []Prompt{}}
	if line.Commit == "" {
		w.Ends = "the line is not committed"
		return w, nil
	}
	x := explaining{Graph: g, out: &w}
	origin := line.Commit
	for _, step := range []func(context.Context) error{
		x.commit, x.changes,
		func(ctx context.Context) (err error) { origin, err = x.rewrites(ctx); return err },
		func(ctx context.Context) error { return x.evidence(ctx, origin) },
		x.session,
		func(ctx context.Context) error { return x.turns(ctx, origin) },
		func(ctx context.Context) error { return x.prompts(ctx, origin, prompted) },
	} {
		if err := step(ctx); err != nil {
			return Why{}, fmt.Errorf("why %s:%d: %w", line.OrigPath, line.OrigLine, err)
		}
	}
	w.Ends = x.ends()
	return w, nil
}

type explaining struct {
	Graph
	out *Why
}

func (x *explaining) commit(ctx context.Context) error {
	c, _, err := x.described(ctx, x.out.Line.Commit)
	x.out.Made = &c
	return err
}

// described tells of a commit, and whether the repository has it.
func (x *explaining) described(ctx context.Context, id string) (WhyCommit, bool, error) {
	c, err := x.Repo.Commit(ctx, id)
	switch {
	case errors.Is(err, stemma.ErrNotFound), errors.Is(err, stemma.ErrInvalid):
		return WhyCommit{Commit: id}, false, nil
	case err != nil:
		return WhyCommit{}, false, err
	}
	return WhyCommit{
		Commit: id, Time: Time(c.Committer.Time), Title: Title(c.Message),
		Author: strings.ToValidUTF8(cmp.Or(c.Author.Name, c.Author.Mail), "\uFFFD"),
	}, true, nil
}

func (x *explaining) changes(ctx context.Context) error {
	for e, err := range x.Store.Edges(ctx, store.EdgeQuery{
		From: []stemma.NodeID{stemma.CommitID(x.out.Line.Commit)}, Kinds: []stemma.EdgeKind{stemma.EdgePartOf},
	}) {
		if err != nil {
			return err
		}
		c := WhyChange{Change: Path(e.To.Key), Source: e.Source, Strength: e.Strength}
		if id := commitOf(e.To); id != "" {
			d, _, err := x.described(ctx, id)
			if err != nil {
				return err
			}
			c.Title, c.Time = d.Title, d.Time
		}
		x.out.In = append(x.out.In, c)
	}
	return nil
}

// rewrites follows the line's owner from commit to commit and gives the last:
// the one whose own evidence names it.
func (x *explaining) rewrites(ctx context.Context) (origin string, err error) {
	origin = x.out.Line.Commit
	owner := x.out.Line.Part
	if owner == nil {
		return origin, nil
	}
	met := map[string]bool{origin: true}
	for {
		next, err := x.before(ctx, origin, *owner, met)
		if err != nil || next == nil {
			return origin, err
		}
		met[next.to] = true
		c, here, err := x.described(ctx, next.to)
		if err != nil {
			return origin, err
		}
		x.out.Rewrites = append(x.out.Rewrites, WhyRewrite{WhyCommit: c, Here: here, Source: next.source, Strength: next.strength})
		origin, owner = next.to, &next.owner
	}
}

// earlier is a commit that another is a rewrite of, and the owner in it.
type earlier struct {
	to       string
	source   string
	strength stemma.Strength
	owner    Part
}

// before finds the commit by which a commit has its lines of an owner; nil where
// they are its own.
func (x *explaining) before(ctx context.Context, commit string, owner Part, met map[string]bool) (*earlier, error) {
	if owner.Via == "" || met[owner.Via] {
		return nil, nil
	}
	// The rule by which this owner came is the owner's; the edge has the one by
	// which most lines did.
	found := &earlier{to: owner.Via, strength: owner.Strength, owner: Part{Session: owner.Session, Person: owner.Person}}
	for e, err := range x.Store.Edges(ctx, store.EdgeQuery{
		From: []stemma.NodeID{stemma.CommitID(commit)}, To: []stemma.NodeID{stemma.CommitID(owner.Via)},
		Kinds: []stemma.EdgeKind{stemma.EdgeRewriteOf},
	}) {
		if err != nil {
			return nil, err
		}
		found.source = e.Source
	}
	rows, err := x.rows(ctx, []string{owner.Via})
	if err != nil {
		return nil, err
	}
	for _, o := range rows[owner.Via].Owners {
		// Of several parts of one owner the one that came from further away leads on.
		if o.Session == owner.Session && o.Person == owner.Person && found.owner.Via == "" {
			found.owner = part(o)
		}
	}
	return found, nil
}

func (x *explaining) evidence(ctx context.Context, origin string) error {
	rows, err := x.rows(ctx, []string{origin})
	if err != nil {
		return err
	}
	for _, s := range rows[origin].Sources {
		x.out.Evidence = append(x.out.Evidence, Source(s))
	}
	return nil
}

// session follows the session to what spawned it and who directed it.
func (x *explaining) session(ctx context.Context) error {
	key := x.sessionKey()
	if key == "" {
		return nil
	}
	for s, err := range x.Store.Walk(ctx, store.WalkQuery{
		From:  []stemma.NodeID{{Kind: stemma.KindSession, Key: key}},
		Edges: []stemma.EdgeKind{stemma.EdgeSpawnedBy, stemma.EdgeDirectedBy, stemma.EdgeWorkedOn, stemma.EdgePlannedBy},
		Limit: few,
	}) {
		if err != nil {
			return err
		}
		for _, l := range s.Links {
			f := l.Facts[0]
			x.out.Session = append(x.out.Session, WhyLink{
				From: Path(s.Node.String()), Kind: l.Kind, To: Path(l.Node.String()), Source: f.Source, Strength: f.Strength,
			})
		}
	}
	return nil
}

func (x *explaining) sessionKey() string {
	if p := x.out.Line.Part; p != nil {
		return p.Session
	}
	return ""
}

// turns finds those of the line's session that wrote its file.
func (x *explaining) turns(ctx context.Context, origin string) error {
	key := x.sessionKey()
	if key == "" || x.Sessions == nil {
		return nil
	}
	rows, err := x.rows(ctx, []string{origin})
	if err != nil {
		return err
	}
	row, ok := rows[origin]
	if !ok {
		return nil
	}
	work, err := SessionsOf(ctx, x.Graph, "", []stemma.Attribution{row})
	if err != nil {
		return err
	}
	for _, s := range work {
		if s.Session != key {
			continue
		}
		for _, t := range s.Turns {
			if slices.ContainsFunc(t.Files, func(f agent.File) bool { return f.Path == x.out.Line.OrigPath }) {
				x.out.Turns = append(x.out.Turns, t)
			}
		}
	}
	return nil
}

// prompts reads those of the line's session: of its turns, where they are told
// turn by turn.
func (x *explaining) prompts(ctx context.Context, origin string, prompted Prompted) error {
	key := x.sessionKey()
	if key == "" || prompted == nil {
		return nil
	}
	all, err := prompted(ctx, origin)
	if errors.Is(err, stemma.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	name, id, _ := strings.Cut(key, "/")
	var wrote []Prompt
	for _, p := range all {
		if p.Session != id && (p.Session != "" || p.Agent != name) {
			continue
		}
		x.out.Prompts = append(x.out.Prompts, p)
		if slices.ContainsFunc(x.out.Turns, func(t *TurnWork) bool { return t.Index == p.Turn }) {
			wrote = append(wrote, p)
		}
	}
	if len(wrote) > 0 {
		x.out.Prompts = wrote
	}
	return nil
}

// ends says why the explanation goes no further.
func (x *explaining) ends() string {
	p := x.out.Line.Part
	switch {
	case x.out.Line.Class == stemma.ClassGenerated:
		return "the path is a generated one: nobody is asked who wrote its lines"
	case x.out.Line.Class == stemma.ClassUnknown:
		return "nothing tells who wrote it: " + x.out.Line.Reason
	case p == nil:
		return "no source names who wrote it"
	case p.Session == "":
		return "a person wrote it, and what people do is not recorded"
	case slices.ContainsFunc(x.out.Prompts, func(p Prompt) bool { return p.Role == "user" }):
		return ""
	default:
		return "no source here carries a prompt of this session"
	}
}
