package storage

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
)

// maxFile is the size of one file of the storage folder over which it is not
// read, and maxFiles how many of them are.
const (
	maxFile  = 64 << 20
	maxFiles = 500_000
)

// ReadFolder reads a storage folder. Whether it changed is told from names, sizes
// and times of its files.
func ReadFolder(ctx context.Context, src *agent.Source, from agent.State) (agent.Reading, error) {
	root, err := os.OpenRoot(src.Path)
	if err != nil {
		return agent.Reading{}, fmt.Errorf("opencode storage %q: %v: %w", src.Path, err, stemma.ErrUnavailable)
	}
	defer root.Close()
	r, err := readFiles(ctx, root.FS(), from)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("opencode storage %q: %v: %w", src.Path, err, stemma.ErrUnavailable)
	}
	return r, err
}

func readFiles(ctx context.Context, files fs.FS, from agent.State) (agent.Reading, error) {
	f := folder{ctx: ctx, fs: files}
	print, err := f.fingerprint()
	if err != nil {
		return agent.Reading{}, cmp.Or(ctx.Err(), err)
	}
	r := agent.Reading{State: agent.State{Agent: Name, Blocks: []string{print}, Readings: from.Readings + 1}}
	if len(from.Blocks) == 1 && from.Blocks[0] == print {
		return r, nil
	}
	r.Replaced = from.Readings > 0
	r.Sessions = agent.Build(Name, func(b *agent.Builder) {
		for _, dir := range f.list(nil, "message") {
			f.session(b, dir)
		}
	})
	r.Bytes, r.Entries = f.bytes, f.files
	return r, ctx.Err()
}

type folder struct {
	ctx   context.Context
	fs    fs.FS
	bytes int64
	files int
}

func (f *folder) fingerprint() (string, error) {
	h := sha256.New()
	n := 0
	err := fs.WalkDir(f.fs, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || f.ctx.Err() != nil {
			return f.ctx.Err()
		}
		if n++; n > 2*maxFiles {
			return fs.SkipAll
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			fmt.Fprintf(h, "%q %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		}
		return nil
	})
	return hex.EncodeToString(h.Sum(nil)[:16]), err
}

// list gives the names in a folder, sorted; none where there is no folder. One
// that is there and can not be read is a gap of the session.
func (f *folder) list(w *agent.Work, dir string) []string {
	entries, err := fs.ReadDir(f.fs, dir)
	if err != nil && w != nil && !errors.Is(err, fs.ErrNotExist) {
		w.Gap(agent.GapUnreadable, "a folder that can not be read", agent.Span{})
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// read reads one file. What is wrong with it is a gap of the session.
func (f *folder) read(w *agent.Work, path string) (agent.Value, bool) {
	if f.ctx.Err() != nil {
		return agent.Value{}, false
	}
	if f.files >= maxFiles {
		w.Gap(agent.GapTooLarge, "a file beyond the number that is read", agent.Span{})
		return agent.Value{}, false
	}
	f.files++
	info, err := fs.Stat(f.fs, path)
	if err != nil || !info.Mode().IsRegular() {
		w.Gap(agent.GapUnreadable, "a file that can not be read", agent.Span{})
		return agent.Value{}, false
	}
	if info.Size() > maxFile {
		w.Gap(agent.GapTooLarge, "a file over the limit", agent.Span{Length: info.Size()})
		return agent.Value{}, false
	}
	text, err := fs.ReadFile(f.fs, path)
	if err != nil {
		w.Gap(agent.GapUnreadable, "a file that can not be read", agent.Span{})
		return agent.Value{}, false
	}
	f.bytes += int64(len(text))
	v, err := agent.ParseValue(text, 0)
	if err != nil || !v.IsObject() {
		w.Gap(agent.GapUnreadable, "a file that is no JSON object", agent.Span{Length: int64(len(text))})
		return agent.Value{}, false
	}
	return v, true
}

// session reads the messages of one session, in the order in which they were
// created.
func (f *folder) session(b *agent.Builder, dir string) {
	w := b.Session(dir)
	for _, project := range f.list(w, "session") {
		path := "session/" + project + "/" + dir + ".json"
		if _, err := fs.Stat(f.fs, path); err != nil {
			continue
		}
		if v, ok := f.read(w, path); ok {
			s := w.Head()
			s.Title, _ = v.Get("title").TextUpTo(256)
			s.Version, _ = v.Get("version").TextUpTo(64)
			s.Base.Dir = agent.Path(v.Get("directory"))
			if parent := v.Get("parentID"); parent.IsString() {
				s.Parent = &agent.Parent{Session: parent.Text(), Method: "session.parentID"}
			}
		}
	}
	var messages []Row
	for _, name := range f.list(w, "message/"+dir) {
		if v, ok := f.read(w, "message/"+dir+"/"+name); ok && strings.HasSuffix(name, ".json") {
			messages = append(messages, Row{strings.TrimSuffix(name, filepath.Ext(name)), v})
		}
	}
	slices.SortStableFunc(messages, func(a, b Row) int {
		return a.Data.Get("time", "created").Time().Compare(b.Data.Get("time", "created").Time())
	})
	for _, m := range messages {
		var parts []Row
		for _, name := range f.list(w, "part/"+m.ID) {
			if v, ok := f.read(w, "part/"+m.ID+"/"+name); ok {
				parts = append(parts, Row{strings.TrimSuffix(name, filepath.Ext(name)), v})
			}
		}
		Message(b, w, m, parts)
	}
}
