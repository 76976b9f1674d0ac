package stemma

import "strings"

// agentNames holds the canonical keys of known agents with the names people
// know them by. Keys are what a node of kind agent is named after.
var agentNames = map[string]string{
	"aider":              "Aider",
	"amazon-q":           "Amazon Q Developer",
	"amp":                "Amp",
	"antigravity":        "Antigravity",
	"augment":            "Augment",
	"bolt":               "Bolt",
	"chatgpt":            "ChatGPT",
	"claude-code":        "Claude Code",
	"cline":              "Cline",
	"codegen":            "Codegen",
	"coderabbit":         "CodeRabbit",
	"codex":              "Codex",
	"continue":           "Continue",
	"copilot":            "GitHub Copilot",
	"copilot-cli":        "GitHub Copilot CLI",
	"copilot-vscode":     "GitHub Copilot for VS Code",
	"crush":              "Crush",
	"cubic":              "Cubic",
	"cursor":             "Cursor",
	"devin":              "Devin",
	"droid":              "Factory Droid",
	"ellipsis":           "Ellipsis",
	"firebender":         "Firebender",
	"gemini-cli":         "Gemini CLI",
	"gemini-code-assist": "Gemini Code Assist",
	"gitar":              "Gitar",
	"goose":              "Goose",
	"jules":              "Jules",
	"junie":              "Junie",
	"kilo-code":          "Kilo Code",
	"kiro":               "Kiro",
	"lovable":            "Lovable",
	"mistral-vibe":       "Mistral Vibe",
	"opencode":           "OpenCode",
	"openhands":          "OpenHands",
	"pi":                 "Pi",
	"qwen-code":          "Qwen Code",
	"replit":             "Replit Agent",
	"roo-code":           "Roo Code",
	"sourcery":           "Sourcery",
	"sweep":              "Sweep",
	"v0":                 "v0",
	"warp":               "Warp",
	"windsurf":           "Windsurf",
	"zed":                "Zed",
}

// agentAliases maps what sources write, as a slug with hyphens, to the key.
// The names are those of git-ai's presets and its map of background agents
// (git-ai 1.6.24, src/authorship/agent_detection.rs), of Entire's Entire-Agent
// trailer, and the products' own.
var agentAliases = map[string]string{
	"amazon-q-developer":         "amazon-q",
	"amp-code":                   "amp",
	"ampcode":                    "amp",
	"augment-agent":              "augment",
	"augment-code":               "augment",
	"chatgpt-codex":              "codex",
	"claude":                     "claude-code",
	"claude-agent":               "claude-code",
	"claude-cli":                 "claude-code",
	"claude-code-action":         "claude-code",
	"claude-web":                 "claude-code",
	"claudecode":                 "claude-code",
	"code-rabbit":                "coderabbit",
	"codex-cli":                  "codex",
	"codex-cloud":                "codex",
	"continue-cli":               "continue",
	"continue.dev":               "continue",
	"copilot-agent":              "copilot",
	"copilot-coding-agent":       "copilot",
	"copilot-swe-agent":          "copilot",
	"cursor-agent":               "cursor",
	"cursor-cli":                 "cursor",
	"cursor-ide":                 "cursor",
	"devin-ai":                   "devin",
	"devin-ai-integration":       "devin",
	"factory":                    "droid",
	"factory-droid":              "droid",
	"gemini":                     "gemini-cli",
	"gemini-code":                "gemini-cli",
	"github-copilot":             "copilot",
	"github-copilot-agent":       "copilot",
	"github-copilot-cli":         "copilot-cli",
	"github-copilot-vscode":      "copilot-vscode",
	"google-jules":               "jules",
	"google-labs-jules":          "jules",
	"jetbrains-junie":            "junie",
	"kilo":                       "kilo-code",
	"kilocode":                   "kilo-code",
	"open-code":                  "opencode",
	"open-hands":                 "openhands",
	"openai-codex":               "codex",
	"opencode-agent":             "opencode",
	"pi-coding-agent":            "pi",
	"qwen-coder":                 "qwen-code",
	"replit-agent":               "replit",
	"roo":                        "roo-code",
	"roo-background":             "roo-code",
	"roo-cline":                  "roo-code",
	"roocode":                    "roo-code",
	"roomote":                    "roo-code",
	"vscode-copilot":             "copilot-vscode",
	"vs-code-copilot":            "copilot-vscode",
	"windsurf-cascade":           "windsurf",
	"zed-agent":                  "zed",
	"github-copilot-chat":        "copilot-vscode",
	"github-copilot-for-vs-code": "copilot-vscode",
}

// maxAgentName is the length in bytes over which a text is no agent's name.
const maxAgentName = 64

// ParseAgent gives the canonical key of an agent from what a source calls it:
// "claude", "Claude Code" and "claude_code" are all claude-code. An agent that
// is not known keeps its own name as a key, in lower case and with hyphens for
// everything that is not a letter, digit, dot or underscore of ASCII, and known
// is false. The key is "" where nothing of the name is left, and where the name
// is over 64 bytes long. Parsing a key again gives the same key.
func ParseAgent(raw string) (key string, known bool) {
	raw = strings.TrimSpace(raw)
	if len(raw) > maxAgentName {
		return "", false
	}
	key = agentSlug(strings.TrimSuffix(strings.ToLower(raw), "[bot]"))
	plain := strings.ReplaceAll(key, "_", "-")
	if alias, ok := agentAliases[plain]; ok {
		return alias, true
	}
	if _, ok := agentNames[plain]; ok {
		return plain, true
	}
	return key, false
}

// AgentName gives the name of an agent for people: that of the product for a
// known key, else the key itself.
func AgentName(key string) string {
	if name, ok := agentNames[key]; ok {
		return name
	}
	return key
}

func agentSlug(s string) string {
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '_':
			b = append(b, c)
		case len(b) > 0 && b[len(b)-1] != '-':
			b = append(b, '-')
		}
	}
	return strings.Trim(string(b), "-._")
}

// AgentAccount reports whether an author, committer or co-author is a coding
// agent's own account, and which agent's. A person with an agent's name
// ("Claude Monet <claude@monet.fr>") is not: what counts is the mail address
// that the agent's maker owns, or the login of its app on the forge. Bots that
// are no coding agents are not either, see [Bot].
func AgentAccount(name, mail string) (agent string, ok bool) {
	if len(name) > 256 || len(mail) > 256 {
		return "", false
	}
	name = strings.ToLower(strings.TrimSpace(name))
	mail = strings.ToLower(strings.TrimSpace(mail))
	local, domain, _ := strings.Cut(mail, "@")

	// An app of GitHub commits as "login[bot]" with the address
	// "<number>+login[bot]@users.noreply.github.com"; the number differs between
	// the apps of one agent and is left out.
	if domain == "users.noreply.github.com" {
		_, login, numbered := strings.Cut(local, "+")
		if !numbered {
			login = local
		}
		if app, isApp := strings.CutSuffix(login, "[bot]"); isApp {
			if agent := agentApp(app); agent != "" {
				return agent, true
			}
			if app == "github-advanced-security" && strings.HasPrefix(name, "copilot autofix") {
				return "copilot", true
			}
			return "", false
		}
		// Without the number the login is a person's choice of a name, as
		// copilot@users.noreply.github.com would be.
		if numbered && digits(local[:strings.IndexByte(local, '+')]) {
			switch login {
			case "copilot":
				return "copilot", true
			case "gemini-cli":
				return "gemini-cli", true
			}
		}
		return "", false
	}
	if app, isApp := strings.CutSuffix(name, "[bot]"); isApp {
		if agent := agentApp(app); agent != "" {
			return agent, true
		}
	}
	return agentMail(name, mail, local)
}

// agentMail knows agents by the mail address that their makers own.
//
// The first group is git-ai's (agent_detection.rs), the second was seen in the
// histories of git-ai, Entire, litestream, moby and chainloop, the third is
// common in public repositories at large: in commits, and in what agents are
// told to sign with.
func agentMail(name, mail, local string) (string, bool) {
	switch mail {
	case "noreply@anthropic.com":
		return "claude-code", true
	case "noreply@openai.com":
		return "codex", true
	case "cursoragent@cursor.com":
		return "cursor", true
	case "roomote@roocode.com":
		return "roo-code", true

	case "codex@openai.com":
		return "codex", true
	case "help@firebender.com": // people write from there, too
		if name == "firebender" {
			return "firebender", true
		}
	case "copilot@github.com":
		if strings.Contains(name, "copilot") {
			return "copilot", true
		}
	case "noreply@gitar.ai":
		return "gitar", true

	case "aider@aider.chat", "noreply@aider.chat":
		return "aider", true
	case "amp@ampcode.com":
		return "amp", true
	case "noreply@opencode.ai":
		return "opencode", true
	case "crush@charm.land":
		return "crush", true
	case "openhands@all-hands.dev":
		return "openhands", true
	case "qwen-coder@alibabacloud.com":
		return "qwen-code", true
	case "agent@warp.dev", "oz-agent@warp.dev":
		return "warp", true
	case "vibe@mistral.ai":
		return "mistral-vibe", true
	case "junie@jetbrains.com":
		return "junie", true
	case "noreply@continue.dev":
		return "continue", true
	case "claude@anthropic.com": // made up by people, with the name of the agent
		if strings.HasPrefix(name, "claude") {
			return "claude-code", true
		}
	}
	// Services that run Claude Code sign with it at their own domain:
	// "Sonarly Claude Code <claude-code@sonarly.com>".
	if local == "claude-code" && (name == "claude code" || strings.HasSuffix(name, " claude code")) {
		return "claude-code", true
	}
	return "", false
}

// agentApp gives the agent whose app has this login on GitHub, without
// "[bot]", or "".
func agentApp(login string) string {
	switch login {
	case "copilot", "copilot-swe-agent", "github-copilot", "copilot-pull-request-reviewer":
		return "copilot"
	case "devin-ai-integration":
		return "devin"
	case "cursor":
		return "cursor"
	case "claude", "claude-code":
		return "claude-code"
	case "chatgpt-codex-connector", "openai-codex", "codex":
		return "codex"
	case "factory-droid":
		return "droid"
	case "google-labs-jules":
		return "jules"
	case "gemini-code-assist":
		return "gemini-code-assist"
	case "gemini-cli":
		return "gemini-cli"
	case "amazon-q-developer":
		return "amazon-q"
	case "roomote", "roomote-agent":
		return "roo-code"
	case "kiloconnect":
		return "kilo-code"
	case "opencode-agent":
		return "opencode"
	case "jetbrains-junie":
		return "junie"
	case "sweep-ai", "sweep-nightly":
		return "sweep"
	case "codegen-sh":
		return "codegen"
	case "coderabbitai":
		return "coderabbit"
	case "cubic-dev-ai":
		return "cubic"
	case "ellipsis-dev":
		return "ellipsis"
	case "sourcery-ai":
		return "sourcery"
	case "lovable-dev", "gpt-engineer-app":
		return "lovable"
	case "v0":
		return "v0"
	case "bolt-new-by-stackblitz":
		return "bolt"
	case "openhands-agent":
		return "openhands"
	default:
		return ""
	}
}

// Bot reports whether an author, committer or co-author is a bot that is no
// coding agent: it updates dependencies, releases, formats or runs CI.
func Bot(name, mail string) bool {
	if len(name) > 256 || len(mail) > 256 {
		return false
	}
	if _, agent := AgentAccount(name, mail); agent {
		return false
	}
	name = strings.ToLower(strings.TrimSpace(name))
	mail = strings.ToLower(strings.TrimSpace(mail))
	local, domain, _ := strings.Cut(mail, "@")
	if strings.HasSuffix(name, "[bot]") || strings.HasSuffix(local, "[bot]") {
		return true
	}
	switch mail {
	case "support@dependabot.com", "bot@renovateapp.com", "renovate@whitesourcesoftware.com",
		"support@greenkeeper.io", "actions@github.com", "action@github.com", "github-actions@github.com",
		"bot@stepsecurity.io", "snyk-bot@snyk.io", "semantic-release-bot@martynus.net",
		"pre-commit-ci@users.noreply.github.com", "bors@app.bors.tech", "hosted@weblate.org",
		"bot@usegitai.com", "travis@travis-ci.org", "bot@readme.io":
		return true
	}
	if domain == "noreply.gitlab.com" || strings.HasPrefix(domain, "noreply.gitlab.") {
		// GitLab's access tokens commit as project_<id>_bot_<hash> and group_...
		return (strings.HasPrefix(local, "project_") || strings.HasPrefix(local, "group_")) && strings.Contains(local, "_bot")
	}
	switch name {
	case "dependabot", "dependabot-preview", "renovate", "renovate bot", "mend renovate", "renovate-bot",
		"greenkeeper", "greenkeeperio-bot", "github-actions", "github actions", "pre-commit-ci", "snyk-bot",
		"k8s-ci-robot", "semantic-release-bot", "imgbot", "allcontributors", "stepsecurity bot":
		return true
	default:
		return false
	}
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
