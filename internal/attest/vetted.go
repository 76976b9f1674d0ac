package attest

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// The vetted predicate types that stemma makes and reads (in-toto attestation,
// spec/predicates; SLSA v1.2).
const (
	TypeProvenance          = "https://slsa.dev/provenance/v1"
	TypeVerificationSummary = "https://slsa.dev/verification_summary/v1"
	TypeVerificationResult  = "https://in-toto.io/attestation/svr/v0.2"
	TypeTestResult          = "https://in-toto.io/attestation/test-result/v0.1"
	TypeVulnerabilities     = "https://in-toto.io/attestation/vulns/v0.2"
	TypeRelease             = "https://in-toto.io/attestation/release/v0.1"
	TypeReference           = "https://in-toto.io/attestation/reference/v0.1"
	TypeAttributeReport     = "https://in-toto.io/attestation/scai/v0.3"
)

// Versions of the same that are read as well.
const (
	typeVerificationResult1 = "https://in-toto.io/attestation/svr/v0.1"
	typeRelease2            = "https://in-toto.io/attestation/release/v0.2"
)

var vettedPredicates = []Predicate{
	vetted[Provenance](TypeProvenance, "run"),
	vetted[VerificationSummary](TypeVerificationSummary, "verdict"),
	vetted[VerificationResult](TypeVerificationResult, "verdict"),
	vetted[VerificationResult](typeVerificationResult1, "verdict"),
	vetted[TestResult](TypeTestResult, "run"),
	vetted[Vulnerabilities](TypeVulnerabilities, "finding"),
	vetted[Release](TypeRelease, "artifact"),
	vetted[Release](typeRelease2, "artifact"),
	vetted[Reference](TypeReference, "reference"),
	vetted[AttributeReport](TypeAttributeReport, "attributes"),
}

// Resource is an in-toto ResourceDescriptor v1.
type Resource struct {
	Name             string            `json:"name,omitempty"`
	URI              string            `json:"uri,omitempty"`
	Digest           map[string]string `json:"digest,omitempty"`
	Content          []byte            `json:"content,omitempty"`
	DownloadLocation string            `json:"downloadLocation,omitempty"`
	MediaType        string            `json:"mediaType,omitempty"`
	Annotations      json.RawMessage   `json:"annotations,omitempty"`
}

// check needs one of name, uri, digest and content (resource_descriptor.md).
func (r Resource) check(c *check, path string) {
	c.need(r.Name != "" || r.URI != "" || len(r.Digest) > 0 || len(r.Content) > 0, path, "a resource without name, uri, digest or content")
	c.foreignDigests(path+"/digest", r.Digest)
}

func (c *check) resources(path string, list []Resource) {
	for i, r := range list {
		r.check(c, c.item(path, i))
	}
}

// foreignDigests leaves it to others how they write a digest; it needs one.
func (c *check) foreignDigests(path string, set map[string]string) {
	for algorithm, value := range set {
		c.need(value != "", path+"/"+pointer(algorithm), "an empty digest")
	}
}

// Provenance is SLSA provenance v1: how an artifact was built.
type Provenance struct {
	BuildDefinition struct {
		BuildType            string          `json:"buildType"`
		ExternalParameters   json.RawMessage `json:"externalParameters"`
		InternalParameters   json.RawMessage `json:"internalParameters,omitempty"`
		ResolvedDependencies []Resource      `json:"resolvedDependencies,omitempty"`
	} `json:"buildDefinition"`
	RunDetails struct {
		Builder struct {
			ID                  string            `json:"id"`
			BuilderDependencies []Resource        `json:"builderDependencies,omitempty"`
			Version             map[string]string `json:"version,omitempty"`
		} `json:"builder"`
		Metadata   *RunMetadata `json:"metadata,omitempty"`
		Byproducts []Resource   `json:"byproducts,omitempty"`
	} `json:"runDetails"`
}

// RunMetadata says which run a provenance is of.
type RunMetadata struct {
	InvocationID string  `json:"invocationId,omitempty"`
	StartedOn    *string `json:"startedOn,omitempty"`
	FinishedOn   *string `json:"finishedOn,omitempty"`
}

func (p Provenance) check(c *check) {
	c.uri("/buildDefinition/buildType", p.BuildDefinition.BuildType)
	c.jsonObject("/buildDefinition/externalParameters", p.BuildDefinition.ExternalParameters)
	if p.BuildDefinition.InternalParameters != nil {
		c.jsonObject("/buildDefinition/internalParameters", p.BuildDefinition.InternalParameters)
	}
	c.resources("/buildDefinition/resolvedDependencies", p.BuildDefinition.ResolvedDependencies)
	c.uri("/runDetails/builder/id", p.RunDetails.Builder.ID)
	c.resources("/runDetails/builder/builderDependencies", p.RunDetails.Builder.BuilderDependencies)
	if m := p.RunDetails.Metadata; m != nil {
		if m.StartedOn != nil {
			c.anyTime("/runDetails/metadata/startedOn", *m.StartedOn)
		}
		if m.FinishedOn != nil {
			c.anyTime("/runDetails/metadata/finishedOn", *m.FinishedOn)
		}
	}
	c.resources("/runDetails/byproducts", p.RunDetails.Byproducts)
}

func (c *check) jsonObject(path string, raw json.RawMessage) {
	c.need(jsontext.Value(raw).Kind() == jsontext.KindBeginObject, path, "want an object")
}

// VerificationSummary is a SLSA verification summary v1 (VSA).
type VerificationSummary struct {
	Verifier struct {
		ID      string            `json:"id"`
		Version map[string]string `json:"version,omitempty"`
	} `json:"verifier"`
	TimeVerified       string         `json:"timeVerified,omitempty"`
	ResourceURI        string         `json:"resourceUri"`
	Policy             *Resource      `json:"policy"`
	InputAttestations  []Resource     `json:"inputAttestations,omitempty"`
	VerificationResult string         `json:"verificationResult"`
	VerifiedLevels     []string       `json:"verifiedLevels"`
	DependencyLevels   map[string]int `json:"dependencyLevels,omitempty"`
	SLSAVersion        string         `json:"slsaVersion,omitempty"`
}

// slsaLevels are the levels that SLSA v1.2 names. Its section "Source VSA"
// lists source levels up to 3, although the track has a fourth.
var slsaLevels = []string{
	"SLSA_BUILD_LEVEL_UNEVALUATED", "SLSA_BUILD_LEVEL_0", "SLSA_BUILD_LEVEL_1", "SLSA_BUILD_LEVEL_2", "SLSA_BUILD_LEVEL_3",
	"SLSA_SOURCE_LEVEL_UNEVALUATED", "SLSA_SOURCE_LEVEL_0", "SLSA_SOURCE_LEVEL_1", "SLSA_SOURCE_LEVEL_2", "SLSA_SOURCE_LEVEL_3", "SLSA_SOURCE_LEVEL_4",
}

func (s VerificationSummary) check(c *check) {
	c.uri("/verifier/id", s.Verifier.ID)
	if s.TimeVerified != "" {
		c.anyTime("/timeVerified", s.TimeVerified)
	}
	c.uri("/resourceUri", s.ResourceURI)
	if s.Policy == nil {
		c.need(false, "/policy", "missing")
	} else {
		s.Policy.check(c, "/policy")
	}
	c.resources("/inputAttestations", s.InputAttestations)
	c.oneOf("/verificationResult", s.VerificationResult, "PASSED", "FAILED")
	for i, level := range s.VerifiedLevels {
		path := c.item("/verifiedLevels", i)
		c.text(path, level)
		// Other names are the verifier's own; names that begin so are SLSA's.
		if strings.HasPrefix(level, "SLSA_BUILD_LEVEL_") || strings.HasPrefix(level, "SLSA_SOURCE_LEVEL_") {
			c.need(slices.Contains(slsaLevels, level), path, "no level of SLSA v1.2")
		}
	}
	c.need(s.VerifiedLevels != nil, "/verifiedLevels", "missing")
	for level, n := range s.DependencyLevels {
		c.need(n >= 0, "/dependencyLevels/"+pointer(level), "want 0 or more")
	}
}

// VerificationResult is a simple verification result (SVR).
type VerificationResult struct {
	Verifier struct {
		ID string `json:"id"`
	} `json:"verifier"`
	Policies    []Resource `json:"policies,omitempty"` // from v0.2
	TimeCreated string     `json:"timeCreated"`
	Properties  []string   `json:"properties"`
}

func (r VerificationResult) check(c *check) {
	c.uri("/verifier/id", r.Verifier.ID)
	c.resources("/policies", r.Policies)
	c.anyTime("/timeCreated", r.TimeCreated)
	c.need(r.Properties != nil, "/properties", "missing")
	c.texts("/properties", r.Properties)
}

// TestResult is the outcome of a test run.
type TestResult struct {
	Result        string     `json:"result"`
	Configuration []Resource `json:"configuration"`
	URL           string     `json:"url,omitempty"`
	PassedTests   []string   `json:"passedTests,omitempty"`
	WarnedTests   []string   `json:"warnedTests,omitempty"`
	FailedTests   []string   `json:"failedTests,omitempty"`
}

func (r TestResult) check(c *check) {
	c.oneOf("/result", r.Result, "PASSED", "WARNED", "FAILED")
	c.need(r.Configuration != nil, "/configuration", "missing")
	c.resources("/configuration", r.Configuration)
}

// Vulnerabilities is the result of a scan for known vulnerabilities.
type Vulnerabilities struct {
	Scanner struct {
		URI     string `json:"uri"`
		Version string `json:"version,omitempty"`
		DB      struct {
			URI        string  `json:"uri,omitempty"`
			Version    string  `json:"version,omitempty"`
			LastUpdate *string `json:"lastUpdate,omitempty"`
		} `json:"db"`
		Result []Vulnerability `json:"result"`
	} `json:"scanner"`
	Metadata struct {
		ScanStartedOn  string `json:"scanStartedOn"`
		ScanFinishedOn string `json:"scanFinishedOn"`
	} `json:"metadata"`
}

// Vulnerability is one known vulnerability that a scan found.
type Vulnerability struct {
	ID          string            `json:"id"`
	Severity    []Severity        `json:"severity"`
	Annotations []json.RawMessage `json:"annotations,omitempty"`
}

// Severity is a score by a method.
type Severity struct {
	Method string `json:"method"`
	Score  string `json:"score"`
}

func (v Vulnerabilities) check(c *check) {
	c.text("/scanner/uri", v.Scanner.URI)
	if t := v.Scanner.DB.LastUpdate; t != nil {
		c.anyTime("/scanner/db/lastUpdate", *t)
	}
	c.need(v.Scanner.Result != nil, "/scanner/result", "missing")
	for i, r := range v.Scanner.Result {
		at := c.item("/scanner/result", i)
		c.text(at+"/id", r.ID)
		for j, s := range r.Severity {
			c.text(c.item(at+"/severity", j)+"/method", s.Method)
			c.text(c.item(at+"/severity", j)+"/score", s.Score)
		}
	}
	c.anyTime("/metadata/scanStartedOn", v.Metadata.ScanStartedOn)
	c.anyTime("/metadata/scanFinishedOn", v.Metadata.ScanFinishedOn)
}

// Release links a release of a package to its artifacts, which are the subjects.
type Release struct {
	PURL      string `json:"purl"`
	PackageID string `json:"packageId,omitempty"`
	ReleaseID string `json:"releaseId,omitempty"`
}

func (r Release) check(c *check) {
	c.uri("/purl", r.PURL)
}

// Reference points to other documents about the subject.
type Reference struct {
	Attester struct {
		ID string `json:"id"`
	} `json:"attester"`
	References []Resource `json:"references"`
}

func (r Reference) check(c *check) {
	c.uri("/attester/id", r.Attester.ID)
	c.need(len(r.References) > 0, "/references", "missing or empty")
	c.resources("/references", r.References)
}

// AttributeReport is a software supply chain attribute integrity report (SCAI).
type AttributeReport struct {
	Attributes []Attribute `json:"attributes"`
	Producer   *Resource   `json:"producer,omitempty"`
}

// Attribute is something that holds of a target, with the evidence for it.
type Attribute struct {
	Attribute  string          `json:"attribute"`
	Target     *Resource       `json:"target,omitempty"`
	Conditions json.RawMessage `json:"conditions,omitempty"`
	Evidence   *Resource       `json:"evidence,omitempty"`
}

func (r AttributeReport) check(c *check) {
	c.need(len(r.Attributes) > 0, "/attributes", "missing or empty")
	for i, a := range r.Attributes {
		at := c.item("/attributes", i)
		c.text(at+"/attribute", a.Attribute)
		if a.Target != nil {
			a.Target.check(c, at+"/target")
		}
		if a.Conditions != nil {
			c.jsonObject(at+"/conditions", a.Conditions)
		}
		if a.Evidence != nil {
			a.Evidence.check(c, at+"/evidence")
		}
	}
	if r.Producer != nil {
		r.Producer.check(c, "/producer")
	}
}
