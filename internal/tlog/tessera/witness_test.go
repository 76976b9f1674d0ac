package tessera_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/tlog"
	"github.com/stemma-dev/stemma/internal/tlog/tessera"
	"github.com/stemma-dev/stemma/internal/tlog/witnesstest"
)

// A witness of another's making (litewitness of filippo.io/torchwood) cosigns
// our checkpoints, as a process of its own.
func TestWitnessCosigns(t *testing.T) {
	dir := t.TempDir()
	signer, logOnly := logKey(t, "stemma.test/witnessed")
	logVKey, err := tlog.VerifierKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	w := witnesstest.Start(t, logVKey)

	keys, err := tlog.NewKeys(logVKey, []string{w.Key}, 1)
	if err != nil {
		t.Fatalf("NewKeys: %v", err)
	}
	l, err := tessera.Open(t.Context(), tessera.Config{
		Dir: filepath.Join(dir, "tlog"), Signer: signer,
		Witnesses: w.Policy(), WitnessRequired: true,
	})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer l.Close()
	var in []tlog.Digest
	for i := range 3 {
		in = add(t, l, in, 10)
		c, err := keys.Open(published(t, l, len(in)).Raw)
		if err != nil {
			t.Fatalf("checkpoint with a cosignature: %v", err)
		}
		if by := c.Seen(); len(c.Witnesses) != 1 || by.Witness != w.Name || time.Since(by.Time).Abs() > time.Minute {
			t.Errorf("witnesses %v, want %s, now", c.Witnesses, w.Name)
		}
		p, err := l.Tree().Prove(t.Context(), c, uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Verify(in[i], keys); err != nil {
			t.Errorf("Verify with a witness: %v", err)
		}
		if _, err := p.Verify(in[i], logOnly); err != nil {
			t.Errorf("Verify without asking for a witness: %v", err)
		}
	}
}

// A checkpoint that was kept proves what it covers for as long as the log grows,
// when the files that it was published with are gone.
func TestProofUnderAnEarlierCheckpoint(t *testing.T) {
	dir := t.TempDir()
	signer, keys := logKey(t, "stemma.test/earlier")
	var in []tlog.Digest
	var kept []tlog.Checkpoint
	for _, n := range []int{3, 297, 400} {
		l := openLog(t, dir, signer)
		in = add(t, l, in, n)
		kept = append(kept, published(t, l, len(in)))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	tree := &tlog.Tree{Fetch: tlog.Folder(dir)}
	now := kept[len(kept)-1].Head
	for _, c := range kept {
		for _, index := range []uint64{0, 2, 299, 699} {
			p, err := tree.ProveEarlier(t.Context(), c, now, index)
			if index >= c.Size {
				if !errors.Is(err, stemma.ErrNotFound) {
					t.Errorf("entry %d under %d entries: %v, want ErrNotFound", index, c.Size, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("entry %d under %d entries: %v", index, c.Size, err)
			}
			if got, err := p.Verify(in[index], keys); err != nil || got.Size != c.Size {
				t.Errorf("entry %d under %d entries: proven at %d, %v", index, c.Size, got.Size, err)
			}
		}
	}
	if _, err := tree.ProveEarlier(t.Context(), kept[2], kept[1].Head, 0); !errors.Is(err, stemma.ErrNotFound) {
		t.Errorf("a checkpoint from the future: %v, want ErrNotFound", err)
	}
}
