package storetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// EvidenceBackend opens handles on one place where evidence is kept, as two
// processes would. The suite closes what it opens; closing twice is allowed.
type EvidenceBackend func(t *testing.T, organisation string) store.Evidence

// RunEvidence runs the whole contract of [store.Evidence]. fresh gives a place
// with nothing in it.
func RunEvidence(t *testing.T, fresh func(t *testing.T) EvidenceBackend) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, EvidenceBackend)
	}{
		{"empty", testNoEvidence},
		{"keep, sequence, read", testKeepAndRead},
		{"an event is kept once", testKeepOnce},
		{"at once", testKeepAtOnce},
		{"what is no envelope", testKeepInvalid},
		{"indexes that are taken", testSequenceConflicts},
		{"about subjects", testAbout},
		{"organisations are apart", testEvidenceOrganisations},
		{"loops allow calls and see one moment", testEvidenceLoops},
		{"audit of what is whole", testAuditWhole},
		{"close", testEvidenceClose},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, fresh(t)) })
	}
}

func openEvidence(t *testing.T, b EvidenceBackend, organisation string) store.Evidence {
	t.Helper()
	e := b(t, organisation)
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return e
}

// envelope makes an envelope of these bytes, about subjects.
func envelope(source, event, bytes string, subjects ...string) store.Envelope {
	return store.Envelope{
		EventKey: store.EventKey{Source: source, EventID: event}, PredicateType: "test/v1",
		Subjects: subjects, Digest: sha256.Sum256([]byte(bytes)), Bytes: []byte(bytes),
	}
}

func keep(t *testing.T, e store.Evidence, envelopes ...store.Envelope) []store.Kept {
	t.Helper()
	kept, err := e.Keep(t.Context(), envelopes)
	if err != nil {
		t.Fatalf("Keep: %v", err)
	}
	if len(kept) != len(envelopes) {
		t.Fatalf("Keep gave %d answers for %d envelopes", len(kept), len(envelopes))
	}
	return kept
}

// sequence gives the kept envelopes the indexes from first on.
func sequence(t *testing.T, e store.Evidence, first uint64, kept ...store.Kept) {
	t.Helper()
	var all []store.Sequenced
	for i, k := range kept {
		all = append(all, store.Sequenced{ID: k.ID, Index: first + uint64(i)})
	}
	if err := e.Sequence(t.Context(), all); err != nil {
		t.Fatalf("Sequence: %v", err)
	}
}

func next(t *testing.T, e store.Evidence) uint64 {
	t.Helper()
	n, err := e.Next(t.Context())
	if err != nil {
		t.Fatalf("Next: %v", err)
	}
	return n
}

// envelopes collects what a sequence gives, without the subjects, which a
// backend need not give back.
func envelopes(t *testing.T, seq iter.Seq2[store.Entry, error]) (got []store.Envelope) {
	t.Helper()
	for _, e := range all(t, seq) {
		e.Envelope.Subjects = nil
		got = append(got, e.Envelope)
	}
	return got
}

func plain(envelopes ...store.Envelope) []store.Envelope {
	for i := range envelopes {
		envelopes[i].Subjects = nil
	}
	return envelopes
}

func testNoEvidence(t *testing.T, b EvidenceBackend) {
	e := openEvidence(t, b, org)
	if n := next(t, e); n != 0 {
		t.Errorf("Next = %d, want 0", n)
	}
	same(t, "entries", envelopes(t, e.Entries(t.Context(), 0)), nil)
	same(t, "about", envelopes(t, e.About(t.Context(), []string{"sha256:00"}, 0)), nil)
	pending, err := e.Pending(t.Context(), 10)
	if err != nil || len(pending) != 0 {
		t.Errorf("Pending = %v, %v", pending, err)
	}
	found, err := e.Find(t.Context(), []store.EventKey{{Source: "git", EventID: "1"}})
	if err != nil || len(found) != 1 || found[0].ID != 0 {
		t.Errorf("Find = %v, %v; want one with ID 0", found, err)
	}
	if _, err := e.ByDigest(t.Context(), [32]byte{1}); !errors.Is(err, stemma.ErrNotFound) {
		t.Errorf("ByDigest: %v, want ErrNotFound", err)
	}
	keep(t, e)
	sequence(t, e, 0)
}

func testKeepAndRead(t *testing.T, b EvidenceBackend) {
	e := openEvidence(t, b, org)
	given := []store.Envelope{
		envelope("git", "1", `{"payload":"AA=="}`, "sha256:01"),
		envelope("git", "odd\nkey\xff", "not JSON \x00\xff", "sha256:02"),
		envelope("large", "1", strings.Repeat("x", 1<<20)),
	}
	kept := keep(t, e, given...)
	for i, k := range kept {
		if !k.New || !k.Pending || k.ID < 1 || k.Digest != given[i].Digest || i > 0 && k.ID <= kept[i-1].ID {
			t.Errorf("Keep gave %+v for envelope %d", k, i)
		}
	}
	same(t, "entries while pending", envelopes(t, e.Entries(t.Context(), 0)), nil)
	pending, err := e.Pending(t.Context(), 2)
	if err != nil || len(pending) != 2 || pending[0].ID != kept[0].ID || pending[1].Digest != given[1].Digest {
		t.Errorf("Pending(2) = %v, %v", pending, err)
	}
	got, err := e.ByDigest(t.Context(), given[1].Digest)
	if err != nil || !got.Pending || string(got.Bytes) != string(given[1].Bytes) {
		t.Errorf("ByDigest = %+v, %v", got, err)
	}
	// The log may have them in another order.
	sequence(t, e, 0, kept[2], kept[0])
	sequence(t, e, 0, kept[2], kept[0]) // again
	if n := next(t, e); n != 2 {
		t.Errorf("Next = %d, want 2", n)
	}
	again := openEvidence(t, b, org)
	same(t, "entries", envelopes(t, again.Entries(t.Context(), 0)), plain(given[2], given[0]))
	same(t, "entries from 1", envelopes(t, again.Entries(t.Context(), 1)), plain(given[0]))
	found, err := again.Find(t.Context(), []store.EventKey{given[1].EventKey, {Source: "git", EventID: "none"}, given[0].EventKey})
	if err != nil || len(found) != 3 || !found[0].Pending || found[1].ID != 0 || found[2].Index != 1 || found[2].Pending {
		t.Errorf("Find = %+v, %v", found, err)
	}
}

func testKeepOnce(t *testing.T, b EvidenceBackend) {
	e := openEvidence(t, b, org)
	first := keep(t, e, envelope("git", "1", "one"))[0]
	retry := keep(t, e, envelope("git", "1", "one, signed anew"), envelope("git", "2", "two"), envelope("git", "2", "two again"))
	if retry[0].New || retry[0].ID != first.ID || retry[0].Digest != first.Digest {
		t.Errorf("the retry gave %+v, want %+v", retry[0], first)
	}
	if !retry[1].New || retry[2].New || retry[2].ID != retry[1].ID {
		t.Errorf("a key that comes twice gave %+v", retry[1:])
	}
	sequence(t, e, 7, first)
	if k := keep(t, openEvidence(t, b, org), envelope("git", "1", "once more"))[0]; k.New || k.Pending || k.Index != 7 {
		t.Errorf("the retry after it was sequenced gave %+v", k)
	}
	// The key is the pair, also where the pair joined is the same.
	for _, k := range keep(t, e, envelope("git", "12", "a"), envelope("git1", "2", "b")) {
		if !k.New {
			t.Errorf("%+v is not new", k)
		}
	}
}

func testKeepAtOnce(t *testing.T, b EvidenceBackend) {
	const writers, events = 8, 30
	handles := []store.Evidence{openEvidence(t, b, org), openEvidence(t, b, org)}
	news := make([]int, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range events {
				kept, err := handles[w%2].Keep(t.Context(), []store.Envelope{
					envelope("git", fmt.Sprint("shared", i), fmt.Sprint("shared", i, w)),
					envelope("git", fmt.Sprint("own", w, "-", i), fmt.Sprint("own", w, "-", i)),
				})
				if err != nil {
					t.Errorf("Keep: %v", err)
					return
				}
				for _, k := range kept {
					if k.New {
						news[w]++
					}
				}
			}
		})
	}
	wg.Wait()
	total := 0
	for _, n := range news {
		total += n
	}
	pending, err := handles[0].Pending(t.Context(), 10000)
	if want := events + writers*events; err != nil || total != want || len(pending) != want {
		t.Errorf("%d were new and %d are kept, %v; want %d", total, len(pending), err, want)
	}
}

func testKeepInvalid(t *testing.T, b EvidenceBackend) {
	e := openEvidence(t, b, org)
	other := envelope("git", "1", "x")
	other.Digest[0] ^= 1
	keep(t, e, envelope("git", "kept", "the same bytes"))
	for name, bad := range map[string]store.Envelope{
		"no source":            envelope("", "1", "x"),
		"no event":             envelope("git", "", "x"),
		"digest":               other,
		"bytes of another":     envelope("git", "other", "the same bytes"),
		"bytes of the batch's": envelope("git", "third", "good"),
	} {
		_, err := e.Keep(t.Context(), []store.Envelope{envelope("git", "good", "good"), bad})
		if !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("%s: Keep error = %v, want ErrInvalid", name, err)
		}
	}
	pending, err := e.Pending(t.Context(), 10)
	if err != nil || len(pending) != 1 {
		t.Errorf("%d envelopes are kept, %v; want 1", len(pending), err)
	}
}

func testSequenceConflicts(t *testing.T, b EvidenceBackend) {
	e := openEvidence(t, b, org)
	kept := keep(t, e, envelope("git", "1", "1"), envelope("git", "2", "2"), envelope("git", "3", "3"))
	sequence(t, e, 0, kept[0])
	for name, test := range map[string]struct {
		indexes []store.Sequenced
		want    error
	}{
		"another index": {[]store.Sequenced{{ID: kept[1].ID, Index: 1}, {ID: kept[0].ID, Index: 5}}, stemma.ErrConflict},
		"taken":         {[]store.Sequenced{{ID: kept[1].ID, Index: 1}, {ID: kept[2].ID, Index: 0}}, stemma.ErrConflict},
		"no envelope":   {[]store.Sequenced{{ID: kept[1].ID, Index: 1}, {ID: kept[2].ID + 100, Index: 2}}, stemma.ErrNotFound},
	} {
		if err := e.Sequence(t.Context(), test.indexes); !errors.Is(err, test.want) {
			t.Errorf("%s: Sequence error = %v, want %v", name, err, test.want)
		}
	}
	if n := next(t, e); n != 1 {
		t.Errorf("Next = %d after calls that failed, want 1", n)
	}
}

func testAbout(t *testing.T, b EvidenceBackend) {
	e := openEvidence(t, b, org)
	given := []store.Envelope{
		envelope("git", "0", "0", "sha256:aa", "gitCommit:bb"),
		envelope("git", "1", "1", "sha256:aa"),
		envelope("git", "2", "2", "sha256:cc"),
		envelope("git", "3", "3", "sha256:aa"),
	}
	kept := keep(t, e, given...)
	sequence(t, e, 0, kept[1], kept[0], kept[2])
	plain(given...)
	same(t, "about one", envelopes(t, e.About(t.Context(), []string{"sha256:aa"}, 0)), []store.Envelope{given[1], given[0]})
	same(t, "about several", envelopes(t, e.About(t.Context(), []string{"sha256:cc", "gitCommit:bb", "sha256:aa", "sha256:none"}, 0)),
		[]store.Envelope{given[1], given[0], given[2]})
	same(t, "about one from 1", envelopes(t, e.About(t.Context(), []string{"sha256:aa"}, 1)), []store.Envelope{given[0]})
	same(t, "about one from beyond the last", envelopes(t, e.About(t.Context(), []string{"sha256:aa"}, 99)), nil)
	same(t, "about part of a name", envelopes(t, e.About(t.Context(), []string{"sha256:a"}, 0)), nil)
}

func testEvidenceOrganisations(t *testing.T, b EvidenceBackend) {
	mine, theirs := openEvidence(t, b, org), openEvidence(t, b, "other")
	a := keep(t, mine, envelope("git", "1", "same", "sha256:aa"))
	c := keep(t, theirs, envelope("git", "1", "same", "sha256:aa"), envelope("git", "2", "two", "sha256:aa"))
	if !a[0].New || !c[0].New {
		t.Error("one organisation's envelope is another's")
	}
	sequence(t, mine, 0, a...)
	sequence(t, theirs, 0, c...)
	same(t, "entries", len(envelopes(t, mine.Entries(t.Context(), 0))), 1)
	same(t, "about", len(envelopes(t, theirs.About(t.Context(), []string{"sha256:aa"}, 0))), 2)
	if err := mine.Sequence(t.Context(), []store.Sequenced{{ID: c[1].ID, Index: 5}}); !errors.Is(err, stemma.ErrNotFound) {
		t.Errorf("Sequence of another's envelope: %v, want ErrNotFound", err)
	}
}

func testEvidenceLoops(t *testing.T, b EvidenceBackend) {
	e := openEvidence(t, b, org)
	for i := range 3 {
		sequence(t, e, uint64(i), keep(t, e, envelope("git", fmt.Sprint(i), fmt.Sprint(i)))...)
	}
	seen := 0
	for entry, err := range e.Entries(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		seen++
		sequence(t, e, 100+entry.Index, keep(t, e, envelope("new", entry.EventID, "new"+entry.EventID))...)
	}
	if seen != 3 {
		t.Errorf("the loop saw %d entries, want the 3 of its beginning", seen)
	}
	for range e.Entries(t.Context(), 0) {
		break
	}
	if n := len(envelopes(t, e.Entries(t.Context(), 0))); n != 6 {
		t.Errorf("%d entries, want 6", n)
	}
}

func testAuditWhole(t *testing.T, b EvidenceBackend) {
	e := openEvidence(t, b, org)
	names := []string{"gitCommit:bb", "sha256:aa"}
	kept := keep(t, e, envelope("git", "1", "1", names...), envelope("git", "2", "2", names...))
	sequence(t, e, 0, kept[0])
	keep(t, openEvidence(t, b, "other"), envelope("git", "1", "1", "sha256:dd"))
	var got []store.Envelope
	audit := func(subjects []string) (faults []store.RowFault) {
		got = nil
		err := e.Audit(t.Context(), func(entry store.Entry) ([]string, bool, error) {
			entry.Envelope.Subjects = nil
			got = append(got, entry.Envelope)
			return subjects, true, nil
		}, func(f store.RowFault) { faults = append(faults, f) })
		if err != nil {
			t.Fatalf("Audit: %v", err)
		}
		return faults
	}
	if faults := audit(names); len(faults) > 0 {
		t.Errorf("Audit of what is whole: %v", faults)
	}
	same(t, "rows", got, plain(envelope("git", "1", "1"), envelope("git", "2", "2")))
	if faults := audit(append(names, "sha256:more")); len(faults) != 2 {
		t.Errorf("Audit with a subject that is not found: %v, want 2 faults", faults)
	}
	if faults := audit(names[:1]); len(faults) != 1 {
		t.Errorf("Audit with subjects too many: %v, want 1 fault", faults)
	}
	stop := errors.New("stop")
	err := e.Audit(t.Context(), func(store.Entry) ([]string, bool, error) { return nil, false, stop }, func(store.RowFault) {})
	if !errors.Is(err, stop) {
		t.Errorf("Audit whose row fails: %v", err)
	}
}

func testEvidenceClose(t *testing.T, b EvidenceBackend) {
	e := openEvidence(t, b, org)
	keep(t, e, envelope("git", "1", "1"))
	if err := errors.Join(e.Close(), e.Close()); err != nil {
		t.Errorf("Close: %v", err)
	}
	if _, err := e.Keep(t.Context(), []store.Envelope{envelope("git", "2", "2")}); !errors.Is(err, stemma.ErrUnavailable) {
		t.Errorf("Keep after Close: %v, want ErrUnavailable", err)
	}
	if _, err := e.Next(t.Context()); !errors.Is(err, stemma.ErrUnavailable) {
		t.Errorf("Next after Close: %v, want ErrUnavailable", err)
	}
}
