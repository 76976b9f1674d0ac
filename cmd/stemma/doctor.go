package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/install"
	"github.com/stemma-dev/stemma/internal/spool"
)

// diagnosis is what `stemma doctor --json` prints (schema stemma.doctor/v1).
type diagnosis struct {
	Schema    string            `json:"schema"`
	Well      bool              `json:"well"`
	Installed []diagnosedFile   `json:"installed"`
	Missing   []string          `json:"missing"` // agents in use without a hook
	Heard     map[string]string `json:"heard"`   // agent -> last event, RFC 3339, UTC
	Spool     held              `json:"spool"`
	Oldest    string            `json:"oldest_day,omitempty"`
	Looked    string            `json:"git_looked,omitempty"` // when git's hooks looked last, RFC 3339, UTC
	Found     string            `json:"git_found,omitempty"`  // what was wrong then; absent where nothing was
	Compared  int               `json:"transcripts_compared"`
	Unread    map[string]int    `json:"transcripts_not_compared"` // by reason
	Ahead     int               `json:"events_ahead_of_the_clock"`
	SetBack   int               `json:"clock_set_back"` // times
	Faults    []string          `json:"faults"`
	Notes     []string          `json:"notes"`
}

type diagnosedFile struct {
	Path  string `json:"path"`
	For   string `json:"for"`
	Fault string `json:"fault,omitempty"`
}

// quietAgent is after how long without an event an installed agent is named.
const quietAgent = 14 * 24 * time.Hour

func newDoctor(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say whether capture is well: what is installed, heard from when, gaps",
		Long: `Looks at every file that init changed, at when each agent was heard from last, at
the spool of this repository (size, age, damage, gaps with their reasons), and at
the clock. Exits with 6 where something is wrong, and says what to do.`,
		Example: "  stemma doctor\n  stemma doctor --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			d, err := o.diagnose()
			if err != nil {
				return err
			}
			if o.json {
				if err := printJSON(o.out, d); err != nil {
					return err
				}
			} else {
				o.showDiagnosis(d)
			}
			if !d.Well {
				return hinted{fmt.Errorf("capture is not well: %w", stemma.ErrUnavailable), "stemma init puts the hooks back"}
			}
			return nil
		},
	}
}

func (o *options) diagnose() (diagnosis, error) {
	d := diagnosis{Schema: "stemma.doctor/v1", Installed: []diagnosedFile{}, Missing: []string{}, Heard: make(map[string]string), Unread: make(map[string]int), Faults: []string{}, Notes: []string{}}
	s, place, home, err := o.ownSpool()
	if err != nil {
		return d, err
	}
	status, err := install.Check(filepath.Join(home, spool.Installed))
	if err != nil {
		return d, err
	}
	have := make(map[string]bool)
	for _, f := range status {
		d.Installed = append(d.Installed, diagnosedFile{f.Path, f.For, f.Fault})
		have[f.For] = true
		if f.Fault != "" {
			d.Faults = append(d.Faults, fmt.Sprintf("%s: %s", f.Path, f.Fault))
		}
	}
	if len(status) == 0 {
		d.Faults = append(d.Faults, "nothing is installed")
	}
	if user, err := os.UserHomeDir(); err == nil {
		for _, name := range install.Found(user) {
			if !have[name] {
				d.Missing = append(d.Missing, name)
			}
		}
		if have["codex"] {
			switch listens, err := install.CodexListens(user); {
			case err != nil:
				d.Faults = append(d.Faults, err.Error())
			case !listens:
				d.Faults = append(d.Faults, "codex runs no hooks: [features] hooks = false in ~/.codex/config.toml")
			}
		}
	}
	if d.Spool, err = measure(s, spool.Paused(home, place.Folder())); err != nil {
		return d, err
	}
	if holding, err := s.Measure(); err == nil && !holding.Oldest.IsZero() {
		d.Oldest = holding.Oldest.Format(time.DateOnly)
	}
	if d.Spool.Bytes > d.Spool.Limit*9/10 {
		d.Faults = append(d.Faults, "the spool is nearly full: stemma sync makes notes of it, and purges what is old")
	}
	if err := d.heard(s); err != nil {
		return d, err
	}
	d.transcripts(s)
	if d.Found != "" {
		d.Notes = append(d.Notes, "when git's hooks looked last, "+d.Found+": what people write until they find it well is unknown")
	}
	if d.Ahead > 0 {
		d.Faults = append(d.Faults, fmt.Sprintf("%d events are ahead of this machine's clock", d.Ahead))
	}
	if d.SetBack > 0 {
		d.Notes = append(d.Notes, fmt.Sprintf("the clock was set back %d times: what was written in the time that came twice is unknown", d.SetBack))
	}
	if d.Spool.Damaged > 0 {
		d.Notes = append(d.Notes, fmt.Sprintf("%d parts of the spool can not be read: a hook was killed, or the disk was full", d.Spool.Damaged))
	}
	if d.Spool.Paused {
		d.Notes = append(d.Notes, "capture is paused: stemma resume")
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if name == "git" {
			continue
		}
		at, err := time.Parse(time.RFC3339, d.Heard[name])
		if err != nil || time.Since(at) > quietAgent {
			d.Notes = append(d.Notes, name+" was not heard from in this repository for two weeks")
		}
		d.Notes = append(d.Notes, name+" is untested against the live agent: its payloads are read after their documentation")
	}
	d.Well = len(d.Faults) == 0
	return d, nil
}

// heard finds when each agent was heard from last.
func (d *diagnosis) heard(s *spool.Spool) error {
	for r, err := range s.Records() {
		var fault *spool.DecodeError
		if errors.As(err, &fault) {
			continue
		}
		if err != nil {
			return err
		}
		if r.Phase == spool.Told || r.Agent == spool.AgentSelf {
			continue // no hook was heard
		}
		at := r.Time.Format(time.RFC3339)
		d.Heard[r.Agent] = max(d.Heard[r.Agent], at)
		if r.Agent == spool.AgentGit && at >= d.Looked {
			d.Looked, d.Found = at, ""
			for _, g := range r.Gaps {
				d.Found = g.Reason
			}
		}
		if r.Time.After(time.Now().Add(time.Minute)) {
			d.Ahead++
		}
		if !r.SetBack.IsZero() {
			d.SetBack++
		}
	}
	return nil
}

// transcripts tells which were compared with what hooks reported, and which
// agents are newer than what is known of them.
func (d *diagnosis) transcripts(s *spool.Spool) {
	newer := make(map[string]string)
	for _, t := range s.Transcripts() {
		switch {
		case len(t.Own) == 0:
			continue
		case t.Reason != "":
			d.Unread[t.Reason]++
		default:
			d.Compared++
		}
		known := agent.Tested(t.Agent)
		if known != "" && agent.Newer(t.Version, known) && (newer[t.Agent] == "" || agent.Newer(t.Version, newer[t.Agent])) {
			newer[t.Agent] = t.Version
		}
	}
	for _, name := range slices.Sorted(maps.Keys(newer)) {
		d.Notes = append(d.Notes, fmt.Sprintf("%s %s is newer than what its transcripts are known from (%s): what it tells in another way is not read", name, plain(newer[name]), agent.Tested(name)))
	}
	for _, why := range slices.Sorted(maps.Keys(d.Unread)) {
		d.Notes = append(d.Notes, fmt.Sprintf("%d transcripts are not compared with what hooks reported: %s", d.Unread[why], why))
	}
}

func (o *options) showDiagnosis(d diagnosis) {
	for _, f := range d.Installed {
		state := "as installed"
		if f.Fault != "" {
			state = f.Fault
		}
		fmt.Fprintf(o.out, "%-10s  %s  %s\n", f.For, plain(f.Path), state)
	}
	for _, name := range d.Missing {
		fmt.Fprintf(o.out, "%-10s  in use, and no hook is installed\n", name)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Heard)) {
		fmt.Fprintf(o.out, "%-10s  heard from at %s\n", plain(name), d.Heard[name])
	}
	if d.Looked != "" {
		found := "as it was installed"
		if d.Found != "" {
			found = d.Found
		}
		fmt.Fprintf(o.out, "git's hooks looked at %s: %s\n", d.Looked, plain(found))
	}
	if d.Compared > 0 {
		fmt.Fprintf(o.out, "%s transcripts are compared with what hooks reported\n", count(d.Compared))
	}
	o.showHeld(d.Spool)
	if d.Oldest != "" {
		fmt.Fprintf(o.out, "the oldest event is of %s\n", d.Oldest)
	}
	for _, n := range d.Notes {
		fmt.Fprintf(o.out, "note: %s\n", n)
	}
	for _, f := range d.Faults {
		fmt.Fprintf(o.out, "fault: %s\n", plain(f))
	}
}
