// Command stemma-hook is what a coding agent's hook runs: it spools what the
// agent says and the content of the files it touches, and exits.
//
//	stemma-hook <agent> [event]
//
// It always exits 0, prints nothing, talks to no network and starts no process:
// whatever goes wrong, the agent must not notice. What could not be captured is
// a gap in the spool, which "stemma doctor" shows.
package main

import (
	"os"
	"time"

	"github.com/stemma-dev/stemma/internal/spool"
)

func main() {
	// A panic must not reach the agent either; there is nobody to tell.
	defer func() { _ = recover() }()
	in := spool.Input{
		Agent: "generic", Payload: os.Stdin, Now: time.Now,
		Parent: os.Getenv("STEMMA_PARENT_SESSION"), Trace: os.Getenv("TRACEPARENT"), State: os.Getenv("TRACESTATE"),
	}
	if len(os.Args) > 1 {
		in.Agent = os.Args[1]
	}
	if len(os.Args) > 2 {
		in.Event = os.Args[2]
	}
	home, err := spool.Home()
	if err != nil {
		return
	}
	in.Home = home
	in.Dir, _ = os.Getwd()            // without one, absolute paths still find their repository
	in.Config, _ = os.UserConfigDir() // without one there are no patterns of the user's
	_ = spool.Capture(in)
}
