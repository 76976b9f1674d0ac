package kms_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	localkms "github.com/nsmithuk/local-kms/src"
	localconfig "github.com/nsmithuk/local-kms/src/config"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/sign"
	"github.com/stemma-dev/stemma/internal/sign/kms"
)

// The keys that the server of these tests has.
const (
	p256Key = "800d5768-3fd7-4edd-a4b8-4c81c3e4c147"
	aesKey  = "bc436485-5092-42b8-92a3-0aa8b93536dc"
	noKey   = "00000000-0000-4000-8000-000000000000"
)

const seed = `Keys:
  Symmetric:
    Aes:
      - Metadata:
          KeyId: ` + aesKey + `
        BackingKeys:
          - 5cdaead27fe7da2de47945d73cd6d79e36494e73802f3cd3869f1d2cb0b5d7a9
  Asymmetric:
    Ecc:
      - Metadata:
          KeyId: ` + p256Key + `
          KeyUsage: SIGN_VERIFY
        PrivateKeyPem: |
          -----BEGIN EC PRIVATE KEY-----
          MHcCAQEEIMnOrUrXr8rwne7d8f01cfwmpS/w+K7jcyWmmeLDgWKaoAoGCCqGSM49
          AwEHoUQDQgAEYNMBBZ3h1ipuph1iO5k+yLvTs94UN71quXN3f0P/tprs2Fp2FEas
          M7m7XZ2xlDK3wcEAs1QEIoQjjwnhcptQ6A==
          -----END EC PRIVATE KEY-----
Aliases:
  - AliasName: alias/stemma
    TargetKeyId: ` + p256Key + `
`

// portVariable makes this test binary a server of the protocol of AWS KMS.
const portVariable = "STEMMA_TEST_KMS_PORT"

func TestMain(m *testing.M) {
	if port := os.Getenv(portVariable); port != "" {
		dir, err := os.Getwd()
		if err != nil {
			panic(err)
		}
		localconfig.DatabasePath = filepath.Join(dir, "data")
		localkms.Run(port, filepath.Join(dir, "seed.yaml"))
		return
	}
	os.Exit(m.Run())
}

// serve starts a real local key service behind TLS, and gives its address.
func serve(t *testing.T, change func(*http.Response) error) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "seed.yaml"), []byte(seed), 0o600); err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(free.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	server := exec.CommandContext(ctx, self)
	server.Dir, server.Env = dir, append(os.Environ(), portVariable+"="+port)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = server.Wait() // killed
	})
	behind := &url.URL{Scheme: "http", Host: "127.0.0.1:" + port}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", behind.Host); err == nil {
			c.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatal("the key service does not start")
		}
	}
	front := httptest.NewTLSServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(behind) }, ModifyResponse: change,
	})
	t.Cleanup(front.Close)
	bundle := filepath.Join(dir, "ca.pem")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})
	if err := os.WriteFile(bundle, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"AWS_CA_BUNDLE": bundle, "AWS_REGION": "eu-west-2", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": filepath.Join(dir, "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(dir, "none"),
	} {
		t.Setenv(name, value)
	}
	return front.Listener.Addr().String()
}

func TestKeyService(t *testing.T) {
	address := serve(t, nil)
	for _, name := range []string{p256Key, "alias/stemma"} {
		k, err := kms.Open(t.Context(), fmt.Sprintf("awskms://%s/%s", address, name))
		if err != nil {
			t.Fatal(err)
		}
		s := stemma.Statement{
			Type:          stemma.StatementType,
			Subject:       []stemma.Subject{attest.KeySubject(k.KeyID())},
			PredicateType: attest.TypeTestResult, Predicate: []byte(`{"result":"PASSED","configuration":[]}`),
		}
		e, err := sign.SealStatement(t.Context(), s, k)
		if err != nil {
			t.Fatal(err)
		}
		trust := sign.Trust{Keys: []sign.Key{{Name: "server", ID: k.KeyID(), Public: k.Public(), Holder: sign.HeldByServer}}}
		if v := trust.Verify(t.Context(), e, s); v.Tier != stemma.TierObserved {
			t.Errorf("%s: %+v, want a good signature of a server", name, v)
		}
	}

	for name, want := range map[string]error{
		aesKey:        stemma.ErrUnavailable, // the service says that it has no public key
		noKey:         stemma.ErrUnavailable,
		"not-a-key":   stemma.ErrUnavailable,
		"alias/other": stemma.ErrUnavailable,
	} {
		if _, err := kms.Open(t.Context(), fmt.Sprintf("awskms://%s/%s", address, name)); !errors.Is(err, want) {
			t.Errorf("key %s: %v, want %v", name, err, want)
		}
	}
	for _, uri := range []string{"", "stemma", "://x", "nosuch://x"} {
		if _, err := kms.Open(t.Context(), uri); !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("%q: %v, want ErrInvalid", uri, err)
		}
	}
}

// A service that signs with another key than the one whose public half it gave
// is not believed.
func TestServiceThatSignsWithAnotherKey(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("x"))
	forged, err := ecdsa.SignASN1(rand.Reader, other, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	forge := false
	address := serve(t, func(r *http.Response) error {
		if !forge || r.Request.Header.Get("X-Amz-Target") != "TrentService.Sign" {
			return nil
		}
		body := fmt.Sprintf(`{"KeyId":%q,"Signature":%q,"SigningAlgorithm":"ECDSA_SHA_256"}`, p256Key, base64.StdEncoding.EncodeToString(forged))
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		r.Header.Set("Content-Length", strconv.Itoa(len(body)))
		return nil
	})
	k, err := kms.Open(t.Context(), fmt.Sprintf("awskms://%s/%s", address, p256Key))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Sign(t.Context(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	forge = true
	if _, err := k.Sign(t.Context(), []byte("x")); !errors.Is(err, stemma.ErrUnavailable) || !strings.Contains(err.Error(), "is not one by key") {
		t.Errorf("another key's signature: %v, want ErrUnavailable", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.Sign(ctx, []byte("x")); !errors.Is(err, stemma.ErrUnavailable) {
		t.Errorf("a call that was given up: %v, want ErrUnavailable", err)
	}
}
