package windsurf_test

import (
	"testing"

	"github.com/stemma-dev/stemma/internal/agent/agenttest"
	"github.com/stemma-dev/stemma/internal/agent/windsurf"
)

var suite = agenttest.Suite{
	Decoder:     windsurf.Decoder{},
	Transcripts: "testdata/cascade.jsonl",
	Document:    false,
	ID:          "",
}

func TestSuite(t *testing.T) { agenttest.Run(t, suite) }

func FuzzRead(f *testing.F) { agenttest.Fuzz(f, suite) }
