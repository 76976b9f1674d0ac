package stemma_test

import (
	"bytes"
	"encoding/json"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// This file is the picture of doc/design.md, section 7: which package may
// import which. When a wall moves, both change in one commit.

const module = "github.com/stemma-dev/stemma"

// families are the folders of internal/ that know an outside thing: the
// contract in the parent, one child for each technology.
var families = []string{
	"git", "agent", "notes", "spool", "forge", "tracker", "pipeline", "otel",
	"attest", "sign", "tlog", "vault", "redact", "identity", "store",
}

// work is what stemma does, from the bottom up: each may import those before it.
var work = []string{
	"attribution", "project", "record", "capture", "live", "install", "reconcile",
	"lineage", "policy", "insight", "evidence",
}

// waysIn bring facts in. What asks questions of the graph does not know them.
var (
	waysIn = []string{"record", "capture", "live", "install", "reconcile"}
	asking = []string{"lineage", "policy", "insight", "evidence"}
)

// pure work has no I/O of its own.
var pure = []string{"attribution", "project"}

// doors are how the outside asks.
var doors = []string{"api", "web", "gate"}

// floor is the height of a place in the house. Imports go downward only.
type floor int

const (
	ground floor = iota
	family
	workroom
	door
	hook
	roof
	testhelp // a shared suite, such as storetest: part of no binary
	outdoors // not of this module
)

// place is where a package lives.
type place struct {
	floor floor
	room  string // the folder under internal: "store", "lineage"
	child string // the technology under a family: "sqlite"
}

// placeOf finds the place of an import path, and false where the picture has
// none for it.
func placeOf(path string) (place, bool) {
	rel, ours := strings.CutPrefix(path, module)
	if !ours || rel != "" && rel[0] != '/' {
		return place{floor: outdoors}, true
	}
	switch rel {
	case "":
		return place{floor: ground}, true
	case "/cmd/stemma":
		return place{floor: roof}, true
	case "/cmd/stemma-hook":
		return place{floor: hook}, true
	}
	rel, inside := strings.CutPrefix(rel, "/internal/")
	if !inside {
		return place{}, false
	}
	room, child, nested := strings.Cut(rel, "/")
	child, _, _ = strings.Cut(child, "/")
	switch {
	case slices.Contains(families, room):
		if strings.HasSuffix(child, "test") {
			return place{floor: testhelp, room: room, child: child}, true
		}
		return place{floor: family, room: room, child: child}, true
	case slices.Contains(work, room):
		// A room of work has no children: it speaks contracts, no technology.
		return place{floor: workroom, room: room}, !nested
	case slices.Contains(doors, room):
		return place{floor: door, room: room}, true
	}
	return place{}, false
}

// edge is one import, in one file.
type edge struct {
	from string // import path of the package
	file string // base name of the file
	to   string
}

// refuse gives the rule that forbids an import, or "".
func refuse(e edge) string {
	from, ok := placeOf(e.from)
	if !ok {
		return "the picture does not know " + e.from
	}
	to, ok := placeOf(e.to)
	if !ok {
		return "the picture does not know " + e.to
	}
	if strings.HasSuffix(e.file, "_test.go") {
		return refuseInTest(from, to)
	}
	if to.floor == outdoors {
		return refuseOutdoors(from, e.to)
	}
	if from.floor == testhelp {
		return refuseInTest(place{floor: family, room: from.room}, to)
	}
	switch {
	case to.floor == testhelp:
		return "only tests import a test suite"
	case to.floor == roof || to.floor == hook:
		return "nothing imports a command"
	}
	switch from.floor {
	case ground:
		return "the ground imports the standard library only"
	case family:
		return refuseFamily(from, to)
	case workroom:
		return refuseWork(from, to)
	case door:
		return refuseDoor(from, to)
	case hook:
		if to.floor != ground && to != (place{floor: family, room: "spool"}) {
			return "the hook is alone: it imports the ground and the spool"
		}
	case roof:
		if to.floor == family && to.child != "" && e.file != "wire.go" && !strings.HasPrefix(e.file, "wire_") {
			return "only wire.go and wire_*.go name a technology"
		}
	}
	return ""
}

func refuseFamily(from, to place) string {
	switch {
	case to.floor > family:
		return "imports go downward only"
	case to.floor == ground:
		return ""
	case from.room != to.room && to.child != "":
		return "a family imports another family's contract, never its child"
	case from.room == to.room && from.child == "":
		return "a contract does not know its children: wire.go injects them"
	case from.room == to.room && to.child != "" && from.child != to.child:
		return "children of a family do not know one another"
	}
	return ""
}

func refuseWork(from, to place) string {
	switch {
	case to.floor > workroom:
		return "imports go downward only"
	case to.floor == family && to.child != "":
		return "work speaks contracts, never a technology"
	case to.floor != workroom:
		return ""
	case slices.Index(work, to.room) >= slices.Index(work, from.room):
		return "the order of work is " + strings.Join(work, ", ")
	case slices.Contains(asking, from.room) && slices.Contains(waysIn, to.room):
		return "what asks the graph does not know the ways in"
	}
	return ""
}

func refuseDoor(from, to place) string {
	switch {
	case to.floor == door && to.room != from.room:
		return "doors do not know one another"
	case to.floor == family && to.child != "":
		return "a door never names a technology"
	case to.floor == family && to.room == "store":
		return "a door asks the work, not the store"
	}
	return ""
}

// refuseInTest is the rule for test files and suites: they may name
// technologies and suites, but nothing of a higher floor than their package's.
func refuseInTest(from, to place) string {
	if to.floor == testhelp || to.floor == outdoors {
		return ""
	}
	if to.floor == roof || to.floor == hook {
		return "nothing imports a command"
	}
	if to.floor > max(from.floor, family) {
		return "imports go downward only, in tests too"
	}
	return ""
}

// refuseOutdoors is the rule for imports of the standard library and of other
// modules.
func refuseOutdoors(from place, to string) string {
	first, _, _ := strings.Cut(to, "/")
	standard := !strings.Contains(first, ".")
	in := func(paths ...string) bool {
		return slices.ContainsFunc(paths, func(p string) bool { return to == p || strings.HasPrefix(to, p+"/") })
	}
	switch from.floor {
	case ground:
		if !standard {
			return "the ground imports the standard library only"
		}
		if in("os", "net", "database/sql", "syscall") && to != "net/url" {
			return "the ground does no I/O"
		}
	case workroom:
		if slices.Contains(pure, from.room) && in("os", "net", "database/sql", "syscall") {
			return from.room + " is pure: it does no I/O"
		}
		if in("os/exec", "database/sql") {
			return "work speaks contracts, never a technology"
		}
	case door:
		if in("os/exec", "database/sql") {
			return "a door never names a technology"
		}
	case hook:
		if !standard || in("net", "os/exec", "database/sql") {
			return "the hook is alone: standard library, no network, no process"
		}
	case roof:
		if in("database/sql") {
			return "a command asks the work, not a database"
		}
	}
	return ""
}

// goPackage is what the tests of the house read of `go list -json`.
type goPackage struct {
	ImportPath, Dir, Name string
	Standard              bool
	Module                *struct{ Main bool }
	Deps                  []string

	GoFiles, CgoFiles, IgnoredGoFiles, TestGoFiles, XTestGoFiles []string
}

// files gives the base names of the package's files of every platform, with or
// without its tests.
func (p goPackage) files(tests bool) []string {
	all := slices.Concat(p.GoFiles, p.CgoFiles, p.IgnoredGoFiles, p.TestGoFiles, p.XTestGoFiles)
	return slices.DeleteFunc(all, func(f string) bool { return !tests && strings.HasSuffix(f, "_test.go") })
}

// ourPackages lists the packages of this module and what they stand on. A
// package that does not compile is listed all the same: its imports count too.
func ourPackages(t *testing.T) []goPackage {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-deps", "-json=ImportPath,Dir,Name,Standard,Module,Deps,GoFiles,CgoFiles,IgnoredGoFiles,TestGoFiles,XTestGoFiles", "./...")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	var ours []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		if p.Module != nil && p.Module.Main {
			ours = append(ours, p)
		}
	}
	if !slices.ContainsFunc(ours, func(p goPackage) bool { return p.ImportPath == module }) {
		t.Fatalf("go list gave %d packages of %s, and not its root", len(ours), module)
	}
	return ours
}

func TestLayout(t *testing.T) {
	for _, p := range ourPackages(t) {
		if _, ok := placeOf(p.ImportPath); !ok {
			t.Errorf("%s: the picture does not know this folder (doc/design.md, section 7)", p.ImportPath)
			continue
		}
		for _, file := range p.files(true) {
			path := filepath.Join(p.Dir, file)
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				t.Errorf("read the imports of %s: %v", path, err)
				continue
			}
			for _, spec := range f.Imports {
				to, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Errorf("%s: import %s: %v", path, spec.Path.Value, err)
					continue
				}
				if rule := refuse(edge{p.ImportPath, file, to}); rule != "" {
					t.Errorf("%s/%s imports %s: %s", p.ImportPath, file, to, rule)
				}
			}
		}
		for _, dep := range p.Deps {
			if rule := refuseBelow(p.ImportPath, dep); rule != "" {
				t.Errorf("%s stands on %s: %s", p.ImportPath, dep, rule)
			}
		}
	}
}

// refuseBelow is the rule for everything that a package stands on, however far
// below: what is linked into the hook costs every run of it.
func refuseBelow(path, dep string) string {
	from, _ := placeOf(path)
	first, _, _ := strings.Cut(dep, "/")
	if from.floor == hook && (dep == "net" || dep == "net/http" || dep == "database/sql" ||
		strings.Contains(first, ".") && !strings.HasPrefix(dep, module) && !strings.HasPrefix(dep, "golang.org/x/sys/")) {
		return "the hook is alone: no network, no database, no module of others"
	}
	return ""
}

func TestLayoutRules(t *testing.T) {
	in := func(folder string) string { return strings.TrimSuffix(module+"/"+folder, "/") }
	tests := []struct {
		from, file, to string // folders of the module; a to with a "=" before it is taken as it is
		want           string // part of the rule; "" is allowed
	}{
		{"", "node.go", "=strings", ""},
		{"", "node.go", "=net/url", ""},
		{"", "node.go", "=os", "no I/O"},
		{"", "node.go", "=github.com/google/go-cmp/cmp", "standard library only"},
		{"", "node.go", "internal/git", "standard library only"},
		{"", "node_test.go", "=github.com/google/go-cmp/cmp", ""},
		{"", "node_test.go", "internal/lineage", "downward only"},

		{"internal/git", "run.go", "", ""},
		{"internal/git", "run.go", "=os/exec", ""},
		{"internal/notes", "notes.go", "internal/git", ""},
		{"internal/notes", "notes.go", "internal/notes/gitai", "injects them"},
		{"internal/notes/gitai", "gitai.go", "internal/notes", ""},
		{"internal/notes/gitai", "gitai.go", "internal/git", ""},
		{"internal/notes/gitai", "gitai.go", "internal/notes/trailers", "do not know one another"},
		{"internal/notes/gitai", "gitai.go", "internal/notes/gitai/note", ""},
		{"internal/notes/gitai", "gitai.go", "internal/store/sqlite", "never its child"},
		{"internal/notes/gitai", "gitai.go", "internal/lineage", "downward only"},
		{"internal/store/sqlite", "open.go", "internal/project", "downward only"},
		{"internal/store/sqlite", "open.go", "internal/store/storetest", "only tests"},
		{"internal/store/sqlite", "open_test.go", "internal/store/storetest", ""},
		{"internal/store/sqlite", "open_test.go", "internal/lineage", "downward only"},
		{"internal/store/storetest", "put.go", "internal/store", ""},
		{"internal/store/storetest", "put.go", "=github.com/google/go-cmp/cmp", ""},
		{"internal/store/storetest", "put.go", "internal/store/sqlite", ""},
		{"internal/store/storetest", "put.go", "internal/project", "downward only"},

		{"internal/attribution", "attribution.go", "", ""},
		{"internal/attribution", "attribution.go", "internal/notes", ""},
		{"internal/attribution", "attribution.go", "=time", ""},
		{"internal/attribution", "attribution.go", "=os", "is pure"},
		{"internal/attribution", "attribution.go", "=net/http", "is pure"},
		{"internal/project", "project.go", "=os/exec", "is pure"},
		{"internal/project", "project.go", "=database/sql", "is pure"},
		{"internal/project", "project.go", "internal/attribution", ""},
		{"internal/project", "project_test.go", "=os", ""},
		{"internal/project", "project.go", "internal/store/sqlite", "never a technology"},
		{"internal/project", "project_test.go", "internal/store/sqlite", ""},
		{"internal/attribution", "attribution.go", "internal/project", "order of work"},
		{"internal/reconcile", "refs.go", "internal/project", ""},
		{"internal/reconcile", "refs.go", "internal/lineage", "order of work"},
		{"internal/reconcile", "refs.go", "=os", ""},
		{"internal/reconcile", "refs.go", "=os/exec", "never a technology"},
		{"internal/lineage", "show.go", "internal/store", ""},
		{"internal/lineage", "show.go", "internal/attribution", ""},
		{"internal/lineage", "show.go", "internal/reconcile", "ways in"},
		{"internal/evidence", "package.go", "internal/record", "ways in"},
		{"internal/lineage", "show.go", "internal/store/sqlite", "never a technology"},
		{"internal/lineage", "show.go", "internal/api", "downward only"},
		{"internal/lineage", "show.go", "cmd/stemma", "a command"},
		{"internal/lineage/graphql", "a.go", "", "does not know"},

		{"internal/api", "session.go", "internal/lineage", ""},
		{"internal/api", "session.go", "=net/http", ""},
		{"internal/api", "session.go", "internal/store", "not the store"},
		{"internal/api", "session.go", "internal/store/postgres", "never names a technology"},
		{"internal/web", "session.go", "internal/api", "do not know one another"},

		{"cmd/stemma", "wire.go", "internal/store/sqlite", ""},
		{"cmd/stemma", "log.go", "internal/store/sqlite", "only wire.go"},
		{"cmd/stemma", "wire_evidence.go", "internal/store/sqlite", ""},
		{"cmd/stemma", "log.go", "internal/store", ""},
		{"cmd/stemma", "log.go", "internal/lineage", ""},
		{"cmd/stemma", "log.go", "=database/sql", "not a database"},
		{"cmd/stemma", "wire.go", "cmd/stemma-hook", "a command"},
		{"cmd/stemma", "log_test.go", "internal/store/sqlite", ""},
		{"cmd/stemma-hook", "main.go", "internal/spool", ""},
		{"cmd/stemma-hook", "main.go", "internal/agent", "alone"},
		{"cmd/stemma-hook", "main.go", "internal/record", "alone"},
		{"cmd/stemma-hook", "main.go", "=net/http", "alone"},
		{"cmd/stemma-hook", "main.go", "=github.com/spf13/cobra", "alone"},

		{"internal/util", "a.go", "", "does not know"},
		{"internal/lineage", "show.go", "internal/util", "does not know"},
		{"internal", "a.go", "", "does not know"},
		{"pkg/git", "a.go", "", "does not know"},
		{"cmd/other", "main.go", "", "does not know"},
		{"internal/git", "run.go", "=github.com/stemma-dev/stemma-other/x", ""},
	}
	for _, tt := range tests {
		e := edge{from: in(tt.from), file: tt.file, to: in(tt.to)}
		if foreign, ok := strings.CutPrefix(tt.to, "="); ok {
			e.to = foreign
		}
		got := refuse(e)
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("refuse(%s/%s imports %s) = %q, want %q", tt.from, tt.file, tt.to, got, tt.want)
		}
	}

	for dep, want := range map[string]bool{
		"net/http": true, "github.com/spf13/cobra": true, "os": false,
		module: false, "golang.org/x/sys/unix": false,
	} {
		if got := refuseBelow(in("cmd/stemma-hook"), dep) != ""; got != want {
			t.Errorf("refuseBelow(stemma-hook, %s) = %t, want %t", dep, got, want)
		}
		if got := refuseBelow(in("cmd/stemma"), dep); got != "" {
			t.Errorf("refuseBelow(stemma, %s) = %q, want it allowed", dep, got)
		}
	}
}

// A folder of the picture that appears in two lists would have two rules.
func TestLayoutNamesEachRoomOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, room := range slices.Concat(families, work, doors) {
		if seen[room] {
			t.Errorf("%s has two places in the picture", room)
		}
		seen[room] = true
	}
	for _, room := range slices.Concat(pure, waysIn, asking) {
		if !slices.Contains(work, room) {
			t.Errorf("%s has a rule of work but is none", room)
		}
	}
}
