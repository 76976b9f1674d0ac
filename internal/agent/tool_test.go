package agent

import (
	"testing"
)

func TestTestOf(t *testing.T) {
	tests := map[string]string{
		"go test ./...": "go test",
		"cd /x && CI=1 go test -run X ./a | tail": "go test",
		"time cargo nextest run":                  "cargo test",
		"python3 -m pytest -q tests/":             "pytest",
		"npm run test:unit":                       "npm test",
		"npx vitest run":                          "vitest",
		"make -j4 check":                          "make test",
		"./gradlew :app:testDebug check":          "gradle test",
		"mise run test:ci":                        "mise test",
		"git commit -m 'go test is green'":        "",
		"cat latest.txt":                          "",
		"grep -rn test .":                         "",
		"echo go tests":                           "",
	}
	for text, want := range tests {
		got := ""
		if test := testOf(text); test != nil {
			got = test.Tool
		}
		if got != want {
			t.Errorf("testOf(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestRan(t *testing.T) {
	zero, one := 0, 1
	tests := []struct {
		command, output string
		failed          bool
		exit            *int
		want            Test
	}{
		{"go test ./...", "ok  \ta\t0.1s\nok  \tb\t0.2s\n", false, &zero, Test{"go test", "pass", 2, 0}},
		{"go test ./...", "--- FAIL: TestX\nFAIL\nFAIL\ta\t0.1s\n", true, &one, Test{"go test", "fail", 0, 2}},
		{"go test ./... | tail -1", "FAIL\n", false, &zero, Test{"go test", "fail", 0, 0}},
		{"go test ./... | tail -1", "", false, &zero, Test{"go test", "", 0, 0}},
		{"pytest", "=== 3 failed, 12 passed in 0.1s ===", false, nil, Test{"pytest", "fail", 12, 3}},
		{"pytest", "=== 12 passed in 0.1s ===", false, nil, Test{"pytest", "pass", 12, 0}},
		{"pytest", "", false, nil, Test{"pytest", "", 0, 0}},
		{"cargo test", "test result: ok. 4 passed; 0 failed; 0 ignored", false, &zero, Test{"cargo test", "pass", 4, 0}},
	}
	for _, tt := range tests {
		c := Call{Command: &Text{Text: tt.command}, Test: testOf(tt.command)}
		c.Ran(tt.output, tt.failed, tt.exit)
		if *c.Test != tt.want {
			t.Errorf("Ran(%q, %q) = %+v, want %+v", tt.command, tt.output, *c.Test, tt.want)
		}
	}
}

func TestNewCall(t *testing.T) {
	b := newBuilder("x")
	parse := func(s string) Value {
		v, err := ParseValue([]byte(s), 0)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	tests := []struct {
		name, input string
		kind        Kind
		files       []File
	}{
		{"Read", `{"file_path":"/a b"}`, KindRead, []File{{Path: "/a b", Access: Read}}},
		{"view_file", `{"AbsolutePath":"file:///a%20b"}`, KindRead, []File{{Path: "/a b", Access: Read}}},
		{"Edit", `{"file_path":"a","old_string":"x\ny\nz","new_string":"x\nq\nr\nz"}`, KindEdit, []File{{Path: "a", Access: Write, Added: 2, Removed: 1}}},
		{"MultiEdit", `{"edits":[{"old_string":"x","new_string":""},{"old_string":"","new_string":"y\nz\n"}],"file_path":"a"}`, KindEdit, []File{{Path: "a", Access: Write, Added: 2, Removed: 1}}},
		{"create_file", `{"filePath":"a","content":"1\n2\n"}`, KindEdit, []File{{Path: "a", Access: Create, Added: 2}}},
		{"delete_file", `{"path":"a"}`, KindEdit, []File{{Path: "a", Access: Delete}}},
		{"apply_patch", `"*** Begin Patch\n*** Update File: a\n@@\n-x\n+y\n+z\n*** Delete File: b\n*** End Patch"`, KindEdit, []File{{Path: "a", Access: Write, Added: 2, Removed: 1}, {Path: "b", Access: Delete}}},
		{"shell", `{"command":["apply_patch","*** Begin Patch\n*** Add File: n\n+1\n*** End Patch"]}`, KindEdit, []File{{Path: "n", Access: Create, Added: 1}}},
		{"mcp__srv__do__it", `{"path":"a"}`, KindMCP, nil},
		{"Frobnicate", `[1]`, KindOther, nil},
	}
	for _, tt := range tests {
		c := b.NewCall("1", tt.name, parse(tt.input))
		if c.Kind != tt.kind || len(c.Files) != len(tt.files) {
			t.Errorf("NewCall(%s, %s) = %s %+v, want %s %+v", tt.name, tt.input, c.Kind, c.Files, tt.kind, tt.files)
			continue
		}
		for i := range c.Files {
			if c.Files[i] != tt.files[i] {
				t.Errorf("NewCall(%s, %s): file %+v, want %+v", tt.name, tt.input, c.Files[i], tt.files[i])
			}
		}
	}
}
