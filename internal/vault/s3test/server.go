// Package s3test runs an S3 server for tests: versitygw, as a process of its own,
// with a folder behind it.
package s3test

import (
	"context"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const (
	user   = "stemma-test"
	secret = "not-a-secret-of-anybody"
	region = "eu-central-1"
)

// Server is an S3 server that runs until its test is over.
type Server struct {
	Dir    string // where the server keeps its files, versions included
	Client *s3.Client
	host   string
}

// Start starts a server in which buckets can be versioned. The environment of the
// test gets the credentials. The first one of a machine is compiled, for a minute
// or two; the build cache keeps the program.
func Start(t *testing.T) *Server {
	t.Helper()
	build := exec.CommandContext(t.Context(), "go", "tool", "-modfile=tools/versitygw.mod", "-n", "versitygw")
	build.Dir, build.Env = moduleRoot(t), append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	var stderr strings.Builder
	build.Stderr = &stderr
	program, err := build.Output()
	if err != nil {
		t.Fatalf("build the S3 server: %v\n%s", err, stderr.String())
	}
	s := &Server{Dir: t.TempDir(), host: freeAddress(t)}
	for _, dir := range []string{"data", "versions", "meta"} {
		if err := os.MkdirAll(filepath.Join(s.Dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(strings.TrimSpace(string(program)), "--port", s.host, "--access", user, "--secret", secret, "--region", region, "--quiet",
		"posix", "--sidecar", filepath.Join(s.Dir, "meta"), "--versioning-dir", filepath.Join(s.Dir, "versions"), filepath.Join(s.Dir, "data"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	t.Setenv("AWS_ACCESS_KEY_ID", user)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	s.Client = s3.New(s3.Options{
		Region: region, BaseEndpoint: aws.String("http://" + s.host), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(user, secret, ""),
	})
	for start := time.Now(); ; {
		if _, err = s.Client.ListBuckets(t.Context(), &s3.ListBucketsInput{}); err == nil {
			return s
		}
		if time.Since(start) > 20*time.Second {
			t.Fatalf("the S3 server does not answer: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Bucket makes a bucket, and gives its [Server.Address].
func (s *Server) Bucket(t *testing.T, name string, versioned bool) string {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	if _, err := s.Client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	if versioned {
		if _, err := s.Client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
			Bucket: &name, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
		}); err != nil {
			t.Fatal(err)
		}
	}
	return s.Address(name)
}

// Address gives the address that the Go CDK opens a bucket by.
func (s *Server) Address(bucket string) string {
	q := url.Values{"region": {region}, "endpoint": {"http://" + s.host}, "use_path_style": {"true"}}
	return "s3://" + bucket + "?" + q.Encode()
}

// Versions counts what the bucket keeps, old versions and marks of deletion
// included.
func (s *Server) Versions(t *testing.T, bucket string) int {
	t.Helper()
	n := 0
	pages := s3.NewListObjectVersionsPaginator(s.Client, &s3.ListObjectVersionsInput{Bucket: &bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n += len(page.Versions) + len(page.DeleteMarkers)
	}
	return n
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
	}
}
