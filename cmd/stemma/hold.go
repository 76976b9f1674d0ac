package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/vault"
)

// heldOut is what `stemma hold add --json` and `list --json` print (schema
// stemma.hold/v1), one object a line.
type heldOut struct {
	Schema string `json:"schema"`
	vault.Hold
}

func newHold(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hold",
		Short: "Legal holds: what must not be erased now",
		Long: `A legal hold keeps a session, a person's sessions or everything from being erased
and from expiring: duties and claims in law go before the wish to be forgotten
(GDPR, Article 17(3)). An erasure that is asked for meanwhile waits, and is
carried out when the last hold on it is released. Who holds must say why.

Placing and releasing a hold are signed statements in the log: what it states is
in force, whatever becomes of the vault's index. So the reason stays for ever, and
must name nobody.`,
		Example: `  stemma hold add --session claude-code/0198f3a2 --reason "incident 7"
  stemma hold list
  stemma hold release 3fb1c2aa09d4`,
	}
	cmd.AddCommand(newHoldAdd(o), newHoldList(o), newHoldRelease(o))
	return cmd
}

func newHoldAdd(o *options) *cobra.Command {
	var session, person, why, by string
	var all bool
	cmd := &cobra.Command{
		Use:     "add (--session <id> | --person <pseudonym> | --all) --reason <text>",
		Short:   "Put a legal hold on a session, a person or everything",
		Example: `  stemma hold add --person 5f2c0a… --reason "claim 12/2026"`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			ctx := cmd.Context()
			if err := namesNobody("reason", why); err != nil {
				return err
			}
			if by, err = byWhom(by); err != nil {
				return err
			}
			s, v, err := o.eraseSpine(ctx)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, v.Close(), s.close()) }()
			what, target := vault.KindAll, ""
			switch {
			case session != "":
				what, target = vault.KindSession, session
			case person != "":
				what = vault.KindPerson
				if target, err = v.Person(ctx, person); errors.Is(err, stemma.ErrNotFound) {
					target = person // who may come yet
				} else if err != nil {
					return err
				}
			}
			h, err := v.Hold(ctx, what, target, why, by)
			if err != nil {
				return err
			}
			return o.showHold(h)
		},
	}
	f := cmd.Flags()
	f.StringVar(&session, "session", "", "hold this `session`")
	f.StringVar(&person, "person", "", "hold this `person` and all sessions the person owns")
	f.BoolVar(&all, "all", false, "hold everything")
	f.StringVar(&why, "reason", "", "why it must not be erased, in words that name nobody")
	f.StringVar(&by, "by", "", "`pseudonym` of the person who places it (default: this program)")
	cmd.MarkFlagsMutuallyExclusive("session", "person", "all")
	cmd.MarkFlagsOneRequired("session", "person", "all")
	_ = cmd.MarkFlagRequired("reason") // the flag exists
	return cmd
}

func newHoldList(o *options) *cobra.Command {
	var released bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the legal holds in force, and the erasures that wait for them",
		Example: "  stemma hold list --released",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			ctx := cmd.Context()
			v, err := readVault(ctx)
			if errors.Is(err, stemma.ErrNotFound) {
				return nil // no vault, no hold
			}
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, v.Close()) }()
			holds, err := v.Holds(ctx, released)
			if err != nil {
				return err
			}
			for _, h := range holds {
				if err := o.showHold(h); err != nil {
					return err
				}
			}
			return o.showWaiting(ctx, v)
		},
	}
	cmd.Flags().BoolVar(&released, "released", false, "also list those that are released")
	return cmd
}

func newHoldRelease(o *options) *cobra.Command {
	var by string
	cmd := &cobra.Command{
		Use:     "release <hold>",
		Short:   "Release a legal hold, and carry out the erasures that waited for it",
		Example: "  stemma hold release 3fb1c2aa09d4",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			ctx := cmd.Context()
			if by, err = byWhom(by); err != nil {
				return err
			}
			s, v, err := o.eraseSpine(ctx)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, v.Close(), s.close()) }()
			done, err := v.Release(ctx, args[0], by)
			if err == nil && !o.json {
				fmt.Fprintf(o.out, "released %s\n", plain(args[0]))
			}
			if len(done) > 0 {
				err = errors.Join(o.showErasures(done, nil, false), err)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&by, "by", "", "`pseudonym` of the person who releases it (default: this program)")
	return cmd
}

func (o *options) showHold(h vault.Hold) error {
	if o.json {
		return printLine(o.out, heldOut{"stemma.hold/v1", h})
	}
	what := h.Kind
	if h.Target != "" {
		what += " " + h.Target
	}
	state := ""
	if h.Released != 0 {
		state = ", released " + dated(h.Released)
	}
	_, err := fmt.Fprintf(o.out, "%s %s since %s%s: %s\n", h.ID, plain(what), dated(h.Made), state, plain(h.Reason))
	return err
}

// showWaiting prints the erasures that wait for a hold.
func (o *options) showWaiting(ctx context.Context, v *vault.Vault) error {
	all, left, err := v.Erasures(ctx)
	if err != nil || o.json {
		return err
	}
	for i, e := range all {
		if left[i] != "" {
			fmt.Fprintf(o.out, "  erasure of %s %s, asked for on %s, %s\n", e.Kind, plain(e.Target), dated(e.Time), left[i])
		}
	}
	return nil
}

func dated(t int64) string { return time.Unix(t, 0).UTC().Format(time.DateOnly) }

// printLine prints a JSON object on a line.
func printLine(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return err
}
