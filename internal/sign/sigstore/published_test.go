package sigstore_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/sign/sigstore"
)

// example reads what the Sigstore project publishes, as its library carries it for
// its own tests in the module cache.
func example(t *testing.T, path string) []byte {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/sigstore/sigstore-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "pkg", "testing", "data", path))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// published is a verifier with a root of the public instance.
func published(t *testing.T, root string) *sigstore.Verifier {
	t.Helper()
	text := example(t, filepath.Join("trusted-roots", root))
	v, err := sigstore.New(sigstore.Root{Name: root, JSON: text})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestPublishedBundleOfThePublicInstance(t *testing.T) {
	v := published(t, "public-good.json")
	text := example(t, "bundles/sigstore.js@2.0.0-provenance.sigstore.json")
	got := v.Verify(t.Context(), text)
	if !got.Good {
		t.Fatalf("a published bundle is refused: %q", got.Reasons)
	}
	if want := "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main"; got.Certificate.Subject != want {
		t.Errorf("identity %q, want %q", got.Certificate.Subject, want)
	}
	if s, err := attest.DecodeStatement(got.Envelope.Payload); err != nil || s.PredicateType != "https://slsa.dev/provenance/v1" {
		t.Errorf("statement of type %q, %v", s.PredicateType, err)
	}
	// The same bundle with one character of its payload changed.
	changed := bytes.Replace(text, []byte(`"payload": "eyJ`), []byte(`"payload": "eyK`), 1)
	if bytes.Equal(changed, text) {
		changed = bytes.Replace(text, []byte(`"payload":"eyJ`), []byte(`"payload":"eyK`), 1)
	}
	if bytes.Equal(changed, text) {
		t.Fatal("the payload was not found")
	}
	if v.Verify(t.Context(), changed).Good {
		t.Error("a changed payload is taken for good")
	}
}

func TestPublishedBundlesThatMustFail(t *testing.T) {
	good := published(t, "public-good.json")
	for name, why := range map[string]string{
		"dsse-2sigs.sigstore.json": "signature",             // a bundle has exactly one
		"othername.sigstore.json":  "verification material", // it carries none
	} {
		got := good.Verify(t.Context(), example(t, "bundles/"+name))
		if got.Good || !strings.Contains(strings.Join(got.Reasons, " "), why) {
			t.Errorf("%s: good %v, reasons %q", name, got.Good, got.Reasons)
		}
	}
}
