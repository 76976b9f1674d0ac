package lineage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
)

// Survival is how long lines stood, by who wrote them. It is the field half_life
// of stemma.alive/v1.
//
// The method is that of Kaplan and Meier. Every commit since the first month
// with a line of AI is a cohort: the lines it added, by class. Of the default
// first-parent line the last commit of each month is blamed, so that it is known
// how many lines of each cohort still stand there; lines that are gone at a
// snapshot count as gone at its date, those that stand at the last one as not
// observed any further. A line is observed from the first snapshot that its
// commit is part of. Lines that are only moved to another file count as gone, as
// for git blame; generated lines do not count at all.
type Survival struct {
	From      string       `json:"from"` // commits after this time are observed
	To        string       `json:"to"`
	Snapshots []Snapshot   `json:"snapshots"`
	Groups    []Survivors  `json:"groups"` // AI lines, other lines, then each class
	Unknown   string       `json:"unknown,omitempty"`
	Least     SurvivalRule `json:"least"`
}

// SurvivalRule is how much must be observed for a half-life to be stated: at its
// age so many lines, of so many commits, must still have been under observation.
type SurvivalRule struct {
	Lines   int `json:"lines"`
	Commits int `json:"commits"`
	Days    int `json:"days"`
}

// leastObserved keeps a few lines of a few days from stating anything.
var leastObserved = SurvivalRule{Lines: 100, Commits: 10, Days: 60}

// Snapshot is a revision at which the lines were counted.
type Snapshot struct {
	Commit string `json:"commit"`
	Time   string `json:"time"`
}

// Survivors is how long the lines of one group stood.
type Survivors struct {
	Name    string `json:"name"`
	Commits int    `json:"commits"`
	Lines   int    `json:"lines"`
	Gone    int    `json:"gone"` // by the last snapshot
	// HalfLife is the age in days at which half of the lines are gone; null where
	// the time observed does not tell.
	HalfLife *int `json:"half_life_days"`
	// Observed is the greatest age in days at which enough was observed, and
	// Standing the share of the lines that reach it.
	Observed int             `json:"observed_days"`
	Standing *float64        `json:"standing_share"`
	Curve    []SurvivalPoint `json:"curve"`
}

// SurvivalPoint is the share of lines that reach an age.
type SurvivalPoint struct {
	Days   int     `json:"days"`
	Share  float64 `json:"share"`
	AtRisk int     `json:"at_risk"` // lines under observation at this age
}

// mostSnapshots bounds the revisions that are blamed; of a longer time every
// second month is, and so on.
const mostSnapshots = 24

// Survive tells how long lines stood in the history of a revision. Of the query
// it takes Commit, Known, Workers and Progress; kept is as of Stand. Where too
// little was observed for anything, Unknown says so and there are no groups.
func Survive(ctx context.Context, g Graph, q StandQuery) (s Survival, kept []byte, err error) {
	x, err := newSurvival(ctx, g, q)
	if err != nil {
		return Survival{}, nil, fmt.Errorf("survival of lines: %w", err)
	}
	if x.out.Unknown != "" {
		return x.out, nil, nil
	}
	for i := range x.snapshots {
		if err := x.snapshot(ctx, i); err != nil {
			return Survival{}, nil, fmt.Errorf("survival of lines: %w", err)
		}
	}
	return x.finish(), x.known.encode(), nil
}

// surviving is one call of Survive.
type surviving struct {
	Graph
	q     StandQuery
	out   Survival
	known *blameCache

	snapshots []moment
	base      string          // commits that it reaches are not observed; "" is none
	before    map[string]bool // those
	cohorts   map[string]*cohort
	rowsOf    map[string]stemma.Attribution
}

type moment struct {
	commit string
	time   int64
}

// cohort is the lines of one commit.
type cohort struct {
	time  int64
	lines stemma.Lines // that it added
	// seen are the lines that stand at the snapshots from the first one on that
	// the commit is part of.
	first int
	seen  []stemma.Lines
}

func newSurvival(ctx context.Context, g Graph, q StandQuery) (*surviving, error) {
	if q.Workers <= 0 {
		q.Workers = 2
	}
	if q.Progress == nil {
		q.Progress = func(string, int, int) {}
	}
	x := &surviving{
		Graph: g, q: q, known: decodeBlameCache(q.Known), before: make(map[string]bool),
		cohorts: make(map[string]*cohort), rowsOf: make(map[string]stemma.Attribution),
		out: Survival{Snapshots: []Snapshot{}, Groups: []Survivors{}, Least: leastObserved},
	}
	in := make(map[string]bool)
	for c, err := range g.Repo.History(ctx, git.HistoryQuery{Tips: []string{q.Commit}, NoMessages: true}) {
		if err != nil {
			return nil, err
		}
		in[c.ID] = true
	}
	var began int64
	for row, err := range g.Store.AllAttributions(ctx) {
		if err != nil {
			return nil, err
		}
		if !in[row.Commit] {
			continue
		}
		x.cohorts[row.Commit] = &cohort{time: row.Time, lines: row.Lines, first: -1}
		if row.Lines.AI+row.Lines.AIEdited > 0 && (began == 0 || row.Time < began) {
			began = row.Time
		}
	}
	if began == 0 {
		x.out.Unknown = "no line of AI was ever added"
		return x, nil
	}
	return x, x.choose(ctx, began)
}

// choose finds the snapshots: the last commits of months, on the first-parent
// line, from the month on in which AI began.
func (x *surviving) choose(ctx context.Context, began int64) error {
	var line []moment // newest first
	for c, err := range x.Repo.History(ctx, git.HistoryQuery{Tips: []string{x.q.Commit}, FirstParent: true, NoMessages: true}) {
		if err != nil {
			return err
		}
		line = append(line, moment{c.ID, c.Committer.Time})
	}
	if len(line) == 0 {
		return fmt.Errorf("commit %s: %w", x.q.Commit, stemma.ErrNotFound)
	}
	last := func(before int64) (moment, bool) {
		i := slices.IndexFunc(line, func(m moment) bool { return m.time < before })
		if i < 0 {
			return moment{}, false
		}
		return line[i], true
	}
	t := time.Unix(began, 0).UTC()
	month := time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
	x.out.From, x.out.To = Time(month.Unix()), Time(line[0].time)
	if m, ok := last(month.Unix()); ok {
		x.base = m.commit
	}
	var all []moment
	for at := month.AddDate(0, 1, 0); at.Unix() < line[0].time; at = at.AddDate(0, 1, 0) {
		if m, ok := last(at.Unix()); ok && m.commit != x.base && (len(all) == 0 || all[len(all)-1].commit != m.commit) {
			// It is the state at the end of the month, whenever it was committed.
			all = append(all, moment{m.commit, at.Unix()})
		}
	}
	for step := 1; ; step++ {
		x.snapshots = x.snapshots[:0]
		for i := len(all) - 1; i >= 0; i -= step {
			x.snapshots = append(x.snapshots, all[i])
		}
		if len(x.snapshots) < mostSnapshots {
			break
		}
	}
	slices.Reverse(x.snapshots)
	x.snapshots = append(x.snapshots, line[0])
	for _, m := range x.snapshots {
		x.out.Snapshots = append(x.out.Snapshots, Snapshot{m.commit, Time(m.time)})
	}
	if days := int((line[0].time - month.Unix()) / day); days < leastObserved.Days {
		x.out.Unknown = fmt.Sprintf("observed for %d days, less than %d", days, leastObserved.Days)
		return nil
	}
	if x.base == "" {
		return nil
	}
	for c, err := range x.Repo.History(ctx, git.HistoryQuery{Tips: []string{x.base}, NoMessages: true}) {
		if err != nil {
			return err
		}
		x.before[c.ID] = true
		delete(x.cohorts, c.ID)
	}
	return nil
}

const day = 24 * 60 * 60

// snapshot counts what stands at one revision, by commit and class.
func (x *surviving) snapshot(ctx context.Context, n int) error {
	at := x.snapshots[n]
	x.q.Progress("read snapshots", n, len(x.snapshots))
	var paths []string
	for e, err := range x.Repo.Tree(ctx, at.commit, true) {
		if err != nil {
			return err
		}
		if e.Type == "blob" {
			paths = append(paths, e.Path)
		}
	}
	h := newHistory()
	made, err := h.read(ctx, x.Repo, at.commit, paths, func(string, int, int) {})
	if err != nil {
		return err
	}
	for _, c := range h.order {
		if c, ok := x.cohorts[c.id]; ok && c.first < 0 {
			c.first = n
		}
	}
	for _, c := range x.cohorts {
		if c.first >= 0 {
			c.seen = append(c.seen, stemma.Lines{})
		}
	}
	runs, err := x.blame(ctx, n, paths, made)
	if err != nil {
		return err
	}
	if err := x.needRows(ctx, runs); err != nil {
		return err
	}
	for _, run := range runs {
		c, ok := x.cohorts[run.Commit]
		if !ok || c.first < 0 {
			continue
		}
		row := x.rowsOf[run.Commit]
		for line := run.OrigLine; line < run.OrigLine+run.Count; line++ {
			class, _ := ownerAt(&row, run.OrigPath, line)
			c.seen[n-c.first].Count(class, 1)
		}
	}
	return nil
}

// blame gives where the lines of these files come from, as far as that is
// observed.
func (x *surviving) blame(ctx context.Context, n int, paths, made []string) (runs []git.BlameRun, err error) {
	type question struct {
		key  blameKey
		runs []git.BlameRun
		err  error
	}
	var until []string
	zone := "since " + x.base
	if x.base != "" {
		until = []string{x.base}
	}
	var ask []question
	for i, path := range paths {
		if x.before[made[i]] {
			continue
		}
		q := question{key: blameKey{commit: made[i], path: path, zone: zone}}
		if known, ok := x.known.runs(q.key); ok {
			runs = append(runs, known...)
			continue
		}
		ask = append(ask, q)
	}
	stage := fmt.Sprintf("blame snapshot %d of %d", n+1, len(x.snapshots))
	done := 0
	err = inParallel(ctx, x.q.Workers, ask, func(ctx context.Context, q question) question {
		q.runs, q.err = x.Repo.BlameRuns(ctx, q.key.commit, q.key.path, until)
		return q
	}, func(q question) error {
		done++
		x.q.Progress(stage, done, len(ask))
		switch {
		case errors.Is(q.err, stemma.ErrNotFound), errors.Is(q.err, stemma.ErrInvalid):
			return nil // its lines can not be told: they count as gone, if any were added
		case q.err != nil:
			return q.err
		}
		x.known.setRuns(q.key, q.runs)
		runs = append(runs, q.runs...)
		return nil
	})
	return runs, err
}

func (x *surviving) needRows(ctx context.Context, runs []git.BlameRun) error {
	missing := make(map[string]bool)
	for _, run := range runs {
		if _, ok := x.rowsOf[run.Commit]; !ok && x.cohorts[run.Commit] != nil {
			missing[run.Commit] = true
		}
	}
	ids := make([]string, 0, len(missing))
	for id := range missing {
		ids = append(ids, id)
	}
	rows, err := x.rows(ctx, ids)
	if err != nil {
		return err
	}
	for id, row := range rows {
		x.rowsOf[id] = row
	}
	return nil
}

// finish estimates the survival of each group.
func (x *surviving) finish() Survival {
	for _, group := range []struct {
		name    string
		classes []stemma.Class
	}{
		{"ai, ai-edited", []stemma.Class{stemma.ClassAI, stemma.ClassAIEdited}},
		{"human, unknown", []stemma.Class{stemma.ClassHuman, stemma.ClassUnknown}},
		{"ai", []stemma.Class{stemma.ClassAI}},
		{"ai-edited", []stemma.Class{stemma.ClassAIEdited}},
		{"human", []stemma.Class{stemma.ClassHuman}},
		{"unknown", []stemma.Class{stemma.ClassUnknown}},
	} {
		x.out.Groups = append(x.out.Groups, x.survivors(group.name, group.classes))
	}
	return x.out
}

func (x *surviving) survivors(name string, classes []stemma.Class) Survivors {
	out := Survivors{Name: name, Curve: []SurvivalPoint{}}
	of := func(l stemma.Lines) (n int) {
		for _, c := range classes {
			n += l.Of(c)
		}
		return n
	}
	var seen []observation
	for _, c := range x.cohorts {
		n := of(c.lines)
		if c.first < 0 || n == 0 {
			continue
		}
		out.Commits++
		out.Lines += n
		standing := n
		for i, s := range c.seen {
			// A line that comes back was never gone for good; it is not counted twice.
			now := min(standing, of(s))
			age := max(0, int((x.snapshots[c.first+i].time-c.time)/day))
			o := observation{age: age, gone: standing - now}
			if i == len(c.seen)-1 {
				o.left, o.commits = now, 1
			}
			seen = append(seen, o)
			standing = now
		}
		out.Gone += n - standing
	}
	estimate(&out, seen)
	return out
}

// observation is what was seen of a cohort at one age: lines that are gone, and
// lines that were followed no further.
type observation struct{ age, gone, left, commits int }

// estimate draws the curve of Kaplan and Meier.
func estimate(out *Survivors, seen []observation) {
	slices.SortFunc(seen, func(a, b observation) int { return cmp.Compare(a.age, b.age) })
	atRisk, commits, share := out.Lines, out.Commits, 1.0
	for i := 0; i < len(seen); {
		age, gone, left, ended := seen[i].age, 0, 0, 0
		for ; i < len(seen) && seen[i].age == age; i++ {
			gone += seen[i].gone
			left += seen[i].left
			ended += seen[i].commits
		}
		enough := atRisk >= leastObserved.Lines && commits >= leastObserved.Commits
		if gone > 0 && atRisk > 0 {
			share *= 1 - float64(gone)/float64(atRisk)
		}
		if enough {
			out.Observed = age
			standing := share
			out.Standing = &standing
			out.Curve = append(out.Curve, SurvivalPoint{Days: age, Share: share, AtRisk: atRisk})
			if share <= 0.5 && out.HalfLife == nil {
				out.HalfLife = &age
			}
		}
		atRisk -= gone + left
		commits -= ended
	}
}
