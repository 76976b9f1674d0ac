package stemma

// Class says who wrote a line. Unknown is a value of its own and is never
// folded into human.
type Class string

// The classes of a line.
const (
	ClassAI        Class = "ai"        // a session wrote it
	ClassAIEdited  Class = "ai-edited" // a session and a person both wrote at it; both owners are kept
	ClassHuman     Class = "human"     // a person wrote it
	ClassGenerated Class = "generated" // a tool that is no AI wrote it: lock files, generated code
	ClassUnknown   Class = "unknown"   // nothing tells
)

// Classes holds all classes in the order in which they are shown.
var Classes = []Class{ClassAI, ClassAIEdited, ClassHuman, ClassGenerated, ClassUnknown}

// Valid reports whether c is one of the classes.
func (c Class) Valid() bool {
	switch c {
	case ClassAI, ClassAIEdited, ClassHuman, ClassGenerated, ClassUnknown:
		return true
	default:
		return false
	}
}

// Lines counts lines by class.
type Lines struct {
	AI        int `json:"ai"`
	AIEdited  int `json:"ai_edited"`
	Human     int `json:"human"`
	Generated int `json:"generated"`
	Unknown   int `json:"unknown"`
}

// Added is the number of all lines counted.
func (l Lines) Added() int { return l.AI + l.AIEdited + l.Human + l.Generated + l.Unknown }

// Of is the number of lines of one class; 0 for a class that is not valid.
func (l Lines) Of(c Class) int {
	if p := l.at(c); p != nil {
		return *p
	}
	return 0
}

// Count adds n lines of class c. A class that is not valid counts as unknown,
// so that no line is ever lost.
func (l *Lines) Count(c Class, n int) {
	if p := l.at(c); p != nil {
		*p += n
		return
	}
	l.Unknown += n
}

// Plus is the sum of both counts.
func (l Lines) Plus(m Lines) Lines {
	for _, c := range Classes {
		l.Count(c, m.Of(c))
	}
	return l
}

func (l *Lines) at(c Class) *int {
	switch c {
	case ClassAI:
		return &l.AI
	case ClassAIEdited:
		return &l.AIEdited
	case ClassHuman:
		return &l.Human
	case ClassGenerated:
		return &l.Generated
	case ClassUnknown:
		return &l.Unknown
	default:
		return nil
	}
}

// Written is the number of lines that somebody or something wrote on purpose:
// all but generated ones. It is what a share is a share of.
func (l Lines) Written() int { return l.Added() - l.Generated }

// AIShare bounds the share of AI lines (ai and ai-edited) in Written, each
// between 0 and 1: low counts every unknown line as a person's, high counts
// every unknown line as AI's. ok is false where nothing was written.
func (l Lines) AIShare() (low, high float64, ok bool) {
	written := l.Written()
	if written == 0 {
		return 0, 0, false
	}
	ai := l.AI + l.AIEdited
	return float64(ai) / float64(written), float64(ai+l.Unknown) / float64(written), true
}

// Purpose says why a commit was made.
type Purpose string

// The purposes.
const (
	PurposeInitial     Purpose = "initial"
	PurposeReviewFix   Purpose = "review-fix"
	PurposeCIFix       Purpose = "ci-fix"
	PurposeSecurityFix Purpose = "security-fix"
	PurposeIncidentFix Purpose = "incident-fix"
	PurposeRevert      Purpose = "revert"
	PurposeRefactor    Purpose = "refactor"
)

// TaskType says what sort of work a change or a session did.
type TaskType string

// The task types.
const (
	TaskFeature     TaskType = "feature"
	TaskBugfix      TaskType = "bugfix"
	TaskSecurity    TaskType = "security"
	TaskRefactor    TaskType = "refactor"
	TaskTest        TaskType = "test"
	TaskDocs        TaskType = "docs"
	TaskChore       TaskType = "chore"
	TaskMigration   TaskType = "migration"
	TaskPerformance TaskType = "performance"
)
