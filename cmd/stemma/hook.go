package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma/internal/spool"
)

func newHook() *cobra.Command {
	return &cobra.Command{
		Use:   "hook <agent> [event]",
		Short: "Spool what a coding agent's hook is told (what stemma-hook does)",
		Long: `Reads what a coding agent writes to its hook from standard input, and appends it
with the content of the files it touches to a local spool. Prints nothing, asks
nobody, waits for nothing and always succeeds: the agent must not notice.
stemma-hook, a small program of its own, does the same in less time.

Any tool can report itself with the agent "generic" and this JSON
(doc/capture.md has every field):

  {"stemma": {"version": 1, "event": "after", "session": "42", "tool": "edit",
              "call": "7", "dir": "/src/shop", "files": ["price/tax.go"]}}

Give "before" before the tool runs, and "save" when a person saves in an editor.`,
		Example: `  stemma hook claudecode < payload.json
  echo '{"stemma":{"version":1,"event":"save","dir":"'$PWD'","files":["a.go"]}}' | stemma hook generic`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := spool.Input{
				Agent: args[0], Payload: cmd.InOrStdin(), Now: time.Now,
				Parent: os.Getenv("STEMMA_PARENT_SESSION"), Trace: os.Getenv("TRACEPARENT"), State: os.Getenv("TRACESTATE"),
			}
			if len(args) > 1 {
				in.Event = args[1]
			}
			home, err := spool.Home()
			if err != nil {
				return nil // an agent must not see that its hook failed; doctor tells
			}
			in.Home = home
			in.Dir, _ = os.Getwd()            // without one, absolute paths still find their repository
			in.Config, _ = os.UserConfigDir() // without one there are no patterns of the user's
			_ = spool.Capture(in)
			return nil
		},
	}
}
