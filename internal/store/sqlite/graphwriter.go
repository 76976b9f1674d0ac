package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// A graphWriter writes the scopes of one batch, in the steps of
// [Store.writeGraph].
type graphWriter struct {
	ctx    context.Context
	w      *writer
	scribe *scribe
	org    int64

	names []stemma.NodeID // all nodes that the batch names
	nodes map[stemma.NodeID]*node
	// unchanged are scopes whose keys are those that the file has.
	unchanged map[int64]bool
	// suspects are nodes that lost an edge or their scope.
	suspects []int64
}

// findNodes finds the nodes that the batch names and the file has.
func (g *graphWriter) findNodes(scopes []store.Scope) error {
	g.names = ids(scopes)
	slices.SortFunc(g.names, stemma.NodeID.Compare) // new keys then go into the tree in its order
	g.nodes = make(map[stemma.NodeID]*node, len(g.names))
	for i := 0; i < len(g.names); {
		kind := g.names[i].Kind
		end := i
		for end < len(g.names) && g.names[end].Kind == kind {
			end++
		}
		if err := g.findKind(g.names[i:end]); err != nil {
			return err
		}
		i = end
	}
	return nil
}

func (g *graphWriter) findKind(names []stemma.NodeID) error {
	kind, ok := g.scribe.words.id[wordNode+string(names[0].Kind)]
	if !ok {
		return nil // no node of this kind yet
	}
	for chunk := range slices.Chunk(names, listSizes[len(listSizes)-1]) {
		keys := make([][]byte, len(chunk))
		for i := range chunk {
			keys[i] = []byte(chunk[i].Key)
		}
		list, args := keyList(keys)
		rows, err := g.w.query(`
			SELECT id, key, scope, time
			FROM node INDEXED BY node_by_key
			WHERE org = ? AND kind = ? AND key IN (`+list+`)`,
			append([]any{g.org, kind}, args...)...)
		if err != nil {
			return err
		}
		if err := g.readNodes(rows, names[0].Kind); err != nil {
			return err
		}
	}
	return nil
}

func (g *graphWriter) readNodes(rows *sql.Rows, kind stemma.NodeKind) (err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var n node
		var key sql.RawBytes
		var time sql.NullInt64
		if err := g.w.scan(rows, &n.id, &key, &n.scope, &time); err != nil {
			return err
		}
		n.time, n.tally = time.Int64, time.Valid
		n.storedScope, n.storedTime, n.storedTally = n.scope, n.time, n.tally
		g.nodes[stemma.NodeID{Kind: kind, Key: string(key)}] = &n
	}
	return rows.Err()
}

// clear removes what was derived for those scopes that exist already. A scope
// that is new costs nothing here.
func (g *graphWriter) clear(scopes []store.Scope) error {
	for i := range scopes {
		scope := &scopes[i]
		n := g.nodes[scope.ID]
		if n == nil || !n.scope {
			continue
		}
		if err := g.ctx.Err(); err != nil {
			return err
		}
		if err := g.clearScope(scope, n); err != nil {
			return err
		}
	}
	return nil
}

func (g *graphWriter) clearScope(scope *store.Scope, n *node) error {
	for _, at := range []struct {
		index, where string
		args         []any
	}{
		{"", "src = ? AND scope = ?", []any{g.org, n.id, n.id}},
		{"INDEXED BY edge_by_scope", "scope = ? AND scope <> src", []any{g.org, n.id}},
	} {
		rows, err := g.w.query("SELECT src, dst FROM edge "+at.index+" WHERE org = ? AND "+at.where, at.args...)
		if err != nil {
			return err
		}
		if err := g.suspect(rows); err != nil {
			return err
		}
		if _, err := g.w.exec("DELETE FROM edge "+at.index+" WHERE org = ? AND "+at.where, at.args...); err != nil {
			return err
		}
	}
	if _, err := g.w.exec("DELETE FROM attribution WHERE org = ? AND node = ?", g.org, n.id); err != nil {
		return err
	}
	if err := g.clearKeys(n.id, keyColumn(scope.Keys)); err != nil {
		return err
	}
	if n.tally {
		kind, err := g.scribe.word(g.w, wordNode+string(scope.ID.Kind))
		if err != nil {
			return err
		}
		if _, err := g.w.exec("DELETE FROM tally WHERE org = ? AND kind = ? AND time = ? AND key = ?",
			g.org, kind, n.time, []byte(scope.ID.Key)); err != nil {
			return err
		}
	}
	n.scope, n.tally, n.time = false, false, 0
	g.suspects = append(g.suspects, n.id)
	return nil
}

func (g *graphWriter) suspect(rows *sql.Rows) (err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var src, dst int64
		if err := g.w.scan(rows, &src, &dst); err != nil {
			return err
		}
		g.suspects = append(g.suspects, src, dst)
	}
	return rows.Err()
}

// nameNodes makes the nodes that are new and changes those that became a scope,
// or are none any more. A scope that is gone and was never there makes none.
func (g *graphWriter) nameNodes(scopes []store.Scope) error {
	wanted := make(map[stemma.NodeID]bool, len(g.names))
	for i := range scopes {
		scope := &scopes[i]
		for j := range scope.Edges {
			wanted[scope.Edges[j].From] = true
			wanted[scope.Edges[j].To] = true
		}
		if scope.Gone {
			continue
		}
		wanted[scope.ID] = true
		n := g.nodes[scope.ID]
		if n == nil {
			n = &node{}
			g.nodes[scope.ID] = n
		}
		n.scope = true
		if scope.Tally != nil {
			n.tally, n.time = true, scope.Tally.Time
		}
	}
	insert := newBulk(g.w, "node (org, id, kind, key, scope, time)", 6)
	for _, name := range g.names {
		n := g.nodes[name]
		switch {
		case n == nil && !wanted[name]:
			continue
		case n == nil:
			n = &node{}
			g.nodes[name] = n
		case n.id != 0 && !n.changed():
			continue
		case n.id != 0:
			if _, err := g.w.exec("UPDATE node SET scope = ?, time = ? WHERE org = ? AND id = ?",
				n.scope, n.tallyTime(), g.org, n.id); err != nil {
				return err
			}
			continue
		}
		kind, err := g.scribe.word(g.w, wordNode+string(name.Kind))
		if err != nil {
			return err
		}
		n.id = g.scribe.nextNode
		g.scribe.nextNode++
		if err := insert.add(g.org, n.id, kind, []byte(name.Key), n.scope, n.tallyTime()); err != nil {
			return err
		}
	}
	return insert.flush()
}

// findPaths finds or makes the ids of all paths of the batch.
func (g *graphWriter) findPaths(scopes []store.Scope) error {
	known := g.scribe.paths
	missing := make(map[string]bool)
	for i := range scopes {
		if scopes[i].Attribution == nil {
			continue
		}
		for j := range scopes[i].Attribution.Files {
			path := scopes[i].Attribution.Files[j].Path
			if _, ok := known[path]; !ok {
				missing[path] = true
			}
		}
	}
	paths := make([]string, 0, len(missing))
	for path := range missing {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for chunk := range slices.Chunk(paths, listSizes[len(listSizes)-1]) {
		if err := g.findStoredPaths(chunk); err != nil {
			return err
		}
	}
	insert := newBulk(g.w, "path (org, id, path)", 3)
	for _, path := range paths {
		if _, ok := known[path]; ok {
			continue
		}
		known[path] = g.scribe.nextPath
		if err := insert.add(g.org, g.scribe.nextPath, []byte(path)); err != nil {
			return err
		}
		g.scribe.nextPath++
	}
	return insert.flush()
}

func (g *graphWriter) findStoredPaths(paths []string) (err error) {
	keys := make([][]byte, len(paths))
	for i := range paths {
		keys[i] = []byte(paths[i])
	}
	list, args := keyList(keys)
	rows, err := g.w.query("SELECT id, path FROM path INDEXED BY path_by_path WHERE org = ? AND path IN ("+list+")",
		append([]any{g.org}, args...)...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id int64
		var path sql.RawBytes
		if err := g.w.scan(rows, &id, &path); err != nil {
			return err
		}
		g.scribe.paths[string(path)] = id
	}
	return rows.Err()
}

// insert writes edges, tallies and rows.
func (g *graphWriter) insert(scopes []store.Scope) error {
	edges := newBulk(g.w, "edge (org, src, kind, dst, scope, origin, confidence, counts)", 8)
	tallies := newBulk(g.w, "tally (org, kind, time, key, grp, counts)", 6)
	rows := newBulk(g.w, "attribution (org, node, row)", 3)
	for i := range scopes {
		scope := &scopes[i]
		if err := g.ctx.Err(); err != nil {
			return err
		}
		for j := range scope.Edges {
			if err := g.insertEdge(edges, &scope.Edges[j]); err != nil {
				return err
			}
		}
		if scope.Tally != nil {
			if err := g.insertTally(tallies, scope.ID, scope.Tally); err != nil {
				return err
			}
		}
		if scope.Attribution != nil {
			row, err := store.AppendRow(nil, scope.Attribution, g.pathID)
			if err != nil {
				return err
			}
			if err := rows.add(g.org, g.nodes[scope.ID].id, row); err != nil {
				return err
			}
		}
	}
	return errors.Join(edges.flush(), tallies.flush(), rows.flush())
}

func (g *graphWriter) pathID(path string) (int64, error) {
	id, ok := g.scribe.paths[path]
	if !ok {
		return 0, fmt.Errorf("path %q has no id", path)
	}
	return id, nil
}

func (g *graphWriter) insertEdge(edges *bulk, e *stemma.Edge) error {
	kind, err := g.scribe.word(g.w, wordEdge+string(e.Kind))
	if err != nil {
		return err
	}
	from, err := g.scribe.word(g.w, wordOrigin+store.OriginOf(e).Pack())
	if err != nil {
		return err
	}
	l := &e.Lines
	return edges.add(g.org, g.nodes[e.From].id, kind, g.nodes[e.To].id, g.nodes[e.Scope].id, from, e.Strength.Confidence,
		store.PackCounts(l.AI, l.AIEdited, l.Human, l.Generated, l.Unknown, e.Candidate))
}

func (g *graphWriter) insertTally(tallies *bulk, id stemma.NodeID, t *store.Tally) error {
	kind, err := g.scribe.word(g.w, wordNode+string(id.Kind))
	if err != nil {
		return err
	}
	group, err := g.scribe.word(g.w, wordGroup+t.Group)
	if err != nil {
		return err
	}
	flags := tallyPresent
	if t.Merge {
		flags |= tallyMerge
	}
	if t.Unreadable {
		flags |= tallyUnreadable
	}
	l := &t.Lines
	return tallies.add(g.org, kind, t.Time, []byte(id.Key), group,
		store.PackCounts(flags, l.AI, l.AIEdited, l.Human, l.Generated, l.Unknown, t.Candidate, t.Sessions))
}

// sweep removes those suspects that are no scope and have no edge.
func (g *graphWriter) sweep() error {
	slices.Sort(g.suspects)
	for _, id := range slices.Compact(g.suspects) {
		if err := g.ctx.Err(); err != nil {
			return err
		}
		if _, err := g.w.exec(`
			DELETE FROM node
			WHERE org = ? AND id = ? AND scope = 0
			AND NOT EXISTS (SELECT 1 FROM edge WHERE org = ? AND src = ?)
			AND NOT EXISTS (SELECT 1 FROM edge INDEXED BY edge_by_dst WHERE org = ? AND dst = ?)`,
			g.org, id, g.org, id, g.org, id); err != nil {
			return err
		}
	}
	return nil
}

// remember keeps the names of the scopes for [Store.Since].
func (g *graphWriter) remember(scopes []store.Scope) error {
	if len(scopes) == 0 {
		return nil
	}
	g.scribe.puts++
	oldest := g.scribe.puts - store.PutsKept
	names, ok := store.PackNames(scopes)
	if !ok {
		oldest = g.scribe.puts // what came before leads nowhere any more
	} else if _, err := g.w.exec("INSERT INTO put (org, number, names) VALUES (?, ?, ?)", g.org, g.scribe.puts, names); err != nil {
		return err
	}
	_, err := g.w.exec("DELETE FROM put WHERE org = ? AND number <= ?", g.org, oldest)
	return err
}

// mark sets and removes marks.
func (g *graphWriter) mark(marks map[string]string) error {
	for name, value := range marks {
		var err error
		if value == "" {
			_, err = g.w.exec("DELETE FROM mark WHERE org = ? AND name = ?", g.org, []byte(name))
		} else {
			_, err = g.w.exec(`
				INSERT INTO mark (org, name, value)
				VALUES (?, ?, ?)
				ON CONFLICT (org, name) DO UPDATE SET value = excluded.value`,
				g.org, []byte(name), []byte(value))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// listSizes are the lengths of lists in queries: few, so that the statements
// can be kept.
var listSizes = [...]int{1, 16, 256}

// keyList gives the placeholders and arguments of a list of at most the largest
// of listSizes. A list that is shorter than its size repeats its last key.
func keyList(keys [][]byte) (placeholders string, args []any) {
	size := 0
	for _, size = range listSizes {
		if size >= len(keys) {
			break
		}
	}
	args = make([]any, size)
	for i := range args {
		args[i] = keys[min(i, len(keys)-1)]
	}
	return repeat("?", size), args
}
