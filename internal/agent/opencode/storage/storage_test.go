package storage_test

import (
	"context"
	"testing"

	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/agent/agenttest"
	"github.com/stemma-dev/stemma/internal/agent/opencode/storage"
)

// rows is a document of the rows of one session, as the database and the files
// have them: {id, parent, messages: [{id, data, parts: [{id, data}]}]}.
type rows struct{}

func (rows) Agent() string { return storage.Name }

func (rows) Recognises(_ string, head []byte) bool {
	return len(head) > 12 && string(head[:12]) == `{"opencode":`
}

func (rows) Read(ctx context.Context, src *agent.Source, from agent.State) (agent.Reading, error) {
	return agent.ReadDocument(ctx, storage.Name, src, from, func(b *agent.Builder, v agent.Value) {
		w := b.Session(v.Get("opencode").Text())
		if parent := v.Get("parent"); parent.IsString() {
			w.Head().Parent = &agent.Parent{Session: parent.Text(), Method: "a test"}
		}
		v.Get("messages").Items(func(m agent.Value) {
			var parts []storage.Row
			m.Get("parts").Items(func(p agent.Value) { parts = append(parts, storage.Row{ID: p.Get("id").Text(), Data: p.Get("data")}) })
			storage.Message(b, w, storage.Row{ID: m.Get("id").Text(), Data: m.Get("data")}, parts)
		})
	})
}

var suite = agenttest.Suite{Decoder: rows{}, Transcripts: "testdata/rows.json", Document: true, ID: "ses_1"}

func TestSuite(t *testing.T) { agenttest.Run(t, suite) }

func FuzzMessage(f *testing.F) { agenttest.Fuzz(f, suite) }
