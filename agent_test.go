package stemma

import (
	"strings"
	"testing"
)

func TestParseAgent(t *testing.T) {
	for _, tt := range []struct {
		raw, key string
		known    bool
	}{
		{"claude", "claude-code", true},
		{"Claude", "claude-code", true},
		{"Claude Code", "claude-code", true},
		{"claude_code", "claude-code", true},
		{"claude[bot]", "claude-code", true},
		{"claude-web", "claude-code", true},
		{"codex", "codex", true},
		{"codex-cloud", "codex", true},
		{"github-copilot", "copilot", true},
		{"GitHub Copilot", "copilot", true},
		{"Copilot", "copilot", true},
		{"github-copilot-cli", "copilot-cli", true},
		{"cursor-agent", "cursor", true},
		{" Cursor ", "cursor", true},
		{"factory-droid", "droid", true},
		{"continue-cli", "continue", true},
		{"Gemini CLI", "gemini-cli", true},
		{"OpenCode", "opencode", true},
		{"pi", "pi", true},
		{"mock_ai", "mock_ai", false},
		{"test-agent", "test-agent", false},
		{"My  New Agent!", "my-new-agent", false},
		{"Agent", "agent", false},
		{"", "", false},
		{"  ", "", false},
		{"\x1b[31m", "31m", false},
		{"代理", "", false},
		{strings.Repeat("a", 65), "", false},
		{strings.Repeat("a", 1<<20), "", false},
	} {
		key, known := ParseAgent(tt.raw)
		if key != tt.key || known != tt.known {
			t.Errorf("ParseAgent(%.80q) = %q, %v, want %q, %v", tt.raw, key, known, tt.key, tt.known)
		}
	}
}

func TestAgentKeysAreCanonical(t *testing.T) {
	for key, name := range agentNames {
		if got, known := ParseAgent(key); got != key || !known {
			t.Errorf("ParseAgent(%q) = %q, %v, want itself", key, got, known)
		}
		if got, known := ParseAgent(name); got != key || !known {
			t.Errorf("ParseAgent(%q) = %q, %v, want %q", name, got, known, key)
		}
		if got := AgentName(key); got != name {
			t.Errorf("AgentName(%q) = %q, want %q", key, got, name)
		}
	}
	for alias, key := range agentAliases {
		if got, known := ParseAgent(alias); got != key || !known {
			t.Errorf("ParseAgent(%q) = %q, %v, want %q", alias, got, known, key)
		}
		if _, ok := agentNames[key]; !ok {
			t.Errorf("alias %q leads to %q, which has no name", alias, key)
		}
		if _, ok := agentNames[alias]; ok {
			t.Errorf("alias %q is a key itself", alias)
		}
	}
	if got := AgentName("my-new-agent"); got != "my-new-agent" {
		t.Errorf("AgentName of an unknown agent = %q, want its key", got)
	}
}

func TestAgentAccountAndBot(t *testing.T) {
	const github = "@users.noreply.github.com"
	for _, tt := range []struct {
		name, mail, agent string
		bot               bool
	}{
		{"Claude", "noreply@anthropic.com", "claude-code", false},
		{"Claude Opus 4.6 (1M context)", "NoReply@Anthropic.com", "claude-code", false},
		{"claude[bot]", "209825114+claude[bot]" + github, "claude-code", false},
		{"Sonarly Claude Code", "claude-code@sonarly.com", "claude-code", false},
		{"Codex", "codex@openai.com", "codex", false},
		{"OpenAI GPT 5.5", "noreply@openai.com", "codex", false},
		{"Cursor Agent", "cursoragent@cursor.com", "cursor", false},
		{"cursor[bot]", "206951365+cursor[bot]" + github, "cursor", false},
		{"Copilot", "175728472+Copilot" + github, "copilot", false},
		{"copilot-swe-agent[bot]", "198982749+Copilot" + github, "copilot", false},
		{"Copilot Autofix powered by AI", "62310815+github-advanced-security[bot]" + github, "copilot", false},
		{"GitHub Copilot", "copilot@github.com", "copilot", false},
		{"Devin AI", "158243242+devin-ai-integration[bot]" + github, "devin", false},
		{"devin-ai-integration[bot]", "someone@example.com", "devin", false},
		{"factory-droid[bot]", "138933559+factory-droid[bot]" + github, "droid", false},
		{"google-labs-jules[bot]", "161369871+google-labs-jules[bot]" + github, "jules", false},
		{"Firebender", "help@firebender.com", "firebender", false},
		{"Roomote", "roomote@roocode.com", "roo-code", false},
		{"cubic-dev-ai[bot]", "191113872+cubic-dev-ai[bot]" + github, "cubic", false},
		{"Gitar", "noreply@gitar.ai", "gitar", false},
		{"Oz", "oz-agent@warp.dev", "warp", false},
		{"Claude", "claude@anthropic.com", "claude-code", false},
		{"Someone", "claude@anthropic.com", "", false},

		{"Claude Monet", "claude@monet.fr", "", false},
		{"Cursor Smith", "cursor@x.org", "", false},
		{"Devin Booker", "devin@suns.com", "", false},
		{"Jules Verne", "jules@verne.fr", "", false},
		{"Claude", "claude-code@sonarly.com", "", false},
		{"Copilot Fan", "copilot" + github, "", false},
		{"Copilot Fan", "mycopilot" + github, "", false},
		{"Fan", "fan+copilot" + github, "", false},
		{"Mary", "help@firebender.com", "", false},
		{"Travis Cline", "travis.cline@gmail.com", "", false},
		{"Someone", "noreply@anthropic.com.evil.example", "", false},
		{"GitHub", "noreply@github.com", "", false},
		{"", "", "", false},
		{strings.Repeat("x", 1<<20), "noreply@anthropic.com", "", false},

		{"dependabot[bot]", "49699333+dependabot[bot]" + github, "", true},
		{"github-actions[bot]", "41898282+github-actions[bot]" + github, "", true},
		{"Mend Renovate", "bot@renovateapp.com", "", true},
		{"renovate[bot]", "29139614+renovate[bot]" + github, "", true},
		{"StepSecurity Bot", "bot@stepsecurity.io", "", true},
		{"pre-commit-ci[bot]", "66853113+pre-commit-ci[bot]" + github, "", true},
		{"chainloop-platform[bot]", "266818671+chainloop-platform[bot]" + github, "", true},
		{"github-advanced-security[bot]", "62310815+github-advanced-security[bot]" + github, "", true},
		{"Greenkeeper", "support@greenkeeper.io", "", true},
		{"deploy", "project_42_bot_6a1f@noreply.gitlab.com", "", true},
		{"Jane", "1234-jane@users.noreply.gitlab.com", "", false},
		{"ReadmeCritic", "frankensteinbot@gmail.com", "", false},
	} {
		agent, ok := AgentAccount(tt.name, tt.mail)
		if agent != tt.agent || ok != (tt.agent != "") {
			t.Errorf("AgentAccount(%.60q, %q) = %q, %v, want %q", tt.name, tt.mail, agent, ok, tt.agent)
		}
		if _, known := agentNames[agent]; ok && !known {
			t.Errorf("AgentAccount(%.60q, %q) = %q, which is no known key", tt.name, tt.mail, agent)
		}
		if got := Bot(tt.name, tt.mail); got != tt.bot {
			t.Errorf("Bot(%.60q, %q) = %v, want %v", tt.name, tt.mail, got, tt.bot)
		}
	}
}

func FuzzParseAgent(f *testing.F) {
	for _, seed := range []string{"", "Claude Code", "mock_ai", "x[bot][bot]", "--a--", "..", "_claude_", "Ａ"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		key, known := ParseAgent(raw)
		again, knownAgain := ParseAgent(key)
		if again != key || knownAgain != known {
			t.Errorf("ParseAgent(%q) = %q, %v; parsed again %q, %v", raw, key, known, again, knownAgain)
		}
		if len(key) > maxAgentName || !printable(key) || strings.ContainsAny(key, " /@<>\"") {
			t.Errorf("ParseAgent(%q) = %q, which is not clean", raw, key)
		}
	})
}
