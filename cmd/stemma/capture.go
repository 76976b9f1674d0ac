package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/live"
	"github.com/stemma-dev/stemma/internal/spool"
)

// held is what `stemma capture show --json` prints (schema stemma.capture/v1).
type held struct {
	Schema     string         `json:"schema"`
	Folder     string         `json:"folder"`
	Paused     bool           `json:"paused"`
	Segments   int            `json:"segments"`
	Contents   int            `json:"contents"`
	Bytes      int64          `json:"bytes"`
	Limit      int64          `json:"limit"`
	Until      string         `json:"until,omitempty"` // when what is oldest is purged
	Events     int            `json:"events"`
	Damaged    int            `json:"damaged"`
	Sessions   []heldSession  `json:"sessions"`
	Gaps       map[string]int `json:"gaps"`
	Exclusions []string       `json:"exclusions"`
	// ContentDays is how many days what sessions said is kept in the vault after it
	// was told, redacted and encrypted; 0 is until it is erased.
	ContentDays int `json:"content_days"`
}

type heldSession struct {
	Session string `json:"session"` // agent/id
	Events  int    `json:"events"`
	First   string `json:"first"` // RFC 3339, UTC
	Last    string `json:"last"`
	Files   int    `json:"files"`
	// Parts counts those that were told: signed in the log, content in the vault.
	// Untold says that there is more; Transcript is the agent's own.
	Parts      int    `json:"parts_told"`
	Untold     bool   `json:"untold"`
	Transcript string `json:"transcript,omitempty"`
}

// keepSpool is how long raw spool is kept after it was captured.
const keepSpool = 30 * 24 * time.Hour

// ownSpool opens the spool of a repository.
func (o *options) ownSpool() (*spool.Spool, spool.Place, string, error) {
	path := o.path
	if path == "" {
		path = "."
	}
	home, err := spool.Home()
	if err != nil {
		return nil, spool.Place{}, "", err
	}
	place, err := spool.Find(path)
	if err != nil {
		return nil, spool.Place{}, "", hinted{err, "run this inside a work tree, or name one with -R"}
	}
	s, err := spool.Open(filepath.Join(home, place.Folder()), spool.Config{})
	return s, place, home, err
}

func newCapture(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "capture",
		Short: "See what is captured on this machine, where and until when",
		Long: `What agents' hooks capture is kept raw in a spool on this machine and purged 30
days after. By then sync has made notes of it and told the sessions: what they said
is in the vault, redacted and encrypted, until its term is over. Files that git ignores, and files of
secrets such as .env and private keys, never enter it; more patterns, as in
.gitignore, stand in "exclude" of settings.json in the folder that "show" names.`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(newCaptureShow(o))
	return cmd
}

func newCaptureShow(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "show",
		Short:   "What is held about me: sessions, files, size, where and until when",
		Example: "  stemma capture show\n  stemma capture show --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			s, place, home, err := o.ownSpool()
			if err != nil {
				return err
			}
			h, err := measure(s, spool.Paused(home, place.Folder()))
			if err != nil {
				return err
			}
			if o.json {
				return printJSON(o.out, h)
			}
			o.showHeld(h)
			return nil
		},
	}
}

// measure counts what a spool holds.
func measure(s *spool.Spool, paused bool) (held, error) {
	holding, err := s.Measure()
	if err != nil {
		return held{}, err
	}
	h := held{
		Schema: "stemma.capture/v1", Folder: s.Dir(), Paused: paused, Limit: spool.DefaultLimit,
		Segments: holding.Segments, Contents: holding.Blobs, Bytes: holding.Bytes,
		Sessions: []heldSession{}, Gaps: make(map[string]int), Exclusions: s.Exclusions(),
	}
	if !holding.Oldest.IsZero() {
		h.Until = holding.Oldest.Add(keepSpool).Format(time.DateOnly)
	}
	at := make(map[string]int)
	files := make(map[[2]string]bool)
	for r, err := range s.Records() {
		var fault *spool.DecodeError
		if errors.As(err, &fault) {
			h.Damaged++
			continue
		}
		if err != nil {
			return held{}, err
		}
		h.Events++
		for _, g := range r.Gaps {
			h.Gaps[g.Reason]++
		}
		if r.Session == "" {
			continue
		}
		key := stemma.SessionID(r.AgentKey(), r.Session).Key
		i, ok := at[key]
		if !ok {
			i = len(h.Sessions)
			at[key] = i
			h.Sessions = append(h.Sessions, heldSession{Session: key, First: r.Time.Format(time.RFC3339)})
		}
		h.Sessions[i].Events++
		h.Sessions[i].Last = r.Time.Format(time.RFC3339)
		for _, f := range r.Files {
			if k := [2]string{key, f.Path}; !files[k] {
				files[k] = true
				h.Sessions[i].Files++
			}
		}
	}
	for _, r := range live.Sessions(s) {
		i, ok := at[r.Key]
		if !ok { // its raw events are purged
			i = len(h.Sessions)
			h.Sessions = append(h.Sessions, heldSession{Session: r.Key, First: when(r.Told), Last: when(r.Told)})
		}
		h.Sessions[i].Parts, h.Sessions[i].Untold, h.Sessions[i].Transcript = r.Parts, r.Untold, r.Transcript
	}
	h.ContentDays, err = contentDays()
	return h, err
}

func (o *options) showHeld(h held) {
	fmt.Fprintf(o.out, "held in %s\n", plain(h.Folder))
	if h.Paused {
		fmt.Fprintln(o.out, "capture is paused: stemma resume")
	}
	fmt.Fprintf(o.out, "%s events and %s contents of files, %s of %s bytes\n", count(h.Events), count(h.Contents), count(int(h.Bytes)), count(int(h.Limit)))
	if h.Until != "" {
		fmt.Fprintf(o.out, "the oldest is purged on %s, by the next sync after it\n", h.Until)
	}
	if h.Damaged > 0 {
		fmt.Fprintf(o.out, "%s parts can not be read; what stands before and behind them can\n", count(h.Damaged))
	}
	sessions := 0
	for _, s := range h.Sessions {
		told := "not told"
		if s.Parts > 0 {
			told = "told in " + number(s.Parts, "part")
			sessions++
		}
		fmt.Fprintf(o.out, "  %s  %s to %s  %s events, %s files, %s\n", plain(s.Session), s.First, s.Last, count(s.Events), count(s.Files), told)
	}
	if sessions > 0 {
		until := fmt.Sprintf("for %d days after it was told", h.ContentDays)
		if h.ContentDays == 0 {
			until = "until it is erased"
		}
		fmt.Fprintf(o.out, "what %s said is in the vault, redacted and encrypted, %s\n", number(sessions, "session"), until)
	}
	if len(h.Gaps) > 0 {
		fmt.Fprintln(o.out, "gaps")
	}
	reasons := make([]string, 0, len(h.Gaps))
	for r := range h.Gaps {
		reasons = append(reasons, r)
	}
	slices.Sort(reasons)
	for _, r := range reasons {
		fmt.Fprintf(o.out, "  %6s  %s\n", count(h.Gaps[r]), plain(r))
	}
}

// newPause makes pause and resume.
func newPause(o *options, name, short string, act func(home, folder string) error) *cobra.Command {
	var everywhere bool
	cmd := &cobra.Command{
		Use:     name,
		Short:   short,
		Example: "  stemma " + name + "\n  stemma " + name + " --everywhere",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			home, err := spool.Home()
			if err != nil {
				return err
			}
			folder, where := "", "everywhere"
			if !everywhere {
				s, place, _, err := o.ownSpool()
				if err != nil {
					return err
				}
				folder, where = filepath.Base(s.Dir()), place.Tree
			}
			if err := act(home, folder); err != nil {
				return err
			}
			fmt.Fprintf(o.err, "stemma: %sd %s\n", name, where)
			return nil
		},
	}
	cmd.Flags().BoolVar(&everywhere, "everywhere", false, "in every repository of this user")
	return cmd
}
