package cursor_test

import (
	"testing"

	"github.com/stemma-dev/stemma/internal/agent/agenttest"
	"github.com/stemma-dev/stemma/internal/agent/cursor"
)

var suite = agenttest.Suite{
	Decoder:     cursor.Decoder{},
	Transcripts: "testdata/chat.jsonl",
	Document:    false,
	ID:          "",
}

func TestSuite(t *testing.T) { agenttest.Run(t, suite) }

func FuzzRead(f *testing.F) { agenttest.Fuzz(f, suite) }
