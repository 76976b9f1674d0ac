package git

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// HistoryQuery says which commits to give: those that a tip reaches and no
// commit of Not does.
type HistoryQuery struct {
	Tips []string // full ids of commits or tags; none gives no commits
	// Not holds full ids of what is known already. Ids that are not in the
	// repository any more, as after a forced push and gc, exclude nothing.
	Not         []string
	FirstParent bool // follow only the first parent of merges
	// TopoOrder gives no commit before all its children, whatever their dates
	// say. Without it the newest come first, which needs no look ahead.
	TopoOrder bool
	// Paths keeps the commits that changed one of the paths or something below
	// them, without those of side branches that changed nothing in the end. The
	// parents given stay the real ones.
	Paths        []string
	Since, Until int64 // committer time, UTC seconds, inclusive; 0 is open
	Limit        int   // give at most so many; 0 is no limit
	NoMessages   bool  // leave Message out
}

// History gives commits, each once. A commit that is damaged is given with its
// Problem. The sequence ends at its first error, which is of kind
// stemma.ErrNotFound where a tip or a parent is not in the repository.
func (r *Repo) History(ctx context.Context, q HistoryQuery) iter.Seq2[*Commit, error] {
	return func(yield func(*Commit, error) bool) {
		if err := r.history(ctx, q, func(c *Commit) bool { return yield(c, nil) }); err != nil {
			yield(nil, fmt.Errorf("history: %w", err))
		}
	}
}

// history lets rev-list walk and cat-file give the commits it names, at the
// same time: the objects come as they are, with no encoding applied, in less
// time than git log takes.
func (r *Repo) history(ctx context.Context, q HistoryQuery, take func(*Commit) bool) error {
	if len(q.Tips) == 0 {
		return nil
	}
	for _, id := range slices.Concat(q.Tips, q.Not) {
		if err := r.checkID(id); err != nil {
			return err
		}
	}
	not, err := r.Present(ctx, q.Not)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	walk, err := r.start(ctx, r.objects, strings.NewReader(walkInput(q.Tips, not)), walkArgs(q)...)
	if err != nil {
		return err
	}
	defer walk.kill()
	objects, err := r.converse(ctx, r.objects, "cat-file", giveObjects)
	if err != nil {
		return err
	}
	defer objects.kill()

	// The pump hands ids from one process to the other. It ends when either
	// does, and both end with this function.
	ids := make(chan string, 1024)
	pumped := make(chan error, 1)
	go func() {
		defer close(ids)
		pumped <- pump(ctx, walk, objects.in, r.hexLen(), ids)
	}()
	more := true
	for id := range ids {
		c, err := r.readCommit(objects, id, q.NoMessages)
		if err == nil {
			if more = take(c); more {
				continue
			}
		}
		cancel()
		walk.kill()
		objects.kill()
		for range ids { // lets the pump end
		}
		if err == nil || !more {
			return nil
		}
		return err
	}
	return <-pumped
}

func walkInput(tips, not []string) string {
	var b strings.Builder
	for _, id := range tips {
		b.WriteString(id + "\n")
	}
	for _, id := range not {
		b.WriteString("^" + id + "\n")
	}
	return b.String()
}

func walkArgs(q HistoryQuery) []string {
	args := []string{"rev-list", "--stdin"}
	if q.FirstParent {
		args = append(args, "--first-parent")
	}
	if q.TopoOrder {
		args = append(args, "--topo-order")
	}
	if q.Since != 0 {
		args = append(args, "--max-age="+strconv.FormatInt(q.Since, 10))
	}
	if q.Until != 0 {
		args = append(args, "--min-age="+strconv.FormatInt(q.Until, 10))
	}
	if q.Limit > 0 {
		args = append(args, "--max-count="+strconv.Itoa(q.Limit))
	}
	return append(append(args, "--"), q.Paths...)
}

func pump(ctx context.Context, walk *process, objects io.WriteCloser, hexLen int, ids chan<- string) error {
	w := bufio.NewWriterSize(objects, 4<<10)
	for {
		line, err := readLine(walk.out, 1<<10, nil)
		if errors.Is(err, io.EOF) {
			// What rev-list printed before it died is not the whole history.
			if err := walk.wait(); err != nil {
				return err
			}
			return nil
		}
		if err != nil {
			return walk.broken(err)
		}
		id := string(line)
		if len(id) != hexLen || !isHex(id) {
			return &DecodeError{"output of rev-list", 0, "not an object id: " + strconv.Quote(clip(id))}
		}
		select {
		case ids <- id:
		case <-ctx.Done():
			return ctx.Err()
		}
		_, _ = w.WriteString(id + "\n") // a failure is seen by Flush
		if walk.out.Buffered() == 0 || w.Available() <= hexLen {
			if err := w.Flush(); err != nil {
				return nil // cat-file ended; its reader tells why
			}
		}
	}
}

func (r *Repo) readCommit(objects *process, id string, noMessage bool) (*Commit, error) {
	line, err := readLine(objects.out, 1<<20, nil)
	if err != nil {
		return nil, objects.broken(err)
	}
	head, err := parseHead(id, string(line))
	if err != nil {
		return nil, err
	}
	if head.kind != "commit" || head.size > maxCommit {
		if _, err := io.CopyN(io.Discard, objects.out, head.size+1); err != nil {
			return nil, objects.broken(err)
		}
		return &Commit{ID: id, Problem: fmt.Sprintf("a %s of %d bytes, over the limit of %d", head.kind, head.size, maxCommit)}, nil
	}
	data := make([]byte, head.size+1)
	if _, err := io.ReadFull(objects.out, data); err != nil {
		return nil, objects.broken(err)
	}
	c, err := parseCommit(id, data[:head.size], r.hexLen())
	if err != nil {
		return &Commit{ID: id, Problem: err.Error()}, nil
	}
	if r.isShallow(id) {
		c.Parents = nil
	}
	if noMessage {
		c.Message = nil
	}
	return c, nil
}

// Present gives those of the full ids whose objects are in the repository, in
// their order, with one process.
func (r *Repo) Present(ctx context.Context, ids []string) ([]string, error) {
	for _, id := range ids {
		if err := r.checkID(id); err != nil {
			return nil, fmt.Errorf("present: %w", err)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	var here []string
	err := r.tellAll(ctx, ids, func(_ int, head object, err error) {
		if err == nil {
			here = append(here, head.id)
		}
	})
	return here, err
}

// tellAll asks of many objects at once. got is called once for each question,
// in order; its error says that there is no such object.
func (r *Repo) tellAll(ctx context.Context, questions []string, got func(i int, head object, err error)) error {
	if len(questions) == 0 {
		return nil
	}
	p, err := r.start(ctx, r.objects, strings.NewReader(strings.Join(questions, "\n")+"\n"), "cat-file", "--buffer", tellObjects)
	if err != nil {
		return err
	}
	defer p.kill()
	for i, q := range questions {
		line, err := readLine(p.out, 1<<20, nil)
		if err != nil {
			return p.broken(err)
		}
		head, err := parseHead(q, string(line))
		if err != nil && !errors.Is(err, errAnswered) {
			return err
		}
		got(i, head, err)
	}
	return p.wait()
}

// Ancestor reports whether the first commit can be reached from the second, or
// is the same. Both are full ids; the error is of kind stemma.ErrNotFound where
// one is not in the repository.
func (r *Repo) Ancestor(ctx context.Context, first, second string) (bool, error) {
	for _, id := range []string{first, second} {
		if err := r.checkID(id); err != nil {
			return false, fmt.Errorf("ancestor: %w", err)
		}
		if _, err := r.tell(ctx, id+"^{commit}"); err != nil {
			return false, fmt.Errorf("ancestor: %w", err)
		}
	}
	if first == second {
		return true, nil
	}
	// rev-list gives nothing when the first is reached from the second; unlike
	// merge-base --is-ancestor it tells "no" from "could not" without its exit code.
	out, err := r.output(ctx, r.objects, 1<<10, "rev-list", "--max-count=1", first, "--not", second, "--")
	if err != nil {
		return false, fmt.Errorf("ancestor: %w", err)
	}
	return len(out) == 0, nil
}
