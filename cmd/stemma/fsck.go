package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/record"
	"github.com/stemma-dev/stemma/internal/vault"
)

// checkedAll is what `stemma fsck --json` prints (schema stemma.fsck/v1).
type checkedAll struct {
	Schema   string         `json:"schema"`
	Evidence string         `json:"evidence"` // folder
	Log      string         `json:"log"`      // origin
	Checked  record.Checked `json:"checked"`
	Keys     int            `json:"keys"`
	Vault    vault.Checked  `json:"vault"`
	Anchors  anchorsChecked `json:"anchors"`
	Graph    *comparison    `json:"graph"` // null where none was compared
	Faults   []record.Fault `json:"faults"`
	Seconds  float64        `json:"seconds"`
}

// maxFaults bounds the faults that are listed; all are counted.
const maxFaults = 1000

func newFsck(o *options) *cobra.Command {
	var noGraph bool
	cmd := &cobra.Command{
		Use:   "fsck",
		Short: "Check everything that was recorded, byte by byte",
		Long: `Checks what is kept as evidence on this machine, and changes nothing: the keys;
the log's tree, made again from its entries; its checkpoint and signature; every
envelope against its entry in the log, its signature and the indexes it is found
by; everything in the vault that can still be opened against what statements are
committed to. In a repository it also compares the checkpoints in stemma's notes
with the log, and a graph that is derived again with the index.

Each fault is named with its file and offset, or its row. The exit status is 0
where there is none, and 5 where there is.`,
		Example: `  stemma fsck
  stemma fsck --no-graph --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.fsck(cmd.Context(), noGraph) },
	}
	cmd.Flags().BoolVar(&noGraph, "no-graph", false, "do not compare the index with a graph that is derived again")
	return cmd
}

func (o *options) fsck(ctx context.Context, noGraph bool) error {
	began := time.Now()
	out := checkedAll{Schema: "stemma.fsck/v1", Faults: []record.Fault{}}
	found := 0
	fault := func(f record.Fault) {
		if found++; found > maxFaults {
			return
		}
		out.Faults = append(out.Faults, f)
		if !o.json {
			fmt.Fprintf(o.out, "%s\n", f)
		}
	}
	if err := o.checkEvidence(ctx, &out, fault); err != nil {
		return err
	}
	if err := o.checkNotes(ctx, &out, fault); err != nil {
		return err
	}
	if !noGraph {
		if err := o.checkGraph(ctx, &out, fault); err != nil {
			return err
		}
	}
	out.Seconds = time.Since(began).Seconds()
	if o.json {
		if err := printJSON(o.out, out); err != nil {
			return err
		}
	} else {
		o.printChecked(out)
	}
	if found > 0 {
		return hinted{fmt.Errorf("%d faults: %w", found, stemma.ErrConflict), "put back what is damaged from a copy; a graph is made again by stemma rebuild"}
	}
	return nil
}

func (o *options) printChecked(x checkedAll) {
	c := x.Checked
	if x.Log == "" {
		fmt.Fprintln(o.out, "log: not checked, its key can not be read")
	} else {
		fmt.Fprintf(o.out, "log %s: %s entries, %s of them published\n", x.Log, count(int(c.Entries)), count(int(c.Checkpoint)))
	}
	fmt.Fprintf(o.out, "%s envelopes, %s pending, %s signatures checked, %s of keys that are not known here\n",
		count(int(c.Envelopes)), count(int(c.Pending)), count(int(c.Signed)), count(int(c.Unchecked)))
	fmt.Fprintf(o.out, "%s keys; vault: %s objects, %s commitments opened, %s erased\n", count(x.Keys), count(x.Vault.Objects), count(int(c.Opened)), count(int(c.Erased)))
	if a := x.Anchors; a.Compared+a.Others+a.Skipped > 0 {
		fmt.Fprintf(o.out, "notes: %s checkpoints compared with the log, %s of other logs, %s over the most that are\n", count(a.Compared), count(a.Others), count(a.Skipped))
	}
	switch {
	case x.Graph == nil:
		fmt.Fprintln(o.out, "graph: not compared")
	case x.Graph.Equal:
		fmt.Fprintf(o.out, "graph: equal to what is derived again, %s rows\n", count(x.Graph.Rows))
	}
	if len(x.Faults) == 0 {
		fmt.Fprintf(o.out, "no fault found, in %.1f s\n", x.Seconds)
	}
}

// checkEvidence checks keys, log, envelopes and vault.
func (o *options) checkEvidence(ctx context.Context, out *checkedAll, fault func(record.Fault)) error {
	keys, err := checkKeys(fault)
	if err != nil {
		return err
	}
	out.Keys = keys
	s, err := readSpine(ctx)
	if err != nil {
		if errors.Is(err, stemma.ErrInvalid) {
			fault(record.Fault{Where: "evidence", Reason: err.Error()})
			return checkLogAlone(ctx, out, fault)
		}
		return err
	}
	defer s.close()
	out.Evidence, out.Log = s.home, s.keys.Origin()
	cfg := record.CheckConfig{Evidence: s.evidence, Tree: s.tree, Keys: s.keys, Progress: o.checkProgress()}
	if cfg.Head, cfg.HeadFile, err = durableHead(s); err != nil {
		return err
	}
	if err := checkKeyStatements(ctx, s.evidence, fault); err != nil {
		return err
	}
	known, _, err := knownKeys(trustFlags{})
	if err != nil {
		return err
	}
	cfg.Trust = known.Trust
	if cfg.Key, err = readOrganisationKey(); err != nil && !errors.Is(err, stemma.ErrNotFound) && !errors.Is(err, stemma.ErrInvalid) {
		return err // otherwise it is named with the keys
	}
	cfg.Vault = goneVault{}
	if _, err := os.Stat(filepath.Join(s.home, "vault")); err == nil {
		v, err := openVault(ctx, s)
		if err != nil && !errors.Is(err, stemma.ErrInvalid) && !errors.Is(err, stemma.ErrConflict) {
			return err
		}
		if err != nil {
			fault(record.Fault{Where: "vault", Reason: err.Error()})
			cfg.Vault = nil
		} else {
			defer v.Close()
			cfg.Vault = v
			out.Vault, err = v.Check(ctx, func(f vault.Fault) error {
				fault(record.Fault{Where: "vault " + f.What, Reason: f.Why})
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	out.Checked, err = record.Check(ctx, cfg, fault)
	return err
}

// checkLogAlone checks what can be where the envelopes can not be read: the log's
// tree and checkpoint, and the files of statements about keys.
func checkLogAlone(ctx context.Context, out *checkedAll, fault func(record.Fault)) error {
	if err := checkKeyStatements(ctx, nil, fault); err != nil {
		return err
	}
	home, err := evidenceHome()
	if err != nil {
		return err
	}
	out.Evidence = home
	s, err := readLog(home)
	if errors.Is(err, stemma.ErrInvalid) || errors.Is(err, stemma.ErrNotFound) {
		return nil // it is named with the keys
	}
	if err != nil {
		return err
	}
	out.Log = s.keys.Origin()
	cfg := record.CheckConfig{Tree: s.tree, Keys: s.keys}
	if cfg.Head, cfg.HeadFile, err = durableHead(s); err != nil {
		return err
	}
	out.Checked, err = record.Check(ctx, cfg, fault)
	return err
}

// goneVault is the vault where there is none: what statements are committed to in
// one was taken away.
type goneVault struct{}

// Verify finds nothing.
func (goneVault) Verify(context.Context, vault.Reference) error {
	return fmt.Errorf("there is no vault: %w", stemma.ErrNotFound)
}

// IndexedHolds gives none.
func (goneVault) IndexedHolds(context.Context) ([]vault.Hold, error) { return nil, nil }

// Erasures gives none.
func (goneVault) Erasures(context.Context) ([]vault.Erasure, []string, error) { return nil, nil, nil }

// checkProgress says how far a check is, now and then.
func (o *options) checkProgress() func(done, total uint64) {
	said := time.Now()
	return func(done, total uint64) {
		if time.Since(said) > 2*time.Second {
			said = time.Now()
			fmt.Fprintf(o.err, "stemma: fsck: %s of %s envelopes\n", count(int(done)), count(int(total)))
		}
	}
}

// checkNotes compares the checkpoints in the notes of the repository, where there
// is one, with the log.
func (o *options) checkNotes(ctx context.Context, out *checkedAll, fault func(record.Fault)) error {
	b, err := o.openHere(ctx)
	if err != nil || b == nil {
		return nil // the graph's check tells
	}
	defer b.close()
	out.Anchors, err = b.checkAnchors(ctx, fault)
	if errors.Is(err, stemma.ErrInvalid) {
		fault(record.Fault{Where: ownNotes, Reason: err.Error()})
		return nil
	}
	return err
}

// checkGraph compares the index of the repository, where there is one, with a
// graph that is derived anew.
func (o *options) checkGraph(ctx context.Context, out *checkedAll, fault func(record.Fault)) error {
	b, err := open(ctx, o.path, o.store)
	if err != nil {
		if errors.Is(err, stemma.ErrNotFound) && o.path == "" {
			return nil // not in a repository
		}
		if errors.Is(err, stemma.ErrInvalid) {
			fault(record.Fault{Where: "graph", Reason: err.Error()})
			return nil
		}
		return err
	}
	defer b.close()
	err = checkGraph(ctx, b)
	if errors.Is(err, stemma.ErrInvalid) {
		fault(record.Fault{Where: "graph", Reason: err.Error()})
		return nil
	}
	if err != nil {
		return err
	}
	if b.clone.Repository == "" || b.keptElsewhere() {
		return nil // no index yet, or one that holds what others indexed too
	}
	if err := o.refresh(ctx, b); err != nil && !errors.Is(err, stemma.ErrInvalid) {
		return err
	}
	c, err := o.compareGraph(ctx, b, func(row string) { fault(record.Fault{Where: "graph", Reason: row}) })
	if errors.Is(err, stemma.ErrInvalid) {
		fault(record.Fault{Where: "graph", Reason: err.Error()})
		return nil
	}
	if err != nil {
		return err
	}
	out.Graph = &c
	return nil
}
