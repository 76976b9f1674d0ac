package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/stemma-dev/stemma/internal/capture"
	"github.com/stemma-dev/stemma/internal/spool"
)

// compare compares what hooks reported with what the agents' transcripts tell,
// and gives what it found: also the sessions for which that can not be done, with the
// reasons. What stands in the way keeps nobody from a sync. A dry run
// compares nothing: it would have to write down what it found.
func (b *bench) compare(ctx context.Context, s *spool.Spool, dry bool, done *synced) (capture.Compared, error) {
	if dry {
		return capture.Compared{}, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "" // without one, the transcripts that hooks name are compared
	}
	c, err := capture.Compare(ctx, capture.Comparison{Spool: s, Family: agents(), Home: home, Folder: filepath.Base(s.Dir())})
	if err != nil {
		if ctx.Err() != nil {
			return c, ctx.Err()
		}
		b.say(err.Error())
	}
	done.Compared, done.Unreported = len(c.Sessions), c.Calls
	for _, why := range c.Unread {
		done.Unread[why]++
	}
	return c, nil
}
