package codex_test

import (
	"testing"

	"github.com/stemma-dev/stemma/internal/agent/agenttest"
	"github.com/stemma-dev/stemma/internal/agent/codex"
)

var suite = agenttest.Suite{
	Decoder:     codex.Decoder{},
	Transcripts: "testdata/*.jsonl",
	ID:          "5973b6c0-94b8-487b-a530-2aeb6098ae0e",
}

func TestSuite(t *testing.T) { agenttest.Run(t, suite) }

func FuzzRead(f *testing.F) { agenttest.Fuzz(f, suite) }
