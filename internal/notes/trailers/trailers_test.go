package trailers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
)

var (
	ada     = git.Signature{Name: "Ada Lovelace", Mail: "ada@example.com"}
	copilot = git.Signature{Name: "copilot-swe-agent[bot]", Mail: "198982749+Copilot@users.noreply.github.com"}
	claude  = git.Signature{Name: "Claude", Mail: "noreply@anthropic.com"}
	webflow = git.Signature{Name: "GitHub", Mail: "noreply@github.com"}
	aiderA  = git.Signature{Name: "Ada Lovelace (aider)", Mail: "ada@example.com"}
)

// brief writes evidence in one line: the whole one with "=" and its
// confidence, those that took part with "+".
func brief(e notes.Evidence) string {
	took := make(map[int]bool)
	for _, i := range e.Took {
		took[i] = true
	}
	var parts []string
	for i, s := range e.Sessions {
		var b strings.Builder
		switch {
		case i == e.Whole && !took[i]:
			fmt.Fprintf(&b, "=%.1f ", e.WholeStrength.Confidence)
		case took[i] && i != e.Whole:
			b.WriteString("+")
		default:
			b.WriteString("lost ")
		}
		b.WriteString(s.Agent)
		if s.AgentVersion != "" {
			b.WriteString("@" + s.AgentVersion)
		}
		if s.Model.Known() {
			b.WriteString(" " + s.Model.Key())
		}
		if s.ID != "" {
			b.WriteString(" #" + s.ID)
		}
		parts = append(parts, b.String())
	}
	return strings.Join(parts, ", ")
}

func TestReadMessages(t *testing.T) {
	const session = "session_01NQ4uZG1GGWWCTbND93jJuR"
	for _, tt := range []struct{ message, want string }{
		// Co-authors.
		{"x\n\nCo-Authored-By: Claude <noreply@anthropic.com>", "+claude-code"},
		{"x\n\nCo-Authored-By: Claude Opus 4.6 (1M context) <noreply@anthropic.com>\n", "+claude-code anthropic/claude-opus-4-6"},
		{"x\n\nco-authored-by:Claude Fable 5<NOREPLY@anthropic.com>\n", "+claude-code anthropic/claude-fable-5"},
		{"x\n\nCo-authored-by : Claude (claude-opus-4-6) <noreply@anthropic.com>\n", "+claude-code anthropic/claude-opus-4-6"},
		{"x\n\nCo-Authored-By: Claude Code 2.1.133 / Claude Opus 4.7 (1M context) <noreply@anthropic.com>\n", "+claude-code@2.1.133 anthropic/claude-opus-4-7"},
		{"x\n\nCo-authored-by: Copilot <175728472+Copilot@users.noreply.github.com>\n", "+copilot"},
		{"x\n\nCo-authored-by: Copilot Autofix powered by AI <175728472+Copilot@users.noreply.github.com>\n", "+copilot"},
		{"x\n\nCo-authored-by: Cursor <cursoragent@cursor.com>\n", "+cursor"},
		{"x\n\nCo-authored-by: OpenAI GPT 5.5 <noreply@openai.com>\n", "+codex openai/gpt-5.5"},
		{"x\n\nCo-Authored-By: Devin AI <158243242+devin-ai-integration[bot]@users.noreply.github.com>\n", "+devin"},
		{"x\n\nCo-authored-by: aider (openrouter/anthropic/claude-3.7-sonnet) <aider@aider.chat>\n", "+aider anthropic/claude-3.7-sonnet"},
		{"x\n\nCo-authored-by: aider (gpt-4o) <noreply@aider.chat>\n", "+aider openai/gpt-4o"},
		{"x\n\nCo-authored-by: Claude Sonnet 4.5 <me@example.com>\n", "+claude-code anthropic/claude-sonnet-4-5"},
		{"x\n\nCo-authored-by: Claude Code <me@example.com>\n", "+claude-code"},
		{"x\n\nCo-authored-by: Claude Opus 4.5\n", "+claude-code anthropic/claude-opus-4-5"},
		{"x\n\nCo-developed-by: Claude Opus 4.5 <noreply@anthropic.com>\n", "+claude-code anthropic/claude-opus-4-5"},
		{"x\n\nCo-authored-by: Claude Opus 4.5\n <noreply@anthropic.com>\n", "+claude-code anthropic/claude-opus-4-5"},
		{"x\r\n\r\nCo-authored-by: Claude\r\n\tOpus 4.5 <noreply@anthropic.com>\r\n", "+claude-code anthropic/claude-opus-4-5"},
		{"caf\xe9\n\nCo-authored-by: Ren\xe9 <r@x.fr>\nCo-authored-by: Claude <noreply@anthropic.com>\n", "+claude-code"},
		{"Squash (#1)\n\n* one\n\nCo-Authored-By: Claude Opus 4.5 <noreply@anthropic.com>\n\n* two\n\nSigned-off-by: A <a@x>\n", "+claude-code anthropic/claude-opus-4-5"},

		// Several of them.
		{"x\n\nCo-authored-by: Claude Opus 4.5 <noreply@anthropic.com>\nCo-authored-by: Claude Opus 4.5 <noreply@anthropic.com>\n", "+claude-code anthropic/claude-opus-4-5"},
		{"x\n\nCo-authored-by: Claude <noreply@anthropic.com>\nCo-authored-by: Claude Opus 4.5 <noreply@anthropic.com>\nCo-authored-by: Claude Sonnet 4.5 <noreply@anthropic.com>\nCo-authored-by: Copilot <1+Copilot@users.noreply.github.com>\n", "+claude-code anthropic/claude-opus-4-5, +claude-code anthropic/claude-sonnet-4-5, +copilot"},
		{"x\n\n🤖 Generated with [Claude Code](https://claude.com/claude-code)\n\nCo-Authored-By: Claude Opus 4.5 <noreply@anthropic.com>", "+claude-code anthropic/claude-opus-4-5"},

		// Assisted-by and its relatives.
		{"x\n\nAssisted-by: Claude:claude-3-opus coccinelle sparse\n", "+claude-code anthropic/claude-3-opus"},
		{"x\n\nAssisted-by: newtool:gpt-5\n", "+newtool openai/gpt-5"},
		{"x\n\nAssisted-by: Claude Code\n", "+claude-code"},
		{"x\n\nassisted-by: pi\n", "+pi"},
		{"x\n\nAssisted-by: OpenCode\n", "+opencode"},
		{"x\n\nAssisted-by: Claude Opus 4.7 (1M context)\n", "+claude-code anthropic/claude-opus-4-7"},
		{"x\n\nAssisted-by: Claude Opus 4.5 <noreply@anthropic.com>\n", "+claude-code anthropic/claude-opus-4-5"},
		{"x\n\nAssisted-by: Claude Opus 4.5 via Crush <crush@charm.land>\n", "+crush anthropic/claude-opus-4-5"},
		{"x\n\nAssisted-by: Claude Opus 4.5 via Crush 💘 <crush@charm.land>\n", "+crush anthropic/claude-opus-4-5"},
		{"x\n\nAssisted-by: Claude Code (claude-opus-4-6)\n", "+claude-code anthropic/claude-opus-4-6"},
		{"x\n\nAssisted-by: GPT-5.2 (AI)\n", "+ openai/gpt-5.2"},
		{"x\n\nAssisted-by: gpt-5.2\nCo-authored-by: GPT-5.2 <noreply@openai.com>\n", "+codex openai/gpt-5.2"},
		{"x\n\nAssisted-by: Claude Code, GitHub Copilot\n", "+claude-code, +copilot"},
		{"x\n\nGenerated-by: Claude Code 2.0\n", "+claude-code@2.0"},
		{"x\n\nMade-with: Cursor\n", "+cursor"},
		{"x\n\nAssisted-by: Claude Code\n    go test ./...\n", "+claude-code"},

		// Sessions.
		{"x\n\nClaude-Session: https://claude.ai/code/" + session + "\n", "+claude-code #" + session},
		{"x\n\nhttps://claude.ai/code/" + session + "\n", "+claude-code #" + session},
		{"x\n\nclaude-session: " + session + "\nCo-Authored-By: Claude Opus 4.6 <noreply@anthropic.com>\n", "+claude-code anthropic/claude-opus-4-6 #" + session},
		{"x\n\nClaude-Session: https://claude.ai/code/" + session + "?x=1\nClaude-Session: https://claude.ai/code/session_22222222\n", "+claude-code #" + session + ", +claude-code #session_22222222"},
		{"x\n\nClaude-Session: https://claude.ai/code/session_11111111\nClaude-Session: https://claude.ai/code/session_22222222\nCo-authored-by: Claude Opus 4.5 <noreply@anthropic.com>\nCo-authored-by: Claude Opus 4.6 <noreply@anthropic.com>\n", "+claude-code #session_11111111, +claude-code #session_22222222, +claude-code anthropic/claude-opus-4-5, +claude-code anthropic/claude-opus-4-6"},

		// Lines of the body.
		{"x\n\n🤖 Generated with [Claude Code](https://claude.ai/code)\n", "+claude-code"},
		{"x\n\n🤖 Generated with Claude Code (https://claude.ai/code)\n", "+claude-code"},
		{"x\n\n🤖 Generated with Claude Code", "+claude-code"},
		{"x\n\nGenerated with Claude Code.", "+claude-code"},
		{"x\n\n🤖 Generated with [Firebender](https://firebender.com)\n", "+firebender"},
		{"x\n\nMade with [Cursor](https://cursor.com)\n", "+cursor"},
		{"x\n\n_Generated by [Claude Code](https://claude.ai/code)_\n", "+claude-code"},
		{"x\n\nMade with Cursor\n", "+cursor"},
		{"x\n\nAssisted by Claude Opus 4.5.\n", "+claude-code anthropic/claude-opus-4-5"},
		{"x\n\n💘 Generated with Crush\n", "+crush"},

		// Prose, people, bots and other tools.
		{"", ""},
		{"Co-authored-by: claude is nice", ""},
		{"x\n\nI think co-authored-by: Claude <noreply@anthropic.com> is nice\n", ""},
		{"x\n\n    Co-authored-by: Claude <noreply@anthropic.com>\n", ""},
		{"x\n\n> Co-authored-by: Claude <noreply@anthropic.com>\n", ""},
		{"x\n\nCo-authored-by: Claude Monet <claude@monet.fr>\n", ""},
		{"x\n\nCo-authored-by: Claude <claude@example.fr>\n", ""},
		{"x\n\nCo-authored-by: Cursor Smith <cursor@x.org>\n", ""},
		{"x\n\nCo-authored-by: Devin Booker <devin@suns.com>\n", ""},
		{"x\n\nCo-authored-by: Travis Cline <travis.cline@gmail.com>\n", ""},
		{"x\n\nCo-authored-by: Claude\n", ""},
		{"x\n\nCo-authored-by: Claude <noreply@anthropic.com> wrote the tests\n", ""},
		{"x\n\nCo-authored-by: dependabot[bot] <49699333+dependabot[bot]@users.noreply.github.com>\n", ""},
		{"x\n\nCo-authored-by: github-actions[bot] <41898282+github-actions[bot]@users.noreply.github.com>\n", ""},
		{"x\n\nAssisted-By: \"claude my eyes right out\"\n", ""},
		{"x\n\nAssisted-by: Devin Booker <devin@suns.com>\n", ""},
		{"x\n\nAssisted-by: Devin <devin@suns.com>\n", ""},
		{"x\n\nAssisted-by: Jane Doe\n", ""},
		{"x\n\nAssisted-by: https://example.com/claude\n", ""},
		{"x\n\nAssisted-by:\n", ""},
		{"x\n\nGenerated-by: protoc 3.1\n", ""},
		{"x\n\nGenerated-by: command-line-tool\n", ""},
		{"x\n\nMade-with: love\n", ""},
		{"x\n\ngenerated by cursor\n", ""},
		{"x\n\nGenerated by Cursor\n", ""},
		{"x\n\nGenerated with Cursor, the editor that everybody loves\n", ""},
		{"NOTE: libnetwork contains code generated by Claude Code", ""},
		{"x\n\nMade with Claude in mind\n", ""},
		{"x\n\nWritten by Claude\n", ""},
		{"x\n\nhttps://claude.ai/code is a page\n", ""},
		{"x\n\nClaude-Session: https://claude.ai/code/session_../../etc\n", ""},
		{"x\n\nClaude-Session: https://evil.example/code/session_01NQ4uZG1GGWW\n", ""},
	} {
		got, ok := Source{}.Read(&git.Commit{Author: ada, Committer: webflow, Message: []byte(tt.message)})
		if brief(got) != tt.want || ok != (tt.want != "") {
			t.Errorf("Read(%q) = %q, %v, want %q", tt.message, brief(got), ok, tt.want)
		}
	}
}

func TestReadIdentities(t *testing.T) {
	const byAda = "x\n\nCo-authored-by: Ada Lovelace <ada@example.com>\n"
	for _, tt := range []struct {
		name              string
		author, committer git.Signature
		message, want     string
	}{
		{"a person", ada, ada, "x", ""},
		{"an agent", copilot, webflow, "x", "=0.9 copilot"},
		{"an agent that commits itself", copilot, copilot, "x", "=0.9 copilot"},
		{"an agent with a person", copilot, webflow, byAda, "=0.7 copilot"},
		{"an agent with a bot", copilot, webflow, "x\n\nCo-authored-by: dependabot[bot] <49699333+dependabot[bot]@users.noreply.github.com>\n", "=0.9 copilot"},
		{"an agent with another", copilot, webflow, "x\n\nCo-authored-by: Claude <noreply@anthropic.com>\n", "=0.7 copilot, +claude-code"},
		{"an agent that names itself", claude, ada, "x\n\nCo-authored-by: Claude Opus 4.6 <noreply@anthropic.com>\n", "=0.9 claude-code anthropic/claude-opus-4-6"},
		{"an agent of two models", claude, ada, "x\n\nCo-authored-by: Claude Opus 4.6 <noreply@anthropic.com>\nCo-authored-by: Claude Haiku 4.5 <noreply@anthropic.com>\n", "=0.9 claude-code anthropic/claude-opus-4-6, +claude-code anthropic/claude-haiku-4-5"},
		{"an agent whose model is its name", git.Signature{Name: "Claude Opus 4.5", Mail: "noreply@anthropic.com"}, ada, "x", "=0.9 claude-code anthropic/claude-opus-4-5"},
		{"an agent as committer only", ada, claude, "x", "+claude-code"},
		{"an agent committed by another", copilot, claude, "x", "=0.7 copilot, +claude-code"},
		{"aider as author", aiderA, aiderA, "x", "=0.8 aider"},
		{"aider as author, with its model", aiderA, ada, "x\n\nCo-authored-by: aider (gpt-4o) <aider@aider.chat>\n", "=0.8 aider openai/gpt-4o"},
		{"aider with a person", aiderA, ada, byAda, "=0.6 aider"},
		{"aider as committer only", ada, aiderA, "x", "+aider"},
		{"a bot", git.Signature{Name: "dependabot[bot]", Mail: "49699333+dependabot[bot]@users.noreply.github.com"}, webflow, "x", ""},
		{"a person with an agent's name", git.Signature{Name: "Claude", Mail: "claude@example.fr"}, git.Signature{Name: "Devin Booker", Mail: "d@suns.com"}, "x", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := Source{}.Read(&git.Commit{Author: tt.author, Committer: tt.committer, Message: []byte(tt.message)})
			if brief(got) != tt.want || ok != (tt.want != "") {
				t.Errorf("Read = %q, %v, want %q", brief(got), ok, tt.want)
			}
		})
	}
}

func TestReadStrength(t *testing.T) {
	got, _ := Source{}.Read(&git.Commit{Author: claude, Committer: aiderA, Message: []byte("x\n\nAssisted-by: Cursor\nCo-authored-by: Cursor <cursoragent@cursor.com>\n")})
	strength := func(a stemma.Assertion, method string, confidence float64) stemma.Strength {
		return stemma.Strength{Tier: stemma.TierClaimed, Assertion: a, Method: method, Confidence: confidence}
	}
	want := notes.Evidence{
		Source: "trailers",
		Sessions: []notes.Session{
			{Agent: "claude-code", Strength: strength(stemma.Inferred, "agent-author", 0.9)},
			{Agent: "cursor", Strength: strength(stemma.Declared, "assisted-by", 1)},
			{Agent: "aider", Strength: strength(stemma.Inferred, "aider-committer", 0.8)},
		},
		Took:          []int{1, 2},
		Whole:         0,
		WholeStrength: strength(stemma.Inferred, "agent-author", 0.7),
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 })); diff != "" {
		t.Errorf("evidence (-want +got):\n%s", diff)
	}
}

func TestReadLimits(t *testing.T) {
	const trailer = "Co-authored-by: Claude <noreply@anthropic.com>\n"
	for _, tt := range []struct{ name, message, want, problem string }{
		{"a long message is read from its end", "x\n\n" + strings.Repeat("y\n", maxMessage/2) + trailer, "+claude-code", "message: 4194354 bytes long, only the last 4194304 are read"},
		{"and its beginning is not", trailer + strings.Repeat("y\n", maxMessage/2), "", "message: 4194351 bytes long, only the last 4194304 are read"},
		{"a long line without a trailer", strings.Repeat("c", 3<<20) + "\n" + trailer, "+claude-code", ""},
		{"a long trailer", "Co-authored-by: " + strings.Repeat("c", maxLine) + " <noreply@anthropic.com>\n", "", "message: a line \"Co-authored-by:\" of 4136 bytes is not read"},
		{"many trailers", strings.Repeat(trailer, maxSignals+1), "+claude-code", "message: more than 1000 lines name an agent, the others are not read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := Source{}.Read(&git.Commit{Author: ada, Committer: ada, Message: []byte(tt.message)})
			if brief(got) != tt.want || strings.Join(got.Problems, "; ") != tt.problem {
				t.Errorf("Read = %q, problems %q, want %q, %q", brief(got), got.Problems, tt.want, tt.problem)
			}
		})
	}
}

// TestReadIsLinear guards against folded lines that are read again for every
// trailer before them.
func TestReadIsLinear(t *testing.T) {
	message := []byte(strings.Repeat("Co-authored-by:\n "+strings.Repeat("x", 500)+"\n", maxMessage/600))
	start := time.Now()
	Source{}.Read(&git.Commit{Author: ada, Committer: ada, Message: message})
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("a message of %d bytes took %v, want well under a second", len(message), took)
	}
}

func BenchmarkRead(b *testing.B) {
	c := &git.Commit{Author: ada, Committer: webflow, Message: []byte("daemon: fix a thing\n\n" + strings.Repeat("Some words about why this was to be done, and how it was.\n", 10) +
		"\n🤖 Generated with [Claude Code](https://claude.com/claude-code)\n\nCo-Authored-By: Claude Opus 4.5 <noreply@anthropic.com>\nSigned-off-by: Ada Lovelace <ada@example.com>\n")}
	b.SetBytes(int64(len(c.Message)))
	b.ReportAllocs()
	for b.Loop() {
		Source{}.Read(c)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("Ada (aider)", "ada@example.com", []byte("x\n\nCo-authored-by: Claude Opus 4.5\n <noreply@anthropic.com>\r\nClaude-Session: https://claude.ai/code/session_11111111\n"))
	f.Add("Claude", "noreply@anthropic.com", []byte("Assisted-by: Claude:claude-3-opus sparse\n🤖 Generated with [Claude Code](https://claude.ai/code).\nMade-with: Cursor, pi and o3"))
	f.Add("", "", []byte("Co-authored-by: <@>\nco-authored-by:\n\xff\xf0\x9f\nAssisted-by: (((\n*_ Made with [](https://)"))
	f.Fuzz(func(t *testing.T, name, mail string, text []byte) {
		c := &git.Commit{Author: git.Signature{Name: name, Mail: mail}, Committer: ada, Message: text}
		e, ok := Source{}.Read(c)
		if ok != (len(e.Sessions)+len(e.Problems) > 0) {
			t.Fatalf("Read says %v of %+v", ok, e)
		}
		if !ok {
			return
		}
		seen := make(map[string]bool)
		for i, s := range e.Sessions {
			key := s.Agent + "\n" + s.ID + "\n" + s.Model.Key()
			if seen[key] {
				t.Errorf("session %q is there twice", key)
			}
			seen[key] = true
			if s.Agent == "" && !s.Model.Known() {
				t.Errorf("session %d names neither agent nor model", i)
			}
			if s.Strength.Confidence <= 0 || s.Strength.Confidence > 1 {
				t.Errorf("strength %+v", s.Strength)
			}
		}
		if strings.Contains(brief(e), "lost ") || e.Whole >= len(e.Sessions) || len(e.Claims) > 0 {
			t.Errorf("evidence %+v", e)
		}
	})
}
