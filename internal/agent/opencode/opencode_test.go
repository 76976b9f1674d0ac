package opencode_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/agent/agenttest"
	"github.com/stemma-dev/stemma/internal/agent/opencode"
)

const schema = `
CREATE TABLE session (id TEXT PRIMARY KEY, project_id TEXT NOT NULL, parent_id TEXT, slug TEXT NOT NULL, directory TEXT NOT NULL, title TEXT NOT NULL, version TEXT NOT NULL, time_created INTEGER NOT NULL, time_updated INTEGER NOT NULL);
CREATE TABLE message (id TEXT PRIMARY KEY, session_id TEXT NOT NULL, time_created INTEGER NOT NULL, time_updated INTEGER NOT NULL, data TEXT NOT NULL);
CREATE TABLE part (id TEXT PRIMARY KEY, message_id TEXT NOT NULL, session_id TEXT NOT NULL, time_created INTEGER NOT NULL, time_updated INTEGER NOT NULL, data TEXT NOT NULL);`

const rows = `
INSERT INTO session VALUES ('ses_1', 'p', 'ses_0', 's', '/home/ada/shop', 'Test', '1.2', 1706459830000, 1706459835000);
INSERT INTO message VALUES ('m1', 'ses_1', 1706459830000, 1706459830000, '{"role":"user","time":{"created":1706459830000}}');
INSERT INTO message VALUES ('m2', 'ses_1', 1706459831000, 1706459835000, '{"role":"assistant","time":{"created":1706459831000,"completed":1706459835000},"modelID":"gpt-5","providerID":"openai","mode":"build","path":{"cwd":"/home/ada/shop"},"cost":0.25,"tokens":{"input":10,"output":20,"reasoning":5,"cache":{"read":3,"write":1}}}');
INSERT INTO part VALUES ('p1', 'm1', 'ses_1', 1706459830001, 1706459830001, '{"type":"text","text":"Update index.ts"}');
INSERT INTO part VALUES ('p2', 'm2', 'ses_1', 1706459831001, 1706459831001, '{"type":"reasoning","text":"hm"}');
INSERT INTO part VALUES ('p3', 'm2', 'ses_1', 1706459832000, 1706459833000, '{"type":"tool","tool":"task","callID":"c1","state":{"status":"completed","input":{"description":"Look","prompt":"Look around","subagent_type":"general"},"output":"seen","metadata":{"sessionId":"ses_2"},"time":{"start":1706459832000,"end":1706459833000}}}');
INSERT INTO part VALUES ('p4', 'm2', 'ses_1', 1706459834000, 1706459834500, '{"type":"tool","tool":"bash","callID":"c2","state":{"status":"error","input":{"command":"rm x"},"error":"The user rejected permission to use this specific tool call.","time":{"start":1706459834000,"end":1706459834400}}}');
INSERT INTO part VALUES ('p5', 'm2', 'ses_1', 1706459834600, 1706459834600, 'no JSON');
INSERT INTO part VALUES ('p6', 'm9', 'ses_1', 1706459834700, 1706459834700, '{"type":"text","text":"of no message"}');
INSERT INTO part VALUES ('p7', 'm2', 'ses_1', 1706459834800, 1706459834800, '{"type":"text","text":"Done."}');`

func database(t *testing.T, statements ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "opencode.db")
	change(t, path, statements...)
	return path
}

func change(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func read(t *testing.T, path string, from agent.State) (agent.Reading, error) {
	t.Helper()
	src, closer, err := agent.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	r, err := opencode.Decoder{}.Read(t.Context(), src, from)
	agenttest.Check(t, r)
	return r, err
}

func TestDatabase(t *testing.T) {
	path := database(t, schema, rows)
	r, err := read(t, path, agent.State{})
	if err != nil {
		t.Fatal(err)
	}
	agenttest.Golden(t, "testdata/database", r)

	// A path that is not absolute is as good.
	t.Chdir(filepath.Dir(path))
	if r, err := read(t, "opencode.db", agent.State{}); err != nil || len(r.Sessions) != 1 {
		t.Errorf("by a relative path: %d sessions, %v", len(r.Sessions), err)
	}

	// Nothing new is nothing; what changed is given as a whole.
	same, err := read(t, path, r.State)
	if err != nil || len(same.Sessions) != 0 {
		t.Errorf("nothing new: %d sessions, %v", len(same.Sessions), err)
	}
	change(t, path,
		`INSERT INTO part VALUES ('p8', 'm2', 'ses_1', 1706459839000, 1706459839000, '{"type":"text","text":"Really done."}')`,
		`INSERT INTO message VALUES ('n1', 'ses_9', 1706459839000, 1706459839001, '{"role":"user"}')`)
	more, err := read(t, path, same.State)
	if err != nil {
		t.Fatal(err)
	}
	all := agent.Fold(agent.Fold(nil, r), more)
	if len(all) != 2 || all[0].Turns[0].Answer.Text != "Really done." || len(all[0].Turns) != 1 {
		t.Errorf("after a change: %d sessions, the first %+v", len(all), all[0].Turns[0].Answer)
	}
}

// A database in use has what was committed in its write-ahead log.
func TestDatabaseInUse(t *testing.T) {
	path := database(t, "PRAGMA journal_mode=wal", schema)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(rows); err != nil {
		t.Fatal(err)
	}
	if r, err := read(t, path, agent.State{}); err != nil || len(r.Sessions) != 0 {
		t.Errorf("before the commit: %d sessions, %v", len(r.Sessions), err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if r, err := read(t, path, agent.State{}); err != nil || len(r.Sessions) != 1 {
		t.Errorf("after the commit: %d sessions, %v", len(r.Sessions), err)
	}
}

func TestDatabaseDamaged(t *testing.T) {
	whole, err := os.ReadFile(database(t, schema, rows))
	if err != nil {
		t.Fatal(err)
	}
	for cut := 0; cut < len(whole); cut += 1500 {
		path := filepath.Join(t.TempDir(), "opencode.db")
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := read(t, path, agent.State{}); err != nil && !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("cut at %d: %v is not ErrInvalid", cut, err)
		}
	}
}

func TestFolder(t *testing.T) {
	r, err := read(t, "testdata/storage", agent.State{})
	if err != nil {
		t.Fatal(err)
	}
	agenttest.Golden(t, "testdata/folder", r)
	same, err := read(t, "testdata/storage", r.State)
	if err != nil || len(same.Sessions) != 0 || same.Replaced {
		t.Errorf("nothing new: %d sessions, %v", len(same.Sessions), err)
	}
	if d := (opencode.Decoder{}); !d.Recognises("testdata/storage", nil) || d.Recognises("testdata", nil) {
		t.Error("the storage folder, and no other, is to be recognised")
	}
}

// What a database can hold that nobody would write: ids that are no names, a row
// of 50 MB, sessions that are each other's parents, rows of another program.
func TestDatabaseHostile(t *testing.T) {
	const odd = "a/../b\n\"\\ \x7f ☃"
	path := database(t, schema, rows)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	put := func(query string, args ...any) {
		t.Helper()
		if _, err := db.Exec(query, args...); err != nil {
			t.Fatal(err)
		}
	}
	put(`INSERT INTO session VALUES (?, 'p', 'ses_1', 's', '/shop', 'Odd', '1.2', 1706459830000, 1706459835000)`, odd)
	put(`UPDATE session SET parent_id = ? WHERE id = 'ses_1'`, odd)
	put(`INSERT INTO message VALUES ('o1', ?, 1706459836000, 1706459836000, '{"role":"user"}')`, odd)
	put(`INSERT INTO part VALUES ('q1', 'o1', ?, 1706459836000, 1706459836000, '{"type":"text","text":"' || ? || '"}')`, odd, strings.Repeat("x", 50<<20))
	put(`INSERT INTO part VALUES ('q2', 'o1', ?, 1706459836001, 1706459836001, '{"another agent":"says"}')`, odd)
	put(`INSERT INTO part VALUES ('q3', 'o1', ?, 1706459836002, 1706459836002, '[1,2]')`, odd)
	r, err := read(t, path, agent.State{})
	if err != nil || len(r.Sessions) != 2 {
		t.Fatalf("%d sessions, %v", len(r.Sessions), err)
	}
	s := r.Sessions[1]
	if s.ID != odd || len(s.Turns) != 1 || !s.Turns[0].Prompt.Cut || s.Turns[0].Prompt.Size != 50<<20 || len(s.Turns[0].Prompt.Text) != agent.MaxText {
		t.Errorf("session %q, turns %v", s.ID, s.Turns)
	}
	if len(s.Gaps) != 1 || s.Gaps[0].Kind != agent.GapUnreadable {
		t.Errorf("gaps %v, want the row that is no object", s.Gaps)
	}
	roots := agent.Forest(r.Sessions)
	if len(roots) != 1 || !roots[0].Cyclic {
		t.Errorf("sessions that are each other's parents: %d roots", len(roots))
	}
}
