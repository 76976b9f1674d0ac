package blob

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"
	_ "gocloud.dev/blob/s3blob" // for s3://

	"github.com/stemma-dev/stemma"
)

// Open opens the objects in a bucket of S3, or of what speaks like it, by the
// URL of the Go CDK: "s3://acme-evidence?region=eu-central-1&prefix=stemma/".
// Who may use it is found where the AWS SDK looks. It asks the store nothing; the
// error is ErrInvalid for a URL that is none of these. Close it after use.
func Open(ctx context.Context, address string) (*Objects, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.Path != "" && u.Path != "/" {
		return nil, fmt.Errorf("%q: want s3://bucket?region=...: %w", address, stemma.ErrInvalid)
	}
	prefix := u.Query().Get("prefix")
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		return nil, fmt.Errorf("%q: a prefix ends with a slash: %w", address, stemma.ErrInvalid)
	}
	bucket, err := blob.OpenBucket(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("%s: %v: %w", u.Redacted(), err, stemma.ErrInvalid)
	}
	o := New(bucket)
	var client *s3.Client
	if !bucket.As(&client) {
		return nil, fmt.Errorf("%s: its driver is not that of S3: %w", u.Redacted(), stemma.ErrInvalid)
	}
	o.versions = &versions{client, u.Host, prefix}
	return o, nil
}

// Close gives back what the bucket holds.
func (o *Objects) Close() error { return o.bucket.Close() }
