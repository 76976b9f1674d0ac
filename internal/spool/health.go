package spool

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Installed is the folder below [Home] in which stemma init remembers what it
// put into other programs' files: journal.json names each with the text that
// must stand in it.
const Installed = "installed"

// maxSettings is the size in bytes of a file of settings that is looked at.
const maxSettings = 16 << 20

// health gives why the agents' hooks are not as they were installed, one reason
// a file; none where they are.
func health(home string) []string {
	text, err := readAtMost(filepath.Join(home, Installed, "journal.json"), maxSettings)
	if err != nil {
		return []string{"nothing was installed by stemma init"}
	}
	var journal struct {
		Entries []struct {
			Path string   `json:"path"`
			Mark []string `json:"mark"`
		} `json:"entries"`
	}
	if err := json.Unmarshal(text, &journal); err != nil {
		return []string{"the journal of what is installed can not be read"}
	}
	var faults []string
	for _, e := range journal.Entries {
		now, err := readAtMost(e.Path, maxSettings)
		if err != nil {
			faults = append(faults, fmt.Sprintf("%s is not there", filepath.Base(e.Path)))
			continue
		}
		for _, m := range e.Mark {
			if !bytes.Contains(now, []byte(m)) {
				faults = append(faults, fmt.Sprintf("a hook was taken out of %s", filepath.Base(e.Path)))
				break
			}
		}
	}
	return faults
}

// isGit reports whether one of git's own hooks runs: it has no payload, and says
// whether capture is healthy.
func (h *hooked) isGit() bool { return h.Agent == AgentGit }

// look makes the record of one of git's hooks.
func (h *hooked) look() {
	h.record.Payload = nil
	h.record.Gaps = nil
	h.record.Phase = Other
	for _, fault := range health(h.Home) {
		h.gap(fault, "")
	}
	// git runs its hooks in the work tree, or in the git directory.
	if h.record.Dir == "" {
		if dir, err := os.Getwd(); err == nil {
			h.record.Dir = dir
		}
	}
}
