-- +goose Up

-- The newest Puts by number, each with the names of its scopes (package store:
-- PackNames). One that had too many is not there.
CREATE TABLE stemma_graph.put (
    org    bigint NOT NULL,
    number bigint NOT NULL,
    names  bytea  NOT NULL,
    PRIMARY KEY (org, number)
);

ALTER TABLE stemma_graph.state ADD COLUMN puts bigint NOT NULL DEFAULT 0; -- how many had scopes
