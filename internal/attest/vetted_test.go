package attest_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	provenance "github.com/in-toto/attestation/go/predicates/provenance/v1"
	reference "github.com/in-toto/attestation/go/predicates/reference/v0"
	scai "github.com/in-toto/attestation/go/predicates/scai/v0"
	svr "github.com/in-toto/attestation/go/predicates/svr/v01"
	testresult "github.com/in-toto/attestation/go/predicates/test_result/v0"
	vsa "github.com/in-toto/attestation/go/predicates/vsa/v1"
	vulns "github.com/in-toto/attestation/go/predicates/vulns/v02"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
)

// vettedExamples are predicates of the shape of those that the specifications
// publish, one or more for each vetted type, with the message of in-toto's own
// library for it.
var vettedExamples = []struct {
	predicateType string
	message       func() proto.Message
	predicate     string
}{
	{attest.TypeProvenance, func() proto.Message { return &provenance.Provenance{} }, `{
		"buildDefinition":{"buildType":"https://actions.github.io/buildtypes/workflow/v1","externalParameters":{"workflow":{"ref":"refs/heads/main","repository":"https://github.com/octocat/hello-world","path":".github/workflows/release.yml"}},
			"internalParameters":{"github":{"event_name":"workflow_dispatch"}},
			"resolvedDependencies":[{"uri":"git+https://github.com/octocat/hello-world@refs/heads/main","digest":{"gitCommit":"c27d339ee6075c1f744c5d4b200f7901aad2c369"}}]},
		"runDetails":{"builder":{"id":"https://github.com/actions/runner/github-hosted"},"metadata":{"invocationId":"https://github.com/octocat/hello-world/actions/runs/1536140711/attempts/1","startedOn":"2023-01-01T12:34:56Z"},
			"byproducts":[{"name":"log","digest":{"sha256":"0a65cac4b7ea2df75b8c5642c44d0b951c422cda6c595e74e758d1d2ddc47c2a"}}]}}`},
	{attest.TypeVerificationSummary, func() proto.Message { return &vsa.VerificationSummary{} }, `{
		"verifier":{"id":"https://example.com/source-verifier"},"timeVerified":"2026-03-01T12:00:00Z","resourceUri":"git+https://example.com/pay",
		"policy":{"uri":"https://example.com/policy","digest":{"sha256":"0a65cac4b7ea2df75b8c5642c44d0b951c422cda6c595e74e758d1d2ddc47c2a"}},
		"verificationResult":"PASSED","verifiedLevels":["SLSA_SOURCE_LEVEL_4","ORG_SOURCE_REVIEWED"],"slsaVersion":"1.2"}`},
	{attest.TypeVerificationResult, nil, `{"verifier":{"id":"https://example.com/v2"},"timeCreated":"1985-04-12T23:20:50.52Z","policies":[{"uri":"https://example.com/p"}],"properties":["SLSA_BUILD_LEVEL_3"]}`},
	{"https://in-toto.io/attestation/svr/v0.1", func() proto.Message { return &svr.SimpleVerificationResult{} }, `{"verifier":{"id":"https://example.com/v2"},"timeCreated":"1985-04-12T23:20:50.52Z","properties":["SLSA_BUILD_LEVEL_3"]}`},
	{attest.TypeTestResult, func() proto.Message { return &testresult.TestResult{} }, `{"result":"PASSED","configuration":[{"name":".github/workflows/ci.yml","downloadLocation":"https://example.com/ci.yml","digest":{"gitBlob":"ebe4add40f63c3c98bc9b32ff1e736f04120b023"}}],"url":"https://example.com/runs/1","passedTests":["build (3.7)"],"warnedTests":[],"failedTests":[]}`},
	{attest.TypeVulnerabilities, func() proto.Message { return &vulns.Vulns{} }, `{"scanner":{"uri":"pkg:github/aquasecurity/trivy@244fd47e07d1004f0aed9","version":"0.19.2","db":{"uri":"pkg:github/aquasecurity/trivy-db/commit/4c76bb580b27","version":"v1-2021080612","lastUpdate":"2021-08-06T17:45:50.52Z"},
		"result":[{"id":"CVE-123","severity":[{"method":"nvd","score":"medium"},{"method":"cvss_score","score":"5.2"}]}]},"metadata":{"scanStartedOn":"2021-08-06T17:45:50.52Z","scanFinishedOn":"2021-08-06T17:50:50.52Z"}}`},
	{attest.TypeRelease, nil, `{"purl":"pkg:npm/%40angular/http@7.2.16","packageId":"1234"}`},
	{"https://in-toto.io/attestation/release/v0.2", nil, `{"purl":"pkg:npm/%40angular/http@7.2.16","releaseId":"1234"}`},
	{attest.TypeReference, func() proto.Message { return &reference.Reference{} }, `{"attester":{"id":"https://example.com/tracker"},"references":[{"downloadLocation":"https://example.com/doc","digest":{"sha256":"0a65cac4b7ea2df75b8c5642c44d0b951c422cda6c595e74e758d1d2ddc47c2a"},"mediaType":"text/plain"}]}`},
	{attest.TypeAttributeReport, func() proto.Message { return &scai.AttributeReport{} }, `{"attributes":[{"attribute":"WITH_STACK_PROTECTION","conditions":{"flags":"-fstack-protector*"},"evidence":{"name":"log","digest":{"sha256":"0a65cac4b7ea2df75b8c5642c44d0b951c422cda6c595e74e758d1d2ddc47c2a"}}}],"producer":{"uri":"https://example.com/gcc"}}`},
}

func validate(predicateType, predicate string) error {
	return attest.Validate(stemma.Statement{PredicateType: predicateType, Predicate: json.RawMessage(predicate)})
}

// What in-toto's own library reads, stemma reads, for every vetted type.
func TestVettedTypes(t *testing.T) {
	seen := make(map[string]bool)
	for _, tt := range vettedExamples {
		seen[tt.predicateType] = true
		if tt.message != nil {
			if err := protojson.Unmarshal([]byte(tt.predicate), tt.message()); err != nil {
				t.Errorf("%s: in-toto's library does not read the example: %v", tt.predicateType, err)
			}
		}
		if err := validate(tt.predicateType, tt.predicate); err != nil {
			t.Errorf("%s: %v", tt.predicateType, err)
		}
		p, ok := attest.Registry{}.Find(tt.predicateType)
		if !ok {
			t.Fatalf("%s is not known", tt.predicateType)
		}
		if lost := p.Unknown(json.RawMessage(tt.predicate)); lost != nil {
			t.Errorf("%s: fields of the specification that are not known: %v", tt.predicateType, lost)
		}
		// A producer may add fields; what stemma adds is known.
		more := strings.Replace(tt.predicate, "{", `{"stemma_metadata":{"source":"s"},"acme_extra":{"a":1},`, 1)
		if err := validate(tt.predicateType, more); err != nil {
			t.Errorf("%s with a field of a vendor: %v", tt.predicateType, err)
		}
		if lost := p.Unknown(json.RawMessage(more)); len(lost) != 1 || lost[0] != "/acme_extra" {
			t.Errorf("%s with a field of a vendor: not known: %v", tt.predicateType, lost)
		}
	}
	for _, p := range attest.Predicates() {
		if !attest.Own(p.Type) && !seen[p.Type] {
			t.Errorf("%s has no example", p.Type)
		}
	}
}

func TestVettedTypesRefuse(t *testing.T) {
	example := func(predicateType string) string {
		for _, tt := range vettedExamples {
			if tt.predicateType == predicateType {
				return tt.predicate
			}
		}
		t.Fatalf("no example of %s", predicateType)
		return ""
	}
	for _, tt := range []struct{ predicateType, was, is, path string }{
		{attest.TypeProvenance, `"id":"https://github.com/actions/runner/github-hosted"`, `"id":""`, "/predicate/runDetails/builder/id"},
		{attest.TypeProvenance, `"buildType":"https://actions.github.io/buildtypes/workflow/v1",`, ``, "/predicate/buildDefinition/buildType"},
		{attest.TypeProvenance, `"externalParameters":{"workflow"`, `"external":{"workflow"`, "/predicate/buildDefinition/externalParameters"},
		{attest.TypeProvenance, `"startedOn":"2023-01-01T12:34:56Z"`, `"startedOn":"yesterday"`, "/predicate/runDetails/metadata/startedOn"},
		{attest.TypeVerificationSummary, `SLSA_SOURCE_LEVEL_4`, `SLSA_SOURCE_LEVEL_5`, "/predicate/verifiedLevels/0"},
		{attest.TypeVerificationSummary, `"resourceUri":"git+https://example.com/pay",`, ``, "/predicate/resourceUri"},
		{attest.TypeVerificationSummary, `"PASSED"`, `"passed"`, "/predicate/verificationResult"},
		{attest.TypeVerificationResult, `"properties":["SLSA_BUILD_LEVEL_3"]`, `"x":1`, "/predicate/properties"},
		{attest.TypeTestResult, `"PASSED"`, `"OK"`, "/predicate/result"},
		{attest.TypeTestResult, `"configuration":[{`, `"configuration":[{},{`, "/predicate/configuration/0"},
		{attest.TypeVulnerabilities, `"id":"CVE-123"`, `"id":""`, "/predicate/scanner/result/0/id"},
		{attest.TypeVulnerabilities, `"scanFinishedOn":"2021-08-06T17:50:50.52Z"`, `"x":1`, "/predicate/metadata/scanFinishedOn"},
		{attest.TypeRelease, `pkg:npm/%40angular/http@7.2.16`, ``, "/predicate/purl"},
		{attest.TypeReference, `"attester":{"id":"https://example.com/tracker"},`, ``, "/predicate/attester/id"},
		{attest.TypeAttributeReport, `"attribute":"WITH_STACK_PROTECTION",`, ``, "/predicate/attributes/0/attribute"},
	} {
		text := strings.Replace(example(tt.predicateType), tt.was, tt.is, 1)
		err := validate(tt.predicateType, text)
		var at *attest.DecodeError
		if !errors.As(err, &at) || at.Path != tt.path {
			t.Errorf("%s with %q for %q: %v, want an error at %s", tt.predicateType, tt.is, tt.was, err, tt.path)
		}
	}
}

// Every type of stemma's own is on the page, with its schema and its example.
func TestStatementsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../doc/statements.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range attest.Predicates() {
		want := []string{"`" + p.Type + "`"}
		if attest.Own(p.Type) {
			want = append(want, "(../schema/"+named(p.Type)+".json)", "(../schema/examples/"+named(p.Type)+".json)")
		} else if _, version, _ := strings.Cut(p.Type, "attestation/"); version != "" {
			want = []string{version}
		}
		for _, text := range want {
			if !strings.Contains(string(page), text) {
				t.Errorf("doc/statements.md does not have %s", text)
			}
		}
	}
}
