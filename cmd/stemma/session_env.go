package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/spool"
)

func newSessionEnv(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "env <agent>/<session>",
		Short: "Print the environment by which what a session starts is known as its child",
		Long: `Prints lines for a shell that set STEMMA_PARENT_SESSION, TRACEPARENT and TRACESTATE
(W3C Trace Context). A planner sets them for the agents that it starts: their
hooks see them, and each such session is then a child of the planner's. A trace
that the environment names already is kept.

It asks nothing and records nothing; the session need not be known yet.`,
		Example: `  eval "$(stemma session env claude-code/0b5e6c1a)"; codex exec 'write the tests'`,
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			name, id, ok := strings.Cut(args[0], "/")
			agentKey, _ := stemma.ParseAgent(name) // an unknown agent keeps its own name
			if !ok || id == "" || agentKey == "" || strings.ContainsAny(id, "\x00\n") {
				return hinted{fmt.Errorf("session %q: %w", args[0], stemma.ErrInvalid), "name it by its agent and id, as in claude-code/0b5e6c1a"}
			}
			key := stemma.SessionID(agentKey, id).Key
			trace, _, ok := spool.Traceparent(os.Getenv("TRACEPARENT"))
			if !ok {
				trace = spool.TraceOf(key)
			}
			set := func(name, value string) {
				fmt.Fprintf(o.out, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
			}
			set("STEMMA_PARENT_SESSION", key)
			set("TRACEPARENT", "00-"+trace+"-"+spool.SpanOf(key)+"-01")
			if spool.TracestateValue(key) {
				set("TRACESTATE", "stemma="+key)
			}
			return nil
		},
	}
}
