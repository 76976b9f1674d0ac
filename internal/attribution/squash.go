package attribution

import "github.com/stemma-dev/stemma/internal/git"

// segment is a run of lines of a file with the commit that put them there.
type segment struct {
	n    int    // how many lines
	by   int    // index into Known.Squashed, or -1: they were there before
	path string // of the file after that commit
	line int    // first of them, in it
}

// endless stands for the lines of a file that was there before: how many it has
// is not known, and not needed.
const endless = 1 << 40

// squash replays the commits that the target is in one, and claims each line
// for the one that put it where it is.
func (r *resolution) squash() {
	if len(r.known.Squashed) == 0 {
		return
	}
	files := make(map[string][]segment)
	for n, v := range r.known.Squashed {
		next := make(map[string][]segment)
		for i := range v.Diff.Files {
			f := &v.Diff.Files[i]
			from := f.Path
			if f.OldPath != "" {
				from = f.OldPath
			}
			old, ok := files[from]
			switch {
			case f.Status == 'A' || f.Status == 'T':
				old = nil
			case !ok:
				old = []segment{{n: endless, by: -1}}
			}
			next[f.Path] = replay(old, f, n)
		}
		for _, f := range v.Diff.Files {
			if f.OldPath != "" {
				delete(files, f.OldPath)
			}
			if f.Status == 'D' {
				delete(files, f.Path)
				delete(next, f.Path)
			}
		}
		for path, segments := range next {
			files[path] = segments
		}
	}
	who := make([]*owners, len(r.known.Squashed))
	for n, v := range r.known.Squashed {
		who[n] = ownersOf(v.Row)
	}
	for path, segments := range files {
		n, ok := r.byPath[path]
		if !ok {
			continue
		}
		first := 1
		for _, s := range segments {
			if s.by >= 0 && who[s.by] != nil {
				c := r.known.Squashed[s.by].Commit
				for i := range s.n {
					if j, ok := r.files[n].index(first + i); ok {
						r.claim(n, j, RuleSquash, claimed{
							who[s.by].at(s.path, s.line+i, RuleSquash), Near(c, r.target.Commit), c.Committer.Time,
						})
					}
				}
			}
			first += s.n
		}
	}
}

// replay gives a file after a commit changed it. Hunks come in order.
func replay(old []segment, f *git.FileDiff, by int) []segment {
	var out []segment
	at := 1 // line of the file before that is next
	take := func(n int, keep bool) {
		at += n
		for n > 0 && len(old) > 0 {
			s := old[0]
			s.n = min(s.n, n)
			n -= s.n
			if keep {
				out = append(out, s)
			}
			if old[0].n -= s.n; old[0].n == 0 {
				old = old[1:]
			} else {
				old[0].line += s.n
			}
		}
	}
	old = append([]segment(nil), old...)
	for _, h := range f.Hunks {
		before := h.OldStart
		if len(h.Removed) == 0 {
			before++
		}
		take(before-at, true)
		take(len(h.Removed), false)
		if len(h.Added) > 0 {
			out = append(out, segment{len(h.Added), by, f.Path, h.NewStart})
		}
	}
	return append(out, old...)
}
