package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/stemma-dev/stemma"
)

// BlameQuery says what to blame.
type BlameQuery struct {
	Path string // from the top of the repository, with slashes
	Rev  string // a revision, as of Resolve; "" is HEAD
	// Contents, when not nil, is what the file holds after Rev, as in a work
	// tree. Its lines that no commit has are given without one. It is compared
	// as it is: no filter and no change of line ends is applied.
	Contents []byte
	// Lines are ranges as git's -L takes them ("10,20", "10,+5", "/start/,/end/",
	// ":function"); none is the whole file.
	Lines       []string
	IgnoreSpace bool // -w
	Moves       bool // -M: lines moved within the file
	Copies      bool // -C: lines moved or copied from files changed in the same commit
}

// BlameLine is one line of the file and the commit that last changed it.
type BlameLine struct {
	Commit   string // full id, or "" of a line not committed yet
	OrigPath string // the file's path in that commit
	OrigLine int    // 1-based, in that commit
	Line     int    // 1-based, in the blamed version
	Text     []byte // without its line end; valid after the next line too
	// Boundary says that the history was cut off here by a shallow clone: the
	// line is from this commit or any before it.
	Boundary               bool
	AuthorName, AuthorMail string
	AuthorTime             int64 // UTC seconds since 1970
	Summary                string
}

// maxBlameLine bounds a line of the file, which has to be given whole.
const maxBlameLine = 256 << 20

// Blame gives the lines of a file in their order. The sequence ends at its
// first error, which is of kind stemma.ErrNotFound where the revision or the
// file does not exist and of kind stemma.ErrInvalid where a range does not fit.
func (r *Repo) Blame(ctx context.Context, q BlameQuery) iter.Seq2[BlameLine, error] {
	return func(yield func(BlameLine, error) bool) {
		if err := r.blame(ctx, q, func(line BlameLine) bool { return yield(line, nil) }); err != nil {
			yield(BlameLine{}, fmt.Errorf("blame %s: %w", clip(printable(q.Path)), err))
		}
	}
}

func (r *Repo) blame(ctx context.Context, q BlameQuery, take func(BlameLine) bool) error {
	if q.Path == "" || strings.ContainsRune(q.Path, 0) {
		return fmt.Errorf("%w: no path", stemma.ErrInvalid)
	}
	rev, err := r.blameRev(ctx, q.Rev)
	if err != nil {
		return err
	}
	args := []string{"blame", "--porcelain", "--root", "--encoding=none"}
	if q.IgnoreSpace {
		args = append(args, "-w")
	}
	if q.Moves {
		args = append(args, "-M")
	}
	if q.Copies {
		args = append(args, "-C")
	}
	for _, lines := range q.Lines {
		if strings.ContainsRune(lines, 0) {
			return fmt.Errorf("%w: range %q", stemma.ErrInvalid, clip(lines))
		}
		args = append(args, "-L"+lines)
	}

	where, stdin := r.objects, io.Reader(nil)
	if q.Contents == nil {
		args = append(args, rev)
	} else {
		fresh, err := r.headShadow(rev)
		if err != nil {
			return fmt.Errorf("%w: %w", stemma.ErrUnavailable, err)
		}
		defer func() { _ = os.RemoveAll(fresh.dir) }() // in scratch; nobody uses it again
		where, stdin = fresh, bytes.NewReader(q.Contents)
		args = append(args, "--contents=-")
	}
	p, err := r.start(ctx, where, stdin, append(args, "--", q.Path)...)
	if err != nil {
		return err
	}
	defer p.kill()
	parser := blameParser{hexLen: r.hexLen(), boundary: r.isShallow, seen: map[string]*BlameLine{}}
	for {
		line, err := readLine(p.out, maxBlameLine, nil)
		if errors.Is(err, io.EOF) {
			if err := p.wait(); err != nil {
				return err
			}
			return parser.end()
		}
		if err != nil {
			return p.broken(err)
		}
		got, ok, err := parser.line(line)
		if err != nil {
			return err
		}
		if ok && !take(got) {
			return nil
		}
	}
}

func (r *Repo) blameRev(ctx context.Context, rev string) (string, error) {
	if rev != "" {
		return r.Resolve(ctx, rev)
	}
	head, err := r.Head(ctx)
	if err != nil {
		return "", err
	}
	if head.Commit == "" {
		return "", fmt.Errorf("%w: HEAD has no commit yet", stemma.ErrNotFound)
	}
	return head.Commit, nil
}

// headShadow makes a git directory for one call, whose HEAD is a commit and
// whose work tree is empty: git 2.39 takes contents on top of HEAD only, and
// not in a bare repository. With the repository's own it would ask its
// attributes which filter to run on them.
func (r *Repo) headShadow(commit string) (shadow, error) {
	dir, err := os.MkdirTemp(filepath.Dir(r.objects.dir), blamePrefix)
	if err != nil {
		return shadow{}, err
	}
	s := shadow{dir}
	config := shadowConfig(settings{objectFormat: r.format}, "files", false) +
		"[core]\n\tworktree = empty\n"
	err = s.write(withShallow([]entry{
		{"HEAD", 0, commit + "\n"},
		{"config", 0, config},
		{"refs", os.ModeDir, ""},
		{"empty", os.ModeDir, ""},
	}, r.shallow))
	if err != nil {
		return shadow{}, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// blameParser reads git blame --porcelain. Git tells of a commit once, and of
// the path again where lines of a commit come from several.
type blameParser struct {
	hexLen   int
	boundary func(string) bool
	offset   int64
	seen     map[string]*BlameLine
	cur      *BlameLine // in seen; nil between lines
	at       BlameLine  // the numbers of the line under way
}

// line reads one line of output. ok says that it was the text of a line of the
// file, which ends what there is to say of it.
func (p *blameParser) line(s []byte) (got BlameLine, ok bool, err error) {
	start := p.offset
	p.offset += int64(len(s)) + 1
	fail := func(reason string) (BlameLine, bool, error) {
		return BlameLine{}, false, &DecodeError{"output of blame", start, reason}
	}
	if p.cur == nil {
		f := strings.Split(string(s), " ")
		if len(f) != 3 && len(f) != 4 || len(f[0]) != p.hexLen || !isHex(f[0]) {
			return fail("not the beginning of a line")
		}
		orig, err1 := strconv.Atoi(f[1])
		final, err2 := strconv.Atoi(f[2])
		if err1 != nil || err2 != nil || orig < 1 || final < 1 {
			return fail("line numbers malformed")
		}
		if p.cur = p.seen[f[0]]; p.cur == nil {
			p.cur = &BlameLine{}
			if !isZero(f[0]) {
				p.cur.Commit = f[0]
				p.cur.Boundary = p.boundary(f[0])
			}
			p.seen[f[0]] = p.cur
		}
		p.at = BlameLine{OrigLine: orig, Line: final}
		return BlameLine{}, false, nil
	}
	if len(s) > 0 && s[0] == '\t' {
		if p.cur.OrigPath == "" {
			return fail("line of no file")
		}
		got = *p.cur
		got.OrigLine, got.Line, got.Text = p.at.OrigLine, p.at.Line, bytes.Clone(s[1:])
		p.cur = nil
		return got, true, nil
	}
	key, value, _ := bytes.Cut(s, []byte{' '})
	if err := p.field(string(key), value); err != nil {
		return fail(err.Error())
	}
	return BlameLine{}, false, nil
}

func (p *blameParser) field(key string, value []byte) error {
	committed := p.cur.Commit != ""
	switch {
	case key == "filename":
		path, _, err := unquote(value)
		if err != nil {
			return err
		}
		p.cur.OrigPath = path
	case !committed:
		// Git invents an author for lines that nobody committed.
	case key == "author":
		p.cur.AuthorName = string(value)
	case key == "author-mail":
		p.cur.AuthorMail = strings.TrimSuffix(strings.TrimPrefix(string(value), "<"), ">")
	case key == "author-time":
		t, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil || t < 0 {
			t = 0 // as of Signature
		}
		p.cur.AuthorTime = t
	case key == "summary":
		p.cur.Summary = string(value)
	}
	return nil
}

// end says whether the output ended where a line did.
func (p *blameParser) end() error {
	if p.cur != nil {
		return &DecodeError{"output of blame", p.offset, "ends within a line"}
	}
	return nil
}
