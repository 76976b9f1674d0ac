package git

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/stemma-dev/stemma"
)

// AttributeRules say which attributes hold (gitattributes(5)). All lists are
// lines of a gitattributes file.
type AttributeRules struct {
	// Commit is the commit whose .gitattributes files count, in all folders;
	// "" is none.
	Commit string
	// Weakest stands below what the commit says, Strongest above it.
	Weakest, Strongest []string
}

// Attributes answers which value an attribute has for a path. git itself
// matches the patterns. It may be used by several goroutines.
type Attributes struct {
	digest string
	dir    string
	name   string

	mu   sync.Mutex // guards what follows
	proc *process
	said map[string]string
}

// attributesLimit bounds one .gitattributes file, bytes; git itself ignores
// larger ones (since 2.38).
const attributesLimit = 100 << 20

// Attributes prepares to answer for one attribute by name. Close it when done.
func (r *Repo) Attributes(ctx context.Context, rules AttributeRules, name string) (*Attributes, error) {
	a := &Attributes{name: name, said: make(map[string]string)}
	sum := sha256.New()
	for _, lines := range [][]string{rules.Weakest, rules.Strongest} {
		for _, l := range lines {
			if strings.ContainsAny(l, "\n\r\x00") {
				return nil, fmt.Errorf("%w: attribute line %q has a line break", stemma.ErrInvalid, l)
			}
			fmt.Fprintf(sum, "%q\n", l)
		}
		fmt.Fprintln(sum, "--")
	}
	index, err := r.attributeFiles(ctx, rules.Commit)
	if err != nil {
		return nil, err
	}
	sum.Write(index)
	a.digest = hex.EncodeToString(sum.Sum(nil))
	if err := a.start(ctx, r, rules, index); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// attributeFiles gives the .gitattributes files of a commit in the form that
// update-index reads.
func (r *Repo) attributeFiles(ctx context.Context, commit string) ([]byte, error) {
	var index bytes.Buffer
	if commit == "" {
		return nil, nil
	}
	for e, err := range r.Tree(ctx, commit, true) {
		if errors.Is(err, stemma.ErrNotFound) {
			break // a partial clone without trees has no attributes here
		}
		if err != nil {
			return nil, err
		}
		if e.Type != "blob" || path.Base(e.Path) != ".gitattributes" {
			continue
		}
		_, size, err := r.Stat(ctx, e.ID)
		if err != nil || size > attributesLimit {
			continue // missing here, or one that git would ignore as well
		}
		fmt.Fprintf(&index, "100644 %s\t%s\x00", e.ID, e.Path)
	}
	return index.Bytes(), nil
}

// start makes a git directory with an index of nothing but the attributes
// files, and a process that answers from it.
func (a *Attributes) start(ctx context.Context, r *Repo, rules AttributeRules, index []byte) error {
	dir, err := os.MkdirTemp(filepath.Dir(r.objects.dir), attributesPrefix)
	if err != nil {
		return fmt.Errorf("%w: make a folder for attributes: %v", stemma.ErrUnavailable, err)
	}
	a.dir = dir
	config, err := os.ReadFile(filepath.Join(r.objects.dir, "config"))
	if err != nil {
		return fmt.Errorf("%w: read shadow: %v", stemma.ErrUnavailable, err)
	}
	weakest := filepath.Join(dir, "weakest")
	files := map[string]string{
		"HEAD":            "ref: refs/heads/none\n",
		"config":          string(config) + "[core]\n\tattributesFile = " + quoteConfig(weakest) + "\n",
		"weakest":         strings.Join(rules.Weakest, "\n") + "\n",
		"info/attributes": strings.Join(rules.Strongest, "\n") + "\n",
	}
	for _, sub := range []string{"refs", "info"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			return fmt.Errorf("%w: make a folder for attributes: %v", stemma.ErrUnavailable, err)
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("%w: write attributes: %v", stemma.ErrUnavailable, err)
		}
	}
	own := shadow{dir}
	if len(index) > 0 {
		p, err := r.start(ctx, own, bytes.NewReader(index), "update-index", "-z", "--index-info")
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, p.out); err != nil {
			return p.broken(err)
		}
		if err := p.wait(); err != nil {
			return err
		}
	}
	a.proc, err = r.converse(ctx, own, "check-attr", "--cached", "-z", "--stdin", a.name)
	return err
}

// quoteConfig writes a value as git's configuration wants it.
func quoteConfig(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}

// Digest is over everything that decides the answers.
func (a *Attributes) Digest() string { return a.digest }

// Close ends the process. It may be called twice.
func (a *Attributes) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.proc != nil {
		a.proc.kill()
		a.proc = nil
	}
	if a.dir != "" {
		_ = os.RemoveAll(a.dir) // a leftover is harmless
		a.dir = ""
	}
}

// asked bounds what is written before the answers are read, so that neither
// side waits for the other with a full pipe.
const asked = 16 << 10

// Of gives the value of the attribute for each path: "set", "unset",
// "unspecified" or its text. Paths that git would refuse are "unspecified".
func (a *Attributes) Of(paths []string) ([]string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var open []string
	size := 0
	for _, p := range paths {
		if _, ok := a.said[p]; ok || slices.Contains(open, p) {
			continue
		}
		if !relative(p) {
			a.said[p] = "unspecified"
			continue
		}
		open = append(open, p)
		if size += 2*len(p) + len(a.name) + 16; size > asked || len(open) > 256 {
			if err := a.ask(open); err != nil {
				return nil, err
			}
			open, size = open[:0], 0
		}
	}
	if err := a.ask(open); err != nil {
		return nil, err
	}
	values := make([]string, len(paths))
	for i, p := range paths {
		values[i] = a.said[p]
	}
	return values, nil
}

func (a *Attributes) ask(paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	if a.proc == nil {
		return fmt.Errorf("%w: attributes are closed", stemma.ErrUnavailable)
	}
	if _, err := io.WriteString(a.proc.in, strings.Join(paths, "\x00")+"\x00"); err != nil {
		return a.proc.broken(io.ErrUnexpectedEOF)
	}
	for _, p := range paths {
		var fields [3]string
		for i := range fields {
			b, err := readTo(a.proc.out, 0, 1<<20, nil)
			if err != nil {
				return a.proc.broken(err)
			}
			fields[i] = string(b)
		}
		if fields[0] != p {
			return fmt.Errorf("%w: git check-attr answered for %q instead of %q", stemma.ErrInvalid, fields[0], p)
		}
		a.said[p] = fields[2]
	}
	return nil
}

// relative reports whether git takes p for a path inside of the work tree.
func relative(p string) bool {
	if p == "" || len(p) > 4000 || strings.HasPrefix(p, "/") || strings.HasSuffix(p, "/") || strings.ContainsRune(p, 0) {
		return false
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return true
}
