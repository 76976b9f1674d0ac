package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Each case is a small module whose tests are really run: the shape of the
// events is go test's, and may change with it.
func TestReport(t *testing.T) {
	const head = "package p\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nvar _ = os.Exit\n\n"
	tests := []struct {
		name, test string
		strict     bool
		ok         bool
		want, not  []string
	}{
		{
			name: "pass", test: "func TestA(t *testing.T) { t.Log(\"quiet\") }\n",
			strict: true, ok: true,
			want: []string{"ok  \tp\t", "1 packages, 1 tests, 0 skipped\n"}, not: []string{"quiet", "RUN", "--- PASS", "PASS\n"},
		},
		{
			name: "fail", test: "func TestA(t *testing.T) { t.Log(\"quiet\") }\n\nfunc TestB(t *testing.T) { t.Run(\"sub\", func(t *testing.T) { t.Error(\"loud\") }) }\n",
			want: []string{"--- FAIL: TestB", "--- FAIL: TestB/sub", "loud", "FAIL\tp\t"}, not: []string{"quiet", "=== "},
		},
		{
			name: "skip allowed", test: "func TestA(t *testing.T) { t.Skip(\"no database\") }\n",
			ok: true, want: []string{"ok  \tp\t", "1 skipped\nSKIP\tp TestA: p_test.go:10: no database\n"},
		},
		{
			name: "skip refused", test: "func TestA(t *testing.T) { t.Run(\"sub\", func(t *testing.T) { t.SkipNow() }) }\n",
			strict: true, want: []string{"SKIP\tp TestA/sub: no reason given\n", "FAIL\tCI=true"},
		},
		{
			name: "dead", test: "func TestA(t *testing.T) { t.Log(\"last words\"); os.Exit(3) }\n",
			want: []string{"last words", "FAIL\tp\t"},
		},
		{
			name: "panic", test: "func TestA(t *testing.T) { panic(\"at the disco\") }\n",
			want: []string{"at the disco", "FAIL\tp\t"},
		},
		{
			name: "does not compile", test: "func TestA(t *testing.T) { undefinedName() }\n",
			want: []string{"undefined: undefinedName", "FAIL\tp [build failed]"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, filepath.Join(dir, "go.mod"), "module p\n\ngo 1.26\n")
			write(t, filepath.Join(dir, "p_test.go"), head+tt.test)
			cmd := exec.CommandContext(t.Context(), "go", "test", "-json", "./...")
			cmd.Dir = dir
			events, err := cmd.CombinedOutput()
			if _, ran := err.(*exec.ExitError); err != nil && !ran {
				t.Fatal(err)
			}
			var out strings.Builder
			ok, err := report(strings.NewReader(string(events)), &out, tt.strict)
			if err != nil || ok != tt.ok {
				t.Errorf("report = %t, %v, want %t", ok, err, tt.ok)
			}
			for _, s := range tt.want {
				if !strings.Contains(out.String(), s) {
					t.Errorf("output lacks %q:\n%s", s, out.String())
				}
			}
			for _, s := range tt.not {
				if strings.Contains(out.String(), s) {
					t.Errorf("output has %q:\n%s", s, out.String())
				}
			}
		})
	}
}

func TestReportOfNothing(t *testing.T) {
	for _, in := range []string{"", "go: cannot find main module\n"} {
		var out strings.Builder
		if ok, err := report(strings.NewReader(in), &out, false); ok || err == nil {
			t.Errorf("report(%q) = %t, %v, want an error", in, ok, err)
		}
		if out.String() != in {
			t.Errorf("report(%q) printed %q", in, out.String())
		}
	}
}

// The go command may be killed between the first event of a package and its last.
func TestReportOfAnUnfinishedPackage(t *testing.T) {
	in := `{"Action":"start","Package":"p"}` + "\n" +
		`{"Action":"output","Package":"p","Test":"TestA","Output":"half a line\n"}` + "\n" +
		`{"Action":"pass","Package":"q"}`
	var out strings.Builder
	ok, err := report(strings.NewReader(in), &out, false)
	if ok || err != nil {
		t.Errorf("report = %t, %v, want false", ok, err)
	}
	for _, want := range []string{"FAIL\tp\tended without a result", "half a line"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output lacks %q:\n%s", want, out.String())
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
