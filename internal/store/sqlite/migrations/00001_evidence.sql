-- +goose Up

-- The number that stands for an organisation in this file. This table alone
-- does not lead with org: it is where org comes from.
CREATE TABLE organisation (
    org  INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

-- Append-only. The parts of a statement are kept as they came: the bytes of the
-- predicate are what later evidence may have a digest of.
CREATE TABLE statement (
    org            INTEGER NOT NULL,
    seq            INTEGER NOT NULL,
    source         BLOB    NOT NULL,
    event          BLOB    NOT NULL,
    type           TEXT    NOT NULL,
    predicate_type TEXT    NOT NULL,
    subject        BLOB    NOT NULL, -- JSON
    predicate      BLOB,             -- JSON
    PRIMARY KEY (org, seq)
);
CREATE UNIQUE INDEX statement_by_event ON statement (org, source, event);

-- The version that Open looks at, so that it need not ask goose.
PRAGMA user_version = 1;
