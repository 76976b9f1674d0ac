package attest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
)

// The test vector of DSSE v1.0.0 (protocol.md, "Test Vectors").
const dsseVector = `{"payload":"aGVsbG8gd29ybGQ=","payloadType":"http://example.com/HelloWorld","signatures":[{"sig":"A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="}]}`

func bigInt(s string) *big.Int {
	n, _ := new(big.Int).SetString(s, 10)
	return n
}

func TestPublishedDSSEVector(t *testing.T) {
	e, err := attest.Decode([]byte(dsseVector))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(e.PAE()), "DSSEv1 29 http://example.com/HelloWorld 11 hello world"; got != want {
		t.Errorf("PAE = %q, want %q", got, want)
	}
	point := append([]byte{4}, // uncompressed (SEC 1, section 2.3.3)
		bigInt("46950820868899156662930047687818585632848591499744589407958293238635476079160").FillBytes(make([]byte, 32))...)
	point = append(point, bigInt("5640078356564379163099075877009565129882514886557779369047442380624545832820").FillBytes(make([]byte, 32))...)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(e.PAE())
	sig := e.Signatures[0].Sig // the vector has r and s side by side
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])})
	if err != nil {
		t.Fatal(err)
	}
	if !ecdsa.VerifyASN1(key, sum[:], der) {
		t.Error("the published signature does not verify")
	}
	if got := string(e.Encode()); got != dsseVector {
		t.Errorf("Encode = %s, want %s", got, dsseVector)
	}
}

func TestPAEIsOverBytes(t *testing.T) {
	if got, want := attest.PAE("ä", nil), []byte("DSSEv1 2 ä 0 "); !bytes.Equal(got, want) {
		t.Errorf("PAE = %q, want %q", got, want)
	}
}

func TestDecodeTakes(t *testing.T) {
	want := attest.Envelope{PayloadType: "t", Payload: []byte{0xfb, 0xff}, Signatures: []attest.Signature{{KeyID: "k", Sig: []byte{1}}}}
	for _, tt := range []struct{ name, in string }{
		{"standard base64", `{"payloadType":"t","payload":"+/8=","signatures":[{"keyid":"k","sig":"AQ=="}]}`},
		{"URL-safe base64", `{"payloadType":"t","payload":"-_8=","signatures":[{"keyid":"k","sig":"AQ=="}]}`},
		{"without padding", `{"payloadType":"t","payload":"-_8","signatures":[{"keyid":"k","sig":"AQ"}]}`},
		{"fields of others", ` { "x" : [ { "y" : null } ] , "signatures":[{"keyid":"k","sig":"AQ==","cert":"c"}],"payloadType":"t","payload":"+/8="}` + "\n"},
	} {
		got, err := attest.Decode([]byte(tt.in))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	ok := `"payloadType":"t","payload":"","signatures":[{"sig":"AQ=="}]`
	for _, tt := range []struct {
		name, in, path string
		offset         int64
		reason         string
	}{
		{"nothing", "", "", 0, "too early"},
		{"half", `{"payload":"`, "/payload", 12, "too early"},
		{"an array", `[]`, "", 0, "want an object"},
		{"a number as payload", `{"payload":7}`, "/payload", 11, "want a string"},
		{"a name twice", `{` + ok + `,"payload":""}`, "/payload", 62, "duplicate"},
		{"a name twice, deep", `{` + ok + `,"x":{"a":1,"a":2}}`, "/x/a", 73, "duplicate"},
		{"a name in two cases is two names", `{"Payload":"","payloadType":"t","signatures":[{"sig":"AQ=="}]}`, "", 62, `"payload" is missing`},
		{"not UTF-8", "{\"payloadType\":\"\xff\"}", "/payloadType", 16, "invalid UTF-8"},
		{"half a surrogate", `{"payloadType":"\ud800"}`, "/payloadType", 16, "surrogate"},
		{"two documents", `{` + ok + `} {}`, "", 63, "something follows"},
		{"no signature", `{"payloadType":"t","payload":"","signatures":[]}`, "", 48, `"signatures"`},
		{"an empty signature", `{"payloadType":"t","payload":"","signatures":[{"sig":""}]}`, "/signatures/0", 0, `without "sig"`},
		{"too many signatures", `{"payloadType":"t","payload":"","signatures":[` + strings.Repeat(`{"sig":"AQ=="},`, 17) + `{"sig":"AQ=="}]}`, "/signatures/15", 0, "more than 16"},
		{"not base64", `{"payload":"?"}`, "/payload", 11, "not base64"},
		{"bits left over", `{"payload":"AR=="}`, "/payload", 11, "not base64"},
		{"a line end in base64", `{"payload":"A\nQ=="}`, "/payload", 11, "line end"},
		{"two alphabets", `{"payload":"+_8="}`, "/payload", 11, "not base64"},
		{"a bundle of a message", `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","messageSignature":{}}`, "/messageSignature", 80, "signs a message"},
		{"a bundle of nothing", `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{}}`, "", 0, `"dsseEnvelope" is missing`},
		{"a bundle without material", `{"mediaType":"application/vnd.dev.sigstore.bundle+json;version=0.1","dsseEnvelope":{"payloadType":"t","payload":"","signatures":[{"sig":"AQ=="}]}}`, "", 0, `"verificationMaterial" is missing`},
		{"a bundle of half an envelope", `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":{"payload":""}}`, "/dsseEnvelope", 91, `"payloadType" is missing`},
		{"a bundle with two signatures", `{"dsseEnvelope":{"payloadType":"t","payload":"","signatures":[{"sig":"AQ=="},{"sig":"AQ=="}]}}`, "/dsseEnvelope/signatures/0", 0, "more than 1 sig"},
		{"a bundle of another kind", `{"mediaType":"text/plain","dsseEnvelope":{"payloadType":"t","payload":"","signatures":[{"sig":"AQ=="}]}}`, "/mediaType", 13, "not that of a Sigstore bundle"},
		{"an envelope and a bundle", `{"payload":"","dsseEnvelope":{"payloadType":"t","payload":"","signatures":[{"sig":"AQ=="}]}}`, "", 0, "both an envelope and a bundle"},
		{"a certificate that is none", `{"verificationMaterial":{"certificate":{"rawBytes":"?"}}}`, "/verificationMaterial/certificate/rawBytes", 51, "not base64"},
		{"deep", `{"x":` + strings.Repeat("[", 100000), "", 0, "nested deeper than 64"},
		{"large", `{"payload":"` + strings.Repeat("A", 200<<10) + `"}`, "", 160 << 10, "over the limit"},
	} {
		_, err := attest.Decode([]byte(tt.in))
		var at *attest.DecodeError
		if !errors.As(err, &at) || !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("%s: error %v, want a DecodeError of kind ErrInvalid", tt.name, err)
			continue
		}
		if !strings.Contains(at.Reason, tt.reason) {
			t.Errorf("%s: reason %q, want one with %q", tt.name, at.Reason, tt.reason)
		}
		if tt.offset > 0 && (at.Path != tt.path || at.Offset != tt.offset) {
			t.Errorf("%s: at %q, byte %d, want %q, byte %d", tt.name, at.Path, at.Offset, tt.path, tt.offset)
		}
	}
}

func TestDecodeBundle(t *testing.T) {
	for name, material := range map[string]string{
		"one":   `{"certificate":{"rawBytes":"AQID"},"tlogEntries":[]}`,
		"chain": `{"x509CertificateChain":{"certificates":[{"rawBytes":"AQID"},{"rawBytes":"BAUG"}]}}`,
		"key":   `{"publicKey":{"hint":"x"}}`,
	} {
		b := []byte(`{"mediaType":"` + attest.BundleType + `","verificationMaterial":` + material + `,"dsseEnvelope":` + dsseVector + `}`)
		e, err := attest.Decode(b)
		want, werr := attest.Decode([]byte(dsseVector))
		if err != nil || werr != nil {
			t.Fatal(err, werr)
		}
		want.Bundle = b
		if name != "key" {
			want.Certificate = []byte{1, 2, 3}
		}
		if diff := cmp.Diff(want, e); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	// In an envelope by itself the fields of a bundle mean nothing.
	e, err := attest.Decode([]byte(`{"mediaType":1,"messageSignature":2,"verificationMaterial":{"certificate":{"rawBytes":"AQID"}},` + dsseVector[1:]))
	if err != nil || e.Bundle != nil || e.Certificate != nil {
		t.Errorf("an envelope with other fields: %+v, %v", e, err)
	}
}

func TestDecodeGigabyte(t *testing.T) {
	b := make([]byte, 1<<30) // never touched, so that it costs no memory
	for name, l := range map[string]attest.Limits{"default": attest.DefaultLimits, "file": attest.FileLimits} {
		if _, err := l.Decode(b); !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("%s: error %v, want ErrInvalid", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(dsseVector))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"certificate":{"rawBytes":"AQ=="}},"dsseEnvelope":` + dsseVector + `}`))
	f.Add([]byte(`{"payloadType":"t","payload":"-_8","signatures":[{"keyid":null,"sig":"AQ"}],"x":[{}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := attest.Decode(b)
		if err != nil {
			var at *attest.DecodeError
			if !errors.As(err, &at) || at.Offset < 0 || at.Offset > int64(len(b)) {
				t.Fatalf("error %#v of %q", err, b)
			}
			return
		}
		if e.Bundle != nil {
			if !bytes.Equal(e.Bundle, b) || len(e.Signatures) != 1 {
				t.Fatalf("a bundle with %d signatures: %q", len(e.Signatures), b)
			}
			e.Bundle, e.Certificate = nil, nil
		}
		again, err := attest.FileLimits.Decode(e.Encode())
		if err != nil {
			t.Fatalf("what was decoded does not decode again: %v", err)
		}
		if diff := cmp.Diff(e, again); diff != "" {
			t.Fatal(diff)
		}
	})
}
