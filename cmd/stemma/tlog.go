package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/tlog"
)

func newTlog(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tlog",
		Short: "The log of envelope digests: checkpoints, proofs, mirrors",
		Long: `The log is an append-only Merkle tree over the digests of everything that was
recorded, in the format of tlog-tiles (https://c2sp.org/tlog-tiles): its folder
is what a mirror serves. The entry of an envelope is the SHA-256 of its bytes.

A checkpoint is the signed state of the log. Keep one somewhere else, and nobody
can take anything out of the log without you finding it (tlog consistency).

A file "witnesses" beside trust.yaml names others who watch over the log: each new
checkpoint is shown to them, and they cosign it where it holds all that they saw
before. doc/trust-file.md describes it.`,
		Example: `  stemma tlog checkpoint > kept.checkpoint
  stemma tlog prove 42 > 42.tlog-proof
  stemma tlog consistency kept.checkpoint
  stemma tlog mirror /mnt/backup/log`,
	}
	cmd.AddCommand(newTlogCheckpoint(o), newTlogProve(o), newTlogConsistency(o), newTlogMirror(o))
	return cmd
}

// tlogFlags say which log: that of this machine, or another.
type tlogFlags struct{ at, key string }

func (f *tlogFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.at, "log", "", "read the log in this `folder or address` instead of this machine's")
	cmd.Flags().StringVar(&f.key, "log-key", "", "verifier key of the log, or a file with it (default: this machine's)")
}

// open gives the log and its keys.
func (f *tlogFlags) open() (*tlog.Tree, tlog.Keys, error) {
	keys, err := logKeys(f.key)
	if err != nil {
		return nil, tlog.Keys{}, err
	}
	at := f.at
	if at == "" {
		if at, err = logFolder(); err != nil {
			return nil, tlog.Keys{}, err
		}
	}
	tree, err := treeAt(at)
	return tree, keys, err
}

// logKeys reads a verifier key from the command line or a file; "" is that of
// this machine's log.
func logKeys(text string) (tlog.Keys, error) {
	if text == "" {
		keys, err := ownLogKey()
		if errors.Is(err, stemma.ErrNotFound) {
			return keys, hinted{fmt.Errorf("this machine has no log yet: %w", stemma.ErrNotFound), "stemma index and stemma record make the first entries; --log-key is for another log"}
		}
		return keys, err
	}
	key, err := verifierKey(text)
	if err != nil {
		return tlog.Keys{}, err
	}
	return logKeysOf(key)
}

// treeAt reads a log in a folder or at an address.
func treeAt(at string) (*tlog.Tree, error) {
	if !strings.Contains(at, "://") {
		return &tlog.Tree{Fetch: tlog.Folder(at)}, nil
	}
	fetch, err := tlog.Web(&http.Client{Timeout: time.Minute}, at)
	return &tlog.Tree{Fetch: fetch}, err
}

// newest reads the newest checkpoint of a log.
func newest(ctx context.Context, tree *tlog.Tree, keys tlog.Keys) (tlog.Checkpoint, error) {
	c, err := tree.Checkpoint(ctx, keys)
	if errors.Is(err, stemma.ErrDenied) {
		err = hinted{err, "the log is another than the key is of: name the key with --log-key, and the log with --log"}
	}
	return c, err
}

// printedHead is what `stemma tlog checkpoint --json` prints (schema
// stemma.checkpoint/v1).
type printedHead struct {
	Schema     string   `json:"schema"`
	Origin     string   `json:"origin"`
	Size       uint64   `json:"size"`
	Root       string   `json:"root"` // base64, as in the checkpoint
	Checkpoint string   `json:"checkpoint"`
	Witnesses  []string `json:"witnesses"`
}

func printed(c tlog.Checkpoint) printedHead {
	witnesses := make([]string, 0, len(c.Witnesses))
	for _, w := range c.Witnesses {
		witnesses = append(witnesses, w.Witness)
	}
	return printedHead{
		Schema: "stemma.checkpoint/v1", Origin: c.Origin, Size: c.Size, Root: base64.StdEncoding.EncodeToString(c.Root[:]),
		Checkpoint: string(c.Raw), Witnesses: witnesses,
	}
}

func newTlogCheckpoint(o *options) *cobra.Command {
	var f tlogFlags
	var key bool
	cmd := &cobra.Command{
		Use:   "checkpoint",
		Short: "Print the newest checkpoint, verified",
		Long: `Prints the newest checkpoint of the log exactly as it was published (C2SP
tlog-checkpoint), after its signature was verified. With --key prints the log's
verifier key instead: give it to whoever shall verify.`,
		Example: `  stemma tlog checkpoint > kept.checkpoint
  stemma tlog checkpoint --key > log.pub`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if key {
				text, err := ownLogKeyText()
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(o.out, text)
				return err
			}
			tree, keys, err := f.open()
			if err != nil {
				return err
			}
			c, err := newest(cmd.Context(), tree, keys)
			if err != nil {
				return err
			}
			if !o.json {
				_, err = o.out.Write(c.Raw)
				return err
			}
			return printJSON(o.out, printed(c))
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&key, "key", false, "print the verifier key of this machine's log")
	return cmd
}

func newTlogProve(o *options) *cobra.Command {
	var f tlogFlags
	cmd := &cobra.Command{
		Use:   "prove <index|digest>",
		Short: "Print the proof that an envelope is in the log",
		Long: `Prints a proof in the format of C2SP tlog-proof: the entry's index, the hashes
from it to the root, and the checkpoint. It can be verified without the log and
without a network, by stemma verify --proof and by other tools.

The envelope is named by its index in the log or, for this machine's log, by the
digest that stemma record printed.`,
		Example: `  stemma tlog prove 42 > 42.tlog-proof
  stemma tlog prove sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			index, err := strconv.ParseUint(args[0], 10, 63)
			if err != nil {
				if index, err = indexOf(ctx, args[0]); err != nil {
					return err
				}
			}
			tree, keys, err := f.open()
			if err != nil {
				return err
			}
			c, err := newest(ctx, tree, keys)
			if err != nil {
				return err
			}
			p, err := tree.Prove(ctx, c, index)
			if err != nil {
				return err
			}
			_, err = o.out.Write(p.Encode())
			return err
		},
	}
	f.add(cmd)
	return cmd
}

// indexOf finds the envelope with a digest in this machine's evidence.
func indexOf(ctx context.Context, text string) (uint64, error) {
	raw, err := hex.DecodeString(strings.TrimPrefix(text, "sha256:"))
	if err != nil || len(raw) != len(tlog.Digest{}) {
		return 0, fmt.Errorf("%q is neither an index nor a SHA-256 in hex: %w", text, stemma.ErrInvalid)
	}
	s, err := readSpine(ctx)
	if err != nil {
		return 0, err
	}
	defer s.close()
	e, err := s.evidence.ByDigest(ctx, [32]byte(raw))
	if err != nil {
		return 0, err
	}
	if e.Pending {
		return 0, hinted{fmt.Errorf("envelope %s is not in the log yet: %w", text, stemma.ErrUnavailable), "the next stemma record or stemma index appends it"}
	}
	return e.Index, nil
}

// consistency is what `stemma tlog consistency --json` prints (schema
// stemma.consistency/v1).
type consistency struct {
	Schema     string      `json:"schema"`
	Consistent bool        `json:"consistent"`
	Before     printedHead `json:"before"`
	After      printedHead `json:"after"`
	Reason     string      `json:"reason,omitempty"`
	Proof      []string    `json:"proof"` // base64, as RFC 6962 orders them
}

func newTlogConsistency(o *options) *cobra.Command {
	var f tlogFlags
	var from, to string
	cmd := &cobra.Command{
		Use:   "consistency <checkpoint>",
		Short: "Check that the log still holds all that a kept checkpoint holds",
		Long: `Checks that a log only grew since a checkpoint that you kept: that nothing was
taken out, changed or put in between. Where it did not, both sizes are named, and
the exit status is 5. Your checkpoint is the proof.`,
		Example: `  stemma tlog consistency kept.checkpoint
  stemma tlog consistency kept.checkpoint --log https://logs.example.org/acme --log-key log.pub`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			switch {
			case len(args) == 1 && from == "":
				from = args[0]
			case len(args) == 1 || from == "":
				return fmt.Errorf("name one checkpoint that was kept: %w", stemma.ErrInvalid)
			}
			tree, keys, err := f.open()
			if err != nil {
				return err
			}
			before, err := readCheckpoint(from, keys)
			if err != nil {
				return err
			}
			var after tlog.Checkpoint
			if to != "" {
				after, err = readCheckpoint(to, keys)
			} else {
				after, err = newest(ctx, tree, keys)
			}
			if err != nil {
				return err
			}
			return o.consistency(ctx, tree, before, after)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&from, "from", "", "`file` with the checkpoint that was kept, in the place of the argument")
	cmd.Flags().StringVar(&to, "to", "", "`file` with a newer checkpoint (default: the log's newest)")
	return cmd
}

func (o *options) consistency(ctx context.Context, tree *tlog.Tree, before, after tlog.Checkpoint) error {
	out := consistency{Schema: "stemma.consistency/v1", Before: printed(before), After: printed(after), Proof: []string{}}
	var hashes []tlog.Hash
	var err error
	if before.Origin == after.Origin && before.Size <= after.Size {
		if hashes, err = tree.ProveConsistency(ctx, after.Head, before.Size); err != nil {
			return err
		}
	}
	err = tlog.VerifyConsistency(before.Head, after.Head, hashes)
	out.Consistent = err == nil
	for _, h := range hashes {
		out.Proof = append(out.Proof, base64.StdEncoding.EncodeToString(h[:]))
	}
	if err != nil {
		var rolled *tlog.RollbackError
		if errors.As(err, &rolled) {
			out.Reason = rolled.Reason
		}
		err = hinted{err, "somebody put back an old copy, or changed the log: keep your checkpoint, it is the proof"}
	}
	if o.json {
		if jerr := printJSON(o.out, out); jerr != nil {
			return jerr
		}
		return err
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.out, "consistent: the log grew from %d to %d entries and holds all it held\n", before.Size, after.Size)
	return err
}

// readCheckpoint reads a checkpoint that was kept, and verifies it.
func readCheckpoint(file string, keys tlog.Keys) (tlog.Checkpoint, error) {
	f, err := os.Open(file)
	if err != nil {
		return tlog.Checkpoint{}, fileProblem(err)
	}
	defer f.Close()
	raw := make([]byte, tlog.MaxCheckpoint+1)
	n := 0
	for n < len(raw) {
		m, err := f.Read(raw[n:])
		n += m
		if err != nil || m == 0 {
			break
		}
	}
	c, err := keys.Open(raw[:n])
	if err != nil {
		return c, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

func newTlogMirror(o *options) *cobra.Command {
	var f tlogFlags
	cmd := &cobra.Command{
		Use:   "mirror <folder>",
		Short: "Copy the log to a folder that anyone may serve",
		Long: `Copies the log into a folder, reading only what is missing there and keeping only
what leads to the root of a checkpoint that verifies. The folder is itself a log
in the format of tlog-tiles: any web server can serve it, and stemma reads it
with --log. Run it again to bring the mirror up to date; where the log is not
what the mirror has a checkpoint of, nothing is copied and both sizes are named.`,
		Example: `  stemma tlog mirror /mnt/backup/log
  stemma tlog mirror ./acme --log https://logs.example.org/acme --log-key log.pub`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			tree, keys, err := f.open()
			if err != nil {
				return err
			}
			said := time.Now()
			c, err := tlog.Mirror(cmd.Context(), tree, args[0], keys, func(done, size uint64) {
				if time.Since(said) > 2*time.Second {
					said = time.Now()
					fmt.Fprintf(o.err, "stemma: mirror: %d of %d entries\n", done, size)
				}
			})
			if err != nil {
				return err
			}
			if o.json {
				return printJSON(o.out, printed(c))
			}
			_, err = fmt.Fprintf(o.out, "%s has %d entries of %s\n", args[0], c.Size, c.Origin)
			return err
		},
	}
	f.add(cmd)
	return cmd
}
