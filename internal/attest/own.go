package attest

import (
	"github.com/stemma-dev/stemma"
)

// The types of stemma's own predicates, for what no vetted type says. Each has
// a JSON Schema in schema/ and a section in doc/statements.md.
const (
	TypeRefObservation = stemma.RefObservationType
	TypeAttribution    = ownPrefix + "attribution/v1"
	TypeReview         = ownPrefix + "review/v1"
	TypeTicket         = ownPrefix + "ticket/v1"
	TypeRequirement    = ownPrefix + "requirement/v1"
	TypeChange         = ownPrefix + "change/v1"
	TypeDeployment     = ownPrefix + "deployment/v1"
	TypeIncident       = ownPrefix + "incident/v1"
	TypeWaiver         = ownPrefix + "waiver/v1"
	TypeErasure        = ownPrefix + "erasure/v1"
	TypeHold           = ownPrefix + "hold/v1"
	TypeAccess         = ownPrefix + "access/v1"
	TypeReceipt        = ownPrefix + "receipt/v1"
	TypeKeyRotation    = ownPrefix + "key-rotation/v1"
	TypeKeyRevocation  = ownPrefix + "key-revocation/v1"
)

var ownPredicates = []Predicate{
	own[refObservation](TypeRefObservation, "ref"),
	own[Attribution](TypeAttribution, "attribution"),
	own[Review](TypeReview, "review"),
	own[Ticket](TypeTicket, "ticket"),
	own[Requirement](TypeRequirement, "requirement"),
	own[Change](TypeChange, "change"),
	own[Deployment](TypeDeployment, "deployment"),
	own[Incident](TypeIncident, "incident"),
	own[Waiver](TypeWaiver, "waiver"),
	own[Erasure](TypeErasure, "erasure"),
	own[Hold](TypeHold, "hold"),
	own[Access](TypeAccess, "access"),
	own[Receipt](TypeReceipt, "receipt"),
	own[KeyRotation](TypeKeyRotation, "key"),
	own[KeyRevocation](TypeKeyRevocation, "key"),
}

// Commitment stands for content that is kept, encrypted, in the vault.
type Commitment struct {
	Name   string `json:"name"`            // what it is: "title", "reason", "transcript"
	Digest string `json:"digest"`          // hex SHA-256 of the salt and the content
	Vault  string `json:"vault,omitempty"` // where the vault has it
	Lines  int    `json:"lines,omitempty"` // of the content
	Bytes  int64  `json:"bytes,omitempty"` // of the content
}

func (c *check) commitments(path string, list []Commitment) {
	for i, v := range list {
		at := c.item(path, i)
		c.text(at+"/name", v.Name)
		c.sha256(at+"/digest", v.Digest)
		c.optional(at+"/vault", v.Vault)
		c.need(v.Lines >= 0, at+"/lines", "want 0 or more")
		c.need(v.Bytes >= 0, at+"/bytes", "want 0 or more")
	}
}

// refObservation is the predicate of the ground with its rules.
type refObservation stemma.RefObservation

func (o refObservation) check(c *check) {
	Metadata{Source: o.Source, EventID: o.EventID, Observed: o.Observed, Claimed: o.Claimed, Assertion: o.Assertion}.check(c, "")
	c.text("/repository", o.Repository)
	c.text("/observer", o.Observer)
	c.oneOf("/assertion", string(o.Assertion), string(stemma.Observed))
	c.need(len(o.Refs) > 0, "/refs", "no ref")
	for i, r := range o.Refs {
		at := c.item("/refs", i)
		c.text(at+"/name", r.Name)
		if r.At != "" {
			c.oid(at+"/at", r.At)
		}
		if r.From != "" {
			c.oid(at+"/from", r.From)
		}
		c.optional(at+"/target", r.Target)
	}
}
