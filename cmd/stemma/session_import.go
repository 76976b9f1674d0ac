package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
)

// offer is what an import would read, or has read.
type offer struct {
	Schema   string       `json:"schema"` // stemma.session-import/v1
	DryRun   bool         `json:"dry_run"`
	Looked   int          `json:"transcripts"`      // files that were looked at
	Unknown  int          `json:"not_recognised"`   // that no agent's decoder recognises
	Excluded int          `json:"excluded"`         // by a pattern
	Other    int          `json:"other_sessions"`   // that worked elsewhere
	Problems []string     `json:"problems"`         // transcripts that could not be read
	Sessions []offeredRow `json:"sessions"`         // of this repository
	Recorded int          `json:"recorded"`         // sessions that are new, or have grown
	Commits  int          `json:"commits_compared"` // commits of the time
	Matched  int          `json:"sessions_matched"` // with commits
}

type offeredRow struct {
	Session    string        `json:"session"`
	Transcript string        `json:"transcript"`
	Start      string        `json:"start"`
	Turns      int           `json:"turns"`
	Calls      int           `json:"calls"`
	Gaps       int           `json:"gaps"`
	Commits    []agent.Match `json:"commits"`
}

type importFlags struct {
	dry, yes, anywhere bool
	of                 string
	from, agents       []string
	exclude            []string
}

func newSessionImport(o *options) *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Read the transcripts of this repository's sessions that are on this machine",
		Long: `Looks for transcripts of coding agents where the agents keep them, and reads those
of sessions that worked in this repository or one of its work trees. Nothing is
kept before you say so: --dry-run lists what would be read and keeps nothing, and
without --yes you are asked.

Of each session a statement is signed and logged that holds no prompt, no answer
and no code. Prompts and answers are redacted, encrypted and kept in the vault;
"stemma erase" forgets them. Nothing leaves the machine.

What a session wrote is compared with the commits of its time: a commit that
holds enough of its lines is linked with it as inferred, with the method and a
confidence. Sessions that git-ai, Entire or an agent's own trailer name in the
repository are the same sessions, and need no comparison.

Sessions are yours unless --of names another person, whose prompts are then shown
to you only on request (see stemma session show --reason).

Running it again records only what is new or has grown.`,
		Example: `  stemma session import --dry-run
  stemma session import --exclude '*/private/*' --agent claude-code
  stemma session import --from ~/old-laptop/.claude/projects --anywhere --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.importSessions(cmd.Context(), cmd.InOrStdin(), f, newTranscripts(heldTranscripts))
		},
	}
	fs := cmd.Flags()
	fs.BoolVar(&f.dry, "dry-run", false, "list what would be read, and keep nothing")
	fs.BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	fs.StringArrayVar(&f.from, "from", nil, "look in this folder or file instead of the agents' own `places`")
	fs.BoolVar(&f.anywhere, "anywhere", false, "with --from: take sessions whatever folder they worked in, as of another machine")
	fs.StringVar(&f.of, "of", "", "with --from: whose sessions they are, by an `identity` such as mailto:ada@example.org; else your own")
	fs.StringArrayVar(&f.agents, "agent", nil, "only sessions of this `agent`")
	fs.StringArrayVar(&f.exclude, "exclude", nil, "leave out transcripts and sessions whose path, folder or id this `pattern` fits; may have * and ?")
	return cmd
}

func (o *options) importSessions(ctx context.Context, in io.Reader, f importFlags, from *transcripts) error {
	for flag, given := range map[string]bool{"--anywhere": f.anywhere, "--of": f.of != ""} {
		if given && len(f.from) == 0 {
			return hinted{fmt.Errorf("%s: %w", flag, stemma.ErrInvalid), "name folders with --from"}
		}
	}
	b, err := o.ready(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	b.warn, b.whose = o.warn, f.of
	home := ""
	if len(f.from) == 0 {
		if home, err = os.UserHomeDir(); err != nil {
			return fmt.Errorf("home: %v: %w", err, stemma.ErrNotFound)
		}
	}
	done, all, err := o.readTranscripts(ctx, b, from, agent.Transcripts(home, f.from...), f)
	if err != nil {
		return err
	}
	bar := newBar(o.err)
	err = b.match(ctx, all, func(n int) { done.Commits = n })
	bar.stop()
	if err != nil {
		return err
	}
	for _, i := range all {
		done.Sessions = append(done.Sessions, offeredRow{
			Session: i.key, Transcript: i.path, Start: when(i.sized.start), Turns: i.sized.turns, Calls: i.sized.calls, Gaps: i.sized.gaps,
			Commits: append([]agent.Match{}, i.matches...),
		})
		if len(i.matches) > 0 {
			done.Matched++
		}
	}
	known := len(all)
	if !f.dry && known > 0 {
		if !f.yes {
			o.showOffer(o.err, done)
			if err := consent(in, o.err, len(all)); err != nil {
				return err
			}
		}
		if _, err := b.ledger(ctx); err != nil {
			return err
		}
		unlock, err := lockSessions(ctx)
		if err != nil {
			return err
		}
		defer unlock()
		if err := b.projectSessions(ctx); err != nil {
			return err
		}
		var left []error
		if done.Recorded, left, err = b.keep(ctx, all, from, time.Now()); err != nil {
			return err
		}
		for _, err := range left {
			done.Problems = append(done.Problems, err.Error())
		}
		known -= done.Recorded + len(left)
		if err := b.projectSessions(ctx); err != nil {
			return err
		}
	}
	if o.json {
		return printJSON(o.out, done)
	}
	o.showOffer(o.out, done)
	if !f.dry {
		fmt.Fprintf(o.out, "%d sessions recorded, %d were known already\n", done.Recorded, known)
	}
	return nil
}

// readTranscripts reads the transcripts, and holds of each session what it is
// compared by. What several of them tell of one session is joined.
func (o *options) readTranscripts(ctx context.Context, b *bench, from *transcripts, paths []string, f importFlags) (*offer, []*imported, error) {
	done := &offer{Schema: "stemma.session-import/v1", DryRun: f.dry, Problems: []string{}, Sessions: []offeredRow{}}
	byKey := make(map[string]*imported)
	trees := b.workTrees()
	excluded := func(names ...string) bool {
		return slices.ContainsFunc(f.exclude, func(pattern string) bool {
			return slices.ContainsFunc(names, func(name string) bool { return name != "" && like(pattern, name) })
		})
	}
	said := time.Now()
	for n, path := range paths {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if time.Since(said) > 5*time.Second {
			said = time.Now()
			fmt.Fprintf(o.err, "stemma: read %d of %d transcripts\n", n, len(paths))
		}
		if excluded(filepath.ToSlash(path)) {
			done.Excluded++
			continue
		}
		done.Looked++
		r, err := from.read(ctx, path)
		if err != nil {
			if ctx.Err() != nil {
				return nil, nil, ctx.Err()
			}
			done.Problems = append(done.Problems, err.Error())
			continue
		}
		if r == nil {
			done.Unknown++
			continue
		}
		for _, s := range r.Sessions {
			switch {
			case len(f.agents) > 0 && !slices.ContainsFunc(f.agents, func(a string) bool { return like(a, s.Agent) }):
				done.Excluded++
			case excluded(s.Key(), s.ID, s.Base.Dir):
				done.Excluded++
			case !f.anywhere && !worksIn(trees, s):
				done.Other++
			default:
				i := byKey[s.Key()]
				if i == nil {
					i = &imported{key: s.Key(), path: path, paths: []string{path}}
					i.look(s)
					byKey[i.key] = i
					continue
				}
				if s.End.After(i.sized.end) {
					i.path, i.sized.end = path, s.End
				}
				i.paths = append(i.paths, path)
			}
		}
	}
	all := slices.SortedFunc(maps.Values(byKey), func(a, b *imported) int { return strings.Compare(a.paths[0], b.paths[0]) })
	for _, i := range all {
		if len(i.paths) == 1 {
			continue
		}
		s, err := i.join(ctx, from)
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if err != nil {
			done.Problems = append(done.Problems, err.Error())
			i.paths = nil
			continue
		}
		i.look(s)
	}
	all = slices.DeleteFunc(all, func(i *imported) bool { return i.paths == nil })
	slices.SortFunc(all, func(a, b *imported) int {
		if c := a.sized.start.Compare(b.sized.start); c != 0 {
			return c
		}
		return strings.Compare(a.key, b.key)
	})
	return done, all, nil
}

// worksIn reports whether a session worked in one of the folders.
func worksIn(trees []string, s agent.Session) bool {
	dir := s.Base.Dir
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	return dir != "" && slices.ContainsFunc(trees, func(top string) bool {
		return dir == top || strings.HasPrefix(dir, strings.TrimSuffix(top, string(filepath.Separator))+string(filepath.Separator))
	})
}

func (o *options) showOffer(w io.Writer, d *offer) {
	out := bufio.NewWriter(w)
	defer out.Flush()
	for _, r := range d.Sessions {
		fmt.Fprintf(out, "%s  %s  %s, %s, %s, %s\n    %s\n", fit(dash(r.Start), 20), plain(r.Session), number(r.Turns, "turn"), number(r.Calls, "call"), number(r.Gaps, "gap"), number(len(r.Commits), "commit"), plain(r.Transcript))
	}
	for _, p := range d.Problems {
		fmt.Fprintf(out, "not read: %s\n", plain(p))
	}
	fmt.Fprintf(out, "%d transcripts looked at, %d of no agent, %d excluded, %d sessions of other folders\n", d.Looked, d.Unknown, d.Excluded, d.Other)
	fmt.Fprintf(out, "%d sessions of this repository, %d of them match commits (%d commits compared)\n", len(d.Sessions), d.Matched, d.Commits)
}

// consent asks whether the transcripts may be read and kept.
func consent(in io.Reader, out io.Writer, n int) error {
	fmt.Fprintf(out, "Record these %d sessions, and keep their prompts redacted and encrypted in the vault? [y/N] ", n)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && answer == "" {
		fmt.Fprintln(out)
		return hinted{fmt.Errorf("nobody said yes: %w", stemma.ErrDenied), "say --yes, or --dry-run to see what would be read"}
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	default:
		return hinted{fmt.Errorf("nothing was kept: %w", stemma.ErrDenied), "answer y, or name what to leave out with --exclude"}
	}
}
