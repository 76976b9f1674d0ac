package stemma

import "encoding/json"

// StatementType is the type of every statement (in-toto Attestation Framework
// v1, section "Statement").
const StatementType = "https://in-toto.io/Statement/v1"

// Statement is one piece of evidence: an in-toto Statement v1.
type Statement struct {
	Type          string          `json:"_type"`
	Subject       []Subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

// Subject is an in-toto ResourceDescriptor that names what a statement is
// about: a digest set, lower-case hex by algorithm.
type Subject struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest"`
}

// RefObservationType is the predicate type of [RefObservation].
const RefObservationType = "https://stemma.dev/ref-observation/v1"

// RefObservation is the predicate that says where refs of a repository were
// seen. Git is evidence already: what the refs reach is read from git, never
// copied into statements. Only refs that moved since the last observation by
// the same observer are listed.
type RefObservation struct {
	Source     string    `json:"source"`        // "git"
	EventID    string    `json:"sourceEventId"` // the source's own id of this observation
	Repository string    `json:"repository"`    // key of the repository node
	Observer   string    `json:"observer"`      // who saw it
	Observed   string    `json:"timeObserved"`  // RFC 3339, UTC
	Claimed    *string   `json:"timeClaimed"`   // null: git does not say when a ref moved
	Assertion  Assertion `json:"assertion"`     // always "observed"
	Refs       []RefMove `json:"refs"`          // sorted by name
}

// RefMove is one ref that was seen at a new place. An empty At says that the
// ref is gone, an empty From that it was not known before.
type RefMove struct {
	Name   string `json:"name"`
	At     string `json:"at,omitempty"`
	From   string `json:"from,omitempty"`
	Target string `json:"target,omitempty"` // of a symbolic ref: the full name of the ref it stands for
}
