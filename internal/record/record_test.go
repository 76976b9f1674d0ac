package record_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/record"
	"github.com/stemma-dev/stemma/internal/redact"
	"github.com/stemma-dev/stemma/internal/sign"
	"github.com/stemma-dev/stemma/internal/sign/filekey"
	"github.com/stemma-dev/stemma/internal/store"
	"github.com/stemma-dev/stemma/internal/store/sqlite"
	"github.com/stemma-dev/stemma/internal/tlog"
	"github.com/stemma-dev/stemma/internal/tlog/tessera"
	"github.com/stemma-dev/stemma/internal/vault"
	"github.com/stemma-dev/stemma/internal/vault/files"
)

// home is a place of evidence, as a process has it open.
type home struct {
	dir      string
	evidence *sqlite.Evidence
	log      *tessera.Log
	signer   *filekey.Key
	keys     tlog.Keys
	recorder *record.Recorder
	warnings []string
}

// openHome opens a place of evidence, and makes it where it is new. Two on one
// folder are as two processes.
func openHome(t testing.TB, dir string) *home {
	t.Helper()
	h, err := tryHome(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.close)
	return h
}

func tryHome(ctx context.Context, dir string) (*home, error) {
	h := &home{dir: dir}
	var err error
	if h.signer, err = filekey.Open(filepath.Join(dir, "keys"), filekey.Config{}); err != nil {
		return nil, err
	}
	if err := makeLogKey(dir); err != nil {
		return nil, err
	}
	secret, err := os.ReadFile(filepath.Join(dir, "keys", "log"))
	if err != nil {
		return nil, err
	}
	public, err := tlog.VerifierKey(string(secret))
	if err != nil {
		return nil, err
	}
	if h.keys, err = tlog.NewKeys(public, nil, 0); err != nil {
		return nil, err
	}
	if h.evidence, err = sqlite.OpenEvidence(ctx, filepath.Join(dir, "evidence"), "local"); err != nil {
		return nil, err
	}
	if h.log, err = tessera.Open(ctx, tessera.Config{Dir: filepath.Join(dir, "tlog"), Signer: string(secret)}); err != nil {
		h.evidence.Close()
		return nil, err
	}
	h.recorder = record.New(h.config())
	return h, nil
}

// makeLogKey makes the key of the log, where there is none.
func makeLogKey(dir string) error {
	path := filepath.Join(dir, "keys", "log")
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	signer, _, err := tlog.GenerateKey("stemma.test/record")
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(signer), 0o600))
}

func (h *home) config() record.Config {
	return record.Config{
		Evidence: h.evidence, Log: h.log, Signer: h.signer, Key: []byte("secret of the organisation"),
		Trust: sign.Trust{}, Warn: func(s string) { h.warnings = append(h.warnings, s) },
	}
}

// trust believes the key of the place.
func (h *home) trust() sign.Trust {
	k, err := h.signer.Trusted("test")
	if err != nil {
		panic(err) // it was read a moment ago
	}
	return sign.Trust{Keys: []sign.Key{k}}
}

func (h *home) close() {
	h.log.Close()
	h.evidence.Close()
}

// ticket is a small statement.
func ticket(t testing.TB, event int, title string) record.Submission {
	t.Helper()
	s, err := record.NewSubmission(ticketStatement(t, fmt.Sprint("event-", event), title))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ticketStatement(t testing.TB, event, title string) stemma.Statement {
	t.Helper()
	sum := sha256.Sum256([]byte(title))
	predicate := map[string]any{
		"source": "tracker", "sourceEventId": event, "timeObserved": "2026-01-02T03:04:05Z", "timeClaimed": nil, "assertion": "declared",
		"refs": []any{map[string]any{"name": "refs/heads/" + title}}, "repository": "git#1", "observer": "test",
	}
	predicate["assertion"] = "observed"
	raw, err := json.Marshal(predicate)
	if err != nil {
		t.Fatal(err)
	}
	return stemma.Statement{
		Type: stemma.StatementType, PredicateType: attest.TypeRefObservation, Predicate: raw,
		Subject: []stemma.Subject{{Name: title, Digest: map[string]string{"sha256": fmt.Sprintf("%x", sum)}}},
	}
}

func mustRecord(t testing.TB, r *record.Recorder, submissions ...record.Submission) []record.Receipt {
	t.Helper()
	receipts, err := r.Record(t.Context(), submissions)
	if err != nil {
		t.Fatalf("Record: %v", err)
	}
	return receipts
}

// entries gives what is kept, by index.
func entries(t testing.TB, h *home) (all []store.Entry) {
	t.Helper()
	for e, err := range h.evidence.Entries(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// whole checks that log and evidence say the same: each entry once, in order,
// with bytes of its digest and a signature, nothing pending, nothing more.
func whole(t testing.TB, h *home, want int) {
	t.Helper()
	all := entries(t, h)
	if len(all) != want {
		t.Errorf("%d envelopes are sequenced, want %d", len(all), want)
	}
	head, err := h.log.Head(t.Context())
	if err != nil || head.Size != uint64(len(all)) {
		t.Errorf("the log has %d entries, %v; the evidence %d", head.Size, err, len(all))
	}
	i := 0
	for d, err := range h.log.Tree().Entries(t.Context(), 0, head.Size) {
		if err != nil {
			t.Fatal(err)
		}
		if i < len(all) && (d != all[i].Digest || all[i].Index != uint64(i) || d != tlog.DigestOf(all[i].Bytes)) {
			t.Errorf("entry %d of the log is not envelope %d (index %d)", i, all[i].ID, all[i].Index)
		}
		i++
	}
	if pending, err := h.evidence.Pending(t.Context(), 1); err != nil || len(pending) > 0 {
		t.Errorf("pending are %v, %v", pending, err)
	}
	for _, e := range all {
		env, err := attest.Decode(e.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if len(env.Signatures) != 1 || !sign.Good(h.signer.Public(), env.PAE(), env.Signatures[0].Sig) {
			t.Errorf("envelope %d is not signed by our key", e.ID)
		}
	}
}

func TestRecordAndRecordAgain(t *testing.T) {
	dir := t.TempDir()
	h := openHome(t, dir)
	first := mustRecord(t, h.recorder, ticket(t, 1, "one"), ticket(t, 2, "two"), ticket(t, 1, "one"))
	if !first[0].New || !first[1].New || first[2].New || first[2].Index != first[0].Index || first[0].Digest == first[1].Digest {
		t.Errorf("receipts %+v", first)
	}
	again := mustRecord(t, h.recorder, ticket(t, 2, "two, said otherwise"), ticket(t, 3, "three"))
	if again[0].New || again[0].Index != first[1].Index || again[0].Digest != first[1].Digest || !again[1].New {
		t.Errorf("receipts %+v", again)
	}
	h.close()
	h = openHome(t, dir)
	if r := mustRecord(t, h.recorder, ticket(t, 1, "one")); r[0].New || r[0].Index != first[0].Index {
		t.Errorf("after opening again: %+v", r[0])
	}
	whole(t, h, 3)

	// What was acknowledged is proven.
	c, err := h.log.Published(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.log.Tree().Prove(t.Context(), c, first[1].Index)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Verify(first[1].Digest, h.keys); err != nil {
		t.Errorf("Verify: %v", err)
	}
}

func TestForeignEnvelopeIsKeptAsItCame(t *testing.T) {
	h := openHome(t, t.TempDir())
	other, err := filekey.Open(filepath.Join(t.TempDir(), "k"), filekey.Config{})
	if err != nil {
		t.Fatal(err)
	}
	st := ticketStatement(t, "1", "foreign")
	e, err := sign.SealStatement(t.Context(), st, other)
	if err != nil {
		t.Fatal(err)
	}
	// Their encoder writes it otherwise than ours.
	raw := []byte(strings.Replace(string(e.Encode()), "{", "{\n  ", 1))
	if string(raw) == string(e.Encode()) {
		t.Fatal("the envelope is not changed")
	}
	sub, err := record.ParseSubmission(raw)
	if err != nil {
		t.Fatal(err)
	}
	r := mustRecord(t, h.recorder, sub)[0]
	if got := entries(t, h)[0].Bytes; string(got) != string(raw) {
		t.Errorf("kept %q, want %q", got, raw)
	}
	if len(r.Verdict.Signatures) != 1 || r.Verdict.OK() {
		t.Errorf("verdict %+v of an unknown key", r.Verdict)
	}

	// Signed anew, at another time, it is the same.
	later := st
	later.Predicate = []byte(strings.Replace(string(st.Predicate), "2026-01-02", "2026-02-03", 1))
	e, err = sign.SealStatement(t.Context(), later, other)
	if err != nil {
		t.Fatal(err)
	}
	if again := mustRecord(t, h.recorder, record.Submission{Envelope: e.Encode()})[0]; again.New || again.Index != r.Index {
		t.Errorf("said again it is new: %+v", again)
	}
	// It does not take the place of our own statement of that event.
	own, err := record.NewSubmission(st)
	if err != nil {
		t.Fatal(err)
	}
	if mine := mustRecord(t, h.recorder, own)[0]; !mine.New {
		t.Errorf("a foreign envelope took the place of an own statement")
	}

	// A false signature of a known key is refused.
	id := other.KeyID()
	cfg := h.config()
	cfg.Trust = sign.Trust{Keys: []sign.Key{{Name: "other", ID: id, Public: other.Public(), Holder: sign.HeldByPerson}}}
	e, err = sign.SealStatement(t.Context(), ticketStatement(t, "2", "changed"), other)
	if err != nil {
		t.Fatal(err)
	}
	e.Payload = []byte(strings.Replace(string(e.Payload), "git#1", "git#2", 1))
	_, err = record.New(cfg).Record(t.Context(), []record.Submission{{Envelope: e.Encode()}})
	if !errors.Is(err, stemma.ErrInvalid) {
		t.Errorf("a false signature: %v, want ErrInvalid", err)
	}
}

func TestBadSubmissions(t *testing.T) {
	h := openHome(t, t.TempDir())
	good := ticket(t, 1, "good")
	large := ticketStatement(t, "large", "large")
	large.Predicate = []byte(strings.Replace(string(large.Predicate), "git#1", strings.Repeat("x", 64<<10), 1))
	largeJSON, err := json.Marshal(large)
	if err != nil {
		t.Fatal(err)
	}
	edit := func(old, new string) []byte { return []byte(strings.Replace(string(good.Payload), old, new, 1)) }
	for name, bad := range map[string]record.Submission{
		"nothing":            {},
		"both":               {Payload: good.Payload, Envelope: good.Payload},
		"over 64 KB":         {Payload: largeJSON},
		"not JSON":           {Payload: []byte("{")},
		"duplicate key":      {Payload: edit(`"predicateType"`, `"predicateType":"x","predicateType"`)},
		"invalid UTF-8":      {Payload: edit("git#1", "git#\xff")},
		"unknown predicate":  {Payload: edit("ref-observation/v1", "nonsense/v9")},
		"no event":           {Payload: edit("event-1", "")},
		"deep":               {Payload: edit(`"predicate":{`, `"predicate":{"x":`+strings.Repeat("[", 100)+strings.Repeat("]", 100)+`,`)},
		"an envelope's name": {Payload: edit("tracker", "envelope")},
		"no envelope":        {Envelope: []byte(`{"payloadType":"x"}`)},
		"half a bundle":      {Envelope: []byte(`{"dsseEnvelope":{}}`)},
		"content and no vault": {Payload: good.Payload, Content: []record.Item{{
			Name: "prompt", Content: vault.Content{Bytes: []byte("hello")},
		}}},
	} {
		_, err := h.recorder.Record(t.Context(), []record.Submission{ticket(t, 7, "beside"), bad})
		want := stemma.ErrInvalid
		if name == "content and no vault" {
			want = stemma.ErrUnavailable
		}
		var at *record.SubmissionError
		if !errors.Is(err, want) || !errors.As(err, &at) || at.At != 1 {
			t.Errorf("%s: Record error = %v, want %v of submission 2", name, err, want)
		}
	}
	whole(t, h, 0)
	for name, bad := range map[string]string{
		"empty": "", "number": "1", "other": `{"a":1}`, "large": strings.Repeat(" ", 10) + `"` + strings.Repeat("x", record.MaxSubmission) + `"`,
	} {
		if _, err := record.ParseSubmission([]byte(bad)); !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("%s: ParseSubmission error = %v, want ErrInvalid", name, err)
		}
	}
	var at *attest.DecodeError
	for bad, offset := range map[string]int64{"\ufeff{}": 0, `{"a":1} b`: 8, `{"a":}`: 5, strings.Repeat("[", 90000): 64, "{\"a\":\"\x00\"}": 6} {
		if _, err := record.ParseSubmission([]byte(bad)); !errors.As(err, &at) || at.Offset != offset {
			t.Errorf("ParseSubmission of %.20q: error %v, want byte %d", bad, err, offset)
		}
	}
}

func TestContentIsRedactedAndKeptInTheVault(t *testing.T) {
	h := openHome(t, t.TempDir())
	v, err := vault.Open(t.Context(), vault.Config{
		Dir: filepath.Join(h.dir, "vault"), Keys: filepath.Join(h.dir, "vaultkeys"), Objects: files.Open(filepath.Join(h.dir, "objects")),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	cfg := h.config()
	cfg.Vault, cfg.Redact = v, redact.New()
	r := record.New(cfg)
	person, err := v.Pseudonym(t.Context(), "ada@example.org")
	if err != nil {
		t.Fatal(err)
	}
	secret := "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
	text := "use this:\nAuthorization: " + secret + "\nplease"
	change := map[string]any{
		"source": "github", "sourceEventId": "pr-1", "timeObserved": "2026-01-02T03:04:05Z", "timeClaimed": nil, "assertion": "declared",
		"repository": "git#1", "id": "git#1!1", "state": "open", "into": "refs/heads/main",
		"head": strings.Repeat("a", 40), "base": strings.Repeat("b", 40), "merged": "", "method": "", "commits": []string{strings.Repeat("a", 40)},
		"author": map[string]any{"id": "p1", "kind": "person"}, "mergedBy": nil,
	}
	st, err := attest.New(attest.TypeChange, change, stemma.Subject{URI: "https://example.org/1", Digest: map[string]string{"sha256": strings.Repeat("0", 64)}})
	if err != nil {
		t.Fatal(err)
	}
	sub, err := record.NewSubmission(st, record.Item{
		Name: "title", Content: vault.Content{Session: "test/1", Owners: []string{person}, Class: vault.ClassContent, Media: "text/plain", Bytes: []byte(text)},
	})
	if err != nil {
		t.Fatal(err)
	}
	receipt := mustRecord(t, r, sub)[0]
	if receipt.Redacted.Total() == 0 {
		t.Errorf("nothing was redacted: %+v", receipt)
	}
	e, err := attest.Decode(entries(t, h)[0].Bytes)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := attest.DecodeStatement(e.Payload)
	if err != nil {
		t.Fatal(err)
	}
	got, err := attest.As[attest.Change](kept)
	if err != nil || len(got.Content) != 1 {
		t.Fatalf("content of the statement: %+v, %v", got.Content, err)
	}
	c := got.Content[0]
	if c.Name != "title" || c.Lines != 3 || strings.Contains(string(e.Payload), "QWxhZGRpbj") {
		t.Errorf("commitment %+v in %s", c, e.Payload)
	}
	opened, err := v.Open(t.Context(), c.Vault)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(opened.Bytes), "QWxhZGRpbj") || !strings.Contains(string(opened.Bytes), "please") || opened.Commitment != "sha256:"+c.Digest {
		t.Errorf("the vault has %q with %s", opened.Bytes, opened.Commitment)
	}
}

// Many goroutines, over handles as of several processes, tell the same events.
func TestConcurrentDuplicatesAreRecordedOnce(t *testing.T) {
	dir := t.TempDir()
	homes := []*home{openHome(t, dir), openHome(t, dir), openHome(t, dir)}
	const tellers, events = 12, 40
	var wg sync.WaitGroup
	var mu sync.Mutex
	indexes := make(map[string]uint64)
	news := 0
	for n := range tellers {
		wg.Go(func() {
			for i := range events {
				r, err := homes[n%len(homes)].recorder.Record(t.Context(), []record.Submission{ticket(t, (i+n)%events, "same")})
				if err != nil {
					t.Errorf("Record: %v", err)
					return
				}
				mu.Lock()
				if r[0].New {
					news++
				}
				if was, ok := indexes[r[0].EventID]; ok && was != r[0].Index {
					t.Errorf("%s was told to be at %d and at %d", r[0].EventID, was, r[0].Index)
				}
				indexes[r[0].EventID] = r[0].Index
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if news != events {
		t.Errorf("%d were new, want %d", news, events)
	}
	whole(t, homes[0], events)
}

// A process may die between any two steps: what it left is completed by the next.
func TestWhatADeadProcessLeftIsCompleted(t *testing.T) {
	ctx := t.Context()
	h := openHome(t, t.TempDir())
	mustRecord(t, h.recorder, ticket(t, 0, "before"))
	seal := func(event int) store.Envelope {
		st := ticketStatement(t, fmt.Sprint("event-", event), "left")
		e, err := sign.SealStatement(ctx, st, h.signer)
		if err != nil {
			t.Fatal(err)
		}
		return store.Envelope{
			EventKey:      store.EventKey{Source: "tracker", EventID: fmt.Sprint("event-", event)},
			PredicateType: st.PredicateType, Subjects: store.SubjectNames(st), Digest: tlog.DigestOf(e.Encode()), Bytes: e.Encode(),
		}
	}
	// It died after keeping 1 to 4, of which 1 and 2 were added in another order.
	kept, err := h.evidence.Keep(ctx, []store.Envelope{seal(1), seal(2), seal(3), seal(4)})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []int{1, 0} {
		if _, err := h.log.Add(ctx, []tlog.Digest{kept[k].Digest}); err != nil {
			t.Fatal(err)
		}
	}
	r := mustRecord(t, h.recorder, ticket(t, 1, "left"), ticket(t, 9, "new"), ticket(t, 2, "left"))
	if r[0].New || r[0].Index != 2 || r[2].Index != 1 || !r[1].New {
		t.Errorf("receipts %+v", r)
	}
	whole(t, h, 6)

	// It died before adding; nobody records again, and it is completed on demand.
	if _, err := h.evidence.Keep(ctx, []store.Envelope{seal(5)}); err != nil {
		t.Fatal(err)
	}
	if err := h.recorder.Resume(ctx); err != nil {
		t.Fatalf("Resume: %v", err)
	}
	whole(t, h, 7)

	// An entry whose envelope nobody has is told, and keeps nobody from work.
	if _, err := h.log.Add(ctx, []tlog.Digest{{1, 2, 3}}); err != nil {
		t.Fatal(err)
	}
	mustRecord(t, h.recorder, ticket(t, 10, "after"))
	if len(h.warnings) != 1 || !strings.Contains(h.warnings[0], "1 entries") {
		t.Errorf("warnings %q", h.warnings)
	}
}

func TestOldCopyOfTheLogIsRefused(t *testing.T) {
	dir := t.TempDir()
	h := openHome(t, dir)
	mustRecord(t, h.recorder, ticket(t, 0, "zero"))
	h.close()
	if err := os.CopyFS(filepath.Join(dir, "backup"), os.DirFS(filepath.Join(dir, "tlog"))); err != nil {
		t.Fatal(err)
	}
	h = openHome(t, dir)
	mustRecord(t, h.recorder, ticket(t, 1, "one"), ticket(t, 2, "two"))
	h.close()
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, "tlog")), os.Rename(filepath.Join(dir, "backup"), filepath.Join(dir, "tlog"))); err != nil {
		t.Fatal(err)
	}
	h = openHome(t, dir)
	_, err := h.recorder.Record(t.Context(), []record.Submission{ticket(t, 3, "three")})
	if !errors.Is(err, stemma.ErrConflict) || !strings.Contains(err.Error(), "1 entries") || !strings.Contains(err.Error(), "knows of 3") {
		t.Errorf("Record on an old copy of the log: %v, want ErrConflict with both sizes", err)
	}
	// The same number of other entries.
	if _, err := h.log.Add(t.Context(), []tlog.Digest{{1}, {2}}); err != nil {
		t.Fatal(err)
	}
	if _, err = h.recorder.Record(t.Context(), []record.Submission{ticket(t, 3, "three")}); !errors.Is(err, stemma.ErrConflict) {
		t.Errorf("Record on another log: %v, want ErrConflict", err)
	}
}

func TestTooMuchAtOnceIsBusy(t *testing.T) {
	h := openHome(t, t.TempDir())
	cfg := h.config()
	cfg.Waiting, cfg.LockWait = 2, 1
	r := record.New(cfg)
	release, err := h.log.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Record(t.Context(), []record.Submission{ticket(t, 1, "held")})
	var busy *record.BusyError
	if !errors.As(err, &busy) || !errors.Is(err, stemma.ErrUnavailable) || busy.RetryAfter <= 0 {
		t.Errorf("Record while the log is held: %v, want a BusyError", err)
	}
	cfg.LockWait = 0
	r = record.New(cfg)
	done := make(chan error)
	go func() {
		_, err := r.Record(context.Background(), []record.Submission{ticket(t, 2, "a"), ticket(t, 3, "b")})
		done <- err
	}()
	for { // until it waits for the lock
		if p, err := h.evidence.Pending(t.Context(), 9); err != nil || len(p) == 3 {
			break
		}
	}
	if _, err := r.Record(t.Context(), []record.Submission{ticket(t, 4, "c")}); !errors.As(err, &busy) {
		t.Errorf("Record over the limit: %v, want a BusyError", err)
	}
	release()
	if err := <-done; err != nil {
		t.Errorf("Record after the log was let go: %v", err)
	}
	whole(t, h, 3)
}

// subjectsOf gives the names of the subjects in an envelope.
func subjectsOf(e store.Entry) ([]string, error) {
	env, err := attest.Decode(e.Bytes)
	if err != nil {
		return nil, err
	}
	st, err := attest.DecodeStatement(env.Payload)
	return store.SubjectNames(st), err
}
