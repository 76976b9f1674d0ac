package record_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/record"
)

// childEnv makes this binary a child of a test: "what it does:folder:name".
const childEnv = "STEMMA_RECORD_TEST_CHILD"

func TestMain(m *testing.M) {
	what, rest, ok := strings.Cut(os.Getenv(childEnv), ":")
	if !ok {
		os.Exit(m.Run())
	}
	dir, name, _ := strings.Cut(rest, ":")
	var err error
	switch what {
	case "forever":
		err = recordForever(dir, name)
	case "full":
		err = recordOnFullDisk(dir, name)
	case "fullopen":
		err = openOnFullDisk(dir)
	case "once":
		err = recordOnce(dir, name)
	default:
		err = errors.New("no such child")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child starts this binary as another process.
func child(t *testing.T, what, dir, name string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+what+":"+dir+":"+name)
	cmd.Stderr = os.Stderr
	return cmd
}

// soaking says that faults are tried for long, and not for a moment.
func soaking() bool { return os.Getenv("STEMMA_SOAK") != "" }

// recordForever records batches of 1 to 40 statements, partly ones that others
// record too, and says after each what was acknowledged.
func recordForever(dir, name string) error {
	ctx := context.Background()
	h, err := tryHome(ctx, dir)
	if err != nil {
		return err
	}
	seed, err := strconv.ParseUint(name, 10, 64)
	if err != nil {
		return err
	}
	rnd := rand.New(rand.NewPCG(seed, 7))
	out := bufio.NewWriter(os.Stdout)
	var t testing.B
	for n := 0; ; n++ {
		var batch []record.Submission
		for i := range 1 + rnd.IntN(40)*rnd.IntN(2) {
			event := fmt.Sprintf("own-%s-%d-%d", name, n, i)
			if rnd.IntN(3) == 0 {
				event = fmt.Sprint("shared-", rnd.IntN(1<<20)%(n*3+1))
			}
			s, err := record.NewSubmission(ticketStatement(&t, event, "killed"))
			if err != nil {
				return err
			}
			batch = append(batch, s)
		}
		receipts, err := h.recorder.Record(ctx, batch)
		if err != nil {
			return err
		}
		for _, r := range receipts {
			fmt.Fprintf(out, "%s %d %s\n", r.EventID, r.Index, r.Digest)
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
}

// TestKilledAtAnyPointNothingAcknowledgedIsLost kills processes that record on
// one place, at random moments; afterwards everything that any of them was told
// is there, once, and nothing has to be repaired.
func TestKilledAtAnyPointNothingAcknowledgedIsLost(t *testing.T) {
	kills := 12
	if soaking() {
		kills = 400
	}
	rnd := rand.New(rand.NewPCG(uint64(kills), 42))
	dir := t.TempDir()
	acknowledged := make(map[string]string) // event -> index and digest
	fresh, inOpen := 0, 0
	for n := range kills {
		if n%5 == 4 {
			// A place that is just being made.
			checkHome(t, dir, acknowledged)
			dir, acknowledged = t.TempDir(), make(map[string]string)
			fresh++
		}
		if err := makeLogKey(dir); err != nil {
			t.Fatal(err)
		}
		said := make(chan []string, 2)
		var killed []*exec.Cmd
		for p := range 2 {
			cmd := child(t, "forever", dir, strconv.Itoa(n*10+p))
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			killed = append(killed, cmd)
			go func() {
				var lines []string
				in := bufio.NewReader(stdout)
				for {
					line, err := in.ReadString('\n')
					if err != nil {
						break // a line that is cut off was not told
					}
					lines = append(lines, strings.TrimSuffix(line, "\n"))
				}
				said <- lines
			}()
		}
		time.Sleep(time.Duration(20+rnd.IntN(600)) * time.Millisecond)
		for _, cmd := range killed {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		told := 0
		for range killed {
			for _, line := range <-said {
				event, place, _ := strings.Cut(line, " ")
				if was, ok := acknowledged[event]; ok && was != place {
					t.Errorf("%s was told to be at %s and at %s", event, was, place)
				}
				acknowledged[event] = place
				told++
			}
		}
		if told == 0 {
			inOpen++
		}
		for _, cmd := range killed {
			if err := cmd.Wait(); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("a child ended by itself: %v", err)
			}
		}
	}
	checkHome(t, dir, acknowledged)
	t.Logf("%d kills of two processes, %d places, %d rounds before anything was told; %d events at the end", kills, fresh+1, inOpen, len(acknowledged))
}

// checkHome checks a place whose processes were killed, after the next process
// did nothing but go on.
func checkHome(t *testing.T, dir string, acknowledged map[string]string) {
	t.Helper()
	h, err := tryHome(t.Context(), dir)
	if err != nil {
		t.Fatalf("open after a kill: %v", err)
	}
	defer h.close()
	if _, err := h.recorder.Record(t.Context(), []record.Submission{ticket(t, 0, "after")}); err != nil {
		t.Fatalf("record after a kill: %v", err)
	}
	all := entries(t, h)
	whole(t, h, len(all))
	places := make(map[string]string)
	for _, e := range all {
		places[e.EventID] = fmt.Sprintf("%d %s", e.Index, hex.EncodeToString(e.Digest[:]))
	}
	for event, place := range acknowledged {
		if places[event] != place {
			t.Errorf("%s was acknowledged at %s and is at %q", event, place, places[event])
		}
	}
	if _, err := h.log.Published(t.Context(), uint64(len(all))); err != nil {
		t.Errorf("checkpoint after a kill: %v", err)
	}
	for _, f := range faults(t, h) {
		t.Errorf("fault after a kill: %s", f)
	}
}

// faults gives what a check finds.
func faults(t testing.TB, h *home) (found []record.Fault) {
	t.Helper()
	cfg := record.CheckConfig{
		Evidence: h.evidence, Tree: h.log.Tree(), Keys: h.keys, HeadFile: "tlog/.state/treeState", Key: h.config().Key, Trust: h.trust(),
	}
	if head, err := h.log.Head(t.Context()); err == nil {
		cfg.Head = &head
	}
	if _, err := record.Check(t.Context(), cfg, func(f record.Fault) { found = append(found, f) }); err != nil {
		t.Fatalf("Check: %v", err)
	}
	return found
}

// recordOnFullDisk records until a file cannot grow any more, and says what
// happened.
func recordOnFullDisk(dir, limit string) error {
	signal.Ignore(syscall.SIGXFSZ) // a write over the limit is an error, as on a full disk
	n, err := strconv.ParseUint(limit, 10, 64)
	if err != nil {
		return err
	}
	ctx := context.Background()
	h, err := tryHome(ctx, dir)
	if err != nil {
		return err
	}
	defer h.close()
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
		return err
	}
	var t testing.B
	for i := range 10000 {
		s, err := record.NewSubmission(ticketStatement(&t, fmt.Sprint("full-", i), strings.Repeat("x", 2000)))
		if err != nil {
			return err
		}
		r, err := h.recorder.Record(ctx, []record.Submission{s})
		if err != nil {
			fmt.Printf("failed unavailable=%v %v\n", errors.Is(err, stemma.ErrUnavailable), err)
			return nil
		}
		fmt.Printf("%s %d %s\n", r[0].EventID, r[0].Index, r[0].Digest)
	}
	return errors.New("the disk is never full")
}

// openOnFullDisk opens a place where no file can grow, and says what happened.
func openOnFullDisk(dir string) error {
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{}); err != nil {
		return err
	}
	_, err := tryHome(context.Background(), dir)
	fmt.Printf("unavailable=%v %v\n", errors.Is(err, stemma.ErrUnavailable), err)
	return nil
}

// A place that is opened when no file can grow already is an error of its kind that
// names the disk.
func TestDiskThatIsFullFromTheStart(t *testing.T) {
	dir := t.TempDir()
	h := openHome(t, dir)
	mustRecord(t, h.recorder, ticket(t, 1, "before"))
	h.close()
	out, err := child(t, "fullopen", dir, "").Output()
	if err != nil || !strings.HasPrefix(string(out), "unavailable=true") || !strings.Contains(string(out), "disk") {
		t.Errorf("%q, %v, want ErrUnavailable of the disk", out, err)
	}
}

func TestDiskThatIsFull(t *testing.T) {
	for _, limit := range []int{1000, 40 << 10, 200 << 10} { // the log's files, or those of the database
		dir := t.TempDir()
		h := openHome(t, dir)
		mustRecord(t, h.recorder, ticket(t, 1, "before"))
		h.close()
		out, err := child(t, "full", dir, strconv.Itoa(limit)).Output()
		if err != nil {
			t.Fatalf("limit %d: %v", limit, err)
		}
		acknowledged := make(map[string]string)
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		last := lines[len(lines)-1]
		if !strings.HasPrefix(last, "failed unavailable=true") {
			t.Errorf("limit %d: a full disk is %q, want ErrUnavailable", limit, last)
		}
		for _, line := range lines[:len(lines)-1] {
			event, place, _ := strings.Cut(line, " ")
			acknowledged[event] = place
		}
		// There is room again: it goes on, and nothing has to be repaired.
		checkHome(t, dir, acknowledged)
		t.Logf("limit %d: %d acknowledged, then %s", limit, len(acknowledged), last)
	}
}

// recordOnce tries to record as a user who may not write.
func recordOnce(dir, _ string) error {
	var t testing.B
	h, err := tryHome(context.Background(), dir)
	if err != nil {
		fmt.Printf("open denied=%v %v\n", errors.Is(err, stemma.ErrDenied), err)
		return nil
	}
	defer h.close()
	s, err := record.NewSubmission(ticketStatement(&t, "denied", "denied"))
	if err != nil {
		return err
	}
	_, err = h.recorder.Record(context.Background(), []record.Submission{s})
	fmt.Printf("record denied=%v %v\n", errors.Is(err, stemma.ErrDenied), err)
	return nil
}

func TestDiskThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	h := openHome(t, dir)
	mustRecord(t, h.recorder, ticket(t, 1, "before"))
	h.close()
	// Root may write everywhere: the child is somebody else, who can read.
	binary := filepath.Join(t.TempDir(), "child")
	data, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(binary, data, 0o755); err != nil {
		t.Fatal(err)
	}
	open := func(path string, mode os.FileMode) {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	for p := filepath.Dir(binary); p != filepath.Dir(os.TempDir()) && len(p) > 1; p = filepath.Dir(p) {
		_ = os.Chmod(p, 0o755)
	}
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			open(path, 0o555)
		} else if err == nil {
			open(path, 0o444)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				return os.Chmod(path, 0o755)
			}
			return nil
		})
	})
	cmd := child(t, "once", dir, "")
	cmd.Path, cmd.Args = binary, []string{binary}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), "denied=true") {
		t.Errorf("the child says %q, %v; want denied", out, err)
	}
}
