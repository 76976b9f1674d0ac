package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/lineage"
)

// blamed is what `stemma blame --json` prints.
type blamed struct {
	Schema string               `json:"schema"`
	Path   string               `json:"path"`
	Rev    string               `json:"rev,omitempty"`
	Lines  []lineage.BlamedLine `json:"lines"`
	Sum    map[stemma.Class]int `json:"lines_by_class"`
	Unsure map[string]int       `json:"unknown_lines_by_reason"`
}

func newBlame(o *options) *cobra.Command {
	var q git.BlameQuery
	var porcelain bool
	cmd := &cobra.Command{
		Use:   "blame <file> [rev]",
		Short: "Like git blame, with class, model and session of each line",
		Long: `Tells for each line of a file in which commit it came, as git blame does, and who
wrote it: its class (ai, ai-edited, human, generated, unknown), the model and
the session. Without a revision the file is taken as it lies in the work tree;
lines that are not committed are unknown.

--porcelain prints for each line the commit, the lines' numbers, the headers
author, author-mail, author-time, author-tz, filename, stemma-class,
stemma-reason, stemma-model, stemma-session, stemma-source and
stemma-candidate, and then the line after a tab, as git blame --line-porcelain
does.

A name with a question mark is a candidate: that session took part in the
commit, but nothing says which lines are its.`,
		Example: `  stemma blame main.go
  stemma blame -L 10,40 -w internal/server.go v2.0
  stemma blame --json main.go | jq '.lines_by_class'`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			b, err := o.ready(ctx)
			if err != nil {
				return err
			}
			defer b.close()
			rev := ""
			if len(args) == 2 {
				rev = args[1]
			}
			if err := b.blameWhat(ctx, o.path, args[0], rev, &q); err != nil {
				return err
			}
			lines, err := lineage.Blame(ctx, b.graph(), q)
			if err != nil {
				return err
			}
			return o.blame(lines, lineage.Path(q.Path), rev, porcelain)
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&q.Lines, "lines", "L", nil, "only these `lines`: start,end or start,+count or /regex/; may be repeated")
	f.BoolVarP(&q.IgnoreSpace, "ignore-space", "w", false, "ignore white space when looking where a line came from")
	f.BoolVarP(&q.Moves, "moves", "M", false, "look for lines moved within the file")
	f.BoolVarP(&q.Copies, "copies", "C", false, "look for lines copied from other files changed in the same commit")
	f.BoolVarP(&porcelain, "porcelain", "p", false, "print for programs")
	return cmd
}

// maxFile bounds a work-tree file that is blamed, bytes.
const maxFile = 256 << 20

// blameWhat fills in the path within the repository, and the content of the
// work tree or the revision.
func (b *bench) blameWhat(ctx context.Context, base, file, rev string, q *git.BlameQuery) error {
	root := b.repo.WorkTree()
	var err error
	if q.Path, err = b.inRepository(base, file); err != nil {
		return err
	}
	if rev == "" && root != "" {
		if q.Contents, err = readWorkTree(filepath.Join(root, filepath.FromSlash(q.Path))); err != nil {
			return err
		}
	}
	id, err := b.repo.Resolve(ctx, orHead(rev))
	q.Rev = id
	return err
}

// inRepository gives the path from the top of the repository of a path that is
// seen from a folder; ":/" begins one that is seen from the top already.
func (b *bench) inRepository(base, path string) (string, error) {
	rest, top := strings.CutPrefix(path, ":/")
	root := b.repo.WorkTree()
	if top || root == "" {
		return filepath.ToSlash(filepath.Clean(rest)), nil
	}
	abs := path
	if !filepath.IsAbs(abs) {
		abs = filepath.Join(base, abs)
	}
	abs, err := filepath.Abs(abs)
	if err != nil {
		return "", fmt.Errorf("%s: %v: %w", path, err, stemma.ErrInvalid)
	}
	rel, err := within(root, abs)
	if err != nil {
		return "", err
	}
	return filepath.ToSlash(rel), nil
}

func orHead(rev string) string {
	if rev == "" {
		return "HEAD"
	}
	return rev
}

// within gives the path of a file relative to the work tree, also where one of
// them is reached by symbolic links.
func within(root, abs string) (string, error) {
	rel, err := filepath.Rel(root, abs)
	if err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return rel, nil
	}
	realRoot, rerr := filepath.EvalSymlinks(root)
	realDir, derr := filepath.EvalSymlinks(filepath.Dir(abs))
	if rerr == nil && derr == nil {
		rel, err = filepath.Rel(realRoot, filepath.Join(realDir, filepath.Base(abs)))
		if err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
			return rel, nil
		}
	}
	return "", fmt.Errorf("%s is outside of the repository %s: %w", abs, root, stemma.ErrInvalid)
}

func readWorkTree(path string) ([]byte, error) {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hinted{fmt.Errorf("%s: no such file: %w", path, stemma.ErrNotFound), "give a revision to blame a file that was deleted"}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %v: %w", path, reason(err), stemma.ErrDenied)
	}
	switch {
	case st.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		return []byte(target), err
	case !st.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file: %w", path, stemma.ErrInvalid)
	case st.Size() > maxFile:
		return nil, fmt.Errorf("%s has %d bytes, more than %d: %w", path, st.Size(), maxFile, stemma.ErrInvalid)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %v: %w", path, reason(err), stemma.ErrDenied)
	}
	if b == nil {
		b = []byte{}
	}
	return b, nil
}

func (o *options) blame(lines []lineage.BlamedLine, path, rev string, porcelain bool) error {
	if o.json {
		doc := blamed{Schema: "stemma.blame/v1", Path: path, Rev: rev, Lines: lines, Sum: map[stemma.Class]int{}, Unsure: map[string]int{}}
		for _, l := range lines {
			doc.Sum[l.Class]++
			if l.Reason != "" {
				doc.Unsure[l.Reason]++
			}
		}
		return printJSON(o.out, doc)
	}
	p, err := o.painter()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(o.out)
	if porcelain {
		printPorcelain(out, lines)
	} else {
		printBlame(out, p, lines)
	}
	return out.Flush()
}

func printBlame(w io.Writer, p painter, lines []lineage.BlamedLine) {
	who := make([]string, len(lines))
	widest := 0
	for i, l := range lines {
		who[i] = fit(plain(blamedWho(l)), min(len([]rune(blamedWho(l))), 34))
		widest = max(widest, len([]rune(who[i])))
	}
	digits := len(strconv.Itoa(len(lines)))
	if n := len(lines); n > 0 {
		digits = len(strconv.Itoa(lines[n-1].Line))
	}
	for i, l := range lines {
		commit, date := "0000000000", "          "
		if l.Commit != "" {
			commit, date = short(l.Commit), time.Unix(l.Time, 0).UTC().Format(time.DateOnly)
		}
		fmt.Fprintf(w, "%s %s %s %s %*d) %s\n", p.in("33", commit), p.class(l.Class, fit(string(l.Class), 9)),
			fit(who[i], widest), p.faint(date), digits, l.Line, code(strings.TrimSuffix(l.Text, "\r")))
	}
}

// blamedWho names the model or the agent, or the author where a person wrote.
func blamedWho(l lineage.BlamedLine) string {
	switch {
	case l.Part != nil && l.Part.Session != "" && l.Part.Model != nil:
		return l.Part.Model.ID
	case l.Part != nil && l.Part.Session != "":
		return l.Part.Agent
	case l.Commit == "":
		return "not committed"
	case len(l.Candidates) > 0:
		c := l.Candidates[0]
		if c.Model != nil {
			return c.Model.ID + "?"
		}
		return c.Agent + "?"
	default:
		return l.Author
	}
}

func printPorcelain(w io.Writer, lines []lineage.BlamedLine) {
	for _, l := range lines {
		commit := l.Commit
		if commit == "" {
			commit = strings.Repeat("0", 40)
		}
		fmt.Fprintf(w, "%s %d %d\n", commit, l.OrigLine, l.Line)
		fmt.Fprintf(w, "author %s\nauthor-mail <%s>\nauthor-time %d\nauthor-tz +0000\n", plain(l.Author), plain(l.Mail), l.Time)
		fmt.Fprintf(w, "filename %s\nstemma-class %s\n", l.OrigPath, l.Class)
		if l.Reason != "" {
			fmt.Fprintf(w, "stemma-reason %s\n", l.Reason)
		}
		for _, c := range l.Candidates {
			fmt.Fprintf(w, "stemma-candidate %s\n", plain(c.Session))
		}
		if part := l.Part; part != nil {
			if part.Model != nil {
				fmt.Fprintf(w, "stemma-model %s\n", plain(part.Model.Key()))
			}
			if part.Session != "" {
				fmt.Fprintf(w, "stemma-session %s\n", plain(part.Session))
			}
			fmt.Fprintf(w, "stemma-source %s\n", plain(part.Source))
		}
		fmt.Fprintf(w, "\t%s\n", l.Text)
	}
}
