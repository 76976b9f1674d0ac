package gemini_test

import (
	"testing"

	"github.com/stemma-dev/stemma/internal/agent/agenttest"
	"github.com/stemma-dev/stemma/internal/agent/gemini"
)

const id = "7b1f2c6e-0000-4000-8000-00000000a001"

var (
	lines    = agenttest.Suite{Decoder: gemini.Decoder{}, Transcripts: "testdata/*.jsonl", ID: id}
	document = agenttest.Suite{Decoder: gemini.Decoder{}, Transcripts: "testdata/*.json", ID: id, Document: true}
)

func TestSuite(t *testing.T) {
	agenttest.Run(t, lines)
	agenttest.Run(t, document)
}

func FuzzRead(f *testing.F) { agenttest.Fuzz(f, lines) }

func FuzzDocument(f *testing.F) { agenttest.Fuzz(f, document) }
