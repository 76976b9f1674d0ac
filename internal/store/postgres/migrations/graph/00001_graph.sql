-- +goose Up

-- The graph: derived, droppable. A migration that needs other rows than those
-- that are there empties the tables, marks included: the next index run fills
-- them.
--
-- Keys inside are integers; a natural key is written once, in node, path or
-- word. org leads every key and index. Where a name may be longer than an index
-- allows, the column holds its head and the column tail the rest (name.go).

-- Where the ids stand. Who writes the graph of an organisation holds its row.
CREATE TABLE stemma_graph.state (
    org       bigint PRIMARY KEY,
    epoch     bigint NOT NULL, -- another when the graph is dropped: all ids below are then others
    next_node bigint NOT NULL,
    next_path bigint NOT NULL,
    next_word bigint NOT NULL,
    name      bytea  NOT NULL  -- of the organisation
);

-- Short strings that repeat: kinds, groups, and the origin of an edge. The first
-- byte tells which (word.go). Words are never removed but with the whole graph.
CREATE TABLE stemma_graph.word (
    org  bigint  NOT NULL,
    id   integer NOT NULL,
    text bytea   NOT NULL,
    PRIMARY KEY (org, id)
);

CREATE TABLE stemma_graph.node (
    org   bigint  NOT NULL,
    id    bigint  NOT NULL,
    kind  integer NOT NULL, -- word
    scope boolean NOT NULL, -- the node is the ID of a scope
    key   bytea   NOT NULL, -- its head
    tail  bytea,
    PRIMARY KEY (org, id)
);
CREATE UNIQUE INDEX node_by_key ON stemma_graph.node (org, kind, key);

-- Most edges are derived for the node they come from, so that one index serves
-- both walking and replacing; edge_by_scope has only the others. A count that is
-- null is 0.
CREATE TABLE stemma_graph.edge (
    org        bigint           NOT NULL,
    src        bigint           NOT NULL,
    dst        bigint           NOT NULL,
    scope      bigint           NOT NULL, -- node
    confidence double precision NOT NULL,
    kind       integer          NOT NULL, -- word
    origin     integer          NOT NULL, -- word
    ai         bigint,
    ai_edited  bigint,
    human      bigint,
    generated  bigint,
    unknown    bigint,
    candidate  bigint,
    PRIMARY KEY (org, src, kind, dst, scope, origin)
);
-- In the order in which a walk to effects gives links.
CREATE INDEX edge_by_dst ON stemma_graph.edge (org, dst, src, kind);
CREATE INDEX edge_by_scope ON stemma_graph.edge (org, scope) WHERE scope <> src;

CREATE TABLE stemma_graph.tally (
    org       bigint  NOT NULL,
    node      bigint  NOT NULL,
    time      bigint  NOT NULL,
    kind      integer NOT NULL, -- word
    grp       integer NOT NULL, -- word
    flags     integer NOT NULL,
    ai        bigint  NOT NULL,
    ai_edited bigint  NOT NULL,
    human     bigint  NOT NULL,
    generated bigint  NOT NULL,
    unknown   bigint  NOT NULL,
    candidate bigint  NOT NULL,
    sessions  bigint  NOT NULL,
    key       bytea   NOT NULL, -- head of the node's
    PRIMARY KEY (org, node)
);
-- In the order in which a listing wants them, of one repository and of all.
CREATE INDEX tally_by_group ON stemma_graph.tally (org, kind, grp, time DESC, key);
CREATE INDEX tally_by_time ON stemma_graph.tally (org, kind, time DESC, key);

CREATE TABLE stemma_graph.attribution (
    org  bigint NOT NULL,
    node bigint NOT NULL,
    row  bytea  NOT NULL, -- package store: AppendRow
    PRIMARY KEY (org, node)
);

CREATE TABLE stemma_graph.path (
    org  bigint NOT NULL,
    id   bigint NOT NULL,
    path bytea  NOT NULL, -- its head
    tail bytea,
    PRIMARY KEY (org, id)
);
CREATE UNIQUE INDEX path_by_path ON stemma_graph.path (org, path);

-- Which commits touch a path. A server holds many repositories: to go through
-- all rows for the commits of one file, as a laptop's store does, would not do.
CREATE TABLE stemma_graph.touch (
    org  bigint NOT NULL,
    path bigint NOT NULL,
    node bigint NOT NULL,
    PRIMARY KEY (org, path, node)
);

-- What late evidence finds a scope by, as digests.
CREATE TABLE stemma_graph.scope_key (
    org    bigint NOT NULL,
    node   bigint NOT NULL,
    digest uuid   NOT NULL,
    PRIMARY KEY (org, digest, node)
);
CREATE INDEX scope_key_by_node ON stemma_graph.scope_key (org, node);

CREATE TABLE stemma_graph.mark (
    org    bigint NOT NULL,
    digest uuid   NOT NULL, -- of the name, which may be longer than an index allows
    name   bytea  NOT NULL,
    value  bytea  NOT NULL,
    PRIMARY KEY (org, digest)
);
