package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/stemma-dev/stemma"
)

// pool keeps the long-lived cat-file processes: one that gives objects and one
// that only tells of them, more when several callers ask at once.
type pool struct {
	repo   *Repo
	mu     sync.Mutex // guards what follows
	closed bool
	idle   map[string][]*process
	all    []*process
}

const (
	giveObjects = "--batch"
	tellObjects = "--batch-check"
	mostIdle    = 2 // of each kind
)

func (p *pool) take(kind string) (proc *process, used bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, false, fmt.Errorf("%w: repository is closed", stemma.ErrUnavailable)
	}
	if n := len(p.idle[kind]); n > 0 {
		proc = p.idle[kind][n-1]
		p.idle[kind] = p.idle[kind][:n-1]
		return proc, true, nil
	}
	// It outlives the call that starts it: give and close end it.
	proc, err = p.repo.converse(context.Background(), p.repo.objects, "cat-file", kind)
	if err != nil {
		return nil, false, err
	}
	p.all = append(p.all, proc)
	return proc, false, nil
}

// give takes a process back; one that is not fit to be asked again is ended.
func (p *pool) give(kind string, proc *process, fit bool) {
	p.mu.Lock()
	if fit && !p.closed && len(p.idle[kind]) < mostIdle {
		if p.idle == nil {
			p.idle = map[string][]*process{}
		}
		p.idle[kind] = append(p.idle[kind], proc)
		p.mu.Unlock()
		return
	}
	p.all = slices.DeleteFunc(p.all, func(q *process) bool { return q == proc })
	p.mu.Unlock()
	proc.kill()
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	all := p.all
	p.all, p.idle = nil, nil
	p.mu.Unlock()
	for _, proc := range all {
		proc.kill()
	}
}

// object is the head of what cat-file answers.
type object struct {
	id, kind string
	size     int64
}

// ask puts one question to a cat-file process and lets read take the content,
// of which it must leave nothing when it says that the process is fit to go on.
func (r *Repo) ask(ctx context.Context, kind, question string, read func(object, *process) (fit bool, err error)) error {
	if strings.ContainsRune(question, '\n') {
		return fmt.Errorf("%w: %q holds a line end", stemma.ErrInvalid, clip(question))
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		proc, used, err := r.batch.take(kind)
		if err != nil {
			return err
		}
		stop := context.AfterFunc(ctx, proc.kill)
		head, err := proc.question(question)
		if err != nil && !errors.Is(err, errAnswered) {
			stop()
			err = proc.broken(err)
			r.batch.give(kind, proc, false)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if used && !r.batch.isClosed() {
				continue // it had ended while nobody looked; a new one will tell
			}
			return err
		}
		fit := true
		if err == nil {
			fit, err = read(head, proc)
		}
		// A kill that has begun means that the process is not fit any more.
		fit = stop() && fit
		r.batch.give(kind, proc, fit)
		if err != nil && ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
}

func (p *pool) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// errAnswered marks answers that say that there is no such object.
var errAnswered = errors.New("answered")

type noObject struct {
	question string
	kind     error
	why      string
}

func (e *noObject) Error() string {
	return fmt.Sprintf("object %s %s", clip(printable(e.question)), e.why)
}
func (e *noObject) Unwrap() []error { return []error{e.kind, errAnswered} }

func (p *process) question(q string) (object, error) {
	if _, err := io.WriteString(p.in, q+"\n"); err != nil {
		return object{}, io.ErrUnexpectedEOF // it has ended; how, wait tells
	}
	line, err := readLine(p.out, 1<<20, nil)
	if err != nil {
		return object{}, err
	}
	return parseHead(q, string(line))
}

// parseHead reads "<id> <type> <size>", or "<question> missing".
func parseHead(question, line string) (object, error) {
	if why, ok := strings.CutPrefix(line, question+" "); ok {
		switch why {
		case "missing":
			return object{}, &noObject{question, stemma.ErrNotFound, "is not in the repository"}
		case "ambiguous":
			return object{}, &noObject{question, stemma.ErrInvalid, "is ambiguous; give more digits"}
		}
	}
	f := strings.Split(line, " ")
	if len(f) == 2 && f[1] == "submodule" {
		return object{}, &noObject{question, stemma.ErrNotFound, "is a commit of a submodule"}
	}
	if len(f) != 3 || !isHex(f[0]) {
		return object{}, &DecodeError{"output of cat-file", 0, "answer is " + strconv.Quote(clip(line))}
	}
	size, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil || size < 0 {
		return object{}, &DecodeError{"output of cat-file", int64(len(f[0]) + len(f[1]) + 2), "size is " + strconv.Quote(clip(f[2]))}
	}
	return object{f[0], f[1], size}, nil
}

// cheapSkip is the size up to which it is quicker to read an unwanted object
// to its end than to start a new process.
const cheapSkip = 4 << 20

// object reads one whole object of the wanted type.
func (r *Repo) object(ctx context.Context, question, want string, limit int64) ([]byte, error) {
	_, data, err := r.give(ctx, question, want, limit)
	return data, err
}

// give reads one whole object of the wanted type, with its head. The head is
// given, too, where the object is refused.
func (r *Repo) give(ctx context.Context, question, want string, limit int64) (head object, data []byte, err error) {
	err = r.ask(ctx, giveObjects, question, func(got object, p *process) (bool, error) {
		head = got
		if fit, err := p.refuse(question, head, want, limit); err != nil {
			return fit, err
		}
		data = make([]byte, head.size+1)
		if _, err := io.ReadFull(p.out, data); err != nil {
			return false, p.broken(err)
		}
		data = data[:head.size:head.size]
		return true, nil
	})
	if err != nil {
		return head, nil, err
	}
	return head, data, nil
}

// refuse passes an object that is not what was wanted, and says why it is not.
// fit says whether the process can be asked again.
func (p *process) refuse(question string, head object, want string, limit int64) (fit bool, err error) {
	switch {
	case head.kind != want:
		err = fmt.Errorf("%w: %s is a %s, not a %s", stemma.ErrInvalid, clip(printable(question)), head.kind, want)
	case head.size > limit:
		err = fmt.Errorf("%w: %s has %d bytes, over the limit of %d", stemma.ErrInvalid, clip(printable(question)), head.size, limit)
	default:
		return true, nil
	}
	if head.size > cheapSkip {
		return false, err
	}
	if _, end := io.CopyN(io.Discard, p.out, head.size+1); end != nil {
		return false, p.broken(end)
	}
	return true, err
}

// Blob gives the content of a blob of at most limit bytes. The error is of kind
// stemma.ErrNotFound where the object is not here, and of kind
// stemma.ErrInvalid where it is larger, which the text says, or not a blob.
func (r *Repo) Blob(ctx context.Context, id string, limit int64) ([]byte, error) {
	if err := r.checkID(id); err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	return r.object(ctx, id, "blob", limit)
}

// Stat gives type ("commit", "tree", "blob", "tag") and size of an object
// without reading it; stemma.ErrNotFound where it is not here.
func (r *Repo) Stat(ctx context.Context, id string) (kind string, size int64, err error) {
	if err := r.checkID(id); err != nil {
		return "", 0, fmt.Errorf("stat: %w", err)
	}
	head, err := r.tell(ctx, id)
	return head.kind, head.size, err
}

func (r *Repo) tell(ctx context.Context, question string) (object, error) {
	var got object
	err := r.ask(ctx, tellObjects, question, func(head object, _ *process) (bool, error) {
		got = head
		return true, nil
	})
	return got, err
}

// File gives the content of a file of a commit, of at most limit bytes. A
// symbolic link gives its target. The path is as git has it, with slashes. The
// error is of kind stemma.ErrNotFound where the commit has no such file, and
// of kind stemma.ErrInvalid where it is larger or a directory.
func (r *Repo) File(ctx context.Context, commit, path string, limit int64) ([]byte, error) {
	if err := r.checkID(commit); err != nil {
		return nil, fmt.Errorf("file: %w", err)
	}
	if path == "" || slices.ContainsFunc(strings.Split(path, "/"), func(part string) bool {
		return part == "" || part == "." || part == ".."
	}) || strings.ContainsRune(path, 0) {
		return nil, fmt.Errorf("%w: a tree cannot hold the path %q", stemma.ErrNotFound, clip(path))
	}
	if !strings.ContainsRune(path, '\n') {
		return r.object(ctx, commit+":"+path, "blob", limit)
	}
	// A question is one line, so such a path is looked up by ls-tree.
	for e, err := range r.lsTree(ctx, commit, "--", path) {
		if err != nil {
			return nil, err
		}
		if e.Path == path {
			return r.object(ctx, e.ID, "blob", limit)
		}
	}
	return nil, fmt.Errorf("%w: %s has no file %q", stemma.ErrNotFound, commit, clip(path))
}
