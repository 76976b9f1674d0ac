-- +goose Up

-- org is made from the name of the organisation, so that it leads every key of
-- this table too, and nothing has to be looked up.
CREATE TABLE stemma_evidence.organisation (
    org  bigint PRIMARY KEY,
    name bytea  NOT NULL
);

-- Append-only. The parts of a statement are kept as they came: the bytes of the
-- predicate are what later evidence may have a digest of, and no column of text
-- could hold them all.
CREATE TABLE stemma_evidence.statement (
    org            bigint NOT NULL,
    seq            bigint NOT NULL,
    key            bytea  NOT NULL, -- SHA-256 of source and event, which may be longer than an index allows
    source         bytea  NOT NULL,
    event          bytea  NOT NULL,
    type           bytea  NOT NULL,
    predicate_type bytea  NOT NULL,
    subject        bytea  NOT NULL, -- JSON
    predicate      bytea,           -- JSON
    PRIMARY KEY (org, seq)
);
CREATE UNIQUE INDEX statement_by_key ON stemma_evidence.statement (org, key);
