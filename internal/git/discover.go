package git

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/stemma-dev/stemma"
)

// place says where the parts of a repository lie; all paths are absolute.
type place struct {
	gitDir   string
	common   string
	objects  string
	workTree string
	// alternates is what the environment of a hook adds to the objects, while a
	// push is in quarantine.
	alternates string
	// named says that the git directory was named and not found from a work
	// tree, so that its configuration tells where the work tree is.
	named bool
}

// discover finds the repository by itself. git rev-parse would refuse a
// directory of another owner, and would read the configuration first.
func discover(path string) (place, error) {
	if env := os.Getenv("GIT_DIR"); env != "" && (path == "" || path == ".") {
		return discoverEnv(env)
	}
	start, err := filepath.Abs(path)
	if err != nil {
		return place{}, fmt.Errorf("open %s: %w", path, err)
	}
	stat, err := os.Stat(start)
	if errors.Is(err, os.ErrNotExist) {
		return place{}, fmt.Errorf("%w: %s does not exist; give the path of a git repository", stemma.ErrNotFound, start)
	}
	if err != nil {
		return place{}, fmt.Errorf("%w: open %s: %w", stemma.ErrUnavailable, start, err)
	}
	dir := start
	if !stat.IsDir() {
		dir = filepath.Dir(start)
	}
	for {
		found, ok, err := look(dir)
		if err != nil || ok {
			return found, err
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return place{}, fmt.Errorf("%w: no git repository at %s or above it; change into one or give its path", stemma.ErrNotFound, start)
		}
		dir = parent
	}
}

// discoverEnv is for hooks: git has set the variables, and a push in
// quarantine has its new objects only where they say.
func discoverEnv(dir string) (place, error) {
	gitDir, err := filepath.Abs(dir)
	if err != nil {
		return place{}, fmt.Errorf("open GIT_DIR %s: %w", dir, err)
	}
	found, ok, err := atGitDir(gitDir)
	if err != nil {
		return place{}, err
	}
	if !ok {
		return place{}, fmt.Errorf("%w: GIT_DIR is %s, which is not a git repository; unset it or correct it", stemma.ErrNotFound, gitDir)
	}
	found.named = true
	if tree := os.Getenv("GIT_WORK_TREE"); tree != "" {
		if found.workTree, err = filepath.Abs(tree); err != nil {
			return place{}, fmt.Errorf("open GIT_WORK_TREE %s: %w", tree, err)
		}
	}
	if objects := os.Getenv("GIT_OBJECT_DIRECTORY"); objects != "" {
		if found.objects, err = filepath.Abs(objects); err != nil {
			return place{}, fmt.Errorf("open GIT_OBJECT_DIRECTORY %s: %w", objects, err)
		}
		found.alternates = os.Getenv("GIT_ALTERNATE_OBJECT_DIRECTORIES")
	}
	return found, nil
}

// look says whether dir is the top of a work tree or a git directory.
func look(dir string) (place, bool, error) {
	dot := filepath.Join(dir, ".git")
	stat, err := os.Stat(dot)
	switch {
	case err == nil && stat.IsDir():
		found, ok, err := atGitDir(dot)
		if ok {
			found.workTree = dir
			return found, true, nil
		}
		if err != nil {
			return place{}, false, err
		}
	case err == nil && stat.Mode().IsRegular():
		target, err := readLink(dot, "gitdir:")
		if err != nil {
			return place{}, false, err
		}
		found, ok, err := atGitDir(target)
		if err != nil {
			return place{}, false, err
		}
		if !ok {
			return place{}, false, fmt.Errorf("%w: %s points to %s, which is not a git repository; run git worktree repair or git submodule update", stemma.ErrNotFound, dot, target)
		}
		found.workTree = dir
		return found, true, nil
	}
	found, ok, err := atGitDir(dir)
	found.named = true
	return found, ok, err
}

// atGitDir says whether dir itself is a git directory.
func atGitDir(dir string) (place, bool, error) {
	if _, err := os.Lstat(filepath.Join(dir, "HEAD")); err != nil {
		return place{}, false, nil
	}
	common := dir
	link := filepath.Join(dir, "commondir")
	if _, err := os.Lstat(link); err == nil {
		if common, err = readLink(link, ""); err != nil {
			return place{}, false, err
		}
	}
	for _, name := range []string{"objects", "refs"} {
		if stat, err := os.Stat(filepath.Join(common, name)); err != nil || !stat.IsDir() {
			return place{}, false, nil
		}
	}
	return place{gitDir: dir, common: common, objects: filepath.Join(common, "objects")}, true, nil
}

// settle finds the work tree of a repository whose git directory was named.
func (p *place) settle(s settings) {
	if !p.named || p.workTree != "" {
		return
	}
	switch {
	case p.gitDir != p.common:
		// A linked work tree: gitdir names its .git file.
		if target, err := readLink(filepath.Join(p.gitDir, "gitdir"), ""); err == nil {
			p.workTree = filepath.Dir(target)
		}
	case s.bare:
	case s.workTree != "":
		p.workTree = s.workTree
		if !filepath.IsAbs(p.workTree) {
			p.workTree = filepath.Join(p.gitDir, p.workTree)
		}
	case filepath.Base(p.gitDir) == ".git":
		p.workTree = filepath.Dir(p.gitDir)
	}
}

// readLink reads a file that holds one path, which may be relative to it.
func readLink(file, prefix string) (string, error) {
	data, err := readSmall(file, 64<<10)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", file, err)
	}
	text, ok := strings.CutPrefix(string(data), prefix)
	text = strings.TrimRight(strings.TrimLeft(text, " "), "\r\n")
	if !ok || text == "" || strings.ContainsRune(text, 0) {
		return "", fmt.Errorf("%w: %s does not name a git directory", stemma.ErrInvalid, file)
	}
	if !filepath.IsAbs(text) {
		text = filepath.Join(filepath.Dir(file), text)
	}
	return filepath.Clean(text), nil
}

// readSmall reads a regular file whole and refuses one over the limit. It does
// not wait on a pipe or a device that was put in the file's place.
func readSmall(file string, limit int64) ([]byte, error) {
	stat, err := os.Stat(file)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", stemma.ErrUnavailable, err)
	}
	if !stat.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a regular file", stemma.ErrInvalid, file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", stemma.ErrUnavailable, err)
	}
	defer func() { _ = f.Close() }() // only read from
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", stemma.ErrUnavailable, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", stemma.ErrInvalid, file, limit)
	}
	return data, nil
}
