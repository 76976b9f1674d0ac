package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
)

// imported is what an import holds of a session of this machine: where it stands,
// and what it is compared by. The session itself is read again when it is recorded,
// so that those of many transcripts are never held at once.
type imported struct {
	key     string
	paths   []string // transcripts that tell of it, in the order in which they are joined
	path    string   // the one that tells of it last
	sized   sized
	outline agent.Outline
	written agent.Written
	matches []agent.Match
}

// sized is how much there is of a session.
type sized struct {
	start, end         time.Time
	turns, calls, gaps int
}

func sizeOf(s agent.Session) sized {
	n := sized{start: s.Start, end: s.End, turns: len(s.Turns)}
	for _, t := range s.Turns {
		n.calls += len(t.Calls)
	}
	for _, g := range s.Gaps {
		n.gaps += g.Count
	}
	return n
}

// look takes from a session what is held of it.
func (i *imported) look(s agent.Session) {
	i.sized, i.outline, i.written = sizeOf(s), s.Outline(), s.Written()
}

// join reads the session out of all transcripts that tell of it. The error is
// ErrConflict where one of them tells of it no longer.
func (i *imported) join(ctx context.Context, from *transcripts) (agent.Session, error) {
	var whole agent.Session
	for n, path := range i.paths {
		r, err := from.read(ctx, path)
		if err != nil {
			return agent.Session{}, err
		}
		at := -1
		if r != nil {
			at = slices.IndexFunc(r.Sessions, func(s agent.Session) bool { return s.Key() == i.key })
		}
		switch {
		case at < 0:
			return agent.Session{}, fmt.Errorf("transcript %q changed while it was imported: %w", path, stemma.ErrConflict)
		case n == 0:
			whole = r.Sessions[at]
		default:
			whole = agent.Join(whole, r.Sessions[at])
		}
	}
	return whole, nil
}

// session reads the session as it was looked at. The error is ErrConflict where it
// is another one now: it was compared with commits and sessions as it was.
func (i *imported) session(ctx context.Context, from *transcripts) (agent.Session, error) {
	s, err := i.join(ctx, from)
	if err != nil {
		return agent.Session{}, err
	}
	now := sizeOf(s)
	if !now.start.Equal(i.sized.start) || !now.end.Equal(i.sized.end) || now.turns != i.sized.turns || now.calls != i.sized.calls {
		return agent.Session{}, fmt.Errorf("session %s changed while it was imported: %w", i.key, stemma.ErrConflict)
	}
	return s, nil
}

// byTranscript gives sessions in their order, but those of one transcript after
// each other, so that one with many is read once for all of them.
func byTranscript(all []*imported) []*imported {
	first := make(map[string]int)
	for _, i := range all {
		if _, ok := first[i.paths[0]]; !ok {
			first[i.paths[0]] = len(first)
		}
	}
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b *imported) int { return first[a.paths[0]] - first[b.paths[0]] })
	return all
}

// heldTranscripts is how many bytes of transcripts are held as they were read: where
// there are no more, each is read once.
const (
	heldTranscripts = 16 << 20
	leastHeld       = 64 << 10 // what a small one, or a folder, counts for
)

// transcripts reads transcripts, each as far as it reached the first time: one that
// grows tells the same again. It holds what it read last.
type transcripts struct {
	most  int64            // bytes to hold; of a transcript that is larger, that one alone
	size  int64            // bytes that are held
	held  []heldTranscript // what was asked for last comes last
	sizes map[string]int64
	// watch is nil, or told of each reading, for tests.
	watch func(*agent.Reading)
}

type heldTranscript struct {
	path    string
	size    int64
	reading *agent.Reading
}

func newTranscripts(most int64) *transcripts {
	return &transcripts{most: most, sizes: make(map[string]int64)}
}

// read reads a transcript from its beginning. It gives nil where no agent's decoder
// recognises it. What it gives is not to be changed.
func (t *transcripts) read(ctx context.Context, path string) (*agent.Reading, error) {
	if n := slices.IndexFunc(t.held, func(h heldTranscript) bool { return h.path == path }); n >= 0 {
		h := t.held[n]
		t.held = append(slices.Delete(t.held, n, n+1), h)
		return h.reading, nil
	}
	src, closer, err := agent.Open(path)
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	if size, ok := t.sizes[path]; ok && src.Body != nil {
		src.Size = min(src.Size, size)
		src.Body = io.NewSectionReader(src.Body, 0, src.Size)
	}
	d, err := agents().Recognise(src)
	if d == nil || err != nil {
		return nil, err
	}
	r, err := d.Read(ctx, src, agent.State{})
	if err != nil {
		return nil, err
	}
	if t.watch != nil {
		t.watch(&r)
	}
	r.State = agent.State{} // nothing goes on from here
	t.sizes[path] = src.Size
	held := heldTranscript{path, max(leastHeld, src.Size), &r}
	t.held, t.size = append(t.held, held), t.size+held.size
	for len(t.held) > 1 && t.size > t.most {
		t.size -= t.held[0].size
		t.held = slices.Delete(t.held, 0, 1)
	}
	return &r, nil
}
