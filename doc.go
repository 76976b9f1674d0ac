// Package stemma is the ground that every other package of stemma stands on:
// the words of the product (nodes, edges, classes, strength), the identities
// of things, the attribution of a commit, the statement, and the error kinds.
//
// It answers "what do we call it, and when is it valid?". Begin with [NodeID]
// and [Attribution]. It does no I/O, keeps no state and imports the standard
// library only; everything that reads git, a store or the network lives above.
package stemma
