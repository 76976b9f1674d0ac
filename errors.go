package stemma

import "errors"

// The error kinds. Callers branch on these with errors.Is and on nothing else;
// an error of no kind is internal. Bad evidence is a verdict, not an error.
var (
	// ErrNotFound says that the thing asked for does not exist.
	ErrNotFound = errors.New("not found")
	// ErrInvalid says that the input is malformed; the same input fails again.
	ErrInvalid = errors.New("invalid")
	// ErrConflict says that somebody else changed or holds the thing.
	ErrConflict = errors.New("conflict")
	// ErrDenied says that the caller may not do this.
	ErrDenied = errors.New("denied")
	// ErrUnavailable says that something needed is out of reach now; a retry may succeed.
	ErrUnavailable = errors.New("unavailable")
)
