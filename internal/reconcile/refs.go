package reconcile

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/project"
)

// head is the name under which HEAD is observed.
const head = "HEAD"

// readRefs fills now and tips with the refs that this run looks at.
func (r *run) readRefs(ctx context.Context) ([]git.Ref, error) {
	refs, broken, err := r.Repo.Refs(ctx)
	if err != nil {
		return nil, err
	}
	for _, b := range broken {
		r.report.BrokenRefs = append(r.report.BrokenRefs, b.Name)
	}
	h, err := r.Repo.Head(ctx)
	if err != nil {
		return nil, err
	}
	h.Name = head
	refs = append(refs, h)
	r.now = make(project.Refs)
	tips := make(map[string]bool)
	for _, ref := range refs {
		evidence := r.carriesEvidence(ref.Name)
		if !evidence && (strings.HasPrefix(ref.Name, "refs/notes/") && ref.Name != "refs/notes/commits" || foreignBranch(ref.Name)) {
			r.report.Unread = append(r.report.Unread, ref.Name)
		}
		if ref.ID == "" || !evidence && !r.selected(ref.Name) {
			continue
		}
		if ref.Name == head && strings.HasPrefix(ref.Target, "refs/heads/") {
			// Its branch says the same, and each worktree has another HEAD. It was
			// read after the branches: a commit that it reached in between would be
			// taken in and observed by nobody.
			continue
		}
		at := ref.ID
		if !evidence {
			if ref.Commit == "" {
				continue // a tag of a blob or a tree holds no lines
			}
			at = ref.Commit
			tips[at] = true
		}
		r.now[ref.Name] = stemma.RefMove{Name: ref.Name, At: at, Target: ref.Target}
	}
	for t := range tips {
		r.tips = append(r.tips, t)
	}
	slices.Sort(r.tips)
	return refs, nil
}

// foreignBranches are branches that a tool keeps its own records in: what they
// hold is evidence and no code (Entire: docs/architecture of entireio/cli).
var foreignBranches = []string{"entire/checkpoints/", "entire-sessions/"}

// foreignBranch reports whether a tool keeps its records in this branch.
func foreignBranch(name string) bool {
	if strings.HasPrefix(name, "refs/entire/") {
		return true
	}
	rest, branch := strings.CutPrefix(name, "refs/heads/")
	if remote, ok := strings.CutPrefix(name, "refs/remotes/"); ok {
		_, rest, branch = strings.Cut(remote, "/")
	}
	return branch && (shadowBranch(rest) || slices.ContainsFunc(foreignBranches, func(b string) bool { return strings.HasPrefix(rest, b) }))
}

// selected reports whether the commits that a ref reaches are indexed.
func (r *run) selected(name string) bool {
	if r.carriesEvidence(name) || foreignBranch(name) {
		return false
	}
	if name == head || strings.HasPrefix(name, "refs/heads/") || strings.HasPrefix(name, "refs/remotes/") ||
		strings.HasPrefix(name, "refs/tags/") {
		return true
	}
	return r.AllRefs && !strings.HasPrefix(name, "refs/notes/") && !strings.HasPrefix(name, "refs/stemma/")
}

// carriesEvidence reports whether a source reads evidence from this ref.
func (r *run) carriesEvidence(name string) bool {
	for _, s := range r.Notes {
		if slices.Contains(s.NotesRefs(), name) {
			return true
		}
	}
	if r.holds(name) != nil {
		return true
	}
	_, ok := r.namedAfter(name)
	return ok
}

// namedAfter gives the commit that a ref of evidence is named after.
func (r *run) namedAfter(name string) (string, bool) {
	for _, s := range r.Notes {
		for _, prefix := range s.RefPrefixes() {
			if rest, ok := strings.CutPrefix(name, prefix); ok {
				return notedCommit(rest)
			}
		}
	}
	return "", false
}

// notedCommit gives the commit that a path in a tree of notes belongs to, with
// whatever fan-out it was written.
func notedCommit(path string) (string, bool) {
	id := strings.ReplaceAll(path, "/", "")
	if len(id) != 40 && len(id) != 64 {
		return "", false
	}
	for _, c := range []byte(id) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", false
		}
	}
	return id, true
}

// branch finds the default branch: what its changes enter. It gives the full
// name of its ref and the commit it points to, both "" where there is none.
//
// The order is: what the caller says; in a bare repository, HEAD; the branch
// that origin's HEAD names; main, master or trunk; HEAD. Where a branch exists
// here and at origin, the one that contains the other is taken.
func (r *run) branch(ctx context.Context, refs []git.Ref) (name, tip string, err error) {
	by := make(map[string]git.Ref, len(refs))
	for _, ref := range refs {
		by[ref.Name] = ref
	}
	if r.Branch != "" {
		for _, full := range []string{r.Branch, "refs/heads/" + r.Branch, "refs/remotes/" + r.Branch, "refs/remotes/origin/" + r.Branch} {
			if ref, ok := by[full]; ok && ref.Commit != "" && full != head {
				return ref.Name, ref.Commit, nil
			}
		}
		return "", "", fmt.Errorf("branch %q: %w", r.Branch, stemma.ErrNotFound)
	}
	var short []string
	if r.Repo.WorkTree() == "" {
		short = append(short, strings.TrimPrefix(by[head].Target, "refs/heads/"))
	}
	short = append(short, strings.TrimPrefix(by["refs/remotes/origin/HEAD"].Target, "refs/remotes/origin/"),
		"main", "master", "trunk", strings.TrimPrefix(by[head].Target, "refs/heads/"))
	for _, s := range short {
		if s == "" {
			continue
		}
		local, remote := by["refs/heads/"+s], by["refs/remotes/origin/"+s]
		switch {
		case local.Commit == "" && remote.Commit == "":
			continue
		case remote.Commit == "":
			return local.Name, local.Commit, nil
		case local.Commit == "":
			return remote.Name, remote.Commit, nil
		}
		ahead, err := r.Repo.Ancestor(ctx, remote.Commit, local.Commit)
		if err != nil {
			return "", "", err
		}
		if ahead {
			return local.Name, local.Commit, nil
		}
		return remote.Name, remote.Commit, nil
	}
	if h := by[head]; h.Commit != "" {
		return head, h.Commit, nil
	}
	return "", "", nil
}

// digestRefs is over the refs that keep says, by name.
func digestRefs(refs project.Refs, keep func(name string) bool) string {
	moves := make([]stemma.RefMove, 0, len(refs))
	for _, m := range refs {
		if keep(m.Name) {
			moves = append(moves, m)
		}
	}
	slices.SortFunc(moves, func(a, b stemma.RefMove) int { return cmp.Compare(a.Name, b.Name) })
	h := sha256.New()
	for _, m := range moves {
		io.WriteString(h, m.Name+"\x00"+m.At+"\x00")
	}
	return hex.EncodeToString(h.Sum(nil))
}
