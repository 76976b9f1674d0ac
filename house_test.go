package stemma_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// This file holds what is asked of every Go file, whatever its place: the names
// of packages, docs on what is exported, no init, and a size one can read.

// maxLines is the length of a file over which it holds more than one subject.
const maxLines = 700

// namelessPackages say nothing about what is inside.
var namelessPackages = []string{
	"util", "utils", "common", "helper", "helpers", "types", "models", "base", "manager", "misc",
}

func TestHouse(t *testing.T) {
	for _, p := range ourPackages(t) {
		if slices.Contains(namelessPackages, p.Name) || slices.Contains(namelessPackages, filepath.Base(p.Dir)) {
			t.Errorf("%s: package %s: the name says nothing about what is inside", p.ImportPath, p.Name)
		}
		documented := false
		for _, file := range p.files(true) {
			path := filepath.Join(p.Dir, file)
			src, err := os.ReadFile(path)
			if err != nil {
				t.Error(err)
				continue
			}
			f, faults := inspect(p.ImportPath+"/"+file, src)
			for _, fault := range faults {
				t.Error(fault)
			}
			documented = documented || f != nil && f.Doc != nil
		}
		if !documented && len(p.files(false)) > 0 {
			t.Errorf("%s: no package comment says which question it answers", p.ImportPath)
		}
	}
}

// What a program left beside its work has no place here: one log was kept for
// weeks, with the paths of the machine that it was made on.
func TestNothingStrayIsKept(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "git", "ls-files", "-z").Output()
	if err != nil {
		t.Skipf("no repository to ask what is kept: %v", err)
	}
	known := []string{".go", ".md", ".mod", ".sum", ".json", ".sql", ".vim", ".ts", ".js", ".mjs"}
	named := []string{".ci/run", ".editorconfig", ".gitattributes", ".gitignore", "LICENSE", "Makefile"}
	files := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	for _, file := range files {
		switch {
		case slices.Contains(known, filepath.Ext(file)), slices.Contains(named, file), strings.HasPrefix(file, "script/"), strings.Contains(file, "testdata/"):
		default:
			t.Errorf("%s: neither source nor documentation; add its kind to this test if it is", file)
		}
	}
	if len(files) < 100 {
		t.Errorf("%d files were looked at", len(files))
	}
}

// inspect gives the faults of one file, each with its position. The file is nil
// where it is not Go.
func inspect(name string, src []byte) (*ast.File, []string) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, []string{err.Error()}
	}
	if ast.IsGenerated(f) {
		return f, nil
	}
	var faults []string
	add := func(n ast.Node, format string, args ...any) {
		faults = append(faults, fmt.Sprintf("%s: %s", fset.Position(n.Pos()), fmt.Sprintf(format, args...)))
	}
	if lines := bytes.Count(src, []byte("\n")); lines > maxLines {
		add(f, "%d lines, over %d: more than one subject", lines, maxLines)
	}
	test := strings.HasSuffix(name, "_test.go")
	for _, decl := range f.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Recv == nil && decl.Name.Name == "init" {
				add(decl, "func init: nothing happens before main")
			}
			if !test && decl.Doc == nil && decl.Name.IsExported() && !selfEvident(decl) {
				add(decl, "%s is exported and has no doc comment", decl.Name.Name)
			}
		case *ast.GenDecl:
			if !test && decl.Doc == nil {
				for _, id := range undocumented(decl) {
					add(id, "%s is exported and has no doc comment", id.Name)
				}
			}
		}
	}
	return f, faults
}

// selfEvident reports whether a function needs no comment: a method of a type
// that nobody outside can name, or one that the standard library has defined.
func selfEvident(fn *ast.FuncDecl) bool {
	if fn.Recv == nil {
		return false
	}
	receiver := fn.Recv.List[0].Type
	if star, ok := receiver.(*ast.StarExpr); ok {
		receiver = star.X
	}
	if generic, ok := receiver.(*ast.IndexExpr); ok {
		receiver = generic.X
	}
	if id, ok := receiver.(*ast.Ident); ok && !id.IsExported() {
		return true
	}
	switch fn.Name.Name {
	case "Error", "Unwrap", "Is", "As", "String", "Read", "Write", "Close", "Len", "Less", "Swap",
		"MarshalText", "UnmarshalText", "MarshalJSON", "UnmarshalJSON":
		return true
	}
	return false
}

// undocumented gives the exported names of a declaration without a comment of
// its own. In a group, a comment on the line or beside it will do.
func undocumented(decl *ast.GenDecl) []*ast.Ident {
	var names []*ast.Ident
	for _, spec := range decl.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Doc == nil && spec.Name.IsExported() {
				names = append(names, spec.Name)
			}
		case *ast.ValueSpec:
			if spec.Doc != nil || spec.Comment != nil {
				continue
			}
			for _, id := range spec.Names {
				if id.IsExported() {
					names = append(names, id)
				}
			}
		}
	}
	return names
}

func TestHouseRules(t *testing.T) {
	tests := []struct {
		name, src string
		want      []string // part of each fault, in order
	}{
		{"quiet.go", "package p\n\n// A is documented.\ntype A struct{ B int }\n\n// C too.\nfunc (A) C() {}\n\nfunc d() {}\n", nil},
		{"func.go", "package p\n\nfunc A() {}\n", []string{"func.go:3:1: A is exported"}},
		{"method.go", "package p\n\ntype a int\n\nfunc (a) B() {}\n\n// C is documented.\ntype C[T any] struct{}\n\nfunc (*C[T]) D() {}\n\nfunc (C[T]) String() string { return \"\" }\n", []string{"method.go:10:1: D is exported"}},
		{"type.go", "package p\n\ntype (\n\tA int\n\t// B is documented.\n\tB int\n)\n", []string{"A is exported"}},
		{"const.go", "package p\n\nconst A, b = 1, 2\n\n// The letters.\nconst (\n\tC = 1\n)\n\nvar D = 1 // D is documented.\n", []string{"A is exported"}},
		{"init.go", "package p\n\nfunc init() {}\n", []string{"init.go:3:1: func init"}},
		{"init_method.go", "package p\n\ntype a int\n\nfunc (a) init() {}\n", nil},
		{"a_test.go", "package p\n\nfunc TestA() {}\n\nfunc init() {}\n", []string{"func init"}},
		{"long.go", "package p\n" + strings.Repeat("\n", maxLines), []string{"701 lines"}},
		{"full.go", "package p\n" + strings.Repeat("\n", maxLines-1), nil},
		{"made.go", "// Code generated by stringer; DO NOT EDIT.\n\npackage p\n\nfunc A() {}\n" + strings.Repeat("\n", maxLines), nil},
		{"broken.go", "package p\n\nfunc {\n", []string{"broken.go:3:6"}},
	}
	for _, tt := range tests {
		_, got := inspect(tt.name, []byte(tt.src))
		if len(got) != len(tt.want) {
			t.Errorf("inspect(%s) = %q, want %d faults", tt.name, got, len(tt.want))
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], tt.want[i]) {
				t.Errorf("inspect(%s)[%d] = %q, want %q", tt.name, i, got[i], tt.want[i])
			}
		}
	}
}
