package vault_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store/fliptest"
	"github.com/stemma-dev/stemma/internal/vault"
)

// TestMain is also the process that the tests kill.
func TestMain(m *testing.M) {
	if dir := os.Getenv("STEMMA_VAULT_VICTIM"); dir != "" {
		victim(home(dir))
	}
	os.Exit(m.Run())
}

// victim puts and erases until it is killed, and says what it was acknowledged.
func victim(h home) {
	ctx := context.Background()
	cfg := h.config()
	cfg.Tombstone = func(_ context.Context, e vault.Erasure) error {
		fmt.Println("told", e.Target)
		return nil
	}
	v, err := vault.Open(ctx, cfg)
	if err == nil {
		_, err = v.Resume(ctx)
	}
	run := os.Getenv("STEMMA_VAULT_RUN")
	for i := 0; err == nil; i++ {
		session := fmt.Sprintf("claude-code/%s-%d", run, i/3)
		text := fmt.Sprintf("text %s %d", run, i)
		var ref vault.Reference
		if ref, err = v.Put(ctx, prompt(session, text, ada, grace)); err == nil {
			fmt.Printf("put %s %s %s %s\n", session, ref.URI, ref.Commitment, text)
		}
		if i%3 == 2 && i%2 == 0 && err == nil {
			fmt.Println("erasing", session)
			_, err = v.EraseSession(ctx, request(session))
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// A process that puts and erases is killed at moments drawn by lot. Nothing that
// it was told is lost, no key of an erasure is left when it is resumed, and no
// erasure is untold.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	h := home(dir)
	kills := 12
	if n, err := strconv.Atoi(os.Getenv("STEMMA_SOAK")); err == nil {
		kills = n
	}
	type put struct{ session, uri, commitment, text string }
	var puts []put
	erasing, told := map[string]bool{}, map[string]int{}
	for run := range kills {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "STEMMA_VAULT_VICTIM="+dir, "STEMMA_VAULT_RUN="+strconv.Itoa(run))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// The clock begins with the first word, however slow the machine is; of every
		// fourth process with its start.
		kill := sync.OnceFunc(func() {
			time.AfterFunc(time.Duration(20+rand.IntN(250))*time.Millisecond, func() { cmd.Process.Kill() })
		})
		if run%4 == 3 {
			kill()
		}
		for lines := bufio.NewScanner(out); lines.Scan(); {
			kill()
			words := strings.SplitN(lines.Text(), " ", 5)
			switch words[0] {
			case "put":
				puts = append(puts, put{words[1], words[2], words[3], words[4]})
			case "erasing":
				erasing[words[1]] = true
			case "told":
				told[words[1]]++
			}
		}
		cmd.Wait()
		if stderr.Len() > 0 {
			t.Fatalf("run %d: %s", run, stderr.Bytes())
		}
	}
	v := h.open(t, func(c *vault.Config) {
		c.Tombstone = func(_ context.Context, e vault.Erasure) error {
			told[e.Target]++
			return nil
		}
	})
	if _, err := v.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	lost, erased := 0, 0
	for _, p := range puts {
		o, err := v.Open(t.Context(), p.uri)
		switch {
		case errors.As(err, new(*vault.ErasedError)) && erasing[p.session]:
			erased++
			if told[p.session] == 0 {
				t.Errorf("%s is erased and no tombstone tells it", p.session)
			}
		case err != nil || string(o.Bytes) != p.text || o.Commitment != p.commitment:
			lost++
			t.Errorf("%s: %q, %v, want %q", p.uri, o.Bytes, err, p.text)
		}
	}
	t.Logf("%d kills, %d puts, of which %d erased, %d lost", kills, len(puts), erased, lost)
	if len(puts) == 0 || erased == 0 {
		t.Errorf("nothing was tried")
	}
	left, err := filepath.Glob(filepath.Join(dir, "keys", "vault", "sessions", "*"))
	if err != nil {
		t.Fatal(err)
	}
	live, err := v.Sessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > len(live) {
		t.Errorf("%d folders of keys for %d sessions", len(left), len(live))
	}
	wantFaults(t, v)
}

// failing fails with the error at the call of the number, and works otherwise.
type failing struct {
	vault.Objects
	left int
	err  error
}

func (f *failing) fail() error {
	if f.left--; f.left == 0 {
		return f.err
	}
	return nil
}

func (f *failing) Put(ctx context.Context, name string, data []byte) error {
	if err := f.fail(); err != nil {
		return err
	}
	return f.Objects.Put(ctx, name, data)
}

func (f *failing) Delete(ctx context.Context, prefix string) error {
	if err := f.fail(); err != nil {
		return err
	}
	return f.Objects.Delete(ctx, prefix)
}

func (f *failing) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return f.Objects.List(ctx, prefix)
}

// An erasure that fails on its way is carried to its end by the next process,
// whichever step failed, and the content is out of reach from the start.
func TestEraseResumes(t *testing.T) {
	full := fmt.Errorf("no space left: %w", stemma.ErrUnavailable)
	for name, break1 := range map[string]func(*vault.Config){
		"objects":   func(c *vault.Config) { c.Objects = &failing{c.Objects, 1, full} },
		"place":     func(c *vault.Config) { c.Places = []vault.Place{&place{fail: full}} },
		"tombstone": func(c *vault.Config) { c.Tombstone = func(context.Context, vault.Erasure) error { return full } },
	} {
		t.Run(name, func(t *testing.T) {
			h := home(t.TempDir())
			ref := mustPut(t, h.open(t), prompt("claude-code/1", "text", ada))
			v := h.open(t, break1)
			if _, err := v.EraseSession(t.Context(), request("claude-code/1")); !errors.Is(err, stemma.ErrUnavailable) {
				t.Fatalf("EraseSession = %v, want it unavailable", err)
			}
			wantErased(t, v, ref)
			told := 0
			other := &place{}
			w := h.open(t, func(c *vault.Config) {
				c.Tombstone = func(context.Context, vault.Erasure) error { told++; return nil }
				c.Places = []vault.Place{other}
			})
			wantErased(t, w, ref)
			done, err := w.Resume(t.Context())
			if err != nil || len(done) != 1 || told != 1 {
				t.Fatalf("Resume = %v, %v, told %d times", done, err, told)
			}
			if name != "tombstone" && (len(other.told) != 1 || len(other.told[0].KeyFiles) == 0) {
				t.Errorf("the other place was told of %+v", other.told)
			}
			if again, err := w.Resume(t.Context()); err != nil || len(again) != 0 || told != 1 {
				t.Errorf("Resume again = %v, %v", again, err)
			}
			wantFaults(t, w)
		})
	}
}

// While the erasure of a person is stopped half-way, another owner of a shared
// session works on: that makes no key for the erased person again. Nor does a
// copy of a key stay that a killed writer left.
func TestErasedPersonComesBackByNobody(t *testing.T) {
	h := home(t.TempDir())
	v := h.open(t)
	mustPut(t, v, prompt("claude-code/1", "ada's words", ada, grace))
	left := filepath.Join(string(h), "keys", "vault", "sessions", v.SessionName("claude-code/1"), ".key-123")
	if err := os.WriteFile(left, []byte("a key, sealed"), 0o600); err != nil {
		t.Fatal(err)
	}
	full := fmt.Errorf("no space left: %w", stemma.ErrUnavailable)
	w := h.open(t, func(c *vault.Config) { c.Objects = &failing{c.Objects, 1, full} })
	if _, err := w.ErasePerson(t.Context(), request(ada)); !errors.Is(err, stemma.ErrUnavailable) {
		t.Fatalf("ErasePerson = %v, want it unavailable", err)
	}
	graces := mustPut(t, h.open(t), prompt("claude-code/1", "grace's words", grace))
	if _, err := h.open(t).Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(filepath.Join(string(h), "keys"), func(path string, d fs.DirEntry, err error) error {
		if strings.Contains(filepath.Base(path), ada) || strings.HasPrefix(filepath.Base(path), ".key-") {
			t.Errorf("%s is there", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	wantText(t, h.open(t), graces, "grace's words")
	wantFaults(t, h.open(t))
}

// A full disk is an error of its kind, and what was acknowledged stays.
func TestDiskFull(t *testing.T) {
	h := home(t.TempDir())
	full := fmt.Errorf("write: %w: %w", syscall.ENOSPC, stemma.ErrUnavailable)
	v := h.open(t, func(c *vault.Config) { c.Objects = &failing{c.Objects, 2, full} })
	first := mustPut(t, v, prompt("claude-code/1", "first", ada))
	if _, err := v.Put(t.Context(), prompt("claude-code/1", "second", ada)); !errors.Is(err, stemma.ErrUnavailable) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Put on a full disk = %v, want ErrUnavailable", err)
	}
	wantText(t, v, first, "first")
	wantText(t, v, mustPut(t, v, prompt("claude-code/1", "second", ada)), "second")
	// No room for a key: a file is where its folder should be.
	if err := os.RemoveAll(filepath.Join(string(h), "keys", "vault", "persons")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(string(h), "keys", "vault", "persons"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Put(t.Context(), prompt("claude-code/2", "third", grace)); !errors.Is(err, stemma.ErrUnavailable) {
		t.Errorf("Put without room for a key = %v, want ErrUnavailable", err)
	}
}

// Every byte of every object and every key file is watched over: where one is
// changed, Check names the file.
func TestEveryChangedByteOfTheVaultIsNamed(t *testing.T) {
	h := home(t.TempDir())
	v := h.open(t)
	person, err := v.Pseudonym(t.Context(), "mailto:ada@lovelace.io")
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, v, prompt("claude-code/1", "first", person, grace))
	mustPut(t, v, answer("claude-code/1", strings.Repeat("second ", 100), person, grace))
	wantFaults(t, v)
	v.Close()
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	objects, keys := filepath.Join("evidence", "vault", "objects"), filepath.Join("keys", "vault")
	var flips []fliptest.Flip
	for _, root := range []string{objects, keys} {
		err := filepath.WalkDir(filepath.Join(string(h), root), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || d.Name() == "master.key" {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			name, err := filepath.Rel(string(h), path)
			for at := range int(info.Size()) {
				flips = append(flips, fliptest.Flip{File: name, At: at, Bit: 1 << r.IntN(8)})
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if os.Getenv("STEMMA_SOAK") == "" {
		r.Shuffle(len(flips), func(i, j int) { flips[i], flips[j] = flips[j], flips[i] })
		flips = flips[:100]
	}
	fliptest.Each(t, string(h), flips, func(t *testing.T, dir string, f fliptest.Flip) string {
		name, isKey := strings.CutPrefix(f.File, keys)
		want := "key " + strings.Trim(filepath.ToSlash(name), "/")
		if !isKey {
			want = "object " + strings.Trim(filepath.ToSlash(strings.TrimPrefix(f.File, objects)), "/")
		}
		w := home(dir).open(t) // a new process: it has no key in memory
		defer w.Close()
		named := false
		if _, err := w.Check(t.Context(), func(fault vault.Fault) error {
			named = named || fault.What == want
			return nil
		}); err != nil {
			t.Error(err)
		}
		if !named {
			t.Errorf("%s is not named", f)
		}
		return ""
	})
	wantFaults(t, h.open(t))
	// The master key: the vault does not open at all.
	path := filepath.Join(string(h), "keys", "vault", "master.key")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := range raw {
		changed := bytes.Clone(raw)
		changed[at] ^= 1 << r.IntN(8)
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := vault.Open(t.Context(), h.config()); !errors.Is(err, stemma.ErrInvalid) || !strings.Contains(err.Error(), "master.key") {
			t.Errorf("Open with byte %d of the master key changed from %q to %q = %v, want it named", at, raw[at], changed[at], err)
		}
	}
}

// What Check passes over of the index, by table: it is stated elsewhere, or nothing
// reads it.
var passedOver = map[string]string{
	"sqlite_schema": "the file header: the version, when it is lower, and the number of a program, which it has not",
	"session":       "when the row of a session was made, which nothing reads",
	"erasure":       "the words of an erasure, which fsck compares with its tombstone in the log",
	"hold":          "a legal hold, which fsck compares with the log",
}

// Every byte of the rows of the index, changed, is named, but for those.
func TestEveryChangedByteOfTheVaultsIndexIsNamed(t *testing.T) {
	h := home(t.TempDir())
	v := h.open(t)
	person, err := v.Pseudonym(t.Context(), "mailto:ada@lovelace.io")
	if err != nil {
		t.Fatal(err)
	}
	refs := []vault.Reference{
		mustPut(t, v, prompt("claude-code/1", "first", person, grace)),
		mustPut(t, v, answer("claude-code/1", strings.Repeat("second ", 100), person, grace)),
	}
	mustPut(t, v, prompt("claude-code/2", "gone", grace))
	if _, err := v.EraseSession(t.Context(), request("claude-code/2")); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Hold(t.Context(), vault.KindSession, "claude-code/1", "incident 7", "tester"); err != nil {
		t.Fatal(err)
	}
	wantFaults(t, v)
	v.Close()
	name := filepath.Join("evidence", "vault", "vault.db")
	pages := fliptest.ReadPages(t, filepath.Join(string(h), name))
	info, err := os.Stat(filepath.Join(string(h), name))
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	var flips []fliptest.Flip
	for _, at := range r.Perm(int(info.Size())) {
		if pages.HoldsNothing(at) == "" && (os.Getenv("STEMMA_SOAK") != "" || len(flips) < 50) {
			flips = append(flips, fliptest.Flip{File: name, At: at, Bit: 1 << r.IntN(8)})
		}
	}
	fliptest.Each(t, string(h), flips, func(t *testing.T, dir string, f fliptest.Flip) string {
		w, err := vault.Open(t.Context(), home(dir).config())
		if err != nil {
			return ""
		}
		defer w.Close()
		named := false
		if _, err := w.Check(t.Context(), func(vault.Fault) error { named = true; return nil }); err != nil || named {
			return ""
		}
		reason := passedOver[pages.Owner(f.At)]
		if reason == "" {
			t.Errorf("%s, of %s, is not named", f, pages.Owner(f.At))
			return "?"
		}
		for _, ref := range refs {
			if err := w.Verify(t.Context(), ref); err != nil {
				t.Errorf("%s is not named, and %v", f, err)
			}
		}
		if list, err := w.Sessions(t.Context()); err != nil || len(list) != 1 || list[0].Session != "claude-code/1" || len(list[0].Owners) != 2 {
			t.Errorf("%s is not named, and the sessions are %v, %v", f, list, err)
		}
		return reason
	})
}

// Objects and keys in each other's place, and missing ones.
func TestExchanged(t *testing.T) {
	h := home(t.TempDir())
	v := h.open(t)
	a, b := mustPut(t, v, prompt("claude-code/1", "first", ada)), mustPut(t, v, prompt("claude-code/1", "other", ada))
	c := mustPut(t, v, prompt("claude-code/2", "third", ada))
	object := func(ref vault.Reference) string {
		return filepath.Join(string(h), "evidence", "vault", "objects", filepath.FromSlash(strings.TrimPrefix(ref.URI, "vault:")))
	}
	swap := func(p, q string) {
		t.Helper()
		for _, move := range [][2]string{{p, p + "~"}, {q, p}, {p + "~", q}} {
			if err := os.Rename(move[0], move[1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	swap(object(a), object(b))
	wantFaults(t, v, "another than its name says", "another than its name says")
	if _, err := v.Open(t.Context(), a.URI); !errors.Is(err, stemma.ErrInvalid) {
		t.Errorf("Open of an exchanged object = %v, want ErrInvalid", err)
	}
	swap(object(a), object(b))
	swap(object(a), object(c))
	wantFaults(t, v, "damaged", "damaged")
	swap(object(a), object(c))
	keys, err := filepath.Glob(filepath.Join(string(h), "keys", "vault", "sessions", "*", "*.key"))
	if err != nil || len(keys) != 2 {
		t.Fatal(keys, err)
	}
	swap(keys[0], keys[1])
	w := h.open(t)
	wantFaults(t, w, "something else", "something else", "something else", "something else", "something else")
	swap(keys[0], keys[1])
	if err := os.Remove(object(c)); err != nil {
		t.Fatal(err)
	}
	wantFaults(t, h.open(t), "not there")
}

// The same content, put at once by several and twice by each, is one object with
// one time. Two writers once left the object of the one and the row of the other,
// which was a fault for ever where the clock moved on between them.
func TestSameContentAtOnceHasOneTime(t *testing.T) {
	h := home(t.TempDir())
	var seconds atomic.Int64
	seconds.Store(1_900_000_000)
	var vaults []*vault.Vault
	for range 4 {
		vaults = append(vaults, h.open(t, func(c *vault.Config) { c.Now = func() time.Time { return time.Unix(seconds.Add(1), 0) } }))
	}
	for i := range 5 {
		var wg sync.WaitGroup
		for _, v := range vaults {
			wg.Go(func() {
				c := prompt("claude-code/1", fmt.Sprint("text ", i), ada)
				if _, err := v.PutAll(t.Context(), []vault.Content{c, c}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	wantFaults(t, h.open(t))
}

// Many writers at once, in several processes' worth of vaults, while sessions
// are erased under them.
func TestAtOnce(t *testing.T) {
	h := home(t.TempDir())
	vaults := []*vault.Vault{h.open(t), h.open(t), h.open(t)}
	var mu sync.Mutex
	refs := map[string]vault.Reference{}
	var wg sync.WaitGroup
	for n := range 9 {
		wg.Go(func() {
			v := vaults[n%3]
			for i := range 12 {
				session, text := fmt.Sprintf("claude-code/%d", i%4), fmt.Sprintf("text %d", i)
				ref, err := v.Put(t.Context(), prompt(session, text, []string{ada, grace}[n%2], ada))
				if errors.As(err, new(*vault.ErasedError)) && session == "claude-code/3" {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				key := fmt.Sprint(session, text, n%2)
				if was, ok := refs[key]; ok && was != ref {
					t.Errorf("%s has the references %v and %v", key, was, ref)
				}
				refs[key] = ref
				mu.Unlock()
				if n == 0 && i == 5 {
					if _, err := v.EraseSession(t.Context(), request("claude-code/3")); err != nil && !errors.Is(err, stemma.ErrNotFound) {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if _, err := vaults[0].EraseSession(t.Context(), request("claude-code/3")); err != nil {
		t.Fatal(err)
	}
	for key, ref := range refs {
		if strings.HasPrefix(key, "claude-code/3") {
			wantErased(t, vaults[1], ref)
		} else if err := vaults[2].Verify(t.Context(), ref); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	for _, v := range vaults {
		wantFaults(t, v)
	}
}

// A copy of the encrypted objects and of the index, taken before an erasure, is
// worth nothing after it: no key that is left opens anything of it.
func TestErasureReachesCopiesOfObjects(t *testing.T) {
	h := home(t.TempDir())
	v := h.open(t)
	ref := mustPut(t, v, prompt("claude-code/1", "canary in a copy", ada, grace))
	mustPut(t, v, prompt("claude-code/2", "stays", ada))
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(filepath.Join(string(h), "evidence"))); err != nil {
		t.Fatal(err)
	}
	if _, err := v.EraseSession(t.Context(), request("claude-code/1")); err != nil {
		t.Fatal(err)
	}
	identities := identitiesLeft(t, h)
	if len(identities) < 3 {
		t.Fatalf("%d keys are left, want those of the other session", len(identities))
	}
	opened := 0
	err := filepath.WalkDir(copied, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if r, err := age.Decrypt(bytes.NewReader(raw), identities...); err == nil {
			opened++
			if strings.Contains(ref.URI, filepath.Base(path)) {
				t.Errorf("%s opens with %T", path, r)
			}
		}
		return nil
	})
	if err != nil || opened != 1 {
		t.Errorf("%d objects of the copy open, want that of the other session: %v", opened, err)
	}
	// The copy in place of the vault: content, rows and all. Its keys are gone.
	cfg := h.config()
	cfg.Dir = filepath.Join(copied, "vault")
	old, err := vault.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if o, err := old.Open(t.Context(), ref.URI); !errors.Is(err, stemma.ErrNotFound) {
		t.Errorf("Open in the copy = %q, %v, want ErrNotFound", o.Bytes, err)
	}
}

// A backup of the evidence without the folder of keys opens nothing: not its
// identitiesLeft opens every key that can be opened with the master key.
func identitiesLeft(t *testing.T, h home) []age.Identity {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(string(h), "keys", "vault", "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	master, err := age.ParseX25519Identity(strings.TrimSpace(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	found := []age.Identity{master}
	for range 3 { // the master key opens people's keys, and those the sessions'
		err := filepath.WalkDir(filepath.Join(string(h), "keys"), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			r, err := age.Decrypt(bytes.NewReader(raw), found...)
			if err != nil {
				return nil
			}
			var text bytes.Buffer
			if _, err := text.ReadFrom(r); err != nil {
				return err
			}
			lines := strings.Split(text.String(), "\n")
			if id, err := age.ParseX25519Identity(lines[len(lines)-1]); err == nil {
				found = append(found, id)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}
