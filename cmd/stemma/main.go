// Command stemma tells who wrote what: which agent session, with which model,
// or which person wrote the lines of a repository, from the evidence that is in
// the repository already.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// What libraries log is not for who runs a command: stemma says itself what is
	// wrong, and what to do.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	return execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
}
