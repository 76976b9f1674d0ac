package attest_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
)

// published is the folder of a module as the module cache carries it, with the
// examples of who publishes it.
func published(t *testing.T, module string) string {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil || len(dir) < 2 {
		t.Fatalf("%s: %q, %v", module, dir, err)
	}
	return strings.TrimSpace(string(dir))
}

// The examples of statements in in-toto's specification of predicates, by page
// and place. printed is the reason for which stemma refuses what stands there,
// most of which is abbreviated or has comments; "" takes it. written is the same
// where what is left out is filled in, and small slips are put right; "form" is a
// form with <words> in the place of values, which is refused whatever is done.
var inTotoExamples = map[string]struct{ printed, written string }{
	"cyclonedx.md 1":         {"'/' at start of value", "want one of: https://in-toto.io/Statement/v1"},
	"link.md 1":              {"'/' at start of value", "form"},
	"reference.md 1":         {"'/' at start of value", "form"},
	"reference.md 2":         {"", ""},
	"reference.md 3":         {"", ""},
	"release.md 1":           {"'/' at start of value", "form"},
	"release.md 2":           {"want sha256 in lower-case hex", ""},
	"release.md 3":           {"',' at start of value", ""}, // a comma too many
	"release.md 4":           {"want sha256 in lower-case hex", ""},
	"release.md 5":           {"want sha512 in lower-case hex", `unknown predicate type "https://github.com/npm/attestation/`},
	"release.md 6":           {"'/' at start of value", ""},
	"runtime-trace.md 1":     {"'.' at start of value", "form"},
	"runtime-trace.md 2":     {"'.' at start of value", `unknown predicate type "https://in-toto.io/attestation/runtime-trace/v0.1"`},
	"scai.md 1":              {"'[' at start of string", "form"},
	"scai.md 2":              {"'/' at start of value", ""},
	"scai.md 3":              {"'/' at start of value", ""},
	"scai.md 4":              {"'/' at start of value", ""},
	"scai.md 5":              {"'/' at start of value", ""},
	"scai.md 6":              {"'/' at start of value", ""},
	"scai.md 7":              {"'/' at start of value", ""},
	"spdx2.md 1":             {"'/' at start of value", "want one of: https://in-toto.io/Statement/v1"},
	"spdx3.md 1":             {"'/' at start of value", "want one of: https://in-toto.io/Statement/v1"},
	"svr.md 1":               {"'/' at start of value", "form"},
	"svr.md 2":               {"want sha256 in lower-case hex", ""},
	"svr.md 3":               {"want sha256 in lower-case hex", ""},
	"svr.md 4":               {"'/' at start of string", ""},
	"template/template.md 1": {"'/' at start of value", "form"},
	"test-result.md 1":       {"'.' at start of value", "form"},
	"test-result.md 2":       {"", ""},
	"vuln.md 1":              {"'/' at start of value", `unknown predicate type "https://in-toto.io/attestation/vulns/v0.1"`},
	"vulns_02.md 1":          {"'/' at start of value", ""},
}

var (
	block = regexp.MustCompile("(?ms)^ *```json[cl]?\n(.*?)^ *```")

	comments     = regexp.MustCompile(`(?m)(^|[\s,{])//.*$|/\*.*?\*/`)
	digests      = regexp.MustCompile(`"(sha256|sha512)": *"([0-9A-Za-z]*)\.\.\."`)
	leftOut      = regexp.MustCompile(`(?m),?\s*(\{ ?\.\.\. ?\}|\.\.\.,?)`)
	commas       = regexp.MustCompile(`,(\s*[}\]])`)
	missingComma = regexp.MustCompile(`([}\]"])(\n\s*["{])`)
)

// filled gives an example without what stands for something that is left out.
func filled(text string) string {
	text = comments.ReplaceAllString(text, "$1")
	text = digests.ReplaceAllStringFunc(text, func(d string) string {
		m := digests.FindStringSubmatch(d)
		length := map[string]int{"sha256": 64, "sha512": 128}[m[1]]
		return fmt.Sprintf(`"%s": "%s"`, m[1], (strings.ToLower(m[2]) + strings.Repeat("0", length))[:length])
	})
	text = strings.Replace(text, `"subject": [{ ... }]`, `"subject": [{"digest":{"sha256":"`+strings.Repeat("ab", 32)+`"}}]`, 1)
	text = strings.Replace(text, `"subject": [{...}]`, `"subject": [{"digest":{"sha256":"`+strings.Repeat("ab", 32)+`"}}]`, 1)
	text = strings.Replace(text, `"score", "5.2"`, `"score": "5.2"`, 1)
	text = leftOut.ReplaceAllString(text, "")
	text = missingComma.ReplaceAllString(text, "$1,$2")
	return commas.ReplaceAllString(text, "$1")
}

func TestPublishedInTotoExamples(t *testing.T) {
	root := filepath.Join(published(t, "github.com/in-toto/attestation"), "spec", "predicates")
	seen := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		page, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		n := 0
		for _, m := range block.FindAllSubmatch(page, -1) {
			text := strings.TrimSpace(string(m[1]))
			if !strings.Contains(text, `"predicateType":`) {
				continue
			}
			n++
			seen++
			at := fmt.Sprintf("%s %d", filepath.ToSlash(name), n)
			want, ok := inTotoExamples[at]
			if !ok {
				t.Errorf("%s: an example that this test does not know", at)
				continue
			}
			wantReason(t, at+" as printed", text, want.printed)
			wantReason(t, at+" filled in", filled(text), want.written)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen != len(inTotoExamples) {
		t.Errorf("%d examples were found, want %d", seen, len(inTotoExamples))
	}
}

// wantReason checks that a statement is refused for a reason, or with "" taken,
// and that nothing of what it says is lost then.
func wantReason(t *testing.T, name, text, reason string) {
	t.Helper()
	s, err := attest.DecodeStatement([]byte(text))
	if err == nil {
		err = attest.Validate(s)
	}
	var at *attest.DecodeError
	switch {
	case reason == "" && err == nil:
		if p, _ := (attest.Registry{}).Find(s.PredicateType); len(p.Unknown(s.Predicate)) > 0 && !strings.HasPrefix(name, "svr.md 4") {
			t.Errorf("%s: fields that are not understood: %v", name, p.Unknown(s.Predicate))
		}
	case reason == "" || err == nil:
		t.Errorf("%s: error %v, want %q\n%s", name, err, reason, text)
	case !errors.As(err, &at) || !errors.Is(err, stemma.ErrInvalid):
		t.Errorf("%s: error %v, want a DecodeError of kind ErrInvalid", name, err)
	case reason != "form" && !strings.Contains(err.Error(), reason):
		t.Errorf("%s: error %v, want %q\n%s", name, err, reason, text)
	}
}

// The links and layouts that in-toto's library publishes are DSSE envelopes of
// something else than statements: the envelopes are read to the byte, as their
// signatures show, and no statement is made of them.
func TestPublishedInTotoEnvelopes(t *testing.T) {
	root := filepath.Join(published(t, "github.com/in-toto/in-toto-golang"), "test", "data")
	read := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	layout, err := attest.Decode(read("dsse-only.root.layout"))
	if err != nil {
		t.Fatal(err)
	}
	var keys struct {
		Keys map[string]struct{ Keyval struct{ Public string } }
	}
	if err := json.Unmarshal(layout.Payload, &keys); err != nil {
		t.Fatal(err)
	}
	verified := 0
	for _, name := range []string{
		"package-dsse.2f89b927.link", "clone-dsse.776a00e2.link", "update-version-dsse.776a00e2.link", "demo.dsse.layout", "dsse-only.root.layout",
	} {
		e, err := attest.Decode(read(name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if e.PayloadType != attest.PayloadType || !json.Valid(e.Payload) {
			t.Errorf("%s: payload of type %q: %.40q", name, e.PayloadType, e.Payload)
		}
		if _, err := attest.DecodeStatement(e.Payload); !errors.Is(err, stemma.ErrInvalid) || !strings.Contains(err.Error(), "/_type") {
			t.Errorf("%s: as a statement it is %v, want /_type refused", name, err)
		}
		for _, sig := range e.Signatures {
			known := keys.Keys[sig.KeyID].Keyval.Public
			if known == "" {
				continue
			}
			p, _ := pem.Decode([]byte(known))
			public, err := x509.ParsePKIXPublicKey(p.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(e.PAE())
			if err := rsa.VerifyPSS(public.(*rsa.PublicKey), crypto.SHA256, sum[:], sig.Sig, nil); err != nil {
				t.Errorf("%s: signature of %.8s: %v", name, sig.KeyID, err)
			}
			verified++
		}
	}
	if verified != 3 {
		t.Errorf("%d published signatures are over what was read, want those of 3 links", verified)
	}
	// What was before DSSE is no envelope.
	for _, name := range []string{"foo.b7d643de.link", "demo.layout"} {
		if _, err := attest.Decode(read(name)); !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

// signer signs for the library that publishes DSSE.
type signer struct{ ed25519.PrivateKey }

func (s signer) Sign(data []byte) []byte { return ed25519.Sign(s.PrivateKey, data) }

// The library that publishes DSSE and stemma read what the other wrote, and sign
// over the same bytes.
func TestDSSELibrary(t *testing.T) {
	key := signer{ed25519.NewKeyFromSeed(make([]byte, 32))}
	for _, payload := range []string{"", "hello world", "\x00\xff\n", strings.Repeat("x", 70000)} {
		for _, payloadType := range []string{"t", attest.PayloadType, "http://example.com/HelloWorld", "ü"} {
			if got, want := attest.PAE(payloadType, []byte(payload)), dsse.PAE(payloadType, []byte(payload)); string(got) != string(want) {
				t.Errorf("PAE(%q, %.10q) = %.60q, want %.60q", payloadType, payload, got, want)
			}
		}
		ours := attest.Envelope{PayloadType: attest.PayloadType, Payload: []byte(payload)}
		ours.Signatures = []attest.Signature{{KeyID: "a", Sig: key.Sign(ours.PAE())}, {Sig: key.Sign(ours.PAE())}}
		var theirs dsse.Envelope
		if err := json.Unmarshal(ours.Encode(), &theirs); err != nil {
			t.Fatal(err)
		}
		body, err := theirs.DecodeB64Payload()
		if err != nil || string(body) != payload || theirs.PayloadType != ours.PayloadType || len(theirs.Signatures) != 2 || theirs.Signatures[0].KeyID != "a" {
			t.Errorf("the library reads %+v, %v", theirs, err)
		}
		text, err := json.Marshal(theirs)
		if err != nil {
			t.Fatal(err)
		}
		again, err := attest.FileLimits.Decode(text)
		if err != nil || string(again.Payload) != payload || !ed25519.Verify(key.Public().(ed25519.PublicKey), again.PAE(), again.Signatures[1].Sig) {
			t.Errorf("what the library wrote is read as %+v, %v", again, err)
		}
	}
}
