package entire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
)

// The limits of one transcript. Entire cuts it into files of 50 MB.
const (
	maxChunks = 1000
	maxChunk  = 1 << 30
	maxLine   = 16 << 20 // bytes of one line; a longer one is not read
	maxModels = 32       // of one session
)

// transcript is what is read of the transcript of a session.
type transcript struct {
	agent   string         // key, where the form is that of one agent; else ""
	version string         // of the agent, the newest that it states
	session string         // the agent's own id
	models  []stemma.Model // each once, in the order of their first use
	edits   []edit         // of the wanted files, in their order
}

// transcript reads the files of a transcript, line by line, in bounded memory.
// Models are those of the lines that belong to the checkpoint; where these name
// none, the last one before them, which was in force when it began.
func (r *reading) transcript(ctx context.Context, at string, chunks []git.TreeEntry, start int) (transcript, error) {
	l := &lines{start: start, wanted: r.wanted}
	for i, c := range chunks {
		if i == maxChunks {
			r.problem("%s: more than %d files of its transcript, the others are not read", at, maxChunks)
			break
		}
		err := r.repo.Stream(ctx, c.ID, min(maxChunk, maxBytes-r.bytes), func(in io.Reader) error {
			return l.read(&counting{in, &r.bytes})
		})
		if err := unlessForeign(err); err != nil {
			return transcript{}, fmt.Errorf("%s: %s: %w", at, c.Path, err)
		}
		if err != nil {
			r.problem("%s: %s: %v", at, c.Path, err)
		}
	}
	if l.tooLong > 0 {
		r.problem("%s: %d lines of its transcript are longer than %d bytes and not read", at, l.tooLong, maxLine)
	}
	if l.broken > 0 {
		r.problem("%s: %d lines of its transcript can not be read", at, l.broken)
	}
	if len(l.models) == 0 && l.last.Known() {
		l.models = []stemma.Model{l.last}
	}
	return l.transcript, nil
}

// counting counts the bytes that pass.
type counting struct {
	in io.Reader
	n  *int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	*c.n += int64(n)
	return n, err
}

// lines reads the lines of a transcript across its files.
type lines struct {
	transcript
	start int          // the first line of the checkpoint, from 0
	at    int          // the number of the next line
	last  stemma.Model // the last model before start
	raw   []byte       // the name of the model of the last line, to read it once

	wanted  *wanted               // files whose edits are looked for, or nil
	current map[bool]stemma.Model // the model that speaks, of the session and of those it spawned

	tooLong, broken int
}

// read takes one file. Its last line need not end.
func (l *lines) read(in io.Reader) error {
	br := bufio.NewReaderSize(in, 64<<10)
	var long []byte // a line that the buffer of br does not hold
	skipping := false
	for {
		part, err := br.ReadSlice('\n')
		switch {
		case skipping:
		case errors.Is(err, bufio.ErrBufferFull) || len(long) > 0:
			if len(long)+len(part) > maxLine {
				skipping, long = true, long[:0]
				l.tooLong++
				break
			}
			long = append(long, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return err
		}
		if line := part; !skipping && len(part)+len(long) > 0 {
			if len(long) > 0 {
				line = long
			}
			l.line(line)
		}
		if err != nil {
			return nil
		}
		l.at++
		skipping, long = false, long[:0]
	}
}

// modelKeys are the members that name a model: "model" of Claude Code, Codex
// and most others.
var modelKey = []byte(`"model"`)

// line reads one line: only those that name a model are looked into.
func (l *lines) line(b []byte) {
	l.edit(b)
	if !bytes.Contains(b, modelKey) {
		return
	}
	var e entry
	if err := e.read(b); err != nil {
		l.broken++
		return
	}
	if e.claude() {
		l.agent = "claude-code"
		if e.version != "" && len(e.version) <= 64 {
			l.version = e.version
		}
	}
	if l.session == "" && len(e.session) <= maxSessionID {
		l.session = e.session
	}
	l.speaks(e)
	if e.sidechain || len(e.model) == 0 || bytes.Equal(e.model, l.raw) && (len(l.models) > 0) == (l.at >= l.start) {
		return
	}
	l.raw = append(l.raw[:0], e.model...)
	m := stemma.ParseModel(string(e.model))
	switch {
	case !m.Known():
	case l.at < l.start:
		l.last = m
	case len(l.models) < maxModels && !slices.ContainsFunc(l.models, func(have stemma.Model) bool { return have.Key() == m.Key() }):
		l.models = append(l.models, m)
	}
}

// speaks notes the model that makes the edits which follow.
func (l *lines) speaks(e entry) {
	if l.wanted == nil || len(e.model) == 0 {
		return
	}
	if had, ok := l.current[e.sidechain]; ok && had.Raw == string(e.model) {
		return
	}
	if m := stemma.ParseModel(string(e.model)); m.Known() {
		if l.current == nil {
			l.current = make(map[bool]stemma.Model)
		}
		l.current[e.sidechain] = m
	}
}

// entry is what is read of one line.
type entry struct {
	kind, version, session string
	model                  []byte
	sidechain              bool // the line is of a session that this one spawned
	tree                   bool // the line has a place in Claude Code's tree of messages
	inMessage              bool // the model stands in the message
}

// claude reports whether the line is one of Claude Code's: an answer of a model
// with its place in the tree of messages.
func (e *entry) claude() bool {
	return e.kind == "assistant" && e.tree && e.inMessage && e.session != ""
}

// read reads the line of an agent: message.model of Claude Code and those that
// write as it does, payload.model of Codex, model of others. A model that stands
// anywhere else, as in the input of a tool, is none of the session's.
func (e *entry) read(b []byte) error {
	s := notes.NewScanner(Name, b, 0)
	_, err := s.Object(func(key []byte) (err error) {
		switch string(key) {
		case "type":
			e.kind, err = s.Text()
		case "version":
			e.version, err = s.Text()
		case "sessionId":
			e.session, err = s.Text()
		case "isSidechain":
			e.sidechain, err = truth(s)
		case "parentUuid":
			e.tree = true
			err = s.Skip()
		case "model":
			if len(e.model) > 0 {
				return s.Skip()
			}
			e.model, err = s.Bytes()
		case "message", "payload":
			inMessage := string(key) == "message"
			_, err = s.Object(func(key []byte) (err error) {
				if string(key) != "model" {
					return s.Skip()
				}
				var model []byte
				if model, err = s.Bytes(); len(model) > 0 {
					e.model, e.inMessage = model, inMessage
				}
				return err
			})
		default:
			err = s.Skip()
		}
		return err
	})
	return err
}
