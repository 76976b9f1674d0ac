package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"znkr.io/diff/textdiff"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
)

// configContent is the name of the content that holds the configuration a session
// ran with.
const configContent = "config"

// keptConfig is that content.
type keptConfig struct {
	Files []agent.ConfigFile `json:"files"`
}

// redactedConfig takes secrets out of the texts of a configuration: settings hold
// keys, and servers are called with tokens.
func redactedConfig(files []agent.ConfigFile) []agent.ConfigFile {
	r := redactor()
	files = slices.Clone(files)
	for i, f := range files {
		if strings.HasSuffix(f.Path, ".json") && json.Valid([]byte(f.Text)) {
			text, _ := r.JSON([]byte(f.Text))
			files[i].Text = string(text)
			continue
		}
		text, _ := r.Text([]byte(f.Text))
		files[i].Text = string(text)
	}
	return files
}

// configTexts gives the texts of the configuration that a session ran with, by
// scope and path, as the vault keeps them.
func (b *bench) configTexts(ctx context.Context, t agent.Tale, reason string) (map[[2]string]string, error) {
	var uris []string
	for _, c := range t.Content {
		if c.Name == configContent {
			uris = []string{c.Vault} // the last
		}
	}
	open, err := b.reader(ctx, t.Key, "settings", reason, uris...)
	if err != nil {
		return nil, err
	}
	opened, err := open(ctx, uris[0])
	if err != nil {
		return nil, err
	}
	var kept keptConfig
	if err := json.Unmarshal(opened.Bytes, &kept); err != nil {
		return nil, fmt.Errorf("configuration of session %s: %v: %w", t.Key, err, stemma.ErrInvalid)
	}
	texts := make(map[[2]string]string)
	for _, f := range kept.Files {
		texts[[2]string{f.Scope, f.Path}] = f.Text
	}
	return texts, nil
}

// configShown is the configuration of a session in `stemma session show --config`
// (schema stemma.session-config/v1).
type configShown struct {
	Schema  string             `json:"schema"`
	Session string             `json:"session"`
	Files   []agent.ConfigFile `json:"files"` // "text" where it is kept
	Since   string             `json:"since"` // the session before it of this agent whose configuration is known; "" where there is none
	Drift   []configDrift      `json:"drift"` // from that one's
}

// configDrift is a file that differs between two sessions.
type configDrift struct {
	What string `json:"what"` // added, removed or changed
	agent.ConfigDigest
	Was  string `json:"was"`  // digest before; "" for a file that was added
	Diff string `json:"diff"` // of the redacted texts; "" where one of them is not kept
}

func (o *options) showConfig(ctx context.Context, b *bench, t agent.Tale, reason string) error {
	shown := configShown{Schema: "stemma.session-config/v1", Session: t.Key, Files: []agent.ConfigFile{}, Drift: []configDrift{}}
	texts, err := o.readConfig(ctx, b, t, reason)
	if err != nil {
		return err
	}
	for _, c := range t.Config {
		shown.Files = append(shown.Files, agent.ConfigFile{ConfigDigest: c, Text: texts[[2]string{c.Scope, c.Path}]})
	}
	before, err := b.configuredBefore(ctx, t)
	if err != nil {
		return err
	}
	if before != nil {
		shown.Since = before.Key
		was, err := o.readConfig(ctx, b, *before, reason)
		if err != nil {
			return err
		}
		shown.Drift = driftOf(agent.DriftBetween(before.Config, t.Config), was, texts)
	}
	if o.json {
		return printJSON(o.out, shown)
	}
	if len(t.Config) == 0 {
		fmt.Fprintln(o.err, "stemma: what configured this session is not known: it is looked at while a session works, and just after")
		return nil
	}
	return shown.print(o.out)
}

// readConfig is configTexts where nothing may be kept, which is said.
func (o *options) readConfig(ctx context.Context, b *bench, t agent.Tale, reason string) (map[[2]string]string, error) {
	texts, err := b.configTexts(ctx, t, reason)
	if errors.Is(err, stemma.ErrNotFound) && len(t.Config) > 0 {
		fmt.Fprintf(o.err, "stemma: the configuration of %s is known by digest alone: its texts are not kept or were erased\n", plain(t.Key))
	}
	if errors.Is(err, stemma.ErrNotFound) {
		return nil, nil
	}
	return texts, err
}

// driftOf puts what differs between two configurations beside their texts.
func driftOf(d agent.Drift, was, now map[[2]string]string) []configDrift {
	all := []configDrift{}
	for _, c := range d.Added {
		all = append(all, configDrift{What: "added", ConfigDigest: c})
	}
	for _, c := range d.Removed {
		all = append(all, configDrift{What: "removed", ConfigDigest: c, Was: c.Digest})
	}
	for i, c := range d.Changed {
		drift := configDrift{What: "changed", ConfigDigest: c, Was: d.Was[i].Digest}
		key := [2]string{c.Scope, c.Path}
		if before, after := was[key], now[key]; before != "" && after != "" {
			drift.Diff = textdiff.Unified(before, after, textdiff.IndentHeuristic())
			if before == after {
				drift.Diff = "what differs was redacted\n"
			}
		}
		all = append(all, drift)
	}
	return all
}

func (c configShown) print(out io.Writer) error {
	fmt.Fprintf(out, "session  %s\n", plain(c.Session))
	for _, f := range c.Files {
		fmt.Fprintf(out, "config   %s of the %s: %s (%s, sha256:%s)\n%s", f.Kind, f.Scope, plain(f.Path), number(int(f.Bytes), "byte"), f.Digest, paragraph(f.Text, "    "))
	}
	for _, d := range c.Drift {
		digests := "sha256:" + d.Digest
		switch d.What {
		case "changed":
			digests = "sha256:" + d.Was + " -> " + digests
		case "removed":
			digests = "was sha256:" + d.Was
		}
		fmt.Fprintf(out, "drift    %s %s of the %s: %s (since %s)\n         %s\n%s", d.What, d.Kind, d.Scope, plain(d.Path), plain(c.Since), digests, paragraph(d.Diff, "    "))
	}
	return nil
}
