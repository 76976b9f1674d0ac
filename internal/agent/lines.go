package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/stemma-dev/stemma"
)

// Entry takes one entry of a transcript: a line of a file of lines. It gives
// "" where it read the entry, and else the reason why it could not.
type Entry func(b *Builder, v Value, at Span) (unknown string)

// ReadLines reads a transcript that is a file of lines of JSON, which only ever
// grows. It is the Read of the decoders of such transcripts.
//
// A line that is no JSON, or over MaxLine, is a gap. The last line counts when
// it is a whole value, with or without its line feed; otherwise it is pending:
// the agent may be writing it now.
func ReadLines(ctx context.Context, agent string, src *Source, from State, entry Entry) (Reading, error) {
	if src.Body == nil {
		return Reading{}, &DecodeError{Agent: agent, Path: src.Path, Reason: "a file of lines is expected"}
	}
	var r Reading
	digest := newBlocks()
	vanished := Gap{}
	if from.Offset > 0 {
		reason, err := digest.resume(ctx, src, from)
		if err != nil {
			return Reading{}, sourceError(ctx, src, err)
		}
		if reason != "" {
			r.Replaced = true
			vanished = Gap{Kind: GapRewritten, Reason: reason, Count: 1}
			digest, from = newBlocks(), State{}
		}
	}
	b := from.resume(agent)
	if r.Replaced {
		b.loose = addGap(b.loose, vanished)
	}
	l := &lines{ctx: ctx, src: src, at: from.Offset, buf: make([]byte, 0, 256<<10)}
	for {
		line, at, err := l.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return Reading{}, sourceError(ctx, src, err)
		}
		switch {
		case l.skipped && l.ended:
			b.Gap(GapTooLarge, "a line over the limit", at)
			if err := digest.through(ctx, src, at); err != nil {
				return Reading{}, sourceError(ctx, src, err)
			}
			r.Bytes += at.Length
		case l.skipped:
			r.Pending = at.Length
		default:
			entries, n := readLine(b, line, at, l.ended, entry)
			digest.write(line[:n])
			r.Entries += entries
			r.Bytes += int64(n)
			r.Pending = at.Length - int64(n)
		}
	}
	r.Sessions = b.sessions()
	r.State = b.state()
	r.State.Offset, r.State.Blocks = digest.size, digest.list()
	r.State.Readings = from.Readings + 1
	return r, nil
}

// readLine reads the entries of one line: one, or several that a writer put
// there without a line feed between them. Of a line that has not ended it reads
// the objects that have; nothing says yet whether the rest is damaged or still
// being written. It gives how much of the line it has done with.
func readLine(b *Builder, line []byte, at Span, ended bool, entry Entry) (entries, done int) {
	if bom := "\xEF\xBB\xBF"; at.Offset == 0 && bytes.HasPrefix(line, []byte(bom)) {
		done = len(bom)
	}
	text := line
	if ended {
		text = bytes.TrimRight(line, " \t\r\n\x00")
	}
	for done = skipSpace(text, done); done < len(text); {
		v, n, err := nextValue(text[done:], at.Offset+int64(done))
		if !ended && (err != nil || !v.IsObject()) {
			return entries, done
		}
		entries++
		if err != nil {
			var d *DecodeError
			errors.As(err, &d)
			b.Gap(GapUnreadable, "a line that is no JSON: "+d.Reason, Span{at.Offset + int64(done), int64(len(text) - done)})
			break
		}
		span := Span{v.at, v.Len()}
		if !v.IsObject() {
			b.Gap(GapUnknown, "a line that is no object", span)
		} else if reason := entry(b, v, span); reason != "" {
			b.Gap(GapUnknown, reason, span)
		}
		done += n
	}
	if ended {
		done = len(line)
	}
	return entries, done
}

// sourceError is the error of a source that can not be read.
func sourceError(ctx context.Context, src *Source, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("transcript %q: %v: %w", src.Path, err, stemma.ErrUnavailable)
}

// lines cuts a source into lines, with no more in memory than one of them.
type lines struct {
	ctx  context.Context
	src  *Source
	at   int64 // of buf[0] in the source
	buf  []byte
	done bool // the source has nothing more

	skipped bool // the line that was given last is over the limit and not in memory
	ended   bool // it ends with a line feed; only the last may not
}

// next gives the next line with its line feed, or io.EOF. The line is valid
// until next is called again.
func (l *lines) next() (line []byte, at Span, err error) {
	l.skipped = false
	seen := 0
	for {
		i := bytes.IndexByte(l.buf[seen:], '\n')
		if i >= 0 && seen+i < MaxLine {
			return l.take(seen + i + 1)
		}
		if i >= 0 {
			return l.skip()
		}
		seen = len(l.buf)
		if l.done {
			if seen == 0 {
				return nil, Span{}, io.EOF
			}
			if seen <= MaxLine {
				return l.take(seen)
			}
		}
		if seen >= MaxLine {
			return l.skip()
		}
		if err := l.fill(); err != nil {
			return nil, Span{}, err
		}
	}
}

func (l *lines) take(n int) ([]byte, Span, error) {
	line := l.buf[:n]
	at := Span{l.at, int64(n)}
	l.at += int64(n)
	l.buf = l.buf[n:]
	l.ended = line[n-1] == '\n'
	return line, at, nil
}

// fill reads more behind what is in the buffer.
func (l *lines) fill() error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	if cap(l.buf)-len(l.buf) < 64<<10 {
		size := max(256<<10, 2*len(l.buf))
		if size > MaxLine/2 {
			// As much as the longest line needs, at once.
			size = max(MaxLine, len(l.buf)) + 128<<10
		}
		bigger := make([]byte, len(l.buf), size)
		copy(bigger, l.buf)
		l.buf = bigger
	}
	n, err := l.src.Body.ReadAt(l.buf[len(l.buf):cap(l.buf)], l.at+int64(len(l.buf)))
	l.buf = l.buf[:len(l.buf)+n]
	if err == io.EOF || n == 0 && err == nil {
		l.done, err = true, nil
	}
	return err
}

// skip leaves out the line that is in the buffer and is longer than that.
func (l *lines) skip() ([]byte, Span, error) {
	at := Span{Offset: l.at}
	for {
		i := bytes.IndexByte(l.buf, '\n')
		n := i + 1
		if i < 0 {
			n = len(l.buf)
		}
		l.at += int64(n)
		at.Length += int64(n)
		l.buf = l.buf[n:]
		if i >= 0 || l.done && len(l.buf) == 0 {
			l.skipped, l.ended = true, i >= 0
			return nil, at, nil
		}
		l.buf = l.buf[:0:0]
		if err := l.fill(); err != nil {
			return nil, Span{}, err
		}
	}
}

// blockSize is how much one digest covers.
const blockSize = 1 << 20

// blocks are the digests of what was read.
type blocks struct {
	full []string
	part hash.Hash
	in   int64 // bytes in part
	size int64
}

func newBlocks() *blocks { return &blocks{part: sha256.New()} }

func (d *blocks) write(p []byte) {
	d.size += int64(len(p))
	for len(p) > 0 {
		n := min(int64(len(p)), blockSize-d.in)
		d.part.Write(p[:n])
		p = p[n:]
		if d.in += n; d.in == blockSize {
			d.full = append(d.full, sum(d.part))
			d.part, d.in = sha256.New(), 0
		}
	}
}

func sum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)[:16]) }

// through is write for a part of the source that is not in memory.
func (d *blocks) through(ctx context.Context, src *Source, at Span) error {
	buf := make([]byte, 256<<10)
	for at.Length > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := src.Body.ReadAt(buf[:min(int64(len(buf)), at.Length)], at.Offset)
		if n == 0 && err != nil {
			return err
		}
		d.write(buf[:n])
		at.Offset += int64(n)
		at.Length -= int64(n)
	}
	return nil
}

// list gives the digests of the full blocks and of the rest.
func (d *blocks) list() []string {
	return append(d.full[:len(d.full):len(d.full)], sum(d.part))
}

// checked is how many blocks a reading compares, beside the first and the last
// ones. Every reading takes others, so that in time all are compared, and none
// costs more than a few milliseconds however long the transcript is.
const checked = 4

// resume compares what was read before with what stands there now. It gives the
// reason where they are not the same; and otherwise the digests go on where they
// ended.
func (d *blocks) resume(ctx context.Context, src *Source, from State) (reason string, err error) {
	n := int(from.Offset / blockSize)
	if len(from.Blocks) != n+1 {
		return "the state does not fit", nil
	}
	if src.Size < from.Offset {
		return fmt.Sprintf("what was read before is gone: %d of %d bytes are left", src.Size, from.Offset), nil
	}
	look := map[int]bool{0: true, n - 1: true}
	for i := range min(checked, n) {
		look[(from.Readings*checked+i)%n] = true
	}
	for i := range look {
		if i < 0 || i >= n {
			continue
		}
		one := newBlocks()
		if err := one.through(ctx, src, Span{int64(i) * blockSize, blockSize}); err != nil {
			return "", err
		}
		if one.full[0] != from.Blocks[i] {
			return "what was read before is not what stands there now", nil
		}
	}
	d.full = append(d.full, from.Blocks[:n]...)
	d.size = int64(n) * blockSize
	if err := d.through(ctx, src, Span{d.size, from.Offset - d.size}); err != nil {
		return "", err
	}
	if sum(d.part) != from.Blocks[n] {
		return "what was read before is not what stands there now", nil
	}
	return "", nil
}
