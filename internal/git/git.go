// Package git answers "what does this repository hold?": its refs, commits,
// trees, blobs, the lines each commit added, and who last wrote a line.
//
// Begin with [Open]. Every answer comes from the git binary, and every call
// goes through this package. A repository is hostile input: nothing it carries
// is run, and nothing but its objects, refs, reflogs and shallow boundary
// reaches an answer. No git process ever reads the repository's own
// configuration, attributes, grafts, hooks or work tree: it runs in a shadow, a
// git directory that this package writes itself and that borrows only the
// objects (for objects) and the refs (for refs) of the real one. The one call
// that asks the configuration is [Repo.HooksDir], for whoever installs hooks.
//
// The package writes to a repository by [Repo.AddNotes] and [Repo.PushNotes] alone, fetches nothing else, and applies no
// mailmap, no attributes and no encoding: names and messages are bytes.
package git

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/stemma-dev/stemma"
)

// Config says how to reach git. Its zero value works.
type Config struct {
	// Scratch is a directory for the small files that git processes need. It is
	// made when it is missing, is kept, and may be shared by any number of
	// processes and repositories. When it is "" or cannot be written, a
	// temporary directory is used and removed by Close.
	Scratch string
	// Git is the git binary; "" looks it up on PATH.
	Git string
}

// Repo is an open repository. Its methods may be called at once.
type Repo struct {
	place   place
	git     string
	format  string
	partial string
	shallow []string
	objects shadow
	refs    shadow
	temp    string // removed by Close; "" where Config.Scratch is used
	env     []string

	batch pool

	refresh sync.Mutex // guards the copy of HEAD in the refs shadow
	closed  sync.Once
}

// Open finds the repository that holds path, as git would: path may be a work
// tree, anything below it, a linked work tree, a submodule, a bare repository
// or a git directory. When path is "" or "." and GIT_DIR is set, as it is in a
// hook, GIT_DIR is the repository. Who owns the directory does not matter,
// because nothing in it is run.
//
// The error is of kind stemma.ErrNotFound where there is no repository, and of
// kind stemma.ErrUnavailable where git is missing or too old.
func Open(ctx context.Context, path string, cfg Config) (*Repo, error) {
	binary, err := lookGit(cfg.Git)
	if err != nil {
		return nil, err
	}
	where, err := discover(path)
	if err != nil {
		return nil, err
	}
	settings, err := readSettings(where.common)
	if err != nil {
		return nil, err
	}
	where.settle(settings)
	shallow, err := readShallow(filepath.Join(where.common, "shallow"), settings.hexLen())
	if err != nil {
		return nil, err
	}

	r := &Repo{
		place: where, git: binary, format: settings.objectFormat,
		partial: settings.partial(where.objects), shallow: shallow,
	}
	scratch := cfg.Scratch
	if scratch != "" {
		if r.objects, r.refs, err = writeShadows(scratch, where, settings, shallow); err != nil {
			scratch = ""
		}
	}
	if scratch == "" {
		if r.temp, err = os.MkdirTemp("", "stemma-git-"); err != nil {
			return nil, fmt.Errorf("open %s: scratch directory: %w", path, err)
		}
		scratch = r.temp
		if r.objects, r.refs, err = writeShadows(scratch, where, settings, shallow); err != nil {
			return nil, errors.Join(fmt.Errorf("open %s: scratch directory: %w", path, err), os.RemoveAll(r.temp))
		}
	}
	r.env = baseEnv(where)
	r.batch.repo = r
	if err := checkVersion(ctx, binary, scratch); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Close ends the processes that wait for questions and removes what was only
// for this Repo. Calls that run end with an error. It may be called twice.
func (r *Repo) Close() error {
	var err error
	r.closed.Do(func() {
		r.batch.close()
		if r.temp != "" {
			err = os.RemoveAll(r.temp)
		}
	})
	return err
}

// Dir is the git directory; of a linked work tree its own one.
func (r *Repo) Dir() string { return r.place.gitDir }

// CommonDir is the git directory that all work trees of the repository share.
func (r *Repo) CommonDir() string { return r.place.common }

// WorkTree is the top of the work tree, or "" of a bare repository.
func (r *Repo) WorkTree() string { return r.place.workTree }

// HooksDir is the folder in which the user's git looks for hooks here, whatever
// core.hooksPath says (git-config(1)). It is the one call that reads the user's
// and the repository's configuration: it runs nothing of it.
func (r *Repo) HooksDir(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, r.git, "--git-dir="+r.place.gitDir, "rev-parse", "--git-path", "hooks")
	cmd.Dir = cmp.Or(r.place.workTree, r.place.gitDir)
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("ask git for the folder of hooks: %v: %w", err, stemma.ErrUnavailable)
	}
	dir := strings.TrimRight(string(out), "\r\n")
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(cmd.Dir, dir)
	}
	return dir, nil
}

// ObjectFormat is "sha1" or "sha256".
func (r *Repo) ObjectFormat() string { return r.format }

// Shallow gives the commits whose parents were cut off by a shallow clone, as
// of Open, sorted; nil where the history is whole.
func (r *Repo) Shallow() []string { return slices.Clone(r.shallow) }

// Partial gives the filter of a partial clone ("blob:none"), "unknown" where
// objects may be missing by a filter that is not recorded, and "" where all
// objects should be here.
func (r *Repo) Partial() string { return r.partial }

func (r *Repo) hexLen() int {
	if r.format == "sha256" {
		return 64
	}
	return 40
}

func (r *Repo) isShallow(id string) bool {
	_, found := slices.BinarySearch(r.shallow, id)
	return found
}

// checkID refuses what is not a full object id of this repository, so that no
// argument can be taken for anything else.
func (r *Repo) checkID(id string) error {
	if len(id) != r.hexLen() || !isHex(id) {
		return fmt.Errorf("%w: %q is not a full %s object id", stemma.ErrInvalid, clip(id), r.format)
	}
	return nil
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return s != ""
}

func isZero(id string) bool { return strings.Trim(id, "0") == "" }

func lookGit(name string) (string, error) {
	if name == "" {
		name = "git"
	}
	found, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%w: git not found on PATH; install git %s or newer", stemma.ErrUnavailable, oldestGit)
	}
	return filepath.Abs(found)
}
