package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/lineage"
	"github.com/stemma-dev/stemma/internal/reconcile"
)

// alive is what `stemma stats --alive --json` prints.
type alive struct {
	Schema string `json:"schema"`
	Note   string `json:"note"`
	lineage.Standing
}

// blamesFile keeps what git said of the history; it can be removed at any time.
func (b *bench) blamesFile() string { return filepath.Join(b.dir, "blames.cache") }

// maxKept bounds what is read of the file, bytes.
const maxKept = 256 << 20

// readBlames gives what an earlier call kept; nil where there is nothing to use.
func (b *bench) readBlames() []byte {
	f, err := os.Open(b.blamesFile())
	if err != nil {
		return nil
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKept))
	if err != nil {
		return nil
	}
	return text
}

// keepBlames writes what is to be kept, whole or not at all.
func (b *bench) keepBlames(text []byte) error {
	f, err := os.CreateTemp(b.dir, ".blames-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), b.blamesFile())
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// stand counts what stands at a revision, with progress, and keeps what makes
// the next call quick.
func (o *options) stand(ctx context.Context, b *bench, q lineage.StandQuery) (lineage.Standing, error) {
	bar := newBar(o.err)
	defer bar.stop()
	q.Known = b.readBlames()
	q.Progress = func(stage string, done, total int) {
		bar.show(reconcile.Progress{Stage: stage, Done: done, Total: total})
	}
	s, kept, err := lineage.Stand(ctx, b.graph(), q)
	if err != nil {
		return s, err
	}
	if kept != nil {
		if err := b.keepBlames(kept); err != nil && !errors.Is(err, fs.ErrPermission) {
			fmt.Fprintf(o.err, "stemma: warning: the next call will be as slow: %v\n", reason(err))
		}
	}
	return s, nil
}

// statsAlive answers stats --alive.
func (o *options) statsAlive(ctx context.Context, b *bench, q lineage.StandQuery, at string) error {
	id, err := b.repo.Resolve(ctx, orHead(at))
	if err != nil {
		return err
	}
	q.Commit = id
	s, err := o.stand(ctx, b, q)
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(o.out, alive{"stemma.alive/v1", volumeNote, s})
	}
	p, err := o.painter()
	if err != nil {
		return err
	}
	printAlive(o.out, p, s)
	return nil
}

func printAlive(w io.Writer, p painter, s lineage.Standing) {
	fmt.Fprintf(w, "%s stand at %s of %s, in %s\n", p.bold(number(s.Total.Lines.Added, "line")), p.in("33", short(s.Commit)), day(s.Time), number(s.Files.Text, "file"))
	printClasses(w, p, s.Total.Lines, s.Total.AI)
	if s.By != "" {
		fmt.Fprintf(w, "\nby %s\n", s.By)
	}
	for _, g := range s.Groups {
		fmt.Fprintf(w, "  %s %8s files %12s lines", fit(plain(g.Name), 36), count(g.Files), count(g.Lines.Added))
		if s.By == "directory" {
			fmt.Fprintf(w, "  AI %-8s generated %s", percent(g.AI), count(g.Lines.Generated))
		}
		fmt.Fprintln(w)
	}
	if len(s.Unknown) > 0 {
		fmt.Fprintf(w, "\nnot explained\n")
	}
	for _, reason := range []string{
		lineage.ReasonCandidate, lineage.ReasonConflict, lineage.ReasonNoEvidence, lineage.ReasonNotIndexed, lineage.ReasonUnreadable,
	} {
		if n := s.Unknown[reason]; n > 0 {
			fmt.Fprintf(w, "  %12s lines  %s\n", count(n), reason)
		}
	}
	f := s.Files
	fmt.Fprintf(w, "\ncounted by rule %s, by blame %s (%s of them remembered); binary %s, not counted\n",
		number(f.ByRule, "file"), number(f.Blamed+f.Known, "file"), count(f.Known), number(f.Binary, "file"))
	for i, u := range f.Unreadable {
		if i == few {
			fmt.Fprintf(w, "  and %d more that could not be read (--json lists all)\n", len(f.Unreadable)-i)
			break
		}
		fmt.Fprintf(w, "  not counted: %s: %s\n", plain(u.Path), plain(u.Reason))
	}
	fmt.Fprintf(w, "\n%s\n", volumeNote)
}

// aliveOnly refuses what means nothing for lines that stand.
func aliveOnly(q lineage.MeasureQuery, at string, alive bool) error {
	switch {
	case !alive && at != "":
		return fmt.Errorf("--at %s: is for --alive only: %w", at, stemma.ErrInvalid)
	case alive && (q.Since != 0 || q.Until != 0 || q.Everything):
		return fmt.Errorf("--alive counts what stands at one revision; --since, --until and --all are for what was added: %w", stemma.ErrInvalid)
	}
	return nil
}
