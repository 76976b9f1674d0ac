-- +goose Up

-- The number that stands for an organisation in this file. This table alone
-- does not lead with org: it is where org comes from.
CREATE TABLE organisation (
    org  INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

-- Append-only. What is small is apart from the bytes, so that writing an index
-- does not write the envelope again. The ids are of the whole file.
CREATE TABLE envelope (
    id             INTEGER PRIMARY KEY,
    org            INTEGER NOT NULL,
    source         BLOB    NOT NULL,
    event          BLOB    NOT NULL,
    digest         BLOB    NOT NULL, -- SHA-256 of the bytes
    predicate_type BLOB    NOT NULL,
    log_index      INTEGER           -- NULL while pending
);
CREATE UNIQUE INDEX envelope_by_event ON envelope (org, source, event);
CREATE UNIQUE INDEX envelope_by_digest ON envelope (org, digest);
CREATE UNIQUE INDEX envelope_by_index ON envelope (org, log_index) WHERE log_index IS NOT NULL;
CREATE INDEX envelope_pending ON envelope (org, id) WHERE log_index IS NULL;

-- The envelopes, exactly as they were signed.
CREATE TABLE envelope_bytes (
    id    INTEGER PRIMARY KEY,
    org   INTEGER NOT NULL,
    bytes BLOB    NOT NULL
);

-- What an envelope is about: "algorithm:hex" of each subject.
CREATE TABLE subject (
    org  INTEGER NOT NULL,
    name BLOB    NOT NULL,
    id   INTEGER NOT NULL,
    PRIMARY KEY (org, name, id)
) WITHOUT ROWID;

-- The version that Open looks at, so that it need not ask goose.
PRAGMA user_version = 2;
