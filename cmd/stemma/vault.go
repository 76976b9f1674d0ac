package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/vault"
)

// keptOut is what `stemma vault list --json` prints (schema stemma.vault/v1),
// one object a line.
type keptOut struct {
	Schema string `json:"schema"`
	vault.SessionSummary
}

// erasureOut is what `stemma vault erasures --json` prints (schema
// stemma.vault-erasure/v1), one object a line.
type erasureOut struct {
	Schema string `json:"schema"`
	vault.Erasure
	Left string `json:"left"` // what is left to do; "" is nothing
}

// faultOut is what `stemma vault check --json` prints (schema
// stemma.vault-fault/v1), one object a line.
type faultOut struct {
	Schema string `json:"schema"`
	vault.Fault
}

func newVault(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "vault",
		Short: "The encrypted content: what is held of whom, what was erased",
		Long: `The vault keeps the content that statements speak of: prompts, transcripts,
snapshots of files. It is redacted before it comes in, compressed, and encrypted
with a key for each session that each owner of the session can open. Statements
hold only pseudonyms and salted commitments, which say nothing of the content.

The encrypted objects are in a folder beside the vault's index, or where the file
vault-objects beside trust.yaml says, before anything was kept:
  s3://bucket?region=eu-central-1&prefix=stemma/   a bucket of S3; &endpoint=https://...
      and &use_path_style=true for what speaks like it (credentials as for the AWS CLI)
  file:///mnt/evidence                             a folder
Keys never go there. An erasure also removes the old versions that a bucket keeps,
and so needs the permissions s3:ListBucketVersions and s3:DeleteObjectVersion.`,
		Example: `  stemma vault list
  stemma vault erasures
  stemma vault check`,
	}
	cmd.AddCommand(newVaultList(o), newVaultErasures(o), newVaultCheck(o))
	return cmd
}

func newVaultList(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the sessions whose content is held, with their owners",
		Example: "  stemma vault list --json | jq -r .session",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			v, err := readVault(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, v.Close()) }()
			sessions, err := v.Sessions(cmd.Context())
			if err != nil {
				return err
			}
			for _, s := range sessions {
				if o.json {
					if err := printLine(o.out, keptOut{"stemma.vault/v1", s}); err != nil {
						return err
					}
					continue
				}
				fmt.Fprintf(o.out, "%s  %s, %s", plain(s.Session), number(s.Objects, "object"), number(int(s.Bytes), "byte"))
				if s.Newest > 0 {
					fmt.Fprintf(o.out, ", newest %s", dated(s.Newest))
				}
				fmt.Fprintln(o.out)
				for _, p := range s.Owners {
					fmt.Fprintf(o.out, "  owner %s\n", plain(p))
				}
			}
			return nil
		},
	}
}

func newVaultErasures(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "erasures",
		Short:   "List what was erased, why, and what is left to do of it",
		Example: "  stemma vault erasures --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			v, err := readVault(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, v.Close()) }()
			all, left, err := v.Erasures(cmd.Context())
			if err != nil {
				return err
			}
			for i, e := range all {
				if o.json {
					if err := printLine(o.out, erasureOut{"stemma.vault-erasure/v1", e, left[i]}); err != nil {
						return err
					}
					continue
				}
				fmt.Fprintf(o.out, "%s %s %s %s (%s): %s", dated(e.Time), e.ID, e.Kind, plain(e.Target), plain(e.Basis), plain(e.Reason))
				if left[i] != "" {
					fmt.Fprintf(o.out, "; %s", left[i])
				}
				fmt.Fprintln(o.out)
			}
			return nil
		},
	}
}

func newVaultCheck(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Open every key and every object, and name what is damaged",
		Long: `Opens every key and every object that the vault holds, and compares each object
with its name, its row and its commitment. Each fault is named; the exit status
is 5 where there is one.`,
		Example: "  stemma vault check",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			v, err := readVault(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, v.Close()) }()
			faults := 0
			n, err := v.Check(cmd.Context(), func(f vault.Fault) error {
				faults++
				if o.json {
					return printLine(o.out, faultOut{"stemma.vault-fault/v1", f})
				}
				_, err := fmt.Fprintf(o.out, "%s: %s\n", plain(f.What), plain(f.Why))
				return err
			})
			if err != nil {
				return err
			}
			if !o.json {
				fmt.Fprintf(o.err, "stemma: %s and %s checked, %s\n", number(n.Keys, "key"), number(n.Objects, "object"), number(faults, "fault"))
			}
			if faults > 0 {
				return hinted{fmt.Errorf("%s in the vault: %w", number(faults, "fault"), stemma.ErrConflict), "put back from a backup what is damaged or missing"}
			}
			return nil
		},
	}
}
