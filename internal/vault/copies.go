package vault

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/stemma-dev/stemma"
)

// Copies are folders that hold copies of the folder of keys. As a [Place], they
// lose the keys of an erasure as the folder itself does; while one of them is
// out of reach, the erasure is not done.
type Copies []string

// Name implements [Place].
func (Copies) Name() string { return "copies of keys" }

// Erase implements [Place].
func (c Copies) Erase(_ context.Context, e Erasure) error {
	for _, dir := range c {
		if _, err := os.Stat(dir); err != nil {
			return fmt.Errorf("%s is out of reach: %v: %w", dir, cause(err), stemma.ErrUnavailable)
		}
		for _, name := range e.KeyFiles {
			if !filepath.IsLocal(name) {
				return fmt.Errorf("key %q leads out of the folder: %w", name, stemma.ErrInvalid)
			}
			if err := shred(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}
