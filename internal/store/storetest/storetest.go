// Package storetest answers what every backend of package store must do: it is
// the contract in code. A backend's tests call [Run].
package storetest

import (
	"testing"

	"github.com/stemma-dev/stemma/internal/store"
)

// Backend opens handles on one place where stores are kept, as two processes
// would: each call gives a store of its own for the named organisation, with
// what was put there before by any of them. The suite closes what it opens;
// closing twice is allowed.
type Backend func(t *testing.T, organisation string) store.Store

// Run runs the whole contract. fresh gives a place with nothing in it.
func Run(t *testing.T, fresh func(t *testing.T) Backend) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Backend)
	}{
		{"marks", testMarks},
		{"empty store", testEmpty},
		{"nodes", testNodes},
		{"odd keys in order", testOddKeys},
		{"edges by every field", testEdgeQueries},
		{"edges in order", testEdgeOrder},
		{"edge values", testEdgeValues},
		{"many ids in a query", testManyIDs},
		{"walks", testWalks},
		{"walks equal a model", testWalkModel},
		{"facts of a link", testWalkFacts},
		{"walk at a wide node", testWalkWide},
		{"a walk sees one moment", testWalkSnapshot},
		{"tallies", testTallies},
		{"tallies of many nodes", testTalliesOfManyNodes},
		{"attributions", testAttributions},
		{"paths", testPaths},
		{"commits touching", testCommitsTouching},
		{"commits touching, many", testManyCommitsTouching},
		{"scopes by key", testScopesByKey},
		{"changes since a moment", testSince},
		{"put again changes nothing", testPutAgain},
		{"scope is replaced", testReplace},
		{"scope is gone", testGone},
		{"later scope of a batch wins", testLaterScopeWins},
		{"orphans are swept", testSweep},
		{"bad batch changes nothing", testAtomic},
		{"drop graph and refill", testDropGraph},
		{"drop graph under another handle", testDropUnderHandle},
		{"random batches equal a model", testModel},
		{"organisations are apart", testOrganisations},
		{"reopen", testReopen},
		{"loops let go and allow calls", testLoops},
		{"a loop sees one moment", testSnapshot},
		{"writers at once", testWriters},
		{"readers during writes", testReaders},
		{"cancelled put", testCancelledPut},
		{"cancelled loop", testCancelledLoop},
		{"close", testClose},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, fresh(t)) })
	}
}
