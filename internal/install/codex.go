package install

import (
	"fmt"
	"path/filepath"

	"github.com/pelletier/go-toml/v2"

	"github.com/stemma-dev/stemma"
)

// CodexListens reports whether Codex runs hooks at all: it does unless the user
// switched them off, by [features] hooks = false in config.toml or by its older
// name (developers.openai.com/codex/hooks). What the user switched off stays off. The
// error is ErrInvalid for a file that is no TOML: Codex reads it neither.
func CodexListens(home string) (bool, error) {
	path := filepath.Join(home, ".codex", "config.toml")
	text, err := read(path)
	if err != nil || text == nil {
		return true, err
	}
	var config struct {
		Features struct {
			Hooks *bool `toml:"hooks"`
			Older *bool `toml:"codex_hooks"`
		} `toml:"features"`
	}
	if err := toml.Unmarshal(text, &config); err != nil {
		return true, fmt.Errorf("%s: %v: %w", path, err, stemma.ErrInvalid)
	}
	f := config.Features
	if f.Hooks != nil {
		return *f.Hooks, nil
	}
	return f.Older == nil || *f.Older, nil
}
