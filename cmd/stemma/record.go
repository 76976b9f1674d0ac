package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/record"
)

// recorded is what `stemma record --json` prints for each submission, one JSON
// object a line (schema stemma.record/v1).
type recorded struct {
	Schema        string `json:"schema"`
	Line          int    `json:"line"`
	Log           string `json:"log"` // origin
	Index         uint64 `json:"index"`
	Digest        string `json:"digest"`
	Source        string `json:"source"`
	EventID       string `json:"event_id"`
	PredicateType string `json:"predicate_type"`
	New           bool   `json:"new"`
	Foreign       bool   `json:"foreign"`
}

// recordBatch is how many submissions are recorded as one.
const recordBatch = 1000

func newRecord(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "record [file]",
		Short: "Record statements, or envelopes that others signed",
		Long: `Records evidence: in-toto Statements, which are checked and signed with the key of
this machine, and DSSE envelopes and Sigstore bundles that are signed already,
whose known signatures are verified and which are kept exactly as they came. All
are appended to the log. What is printed is durable, and can be proven a moment later (stemma tlog
prove).

The input is one JSON document, or many with one a line; "-" or no file is
standard input. A statement says in its predicate from which source it is, and
the source's own id of the event: told again, the same event is recorded once.
Lines that cannot be recorded are named on standard error; the others are
recorded, and the exit status is 2.

On this machine the key is your own: it proves that nothing was changed since it
was recorded, no more.`,
		Example: `  stemma record statement.json
  producer | stemma record -
  stemma record pay.sigstore.json
  stemma record --json envelopes.ndjson`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := io.Reader(os.Stdin)
			if len(args) == 1 && args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return fileProblem(err)
				}
				defer f.Close()
				in = f
			}
			return o.record(cmd.Context(), in)
		},
	}
}

// fileProblem gives an error of a file that the user named its kind.
func fileProblem(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%v: %w", err, stemma.ErrNotFound)
	case errors.Is(err, os.ErrPermission):
		return hinted{fmt.Errorf("%v: %w", err, stemma.ErrDenied), "get permission to read the file"}
	}
	return fmt.Errorf("%v: %w", err, stemma.ErrInvalid)
}

// warn says what is wrong and holds nothing up.
func (o *options) warn(text string) { fmt.Fprintf(o.err, "stemma: warning: %s\n", text) }

func (o *options) record(ctx context.Context, in io.Reader) (err error) {
	s, err := openSpine(ctx, o.warn)
	if err != nil {
		return err
	}
	defer func() {
		// What is recorded is durable, whether it is published yet or not.
		if cerr := s.close(); cerr != nil && err == nil {
			o.warn(cerr.Error())
		}
	}()
	r := &recording{o: o, s: s}
	lines := &submissionReader{in: bufio.NewReaderSize(in, 64<<10)}
	for {
		text, line, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			var sub record.Submission
			if sub, err = record.ParseSubmission(text); err == nil {
				r.batch, r.lines = append(r.batch, sub), append(r.lines, line)
			}
		}
		if err != nil {
			if !errors.Is(err, stemma.ErrInvalid) {
				return err
			}
			r.bad(line, err)
		}
		if len(r.batch) == recordBatch {
			if err := r.flush(ctx); err != nil {
				return err
			}
		}
	}
	if err := r.flush(ctx); err != nil {
		return err
	}
	switch {
	case r.refused > 0:
		return hinted{fmt.Errorf("%d of %d submissions could not be recorded: %w", r.refused, r.refused+r.done, stemma.ErrInvalid), "see the lines above"}
	case r.done == 0:
		return fmt.Errorf("the input holds nothing to record: %w", stemma.ErrInvalid)
	}
	return nil
}

// recording is one run of the command.
type recording struct {
	o             *options
	s             *spine
	batch         []record.Submission
	lines         []int // of the input, for each of batch
	done, refused int
}

func (r *recording) bad(line int, err error) {
	r.refused++
	// That it is invalid goes without saying.
	text := strings.TrimSuffix(err.Error(), ": "+stemma.ErrInvalid.Error())
	fmt.Fprintf(r.o.err, "stemma: line %d: %s\n", line, text)
}

// flush records the batch. What is at fault is taken out, and named.
func (r *recording) flush(ctx context.Context) error {
	for len(r.batch) > 0 {
		receipts, err := r.s.recorder.Record(ctx, r.batch)
		var at *record.SubmissionError
		if errors.As(err, &at) && errors.Is(err, stemma.ErrInvalid) {
			r.bad(r.lines[at.At], at.Err)
			r.batch = append(r.batch[:at.At], r.batch[at.At+1:]...)
			r.lines = append(r.lines[:at.At], r.lines[at.At+1:]...)
			continue
		}
		if err != nil {
			return err
		}
		for i, receipt := range receipts {
			if err := r.print(r.lines[i], receipt, r.batch[i].Envelope != nil); err != nil {
				return err
			}
		}
		r.done += len(receipts)
		break
	}
	r.batch, r.lines = r.batch[:0], r.lines[:0]
	return nil
}

func (r *recording) print(line int, receipt record.Receipt, foreign bool) error {
	if r.o.json {
		text, err := json.Marshal(recorded{
			Schema: "stemma.record/v1", Line: line, Log: r.s.keys.Origin(), Index: receipt.Index, Digest: "sha256:" + hex.EncodeToString(receipt.Digest[:]),
			Source: receipt.Source, EventID: receipt.EventID, PredicateType: receipt.PredicateType, New: receipt.New, Foreign: foreign,
		})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(r.o.out, "%s\n", text)
		return err
	}
	state := "recorded"
	if !receipt.New {
		state = "was recorded before"
	}
	_, err := fmt.Fprintf(r.o.out, "%d sha256:%s %s\n", receipt.Index, receipt.Digest, state)
	return err
}

// submissionReader gives the documents of an input: the one that it is, or that
// of each line.
type submissionReader struct {
	in    *bufio.Reader
	begun bool
	line  int
}

// next gives the next document and its line. An error of kind ErrInvalid is of
// that document alone: the next may be good. io.EOF is the end.
func (r *submissionReader) next() ([]byte, int, error) {
	if !r.begun {
		r.begun = true
		if whole, ok, err := r.whole(); ok || err != nil {
			r.line = 1
			return whole, 1, err
		}
	}
	for {
		text, err := r.readLine()
		if err != nil {
			return nil, r.line, err
		}
		if len(bytes.TrimSpace(text)) > 0 {
			return text, r.line, nil
		}
	}
}

// whole reads an input that is one document over several lines. What is longer
// than a submission may be is none.
func (r *submissionReader) whole() ([]byte, bool, error) {
	head, err := io.ReadAll(io.LimitReader(r.in, record.MaxSubmission+1))
	if err != nil {
		return nil, false, fmt.Errorf("read the input: %v: %w", err, stemma.ErrUnavailable)
	}
	if len(head) <= record.MaxSubmission && json.Valid(head) {
		return head, true, nil
	}
	r.in = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(head), r.in), 64<<10)
	return nil, false, nil
}

// readLine reads a line. Of one that is too long the rest is passed over, in
// little memory.
func (r *submissionReader) readLine() ([]byte, error) {
	r.line++
	var text []byte
	long := false
	for {
		part, err := r.in.ReadSlice('\n')
		if long = long || len(text)+len(part) > record.MaxSubmission+1; !long {
			text = append(text, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(text) == 0 && !long:
			return nil, io.EOF
		case err != nil && !errors.Is(err, io.EOF):
			return nil, fmt.Errorf("read the input: %v: %w", err, stemma.ErrUnavailable)
		case long:
			return nil, fmt.Errorf("over the limit of %d bytes: %w", record.MaxSubmission, stemma.ErrInvalid)
		}
		return text, nil
	}
}
