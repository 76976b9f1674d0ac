//go:build unix

package sqlite_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
	"github.com/stemma-dev/stemma/internal/store/sqlite"
)

// readOnlyEnv names the directory that TestReadOnlyChild looks at.
const readOnlyEnv = "STEMMA_SQLITE_TEST_READ_ONLY"

// TestReadOnlyChild is run by [TestReadOnlyDirectory] as a user who may not
// write; it reports in its output.
func TestReadOnlyChild(t *testing.T) {
	dir := os.Getenv(readOnlyEnv)
	if dir == "" {
		return // nothing of its own to test
	}
	s, err := sqlite.Open(t.Context(), dir, "acme")
	if err != nil {
		fmt.Printf("open: denied=%v %v\n", errors.Is(err, stemma.ErrDenied), err)
		return
	}
	defer s.Close()
	c, err := s.Marks(t.Context())
	fmt.Printf("marks: %v %v\n", c, err)
	n := 0
	for _, err := range s.Edges(t.Context(), store.EdgeQuery{}) {
		if err != nil {
			fmt.Println("edges:", err)
		}
		n++
	}
	fmt.Printf("edges: %v\n", n > 0)
	for name, err := range map[string]error{
		"put":       s.Put(t.Context(), numbered(3)),
		"put marks": s.Put(t.Context(), store.Batch{Marks: map[string]string{"a": "b"}}), "drop": s.DropGraph(t.Context()),
	} {
		fmt.Printf("%s: denied=%v\n", name, errors.Is(err, stemma.ErrDenied))
	}
}

func TestReadOnlyDirectory(t *testing.T) {
	reads := []string{"marks: map[at:2] <nil>", "edges: true", "put: denied=true", "put marks: denied=true", "drop: denied=true"}
	denied := []string{"open: denied=true"}
	for name, test := range map[string]struct {
		prepare func(t *testing.T, dir string)
		file    os.FileMode
		want    []string
	}{
		"closed":               {func(*testing.T, string) {}, 0o444, reads},
		"files may be written": {func(*testing.T, string) {}, 0o666, reads},
		"with a log and its index": {func(t *testing.T, dir string) {
			leaveLog(t, dir)
		}, 0o444, reads},
		"with a log alone": {func(t *testing.T, dir string) {
			leaveLog(t, dir)
			for _, file := range []string{"graph.db-shm"} {
				if err := os.Remove(filepath.Join(dir, file)); err != nil {
					t.Fatal(err)
				}
			}
		}, 0o444, append(denied, "run once with write permission")},
		"files may not be read": {func(*testing.T, string) {}, 0, denied},
		"of another version": {func(t *testing.T, dir string) {
			change(t, filepath.Join(dir, "graph.db"), "PRAGMA user_version = 0")
		}, 0o444, append(denied, "run once with write permission")},
		"empty": {func(t *testing.T, dir string) {
			for _, file := range []string{"graph.db", "lock"} {
				if err := os.Remove(filepath.Join(dir, file)); err != nil {
					t.Fatal(err)
				}
			}
		}, 0o444, denied},
	} {
		t.Run(name, func(t *testing.T) {
			dir := sharedDir(t)
			for _, file := range []string{"graph.db", "lock"} {
				copyFile(t, filepath.Join(filled(t, 2), file), filepath.Join(dir, file), 0o644)
			}
			test.prepare(t, dir)
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range entries {
				if err := os.Chmod(filepath.Join(dir, entry.Name()), test.file); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(dir, 0o555); err != nil {
				t.Fatal(err)
			}
			got := runReadOnly(t, dir)
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("output lacks %q:\n%s", want, got)
				}
			}
		})
	}
}

// leaveLog copies a store while it is open and what it holds is in its log.
func leaveLog(t *testing.T, dir string) {
	t.Helper()
	source := t.TempDir()
	s := mustOpen(t, source, "acme")
	defer s.Close()
	for n := 1; n <= 2; n++ {
		if err := s.Put(t.Context(), numbered(n)); err != nil {
			t.Fatal(err)
		}
	}
	const file = "graph.db"
	for _, suffix := range []string{"", "-wal", "-shm"} {
		copyFile(t, filepath.Join(source, file+suffix), filepath.Join(dir, file+suffix), 0o644)
	}
}

// runReadOnly runs [TestReadOnlyChild] as a user whom file modes bind.
func runReadOnly(t *testing.T, dir string) string {
	t.Helper()
	binary := filepath.Join(sharedDir(t), "child")
	copyFile(t, os.Args[0], binary, 0o755)
	child := exec.Command(binary, "-test.run", "^TestReadOnlyChild$")
	child.Dir = "/"
	child.Env = append(os.Environ(), readOnlyEnv+"="+dir)
	child.WaitDelay = time.Minute
	if os.Getuid() == 0 {
		child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("child: %v\n%s", err, out)
	}
	return string(out)
}

// sharedDir is a directory that other users may enter.
func sharedDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "stemma-shared-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(os.Chmod(dir, 0o755), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func copyFile(t *testing.T, from, to string, mode os.FileMode) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(out.Chmod(mode), out.Close()); err != nil {
		t.Fatal(err)
	}
}
