package vault

import (
	"bytes"
	"errors"
	"testing"

	"filippo.io/age"

	"github.com/stemma-dev/stemma"
)

// FuzzHead decodes the plain text of objects.
func FuzzHead(f *testing.F) {
	f.Add([]byte("\x50\x2a\x4d\x18\x02\x00\x00\x00{}rest"))
	f.Add([]byte("\x50\x2a\x4d\x18\xff\xff\xff\xff{}"))
	f.Add([]byte("\x50\x2a\x4d\x18\x40\x00\x00\x00" + `{"session":"a","part":"b","id":"c","class":"content","size":-1}`))
	f.Fuzz(func(t *testing.T, plain []byte) {
		_, rest, err := decodeHead(plain)
		if err != nil {
			if !errors.Is(err, stemma.ErrInvalid) {
				t.Fatalf("decodeHead(%q) = %v, want ErrInvalid", plain, err)
			}
			return
		}
		if !bytes.HasSuffix(plain, rest) {
			t.Fatalf("decodeHead(%q) gives the rest %q", plain, rest)
		}
	})
}

// FuzzKey opens key files, and reads their plain text.
func FuzzKey(f *testing.F) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		f.Fatal(err)
	}
	purpose := []string{"session", "a", "b", "c"}
	good, err := sealKey(id.Recipient(), purpose, "secret")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte("age-encryption.org/v1\n-> X25519 x\n"))
	f.Add([]byte("stemma vault key v1\nsession\na\nb\nc\nsecret"))
	f.Add([]byte("stemma vault key v1\nsession\na\nb\nc\nx\nsecret"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if got, err := openKey(file, id, purpose); err == nil && got != "secret" {
			t.Fatalf("openKey of %q = %q", file, got)
		} else if err != nil && !errors.Is(err, stemma.ErrInvalid) {
			t.Fatalf("openKey of %q = %v, want ErrInvalid", file, err)
		}
		got, err := decodeKey(file, purpose)
		if err != nil && !errors.Is(err, stemma.ErrInvalid) {
			t.Fatalf("decodeKey of %q = %v, want ErrInvalid", file, err)
		}
		if err == nil {
			// A key for one purpose does not pass for another's.
			if other, err := decodeKey(file, purpose[:3]); err == nil {
				t.Fatalf("the key %q passes for another's as %q", got, other)
			}
		}
	})
}

// FuzzRetention decodes policies of retention.
func FuzzRetention(f *testing.F) {
	for _, s := range []string{`{}`, `{"content": 30, "metadata": 183}`, `{"metadata": 30}`, `{"content": 30, "content": 31}`, `{"forever": 1}`, `{"content": 1e3}`, `{"incident-hold": 0}`, `[]`, `{"content": 30} x`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := DecodeRetention(text)
		if err != nil {
			if !errors.Is(err, stemma.ErrInvalid) {
				t.Fatalf("DecodeRetention(%q) = %v, want ErrInvalid", text, err)
			}
			return
		}
		for class, days := range r {
			if t1, ok := terms[class]; !ok || days < t1.floor {
				t.Fatalf("DecodeRetention(%q) lets %s pass with %d days", text, class, days)
			}
		}
	})
}

// FuzzURI takes references apart.
func FuzzURI(f *testing.F) {
	f.Add("vault:00112233445566778899aabbccddeeff/0011223344556677/00112233445566778899aabbccddeeff")
	f.Add("vault:../../../etc/passwd")
	f.Fuzz(func(t *testing.T, uri string) {
		name, part, id, err := splitURI(uri)
		if err == nil && "vault:"+name+"/"+part+"/"+id != uri {
			t.Fatalf("splitURI(%q) = %q, %q, %q", uri, name, part, id)
		}
	})
}

// FuzzExtract reads files of extracts: what is read is written as it was.
func FuzzExtract(f *testing.F) {
	good := extractFile{person: "aaaaaaaaaaaaaaaa", names: []string{"0a", "0b"}, sealed: []byte("age-encryption.org/v1\n\n\n")}
	f.Add(good.encode())
	f.Add([]byte(extractWords + " ../../x\n\n"))
	f.Add([]byte(extractWords + " aaaaaaaaaaaaaaaa\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var x extractFile
		if err := x.decode(text); err != nil {
			if !errors.Is(err, stemma.ErrInvalid) {
				t.Fatalf("decode(%q) = %v, want ErrInvalid", text, err)
			}
			return
		}
		if again := x.encode(); !bytes.Equal(again, text) && len(x.names) > 1 {
			t.Fatalf("%q is written as %q", text, again)
		}
	})
}
