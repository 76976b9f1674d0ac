package git

import (
	"fmt"

	"github.com/stemma-dev/stemma"
)

// DecodeError says where bytes of a repository, or what git printed of them,
// could not be read. It is of kind stemma.ErrInvalid.
type DecodeError struct {
	What   string // what was read: a file, an object, the output of a command
	Offset int64  // bytes from its start
	Reason string
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("%s: byte %d: %s", clip(printable(e.What)), e.Offset, e.Reason)
}

// Unwrap gives stemma.ErrInvalid.
func (e *DecodeError) Unwrap() error { return stemma.ErrInvalid }
