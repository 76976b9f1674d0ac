package stemma

import "slices"

// EdgeKind is the kind of an edge. Edges point from effect to cause, as in
// W3C PROV, so walking along them answers "where does this come from".
type EdgeKind string

// The edge kinds (doc/design.md, section 3).
const (
	EdgeRefines      EdgeKind = "REFINES"
	EdgeImplements   EdgeKind = "IMPLEMENTS"
	EdgeWorkedOn     EdgeKind = "WORKED_ON"
	EdgePlannedBy    EdgeKind = "PLANNED_BY"
	EdgeSpawnedBy    EdgeKind = "SPAWNED_BY"
	EdgePartOf       EdgeKind = "PART_OF"
	EdgeRan          EdgeKind = "RAN"
	EdgeUsed         EdgeKind = "USED"
	EdgeDirectedBy   EdgeKind = "DIRECTED_BY"
	EdgeToldBy       EdgeKind = "TOLD_BY"
	EdgeSupersededBy EdgeKind = "SUPERSEDED_BY"
	EdgeConfiguredBy EdgeKind = "CONFIGURED_BY"
	EdgeWrittenBy    EdgeKind = "WRITTEN_BY"
	EdgeRewriteOf    EdgeKind = "REWRITE_OF"
	EdgeInto         EdgeKind = "INTO"
	EdgeIn           EdgeKind = "IN"
	EdgeOf           EdgeKind = "OF"
	EdgeSaw          EdgeKind = "SAW"
	EdgeGivenBy      EdgeKind = "GIVEN_BY"
	EdgeAddresses    EdgeKind = "ADDRESSES"
	EdgeFixes        EdgeKind = "FIXES"
	EdgeTested       EdgeKind = "TESTED"
	EdgeFoundBy      EdgeKind = "FOUND_BY"
	EdgeBuiltBy      EdgeKind = "BUILT_BY"
	EdgeBuiltFrom    EdgeKind = "BUILT_FROM"
	EdgeTo           EdgeKind = "TO"
	EdgeRuns         EdgeKind = "RUNS"
	EdgeReplaced     EdgeKind = "REPLACED"
	EdgeHit          EdgeKind = "HIT"
	EdgeCausedBy     EdgeKind = "CAUSED_BY"
	EdgeOn           EdgeKind = "ON"
	EdgeUnder        EdgeKind = "UNDER"
	EdgeCovers       EdgeKind = "COVERS"
)

// ends says which kinds of node an edge kind may join: each entry is one
// allowed pair, effect first.
var ends = map[EdgeKind][][2]NodeKind{
	EdgeRefines:      {{KindTicket, KindRequirement}},
	EdgeImplements:   {{KindChange, KindTicket}},
	EdgeWorkedOn:     {{KindSession, KindTicket}, {KindSession, KindTask}},
	EdgePlannedBy:    {{KindTask, KindSession}, {KindTask, KindPerson}},
	EdgeSpawnedBy:    {{KindSession, KindSession}},
	EdgePartOf:       {{KindTurn, KindSession}, {KindCommit, KindChange}},
	EdgeRan:          {{KindSession, KindAgent}},
	EdgeUsed:         {{KindSession, KindModel}},
	EdgeDirectedBy:   {{KindSession, KindPerson}},
	EdgeToldBy:       {{KindSession, KindSession}},
	EdgeSupersededBy: {{KindSession, KindSession}},
	EdgeConfiguredBy: {{KindSession, KindConfig}, {KindRun, KindConfig}, {KindDeployment, KindConfig}, {KindChange, KindConfig}},
	EdgeWrittenBy:    {{KindCommit, KindSession}, {KindCommit, KindTurn}, {KindCommit, KindPerson}},
	EdgeRewriteOf:    {{KindCommit, KindCommit}},
	EdgeInto:         {{KindChange, KindRef}},
	EdgeIn:           {{KindCommit, KindRepository}, {KindFinding, KindCommit}},
	EdgeOf:           {{KindReview, KindChange}, {KindDeployment, KindArtifact}},
	EdgeSaw:          {{KindReview, KindCommit}},
	EdgeGivenBy:      {{KindReview, KindPerson}, {KindReview, KindSession}},
	EdgeAddresses:    {{KindCommit, KindReview}, {KindCommit, KindFinding}, {KindCommit, KindRun}, {KindCommit, KindIncident}},
	EdgeFixes:        {{KindCommit, KindCommit}},
	EdgeTested:       {{KindRun, KindCommit}},
	EdgeFoundBy:      {{KindFinding, KindRun}},
	EdgeBuiltBy:      {{KindArtifact, KindRun}},
	EdgeBuiltFrom:    {{KindArtifact, KindCommit}},
	EdgeTo:           {{KindDeployment, KindEnvironment}},
	EdgeRuns:         {{KindDeployment, KindService}},
	EdgeReplaced:     {{KindDeployment, KindDeployment}},
	EdgeHit:          {{KindIncident, KindDeployment}, {KindIncident, KindService}},
	EdgeCausedBy:     {{KindIncident, KindCommit}},
	EdgeOn:           {{KindVerdict, KindChange}},
	EdgeUnder:        {{KindVerdict, KindPolicy}},
	EdgeCovers:       {{KindWaiver, KindVerdict}},
}

// Valid reports whether k is one of the edge kinds.
func (k EdgeKind) Valid() bool { return len(ends[k]) > 0 }

// Joins reports whether an edge of this kind may lead from one kind of node to
// the other. It is false for an unknown edge kind.
func (k EdgeKind) Joins(effect, cause NodeKind) bool {
	return slices.Contains(ends[k], [2]NodeKind{effect, cause})
}

// Edge is one fact of the graph: From came about because of, or through, To.
//
// Scope is the node whose derivation made the edge; the same fact derived for
// two scopes is two edges. A derivation is recomputed as a whole, so that a
// scope's edges are replaced together.
type Edge struct {
	From NodeID
	Kind EdgeKind
	To   NodeID

	Scope    NodeID
	Source   string // the tool or format the fact was read from
	Strength Strength

	// Lines holds, for WRITTEN_BY, the lines of From by class.
	Lines Lines
	// Candidate counts, for WRITTEN_BY, the lines of class unknown that To may
	// have written: it took part, but nothing says which lines are its.
	Candidate int
}
