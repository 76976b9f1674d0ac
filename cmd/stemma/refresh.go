package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/reconcile"
)

// ready opens the repository and its index for a question. An index that is
// missing or behind is brought up to date first, so that nobody has to think of
// it; if that can not be done, the question is asked of the index as it is.
func (o *options) ready(ctx context.Context) (*bench, error) {
	b, err := open(ctx, o.path, o.store)
	if err != nil {
		return nil, err
	}
	if err := o.refresh(ctx, b); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (o *options) refresh(ctx context.Context, b *bench) error {
	if b.keptElsewhere() {
		return nil
	}
	fingerprint, err := b.repo.Fingerprint()
	if err != nil {
		return fmt.Errorf("look at refs: %w", err)
	}
	if b.current(fingerprint) || o.noRefresh && b.clone.Repository != "" {
		return nil
	}
	report, err := o.update(ctx, b)
	if err != nil {
		if b.clone.Repository == "" || ctx.Err() != nil || errors.Is(err, stemma.ErrInvalid) {
			return err
		}
		fmt.Fprintf(o.err, "stemma: warning: the index is behind the repository: %v\n", err)
		return nil
	}
	if report.Empty {
		return hinted{fmt.Errorf("the repository has no commits: %w", stemma.ErrNotFound), "commit something first"}
	}
	return nil
}

// update brings the index up to date and shows how far it is.
func (o *options) update(ctx context.Context, b *bench) (reconcile.Report, error) {
	bar := newBar(o.err)
	defer bar.stop()
	b.warn = o.warn
	report, err := b.update(ctx, bar.show, func() {
		fmt.Fprintln(o.err, "stemma: another process is indexing this repository; waiting for it")
	})
	if err == nil && report.Unrecorded != "" {
		o.warn("where the refs moved is not recorded, and stemma index will try again: " + report.Unrecorded)
	}
	return report, err
}

// slow is how long something may take before its progress is shown.
const slow = time.Second

// bar shows progress with rate and time left on a terminal, and a line now and
// then elsewhere.
type bar struct {
	out      io.Writer
	terminal bool
	began    time.Time
	said     time.Time
	stage    string
	bars     *mpb.Progress
	bar      *mpb.Bar
}

func newBar(out io.Writer) *bar {
	return &bar{out: out, terminal: isTerminal(out), began: time.Now(), said: time.Now()}
}

func (b *bar) show(p reconcile.Progress) {
	if time.Since(b.began) < slow {
		return
	}
	if !b.terminal {
		if time.Since(b.said) > 10*time.Second {
			b.said = time.Now()
			rate := float64(p.Done) / time.Since(b.began).Seconds()
			fmt.Fprintf(b.out, "stemma: %s: %d of %d, %.0f a second\n", p.Stage, p.Done, p.Total, rate)
		}
		return
	}
	if b.stage != p.Stage {
		b.next(p)
	}
	b.bar.SetTotal(int64(p.Total), false)
	b.bar.SetCurrent(int64(p.Done))
}

// next begins the bar of another stage.
func (b *bar) next(p reconcile.Progress) {
	if b.bars == nil {
		b.bars = mpb.New(mpb.WithOutput(b.out), mpb.WithRefreshRate(150*time.Millisecond), mpb.WithWidth(40))
	}
	if b.bar != nil {
		b.bar.Abort(true)
	}
	b.stage = p.Stage
	began := b.began
	b.bar = b.bars.AddBar(int64(p.Total),
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name("stemma: "+p.Stage+" "), decor.CountersNoUnit("%d of %d ")),
		mpb.AppendDecorators(decor.Any(func(s decor.Statistics) string {
			spent := time.Since(began).Seconds()
			if s.Current == 0 || spent == 0 {
				return ""
			}
			rate := float64(s.Current) / spent
			left := time.Duration(float64(s.Total-s.Current) / rate * float64(time.Second))
			return fmt.Sprintf("%.0f a second, %s left", rate, left.Round(time.Second))
		})))
}

func (b *bar) stop() {
	if b.bar != nil {
		b.bar.Abort(true)
	}
	if b.bars != nil {
		b.bars.Wait()
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
