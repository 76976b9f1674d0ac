package main

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma/internal/spool"
)

// version is stamped by the build; see Makefile.
var version = ""

// options are those that every command has.
type options struct {
	path      string
	store     string // the address of a shared store; "" is the index of the repository
	json      bool
	noRefresh bool
	color     string
	out, err  io.Writer
	now       func() time.Time
}

// execute runs one command line and gives the exit code.
func execute(ctx context.Context, args []string, out, errOut io.Writer) int {
	return executeAt(ctx, args, out, errOut, time.Now)
}

// executeAt is execute by another clock: what is seen of a work tree is as of now.
func executeAt(ctx context.Context, args []string, out, errOut io.Writer, now func() time.Time) int {
	o := &options{out: out, err: errOut, now: now}
	root := newRoot(o)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	if err := root.ExecuteContext(ctx); err != nil {
		return report(errOut, err)
	}
	return exitOK
}

func newRoot(o *options) *cobra.Command {
	root := &cobra.Command{
		Use:   "stemma",
		Short: "Who wrote what, and with which model",
		Long: `stemma tells for every line and every change of a repository who wrote it:
which session of which coding agent, with which model, or a person.

It reads the evidence that is in the repository already: notes of git-ai and
whogitit, Entire's checkpoints, Agent Trace records, commit trailers and the
accounts of coding agents. Nothing has to be installed or set up before. The first command indexes
the repository; later ones only what is new. What nothing tells is called
unknown, never human.`,
		Example: `  stemma index                                  # index this repository, see what is known
  stemma log model:claude-opus-4* since:30d     # changes by a model in the last 30 days
  stemma show HEAD                              # one commit: sessions, models, lines, sources
  stemma blame main.go                          # git blame, with class, model and session
  stemma stats --by directory                   # share of AI in what was merged`,
		Version:       versionText(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("stemma {{.Version}}\n")
	flags := root.PersistentFlags()
	flags.StringVarP(&o.path, "repository", "R", "", "work on the repository at this `path` instead of the current folder")
	flags.StringVar(&o.store, "store", "", "keep and ask the index in the PostgreSQL database at this `address`, postgres://user@host/database (default: STEMMA_STORE; without both, below the repository); evidence stays on this machine")
	flags.BoolVar(&o.json, "json", false, "print JSON; the schema is named in its field \"schema\" and documented in doc/json.md")
	flags.StringVar(&o.color, "color", "auto", "colour the output: auto, always or never")
	flags.BoolVar(&o.noRefresh, "no-refresh", false, "ask the index as it is, even if the repository has moved on")
	root.AddCommand(newIndex(o), newLog(o), newShow(o), newBlame(o), newStats(o), newTrace(o), newWhy(o), newBench(o), newDump(o),
		newInit(o), newUninit(o), newSync(o), newCapture(o), newHook(), newAssist(o), newDoctor(o),
		newPause(o, "pause", "Stop capturing until resume", spool.Pause), newPause(o, "resume", "Go on capturing", spool.Resume))
	root.AddCommand(newRecord(o), newTlog(o), newFsck(o), newRebuild(o))
	root.AddCommand(newSession(o))
	root.AddCommand(newKeys(o), newVerify(o), newExport(o))
	root.AddCommand(newErase(o), newHold(o), newVault(o))
	return root
}

// versionText is the version stamped into the binary, or the commit it was
// built from.
func versionText() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return fmt.Sprintf("%s (%.12s)", info.Main.Version, s.Value)
		}
	}
	if info.Main.Version == "" {
		return "unknown"
	}
	return info.Main.Version
}
