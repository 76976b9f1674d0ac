package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// account is the transcript that Claude Code keeps of a session, where it keeps it.
type account struct {
	t       *testing.T
	home    string // the user's
	dir     string // that the agent works in
	session string
}

func (a account) path() string {
	return filepath.Join(a.home, ".claude", "projects", strings.NewReplacer("/", "-", ".", "-").Replace(a.dir), a.session+".jsonl")
}

// call appends a call of a tool and its result.
func (a account) call(id, tool string, input map[string]any, from, to time.Time) {
	a.t.Helper()
	line := func(kind string, at time.Time, message map[string]any) string {
		text, err := json.Marshal(map[string]any{
			"type": kind, "sessionId": a.session, "cwd": a.dir, "version": "2.1.40", "uuid": fmt.Sprint(kind, id, at.UnixNano()),
			"timestamp": at.Add(time.Millisecond).UTC().Format("2006-01-02T15:04:05.000Z"), "message": message,
		})
		if err != nil {
			a.t.Fatal(err)
		}
		return string(text) + "\n"
	}
	text := line("assistant", from, map[string]any{
		"id": "m" + id, "role": "assistant", "model": "claude-opus-4-6", "content": []any{map[string]any{"type": "tool_use", "id": id, "name": tool, "input": input}},
	}) + line("user", to, map[string]any{
		"role": "user", "content": []any{map[string]any{"type": "tool_result", "tool_use_id": id, "content": "ok"}},
	})
	if err := os.MkdirAll(filepath.Dir(a.path()), 0o700); err != nil {
		a.t.Fatal(err)
	}
	f, err := os.OpenFile(a.path(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}
	if err != nil {
		a.t.Fatal(err)
	}
}
