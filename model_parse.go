package stemma

import "strings"

// maxModelName is the length in bytes over which a text is no model name. The
// longest seen in real evidence is an ARN of 120 bytes.
const maxModelName = 256

// ParseModel reads the name of a model as an agent reported it. ID is that
// name in lower case without what is around it: the route
// ("openrouter/anthropic/..."), the cloud's prefix and suffix
// ("us.anthropic....-v1:0") and the context window ("[1m]"). Its parts are
// never rearranged, so "claude-4.5-opus" and "claude-opus-4-5" are two ids.
//
// The result is not [Model.Known] where raw is no name of a model: "",
// "unknown", "default", "auto", "<synthetic>", the bare name of an agent
// ("claude", "cursor") and hostile text. Raw is kept then, unless it is over
// 256 bytes long, where it is dropped altogether. Parsing an ID again gives
// the same ID. A name with spaces is read as [ModelFromDisplayName] does.
//
// Exact is false where the name leaves the release open, as "opus" and
// "codestral-latest" do.
func ParseModel(raw string) Model {
	if len(raw) > maxModelName {
		return Model{}
	}
	name, maker := stripRoute(raw)
	if strings.Contains(name, " ") {
		return ModelFromDisplayName(raw)
	}
	m := Model{Raw: raw}
	if !validModelID(name) || notAModel(name) || strings.EqualFold(raw, "n/a") {
		return m
	}
	m.ID = name
	m.Provider = makerOf(name)
	if m.Provider == "" {
		m.Provider = maker
	}
	m.Exact = strings.ContainsAny(name, "0123456789") && !strings.HasSuffix(name, "-latest") && !isFamily(firstWord(name))
	return m
}

// ModelFromDisplayName reads a model from a name made for people: "Claude Opus
// 4.5" is claude-opus-4-5, "GPT-5.2 Codex" is gpt-5.2-codex. Such an ID is not
// Exact. The result is not [Model.Known] where the name names an agent or a
// person only ("Claude", "Copilot", "Claude Monet"). Where the name holds a
// model's id as such, as in "Claude (claude-opus-4-6)", it is that id. Raw and
// the limit of length are as with [ParseModel].
func ModelFromDisplayName(name string) Model {
	if len(name) > maxModelName {
		return Model{}
	}
	none := Model{Raw: name}
	if !printable(name) {
		return none
	}
	plain, asides := cutAsides(name)
	for _, part := range append(strings.Split(plain, "/"), asides...) {
		if m := displayPart(strings.TrimSpace(part)); m.Known() {
			m.Raw = name
			return m
		}
	}
	// "aider (openrouter/anthropic/claude-3.7-sonnet)": an aside may be routed.
	for _, aside := range asides {
		if m := reportedID(aside); m.Known() {
			m.Raw = name
			return m
		}
	}
	return none
}

// displayPart reads one part of a display name, without asides and slashes.
func displayPart(part string) Model {
	if m := reportedID(part); m.Known() {
		return m
	}
	words := strings.Fields(strings.ToLower(part))
	for len(words) > 1 && makerAlias(words[0]) != "" && makerOf(words[0]+"-") == "" {
		words = words[1:] // "OpenAI GPT 5.5"
	}
	if len(words) == 0 || len(words) > 6 {
		return Model{}
	}
	if isFamily(words[0]) {
		words = append([]string{"claude"}, words...)
	}
	id := strings.Join(words, "-")
	if words[0] == "claude" {
		id = strings.ReplaceAll(id, ".", "-") // Anthropic's ids have no dots
		if !claudeRelease(strings.Split(id, "-")) {
			return Model{}
		}
	} else if !strings.ContainsAny(id, "0123456789") || commonWord(id) {
		return Model{}
	}
	if !validModelID(id) || notAModel(id) || toolWord(words) {
		return Model{}
	}
	maker := makerOf(id)
	if maker == "" {
		return Model{}
	}
	// The id must be one that ParseModel leaves as it is.
	if again, _ := stripRoute(id); again != id {
		return Model{}
	}
	return Model{Provider: maker, ID: id}
}

// reportedID reads a single lower-case word that is a model's id as such.
func reportedID(s string) Model {
	s = strings.TrimSpace(s)
	if s == "" || s != strings.ToLower(s) || strings.Contains(s, " ") || !strings.ContainsAny(s, "0123456789") {
		return Model{}
	}
	if name, _ := stripRoute(s); makerOf(name) == "" {
		return Model{}
	}
	return ParseModel(s)
}

// claudeRelease reports whether these words of a display name are a model of
// the Claude family, and not a person's name or a tool's: a known family word,
// or any one word with a version behind it, since new families keep coming.
func claudeRelease(words []string) bool {
	words = words[1:]
	switch {
	case len(words) == 0:
		return false
	case isFamily(words[0]) || isVersion(words[0]):
		return true
	default:
		return len(words) > 1 && isVersion(words[1])
	}
}

// commonWord reports whether a display name begins with a word that is a
// family of models only when a version comes next: "Composer 1" is a model,
// "Command Line 2" and "Codex CLI 0.9" are not.
func commonWord(id string) bool {
	first, next, _ := strings.Cut(id, "-")
	switch first {
	case "codex", "command", "composer", "granite", "mai", "nova", "phi", "swe", "titan":
		return next == "" || next[0] < '0' || next[0] > '9'
	default:
		return false
	}
}

// toolWord reports whether a display name is that of a tool with a version
// ("Claude Code 2.1", "Codex CLI 0.9") or a sentence, and so of no model.
func toolWord(words []string) bool {
	for i, word := range words {
		switch word {
		case "cli", "agent", "bot", "ide", "desktop", "web", "app", "extension", "autofix":
			return true
		case "via", "with", "using", "by", "and", "or", "for", "on", "in", "from", "is", "the", "a":
			return true // a sentence
		case "code":
			// "Grok Code Fast 1" is a model.
			if i == 1 && words[0] != "grok" {
				return true
			}
		}
	}
	return false
}

// stripRoute takes everything from a reported name that is not the model's
// own, and gives the maker that the route names, or "".
func stripRoute(raw string) (name, maker string) {
	s := strings.ToLower(raw)
	for {
		before := s
		s = strings.Trim(s, " \t\"'`")
		if i := strings.LastIndexByte(s, '['); i > 0 && strings.HasSuffix(s, "]") && contextWindow(s[i+1:len(s)-1]) {
			s = s[:i]
		}
		if !strings.Contains(s, " ") && !strings.HasPrefix(s, "/") && !strings.Contains(s, "//") {
			if i := strings.LastIndexByte(s, '/'); i >= 0 {
				maker = routeMaker(s[:i])
				s = s[i+1:]
			}
		}
		for _, region := range []string{"us.", "eu.", "apac.", "jp.", "au.", "ca.", "global.", "us-gov."} {
			if rest, ok := strings.CutPrefix(s, region); ok && strings.Contains(rest, ".") {
				s = rest
			}
		}
		if vendor, rest, ok := strings.Cut(s, "."); ok && rest != "" && makerAlias(vendor) != "" {
			maker, s = makerAlias(vendor), rest // Amazon Bedrock: "anthropic.claude-..."
		}
		if strings.HasPrefix(s, "claude") {
			s = cutBedrockVersion(s)
		}
		if s == before {
			return s, maker
		}
	}
}

// contextWindow reports whether s is "1m", "200k" or the like.
func contextWindow(s string) bool {
	digits := strings.TrimRight(s, "km")
	return len(digits) > 0 && len(s)-len(digits) == 1 && strings.Trim(digits, "0123456789") == ""
}

// cutBedrockVersion takes "-v1:0" from the end.
func cutBedrockVersion(s string) string {
	i := strings.LastIndex(s, "-v")
	if i <= 0 {
		return s
	}
	major, minor, ok := strings.Cut(s[i+2:], ":")
	if !ok || !isVersion(major) || !isVersion(minor) {
		return s
	}
	return s[:i]
}

// isVersion reports whether s is made of digits, at least one, and dots.
func isVersion(s string) bool {
	return strings.ContainsAny(s, "0123456789") && strings.Trim(s, "0123456789.") == ""
}

// cutAsides takes what stands in round brackets out of a name.
func cutAsides(name string) (plain string, asides []string) {
	for {
		i := strings.IndexByte(name, '(')
		if i < 0 {
			return plain + name, asides
		}
		j := strings.IndexByte(name[i:], ')')
		if j < 0 {
			return plain + name, asides
		}
		asides = append(asides, name[i+1:i+j])
		plain += name[:i] + " "
		name = name[i+j+1:]
	}
}

func validModelID(s string) bool {
	letter := false
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z':
			letter = true
		case '0' <= c && c <= '9', c == '.', c == '-', c == '_', c == ':', c == '@', c == '+':
		default:
			return false
		}
	}
	return letter && len(s) <= 128 && !strings.ContainsAny(s[:1], ".-_:@+")
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// notAModel reports whether sources use the word where they know no model, or
// where they name an agent instead.
func notAModel(s string) bool {
	switch s {
	case "unknown", "default", "auto", "none", "null", "nil", "undefined", "na", "synthetic",
		"inherit", "custom", "model", "ai", "llm", "agent", "human",
		"claude", "claude-code", "codex", "copilot", "github-copilot", "cursor", "devin", "gemini",
		"gemini-cli", "gpt", "chatgpt", "windsurf", "aider", "opencode", "amp", "jules":
		return true
	default:
		return false
	}
}

// isFamily reports whether the word alone stands for a family of Claude
// models, whichever release that was at the time.
func isFamily(word string) bool {
	switch word {
	case "opus", "sonnet", "haiku", "fable":
		return true
	default:
		return false
	}
}

func firstWord(s string) string {
	if i := strings.IndexByte(s, '-'); i >= 0 {
		return s[:i]
	}
	return s
}

// routeMaker gives the maker that a route such as "openrouter/anthropic" names:
// its last part that is a known maker or an unknown word that is no known
// reseller. It is "" where none is.
func routeMaker(route string) string {
	parts := strings.Split(route, "/")
	for i := len(parts) - 1; i >= 0; i-- {
		if maker := makerAlias(parts[i]); maker != "" {
			return maker
		}
		if !reseller(parts[i]) && validModelID(parts[i]) && !strings.ContainsAny(parts[i], ":@+") {
			return parts[i]
		}
	}
	return ""
}

// reseller reports whether a part of a route names who serves models of
// others, and so no maker.
func reseller(s string) bool {
	switch s {
	case "openrouter", "copilot", "github-copilot", "github-models", "github", "cursor-acp", "bedrock",
		"amazon-bedrock", "aws-bedrock", "vertex", "vertex_ai", "google-vertex", "google-vertex-anthropic",
		"azure", "azure_ai", "azure-openai", "litellm", "together", "together_ai", "togetherai", "fireworks",
		"fireworks-ai", "accounts", "models", "publishers", "groq", "cerebras", "ollama", "lmstudio", "opencode",
		"opencode-go", "zed.dev", "poe", "vercel", "requesty", "huggingface", "chutes", "deepinfra", "nebius",
		"baseten", "sambanova", "factory", "custom", "local":
		return true
	default:
		return strings.HasPrefix(s, "arn:")
	}
}

// makerAlias gives the provider that a word of a route names, or "".
//
// Provider ids are those of models.dev where it lists the maker, because the
// well-known values of OpenTelemetry's gen_ai.provider.name mostly name the
// service that was asked ("aws.bedrock", "gcp.vertex_ai") and not the maker;
// where both name a maker with one word (anthropic, openai, deepseek, cohere)
// they agree. Makers that models.dev does not list as such have their plain
// name: amazon, cursor, ibm, meta, microsoft, windsurf.
func makerAlias(s string) string {
	switch s {
	case "anthropic", "openai", "google", "xai", "mistral", "deepseek", "alibaba", "moonshotai", "zai",
		"meta", "cohere", "minimax", "nvidia", "amazon", "microsoft", "cursor", "windsurf", "ibm":
		return s
	case "openai-codex":
		return "openai"
	case "google-ai", "google-gemini", "gcp.gemini":
		return "google"
	case "x-ai", "x_ai":
		return "xai"
	case "mistralai", "mistral_ai":
		return "mistral"
	case "deepseek-ai":
		return "deepseek"
	case "qwen", "alibabacloud", "dashscope":
		return "alibaba"
	case "moonshot", "moonshot-ai", "kimi-for-coding":
		return "moonshotai"
	case "z-ai", "zai-org", "z.ai", "zhipuai", "thudm", "zai-coding-plan":
		return "zai"
	case "meta-llama":
		return "meta"
	default:
		return ""
	}
}

// makerOf tells the maker of a model from its id, or gives "".
func makerOf(id string) string {
	if isFamily(firstWord(id)) {
		return "anthropic"
	}
	// OpenAI's reasoning models: o1, o3-mini, o4-mini-high.
	if len(id) >= 2 && id[0] == 'o' && '1' <= id[1] && id[1] <= '9' && (len(id) == 2 || id[2] == '-') {
		return "openai"
	}
	for _, f := range [...]struct{ prefix, maker string }{
		{"claude-", "anthropic"},
		{"gpt-", "openai"},
		{"chatgpt-", "openai"},
		{"codex-", "openai"},
		{"gemini-", "google"},
		{"gemma", "google"},
		{"grok-", "xai"},
		{"mistral", "mistral"},
		{"devstral", "mistral"},
		{"codestral", "mistral"},
		{"magistral", "mistral"},
		{"ministral", "mistral"},
		{"pixtral", "mistral"},
		{"mixtral", "mistral"},
		{"open-mi", "mistral"},
		{"deepseek-", "deepseek"},
		{"qwen", "alibaba"},
		{"qwq-", "alibaba"},
		{"kimi-", "moonshotai"},
		{"glm-", "zai"},
		{"composer-", "cursor"},
		{"cursor-small", "cursor"},
		{"swe-1", "windsurf"},
		{"swe-2", "windsurf"},
		{"llama", "meta"},
		{"codellama", "meta"},
		{"code-llama", "meta"},
		{"command-", "cohere"},
		{"minimax-", "minimax"},
		{"nemotron-", "nvidia"},
		{"nova-", "amazon"},
		{"titan-", "amazon"},
		{"phi-", "microsoft"},
		{"mai-", "microsoft"},
		{"granite-", "ibm"},
	} {
		if strings.HasPrefix(id, f.prefix) {
			return f.maker
		}
	}
	return ""
}
