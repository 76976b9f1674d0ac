package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stemma-dev/stemma"
)

func newBenchSessions(o *options) *cobra.Command {
	var into string
	var sessions int
	var seed uint64
	cmd := &cobra.Command{
		Use:   "sessions",
		Short: "Write transcripts to measure sessions with",
		Long: `Writes transcripts of Claude Code's form, of 2 to 14 turns each with a prompt of 20
to 80 words and an answer of 40 to 240, of a vocabulary of 20,000 words of which
few are common, as in a language. "seldom" and its number is a word of every
hundredth session. The same count and seed give the same transcripts anywhere.`,
		Example: `  stemma bench sessions --into /tmp/transcripts --sessions 5000
  stemma session import --from /tmp/transcripts --anywhere --yes`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := os.MkdirAll(into, 0o700); err != nil {
				return fmt.Errorf("--into: %v: %w", err, stemma.ErrDenied)
			}
			w := newWords(seed)
			bytes := 0
			for n := range sessions {
				size, err := w.transcript(into, n)
				if err != nil {
					return fmt.Errorf("--into: %v: %w", err, stemma.ErrDenied)
				}
				bytes += size
			}
			fmt.Fprintf(o.out, "%s transcripts with %s bytes of prompts and answers\n", count(sessions), count(bytes))
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&into, "into", "", "the `folder` to write to")
	f.IntVar(&sessions, "sessions", 5000, "how many")
	f.Uint64Var(&seed, "seed", 1, "another seed gives other transcripts")
	_ = cmd.MarkFlagRequired("into")
	return cmd
}

// words is a made language.
type words struct {
	r    *rand.Rand
	zipf *rand.Zipf
	all  []string
}

func newWords(seed uint64) *words {
	r := rand.New(rand.NewPCG(seed, 0x776f7264))
	w := &words{r: r, zipf: rand.NewZipf(r, 1.2, 8, 19_999)}
	for range 20_000 {
		var word strings.Builder
		for range 2 + r.IntN(3) {
			word.WriteByte("bcdfghklmnprstvz"[r.IntN(16)])
			word.WriteByte("aeiou"[r.IntN(5)])
		}
		w.all = append(w.all, word.String())
	}
	return w
}

func (w *words) text(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = w.all[w.zipf.Uint64()]
	}
	return strings.Join(list, " ")
}

// transcript writes the transcript of a number, and gives how long its texts are.
func (w *words) transcript(dir string, n int) (size int, err error) {
	f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%06d.jsonl", n)))
	if err != nil {
		return 0, err
	}
	out := bufio.NewWriter(f)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Minute)
	for turn := range 2 + w.r.IntN(13) {
		prompt, answer := w.text(20+w.r.IntN(61)), w.text(40+w.r.IntN(201))
		if turn == 1 && n%100 == 0 {
			prompt += fmt.Sprintf(" seldom%d", n/100)
		}
		size += len(prompt) + len(answer)
		head := fmt.Sprintf(`{"isSidechain":false,"cwd":"/repo","sessionId":"made-%06d","version":"2.1.40","gitBranch":"main","timestamp":%q`, n, at.Add(time.Duration(turn)*time.Second).Format(time.RFC3339))
		fmt.Fprintf(out, `%s,"type":"user","uuid":"u%d-%d","message":{"role":"user","content":%q}}`+"\n", head, n, turn, prompt)
		fmt.Fprintf(out, `%s,"type":"assistant","uuid":"a%d-%d","message":{"model":"claude-opus-4-6","id":"m%d-%d","role":"assistant","content":[{"type":"tool_use","id":"t%d-%d","name":"Read","input":{"file_path":"/repo/%s.go"}},{"type":"text","text":%q}],"usage":{"input_tokens":10,"output_tokens":50}}}`+"\n",
			head, n, turn, n, turn, n, turn, w.all[w.r.IntN(2000)], answer)
	}
	if err := out.Flush(); err != nil {
		return size, err
	}
	return size, f.Close()
}
