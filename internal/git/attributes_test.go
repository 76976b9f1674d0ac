package git

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// attributesRepo has attributes in two folders and in a work tree that nobody
// committed.
func attributesRepo(t *testing.T) (*Repo, string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mustRun(t, dir, nil, nil, "init", "-q", "-b", "main")
	write(".gitattributes", "*.gen linguist-generated\nlock -linguist-generated\n")
	write("sub/.gitattributes", "special linguist-generated=true\n")
	mustRun(t, dir, nil, nil, "add", "-A")
	mustRun(t, dir, nil, nil, "commit", "-q", "-m", "one")
	// Neither of these may count.
	write(".gitattributes", "* linguist-generated\n")
	write(".git/info/attributes", "* linguist-generated\n")
	repo, err := Open(t.Context(), dir, Config{Scratch: filepath.Join(t.TempDir(), `odd "#; folder\`)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { repo.Close() })
	id, err := repo.Resolve(t.Context(), "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	return repo, id
}

func TestAttributes(t *testing.T) {
	repo, id := attributesRepo(t)
	a, err := repo.Attributes(t.Context(), AttributeRules{
		Commit: id, Weakest: []string{"lock linguist-generated", "go.sum linguist-generated"}, Strongest: []string{"mine linguist-generated", "x.gen -linguist-generated"},
	}, "linguist-generated")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	paths := []string{"a.gen", "deep/b.gen", "x.gen", "lock", "go.sum", "sub/special", "special", "mine", "main.go", "a\nb.gen", "../up.gen", "/abs.gen", "", "a//b.gen"}
	want := []string{"set", "set", "unset", "unset", "set", "true", "unspecified", "set", "unspecified", "set", "unspecified", "unspecified", "unspecified", "unspecified"}
	for range 2 {
		got, err := a.Of(paths)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("Of(%q)\n got %q\nwant %q", paths, got, want)
		}
	}
}

func TestAttributesOfManyPaths(t *testing.T) {
	repo, id := attributesRepo(t)
	a, err := repo.Attributes(t.Context(), AttributeRules{Commit: id}, "linguist-generated")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	var paths []string
	long := ""
	for range 300 {
		long += "folder/"
	}
	for n := range 5000 {
		paths = append(paths, long+string(rune('a'+n%26))+string(rune('a'+n/26%26))+string(rune('a'+n/676))+".gen")
	}
	got, err := a.Of(paths)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range got {
		if v != "set" {
			t.Fatalf("%s is %q, want set", paths[i], v)
		}
	}
}

func TestAttributesDigestTellsRulesApart(t *testing.T) {
	repo, id := attributesRepo(t)
	digests := make(map[string]AttributeRules)
	for _, rules := range []AttributeRules{
		{}, {Commit: id}, {Weakest: []string{"a b"}}, {Strongest: []string{"a b"}}, {Weakest: []string{"a", "b"}},
	} {
		a, err := repo.Attributes(t.Context(), rules, "b")
		if err != nil {
			t.Fatal(err)
		}
		a.Close()
		if twin, ok := digests[a.Digest()]; ok {
			t.Errorf("%+v and %+v have one digest", rules, twin)
		}
		digests[a.Digest()] = rules
	}
	if _, err := repo.Attributes(t.Context(), AttributeRules{Strongest: []string{"a\nb"}}, "b"); err == nil {
		t.Error("a line with a line break is accepted")
	}
}
