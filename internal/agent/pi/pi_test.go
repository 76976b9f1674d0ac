package pi_test

import (
	"testing"

	"github.com/stemma-dev/stemma/internal/agent/agenttest"
	"github.com/stemma-dev/stemma/internal/agent/pi"
)

var suite = agenttest.Suite{
	Decoder:     pi.Decoder{},
	Transcripts: "testdata/session.jsonl",
	Document:    false,
	ID:          "pi-session-456",
}

func TestSuite(t *testing.T) { agenttest.Run(t, suite) }

func FuzzRead(f *testing.F) { agenttest.Fuzz(f, suite) }
