package stemma

import (
	"fmt"
	"slices"
	"strings"
)

// NodeKind is the kind of a node of the graph (doc/design.md, section 3).
type NodeKind string

// The node kinds.
const (
	KindOrganisation NodeKind = "organisation"
	KindRepository   NodeKind = "repository"
	KindRef          NodeKind = "ref"
	KindService      NodeKind = "service"
	KindRequirement  NodeKind = "requirement"
	KindTicket       NodeKind = "ticket"
	KindTask         NodeKind = "task"
	KindPerson       NodeKind = "person"
	KindAgent        NodeKind = "agent"
	KindModel        NodeKind = "model"
	KindSession      NodeKind = "session"
	KindTurn         NodeKind = "turn"
	KindCommit       NodeKind = "commit"
	KindChange       NodeKind = "change"
	KindReview       NodeKind = "review"
	KindRun          NodeKind = "run"
	KindFinding      NodeKind = "finding"
	KindArtifact     NodeKind = "artifact"
	KindDeployment   NodeKind = "deployment"
	KindEnvironment  NodeKind = "environment"
	KindIncident     NodeKind = "incident"
	KindConfig       NodeKind = "config"
	KindPolicy       NodeKind = "policy"
	KindVerdict      NodeKind = "verdict"
	KindWaiver       NodeKind = "waiver"
)

var nodeKinds = []NodeKind{
	KindOrganisation, KindRepository, KindRef, KindService, KindRequirement,
	KindTicket, KindTask, KindPerson, KindAgent, KindModel, KindSession,
	KindTurn, KindCommit, KindChange, KindReview, KindRun, KindFinding,
	KindArtifact, KindDeployment, KindEnvironment, KindIncident, KindConfig,
	KindPolicy, KindVerdict, KindWaiver,
}

// NodeKinds gives all node kinds, in the order of the design.
func NodeKinds() []NodeKind { return slices.Clone(nodeKinds) }

// Valid reports whether k is one of the node kinds.
func (k NodeKind) Valid() bool { return slices.Contains(nodeKinds, k) }

// Hub reports whether nodes of this kind are end points of a walk unless asked
// for, because nearly everything touches them.
func (k NodeKind) Hub() bool {
	switch k {
	case KindOrganisation, KindRepository, KindRef, KindService, KindModel,
		KindAgent, KindPerson, KindEnvironment, KindPolicy:
		return true
	default:
		return false
	}
}

// NodeID is the identity of a node: its kind and its natural key within an
// organisation. Keys are opaque bytes in a string; they may hold any character.
type NodeID struct {
	Kind NodeKind
	Key  string
}

// String gives the id as "kind:key".
func (id NodeID) String() string { return string(id.Kind) + ":" + id.Key }

// Compare orders ids by kind, then key, bytewise.
func (id NodeID) Compare(other NodeID) int {
	if c := strings.Compare(string(id.Kind), string(other.Kind)); c != 0 {
		return c
	}
	return strings.Compare(id.Key, other.Key)
}

// ParseNodeID reads what [NodeID.String] gives. The error is ErrInvalid for an
// unknown kind or an empty key.
func ParseNodeID(s string) (NodeID, error) {
	kind, key, ok := strings.Cut(s, ":")
	id := NodeID{Kind: NodeKind(kind), Key: key}
	if !ok || key == "" || !id.Kind.Valid() {
		return NodeID{}, fmt.Errorf("node id %q: want kind:key: %w", s, ErrInvalid)
	}
	return id, nil
}

// CommitID is the node of the commit with this full hex object id.
func CommitID(oid string) NodeID { return NodeID{KindCommit, oid} }

// ChangeID is the node of the change that entered the repository's default
// branch by this commit, as long as no pull request claims it.
func ChangeID(repository, oid string) NodeID { return NodeID{KindChange, repository + "@" + oid} }

// RefID is the node of a ref, by its full name, in a repository.
func RefID(repository, name string) NodeID { return NodeID{KindRef, repository + "/" + name} }

// SessionID is the node of one session of an agent. The id is the agent's own
// where it gave one; see [UnnamedSession] where it did not.
func SessionID(agent, id string) NodeID { return NodeID{KindSession, agent + "/" + id} }

// UnnamedSession is the id of the session that a commit's evidence proves to
// have existed without naming it: at most one for each agent and commit.
func UnnamedSession(oid string) string { return "commit@" + oid }
