package reconcile

import (
	"context"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
)

// Usual are the usual names of files that a tool writes which is no AI, in
// gitattributes syntax: lock files, generated code, vendored copies. A
// repository's own attribute linguist-generated stands above them, and the
// user's patterns above that.
var Usual = []string{
	"package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb", "deno.lock",
	"Cargo.lock", "go.sum", "go.work.sum", "Gemfile.lock", "composer.lock", "poetry.lock", "Pipfile.lock", "uv.lock",
	"pdm.lock", "mix.lock", "rebar.lock", "flake.lock", "Podfile.lock", "Package.resolved", "pubspec.lock",
	"packages.lock.json", "gradle.lockfile", "paket.lock", "conan.lock", "cabal.project.freeze", "stack.yaml.lock",
	"MODULE.bazel.lock", ".terraform.lock.hcl", "buf.lock", "Chart.lock",
	"*.pb.go", "*.pb.gw.go", "*.pb.validate.go", "*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*.pb.cc", "*.pb.h",
	"*_pb.js", "*_pb.d.ts", "*_pb.ts", "*.pulsar.go", "*.gen.go", "*_generated.go", "*_gen.go", "zz_generated.*",
	"*.g.dart", "*.freezed.dart", "*.designer.cs", "*.Designer.cs", "*.g.cs", "wire_gen.go", "bindata.go",
	"*.min.js", "*.min.css", "*.js.map", "*.css.map", "__snapshots__/**", "*.snap",
	"vendor/**", "node_modules/**", "Godeps/_workspace/**",
}

// attribute is what GitHub's linguist calls a generated path.
const attribute = "linguist-generated"

// generated tells which paths are generated.
type generated struct {
	attributes *git.Attributes
	digest     string
}

// newGenerated reads the rules as they stand at a commit.
func newGenerated(ctx context.Context, repo *git.Repo, commit string, patterns []string) (*generated, error) {
	rules := git.AttributeRules{Commit: commit}
	for _, p := range Usual {
		rules.Weakest = append(rules.Weakest, line(p, true))
	}
	for _, p := range patterns {
		rest, not := strings.CutPrefix(p, "!")
		rules.Strongest = append(rules.Strongest, line(rest, !not))
	}
	a, err := repo.Attributes(ctx, rules, attribute)
	if err != nil {
		return nil, err
	}
	return &generated{attributes: a, digest: a.Digest()}, nil
}

// line is the gitattributes line that sets or unsets the attribute. A folder's
// pattern matches it at any depth, as a name without a slash does.
func line(pattern string, set bool) string {
	if dir, ok := strings.CutSuffix(pattern, "/**"); ok && !strings.Contains(dir, "/") {
		pattern = "**/" + pattern
	}
	if strings.ContainsAny(pattern, " \t\"") {
		pattern = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(pattern) + `"`
	}
	if set {
		return pattern + " " + attribute
	}
	return pattern + " -" + attribute
}

func (g *generated) close() { g.attributes.Close() }

// of tells for each path whether it is generated.
func (g *generated) of(paths []string) (map[string]bool, error) {
	values, err := g.attributes.Of(paths)
	if err != nil {
		return nil, err
	}
	is := make(map[string]bool)
	for i, v := range values {
		if v == "set" || v == "true" {
			is[paths[i]] = true
		}
	}
	return is, nil
}

// matcher gives a function that tells it for the files of one difference.
func (g *generated) matcher(files []git.FileDiff) (func(string) bool, error) {
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = f.Path
	}
	is, err := g.of(paths)
	if err != nil {
		return nil, err
	}
	return func(path string) bool { return is[path] }, nil
}

// changed reports whether a file of the row is now, or is not any more,
// generated.
func (g *generated) changed(row *stemma.Attribution) (bool, error) {
	paths := make([]string, len(row.Files))
	for i, f := range row.Files {
		paths[i] = f.Path
	}
	is, err := g.of(paths)
	if err != nil {
		return false, err
	}
	for _, f := range row.Files {
		if is[f.Path] != f.Generated {
			return true, nil
		}
	}
	return false, nil
}
