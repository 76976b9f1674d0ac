package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/stemma-dev/stemma"
)

// Ref is a ref as the repository has it now.
type Ref struct {
	Name   string // full name; "HEAD" for HEAD
	ID     string // the object it points to; "" of an unborn HEAD
	Target string // of a symbolic ref: the full name of the ref it stands for
	Commit string // the commit it stands for, tags followed; "" where it is none
	Type   string // of the object ID: "commit", "tag", "tree", "blob"
}

// BrokenRef is a ref that does not lead to an object.
type BrokenRef struct {
	Name, ID string
	Reason   string
}

// Refs gives the refs whose full names begin with one of the prefixes, by name;
// without prefixes all but HEAD. A prefix is a whole name or ends where a part
// of a name ends: "refs/heads" and "refs/heads/" are the same. Refs that lead
// to no object are given apart and are no error.
func (r *Repo) Refs(ctx context.Context, prefixes ...string) ([]Ref, []BrokenRef, error) {
	for _, prefix := range prefixes {
		if !strings.HasPrefix(prefix, "refs/") || strings.ContainsAny(prefix, "*?[\\\x00") {
			return nil, nil, fmt.Errorf("refs: %w: %q is not the beginning of a ref's name", stemma.ErrInvalid, clip(prefix))
		}
	}
	refs, broken, err := r.listRefs(ctx, prefixes)
	if err != nil {
		return nil, nil, fmt.Errorf("refs: %w", err)
	}
	gone, err := r.peel(ctx, refs)
	if err != nil {
		return nil, nil, fmt.Errorf("refs: %w", err)
	}
	kept := refs[:0]
	for i, ref := range refs {
		if gone[i] {
			broken = append(broken, BrokenRef{ref.Name, ref.ID, "object is not in the repository"})
			continue
		}
		kept = append(kept, ref)
	}
	return kept, broken, nil
}

// listRefs reads names and ids. No object is looked at: this is the shadow of
// the refs, and what needs objects is asked of the other.
func (r *Repo) listRefs(ctx context.Context, prefixes []string) ([]Ref, []BrokenRef, error) {
	if err := r.refreshHead(); err != nil {
		return nil, nil, err
	}
	args := append([]string{"for-each-ref", "--format=%(objectname) %(refname) %(symref)"}, prefixes...)
	p, err := r.start(ctx, r.refs, nil, args...)
	if err != nil {
		return nil, nil, err
	}
	defer p.kill()
	var refs []Ref
	var offset int64
	for {
		line, err := readLine(p.out, 1<<20, nil)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil, p.broken(err)
		}
		ref, err := parseRef(line, offset, r.hexLen())
		if err != nil {
			return nil, nil, err
		}
		refs = append(refs, ref)
		offset += int64(len(line)) + 1
	}
	if err := p.wait(); err != nil {
		return nil, nil, err
	}
	broken := brokenByGit(p.stderr.text())
	if p.stderr.cut {
		broken = append(broken, BrokenRef{Reason: "more refs are broken than git's warnings could be kept of"})
	}
	return refs, broken, nil
}

// parseRef reads "<id> <name> <target>"; names of refs hold no space.
func parseRef(line []byte, offset int64, hexLen int) (Ref, error) {
	f := bytes.Split(line, []byte{' '})
	if len(f) != 3 || len(f[0]) != hexLen || !isHex(string(f[0])) || len(f[1]) == 0 {
		return Ref{}, &DecodeError{"output of for-each-ref", offset, "not a ref"}
	}
	return Ref{ID: string(f[0]), Name: string(f[1]), Target: string(f[2])}, nil
}

// brokenByGit finds the refs that git itself left out with a warning.
func brokenByGit(warnings string) []BrokenRef {
	var broken []BrokenRef
	for line := range strings.SplitSeq(warnings, "; ") {
		if _, name, ok := strings.Cut(line, "ignoring broken ref "); ok {
			broken = append(broken, BrokenRef{Name: name, Reason: "does not hold an object id"})
		} else if _, name, ok := strings.Cut(line, "ignoring ref with broken name "); ok {
			broken = append(broken, BrokenRef{Name: name, Reason: "is not a valid name of a ref"})
		} else if _, name, ok := strings.Cut(line, "ignoring dangling symref "); ok {
			broken = append(broken, BrokenRef{Name: name, Reason: "stands for a ref that does not exist"})
		}
	}
	return broken
}

// peel finds type and commit of each ref, and says which lead nowhere.
func (r *Repo) peel(ctx context.Context, refs []Ref) (gone map[int]bool, err error) {
	gone = map[int]bool{}
	ids := make([]string, len(refs))
	for i := range refs {
		ids[i] = refs[i].ID
	}
	// Two processes, each for a half, take half the time of one for thousands.
	heads := make([]object, len(refs))
	half := len(ids) / 2
	if len(ids) < 2000 {
		half = 0
	}
	var other error
	var asking sync.WaitGroup
	asking.Go(func() {
		other = r.tellAll(ctx, ids[:half], func(i int, head object, _ error) { heads[i] = head })
	})
	err = r.tellAll(ctx, ids[half:], func(i int, head object, _ error) { heads[half+i] = head })
	asking.Wait()
	err = errors.Join(err, other)
	var tags []int
	for i, head := range heads {
		refs[i].Type = head.kind
		switch head.kind {
		case "":
			gone[i] = true
		case "commit":
			refs[i].Commit = head.id
		case "tag":
			tags = append(tags, i)
		}
	}
	if err != nil || len(tags) == 0 {
		return gone, err
	}
	peeled := make([]string, len(tags))
	for k, i := range tags {
		peeled[k] = refs[i].ID + "^{}"
	}
	err = r.tellAll(ctx, peeled, func(k int, head object, err error) {
		if err == nil && head.kind == "commit" {
			refs[tags[k]].Commit = head.id
		}
	})
	return gone, err
}

// Head gives HEAD: Target names its branch, or is "" when HEAD is detached; ID
// is "" while the branch has no commit.
func (r *Repo) Head(ctx context.Context) (Ref, error) {
	head, err := r.head(ctx)
	if err != nil {
		return Ref{}, fmt.Errorf("head: %w", err)
	}
	return head, nil
}

func (r *Repo) head(ctx context.Context) (Ref, error) {
	text, err := r.readHead()
	if err != nil {
		return Ref{}, err
	}
	head := Ref{Name: "HEAD"}
	if target, ok := strings.CutPrefix(text, "ref: "); ok {
		head.Target = target
		refs, _, err := r.listRefs(ctx, []string{target})
		if err != nil {
			return Ref{}, err
		}
		for _, ref := range refs {
			if ref.Name == target {
				head.ID = ref.ID
			}
		}
		if head.ID == "" {
			return head, nil
		}
	} else {
		head.ID = text
	}
	list := []Ref{head}
	gone, err := r.peel(ctx, list)
	if err != nil {
		return Ref{}, err
	}
	if gone[0] {
		return Ref{}, fmt.Errorf("%w: HEAD is at %s, which is not in the repository", stemma.ErrNotFound, head.ID)
	}
	return list[0], nil
}

// readHead gives the text of HEAD: "ref: <name>" or an object id.
func (r *Repo) readHead() (string, error) {
	file := filepath.Join(r.place.gitDir, "HEAD")
	if stat, err := os.Lstat(file); err == nil && stat.Mode().Type() == fs.ModeSymlink {
		// The oldest kind of symbolic ref.
		if target, err := os.Readlink(file); err == nil && strings.HasPrefix(target, "refs/") {
			return checkHead("ref: "+target, r.hexLen())
		}
	}
	data, err := readSmall(file, 64<<10)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", file, err)
	}
	return checkHead(string(data), r.hexLen())
}

func checkHead(text string, hexLen int) (string, error) {
	text = strings.TrimRight(text, " \t\r\n")
	if name, ok := strings.CutPrefix(text, "ref:"); ok {
		name = strings.TrimLeft(name, " \t")
		if name == "refs/heads/.invalid" {
			return "", fmt.Errorf("%w: HEAD is kept in the reftable format", stemma.ErrUnavailable)
		}
		if strings.HasPrefix(name, "refs/") && !strings.ContainsAny(name, " \t\n\x00*?[\\~^:") && !strings.Contains(name, "..") {
			return "ref: " + name, nil
		}
	} else if len(text) == hexLen && isHex(text) {
		return text, nil
	}
	return "", &DecodeError{"HEAD", 0, "neither the name of a branch nor an object id"}
}

// refreshHead copies HEAD into the shadow of the refs.
func (r *Repo) refreshHead() error {
	text, err := r.readHead()
	if err != nil {
		if !errors.Is(err, stemma.ErrUnavailable) {
			return err
		}
		text = "ref: refs/heads/.invalid" // a reftable tells by itself
	}
	r.refresh.Lock()
	defer r.refresh.Unlock()
	return putFile(filepath.Join(r.refs.dir, "HEAD"), text+"\n")
}

// Resolve gives the full id of the commit that a revision names, as git
// understands it: a ref, an id or the beginning of one, HEAD~3, v1^{}. What
// needs the configuration of the repository, as @{upstream}, is not found. The
// error is of kind stemma.ErrNotFound where there is no such commit and of kind
// stemma.ErrInvalid where the words name none.
func (r *Repo) Resolve(ctx context.Context, rev string) (string, error) {
	if rev == "" || rev[0] == '-' || strings.ContainsAny(rev, "\n\x00") {
		return "", fmt.Errorf("%w: %q is not a revision; give a branch, a tag or a commit id", stemma.ErrInvalid, clip(rev))
	}
	if len(rev) == r.hexLen() && isHex(rev) {
		head, err := r.tell(ctx, rev+"^{commit}")
		if err != nil {
			return "", fmt.Errorf("revision %s: %w", rev, err)
		}
		return head.id, nil
	}
	if err := r.refreshHead(); err != nil {
		return "", fmt.Errorf("revision %s: %w", clip(rev), err)
	}
	question := rev + "^{commit}"
	if strings.HasPrefix(rev, ":/") {
		question = rev // what follows is a pattern to its end, and finds commits only
	}
	out, err := r.output(ctx, r.refs, 1<<10, "rev-parse", "--verify", question)
	if err != nil {
		return "", fmt.Errorf("revision %s: %w", clip(printable(rev)), r.explain(ctx, err))
	}
	id := strings.TrimSpace(string(out))
	if err := r.checkID(id); err != nil {
		return "", fmt.Errorf("revision %s: %w", clip(printable(rev)), err)
	}
	return id, nil
}

// explain says it in the user's words where git says "needed a single revision".
func (r *Repo) explain(ctx context.Context, err error) error {
	var failed *CommandError
	if ctx.Err() != nil || !errors.As(err, &failed) {
		return err
	}
	if strings.Contains(failed.Message, "Needed a single revision") && !strings.Contains(failed.Message, "ambiguous") {
		return fmt.Errorf("%w: no such branch, tag or commit; git branch -a and git tag list what there is", stemma.ErrNotFound)
	}
	return err
}
