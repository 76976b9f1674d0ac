package blob_test

import (
	"testing"

	cdk "gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"

	"github.com/stemma-dev/stemma/internal/vault"
	"github.com/stemma-dev/stemma/internal/vault/blob"
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
