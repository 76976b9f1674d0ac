package droid_test

import (
	"testing"

	"github.com/stemma-dev/stemma/internal/agent/agenttest"
	"github.com/stemma-dev/stemma/internal/agent/droid"
)

var suite = agenttest.Suite{
	Decoder:     droid.Decoder{},
	Transcripts: "testdata/session.jsonl",
	Document:    false,
	ID:          "052cb8d0-4616-488a-99fe-bfbbbe9429b3",
}

func TestSuite(t *testing.T) { agenttest.Run(t, suite) }

func FuzzRead(f *testing.F) { agenttest.Fuzz(f, suite) }
