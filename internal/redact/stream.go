package redact

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// The parts in which a stream is looked through, bytes.
const (
	// MaxLine is the longest line of JSON that is read as JSON. A longer one is
	// taken for text, in which no quote and no escape is touched.
	MaxLine = 16 << 20
	// block is how much text is looked through at once, and margin how much of it
	// is looked at again with what follows: no secret is longer.
	block  = 1 << 20
	margin = MaxSpan
	// apartBy is how far before a secret the words can be that tell that it is one.
	apartBy = 2 << 10
)

// Form is how a stream is written.
type Form int

// The forms.
const (
	// FormText is any text, or bytes.
	FormText Form = iota
	// FormJSONL is a JSON value on each line.
	FormJSONL
)

// Stream copies in to out without secrets and personal data, as [Redactor.Text]
// or [Redactor.JSONL] would give it, in memory that does not grow with the
// length: a few blocks of 1 MiB, or a few times the longest line of JSON, of at
// most [MaxLine]. The error is that of in or of out.
func (r *Redactor) Stream(out io.Writer, in io.Reader, form Form) (Findings, error) {
	return r.stream(out, in, form, block, MaxLine)
}

func (r *Redactor) stream(out io.Writer, in io.Reader, form Form, block, longest int) (Findings, error) {
	s := &stream{r: r, out: out, found: Findings{}, block: block, longest: longest}
	var err error
	if form == FormJSONL {
		err = s.lines(bufio.NewReaderSize(in, 64<<10))
	} else {
		err = s.text(in)
	}
	if err != nil {
		return s.found, fmt.Errorf("redact: %w", err)
	}
	return s.found, nil
}

type stream struct {
	r       *Redactor
	out     io.Writer
	found   Findings
	pending []byte // text that is read and not written
	hint    hint

	block, longest int // see block and MaxLine
}

func (s *stream) text(in io.Reader) error {
	buf := make([]byte, s.block)
	for {
		n, err := in.Read(buf)
		if werr := s.add(buf[:n]); werr != nil {
			return werr
		}
		if errors.Is(err, io.EOF) {
			return s.flush()
		}
		if err != nil {
			return err
		}
	}
}

// add takes more text, and writes what no more text can change.
func (s *stream) add(text []byte) error {
	s.pending = append(s.pending, text...)
	for len(s.pending) >= s.block+margin {
		cut := s.cut(s.pending[:s.block+margin])
		if err := s.write(s.r.text(s.pending[:cut], s.hint, s.found)); err != nil {
			return err
		}
		s.pending = append(s.pending[:0], s.pending[cut:]...)
	}
	return nil
}

func (s *stream) flush() error {
	if len(s.pending) == 0 {
		return nil
	}
	err := s.write(s.r.text(s.pending, s.hint, s.found))
	s.pending = s.pending[:0]
	return err
}

func (s *stream) write(text []byte) error {
	_, err := s.out.Write(text)
	return err
}

// cut finds the last place before the margin, at the end of a line if one is
// there, where no secret is near.
func (s *stream) cut(text []byte) int {
	from := len(text) - 3*margin
	spans := s.r.find(text[from:], s.hint)
	free := func(at int) bool {
		for _, sp := range spans {
			if at > from+sp.Start-apartBy && at < from+sp.End {
				return false
			}
		}
		return true
	}
	last := len(text) - margin
	for _, ends := range []string{"\n", " \t,;\"", ""} {
		for at := last; at > from; at-- {
			if (ends == "" || bytes.IndexByte([]byte(ends), text[at-1]) >= 0) && free(at) {
				return at
			}
		}
	}
	return last
}

func (s *stream) lines(in *bufio.Reader) error {
	for {
		line, long, err := s.readLine(in)
		if long {
			if werr := s.longLine(in, line); werr != nil {
				return werr
			}
			continue
		}
		if len(line) > 0 {
			if werr := s.line(line); werr != nil {
				return werr
			}
		}
		if errors.Is(err, io.EOF) {
			return s.flush()
		}
		if err != nil {
			return err
		}
	}
}

func (s *stream) line(line []byte) error {
	if !json.Valid(line) {
		return s.add(line)
	}
	if err := s.flush(); err != nil {
		return err
	}
	return s.write(s.r.json(line, s.found))
}

// readLine reads a line with its end. A long one is broken off.
func (s *stream) readLine(in *bufio.Reader) (line []byte, long bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, false, err
		}
		if len(line) > s.longest {
			return line, true, nil
		}
	}
}

// longLine copies a line that is too long to be read as JSON, of which the
// beginning is read.
func (s *stream) longLine(in *bufio.Reader, line []byte) error {
	if err := s.flush(); err != nil {
		return err
	}
	s.hint.quoted = true
	defer func() { s.hint.quoted = false }()
	for {
		if err := s.add(line); err != nil {
			return err
		}
		part, err := in.ReadSlice('\n')
		line = part
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if werr := s.add(line); werr != nil {
			return werr
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		return s.flush()
	}
}
