package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/stemma-dev/stemma"
)

// ReadDocument reads a transcript that is one JSON document, which its tool
// writes anew each time. It is the Read of the decoders of such transcripts: a
// document that has changed is read as a whole, and the Reading then is Replaced.
//
// The error is a *DecodeError where the document is no JSON object; of a document
// that is cut off nothing can be told.
func ReadDocument(ctx context.Context, agent string, src *Source, from State, read func(b *Builder, v Value)) (Reading, error) {
	text, err := readAll(ctx, agent, src)
	if err != nil {
		return Reading{}, err
	}
	digest := sha256.Sum256(text)
	state := State{Agent: agent, Offset: int64(len(text)), Blocks: []string{hex.EncodeToString(digest[:16])}, Readings: from.Readings + 1}
	if from.Offset == state.Offset && len(from.Blocks) == 1 && from.Blocks[0] == state.Blocks[0] {
		return Reading{State: state}, nil
	}
	v, err := ParseValue(bytes.TrimPrefix(bytes.TrimRight(text, "\x00"), []byte("\xEF\xBB\xBF")), 0)
	if err == nil && !v.IsObject() {
		err = &DecodeError{Reason: "an object is expected"}
	}
	if err != nil {
		var d *DecodeError
		errors.As(err, &d)
		return Reading{}, &DecodeError{Agent: agent, Path: src.Path, Offset: d.Offset, Reason: d.Reason}
	}
	b := newBuilder(agent)
	read(b, v)
	return Reading{
		Sessions: b.sessions(), Replaced: from.Offset > 0,
		Bytes: int64(len(text)), Entries: 1, State: state,
	}, nil
}

// readAll reads a document into memory.
func readAll(ctx context.Context, agent string, src *Source) ([]byte, error) {
	switch {
	case src.Body == nil:
		return nil, &DecodeError{Agent: agent, Path: src.Path, Reason: "a file is expected"}
	case src.Size > MaxDocument:
		return nil, &DecodeError{Agent: agent, Path: src.Path, Reason: fmt.Sprintf("over the limit of %d bytes", MaxDocument)}
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	text := make([]byte, src.Size)
	n, err := src.Body.ReadAt(text, 0)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("transcript %q: %v: %w", src.Path, err, stemma.ErrUnavailable)
	}
	return text[:n], nil
}

// Build gives the sessions that a function puts together, for the decoders whose
// transcripts are neither lines nor one document.
func Build(agent string, put func(b *Builder)) []Session {
	b := newBuilder(agent)
	put(b)
	return b.sessions()
}
