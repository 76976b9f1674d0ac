package sign_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/sign"
)

func pemOf(t testing.TB, k key) string {
	t.Helper()
	text, err := attest.EncodeKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestParseTrust(t *testing.T) {
	a, b := ed(t), p256(t)
	text := `# who may attest what
version: 1
roots: [roots/acme.json]
keys:
  - name: pay-server
    file: server.pub
    holder: server
    notBefore: 2026-01-01T00:00:00Z
    predicates: ["https://stemma.dev/*"]
  - name: ada
    holder: person
    publicKey: |
      ` + strings.ReplaceAll(strings.TrimSpace(pemOf(t, b)), "\n", "\n      ") + `
    revoked: {from: 2026-02-01T00:00:00Z, reason: lost}
identities:
  - name: release
    issuer: https://token.actions.githubusercontent.com
    workflow: https://github.com/acme/pay/.github/workflows/release.yml
    protectedRefs: [refs/heads/main]
    predicates: [https://slsa.dev/provenance/v1]
`
	got, err := sign.ParseTrust("trust.yaml", []byte(text), func(path string) ([]byte, error) {
		if path != "server.pub" {
			return nil, os.ErrNotExist
		}
		return []byte(pemOf(t, a)), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := sign.Trust{
		Keys: []sign.Key{
			{Name: "pay-server", ID: a.id, Public: a.Public(), Holder: sign.HeldByServer, From: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Predicates: []string{"https://stemma.dev/*"}, Pinned: "trust.yaml line 5"},
			{Name: "ada", ID: b.id, Public: b.Public(), Holder: sign.HeldByPerson, Pinned: "trust.yaml line 10"},
		},
		Identities: []sign.Identity{{
			Name: "release", Issuer: "https://token.actions.githubusercontent.com",
			Workflow:      "https://github.com/acme/pay/.github/workflows/release.yml",
			ProtectedRefs: []string{"refs/heads/main"}, Predicates: []string{attest.TypeProvenance}, Pinned: "trust.yaml line 19",
		}},
		Revoked: []sign.Revocation{{KeyID: b.id, From: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), Reason: "lost", Pinned: "trust.yaml line 17"}},
		Roots:   []string{"roots/acme.json"},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable()); diff != "" {
		t.Errorf("ParseTrust (-want +got):\n%s", diff)
	}
}

func TestParseTrustRefuses(t *testing.T) {
	pem := "\n    publicKey: |\n      " + strings.ReplaceAll(strings.TrimSpace(pemOf(t, ed(t))), "\n", "\n      ") + "\n"
	for _, tt := range []struct{ name, in, want string }{
		{"nothing", "", "is empty"},
		{"a list", "- a\n", "line 1: want a mapping"},
		{"no version", "keys: []\n", "version: 1"},
		{"another version", "version: 2\n", "version: 1"},
		{"two documents", "version: 1\n---\nversion: 1\n", "more than one document"},
		{"broken", "version: [1\n", "line 1"},
		{"a tab", "version: 1\nkeys:\n\t- a\n", "line 3"},
		{"a misspelt field", "version: 1\nkey: []\n", `line 2: "key" is no field here`},
		{"a field twice", "version: 1\nversion: 1\n", `line 2: "version" is given twice`},
		{"an alias", "version: &v 1\nroots: [*v]\n", "line 2: want a text"},
		{"a merge", "version: 1\n<<: {keys: []}\n", "line 2"},
		{"a key that says that it attests", "version: 1\nkeys:\n  - name: x" + pem + "    holder: ci\n", "line 3: key \"x\": \"holder\" is \"ci\""},
		{"a key with a tier", "version: 1\nkeys:\n  - name: x\n    tier: attested\n", `line 4: "tier" is no field here`},
		{"a key without holder", "version: 1\nkeys:\n  - name: x" + pem, "\"holder\" is \"\""},
		{"a key without key", "version: 1\nkeys:\n  - name: x\n    holder: server\n", "line 3: key \"x\": want either"},
		{"a key that is none", "version: 1\nkeys:\n  - name: x\n    holder: server\n    publicKey: abc\n", "line 3: key \"x\": public key: want one PEM"},
		{"a file that is not there", "version: 1\nkeys:\n  - name: x\n    holder: server\n    file: gone.pub\n", "line 3: key \"x\": file does not exist"},
		{"a key twice", "version: 1\nkeys:\n  - name: x\n    holder: person" + pem + "  - name: y\n    holder: server" + pem, "is listed twice"},
		{"a time that is a day", "version: 1\nkeys:\n  - name: x\n    notAfter: 2026-01-01\n", "line 4: want a time"},
		{"a revocation without time", "version: 1\nkeys:\n  - name: x\n    holder: person\n    revoked: {reason: lost}" + pem, "without \"from\""},
		{"a workflow on any branch", "version: 1\nidentities:\n  - name: x\n    issuer: https://i.example\n    workflow: https://f.example/w.yml\n", "needs \"protectedRefs\""},
		{"a workflow on a pattern of branches", "version: 1\nidentities:\n  - name: x\n    issuer: https://i.example\n    workflow: https://f.example/w.yml\n    protectedRefs: [refs/heads/*]\n", "not the full name of one ref"},
		{"a workflow with its ref", "version: 1\nidentities:\n  - name: x\n    issuer: https://i.example\n    workflow: https://f.example/w.yml@refs/heads/main\n", "names a ref"},
		{"an issuer that is no URL", "version: 1\nidentities:\n  - name: x\n    issuer: github\n    subject: a\n", "want the URL"},
		{"an identity of nobody", "version: 1\nidentities:\n  - name: x\n    issuer: https://i.example\n", "want either \"subject\" or \"workflow\""},
		{"large", "version: 1\n#" + strings.Repeat("x", sign.MaxTrustFile), "over the limit"},
	} {
		_, err := sign.ParseTrust("trust.yaml", []byte(tt.in), func(string) ([]byte, error) { return nil, os.ErrNotExist })
		if !errors.Is(err, stemma.ErrInvalid) || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "trust.yaml") {
			t.Errorf("%s: %v, want ErrInvalid with %q", tt.name, err, tt.want)
		}
	}
}

func FuzzParseTrust(f *testing.F) {
	f.Add([]byte("version: 1\nroots: [a]\nkeys:\n  - {name: x, holder: server, file: f, notAfter: 2026-03-01T12:00:00Z}\nidentities:\n  - {name: x, issuer: https://i.example, subject: a}\n"))
	f.Add([]byte("version: 1\na: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		trust, err := sign.ParseTrust("t", b, nil)
		if err != nil && !errors.Is(err, stemma.ErrInvalid) {
			t.Fatalf("%v is not ErrInvalid", err)
		}
		for _, id := range trust.Identities {
			if id.Workflow != "" && len(id.ProtectedRefs) == 0 {
				t.Fatalf("a workflow on any branch: %+v", id)
			}
		}
	})
}
