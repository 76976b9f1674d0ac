package tessera_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/tlog"
	"github.com/stemma-dev/stemma/internal/tlog/tessera"
)

// logKey makes a key and what verifies it.
func logKey(t testing.TB, origin string) (string, tlog.Keys) {
	t.Helper()
	signer, verifier, err := tlog.GenerateKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := tlog.NewKeys(verifier, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return signer, keys
}

func openLog(t testing.TB, dir, signer string) *tessera.Log {
	t.Helper()
	l, err := tessera.Open(t.Context(), tessera.Config{Dir: dir, Signer: signer})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func digests(from, n int) []tlog.Digest {
	out := make([]tlog.Digest, n)
	for i := range out {
		out[i] = tlog.DigestOf(fmt.Append(nil, "envelope ", from+i))
	}
	return out
}

// add appends n entries to l, which has those of in, and gives in with them,
// each at its index: a batch may be written in two parts, the second one first.
func add(t testing.TB, l *tessera.Log, in []tlog.Digest, n int) []tlog.Digest {
	t.Helper()
	from, added := len(in), digests(len(in), n)
	at, err := l.Add(t.Context(), added)
	if err != nil {
		t.Fatalf("Add: %v", err)
	}
	in = append(in, make([]tlog.Digest, n)...)
	for i, index := range at {
		if index < uint64(from) || index >= uint64(len(in)) || in[index] != (tlog.Digest{}) {
			t.Fatalf("Add gave entry %d of %d index %d of a log that had %d", i, n, index, from)
		}
		in[index] = added[i]
	}
	if slices.Contains(in, tlog.Digest{}) {
		t.Fatalf("Add of %d gave %d indexes", n, len(at))
	}
	return in
}

func published(t testing.TB, l *tessera.Log, size int) tlog.Checkpoint {
	t.Helper()
	c, err := l.Published(t.Context(), uint64(size))
	if err != nil {
		t.Fatalf("Published(%d): %v", size, err)
	}
	return c
}

// audit gives the faults that an audit names, and how many of the entries of in
// it found at their indexes.
func audit(t testing.TB, tree *tlog.Tree, in []tlog.Digest, heads ...tlog.Head) (faults []tlog.Fault, found int) {
	t.Helper()
	err := tree.Audit(t.Context(), heads, func(index uint64, d tlog.Digest) error {
		if d == in[index] {
			found++
		}
		return nil
	}, func(f tlog.Fault) { faults = append(faults, f) })
	if err != nil {
		t.Fatalf("Audit: %v", err)
	}
	return faults, found
}

func TestEveryEntryIsProvenAtEverySize(t *testing.T) {
	dir := t.TempDir()
	signer, keys := logKey(t, "stemma.test/sizes")
	l := openLog(t, dir, signer)
	var in []tlog.Digest
	var before []tlog.Checkpoint
	for _, n := range []int{1, 1, 3, 250, 1, 1, 300, 1500} {
		in = add(t, l, in, n)
		size := len(in)
		c := published(t, l, size)
		if c.Size != uint64(size) {
			t.Fatalf("checkpoint of size %d, want %d", c.Size, size)
		}
		for i := 0; i < size; i += 1 + size/97 {
			p, err := l.Tree().Prove(t.Context(), c, uint64(i))
			if err != nil {
				t.Fatalf("Prove(%d): %v", i, err)
			}
			p, err = tlog.ParseProof(p.Encode())
			if err != nil {
				t.Fatalf("ParseProof: %v", err)
			}
			if _, err := p.Verify(in[i], keys); err != nil {
				t.Errorf("index %d of %d: Verify: %v", i, size, err)
			}
			if _, err := p.Verify(digests(size, 1)[0], keys); !errors.Is(err, stemma.ErrInvalid) {
				t.Errorf("index %d of %d: Verify of another entry: %v, want ErrInvalid", i, size, err)
			}
		}
		for _, b := range before {
			if err := l.Tree().Consistent(t.Context(), b.Head, c.Head); err != nil {
				t.Errorf("Consistent(%d, %d): %v", b.Size, c.Size, err)
			}
		}
		before = append(before, c)
		if faults, found := audit(t, l.Tree(), in, c.Head); len(faults) > 0 || found != size {
			t.Errorf("size %d: Audit gave %d entries, faults %v", size, found, faults)
		}
	}
	// Heads of many sizes in one pass.
	var heads []tlog.Head
	for _, b := range before {
		heads = append(heads, b.Head)
	}
	if faults, found := audit(t, l.Tree(), in, heads...); len(faults) > 0 || found != len(in) {
		t.Errorf("Audit of all heads gave %d entries, faults %v", found, faults)
	}
	_, err := l.Tree().Prove(t.Context(), before[0], 1)
	if !errors.Is(err, stemma.ErrNotFound) {
		t.Errorf("Prove past the end: %v, want ErrNotFound", err)
	}
}

func TestLogGoesOnWhereItWasLeft(t *testing.T) {
	dir := t.TempDir()
	signer, keys := logKey(t, "stemma.test/again")
	var in []tlog.Digest
	for i := range 8 {
		l, err := tessera.Open(t.Context(), tessera.Config{Dir: dir, Signer: signer})
		if err != nil {
			t.Fatal(err)
		}
		in = add(t, l, in, 100)
		if err := l.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		c, err := (&tlog.Tree{Fetch: tlog.Folder(dir)}).Checkpoint(t.Context(), keys)
		if err != nil || c.Size != uint64(i+1)*100 {
			t.Fatalf("after Close the checkpoint is %v, %v; want size %d", c.Head, err, (i+1)*100)
		}
	}
	// Partial tiles that full ones replaced are gone.
	for _, name := range []string{"tile/entries/000.p", "tile/0/002.p"} {
		if _, err := os.Stat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s is still there", name)
		}
	}
}

func TestHandlesOfOneProcessShareTheLog(t *testing.T) {
	dir := t.TempDir()
	signer, _ := logKey(t, "stemma.test/shared")
	a, b := openLog(t, dir, signer), openLog(t, dir, signer)
	in := add(t, b, add(t, a, nil, 3), 3)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Add(t.Context(), digests(0, 1)); !errors.Is(err, stemma.ErrUnavailable) {
		t.Errorf("Add after Close: %v, want ErrUnavailable", err)
	}
	add(t, b, in, 3)
	published(t, b, 9)
	other, _ := logKey(t, "stemma.test/other")
	if _, err := tessera.Open(t.Context(), tessera.Config{Dir: dir, Signer: other}); !errors.Is(err, stemma.ErrConflict) {
		t.Errorf("Open with another key: %v, want ErrConflict", err)
	}
	b.Close()
	if _, err := tessera.Open(t.Context(), tessera.Config{Dir: dir, Signer: other}); !errors.Is(err, stemma.ErrConflict) {
		t.Errorf("Open with a key of another origin: %v, want ErrConflict", err)
	}
}

func TestClockThatWasSetBackHoldsNothingUp(t *testing.T) {
	dir := t.TempDir()
	signer, keys := logKey(t, "stemma.test/clock")
	l := openLog(t, dir, signer)
	in := add(t, l, nil, 1)
	published(t, l, 1)
	l.Close()
	future := time.Now().Add(1000 * time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "checkpoint"), future, future); err != nil {
		t.Fatal(err)
	}
	l = openLog(t, dir, signer)
	add(t, l, in, 1)
	if err := l.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	c, err := (&tlog.Tree{Fetch: tlog.Folder(dir)}).Checkpoint(t.Context(), keys)
	if err != nil || c.Size != 2 {
		t.Errorf("checkpoint has size %d, %v; want 2", c.Size, err)
	}
}

func TestFolderThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	signer, _ := logKey(t, "stemma.test/file")
	_, err := tessera.Open(t.Context(), tessera.Config{Dir: filepath.Join(file, "tlog"), Signer: signer})
	if !errors.Is(err, stemma.ErrUnavailable) && !errors.Is(err, stemma.ErrDenied) {
		t.Errorf("Open below a file: %v, want ErrUnavailable or ErrDenied", err)
	}
	// The lock is made a folder: the driver would panic where it takes it.
	dir := t.TempDir()
	l := openLog(t, dir, signer)
	in := add(t, l, nil, 1)
	lock := filepath.Join(dir, ".state", "treeState.lock")
	if err := errors.Join(os.Remove(lock), os.Mkdir(lock, 0o755)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Add(t.Context(), digests(1, 1)); !errors.Is(err, stemma.ErrUnavailable) {
		t.Errorf("Add without the lock: %v, want ErrUnavailable", err)
	}
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	add(t, l, in, 1)
}

// A log that lost a file is not begun again: the driver would sign that it is
// empty, over the checkpoint that says what it had.
func TestLogThatLostSomethingIsNotBegunAgain(t *testing.T) {
	signer, keys := logKey(t, "stemma.test/lost")
	kept := t.TempDir()
	l := openLog(t, kept, signer)
	in := add(t, l, nil, 3)
	published(t, l, 3)
	l.Close()
	older := filepath.Join(t.TempDir(), "older")
	if err := os.CopyFS(older, os.DirFS(kept)); err != nil {
		t.Fatal(err)
	}
	l = openLog(t, kept, signer)
	in = add(t, l, in, 2)
	published(t, l, 5)
	l.Close()
	write := func(name, text string) func(string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644) }
	}
	remove := func(names ...string) func(string) error {
		return func(dir string) error {
			for _, name := range names {
				if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
					return err
				}
			}
			return nil
		}
	}
	for name, test := range map[string]struct {
		lose func(dir string) error
		kind error
		text string
	}{
		"the state":                {remove(".state"), stemma.ErrConflict, "a checkpoint of 5 entries and no .state/treeState"},
		"state, checkpoint":        {remove(".state", "checkpoint"), stemma.ErrConflict, "there are tiles"},
		"what the state says":      {write(".state/treeState", ""), stemma.ErrInvalid, "not the state of a tree"},
		"what the checkpoint says": {write("checkpoint", ""), stemma.ErrInvalid, "put back a copy of the file checkpoint, or remove it"},
		"its signature": {func(dir string) error {
			raw, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "checkpoint"), raw[:len(raw)-1], 0o644)
		}, stemma.ErrInvalid, "put back a copy of the file checkpoint, or remove it"},
		"what came later": {func(dir string) error {
			raw, err := os.ReadFile(filepath.Join(older, ".state", "treeState"))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, ".state", "treeState"), raw, 0o644)
		}, stemma.ErrConflict, "has 3 entries and a checkpoint of 5"},
	} {
		dir := filepath.Join(t.TempDir(), "tlog")
		if err := os.CopyFS(dir, os.DirFS(kept)); err != nil {
			t.Fatal(err)
		}
		if err := test.lose(dir); err != nil {
			t.Fatal(err)
		}
		before, _ := os.ReadFile(filepath.Join(dir, "checkpoint"))
		l, err := tessera.Open(t.Context(), tessera.Config{Dir: dir, Signer: signer})
		if err == nil {
			l.Close()
		}
		if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s is lost: Open = %v, want %v with %q", name, err, test.kind, test.text)
		}
		if after, _ := os.ReadFile(filepath.Join(dir, "checkpoint")); !bytes.Equal(before, after) {
			t.Errorf("%s is lost: the checkpoint was\n%s\nand is\n%s", name, before, after)
		}
	}

	// The checkpoint alone is made again from the state.
	if err := os.Remove(filepath.Join(kept, "checkpoint")); err != nil {
		t.Fatal(err)
	}
	l = openLog(t, kept, signer)
	add(t, l, in, 1)
	if err := l.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if c, err := (&tlog.Tree{Fetch: tlog.Folder(kept)}).Checkpoint(t.Context(), keys); err != nil || c.Size != 6 {
		t.Errorf("checkpoint has size %d, %v; want 6", c.Size, err)
	}
}

func TestRolledBackLogIsFoundByWhoKeptACheckpoint(t *testing.T) {
	signer, keys := logKey(t, "stemma.test/rollback")
	old, now := t.TempDir(), t.TempDir()
	l := openLog(t, old, signer)
	add(t, l, nil, 700)
	kept := published(t, l, 700)

	// The operator restores a backup, and goes on from there.
	m := openLog(t, now, signer)
	add(t, m, nil, 300)
	c := published(t, m, 300)
	err := m.Tree().Consistent(t.Context(), kept.Head, c.Head)
	var rolled *tlog.RollbackError
	if !errors.As(err, &rolled) || rolled.Before.Size != 700 || rolled.After.Size != 300 ||
		!strings.Contains(err.Error(), "700") || !strings.Contains(err.Error(), "300") {
		t.Errorf("Consistent = %v, want a RollbackError from 700 to 300", err)
	}
	// It grows past the old size with other entries.
	if _, err := m.Add(t.Context(), digests(5000, 500)); err != nil {
		t.Fatal(err)
	}
	c = published(t, m, 800)
	if err := m.Tree().Consistent(t.Context(), kept.Head, c.Head); !errors.As(err, &rolled) || rolled.After.Size != 800 {
		t.Errorf("Consistent = %v, want a RollbackError from 700 to 800", err)
	}

	// So does a mirror: it keeps what it had.
	mirror := t.TempDir()
	if _, err := tlog.Mirror(t.Context(), l.Tree(), mirror, keys, nil); err != nil {
		t.Fatalf("Mirror: %v", err)
	}
	if _, err := tlog.Mirror(t.Context(), m.Tree(), mirror, keys, nil); !errors.As(err, &rolled) {
		t.Errorf("Mirror of the other log: %v, want a RollbackError", err)
	}
	copied := &tlog.Tree{Fetch: tlog.Folder(mirror)}
	if c, err := copied.Checkpoint(t.Context(), keys); err != nil || c.Size != 700 {
		t.Errorf("the mirror has size %d, %v; want 700", c.Size, err)
	}
}

func TestMirrorGrowsWithTheLog(t *testing.T) {
	signer, keys := logKey(t, "stemma.test/mirror")
	l := openLog(t, t.TempDir(), signer)
	mirror := t.TempDir()
	copied := &tlog.Tree{Fetch: tlog.Folder(mirror)}
	var in []tlog.Digest
	grow := []int{0, 1, 254, 1, 1, 256, 300, 3000, 1}
	if os.Getenv("STEMMA_SOAK") != "" {
		grow = append(grow, 66000, 1) // two levels of full tiles
	}
	for _, n := range grow {
		if n > 0 {
			in = add(t, l, in, n)
		}
		size := len(in)
		published(t, l, size)
		c, err := tlog.Mirror(t.Context(), l.Tree(), mirror, keys, nil)
		if err != nil {
			t.Fatalf("Mirror at size %d: %v", size, err)
		}
		if faults, found := audit(t, copied, in, c.Head); len(faults) > 0 || found != size {
			t.Fatalf("mirror of size %d: %d entries, faults %v", size, found, faults)
		}
		for _, i := range []int{0, size / 2, size - 1} {
			if size == 0 {
				break
			}
			p, err := copied.Prove(t.Context(), c, uint64(i))
			if err != nil {
				t.Fatalf("Prove(%d) from the mirror: %v", i, err)
			}
			if _, err := p.Verify(in[i], keys); err != nil {
				t.Errorf("Verify: %v", err)
			}
		}
	}
}

// Some bytes of every file of a log, and all of them under soak, are changed: the
// file is named.
func TestEachFileWithAChangedByteIsNamed(t *testing.T) {
	dir := t.TempDir()
	signer, keys := logKey(t, "stemma.test/flip")
	l := openLog(t, dir, signer)
	in := add(t, l, nil, 600)
	c := published(t, l, 600)
	l.Close()
	tree := &tlog.Tree{Fetch: tlog.Folder(dir)}
	var files []string
	for _, name := range []string{"tile/entries/000", "tile/entries/001", "tile/entries/002.p/88", "tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		files = append(files, name)
	}
	for _, name := range files {
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		step := 1 + len(data)/60
		if os.Getenv("STEMMA_SOAK") != "" {
			step = 1
		}
		for at := 0; at < len(data); at += step {
			data[at] ^= 1
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
			faults, _ := audit(t, tree, in, c.Head)
			named := false
			for _, f := range faults {
				named = named || f.File == name && (f.Offset < 0 || f.Offset <= at)
			}
			if !named {
				t.Errorf("byte %d of %s is changed: faults %v", at, name, faults)
			}
			data[at] ^= 1
		}
		for what, change := range map[string]func() error{
			"cut":     func() error { return os.WriteFile(path, data[:len(data)/2], 0o644) },
			"removed": func() error { return os.Remove(path) },
			"longer":  func() error { return os.WriteFile(path, append(data[:len(data):len(data)], data[:34]...), 0o644) },
		} {
			if err := change(); err != nil {
				t.Fatal(err)
			}
			if faults, _ := audit(t, tree, in, c.Head); len(faults) == 0 || faults[0].File != name {
				t.Errorf("%s is %s: faults %v", name, what, faults)
			}
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raw := c.Raw
	for at := range raw {
		changed := append([]byte(nil), raw...)
		changed[at] ^= 1
		if got, err := keys.Open(changed); err == nil {
			t.Errorf("byte %d of the checkpoint is changed, and it opens: %v", at, got.Head)
		}
	}
}

func BenchmarkAddOne(b *testing.B) {
	signer, _ := logKey(b, "stemma.test/bench")
	l := openLog(b, b.TempDir(), signer)
	for i := 0; b.Loop(); i++ {
		if _, err := l.Add(context.Background(), digests(i, 1)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAdd1024(b *testing.B) {
	signer, _ := logKey(b, "stemma.test/bench")
	l := openLog(b, b.TempDir(), signer)
	all := digests(0, 1024)
	for b.Loop() {
		if _, err := l.Add(context.Background(), all); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*1024/b.Elapsed().Seconds(), "entries/s")
}

func BenchmarkProveIn1M(b *testing.B) {
	signer, keys := logKey(b, "stemma.test/bench")
	l := openLog(b, b.TempDir(), signer)
	const size = 1 << 20
	for at := 0; at < size; at += 1 << 16 {
		if _, err := l.Add(context.Background(), digests(at, 1<<16)); err != nil {
			b.Fatal(err)
		}
	}
	c := published(b, l, size)
	i := uint64(0)
	for b.Loop() {
		i = (i + 7919*131) % size
		p, err := l.Tree().Prove(context.Background(), c, i)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Verify(tlog.DigestOf(fmt.Append(nil, "envelope ", i)), keys); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	signer, _ := logKey(b, "stemma.test/bench")
	dir := b.TempDir()
	l := openLog(b, dir, signer)
	if _, err := l.Add(context.Background(), digests(0, 1000)); err != nil {
		b.Fatal(err)
	}
	l.Close()
	for b.Loop() {
		l, err := tessera.Open(context.Background(), tessera.Config{Dir: dir, Signer: signer})
		if err != nil {
			b.Fatal(err)
		}
		l.Close()
	}
}
