package stemma

// Attribution says who wrote the lines that one commit added. It is stored as
// one compact row for each commit.
//
// Lines.Added() equals the sum of Files[i].Added: attributed lines never
// exceed added ones, by construction.
type Attribution struct {
	Commit string // full hex object id
	Time   int64  // committer time, UTC seconds since 1970
	Merge  bool   // the commit has two or more parents; added then means: differs from every parent

	Lines  Lines   // of all files
	Owners []Owner // who wrote them, or may have; Files refer to them by index
	Files  []FileLines

	// Rest is the class of the added lines of files that are not generated and
	// that no range covers: human where a rule says so, else unknown.
	Rest Class
	// RestOwner is the index of the owner of the rest, or -1.
	RestOwner int

	// Sources tells, for every source that said something of this commit, what
	// it said, whether or not it decided a line.
	Sources []SourceClaim
	// Conflicts counts the lines on which sources that speak of single lines
	// contradict each other. They are unknown, with all claimants as candidates.
	Conflicts int
	// Ambiguous counts the lines that rewrites of two commits give to two owners.
	// They are unknown, with a range of no owner.
	Ambiguous int

	// Algorithm is the version of the rules that made this row.
	Algorithm int
	// Input is the hex SHA-256 over what the row was computed from.
	Input string
	// Unreadable says why the added lines could not be read; "" when they were.
	// Such a commit counts no lines and is listed as not explained.
	Unreadable string
}

// Owner is a session or a person with lines of a commit.
type Owner struct {
	Session      string // key of a session node; "" for a person
	Person       string // key of a person node; "" for a session
	Agent        string // key of the agent node of a session
	AgentVersion string // as reported, or ""
	Model        Model  // zero where no source names one
	Class        Class  // of the lines it owns
	Source       string // who says so
	Strength     Strength
	// ModelStrength is that of the model, where it is another than Strength; else
	// it is zero.
	ModelStrength Strength
	Lines         int // lines of Class that it owns
	Candidate     int // unknown lines it may have written

	// Via is the commit whose evidence names the owner, where this one is a
	// rewrite of it or brings its lines back: full hex object id, else "". The
	// rule that says so is Strength.Method. What took part in that other commit
	// alone is no owner here.
	Via string
	// Gone says that the objects of Via are in the repository no more, so that
	// the lines can not be computed again.
	Gone bool
}

// StrengthOfModel is how strong it is that the owner used its model.
func (o Owner) StrengthOfModel() Strength {
	if o.ModelStrength == (Strength{}) {
		return o.Strength
	}
	return o.ModelStrength
}

// FileLines is what a commit added to one file, by its path after the commit.
// Paths are bytes, not text: they may hold anything but NUL.
type FileLines struct {
	Path      string
	Added     int
	Generated bool // the path is generated: its added lines are of that class
	// Whole says that one owner has every added line: the single range then has
	// Start 1 and End 0 and means "all lines that the commit added here".
	Whole  bool
	Ranges []OwnedRange // sorted, not overlapping, all of them added lines
}

// OwnedRange is a run of lines of a file after the commit, 1-based, inclusive.
type OwnedRange struct {
	Start, End int
	Owner      int   // index into Owners
	Class      Class // unknown where claimants contradict each other
}

// SourceClaim is what one source said of a commit, after it was intersected
// with the lines that the commit added.
type SourceClaim struct {
	Source  string
	Lines   Lines // lines the source gives to a class; what it leaves open is not counted
	Outside int   // lines the source claimed that the commit did not add
	Alone   int   // lines no other source speaks of
	Agree   int   // lines on which another source says the same class and agent
	Differ  int   // lines on which another source says otherwise
	Took    int   // sessions it says took part, without saying which lines are theirs
	Problem string
}
