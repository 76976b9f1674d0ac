package claudecode_test

import (
	"testing"

	"github.com/stemma-dev/stemma/internal/agent/agenttest"
	"github.com/stemma-dev/stemma/internal/agent/claudecode"
)

var suite = agenttest.Suite{
	Decoder:     claudecode.Decoder{},
	Transcripts: "testdata/[st]*.jsonl",
	ID:          "0b5e6c1a-7f41-4a53-9d0e-0c6a54a1f001",
}

func TestSuite(t *testing.T) { agenttest.Run(t, suite) }

func FuzzRead(f *testing.F) { agenttest.Fuzz(f, suite) }
