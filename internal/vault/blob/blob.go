// Package blob keeps the vault's encrypted objects in a bucket of an object
// store, by the Go CDK (gocloud.dev/blob). Begin with [Open], for S3 and what
// speaks like it; for another store, whoever opens the bucket links its driver and
// calls [New]. On one machine package files is the better place, because it syncs
// what it writes.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/aws/smithy-go"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/stemma-dev/stemma"
)

// Objects is a bucket of objects. It implements vault.Objects.
type Objects struct {
	bucket   *blob.Bucket
	versions *versions // nil where the store keeps none
}

// New gives the objects of a bucket that keeps no versions of them.
func New(bucket *blob.Bucket) *Objects { return &Objects{bucket: bucket} }

// check refuses what is no name of an object: some stores would take it for a path.
func check(name string) error {
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '/' {
			return fmt.Errorf("object %q: no name of an object: %w", name, stemma.ErrInvalid)
		}
	}
	if name == "" || name[0] == '/' || strings.Contains(name, "//") {
		return fmt.Errorf("object %q: no name of an object: %w", name, stemma.ErrInvalid)
	}
	return nil
}

// Put implements vault.Objects.
func (o *Objects) Put(ctx context.Context, name string, data []byte) error {
	if err := check(name); err != nil {
		return err
	}
	opts := &blob.WriterOptions{ContentType: "application/octet-stream", DisableContentTypeDetection: true}
	if err := o.bucket.WriteAll(ctx, name, data, opts); err != nil {
		return fmt.Errorf("object %s: %w", name, kind(err))
	}
	return nil
}

// Get implements vault.Objects.
func (o *Objects) Get(ctx context.Context, name string, limit int64) ([]byte, error) {
	if err := check(name); err != nil {
		return nil, err
	}
	r, err := o.bucket.NewRangeReader(ctx, name, 0, limit+1, nil)
	if err != nil {
		return nil, fmt.Errorf("object %s: %w", name, kind(err))
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("object %s: %w", name, kind(err))
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("object %s: longer than %d bytes: %w", name, limit, stemma.ErrInvalid)
	}
	return data, nil
}

// Delete implements vault.Objects. Where the bucket keeps versions of objects,
// all of them go.
func (o *Objects) Delete(ctx context.Context, prefix string) error {
	if err := check(strings.TrimSuffix(prefix, "/")); err != nil {
		return err
	}
	if o.versions != nil {
		return o.versions.remove(ctx, prefix, func(name string) bool { return name == prefix || strings.HasSuffix(prefix, "/") })
	}
	if !strings.HasSuffix(prefix, "/") {
		return o.remove(ctx, prefix)
	}
	for name, err := range o.List(ctx, prefix) {
		if err != nil {
			return err
		}
		if err := o.remove(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (o *Objects) remove(ctx context.Context, name string) error {
	if err := o.bucket.Delete(ctx, name); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return fmt.Errorf("delete object %s: %w", name, kind(err))
	}
	return nil
}

// List implements vault.Objects.
func (o *Objects) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		list := o.bucket.List(&blob.ListOptions{Prefix: prefix})
		for {
			obj, err := list.Next(ctx)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield("", fmt.Errorf("list objects: %w", kind(err)))
				return
			}
			if !yield(obj.Key, nil) {
				return
			}
		}
	}
}

// kind gives an error of a store its kind, and hides the rest.
func kind(err error) error {
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		return fmt.Errorf("not there: %w", stemma.ErrNotFound)
	case gcerrors.PermissionDenied:
		return fmt.Errorf("%v: %w", err, stemma.ErrDenied)
	case gcerrors.InvalidArgument:
		return fmt.Errorf("%v: %w", err, stemma.ErrInvalid)
	case gcerrors.Canceled, gcerrors.DeadlineExceeded:
		return err
	}
	if errors.As(err, new(smithy.APIError)) {
		return s3Kind(err)
	}
	return fmt.Errorf("%v: %w", err, stemma.ErrUnavailable)
}
