-- The graph: derived, droppable. There are no migrations: another version of
-- this file (graphVersion in open.go) drops every table and makes them anew.
--
-- Keys inside are integers; a natural key is written once, in node, path or
-- word. org leads every key and index but that of the table it comes from.
--
-- Without statistics the planner takes the key of a table where an index fits
-- better: queries say INDEXED BY, which is an error when the index cannot serve.

CREATE TABLE organisation (
    org       INTEGER PRIMARY KEY,
    name      TEXT    NOT NULL UNIQUE,
    epoch     INTEGER NOT NULL, -- another when the graph is dropped: all ids below are then others
    next_node INTEGER NOT NULL,
    next_path INTEGER NOT NULL,
    next_word INTEGER NOT NULL,
    puts      INTEGER NOT NULL  -- how many had scopes
);

-- The newest Puts by number, each with the names of its scopes (package store:
-- PackNames). One that had too many is not there.
CREATE TABLE put (
    org    INTEGER NOT NULL,
    number INTEGER NOT NULL,
    names  BLOB    NOT NULL,
    PRIMARY KEY (org, number)
) WITHOUT ROWID;

-- Short strings that repeat: kinds, groups, and the origin of an edge. The first
-- byte tells which (word.go). Words are never removed but with the whole graph.
CREATE TABLE word (
    org  INTEGER NOT NULL,
    id   INTEGER NOT NULL,
    text BLOB    NOT NULL,
    PRIMARY KEY (org, id)
) WITHOUT ROWID;

CREATE TABLE node (
    org   INTEGER NOT NULL,
    id    INTEGER NOT NULL,
    kind  INTEGER NOT NULL, -- word
    key   BLOB    NOT NULL,
    scope INTEGER NOT NULL, -- 1 where the node is the ID of a scope
    time  INTEGER,          -- of its tally, which is found by it
    PRIMARY KEY (org, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX node_by_key ON node (org, kind, key);

-- Most edges are derived for the node they come from, so that one tree serves
-- both walking and replacing; edge_by_scope has only the others.
CREATE TABLE edge (
    org        INTEGER NOT NULL,
    src        INTEGER NOT NULL,
    kind       INTEGER NOT NULL, -- word
    dst        INTEGER NOT NULL,
    scope      INTEGER NOT NULL, -- node
    origin     INTEGER NOT NULL, -- word
    confidence REAL    NOT NULL,
    counts     BLOB,             -- lines by class, candidate
    PRIMARY KEY (org, src, kind, dst, scope, origin)
) WITHOUT ROWID;
CREATE INDEX edge_by_dst ON edge (org, dst);
CREATE INDEX edge_by_scope ON edge (org, scope) WHERE scope <> src;

-- In the order in which a listing wants them. The key is repeated here so that
-- a listing reads one tree and no other.
CREATE TABLE tally (
    org    INTEGER NOT NULL,
    kind   INTEGER NOT NULL, -- word
    time   INTEGER NOT NULL,
    key    BLOB    NOT NULL,
    grp    INTEGER NOT NULL, -- word
    counts BLOB    NOT NULL, -- flags, lines by class, candidate, sessions
    PRIMARY KEY (org, kind, time DESC, key)
) WITHOUT ROWID;

CREATE TABLE attribution (
    org  INTEGER NOT NULL,
    node INTEGER NOT NULL,
    row  BLOB    NOT NULL, -- package store: AppendRow
    PRIMARY KEY (org, node)
) WITHOUT ROWID;

CREATE TABLE path (
    org  INTEGER NOT NULL,
    id   INTEGER NOT NULL,
    path BLOB    NOT NULL,
    PRIMARY KEY (org, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX path_by_path ON path (org, path);

-- What late evidence finds a scope by. Keys are looked up and never shown, so
-- that half of a SHA-256 stands for each; the tree of all of them, which is
-- written all over by every Put, has only the first eight bytes of that.
CREATE TABLE scope_key (
    org     INTEGER NOT NULL,
    node    INTEGER NOT NULL,
    digests BLOB    NOT NULL, -- one after the other, sorted
    PRIMARY KEY (org, node)
) WITHOUT ROWID;

CREATE TABLE key_scope (
    org  INTEGER NOT NULL,
    head INTEGER NOT NULL, -- of a digest
    node INTEGER NOT NULL,
    PRIMARY KEY (org, head, node)
) WITHOUT ROWID;

CREATE TABLE mark (
    org   INTEGER NOT NULL,
    name  BLOB    NOT NULL,
    value BLOB    NOT NULL,
    PRIMARY KEY (org, name)
) WITHOUT ROWID;
