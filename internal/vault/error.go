package vault

import (
	"fmt"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
)

// Short names for the kinds.
var (
	errNotFound    = stemma.ErrNotFound
	errInvalid     = stemma.ErrInvalid
	errDenied      = stemma.ErrDenied
	errUnavailable = stemma.ErrUnavailable
)

// ErasedError says that what was asked for is erased, and why. It is ErrNotFound.
type ErasedError struct{ Erasure Erasure }

func (e *ErasedError) Error() string {
	return fmt.Sprintf("erased on %s (%s)", time.Unix(e.Erasure.Time, 0).UTC().Format(time.DateOnly), e.Erasure.Basis)
}

func (e *ErasedError) Unwrap() error { return stemma.ErrNotFound }

// HeldError says that an erasure waits because of legal holds. It is ErrDenied.
type HeldError struct {
	Holds   []Hold  // at least one
	Erasure Erasure // carried out when all of them are released
}

func (e *HeldError) Error() string {
	names := make([]string, len(e.Holds))
	for i, h := range e.Holds {
		names[i] = fmt.Sprintf("%s (%s)", h.ID, h.Reason)
	}
	return fmt.Sprintf("%s %s is on legal hold %s; it is erased when that is released", e.Erasure.Kind, e.Erasure.Target, strings.Join(names, ", "))
}

func (e *HeldError) Unwrap() error { return stemma.ErrDenied }
