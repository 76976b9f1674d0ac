package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/stemma-dev/stemma/internal/sign/sigstoretest"
)

// keyless makes the trust root of a private authority, and bundles that workflows
// signed without a key: keyless folder statement. The workflow that a trust.yaml
// is to pin is .ci/release.yml on refs/heads/main.
func keyless(ts *testscript.TestScript, _ bool, args []string) {
	acme, err := sigstoretest.New()
	ts.Check(err)
	other, err := sigstoretest.New()
	ts.Check(err)
	payload := []byte(strings.TrimSpace(ts.ReadFile(args[1])))
	write := func(name string, v any) {
		text, err := json.Marshal(v)
		ts.Check(err)
		ts.Check(os.WriteFile(filepath.Join(ts.MkAbs(args[0]), name), text, 0o600))
	}
	ts.Check(os.MkdirAll(ts.MkAbs(args[0]), 0o700))
	root, err := acme.TrustedRoot()
	ts.Check(err)
	write("trusted_root.json", json.RawMessage(root))
	release := sigstoretest.Claims{
		Issuer: "https://token.forge.example", Repository: "https://forge.example/acme/pay",
		Workflow: "https://forge.example/acme/pay/.ci/release.yml", Ref: "refs/heads/main",
	}
	now := time.Now().Add(-time.Minute)
	for name, b := range map[string]struct {
		by     sigstoretest.Authority
		change func(*sigstoretest.Claims)
		from   time.Time
		spoil  func(sigstoretest.Object)
	}{
		"release.json":  {by: acme},
		"topic.json":    {by: acme, change: func(c *sigstoretest.Claims) { c.Ref = "refs/heads/topic" }},
		"workflow.json": {by: acme, change: func(c *sigstoretest.Claims) { c.Workflow = "https://forge.example/acme/pay/.ci/mine.yml" }},
		"issuer.json":   {by: acme, change: func(c *sigstoretest.Claims) { c.Issuer = "https://token.evil.example" }},
		"expired.json":  {by: acme, from: now.Add(-time.Hour)},
		"root.json":     {by: other},
		"changed.json": {by: acme, spoil: func(b sigstoretest.Object) {
			b["dsseEnvelope"].(sigstoretest.Object)["payload"] = []byte(strings.Replace(string(payload), "PASSED", "FAILED", 1))
		}},
		"untimed.json": {by: acme, spoil: func(b sigstoretest.Object) {
			delete(b["verificationMaterial"].(sigstoretest.Object), "timestampVerificationData")
		}},
	} {
		claims, from := release, now
		if b.change != nil {
			b.change(&claims)
		}
		if !b.from.IsZero() {
			from = b.from
		}
		c, err := b.by.Certify(claims, from)
		ts.Check(err)
		bundle, err := b.by.Bundle(c, payload)
		ts.Check(err)
		if b.spoil != nil {
			b.spoil(bundle)
		}
		write(name, bundle)
	}
}
