package sqlite

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Every reference of a query to a table has its own "org = ?", so that an
// organisation cannot see another and the same SQL can run distributed.
func TestEveryTableReferenceNamesTheOrganisation(t *testing.T) {
	table := regexp.MustCompile(`\b(?:FROM|JOIN|UPDATE)\s+(?:node|edge|tally|attribution|path|word|scope_key|key_scope|mark|envelope|envelope_bytes|subject)\b|\bINSERT INTO\s+\w+ \(`)
	org := regexp.MustCompile(`\borg = \?|\((?:org,|name)`)
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	queries := 0
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, entry.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			e, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			text, ok := literal(e)
			if !ok {
				return true
			}
			refs := len(table.FindAllString(text, -1))
			queries += min(refs, 1)
			if got := len(org.FindAllString(text, -1)); got < refs {
				t.Errorf("%s: %d references to tables and %d organisations in:\n%s", files.Position(e.Pos()), refs, got, text)
			}
			return false
		})
	}
	if queries < 30 {
		t.Errorf("only %d queries were found: the test looks in the wrong place", queries)
	}
}

// literal gives the text of a string, or of strings joined with other values.
func literal(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		left, okLeft := literal(e.X)
		right, okRight := literal(e.Y)
		return left + " " + right, e.Op == token.ADD && (okLeft || okRight)
	default:
		return "", false
	}
}
