package continuedev_test

import (
	"testing"

	"github.com/stemma-dev/stemma/internal/agent/agenttest"
	"github.com/stemma-dev/stemma/internal/agent/continuedev"
)

var suite = agenttest.Suite{
	Decoder:     continuedev.Decoder{},
	Transcripts: "testdata/session.json",
	Document:    true,
	ID:          "2dbfd673-096d-4773-b5f3-9023894a7355",
}

func TestSuite(t *testing.T) { agenttest.Run(t, suite) }

func FuzzRead(f *testing.F) { agenttest.Fuzz(f, suite) }
