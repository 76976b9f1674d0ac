package record

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/redact"
	"github.com/stemma-dev/stemma/internal/vault"
)

// Vault keeps encrypted content; *vault.Vault is one.
type Vault interface {
	PutAll(ctx context.Context, contents []vault.Content) ([]vault.Reference, error)
}

// Item is a piece of content of a submission: a prompt, a transcript, a
// snapshot. Its bytes are what was captured; Record redacts them.
type Item struct {
	// Name says what it is: "transcript".
	Name string
	vault.Content
}

// Keep redacts and encrypts content, and gives a commitment for each item, in
// order, for a statement that is made afterwards; and what was taken out, by
// kind. How the content is redacted follows from its media type: JSON, a JSON
// value a line, or text. The number of lines stays.
//
// The same content of the same session gives the same commitment, however often
// it is kept. The error is ErrUnavailable where there is no vault, and that of
// the vault; what was erased is not kept again.
func (r *Recorder) Keep(ctx context.Context, items []Item) ([]attest.Commitment, redact.Findings, error) {
	if r.cfg.Vault == nil || r.cfg.Redact == nil {
		return nil, nil, fmt.Errorf("there is no vault to keep content in: %w", stemma.ErrUnavailable)
	}
	found := make(redact.Findings)
	clean := make([]vault.Content, len(items))
	for i, item := range items {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		clean[i] = item.Content
		var f redact.Findings
		clean[i].Bytes, f = r.redact(item.Media, item.Bytes)
		clean[i].Rules = r.cfg.Redact.Rules()
		found.Add(f)
	}
	refs, err := r.cfg.Vault.PutAll(ctx, clean)
	if err != nil {
		return nil, nil, err
	}
	kept := make([]attest.Commitment, len(items))
	for i, ref := range refs {
		kept[i] = attest.Commitment{
			Name: items[i].Name, Digest: strings.TrimPrefix(ref.Commitment, "sha256:"), Vault: ref.URI,
			Lines: lines(clean[i].Bytes), Bytes: int64(len(clean[i].Bytes)),
		}
	}
	return kept, found, nil
}

// jsonLines are the media types of documents with a JSON value a line.
var jsonLines = []string{"application/jsonl", "application/x-ndjson", "application/x-jsonlines", "application/json-lines"}

func (r *Recorder) redact(media string, content []byte) ([]byte, redact.Findings) {
	media, _, _ = strings.Cut(media, ";")
	switch media = strings.TrimSpace(media); {
	case slices.Contains(jsonLines, media):
		return r.cfg.Redact.JSONL(content)
	case media == "application/json" || strings.HasSuffix(media, "+json"):
		return r.cfg.Redact.JSON(content)
	}
	return r.cfg.Redact.Text(content)
}

// lines counts lines; the last one needs no newline.
func lines(content []byte) int {
	n := bytes.Count(content, []byte("\n"))
	if len(content) > 0 && content[len(content)-1] != '\n' {
		n++
	}
	return n
}
