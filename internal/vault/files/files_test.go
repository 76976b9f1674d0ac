package files_test

import (
	"testing"

	"github.com/stemma-dev/stemma/internal/vault"
	"github.com/stemma-dev/stemma/internal/vault/files"
	"github.com/stemma-dev/stemma/internal/vault/vaulttest"
)

func TestObjects(t *testing.T) {
	vaulttest.Objects(t, func(t *testing.T) vault.Objects { return files.Open(t.TempDir()) })
}
