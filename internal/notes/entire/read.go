package entire

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
)

// The limits of one checkpoint.
const (
	maxMetadata  = 8 << 20 // bytes of a metadata.json; 10 KB are the most that were seen
	maxSessions  = 1000    // of one checkpoint
	maxSessionID = 1024
	maxProblems  = 50      // of one commit, listed one by one
	maxBytes     = 4 << 30 // of all transcripts that one commit leads to
)

// Read gives the sessions of the checkpoints that the commit names, each once
// for every model that it used, as having taken part. A checkpoint that is not
// here leaves a session without name, because a commit with a trailer had one.
//
// The lines that the sessions' edits inserted are evidence of its own, by the
// name of EditsName.
func (k *checkpoints) Read(ctx context.Context, c *git.Commit, d git.Diff) ([]notes.Found, error) {
	m := readMessage(c.Message)
	if !m.says() {
		return nil, nil
	}
	r := &reading{checkpoints: k, evidence: notes.Evidence{Source: Name, Whole: -1, Figures: m.figures}, wanted: newWanted(c, d.Files)}
	r.edits.evidence = notes.Evidence{Source: EditsName, Whole: -1}
	for _, p := range m.problems {
		r.problem("%s", p)
	}
	for _, id := range m.checkpoints {
		if err := r.checkpoint(ctx, id); err != nil {
			return nil, err
		}
	}
	r.trailers(m)
	for i := range r.evidence.Sessions {
		r.evidence.Took = append(r.evidence.Took, i)
	}
	if r.left > 0 {
		r.evidence.Problems = append(r.evidence.Problems, fmt.Sprintf("%d more problems", r.left))
	}
	input := strings.Join(append(r.inputs, fromMessage), " ")
	found := []notes.Found{{Evidence: r.evidence, Input: input}}
	if err := r.edits.claim(ctx, k.repo, c.ID, d.Files); err != nil {
		return nil, err
	}
	if len(r.edits.evidence.Claims) > 0 {
		found = append(found, notes.Found{Evidence: r.edits.evidence, Input: input})
	}
	return found, nil
}

// fromMessage stands in the input for the commit's own message.
const fromMessage = "message"

// reading is the making of the evidence on one commit.
type reading struct {
	*checkpoints
	evidence notes.Evidence
	inputs   []string // ids of the trees of the checkpoints
	wanted   *wanted
	edits    edits
	left     int   // problems that were not listed
	bytes    int64 // of transcripts that were read
}

func (r *reading) problem(format string, args ...any) {
	if len(r.evidence.Problems) == maxProblems {
		r.left++
		return
	}
	r.evidence.Problems = append(r.evidence.Problems, fmt.Sprintf(format, args...))
}

// The methods of facts of this source.
const (
	methodCheckpoint = "entire checkpoint"
	methodTrailer    = "entire trailer" // the commit names what is not here
)

func declared(method string) stemma.Strength {
	return stemma.Strength{Tier: stemma.TierClaimed, Assertion: stemma.Declared, Method: method, Confidence: 1}
}

// trailers adds what the message alone says: sessions of Entire's first
// versions, and that there was one where no checkpoint told which.
func (r *reading) trailers(m message) {
	agent := agentOf(m.agent)
	for _, id := range m.sessions {
		if !slices.ContainsFunc(r.evidence.Sessions, func(s notes.Session) bool { return s.ID == id }) {
			r.add(notes.Session{ID: id, Agent: agent, Strength: declared(methodTrailer)})
		}
	}
	if len(r.evidence.Sessions) == 0 && len(m.checkpoints) > 0 {
		r.add(notes.Session{Agent: agent, Strength: declared(methodTrailer)})
	}
}

// add adds a session unless it is there with the same model.
func (r *reading) add(s notes.Session) {
	for i := range r.evidence.Sessions {
		have := &r.evidence.Sessions[i]
		if have.ID == s.ID && have.Model.Key() == s.Model.Key() {
			have.Agent = cmp.Or(have.Agent, s.Agent)
			have.AgentVersion = max(have.AgentVersion, s.AgentVersion)
			return
		}
	}
	r.evidence.Sessions = append(r.evidence.Sessions, s)
}

// agentOf reads the name of an agent. Entire writes "Agent" where it does not
// know.
func agentOf(name string) string {
	if name == "" || strings.EqualFold(name, "agent") || strings.EqualFold(name, "unknown") {
		return ""
	}
	key, _ := stemma.ParseAgent(name)
	return key
}

// checkpoint reads one checkpoint.
func (r *reading) checkpoint(ctx context.Context, id string) error {
	tree, entries, err := r.find(ctx, id)
	if err := unlessForeign(err); err != nil {
		return err
	}
	if err != nil {
		r.problem("checkpoint %s is not in the repository", id)
		return nil
	}
	r.inputs = append(r.inputs, tree)
	at := "checkpoint " + id
	if err := r.root(ctx, at, entries); err != nil {
		return err
	}
	for i, f := range numbered(entries) {
		if i == maxSessions {
			r.problem("%s: more than %d sessions, the others are not read", at, maxSessions)
			break
		}
		_, entries, err := r.repo.Entries(ctx, f.tree, "")
		if err := unlessForeign(err); err != nil {
			return err
		}
		if err != nil {
			r.problem("%s: session %d: %v", at, f.number, err)
			continue
		}
		if err := r.session(ctx, fmt.Sprintf("%s: session %d", at, f.number), at, entries); err != nil {
			return err
		}
	}
	return nil
}

// folder is that of one session in a checkpoint.
type folder struct {
	number int
	tree   string
}

// numbered gives the folders of sessions by their numbers, which have gaps: 0,
// 2, 3.
func numbered(entries []git.TreeEntry) []folder {
	var folders []folder
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Path); e.Type == "tree" && err == nil && n >= 0 && strconv.Itoa(n) == e.Path {
			folders = append(folders, folder{n, e.ID})
		}
	}
	slices.SortFunc(folders, func(a, b folder) int { return cmp.Compare(a.number, b.number) })
	return folders
}

// find looks for a checkpoint where it may be, the nearest first.
func (r *reading) find(ctx context.Context, id string) (tree string, entries []git.TreeEntry, err error) {
	err = fmt.Errorf("checkpoint %s: %w", id, stemma.ErrNotFound)
	if at, ok := r.refs[id]; ok {
		if tree, entries, err = r.repo.Entries(ctx, at, ""); unlessForeign(err) != nil || err == nil {
			return tree, entries, err
		}
	}
	for _, name := range r.order {
		tree, entries, err = r.repo.Entries(ctx, r.branches[name], id[:2]+"/"+id[2:])
		if unlessForeign(err) != nil || err == nil {
			return tree, entries, err
		}
	}
	return "", nil, err
}

// root reads the metadata of the checkpoint as a whole: which sessions it names
// that have no folder, and in Entire's first versions, which kept a single
// session beside it, the session itself.
func (r *reading) root(ctx context.Context, at string, entries []git.TreeEntry) error {
	i := slices.IndexFunc(entries, func(e git.TreeEntry) bool { return e.Type == "blob" && e.Path == metadataFile })
	if i < 0 {
		r.problem("%s: no %s", at, metadataFile)
		return nil
	}
	m, err := r.metadata(ctx, at, entries[i].ID)
	if err != nil {
		return err
	}
	if m.id != "" {
		return r.session(ctx, at, at, entries)
	}
	if m.counts != nil {
		f := *m.counts
		f.What = at + ", all sessions"
		r.figure(f)
	}
	folders := numbered(entries)
	for _, n := range m.sessions {
		if !slices.ContainsFunc(folders, func(f folder) bool { return f.number == n }) {
			r.problem("%s: session %d is named and is not there", at, n)
		}
	}
	return nil
}

// metadata reads a metadata.json. What can not be read is a problem.
func (r *reading) metadata(ctx context.Context, at, blob string) (metadata, error) {
	b, err := r.repo.Blob(ctx, blob, maxMetadata)
	var m metadata
	if err == nil {
		m, err = readMetadata(b)
	}
	if err := unlessForeign(err); err != nil {
		return m, err
	}
	if err != nil {
		r.problem("%s: %s: %v", at, metadataFile, err)
	}
	return m, nil
}

// session reads the folder of one session.
func (r *reading) session(ctx context.Context, at, checkpoint string, entries []git.TreeEntry) error {
	var m metadata
	var chunks []git.TreeEntry
	blob := ""
	for _, e := range entries {
		switch {
		case e.Type != "blob":
		case e.Path == metadataFile:
			blob = e.ID
		case e.Path == transcriptFile || strings.HasPrefix(e.Path, transcriptFile+"."):
			chunks = append(chunks, e) // full.jsonl, full.jsonl.001: in git's order
		}
	}
	var err error
	if blob == "" {
		r.problem("%s: no %s", at, metadataFile)
	} else if m, err = r.metadata(ctx, at, blob); err != nil {
		return err
	}
	t, err := r.transcript(ctx, at, chunks, m.start)
	if err != nil {
		return err
	}
	s := notes.Session{ID: cmp.Or(m.id, t.session), Agent: agentOf(m.agent), Strength: declared(methodCheckpoint)}
	if t.agent != "" {
		if s.Agent != "" && s.Agent != t.agent {
			r.problem("%s: the agent is said to be %q, its transcript is that of %s", at, notes.Clip(m.agent), stemma.AgentName(t.agent))
		}
		s.Agent, s.AgentVersion = t.agent, t.version
	}
	r.edits.add(s, t.edits)
	if m.counts != nil {
		f := *m.counts
		f.What, f.Session = checkpoint, s.ID
		r.figure(f)
	}
	if s.ID == "" && s.Agent == "" && len(t.models) == 0 {
		return nil // nothing is left of it
	}
	if m.model != "" && len(t.models) == 0 {
		if model := stemma.ParseModel(m.model); model.Known() {
			t.models = []stemma.Model{model}
		}
	}
	if len(t.models) == 0 {
		t.models = []stemma.Model{{}}
	}
	for _, model := range t.models {
		s.Model = model
		r.add(s)
	}
	return nil
}

// figure adds a count unless the same is there: a checkpoint of several
// sessions has one count and repeats it with each.
func (r *reading) figure(f notes.Figure) {
	if !slices.ContainsFunc(r.evidence.Figures, func(have notes.Figure) bool {
		have.Session = f.Session
		return have == f
	}) {
		r.evidence.Figures = append(r.evidence.Figures, f)
	}
}
