package postgres

import (
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// A graphWriter writes the scopes of one batch, in the steps of
// [writer.writeGraph].
type graphWriter struct {
	*writer
	scribe *scribe

	names []stemma.NodeID // all nodes that the batch names
	nodes map[stemma.NodeID]*node
	// suspects are nodes that lost an edge or their scope.
	suspects []int64
}

// findNodes finds the nodes that the batch names and the graph has.
func (g *graphWriter) findNodes(scopes []store.Scope) error {
	g.names = ids(scopes)
	slices.SortFunc(g.names, stemma.NodeID.Compare)
	g.nodes = make(map[stemma.NodeID]*node, len(g.names))
	for i := 0; i < len(g.names); {
		end := i + 1
		for end < len(g.names) && end-i < chunkSize && g.names[end].Kind == g.names[i].Kind {
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
	heads := make([][]byte, len(names))
	for i := range names {
		heads[i] = headOf(names[i].Key)
	}
	var n node
	var key, tail []byte
	return g.each(`
		SELECT n.id, d.key, n.tail, n.scope
		FROM unnest($3::bytea[]) AS d (key)
		CROSS JOIN LATERAL (
			SELECT id, tail, scope FROM stemma_graph.node WHERE org = $1 AND kind = $2 AND key = d.key LIMIT 1
		) AS n`,
		[]any{g.org, kind, heads}, []any{&n.id, &key, &tail, &n.stored}, func() error {
			name, err := nameOf(key, tail)
			found := n
			found.scope = found.stored
			g.nodes[stemma.NodeID{Kind: names[0].Kind, Key: name}] = &found
			return err
		})
}

func (w *writer) each(query string, args, dest []any, fn func() error) error {
	return rowsOf(w.ctx, w.c, query, args, dest, fn)
}

// clear removes what was derived for those scopes that exist already. Scopes
// that are new cost nothing here.
func (g *graphWriter) clear(scopes []store.Scope) error {
	var old []int64
	for i := range scopes {
		if n := g.nodes[scopes[i].ID]; n != nil && n.scope {
			old = append(old, n.id)
			n.scope = false
		}
	}
	if len(old) == 0 {
		return nil
	}
	slices.Sort(old)
	g.suspects = append(g.suspects, old...)
	var src, dst int64
	suspect := func() error {
		g.suspects = append(g.suspects, src, dst)
		return nil
	}
	for _, query := range []string{
		"DELETE FROM stemma_graph.edge WHERE org = $1 AND src = ANY($2) AND scope = src RETURNING src, dst",
		"DELETE FROM stemma_graph.edge WHERE org = $1 AND scope = ANY($2) AND scope <> src RETURNING src, dst",
	} {
		if err := g.each(query, []any{g.org, old}, []any{&src, &dst}, suspect); err != nil {
			return err
		}
	}
	if err := g.clearRows(old); err != nil {
		return err
	}
	for _, query := range []string{
		"DELETE FROM stemma_graph.tally WHERE org = $1 AND node = ANY($2)",
		"DELETE FROM stemma_graph.scope_key WHERE org = $1 AND node = ANY($2)",
	} {
		if _, err := g.tx.Exec(g.ctx, query, g.org, old); err != nil {
			return err
		}
	}
	return nil
}

// clearRows removes the rows of some nodes, and what they touch, which only they
// themselves tell.
func (g *graphWriter) clearRows(old []int64) error {
	var paths, nodes, touched []int64
	var node int64
	var row []byte
	err := g.each("DELETE FROM stemma_graph.attribution WHERE org = $1 AND node = ANY($2) RETURNING node, row",
		[]any{g.org, old}, []any{&node, &row}, func() (err error) {
			if touched, err = store.RowPaths(touched[:0], row); err != nil {
				return g.s.pool.damaged(err.Error())
			}
			for _, path := range touched {
				paths, nodes = append(paths, path), append(nodes, node)
			}
			return nil
		})
	if err != nil || len(paths) == 0 {
		return err
	}
	_, err = g.tx.Exec(g.ctx, `
		DELETE FROM stemma_graph.touch AS t
		USING unnest($2::bigint[], $3::bigint[]) AS d (path, node)
		WHERE t.org = $1 AND t.path = d.path AND t.node = d.node`,
		g.org, paths, nodes)
	return err
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
	}
	insert := newNodes()
	for _, name := range g.names {
		n := g.nodes[name]
		switch {
		case n == nil && !wanted[name]:
			continue
		case n == nil:
			n = &node{}
			g.nodes[name] = n
		case n.id != 0 && n.scope == n.stored:
			continue
		}
		if n.id == 0 {
			n.id = g.scribe.nextNode
			g.scribe.nextNode++
		}
		kind, err := g.scribe.word(wordNode + string(name.Kind))
		if err != nil {
			return err
		}
		insert.add(n.id, kind, n.scope, headOf(name.Key), tailOf(name.Key))
	}
	return insert.load(g.ctx, g.writer)
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
	for chunk := range slices.Chunk(paths, chunkSize) {
		heads := make([][]byte, len(chunk))
		for i := range chunk {
			heads[i] = headOf(chunk[i])
		}
		var id int64
		var path, tail []byte
		err := g.each(`
			SELECT p.id, d.path, p.tail
			FROM unnest($2::bytea[]) AS d (path)
			CROSS JOIN LATERAL (
				SELECT id, tail FROM stemma_graph.path WHERE org = $1 AND path = d.path LIMIT 1
			) AS p`,
			[]any{g.org, heads}, []any{&id, &path, &tail}, func() error {
				name, err := nameOf(path, tail)
				known[name] = id
				return err
			})
		if err != nil {
			return err
		}
	}
	insert := newPaths()
	for _, path := range paths {
		if _, ok := known[path]; ok {
			continue
		}
		known[path] = g.scribe.nextPath
		insert.add(g.scribe.nextPath, headOf(path), tailOf(path))
		g.scribe.nextPath++
	}
	return insert.load(g.ctx, g.writer)
}

// insert writes edges, tallies and rows.
func (g *graphWriter) insert(scopes []store.Scope) error {
	edges, tallies, rows, touches := newEdges(), newTallies(), newAttributions(), newTouches()
	for i := range scopes {
		scope := &scopes[i]
		for j := range scope.Edges {
			if err := g.addEdge(edges, &scope.Edges[j]); err != nil {
				return err
			}
		}
		if scope.Tally != nil {
			if err := g.addTally(tallies, scope.ID, scope.Tally); err != nil {
				return err
			}
		}
		if scope.Attribution == nil {
			continue
		}
		node := g.nodes[scope.ID].id
		row, err := store.AppendRow(nil, scope.Attribution, g.pathID)
		if err != nil {
			return err
		}
		rows.add(node, row)
		for j := range scope.Attribution.Files {
			touches.add(g.scribe.paths[scope.Attribution.Files[j].Path], node)
		}
	}
	for _, s := range []*stage{edges, tallies, rows, touches} {
		if err := s.load(g.ctx, g.writer); err != nil {
			return err
		}
	}
	return nil
}

func (g *graphWriter) pathID(path string) (int64, error) {
	id, ok := g.scribe.paths[path]
	if !ok {
		return 0, fmt.Errorf("path %q has no id", path)
	}
	return id, nil
}

func (g *graphWriter) addEdge(edges *stage, e *stemma.Edge) error {
	kind, err := g.scribe.word(wordEdge + string(e.Kind))
	if err != nil {
		return err
	}
	from, err := g.scribe.word(wordOrigin + store.OriginOf(e).Pack())
	if err != nil {
		return err
	}
	l := &e.Lines
	edges.add(g.nodes[e.From].id, g.nodes[e.To].id, g.nodes[e.Scope].id, e.Strength.Confidence, kind, from,
		orNull(l.AI), orNull(l.AIEdited), orNull(l.Human), orNull(l.Generated), orNull(l.Unknown), orNull(e.Candidate))
	return nil
}

// orNull is a count as the columns of edges have it.
func orNull(n int) any {
	if n == 0 {
		return nil
	}
	return int64(n)
}

func (g *graphWriter) addTally(tallies *stage, id stemma.NodeID, t *store.Tally) error {
	kind, err := g.scribe.word(wordNode + string(id.Kind))
	if err != nil {
		return err
	}
	group, err := g.scribe.word(wordGroup + t.Group)
	if err != nil {
		return err
	}
	flags := 0
	if t.Merge {
		flags |= tallyMerge
	}
	if t.Unreadable {
		flags |= tallyUnreadable
	}
	l := &t.Lines
	tallies.add(g.nodes[id].id, t.Time, kind, group, flags,
		l.AI, l.AIEdited, l.Human, l.Generated, l.Unknown, t.Candidate, t.Sessions, headOf(id.Key))
	return nil
}

// insertKeys writes what the scopes are found by.
func (g *graphWriter) insertKeys(scopes []store.Scope) error {
	insert := newKeys()
	for i := range scopes {
		for _, digest := range store.DigestKeys(scopes[i].Keys) {
			insert.add(g.nodes[scopes[i].ID].id, pgtype.UUID{Bytes: digest, Valid: true})
		}
	}
	return insert.load(g.ctx, g.writer)
}

// sweep removes those suspects that are no scope and have no edge.
func (g *graphWriter) sweep() error {
	if len(g.suspects) == 0 {
		return nil
	}
	slices.Sort(g.suspects)
	_, err := g.tx.Exec(g.ctx, `
		DELETE FROM stemma_graph.node AS n
		WHERE n.org = $1 AND n.id = ANY($2) AND NOT n.scope
		AND NOT EXISTS (SELECT FROM stemma_graph.edge AS e WHERE e.org = $1 AND e.src = n.id)
		AND NOT EXISTS (SELECT FROM stemma_graph.edge AS e WHERE e.org = $1 AND e.dst = n.id)`,
		g.org, slices.Compact(g.suspects))
	return err
}

// remember keeps the names of the scopes for [Store.Since].
func (g *graphWriter) remember(scopes []store.Scope) error {
	g.scribe.puts++
	oldest := g.scribe.puts - store.PutsKept
	names, ok := store.PackNames(scopes)
	if !ok {
		oldest = g.scribe.puts // what came before leads nowhere any more
	} else if _, err := g.tx.Exec(g.ctx, "INSERT INTO stemma_graph.put (org, number, names) VALUES ($1, $2, $3)",
		g.org, g.scribe.puts, names); err != nil {
		return err
	}
	_, err := g.tx.Exec(g.ctx, "DELETE FROM stemma_graph.put WHERE org = $1 AND number <= $2", g.org, oldest)
	return err
}

// mark sets and removes marks.
func (g *graphWriter) mark(marks map[string]string) error {
	if len(marks) == 0 {
		return nil
	}
	var digests []pgtype.UUID
	var set []pgtype.UUID
	var names, values [][]byte
	for name, value := range marks {
		digest := pgtype.UUID{Bytes: store.DigestKey(name), Valid: true}
		digests = append(digests, digest)
		if value != "" {
			set, names, values = append(set, digest), append(names, []byte(name)), append(values, []byte(value))
		}
	}
	if _, err := g.tx.Exec(g.ctx, "DELETE FROM stemma_graph.mark WHERE org = $1 AND digest = ANY($2)", g.org, digests); err != nil {
		return err
	}
	if len(set) == 0 {
		return nil
	}
	_, err := g.tx.Exec(g.ctx, `
		INSERT INTO stemma_graph.mark (org, digest, name, value)
		SELECT $1, d.digest, d.name, d.value
		FROM unnest($2::uuid[], $3::bytea[], $4::bytea[]) AS d (digest, name, value)`,
		g.org, set, names, values)
	return err
}
