package copilot_test

import (
	"testing"

	"github.com/stemma-dev/stemma/internal/agent/agenttest"
	"github.com/stemma-dev/stemma/internal/agent/copilot"
)

const chatID = "7de89a80-6d93-43e7-be0a-0a9afe980198"

var (
	cli      = agenttest.Suite{Decoder: copilot.CLI{}, Transcripts: "testdata/cli-*.jsonl", ID: "301561f1-558a-43e9-a144-82d3ca12ab62"}
	vscode   = agenttest.Suite{Decoder: copilot.VSCode{}, Transcripts: "testdata/vscode-*.jsonl", ID: chatID}
	document = agenttest.Suite{Decoder: copilot.VSCode{}, Transcripts: "testdata/vscode-*.json", ID: chatID, Document: true}
)

func TestSuite(t *testing.T) {
	agenttest.Run(t, cli)
	agenttest.Run(t, vscode)
	agenttest.Run(t, document)
}

func FuzzCLI(f *testing.F) { agenttest.Fuzz(f, cli) }

func FuzzVSCode(f *testing.F) { agenttest.Fuzz(f, vscode) }

func FuzzDocument(f *testing.F) { agenttest.Fuzz(f, document) }
