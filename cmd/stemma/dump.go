package main

import (
	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma/internal/project"
)

func newDump(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "dump",
		Short: "Print the whole graph in its canonical form",
		Long: `Prints every node, edge, attribution row and tally of the index, one JSON array a
line, by natural key and in a fixed order. The same evidence gives the same
bytes, however and in whatever order it was indexed: compare two dumps to
compare two indexes. People are pseudonyms made with the key of the folder the
index lives in (person.key): indexes that share it can be compared.`,
		Example: `  stemma dump | sha256sum`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := o.ready(cmd.Context())
			if err != nil {
				return err
			}
			defer b.close()
			return project.Dump(cmd.Context(), b.store, o.out)
		},
	}
}
