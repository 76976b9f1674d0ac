package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/stemma-dev/stemma"
)

// The exit codes.
const (
	exitOK          = 0
	exitInternal    = 1
	exitUsage       = 2 // the command line or the input is malformed
	exitNotFound    = 3
	exitDenied      = 4
	exitConflict    = 5
	exitUnavailable = 6
	exitInterrupted = 130
)

// hinted is an error with what to do next.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// kinds maps error kinds to exit codes and to what to do next, where the error
// itself does not say.
var kinds = []struct {
	kind error
	code int
	hint string
}{
	{context.Canceled, exitInterrupted, "run the command again: it goes on where it stopped"},
	{stemma.ErrInvalid, exitUsage, ""},
	{stemma.ErrNotFound, exitNotFound, ""},
	{stemma.ErrDenied, exitDenied, "get permission for what is named, or set STEMMA_DIR to a folder that you may write to"},
	{stemma.ErrConflict, exitConflict, ""},
	{stemma.ErrUnavailable, exitUnavailable, ""},
}

// report says what went wrong and gives the exit code.
func report(w io.Writer, err error) int {
	if c, ok := err.(outcome); ok {
		return int(c)
	}
	code, hint := exitInternal, ""
	for _, k := range kinds {
		if errors.Is(err, k.kind) {
			code, hint = k.code, k.hint
			break
		}
	}
	text := err.Error()
	for _, k := range kinds {
		// The kind is for programs: the exit code says it.
		text = strings.TrimSuffix(text, ": "+k.kind.Error())
	}
	var h hinted
	if errors.As(err, &h) {
		hint = h.hint
	}
	if code == exitInternal && isUsage(text) {
		code = exitUsage
	}
	if code == exitUsage && hint == "" {
		hint = "see stemma --help, or --help of the command"
	}
	if code == exitInterrupted {
		text = "interrupted; what was done is kept"
	}
	fmt.Fprintf(w, "stemma: error: %s\n", text)
	if hint != "" {
		fmt.Fprintf(w, "stemma: hint: %s\n", hint)
	}
	return code
}

// isUsage recognises the errors that the command-line library makes, which are
// of no kind.
func isUsage(text string) bool {
	for _, p := range []string{"unknown command", "unknown flag", "unknown shorthand", "invalid argument", "flag needs an argument", "accepts ", "requires at least"} {
		if strings.HasPrefix(text, p) {
			return true
		}
	}
	return false
}
