package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/evidence"
)

// verified is what `stemma verify --json` prints.
type verified struct {
	Schema     string             `json:"schema"`
	Asked      string             `json:"asked"`
	Node       string             `json:"node,omitempty"` // that an exported file is about
	Outcome    string             `json:"outcome"`        // holds, fails, unproven
	Statements []evidence.Verdict `json:"statements"`
	// Anchor compares the log with the checkpoint in the note on the commit.
	Anchor *anchor `json:"anchor,omitempty"`
}

func newVerify(o *options) *cobra.Command {
	var flags trustFlags
	var artifact, proof string
	cmd := &cobra.Command{
		Use:   "verify <file|digest|commit>",
		Short: "Check evidence: signatures, places in the log, subjects, and attribution computed again",
		Long: `Checks signed statements, and says for each claim in them what was checked, by
which key, and at which tier. It needs no network and believes nothing in what it
checks: only the keys of this machine, those given with --key, and trust.yaml
(see stemma keys trust).

What is asked for is a file (a DSSE envelope, a Sigstore bundle, either of these a
line, or what stemma export wrote), the SHA-256 of an envelope that is kept here,
or a commit: then every statement about it that is kept here.

The claims:

  form         it is what it looks like, in strict JSON
  predicate    the statement is what its type asks for
  signature    who signed it, whether they are believed, and what that proves
  inclusion    the envelope is an entry of a log
  checkpoint   the log has signed the head that the proof leads to; who saw it, and when
  subject      what the statement is about is here, with this digest
  derivation   an attribution, computed again from git, is equal
  anchor       the log still holds what stemma's note on the commit says it held

Each holds, fails, or is unknown: nothing was there to check it with. A key of a
machine proves that nothing changed since it was recorded, and no more.

Exit codes: 0 nothing fails, and every statement is signed by somebody who is
believed; 7 a claim fails; 8 nothing fails, but a statement is signed by nobody
who is believed; others as for every command.`,
		Example: `  stemma verify HEAD
  stemma verify evidence.tar --key ada.pub --log-key acme.vkey
  stemma verify pay.sigstore.json --artifact dist/pay.tar.gz
  stemma verify pay.dsse.json --proof 42.tlog-proof --log-key acme.vkey
  stemma verify evidence.tar --json | jq '.statements[].claims[] | select(.result != "holds")'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.verify(cmd.Context(), args[0], flags, artifact, proof)
		},
	}
	cmd.Flags().StringVar(&flags.file, "trust", "", "believe this `file` instead of trust.yaml beside the keys")
	cmd.Flags().StringArrayVar(&flags.keys, "key", nil, "believe the public key in this `file` as well (PEM)")
	cmd.Flags().StringArrayVar(&flags.logs, "log-key", nil, "believe the log with this verifier `key`, or with the one in this file")
	cmd.Flags().StringArrayVar(&flags.seen, "witness-key", nil, "believe the witness with this verifier `key`, or with the one in this file")
	cmd.Flags().StringVar(&proof, "proof", "", "check that the log has the statement, by the proof in this `file` (stemma tlog prove)")
	cmd.Flags().StringVar(&artifact, "artifact", "", "check that the statements are about this `file`")
	return cmd
}

// The exit codes of verify.
const (
	exitFails    = 7 // a claim of the evidence fails
	exitUnproven = 8 // nothing fails, and nobody who is believed has signed
)

// maxProof is the size in bytes over which a proof is not read.
const maxProof = 1 << 20

// outcome ends a command with an exit code and without a word: what there is
// to say was said.
type outcome int

func (c outcome) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

func (o *options) verify(ctx context.Context, asked string, flags trustFlags, artifact, proof string) error {
	t, err := believed(ctx, flags)
	if err != nil {
		return err
	}
	if own, err := ownLogKeyText(); err == nil {
		keys, err := logKeysOf(own, t.witnesses...)
		if err != nil {
			return err
		}
		t.logs = append(t.logs, keys)
	} else if !errors.Is(err, stemma.ErrNotFound) {
		return err
	}
	v := o.verifier(t)
	b, err := o.openHere(ctx)
	if err != nil {
		return err
	}
	if b != nil {
		defer b.close()
		v.Derive, v.Subjects = b.derive, b.subjects
	}
	if artifact != "" {
		sum, err := hashFile(artifact)
		if err != nil {
			return err
		}
		v.Subjects = evidence.FileSubject(sum)
	}
	x, err := o.find(ctx, asked, b)
	found := err
	if err != nil && !errors.Is(err, stemma.ErrNotFound) {
		return err
	}
	if proof != "" {
		if len(x.Pieces) != 1 {
			return fmt.Errorf("--proof is of one statement, and %s has %d: %w", asked, len(x.Pieces), stemma.ErrInvalid)
		}
		if x.Pieces[0].Proof, err = readSmall(proof, maxProof); err != nil {
			return err
		}
	}
	out := verified{Schema: "stemma.verify/v1", Asked: asked, Node: x.Node, Outcome: "holds", Statements: []evidence.Verdict{}}
	code := exitOK
	if commit, ok := strings.CutPrefix(x.Node, "commit:"); ok && b != nil {
		if out.Anchor, err = b.anchorOf(ctx, commit); err != nil {
			return err
		}
	}
	if out.Anchor != nil && out.Anchor.Result == evidence.Fails {
		code, out.Outcome = exitFails, "fails"
	} else if found != nil {
		return found
	}
	for _, p := range x.Pieces {
		verdict, err := v.Verify(ctx, p)
		if err != nil {
			return err
		}
		out.Statements = append(out.Statements, verdict)
		switch {
		case verdict.Fails():
			code, out.Outcome = exitFails, "fails"
		case !verdict.Proven() && code == exitOK:
			code, out.Outcome = exitUnproven, "unproven"
		}
	}
	if o.json {
		err = printJSON(o.out, out)
	} else {
		err = o.printVerified(out)
	}
	if err == nil && code != exitOK {
		return outcome(code)
	}
	return err
}

// openHere opens the repository that the command is run in, and gives nil
// where it is run in none.
func (o *options) openHere(ctx context.Context) (*bench, error) {
	b, err := open(ctx, o.path, o.store)
	if o.path == "" && (errors.Is(err, stemma.ErrNotFound) || errors.Is(err, stemma.ErrInvalid) || errors.Is(err, stemma.ErrDenied)) {
		return nil, nil
	}
	return b, err
}

// find gives the pieces that are asked for.
func (o *options) find(ctx context.Context, asked string, b *bench) (evidence.Export, error) {
	st, err := os.Stat(asked)
	if err == nil && st.Mode().IsRegular() {
		text, err := readSmall(asked, evidence.MaxFile)
		if err != nil {
			return evidence.Export{}, err
		}
		x, err := evidence.Read(text)
		if err != nil {
			return x, fmt.Errorf("%s: %w", asked, err)
		}
		return x, nil
	}
	isDigest := len(asked) == 64 && strings.Trim(asked, "0123456789abcdef") == ""
	if b == nil && !isDigest {
		return evidence.Export{}, hinted{fmt.Errorf("%s: no such file, and no repository here: %w", asked, stemma.ErrNotFound), "name a file of evidence, or run this in a repository"}
	}
	return kept(ctx, asked, isDigest, b)
}

// kept gives the pieces of the evidence of this machine.
func kept(ctx context.Context, asked string, isDigest bool, b *bench) (evidence.Export, error) {
	s, err := readSpine(ctx)
	if err != nil {
		return evidence.Export{}, err
	}
	defer s.close()
	archive := evidence.Archive{Store: s.evidence, Tree: s.tree, Keys: s.keys}
	if archive.Earlier, err = keptCheckpoints(s.keys, func(string, error) {}); err != nil {
		return evidence.Export{}, err
	}
	if isDigest {
		p, err := archive.Envelope(ctx, asked)
		if err == nil {
			return evidence.Export{Pieces: []evidence.Piece{p}}, nil
		}
		if b == nil || !errors.Is(err, stemma.ErrNotFound) {
			return evidence.Export{}, err
		}
	}
	id, err := b.repo.Resolve(ctx, asked)
	if err != nil {
		return evidence.Export{}, err
	}
	pieces, err := archive.About(ctx, "gitCommit:"+id)
	if err == nil && len(pieces) == 0 {
		err = hinted{fmt.Errorf("no statement about commit %s is recorded: %w", short(id), stemma.ErrNotFound), "stemma export " + short(id) + " records what is known of it"}
	}
	return evidence.Export{Node: stemma.CommitID(id).String(), Pieces: pieces}, err
}

func hashFile(path string) ([sha256.Size]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("%s: %v: %w", path, reason(err), stemma.ErrNotFound)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("read %s: %v: %w", path, reason(err), stemma.ErrUnavailable)
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// derive computes a stated attribution again, by the rules that it names.
func (b *bench) derive(ctx context.Context, a attest.Attribution) (stemma.Attribution, error) {
	again := *b
	again.settings.AgentEra, again.settings.Generated = a.Rules.AgentEra, a.Rules.Generated
	told, err := again.attribute(ctx, a.Commit)
	return told.Row, err
}

// subjects says whether the commits that a statement is about are here.
func (b *bench) subjects(ctx context.Context, s stemma.Statement) (evidence.Result, string, error) {
	some := false
	for _, sub := range s.Subject {
		oid, ok := sub.Digest["gitCommit"]
		if !ok {
			continue
		}
		some = true
		_, err := b.repo.Commit(ctx, oid)
		if errors.Is(err, stemma.ErrNotFound) || errors.Is(err, stemma.ErrInvalid) {
			return evidence.Unknown, fmt.Sprintf("commit %s is not in this repository", short(oid)), nil
		}
		if err != nil {
			return evidence.Unknown, "", err
		}
	}
	if !some {
		return evidence.Unknown, "it is about no commit; --artifact compares it with a file", nil
	}
	return evidence.Holds, "", nil
}

func (o *options) printVerified(v verified) error {
	p, err := o.painter()
	if err != nil {
		return err
	}
	if v.Node != "" {
		fmt.Fprintf(o.out, "%s\n", p.bold(plain(v.Node)))
	}
	if v.Anchor != nil {
		fmt.Fprintf(o.out, "  %-10s  %-7s  %s\n", "anchor", v.Anchor.Result, plain(v.Anchor.Says))
	}
	for i, s := range v.Statements {
		if i > 0 || v.Node != "" {
			fmt.Fprintln(o.out)
		}
		what := s.PredicateType
		if what == "" {
			what = "not a statement"
		}
		fmt.Fprintf(o.out, "%s  %s\n", p.bold(plain(what)), evidence.Short(s.Envelope))
		for _, sub := range s.Subjects {
			fmt.Fprintf(o.out, "  about       %s\n", plain(subjectText(sub)))
		}
		for _, c := range s.Claims {
			printClaim(o.out, p, c)
		}
		for _, path := range s.NotUnderstood {
			fmt.Fprintf(o.out, "  signed, and not understood: %s\n", plain(path))
		}
	}
	return nil
}

func subjectText(s stemma.Subject) string {
	var parts []string
	for _, text := range []string{s.Name, s.URI} {
		if text != "" {
			parts = append(parts, text)
		}
	}
	for _, algorithm := range []string{"gitCommit", "sha256"} {
		if d := s.Digest[algorithm]; d != "" {
			parts = append(parts, algorithm+":"+evidence.Short(d))
		}
	}
	return strings.Join(parts, "  ")
}

func printClaim(w io.Writer, p painter, c evidence.Claim) {
	line := fmt.Sprintf("  %-10s  %-7s  %s", c.Claim, c.Result, plain(c.Says))
	if c.Tier != "" {
		line += fmt.Sprintf(" (tier %s)", c.Tier)
	}
	if c.Result == evidence.Fails {
		line = p.bold(line)
	}
	fmt.Fprintln(w, line)
	if c.By != "" {
		fmt.Fprintf(w, "                       %s\n", p.faint("by "+plain(c.By)))
	}
	for _, reason := range c.Reasons {
		fmt.Fprintf(w, "                       %s\n", p.faint(plain(reason)))
	}
}
