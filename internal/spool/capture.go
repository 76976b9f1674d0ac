package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Input is one call of a hook.
type Input struct {
	Agent   string    // as the hook was installed for: "claudecode", "generic"
	Event   string    // given on the command line where the payload does not name it
	Payload io.Reader // what the agent wrote to the hook
	Dir     string    // working directory of the hook's process
	Home    string    // see Home
	Config  string    // the user's configuration folder, for git/ignore; "" for none
	Parent  string    // STEMMA_PARENT_SESSION of the environment: the session that started this one
	Trace   string    // TRACEPARENT of the environment
	State   string    // TRACESTATE of the environment
	Now     func() time.Time
	Limits  Limits
}

// Limits bound what one hook may do. The zero value is the default.
type Limits struct {
	Spool int64         // see Config
	Time  time.Duration // for comparing a work tree; 0 is 2 s
	Files int           // snapshots that one comparison makes; 0 is 2,000
	Bytes int64         // of those snapshots; 0 is 128 MiB
}

// Settings are what a user chose for capture: settings.json in [Home], or in
// the folder of one repository, which adds to it.
type Settings struct {
	// Exclude are patterns as in .gitignore: what matches never enters the spool.
	Exclude []string `json:"exclude,omitempty"`
	// Repositories are paths of work trees, with everything below them, that are
	// not captured.
	Repositories []string `json:"excludeRepositories,omitempty"`
}

// Capture spools one event: the payload, and the content of the files it
// touches. It asks nobody and waits for nothing but the disk. What can not be
// captured becomes a gap in the record; the error says only that the record
// itself could not be kept, and its kind why. A hook ignores it.
//
// It may be called at once by any number of processes.
func Capture(in Input) error {
	if Paused(in.Home, "") {
		_, err := io.Copy(io.Discard, in.Payload)
		return err
	}
	payload, more, rerr := readPayload(in.Payload)
	c := parse(in.Agent, in.Event, payload)
	h := hooked{Input: in, call: c, settings: readSettings(in.Home)}
	h.record = Record{
		Time: in.Now().UTC(), Machine: machine(), Agent: in.Agent, Foreign: c.foreign, Event: c.event,
		Phase: c.phase, Session: c.session, Parent: c.parent, ParentBy: c.parentBy, Exports: c.exports, Tool: c.tool, Call: c.id, Dir: c.dir, Shell: c.shell, Model: c.model, Transcript: c.account, Payload: payload,
	}
	h.inherit()
	switch {
	case rerr != nil:
		h.gap("payload: "+rerr.Error(), "")
	case more > 0:
		h.gap(fmt.Sprintf("payload of %d bytes was cut to %d", int64(len(payload))+more, len(payload)), "")
	case len(payload) == 0:
		h.gap("payload is empty", "")
	case c.cut:
		h.gap("payload can not be read", "")
	}
	if h.isGit() {
		h.look()
	}
	return h.run()
}

// inherit takes from the environment what it says of where the session is from.
// What the payload says stands above it.
func (h *hooked) inherit() {
	r := &h.record
	if _, _, ok := Traceparent(h.Trace); ok {
		r.Trace = h.Trace
	}
	for _, from := range []struct{ name, parent string }{
		{"STEMMA_PARENT_SESSION", h.Parent}, {"TRACESTATE", tracestate(h.State)},
	} {
		if r.Parent == "" && from.parent != "" && len(from.parent) <= maxParent {
			r.Parent, r.ParentBy = from.parent, from.name
		}
	}
}

// hooked is one call of a hook under way.
type hooked struct {
	Input
	call     call
	settings Settings
	record   Record
}

func (h *hooked) gap(reason, path string) {
	h.record.Gaps = append(h.record.Gaps, Gap{Reason: reason, Path: path})
}

// run sorts the files by the repository that they lie in, and keeps a record
// with each. The working directory's repository gets the event in any case.
func (h *hooked) run() error {
	dir := h.call.dir
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(h.Dir, dir)
	}
	own, err := Find(dir)
	inside := err == nil
	byTree := make(map[string][]string)
	places := map[string]Place{own.Tree: own}
	outside := 0
	for _, p := range h.call.paths {
		if !filepath.IsAbs(p) {
			p = filepath.Join(dir, p)
		}
		place, err := Find(filepath.Dir(p))
		if err != nil {
			outside++
			continue
		}
		if rel, ok := place.Within(p); ok {
			places[place.Tree] = place
			byTree[place.Tree] = append(byTree[place.Tree], rel)
		}
	}
	if outside > 0 {
		h.gap(fmt.Sprintf("%d files lie in no repository", outside), "")
	}
	if !inside && len(byTree) == 0 {
		return h.keep(Elsewhere, h.record)
	}
	if inside && byTree[own.Tree] == nil {
		byTree[own.Tree] = []string{}
	}
	var failed error
	for _, tree := range slices.Sorted(maps.Keys(byTree)) {
		failed = errors.Join(failed, h.spool(places[tree], byTree[tree], tree == own.Tree))
	}
	return failed
}

// spool keeps the record of one repository.
func (h *hooked) spool(p Place, rels []string, own bool) error {
	folder := p.Folder()
	if h.excludes(p) || Paused(h.Home, folder) {
		return nil
	}
	s, err := Open(filepath.Join(h.Home, folder), Config{Limit: h.Limits.Spool})
	if err != nil {
		return err
	}
	b := h.binder(s, p)
	for _, rel := range rels {
		b.snapshot(rel, false)
	}
	if h.call.shell && own {
		b.compare()
	}
	if b.silent {
		b.record.Payload = nil
	}
	s.remember(p)
	return s.Append(b.record)
}

// Look keeps the content of files of a work tree of the repository as they are at
// a time, as a hook does: what is written later is told from what was there. config
// is the user's configuration folder, as in [Input]. Paused, it keeps nothing.
func (s *Spool) Look(tree string, paths []string, config string, now time.Time) error {
	p, err := Find(tree)
	if err != nil {
		return err
	}
	home := filepath.Dir(s.dir)
	h := &hooked{Input: Input{Home: home, Config: config}, settings: readSettings(home)}
	if p.Folder() != filepath.Base(s.dir) || h.excludes(p) || Paused(home, p.Folder()) {
		return nil
	}
	h.record = Record{Time: now.UTC(), Machine: machine(), Agent: AgentSelf, Event: "look", Phase: Other, Tree: p.Tree}
	b := h.binder(s, p)
	for _, rel := range paths {
		b.snapshot(rel, false)
	}
	if len(b.record.Files) == 0 {
		return nil
	}
	return s.Append(b.record)
}

// binder makes the maker of a record.
func (h *hooked) binder(s *Spool, p Place) *binder {
	more := readSettings(s.dir)
	b := &binder{
		hooked: h, spool: s, place: p, record: h.record,
		exclude: parseRules(slices.Concat(h.settings.Exclude, more.Exclude)),
	}
	b.record.Tree = p.Tree
	b.record.Gaps = slices.Clone(h.record.Gaps)
	return b
}

// keep appends a record to the spool in a folder below Home.
func (h *hooked) keep(folder string, r Record) error {
	if Paused(h.Home, folder) {
		return nil
	}
	s, err := Open(filepath.Join(h.Home, folder), Config{Limit: h.Limits.Spool})
	if err != nil {
		return err
	}
	return s.Append(r)
}

// excludes reports whether a user excluded the repository.
func (h *hooked) excludes(p Place) bool { return h.settings.excludes(p) }

func (s Settings) excludes(p Place) bool {
	return slices.ContainsFunc(s.Repositories, func(dir string) bool {
		rel, err := filepath.Rel(real(dir), p.Tree)
		return err == nil && rel != ".." && !(len(rel) > 2 && rel[:3] == ".."+string(filepath.Separator))
	})
}

// readSettings reads the settings in a folder; what can not be read sets nothing.
func readSettings(dir string) Settings {
	var s Settings
	if text, err := readAtMost(filepath.Join(dir, "settings.json"), 1<<20); err == nil {
		_ = json.Unmarshal(text, &s) // stemma doctor names what is wrong with it
	}
	return s
}

// remember writes down which repository the spool is of, once.
func (s *Spool) remember(p Place) {
	path := filepath.Join(s.dir, "repository")
	if _, err := os.Lstat(path); err == nil {
		return
	}
	if os.MkdirAll(s.dir, 0o700) == nil {
		_ = os.WriteFile(path, []byte(p.Common+"\n"), 0o600) // for people; its absence loses nothing
	}
}

// Exclusions are the patterns of what never enters this spool, beside what git
// ignores: stemma's own, then the user's.
func (s *Spool) Exclusions() []string {
	home := filepath.Dir(s.dir)
	return slices.Concat(excluded, readSettings(home).Exclude, readSettings(s.dir).Exclude)
}

// Repository is the common git directory of the repository that the spool is
// of, or "" where that is not known.
func (s *Spool) Repository() string {
	text, err := readAtMost(filepath.Join(s.dir, "repository"), maxPointer)
	if err != nil || len(text) == 0 {
		return ""
	}
	return string(text[:len(text)-1])
}

// binder makes the record of one repository.
type binder struct {
	*hooked
	spool   *Spool
	place   Place
	record  Record
	exclude []rule
	silent  bool // the payload speaks of an excluded path and is not kept
	bytes   int64
}

func (b *binder) gap(reason, path string) {
	b.record.Gaps = append(b.record.Gaps, Gap{Reason: reason, Path: path})
}

// snapshot keeps the content of a file as it is now.
func (b *binder) snapshot(rel string, found bool) {
	if excludedByName(rel, b.exclude) {
		b.gap(GapExcluded, "")
		b.silent = b.silent || !found
		return
	}
	if !found && ignored(b.place, b.Config, rel) && b.untracked(rel) {
		b.gap(GapIgnored, "")
		b.silent = true
		return
	}
	f := File{Path: rel, Found: found}
	path := filepath.Join(b.place.Tree, filepath.FromSlash(rel))
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		f.State = Absent
	case err != nil:
		f.State = Unread
		b.gap(err.Error(), rel)
	case st.Mode()&os.ModeSymlink != 0:
		f.State = Link
		if to, err := os.Readlink(path); err == nil {
			b.blob(&f, []byte(to))
		}
	case !st.Mode().IsRegular():
		f.State = Special
	case st.Size() > MaxFile:
		f.State, f.Size = Large, st.Size()
		b.gap(fmt.Sprintf("a file of %d bytes is not kept", st.Size()), rel)
	default:
		f.Exec = st.Mode()&0o100 != 0
		data, err := readAtMost(path, MaxFile+1)
		if err != nil || len(data) > MaxFile {
			f.State = Unread
			b.gap("the file changed while it was read", rel)
			break
		}
		f.State = Present
		b.blob(&f, data)
	}
	b.record.Files = append(b.record.Files, f)
}

// blob keeps the content of a snapshot.
func (b *binder) blob(f *File, data []byte) {
	f.Size = int64(len(data))
	b.bytes += f.Size
	digest, err := b.spool.putBlob(data)
	if err != nil {
		b.gap(err.Error(), f.Path)
		f.State = Unread
		return
	}
	f.Blob = digest
}

// untracked reports whether git's index does not have the path.
func (b *binder) untracked(rel string) bool {
	index, err := readIndex(b.place)
	return err != nil || !index.has(rel)
}
