package agent_test

import (
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/agent/amp"
	"github.com/stemma-dev/stemma/internal/agent/claudecode"
	"github.com/stemma-dev/stemma/internal/agent/codex"
	"github.com/stemma-dev/stemma/internal/agent/continuedev"
	"github.com/stemma-dev/stemma/internal/agent/copilot"
	"github.com/stemma-dev/stemma/internal/agent/cursor"
	"github.com/stemma-dev/stemma/internal/agent/droid"
	"github.com/stemma-dev/stemma/internal/agent/gemini"
	"github.com/stemma-dev/stemma/internal/agent/opencode"
	"github.com/stemma-dev/stemma/internal/agent/pi"
	"github.com/stemma-dev/stemma/internal/agent/windsurf"
)

// family is every decoder that there is.
var family = agent.Family{
	claudecode.Decoder{},
	codex.Decoder{},
	gemini.Decoder{},
	cursor.Decoder{},
	copilot.CLI{},
	copilot.VSCode{},
	opencode.Decoder{},
	windsurf.Decoder{},
	droid.Decoder{},
	amp.Decoder{},
	pi.Decoder{},
	continuedev.Decoder{},
}
