package blob

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/stemma-dev/stemma"
)

// versions removes objects from a bucket with what it keeps of them: where a bucket
// is versioned, or was, to delete an object only hides it.
type versions struct {
	client *s3.Client
	bucket string
	prefix string // of all names
}

// one is a version of an object, or the mark that it was deleted.
type one struct{ key, version *string }

// remove removes every version of the objects whose names pass, of those that
// begin with prefix.
func (v *versions) remove(ctx context.Context, prefix string, pass func(name string) bool) error {
	prefix = v.prefix + prefix
	pages := s3.NewListObjectVersionsPaginator(v.client, &s3.ListObjectVersionsInput{Bucket: &v.bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list the versions of objects (permission s3:ListBucketVersions): %w", s3Kind(err))
		}
		var all []one
		for _, x := range page.Versions {
			all = append(all, one{x.Key, x.VersionId})
		}
		for _, x := range page.DeleteMarkers {
			all = append(all, one{x.Key, x.VersionId})
		}
		for _, x := range all {
			if x.key == nil || !pass((*x.key)[len(v.prefix):]) {
				continue
			}
			if _, err := v.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &v.bucket, Key: x.key, VersionId: x.version}); err != nil {
				return fmt.Errorf("delete a version of object %s (permission s3:DeleteObjectVersion): %w", *x.key, s3Kind(err))
			}
		}
	}
	return nil
}

// denials are the codes of S3 that say that somebody may not do this.
var denials = []string{"AccessDenied", "Forbidden", "ObjectLocked", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}

// s3Kind gives an error of S3 its kind.
func s3Kind(err error) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return fmt.Errorf("%v: %w", err, stemma.ErrUnavailable)
	}
	kind := stemma.ErrUnavailable
	switch {
	case slices.Contains(denials, api.ErrorCode()):
		kind = stemma.ErrDenied
	case api.ErrorCode() == "NoSuchBucket", api.ErrorCode() == "NoSuchKey":
		kind = stemma.ErrNotFound
	}
	return fmt.Errorf("%s: %s: %w", api.ErrorCode(), strings.TrimRight(api.ErrorMessage(), "."), kind)
}
