-- +goose Up

-- Statements are kept in signed envelopes; nothing reads these.
DROP TABLE stemma_evidence.statement;
