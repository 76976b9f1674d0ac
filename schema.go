package stemma

import "embed"

// Schemas holds a JSON Schema (draft 2020-12) for each predicate of stemma's
// own, as "schema/<name>-<version>.json", and an example of a statement with
// it, under the same name in "schema/examples".
//
//go:embed schema
var Schemas embed.FS
