package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/record"
	"github.com/stemma-dev/stemma/internal/vault"
)

// erasedOut is what `stemma erase --json` and `stemma hold release --json` print
// (schema stemma.erasure/v1), one object a line.
type erasedOut struct {
	Schema string `json:"schema"`
	DryRun bool   `json:"dry_run"`
	vault.Erasure
	Holds []vault.Hold `json:"holds"` // that forbid it
}

type eraseFlags struct {
	session, person string
	expired         bool
	request         vault.Request
	dry, yes        bool
}

func newErase(o *options) *cobra.Command {
	var f eraseFlags
	cmd := &cobra.Command{
		Use:   "erase (--session <id> | --person <pseudonym> | --expired)",
		Short: "Erase a session or a person, and leave a signed tombstone",
		Long: `Destroys the keys that content is encrypted with, and the salts of its
commitments; with them the content is gone in every copy of the encrypted
objects. The encrypted objects, the spool and the copies of keys that key-copies
names lose it too. A signed statement says what was erased, why and on which
legal basis; every proof about every statement still verifies.

--session erases a session, whoever owns it. --person erases what the person
wrote, the sessions that nobody else owns, and the link from the person to the
pseudonym; what the agent and others wrote in a shared session stays with the
owners that are left. --expired erases what is over the term of its class, which
retention.json beside trust.yaml may change.

What a legal hold covers is not erased now, but when the hold is released. An
erasure that was stopped is finished by the next one.

What is in git itself is out of reach: commits, notes and trailers that were
pushed are everybody's. So is what a backup of the folder of keys holds that is
not named in key-copies, until that backup is gone. See doc/trust.md.`,
		Example: `  stemma erase --session claude-code/0198f3a2 --dry-run
  stemma erase --person 5f2c… --legal-basis "GDPR Art. 17(1)(b)" --reason "consent withdrawn" --yes
  stemma erase --expired --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.erase(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.session, "session", "", "erase this `session`, by its agent and id")
	flags.StringVar(&f.person, "person", "", "erase this `person`, by pseudonym or identity")
	flags.BoolVar(&f.expired, "expired", false, "erase what is kept longer than its class asks for")
	flags.StringVar(&f.request.Reason, "reason", "asked for", "why, in words that name nobody")
	flags.StringVar(&f.request.Basis, "legal-basis", "GDPR Art. 17", "the law or rule that asks for it")
	flags.StringVar(&f.request.By, "by", "", "`pseudonym` of the person who wants it (default: this program)")
	flags.BoolVar(&f.dry, "dry-run", false, "tell what would be erased, and erase nothing")
	flags.BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	cmd.MarkFlagsMutuallyExclusive("session", "person", "expired")
	cmd.MarkFlagsOneRequired("session", "person", "expired")
	return cmd
}

func (o *options) erase(ctx context.Context, f eraseFlags) (err error) {
	if f.request.By, err = byWhom(f.request.By); err != nil {
		return err
	}
	if err := namesNobody("reason", f.request.Reason); err != nil {
		return err
	}
	if err := namesNobody("legal basis", f.request.Basis); err != nil {
		return err
	}
	if f.dry {
		v, err := readVault(ctx)
		if err != nil {
			return err
		}
		defer v.Close()
		return o.previewErasure(ctx, v, f, true)
	}
	s, v, err := o.eraseSpine(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close(), s.close()) }()
	if !f.yes {
		if err := o.previewErasure(ctx, v, f, false); err != nil {
			return err
		}
		if err := o.confirm("erase it, for ever"); err != nil {
			return err
		}
	}
	if f.expired {
		done, err := v.Expire(ctx, time.Now(), false)
		return errors.Join(o.showErasures(done, nil, false), err)
	}
	var e vault.Erasure
	if f.person != "" {
		if f.request.Target, err = v.Person(ctx, f.person); err == nil {
			e, err = v.ErasePerson(ctx, f.request)
		}
	} else {
		f.request.Target = f.session
		e, err = v.EraseSession(ctx, f.request)
	}
	if err != nil {
		var held *vault.HeldError
		if errors.As(err, &held) {
			return hinted{err, "stemma hold release " + held.Holds[0].ID + " carries it out"}
		}
		return err
	}
	return o.showErasures([]vault.Erasure{e}, nil, false)
}

// byWhom gives who wants something, for a statement: a person by pseudonym, or
// this program.
func byWhom(pseudonym string) (string, error) {
	if pseudonym == "" {
		return "stemma", nil
	}
	return record.ByPerson + pseudonym, namesNobody("name of who wants it", pseudonym)
}

// namesNobody refuses words that stay in the log for ever and name somebody.
func namesNobody(what, text string) error {
	if clean, found := redactor().Text([]byte(text)); found.Total() > 0 {
		return fmt.Errorf("the %s holds personal data, and would stay in the log: %s: %w", what, clean, stemma.ErrInvalid)
	}
	return nil
}

// previewErasure prints what would be erased.
func (o *options) previewErasure(ctx context.Context, v *vault.Vault, f eraseFlags, result bool) error {
	var list []vault.Erasure
	var holds []vault.Hold
	if f.expired {
		var err error
		if list, err = v.Expire(ctx, time.Now(), true); err != nil {
			return err
		}
	} else {
		what, r := vault.KindSession, f.request
		r.Target = f.session
		var err error
		if f.person != "" {
			what = vault.KindPerson
			if r.Target, err = v.Person(ctx, f.person); err != nil {
				return err
			}
		}
		var e vault.Erasure
		if e, holds, err = v.Preview(ctx, what, r); err != nil {
			return err
		}
		list = []vault.Erasure{e}
	}
	if result {
		return o.showErasures(list, holds, true)
	}
	out := *o
	out.out, out.json = o.err, false
	return out.showErasures(list, holds, true)
}

// showErasures prints erasures, done or only looked at.
func (o *options) showErasures(list []vault.Erasure, holds []vault.Hold, dry bool) error {
	for _, e := range list {
		if o.json {
			if err := printLine(o.out, erasedOut{Schema: "stemma.erasure/v1", DryRun: dry, Erasure: e, Holds: append([]vault.Hold{}, holds...)}); err != nil {
				return err
			}
			continue
		}
		verb := "erased"
		if dry {
			verb = "would erase"
		}
		fmt.Fprintf(o.out, "%s %s %s: %s and %s destroyed\n", verb, e.Kind, plain(e.Target), number(e.Keys, "key"), number(e.Objects, "object"))
		for _, s := range e.Sessions {
			if e.Kind != vault.KindSession {
				fmt.Fprintf(o.out, "  session %s, all of it\n", plain(s))
			}
		}
		for _, s := range e.Partly {
			fmt.Fprintf(o.out, "  session %s, in part\n", plain(s))
		}
		if !dry {
			fmt.Fprintf(o.out, "  tombstone %s (%s)\n", e.ID, plain(e.Basis))
		}
	}
	if len(list) == 0 && !o.json {
		fmt.Fprintln(o.out, "nothing is over its term")
	}
	for _, h := range holds {
		if !o.json {
			fmt.Fprintf(o.out, "  but for legal hold %s on %s (%s)\n", h.ID, plain(strings.TrimSpace(h.Kind+" "+h.Target)), plain(h.Reason))
		}
	}
	return nil
}

// confirm asks on a terminal, and refuses where there is none.
func (o *options) confirm(what string) error {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return hinted{fmt.Errorf("this can not be undone, and nobody is there to confirm it: %w", stemma.ErrDenied), "give --yes to do it, or --dry-run to look"}
	}
	fmt.Fprintf(o.err, "%s? [y/N] ", what)
	answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %v: %w", err, stemma.ErrUnavailable)
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return hinted{fmt.Errorf("nothing was erased: %w", stemma.ErrDenied), "answer y to do it"}
	}
	return nil
}
