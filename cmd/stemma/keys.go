package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/evidence"
	"github.com/stemma-dev/stemma/internal/sign"
)

func newKeys(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Show, rotate and revoke the keys that sign evidence, and who is trusted",
		Long: `stemma signs what it records with a key of this machine. The key is made when it
is first needed, and lies in $STEMMA_DIR/keys or $XDG_CONFIG_HOME/stemma/keys,
never in a repository. It proves that nothing has changed since it signed, no
more: what it signs has the tier "claimed", whatever anybody writes anywhere.

Where STEMMA_SIGNING_KEY is set to the URI of a key service (awskms://...,
hashivault://..., or a sigstore-kms-* program), the key there signs instead. Its
public key is remembered, so that this machine checks what it signed; for others,
and for more than a claim, it is listed in trust.yaml.

Who else is believed stands in trust.yaml, beside that folder: the keys of
servers, and the workflows that an identity provider vouches for. "stemma keys
trust" shows how that file is understood; doc/trust-file.md describes it.`,
		Example: `  stemma keys                                   # the keys of this machine
  stemma keys show > ada.pub                    # the public key, for others to verify with
  stemma keys rotate                            # a new key takes the place of the old
  stemma keys revoke 5d41 --reason lost         # a key that must not be believed any more
  stemma keys restore                           # statements about keys that were deleted, from the log
  stemma keys trust                             # who is believed, and for what`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.listKeys(cmd.Context()) },
	}
	cmd.AddCommand(newKeysList(o), newKeysShow(o), newKeysRotate(o), newKeysRevoke(o), newKeysRestore(o), newKeysTrust(o))
	return cmd
}

// listedKey is a key in `stemma keys list --json`.
type listedKey struct {
	ID        string      `json:"keyid"`
	Algorithm string      `json:"algorithm"`
	PublicKey string      `json:"public_key"`
	From      time.Time   `json:"not_before"`
	Until     *time.Time  `json:"not_after"`
	Signs     bool        `json:"signs"`
	Revoked   *time.Time  `json:"revoked"`
	Reason    string      `json:"reason,omitempty"`
	Tier      stemma.Tier `json:"tier"`
}

func newKeysList(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the keys of this machine, with when they were good",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.listKeys(cmd.Context()) },
	}
}

func (o *options) listKeys(ctx context.Context) error {
	dir, keys, err := machineKeys()
	if err != nil {
		return err
	}
	own, err := ownKeys()
	if err != nil {
		return err
	}
	_, revoked, err := statedHere(ctx, own)
	if err != nil {
		return err
	}
	list := make([]listedKey, 0, len(keys))
	for _, k := range keys {
		l := listedKey{ID: k.ID, Algorithm: string(k.Algorithm), PublicKey: k.Public, From: k.From, Until: k.Until, Signs: k.Current, Tier: stemma.TierClaimed}
		for _, r := range revoked {
			if r.KeyID == k.ID {
				l.Revoked, l.Reason = &r.From, r.Reason
			}
		}
		list = append(list, l)
	}
	services, err := serviceKeys()
	if err != nil {
		return err
	}
	served := make([]string, 0, len(services))
	for _, k := range services {
		served = append(served, k.ID)
	}
	if o.json {
		return printJSON(o.out, struct {
			Schema   string      `json:"schema"`
			Folder   string      `json:"folder"`
			Keys     []listedKey `json:"keys"`
			Services []string    `json:"services"` // ids of keys of key services that signed here
		}{"stemma.keys/v1", dir, list, served})
	}
	for _, id := range served {
		fmt.Fprintf(o.out, "%s  of a key service, which signed here\n", evidence.Short(id))
	}
	if len(list) == 0 && len(served) == 0 {
		fmt.Fprintf(o.out, "no key yet: one is made in %s when something is first signed\n", plain(dir))
	}
	for _, k := range list {
		state := "signs"
		switch {
		case k.Revoked != nil:
			state = fmt.Sprintf("revoked from %s (%s)", rfc3339(*k.Revoked), plain(k.Reason))
		case !k.Signs && k.Until == nil:
			state = "made by a rotation that was stopped; the next one takes it"
		case k.Until != nil:
			state = "signed until " + rfc3339(*k.Until)
		}
		fmt.Fprintf(o.out, "%s  %-10s  from %s  %s\n", evidence.Short(k.ID), k.Algorithm, rfc3339(k.From), state)
	}
	return nil
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func newKeysShow(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "show [keyid]",
		Short: "Print a public key as PEM: the one that signs, or one by the beginning of its id",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := shownKey(cmd.Context(), args)
			if err != nil {
				return err
			}
			if o.json {
				return printJSON(o.out, struct {
					Schema    string `json:"schema"`
					ID        string `json:"keyid"`
					PublicKey string `json:"public_key"`
				}{"stemma.key/v1", k.ID, k.Public})
			}
			_, err = io.WriteString(o.out, k.Public)
			return err
		},
	}
}

// shownKey is the key that signs, also where a key service has it, or one of
// this machine.
func shownKey(ctx context.Context, args []string) (ownKey, error) {
	if len(args) == 0 && serviceKey() {
		k, err := signingKey(ctx)
		if err != nil {
			return ownKey{}, err
		}
		public, err := attest.EncodeKey(k.Public())
		return ownKey{ID: k.KeyID(), Public: public}, err
	}
	_, keys, err := machineKeys()
	if err != nil {
		return ownKey{}, err
	}
	return findKey(keys, args)
}

// findKey finds the key that signs, or the one whose id begins so.
func findKey(keys []ownKey, args []string) (ownKey, error) {
	var found []ownKey
	for _, k := range keys {
		if len(args) == 0 && k.Current || len(args) == 1 && args[0] != "" && len(args[0]) <= len(k.ID) && k.ID[:len(args[0])] == args[0] {
			found = append(found, k)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return ownKey{}, fmt.Errorf("%d keys begin with %q: %w", len(found), args[0], stemma.ErrInvalid)
	case len(args) == 0:
		return ownKey{}, hinted{fmt.Errorf("no key yet: %w", stemma.ErrNotFound), "one is made when something is first signed; try stemma export HEAD"}
	}
	return ownKey{}, hinted{fmt.Errorf("no key of this machine begins with %q: %w", args[0], stemma.ErrNotFound), "stemma keys lists them"}
}

func newKeysRotate(o *options) *cobra.Command {
	var algorithm string
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Make a new key that takes the place of the one that signs",
		Long: `Makes a new key. A statement of the rotation is signed by both keys, so that who
believes the old one can follow; then the new key signs and the secret of the
old one is removed. What the old key signed stays good.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := o.rotate(cmd.Context(), algorithm)
			if err != nil {
				return err
			}
			if o.json {
				return printJSON(o.out, struct {
					Schema    string `json:"schema"`
					Old       string `json:"old"`
					New       string `json:"new"`
					Statement string `json:"statement"`
				}{"stemma.rotation/v1", r.old, r.made, r.statement})
			}
			fmt.Fprintf(o.out, "key %s signs from now on, in place of %s\nstatement %s\n", evidence.Short(r.made), evidence.Short(r.old), r.statement)
			return nil
		},
	}
	cmd.Flags().StringVar(&algorithm, "algorithm", "", "`kind` of the new key: ed25519 or ecdsa-p256 (as the old one)")
	return cmd
}

// rotation is what `stemma keys rotate` did.
type rotation struct{ old, made, statement string }

// rotationStatement says that one key takes the place of another.
func rotationStatement(old, made ownKey, now time.Time) (stemma.Statement, error) {
	until := rfc3339(*old.Until)
	return attest.New(attest.TypeKeyRotation, attest.KeyRotation{
		Metadata: attest.Metadata{
			Source: "stemma", EventID: "key-rotation/" + old.ID + "/" + made.ID,
			Observed: rfc3339(now), Claimed: &until, Assertion: stemma.Declared,
		},
		Old: attest.PublicKey{ID: old.ID, PEM: old.Public, From: rfc3339(old.From), Until: &until},
		New: attest.PublicKey{ID: made.ID, PEM: made.Public, From: rfc3339(made.From)},
	}, attest.KeySubject(made.ID))
}

func newKeysRevoke(o *options) *cobra.Command {
	var reason, from string
	cmd := &cobra.Command{
		Use:   "revoke <keyid>",
		Short: "Say that a key is not to be believed any more",
		Long: `Makes a statement that a key of this machine is not to be believed from a time
on. Only what a log is proven to have had before that time stays good: the
time that a statement gives of itself is the signer's word, and a thief can write
any. The key that signs cannot be revoked: rotate it first.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			now := time.Now().UTC().Truncate(time.Second)
			at := now
			if from != "" {
				var err error
				if at, err = time.Parse(time.RFC3339, from); err != nil {
					return fmt.Errorf("--from %q: want a time like 2026-03-01T12:00:00Z: %w", from, stemma.ErrInvalid)
				}
			}
			statement, err := o.revoke(cmd.Context(), args[0], reason, at, now)
			if err != nil {
				return err
			}
			if o.json {
				return printJSON(o.out, struct {
					Schema    string `json:"schema"`
					Statement string `json:"statement"`
				}{"stemma.revocation/v1", statement})
			}
			fmt.Fprintf(o.out, "revoked from %s (%s)\nstatement %s\n", rfc3339(at), reason, statement)
			return nil
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "retired", "`why`: lost, compromised, replaced or retired")
	cmd.Flags().StringVar(&from, "from", "", "`time` from which it is not good (now)")
	return cmd
}

// revoke makes, signs and keeps the statement of a revocation.
func (o *options) revoke(ctx context.Context, id, reason string, from, now time.Time) (string, error) {
	dir, keys, err := machineKeys()
	if err != nil {
		return "", err
	}
	k, err := findKey(keys, []string{id})
	if err != nil {
		return "", err
	}
	if k.Current {
		return "", hinted{fmt.Errorf("key %s signs: %w", evidence.Short(k.ID), stemma.ErrConflict), "run stemma keys rotate first"}
	}
	claimed := rfc3339(from)
	s, err := attest.New(attest.TypeKeyRevocation, attest.KeyRevocation{
		Metadata: attest.Metadata{
			Source: "stemma", EventID: "key-revocation/" + k.ID,
			Observed: rfc3339(now), Claimed: &claimed, Assertion: stemma.Declared,
		},
		KeyID: k.ID, Reason: reason, From: claimed,
	}, attest.KeySubject(k.ID))
	if err != nil {
		return "", err
	}
	signer, err := signingKey(ctx)
	if err != nil {
		return "", err
	}
	return keepKeyStatement(ctx, dir, s, o.warn, signer)
}

func newKeysRestore(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "restore",
		Short: "Put back the statements of rotations and revocations that were deleted",
		Long: `Rotations and revocations are in the log, and in files beside the keys, and count
where either has them. This writes the files that are gone or were changed, and
records what only the files have, so that both have the same again. stemma fsck
says what differs.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			done, err := restoreStatements(cmd.Context(), o.warn)
			if err != nil {
				return err
			}
			if o.json {
				return printJSON(o.out, struct {
					Schema string `json:"schema"`
					restored
				}{"stemma.keys-restore/v1", done})
			}
			for _, digest := range done.Written {
				fmt.Fprintf(o.out, "put back keys/statements/%s%s\n", digest, statementEnding)
			}
			for _, digest := range done.Recorded {
				fmt.Fprintf(o.out, "recorded statement %s\n", digest)
			}
			if len(done.Written)+len(done.Recorded) == 0 {
				fmt.Fprintln(o.out, "nothing is missing")
			}
			return nil
		},
	}
}

func newKeysTrust(o *options) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "Show who is believed, for which statements, and at which tier",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := believed(cmd.Context(), trustFlags{file: file})
			if err != nil {
				return err
			}
			return o.showTrust(t)
		},
	}
	cmd.Flags().StringVar(&file, "trust", "", "read this `file` instead of trust.yaml beside the keys")
	return cmd
}

// trustedParty is one line of `stemma keys trust`.
type trustedParty struct {
	Name       string      `json:"name"`
	Kind       string      `json:"kind"` // key, identity, workflow
	ID         string      `json:"id"`
	Issuer     string      `json:"issuer,omitempty"`
	Refs       []string    `json:"protected_refs,omitempty"`
	Tier       stemma.Tier `json:"tier"`
	Predicates []string    `json:"predicates"` // empty: all
	Pinned     string      `json:"pinned"`
}

func (o *options) showTrust(t trust) error {
	parties := []trustedParty{}
	for _, k := range t.Keys {
		tier := stemma.TierClaimed
		if k.Holder == sign.HeldByServer {
			tier = stemma.TierObserved
		}
		parties = append(parties, trustedParty{Name: k.Name, Kind: "key", ID: k.ID, Tier: tier, Predicates: orNone(k.Predicates), Pinned: k.Pinned})
	}
	for _, id := range t.Identities {
		p := trustedParty{Name: id.Name, Kind: "identity", ID: id.Subject, Issuer: id.Issuer, Tier: stemma.TierClaimed, Predicates: orNone(id.Predicates), Pinned: id.Pinned}
		if id.Workflow != "" {
			p.Kind, p.ID, p.Refs, p.Tier = "workflow", id.Workflow, id.ProtectedRefs, stemma.TierAttested
		}
		parties = append(parties, p)
	}
	if o.json {
		return printJSON(o.out, struct {
			Schema  string         `json:"schema"`
			File    string         `json:"file"` // "" where there is none
			Trusted []trustedParty `json:"trusted"`
			Roots   []string       `json:"roots"`
		}{"stemma.trust/v1", t.file, parties, orNone(t.Roots)})
	}
	if t.file == "" {
		fmt.Fprintln(o.out, "no trust.yaml: only keys of this machine are believed")
	}
	for _, p := range parties {
		id := p.ID
		if p.Kind == "key" {
			id = evidence.Short(id)
		}
		fmt.Fprintf(o.out, "%-8s  %-8s  %s  %s  (%s)\n", p.Tier, p.Kind, plain(p.Name), plain(id), plain(p.Pinned))
		for _, predicate := range p.Predicates {
			fmt.Fprintf(o.out, "                    may say %s\n", plain(predicate))
		}
	}
	return nil
}

func orNone(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
