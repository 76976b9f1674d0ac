package agent

import (
	"slices"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
)

// Builder puts together the sessions of one transcript while a decoder goes
// through its entries. It is of no use to anybody else.
type Builder struct {
	agent string
	works []*Work
	byID  map[string]*Work
	last  *Work
	memo  map[string]string
	loose []Gap // of no session yet
	texts int
}

// Work is a session that is being put together. What it holds is what came in
// this reading; what a later entry may need of earlier readings is carried over
// in the State.
type Work struct {
	b       *Builder
	s       Session
	touched bool // by this reading
	index   int  // of the current turn; 0 before the first
	open    []*openCall
	using   []*using
	done    []string // ids of calls that have ended
	calls   int
	memo    map[string]string
	mode    string
	power   string // effort
	model   stemma.Model
}

// openCall is a call that has no result yet.
type openCall struct {
	Turn int   `json:"turn"`
	Call *Call `json:"call"`
	here bool  // the call is in this reading
}

// using is the usage of one message of the model. Agents write a message in
// several rows as it streams in, each with the usage so far.
type using struct {
	Message string       `json:"message"`
	Turn    int          `json:"turn"`
	Model   stemma.Model `json:"model"`
	Usage   Usage        `json:"usage"`
}

// maxUsing is how many messages are remembered: rows of one message stand close
// together, those of parallel sub-agents in sessions of their own.
const maxUsing = 64

func newBuilder(agent string) *Builder {
	return &Builder{agent: agent, byID: make(map[string]*Work), memo: make(map[string]string)}
}

// Session gives the session with the agent's own id; entries of no session that
// follow belong to it.
func (b *Builder) Session(id string) *Work {
	id = clean(id, MaxShort)
	if w := b.byID[id]; w != nil {
		b.last, w.touched = w, true
		return w
	}
	if len(b.works) >= maxSessions {
		b.last.Gap(GapTooLarge, "more sessions than are read", Span{})
		return b.last
	}
	w := &Work{b: b, s: Session{Agent: b.agent, ID: id}, touched: true, memo: make(map[string]string)}
	b.works = append(b.works, w)
	b.byID[id] = w
	b.last = w
	for _, g := range b.loose {
		w.s.Gaps = addGap(w.s.Gaps, g)
	}
	b.loose = nil
	return w
}

// Last gives the session that was asked for last, nil where there was none.
func (b *Builder) Last() *Work {
	if b.last != nil {
		b.last.touched = true
	}
	return b.last
}

// Memo gives what was noted under a key, also in an earlier reading.
func (b *Builder) Memo(key string) string { return b.memo[key] }

// Note notes a short value for later entries and readings; "" forgets it.
func (b *Builder) Note(key, value string) { note(b.memo, key, value) }

// maxMemo is how many values a transcript, and each session of it, may note.
const maxMemo = 1024

func note(memo map[string]string, key, value string) {
	if value == "" {
		delete(memo, key)
		return
	}
	if _, ok := memo[key]; ok || len(memo) < maxMemo {
		memo[key] = value
	}
}

// Gap records a gap of the session that entries belong to now.
func (b *Builder) Gap(kind GapKind, reason string, at Span) {
	if b.last != nil {
		b.last.touched = true
		b.last.Gap(kind, reason, at)
		return
	}
	b.loose = addGap(b.loose, Gap{Kind: kind, Reason: clean(reason, 256), Offset: at.Offset, Count: 1, Bytes: at.Length})
}

// Text keeps a text, up to the limits. It is nil for an empty one.
func (b *Builder) Text(v Value, limit int) *Text {
	if v.Len() <= 2 || !v.IsString() {
		return nil
	}
	text, cut := v.TextUpTo(min(limit, max(0, maxTexts-b.texts)))
	b.texts += len(text)
	t := &Text{Text: text, Size: int64(len(text)), Cut: cut}
	if cut {
		t.Size = v.Size()
	}
	return t
}

// String keeps a text that is a string already.
func (b *Builder) String(s string, limit int) *Text {
	if s == "" {
		return nil
	}
	t := &Text{Size: int64(len(s))}
	t.Text = clean(s, min(limit, max(0, maxTexts-b.texts)))
	t.Cut = len(t.Text) < len(s)
	b.texts += len(t.Text)
	return t
}

// clean makes s valid UTF-8 of no more than limit bytes.
func clean(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
		for n := 0; n < 3 && len(s) > 0 && s[len(s)-1]&0xC0 == 0x80; n++ {
			s = s[:len(s)-1]
		}
		if n := len(s); n > 0 && s[n-1] >= 0xC0 {
			s = s[:n-1]
		}
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// Head is the session, for its fields that are not of a turn.
func (w *Work) Head() *Session { return &w.s }

// Memo is like [Builder.Memo], for this session.
func (w *Work) Memo(key string) string { return w.memo[key] }

// Note is like [Builder.Note], for this session.
func (w *Work) Note(key, value string) { note(w.memo, key, value) }

// Around notes that the session was there at a time, whatever turn that was;
// the zero time is left out.
func (w *Work) Around(t time.Time) {
	if t.IsZero() {
		return
	}
	if w.s.Start.IsZero() || t.Before(w.s.Start) {
		w.s.Start = t
	}
	if t.After(w.s.End) {
		w.s.End = t
	}
}

// Seen notes that something happened in the current turn at a time; the zero
// time is left out.
func (w *Work) Seen(t time.Time) {
	w.Around(t)
	if w.index > 0 && !t.IsZero() {
		turn := w.Turn()
		if turn.Start.IsZero() {
			turn.Start = t
		}
		if t.After(turn.End) {
			turn.End = t
		}
	}
}

// Begin begins a turn. Its index is set; effort and mode are those that were
// set last where the turn has none.
func (w *Work) Begin(t Turn) *Turn {
	w.index++
	t.Index = w.index
	if t.Effort == "" {
		t.Effort = w.power
	}
	if t.Mode == "" {
		t.Mode = w.mode
	}
	w.s.Turns = append(w.s.Turns, &t)
	w.Seen(t.Start)
	return &t
}

// Begun reports whether a turn has begun, in this reading or before.
func (w *Work) Begun() bool { return w.index > 0 }

// Turn is the current turn. Where none has begun, one begins whose prompt the
// transcript does not have.
func (w *Work) Turn() *Turn {
	if w.index == 0 {
		return w.Begin(Turn{})
	}
	return w.turn(w.index)
}

// turn gives the part of a turn that is in this reading.
func (w *Work) turn(index int) *Turn {
	i, ok := slices.BinarySearchFunc(w.s.Turns, index, func(t *Turn, index int) int { return t.Index - index })
	if !ok {
		w.s.Turns = slices.Insert(w.s.Turns, i, &Turn{Index: index})
	}
	return w.s.Turns[i]
}

// SetNext sets permission mode and effort from the next turn on; "" leaves one
// as it is.
func (w *Work) SetNext(mode, effort string) {
	if mode != "" {
		w.mode = clean(mode, 64)
	}
	if effort != "" {
		w.power = clean(effort, 64)
	}
}

// SetMode sets the permission mode from now on.
func (w *Work) SetMode(mode string) {
	if mode = clean(mode, 64); mode == "" {
		return
	}
	w.mode = mode
	if w.index > 0 {
		w.Turn().Mode = mode
	}
}

// Mode is the permission mode that was set last.
func (w *Work) Mode() string { return w.mode }

// SetEffort sets the effort from now on.
func (w *Work) SetEffort(effort string) {
	if effort = clean(effort, 64); effort == "" {
		return
	}
	w.power = effort
	if w.index > 0 {
		w.Turn().Effort = effort
	}
}

// SetModel sets the model from now on, for entries that name none.
func (w *Work) SetModel(raw string) { w.model = stemma.ParseModel(raw) }

// Model is the model that was set last.
func (w *Work) Model() stemma.Model { return w.model }

// Worked notes that a model worked in the current turn; the one that was set
// last where raw is "".
func (w *Work) Worked(raw string) stemma.Model {
	m := w.model
	if raw != "" {
		m = stemma.ParseModel(raw)
	}
	if m.Known() {
		modelUse(w.Turn(), m)
	}
	return m
}

// modelUse gives the entry of a model in a turn.
func modelUse(t *Turn, m stemma.Model) *ModelUse {
	for i := range t.Models {
		if t.Models[i].Model == m {
			return &t.Models[i]
		}
	}
	t.Models = append(t.Models, ModelUse{Model: m})
	return &t.Models[len(t.Models)-1]
}

// Use adds the usage of one message of the model. The same message may be told
// again with more: of each count the greatest stands. A message without an id is
// a message of its own.
func (w *Work) Use(message string, m stemma.Model, u Usage) {
	if w.index == 0 {
		w.Turn()
	}
	if message == "" {
		entry := modelUse(w.Turn(), m)
		entry.Usage = entry.Usage.Add(&u)
		return
	}
	message = clean(message, 256)
	var known *using
	for _, k := range w.using {
		if k.Message == message {
			known = k
		}
	}
	if known == nil {
		known = &using{Message: message, Turn: w.index, Model: m}
		if len(w.using) == maxUsing {
			w.using = slices.Delete(w.using, 0, 1)
		}
		w.using = append(w.using, known)
	}
	more, grown := known.Usage.grow(u)
	if !grown && known.Usage != (Usage{}) {
		return
	}
	entry := modelUse(w.turn(known.Turn), known.Model)
	entry.Usage = entry.Usage.Add(&more)
}

// grow raises every count of u to that of the other, and gives by how much.
func (u *Usage) grow(other Usage) (more Usage, grown bool) {
	raise := func(have *int64, want int64, diff *int64) {
		if want > *have {
			*diff, *have, grown = want-*have, want, true
		}
	}
	raise(&u.Input, other.Input, &more.Input)
	raise(&u.CacheRead, other.CacheRead, &more.CacheRead)
	raise(&u.CacheWrite, other.CacheWrite, &more.CacheWrite)
	raise(&u.Output, other.Output, &more.Output)
	raise(&u.Reasoning, other.Reasoning, &more.Reasoning)
	if other.Requests > u.Requests {
		more.Requests, u.Requests, grown = other.Requests-u.Requests, other.Requests, true
	}
	if other.Cost != nil {
		var have int64
		if u.Cost != nil {
			have = *u.Cost
		}
		if diff := *other.Cost - have; diff > 0 || u.Cost == nil {
			more.Cost, u.Cost, grown = &diff, other.Cost, true
		}
	}
	return more, grown
}

// Answer keeps a text of the agent as the turn's answer; the last stays.
func (w *Work) Answer(v Value) {
	if t := w.b.Text(v, MaxText); t != nil && strings.TrimSpace(t.Text) != "" {
		w.Turn().Answer = t
	}
}

// maxDone is how many calls that have ended are remembered, so that a row that a
// tool writes twice is one call.
const maxDone = 256

// Call adds a call to the current turn. A call whose id was added before is the
// same call; where that has ended already, what the caller does to it is lost.
func (w *Work) Call(c Call) *Call {
	c.ID = clean(c.ID, MaxShort)
	if c.ID != "" {
		if open := w.Open(c.ID); open != nil {
			return open
		}
		if slices.Contains(w.done, c.ID) {
			return &c
		}
	}
	t := w.Turn()
	if w.calls >= maxCalls {
		w.Gap(GapTooLarge, "more calls than are kept", c.At)
		return &c
	}
	w.calls++
	if c.Name = clean(c.Name, 256); c.Kind == "" {
		c.Kind = KindOther
	}
	t.Calls = append(t.Calls, &c)
	switch {
	case c.ID == "":
	case c.Outcome != "":
		w.ended(c.ID)
	default:
		if len(w.open) >= maxOpen {
			w.open = slices.Delete(w.open, 0, 1)
		}
		w.open = append(w.open, &openCall{Turn: t.Index, Call: &c, here: true})
	}
	return &c
}

func (w *Work) ended(id string) {
	if len(w.done) >= maxDone {
		w.done = slices.Delete(w.done, 0, 1)
	}
	w.done = append(w.done, id)
}

func (w *Work) find(id string) *openCall {
	for _, o := range w.open {
		if o.Call.ID == id {
			return o
		}
	}
	return nil
}

// Open gives the call with this id that has no result yet, nil where there is
// none.
func (w *Work) Open(id string) *Call {
	o := w.find(clean(id, MaxShort))
	if o == nil {
		return nil
	}
	if !o.here {
		// It was made in an earlier reading: this one gives it again, whole.
		again := *o.Call
		again.Again = true
		again.Files = slices.Clone(again.Files)
		o.Call, o.here = &again, true
		t := w.turn(o.Turn)
		t.Calls = append(t.Calls, &again)
	}
	return o.Call
}

// Result ends the call with this id and gives it, so that its outcome can be
// filled in. It gives nil where the call has ended already, and where it is not
// there, which is a gap.
func (w *Work) Result(id string, t time.Time, at Span) *Call {
	c := w.Open(id)
	if c == nil && slices.Contains(w.done, clean(id, MaxShort)) {
		return nil // told again
	}
	if c == nil {
		w.Gap(GapVanished, "a result whose call is not there", at)
		return nil
	}
	c.End = t
	c.Output += at.Length
	w.open = slices.DeleteFunc(w.open, func(o *openCall) bool { return o.Call == c })
	w.ended(c.ID)
	return c
}

// Parts reads what a message of the model is made of: texts, thinking, and calls
// of tools. Most agents keep them much as the model's interface has them.
func (w *Work) Parts(content Value, t time.Time) {
	if content.IsString() {
		w.Answer(content)
	}
	content.Items(func(v Value) {
		var kind, id, name string
		var text, input Value
		v.Each(func(key []byte, v Value) {
			switch string(key) {
			case "type":
				kind, _ = v.TextUpTo(64)
			case "id", "toolCallId":
				id, _ = v.TextUpTo(MaxShort)
			case "name", "toolName":
				name, _ = v.TextUpTo(256)
			case "text", "thinking":
				text = v
			case "input", "arguments", "args":
				input = v
			}
		})
		switch kind {
		case "text", "output_text":
			w.Answer(text)
		case "thinking", "reasoning":
			w.Turn().Thinking += text.Size()
		case "redacted_thinking", "redacted-reasoning":
			w.Gap(GapTruncated, "thinking that is not shown", Span{v.at, v.Len()})
		case "tool_use", "toolCall", "tool-call":
			c := w.b.NewCall(id, name, input)
			c.Start = t
			w.Call(c)
		case "image", "document":
		default:
			w.Gap(GapUnknown, "a part of a message of an unknown type", Span{v.at, v.Len()})
		}
	})
}

// Ended is Result for the results that are a text or parts with texts.
func (w *Work) Ended(id string, output Value, failed bool, t time.Time) *Call {
	c := w.Result(id, t, Span{output.at, output.Len()})
	if c == nil {
		return nil
	}
	w.Seen(t)
	text := ""
	if failed || c.Test != nil {
		text = output.Texts()
	}
	c.Ran(text, failed, nil)
	if failed {
		c.Error = w.b.String(text, 1024)
	}
	if c.Spawn != nil && c.Spawn.Result == nil {
		c.Spawn.Result = w.b.String(output.Texts(), MaxText)
	}
	return c
}

// Compacted notes that the context was replaced by a summary.
func (w *Work) Compacted(c Compaction) {
	c.Turn = w.index
	c.Trigger = clean(c.Trigger, 64)
	w.s.Compactions = append(w.s.Compactions, c)
}

// Change notes a pull request that the tool links with the session.
func (w *Work) Change(url string) {
	if url = clean(url, MaxShort); url != "" && !slices.Contains(w.s.Changes, url) && len(w.s.Changes) < 1000 {
		w.s.Changes = append(w.s.Changes, url)
	}
}

// Gap records a gap.
func (w *Work) Gap(kind GapKind, reason string, at Span) {
	w.s.Gaps = addGap(w.s.Gaps, Gap{Kind: kind, Reason: clean(reason, 256), Offset: at.Offset, Count: 1, Bytes: at.Length})
}

// maxGaps is how many gaps of different kinds or reasons a session records.
const maxGaps = 100

// addGap joins a gap with those of its kind and reason.
func addGap(gaps []Gap, g Gap) []Gap {
	if len(gaps) >= maxGaps {
		g.Reason = "many other reasons"
	}
	for i := range gaps {
		if gaps[i].Kind == g.Kind && gaps[i].Reason == g.Reason {
			gaps[i].Count += g.Count
			gaps[i].Bytes += g.Bytes
			gaps[i].Offset = min(gaps[i].Offset, g.Offset)
			return gaps
		}
	}
	return append(gaps, g)
}
