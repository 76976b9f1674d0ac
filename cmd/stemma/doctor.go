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
	d := diagnosis{Schema: "stemma.doctor/v1", Installed: []diagnosedFile{}, Missing: []string{}, Heard: make(map[string]string), Faults: []string{}, Notes: []string{}}
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
	}
	if d.Spool, err = measure(s, spool.Paused(home, place.Folder())); err != nil {
		return d, err
	}
	if d.Spool.Bytes > d.Spool.Limit*9/10 {
		d.Faults = append(d.Faults, "the spool is nearly full: stemma sync makes notes of it, and purges what is old")
	}
	if err := d.heard(s); err != nil {
		return d, err
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
		if at := r.Time.Format(time.RFC3339); at > d.Heard[r.Agent] {
			d.Heard[r.Agent] = at
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
	o.showHeld(d.Spool)
	for _, n := range d.Notes {
		fmt.Fprintf(o.out, "note: %s\n", n)
	}
	for _, f := range d.Faults {
		fmt.Fprintf(o.out, "fault: %s\n", plain(f))
	}
}
