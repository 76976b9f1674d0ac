package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/evidence"
	"github.com/stemma-dev/stemma/internal/record"
)

// exported is what `stemma export --json` prints.
type exported struct {
	Schema     string   `json:"schema"`
	Node       string   `json:"node"`
	File       string   `json:"file"`
	Statements []string `json:"statements"` // digests of envelopes
	Proofs     int      `json:"proofs"`
	Key        string   `json:"keyid"`
}

func newExport(o *options) *cobra.Command {
	var file, format string
	var write, slsa bool
	cmd := &cobra.Command{
		Use:   "export <commit|node|range>",
		Short: "Write the signed statements about a commit, with proofs, into one file that others can check",
		Long: `Writes one file with every statement about a node: each signed envelope as it is
stored, and as a Sigstore bundle, with the proof that the log has it, and the
public keys. Of a commit that has none yet, the attribution as it is known now
becomes a statement first: its line ranges, and the digests of what they were
computed from, so that anybody with the repository can compute it again.

The file is a tar whose members are all in a form that other tools read: cosign
verifies statements/*.sigstore.json with the key in keys/. The keys in it are
there to be compared with what you know, not to be believed.

With --slsa a session is told as SLSA provenance as well, of the commits that hold
its lines (build type https://refs.arewm.com/agent-commit/v0.3).

With --format the attribution of a commit, or of each in a range, is printed in a
form that other tools read: gitai-notes (git-ai's notes; --write puts them on
refs/notes/ai, beside those that git-ai wrote), agent-trace (one JSON record a line),
trailers ("Assisted-by: AGENT:MODEL").`,
		Example: `  stemma export HEAD -o evidence.tar
  stemma verify evidence.tar --key ada.pub
  stemma export session:claude-code/6f1e --slsa -o session.tar
  stemma export main..HEAD --format agent-trace
  stemma export v1.2..HEAD --format gitai-notes --write`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "" || write {
				return o.exportFormat(cmd.Context(), format, args[0], write)
			}
			return o.export(cmd.Context(), args[0], file, slsa)
		},
	}
	cmd.Flags().StringVarP(&file, "output", "o", "", "`file` to write, - for standard output (evidence-<node>.tar)")
	cmd.Flags().BoolVar(&slsa, "slsa", false, "tell a session as SLSA provenance of its commits as well")
	cmd.Flags().StringVar(&format, "format", "", "print the attribution in this `format` of others: "+strings.Join(interop, ", "))
	cmd.Flags().BoolVar(&write, "write", false, "with --format gitai-notes: write the notes to refs/notes/ai")
	return cmd
}

func (o *options) export(ctx context.Context, asked, file string, slsa bool) error {
	b, err := o.ready(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	node, err := b.exportNode(ctx, asked)
	if err != nil {
		return err
	}
	x, err := o.gather(ctx, b, node, slsa)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := evidence.Write(&text, x); err != nil {
		return err
	}
	if file == "" {
		file = "evidence-" + strings.Map(func(r rune) rune {
			if strings.ContainsRune(`/\:#!@ `, r) {
				return '-'
			}
			return r
		}, shortNode(node)) + ".tar"
	}
	if file == "-" {
		_, err := io.Copy(o.out, &text)
		return err
	}
	if err := os.WriteFile(file, text.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write %s: %v: %w", file, reason(err), stemma.ErrDenied)
	}
	out := exported{Schema: "stemma.exported/v1", Node: node.String(), File: filepath.ToSlash(file)}
	for _, p := range x.Pieces {
		out.Statements = append(out.Statements, attest.Digest(p.Envelope))
		if p.Proof != nil {
			out.Proofs++
		}
	}
	if o.json {
		return printJSON(o.out, out)
	}
	fmt.Fprintf(o.out, "%s: %d statements about %s, %d with a proof that the log has them\n", file, len(x.Pieces), plain(shortNode(node)), out.Proofs)
	return nil
}

func shortNode(id stemma.NodeID) string {
	if id.Kind == stemma.KindCommit {
		return string(id.Kind) + ":" + short(id.Key)
	}
	return id.String()
}

// exportNode finds the node that is asked for: "kind:key", or a commit.
func (b *bench) exportNode(ctx context.Context, asked string) (stemma.NodeID, error) {
	if kind, key, ok := strings.Cut(asked, ":"); ok && stemma.NodeKind(kind).Valid() {
		return b.node(ctx, stemma.NodeKind(kind), key)
	}
	id, err := b.repo.Resolve(ctx, asked)
	return stemma.CommitID(id), err
}

// statements gives the attribution of a commit as statements.
func (b *bench) statements(ctx context.Context, commit string) ([]stemma.Statement, error) {
	told, err := b.attribute(ctx, commit)
	if err != nil {
		return nil, err
	}
	row := told.Row
	return attest.Attributions(row, b.clone.Repository,
		attest.Rules{AgentEra: b.settings.AgentEra, Generated: b.settings.Generated},
		attest.Metadata{
			Source:    "stemma",
			EventID:   fmt.Sprintf("attribution/%s/%s/%d/%s", b.clone.Repository, commit, row.Algorithm, row.Input),
			Observed:  time.Now().UTC().Format(time.RFC3339),
			Assertion: stemma.Inferred,
		})
}

// gather puts together what is recorded of a node, with proofs; of a commit, its
// attribution as it is known now is recorded first, unless it was before.
func (o *options) gather(ctx context.Context, b *bench, node stemma.NodeID, slsa bool) (evidence.Export, error) {
	x := evidence.Export{Node: node.String()}
	s, err := openSpine(ctx, o.warn)
	if err != nil {
		return x, err
	}
	defer func() {
		if err := s.close(); err != nil {
			o.warn(err.Error()) // nothing is lost: it is durable already
		}
	}()
	subject := "uri:" + attest.NodeURI(node)
	if node.Kind == stemma.KindCommit {
		subject = "gitCommit:" + node.Key
		if err := b.recordAttribution(ctx, s, node.Key); err != nil {
			return x, err
		}
	}
	archive := evidence.Archive{Store: s.evidence, Tree: s.tree, Keys: s.keys}
	digest := ""
	if slsa {
		if digest, err = b.recordAgentCommit(ctx, s, node); err != nil {
			return x, err
		}
	}
	if x.Pieces, err = archive.About(ctx, subject); err != nil {
		return x, err
	}
	if digest != "" {
		p, err := archive.Envelope(ctx, digest)
		if err != nil {
			return x, err
		}
		x.Pieces = append(x.Pieces, p)
	}
	if len(x.Pieces) == 0 {
		return x, fmt.Errorf("nothing is recorded about %s: %w", node, stemma.ErrNotFound)
	}
	_, own, err := machineKeys()
	if err != nil {
		return x, err
	}
	for _, k := range own {
		x.Keys = append(x.Keys, k.Public)
	}
	if serviceKey() {
		k, err := shownKey(ctx, nil)
		if err != nil {
			return x, err
		}
		x.Keys = append(x.Keys, k.Public)
	}
	x.LogKey, err = ownLogKeyText()
	return x, err
}

// recordAgentCommit records a session as provenance of its commits, and gives the
// digest of the envelope.
func (b *bench) recordAgentCommit(ctx context.Context, s *spine, node stemma.NodeID) (string, error) {
	if node.Kind != stemma.KindSession {
		return "", fmt.Errorf("--slsa tells a session, and %s is none: %w", node, stemma.ErrInvalid)
	}
	t, err := b.tale(ctx, node.Key)
	if errors.Is(err, stemma.ErrNotFound) {
		return "", hinted{fmt.Errorf("nothing is recorded of session %s: %w", node.Key, stemma.ErrNotFound), "stemma session import reads transcripts"}
	}
	if err != nil {
		return "", err
	}
	st, err := evidence.AgentCommit(t, time.Now())
	if err != nil {
		return "", err
	}
	submission, err := record.NewSubmission(st)
	if err != nil {
		return "", err
	}
	receipts, err := s.published(ctx, []record.Submission{submission})
	if err != nil {
		return "", err
	}
	return receipts[0].Digest.String(), nil
}

// recordAttribution records what a commit's lines are attributed to, and waits
// until the log's checkpoint covers it.
func (b *bench) recordAttribution(ctx context.Context, s *spine, commit string) error {
	submissions, err := b.attributionSubmissions(ctx, commit)
	if err != nil {
		return err
	}
	_, err = s.published(ctx, submissions)
	return err
}

// published records, and waits until the log's checkpoint covers it.
func (s *spine) published(ctx context.Context, submissions []record.Submission) ([]record.Receipt, error) {
	receipts, err := s.recorder.Record(ctx, submissions)
	if err != nil {
		return nil, err
	}
	last := uint64(0)
	for _, r := range receipts {
		last = max(last, r.Index)
	}
	_, err = s.log.Published(ctx, last+1)
	return receipts, err
}

// attributionSubmissions gives the attribution of a commit, as it is known now,
// for the record.
func (b *bench) attributionSubmissions(ctx context.Context, commit string) ([]record.Submission, error) {
	statements, err := b.statements(ctx, commit)
	if err != nil {
		return nil, err
	}
	var submissions []record.Submission
	for _, st := range statements {
		sub, err := record.NewSubmission(st)
		if err != nil {
			return nil, err
		}
		submissions = append(submissions, sub)
	}
	return submissions, nil
}
