package stemma

import (
	"strings"
	"testing"
)

func TestParseModel(t *testing.T) {
	for _, tt := range []struct {
		raw, provider, id string
		exact             bool
	}{
		{"claude-opus-4-5-20251101", "anthropic", "claude-opus-4-5-20251101", true},
		{"claude-opus-4-6[1m]", "anthropic", "claude-opus-4-6", true},
		{"Claude-Opus-4-6", "anthropic", "claude-opus-4-6", true},
		{"us.anthropic.claude-sonnet-4-20250514-v1:0", "anthropic", "claude-sonnet-4-20250514", true},
		{"global.anthropic.claude-opus-4-6-v1", "anthropic", "claude-opus-4-6-v1", true},
		{"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-20250514-v1:0", "anthropic", "claude-sonnet-4-20250514", true},
		{"claude-opus-4@20250514", "anthropic", "claude-opus-4@20250514", true},
		{"anthropic/claude-sonnet-4.5", "anthropic", "claude-sonnet-4.5", true},
		{"openrouter/anthropic/claude-3.7-sonnet", "anthropic", "claude-3.7-sonnet", true},
		{"claude-4.5-opus-high-thinking", "anthropic", "claude-4.5-opus-high-thinking", true},
		{"copilot/gpt-5", "openai", "gpt-5", true},
		{`"gpt-5"`, "openai", "gpt-5", true},
		{"openai-codex/gpt-5.4", "openai", "gpt-5.4", true},
		{"gpt-5.6-sol", "openai", "gpt-5.6-sol", true},
		{"o3", "openai", "o3", true},
		{"o4-mini", "openai", "o4-mini", true},
		{"codex-mini-latest", "openai", "codex-mini-latest", false},
		{"gemini-2.5-pro", "google", "gemini-2.5-pro", true},
		{"models/gemini-2.5-flash", "google", "gemini-2.5-flash", true},
		{"grok-code-fast-1", "xai", "grok-code-fast-1", true},
		{"devstral-2512", "mistral", "devstral-2512", true},
		{"codestral-latest", "mistral", "codestral-latest", false},
		{"deepseek-chat", "deepseek", "deepseek-chat", false},
		{"us.deepseek.r1-v1:0", "deepseek", "r1-v1:0", true},
		{"qwen/qwen3-coder:free", "alibaba", "qwen3-coder:free", true},
		{"kimi-k2", "moonshotai", "kimi-k2", true},
		{"z-ai/glm-4.6", "zai", "glm-4.6", true},
		{"swe-1", "windsurf", "swe-1", true},
		{"composer-1", "cursor", "composer-1", true},
		{"code-supernova-1-million", "", "code-supernova-1-million", true},
		{"accounts/fireworks/models/llama-v3p1-405b", "meta", "llama-v3p1-405b", true},
		{"openrouter/newlab/brand-new-1", "newlab", "brand-new-1", true},
		{"opus", "anthropic", "opus", false},
		{"Sonnet", "anthropic", "sonnet", false},
		{"sonnet[1m]", "anthropic", "sonnet", false},
		{"haiku", "anthropic", "haiku", false},
		{"test-model", "", "test-model", false},
		{"Claude Opus 4.5", "anthropic", "claude-opus-4-5", false},

		{"", "", "", false},
		{"unknown", "", "", false},
		{"Default", "", "", false},
		{"copilot/auto", "", "", false},
		{"<synthetic>", "", "", false},
		{"<whatever-4>", "", "", false},
		{"none", "", "", false},
		{"null", "", "", false},
		{"n/a", "", "", false},
		{"claude", "", "", false},
		{"codex", "", "", false},
		{"...", "", "", false},
		{"42", "", "", false},
		{"/srv/models/llama-3.gguf", "", "", false},
		{"https://example.com/gpt-5", "", "", false},
		{"gpt-5\n", "", "", false},
		{"gpt-5\x1b[31m", "", "", false},
		{"gpt–5", "", "", false},
		{"gpt-5;rm", "", "", false},
		{"gpt-" + strings.Repeat("5", 150), "", "", false},
	} {
		got := ParseModel(tt.raw)
		want := Model{Provider: tt.provider, ID: tt.id, Exact: tt.exact, Raw: tt.raw}
		if got != want {
			t.Errorf("ParseModel(%q) = %+v, want %+v", tt.raw, got, want)
		}
		if got.Known() != (tt.id != "") {
			t.Errorf("ParseModel(%q).Known() = %v", tt.raw, got.Known())
		}
	}
}

func TestParseModelDropsHugeText(t *testing.T) {
	for _, raw := range []string{strings.Repeat("a", 1<<20), "gpt-5" + strings.Repeat(" ", maxModelName)} {
		if got := ParseModel(raw); got != (Model{}) {
			t.Errorf("ParseModel(%d bytes) = model %q with %d bytes of raw, want the zero model", len(raw), got.ID, len(got.Raw))
		}
		if got := ModelFromDisplayName(raw); got != (Model{}) {
			t.Errorf("ModelFromDisplayName(%d bytes) = model %q with %d bytes of raw, want the zero model", len(raw), got.ID, len(got.Raw))
		}
	}
}

func TestModelFromDisplayName(t *testing.T) {
	for _, tt := range []struct {
		name, provider, id string
		exact              bool
	}{
		{"Claude Opus 4.5", "anthropic", "claude-opus-4-5", false},
		{"Claude Opus 4.6 (1M context)", "anthropic", "claude-opus-4-6", false},
		{"Claude Sonnet 4.5", "anthropic", "claude-sonnet-4-5", false},
		{"Claude Opus 5", "anthropic", "claude-opus-5", false},
		{"Claude Fable 5", "anthropic", "claude-fable-5", false},
		{"Claude Newname 6.1", "anthropic", "claude-newname-6-1", false},
		{"Claude 3.5 Sonnet", "anthropic", "claude-3-5-sonnet", false},
		{"Claude Sonnet", "anthropic", "claude-sonnet", false},
		{"Opus 4.5", "anthropic", "claude-opus-4-5", false},
		{"Claude (claude-opus-4-6)", "anthropic", "claude-opus-4-6", true},
		{"claude-opus-4-6", "anthropic", "claude-opus-4-6", true},
		{"Claude Code 2.1.133 / Claude Opus 4.7 (1M context)", "anthropic", "claude-opus-4-7", false},
		{"aider (openrouter/anthropic/claude-3.7-sonnet)", "anthropic", "claude-3.7-sonnet", true},
		{"aider (gpt-4o)", "openai", "gpt-4o", true},
		{"GPT-5.2 Codex", "openai", "gpt-5.2-codex", false},
		{"OpenAI GPT 5.5", "openai", "gpt-5.5", false},
		{"GPT-5.2 (AI)", "openai", "gpt-5.2", false},
		{"Gemini 2.5 Pro", "google", "gemini-2.5-pro", false},
		{"Google Gemini 3 Pro", "google", "gemini-3-pro", false},
		{"Grok Code Fast 1", "xai", "grok-code-fast-1", false},
		{"Composer 1", "cursor", "composer-1", false},
		{"Qwen3 Coder", "alibaba", "qwen3-coder", false},

		{"", "", "", false},
		{"Claude", "", "", false},
		{"Copilot", "", "", false},
		{"Cursor", "", "", false},
		{"Codex", "", "", false},
		{"Claude Monet", "", "", false},
		{"Claude Code", "", "", false},
		{"Claude Code 2.1.133", "", "", false},
		{"Codex CLI 0.9", "", "", false},
		{"Gemini CLI", "", "", false},
		{"Gemini Code Assist 2", "", "", false},
		{"Devin 2.0", "", "", false},
		{"Command Line 2", "", "", false},
		{"Claude Opus 4.5 via Crush", "", "", false},
		{"Jane Doe 4", "", "", false},
		{"claude is a nice fellow, version 4", "", "", false},
		{"Claude\x00 Opus 4.5", "", "", false},
	} {
		got := ModelFromDisplayName(tt.name)
		want := Model{Provider: tt.provider, ID: tt.id, Exact: tt.exact, Raw: tt.name}
		if got != want {
			t.Errorf("ModelFromDisplayName(%q) = %+v, want %+v", tt.name, got, want)
		}
	}
}

func FuzzParseModel(f *testing.F) {
	for _, seed := range []string{
		"", "claude-opus-4-5-20251101", "us.anthropic.claude-3-v1:0", "openrouter/x/y[1m]", "Claude Opus 4.6 (1M context)",
		"<synthetic>", "a/b/c", `"gpt-5"`, "us.us.anthropic.anthropic.claude-v1:0-v1:0", "OpenAI GPT 5.5", "opus 4", "claude (o3)", "qwen.x", "ARN:a/b",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		for _, m := range []Model{ParseModel(raw), ModelFromDisplayName(raw)} {
			if m.Raw != raw && m != (Model{}) {
				t.Errorf("%q: raw = %q", raw, m.Raw)
			}
			if !m.Known() {
				if m.Provider != "" || m.Exact {
					t.Errorf("%q: no model, but %+v", raw, m)
				}
				continue
			}
			if again := ParseModel(m.ID); again.ID != m.ID {
				t.Errorf("%q: id %q parses as %q", raw, m.ID, again.ID)
			}
			if len(m.ID) > 128 || !printable(m.ID) || strings.ContainsAny(m.ID, " /\"<>") || !printable(m.Provider) {
				t.Errorf("%q: id %q of %q is not clean", raw, m.ID, m.Provider)
			}
		}
	})
}
