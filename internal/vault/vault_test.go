package vault_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/vault"
	"github.com/stemma-dev/stemma/internal/vault/files"
)

// home is the folder of a vault and its keys.
type home string

func (h home) config() vault.Config {
	return vault.Config{
		Dir: filepath.Join(string(h), "evidence", "vault"), Keys: filepath.Join(string(h), "keys", "vault"),
		Objects: files.Open(filepath.Join(string(h), "evidence", "vault", "objects")),
	}
}

func (h home) open(t *testing.T, change ...func(*vault.Config)) *vault.Vault {
	t.Helper()
	cfg := h.config()
	for _, c := range change {
		c(&cfg)
	}
	v, err := vault.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

const (
	ada   = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	grace = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func prompt(session, text string, people ...string) vault.Content {
	return vault.Content{Session: session, Owners: people, Author: people[0], Class: vault.ClassContent, Media: "text/plain", Rules: "stemma/1", Bytes: []byte(text)}
}

func answer(session, text string, people ...string) vault.Content {
	c := prompt(session, text, people...)
	c.Author = ""
	return c
}

func mustPut(t *testing.T, v *vault.Vault, c vault.Content) vault.Reference {
	t.Helper()
	ref, err := v.Put(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func wantFaults(t *testing.T, v *vault.Vault, want ...string) {
	t.Helper()
	var got []string
	if _, err := v.Check(t.Context(), func(f vault.Fault) error {
		got = append(got, f.What+": "+f.Why)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("Check found %q, want %q", got, want)
	}
	for i := range got {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("Check found %q, want %q", got[i], want[i])
		}
	}
}

func wantErased(t *testing.T, v *vault.Vault, ref vault.Reference) {
	t.Helper()
	_, err := v.Open(t.Context(), ref.URI)
	var e *vault.ErasedError
	if !errors.As(err, &e) || !errors.Is(err, stemma.ErrNotFound) {
		t.Errorf("Open(%s) = %v, want it erased", ref.URI, err)
	}
}

func wantText(t *testing.T, v *vault.Vault, ref vault.Reference, want string) {
	t.Helper()
	o, err := v.Open(t.Context(), ref.URI)
	if err != nil || string(o.Bytes) != want {
		t.Errorf("Open(%s) = %q, %v, want %q", ref.URI, o.Bytes, err, want)
		return
	}
	if o.Commitment != ref.Commitment || vault.Commit(o.Salt, o.Bytes) != ref.Commitment {
		t.Errorf("Open(%s): commitment %s does not open with its salt", ref.URI, ref.Commitment)
	}
}

var erasing = vault.Request{Reason: "asked for", Basis: "GDPR Art. 17(1)(b)", By: "tester"}

func request(target string) vault.Request {
	r := erasing
	r.Target = target
	return r
}

// holds reports which files below a folder hold a text: as it is, in the frames
// of zstd within them, or in hexadecimal.
func holds(t *testing.T, dir, text string) []string {
	t.Helper()
	var found []string
	dec, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if bytes.Contains(raw, []byte(text)) {
			found = append(found, path)
			return nil
		}
		for i := range raw {
			if i+4 <= len(raw) && bytes.Equal(raw[i:i+4], []byte{0x28, 0xb5, 0x2f, 0xfd}) {
				if plain, _ := dec.DecodeAll(raw[i:], nil); bytes.Contains(plain, []byte(text)) {
					found = append(found, path)
					break
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestPutAndOpen(t *testing.T) {
	h := home(t.TempDir())
	v := h.open(t)
	ref := mustPut(t, v, prompt("claude-code/1", "make it blue", ada))
	wantText(t, v, ref, "make it blue")
	if again := mustPut(t, v, prompt("claude-code/1", "make it blue", ada)); again != ref {
		t.Errorf("the same content again is %v, want %v", again, ref)
	}
	for _, other := range []vault.Content{
		prompt("claude-code/2", "make it blue", ada), prompt("claude-code/1", "make it blue", grace), answer("claude-code/1", "make it blue", ada),
	} {
		if o := mustPut(t, v, other); o.URI == ref.URI || o.Commitment == ref.Commitment {
			t.Errorf("%+v has the reference or the commitment of another compartment", other)
		}
	}
	if err := v.Verify(t.Context(), ref); err != nil {
		t.Error(err)
	}
	if err := v.Verify(t.Context(), vault.Reference{URI: ref.URI, Commitment: "sha256:00"}); !errors.Is(err, stemma.ErrConflict) {
		t.Errorf("Verify of another commitment = %v, want a conflict", err)
	}
	if found := holds(t, string(h), "make it blue"); len(found) > 0 {
		t.Errorf("plain text in %v", found)
	}
	// Another process, later.
	w := h.open(t)
	wantText(t, w, ref, "make it blue")
	if again := mustPut(t, w, prompt("claude-code/1", "make it blue", ada)); again != ref {
		t.Errorf("the same content later is %v, want %v", again, ref)
	}
	wantFaults(t, w)
	filepath.WalkDir(filepath.Join(string(h), "keys"), func(path string, d fs.DirEntry, err error) error {
		if info, err := d.Info(); err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
}

func TestPutRefuses(t *testing.T) {
	v := home(t.TempDir()).open(t)
	good := prompt("claude-code/1", "text", ada)
	for name, change := range map[string]func(*vault.Content){
		"no session":    func(c *vault.Content) { c.Session = "" },
		"odd session":   func(c *vault.Content) { c.Session = "a\xff" },
		"no owner":      func(c *vault.Content) { c.Owners, c.Author = nil, "" },
		"path as owner": func(c *vault.Content) { c.Owners = []string{"../../master"} },
		"no pseudonym":  func(c *vault.Content) { c.Author = "ada@example.org" },
		"no class":      func(c *vault.Content) { c.Class = "forever" },
	} {
		c := good
		change(&c)
		if _, err := v.Put(t.Context(), c); !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("Put with %s = %v, want ErrInvalid", name, err)
		}
	}
	for _, uri := range []string{"", "vault:", "vault:../../x/y", "vault:" + strings.Repeat("0", 32) + "/" + strings.Repeat("A", 16) + "/" + strings.Repeat("0", 32), "file:x"} {
		if _, err := v.Open(t.Context(), uri); !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("Open(%q) = %v, want ErrInvalid", uri, err)
		}
	}
	if _, err := v.Open(t.Context(), "vault:"+strings.Repeat("0", 32)+"/"+strings.Repeat("0", 16)+"/"+strings.Repeat("0", 32)); !errors.Is(err, stemma.ErrNotFound) {
		t.Errorf("Open of nothing = %v, want ErrNotFound", err)
	}
}

func TestEraseSession(t *testing.T) {
	h := home(t.TempDir())
	var tombstones []vault.Erasure
	place := &place{}
	v := h.open(t, func(c *vault.Config) {
		c.Tombstone = func(_ context.Context, e vault.Erasure) error {
			tombstones = append(tombstones, e)
			return nil
		}
		c.Places = []vault.Place{place}
	})
	gone := []vault.Reference{mustPut(t, v, prompt("claude-code/1", "first", ada)), mustPut(t, v, answer("claude-code/1", "second", ada, grace))}
	stays := mustPut(t, v, prompt("claude-code/2", "third", ada))
	before, hold, err := v.Preview(t.Context(), vault.KindSession, request("claude-code/1"))
	if err != nil || hold != nil || before.Objects != 2 || before.Keys != 4 {
		t.Errorf("Preview = %+v, %v, %v, want 2 objects and 4 keys", before, hold, err)
	}
	e, err := v.EraseSession(t.Context(), request("claude-code/1"))
	if err != nil {
		t.Fatal(err)
	}
	if e.Objects != 2 || e.Keys != 4 || len(tombstones) != 1 || tombstones[0].ID != e.ID || tombstones[0].Basis != erasing.Basis {
		t.Errorf("EraseSession = %+v, tombstones %+v", e, tombstones)
	}
	if len(place.told) != 1 || len(place.told[0].KeyFiles) != 4 {
		t.Errorf("the other place was told of %+v", place.told)
	}
	for _, ref := range gone {
		wantErased(t, v, ref)
	}
	wantText(t, v, stays, "third")
	if _, err := v.Put(t.Context(), prompt("claude-code/1", "late", ada)); !errors.As(err, new(*vault.ErasedError)) {
		t.Errorf("Put into an erased session = %v, want it erased", err)
	}
	again, err := v.EraseSession(t.Context(), request("claude-code/1"))
	if err != nil || again.ID != e.ID || len(tombstones) != 1 {
		t.Errorf("EraseSession again = %+v, %v, with %d tombstones", again, err, len(tombstones))
	}
	if _, err := v.EraseSession(t.Context(), request("claude-code/9")); !errors.Is(err, stemma.ErrNotFound) {
		t.Errorf("EraseSession of none = %v, want ErrNotFound", err)
	}
	wantFaults(t, v)
	// Another process, that had the key.
	wantErased(t, h.open(t), gone[0])
}

// place is another place, which is told.
type place struct {
	told []vault.Erasure
	fail error
}

func (p *place) Name() string { return "spool" }

func (p *place) Erase(_ context.Context, e vault.Erasure) error {
	p.told = append(p.told, e)
	return p.fail
}

// The rule of sessions with several owners: what the erased person wrote goes,
// what others and the agent wrote stays while another owner is left.
func TestErasePersonOfSharedSessions(t *testing.T) {
	v := home(t.TempDir()).open(t)
	adaID, err := v.Pseudonym(t.Context(), "mailto:ada@lovelace.io")
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Join(t.Context(), adaID, "github:ada"); err != nil {
		t.Fatal(err)
	}
	if same, err := v.Pseudonym(t.Context(), "github:ada"); err != nil || same != adaID {
		t.Fatalf("Pseudonym of a joined identity = %s, %v, want %s", same, err, adaID)
	}
	own := mustPut(t, v, answer("claude-code/own", "own", adaID))
	adas := mustPut(t, v, prompt("claude-code/shared", "ada's words", adaID, grace))
	graces := mustPut(t, v, prompt("claude-code/shared", "grace's words", grace, adaID))
	agents := mustPut(t, v, answer("claude-code/shared", "agent's words", grace, adaID))
	e, err := v.ErasePerson(t.Context(), request(adaID))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(e.Sessions, " ") != "claude-code/own" || strings.Join(e.Partly, " ") != "claude-code/shared" {
		t.Errorf("ErasePerson = %+v", e)
	}
	wantErased(t, v, own)
	wantErased(t, v, adas)
	wantText(t, v, graces, "grace's words")
	wantText(t, v, agents, "agent's words")
	if _, err := v.Put(t.Context(), prompt("claude-code/new", "late", adaID)); !errors.As(err, new(*vault.ErasedError)) {
		t.Errorf("Put by an erased person = %v, want it erased", err)
	}
	for _, identity := range []string{"mailto:ada@lovelace.io", "github:ada"} {
		if fresh, err := v.Pseudonym(t.Context(), identity); err != nil || fresh == adaID {
			t.Errorf("Pseudonym(%s) after the erasure = %s, %v, want a new one", identity, fresh, err)
		}
	}
	wantFaults(t, v)
	// The last owner.
	if _, err := v.ErasePerson(t.Context(), request(grace)); err != nil {
		t.Fatal(err)
	}
	wantErased(t, v, agents)
	if _, err := v.ErasePerson(t.Context(), request(strings.Repeat("c", 32))); !errors.Is(err, stemma.ErrNotFound) {
		t.Errorf("ErasePerson of nobody = %v, want ErrNotFound", err)
	}
	wantFaults(t, v)
}

func TestHoldBeatsErasure(t *testing.T) {
	v := home(t.TempDir()).open(t)
	ref := mustPut(t, v, prompt("claude-code/1", "evidence", ada))
	other := mustPut(t, v, prompt("claude-code/2", "more", ada))
	hold, err := v.Hold(t.Context(), vault.KindSession, "claude-code/1", "incident 7", "tester")
	if err != nil {
		t.Fatal(err)
	}
	second, err := v.Hold(t.Context(), vault.KindPerson, ada, "court", "tester")
	if err != nil {
		t.Fatal(err)
	}
	for _, erase := range []func(context.Context, vault.Request) (vault.Erasure, error){v.EraseSession, v.ErasePerson} {
		target := "claude-code/1"
		if len(must(v.Erasures(t.Context()))) > 0 {
			target = ada
		}
		_, err := erase(t.Context(), request(target))
		var held *vault.HeldError
		if !errors.As(err, &held) || !errors.Is(err, stemma.ErrDenied) || !strings.Contains(err.Error(), hold.ID) || !strings.Contains(err.Error(), "incident 7") {
			t.Fatalf("erase %s under a hold = %v, want the hold named", target, err)
		}
	}
	wantText(t, v, ref, "evidence")
	if done, err := v.Expire(t.Context(), time.Now().AddDate(1, 0, 0), false); err != nil || len(done) != 0 {
		t.Errorf("Expire under a hold = %v, %v, want nothing", done, err)
	}
	if done, err := v.Release(t.Context(), hold.ID, "tester"); err != nil || len(done) != 0 {
		t.Errorf("Release of one of two holds = %v, %v, want nothing carried out", done, err)
	}
	done, err := v.Release(t.Context(), second.ID, "tester")
	if err != nil || len(done) == 0 {
		t.Fatalf("Release = %v, %v, want what waited carried out", done, err)
	}
	wantErased(t, v, ref)
	wantErased(t, v, other)
	if _, err := v.Release(t.Context(), hold.ID, "tester"); !errors.Is(err, stemma.ErrNotFound) {
		t.Errorf("Release twice = %v, want ErrNotFound", err)
	}
	wantFaults(t, v)
}

// A hold on one owner of a shared session keeps the words of all of them.
func TestHoldOfAnotherOwner(t *testing.T) {
	v := home(t.TempDir()).open(t)
	ref := mustPut(t, v, prompt("claude-code/1", "ada's words", ada, grace))
	if _, err := v.Hold(t.Context(), vault.KindPerson, grace, "claim 12", "tester"); err != nil {
		t.Fatal(err)
	}
	if _, err := v.ErasePerson(t.Context(), request(ada)); !errors.As(err, new(*vault.HeldError)) {
		t.Errorf("ErasePerson = %v, want it held", err)
	}
	wantText(t, v, ref, "ada's words")
}

func must[T, U any](a T, _ U, err error) T {
	if err != nil {
		panic(err)
	}
	return a
}

func TestExpire(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	h := home(t.TempDir())
	v := h.open(t, func(c *vault.Config) { c.Now = func() time.Time { return now } })
	put := func(class vault.Class) vault.Reference {
		c := prompt("claude-code/1", string(class), ada)
		c.Class = class
		return mustPut(t, v, c)
	}
	refs := map[vault.Class]vault.Reference{}
	for _, c := range vault.Classes {
		refs[c] = put(c)
	}
	for _, step := range []struct {
		days int
		gone []vault.Class
	}{
		{89, nil},
		{90, []vault.Class{vault.ClassContent}},
		{399, nil},
		{400, []vault.Class{vault.ClassMetadata}},
		{2557, []vault.Class{vault.ClassAudit}},
		{3653, []vault.Class{vault.ClassRelease}},
		{36500, nil},
	} {
		dry, err := v.Expire(t.Context(), now.AddDate(0, 0, step.days), true)
		if err != nil || len(dry) != len(step.gone) {
			t.Fatalf("Expire of day %d, dry = %v, %v, want %v", step.days, dry, err, step.gone)
		}
		done, err := v.Expire(t.Context(), now.AddDate(0, 0, step.days), false)
		if err != nil || len(done) != len(step.gone) {
			t.Fatalf("Expire of day %d = %v, %v, want %v", step.days, done, err, step.gone)
		}
		for i, c := range step.gone {
			if done[i].Target != string(c) || done[i].Objects != 1 || done[i].Keys != 1 {
				t.Errorf("Expire of day %d = %+v", step.days, done[i])
			}
			wantErased(t, v, refs[c])
			delete(refs, c)
		}
		for c, ref := range refs {
			wantText(t, v, ref, string(c))
		}
	}
	// What expired may come again: it is kept for another term.
	wantText(t, v, put(vault.ClassContent), "content")
	wantFaults(t, v)
}
