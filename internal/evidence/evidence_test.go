package evidence_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/evidence"
	"github.com/stemma-dev/stemma/internal/sign"
	"github.com/stemma-dev/stemma/internal/sign/filekey"
	"github.com/stemma-dev/stemma/internal/tlog"
	"github.com/stemma-dev/stemma/internal/tlog/tessera"
)

const commitID = "d20ace7968ba43c0219f62d71334c1095bab1602"

// row is an attribution with every part of one.
func row() stemma.Attribution {
	strength := stemma.Strength{Tier: stemma.TierClaimed, Assertion: stemma.Declared, Method: "m", Confidence: 1}
	return stemma.Attribution{
		Commit: commitID, Time: 1772366400, Merge: true,
		Lines: stemma.Lines{AI: 3, AIEdited: 1, Unknown: 2},
		Owners: []stemma.Owner{
			{Session: "claude-code/a", Agent: "claude-code", AgentVersion: "2", Model: stemma.Model{Provider: "p", ID: "m", Exact: true, Raw: "M"}, Class: stemma.ClassAI, Source: "git-ai", Strength: strength, Lines: 3, Candidate: 1},
			{Person: "aaaa", Class: stemma.ClassAIEdited, Source: "git-ai", Strength: strength, Lines: 1},
		},
		Files: []stemma.FileLines{
			{Path: "a.go", Added: 3, Whole: true, Ranges: []stemma.OwnedRange{{Start: 1, End: 0, Owner: 0, Class: stemma.ClassAI}}},
			{Path: "b\xff", Added: 3, Ranges: []stemma.OwnedRange{{Start: 2, End: 2, Owner: 1, Class: stemma.ClassAIEdited}}},
		},
		Rest: stemma.ClassUnknown, RestOwner: -1,
		Sources:   []stemma.SourceClaim{{Source: "git-ai", Lines: stemma.Lines{AI: 3}, Outside: 1, Alone: 3, Agree: 1, Differ: 1, Took: 1, Problem: "p"}},
		Conflicts: 1, Algorithm: 1, Input: strings.Repeat("ab", 32),
	}
}

func statement(t testing.TB, r stemma.Attribution) stemma.Statement {
	t.Helper()
	all, err := attest.Attributions(r, "r", attest.Rules{AgentEra: 1}, attest.Metadata{
		Source: "test", EventID: "1", Observed: "2026-03-01T12:00:00Z", Assertion: stemma.Inferred,
	})
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

func newKey(t testing.TB) *filekey.Key {
	t.Helper()
	k, err := filekey.Open(filepath.Join(t.TempDir(), "keys"), filekey.Config{Now: func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func seal(t testing.TB, s stemma.Statement, by ...sign.Signer) []byte {
	t.Helper()
	e, err := sign.SealStatement(t.Context(), s, by...)
	if err != nil {
		t.Fatal(err)
	}
	return e.Encode()
}

// logged gives the proof that a log has the envelope, and the log's key.
func logged(t testing.TB, envelope []byte) (proof []byte, key string) {
	t.Helper()
	signer, key, err := tlog.GenerateKey("test.example/log")
	if err != nil {
		t.Fatal(err)
	}
	log, err := tessera.Open(t.Context(), tessera.Config{Dir: filepath.Join(t.TempDir(), "tlog"), Signer: signer})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	at, err := log.Add(t.Context(), []tlog.Digest{{1}, tlog.DigestOf(envelope), {2}})
	if err != nil {
		t.Fatal(err)
	}
	head, err := log.Published(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	p, err := log.Tree().Prove(t.Context(), head, at[1])
	if err != nil {
		t.Fatal(err)
	}
	return p.Encode(), key
}

// results gives the results of a verdict by claim.
func results(v evidence.Verdict) map[string]evidence.Result {
	by := make(map[string]evidence.Result)
	for _, c := range v.Claims {
		by[c.Claim] = c.Result
	}
	return by
}

func TestEveryClaimHasItsOwnResult(t *testing.T) {
	key := newKey(t)
	trusted, err := key.Trusted("test")
	if err != nil {
		t.Fatal(err)
	}
	envelope := seal(t, statement(t, row()), key)
	proof, vkey := logged(t, envelope)
	logs, err := tlog.NewKeys(vkey, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := tlog.GenerateKey("test.example/log")
	if err != nil {
		t.Fatal(err)
	}
	otherLog, err := tlog.NewKeys(other, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	full := evidence.Verifier{
		Trust: sign.Trust{Keys: []sign.Key{trusted}}, Logs: []tlog.Keys{logs},
		Subjects: func(context.Context, stemma.Statement) (evidence.Result, string, error) {
			return evidence.Holds, "", nil
		},
		Derive: func(context.Context, attest.Attribution) (stemma.Attribution, error) { return row(), nil },
	}
	all := map[string]evidence.Result{
		"form": evidence.Holds, "predicate": evidence.Holds, "signature": evidence.Holds, "inclusion": evidence.Holds,
		"checkpoint": evidence.Holds, "subject": evidence.Holds, "derivation": evidence.Holds,
	}
	but := func(change map[string]evidence.Result) map[string]evidence.Result {
		m := make(map[string]evidence.Result)
		for k, v := range all {
			m[k] = v
		}
		for k, v := range change {
			if v == "" {
				delete(m, k)
				continue
			}
			m[k] = v
		}
		return m
	}
	for _, tt := range []struct {
		name   string
		with   func(*evidence.Verifier, *evidence.Piece)
		want   map[string]evidence.Result
		proven bool
	}{
		{"everything is known", func(*evidence.Verifier, *evidence.Piece) {}, all, true},
		{
			"nobody is believed", func(v *evidence.Verifier, _ *evidence.Piece) { *v = evidence.Verifier{} },
			but(map[string]evidence.Result{"signature": evidence.Unknown, "checkpoint": evidence.Unknown, "subject": evidence.Unknown, "derivation": evidence.Unknown}), false,
		},
		{
			"the log has another key", func(v *evidence.Verifier, _ *evidence.Piece) { v.Logs = []tlog.Keys{otherLog} },
			but(map[string]evidence.Result{"checkpoint": evidence.Fails}), false,
		},
		{
			"the envelope was written again", func(_ *evidence.Verifier, p *evidence.Piece) { p.Envelope = append(bytes.Clone(p.Envelope), ' ') },
			but(map[string]evidence.Result{"inclusion": evidence.Fails}), false,
		},
		{
			"a hash of the proof was changed", func(_ *evidence.Verifier, p *evidence.Piece) {
				i := bytes.Index(p.Proof, []byte("index 1\n")) + 9
				p.Proof = bytes.Clone(p.Proof)
				p.Proof[i] ^= 1
			},
			but(map[string]evidence.Result{"inclusion": evidence.Fails}), false,
		},
		{
			"half a proof", func(_ *evidence.Verifier, p *evidence.Piece) { p.Proof = p.Proof[:40] },
			but(map[string]evidence.Result{"inclusion": evidence.Fails, "checkpoint": ""}), false,
		},
		{
			"no proof", func(_ *evidence.Verifier, p *evidence.Piece) { p.Proof = nil },
			but(map[string]evidence.Result{"inclusion": "", "checkpoint": ""}), true,
		},
		{
			"computed again it differs", func(v *evidence.Verifier, _ *evidence.Piece) {
				v.Derive = func(context.Context, attest.Attribution) (stemma.Attribution, error) {
					r := row()
					r.Owners[0].Lines = 2
					return r, nil
				}
			},
			but(map[string]evidence.Result{"derivation": evidence.Fails}), false,
		},
		{
			"what it was computed from is gone", func(v *evidence.Verifier, _ *evidence.Piece) {
				v.Derive = func(context.Context, attest.Attribution) (stemma.Attribution, error) {
					return stemma.Attribution{}, stemma.ErrNotFound
				}
			},
			but(map[string]evidence.Result{"derivation": evidence.Unknown}), true,
		},
	} {
		v, p := full, evidence.Piece{Envelope: envelope, Proof: proof}
		tt.with(&v, &p)
		got, err := v.Verify(t.Context(), p)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, results(got)); diff != "" || got.Proven() != tt.proven {
			t.Errorf("%s: proven %t, want %t (-want +got):\n%s", tt.name, got.Proven(), tt.proven, diff)
		}
	}
	full.Derive = func(context.Context, attest.Attribution) (stemma.Attribution, error) {
		return stemma.Attribution{}, stemma.ErrUnavailable
	}
	if _, err := full.Verify(t.Context(), evidence.Piece{Envelope: envelope}); !errors.Is(err, stemma.ErrUnavailable) {
		t.Errorf("a repository that can not be read: %v, want the error", err)
	}
}

// Every field of a row is compared, and people are compared by their place:
// another machine has other pseudonyms.
func TestDerivationComparesWholeRows(t *testing.T) {
	envelope := seal(t, statement(t, row()), newKey(t))
	for _, tt := range []struct {
		name   string
		change func(*stemma.Attribution)
		want   evidence.Result
	}{
		{"the same", func(*stemma.Attribution) {}, evidence.Holds},
		{"other pseudonyms", func(r *stemma.Attribution) { r.Owners[1].Person = "bbbb" }, evidence.Holds},
		{"a person in place of a session", func(r *stemma.Attribution) { r.Owners[0].Session, r.Owners[0].Person = "", "cccc" }, evidence.Fails},
		{"another session", func(r *stemma.Attribution) { r.Owners[0].Session = "x/y" }, evidence.Fails},
		{"another model", func(r *stemma.Attribution) { r.Owners[0].Model.ID = "n" }, evidence.Fails},
		{"another tier", func(r *stemma.Attribution) { r.Owners[0].Strength.Tier = stemma.TierAttested }, evidence.Fails},
		{"an owner less", func(r *stemma.Attribution) { r.Owners = r.Owners[:1] }, evidence.Fails},
		{"another range", func(r *stemma.Attribution) { r.Files[1].Ranges[0].End = 3 }, evidence.Fails},
		{"a file less", func(r *stemma.Attribution) { r.Files = r.Files[:1] }, evidence.Fails},
		{"other lines", func(r *stemma.Attribution) { r.Lines.Human++ }, evidence.Fails},
		{"another time", func(r *stemma.Attribution) { r.Time++ }, evidence.Fails},
		{"no merge", func(r *stemma.Attribution) { r.Merge = false }, evidence.Fails},
		{"another rest", func(r *stemma.Attribution) { r.Rest = stemma.ClassHuman }, evidence.Fails},
		{"another claim", func(r *stemma.Attribution) { r.Sources[0].Took++ }, evidence.Fails},
		{"another input", func(r *stemma.Attribution) { r.Input = strings.Repeat("cd", 32) }, evidence.Unknown},
		{"another version of the rules", func(r *stemma.Attribution) { r.Algorithm++ }, evidence.Unknown},
	} {
		v := evidence.Verifier{Derive: func(context.Context, attest.Attribution) (stemma.Attribution, error) {
			r := row()
			tt.change(&r)
			return r, nil
		}}
		got, err := v.Verify(t.Context(), evidence.Piece{Envelope: envelope})
		if err != nil {
			t.Fatal(err)
		}
		if r := results(got)["derivation"]; r != tt.want {
			t.Errorf("%s: %s, want %s (%v)", tt.name, r, tt.want, got.Claims)
		}
	}
}

func TestWriteAndRead(t *testing.T) {
	key := newKey(t)
	one, two := seal(t, statement(t, row()), key), seal(t, statement(t, row()), key, newKey(t))
	public, err := attest.EncodeKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	x := evidence.Export{
		Node: "commit:" + commitID, Keys: []string{public}, LogKey: "log+00000000+x",
		Pieces: []evidence.Piece{{Envelope: one, Proof: []byte("proof")}, {Envelope: two}},
	}
	var first, second bytes.Buffer
	for _, w := range []io.Writer{&first, &second} {
		if err := evidence.Write(w, x); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the same export gives two files")
	}
	got, err := evidence.Read(first.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Pieces) != 2 || got.Node != x.Node || got.LogKey != x.LogKey || !cmp.Equal(got.Keys, x.Keys) {
		t.Errorf("read back: %d pieces, %+v", len(got.Pieces), got)
	}
	for _, p := range got.Pieces {
		if !bytes.Equal(p.Envelope, one) && !bytes.Equal(p.Envelope, two) {
			t.Errorf("envelope %s is not as it was stored", p.Name)
		}
		if bytes.Equal(p.Envelope, one) != (string(p.Proof) == "proof") {
			t.Errorf("the proof is with another envelope")
		}
	}
	bundle, err := evidence.Bundle(one)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := evidence.Read(append(append(bundle, '\n'), two...))
	if err != nil || len(lines.Pieces) != 2 || lines.Pieces[1].Name != "line 2" {
		t.Errorf("a bundle and an envelope a line: %v, %v", lines, err)
	}
}

func TestReadRefuses(t *testing.T) {
	var good bytes.Buffer
	if err := evidence.Write(&good, evidence.Export{Node: "n", Pieces: []evidence.Piece{{Envelope: seal(t, statement(t, row()), newKey(t))}}}); err != nil {
		t.Fatal(err)
	}
	archive := func(members ...string) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for i := 0; i+1 < len(members); i += 2 {
			if err := w.WriteHeader(&tar.Header{Name: members[i], Mode: 0o644, Size: int64(len(members[i+1])), Format: tar.FormatUSTAR}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte(members[i+1])); err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
		return b.Bytes()
	}
	manifest := func(members string) string {
		return `{"schema":"stemma.export/v1","node":"n","members":[` + members + `]}`
	}
	for _, tt := range []struct {
		name string
		in   []byte
		want string
	}{
		{"nothing", nil, "is empty"},
		{"no JSON", []byte("hello"), "byte 0"},
		{"another document", []byte(`{"a":1}`), "neither an envelope nor a bundle"},
		{"a statement", []byte(`{"_type":"https://in-toto.io/Statement/v1"}`), "nobody has signed it"},
		{"a bundle of a message", []byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","messageSignature":{}}`), "signs a message"},
		{"a bundle of nothing", []byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","DSSEEnvelope":{}}`), `"dsseEnvelope" is missing`},
		{"a line that is none", []byte("{\"payloadType\":\"t\"}\n{\"payloadType\":\"t\"\n"), "line 2"},
		{"half a file", good.Bytes()[:700], "exported file"},
		{"no manifest", archive("a", "b"), "no manifest"},
		{"another schema", archive("manifest.json", `{"schema":"x"}`), "schema"},
		{"a manifest with a name twice", archive("manifest.json", `{"schema":"stemma.export/v1","schema":"x"}`), "duplicate"},
		{"a member that is not named", archive("manifest.json", manifest(""), "statements/a.dsse.json", "{}"), "does not name it"},
		{"a member that is gone", archive("manifest.json", manifest(`"statements/a.dsse.json"`)), "not there"},
		{"a member twice", archive("manifest.json", manifest(""), "manifest.json", manifest("")), "there twice"},
		{"large", make([]byte, evidence.MaxFile+1), "over the limit"},
	} {
		_, err := evidence.Read(tt.in)
		if !errors.Is(err, stemma.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want ErrInvalid with %q", tt.name, err, tt.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	key := newKey(f)
	one := seal(f, statement(f, row()), key)
	bundle, err := evidence.Bundle(one)
	if err != nil {
		f.Fatal(err)
	}
	var file bytes.Buffer
	if err := evidence.Write(&file, evidence.Export{Node: "n", Pieces: []evidence.Piece{{Envelope: one, Proof: []byte("c2sp.org/tlog-proof@v1\nindex 0\n\n")}}}); err != nil {
		f.Fatal(err)
	}
	f.Add(one)
	f.Add(bundle)
	f.Add(file.Bytes())
	f.Add([]byte("{\"payloadType\":\"t\"}\n{\"payloadType\":\"t\"}\n"))
	trusted, err := key.Trusted("fuzz")
	if err != nil {
		f.Fatal(err)
	}
	v := evidence.Verifier{Trust: sign.Trust{Keys: []sign.Key{trusted}}}
	payload, err := attest.EncodeStatement(statement(f, row()))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := evidence.Read(b)
		if err != nil {
			if !errors.Is(err, stemma.ErrInvalid) {
				t.Fatalf("%v is not ErrInvalid", err)
			}
			return
		}
		for _, p := range x.Pieces {
			got, err := v.Verify(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			if !got.Proven() {
				continue
			}
			// Nobody but the key makes something that is proven.
			if e, err := attest.FileLimits.Decode(p.Envelope); err != nil || !bytes.Equal(e.Payload, payload) {
				t.Fatalf("proven, and never signed: %q", p.Envelope)
			}
		}
	})
}
