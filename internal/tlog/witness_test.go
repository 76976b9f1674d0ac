package tlog_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/tlog"
)

func TestWitnessKeys(t *testing.T) {
	for _, tt := range []struct {
		name, policy string
		keys         []string
		quorum       bool
		reason       string // of an error
	}{
		{"nobody", "\n# nobody\n", nil, false, ""},
		{"believed, and not asked", "witness w1 a+1+x\n", []string{"a+1+x"}, false, ""},
		{"asked", "log l+1+x https://log.example\nwitness w1 a+1+x https://a.example # ours\nwitness w2 b+1+x https://b.example\ngroup both 2 w1 w2\nquorum both", []string{"a+1+x", "b+1+x"}, true, ""},
		{"misspelt", "witness w1 a+1+x\nquorm w1\n", nil, false, `line 2: "quorm"`},
		{"without a key", "witness w1\n", nil, false, "line 1: want"},
		{"a word too much", "witness w1 a+1+x https://a.example twice\n", nil, false, "line 1: want"},
	} {
		keys, quorum, err := tlog.WitnessKeys(tt.policy)
		if tt.reason != "" {
			if !errors.Is(err, stemma.ErrInvalid) || !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("%s: error %v, want %q", tt.name, err, tt.reason)
			}
			continue
		}
		if err != nil || !slices.Equal(keys, tt.keys) || quorum != tt.quorum {
			t.Errorf("%s: %q, %t, %v", tt.name, keys, quorum, err)
		}
	}
}

func TestSeen(t *testing.T) {
	early, late := time.Unix(1, 0), time.Unix(2, 0)
	if got := (tlog.Checkpoint{}).Seen(); got != (tlog.Cosignature{}) {
		t.Errorf("without a witness: %v", got)
	}
	for _, list := range [][]tlog.Cosignature{{{"a", late}, {"b", early}}, {{"b", early}, {"a", late}}} {
		if got := (tlog.Checkpoint{Witnesses: list}).Seen(); got != (tlog.Cosignature{Witness: "b", Time: early}) {
			t.Errorf("of %v: %v, want the earliest", list, got)
		}
	}
}
