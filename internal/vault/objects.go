package vault

import (
	"context"
	"iter"
)

// Objects keeps encrypted objects by name: three words of lower-case
// hexadecimal, divided by slashes. It sees no plain text and no key. All of it
// may be called at once.
type Objects interface {
	// Put stores an object. It is whole and durable when Put returns; an object
	// of the same name is replaced. A failed Put leaves what was there.
	Put(ctx context.Context, name string, data []byte) error
	// Get gives an object, or ErrNotFound. It is ErrInvalid where the object is
	// longer than limit, bytes.
	Get(ctx context.Context, name string, limit int64) ([]byte, error)
	// Delete removes all objects whose names begin with prefix, which ends with
	// a slash, or the one object of that name. That there are none is no error.
	Delete(ctx context.Context, prefix string) error
	// List gives the names that begin with prefix, in order, each once.
	List(ctx context.Context, prefix string) iter.Seq2[string, error]
}
