package amp_test

import (
	"testing"

	"github.com/stemma-dev/stemma/internal/agent/agenttest"
	"github.com/stemma-dev/stemma/internal/agent/amp"
)

var suite = agenttest.Suite{
	Decoder:     amp.Decoder{},
	Transcripts: "testdata/thread.json",
	Document:    true,
	ID:          "T-019ca1ce-3ae2-7686-a41e-ccc078837f8a",
}

func TestSuite(t *testing.T) { agenttest.Run(t, suite) }

func FuzzRead(f *testing.F) { agenttest.Fuzz(f, suite) }
