package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/live"
	"github.com/stemma-dev/stemma/internal/spool"
	"github.com/stemma-dev/stemma/internal/store"
)

// syncSessions tells what was captured of sessions since the last time, and gives
// what it told. What can not be told now is told the next time.
func (o *options) syncSessions(ctx context.Context, b *bench, s *spool.Spool, dry bool) (live.Report, error) {
	home, folder := filepath.Dir(s.Dir()), filepath.Base(s.Dir())
	tree := b.repo.WorkTree()
	if tree == "" || spool.Paused(home, folder) {
		return live.Report{}, nil // no hook runs without a work tree
	}
	place, err := spool.Find(tree)
	if err != nil {
		return live.Report{}, err
	}
	config, _ := os.UserConfigDir() // without one there are no patterns of the user's
	opened := false
	open := func(ctx context.Context) error {
		if opened || dry {
			return nil
		}
		if err := o.refresh(ctx, b); err != nil {
			return err
		}
		_, err := b.ledger(ctx)
		opened = err == nil
		return err
	}
	done, err := live.Run(ctx, live.Config{
		Spool: s, Place: place, Agents: agents(), Excludes: s.Excludes(config), Paused: spool.Pauses(home, folder),
		Committed: func() (string, error) { return b.lastCommit(ctx) }, Lock: lockSessions, Now: time.Now().UTC(), DryRun: dry,
		Tale: func(ctx context.Context, key string) (*agent.Tale, error) {
			if err := open(ctx); err != nil {
				return nil, err
			}
			t, err := b.tale(ctx, key)
			if errors.Is(err, stemma.ErrNotFound) {
				return nil, nil
			}
			return &t, err
		},
		Recorded: func(ctx context.Context, of, id string, part int) (bool, error) {
			if err := open(ctx); err != nil {
				return false, err
			}
			return b.toldPart(ctx, of, id, part)
		},
		Keep: b.tellPart,
	})
	if err != nil || dry || len(done.Told) == 0 {
		return done, err
	}
	return done, b.projectSessions(ctx)
}

// tellPart records a part of a live session, with its configuration where that is
// not what the part before said.
func (b *bench) tellPart(ctx context.Context, p live.Part) (last int, err error) {
	files := agent.Digests(b.configOf(p.Session, p.Told.Observed))
	text, err := json.Marshal(files)
	if err != nil {
		return 0, err
	}
	sum := sha256.Sum256(text)
	now := hex.EncodeToString(sum[:8])
	if *p.Config == now && !p.Session.Whole {
		p.Told.Config = []agent.ConfigDigest{}
	}
	if last, err = b.tell(ctx, p.Session, p.Told); err == nil && len(files) > 0 {
		*p.Config = now
	}
	return last, err
}

// toldPart reports whether a part of a session is recorded.
func (b *bench) toldPart(ctx context.Context, of, id string, part int) (bool, error) {
	s, err := b.reading(ctx)
	if errors.Is(err, stemma.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	found, err := s.evidence.Find(ctx, []store.EventKey{{Source: of, EventID: agent.PartID(id, part)}})
	return err == nil && found[0].ID != 0, err
}

// lastCommit gives the commit that was made in this clone last, "" where none was.
func (b *bench) lastCommit(ctx context.Context) (string, error) {
	entries, err := b.repo.Reflog(ctx)
	if err != nil {
		return "", err
	}
	for _, e := range slices.Backward(entries) {
		if strings.HasPrefix(e.Action, "commit") {
			return e.New, nil
		}
	}
	return "", nil
}

// sessionsLock is held by whoever tells sessions, of all repositories of this
// machine: sync and import.
const sessionsLock = "sessions.lock"

func lockSessions(ctx context.Context) (unlock func(), err error) {
	home, err := evidenceHome()
	if err != nil {
		return nil, err
	}
	if err := makeDir(home); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(home, sessionsLock))
	if ok, err := lock.TryLockContext(ctx, 5*time.Millisecond); !ok || err != nil {
		return nil, fmt.Errorf("wait for others that record sessions: %v: %w", err, stemma.ErrUnavailable)
	}
	return func() { _ = lock.Unlock() }, nil // at the latest when the process ends
}

// showToldSessions prints what was told, or would be.
func (o *options) showToldSessions(done synced) {
	for _, t := range done.Told {
		from := "what its hooks saw"
		if t.From != "" {
			from = "its transcript"
		}
		verb := "told"
		if done.DryRun {
			verb = "to be told"
		}
		end := ""
		if t.Final {
			end = ", to its end"
		}
		fmt.Fprintf(o.out, "  session %s  part %d %s from %s: %s, %s%s\n", plain(t.Session), t.Part, verb, from, number(t.Turns, "turn"), number(t.Calls, "call"), end)
	}
	if done.Waiting > 0 {
		fmt.Fprintf(o.out, "  %s on, and will be told with the next commit, at the end, or after 15 minutes\n", goesOn(done.Waiting))
	}
	for _, p := range done.Problems {
		fmt.Fprintf(o.out, "  not told: %s\n", plain(p))
	}
}

func goesOn(n int) string {
	if n == 1 {
		return "1 session goes"
	}
	return count(n) + " sessions go"
}
