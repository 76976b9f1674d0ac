package blob_test

import (
	"errors"
	"fmt"
	"testing"

	cdk "gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/vault"
	"github.com/stemma-dev/stemma/internal/vault/blob"
	"github.com/stemma-dev/stemma/internal/vault/s3test"
	"github.com/stemma-dev/stemma/internal/vault/vaulttest"
)

func TestObjects(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) (*cdk.Bucket, error){
		"memory": func(*testing.T) (*cdk.Bucket, error) { return memblob.OpenBucket(nil), nil },
		"file": func(t *testing.T) (*cdk.Bucket, error) {
			return fileblob.OpenBucket(t.TempDir(), &fileblob.Options{Metadata: fileblob.MetadataDontWrite, NoTempDir: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			vaulttest.Objects(t, func(t *testing.T) vault.Objects {
				b, err := open(t)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { b.Close() })
				return blob.New(b)
			})
		})
	}
}

func open(t *testing.T, address string) *blob.Objects {
	t.Helper()
	o, err := blob.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o
}

// A real S3 server, with buckets that keep old versions and buckets that do not.
func TestObjectsInS3(t *testing.T) {
	server := s3test.Start(t)
	n := 0
	for _, versioned := range []bool{false, true} {
		t.Run(fmt.Sprintf("versioned %t", versioned), func(t *testing.T) {
			vaulttest.Objects(t, func(t *testing.T) vault.Objects {
				n++
				return open(t, server.Bucket(t, fmt.Sprintf("contract-%d", n), versioned)+"&prefix=acme/")
			})
		})
	}
}

// Where a bucket keeps old versions, or did, what is deleted is not one of them.
func TestDeletedObjectsHaveNoOldVersions(t *testing.T) {
	server := s3test.Start(t)
	o := open(t, server.Bucket(t, "versioned", true)+"&prefix=acme/")
	other := open(t, server.Bucket(t, "plain", false)) // its versions are listed as well
	for _, name := range []string{"aa/bb/cc", "aa/bb/dd", "ab/bb/cc"} {
		for _, text := range []string{"first", "second", "third"} {
			for _, o := range []*blob.Objects{o, other} {
				if err := o.Put(t.Context(), name, []byte(text)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if n := server.Versions(t, "versioned"); n != 9 {
		t.Fatalf("the bucket keeps %d versions, want 9: this shows nothing", n)
	}
	if err := o.Delete(t.Context(), "aa/"); err != nil {
		t.Fatal(err)
	}
	if n := server.Versions(t, "versioned"); n != 3 {
		t.Errorf("%d versions are left, want the 3 of another session", n)
	}
	if err := o.Delete(t.Context(), "ab/bb/cc"); err != nil {
		t.Fatal(err)
	}
	if n := server.Versions(t, "versioned"); n != 0 {
		t.Errorf("%d versions are left, want none", n)
	}
	if err := other.Delete(t.Context(), "aa/"); err != nil {
		t.Fatal(err)
	}
	if n := server.Versions(t, "plain"); n != 1 {
		t.Errorf("%d objects are left of the plain bucket, want 1", n)
	}
	// Who may not do that is told so.
	t.Setenv("AWS_SECRET_ACCESS_KEY", "another")
	denied := open(t, server.Address("plain"))
	if err := denied.Delete(t.Context(), "ab/"); !errors.Is(err, stemma.ErrDenied) {
		t.Errorf("Delete without permission = %v, want ErrDenied", err)
	}
	if err := denied.Put(t.Context(), "aa/bb/cc", nil); !errors.Is(err, stemma.ErrDenied) {
		t.Errorf("Put without permission = %v, want ErrDenied", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, address := range []string{"", "acme", "gs://acme", "s3://", "s3://acme/folder", "s3://acme?prefix=x", "s3://acme?nonsense=1", "file:///tmp"} {
		if _, err := blob.Open(t.Context(), address); !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("Open(%q) = %v, want ErrInvalid", address, err)
		}
	}
}
