package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/stemma-dev/stemma/internal/capture"
	"github.com/stemma-dev/stemma/internal/spool"
)

// compare compares what hooks reported with what the agents' transcripts tell,
// and gives the sessions for which that can not be done, with the reasons. What
// stands in the way of it is one of them and keeps nobody from a sync. A dry run
// compares nothing: it would have to write down what it found.
func (b *bench) compare(ctx context.Context, s *spool.Spool, dry bool, done *synced) (map[string]string, error) {
	if dry {
		return nil, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "" // without one, the transcripts that hooks name are compared
	}
	c, err := capture.Compare(ctx, capture.Comparison{Spool: s, Family: agents(), Home: home, Folder: filepath.Base(s.Dir())})
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		b.say(err.Error())
	}
	done.Compared, done.Unreported = len(c.Sessions), c.Calls
	for _, why := range c.Unread {
		done.Unread[why]++
	}
	return c.Unread, nil
}
