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
	HalfLife *lineage.Survival `json:"half_life,omitempty"` // where it was asked for
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
func (o *options) stand(ctx context.Context, b *bench, q lineage.StandQuery, halfLife bool) (alive, error) {
	doc := alive{Schema: "stemma.alive/v1", Note: volumeNote}
	bar := newBar(o.err)
	defer bar.stop()
	q.Progress = func(stage string, done, total int) {
		bar.show(reconcile.Progress{Stage: stage, Done: done, Total: total})
	}
	var kept []byte
	var err error
	q.Known = b.readBlames()
	if doc.Standing, kept, err = lineage.Stand(ctx, b.graph(), q); err != nil {
		return doc, err
	}
	o.keep(b, kept)
	if !halfLife {
		return doc, nil
	}
	if kept != nil {
		q.Known = kept
	}
	s, kept, err := lineage.Survive(ctx, b.graph(), q)
	if err != nil {
		return doc, err
	}
	o.keep(b, kept)
	doc.HalfLife = &s
	return doc, nil
}

// keep remembers blames for the next call; a call that cannot is only slower.
func (o *options) keep(b *bench, kept []byte) {
	if kept == nil {
		return
	}
	if err := b.keepBlames(kept); err != nil && !errors.Is(err, fs.ErrPermission) {
		fmt.Fprintf(o.err, "stemma: warning: the next call will be as slow: %v\n", reason(err))
	}
}

// statsAlive answers stats --alive.
func (o *options) statsAlive(ctx context.Context, b *bench, q lineage.StandQuery, at string, halfLife bool) error {
	id, err := b.repo.Resolve(ctx, orHead(at))
	if err != nil {
		return err
	}
	q.Commit = id
	doc, err := o.stand(ctx, b, q, halfLife)
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(o.out, doc)
	}
	p, err := o.painter()
	if err != nil {
		return err
	}
	printAlive(o.out, p, doc)
	return nil
}

func printAlive(w io.Writer, p painter, doc alive) {
	s := doc.Standing
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
		lineage.ReasonCandidate, lineage.ReasonConflict, lineage.ReasonAmbiguous, lineage.ReasonNoEvidence, lineage.ReasonNotIndexed, lineage.ReasonUnreadable,
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
	if doc.HalfLife != nil {
		printHalfLife(w, p, *doc.HalfLife)
	}
	fmt.Fprintf(w, "\n%s\n", volumeNote)
}

// printHalfLife says how long lines stood, as far as that was observed.
func printHalfLife(w io.Writer, p painter, s lineage.Survival) {
	fmt.Fprintf(w, "\nhow long lines stood\n")
	if s.Unknown != "" {
		fmt.Fprintf(w, "  unknown: %s\n", s.Unknown)
		return
	}
	for _, g := range s.Groups {
		text := "unknown: too little was observed"
		switch {
		case g.HalfLife != nil:
			text = p.bold(fmt.Sprintf("half are gone after %d days", *g.HalfLife))
		case g.Standing != nil:
			text = fmt.Sprintf("half-life unknown, more than %d days: %s%% reach that age", g.Observed, round(*g.Standing))
		}
		fmt.Fprintf(w, "  %s %10s lines of %6s commits  %s\n", fit(g.Name, 15), count(g.Lines), count(g.Commits), text)
	}
	fmt.Fprintf(w, "  lines added from %s to %s, looked for at %s; an age is stated where %d lines of %d commits\n"+
		"  were followed that long, and is too great by up to the time between two looks\n",
		day(s.From), day(s.To), number(len(s.Snapshots), "revision"), s.Least.Lines, s.Least.Commits)
}

// aliveOnly refuses what means nothing for lines that stand.
func aliveOnly(q lineage.MeasureQuery, at string, alive, halfLife bool) error {
	switch {
	case !alive && halfLife:
		return fmt.Errorf("--half-life goes with --alive: %w", stemma.ErrInvalid)
	case !alive && at != "":
		return fmt.Errorf("--at %s: is for --alive only: %w", at, stemma.ErrInvalid)
	case alive && (q.Since != 0 || q.Until != 0 || q.Everything):
		return fmt.Errorf("--alive counts what stands at one revision; --since, --until and --all are for what was added: %w", stemma.ErrInvalid)
	}
	return nil
}
