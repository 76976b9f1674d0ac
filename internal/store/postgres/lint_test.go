package postgres

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// This file holds all SQL of the package to the rules under which it also runs
// distributed (Citus), where org is the distribution column of every table:
//
//   - every reference to a table carries org = $n as a constant, in the same
//     SELECT, UPDATE or DELETE, also in the arms of a CTE, and not inside of OR;
//   - what is inserted begins with org, which is a constant, and so does the
//     target of ON CONFLICT; org is never updated;
//   - org leads every primary key, unique constraint and index;
//   - no foreign keys, triggers, functions, or lists in the text of a query;
//   - tables are named in full, and a query that reads one stands in one piece,
//     so that this test sees all of it.

func TestSQLRunsDistributed(t *testing.T) {
	queries := 0
	check := func(where, sql string) {
		queries++
		for _, fault := range lint(sql) {
			t.Errorf("%s: %s in:\n%s", where, fault, strings.TrimSpace(sql))
		}
	}
	for _, found := range sqlOfPackage(t) {
		if found.piece {
			t.Errorf("%s: a query in pieces:\n%s", found.where, found.sql)
		}
		check(found.where, found.sql)
	}
	if queries < 50 {
		t.Errorf("only %d queries were found: the test looks in the wrong place", queries)
	}
	files := 0
	err := fs.WalkDir(migrations, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files++
		text, err := fs.ReadFile(migrations, path)
		if err != nil {
			return err
		}
		for sql := range strings.SplitSeq(comments.ReplaceAllString(string(text), ""), ";") {
			check(path, sql)
		}
		return nil
	})
	if err != nil || files < 2 {
		t.Errorf("%d migrations were read, %v", files, err)
	}
}

// The lint finds each of these, or it would find nothing in what we write.
func TestLint(t *testing.T) {
	for _, test := range []struct{ sql, want string }{
		{"SELECT id FROM stemma_graph.node WHERE id = $1", "node carries no org"},
		{"SELECT id FROM stemma_graph.node", "node carries no org"},
		{"SELECT id FROM stemma_graph.node WHERE org = $1 OR id = $2", "node carries no org"},
		{"SELECT id FROM stemma_graph.node WHERE id = $2 AND (org = $1 OR id = $3)", "node carries no org"},
		{"SELECT id FROM stemma_graph.node WHERE NOT org = $1", "node carries no org"},
		{"SELECT id FROM stemma_graph.node WHERE org > $1", "node carries no org"},
		{"SELECT id FROM stemma_graph.node WHERE org = $1 + id", "node carries no org"},
		{"SELECT id FROM stemma_graph.node WHERE org = ANY($1)", "node carries no org"},
		{"SELECT n.key FROM stemma_graph.edge AS e JOIN stemma_graph.node AS n ON n.id = e.dst WHERE e.org = $1", "node (n) carries no org"},
		{"SELECT n.key FROM stemma_graph.edge AS e JOIN stemma_graph.node AS n ON n.org = e.org AND n.id = e.dst WHERE e.org = $1", "node (n) carries no org"},
		{"SELECT n.key FROM stemma_graph.edge e, stemma_graph.node n WHERE e.org = $1 AND n.id = e.dst", "node (n) carries no org"},
		{"SELECT 1 FROM stemma_graph.node AS n WHERE n.org = $1 AND EXISTS (SELECT FROM stemma_graph.edge AS e WHERE e.src = n.id)", "edge (e) carries no org"},
		{"SELECT 1 FROM stemma_graph.node AS n WHERE n.org = $1 AND EXISTS (SELECT FROM stemma_graph.edge AS e WHERE n.org = $1 AND e.src = n.id)", "edge (e) carries no org"},
		{"SELECT id FROM stemma_graph.node AS n WHERE n.org = $1 AND n.id IN (SELECT dst FROM stemma_graph.edge WHERE src = $2)", "edge carries no org"},
		{"WITH RECURSIVE r AS (SELECT src, dst FROM stemma_graph.edge WHERE org = $1 UNION SELECT e.src, e.dst FROM stemma_graph.edge AS e JOIN r ON e.src = r.dst) SELECT dst FROM r", "edge (e) carries no org"},
		{"DELETE FROM stemma_graph.edge WHERE src = $1", "edge carries no org"},
		{"DELETE FROM stemma_graph.touch AS t USING stemma_graph.path AS p WHERE t.org = $1 AND t.path = p.id", "path (p) carries no org"},
		{"UPDATE stemma_graph.state SET epoch = epoch + 1", "state carries no org"},
		{"UPDATE stemma_graph.state SET epoch = $2 WHERE name = $1", "state carries no org"},
		{"UPDATE stemma_graph.state SET org = $2 WHERE org = $1", "org is updated"},
		{"UPDATE stemma_graph.state SET epoch = 1, org = $2 WHERE org = $1", "org is updated"},
		{"SELECT epoch FROM stemma_graph.state WHERE name = $1 FOR UPDATE", "state carries no org"},
		{"SELECT version_id FROM stemma_graph.migration FOR UPDATE", "locks rows without org"},
		{"SELECT id FROM stemma_graph.node WHERE org = $1 AND id IN ($2, $3)", "list in the text"},
		{"SELECT id FROM stemma_graph.node WHERE org = $1 AND kind IN (1, 2)", "list in the text"},
		{"SELECT id FROM node WHERE org = $1", "node is not named in full"},
		{"INSERT INTO node (org, id) VALUES ($1, $2)", "node is not named in full"},
		{"INSERT INTO stemma_graph.node (id, org) VALUES ($1, $2)", "does not begin with org"},
		{"INSERT INTO stemma_graph.node VALUES ($1, $2)", "does not begin with org"},
		{"INSERT INTO stemma_graph.node (org, id) SELECT org, id FROM pg_temp.staged_node", "org is no constant"},
		{"INSERT INTO stemma_graph.node (org, id) VALUES (DEFAULT, $1)", "org is no constant"},
		{"INSERT INTO stemma_graph.node (org, id) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING", "conflict of a key without org"},
		{"INSERT INTO stemma_graph.node (org, id) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET scope = true", "conflict of a key without org"},
		{"TRUNCATE stemma_graph.node", "truncates"},
		{"LOCK TABLE stemma_graph.state", "locks a table"},
		{"CREATE TABLE stemma_graph.t (id bigint PRIMARY KEY, org bigint NOT NULL)", "does not begin with org"},
		{"CREATE TABLE stemma_graph.t (org bigint NOT NULL, id bigint PRIMARY KEY)", "key without org"},
		{"CREATE TABLE stemma_graph.t (org bigint NOT NULL, id bigint, PRIMARY KEY (id, org))", "key without org"},
		{"CREATE TABLE stemma_graph.t (org bigint NOT NULL, id bigint UNIQUE, PRIMARY KEY (org, id))", "key without org"},
		{"CREATE TABLE stemma_graph.t (org bigint NOT NULL, id bigint, PRIMARY KEY (org, id), UNIQUE (id))", "key without org"},
		{"CREATE TABLE stemma_graph.t (org bigint NOT NULL, id bigint)", "no primary key"},
		{"CREATE TABLE stemma_graph.t (org bigint NOT NULL, id bigint REFERENCES stemma_graph.node, PRIMARY KEY (org, id))", "foreign key"},
		{"ALTER TABLE stemma_graph.t ADD CONSTRAINT f FOREIGN KEY (org, id) REFERENCES stemma_graph.node (org, id)", "foreign key"},
		{"CREATE INDEX i ON stemma_graph.t (id)", "index without org"},
		{"CREATE UNIQUE INDEX i ON stemma_graph.t (id, org)", "index without org"},
		{"CREATE INDEX i ON stemma_graph.t USING btree (lower(org))", "index without org"},
		{"CREATE TRIGGER x AFTER INSERT ON stemma_graph.t EXECUTE FUNCTION f()", "trigger"},
		{"CREATE FUNCTION f() RETURNS trigger AS '' LANGUAGE sql", "trigger"},
	} {
		if faults := strings.Join(lint(test.sql), "; "); !strings.Contains(faults, test.want) {
			t.Errorf("lint of %q = %q, want %q", test.sql, faults, test.want)
		}
	}
	for _, sql := range []string{
		"SELECT id FROM stemma_graph.node WHERE org = $1 AND (id = $2 OR id = $3) ORDER BY id",
		"SELECT n.key FROM stemma_graph.edge AS e JOIN stemma_graph.node AS n ON n.org = $1 AND n.id = e.dst WHERE e.org = $1",
		"SELECT s.id FROM unnest($2::bigint[]) AS s (id) CROSS JOIN LATERAL (SELECT e.dst FROM stemma_graph.edge AS e WHERE e.org = $1 AND e.src = s.id LIMIT $3) AS l",
		"WITH RECURSIVE r AS (SELECT dst FROM stemma_graph.edge WHERE org = $1 UNION SELECT e.dst FROM stemma_graph.edge AS e JOIN r ON e.org = $1 AND e.src = r.dst) SELECT dst FROM r",
		"INSERT INTO stemma_graph.node (org, id) SELECT $1, id FROM pg_temp.staged_node ON CONFLICT (org, id) DO UPDATE SET scope = excluded.scope",
		"SELECT epoch FROM stemma_graph.state WHERE org = $1 FOR UPDATE",
		"SELECT pg_try_advisory_lock($1)",
		"CREATE UNIQUE INDEX i ON stemma_graph.t (org, id) WHERE id > 0",
	} {
		if faults := lint(sql); len(faults) > 0 {
			t.Errorf("lint of %q = %q, want nothing", sql, faults)
		}
	}
}

// foundSQL is a query in the text of the package.
type foundSQL struct {
	where, sql string
	piece      bool // it is a part of one that is joined
}

var (
	beginsSQL = regexp.MustCompile(`^\s*(SELECT|INSERT|UPDATE|DELETE|WITH|CREATE|ALTER|DROP|TRUNCATE|LOCK|COPY|DECLARE|MERGE)\b`)
	namesSQL  = regexp.MustCompile(`\bstemma_(graph|evidence)\.\w`)
)

func sqlOfPackage(t *testing.T) (all []foundSQL) {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, entry.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		joined := make(map[ast.Node]bool)
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BinaryExpr:
				joined[n.X], joined[n.Y] = true, true
			case *ast.BasicLit:
				text, err := strconv.Unquote(n.Value)
				if n.Kind != token.STRING || err != nil || !beginsSQL.MatchString(text) && !namesSQL.MatchString(text) {
					return true
				}
				for sql := range strings.SplitSeq(text, ";") {
					all = append(all, foundSQL{files.Position(n.Pos()).String(), sql, joined[n] && text != "CREATE SCHEMA "})
				}
			}
			return true
		})
	}
	return all
}

var (
	comments = regexp.MustCompile(`--[^\n]*`)
	tokens   = regexp.MustCompile(`'[^']*'|"[^"]*"|\$\d+|[A-Za-z_][\w.]*|\d+|::|<>|<=|>=|[^\s\w]`)
	constant = regexp.MustCompile(`^(\$\d+|\d+)$`)
)

// lint gives what is wrong with one statement.
func lint(sql string) (faults []string) {
	words := tokens.FindAllString(comments.ReplaceAllString(sql, ""), -1)
	if len(words) == 0 {
		return nil
	}
	l := &linter{words: words}
	upper := make([]string, len(words))
	for i, word := range words {
		upper[i] = strings.ToUpper(word)
	}
	l.upper = upper
	l.everywhere()
	switch upper[0] {
	case "CREATE", "ALTER", "DROP":
		l.definition()
	case "TRUNCATE":
		l.say("truncates a table of all organisations")
	case "LOCK":
		l.say("locks a table of all organisations")
	default:
		l.names = l.ctes()
		l.query(0, len(words))
	}
	return l.faults
}

type linter struct {
	words, upper []string
	names        []string // of CTEs
	faults       []string
}

func (l *linter) say(format string, args ...any) {
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}

// at gives a word in upper case, "" outside of the text.
func (l *linter) at(i int) string {
	if i < 0 || i >= len(l.upper) {
		return ""
	}
	return l.upper[i]
}

// everywhere finds what is never right.
func (l *linter) everywhere() {
	for i := range l.words {
		switch l.at(i) {
		case "IN":
			if l.at(i+1) == "(" && l.at(i+2) != "SELECT" {
				l.say("a list in the text of a query")
			}
		case "REFERENCES", "FOREIGN":
			l.say("a foreign key")
		case "TRIGGER", "FUNCTION", "PROCEDURE":
			l.say("a trigger or function")
		}
	}
}

// close gives the place of the bracket that closes the one at i.
func (l *linter) close(i int) int {
	depth := 0
	for ; i < len(l.words); i++ {
		switch l.words[i] {
		case "(":
			depth++
		case ")":
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return i
}

// ctes gives the names that WITH gives.
func (l *linter) ctes() (names []string) {
	for i := range l.words {
		if l.at(i+1) == "AS" && l.at(i+2) == "(" && (l.at(i-1) == "WITH" || l.at(i-1) == "RECURSIVE" || l.at(i-1) == ",") {
			names = append(names, l.words[i])
		}
	}
	return names
}

// reference is a table in a query.
type reference struct{ table, alias string }

// query looks at one level of a query, from i to end, and at those below it.
func (l *linter) query(i, end int) {
	// The words of this level alone; a bracket stands for what is inside.
	var level []int
	arms := [][]int{}
	for ; i < end; i++ {
		switch l.at(i) {
		case "(":
			level = append(level, i)
			shut := l.close(i)
			l.query(i+1, shut)
			i = shut
			level = append(level, shut)
		case "UNION", "INTERSECT", "EXCEPT":
			arms, level = append(arms, level), nil
		default:
			level = append(level, i)
		}
	}
	for _, arm := range append(arms, level) {
		l.arm(arm)
	}
}

func (l *linter) arm(level []int) {
	var refs []reference
	from := false
	locks := false
	for n, i := range level {
		next := func(k int) string {
			if n+k < len(level) {
				return l.words[level[n+k]]
			}
			return ""
		}
		switch l.at(i) {
		case "FROM", "JOIN", "USING":
			from = true
			if l.at(i-1) != "DISTINCT" {
				refs = l.refer(refs, level[n+1:])
			}
		case ",":
			if from {
				refs = l.refer(refs, level[n+1:])
			}
		case "WHERE", "GROUP", "ORDER", "RETURNING", "LIMIT", "SELECT":
			from = false
		case "UPDATE":
			switch {
			case n == 0:
				refs = l.refer(refs, level[1:])
			case l.at(i-1) == "FOR":
				locks = true
			}
		case "SHARE":
			locks = locks || l.at(i-1) == "FOR"
		case "INTO":
			l.insert(level[n+1:])
		case "SET":
			l.set(level[n+1:])
		case "CONFLICT":
			if next(1) == "(" && !strings.EqualFold(l.at(i+2), "org") {
				l.say("conflict of a key without org")
			}
		}
	}
	constants := 0
	for _, ref := range refs {
		if strings.HasSuffix(ref.table, ".migration") {
			continue // not an organisation's
		}
		if l.constantOrg(level, ref, len(refs)) {
			constants++
			continue
		}
		name := ref.table[strings.IndexByte(ref.table, '.')+1:]
		if ref.alias != "" {
			name += " (" + ref.alias + ")"
		}
		l.say("%s carries no org", name)
	}
	if locks && constants == 0 {
		l.say("locks rows without org")
	}
}

// refer adds the table that these words begin with, if they do.
func (l *linter) refer(refs []reference, level []int) []reference {
	words := make([]string, 0, 4)
	for _, i := range level[:min(4, len(level))] {
		words = append(words, l.words[i])
	}
	for len(words) > 0 && strings.EqualFold(words[0], "LATERAL") || len(words) > 0 && strings.EqualFold(words[0], "ONLY") {
		words = words[1:]
	}
	if len(words) == 0 || words[0] == "(" || len(words) > 1 && words[1] == "(" || slices.Contains(l.names, words[0]) {
		return refs // a query, a function, a CTE
	}
	table := words[0]
	switch {
	case strings.HasPrefix(table, "pg_temp."), strings.HasPrefix(table, "pg_catalog."):
		return refs
	case !namesSQL.MatchString(table):
		l.say("%s is not named in full", table)
		return refs
	}
	ref := reference{table: table}
	words = words[1:]
	if len(words) > 0 && strings.EqualFold(words[0], "AS") {
		words = words[1:]
	}
	keywords := []string{"WHERE", "JOIN", "ON", "CROSS", "LEFT", "INNER", "USING", "SET", "ORDER", "GROUP", "LIMIT", "FOR", "RETURNING", ",", ")"}
	if len(words) > 0 && !slices.Contains(keywords, strings.ToUpper(words[0])) {
		ref.alias = words[0]
	}
	return append(refs, ref)
}

// constantOrg reports whether the conditions of a level hold the organisation of
// a reference to a constant, whatever else they say.
func (l *linter) constantOrg(level []int, ref reference, refs int) bool {
	column := "org"
	if ref.alias != "" {
		column = ref.alias + ".org"
	}
	conditions := false
	held := false
	for n, i := range level {
		switch l.at(i) {
		case "WHERE", "ON":
			conditions = l.at(i+1) != "CONFLICT"
		case "OR":
			if conditions {
				return false
			}
		case "ORDER", "GROUP", "LIMIT", "RETURNING", "FOR":
			conditions = false
		}
		before := l.at(i - 1)
		if !conditions || l.words[i] != column && !(ref.alias != "" && refs == 1 && l.words[i] == "org") ||
			before != "WHERE" && before != "AND" && before != "ON" {
			continue
		}
		if n+2 >= len(level) || l.words[level[n+1]] != "=" || !constant.MatchString(l.words[level[n+2]]) {
			continue
		}
		after := ""
		if n+3 < len(level) {
			after = l.at(level[n+3])
		}
		switch after {
		case "", "AND", "ORDER", "GROUP", "LIMIT", "OFFSET", "FOR", "RETURNING", "JOIN", "CROSS", "LEFT", "INNER", "WHERE", "ON":
			held = true
		}
	}
	return held
}

// insert looks at what comes after INTO.
func (l *linter) insert(level []int) {
	if len(level) == 0 {
		return
	}
	at := level[0]
	if !namesSQL.MatchString(l.words[at]) {
		l.say("%s is not named in full", l.words[at])
	}
	if l.at(at+1) != "(" || l.at(at+2) != "ORG" {
		l.say("what is inserted does not begin with org")
		return
	}
	i := l.close(at+1) + 1
	switch l.at(i) {
	case "VALUES":
		i += 2
	case "SELECT":
		if i++; l.at(i) == "DISTINCT" {
			i++
		}
	}
	if !constant.MatchString(l.at(i)) {
		l.say("org is no constant")
	}
}

// set looks at what comes after SET.
func (l *linter) set(level []int) {
	for n, i := range level {
		if l.at(i) == "WHERE" {
			return
		}
		if l.at(i) == "ORG" && (n == 0 || l.words[level[n-1]] == ",") {
			l.say("org is updated")
		}
	}
}

// definition looks at tables and indexes; those of a session are its own.
func (l *linter) definition() {
	at := slices.IndexFunc(l.words, namesSQL.MatchString)
	if at < 0 || l.at(1) == "TEMPORARY" {
		return
	}
	switch {
	case slices.Contains(l.upper[:at], "INDEX"):
		for l.at(at) != "(" && at < len(l.words) {
			at++
		}
		if l.at(at+1) != "ORG" || l.at(at+2) != "," && l.at(at+2) != ")" {
			l.say("an index without org in front")
		}
	case slices.Contains(l.upper[:at], "TABLE") && l.at(0) == "CREATE":
		if l.at(at+2) != "ORG" {
			l.say("the table does not begin with org")
		}
	}
	keys := 0
	for i := range l.words {
		if l.at(i) != "UNIQUE" && l.at(i) != "PRIMARY" || l.at(i+1) == "INDEX" {
			continue
		}
		if l.at(i) == "PRIMARY" {
			keys++
			if l.at(i-2) == "ORG" {
				continue // org alone is the key
			}
			i++
		}
		if l.at(i+1) != "(" || l.at(i+2) != "ORG" {
			l.say("a key without org in front")
		}
	}
	if l.at(0) == "CREATE" && l.at(1) == "TABLE" && keys == 0 {
		l.say("no primary key")
	}
}
