package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/lineage"
	"github.com/stemma-dev/stemma/internal/store"
)

// newBench is for who works on stemma: it measures stores with a graph that
// anybody can make again.
func newBench(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:    "bench",
		Short:  "Measure a store with a generated graph",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBenchGenerate(o), newBenchTrace(o), newBenchSessions(o))
	return cmd
}

// loaded is what `stemma bench generate --json` prints.
type loaded struct {
	Schema  string  `json:"schema"`
	Nodes   int     `json:"nodes"`
	Edges   int     `json:"edges"`
	Seconds float64 `json:"seconds"`
	Rate    float64 `json:"rows_a_second"`
}

func newBenchGenerate(o *options) *cobra.Command {
	var nodes, edges, batch int
	var seed uint64
	var where string
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Fill a store with a generated graph and measure how fast it loads",
		Long: `Fills a store with a graph of a stated shape: commits, sessions and turns, changes,
tickets, reviews, runs, artifacts, deployments and incidents, and hubs that a
third of all edges lead to. The same size and seed give the same graph anywhere.
The shape is written down in cmd/stemma/generate.go. Rows are nodes and edges.`,
		Example: `  stemma bench generate --into /tmp/graph --nodes 1000000 --edges 5000000`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			g, err := newGenerator(nodes, edges, seed)
			if err != nil {
				return err
			}
			if batch < 1 {
				return fmt.Errorf("--batch %d: want a number of scopes: %w", batch, stemma.ErrInvalid)
			}
			s, err := openBenchStore(ctx, where)
			if err != nil {
				return err
			}
			defer s.Close()
			doc, err := load(ctx, s, g, batch)
			if err != nil {
				return err
			}
			if o.json {
				return printJSON(o.out, doc)
			}
			fmt.Fprintf(o.out, "%s nodes and %s edges in %.1f s: %s rows a second\n", count(doc.Nodes), count(doc.Edges), doc.Seconds, count(int(doc.Rate)))
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&where, "into", "", "the `store` to fill: a folder of its own, or postgres://...")
	f.IntVar(&nodes, "nodes", 1_000_000, "how many nodes")
	f.IntVar(&edges, "edges", 5_000_000, "how many edges")
	f.IntVar(&batch, "batch", 5000, "how many scopes are stored at once")
	f.Uint64Var(&seed, "seed", 1, "another seed gives another graph")
	_ = cmd.MarkFlagRequired("into")
	return cmd
}

// load puts a generated graph into a store. Making it is not counted.
func load(ctx context.Context, s store.Store, g *generator, batch int) (loaded, error) {
	doc := loaded{Schema: "stemma.bench-generate/v1"}
	var spent time.Duration
	var scopes []store.Scope
	put := func() error {
		began := time.Now()
		err := s.Put(ctx, store.Batch{Scopes: scopes})
		spent += time.Since(began)
		scopes = scopes[:0]
		return err
	}
	for scope := range g.scopes() {
		doc.Nodes++
		doc.Edges += len(scope.Edges)
		if scopes = append(scopes, scope); len(scopes) == batch {
			if err := put(); err != nil {
				return doc, err
			}
		}
	}
	if err := put(); err != nil {
		return doc, err
	}
	doc.Nodes += len(g.met) + g.requirements
	doc.Seconds = spent.Seconds()
	doc.Rate = float64(doc.Nodes+doc.Edges) / doc.Seconds
	return doc, nil
}

// timed is what `stemma bench trace --json` prints.
type timed struct {
	Schema string     `json:"schema"`
	Depth  int        `json:"depth"`
	Limit  int        `json:"limit"`
	Traces []timedRow `json:"traces"`
}

// timedRow is how long traces from one kind of node in one direction took.
type timedRow struct {
	From      stemma.NodeKind `json:"from"`
	Direction string          `json:"direction"`
	Traces    int             `json:"traces"`
	Links     float64         `json:"links_mean"`
	P50       float64         `json:"p50_ms"`
	P99       float64         `json:"p99_ms"`
	Max       float64         `json:"max_ms"`
}

func newBenchTrace(o *options) *cobra.Command {
	var where string
	var samples int
	var seed uint64
	q := lineage.TraceQuery{}
	cmd := &cobra.Command{
		Use:   "trace",
		Short: "Measure traces on a generated graph",
		Long: `Follows the lineage of nodes taken at random, of several kinds and in both
directions, as stemma trace does with its defaults, and gives percentiles. Hubs
are among the starts.`,
		Example: `  stemma bench trace --in /tmp/graph
  stemma bench trace --in /tmp/graph --limit 0 --fan 0 --depth 8`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			s, err := openBenchStore(ctx, where)
			if err != nil {
				return err
			}
			defer s.Close()
			doc := timed{Schema: "stemma.bench-trace/v1", Depth: q.Depth, Limit: q.Limit}
			r := rand.New(rand.NewPCG(seed, 1))
			for _, kind := range []stemma.NodeKind{
				stemma.KindCommit, stemma.KindSession, stemma.KindChange, stemma.KindIncident, stemma.KindDeployment, stemma.KindTicket,
				stemma.KindModel, stemma.KindRepository, stemma.KindPerson,
			} {
				for _, effects := range []bool{false, true} {
					row, err := measureTraces(ctx, s, r, kind, effects, q, samples)
					if err != nil {
						return err
					}
					doc.Traces = append(doc.Traces, row)
				}
			}
			if o.json {
				return printJSON(o.out, doc)
			}
			fmt.Fprintf(o.out, "%-12s %-9s %8s %10s %9s %9s %9s\n", "from", "direction", "traces", "links", "p50 ms", "p99 ms", "max ms")
			for _, t := range doc.Traces {
				fmt.Fprintf(o.out, "%-12s %-9s %8d %10.0f %9.2f %9.2f %9.2f\n", t.From, t.Direction, t.Traces, t.Links, t.P50, t.P99, t.Max)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&where, "in", "", "the `store` that bench generate filled")
	f.IntVar(&samples, "samples", 300, "how many traces of each kind")
	f.IntVar(&q.Depth, "depth", traceDepth, "as of trace")
	f.IntVar(&q.Limit, "limit", traceLimit, "as of trace")
	f.IntVar(&q.Fan, "fan", traceFan, "as of trace")
	f.Uint64Var(&seed, "seed", 1, "another seed takes other nodes")
	_ = cmd.MarkFlagRequired("in")
	return cmd
}

// measureTraces follows nodes of a kind in one direction.
func measureTraces(ctx context.Context, s store.Store, r *rand.Rand, kind stemma.NodeKind, effects bool, q lineage.TraceQuery, samples int) (timedRow, error) {
	g := lineage.Graph{Store: s}
	row := timedRow{From: kind, Direction: "causes", Traces: samples}
	if effects {
		row.Direction = "effects"
	}
	q.Causes, q.Effects = !effects, effects
	var times []time.Duration
	for range samples {
		var err error
		if q.From, err = randomNode(ctx, g, r, kind); err != nil {
			return row, err
		}
		began := time.Now()
		t, err := lineage.Follow(ctx, g, q)
		if err != nil {
			return row, err
		}
		times = append(times, time.Since(began))
		for _, w := range []*lineage.TraceWalk{t.Causes, t.Effects} {
			if w != nil {
				row.Links += float64(w.Links) / float64(samples)
			}
		}
	}
	slices.Sort(times)
	at := func(share float64) float64 {
		return float64(times[min(int(share*float64(len(times))), len(times)-1)].Microseconds()) / 1000
	}
	row.P50, row.P99, row.Max = at(0.5), at(0.99), at(1)
	return row, nil
}

// randomNode takes a node of a kind by the beginning of its key; of hubs, which
// are few, any.
func randomNode(ctx context.Context, g lineage.Graph, r *rand.Rand, kind stemma.NodeKind) (stemma.NodeID, error) {
	prefix := fmt.Sprintf("%03x", r.IntN(1<<12))
	switch {
	case kind == stemma.KindSession:
		prefix = stemma.SessionID(generatedAgents[r.IntN(len(generatedAgents))], prefix).Key
	case kind == stemma.KindChange:
		prefix = fmt.Sprintf("forge.example#%d!", r.IntN(10))
	case kind.Hub():
		prefix = ""
	}
	for ; ; prefix = prefix[:len(prefix)-1] {
		most := 1
		if prefix == "" || kind == stemma.KindChange {
			most = 2000
		}
		found, err := lineage.FindNodes(ctx, g, kind, prefix, most)
		if err != nil {
			return stemma.NodeID{}, err
		}
		if len(found) > 0 {
			return found[r.IntN(len(found))], nil
		}
		if prefix == "" {
			return stemma.NodeID{}, fmt.Errorf("the store has no %s: fill it with stemma bench generate: %w", kind, stemma.ErrNotFound)
		}
	}
}
