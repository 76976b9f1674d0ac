-- +goose Up

-- Append-only, as statement is. What is small is apart from the bytes, so that
-- writing an index does not write the envelope again.
CREATE TABLE stemma_evidence.envelope (
    org            bigint NOT NULL,
    id             bigint NOT NULL,
    key            bytea  NOT NULL, -- SHA-256 of source and event
    source         bytea  NOT NULL,
    event          bytea  NOT NULL,
    digest         bytea  NOT NULL, -- SHA-256 of the bytes
    predicate_type bytea  NOT NULL,
    log_index      bigint,          -- null while pending
    PRIMARY KEY (org, id)
);
CREATE UNIQUE INDEX envelope_by_key ON stemma_evidence.envelope (org, key);
CREATE UNIQUE INDEX envelope_by_digest ON stemma_evidence.envelope (org, digest);
CREATE UNIQUE INDEX envelope_by_index ON stemma_evidence.envelope (org, log_index) WHERE log_index IS NOT NULL;
CREATE INDEX envelope_pending ON stemma_evidence.envelope (org, id) WHERE log_index IS NULL;

-- The envelopes, exactly as they were signed.
CREATE TABLE stemma_evidence.envelope_bytes (
    org   bigint NOT NULL,
    id    bigint NOT NULL,
    bytes bytea  NOT NULL,
    PRIMARY KEY (org, id)
);

-- What an envelope is about: "algorithm:hex" of each subject, as digests.
CREATE TABLE stemma_evidence.subject (
    org  bigint NOT NULL,
    name bytea  NOT NULL, -- SHA-256 of the name
    id   bigint NOT NULL,
    PRIMARY KEY (org, name, id)
);
