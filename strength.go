package stemma

// Tier says who vouches for a fact. A higher tier is never reached by trusting
// a developer's machine. No fact of the graph is without one.
type Tier string

// The tiers, weakest first.
const (
	// TierClaimed was told by a developer's machine, over whatever channel.
	TierClaimed Tier = "claimed"
	// TierObserved was heard by stemma's server from the system itself.
	TierObserved Tier = "observed"
	// TierAttested is signed by a pinned identity that the developer cannot use.
	TierAttested Tier = "attested"
)

// Assertion says how a fact came to be known.
type Assertion string

// The assertions.
const (
	// Declared facts were stated by their producer.
	Declared Assertion = "declared"
	// Observed facts were seen by the recorder.
	Observed Assertion = "observed"
	// Inferred facts were concluded by a named method.
	Inferred Assertion = "inferred"
)

// Vantage says from where a session was watched.
type Vantage string

// The vantages, weakest first.
const (
	SelfReported Vantage = "self-reported"
	Harness      Vantage = "harness"
	Gateway      Vantage = "gateway"
	Sandbox      Vantage = "sandbox"
)

// Strength is how strong a fact is. It belongs to each edge or attribute.
type Strength struct {
	Tier      Tier      `json:"tier"`
	Assertion Assertion `json:"assertion"`
	// Method names the rule that concluded an inferred fact, or the part of the
	// source that declared it.
	Method string `json:"method"`
	// Confidence is between 0 and 1. It is 1 for what was declared or observed.
	Confidence float64 `json:"confidence"`
}
