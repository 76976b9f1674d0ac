package spool

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/stemma-dev/stemma"
)

// Record is one event of an agent, an editor or git, as a hook saw it.
type Record struct {
	Time    time.Time `json:"time"`              // when the hook ran, UTC, by this machine's clock
	Machine string    `json:"machine"`           // 8 hex digits, see Spool
	Agent   string    `json:"agent"`             // as the hook was installed for: "claudecode"
	Foreign string    `json:"foreign,omitempty"` // another product that ran this agent's hook: "cursor"
	Event   string    `json:"event,omitempty"`   // the agent's own name of it: "PostToolUse"
	Phase   Phase     `json:"phase"`
	Session string    `json:"session,omitempty"`
	Parent  string    `json:"parent,omitempty"` // session that started this one, where it is known
	// ParentBy is what names the parent: a field of the payload, or a variable of
	// the environment.
	ParentBy string `json:"parentBy,omitempty"`
	// Trace is the TRACEPARENT that the hook found in its environment, Exports the
	// one that the session says it gives to what it starts: each of the form of W3C
	// Trace Context, section 3.2.
	Trace   string `json:"trace,omitempty"`
	Exports string `json:"exports,omitempty"`
	Tool    string `json:"tool,omitempty"`
	Call    string `json:"call,omitempty"`  // the agent's id of the tool call
	Shell   bool   `json:"shell,omitempty"` // the tool may write files that it does not name
	Model   string `json:"model,omitempty"` // as the payload names it
	// Transcript is where the agent says that it keeps its own account of the
	// session.
	Transcript string `json:"transcript,omitempty"`
	Dir        string `json:"dir,omitempty"`  // working directory of the agent
	Tree       string `json:"tree,omitempty"` // top of the work tree that the files are in
	Files      []File `json:"files,omitempty"`
	// Same are files that a look at the whole work tree found as they were when they
	// were seen last, of those that differ from git's index; none where they are many.
	Same []string `json:"same,omitempty"`
	Gaps []Gap    `json:"gaps,omitempty"`
	// SetBack is the latest time of the records before this one, where that is
	// later: a clock was set back, or those of two machines differ. It is set by
	// Append. From Time to SetBack the order of events can not be told by time.
	SetBack time.Time `json:"setBack,omitzero"`
	// Payload is what the agent wrote to the hook, unchanged, or the first
	// MaxPayload bytes of it; empty where it speaks of an excluded path.
	Payload []byte `json:"-"`
}

// AgentKey is the key of the agent at work, as the nodes of its sessions have it.
func (r Record) AgentKey() string {
	key, _ := stemma.ParseAgent(cmp.Or(r.Foreign, r.Agent)) // an unknown agent keeps its own name
	return key
}

// Phase is where an event stands around what it is about.
type Phase string

// The phases.
const (
	Before Phase = "before" // a tool is about to run
	After  Phase = "after"  // a tool has run
	Prompt Phase = "prompt" // a person gave a prompt
	Start  Phase = "start"  // a session began
	Stop   Phase = "stop"   // a turn or a session ended
	Save   Phase = "save"   // an editor saved a file that a person edited
	Other  Phase = "other"  // anything else, also what tomorrow's versions send
	// Told is a call that no hook reported when the agent's own transcript was
	// compared with what the hooks did; its Time is when the call began. No hook
	// makes it.
	Told Phase = "told"
)

// State is what a hook found at a path.
type State string

// The states.
const (
	Present State = "present" // a regular file; Blob has its content
	Absent  State = "absent"  // nothing
	Link    State = "link"    // a symbolic link; Blob has its target
	Large   State = "large"   // a file over MaxFile: only its size is known
	Special State = "special" // a folder, a device, a socket
	Unread  State = "unread"  // it could not be read; a gap says why
)

// File is a snapshot of a file: its content just before or after an edit.
type File struct {
	Path string `json:"path"` // in the work tree, with slashes; bytes as git has them
	// PathBytes holds, on disk, a path that is not UTF-8; Path is "" there then.
	PathBytes []byte `json:"pathBytes,omitempty"`
	State     State  `json:"state"`
	Blob      string `json:"blob,omitempty"` // hex SHA-256
	Size      int64  `json:"size,omitempty"` // bytes
	Exec      bool   `json:"exec,omitempty"`
	// Was is the id of git's object that the file was as before the tool ran, where
	// it was as git's index has it and so no snapshot was made.
	Was string `json:"was,omitempty"`
	// Found says that nothing named the file: a comparison of the work tree
	// found that it changed while a tool ran.
	Found bool `json:"found,omitempty"`
}

// Reasons of gaps that are by choice: nothing is missing that was to be kept.
const (
	GapExcluded = "an excluded path"
	GapIgnored  = "an ignored path"
)

// AgentGit is the agent of records that git's own hooks make: they show that
// capture was as it was installed.
const AgentGit = "git"

// AgentSelf is the agent of records that [Spool.Look] makes.
const AgentSelf = "stemma"

// Gap is something that could not be captured. Lines that may have been written
// in a gap are unknown, never a person's.
type Gap struct {
	Reason string `json:"reason"`
	Path   string `json:"path,omitempty"`
}

// A record on disk, all numbers little-endian:
//
//	4 bytes  "STM1"
//	4 bytes  length of the header
//	4 bytes  length of the payload
//	4 bytes  CRC-32C (Castagnoli) over header and payload
//	header   JSON of Record
//	payload  as the agent wrote it
const (
	magic      = "STM1"
	prefixSize = 16
	maxHeader  = 16 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (r Record) encode() ([]byte, error) {
	r.Files = slices.Clone(r.Files)
	for i, f := range r.Files {
		if !utf8.ValidString(f.Path) {
			r.Files[i].Path, r.Files[i].PathBytes = "", []byte(f.Path)
		}
	}
	header, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("spool record: %v: %w", err, stemma.ErrInvalid)
	}
	if len(header) > maxHeader || len(r.Payload) > MaxPayload {
		return nil, fmt.Errorf("spool record of %d and %d bytes: %w", len(header), len(r.Payload), stemma.ErrInvalid)
	}
	data := make([]byte, prefixSize, prefixSize+len(header)+len(r.Payload))
	copy(data, magic)
	binary.LittleEndian.PutUint32(data[4:], uint32(len(header)))
	binary.LittleEndian.PutUint32(data[8:], uint32(len(r.Payload)))
	data = append(append(data, header...), r.Payload...)
	binary.LittleEndian.PutUint32(data[12:], crc32.Checksum(data[prefixSize:], castagnoli))
	return data, nil
}

// Stored is a record with its place.
type Stored struct {
	Segment string // base name of the segment
	Offset  int64  // bytes from its start
	Record
}

// DecodeError says where a segment could not be read. Reading goes on behind
// it. It is of kind stemma.ErrInvalid.
type DecodeError struct {
	Path   string
	Offset int64 // bytes from the start of the segment
	Length int64 // bytes that were skipped
	Reason string
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("spool %s: byte %d: %s (%d bytes skipped)", e.Path, e.Offset, e.Reason, e.Length)
}

// Unwrap gives stemma.ErrInvalid.
func (e *DecodeError) Unwrap() error { return stemma.ErrInvalid }

// Records gives all records, segment by segment in the order of days, each
// segment in the order in which it was written. A part that can not be read
// comes as a *DecodeError and is not the end; any other error is. It holds one
// segment in memory at a time.
func (s *Spool) Records() iter.Seq2[Stored, error] { return s.RecordsSince(time.Time{}) }

// RecordsSince is [Spool.Records] without the segments of days before a time: it
// may still give earlier records, of the same day.
func (s *Spool) RecordsSince(since time.Time) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		paths, err := s.segments()
		if err != nil {
			yield(Stored{}, err)
			return
		}
		day := since.UTC().Format("20060102")
		paths = slices.DeleteFunc(paths, func(p string) bool { return !since.IsZero() && filepath.Base(p) < day })
		for _, path := range paths {
			data, err := readAtMost(path, maxSegment)
			if errors.Is(err, stemma.ErrNotFound) {
				continue // purged meanwhile
			}
			if err != nil {
				yield(Stored{}, fmt.Errorf("spool: %w", err))
				return
			}
			for r, err := range decode(data, filepath.Base(path)) {
				if !yield(r, err) {
					return
				}
			}
		}
	}
}

// maxSegment is the size over which the rest of a segment is not read: a
// segment is closed at segmentSize, and one record more fits into it.
const maxSegment = segmentSize + prefixSize + maxHeader + MaxPayload

// readAtMost reads the first limit bytes of a regular file. A file that is
// longer is cut, which its reader sees as a torn record.
func readAtMost(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", err, kindOf(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return nil, fmt.Errorf("%v: %w", err, kindOf(err))
	}
	return data, nil
}

// decode reads one segment.
func decode(data []byte, name string) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		for at := 0; at < len(data); {
			record, n, err := next(data[at:])
			if err == nil {
				if !yield(Stored{Segment: name, Offset: int64(at), Record: record}, nil) {
					return
				}
				at += n
				continue
			}
			// A torn record is followed by a whole one, which begins inside what
			// the torn one promises: the search goes on right behind its mark.
			skip := len(data) - at
			if i := bytes.Index(data[at+1:], []byte(magic)); i >= 0 {
				skip = i + 1
			}
			if !yield(Stored{}, &DecodeError{Path: name, Offset: int64(at), Length: int64(skip), Reason: err.Error()}) {
				return
			}
			at += skip
		}
	}
}

// next reads the record that data begins with, and gives its size.
func next(data []byte) (r Record, n int, err error) {
	if len(data) < prefixSize {
		return r, 0, errors.New("cut inside the prefix of a record")
	}
	if string(data[:4]) != magic {
		return r, 0, errors.New("no record begins here")
	}
	header, payload := int(binary.LittleEndian.Uint32(data[4:])), int(binary.LittleEndian.Uint32(data[8:]))
	if header > maxHeader || payload > MaxPayload {
		return r, 0, errors.New("a record of a length that nobody writes")
	}
	n = prefixSize + header + payload
	if len(data) < n {
		return r, 0, errors.New("cut inside a record")
	}
	body := data[prefixSize:n]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(data[12:]) {
		return r, 0, errors.New("the checksum of a record differs")
	}
	if err := json.Unmarshal(body[:header], &r); err != nil {
		return Record{}, 0, fmt.Errorf("header of a record: %v", err)
	}
	for i, f := range r.Files {
		if len(f.PathBytes) > 0 {
			r.Files[i].Path, r.Files[i].PathBytes = string(f.PathBytes), nil
		}
	}
	if payload > 0 {
		r.Payload = bytes.Clone(body[header:])
	}
	return r, n, nil
}
