package storage_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

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

// FuzzFolder has files of anything in the places of the storage folder: it gives
// sessions that keep the contract, nothing where nothing is new, and after another
// message what it gives of the whole.
func FuzzFolder(f *testing.F) {
	const from = "../testdata/storage/"
	file := func(name string) []byte {
		text, err := os.ReadFile(from + name)
		if err != nil {
			f.Fatal(err)
		}
		return text
	}
	f.Add("ses_1", "msg_1", file("session/proj/ses_1.json"), file("message/ses_1/msg_1.json"), file("part/msg_1/prt_1.json"), file("message/ses_1/msg_2.json"))
	f.Add("ses_1", "msg_2", []byte(`{}`), file("message/ses_1/msg_2.json"), file("part/msg_2/prt_2.json"), []byte(`[`))
	f.Add("a b\n\"", "☃", []byte(``), []byte(`{"role":"assistant","time":{"created":-1}}`), []byte(`{"type":"tool"}`), []byte("\x00"))
	f.Fuzz(func(t *testing.T, session, message string, head, first, part, second []byte) {
		files := fstest.MapFS{
			"session/p/" + session + ".json":               {Data: head},
			"message/" + session + "/" + message + ".json": {Data: first},
			"part/" + message + "/prt_1.json":              {Data: part},
		}
		for name := range files {
			if !fs.ValidPath(name) {
				return
			}
		}
		read := func(from agent.State) agent.Reading {
			r, err := storage.ReadFiles(t.Context(), files, from)
			if err != nil {
				t.Fatal(err)
			}
			agenttest.Check(t, r)
			return r
		}
		was := read(agent.State{})
		if same := read(was.State); same.Replaced || len(same.Sessions) > 0 {
			t.Errorf("nothing new: Replaced = %t, %d sessions", same.Replaced, len(same.Sessions))
		}
		files["message/"+session+"/"+message+"_.json"] = &fstest.MapFile{Data: second}
		whole, more := read(agent.State{}), read(was.State)
		if diff := cmp.Diff(agent.Fold(nil, whole), agent.Fold(agent.Fold(nil, was), more)); diff != "" {
			t.Errorf("after another message (-whole +read again):\n%s", diff)
		}
	})
}

// Files that can not be read are counted, and the others are read.
func TestFolderGaps(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"message/s/not a file.json", "message/t", "part"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"message/s/m.json": `{"role":"user","time":{"created":1706459830000}}`,
		"message/t/m.json": `{"role":"user","time":{"created":1706459830000}}`,
		"message/t/n.json": `{"role":"user"`,
		"part/m":           "in the place of a folder",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := storage.ReadFolder(t.Context(), &agent.Source{Path: root}, agent.State{})
	if err != nil || len(r.Sessions) != 2 {
		t.Fatalf("%d sessions, %v", len(r.Sessions), err)
	}
	agenttest.Check(t, r)
	for i, want := range []int{2, 2} {
		n := 0
		for _, g := range r.Sessions[i].Gaps {
			n += g.Count
		}
		if n != want {
			t.Errorf("session %s has %d gaps, want %d: %v", r.Sessions[i].ID, n, want, r.Sessions[i].Gaps)
		}
	}
}
