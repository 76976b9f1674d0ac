// Package opencode answers what OpenCode did in a session. It reads its database,
// ~/.local/share/opencode/opencode.db, read-only, and the storage folder of
// versions before it: storage/message/<session>/<message>.json with
// storage/part/<message>/<part>.json.
package opencode

import (
	"bytes"
	"context"
	"os"
	"path/filepath"

	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/agent/opencode/storage"
)

// Name is the key of the agent.
const Name = storage.Name

// Decoder reads the sessions of OpenCode.
type Decoder struct{}

// Agent gives the key of the agent.
func (Decoder) Agent() string { return Name }

// Recognises reports whether the transcript is OpenCode's database or its
// storage folder.
func (Decoder) Recognises(path string, head []byte) bool {
	if bytes.HasPrefix(head, []byte("SQLite format 3\x00")) {
		return filepath.Base(path) == "opencode.db"
	}
	if path == "" || len(head) > 0 {
		return false
	}
	info, err := os.Stat(filepath.Join(path, "message"))
	return err == nil && info.IsDir()
}

// Read reads the sessions; see agent.Decoder. Both forms are changed in place,
// so a session that changed since is given as a whole.
func (Decoder) Read(ctx context.Context, src *agent.Source, from agent.State) (agent.Reading, error) {
	if src.Path == "" {
		return agent.Reading{}, &agent.DecodeError{Agent: Name, Reason: "a database or a folder on disk is expected"}
	}
	if src.Body != nil {
		return readDatabase(ctx, src, from)
	}
	return storage.ReadFolder(ctx, src, from)
}
