package lineage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
)

// StandQuery chooses what of a revision is counted, and how.
type StandQuery struct {
	Commit string // full id
	// By is how lines are grouped: "directory", "model", "agent", or "" for the
	// total alone.
	By    string
	Depth int    // how many folders of a path make a directory group; 0 is 1
	Path  string // only what PathMatcher says of it; "" is everything
	// Known is what an earlier call gave to be kept, of any revision of the same
	// repository. What cannot be read of it is made anew.
	Known []byte
	// Workers is how many git processes blame side by side; 0 is 2.
	Workers int
	// Progress is told how far the call is, from one goroutine at a time; nil is
	// nobody.
	Progress func(stage string, done, total int)
}

// Standing is who wrote the lines that stand at a revision. It is what
// `stemma stats --alive --json` gives (schema stemma.alive/v1).
type Standing struct {
	Repository string         `json:"repository"`
	Commit     string         `json:"commit"`
	Time       string         `json:"time"` // of the commit
	By         string         `json:"by,omitempty"`
	Total      StandGroup     `json:"total"`
	Groups     []StandGroup   `json:"groups"`
	Unknown    map[string]int `json:"unknown_lines_by_reason"`
	Files      StandFiles     `json:"files"`
}

// StandGroup is what stands of one group. Groups by model or agent hold the
// lines of that owner alone, so that their shares say nothing; AI is null.
type StandGroup struct {
	Name      string `json:"name"`
	Files     int    `json:"files"`
	Lines     Lines  `json:"lines"` // added is how many stand
	Candidate int    `json:"candidate_lines"`
	AI        *Share `json:"ai_share"`
}

// StandFiles says how the files of the revision were counted.
type StandFiles struct {
	Text int `json:"text"`
	// Binary files have no lines; submodules are no files.
	Binary int `json:"binary"`
	// ByRule counts the files of which every line has one class whoever wrote
	// it, because nothing that touched the file says otherwise. Known ones were
	// blamed by an earlier call, Blamed ones now.
	ByRule int `json:"by_rule"`
	Known  int `json:"known"`
	Blamed int `json:"blamed"`
	// Unreadable are files whose lines could not be told. They are not counted.
	Unreadable []UnreadableFile `json:"unreadable"`
}

// UnreadableFile is a file whose lines could not be told.
type UnreadableFile struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// Stand counts the lines that stand at a revision by who wrote them, as Blame
// tells of each line, without blaming every file: a file that no evidence ever
// touched is counted by the rule that its lines fall under, and what an earlier
// call has blamed is not blamed again. kept is to be given to the next call; it
// is nil where it would be the same.
//
// The error is of kind ErrNotFound where the commit, or a tree of its history,
// is not in the repository.
func Stand(ctx context.Context, g Graph, q StandQuery) (s Standing, kept []byte, err error) {
	st, err := newStanding(ctx, g, q)
	if err != nil {
		return Standing{}, nil, err
	}
	for _, step := range []func(context.Context) error{st.list, st.trace, st.measure, st.blame, st.count} {
		if err := step(ctx); err != nil {
			return Standing{}, nil, fmt.Errorf("lines that stand at %s: %w", q.Commit, err)
		}
	}
	return st.finish(), st.known.encode(), nil
}

// standing is one call of Stand.
type standing struct {
	Graph
	q     StandQuery
	out   Standing
	known *blameCache

	files   []*standFile
	history *history
	unread  map[string]string

	total  stemma.Lines
	may    int // candidate lines
	groups map[string]*StandGroup
}

// standFile is a file of the revision.
type standFile struct {
	path, blob string
	lines      int
	class      fact           // of every line, where it is one
	runs       []git.BlameRun // else
	zone       []string       // at which the blame ended
	key        blameKey
}

func newStanding(ctx context.Context, g Graph, q StandQuery) (*standing, error) {
	switch q.By {
	case "", "directory", "model", "agent":
	default:
		return nil, fmt.Errorf("group by %q: want directory, model or agent: %w", q.By, stemma.ErrInvalid)
	}
	c, err := g.Repo.Commit(ctx, q.Commit)
	if err != nil {
		return nil, err
	}
	if q.Workers <= 0 {
		q.Workers = 2
	}
	if q.Progress == nil {
		q.Progress = func(string, int, int) {}
	}
	return &standing{
		Graph: g, q: q, known: decodeBlameCache(q.Known), groups: make(map[string]*StandGroup), unread: make(map[string]string),
		out: Standing{
			Repository: g.Repository, Commit: q.Commit, Time: Time(c.Committer.Time), By: q.By,
			Groups: []StandGroup{}, Unknown: make(map[string]int), Files: StandFiles{Unreadable: []UnreadableFile{}},
		},
	}, nil
}

// list finds the files of the revision.
func (s *standing) list(ctx context.Context) error {
	within, err := PathMatcher(s.q.Path)
	if err != nil {
		return err
	}
	for e, err := range s.Repo.Tree(ctx, s.q.Commit, true) {
		if err != nil {
			return err
		}
		if e.Type == "blob" && (s.q.Path == "" || within(e.Path)) {
			s.files = append(s.files, &standFile{path: e.Path, blob: e.ID})
		}
	}
	return nil
}

// trace goes through the history once, to find for each file what touched it,
// and the commit at which its content came to be.
func (s *standing) trace(ctx context.Context) error {
	s.history = newHistory()
	if err := s.history.readRows(ctx, s.Store); err != nil {
		return err
	}
	paths := make([]string, len(s.files))
	for i, f := range s.files {
		paths[i] = f.path
	}
	made, err := s.history.read(ctx, s.Repo, s.q.Commit, paths, s.q.Progress)
	if err != nil {
		return err
	}
	for i, f := range s.files {
		f.key = blameKey{commit: made[i], path: f.path}
		facts := s.history.of(f.path)
		if facts.one() {
			f.class = facts
			continue
		}
		// A path that was generated under another name is asked for as a whole:
		// what is older than the rules' zone would be counted under one name.
		if facts&factGenerated == 0 {
			f.zone = s.history.zone
			f.key.zone = s.history.zoneDigest
			if s.history.inZone(made[i]) {
				f.class = s.history.zoneFact
			}
		}
	}
	return nil
}

// maxStandFile bounds a file whose lines are counted, bytes.
const maxStandFile = 256 << 20

// measure counts the lines of each file.
func (s *standing) measure(ctx context.Context) error {
	text := s.files[:0]
	for i, f := range s.files {
		size, ok := s.known.size(f.blob)
		if !ok {
			s.q.Progress("count lines", i, len(s.files))
			content, err := s.Repo.Blob(ctx, f.blob, maxStandFile)
			switch {
			case errors.Is(err, stemma.ErrNotFound), errors.Is(err, stemma.ErrInvalid):
				s.unread[f.path] = err.Error()
				continue
			case err != nil:
				return err
			}
			size = sizeOf(content)
			s.known.setSize(f.blob, size)
		}
		if size.binary {
			s.out.Files.Binary++
			continue
		}
		f.lines = size.lines
		text = append(text, f)
	}
	s.files = text
	return nil
}

// blame asks git for the files that no rule decides.
func (s *standing) blame(ctx context.Context) error {
	var ask []*standFile
	for _, f := range s.files {
		if f.class != 0 || f.lines == 0 {
			s.out.Files.ByRule++
			continue
		}
		if runs, ok := s.known.runs(f.key); ok {
			s.out.Files.Known++
			f.runs = runs
			continue
		}
		ask = append(ask, f)
	}
	type answer struct {
		file *standFile
		runs []git.BlameRun
		err  error
	}
	done := 0
	err := inParallel(ctx, s.q.Workers, ask, func(ctx context.Context, f *standFile) answer {
		runs, err := s.Repo.BlameRuns(ctx, f.key.commit, f.path, f.zone)
		return answer{f, runs, err}
	}, func(a answer) error {
		done++
		s.q.Progress("blame", done, len(ask))
		switch {
		case errors.Is(a.err, stemma.ErrNotFound), errors.Is(a.err, stemma.ErrInvalid):
			s.unread[a.file.path] = a.err.Error()
			return nil
		case a.err != nil:
			return a.err
		}
		s.out.Files.Blamed++
		a.file.runs = a.runs
		s.known.setRuns(a.file.key, a.runs)
		return nil
	})
	return err
}

// count gives each line its class.
func (s *standing) count(ctx context.Context) error {
	commits := make(map[string]bool)
	for _, f := range s.files {
		for _, run := range f.runs {
			if len(f.zone) == 0 || !s.history.inZone(run.Commit) {
				commits[run.Commit] = true
			}
		}
	}
	ids := make([]string, 0, len(commits))
	for id := range commits {
		ids = append(ids, id)
	}
	rows, err := s.rows(ctx, ids)
	if err != nil {
		return err
	}
	for _, f := range s.files {
		if s.unread[f.path] != "" {
			continue
		}
		s.out.Files.Text++
		c := counting{s: s, file: f}
		if f.class != 0 {
			c.by(f.class, f.lines)
		}
		for _, run := range f.runs {
			if len(f.zone) > 0 && s.history.inZone(run.Commit) {
				c.by(s.history.zoneFact, run.Count)
				continue
			}
			c.run(run, rows)
		}
		c.done()
	}
	return nil
}

// counting counts the lines of one file.
type counting struct {
	s      *standing
	file   *standFile
	lines  stemma.Lines
	may    int
	owners map[string]bool // groups that own lines of the file
}

// by counts lines that fall under one rule.
func (c *counting) by(f fact, n int) {
	class, reason := f.means()
	c.lines.Count(class, n)
	if reason != "" {
		c.s.out.Unknown[reason] += n
	}
	if reason == ReasonCandidate {
		c.may += n
	}
}

// run counts lines of one commit as Blame does.
func (c *counting) run(run git.BlameRun, rows map[string]stemma.Attribution) {
	row, ok := rows[run.Commit]
	if !ok {
		c.lines.Count(stemma.ClassUnknown, run.Count)
		c.s.out.Unknown[ReasonNotIndexed] += run.Count
		return
	}
	for line := run.OrigLine; line < run.OrigLine+run.Count; line++ {
		class, owner := ownerAt(&row, run.OrigPath, line)
		c.lines.Count(class, 1)
		if class == stemma.ClassUnknown {
			reason := unknownReason(&row, run.OrigPath, line)
			c.s.out.Unknown[reason]++
			if reason == ReasonCandidate {
				c.may++
			}
		}
		if owner >= 0 && row.Owners[owner].Session != "" {
			c.owner(row.Owners[owner], class)
		}
	}
}

// owner counts one line for its owner, where lines are grouped so.
func (c *counting) owner(o stemma.Owner, class stemma.Class) {
	var name string
	switch c.s.q.By {
	case "agent":
		name = o.Agent
	case "model":
		name = modelKey(o)
	default:
		return
	}
	g := total(c.s.groups, name, func() *StandGroup { return &StandGroup{Name: name} })
	g.Lines.Count(class, 1)
	if c.owners == nil {
		c.owners = make(map[string]bool)
	}
	if !c.owners[name] {
		c.owners[name] = true
		g.Files++
	}
}

func (c *counting) done() {
	s := c.s
	s.total = s.total.Plus(c.lines)
	s.may += c.may
	if s.q.By == "directory" {
		name := Path(directory(c.file.path, max(s.q.Depth, 1)))
		g := total(s.groups, name, func() *StandGroup { return &StandGroup{Name: name} })
		g.Files++
		g.Lines.Lines = g.Lines.Plus(c.lines)
		g.Candidate += c.may
	}
}

func (s *standing) finish() Standing {
	out := &s.out
	out.Total = StandGroup{Name: "total", Files: out.Files.Text, Lines: lines(s.total), Candidate: s.may, AI: share(s.total)}
	for _, g := range s.groups {
		g.Lines = lines(g.Lines.Lines)
		if s.q.By == "directory" {
			g.AI = share(g.Lines.Lines)
		}
		out.Groups = append(out.Groups, *g)
	}
	slices.SortFunc(out.Groups, func(a, b StandGroup) int {
		return cmp.Or(cmp.Compare(b.Lines.Added, a.Lines.Added), cmp.Compare(a.Name, b.Name))
	})
	for path, reason := range s.unread {
		out.Files.Unreadable = append(out.Files.Unreadable, UnreadableFile{Path(path), reason})
	}
	slices.SortFunc(out.Files.Unreadable, func(a, b UnreadableFile) int { return cmp.Compare(a.Path, b.Path) })
	return *out
}
