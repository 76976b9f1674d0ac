package redact

import "io"

// StreamBy is Stream with blocks of 256 KB and lines of 1 MB, so that few bytes
// show what happens at their borders.
func (r *Redactor) StreamBy(out io.Writer, in io.Reader, form Form) (Findings, error) {
	return r.stream(out, in, form, SmallBlock, SmallLine)
}

// The sizes of StreamBy.
const (
	SmallBlock = 256 << 10
	SmallLine  = 1 << 20
)
