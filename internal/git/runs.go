package git

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// BlameRun is a run of lines of a file that came together from one place: line
// Line+i of the file is line OrigLine+i of OrigPath in Commit.
type BlameRun struct {
	Commit         string
	OrigPath       string
	OrigLine, Line int // 1-based
	Count          int
}

// BlameRuns tells as Blame does where the lines of a file come from, without
// what they say and by whom, for whoever counts the lines of many files. Where
// the walk comes to one of the commits until, or to what they reach, it goes no
// further: the lines that are older are those of the first such commit it met.
// All are full ids. The runs are in the order of the file.
func (r *Repo) BlameRuns(ctx context.Context, commit, path string, until []string) ([]BlameRun, error) {
	runs, err := r.blameRuns(ctx, commit, path, until)
	if err != nil {
		return nil, fmt.Errorf("blame %s: %w", clip(printable(path)), err)
	}
	return runs, nil
}

func (r *Repo) blameRuns(ctx context.Context, commit, path string, until []string) ([]BlameRun, error) {
	args := []string{"blame", "--incremental", "--root", "--encoding=none", commit}
	for _, id := range slices.Concat([]string{commit}, until) {
		if err := r.checkID(id); err != nil {
			return nil, err
		}
	}
	for _, id := range until {
		args = append(args, "^"+id)
	}
	p, err := r.start(ctx, r.objects, nil, append(args, "--", path)...)
	if err != nil {
		return nil, err
	}
	defer p.kill()
	parser := runsParser{hexLen: r.hexLen()}
	for {
		line, err := readLine(p.out, maxEntry, nil)
		if errors.Is(err, io.EOF) {
			if err := p.wait(); err != nil {
				return nil, err
			}
			return parser.end()
		}
		if err != nil {
			return nil, p.broken(err)
		}
		if err := parser.line(line); err != nil {
			return nil, err
		}
	}
}

// runsParser reads git blame --incremental: the place of a run, what is known of
// its commit, and as last the path.
type runsParser struct {
	hexLen int
	offset int64
	runs   []BlameRun
	open   bool // the last run waits for its path
	paths  map[string]string
}

func (p *runsParser) line(s []byte) error {
	start := p.offset
	p.offset += int64(len(s)) + 1
	fail := func(reason string) error { return &DecodeError{"output of blame", start, reason} }
	if !p.open {
		f := strings.Split(string(s), " ")
		if len(f) != 4 || len(f[0]) != p.hexLen || !isHex(f[0]) {
			return fail("not the beginning of a run")
		}
		var n [3]int
		for i := range n {
			var err error
			if n[i], err = strconv.Atoi(f[i+1]); err != nil || n[i] < 1 || n[i] > maxLineNumber {
				return fail("line numbers malformed")
			}
		}
		p.runs = append(p.runs, BlameRun{Commit: f[0], OrigLine: n[0], Line: n[1], Count: n[2]})
		p.open = true
		return nil
	}
	value, ok := bytes.CutPrefix(s, []byte("filename "))
	if !ok {
		return nil
	}
	path, _, err := unquote(value)
	if err != nil {
		return fail(err.Error())
	}
	if p.paths == nil {
		p.paths = make(map[string]string)
	}
	same, ok := p.paths[path] // one string for all runs of a path
	if !ok {
		p.paths[path], same = path, path
	}
	p.runs[len(p.runs)-1].OrigPath = same
	p.open = false
	return nil
}

// end gives the runs in the order of the file, of which none may be missing.
func (p *runsParser) end() ([]BlameRun, error) {
	if p.open {
		return nil, &DecodeError{"output of blame", p.offset, "ends within a run"}
	}
	slices.SortFunc(p.runs, func(a, b BlameRun) int { return cmp.Compare(a.Line, b.Line) })
	next := 1
	for _, run := range p.runs {
		if run.Line != next {
			return nil, &DecodeError{"output of blame", p.offset, fmt.Sprintf("line %d is told of twice or not at all", min(next, run.Line))}
		}
		next += run.Count
	}
	return p.runs, nil
}
