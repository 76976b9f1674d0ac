package tlog_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/tlog"
)

const root = "sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08="

const checkpoint = "example.com/log\n109482\n" + root + "\n\n— example.com/log hI2DJw==\n"

func TestParseHead(t *testing.T) {
	h, err := tlog.ParseHead([]byte(checkpoint))
	if err != nil || h.Origin != "example.com/log" || h.Size != 109482 || !strings.Contains(h.String(), root) {
		t.Errorf("ParseHead = %v, %v", h, err)
	}
	for name, test := range map[string]struct {
		raw    string
		offset int
	}{
		"empty":          {"", 0},
		"no signatures":  {"example.com/log\n1\n" + root + "\n", 63},
		"no origin":      {"\n1\n" + root + "\n\n— a b\n", 0},
		"leading zero":   {"log\n01\n" + root + "\n\n— a b\n", 4},
		"negative":       {"log\n-1\n" + root + "\n\n— a b\n", 4},
		"over 63 bits":   {"log\n9223372036854775808\n" + root + "\n\n— a b\n", 4},
		"short root":     {"log\n1\nAAAA\n\n— a b\n", 6},
		"loose base64":   {"log\n1\n" + strings.Replace(root, "8=", "9=", 1) + "\n\n— a b\n", 6},
		"too long":       {strings.Repeat("x", tlog.MaxCheckpoint+1), tlog.MaxCheckpoint},
		"only an origin": {"log\n\n— a b\n", 4},
	} {
		_, err := tlog.ParseHead([]byte(test.raw))
		var decode *tlog.DecodeError
		if !errors.As(err, &decode) || decode.Offset != test.offset || !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("%s: ParseHead error = %v, want a DecodeError at %d", name, err, test.offset)
		}
	}
}

// The example of C2SP's tlog-proof, with its signatures made readable.
const proofExample = `c2sp.org/tlog-proof@v1
extra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6
index 73894
gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=

` + checkpoint

func TestParseProof(t *testing.T) {
	p, err := tlog.ParseProof([]byte(proofExample))
	if err != nil {
		t.Fatalf("ParseProof: %v", err)
	}
	if p.Index != 73894 || len(p.Hashes) != 2 || string(p.Extra) != "age-v1.2.1-darwin-arm64.tar.gz" || string(p.Checkpoint) != checkpoint {
		t.Errorf("ParseProof = %+v", p)
	}
	if got := string(p.Encode()); got != proofExample {
		t.Errorf("Encode = %q", got)
	}
	for name, bad := range map[string]string{
		"header":         strings.Replace(proofExample, "@v1", "@v2", 1),
		"extra":          strings.Replace(proofExample, "extra YW", "extra Y", 1),
		"index":          strings.Replace(proofExample, "index 7", "index 07", 1),
		"hash":           strings.Replace(proofExample, "gSKy", "gSK", 1),
		"cut":            proofExample[:80],
		"no checkpoint":  proofExample[:strings.Index(proofExample, "\n\n")+2],
		"too many":       strings.Replace(proofExample, "gSKy", strings.Repeat(root+"\n", 63)+"gSKy", 1),
		"over the limit": proofExample + strings.Repeat("x", tlog.MaxProof),
	} {
		if _, err := tlog.ParseProof([]byte(bad)); !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("%s: ParseProof error = %v, want ErrInvalid", name, err)
		}
	}
}

func TestKeysThatAreNone(t *testing.T) {
	_, good, err := tlog.GenerateKey("stemma.test/keys")
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string]func() (tlog.Keys, error){
		"log":     func() (tlog.Keys, error) { return tlog.NewKeys("nothing", nil, 0) },
		"witness": func() (tlog.Keys, error) { return tlog.NewKeys(good, []string{"nothing"}, 0) },
		"quorum":  func() (tlog.Keys, error) { return tlog.NewKeys(good, nil, 1) },
	} {
		if _, err := keys(); !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("%s: NewKeys error = %v, want ErrInvalid", name, err)
		}
	}
	for _, origin := range []string{"", "a b", "a+b", "a\nb"} {
		if _, _, err := tlog.GenerateKey(origin); !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("GenerateKey(%q) error = %v, want ErrInvalid", origin, err)
		}
	}
	k, err := tlog.NewKeys(good, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Open([]byte(checkpoint)); !errors.Is(err, stemma.ErrDenied) {
		t.Errorf("Open of another log's checkpoint: %v, want ErrDenied", err)
	}
	mine := strings.Replace(checkpoint, "example.com/log\n", "stemma.test/keys\n", 1)
	if _, err := k.Open([]byte(mine)); !errors.Is(err, stemma.ErrDenied) && !errors.Is(err, stemma.ErrInvalid) {
		t.Errorf("Open of an unsigned checkpoint: %v, want ErrDenied or ErrInvalid", err)
	}
}

func TestConsistencyOfHeads(t *testing.T) {
	a := tlog.Head{Origin: "a", Size: 5, Root: tlog.Hash{1}}
	for name, b := range map[string]tlog.Head{
		"other log":  {Origin: "b", Size: 5, Root: tlog.Hash{1}},
		"shorter":    {Origin: "a", Size: 4, Root: tlog.Hash{1}},
		"other root": {Origin: "a", Size: 5, Root: tlog.Hash{2}},
		"no proof":   {Origin: "a", Size: 6, Root: tlog.Hash{2}},
	} {
		err := tlog.VerifyConsistency(a, b, nil)
		var rolled *tlog.RollbackError
		if !errors.As(err, &rolled) || rolled.Before != a || rolled.After != b || !errors.Is(err, stemma.ErrConflict) {
			t.Errorf("%s: VerifyConsistency = %v, want a RollbackError", name, err)
		}
	}
	if err := tlog.VerifyConsistency(a, a, nil); err != nil {
		t.Errorf("with itself: %v", err)
	}
	if err := tlog.VerifyConsistency(tlog.Head{Origin: "a", Root: tlog.Hash{9}}, a, nil); err == nil {
		t.Error("a wrong root of no entries is taken")
	}
}

func TestReadersOfFilesAndOfTheWeb(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "checkpoint"), []byte(checkpoint), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "large"), bytes.Repeat([]byte("x"), 70000), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.StripPrefix("/log", http.FileServer(http.Dir(dir))))
	defer server.Close()
	web, err := tlog.Web(server.Client(), server.URL+"/log")
	if err != nil {
		t.Fatal(err)
	}
	for name, fetch := range map[string]tlog.Fetch{"folder": tlog.Folder(dir), "web": web} {
		got, err := fetch(t.Context(), "checkpoint")
		if err != nil || string(got) != checkpoint {
			t.Errorf("%s: checkpoint = %q, %v", name, got, err)
		}
		if _, err := fetch(t.Context(), "tile/0/000"); !errors.Is(err, stemma.ErrNotFound) {
			t.Errorf("%s: missing tile: %v, want ErrNotFound", name, err)
		}
		if _, err := fetch(t.Context(), "large"); !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("%s: large file: %v, want ErrInvalid", name, err)
		}
	}
	for _, bad := range []string{"ftp://x", "/folder", "http://", "://"} {
		if _, err := tlog.Web(http.DefaultClient, bad); !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("Web(%q): %v, want ErrInvalid", bad, err)
		}
	}
}

func TestNumbersOfTiles(t *testing.T) {
	for n, want := range map[uint64]string{0: "000", 67: "067", 999: "999", 1000: "x001/000", 1234067: "x001/x234/067"} {
		if got := tlog.TileNumber(n); got != want {
			t.Errorf("TileNumber(%d) = %s, want %s", n, got, want)
		}
	}
}

func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte(checkpoint))
	f.Add([]byte("log\n0\n" + root + "\nextension\n\n— log AAAA\n"))
	_, key, err := tlog.GenerateKey("example.com/log")
	if err != nil {
		f.Fatal(err)
	}
	keys, err := tlog.NewKeys(key, nil, 0)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := tlog.ParseHead(raw)
		if err != nil {
			var decode *tlog.DecodeError
			if !errors.As(err, &decode) || decode.Offset < 0 || decode.Offset > len(raw) {
				t.Fatalf("error %v of %d bytes", err, len(raw))
			}
		} else if h.Origin == "" || h.Size > 1<<63-1 {
			t.Fatalf("head %+v", h)
		}
		if c, err := keys.Open(raw); err == nil {
			t.Fatalf("opened without the key: %v", c.Head)
		}
	})
}

func FuzzProof(f *testing.F) {
	f.Add([]byte(proofExample))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := tlog.ParseProof(data)
		if err != nil {
			var decode *tlog.DecodeError
			if !errors.As(err, &decode) || decode.Offset < 0 || decode.Offset > len(data) {
				t.Fatalf("error %v of %d bytes", err, len(data))
			}
			return
		}
		if !bytes.Equal(p.Encode(), data) {
			t.Fatalf("%q came back as %q", data, p.Encode())
		}
		head, err := tlog.ParseHead(p.Checkpoint)
		if err != nil {
			t.Fatalf("checkpoint of a proof: %v", err)
		}
		_ = tlog.VerifyInclusion(head, p.Index, tlog.Digest{}, p.Hashes) // must not panic
	})
}

func FuzzBundle(f *testing.F) {
	one := append([]byte{0, 32}, make([]byte, 32)...)
	f.Add(one)
	f.Add(append(one, one[:20]...))
	f.Add(bytes.Repeat(one, 257))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := tlog.ParseBundle(data)
		if err != nil {
			var decode *tlog.DecodeError
			if !errors.As(err, &decode) || decode.Offset < 0 || decode.Offset > len(data) {
				t.Fatalf("error %v of %d bytes", err, len(data))
			}
			return
		}
		var back []byte
		for _, e := range entries {
			back = binary.BigEndian.AppendUint16(back, uint16(len(e)))
			back = append(back, e[:]...)
		}
		if diff := cmp.Diff(data, back, cmp.Transformer("empty", func(b []byte) string { return string(b) })); diff != "" {
			t.Fatalf("bundle came back different:\n%s", diff)
		}
	})
}
