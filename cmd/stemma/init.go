package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"znkr.io/diff/textdiff"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/install"
	"github.com/stemma-dev/stemma/internal/spool"
)

func newInit(o *options) *cobra.Command {
	var agents []string
	var here, yes, noGit, assisted bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Install the hooks that capture what agents do",
		Long: `Puts a hook into the settings of the coding agents that are in use on this
machine, and into the hooks of this repository's git, after showing what would
change and asking once. What others put into the same files stays; a hook of git
that is there already goes on to run. Running it again changes nothing.

From then on agents' edits are captured to a local spool, git's hooks make notes
of them in the background and tell the sessions, and nothing leaves the machine.
What was said in sessions is redacted, encrypted and kept in the vault. Files that git ignores
and files of secrets are never captured. stemma uninit takes everything back, byte
for byte; stemma pause stops capture; stemma doctor says whether all is well.

Nothing of this is needed for index, log, show and blame.`,
		Example: `  stemma init
  stemma init --agent claudecode --agent codex --yes
  stemma init --repository-only     # only this repository's settings of the agents`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			home, err := spool.Home()
			if err != nil {
				return err
			}
			cfg, assist, err := o.installConfig(cmd, agents, here, noGit)
			if err != nil {
				return err
			}
			if assisted || install.Assists(cfg.Hooks) {
				cfg.Assist = assist
			}
			edits, skipped, err := install.Plan(cfg)
			if err != nil {
				return err
			}
			for _, s := range skipped {
				fmt.Fprintf(o.err, "stemma: warning: %s is left alone: %v\n", s.For, s.Err)
			}
			changed := install.Changed(edits)
			person := &questions{in: cmd.InOrStdin(), out: o.err}
			if len(changed) > 0 && !yes && cfg.Hooks != "" && cfg.Assist == "" && !cmd.Flags().Changed("assisted-by") && person.there() {
				if cfg.Assist, err = person.trailer(assist); err != nil {
					return err
				}
				if edits, _, err = install.Plan(cfg); err != nil {
					return err
				}
				changed = install.Changed(edits)
			}
			if len(changed) == 0 {
				if len(edits) == 0 {
					return hinted{fmt.Errorf("no coding agent was found: %w", stemma.ErrNotFound), "name one with --agent: " + strings.Join(install.Agents(), ", ")}
				}
				fmt.Fprintln(o.err, "stemma: everything is installed already")
				return nil
			}
			for _, e := range changed {
				fmt.Fprint(o.out, unified(e))
			}
			fmt.Fprintf(o.err, "\nstemma: %d files would change. Then captured are, for each tool call of an agent, what it\nsays to its hook and the files it touches, except ignored files and files of secrets; and,\nfrom its own transcripts, calls that no hook reported (tool, paths, times, digests of lines);\nkept in %s, nowhere else. What was said in the sessions\nof these hooks is read from there and from the agents' transcripts, and kept redacted and\nencrypted in the vault of this machine.\n", len(changed), home)
			if !yes {
				if err := person.install(); err != nil {
					return err
				}
			}
			if err := install.Apply(filepath.Join(home, spool.Installed), edits); err != nil {
				return err
			}
			fmt.Fprintf(o.err, "stemma: installed in %d files; stemma uninit takes it back\n", len(changed))
			for _, e := range changed {
				if e.For == "codex" {
					fmt.Fprintln(o.err, "stemma: hint: Codex runs a hook only after you have reviewed it: /hooks in Codex")
					if listens, err := install.CodexListens(cfg.Home); err != nil || !listens {
						fmt.Fprintln(o.err, "stemma: warning: Codex runs no hooks while [features] hooks = false stands in ~/.codex/config.toml; that is yours to change")
					}
				}
			}
			if manager := install.Manager(edits); manager != "" {
				fmt.Fprintf(o.err, "stemma: hint: %s writes the hooks of git anew when it installs them, without stemma's part: stemma doctor names it, stemma init puts it back\n", manager)
			}
			return firstLook(cfg)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&agents, "agent", nil, "install for this `agent`, found or not ("+strings.Join(install.Agents(), ", ")+"); may be repeated")
	f.BoolVar(&here, "repository-only", false, "use the agents' settings of this repository instead of the user's")
	f.BoolVar(&noGit, "no-git-hooks", false, "leave git's hooks alone; sync by hand or in CI")
	f.BoolVar(&assisted, "assisted-by", false, "also name agents in commit messages: \"Assisted-by: AGENT:MODEL\"; asked where it is not given")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// installConfig finds the work tree, the folder of hooks and the programs; assist
// is the command line that names agents in commit messages, where that is wanted.
func (o *options) installConfig(cmd *cobra.Command, agents []string, here, noGit bool) (cfg install.Config, assist string, err error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return cfg, "", fmt.Errorf("home: %v: %w", err, stemma.ErrUnavailable)
	}
	cfg = install.Config{Home: home, Agents: agents}
	var self string
	if cfg.Hook, self, err = programs(); err != nil {
		return cfg, "", err
	}
	cfg.Sync = self + " sync --soon"
	assist = self + " assist"
	repo, err := git.Open(cmd.Context(), o.path, git.Config{})
	if err != nil {
		if here || !errors.Is(err, stemma.ErrNotFound) || o.path != "" {
			return cfg, "", err
		}
		fmt.Fprintln(o.err, "stemma: no repository here: git's hooks are left out")
		return cfg, assist, nil
	}
	defer repo.Close()
	if here {
		if cfg.Tree = repo.WorkTree(); cfg.Tree == "" {
			return cfg, "", fmt.Errorf("a bare repository has no work tree: %w", stemma.ErrInvalid)
		}
	}
	if !noGit {
		if cfg.Hooks, err = repo.HooksDir(cmd.Context()); err != nil {
			return cfg, "", err
		}
	}
	return cfg, assist, nil
}

// programs gives the command lines of the hook and of this program: the hook is
// stemma-hook beside it, or else the program itself.
func programs() (hook, own string, err error) {
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err != nil {
		return "", "", fmt.Errorf("find the program itself: %v: %w", err, stemma.ErrUnavailable)
	}
	beside := filepath.Join(filepath.Dir(self), strings.Replace(filepath.Base(self), "stemma", "stemma-hook", 1))
	if st, err := os.Stat(beside); err == nil && st.Mode().IsRegular() {
		return quoteShell(beside), quoteShell(self), nil
	}
	return quoteShell(self) + " hook", quoteShell(self), nil
}

// quoteShell quotes a path for sh.
func quoteShell(path string) string {
	if strings.IndexFunc(path, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("/._-+:", c)
	}) < 0 {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

func unified(e install.Edit) string {
	name := plain(e.Path)
	text := textdiff.Unified(e.Before, e.After)
	from := name
	if e.Before == nil {
		from = "/dev/null"
	}
	return "--- " + from + "\n+++ " + name + "\n" + string(bytes.TrimRight(text, "\n")) + "\n"
}

// questions are put to the person at the terminal; anything but yes is no.
type questions struct {
	in    io.Reader
	out   io.Writer
	lines *bufio.Reader
}

// there reports whether somebody can answer.
func (q *questions) there() bool {
	f, ok := q.in.(*os.File)
	return !ok || isTerminal(f)
}

func (q *questions) yes(question string) (bool, error) {
	fmt.Fprint(q.out, question+" [y/N] ")
	if q.lines == nil {
		q.lines = bufio.NewReader(q.in)
	}
	line, err := q.lines.ReadString('\n')
	if err != nil && line == "" {
		return false, fmt.Errorf("nothing was installed: %w", stemma.ErrDenied)
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes", nil
}

// trailer gives the command line that names agents in commit messages, or "".
func (q *questions) trailer(assist string) (string, error) {
	wanted, err := q.yes("stemma: name agents in commit messages (Assisted-by: AGENT:MODEL)?")
	if !wanted {
		assist = ""
	}
	return assist, err
}

func (q *questions) install() error {
	if !q.there() {
		return hinted{fmt.Errorf("nobody is there to be asked: %w", stemma.ErrDenied), "give --yes to install without asking"}
	}
	wanted, err := q.yes("install?")
	if err == nil && !wanted {
		err = hinted{fmt.Errorf("nothing was installed: %w", stemma.ErrDenied), "stemma init asks again"}
	}
	return err
}

// firstLook notes in the spool that capture is as it was installed: what a
// person writes is known to be his from here on.
func firstLook(cfg install.Config) error {
	if cfg.Hooks == "" {
		return nil
	}
	home, err := spool.Home()
	if err != nil {
		return err
	}
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("current folder: %v: %w", err, stemma.ErrUnavailable)
	}
	return spool.Capture(spool.Input{Agent: spool.AgentGit, Event: "init", Payload: strings.NewReader(""), Dir: dir, Home: home, Now: time.Now})
}

func newUninit(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "uninit",
		Short: "Take everything back that init installed",
		Long: `Puts every file that init changed back as it was, byte for byte. Where somebody
changed a file since, only what init put there is taken out. What was captured
stays until it is purged: stemma capture show.`,
		Example: "  stemma uninit",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			home, err := spool.Home()
			if err != nil {
				return err
			}
			done, err := install.Undo(filepath.Join(home, spool.Installed))
			if err != nil {
				return err
			}
			if len(done) == 0 {
				fmt.Fprintln(o.err, "stemma: nothing is installed")
			}
			var failed error
			for _, u := range done {
				switch {
				case u.Err != nil:
					failed = errors.Join(failed, fmt.Errorf("%s: %w", u.Path, u.Err))
				case u.Changed:
					fmt.Fprintf(o.out, "%s  had changed since: stemma's part was taken out\n", plain(u.Path))
				default:
					fmt.Fprintf(o.out, "%s  is as it was\n", plain(u.Path))
				}
			}
			return failed
		},
	}
}
