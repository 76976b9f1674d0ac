package attest

import (
	"github.com/stemma-dev/stemma"
)

// Review is a verdict on an exact head commit against an exact base, and what
// was shown to who gave it.
type Review struct {
	Metadata
	Repository string       `json:"repository"` // key of the repository node
	Change     string       `json:"change"`     // key of the change node
	ID         string       `json:"id"`         // of the review, as the forge has it
	Verdict    string       `json:"verdict"`    // approved, changes-requested, commented, dismissed
	By         Party        `json:"by"`
	Head       string       `json:"head"`        // commit that was reviewed
	Base       string       `json:"base"`        // commit that it was compared with
	Round      int          `json:"round"`       // of the reviews of this change by anybody, from 1
	Shown      *Shown       `json:"shown"`       // null where nobody can tell
	Dismissed  *string      `json:"dismissedAt"` // when the forge made it void; null while it counts
	Code       bool         `json:"codeOwner"`   // given as owner of some of the paths
	Content    []Commitment `json:"content,omitempty"`
}

// Party is who did something: a person, a session of an agent, or a bot.
type Party struct {
	Kind string `json:"kind"` // person, session, bot
	ID   string `json:"id"`   // pseudonym of a person, key of a session, name of a bot
}

// Shown is what the reviewer was shown.
type Shown struct {
	Diff      string   `json:"diffDigest"`    // hex SHA-256 of the difference as shown
	Truncated []string `json:"truncated"`     // paths that were cut or left out
	Summary   string   `json:"summaryDigest"` // hex SHA-256 of a summary made for the reviewer; "" where there was none
}

func (p Party) check(c *check, path string) {
	path = c.quiet(path)
	c.oneOf(path+"/kind", p.Kind, "person", "session", "bot")
	c.text(path+"/id", p.ID)
}

func (r Review) check(c *check) {
	r.Metadata.check(c, "")
	c.text("/repository", r.Repository)
	c.text("/change", r.Change)
	c.text("/id", r.ID)
	c.oneOf("/verdict", r.Verdict, "approved", "changes-requested", "commented", "dismissed")
	r.By.check(c, "/by")
	c.oid("/head", r.Head)
	c.oid("/base", r.Base)
	c.need(r.Round >= 1, "/round", "want 1 or more")
	if s := r.Shown; s != nil {
		c.sha256("/shown/diffDigest", s.Diff)
		c.texts("/shown/truncated", s.Truncated)
		if s.Summary != "" {
			c.sha256("/shown/summaryDigest", s.Summary)
		}
	}
	c.timeOf("/dismissedAt", r.Dismissed)
	c.commitments("/content", r.Content)
}

// Change is the state of a pull or merge request, or of a push.
type Change struct {
	Metadata
	Repository string       `json:"repository"`
	ID         string       `json:"id"`    // key of the change node
	State      string       `json:"state"` // open, merged, closed
	Into       string       `json:"into"`  // full name of the ref
	Head       string       `json:"head"`
	Base       string       `json:"base"`
	Merged     string       `json:"merged"`  // commit that brought it into the ref; "" until then
	Method     string       `json:"method"`  // merge, squash, rebase, fast-forward, push; "" until merged
	Commits    []string     `json:"commits"` // as pushed, in the forge's order
	Author     Party        `json:"author"`
	MergedBy   *Party       `json:"mergedBy"`          // null until merged
	Tickets    []string     `json:"tickets,omitempty"` // keys that it names
	Queue      string       `json:"queue,omitempty"`   // commit that a merge queue tested in its place
	Content    []Commitment `json:"content,omitempty"`
}

func (h Change) check(c *check) {
	h.Metadata.check(c, "")
	c.text("/repository", h.Repository)
	c.text("/id", h.ID)
	c.oneOf("/state", h.State, "open", "merged", "closed")
	c.text("/into", h.Into)
	c.oid("/head", h.Head)
	c.oid("/base", h.Base)
	if h.State == "merged" {
		c.oid("/merged", h.Merged)
		c.oneOf("/method", h.Method, "merge", "squash", "rebase", "fast-forward", "push")
	} else {
		c.need(h.Merged == "", "/merged", "a change that is not merged has none")
		c.need(h.Method == "", "/method", "a change that is not merged has none")
	}
	for i, id := range h.Commits {
		c.oid(c.item("/commits", i), id)
	}
	h.Author.check(c, "/author")
	if h.MergedBy != nil {
		h.MergedBy.check(c, "/mergedBy")
	}
	c.texts("/tickets", h.Tickets)
	if h.Queue != "" {
		c.oid("/queue", h.Queue)
	}
	c.commitments("/content", h.Content)
}

// Ticket is the state of a unit of planned work in a tracker.
type Ticket struct {
	Metadata
	Tracker      string          `json:"tracker"` // host or name
	Key          string          `json:"key"`     // as people write it: "PAY-12"
	ID           string          `json:"id"`      // the tracker's own, which never changes
	Kind         string          `json:"kind"`    // the tracker's word: "bug", "story"
	State        string          `json:"state"`   // open, doing, done, dropped
	Status       string          `json:"status"`  // the tracker's word for the state
	TaskType     stemma.TaskType `json:"taskType,omitempty"`
	Requirements []string        `json:"requirements,omitempty"` // keys of requirement nodes it refines
	Creator      *Party          `json:"creator"`                // null where not known
	Assignees    []Party         `json:"assignees,omitempty"`
	Content      []Commitment    `json:"content,omitempty"`
}

func (t Ticket) check(c *check) {
	t.Metadata.check(c, "")
	c.text("/tracker", t.Tracker)
	c.text("/key", t.Key)
	c.text("/id", t.ID)
	c.text("/kind", t.Kind)
	c.oneOf("/state", t.State, "open", "doing", "done", "dropped")
	c.text("/status", t.Status)
	if t.TaskType != "" {
		c.oneOf("/taskType", string(t.TaskType), taskTypes...)
	}
	c.texts("/requirements", t.Requirements)
	if t.Creator != nil {
		t.Creator.check(c, "/creator")
	}
	for i, p := range t.Assignees {
		p.check(c, c.item("/assignees", i))
	}
	c.commitments("/content", t.Content)
}

var taskTypes = []string{
	string(stemma.TaskFeature), string(stemma.TaskBugfix), string(stemma.TaskSecurity), string(stemma.TaskRefactor),
	string(stemma.TaskTest), string(stemma.TaskDocs), string(stemma.TaskChore), string(stemma.TaskMigration),
	string(stemma.TaskPerformance),
}

// Requirement is the state of a business need: an epic of a tracker, or a file
// of a repository.
type Requirement struct {
	Metadata
	Key     string       `json:"key"`               // of the requirement node
	State   string       `json:"state"`             // proposed, accepted, met, dropped
	Tracker string       `json:"tracker,omitempty"` // where an epic has it
	File    *FileAt      `json:"file"`              // where a file has it, else null
	Parent  string       `json:"parent,omitempty"`  // key of the requirement that it is part of
	Content []Commitment `json:"content,omitempty"`
}

// FileAt is a file of a commit.
type FileAt struct {
	Repository string `json:"repository"`
	Commit     string `json:"commit"`
	Path       string `json:"path"`
}

func (r Requirement) check(c *check) {
	r.Metadata.check(c, "")
	c.text("/key", r.Key)
	c.oneOf("/state", r.State, "proposed", "accepted", "met", "dropped")
	c.need((r.Tracker != "") != (r.File != nil), "/file", "a requirement is in a tracker or in a file")
	c.optional("/tracker", r.Tracker)
	if f := r.File; f != nil {
		c.text("/file/repository", f.Repository)
		c.oid("/file/commit", f.Commit)
		c.text("/file/path", f.Path)
	}
	c.optional("/parent", r.Parent)
	c.commitments("/content", r.Content)
}
