package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/stemma-dev/stemma"
)

// stat is what the file system says of a file, as far as it tells that a
// content changed.
type stat struct {
	Size  int64 `json:"s"`
	Mtime int64 `json:"m"` // ns since 1970
	Ctime int64 `json:"c"` // ns since 1970; 0 where the system has none
}

// scan is the state of a work tree: what differs from git's index, and what
// changed since a time.
type scan struct {
	// Dirty holds the files that are not as git's index has them, and those that
	// it does not know and does not ignore.
	Dirty map[string]stat
	// Gone holds tracked files that are not there.
	Gone map[string]bool
	// Young holds every looked-at file that changed at or after the given time.
	Young map[string]stat
}

// errSlow says that a work tree could not be compared in the time there is.
var errSlow = fmt.Errorf("the work tree could not be compared in time: %w", stemma.ErrUnavailable)

// scanTree compares a work tree with git's index by what lstat tells: it reads
// no content. It ends with errSlow when the deadline passes.
func scanTree(p Place, userConfig string, since int64, deadline time.Time) (*scan, error) {
	index, err := readIndex(p)
	if err != nil {
		return nil, err
	}
	w := &walk{
		place: p, since: since, deadline: deadline, seen: make([]bool, len(index)),
		found: scan{Dirty: make(map[string]stat), Gone: make(map[string]bool), Young: make(map[string]stat)},
	}
	w.more = sync.NewCond(&w.mu)
	w.queue = []folder{{rules: topRules(p, userConfig), tracked: index}}
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(w.work)
	}
	group.Wait()
	if w.err != nil {
		return nil, w.err
	}
	for i, e := range index {
		if !w.seen[i] && !e.skip {
			w.found.Gone[e.path] = true
		}
	}
	return &w.found, nil
}

// folder is a folder that has to be looked at.
type folder struct {
	rel   string // "" is the top
	rules []rule
	// inside says that a rule ignores the folder: only what is tracked counts.
	inside bool
	// tracked is what the index has below the folder, and at where it begins there.
	tracked index
	at      int
}

// walk is one scan, by several goroutines.
type walk struct {
	place    Place
	since    int64
	deadline time.Time
	seen     []bool // of the index: files that are there; each is of one folder

	mu    sync.Mutex // guards what follows
	more  *sync.Cond
	queue []folder
	busy  int
	err   error
	found scan
}

func (w *walk) work() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.queue) == 0 && w.busy > 0 && w.err == nil {
			w.more.Wait()
		}
		if len(w.queue) == 0 || w.err != nil {
			w.more.Broadcast()
			return
		}
		f := w.queue[len(w.queue)-1]
		w.queue = w.queue[:len(w.queue)-1]
		w.busy++
		w.mu.Unlock()
		got, err := w.look(f)
		w.mu.Lock()
		w.busy--
		if err != nil && w.err == nil {
			w.err = err
		}
		w.take(got)
		w.more.Broadcast()
	}
}

// look is what one folder holds: files that are dirty or young, and folders.
type look struct {
	files   []looked
	folders []folder
}

type looked struct {
	rel   string
	stat  stat
	dirty bool
}

func (w *walk) take(l look) {
	for _, f := range l.files {
		if f.dirty {
			w.found.Dirty[f.rel] = f.stat
		}
		if max(f.stat.Mtime, f.stat.Ctime) >= w.since {
			w.found.Young[f.rel] = f.stat
		}
	}
	w.queue = append(w.queue, l.folders...)
}

func (w *walk) look(f folder) (look, error) {
	if time.Now().After(w.deadline) {
		return look{}, errSlow
	}
	dir := filepath.Join(w.place.Tree, filepath.FromSlash(f.rel))
	d, err := os.Open(dir)
	if err != nil {
		if errors.Is(kindOf(err), stemma.ErrUnavailable) {
			return look{}, fmt.Errorf("look through the work tree: %v: %w", err, stemma.ErrUnavailable)
		}
		return look{}, nil // gone meanwhile, or not ours to read: git sees nothing there either
	}
	defer d.Close()
	entries, err := d.ReadDir(-1)
	if err != nil {
		return look{}, nil
	}
	for _, e := range entries {
		if e.Name() == ".gitignore" {
			rules := rulesIn(filepath.Join(dir, ".gitignore"), f.rel)
			f.rules = append(f.rules[:len(f.rules):len(f.rules)], rules...)
		}
		if e.Name() == ".git" && f.rel != "" {
			return look{}, nil // another repository: its own spool has it
		}
	}
	prefix := ""
	if f.rel != "" {
		prefix = f.rel + "/"
	}
	var l look
	for _, e := range entries {
		if f.rel == "" && e.Name() == ".git" {
			continue
		}
		if e.IsDir() {
			rel := prefix + e.Name()
			part, at := f.tracked.below(len(prefix), rel+"/")
			inside := f.inside || verdict(f.rules, rel, true) == yes
			if len(part) > 0 || !inside {
				l.folders = append(l.folders, folder{rel: rel, rules: f.rules, inside: inside, tracked: part, at: f.at + at})
			}
			continue
		}
		n, tracked := f.tracked.find(len(prefix), e.Name())
		if !tracked && (f.inside || verdict(f.rules, prefix+e.Name(), false) == yes) {
			continue
		}
		s, err := statIn(d, e)
		if err != nil {
			continue
		}
		dirty := !tracked
		if tracked {
			w.seen[f.at+n] = true
			entry := f.tracked[n]
			dirty = !entry.skip && (entry.mtime != s.Mtime || entry.size != uint32(s.Size))
		}
		if dirty || max(s.Mtime, s.Ctime) >= w.since {
			l.files = append(l.files, looked{rel: prefix + e.Name(), stat: s, dirty: dirty})
		}
	}
	return l, nil
}
