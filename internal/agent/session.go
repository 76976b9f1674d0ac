package agent

import (
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
)

// Session is one run of an agent with its own context, or the part of one that
// a reading gave.
type Session struct {
	Agent   string `json:"agent"`             // key of the agent
	ID      string `json:"id"`                // the agent's own; any bytes that are UTF-8
	Version string `json:"version,omitempty"` // of the tool, the last that was seen
	Title   string `json:"title,omitempty"`   // as the tool shows it
	// Parent is the session that spawned this one, nil where the transcript
	// names none.
	Parent *Parent   `json:"parent,omitempty"`
	Base   Base      `json:"base,omitzero"`
	Start  time.Time `json:"start,omitzero"`
	End    time.Time `json:"end,omitzero"`
	Turns  []*Turn   `json:"turns,omitempty"` // by index
	// Compactions are the places where the agent replaced its context by a
	// summary, in order.
	Compactions []Compaction `json:"compactions,omitempty"`
	// Team is nil where the transcript names none; Messages are in order.
	Team     *Team     `json:"team,omitempty"`
	Messages []Message `json:"messages,omitempty"`
	// Changes are the pull requests that the tool itself noted, by URL.
	Changes []string `json:"changes,omitempty"`
	// Total is what the tool counts for the session as a whole, where it does not
	// count for its turns.
	Total *ModelUse `json:"total,omitempty"`
	// Whole says that this is the session as a whole, in place of what was read
	// of it before; see [Fold].
	Whole bool  `json:"whole,omitempty"`
	Gaps  []Gap `json:"gaps,omitempty"`
}

// Parent says which session spawned another one, and how that is known.
type Parent struct {
	Session string `json:"session"`         // the agent's own id
	Agent   string `json:"agent,omitempty"` // "" is the same agent as the child's
	// Call is the id of the parent's call that spawned the child.
	Call string `json:"call,omitempty"`
	// Role is what kind of worker was asked for: "Explore", "reviewer".
	Role string `json:"role,omitempty"`
	// Fork says that the child began with the parent's own turns.
	Fork bool `json:"fork,omitempty"`
	// Method names the part of the transcript that tells, or the field of a payload
	// or the variable of the environment.
	Method string `json:"method"`
	// Inferred says that the method concludes it, and nothing names the parent.
	Inferred bool `json:"inferred,omitempty"`
}

// Base is where a session began to work.
type Base struct {
	Dir        string `json:"dir,omitempty"`        // the working directory
	Branch     string `json:"branch,omitempty"`     // of git, the last that was seen
	Commit     string `json:"commit,omitempty"`     // full hex id that was checked out
	Repository string `json:"repository,omitempty"` // URL or name, as the tool gives it
}

// Origin says who began a turn.
type Origin string

// The origins of a turn. "" is not known: the transcript begins within it.
const (
	FromPerson  Origin = "person"  // a prompt
	FromTask    Origin = "task"    // what another session delegated
	FromCommand Origin = "command" // a command of the tool, such as /review
	FromTool    Origin = "tool"    // the tool itself: a notification, a summary
	FromPeer    Origin = "peer"    // another session of the team
)

// Turn is one prompt and everything the agent did until it answered.
type Turn struct {
	Index  int       `json:"index"`        // from 1
	ID     string    `json:"id,omitempty"` // the agent's own
	Origin Origin    `json:"origin,omitempty"`
	Start  time.Time `json:"start,omitzero"`
	End    time.Time `json:"end,omitzero"`
	Prompt *Text     `json:"prompt,omitempty"`
	// Answer is the last text of the agent in this turn.
	Answer   *Text `json:"answer,omitempty"`
	Images   int   `json:"images,omitempty"`   // in the prompt
	Thinking int64 `json:"thinking,omitempty"` // bytes of thinking that the transcript shows
	// Models are the models that worked, each once, in order. What no model is
	// named for has the zero Model.
	Models []ModelUse `json:"models,omitempty"`
	Effort string     `json:"effort,omitempty"` // the last set, as the tool names it
	Mode   string     `json:"mode,omitempty"`   // permission mode, likewise
	Calls  []*Call    `json:"calls,omitempty"`
	// Interrupted says that a person stopped the turn.
	Interrupted bool `json:"interrupted,omitempty"`
	Errors      int  `json:"errors,omitempty"` // of the model's service
	At          Span `json:"at,omitzero"`      // the entry that began it
}

// ModelUse is what one model did in a turn.
type ModelUse struct {
	Model stemma.Model `json:"model"`
	Usage *Usage       `json:"usage,omitempty"` // nil where the transcript does not tell
}

// Usage counts tokens. Input does not hold what came from, or went into, the
// cache; Output holds Reasoning.
type Usage struct {
	Requests   int   `json:"requests"` // to the model
	Input      int64 `json:"input"`
	CacheRead  int64 `json:"cacheRead,omitempty"`
	CacheWrite int64 `json:"cacheWrite,omitempty"`
	Output     int64 `json:"output"`
	Reasoning  int64 `json:"reasoning,omitempty"`
	// Cost is in millionths of a US dollar, as the transcript has it; nothing is
	// computed from a price list. nil is unknown.
	Cost *int64 `json:"cost,omitempty"`
}

// Add gives the sum of two counts; nil counts nothing. A cost that only one of
// them knows is the sum's: see [Usage.Cost] of the parts.
func (u *Usage) Add(other *Usage) *Usage {
	switch {
	case other == nil:
		return u
	case u == nil:
		sum := *other
		sum.Cost = addCost(nil, other.Cost)
		return &sum
	}
	return &Usage{
		Requests:   u.Requests + other.Requests,
		Input:      u.Input + other.Input,
		CacheRead:  u.CacheRead + other.CacheRead,
		CacheWrite: u.CacheWrite + other.CacheWrite,
		Output:     u.Output + other.Output,
		Reasoning:  u.Reasoning + other.Reasoning,
		Cost:       addCost(u.Cost, other.Cost),
	}
}

func addCost(a, b *int64) *int64 {
	if a == nil && b == nil {
		return nil
	}
	var sum int64
	for _, c := range []*int64{a, b} {
		if c != nil {
			sum += *c
		}
	}
	return &sum
}

// Usage is the sum over the turn's models, nil where the transcript tells none.
func (t *Turn) Usage() *Usage {
	var sum *Usage
	for _, m := range t.Models {
		sum = sum.Add(m.Usage)
	}
	return sum
}

// Usage is the sum over the session's turns, without the sessions it spawned;
// nil where the transcript tells none.
func (s *Session) Usage() *Usage {
	var sum *Usage
	for _, t := range s.Turns {
		sum = sum.Add(t.Usage())
	}
	if sum == nil && s.Total != nil {
		return s.Total.Usage
	}
	return sum
}

// Text is a text of the transcript.
type Text struct {
	Text string `json:"text,omitempty"`
	Size int64  `json:"size"` // of the whole, in bytes
	// Cut says that Text is not the whole.
	Cut bool `json:"cut,omitempty"`
}

// Span is a part of the transcript, in bytes.
type Span struct {
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
}

// Kind says what a call does.
type Kind string

// The kinds of calls. What a decoder does not know is KindOther.
const (
	KindRead   Kind = "read"   // a file or a folder
	KindEdit   Kind = "edit"   // writes, changes or removes files
	KindSearch Kind = "search" // in files
	KindRun    Kind = "run"    // a command
	KindFetch  Kind = "fetch"  // from the network
	KindSpawn  Kind = "spawn"  // another session
	KindPlan   Kind = "plan"   // tasks and plans of its own
	KindAsk    Kind = "ask"    // a question to the person
	KindSkill  Kind = "skill"  // loads instructions
	KindMCP    Kind = "mcp"    // a tool of an MCP server
	KindOther  Kind = "other"
)

// Outcome says how a call ended. "" is not known: the transcript has no result.
type Outcome string

// The outcomes of a call.
const (
	OutcomeOK    Outcome = "ok"
	OutcomeError Outcome = "error"
	// OutcomeNone says that the call was not carried out.
	OutcomeNone Outcome = "none"
)

// Decision is what the person decided on a call. "" is not known, which is not
// the same as accepted: most transcripts do not tell a person's yes from a rule's.
type Decision string

// The decisions on a call.
const (
	Accepted   Decision = "accepted"
	Rejected   Decision = "rejected"
	Edited     Decision = "edited"     // accepted with the person's own changes
	Redirected Decision = "redirected" // rejected, and told what to do instead
	// Automatic is a permission that was given beforehand, by a mode or a rule.
	Automatic Decision = "automatic"
)

// Call is one call of a tool.
type Call struct {
	ID      string    `json:"id,omitempty"`
	Name    string    `json:"name"` // as the agent names the tool
	Kind    Kind      `json:"kind"`
	Start   time.Time `json:"start,omitzero"`
	End     time.Time `json:"end,omitzero"`
	Outcome Outcome   `json:"outcome,omitempty"`
	// Decision is the person's; Said is what the person said with it.
	Decision Decision `json:"decision,omitempty"`
	Said     *Text    `json:"said,omitempty"`
	Files    []File   `json:"files,omitempty"`
	Command  *Text    `json:"command,omitempty"` // that was run
	Exit     *int     `json:"exit,omitempty"`
	Test     *Test    `json:"test,omitempty"`
	Error    *Text    `json:"error,omitempty"`
	Spawn    *Spawn   `json:"spawn,omitempty"`
	Server   string   `json:"server,omitempty"` // of MCP
	Skill    string   `json:"skill,omitempty"`
	Input    int64    `json:"input,omitempty"`  // bytes of the input in the transcript
	Output   int64    `json:"output,omitempty"` // bytes of the result there
	At       Span     `json:"at,omitzero"`      // the input in the transcript
	// Again says that the call was made in an earlier reading and is given once
	// more, now with its result; see [Fold].
	Again bool `json:"again,omitempty"`
	// Edits hold what was written, for package attribution and for matching a
	// session with commits. They never leave the machine.
	Edits []Edit `json:"-"`
}

// Access says what was done to a file.
type Access string

// The kinds of access.
const (
	Read   Access = "read"
	Write  Access = "write" // changed, or written anew
	Create Access = "create"
	Delete Access = "delete"
)

// File is a file that a call touched.
type File struct {
	Path   string `json:"path"` // as the transcript has it
	Access Access `json:"access"`
	// Added and Removed count lines of an edit, as far as the transcript tells.
	Added   int `json:"added,omitempty"`
	Removed int `json:"removed,omitempty"`
	// Last is when it was last written, in what is told of a turn; zero where the
	// transcript has no times of calls.
	Last time.Time `json:"last,omitzero"`
}

// Edit is the lines that an edit replaced and those it put there, without those
// that have white space alone.
type Edit struct {
	Path     string
	Old, New []git.Line
	// Whole says that New is the whole file; Old is then what the call tells of
	// the file as it was, which mostly is nothing.
	Whole bool
}

// Test is a run of tests that a call did.
type Test struct {
	Tool string `json:"tool"` // "go test", "pytest", ...
	// Result is "pass", "fail" or, where nothing tells, "".
	Result string `json:"result,omitempty"`
	// Passed and Failed count tests or packages, as the tool's output says; both
	// are zero where it does not.
	Passed int `json:"passed,omitempty"`
	Failed int `json:"failed,omitempty"`
}

// Spawn is a session that a call asked for.
type Spawn struct {
	Session string `json:"session,omitempty"` // the agent's own id; "" where it is not told
	// Team and Member name a session that joins a team, where its id is not told.
	Team   string `json:"team,omitempty"`
	Member string `json:"member,omitempty"`
	Role   string `json:"role,omitempty"`
	Name   string `json:"name,omitempty"` // what the task is called
	Task   *Text  `json:"task,omitempty"` // what was delegated
	Result *Text  `json:"result,omitempty"`
	Status string `json:"status,omitempty"` // as the transcript has it
	// Tokens is what the parent's transcript says the child used in all. It is
	// shown beside the child's own count and never added to it.
	Tokens int64 `json:"tokens,omitempty"`
}

// Compaction is a place where a session's context was replaced by a summary.
type Compaction struct {
	Turn    int       `json:"turn"` // index of the turn it happened in
	Time    time.Time `json:"time,omitzero"`
	Trigger string    `json:"trigger,omitempty"` // "auto", "manual"
	Before  int64     `json:"before,omitempty"`  // tokens of context before
}

// Gap is something that a transcript lacks or that could not be read. Gaps of
// one kind and reason are one gap that counts them.
type Gap struct {
	Kind   GapKind `json:"kind"`
	Reason string  `json:"reason"`
	Offset int64   `json:"offset"` // of the first
	Count  int     `json:"count"`
	Bytes  int64   `json:"bytes,omitempty"` // of all of them in the transcript
}

// GapKind says what is missing.
type GapKind string

// The kinds of gaps.
const (
	GapUnreadable GapKind = "unreadable" // bytes that are no entry
	GapTooLarge   GapKind = "too large"  // over a limit; skipped
	GapUnknown    GapKind = "unknown"    // an entry or a field that the decoder does not know
	GapTruncated  GapKind = "truncated"  // the transcript says that it left something out
	GapVanished   GapKind = "vanished"   // something that is referred to is not there
	GapRewritten  GapKind = "rewritten"  // what was read before is not what stands there now
)
