package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"

	"github.com/stemma-dev/stemma"
)

// Diff is what one commit added.
type Diff struct {
	Commit string
	Files  []FileDiff
	// Unreadable says why the lines could not be told; Files is nil then. It
	// names the object that is missing or damaged.
	Unreadable string
}

// diffOptions pin everything that a configuration could change about a diff.
var diffOptions = []string{
	"diff-tree", "--stdin", "-r", "--root", "--always", "--format=" + diffHeader,
	"--no-ext-diff", "--no-textconv", "--diff-algorithm=myers", "--indent-heuristic", "-l1000",
	"--no-color", "--no-relative", "--src-prefix=a/", "--dst-prefix=b/", "--full-index",
	"--ignore-submodules=none", "--submodule=short", "--inter-hunk-context=0", "-O/dev/null",
}

// The ways in which a worker asks for diffs. Merges are asked for without
// renames first, because the search for renames costs git the whole difference
// of both sides; the few merges where it could matter are asked for again.
//
// A combined diff has one line of context: without any, git leaves lines out
// that the numbering needs.
var (
	plainDiff  = &diffQuestion{options: []string{"-p", "-U0", "-M"}}
	mergeDiff  = &diffQuestion{options: []string{"-p", "--raw", "-U1", "--cc", "--no-renames"}}
	renameDiff = &diffQuestion{options: []string{"-p", "--raw", "-U1", "--cc", "-M"}}
	blobsOnly  = &diffQuestion{options: []string{"-c", "--raw", "--no-renames", "--no-abbrev"}, blobs: true}
)

type diffQuestion struct {
	options []string
	blobs   bool // the answer is read for the ids of blobs alone
}

// chunk is how many commits a worker takes at once: long enough that git finds
// the deltas of one in its cache from the last, short enough to share out.
const chunk = 128

// Added tells which lines each commit added: of a commit with one parent, those
// of git diff -M to it; of a root commit, all; of a merge, those that differ
// from every parent. Each commit given is told of once, in any order. The
// boundary of a shallow clone is Unreadable, because its parents are not here.
//
// workers git processes run side by side; 0 is 2. commits is read in another
// goroutine, which has ended when the sequence has. The sequence ends at its
// first error; an object that is missing or damaged is not one.
func (r *Repo) Added(ctx context.Context, commits iter.Seq[string], workers int) iter.Seq2[Diff, error] {
	return r.added(ctx, commits, workers, false)
}

func (r *Repo) added(ctx context.Context, commits iter.Seq[string], workers int, lines bool) iter.Seq2[Diff, error] {
	return func(yield func(Diff, error) bool) {
		if workers <= 0 {
			workers = 2
		}
		ctx, cancel := context.WithCancel(ctx)
		chunks := make(chan []string)
		results := make(chan diffResult, 4*chunk)
		var running sync.WaitGroup
		running.Go(func() {
			defer close(chunks)
			if err := r.feed(ctx, commits, chunks); err != nil {
				send(ctx, results, diffResult{err: err})
			}
		})
		for range workers {
			running.Go(func() {
				d := differ{r: r, ctx: ctx, processes: map[*diffQuestion]*process{}, careful: r.lacksBlobs(), lines: lines}
				defer d.close()
				for ids := range chunks {
					if err := d.run(ids, func(diff Diff) error { return send(ctx, results, diffResult{diff: diff}) }); err != nil {
						send(ctx, results, diffResult{err: err})
						return
					}
				}
			})
		}
		go func() {
			running.Wait()
			close(results)
		}()
		defer func() {
			cancel()
			for range results { // until all have ended
			}
		}()
		for res := range results {
			if res.err != nil {
				yield(Diff{}, fmt.Errorf("added lines: %w", res.err))
				return
			}
			if !yield(res.diff, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(Diff{}, fmt.Errorf("added lines: %w", err))
		}
	}
}

type diffResult struct {
	diff Diff
	err  error
}

func send[T any](ctx context.Context, to chan<- T, v T) error {
	select {
	case to <- v:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Repo) feed(ctx context.Context, commits iter.Seq[string], chunks chan<- []string) error {
	var ids []string
	for id := range commits {
		if err := r.checkID(id); err != nil {
			return err
		}
		if ids = append(ids, id); len(ids) == chunk {
			if err := send(ctx, chunks, ids); err != nil {
				return err
			}
			ids = nil
		}
	}
	if len(ids) > 0 {
		return send(ctx, chunks, ids)
	}
	return nil
}

// lacksBlobs reports whether so many blobs are missing that each commit's are
// looked for before git is asked for a diff and dies.
func (r *Repo) lacksBlobs() bool {
	return strings.HasPrefix(r.partial, "blob:") || strings.HasPrefix(r.partial, "tree:") || strings.HasPrefix(r.partial, "combine:")
}

// differ is one worker: a few long-lived processes that are asked in turn.
type differ struct {
	r         *Repo
	ctx       context.Context
	processes map[*diffQuestion]*process
	deaths    int
	careful   bool
	lines     bool // give Hunks
}

// manyDeaths is how often a process may die before the objects are looked for
// first.
const manyDeaths = 8

func (d *differ) close() {
	for _, p := range d.processes {
		p.kill()
	}
}

func (d *differ) run(ids []string, emit func(Diff) error) error {
	ask := make([]string, 0, len(ids))
	for _, id := range ids {
		if d.r.isShallow(id) {
			if err := emit(Diff{Commit: id, Unreadable: "boundary of a shallow clone: its parents are not in the repository"}); err != nil {
				return err
			}
			continue
		}
		ask = append(ask, id)
	}
	if d.careful {
		var err error
		if ask, err = d.readable(ask, emit); err != nil {
			return err
		}
	}
	var merges, renamed []string
	err := d.pass(plainDiff, ask, emit, func(e *diffEntry) error {
		if len(e.parents) > 1 {
			merges = append(merges, e.id)
			return nil
		}
		return emit(e.diff())
	})
	if err != nil {
		return err
	}
	err = d.pass(mergeDiff, merges, emit, func(e *diffEntry) error {
		if e.renamed {
			renamed = append(renamed, e.id)
			return nil
		}
		return emit(e.diff())
	})
	if err != nil {
		return err
	}
	return d.pass(renameDiff, renamed, emit, func(e *diffEntry) error { return emit(e.diff()) })
}

func (e *diffEntry) diff() Diff { return Diff{Commit: e.id, Files: e.files, Unreadable: e.excess} }

// pass asks one kind of process for all ids. A process dies at the first object
// it cannot read; the commit that killed it is then the last that it began or
// the one after, so both are asked for alone.
func (d *differ) pass(q *diffQuestion, ids []string, emit func(Diff) error, take func(*diffEntry) error) error {
	alone := 0
	for len(ids) > 0 {
		n := len(ids)
		if alone > 0 {
			n, alone = 1, alone-1
		}
		done, err := d.converse(q, ids[:n], emit, take)
		ids = ids[done:]
		var fatal *deathError
		switch {
		case err == nil:
		case !errors.As(err, &fatal):
			return err
		case n == 1:
			if err := d.died(q, ids[0], fatal.reason, emit); err != nil {
				return err
			}
			ids = ids[1:]
			if d.deaths++; d.deaths > manyDeaths {
				d.careful = true
			}
		default:
			alone = 2
		}
	}
	return nil
}

// died tells of a commit that killed its process: in the words of readable where
// a blob is missing, so that a commit is told of in the same words whether its
// objects were looked for first or not.
func (d *differ) died(q *diffQuestion, id, reason string, emit func(Diff) error) error {
	if !q.blobs {
		here, err := d.readable([]string{id}, emit)
		if err != nil || len(here) == 0 {
			return err
		}
	}
	return emit(Diff{Commit: id, Unreadable: reason})
}

// deathError is a process that ended because of what it was asked.
type deathError struct{ reason string }

func (e *deathError) Error() string { return e.reason }

// endOfChunk is no object id, so that diff-tree prints it back and flushes.
const endOfChunk = "end of chunk"

// converse asks a process for these commits and gives how many of them, from
// the first, are done with. After an error the process is gone.
func (d *differ) converse(q *diffQuestion, ids []string, emit func(Diff) error, take func(*diffEntry) error) (done int, err error) {
	p, err := d.process(q)
	if err != nil {
		return 0, err
	}
	var asking sync.WaitGroup
	asking.Go(func() {
		// A chunk may be more than the pipe holds while git waits for us to
		// read. That git is gone is seen where its output ends.
		_, _ = io.WriteString(p.in, strings.Join(ids, "\n")+"\n"+endOfChunk+"\n")
	})
	defer asking.Wait()

	parser := newDiffParser(p.out, d.r.hexLen())
	parser.wantBlobs, parser.wantLines = q.blobs, d.lines
	err = parser.read(endOfChunk, func(e *diffEntry) error {
		if err := skipTo(e.id, ids, &done, emit); err != nil {
			return err
		}
		done++
		return take(e)
	})
	if err == nil {
		return len(ids), skipTo("", ids, &done, emit)
	}
	delete(d.processes, q)
	var broken *DecodeError
	err = p.broken(err)
	switch {
	case d.ctx.Err() != nil:
		return done, d.ctx.Err()
	case errors.Is(err, stemma.ErrUnavailable) && !isCommandError(err):
		return done, err
	case isCommandError(err):
		return done, &deathError{commandReason(err)}
	case errors.As(err, &broken):
		return done, &deathError{broken.Error()}
	default:
		return done, err
	}
}

// skipTo tells of the commits that git passed over without a word: their
// objects are missing, or no commits.
func skipTo(id string, ids []string, done *int, emit func(Diff) error) error {
	for *done < len(ids) && ids[*done] != id {
		missed := ids[*done]
		*done++
		if err := emit(Diff{Commit: missed, Unreadable: "object " + missed + " is missing or not a commit"}); err != nil {
			return err
		}
	}
	if id != "" && *done == len(ids) {
		return &DecodeError{"output of diff-tree", 0, "tells of " + id + ", which was not asked for"}
	}
	return nil
}

func isCommandError(err error) bool {
	var failed *CommandError
	return errors.As(err, &failed)
}

func commandReason(err error) string {
	var failed *CommandError
	if errors.As(err, &failed) {
		return failed.reason()
	}
	return err.Error()
}

func (d *differ) process(q *diffQuestion) (*process, error) {
	if p := d.processes[q]; p != nil {
		return p, nil
	}
	p, err := d.r.converse(d.ctx, d.r.objects, append(diffOptions[:len(diffOptions):len(diffOptions)], q.options...)...)
	if err != nil {
		return nil, err
	}
	d.processes[q] = p
	return p, nil
}
